//! The checks of a project: who may post each, whether the policy demands it, and what it says of the default branch.
//!
//! Invariant: what a check links to is shown as a link only where that is an address of the web.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, status};

#[derive(Deserialize)]
struct List {
    project: String,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    agents: Vec<String>,
    demanded: bool,
}

/// What was said of the default branch.
#[derive(Deserialize)]
struct Shown {
    commit: String,
    state: String,
    checks: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    name: String,
    state: String,
    by: String,
    description: String,
    url: String,
    time_ms: u64,
    counts: bool,
}

impl Word {
    fn link(&self) -> Option<&str> {
        (self.url.starts_with("https://") || self.url.starts_with("http://")).then_some(self.url.as_str())
    }
}

#[derive(Template)]
#[template(path = "checks.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    list: List,
    /// None where the default branch is not born yet.
    shown: Option<Shown>,
}

impl Page<'_> {
    /// What a check says of the default branch: the word that counts.
    fn word(&self, name: &str) -> Option<&Word> {
        self.shown.as_ref()?.checks.iter().find(|word| word.name == name && word.counts)
    }
}

/// `/parser/checks`, of `check list` and `check show`.
///
/// # Errors
///
/// Where an answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    Ok(Page { frame, list: answer(answers, 0)?, shown: answer(answers, 1)? }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"project":"parser","next":"help ci","checks":[{"name":"ci <b>","agents":["robot"],"demanded":true},
        {"name":"lint","agents":[],"demanded":false}]}"#;
    const SHOWN: &str = r#"{"project":"parser","commit":"3f1c2ab0","tree":"t","state":"failure","next":"x","checks":[
        {"name":"ci <b>","state":"failure","by":"robot","tree":"t","commit":"c","description":"2 <i> failed","url":"javascript:x",
        "time_ms":1,"seq":2,"counts":true}]}"#;

    #[test]
    fn each_says_who_posts_it_and_how_it_stands() {
        let frame = Frame {
            path: "/parser/checks",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let html = view(&frame, &[LIST, SHOWN]).unwrap();
        for part in [
            "ci &lt;b&gt;",
            "href=\"/agents/robot\"",
            "demanded",
            "2 &lt;i&gt; failed",
            "nobody",
            "href=\"/parser/trace/3f1c2ab0\"",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("href=\"javascript") && html.contains("nothing yet"), "{html}");
        assert!(view(&frame, &[LIST, "null"]).unwrap().contains("not born yet"));
        assert!(view(&frame, &[r#"{"project":"parser","checks":[]}"#, "null"]).unwrap().contains("ssh forge help ci"));
    }
}
