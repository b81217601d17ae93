//! The issues of a project, and the form for a new one.

use askama::Template;
use serde::Deserialize;

use crate::list::{self, Kind};
use crate::{Frame, Unreadable, answer, filters};

/// `/parser/issues`, of `issue list`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    list::view(frame, answers, Kind::Issues)
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "project")]
    name: String,
}

#[derive(Template)]
#[template(path = "issue_new.html")]
struct New<'a> {
    frame: &'a Frame<'a>,
    project: Project,
}

impl New<'_> {
    /// What a field holds: what was written there and refused, or what the address says.
    fn given(&self, field: &str) -> String {
        match self.frame.wrote("new", field) {
            "" => self.frame.value(field).unwrap_or_default(),
            written => written.to_owned(),
        }
    }
}

/// `/parser/issues/new`, of `project show`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn new(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    Ok(New { frame, project: answer(answers, 0)? }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Written;

    #[test]
    fn a_new_issue_that_was_refused_keeps_its_words() {
        let fields = [("title".to_owned(), " ".to_owned()), ("text".to_owned(), "a\nb".to_owned())];
        let lines = "issue new: it needs --title\nnext: help issue new\n";
        let written = Written { status: 400, lines, action: "/parser/issues/new", fields: &fields, signed_out: false };
        let frame = Frame {
            path: "/parser/issues/new",
            query: "lang=rust",
            viewer: Some("alpha"),
            has_feed: false,
            written: Some(&written),
            resolve: &|_| None,
        };
        let out = new(&frame, &[r#"{"project":"parser"}"#]).unwrap();
        assert!(out.contains("<textarea name=\"text\" rows=\"12\">\na\nb</textarea>"), "{out}");
        assert!(
            out.contains("it needs “Title”") && out.contains("value=\"rust\"") && !out.contains("help issue"),
            "{out}"
        );
    }
}
