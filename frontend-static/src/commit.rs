//! A commit: what it says and what it changed.

use askama::Template;
use serde::Deserialize;

use crate::filters::percent;
use crate::{Frame, Unreadable, code, filters};

/// What changed, as `show` and `diff` answer it.
#[derive(Deserialize)]
pub struct Changed {
    files: Vec<serde::de::IgnoredAny>,
    more_files: bool,
    added: u64,
    removed: u64,
    diff: String,
    diff_truncated: bool,
}

impl Changed {
    /// `3 files, +10 −2`.
    pub fn totals(&self) -> String {
        let more = if self.more_files { " and more" } else { "" };
        let plural = if self.files.len() == 1 { "" } else { "s" };
        format!("{} file{plural}{more}, +{} −{}", self.files.len(), self.added, self.removed)
    }

    /// Whether there is nothing to show.
    pub fn diff_is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether something is left out.
    pub fn cut(&self) -> bool {
        self.more_files || self.diff_truncated
    }

    /// The patch as HTML, in the view that the query names; its files lead to where they stand at `rev`.
    pub fn html(&self, frame: &Frame<'_>, project: &str, rev: &str) -> String {
        let link = |path: &str| Some(format!("/{project}/blob/{}?at={}", percent(path, true), percent(rev, false)));
        code::patch(&self.diff, frame.value("diff").as_deref() == Some("split"), &link)
    }
}

#[derive(Deserialize)]
struct Shown {
    project: String,
    commit: String,
    parents: Vec<String>,
    author: String,
    time: u64,
    committed: u64,
    signed: bool,
    subject: String,
    message: String,
    pull: Option<u64>,
    #[serde(flatten)]
    changed: Changed,
}

impl Shown {
    /// The message without its first line.
    fn body(&self) -> &str {
        self.message.split_once('\n').map_or("", |(_, body)| body.trim_matches('\n'))
    }
}

#[derive(Template)]
#[template(path = "commit.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    shown: &'a Shown,
    changed: &'a Changed,
    patch: String,
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `show`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let shown: Shown = crate::answer(answers, 0)?;
    let patch = shown.changed.html(frame, &shown.project, &shown.commit);
    Ok(Page { frame, shown: &shown, changed: &shown.changed, patch }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_says_what_it_says() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let answer = format!(
            r#"{{"project":"parser","commit":"{a}","tree":"{b}","parents":["{b}","{b}"],"author":"A <i@b>","time":1700000000,
            "committed":1700009000,"signed":true,"subject":"<script>","message":"<script>\n\nBody <b>\n","pull":7,
            "files":[{{"path":"x"}}],"more_files":false,"added":1,"removed":0,
            "diff":"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+<img>\n","diff_truncated":true,"next":""}}"#
        );
        let frame = Frame {
            path: "/parser/commit/a",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[&answer]).unwrap();
        assert!(out.contains("<h1><bdi>&lt;script&gt;</bdi></h1>") && out.contains("Body &lt;b&gt;"), "{out}");
        assert!(out.contains("/parser/pulls/7") && out.contains("1 file, +1 −0") && out.contains("left out"), "{out}");
        assert!(out.contains("since its first parent") && !out.contains("<img"), "{out}");
        assert_eq!(out.matches("<script").count(), 1);
    }
}
