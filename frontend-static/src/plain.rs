//! Pages without a form of their own: a command's Markdown, and refusals.

use askama::Template;

use crate::filters;
use crate::frame::Frame;

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
    form: Option<&'a Form<'a>>,
}

/// A form that was refused, with what was written into it.
pub struct Form<'a> {
    /// Where it is sent.
    pub action: &'a str,
    /// Its fields, as they came.
    pub fields: &'a [(String, String)],
}

/// `markdown` as a page.
pub fn page(frame: &Frame<'_>, title: &str, markdown: &str) -> String {
    whole(Plain { frame, title, markdown }.render())
}

/// A page that says what, why and what next; `form` may be sent again.
pub fn refusal(frame: &Frame<'_>, title: &str, lines: &str, form: Option<&Form<'_>>) -> String {
    whole(Refused { frame, title, lines, form }.render())
}

/// These two templates fail for nothing but memory.
fn whole(rendered: askama::Result<String>) -> String {
    rendered.unwrap_or_else(|error| format!("<!doctype html><title>Error</title><p>{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>(path: &'a str) -> Frame<'a> {
        Frame { path, query: "", viewer: None, has_feed: false, resolve: &|_| None }
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
    fn a_refused_form_keeps_what_was_written() {
        let fields = [("text".to_owned(), "line one\n</textarea><b>".to_owned())];
        let form = Form { action: "/parser/issues/7/reply", fields: &fields };
        let out = refusal(&frame("/parser/issues/7"), "Conflict", "what: why", Some(&form));
        assert!(
            out.contains("<textarea name=\"text\" rows=\"8\">\nline one\n&lt;/textarea&gt;&lt;b&gt;</textarea>"),
            "{out}"
        );
    }
}
