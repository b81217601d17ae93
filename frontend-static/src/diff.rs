//! A patch as HTML: files, hunks and lines, below one another or side by side, without a script.
//!
//! Invariant: bounded, and every byte of the patch escaped; what is left out is said. Each line stands in a `<bdi>`, so that
//! nothing in it turns what stands beside it.

mod read;
mod words;

use std::fmt::Write as _;
use std::ops::Range;

use crate::escape;
use read::{File, Hunk, Kind, Line};

/// Most characters of one line that are shown.
/// Limit: line of a diff on a page | {} characters, then how many more there are
const LONGEST_LINE: usize = 2000;
/// A file with more lines than this begins closed.
const LONG_FILE: usize = 1000;

/// How the two sides stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// Below one another.
    #[default]
    Unified,
    /// Beside one another.
    Split,
}

impl View {
    /// The view that a query's value names; the first where it names none.
    pub fn named(word: Option<&str>) -> View {
        if word == Some("split") { View::Split } else { View::Unified }
    }
}

/// Where the page of a file is, by its path.
pub type Link<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// `patch`, as git writes it, as HTML; names of files lead where `link` says. A file's anchor is `#f1`, that of its 12th
/// line now `#f1n12`, and before `#f1o12`.
pub fn html(patch: &str, view: View, link: &Link<'_>) -> String {
    annotated(patch, view, link, &|_, _, _| None)
}

/// A side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What was there before.
    Old,
    /// What is there now.
    New,
}

/// What stands below a line, by its side, its file's path on that side, and its number there: HTML of this crate.
pub type Below<'a> = dyn Fn(Side, &str, u64) -> Option<String> + 'a;

/// [`html`], with something below some of its lines.
pub fn annotated(patch: &str, view: View, link: &Link<'_>, below: &Below<'_>) -> String {
    let read = read::patch(patch);
    let mut out = String::with_capacity(patch.len() * 4);
    if read.files.len() > 1 {
        overview(&mut out, &read.files);
    }
    let mut page = Page { out, view, below, left: words::MOST };
    for (at, file) in read.files.iter().enumerate() {
        page.file(at + 1, file, link);
    }
    if read.cut {
        page.out.push_str("<p class=\"cut\">… more files or lines follow: this page shows no more of them.</p>\n");
    }
    page.out
}

/// Which files there are.
fn overview(out: &mut String, files: &[File<'_>]) {
    let _ = writeln!(out, "<details class=\"files\"><summary>{} files</summary><ul>", files.len());
    for (at, file) in files.iter().enumerate() {
        let (path, totals) = (escape::text(&file.path), totals(file));
        let _ = writeln!(out, "<li><a href=\"#f{}\"><bdi>{path}</bdi></a> {totals}</li>", at + 1);
    }
    out.push_str("</ul></details>\n");
}

/// `+3 −1`.
fn totals(file: &File<'_>) -> String {
    format!("<span class=\"n\">+{} −{}</span>", file.added, file.removed)
}

struct Page<'b> {
    out: String,
    view: View,
    below: &'b Below<'b>,
    /// Work that is left for marking words.
    left: usize,
}

/// A line with the parts of it that its partner has not.
type Marked<'a> = (Line<'a>, Vec<Range<usize>>);

impl Page<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn file(&mut self, at: usize, file: &File<'_>, link: &Link<'_>) {
        let open = if file.added + file.removed > LONG_FILE { "" } else { " open" };
        let path = escape::text(&file.path);
        let from = file.from.as_ref().map_or(String::new(), |from| format!("<bdi>{}</bdi> → ", escape::text(from)));
        let _ = write!(
            self.out,
            "<details class=\"file\" id=\"f{at}\"{open}><summary><h3>{from}<bdi>{path}</bdi></h3> {}",
            totals(file)
        );
        for note in &file.notes {
            let _ = write!(self.out, " <span>{}</span>", escape::text(note));
        }
        self.push("</summary>\n");
        // Not in the summary: what opens and closes holds nothing else that can be pressed.
        if let Some(url) = link(&file.path).filter(|_| !file.removed_whole) {
            let _ = writeln!(
                self.out,
                "<p><a href=\"{}\" aria-label=\"{path}, whole\">whole file</a></p>",
                escape::text(&url)
            );
        }
        if file.binary {
            self.push("<p>Binary, or too large to be compared line by line.</p>\n");
        } else if file.hunks.is_empty() {
            self.push("<p>No line differs.</p>\n");
        } else {
            self.table(at, file, &path);
        }
        self.push("</details>\n");
    }

    fn table(&mut self, at: usize, file: &File<'_>, path: &str) {
        let (class, heads) = match self.view {
            View::Unified => ("u", ["Line before", "Line now", "Change"].as_slice()),
            View::Split => ("s", ["Line before", "Before", "Line now", "Now"].as_slice()),
        };
        let _ =
            write!(self.out, "<table class=\"diff {class}\" aria-label=\"{path}\" data-path=\"{path}\"><thead><tr>");
        for head in heads {
            let _ = write!(self.out, "<th scope=\"col\">{head}</th>");
        }
        self.push("</tr></thead><tbody>\n");
        for hunk in &file.hunks {
            let header = escape::text(hunk.header);
            let _ = writeln!(self.out, "<tr class=\"h\"><td colspan=\"{}\"><bdi>{header}</bdi></td></tr>", heads.len());
            for (before, now) in self.pairs(hunk) {
                let old =
                    before.as_ref().map(|(line, _)| (Side::Old, file.from.as_ref().unwrap_or(&file.path), line.old));
                let new = now.as_ref().map(|(line, _)| (Side::New, &file.path, line.new));
                match self.view {
                    View::Unified => self.unified(at, before, now),
                    View::Split => self.split(at, before, now),
                }
                for below in [old, new].into_iter().flatten().filter_map(|(side, path, n)| (self.below)(side, path, n))
                {
                    let _ = writeln!(self.out, "<tr class=\"t\"><td colspan=\"{}\">{below}</td></tr>", heads.len());
                }
            }
        }
        self.push("</tbody></table>\n");
    }

    /// The lines of a hunk in the order of their view: those that replace each other stand together where that is side by
    /// side, and else all that are gone before all that came.
    fn pairs<'a>(&mut self, hunk: &Hunk<'a>) -> Vec<(Option<Marked<'a>>, Option<Marked<'a>>)> {
        let (mut pairs, mut lines) = (Vec::with_capacity(hunk.lines.len()), hunk.lines.as_slice());
        while let Some(first) = lines.first() {
            if first.kind == Kind::Same {
                pairs.push((Some((*first, Vec::new())), Some((*first, Vec::new()))));
                lines = &lines[1..];
                continue;
            }
            let run = |lines: &[Line<'_>], kind| lines.iter().take_while(|line| line.kind == kind).count();
            let (gone, rest) = lines.split_at(run(lines, Kind::Removed));
            let (came, rest) = rest.split_at(run(rest, Kind::Added));
            lines = rest;
            self.run(&mut pairs, gone, came);
        }
        pairs
    }

    fn run<'a>(
        &mut self,
        pairs: &mut Vec<(Option<Marked<'a>>, Option<Marked<'a>>)>,
        gone: &[Line<'a>],
        came: &[Line<'a>],
    ) {
        let mut marked: (Vec<Marked<'a>>, Vec<Marked<'a>>) = (Vec::new(), Vec::new());
        for at in 0..gone.len().max(came.len()) {
            let both = gone.get(at).zip(came.get(at));
            let found = both.and_then(|(old, new)| words::marks(old.text, new.text, &mut self.left));
            let (old, new) = found.unwrap_or_default();
            marked.0.extend(gone.get(at).map(|line| (*line, old)));
            marked.1.extend(came.get(at).map(|line| (*line, new)));
        }
        let (gone, came) = (marked.0.into_iter().map(Some), marked.1.into_iter().map(Some));
        match self.view {
            View::Unified => pairs.extend(gone.map(|line| (line, None)).chain(came.map(|line| (None, line)))),
            View::Split => {
                let most = gone.len().max(came.len());
                let padded = gone.chain(std::iter::repeat(None)).zip(came.chain(std::iter::repeat(None)));
                pairs.extend(padded.take(most));
            }
        }
    }

    fn unified(&mut self, at: usize, before: Option<Marked<'_>>, now: Option<Marked<'_>>) {
        let class = match (&before, &now) {
            (Some(_), None) => " class=\"d\"",
            (None, Some(_)) => " class=\"a\"",
            _ => "",
        };
        let _ = write!(self.out, "<tr{class}>");
        let both = before.is_some() && now.is_some();
        self.number(at, 'o', before.as_ref().map(|(line, _)| line.old), !both);
        self.number(at, 'n', now.as_ref().map(|(line, _)| line.new), true);
        if let Some((line, marks)) = now.or(before) {
            self.push("<td>");
            self.text(&line, &marks);
        }
        self.push("</td></tr>\n");
    }

    fn split(&mut self, at: usize, before: Option<Marked<'_>>, now: Option<Marked<'_>>) {
        self.push("<tr>");
        for (mark, side) in [('o', before), ('n', now)] {
            let Some((line, marks)) = side else {
                self.push("<td></td><td class=\"x\"></td>");
                continue;
            };
            self.number(at, mark, Some(if mark == 'o' { line.old } else { line.new }), true);
            self.push(match line.kind {
                Kind::Same => "<td>",
                Kind::Removed => "<td class=\"d\">",
                Kind::Added => "<td class=\"a\">",
            });
            self.text(&line, &marks);
            self.push("</td>");
        }
        self.push("</tr>\n");
    }

    /// The cell of a line's number, with its anchor where it is `named`.
    fn number(&mut self, file: usize, side: char, line: Option<u64>, named: bool) {
        let _ = match line {
            None => write!(self.out, "<td></td>"),
            Some(n) if named => {
                write!(
                    self.out,
                    "<td id=\"f{file}{side}{n}\"><a tabindex=\"-1\" href=\"#f{file}{side}{n}\">{n}</a></td>"
                )
            }
            Some(n) => write!(self.out, "<td>{n}</td>"),
        };
    }

    /// The sign and the text of a line, with what changed in it.
    fn text(&mut self, line: &Line<'_>, marks: &[Range<usize>]) {
        let (sign, element) = match line.kind {
            Kind::Same => (' ', ""),
            Kind::Removed => ('-', "del"),
            Kind::Added => ('+', "ins"),
        };
        let end = line.text.char_indices().nth(LONGEST_LINE).map_or(line.text.len(), |(at, _)| at);
        let _ = write!(self.out, "{sign}<bdi>");
        let mut at = 0;
        // Lines with marks are shorter than any that is cut.
        for part in marks.iter().filter(|part| part.end <= end) {
            let (same, changed) = (escape::text(&line.text[at..part.start]), escape::text(&line.text[part.clone()]));
            let _ = write!(self.out, "{same}<{element}>{changed}</{element}>");
            at = part.end;
        }
        self.out.push_str(&escape::text(&line.text[at..end]));
        self.push("</bdi>");
        if end < line.text.len() {
            let _ = write!(self.out, "<i> … {} more characters</i>", line.text[end..].chars().count());
        }
        if line.unended {
            self.push("<i> (no line break at the end)</i>");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATCH: &str = "diff --git a/src/<b>.rs b/src/<b>.rs\n--- a/src/<b>.rs\n+++ b/src/<b>.rs\n\
                         @@ -1,3 +1,4 @@ fn <i>\n same\n-let a = 1;\n+let a = 2;\n+<script>\u{202e}\n end\n";

    fn draw(patch: &str, view: View) -> String {
        html(patch, view, &|path| Some(format!("/p/tree/{}", crate::filters::percent(path, true))))
    }

    #[test]
    fn unified_lines_stand_below_one_another_with_their_words_marked() {
        let out = draw(PATCH, View::Unified);
        assert!(out.contains("<a href=\"/p/tree/src/%3Cb%3E.rs\" aria-label=\"src/&lt;b&gt;.rs, whole\">"), "{out}");
        let gone = "<tr class=\"d\"><td id=\"f1o2\"><a tabindex=\"-1\" href=\"#f1o2\">2</a></td><td></td>\
                    <td>-<bdi>let a = <del>1</del>;</bdi></td></tr>";
        assert!(out.contains(gone), "{out}");
        assert!(out.contains("<td>+<bdi>let a = <ins>2</ins>;</bdi></td></tr>"), "{out}");
        assert!(out.contains("<bdi>&lt;script&gt;‹U+202E›</bdi>"), "{out}");
        assert!(!out.contains("<script") && !out.contains("<i>") && !out.contains(" style="));
    }

    #[test]
    fn split_lines_stand_beside_one_another() {
        let out = draw(PATCH, View::Split);
        let row = "<td class=\"d\">-<bdi>let a = <del>1</del>;</bdi></td>\
                   <td id=\"f1n2\"><a tabindex=\"-1\" href=\"#f1n2\">2</a></td>\
                   <td class=\"a\">+<bdi>let a = <ins>2</ins>;</bdi></td></tr>";
        assert!(out.contains(row), "{out}");
        assert!(out.contains("<tr><td></td><td class=\"x\"></td><td id=\"f1n3\">"), "{out}");
        assert_eq!(out.matches("<th scope=\"col\">").count(), 4);
    }

    #[test]
    fn what_belongs_to_a_line_stands_below_it() {
        let below = |side: Side, path: &str, line: u64| {
            (path == "src/<b>.rs" && line == 2)
                .then(|| if side == Side::Old { "<p>Gone?</p>" } else { "<p>Why?</p>" }.to_owned())
        };
        for (view, wide) in [(View::Unified, 3), (View::Split, 4)] {
            let out = annotated(PATCH, view, &|_| None, &below);
            let row =
                format!("<ins>2</ins>;</bdi></td></tr>\n<tr class=\"t\"><td colspan=\"{wide}\"><p>Why?</p></td></tr>");
            let row = match view {
                View::Unified => row,
                // Both lines stand in one row, and what belongs to them below it, in that order.
                View::Split => row.replace("<p>Why?", "<p>Gone?"),
            };
            assert!(
                out.contains(&row) && out.matches("Why?").count() == 1 && out.matches("Gone?").count() == 1,
                "{out}"
            );
            assert!(out.find("Gone?") < out.find("Why?"), "{out}");
        }
    }

    #[test]
    fn renames_binaries_and_what_is_cut_are_said() {
        let text = "diff --git a/old b/new\nsimilarity index 90%\nrename from old\nrename to new\n\
                    diff --git a/x b/x\ndeleted file mode 100644\nBinary files a/x and /dev/null differ\n";
        let out = draw(text, View::Unified);
        assert!(out.contains("<summary>2 files</summary>"), "{out}");
        assert!(
            out.contains("<h3><bdi>old</bdi> → <bdi>new</bdi></h3>") && out.contains("href=\"/p/tree/new\""),
            "{out}"
        );
        assert!(out.contains("renamed, 90% alike") && out.contains("No line differs."));
        assert!(
            out.contains("Binary, or too large") && !out.contains("href=\"/p/tree/x\""),
            "what is gone has no page"
        );
        let long = format!("diff --git a/f b/f\n@@ -0,0 +1 @@\n+{}\n", "é".repeat(LONGEST_LINE + 5));
        assert!(draw(&long, View::Unified).contains("<i> … 5 more characters</i>"));
    }

    proptest! {
        #[test]
        fn nothing_of_a_patch_is_markup(line in "[<>&\"'a \u{202e}\t]{0,40}", other in "[<>&\"'a]{0,40}") {
            let patch = format!("diff --git a/{line} b/{line}\n--- a/{line}\n+++ b/{line}\n@@ -1 +1 @@ {line}\n-{line}\n+{other}\n");
            for view in [View::Unified, View::Split] {
                let out = html(&patch, view, &|path| Some(path.to_owned()));
                let ours = ["details", "summary", "h3", "p", "a", "bdi", "span", "table", "thead", "tr", "th", "tbody", "td", "del", "ins"];
                for tag in out.split('<').skip(1) {
                    let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or("");
                    prop_assert!(ours.contains(&name), "{} in {}", name, out);
                }
                prop_assert!(!out.chars().any(escape::is_hidden), "{}", out);
            }
        }
    }
}
