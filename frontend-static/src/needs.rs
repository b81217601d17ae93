//! What needs a human: each with the two sides, since when it waits, what happens otherwise, and the command that decides.
//!
//! Invariant: it shows what `needs` answers and decides nothing.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, words};

#[derive(Deserialize)]
struct All {
    count: u64,
    waiting: Vec<Waiting>,
}

#[derive(Deserialize)]
struct Waiting {
    what: String,
    otherwise: String,
    about: String,
    kind: String,
    title: String,
    evidence: Vec<String>,
    since_ms: u64,
    next: String,
}

impl Waiting {
    fn url(&self) -> String {
        words::page_of(&self.about, &self.kind).or_else(|| self.project()).unwrap_or_default()
    }

    fn project(&self) -> Option<String> {
        Some(format!("/{}", self.about.parse::<notes_schema::ProjectName>().ok()?))
    }

    fn is_dated(&self) -> bool {
        self.since_ms != 0
    }
}

#[derive(Template)]
#[template(path = "needs.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    all: &'a All,
}

/// Draws it.
///
/// # Errors
///
/// Where the answer is not one of `needs`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let all: All = answer(answers, 0)?;
    Ok(Page { frame, all: &all }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_who_says_what_and_what_decides() {
        let frame =
            Frame { path: "/needs", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let json = r#"{"count":2,"waiting":[
            {"why":"split-review","what":"reviewers disagree","otherwise":"it does not land","about":"parser#47","ref":"parser#47",
            "kind":"pull","title":"Fix <b>","evidence":["approve: beta","request changes: <gamma>"],"since_ms":1,"next":"pr parser/47"},
            {"why":"read-only","what":"a project takes no writes","otherwise":"every push is refused","about":"parser",
            "kind":"project","title":"parser","evidence":["damaged"],"since_ms":0,"next":"project show parser"}]}"#;
        let html = view(&frame, &[json]).unwrap();
        for part in [
            "href=\"/parser/pulls/47\"",
            "request changes: &lt;gamma&gt;",
            "ssh forge pr parser/47",
            "href=\"/parser\"><bdi>parser</bdi>",
            "reviewers disagree",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        let none = view(&frame, &[r#"{"count":0,"waiting":[]}"#]).unwrap();
        assert!(none.contains("Nothing waits for a human"));
    }
}
