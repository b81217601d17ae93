//! One pull request: whose turn it is and what its gate misses, what was said, and what it changes, round by round.
//!
//! Invariant: the gate is shown as the command says it; a button stands only where a missing line names that command.

use askama::Template;
use serde::Deserialize;

use crate::diff::{self, View};
use crate::issue::Votes;
use crate::thread::{self, Event, Note};
use crate::{Frame, Unreadable, answer, filters, status};

#[derive(Deserialize)]
struct Pull {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    state: String,
    author: String,
    branch: String,
    target: String,
    issue: Option<String>,
    head: String,
    base: String,
    round: u64,
    rounds: Vec<Round>,
    opened_ms: u64,
    turn: Option<Turn>,
    proof: String,
    proof_means: String,
    proof_detail: Proof,
    risk: Option<String>,
    reviews: Vec<Review>,
    gate: Vec<Line>,
    checks: Vec<Check>,
    confirmed: Vec<String>,
    refuted: Vec<String>,
    notes: Vec<Note>,
    votes: Votes,
    accepted: bool,
    landed: Option<String>,
    #[serde(default)]
    shows: Option<Shows>,
    #[serde(default)]
    diff: Option<String>,
    #[serde(default)]
    diff_truncated: Option<bool>,
    added: u64,
    removed: u64,
    next: String,
}

#[derive(Deserialize)]
struct Round {
    round: u64,
    head: String,
    proof: String,
    time_ms: u64,
}

#[derive(Deserialize)]
struct Turn {
    who: String,
    words: String,
}

#[derive(Deserialize)]
struct Proof {
    #[serde(default)]
    command: String,
    #[serde(default)]
    tests: Option<Tests>,
}

#[derive(Deserialize)]
struct Tests {
    passed: u64,
    failed: u64,
    ignored: u64,
}

#[derive(Deserialize)]
struct Review {
    agent: String,
    verdict: String,
    head: String,
    live: bool,
}

#[derive(Deserialize)]
struct Line {
    rule: String,
    state: String,
    ok: bool,
    why: String,
    next: String,
}

impl Line {
    fn word(&self) -> &'static str {
        match (self.ok, self.state.as_str()) {
            (true, _) => "done",
            (false, "error") => "undecided",
            (false, _) => "missing",
        }
    }
}

#[derive(Deserialize)]
struct Check {
    name: String,
    state: String,
    by: String,
    description: String,
    url: String,
    counts: bool,
}

impl Check {
    fn link(&self) -> Option<&str> {
        (self.url.starts_with("https://") || self.url.starts_with("http://")).then_some(self.url.as_str())
    }
}

#[derive(Deserialize)]
struct Shows {
    round: u64,
    #[serde(default)]
    since: Option<u64>,
    part: String,
    ignores_space: bool,
    means: String,
}

/// What `details` says beside.
#[derive(Deserialize, Default)]
struct Details {
    events: Vec<Event>,
}

#[derive(Template)]
#[template(path = "pull.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    pull: &'a Pull,
    left: u64,
    events: &'a [Event],
    notes: &'a [Note],
    files: String,
    view: View,
}

impl Page<'_> {
    fn project(&self) -> &str {
        status::project(&self.pull.reference)
    }

    fn place(&self) -> String {
        status::place(&self.pull.reference, "pulls")
    }

    /// The number of the round whose tip `head` is.
    fn round_of(&self, head: &str) -> Option<u64> {
        self.pull.rounds.iter().find(|round| round.head == head).map(|round| round.round)
    }

    /// The round that is shown, and since which.
    fn shown(&self) -> (u64, Option<u64>) {
        self.pull.shows.as_ref().map_or((self.pull.round, None), |shows| (shows.round, shows.since))
    }

    fn ignores_space(&self) -> bool {
        self.pull.shows.as_ref().is_some_and(|shows| shows.ignores_space)
    }

    /// The address of a view of the files.
    fn files_at(&self, (round, since): (u64, Option<u64>), ignores_space: bool, split: bool) -> String {
        let mut pairs = Vec::new();
        pairs.extend((round != self.pull.round).then(|| format!("round={round}")));
        pairs.extend(since.map(|since| format!("since={since}")));
        pairs.extend(ignores_space.then(|| "w=1".to_owned()));
        pairs.extend(split.then(|| "view=split".to_owned()));
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("{}{query}#files", self.place())
    }

    /// The ways between the views of the files: where each leads, its word, and whether the page shows it.
    fn views(&self) -> Vec<(String, String, bool)> {
        let (shown, (space, split)) = (self.shown(), (self.ignores_space(), self.view == View::Split));
        let mut ways = Vec::new();
        for round in self.pull.rounds.iter().map(|round| round.round) {
            let at = (round, None);
            ways.push((self.files_at(at, space, split), format!("round {round}"), shown == at));
        }
        for round in self.pull.rounds.iter().map(|round| round.round).filter(|round| *round < shown.0) {
            let at = (shown.0, Some(round));
            ways.push((self.files_at(at, space, split), format!("since round {round}"), shown == at));
        }
        ways.push((self.files_at(shown, !space, split), "ignore blanks".to_owned(), space));
        ways.push((self.files_at(shown, space, false), "unified".to_owned(), !split));
        ways.push((self.files_at(shown, space, true), "side by side".to_owned(), split));
        ways
    }

    /// The round that is shown.
    fn current(&self) -> Option<&Round> {
        self.pull.rounds.iter().find(|round| round.round == self.shown().0)
    }

    fn missing(&self) -> impl Iterator<Item = &Line> {
        self.pull.gate.iter().filter(|line| !line.ok)
    }

    fn met(&self) -> Vec<&Line> {
        self.pull.gate.iter().filter(|line| line.ok && line.state != "not-applicable").collect()
    }

    /// How much it can break, where that is more than little.
    fn risk(&self) -> Option<&str> {
        self.pull.risk.as_deref().filter(|risk| *risk != "low")
    }

    /// Whether whoever looks may give a verdict: nobody does on work of their own.
    fn may_review(&self) -> bool {
        self.pull.state == "open" && self.frame.viewer.is_some_and(|viewer| viewer != self.pull.author)
    }
}

/// `/parser/pulls/47`, of `pr --diff` and `details`.
///
/// # Errors
///
/// Where an answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let pull: Pull = answer(answers, 0)?;
    let details: Option<Details> = answer(answers, 1)?;
    let details = details.unwrap_or_default();
    let view = View::named(frame.value("view").as_deref());
    let shown = pull.shows.as_ref().map_or(pull.round, |shows| shows.round);
    let head = pull.rounds.iter().find(|round| round.round == shown).map_or(&pull.head, |round| &round.head);
    let at = |path: &str| {
        let (project, path) = (status::project(&pull.reference), filters::percent(path, true));
        Some(format!("/{project}/tree/{path}?at={head}"))
    };
    let files = diff::html(pull.diff.as_deref().unwrap_or(""), view, &at);
    let (left, events) = thread::newest(&details.events);
    Ok(Page { frame, pull: &pull, left, events, notes: &pull.notes, files, view }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EVIL: &str = "</title><script>alert(1)</script>\"' \u{202e}";

    fn answers() -> [Value; 2] {
        let round = |n: u64, head: &str| json!({ "round": n, "head": head.repeat(20), "base": "00".repeat(20), "proof": "P1", "time_ms": n, "seq": n });
        let pull = json!({
            "ref": "parser#9", "title": EVIL, "state": "open", "author": "beta", "branch": EVIL, "target": "main",
            "issue": "parser#7", "head": "bb".repeat(20), "base": "00".repeat(20), "round": 2,
            "rounds": [round(1, "aa"), round(2, "bb")], "opened_ms": 1, "turn": { "who": "anyone", "words": "nothing is missing" },
            "proof": "P1", "proof_means": "recorded, not re-run",
            "proof_detail": { "level": "P1", "command": EVIL, "tests": { "framework": "x", "passed": 3, "failed": 0, "ignored": 1 } },
            "risk": "high", "policy": null,
            "reviews": [{ "agent": "alpha", "verdict": "approve", "head": "aa".repeat(20), "live": false, "text": EVIL }],
            "gate": [
                { "rule": "approval", "state": "unsatisfied", "ok": false, "why": EVIL, "next": "review approve parser/9" },
                { "rule": "proof", "state": "satisfied", "ok": true, "why": "there", "next": "" },
            ],
            "checks": [{ "name": EVIL, "state": "success", "by": "robot", "tree": "t", "commit": "c", "description": EVIL,
                         "url": "javascript:alert(1)", "time_ms": 1, "seq": 1, "counts": true }],
            "comments": [], "confirmed": ["gamma"], "refuted": [], "notes": [],
            "votes": { "up": 0, "down": 0, "up_halves": 0, "down_halves": 0 }, "accepted": false, "landed": null, "body": EVIL,
            "url": "x", "next": "merge parser/9",
            "shows": { "round": 2, "since": 1, "part": "author", "ignores_space": false, "means": EVIL },
            "diff": "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "diff_truncated": false,
            "added": 1, "removed": 1,
        });
        let said = json!({ "seq": 4, "n": 2, "kind": "comment.added", "by": "alpha", "time_ms": 2, "summary": "commented", "text": EVIL });
        [pull, json!({ "events": [said] })]
    }

    fn draw(query: &str, viewer: Option<&str>) -> String {
        let frame = Frame { path: "/parser/pulls/9", query, viewer, resolve: &|_| None };
        let [pull, details] = answers().map(|answer| answer.to_string());
        view(&frame, &[&pull, &details]).unwrap()
    }

    #[test]
    fn whatever_a_pull_request_holds_stays_text() {
        let out = draw("since=1&view=%22%3E%3Cscript%3E", Some("alpha"));
        assert_eq!(out.matches("<script").count(), 1, "{out}");
        assert!(!out.contains('\u{202e}') && !out.contains("href=\"javascript"), "{out}");
        assert!(view(&Frame { path: "/p", query: "", viewer: None, resolve: &|_| None }, &["{}", "null"]).is_err());
    }

    #[test]
    fn the_ways_between_rounds_keep_the_rest_of_the_view() {
        let out = draw("since=1&view=split", None);
        for way in [
            "<a href=\"/parser/pulls/9?round=1&amp;view=split#files\">round 1</a>",
            "<a href=\"/parser/pulls/9?since=1&amp;view=split#files\" aria-current=\"true\">since round 1</a>",
            "<a href=\"/parser/pulls/9?since=1&amp;w=1&amp;view=split#files\">ignore blanks</a>",
            "<a href=\"/parser/pulls/9?since=1#files\">unified</a>",
        ] {
            assert!(out.contains(way), "{way}: {out}");
        }
        assert!(out.contains("<a href=\"/parser/tree/x?at=bbbb"), "{out}");
    }

    #[test]
    fn forms_stand_for_who_may_use_them() {
        let (nobody, author, other) = (draw("", None), draw("", Some("beta")), draw("", Some("alpha")));
        assert!(!nobody.contains("method=\"post\""), "{nobody}");
        assert!(!author.contains("name=\"verdict\"") && author.contains("/parser/pulls/9/merge"), "{author}");
        assert!(
            other.contains("name=\"verdict\"") && other.contains("<a class=\"button\" href=\"#review\">Review</a>")
        );
    }
}
