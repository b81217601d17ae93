//! Pages without a form of their own: a command's Markdown, refusals, and forms that were refused and have no page left.

use askama::Template;

use crate::frame::Frame;
use crate::written::{Control, Written};
use crate::{filters, markdown, status, words};

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    frame: &'a Frame<'a>,
    title: &'a str,
    markdown: &'a str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refused<'a> {
    frame: &'a Frame<'a>,
    title: &'a str,
    lines: &'a str,
}

#[derive(Template)]
#[template(path = "again.html")]
struct Again<'a> {
    frame: &'a Frame<'a>,
    written: &'a Written<'a>,
}

impl Refused<'_> {
    fn what(&self) -> impl Iterator<Item = &str> {
        self.lines.lines().filter(|line| !line.starts_with("next: "))
    }

    /// The next command as it is typed, and the page that shows the same, where there is one.
    fn next(&self) -> Option<(String, Option<String>)> {
        let next = self.lines.lines().find_map(|line| line.strip_prefix("next: "))?;
        Some((status::typed(next), page_for(next)))
    }
}

/// The page that shows what a command would: names in it are parsed, so the address is one of ours.
fn page_for(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["feed", ..] => Some("/".to_owned()),
        ["leaderboard"] => Some("/leaderboard".to_owned()),
        ["details", about] => words::page_of(&about.replace('/', "#"), "issue"),
        ["pr", about, ..] => words::page_of(&about.replace('/', "#"), "pull"),
        ["log", name] => markdown::page_of(&format!("project show {name}")).map(|page| page + "/log"),
        ["tree", name] => markdown::page_of(&format!("project show {name}")).map(|page| page + "/tree"),
        _ => markdown::page_of(command),
    }
}

/// `markdown` as a page.
pub fn page(frame: &Frame<'_>, title: &str, markdown: &str) -> String {
    whole(Plain { frame, title, markdown }.render())
}

/// A page that says what, why and what next.
pub fn refusal(frame: &Frame<'_>, title: &str, lines: &str) -> String {
    whole(Refused { frame, title, lines }.render())
}

/// A form that was refused, alone on a page: it may be sent again.
pub fn again(frame: &Frame<'_>, written: &Written<'_>) -> String {
    whole(Again { frame, written }.render())
}

/// These templates fail for nothing but memory.
fn whole(rendered: askama::Result<String>) -> String {
    rendered.unwrap_or_else(|error| format!("<!doctype html><title>Error</title><p>{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>(path: &'a str) -> Frame<'a> {
        Frame { path, query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None }
    }

    #[test]
    fn a_page_is_one_small_document() {
        let out = page(&frame("/parser/issues/7"), "parser#7", "# Fix leak\n\nBody.\n");
        assert!(out.len() < 30 << 10, "{} bytes", out.len());
        assert!(!out.contains("{{") && !out.contains(" style=") && !out.contains(" on"));
        assert!(out.contains("<title>parser#7 · SynStack</title>"), "{out}");
        assert!(out.contains("aria-current=\"page\">Issues</a>"), "{out}");
        assert!(out.contains("<a href=\"/parser/issues/7.json\">JSON</a>"), "{out}");
        assert!(out.contains("<h1>Fix leak</h1>\n<p>Body.</p>"), "{out}");
        assert!(page(&frame("/"), "Today", "").contains("aria-current=\"page\">Today</a>"));
    }

    #[test]
    fn hostile_titles_and_paths_stay_text() {
        let hostile = "</title><script>alert(1)</script>\"' {{content}} \u{202e}";
        let out = page(&frame(hostile), hostile, "{{style}} text");
        assert_eq!(out.matches("<script").count(), 1, "the script of the frame alone");
        assert!(!out.contains('\u{202e}'));
        assert!(
            out.contains("<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; {{content}} ‹U+202E›")
        );
        assert_eq!(out.matches("<style>").count(), 1);
        assert!(out.contains("<p>{{style}} text</p>"));
        assert!(!page(&frame("/parser/issues/<b>"), "x", "").contains("<b>"));
    }

    #[test]
    fn a_refused_form_keeps_what_was_written_in_the_controls_that_it_had() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = [
            field("verdict", "approve"),
            field("text", "line one\n</textarea><b>"),
            field("head", "ab"),
            field("<i>", "x"),
        ];
        let action = "/parser/pulls/7/review";
        let lines = "review: this needs an agent\nnext: help register\n";
        let written = Written { status: 403, lines, action, fields: &fields, signed_out: true };
        let out = again(&frame("/parser/pulls/7"), &written);
        for part in [
            "<h1>You are signed out</h1>",
            "href=\"/login?to=%2Fparser%2Fpulls%2F7\" target=\"_blank\" rel=\"noopener\"",
            "<input type=\"radio\" name=\"verdict\" value=\"approve\" checked> Approve",
            "<textarea name=\"text\" rows=\"8\">\nline one\n&lt;/textarea&gt;&lt;b&gt;</textarea>",
            "<input type=\"hidden\" name=\"head\" value=\"ab\">",
            "<label>&lt;i&gt; <input name=\"&lt;i&gt;\" value=\"x\"></label>",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(!out.contains("help register"), "{out}");
    }

    #[test]
    fn what_comes_next_can_be_typed_and_followed() {
        let out =
            refusal(&frame("/parser/x"), "Not Found", "forge: parser: there is no such page\nnext: project list\n");
        assert!(out.contains("<a href=\"/\"><code class=\"cmd\">ssh forge project list</code></a>"), "{out}");
        let out = refusal(&frame("/parser/x"), "Not Found", "forge: a: b\nnext: git push\n");
        for (command, page) in [("pr parser/7 --diff", "/parser/pulls/7"), ("log parser", "/parser/log"), ("feed", "/")]
        {
            assert_eq!(page_for(command).as_deref(), Some(page));
        }
        assert_eq!(page_for("pr ../x"), None);
        assert!(out.contains("next: <code class=\"cmd\">git push</code>") && !out.contains("forge: a"), "{out}");
    }
}
