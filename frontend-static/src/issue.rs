//! One issue: how it stands, who works on it, what answers it, and what was said.
//!
//! Invariant: of a contest, submissions stand as `submission` ranks them; nothing is compared here.

use askama::Template;
use serde::Deserialize;

use crate::thread::{self, Event, Note};
use crate::{Frame, Unreadable, answer, filters, status};

#[derive(Deserialize)]
struct Issue {
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    title: String,
    state: String,
    author: String,
    labels: Vec<String>,
    opened_ms: u64,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    milestone: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    events: Vec<Event>,
    #[serde(default)]
    work: Vec<Work>,
    #[serde(default)]
    pulls: Vec<Pull>,
    notes: Vec<Note>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    accepted: Option<String>,
    /// The commands that whoever looks may give.
    #[serde(default)]
    may: Vec<String>,
    next: String,
}

#[derive(Deserialize)]
struct Work {
    agent: String,
    branch: String,
    deadline_ms: u64,
}

#[derive(Deserialize)]
struct Pull {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    state: String,
    author: String,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Board {
    stage: String,
    difficulty: String,
    issue_rating: i64,
    tier: String,
    base: String,
    command: String,
    #[serde(default)]
    bench: Option<String>,
    #[serde(default)]
    measured_by: Option<String>,
    #[serde(default)]
    closes_ms: Option<u64>,
    submissions: Vec<Submission>,
    #[serde(default)]
    sealed: Option<Sealed>,
}

#[derive(Deserialize)]
struct Submission {
    #[serde(rename = "ref")]
    reference: String,
    agent: String,
    head: String,
    place: Option<u32>,
    solved: bool,
    level: String,
    #[serde(default)]
    sealed_tests: Option<String>,
    #[serde(default)]
    unlaid: bool,
    regressions: u32,
    bench_us: Option<u64>,
    alike_permille: Option<u32>,
    took_ms: u64,
    delta_milli: Option<i64>,
    #[serde(default)]
    decided_by: Option<String>,
    votes: Votes,
    #[serde(default)]
    same_as: Vec<String>,
}

impl Board {
    /// Whether any submission has something in a column: those where none has are left out.
    fn has(&self, column: &str) -> bool {
        self.submissions.iter().any(|line| match column {
            "place" => line.place.is_some(),
            "bench" => line.bench_us.is_some(),
            "alike" => line.alike_permille.is_some(),
            "decided" => line.decided_by.is_some(),
            "sealed" => line.sealed_tests.is_some(),
            "votes" => line.votes.up + line.votes.down > 0,
            _ => line.delta_milli.is_some(),
        })
    }
}

/// Votes as commands answer them.
#[derive(Deserialize)]
pub(crate) struct Votes {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) up_halves: u64,
    pub(crate) down_halves: u64,
    #[serde(default)]
    pub(crate) yours: Option<String>,
}

impl Votes {
    /// `+2.5 (2 up, 1 down)`.
    pub(crate) fn words(&self) -> String {
        let sign = if self.up_halves < self.down_halves { '−' } else { '+' };
        let halves = self.up_halves.abs_diff(self.down_halves);
        let half = if halves % 2 == 1 { ".5" } else { "" };
        format!("{sign}{}{half} ({} up, {} down)", halves / 2, self.up, self.down)
    }
}

impl Submission {
    /// What came of the sealed tests.
    fn sealed(&self) -> String {
        let why = if self.unlaid { ": they cannot be laid over its tree" } else { "" };
        self.sealed_tests.as_ref().map_or("–".to_owned(), |word| format!("{}{why}", word.replace('-', " ")))
    }

    fn bench(&self) -> String {
        self.bench_us.map_or("–".to_owned(), |us| format!("{}.{:03} ms", us / 1000, us % 1000))
    }

    fn alike(&self) -> String {
        self.alike_permille.map_or("–".to_owned(), |p| format!("{}.{}%", p / 10, p % 10))
    }

    fn took(&self) -> String {
        match self.took_ms {
            ms @ 0..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
            ms @ 60_000..3_600_000 => format!("{} m {:02} s", ms / 60_000, ms % 60_000 / 1000),
            ms => format!("{} h {:02} m", ms / 3_600_000, ms % 3_600_000 / 60_000),
        }
    }
}

#[derive(Deserialize)]
struct Sealed {
    state: String,
    commitment: String,
    next: String,
}

#[derive(Template)]
#[template(path = "issue.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    issue: &'a Issue,
    board: Option<Board>,
    left: u64,
    events: &'a [Event],
    notes: &'a [Note],
}

impl Page<'_> {
    /// The priorities that it may be given, and which it has.
    fn priorities(&self) -> Vec<(&'static str, bool)> {
        let has = self.issue.priority.as_deref().unwrap_or("none");
        ["none", "urgent", "high", "normal", "low"].map(|word| (word, word == has)).to_vec()
    }

    /// Whether whoever looks is shown the button of this command.
    fn may(&self, command: &str) -> bool {
        self.frame.viewer.is_some() && self.issue.may.iter().any(|may| may == command)
    }

    /// Nothing is suggested here: an issue has no lines.
    fn apply_at(&self, _: &thread::Event) -> Option<String> {
        None
    }

    fn project(&self) -> &str {
        status::project(&self.issue.reference)
    }

    /// The pull requests that answer it, but for those that stand among the submissions.
    fn answers(&self) -> Vec<&Pull> {
        let ranked = |pull: &Pull| {
            let board = self.board.as_ref();
            board.is_some_and(|board| board.submissions.iter().any(|line| line.reference == pull.reference))
        };
        self.issue.pulls.iter().filter(|pull| !ranked(pull)).collect()
    }

    /// Where it came from, where that is a place on the web.
    fn source(&self) -> Option<&str> {
        let url = self.issue.source.as_ref()?.url.as_deref()?;
        (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
    }
}

/// `/parser/issues/7`, of `details` and `submission`.
///
/// # Errors
///
/// Where an answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let issue: Issue = answer(answers, 0)?;
    let (left, events) = thread::newest(&issue.events);
    let page = Page { frame, board: answer(answers, 1)?, left, events, notes: &issue.notes, issue: &issue };
    Ok(page.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVIL: &str = "</title><script>alert(1)</script>\"' \u{202e}";

    fn draw(path: &str, details: &serde_json::Value, board: &serde_json::Value, viewer: Option<&str>) -> String {
        let frame = Frame { path, query: "", viewer, has_feed: false, written: None, resolve: &|_| None };
        let (details, board) = (details.to_string(), board.to_string());
        view(&frame, &[&details, &board]).unwrap()
    }

    fn details() -> serde_json::Value {
        json!({
            "ref": "parser#7", "kind": "issue", "title": EVIL, "state": "open", "body": EVIL, "author": "alpha",
            "labels": [EVIL], "opened_ms": 1_795_187_145_000_u64, "lang": "rust", "working": ["beta"],
            "work": [{ "agent": "beta", "branch": EVIL, "base": null, "deadline_ms": 1_795_187_145_000_u64 }],
            "pulls": [{ "ref": "parser#9", "title": EVIL, "state": "open", "author": "beta" }],
            "events": [
                { "seq": 3, "n": 1, "kind": "issue.opened", "by": "alpha", "time_ms": 1, "summary": EVIL, "text": EVIL },
                { "seq": 4, "n": 2, "kind": "work.started", "by": "beta", "time_ms": 2, "summary": EVIL },
            ],
            "notes": [{ "kind": "didnt-work", "agent": "beta", "text": EVIL, "seq": 5 }],
            "source": { "key": "k", "url": "javascript:alert(1)" }, "accepted": "parser#9", "may": ["reply"], "next": "start parser/7",
        })
    }

    #[test]
    fn whatever_an_issue_holds_stays_text() {
        let out = draw("/parser/issues/7", &details(), &json!(null), Some("gamma"));
        assert_eq!(out.matches("<script").count(), 1, "{out}");
        assert!(!out.contains('\u{202e}') && !out.contains("href=\"javascript"), "{out}");
        assert!(out.contains("<form class=\"write\" method=\"post\" action=\"/parser/issues/7/reply\">"), "{out}");
        assert!(
            out.contains("did not work") && out.contains("<code class=\"cmd\">ssh forge start parser/7</code>"),
            "{out}"
        );
        let nobody = draw("/parser/issues/7", &details(), &json!(null), None);
        assert!(!nobody.contains("method=\"post\"") && nobody.contains("href=\"/login?to=%2Fparser%2Fissues%2F7\""));
    }

    #[test]
    fn what_one_may_not_do_is_not_offered() {
        let of = |may: &[&str]| {
            let mut details = details();
            details["may"] = json!(may);
            draw("/parser/issues/7", &details, &json!(null), Some("gamma"))
        };
        assert!(!of(&["reply"]).contains("/issues/7/close\""));
        assert!(of(&["reply", "issue close"]).contains("action=\"/parser/issues/7/close\""));
        assert!(of(&["issue reopen"]).contains("action=\"/parser/issues/7/reopen\""));
    }

    #[test]
    fn a_refused_answer_stands_in_its_form_again() {
        let fields = [("text".to_owned(), "</textarea><b>".to_owned())];
        let action = "/parser/issues/7/reply";
        let lines = "reply: the project is full\nnext: project show parser\n";
        let written = crate::Written { status: 422, lines, action, fields: &fields, signed_out: false };
        let frame = Frame {
            path: "/parser/issues/7",
            query: "",
            viewer: Some("gamma"),
            has_feed: false,
            written: Some(&written),
            resolve: &|_| None,
        };
        let out = view(&frame, &[&details().to_string(), "null"]).unwrap();
        assert!(out.contains("required>\n&lt;/textarea&gt;&lt;b&gt;</textarea>"), "{out}");
        assert!(out.contains("<b>A rule stands against it.</b> <bdi>reply: the project is full</bdi>"), "{out}");
        assert!(written.stands_in(&out));
    }

    #[test]
    fn a_contest_stands_as_it_was_ranked() {
        let line = json!({
            "ref": "parser#9", "agent": "beta", "head": "ab".repeat(20), "place": 1, "solved": true, "level": "P2",
            "regressions": 0, "bench_us": 1500, "alike_permille": 225, "took_ms": 3_723_000, "delta_milli": 15_500,
            "decided_by": "proof", "sealed_tests": "failed", "unlaid": true, "votes": { "up": 1, "down": 0, "up_halves": 1, "down_halves": 0 }, "same_as": ["parser#8"],
        });
        let board = json!({
            "ref": "parser#7", "title": EVIL, "stage": "ranked", "difficulty": "hard", "issue_rating": 1_400_000,
            "tier": "Silver", "base": "cd".repeat(20), "command": EVIL, "bench": EVIL, "measured_by": "verifiers", "closes_ms": null, "working": 1,
            "submissions": [line], "sealed": { "state": "sealed", "commitment": "ef".repeat(32), "next": "x" },
            "next": "leaderboard simulator",
        });
        let out = draw("/parser/issues/7", &details(), &board, None);
        for cell in [
            "<td data-is=\"Benchmark\">1.500 ms</td>",
            "<td data-is=\"Like golden\">22.5%</td>",
            "<td data-is=\"Took\">1 h 02 m</td>",
            "<span class=\"ok\">+15.5</span></td>",
            "<td data-is=\"Apart by\">proof</td>",
            "<td data-is=\"Votes\">+0.5 (1 up, 0 down)</td>",
            "as verifiers ran it",
        ] {
            assert!(out.contains(cell), "{cell}: {out}");
        }
        assert!(out.contains("\">failed: they cannot be laid over its tree</td>"), "{out}");
        let mut plain = board.clone();
        for column in ["place", "bench_us", "alike_permille", "delta_milli", "decided_by", "sealed_tests"] {
            plain["submissions"][0][column] = json!(null);
        }
        plain["submissions"][0]["votes"]["up"] = json!(0);
        let plain = draw("/parser/issues/7", &details(), &plain, None);
        assert!(!plain.contains(">–</td>") && !plain.contains(">Benchmark<"), "{plain}");
        let count = |html: &str| (html.matches("<th scope=\"col\"").count(), html.matches("<td").count());
        assert_eq!((count(&out), count(&plain)), ((13, 12), (6, 5)));
        assert!(out.contains("#9</a> accepted · same change as <a href=\"/parser/pulls/8\">#8</a></td>"), "{out}");
        assert!(out.contains("#9</a> accepted") && !out.contains("id=\"answers\""), "{out}");
        assert_eq!(out.matches("<script").count(), 1);
    }
}
