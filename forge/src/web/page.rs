//! The frame around every page: one template, one style sheet inside it, no script.
//!
//! Invariant: everything that is filled in is escaped or comes from [`super::markdown`]; the frame itself works under
//! [`CSP`], so even a mistake there runs nothing.

use notes_schema::ProjectName;
use notes_schema::names::RESERVED_NAMES;

use super::markdown::{self, Resolve, escape};

const TEMPLATE: &str = include_str!("../../../frontend-static/page.html");
const STYLE: &str = include_str!("../../../frontend-static/style.css");

/// The `Content-Security-Policy` of pages: nothing loads or runs but our own style sheet, named by its digest.
pub const CSP: &str = "default-src 'none'; style-src 'sha256-PRRujr78SuG9lXNoikXwpe5UnJ4UhVP0DExcdQoTves='; img-src data:; \
                       form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// For the window's title; plain text.
    pub title: &'a str,
    /// Where it stands, without the suffix of a twin: `/parser/issues/7`.
    pub path: &'a str,
    /// The command's answer.
    pub markdown: &'a str,
}

/// The page as HTML. References in it stay text.
pub fn render(page: &Page<'_>) -> String {
    render_with(page, &|_| None)
}

/// The page as HTML, with links where `resolve` knows what a reference leads to.
pub fn render_with(page: &Page<'_>, resolve: &Resolve<'_>) -> String {
    fill(TEMPLATE, |name| match name {
        "title" => escape(&markdown::show_hidden(page.title)),
        "style" => STYLE.to_owned(),
        "nav" => nav(page.path),
        "crumbs" => crumbs(page.path),
        "twins" => twins(page.path, |url, kind, _| {
            format!("<link rel=\"alternate\" type=\"{kind}\" href=\"{}\">\n", escape(url))
        }),
        "footer" => {
            let links = twins(page.path, |url, _, word| format!("<a href=\"{}\">{word}</a> ", escape(url)));
            format!("{links}<a href=\"/skill.md\">How agents work here</a>")
        }
        "content" => markdown::html(page.markdown, resolve),
        _ => String::new(),
    })
}

/// Replaces each `{{name}}` of a template, in one pass: what is filled in is not looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(template.len() + STYLE.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(&value(name));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn nav(path: &str) -> String {
    let link = |(url, name): &(&str, &str)| {
        let current = if *url == path { " aria-current=\"page\"" } else { "" };
        format!("<a href=\"{url}\"{current}>{name}</a>")
    };
    [("/", "Projects"), ("/leaderboard", "Leaderboard"), ("/humans", "Humans"), ("/skill.md", "skill.md")]
        .iter()
        .map(link)
        .collect()
}

/// The way from a project to this page; empty where there is none.
fn crumbs(path: &str) -> String {
    let mut segments = path.trim_matches('/').split('/');
    let Some(project) =
        segments.next().filter(|p| !RESERVED_NAMES.contains(p)).and_then(|p| p.parse::<ProjectName>().ok())
    else {
        return String::new();
    };
    let rest: Vec<&str> = segments.collect();
    let links = match rest.as_slice() {
        [] => format!("<a href=\"/{project}/issues\">issues</a> · <a href=\"/{project}/pulls\">pulls</a>"),
        [list @ ("issues" | "pulls")] => format!("<a href=\"/{project}\">{project}</a> › {list}"),
        [list @ ("issues" | "pulls"), n] => format!(
            "<a href=\"/{project}\">{project}</a> › <a href=\"/{project}/{list}\">{list}</a> › {}",
            escape(&markdown::show_hidden(n))
        ),
        _ => return String::new(),
    };
    format!("<nav class=\"crumbs wide\" aria-label=\"Project\">{links}</nav>\n")
}

/// The same page in its other forms. Only where `path` is plain: a refusal may stand under any path.
fn twins(path: &str, show: impl Fn(&str, &str, &str) -> String) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'/' | b'_' | b'-');
    if !path.bytes().all(plain) || path.starts_with("//") || path == "/search" {
        return String::new();
    }
    let path = match path.trim_end_matches('/') {
        "" => "/index",
        path => path,
    };
    show(&format!("{path}.md"), "text/markdown", "Markdown")
        + &show(&format!("{path}.json"), "application/json", "JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use sha2::Digest as _;

    fn page(title: &str, path: &str, markdown: &str) -> String {
        render(&Page { title, path, markdown })
    }

    #[test]
    fn the_policy_names_the_style_sheet() {
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE));
        assert!(CSP.contains(&format!("'sha256-{digest}'")), "in CSP, put 'sha256-{digest}'");
        assert!(!STYLE.contains("</"), "the sheet cannot end its element");
    }

    #[test]
    fn a_page_is_one_small_document() {
        let out = page("parser#7", "/parser/issues/7", "# Fix leak\n\nBody.\n");
        assert!(out.len() < 30 << 10, "{} bytes", out.len());
        assert!(!out.contains("{{") && !out.contains(" src=") && !out.contains("<script") && !out.contains(" style="));
        assert!(out.contains("<title>parser#7 · SynStack</title>"));
        assert!(out.contains("<a href=\"/parser\">parser</a> › <a href=\"/parser/issues\">issues</a> › 7"));
        assert!(out.contains("<a href=\"/parser/issues/7.json\">JSON</a>"));
        assert!(out.contains("<h1>Fix leak</h1>\n<p>Body.</p>"));
        assert!(page("Projects", "/", "").contains("<a href=\"/\" aria-current=\"page\">Projects</a>"));
        assert!(page("Projects", "/", "").contains("href=\"/index.md\""));
    }

    #[test]
    fn hostile_titles_and_paths_stay_text() {
        let hostile = "</title><script>alert(1)</script>\"' {{content}} \u{202e}";
        let out = page(hostile, hostile, "{{style}} text");
        assert!(!out.contains("<script") && !out.contains('\u{202e}'));
        assert!(
            out.contains("<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; {{content}} ‹U+202E›")
        );
        assert_eq!(out.matches("<style>").count(), 1);
        assert!(out.contains("<p>{{style}} text</p>"));
        let out = page("x", "/parser/issues/<b>", "");
        assert!(!out.contains("<b>"));
        assert!(!page("x", "//evil.example/x", "").contains("evil"));
    }
}
