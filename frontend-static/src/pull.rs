//! One pull request: whose turn it is and what its gate misses, what was said, and what it changes, round by round.
//!
//! Invariant: the gate is shown as the command says it; a button stands only where a missing line names that command.

use askama::Template;
use serde::Deserialize;

use crate::diff::{self, Side, View};
use crate::issue::Votes;
use crate::thread::{self, Event, Note};
use crate::{Frame, Unreadable, answer, filters, status, written};

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
    merges: Merges,
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
    #[serde(default)]
    may: Vec<String>,
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

/// Whether the head merges with its target now.
#[derive(Deserialize)]
struct Merges {
    state: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    why: String,
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

/// What was said about one line.
#[derive(Template)]
#[template(path = "inline.html")]
struct Inline<'a> {
    frame: &'a Frame<'a>,
    pull: &'a Pull,
    events: Vec<&'a Event>,
}

impl Inline<'_> {
    fn apply_at(&self, event: &Event) -> Option<String> {
        self.pull.apply_at(self.frame, event)
    }
}

impl Pull {
    /// Whether whoever looks may give this command.
    fn may(&self, command: &str) -> bool {
        self.may.iter().any(|may| may == command)
    }

    /// Where a suggestion is applied, by whoever looks: only its author changes a pull request.
    fn apply_at(&self, frame: &Frame<'_>, event: &Event) -> Option<String> {
        let may = frame.viewer.is_some() && self.may("apply");
        event.applicable().filter(|_| may).map(|_| format!("{}/apply", status::place(&self.reference, "pulls")))
    }
}

impl Page<'_> {
    fn project(&self) -> &str {
        status::project(&self.pull.reference)
    }

    fn place(&self) -> String {
        status::place(&self.pull.reference, "pulls")
    }

    fn apply_at(&self, event: &Event) -> Option<String> {
        self.pull.apply_at(self.frame, event)
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

    /// Whether whoever looks is shown the button of this command.
    fn may(&self, command: &str) -> bool {
        self.frame.viewer.is_some() && self.pull.may(command)
    }

    /// Which numbers of lines name what a reviewer may comment on: those of the newest round, and of its base.
    fn named_lines(&self) -> Option<&'static str> {
        let (round, since) = self.shown();
        (self.may("review") && round == self.pull.round).then_some(if since.is_none() { "both" } else { "new" })
    }

    /// The log of what it brings.
    fn commits(&self) -> String {
        format!("/{}/log?at={}..{}", self.project(), self.pull.base, self.pull.head)
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
        Some(format!("/{project}/blob/{path}?at={head}"))
    };
    let (left, events) = thread::newest(&details.events);
    let on_head = |event: &&Event| event.on.as_ref().is_some_and(|on| on.head == *head);
    let said: Vec<&Event> = events.iter().filter(on_head).collect();
    // Between rounds the older side is not the base.
    let shows_base = pull.shows.as_ref().is_none_or(|shows| shows.since.is_none());
    let below = |side: Side, path: &str, line: u64| {
        let (is_old, pull) = (side == Side::Old, &pull);
        let here = |on: &thread::On| on.path == path && on.last() == line && on.is_old() == is_old;
        let here = |event: &&Event| event.on.as_ref().is_some_and(here) && (shows_base || !is_old);
        let events: Vec<&Event> = said.iter().copied().filter(here).collect();
        if events.is_empty() { None } else { Inline { frame, pull, events }.render().ok() }
    };
    let files = diff::annotated(pull.diff.as_deref().unwrap_or(""), view, &at, &below);
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
            "merges": { "state": "conflicts", "paths": [EVIL, "src/lib.rs"] }, "risk": "high", "policy": null,
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
        let on = json!({ "head": "bb".repeat(20), "path": "x", "line": 1, "side": "new", "commit": "bb".repeat(20) });
        let gone = json!({ "head": "bb".repeat(20), "path": "x", "line": 1, "side": "old", "commit": "00".repeat(20) });
        let suggests = json!({ "was": "b\n", "becomes": "c\n", "applies": true, "next": "apply parser/9 6" });
        let gone = json!({ "seq": 6, "n": 4, "kind": "pull.reviewed", "by": "alpha", "time_ms": 2, "summary": "commented on x:-1",
                           "text": "It is *missed*", "on": gone });
        let proposed = json!({ "seq": 7, "n": 5, "kind": "pull.reviewed", "by": "alpha", "time_ms": 2, "summary": "commented on x:1",
                               "text": "```suggestion\nc\n```\n", "on": on, "suggests": suggests });
        let inline = json!({ "seq": 5, "n": 3, "kind": "pull.reviewed", "by": "alpha", "time_ms": 2, "summary": "commented on x:1",
                             "text": "Why **b**?", "on": on });
        [pull, json!({ "events": [said, inline, gone, proposed] })]
    }

    fn draw(query: &str, viewer: Option<&str>) -> String {
        drawn(query, viewer, |_| {})
    }

    /// All that the newest round changes.
    fn draw_whole(query: &str, viewer: Option<&str>) -> String {
        let whole = json!({ "round": 2, "part": "whole", "ignores_space": false, "means": "all" });
        drawn(query, viewer, |pull| pull["shows"] = whole)
    }

    fn drawn(query: &str, viewer: Option<&str>, change: impl FnOnce(&mut Value)) -> String {
        let frame =
            Frame { path: "/parser/pulls/9", query, viewer, has_feed: false, written: None, resolve: &|_| None };
        let [mut pull, details] = answers();
        pull["may"] = match viewer {
            None => json!([]),
            Some("beta") => json!(["reply", "merge", "pr close", "apply"]),
            Some(_) => json!(["reply", "review", "merge", "vote"]),
        };
        change(&mut pull);
        view(&frame, &[&pull.to_string(), &details.to_string()]).unwrap()
    }

    #[test]
    fn whatever_a_pull_request_holds_stays_text() {
        let out = draw("since=1&view=%22%3E%3Cscript%3E", Some("alpha"));
        assert_eq!(out.matches("<script").count(), 1, "{out}");
        assert!(!out.contains('\u{202e}') && !out.contains("href=\"javascript"), "{out}");
        assert!(
            view(
                &Frame { path: "/p", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None },
                &["{}", "null"]
            )
            .is_err()
        );
    }

    #[test]
    fn files_that_conflict_are_named() {
        let out = draw("", None);
        assert!(out.contains("conflicts</span>") && out.contains("<code><bdi>src/lib.rs</bdi></code>"), "{out}");
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
        assert!(out.contains("<a href=\"/parser/blob/x?at=bbbb"), "{out}");
    }

    #[test]
    fn what_is_said_of_a_line_stands_below_it() {
        let out = draw("", None);
        assert!(out.contains("<p>Why <strong>b</strong>?</p>") && out.matches("Why <strong>").count() == 2, "{out}");
        let place = format!("<a href=\"/parser/blob/x?at={}#L1\"><bdi>x:1</bdi></a>", "bb".repeat(20));
        assert!(out.contains(&place) && out.contains("<tr class=\"t\"><td colspan=\"3\">"), "{out}");
    }

    #[test]
    fn what_is_said_of_a_line_that_is_gone_stands_below_it_where_the_base_is_shown() {
        let (between, whole) = (draw("", None), draw_whole("", None));
        assert_eq!((between.matches("<em>missed</em>").count(), whole.matches("<em>missed</em>").count()), (1, 2));
        let row = whole.find("-<bdi>").unwrap();
        let (gone, now) = (whole[row..].find("<em>missed").unwrap(), whole[row..].find("+<bdi>").unwrap());
        assert!(gone < now, "{whole}");
        assert!(whole.contains(&format!("/parser/blob/x?at={}#L1\"><bdi>x:-1</bdi>", "00".repeat(20))), "{whole}");
    }

    #[test]
    fn a_suggestion_is_applied_by_the_author_alone() {
        let (author, other) = (draw_whole("", Some("beta")), draw_whole("", Some("alpha")));
        assert_eq!(author.matches("action=\"/parser/pulls/9/apply\"").count(), 2, "{author}");
        assert!(author.contains("name=\"comment\" value=\"7\"") && !other.contains("/apply\""), "{other}");
        assert!(author.contains("<span class=\"del\">-b</span>\n<span class=\"add\">+c</span>"), "{author}");
    }

    #[test]
    fn forms_stand_for_who_may_use_them() {
        let (nobody, author, other) = (draw("", None), draw("", Some("beta")), draw("", Some("alpha")));
        assert!(
            !nobody.contains("method=\"post\"")
                && nobody.contains("/login?to=%2Fparser%2Fpulls%2F9\">Sign in to reply")
        );
        assert!(!author.contains("name=\"verdict\"") && author.contains("/parser/pulls/9/merge"), "{author}");
        assert!(author.contains("/parser/pulls/9/close\"") && !author.contains("/parser/pulls/9/vote\""), "{author}");
        assert!(
            other.contains("name=\"verdict\"") && other.contains("<a class=\"button\" href=\"#review\">Review</a>")
        );
        assert!(!other.contains("/parser/pulls/9/close\"") && !other.contains("/parser/pulls/9/accept\""), "{other}");
    }

    #[test]
    fn a_verdict_and_a_merge_say_which_head_was_seen() {
        let out = draw("", Some("alpha"));
        let head = format!("<input type=\"hidden\" name=\"head\" value=\"{}\">", "bb".repeat(20));
        assert_eq!(out.matches(&head).count(), 2, "{out}");
        let (files, review) = (out.find("id=\"files\"").unwrap(), out.find("id=\"review\"").unwrap());
        assert!(files < review, "the review stands below the files");
    }

    #[test]
    fn numbers_name_lines_where_a_review_may_be_about_them() {
        let lines =
            |out: String| out.split("data-lines=\"").nth(1).map(|rest| rest[..rest.find('"').unwrap()].to_owned());
        assert_eq!(lines(draw_whole("", Some("alpha"))).as_deref(), Some("both"));
        assert_eq!(lines(draw("since=1", Some("alpha"))).as_deref(), Some("new"));
        assert_eq!(lines(draw_whole("", Some("beta"))), None);
        let older = json!({ "round": 1, "part": "whole", "ignores_space": false, "means": "all" });
        assert_eq!(lines(drawn("round=1", Some("alpha"), |pull| pull["shows"] = older)), None);
    }

    #[test]
    fn what_it_is_made_of_is_linked() {
        let out = draw("", None);
        let (base, head) = ("00".repeat(20), "bb".repeat(20));
        for way in [format!("/parser/log?at={base}..{head}"), format!("/parser/commit/{head}")] {
            assert!(out.contains(&format!("href=\"{way}\"")), "{way}: {out}");
        }
    }
}
