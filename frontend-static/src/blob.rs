//! A file.

use askama::Template;
use serde::Deserialize;

use crate::code::{self, Place, branches};
use crate::{Frame, Unreadable, filters};

/// Pictures that a page shows, by how their names end.
const PICTURES: &[&str] = &["png", "jpg", "jpeg", "gif", "webp", "svg"];
/// Largest picture that a page shows by itself.
/// Limit: picture that the page of a file shows | {:bytes}; a larger one is a link
const LARGEST: u64 = 8 << 20;

#[derive(Deserialize)]
struct Cat {
    project: String,
    path: String,
    rev: String,
    commit: String,
    mode: String,
    size: u64,
    kind: String,
    total: u64,
    from: u64,
    lines: u64,
    text: String,
    cut: bool,
    lfs: Option<Pointer>,
}

#[derive(Deserialize)]
struct Pointer {
    oid: String,
    size: u64,
}

/// One line.
struct Line {
    n: u64,
    html: String,
}

#[derive(Template)]
#[template(path = "blob.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    place: Place<'a>,
    cat: &'a Cat,
    lines: Vec<Line>,
    prose: Option<String>,
}

impl Page<'_> {
    fn picture(&self) -> bool {
        let end = self.cat.path.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
        PICTURES.contains(&end.as_str())
            && self.cat.size <= LARGEST
            && matches!(self.cat.kind.as_str(), "binary" | "text")
    }

    fn earlier(&self) -> Option<String> {
        let from = self.cat.from.saturating_sub(1500).max(1);
        (self.cat.from > 1).then(|| self.frame.with("from", &from.to_string()))
    }

    fn later(&self) -> Option<String> {
        let next = self.cat.from + self.cat.lines;
        (self.cat.lines > 0 && next <= self.cat.total).then(|| self.frame.with("from", &next.to_string()))
    }

    fn last(&self) -> u64 {
        (self.cat.from + self.cat.lines).saturating_sub(1)
    }

    fn size(&self) -> String {
        code::size(self.cat.size)
    }

    fn markdown(&self) -> bool {
        let path = self.cat.path.to_ascii_lowercase();
        self.cat.kind == "text" && (path.ends_with(".md") || path.ends_with(".markdown"))
    }
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `cat`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let cat: Cat = crate::answer(answers, 0)?;
    let place =
        Place { project: &cat.project, path: &cat.path, rev: &cat.rev, view: "blob", branches: branches(answers, 1) };
    let html = code::coloured(&cat.path, &cat.text);
    let lines = html.into_iter().zip(cat.from..).map(|(html, n)| Line { n, html }).collect();
    let mut page = Page { frame, place, cat: &cat, lines, prose: None };
    if page.markdown() && frame.value("view").as_deref() == Some("prose") {
        page.prose = Some(frame.prose_beside(&cat.text, &|target| page.place.beside(&cat.path, target)));
    }
    Ok(page.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cat(path: &str, kind: &str, text: &str, more: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"project":"parser","path":"{path}","rev":"","commit":"0123456789012345678901234567890123456789","id":"x",
            "mode":"100644","size":120,"kind":"{kind}","total":4000,"from":1501,"lines":2,"text":{text},"cut":false,"next":""{more}}}"#
        )
    }

    fn draw(answer: &str) -> String {
        let frame = Frame {
            path: "/parser/blob/x",
            query: "from=1501",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        view(&frame, &[answer, "null"]).unwrap()
    }

    #[test]
    fn lines_have_addresses_and_stay_text() {
        let out = draw(&cat("a/x.rs", "text", "</pre><script>\n\u{202e}\n", ""));
        assert!(out.contains("<span id=\"L1501\"><a href=\"#L1501\" tabindex=\"-1\">1501</a>"), "{out}");
        assert!(out.contains("&lt;/pre&gt;&lt;script&gt;") && out.contains("‹U+202E›"));
        assert_eq!(out.matches("<script").count(), 1);
        assert!(
            out.contains("href=\"/parser/blob/x?from=1503\"") && out.contains("href=\"/parser/blob/x?from=1\""),
            "{out}"
        );
        assert!(out.contains("/parser/blame/a/x.rs\"") && out.contains("/parser/raw/a/x.rs\""));
    }

    #[test]
    fn what_is_no_text_is_named() {
        assert!(draw(&cat("x.bin", "binary", "", "")).contains("It is binary"));
        assert!(draw(&cat("x.PNG", "binary", "", "")).contains("<img src=\"/parser/raw/x.PNG?at=0123"));
        assert!(draw(&cat("x.svg", "text", "<svg/>\n", "")).contains("<img src=\"/parser/raw/x.svg?at=0123"));
        let lfs = draw(&cat("x.psd", "lfs", "version\n", r#","lfs":{"oid":"sha256:<b>","size":2048}"#));
        assert!(lfs.contains("Git LFS") && lfs.contains("2.0 KiB") && lfs.contains("sha256:&lt;b&gt;"));
        assert!(draw(&cat("x", "large", "", "")).contains("too large"));
        assert!(draw(&cat("x", "link", "../<y>\n", "")).contains("symbolic link to <code><bdi>../&lt;y&gt;"));
    }
}
