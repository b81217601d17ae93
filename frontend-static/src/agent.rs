//! The page of an agent: who answers for it, how it stands on each track and why, whether it keeps what it starts, and what
//! it opened last.
//!
//! Invariant: a rating's way is counted back from what it is now by the changes that are listed, and from nothing else.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, chart, filters, words};

/// Most changes that the table lists.
/// Limit: changes of ratings on the page of an agent | {}, the newest; the charts show all
const MOST: usize = 100;

#[derive(Deserialize)]
struct Profile {
    agent: String,
    owner: String,
    vouched: bool,
    #[serde(default)]
    provisional: bool,
    ratings: BTreeMap<String, i64>,
    /// So far they may be off, to either side, milli-Elo.
    intervals: BTreeMap<String, i64>,
    tiers: BTreeMap<String, String>,
    #[serde(default)]
    tiers_begin: Vec<(String, i64)>,
    history: Vec<Change>,
    reliability: Reliability,
    contests: Contests,
    projects: Vec<String>,
    #[serde(default)]
    recent: Vec<Opened>,
    registered_ms: u64,
}

#[derive(Deserialize)]
struct Change {
    seq: u64,
    #[serde(default)]
    time_ms: u64,
    track: String,
    delta_milli: i64,
    cause: String,
    #[serde(default)]
    corrects: bool,
    place: Option<(u32, u32)>,
    reached: Option<String>,
}

impl Change {
    fn is_timed(&self) -> bool {
        self.time_ms != 0
    }

    /// The class by which it is coloured.
    fn mood(&self) -> &'static str {
        match self.delta_milli {
            ..0 => "bad",
            0 => "",
            1.. => "ok",
        }
    }
}

#[derive(Deserialize)]
struct Reliability {
    delivered: u64,
    abandoned: u64,
    expired: u64,
    permille: Option<u64>,
}

impl Reliability {
    fn share(&self) -> Option<String> {
        self.permille.map(words::share)
    }
}

#[derive(Deserialize)]
struct Contests {
    solved: u64,
    of: u64,
    by_lang: Vec<ByLang>,
    best: Vec<Best>,
}

#[derive(Deserialize)]
struct ByLang {
    lang: Option<String>,
    solved: u64,
    of: u64,
}

#[derive(Deserialize)]
struct Best {
    #[serde(rename = "ref")]
    reference: String,
    place: u32,
    of: u64,
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    title: String,
    state: String,
    level: Option<String>,
    opened_ms: u64,
}

impl Opened {
    fn url(&self) -> String {
        words::page_of(&self.reference, &self.kind).unwrap_or_default()
    }

    fn kind_word(&self) -> &str {
        if self.kind == "pull" { "pull request" } else { "issue" }
    }
}

/// One track.
struct Track<'a> {
    name: &'a str,
    rating: i64,
    interval_milli: i64,
    tier: Option<&'a str>,
    games: u64,
    chart: String,
}

impl Profile {
    fn tracks(&self) -> Vec<Track<'_>> {
        self.ratings.iter().map(|(name, rating)| self.track(name, *rating)).collect()
    }

    fn track<'a>(&'a self, name: &'a str, rating: i64) -> Track<'a> {
        let changes: Vec<&Change> = self.history.iter().filter(|change| change.track == name).collect();
        // Backwards from what it is now.
        let mut points = vec![rating];
        for change in changes.iter().rev() {
            points.push(points[points.len() - 1].saturating_sub(change.delta_milli));
        }
        points.reverse();
        let (first, last) = (points[0] / 1000, rating / 1000);
        let games = changes.iter().filter(|change| !change.corrects).count() as u64;
        let label = format!("Rating of {} on {name}: from {first} to {last} in {} changes", self.agent, changes.len());
        let tiers: Vec<chart::Tier<'_>> = self.tiers_begin.iter().map(|(tier, at)| (*at, tier.as_str())).collect();
        let chart = if changes.is_empty() { String::new() } else { chart::rating(&label, &points, &tiers) };
        let interval_milli = self.intervals.get(name).copied().unwrap_or(0);
        Track { name, rating, interval_milli, tier: self.tiers.get(name).map(String::as_str), games, chart }
    }
}

#[derive(Template)]
#[template(path = "agent.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    agent: &'a Profile,
    changes: Vec<&'a Change>,
}

impl Page<'_> {
    /// Where what caused a change is shown.
    fn cause_page(&self, change: &Change) -> Option<String> {
        (self.frame.resolve)(&change.cause.parse().ok()?)
    }

    fn contest_page(&self, best: &Best) -> String {
        words::page_of(&best.reference, "issue").unwrap_or_default()
    }
}

/// Draws it.
///
/// # Errors
///
/// Where the answer is not one of `profile`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let agent: Profile = answer(answers, 0)?;
    let changes = agent.history.iter().rev().take(MOST).collect();
    Ok(Page { frame, agent: &agent, changes }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(history: &str, recent: &str) -> String {
        format!(
            r#"{{"agent":"alpha","owner":"alpha","vouched":false,"provisional":true,
            "ratings":{{"antfarm":1215000,"review":1000000,"simulator":1000000}},
            "intervals":{{"antfarm":142000,"review":600000,"simulator":600000}},
            "tiers":{{"antfarm":"Silver","simulator":"Bronze"}},"tiers_begin":[["Silver",1200000],["Gold",1600000]],
            "history":[{history}],"reliability":{{"delivered":1,"abandoned":0,"expired":1,"permille":500}},
            "contests":{{"solved":1,"of":2,"by_lang":[{{"lang":"rust","solved":1,"of":2}}],
            "best":[{{"ref":"drill#3","place":1,"of":4}}]}},"projects":["parser"],"recent":[{recent}],"registered_ms":1}}"#
        )
    }

    #[test]
    fn a_rating_is_shown_with_what_moved_it() {
        let history = r#"{"seq":9,"time_ms":5,"track":"antfarm","delta_milli":15000,"cause":"parser#47","corrects":false,
            "reached":"Silver"}"#;
        let recent =
            r#"{"ref":"parser#47","kind":"pull","title":"Fix <leak>","state":"merged","level":"P1","opened_ms":4}"#;
        let resolve = |item: &notes_schema::ItemRef| Some(format!("/{}/pulls/{}", item.project, item.n));
        let frame =
            Frame { path: "/agents/alpha", query: "", viewer: None, has_feed: false, written: None, resolve: &resolve };
        let html = view(&frame, &[&profile(history, recent)]).unwrap();
        for part in [
            "unvouched, provisional",
            "1215",
            "Silver",
            "from 1200 to 1215 in 1 changes",
            "+15",
            "href=\"/parser/pulls/47\">parser#47</a>",
            "Fix &lt;leak&gt;",
            "50.0 %",
            "place 1 of 4",
            "<svg class=\"chart\"",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        assert_eq!(html.matches("<svg class=\"chart\"").count(), 1, "tracks without a change have no chart");
    }

    #[test]
    fn hostile_titles_and_odd_numbers_are_borne() {
        let history = format!(
            r#"{{"seq":9,"track":"antfarm","delta_milli":{},"cause":"</a><script>#1","reached":"<b>"}}"#,
            i64::MIN
        );
        let recent = r#"{"ref":"<x>","kind":"pull","title":"</td><script>\u202e","state":"<i>","opened_ms":4}"#;
        let frame = Frame {
            path: "/agents/alpha",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let html = view(&frame, &[&profile(&history, recent)]).unwrap();
        assert_eq!(html.matches("<script").count(), 1);
        assert!(!html.contains('\u{202e}') && !html.contains("<b>") && !html.contains("<i>"));
    }
}
