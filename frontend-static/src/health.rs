//! How a project fares: what lands, by whom, whether it is sound, how much is done, since when it rests.
//!
//! Invariant: each number leads to what it was counted from.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, chart, filters, status};

#[derive(Deserialize)]
struct Health {
    project: String,
    until_ms: u64,
    last_ms: u64,
    idle_since_ms: Option<u64>,
    landed: Vec<u64>,
    issues: Counts,
    pulls: Counts,
    merged: u64,
    contributors_in_all: u64,
    contributors: Vec<Contributor>,
    main: Main,
    stability_permille: Option<u64>,
    landings: Vec<Landing>,
}

#[derive(Deserialize)]
struct Counts {
    open: u64,
    closed: u64,
    permille: u64,
}

#[derive(Deserialize)]
struct Contributor {
    agent: String,
    landed: u64,
    reviews: u64,
    issues: u64,
}

#[derive(Deserialize)]
struct Main {
    branch: String,
    commit: Option<String>,
    checks: Vec<Check>,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    state: String,
    by: String,
}

#[derive(Deserialize)]
struct Landing {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    author: String,
    landed: Option<String>,
    level: String,
    landed_ms: u64,
    #[serde(default)]
    checks: Option<String>,
    sound: bool,
}

impl Health {
    fn landed_in_all(&self) -> u64 {
        self.landed.iter().sum()
    }

    fn bars(&self) -> String {
        let label = format!("{} landed in {} days, the newest on the right", self.landed_in_all(), self.landed.len());
        chart::bars(&label, &self.landed)
    }

    fn sound(&self) -> u64 {
        self.landings.iter().filter(|landing| landing.sound).count() as u64
    }
}

#[derive(Template)]
#[template(path = "health.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    health: Health,
}

/// `/parser/health`, of `health`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    Ok(Page { frame, health: answer(answers, 0)? }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_what_they_count() {
        let frame = Frame {
            path: "/parser/health",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let json = serde_json::json!({
            "project": "parser", "until_ms": 1_700_000_000_000_u64, "last_ms": 1_690_000_000_000_u64, "idle_since_ms": 1_690_000_000_000_u64,
            "landed": [0, 2], "issues": { "open": 1, "closed": 3, "permille": 750 }, "pulls": { "open": 1, "closed": 0, "permille": 666 },
            "merged": 2, "contributors_in_all": 1, "contributors": [{ "agent": "beta", "landed": 2, "reviews": 1, "issues": 4 }],
            "main": { "branch": "main", "commit": "3f1c2ab0", "state": "failure",
                "checks": [{ "name": "ci <b>", "state": "failure", "by": "robot" }] },
            "stability_permille": 500, "next": "x",
            "landings": [
                { "ref": "parser#9", "title": "Fix <i>", "author": "beta", "landed": "3f1c2ab0", "level": "P1", "landed_ms": 5, "checks": "failure", "sound": false },
                { "ref": "parser#7", "title": "Fix", "author": "beta", "landed": null, "level": "P2", "landed_ms": 4, "sound": true },
            ],
        });
        let html = view(&frame, &[&json.to_string()]).unwrap();
        for part in [
            "idle since",
            "75.0 %",
            "50.0 %",
            "href=\"/parser/trace/3f1c2ab0\"",
            "href=\"/parser/pulls/9\"",
            "Fix &lt;i&gt;",
            "href=\"/agents/beta\"",
            "aria-label=\"2 landed in 2 days",
            "href=\"/parser/issues?state=closed\"",
            "ci &lt;b&gt;",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
