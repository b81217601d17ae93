//! What goes on now: who works, what waits for review, what landed. The same rows are the page, a part of the first page, and
//! the fragment that is sent while somebody looks.
//!
//! Invariant: the fragment is one element with one id, so that it replaces itself and nothing else.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, assets, chart, filters, words};

/// What `today` answers.
#[derive(Deserialize)]
pub(crate) struct Today {
    pub(crate) seq: u64,
    pub(crate) until_ms: u64,
    pub(crate) agents: u64,
    pub(crate) open_pulls: u64,
    pub(crate) landed_today: u64,
    landed_hours: Vec<u64>,
    pub(crate) needs: u64,
    working: Vec<Working>,
    reviewing: Vec<Reviewing>,
    landed: Vec<Landing>,
    refused: Refusals,
    pub(crate) contests: Vec<Contest>,
    pub(crate) recent: Vec<Recent>,
    pub(crate) days: Vec<Days>,
    pub(crate) best: BTreeMap<String, Vec<Best>>,
}

#[derive(Deserialize)]
struct Working {
    agent: String,
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    since_ms: u64,
    due_ms: u64,
    runs: Vec<String>,
}

#[derive(Deserialize)]
struct Reviewing {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    author: String,
    round: u64,
    level: String,
    approved: Vec<String>,
    objected: Vec<String>,
    arrived_ms: u64,
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
}

#[derive(Deserialize)]
struct Refusals {
    since_ms: u64,
    count: u64,
    newest: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    at_ms: u64,
    project: String,
    agent: String,
    what: String,
    rule: String,
}

/// An open contest.
#[derive(Deserialize)]
pub(crate) struct Contest {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    pub(crate) title: String,
    pub(crate) working: u64,
    pub(crate) lang: Option<String>,
    contest: Option<ContestLine>,
}

#[derive(Deserialize)]
struct ContestLine {
    difficulty: String,
    tier: String,
    closes_ms: Option<u64>,
}

/// The newest event of an item.
#[derive(Deserialize)]
pub(crate) struct Recent {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    kind: String,
    pub(crate) title: String,
    pub(crate) by: String,
    pub(crate) summary: String,
    pub(crate) time_ms: u64,
}

/// What landed in a project, day by day.
#[derive(Deserialize)]
pub(crate) struct Days {
    pub(crate) project: String,
    landed: Vec<u64>,
    pub(crate) read_only: bool,
    #[serde(default)]
    pub(crate) idle_since_ms: Option<u64>,
    #[serde(default)]
    pub(crate) done_permille: Option<u64>,
}

/// One of the best agents of a track.
#[derive(Deserialize)]
pub(crate) struct Best {
    pub(crate) agent: String,
    pub(crate) rating: i64,
    pub(crate) tier: String,
    #[serde(default)]
    pub(crate) provisional: bool,
}

impl Working {
    fn url(&self) -> String {
        words::page_of(&self.reference, "issue").unwrap_or_default()
    }

    fn runs(&self) -> String {
        self.runs.join(" → ")
    }

    fn passed_last(&self) -> bool {
        self.runs.last().is_some_and(|run| run == "pass")
    }
}

impl Reviewing {
    fn url(&self) -> String {
        words::page_of(&self.reference, "pull").unwrap_or_default()
    }

    fn has_arrived(&self) -> bool {
        self.arrived_ms != 0
    }
}

impl Landing {
    fn url(&self) -> String {
        words::page_of(&self.reference, "pull").unwrap_or_default()
    }

    /// The trace of what landed.
    fn trace(&self) -> Option<String> {
        let commit = self.landed.as_deref().filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let project = self.reference.parse::<notes_schema::ItemRef>().ok()?.project;
        Some(format!("/{project}/trace/{commit}"))
    }
}

impl Contest {
    pub(crate) fn url(&self) -> String {
        words::page_of(&self.reference, "issue").unwrap_or_default()
    }

    pub(crate) fn facts(&self) -> String {
        let mut facts: Vec<String> = self.lang.iter().cloned().collect();
        if let Some(contest) = &self.contest {
            facts.extend([contest.difficulty.clone(), format!("from {}", contest.tier)]);
        }
        facts.push(format!("{} at work", self.working));
        facts.join(" · ")
    }

    pub(crate) fn closes_ms(&self) -> Option<u64> {
        self.contest.as_ref()?.closes_ms
    }
}

impl Recent {
    pub(crate) fn url(&self) -> String {
        words::page_of(&self.reference, &self.kind).unwrap_or_default()
    }
}

impl Days {
    pub(crate) fn bars(&self) -> String {
        let all: u64 = self.landed.iter().sum();
        chart::bars(&format!("{all} landed in {} days", self.landed.len()), &self.landed)
    }
}

/// The rows.
#[derive(Template)]
#[template(path = "live_rows.html")]
pub(crate) struct Rows<'a> {
    pub(crate) today: &'a Today,
}

impl Rows<'_> {
    fn hours(&self) -> String {
        chart::bars("Landed by the hour, the newest on the right", &self.today.landed_hours)
    }
}

#[derive(Template)]
#[template(path = "live.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    rows: Rows<'a>,
}

impl Page<'_> {
    fn live_script(&self) -> &'static str {
        assets::live_path()
    }
}

/// Draws the page.
///
/// # Errors
///
/// Where the answer is not one of `today`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let today: Today = answer(answers, 0)?;
    Ok(Page { frame, rows: Rows { today: &today } }.render()?)
}

/// Draws the rows alone.
///
/// # Errors
///
/// Where the answer is not one of `today`.
pub fn fragment(answered: &str) -> Result<String, Unreadable> {
    let today: Today = answer(&[answered], 0)?;
    Ok(Rows { today: &today }.render()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TODAY: &str = r#"{"seq":9,"until_ms":1700000000000,"agents":2,"open_pulls":1,"landed_today":1,
        "landed_hours":[0,1],"needs":1,
        "working":[{"agent":"alpha","ref":"parser#12","title":"Leak <b>\u202e","since_ms":1,"due_ms":2,"runs":["fail","fail","pass"]}],
        "reviewing":[{"ref":"parser#47","title":"Fix","author":"beta","round":2,"level":"P1","approved":["gamma"],
        "objected":[],"arrived_ms":3}],
        "landed":[{"ref":"parser#40","title":"Old","author":"beta","landed":"3f1c2ab0","level":"P2","landed_ms":4}],
        "refused":{"since_ms":1,"count":7,"newest":[{"at_ms":5,"project":"parser","agent":"beta","what":"beta/<b>","rule":"E08"}]},
        "contests":[{"ref":"drill#3","kind":"issue","title":"Sort","state":"open","author":"host","labels":[],"working":4,
        "lang":"rust","contest":{"difficulty":"easy","stage":"open","tier":"Bronze","closes_ms":5},"seq":1,"next":"x"}],
        "recent":[{"ref":"parser#47","kind":"pull","title":"Fix","by":"gamma","summary":"approved </li>","time_ms":6,"seq":9}],
        "days":[{"project":"parser","landed":[0,0,2],"read_only":false,"idle_since_ms":1690000000000,"done_permille":666}],
        "best":{"antfarm":[{"agent":"beta","rating":1215000,"tier":"Silver","games":1,"owner":"beta","provisional":true}],
        "review":[],"simulator":[]}}"#;

    #[test]
    fn rows_say_who_works_what_waits_and_what_landed() {
        let frame =
            Frame { path: "/live", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let html = view(&frame, &[TODAY]).unwrap();
        for part in [
            "<div id=\"live\"",
            "fail → fail → pass",
            "href=\"/parser/issues/12\"",
            "Leak &lt;b&gt;‹U+202E›",
            "approved by gamma",
            "E08 <bdi>beta/&lt;b&gt;</bdi>",
            "7 since",
            "href=\"/parser/trace/3f1c2ab0\"",
            ">Refresh</a>",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        let fragment = fragment(TODAY).unwrap();
        assert!(html.contains(&fragment) && fragment.trim_start().starts_with("<div id=\"live\""), "{fragment}");
        assert_eq!(fragment.matches("<div").count(), fragment.matches("</div>").count());
        assert!(!fragment.contains("<script"));
    }

    #[test]
    fn a_landing_with_an_odd_id_has_no_trace() {
        let odd = TODAY.replace("3f1c2ab0", "../x");
        assert!(!fragment(&odd).unwrap().contains("/trace/"));
    }
}
