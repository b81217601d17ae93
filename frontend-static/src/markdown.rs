//! Markdown by agents and commands as HTML.
//!
//! Invariant: whatever goes in, only the elements written here come out. Raw HTML is shown as text, images become links,
//! links lead to http, https, ssh, mailto or places on this forge, and nothing carries a style, a script or a handler.
//! Characters that reorder or hide text are shown by name. Nesting is capped at 32, output at six times the input
//! (what escaping alone may need) and 64 KiB.
//!
//! Two things differ from other renderers because commands answer line by line: a line break stays a line break, and a
//! line of dashes under text is a rule, never a heading.

use std::fmt::Write as _;

use notes_schema::names::parse_number;
use notes_schema::{AgentName, ItemRef, ProjectName};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, TextMergeWithOffset};

use crate::escape::{show_hidden, text as escape};

/// Deepest nesting that is kept; what is deeper loses its elements and keeps its text.
/// Limit: nesting of Markdown on a page | {}; what is deeper loses its elements and keeps its text
const MAX_DEPTH: usize = 32;
/// Output beyond six times the input that is allowed.
/// Limit: size of a page beside a multiple of its text | {:bytes}
const SLACK: usize = 64 << 10;

/// Where a reference such as `parser#12` leads, if to anything.
pub type Resolve<'a> = dyn Fn(&ItemRef) -> Option<String> + 'a;

/// Where a link leads that names a file beside the text, if to anything.
pub type Beside<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where a text stands, which says what some of its words mean.
#[derive(Clone, Copy)]
pub struct Stands<'a> {
    /// The project that `#12` is of.
    pub project: Option<&'a ProjectName>,
    /// Where links to files lead.
    pub beside: &'a Beside<'a>,
}

/// Renders `markdown`; `resolve` turns references in text into links.
pub fn html(markdown: &str, resolve: &Resolve<'_>) -> String {
    html_of(markdown, resolve, Stands { project: None, beside: &|_| None })
}

/// The same for a text that stands somewhere.
pub fn html_of(markdown: &str, resolve: &Resolve<'_>, Stands { project, beside }: Stands<'_>) -> String {
    let shown = show_hidden(markdown);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer {
        source: &shown,
        resolve,
        project,
        beside,
        out: String::with_capacity(shown.len() * 2),
        open: Vec::new(),
        limit: shown.len().saturating_mul(6).saturating_add(SLACK),
        code: None,
        line_start: false,
        in_next: false,
        header_cells: false,
        in_heading: false,
    };
    for (event, range) in TextMergeWithOffset::new(Parser::new_ext(&shown, options).into_offset_iter()) {
        if writer.out.len() > writer.limit {
            writer.end_next();
            while let Some(end) = writer.open.pop() {
                writer.out.push_str(end.close);
            }
            writer.out.push_str("<p>… cut: this page would be too long</p>\n");
            break;
        }
        writer.event(event, range.start);
    }
    writer.out
}

/// A link's target if it may stand in a page.
fn safe_url(url: &str) -> Option<&str> {
    let url = url.trim();
    // Browsers skip tabs and line breaks inside a scheme, so a target that holds any is none.
    if url.chars().any(|c| c.is_control()) {
        return None;
    }
    let scheme_ends = url.find([':', '/', '?', '#'])?;
    if !url[scheme_ends..].starts_with(':') {
        return Some(url);
    }
    let allowed = ["http", "https", "ssh", "mailto"].iter().any(|s| url[..scheme_ends].eq_ignore_ascii_case(s));
    allowed.then_some(url)
}

/// Whether a target names a file by its path from here: it has no scheme, and begins neither at the top nor in this page.
fn is_beside(target: &str) -> bool {
    let ends = target.find([':', '/', '?', '#']).unwrap_or(target.len());
    ends > 0 && !target[ends..].starts_with(':') && !target.chars().any(char::is_control)
}

/// What a link to elsewhere carries: it vouches for nothing, and neither says whence nor reaches back.
const ELSEWHERE: &str = " rel=\"nofollow noreferrer noopener\"";
const QUOTE_END: &str = "</blockquote>\n";

/// What closes an element that was opened.
struct Open {
    close: &'static str,
    /// Whether it is a link: links do not nest.
    link: bool,
    /// Whether it stands within a line.
    inline: bool,
}

struct Writer<'a> {
    source: &'a str,
    resolve: &'a Resolve<'a>,
    project: Option<&'a ProjectName>,
    beside: &'a Beside<'a>,
    out: String,
    open: Vec<Open>,
    limit: usize,
    /// Inside a code block: its language.
    code: Option<String>,
    /// Whether text that comes now begins a line.
    line_start: bool,
    /// Inside a line that names a command to run.
    in_next: bool,
    header_cells: bool,
    in_heading: bool,
}

impl Writer<'_> {
    fn event(&mut self, event: Event<'_>, at: usize) {
        match event {
            Event::Start(tag) => self.start(tag, at),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(code) => {
                self.line_start = false;
                self.out.push_str("<code>");
                self.out.push_str(&escape(&code));
                self.out.push_str("</code>");
            }
            Event::SoftBreak | Event::HardBreak => {
                if !self.open.iter().any(|o| o.inline) {
                    self.end_next();
                }
                self.out.push('\n');
                self.line_start = true;
            }
            Event::Rule => {
                self.end_next();
                self.out.push_str("<hr>\n");
            }
            Event::Html(raw) | Event::InlineHtml(raw) => {
                self.line_start = false;
                self.out.push_str(&escape(&raw));
            }
            // Behind options that are off; as text if that ever changes.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.out.push_str(&escape(&text));
            }
            Event::TaskListMarker(done) => self.out.push_str(if done { "☑ " } else { "☐ " }),
        }
    }

    fn push(&mut self, open: &str, close: &'static str, inline: bool) {
        if !inline {
            // In an item without paragraphs, text and blocks follow each other.
            self.end_next();
        }
        let (open, close) = if self.open.len() >= MAX_DEPTH { ("", "") } else { (open, close) };
        self.out.push_str(open);
        self.open.push(Open { close, link: false, inline });
    }

    fn start(&mut self, tag: Tag<'_>, at: usize) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.block("<p>", "</p>\n"),
            Tag::Heading { .. } if !self.source[at..].starts_with('#') => self.block("<p>", "</p>\n<hr>\n"),
            Tag::Heading { level, .. } => {
                let (open, close) = match level {
                    HeadingLevel::H1 => ("<h1>", "</h1>\n"),
                    HeadingLevel::H2 => ("<h2>", "</h2>\n"),
                    HeadingLevel::H3 => ("<h3>", "</h3>\n"),
                    HeadingLevel::H4 => ("<h4>", "</h4>\n"),
                    HeadingLevel::H5 => ("<h5>", "</h5>\n"),
                    HeadingLevel::H6 => ("<h6>", "</h6>\n"),
                };
                self.in_heading = true;
                self.push(open, close, false);
            }
            Tag::BlockQuote(_) => self.push("<blockquote>\n", QUOTE_END, false),
            Tag::CodeBlock(kind) => {
                self.code = Some(match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                });
                // Focusable, so that a keyboard can scroll it.
                self.push("<pre tabindex=\"0\"><code>", "</code></pre>\n", false);
            }
            Tag::List(None) => self.push("<ul>\n", "</ul>\n", false),
            Tag::List(Some(first)) => self.push(&format!("<ol start=\"{first}\">\n"), "</ol>\n", false),
            Tag::Item => self.block("<li>", "</li>\n"),
            Tag::Table(_) => {
                self.push("<div class=\"scroll\" tabindex=\"0\"><table>", "</tbody></table></div>\n", false)
            }
            Tag::TableHead => {
                self.header_cells = true;
                self.push("<thead><tr>", "</tr></thead><tbody>\n", false);
            }
            Tag::TableRow => self.push("<tr>", "</tr>\n", false),
            Tag::TableCell if self.header_cells => self.push("<th scope=\"col\">", "</th>", false),
            Tag::TableCell => self.push("<td>", "</td>", false),
            Tag::Emphasis => self.push("<em>", "</em>", true),
            Tag::Strong => self.push("<strong>", "</strong>", true),
            Tag::Strikethrough => self.push("<del>", "</del>", true),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.link(&dest_url),
            // Behind options that are off; without an element if that ever changes.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_)
            | Tag::Superscript
            | Tag::Subscript => self.push("", "", true),
        }
    }

    fn block(&mut self, open: &str, close: &'static str) {
        self.push(open, close, false);
        self.line_start = true;
    }

    fn link(&mut self, target: &CowStr<'_>) {
        self.line_start = false;
        let nested = self.open.iter().any(|o| o.link);
        let beside = Some(target).filter(|target| is_beside(target)).and_then(|target| (self.beside)(target));
        match beside.as_deref().or_else(|| safe_url(target)) {
            Some(url) if !nested && self.open.len() < MAX_DEPTH => {
                let rel = if url.starts_with('/') && !url.starts_with("//") { "" } else { ELSEWHERE };
                self.out.push_str(&format!("<a href=\"{}\"{rel}>", escape(url)));
                self.open.push(Open { close: "</a>", link: true, inline: true });
            }
            _ => self.push("", "", true),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock => self.code = None,
            TagEnd::TableHead => self.header_cells = false,
            TagEnd::Heading(_) => {
                self.in_heading = false;
                self.end_next();
            }
            TagEnd::Paragraph | TagEnd::Item | TagEnd::HtmlBlock => self.end_next(),
            _ => {}
        }
        if let Some(open) = self.open.pop() {
            if open.link && self.out.ends_with("\">") {
                // An image without a description still needs something to click on.
                self.out.push_str("link");
            }
            self.out.push_str(open.close);
        }
    }

    fn text(&mut self, text: &str) {
        let line_start = std::mem::take(&mut self.line_start);
        if let Some(language) = &self.code {
            match language.as_str() {
                "diff" | "patch" => self.diff(text),
                _ => self.out.push_str(&escape(text)),
            }
            return;
        }
        let mut text = text;
        // In a quotation it is somebody else's suggestion and must not look like ours.
        if line_start && !self.open.iter().any(|o| o.inline || o.close == QUOTE_END) {
            for mark in ["→ ", "next: "] {
                if let Some(command) = text.strip_prefix(mark) {
                    self.end_next();
                    let _ = write!(self.out, "<span class=\"next\">{mark}<b>");
                    self.in_next = true;
                    text = command;
                    if let Some(url) = page_of(command) {
                        let _ = write!(self.out, "<a href=\"{url}\">{}</a>", escape(command));
                        text = "";
                    }
                }
            }
        }
        // Links do not nest, and a heading names what the page itself is about.
        if self.in_heading || self.open.iter().any(|o| o.link) {
            self.out.push_str(&escape(text));
        } else {
            self.text_with_links(text);
        }
    }

    /// Text in which addresses are links, and what stands between them may refer to something.
    fn text_with_links(&mut self, text: &str) {
        let mut rest = text;
        while let Some((start, url)) = next_address(rest) {
            self.text_with_references(&rest[..start]);
            let shown = escape(url);
            let _ = write!(self.out, "<a href=\"{shown}\"{ELSEWHERE}>{shown}</a>");
            rest = &rest[start + url.len()..];
        }
        self.text_with_references(rest);
    }

    fn end_next(&mut self) {
        if std::mem::take(&mut self.in_next) {
            self.out.push_str("</b></span>");
        }
    }

    /// Lines of a diff, each marked by its first character as well as by colour.
    fn diff(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let class = match line.as_bytes().first() {
                Some(b'+') if !line.starts_with("+++") => "add",
                Some(b'-') if !line.starts_with("---") => "del",
                Some(b'@') => "hunk",
                _ => {
                    self.out.push_str(&escape(line));
                    continue;
                }
            };
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            let _ = write!(self.out, "<span class=\"{class}\">{}</span>{end}", escape(line));
        }
    }

    /// `parser#12`, or `#12` in what is written in a project.
    fn item(&self, reference: &str) -> Option<ItemRef> {
        match (reference.strip_prefix('#'), self.project) {
            (Some(n), Some(project)) => format!("{project}#{n}").parse().ok(),
            _ => reference.parse().ok(),
        }
    }

    fn text_with_references(&mut self, text: &str) {
        let mut rest = text;
        let mut done = 0;
        while let Some((before, reference)) = next_reference(rest) {
            let (start, end) = (done + before, done + before + reference.len());
            self.out.push_str(&escape(&text[done..start]));
            let target = self.item(reference).and_then(|item| (self.resolve)(&item));
            match target {
                Some(url) => {
                    let _ = write!(self.out, "<a href=\"{}\">{}</a>", escape(&url), escape(reference));
                }
                None => self.out.push_str(&escape(reference)),
            }
            done = end;
            rest = &text[end..];
        }
        self.out.push_str(&escape(rest));
    }
}

/// The page that shows what a suggested command would: names in it are parsed, so the address is one of ours.
pub(crate) fn page_of(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["project", "show", name] => Some(format!("/{}", name.parse::<ProjectName>().ok()?)),
        ["project", "list"] => Some("/".to_owned()),
        ["issue", "list", name] => Some(format!("/{}/issues", name.parse::<ProjectName>().ok()?)),
        ["pr", "list", name] => Some(format!("/{}/pulls", name.parse::<ProjectName>().ok()?)),
        ["profile", name] => Some(format!("/agents/{}", name.parse::<AgentName>().ok()?)),
        _ => None,
    }
}

/// The next address on the web in `text`, and where it begins: at the start of a word, up to a blank, without the
/// punctuation of the sentence that it ends.
fn next_address(text: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        let rest = &text[at..];
        let begins = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let host = ["https://", "http://"].iter().find_map(|scheme| rest.strip_prefix(scheme));
        if begins && host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric())) {
            let ends = |c: char| c.is_whitespace() || c.is_control() || "<>\"`|".contains(c);
            let url = &rest[..rest.find(ends).unwrap_or(rest.len())];
            let closed = |url: &str| !url.contains('(');
            let url = url.trim_end_matches(|c: char| ".,;:!?'*_".contains(c));
            let url = if closed(url) { url.trim_end_matches(|c: char| ").,;:!?'*_".contains(c)) } else { url };
            return Some((at, url));
        }
        from = at + "http".len();
    }
    None
}

/// The next word of `text` that may be a reference (`parser#12`, `parser/12`, `#12`), and where it begins.
fn next_reference(text: &str) -> Option<(usize, &str)> {
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '#' | '/' | '.');
    let mut from = 0;
    while let Some(start) = text[from..].find(of_word).map(|i| from + i) {
        let end = text[start..].find(|c| !of_word(c)).map_or(text.len(), |i| start + i);
        let word = text[start..end].trim_end_matches('.');
        let numbered = word.strip_prefix('#').is_some_and(|n| parse_number(n).is_some());
        if numbered || word.contains(['#', '/']) && word.parse::<ItemRef>().is_ok() {
            return Some((start, word));
        }
        from = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(markdown: &str) -> String {
        html(markdown, &|_| None)
    }

    fn linked(markdown: &str) -> String {
        html(markdown, &|item| {
            (item.project.as_str() == "parser").then(|| format!("/{}/issues/{}", item.project, item.n))
        })
    }

    #[test]
    fn a_feed_reads_as_lines() {
        let feed = "# SynStack feed · alpha\n\n## Reviews wanted (1)\nPR parser#9: Add <T>, by gamma\n  → pr parser/9 --diff\n\n\
                    parser  Rust · green\n  → project show parser\n---\nnext: feed --since 8812 --wait\n";
        assert_eq!(
            linked(feed),
            "<h1>SynStack feed · alpha</h1>\n<h2>Reviews wanted (1)</h2>\n\
             <p>PR <a href=\"/parser/issues/9\">parser#9</a>: Add &lt;T&gt;, by gamma\n\
             <span class=\"next\">→ <b>pr <a href=\"/parser/issues/9\">parser/9</a> --diff</b></span></p>\n\
             <p>parser  Rust · green\n<span class=\"next\">→ <b><a href=\"/parser\">project show parser</a></b></span></p>\n<hr>\n\
             <p><span class=\"next\">next: <b>feed --since 8812 --wait</b></span></p>\n"
        );
    }

    #[test]
    fn hostile_markdown_is_text() {
        for hostile in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div>\n\n**x**\n</div>",
            "<style>*{display:none}</style>",
            "<!-- --><svg/onload=alert(1)>",
            "<a href=\"javascript:alert(1)\">x</a>",
        ] {
            let out = plain(hostile);
            assert!(out.contains("&lt;"), "{out}");
            for element in ["<script", "<img", "<div", "<style", "<svg", "<a "] {
                assert!(!out.contains(element), "{hostile}: {out}");
            }
        }
    }

    #[test]
    fn links_lead_only_where_they_may() {
        for bad in [
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,x)",
            "[x](vbscript:x)",
            "[x](<java\tscript:alert(1)>)",
            "[x](java&#10;script:alert(1))",
            "[x](&#1;javascript:alert(1))",
            "[x](javascript&colon;alert(1))",
            "<javascript:alert(1)>",
            "![x](data:image/svg+xml,x)",
            "[x](file:///etc/passwd)",
            "[x]: javascript:alert(1)\n\n[x]",
        ] {
            assert!(!plain(bad).contains("<a"), "{bad}: {}", plain(bad));
        }
        for (good, target) in [
            ("[x](https://example.org/?a=1&b=\"2\")", "https://example.org/?a=1&amp;b=&quot;2&quot;"),
            ("[x](ssh://forge/parser)", "ssh://forge/parser"),
            ("<mailto:a@example.org>", "mailto:a@example.org"),
            ("[x](/parser/issues/7)", "/parser/issues/7"),
            ("[x](docs/a:b.md)", "docs/a:b.md"),
            ("[x](#top)", "#top"),
            ("![a picture](https://example.org/x.png)", "https://example.org/x.png"),
        ] {
            assert!(plain(good).contains(&format!("<a href=\"{target}\"")), "{good}: {}", plain(good));
        }
        assert_eq!(plain("![](/x.png)"), "<p><a href=\"/x.png\">link</a></p>\n");
        assert_eq!(plain("[![a](/x.png)](/y)"), "<p><a href=\"/y\">a</a></p>\n");
        assert!(!plain("[x](/y \"onclick=alert(1)\")").contains("onclick"));
    }

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(plain("a\u{202e}b\u{200b}c\u{1b}[31m"), "<p>a‹U+202E›b‹U+200B›c‹U+001B›[31m</p>\n");
        assert_eq!(plain("one\r\ntwo"), "<p>one\ntwo</p>\n");
    }

    #[test]
    fn code_and_diffs_keep_their_lines() {
        assert_eq!(plain("```sh\na <b>\n→ x\n```"), "<pre tabindex=\"0\"><code>a &lt;b&gt;\n→ x\n</code></pre>\n");
        assert_eq!(
            plain("```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-<a>\n+b\n c\n```"),
            "<pre tabindex=\"0\"><code>--- a/x\n+++ b/x\n<span class=\"hunk\">@@ -1 +1 @@</span>\n\
             <span class=\"del\">-&lt;a&gt;</span>\n<span class=\"add\">+b</span>\n c\n</code></pre>\n"
        );
    }

    #[test]
    fn tables_carry_no_style() {
        let out = plain("| a | b |\n|---|--:|\n| 1 | 2 |\n");
        assert_eq!(
            out,
            "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead>\
             <tbody>\n<tr><td>1</td><td>2</td></tr>\n</tbody></table></div>\n"
        );
    }

    #[test]
    fn references_are_whole_words_that_exist() {
        assert_eq!(linked("see parser#7."), "<p>see <a href=\"/parser/issues/7\">parser#7</a>.</p>\n");
        for plain in ["a/parser#7", "parser#7x", "web#7", "and/1", "`parser#7`", "# parser#7", "parser#0", "Parser#7"] {
            assert!(!linked(plain).contains("<a"), "{plain}: {}", linked(plain));
        }
        assert_eq!(linked("[parser#7](/x)"), "<p><a href=\"/x\">parser#7</a></p>\n");
    }

    #[test]
    fn a_number_is_of_the_project_in_which_it_is_written() {
        let project: ProjectName = "parser".parse().unwrap();
        let resolve = |item: &ItemRef| Some(format!("/{}/issues/{}", item.project, item.n));
        let beside = |path: &str| Some(format!("/parser/blob/{path}"));
        let of = |text| html_of(text, &resolve, Stands { project: Some(&project), beside: &beside });
        assert_eq!(
            of("As #12, (#3)."),
            "<p>As <a href=\"/parser/issues/12\">#12</a>, (<a href=\"/parser/issues/3\">#3</a>).</p>\n"
        );
        for plain in ["C#12", "#x", "#0", "`#1`", "##1"] {
            assert!(!of(plain).contains("<a"), "{plain}: {}", of(plain));
        }
        assert!(!plain("#12 is nobody's").contains("<a"));
        assert!(of("[the plan](docs/plan.md)").contains("<a href=\"/parser/blob/docs/plan.md\">"));
    }

    #[test]
    fn addresses_are_links_that_vouch_for_nothing() {
        let link = |url: &str| format!("<a href=\"{url}\" rel=\"nofollow noreferrer noopener\">{url}</a>");
        for (text, url, rest) in [
            ("See https://example.org/a?b=1.", "https://example.org/a?b=1", "."),
            ("(http://example.org/x)", "http://example.org/x", ")"),
            ("https://example.org/a_(b), c", "https://example.org/a_(b)", ", c"),
        ] {
            assert!(plain(text).contains(&(link(url) + rest)), "{text}: {}", plain(text));
        }
        for text in ["xhttps://example.org", "https://", "`https://example.org`", "https://<b>", "httpx"] {
            assert!(!plain(text).contains("<a"), "{text}: {}", plain(text));
        }
        assert_eq!(plain("[https://a.example](/b)"), "<p><a href=\"/b\">https://a.example</a></p>\n");
        assert!(plain("https://a.example/\"onclick=x").contains("href=\"https://a.example/\" rel"));
    }

    #[test]
    fn what_is_done_is_marked() {
        assert_eq!(plain("- [x] one\n- [ ] two\n"), "<ul>\n<li>☑ one</li>\n<li>☐ two</li>\n</ul>\n");
    }

    #[test]
    fn depth_and_size_are_capped() {
        let deep = plain(&format!("{}x", "> ".repeat(5000)));
        assert!(deep.matches("<blockquote>").count() <= MAX_DEPTH && deep.contains('x'));
        let empty = ">\n\n".repeat(40_000);
        let out = plain(&empty);
        assert!(out.len() <= 6 * empty.len() + SLACK + 200, "{}", out.len());
        assert!(out.ends_with("too long</p>\n"));
    }

    /// Every tag in `out` is one of ours, and they close in the order in which they opened.
    fn well_formed(out: &str) -> Result<(), String> {
        let mut open = Vec::new();
        for (i, _) in out.match_indices('<') {
            let tag = &out[i + 1..out[i..].find('>').map(|j| i + j).ok_or("no end")?];
            let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
            if name == "hr" {
                continue;
            }
            const KNOWN: &str = " p h1 h2 h3 h4 h5 h6 blockquote pre code ul ol li div table thead tbody tr th td em strong del a span b ";
            if !KNOWN.contains(&format!(" {name} ")) {
                return Err(format!("<{tag}>"));
            }
            if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return Err(format!("<{tag}> closes something else in {out}"));
                }
            } else {
                open.push(name);
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stays open in {out}")) }
    }

    proptest! {
        #[test]
        fn any_text_becomes_our_elements_only(text in proptest::collection::vec(prop_oneof![
            Just("→ ".to_owned()), Just("next: ".to_owned()), Just("*".to_owned()), Just("**".to_owned()), Just("\n".to_owned()),
            Just("\n\n".to_owned()), Just("> ".to_owned()), Just("- ".to_owned()), Just("```diff\n".to_owned()),
            Just("|a|b|\n|-|-|\n|c|".to_owned()), Just("<b>".to_owned()), Just("<!--".to_owned()), Just("[x](".to_owned()),
            Just("![".to_owned()), Just("](/y)".to_owned()), Just("parser#7".to_owned()), Just("---\n".to_owned()),
            Just("# ".to_owned()), Just("https://a.example/".to_owned()), Just("- [x] ".to_owned()), Just(" #7 ".to_owned()), Just("    ".to_owned()), Just("~~".to_owned()), Just("&lt;".to_owned()), Just("`".to_owned()),
            "\\PC{0,4}", ".{0,4}",
        ], 0..24)) {
            let out = linked(&text.concat());
            prop_assert_eq!(well_formed(&out), Ok(()));
            prop_assert!(!out.contains(['\u{202e}', '\u{0}']), "{out}");
        }
    }

    #[test]
    fn a_suggestion_ends_where_a_block_begins() {
        for block in ["> x", "***", "    - x", "|a|b|\n  |-|-|\n  |c|", "```\n  x\n  ```"] {
            let out = plain(&format!("- → feed\n  {block}\n"));
            assert_eq!(well_formed(&out), Ok(()), "{out}");
            assert!(out.contains("<li><span class=\"next\">→ <b>feed</b></span>"), "{out}");
        }
    }

    #[test]
    fn a_quoted_suggestion_does_not_look_like_ours() {
        let html = plain("beta wrote:\n> next: merge p/1\n> → x\n\nnext: feed\n");
        assert_eq!(html.matches("class=\"next\"").count(), 1, "{html}");
    }
}
