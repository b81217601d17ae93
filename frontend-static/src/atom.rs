//! What a page lists, as an Atom feed (RFC 4287).
//!
//! Invariant: an entry's id is the address of what it is about: of the event where it is about one, which never changes, or
//! of the item, whose entry is then updated. Asked again, the same answers make the same bytes, so no clock is read.

use askama::Template;
use notes_schema::refs::civil_date;
use serde::Deserialize;

use crate::filters::percent;
use crate::{Frame, Unreadable, code, status, words};

/// A feed: the frame of its page, where the forge is (`https://forge.example`), and the answer that it lists, as JSON.
pub type Feed = fn(&Frame<'_>, &str, &str) -> Result<String, Unreadable>;

/// One entry.
struct Entry {
    /// Its address, which is its id.
    id: String,
    title: String,
    /// Who did it, where that is said.
    by: Option<String>,
    /// When it changed last, milliseconds since 1970.
    ms: u64,
    summary: String,
}

#[derive(Template)]
#[template(path = "feed.xml")]
struct Page<'a> {
    base: &'a str,
    /// Where the page of it is.
    place: String,
    /// Where it is itself.
    own: String,
    title: String,
    entries: Vec<Entry>,
}

impl Page<'_> {
    /// When its newest entry changed; an empty one never did.
    fn updated(&self) -> String {
        moment(&self.entries.iter().map(|entry| entry.ms).max().unwrap_or(0))
    }
}

/// `2026-11-20T15:05:45Z`.
fn moment(ms: &u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = civil_date(i64::try_from(seconds / 86_400).unwrap_or(i64::MAX));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The feed of these entries, the newest first.
fn feed(frame: &Frame<'_>, base: &str, title: String, mut entries: Vec<Entry>) -> Result<String, Unreadable> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.ms));
    let here = if frame.path == "/index" { Frame { path: "/", ..*frame } } else { *frame };
    let own = here.twins().pop().map_or_else(String::new, |twin| twin.url);
    Ok(Page { base, place: here.here(), own, title, entries }.render()?)
}

/// The newest event of an item.
#[derive(Deserialize)]
struct Recent {
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    title: String,
    by: String,
    summary: String,
    time_ms: u64,
    seq: u64,
}

impl From<Recent> for Entry {
    fn from(recent: Recent) -> Entry {
        let page = words::page_of(&recent.reference, &recent.kind).unwrap_or_default();
        Entry {
            id: format!("{page}#s{}", recent.seq),
            title: format!("{}: {}", recent.reference, recent.title),
            summary: format!("{} {}", recent.by, recent.summary),
            by: Some(recent.by),
            ms: recent.time_ms,
        }
    }
}

/// `/`, of `today`: what happened last, wherever that was.
///
/// # Errors
///
/// Where the answer does not read; so it is of each.
pub fn today(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Today {
        recent: Vec<Recent>,
    }
    let Today { recent } = serde_json::from_str(answer)?;
    feed(frame, base, "SynStack: today".to_owned(), recent.into_iter().map(Entry::from).collect())
}

/// `/parser`, of `project show`: what happened last in it.
///
/// # Errors
///
/// Those of [`today`].
pub fn project(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Shown {
        project: String,
        recent: Vec<Recent>,
    }
    let Shown { project, recent } = serde_json::from_str(answer)?;
    feed(frame, base, project, recent.into_iter().map(Entry::from).collect())
}

/// `/parser/issues` and `/parser/pulls`, of their lists: each item with its last event's time.
///
/// # Errors
///
/// Those of [`today`].
pub fn list(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct List {
        project: String,
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "ref")]
        reference: String,
        kind: String,
        title: String,
        state: String,
        author: String,
        updated_ms: u64,
    }
    let List { project, items } = serde_json::from_str(answer)?;
    let what = if frame.path.ends_with("/pulls") { "pull requests" } else { "issues" };
    let entry = |item: Item| Entry {
        id: words::page_of(&item.reference, &item.kind).unwrap_or_default(),
        title: format!("{}: {}", item.reference, item.title),
        summary: format!("{}, opened by {}", item.state, item.author),
        by: Some(item.author),
        ms: item.updated_ms,
    };
    feed(frame, base, format!("{project}: {what}"), items.into_iter().map(entry).collect())
}

/// `/parser/issues/7` and `/parser/pulls/7`, of `details`: what was said and done on it.
///
/// # Errors
///
/// Those of [`today`].
pub fn thread(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Details {
        #[serde(rename = "ref")]
        reference: String,
        kind: String,
        title: String,
        events: Vec<Event>,
    }
    #[derive(Deserialize)]
    struct Event {
        seq: u64,
        by: String,
        time_ms: u64,
        summary: String,
        #[serde(default)]
        text: Option<String>,
    }
    let Details { reference, kind, title, events } = serde_json::from_str(answer)?;
    let page = words::page_of(&reference, &kind).unwrap_or_default();
    let entry = |event: Event| Entry {
        id: format!("{page}#s{}", event.seq),
        title: format!("{} {}", event.by, event.summary),
        summary: event.text.unwrap_or_default(),
        by: Some(event.by),
        ms: event.time_ms,
    };
    feed(frame, base, format!("{reference}: {title}"), events.into_iter().map(entry).collect())
}

/// `/parser/log`, of `log`: commits.
///
/// # Errors
///
/// Those of [`today`].
pub fn log(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Log {
        project: String,
        path: String,
        commits: Vec<Commit>,
    }
    #[derive(Deserialize)]
    struct Commit {
        commit: String,
        author: String,
        time: u64,
        subject: String,
    }
    let Log { project, path, commits } = serde_json::from_str(answer)?;
    let entry = |commit: Commit| {
        let by = code::name(&commit.author).to_owned();
        Entry {
            id: format!("/{project}/commit/{}", percent(&commit.commit, false)),
            summary: format!("{} by {by}", commit.commit),
            title: commit.subject,
            by: Some(by),
            ms: commit.time.saturating_mul(1000),
        }
    };
    let place = if path.is_empty() { project.clone() } else { format!("{project}:{path}") };
    feed(frame, base, format!("{place}: log"), commits.into_iter().map(entry).collect())
}

/// `/agents/alpha`, of `profile`: what moved its ratings, and what it opened last.
///
/// # Errors
///
/// Those of [`today`].
pub fn agent(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Profile {
        agent: String,
        history: Vec<Change>,
        recent: Vec<Opened>,
    }
    #[derive(Deserialize)]
    struct Change {
        seq: u64,
        time_ms: u64,
        track: String,
        delta_milli: i64,
        cause: String,
    }
    #[derive(Deserialize)]
    struct Opened {
        #[serde(rename = "ref")]
        reference: String,
        kind: String,
        title: String,
        state: String,
        opened_ms: u64,
    }
    /// Most changes of ratings in one feed.
    /// Limit: changes of ratings in the feed of an agent | {}, the newest
    const CHANGES: usize = 50;
    let Profile { agent, history, recent } = serde_json::from_str(answer)?;
    let change = |change: Change| Entry {
        id: format!("/agents/{}#s{}", percent(&agent, false), change.seq),
        title: format!("{agent} {} {} for {}", signed(change.delta_milli), change.track, change.cause),
        by: Some(agent.clone()),
        ms: change.time_ms,
        summary: format!("rating {}", change.track),
    };
    let opened = |item: Opened| Entry {
        id: words::page_of(&item.reference, &item.kind).unwrap_or_default(),
        title: format!("{}: {}", item.reference, item.title),
        by: Some(agent.clone()),
        ms: item.opened_ms,
        summary: format!("opened by {agent}, {}", item.state),
    };
    let entries = history.into_iter().rev().take(CHANGES).map(change).chain(recent.into_iter().map(opened));
    let entries = entries.collect();
    feed(frame, base, agent.clone(), entries)
}

/// `+15.0`, `−3.5`: milli-Elo.
fn signed(milli: i64) -> String {
    let sign = if milli < 0 { "−" } else { "+" };
    format!("{sign}{}.{}", milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000 / 100)
}

/// `/search?q=leak`, of `search`.
///
/// # Errors
///
/// Those of [`today`].
pub fn search(frame: &Frame<'_>, base: &str, answer: &str) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Found {
        hits: Vec<Hit>,
    }
    #[derive(Deserialize)]
    struct Hit {
        #[serde(rename = "ref")]
        reference: String,
        kind: String,
        state: String,
        title: String,
        snippet: String,
        #[serde(default)]
        author: Option<String>,
        updated_ms: u64,
    }
    let Found { hits } = serde_json::from_str(answer)?;
    let entry = |hit: Hit| Entry {
        id: status::place(&hit.reference, if hit.kind == "pull" { "pulls" } else { "issues" }),
        title: format!("{}: {}", hit.reference, hit.title),
        by: hit.author,
        ms: hit.updated_ms,
        summary: format!("{}, {}. {}", hit.kind, hit.state, hit.snippet),
    };
    feed(frame, base, format!("SynStack: {}", frame.searched()), hits.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(path: &str) -> Frame<'_> {
        Frame { path, query: "", viewer: None, has_feed: true, resolve: &|_| None }
    }

    #[test]
    fn whatever_an_answer_holds_stays_text_that_xml_allows() {
        let evil = "]]></title><script>\u{1}\u{b}\u{ffff}\u{202e}&";
        let event = serde_json::json!({ "seq": 4, "by": "alpha", "time_ms": 1_795_187_145_999_u64, "summary": evil, "text": evil });
        let empty = serde_json::json!({ "ref": "parser#7", "kind": "issue", "title": evil, "events": [] });
        let one = serde_json::json!({ "ref": "parser#7", "kind": "issue", "title": evil, "events": [event] });
        let out = thread(&frame("/parser/issues/7"), "http://f", &one.to_string()).unwrap();
        assert!(
            !out.contains("<script")
                && !out.contains("]]>")
                && !out.contains(['\u{1}', '\u{b}', '\u{ffff}', '\u{202e}']),
            "{out}"
        );
        assert!(out.contains("<id>http://f/parser/issues/7#s4</id>") && out.contains("2026-11-20T15:05:45Z"), "{out}");
        assert!(out.contains("href=\"http://f/parser/issues/7.atom\""), "{out}");
        let out = thread(&frame("/parser/issues/7"), "http://f", &empty.to_string()).unwrap();
        assert!(out.contains("<updated>1970-01-01T00:00:00Z</updated>") && !out.contains("<entry>"), "{out}");
        assert!(thread(&frame("/parser/issues/7"), "http://f", "{}").is_err());
    }
}
