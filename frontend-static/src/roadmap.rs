//! What a project is to become: its issues by milestone and priority, and how much of each is done.
//!
//! Invariant: each number leads to the issues that it counts.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, status};

#[derive(Deserialize)]
struct Roadmap {
    project: String,
    open: u64,
    closed: u64,
    permille: u64,
    milestones: Vec<Milestone>,
}

#[derive(Deserialize)]
struct Milestone {
    milestone: Option<String>,
    open: u64,
    closed: u64,
    permille: u64,
    issues: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    state: String,
    #[serde(default)]
    priority: Option<String>,
    author: String,
    labels: Vec<String>,
    working: u64,
    #[serde(default)]
    fixed_by: Option<String>,
}

impl Milestone {
    fn left(&self) -> u64 {
        (self.open + self.closed).saturating_sub(self.issues.len() as u64)
    }

    /// What is open, and what is closed: the second stands in a part that opens.
    fn by_state(&self, state: &str) -> Vec<&Step> {
        self.issues.iter().filter(|step| step.state == state).collect()
    }

    fn closed_steps(&self) -> Vec<&Step> {
        self.by_state("closed")
    }

    fn open_steps(&self) -> Vec<&Step> {
        self.by_state("open")
    }
}

#[derive(Template)]
#[template(path = "roadmap.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    map: Roadmap,
}

/// `/parser/roadmap`, of `roadmap`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    Ok(Page { frame, map: answer(answers, 0)? }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milestones_say_how_much_of_them_is_done() {
        let frame = Frame {
            path: "/parser/roadmap",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let step = |n: u64, state: &str, priority: Option<&str>| {
            serde_json::json!({ "ref": format!("parser#{n}"), "title": "A <b>", "state": state, "priority": priority,
                "author": "alpha", "labels": ["bug"], "working": 2, "fixed_by": (state == "closed").then_some("parser#9"), "next": "x" })
        };
        let map = serde_json::json!({ "project": "parser", "open": 3, "closed": 1, "permille": 250, "next": "x", "milestones": [
            { "milestone": "v1 <i>", "open": 1, "closed": 1, "permille": 500, "issues": [step(1, "open", Some("urgent")), step(2, "closed", None)] },
            { "milestone": null, "open": 2, "closed": 0, "permille": 0, "issues": [step(3, "open", None)] },
        ] });
        let html = view(&frame, &[&map.to_string()]).unwrap();
        for part in [
            "v1 &lt;i&gt;",
            "50.0 %",
            "urgent",
            "href=\"/parser/pulls/9\"",
            "No milestone",
            "1 more of it",
            "2 agents working",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(html.contains("<progress") && !html.contains("<b>A"), "{html}");
    }
}
