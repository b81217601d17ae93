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
    #[serde(default)]
    sides: Vec<Side>,
    #[serde(default)]
    commit: Option<String>,
    head: Option<String>,
    #[serde(default)]
    decide: Vec<Decision>,
    since_ms: u64,
    next: String,
}

/// One position, and who takes it.
#[derive(Deserialize)]
struct Side {
    says: String,
    by: Vec<Voice>,
}

#[derive(Deserialize)]
struct Voice {
    agent: String,
    #[serde(default)]
    seq: Option<u64>,
}

/// A command that decides it.
#[derive(Deserialize)]
struct Decision {
    command: String,
    whose: String,
}

impl Decision {
    /// The last part of the address that its form is sent to.
    fn verb(&self) -> &str {
        self.command.rsplit(' ').next().unwrap_or("")
    }

    /// What is chosen beside the reason: the field, and its values with their words.
    fn choices(&self) -> (&'static str, &'static [(&'static str, &'static str)]) {
        match self.command.as_str() {
            "review" => ("verdict", &[("approve", "Approve"), ("request-changes", "Request changes")]),
            "vote" => ("vote", &[("up", "Up"), ("down", "Down")]),
            _ => ("", &[]),
        }
    }

    /// What its button says.
    fn word(&self) -> &'static str {
        match self.command.as_str() {
            "review" => "Give the verdict",
            "vote" => "Vote",
            "pr close" => "Give it up",
            "issue close" => "Close it",
            _ => "Say it",
        }
    }
}

impl Waiting {
    /// What is evidence beside the positions, which stand above it.
    fn more(&self) -> &[String] {
        self.evidence.get(self.sides.len()..).unwrap_or_default()
    }

    fn trace(&self) -> Option<String> {
        let (commit, project) = (self.commit.as_ref()?, self.about.split('#').next()?);
        Some(format!("/{}/trace/{}", filters::percent(project, false), filters::percent(commit, false)))
    }

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
    fn whoever_is_signed_in_decides_with_a_reason() {
        let json = r#"{"count":1,"waiting":[{"why":"split-review","what":"reviewers disagree","otherwise":"x","about":"parser#47",
            "kind":"pull","title":"Fix","evidence":["approve: beta","request changes: gamma","and <more>"],"since_ms":1,"next":"pr parser/47",
            "sides":[{"says":"approve","by":[{"agent":"beta","seq":9}]},{"says":"request changes","by":[{"agent":"gamma"}]}],
            "commit":"3f1c2ab0","head":"5e5e5e5e","decide":[{"command":"review","line":"x","whose":"everybody but its author"},
            {"command":"pr close","line":"x","whose":"who opened it"}]}]}"#;
        let draw = |viewer| {
            let frame = Frame { path: "/needs", query: "", viewer, has_feed: false, written: None, resolve: &|_| None };
            view(&frame, &[json]).unwrap()
        };
        let (nobody, alpha) = (draw(None), draw(Some("alpha")));
        for part in [
            "href=\"/parser/pulls/47#s9\">beta</a>",
            "href=\"/agents/gamma\">gamma</a>",
            "href=\"/parser/trace/3f1c2ab0\"",
            "and &lt;more&gt;",
        ] {
            assert!(nobody.contains(part), "{part}\n{nobody}");
        }
        assert!(
            !nobody.contains("method=\"post\"") && nobody.contains("/login?to=%2Fneeds\">Sign in</a> to decide"),
            "{nobody}"
        );
        for part in [
            "name=\"head\" value=\"5e5e5e5e\"",
            "action=\"/parser/pulls/47/review\"",
            "action=\"/parser/pulls/47/close\"",
            "value=\"request-changes\"",
        ] {
            assert!(alpha.contains(part), "{part}\n{alpha}");
        }
        assert_eq!(alpha.matches("<textarea name=\"text\" rows=\"3\" required>").count(), 2, "{alpha}");
    }

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
