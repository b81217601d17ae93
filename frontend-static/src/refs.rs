//! A project's branches, or its tags.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, code, filters, status};

#[derive(Deserialize)]
struct Names {
    project: String,
    kind: String,
    names: Vec<Named>,
    total: usize,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    commit: String,
    default: bool,
    owner: Option<String>,
    time: u64,
    author: String,
    subject: String,
    ahead: Option<u64>,
    behind: Option<u64>,
    #[serde(default)]
    pull: Option<String>,
}

impl Named {
    fn author(&self) -> &str {
        code::name(&self.author)
    }

    /// `2 ahead, 1 behind`.
    fn apart(&self) -> Option<String> {
        Some(format!("{} ahead, {} behind", self.ahead?, self.behind?))
    }
}

#[derive(Template)]
#[template(path = "refs.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    names: &'a Names,
}

impl Page<'_> {
    fn title(&self) -> &'static str {
        if self.names.kind == "branch" { "Branches" } else { "Tags" }
    }

    fn at(&self) -> &'static str {
        if self.names.kind == "branch" { "branches" } else { "tags" }
    }

    fn left_out(&self) -> usize {
        self.names.total.saturating_sub(self.names.names.len())
    }
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `branch list` or `tag list`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let names: Names = crate::answer(answers, 0)?;
    Ok(Page { frame, names: &names }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_code() {
        let id = "a".repeat(40);
        let answer = format!(
            r#"{{"project":"parser","kind":"branch","total":9,"next":"","names":[{{"name":"a/<b>","id":"{id}","commit":"{id}",
            "default":false,"owner":"alpha","time":1700000000,"author":"A <a@b>","subject":"<script>","ahead":2,"behind":1,"pull":"parser#9"}}]}}"#
        );
        let frame = Frame {
            path: "/parser/branches",
            query: "q=a",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[&answer]).unwrap();
        assert!(out.contains("href=\"/parser/tree?at=a%2F%3Cb%3E\"") && out.contains("2 ahead, 1 behind"), "{out}");
        assert!(out.contains("8 more") && out.contains("href=\"/parser/compare/...a%2F%3Cb%3E\""), "{out}");
        assert!(out.contains("<a href=\"/parser/pulls/9\">parser#9</a>"), "{out}");
        assert_eq!(out.matches("<script").count(), 1);
    }
}
