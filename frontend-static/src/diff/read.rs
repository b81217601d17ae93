//! A patch as git writes it, read into files, hunks and lines.
//!
//! Invariant: total. Whatever the text is, what reads as a patch is kept, what does not is left out, and a line of a file is
//! never taken for one of the patch's own: hunks say how many lines they hold.

use std::borrow::Cow;

/// Most files of one patch that are shown.
/// Limit: files of one diff on a page | {}; the page says that there are more
const MOST_FILES: usize = 300;
/// Most lines of one patch that are shown.
/// Limit: lines of one diff on a page | {}; the page says that there are more
const MOST_LINES: usize = 4000;

/// A patch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Patch<'a> {
    /// Its files, in order.
    pub files: Vec<File<'a>>,
    /// Whether files or lines were left out because there are too many.
    pub cut: bool,
}

/// What a patch says of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File<'a> {
    /// Its path now; of a removed one, where it was.
    pub path: String,
    /// Where it was, where that is elsewhere.
    pub from: Option<String>,
    /// What happened to it beside its lines, in words.
    pub notes: Vec<Cow<'a, str>>,
    /// Whether its content is not shown line by line.
    pub binary: bool,
    /// Whether it is there no more.
    pub removed_whole: bool,
    /// Lines added, of those in the patch.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// What changed.
    pub hunks: Vec<Hunk<'a>>,
}

/// Changes that stand close together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk<'a> {
    /// Its own line: `@@ -1,3 +1,4 @@ fn main()`.
    pub header: &'a str,
    /// Its lines.
    pub lines: Vec<Line<'a>>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It stands on both sides.
    Same,
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its number before; of an added one, that of the line that follows.
    pub old: u64,
    /// Its number now; of a removed one, that of the line that follows.
    pub new: u64,
    /// Its text.
    pub text: &'a str,
    /// Whether the file ends with it, without a line break.
    pub unended: bool,
}

/// Lines that a hunk still holds, and their numbers.
#[derive(Default)]
struct Left {
    old: u64,
    new: u64,
    at_old: u64,
    at_new: u64,
}

/// Reads `text`.
pub(super) fn patch(text: &str) -> Patch<'_> {
    let (mut patch, mut left, mut lines) = (Patch::default(), Left::default(), 0);
    for line in text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line)) {
        let in_hunk = (left.old > 0 || left.new > 0) && line.starts_with([' ', '+', '-']) || line.starts_with('\\');
        if in_hunk {
            if lines == MOST_LINES {
                patch.cut = true;
                break;
            }
            lines += 1;
            hunk_line(&mut patch, &mut left, line);
            continue;
        }
        left = Left::default();
        if let Some(names) = line.strip_prefix("diff --git ") {
            if patch.files.len() == MOST_FILES {
                patch.cut = true;
                break;
            }
            patch.files.push(File { path: twice(names), ..File::default() });
        } else if let Some(file) = patch.files.last_mut() {
            header_line(file, &mut left, line);
        }
    }
    patch
}

fn hunk_line<'a>(patch: &mut Patch<'a>, left: &mut Left, line: &'a str) {
    let Some(file) = patch.files.last_mut() else { return };
    let Some(hunk) = file.hunks.last_mut() else { return };
    let kind = match line.as_bytes()[0] {
        b'+' => Kind::Added,
        b'-' => Kind::Removed,
        b' ' => Kind::Same,
        // `\ No newline at end of file`
        _ => {
            if let Some(last) = hunk.lines.last_mut() {
                last.unended = true;
            }
            return;
        }
    };
    hunk.lines.push(Line { kind, old: left.at_old, new: left.at_new, text: &line[1..], unended: false });
    if kind != Kind::Added {
        left.old = left.old.saturating_sub(1);
        left.at_old += 1;
    }
    if kind != Kind::Removed {
        left.new = left.new.saturating_sub(1);
        left.at_new += 1;
    }
    file.added += usize::from(kind == Kind::Added);
    file.removed += usize::from(kind == Kind::Removed);
}

fn header_line<'a>(file: &mut File<'a>, left: &mut Left, line: &'a str) {
    if let Some((old, new)) = line.strip_prefix("@@ -").and_then(ranges) {
        *left = Left { old: old.1, new: new.1, at_old: old.0, at_new: new.0 };
        file.hunks.push(Hunk { header: line, lines: Vec::new() });
    } else if let Some(name) = line.strip_prefix("--- ") {
        if let Some(path) = side(name, "a/") {
            file.path = path;
        }
    } else if let Some(name) = line.strip_prefix("+++ ") {
        match side(name, "b/") {
            Some(path) => file.path = path,
            None => file.removed_whole = true,
        }
    } else if let Some(name) = line.strip_prefix("rename from ") {
        file.from = Some(unquoted(name));
    } else if let Some(name) = line.strip_prefix("rename to ") {
        file.path = unquoted(name);
    } else if line.starts_with("Binary files ") {
        file.binary = true;
    } else if let Some(mode) = line.strip_prefix("new file mode ") {
        file.notes.push(format!("new{}", kind_of(mode)).into());
    } else if let Some(mode) = line.strip_prefix("deleted file mode ") {
        file.removed_whole = true;
        file.notes.push(format!("removed{}", kind_of(mode)).into());
    } else if line.starts_with("old mode ") || line.starts_with("new mode ") {
        file.notes.push(line.into());
    } else if let Some(percent) = line.strip_prefix("similarity index ") {
        file.notes.push(format!("renamed, {percent} alike").into());
    }
}

/// What a mode says beside that it is a file.
fn kind_of(mode: &str) -> &'static str {
    match mode {
        "100755" => ", executable",
        "120000" => ", a symbolic link",
        "160000" => ", a submodule",
        _ => "",
    }
}

/// `1,3 +1,4 @@ …`: where each side begins, and how many lines it has.
fn ranges(text: &str) -> Option<((u64, u64), (u64, u64))> {
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| {
        let (from, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((number(from)?, number(count)?))
    };
    Some((range(old)?, range(new)?))
}

/// Numbers of lines are small; what is not cannot overflow a count.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n < 1 << 40)
}

/// The path behind `---` or `+++`; none for `/dev/null`.
fn side(name: &str, prefix: &str) -> Option<String> {
    let name = unquoted(name.strip_suffix('\t').unwrap_or(name));
    (name != "/dev/null").then(|| name.strip_prefix(prefix).unwrap_or(&name).to_owned())
}

/// The path that a header names twice: `a/x b/x`. Where the two differ, other lines of the header say so.
fn twice(names: &str) -> String {
    if let Some((_, second)) = names.split_once("\" \"b/").filter(|_| names.starts_with("\"a/")) {
        return unquoted(&format!("\"{second}"));
    }
    let half = names.len() / 2;
    let second = names.is_char_boundary(half).then(|| names[half..].strip_prefix(" b/")).flatten();
    second.unwrap_or(names).to_owned()
}

/// A name as it is, without the quotes and escapes that git puts around odd ones. What is no UTF-8 is replaced.
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) else { return name.to_owned() };
    let (mut out, mut rest) = (Vec::with_capacity(inner.len()), inner.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(value) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(value);
            rest = &rest[3..];
        } else if let Some((&escaped, after)) = rest.split_first() {
            out.push(match escaped {
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                other => other,
            });
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "diff --git a/a b.rs b/a b.rs\nindex 1..2 100644\n--- a/a b.rs\t\n+++ b/a b.rs\t\n\
                         @@ -9,3 +9,3 @@ fn f() {\n same\n--- gone\n+++ b/new\n last\n\\ No newline at end of file\n";

    #[test]
    fn lines_of_a_file_are_never_those_of_the_patch() {
        let patch = patch(PLAIN);
        let [file] = patch.files.as_slice() else { panic!("{patch:?}") };
        assert_eq!((file.path.as_str(), file.added, file.removed), ("a b.rs", 1, 1));
        let lines: Vec<_> = file.hunks[0].lines.iter().map(|l| (l.kind, l.old, l.new, l.text, l.unended)).collect();
        let want = [
            (Kind::Same, 9, 9, "same", false),
            (Kind::Removed, 10, 10, "-- gone", false),
            (Kind::Added, 11, 10, "++ b/new", false),
            (Kind::Same, 11, 11, "last", true),
        ];
        assert_eq!(lines, want);
    }

    #[test]
    fn headers_say_what_became_of_a_file() {
        let text = "diff --git \"a/\\303\\244\\\"\\n\" \"b/\\303\\244\\\"\\n\"\ndeleted file mode 120000\n\
                    diff --git a/old b/new\nsimilarity index 90%\nrename from old\nrename to new\n\
                    diff --git a/run b/run\nold mode 100644\nnew mode 100755\n\
                    diff --git a/x.png b/x.png\nnew file mode 100644\nBinary files /dev/null and b/x.png differ\n";
        let files = patch(text).files;
        assert_eq!((files[0].path.as_str(), files[0].removed_whole), ("ä\"\n", true));
        assert_eq!(files[0].notes, ["removed, a symbolic link"]);
        assert_eq!((files[1].from.as_deref(), files[1].path.as_str()), (Some("old"), "new"));
        assert_eq!(files[1].notes, ["renamed, 90% alike"]);
        assert_eq!(files[2].notes, ["old mode 100644", "new mode 100755"]);
        assert!(files[3].binary);
    }

    #[test]
    fn what_is_too_much_is_cut_and_said() {
        let line = "+x\n".repeat(MOST_LINES + 9);
        let long = patch(&format!("diff --git a/f b/f\n@@ -0,0 +1,{} @@\n{line}", MOST_LINES + 9)).files.len();
        assert_eq!(long, 1);
        let text = format!("diff --git a/f b/f\n@@ -0,0 +1,{} @@\n{line}", MOST_LINES + 9);
        let read = patch(&text);
        assert!(read.cut && read.files[0].added == MOST_LINES);
        assert!(patch(&"diff --git a/f b/f\n".repeat(MOST_FILES + 1)).cut);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_read(text in "(diff --git |@@ -1,9 \\+1,9 @@|[ab\"\\\\ +-]|\n|é|--- |\\+\\+\\+ |rename to ){0,60}") {
            let _ = patch(&text);
        }
    }
}
