//! The watcher: what agents were told against what the ledgers hold.
//!
//! Invariant: pure. What was told comes from the answers alone, what is held from the ledgers alone.

use std::collections::{BTreeMap, HashMap};

use notes_schema::Oid;

use crate::bench::fate::{Contradiction, Fate};

/// Microseconds since the run began.
pub(super) type Moment = u64;

/// One act as its agent remembers it.
#[derive(Debug, Clone)]
pub(super) struct Act {
    /// What it did, in the words of [`keys`].
    pub key: String,
    /// The repository that it is written in.
    pub repository: String,
    /// When it was asked.
    pub began: Moment,
    /// When the answer was there.
    pub ended: Moment,
    /// What the answer was.
    pub fate: Fate,
    /// The number in the whole forge that the answer named.
    pub seq: Option<u64>,
    /// What else the answer named: the id, the reference, the nonce.
    pub value: Option<String>,
}

/// A look at a cursor, and then at where each ledger was.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub began: Moment,
    pub ended: Moment,
    /// What the feed said that it reflects.
    pub cursor: u64,
    /// Ledger refs, read after the cursor.
    pub tips: Vec<(String, Oid)>,
}

/// One thing that a ledger says was done.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// As in [`Act::key`].
    pub key: String,
    /// The repository.
    pub repository: String,
    /// Number of its ledger commit.
    pub batch: u64,
    /// Its number in the whole forge; a push has none.
    pub seq: Option<u64>,
    /// As in [`Act::value`].
    pub value: String,
}

/// What the ledgers hold.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub written: Vec<Written>,
    /// Number of each ledger commit.
    pub batches: HashMap<(String, Oid), u64>,
    /// Every event's number in the whole forge, with repository and batch.
    pub events: Vec<(u64, String, u64)>,
    /// Where each ref ends.
    pub refs: BTreeMap<(String, String), Oid>,
}

/// How acts are named, by those who do them and by those who read the ledger.
pub(super) mod keys {
    pub fn agent(name: &str) -> String {
        format!("register {name}")
    }
    pub fn token(name: &str) -> String {
        format!("token of {name}")
    }
    pub fn issue(project: &str, title: &str) -> String {
        format!("open {project} '{title}'")
    }
    pub fn start(project: &str, issue: u64, agent: &str) -> String {
        format!("start {project}#{issue} by {agent}")
    }
    pub fn push(project: &str, name: &str) -> String {
        format!("push {project} {name}")
    }
    pub fn submit(project: &str, branch: &str) -> String {
        format!("submit {project} {branch}")
    }
    pub fn review(project: &str, pull: u64, agent: &str) -> String {
        format!("review {project}#{pull} by {agent}")
    }
    pub fn merge(project: &str, pull: u64) -> String {
        format!("merge {project}#{pull}")
    }
    pub fn landing(project: &str, id: &str) -> String {
        format!("land {project} {id}")
    }
    pub fn rating(project: &str, pull: u64) -> String {
        format!("rate {project}#{pull}")
    }
}

/// What was found, a line for each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Acknowledged and not there, or not as it was acknowledged.
    pub lost: Vec<String>,
    /// There more than once.
    pub duplicated: Vec<String>,
    /// Acknowledged before another began, and numbered after it.
    pub reordered: Vec<String>,
    /// Passed by a cursor and not there then.
    pub skipped: Vec<String>,
    /// Refused, and there.
    pub unasked: Vec<String>,
}

/// Holds what was told against what is held. `tips` are the branches as the last acknowledged push left them.
pub(super) fn judge(acts: &[Act], looks: &[Look], tips: &[(String, String, Oid)], history: &History) -> Findings {
    let mut findings = Findings::default();
    let mut found: HashMap<&str, Vec<&Written>> = HashMap::new();
    for written in &history.written {
        found.entry(&written.key).or_default().push(written);
    }
    let mut placed: Vec<(&Act, &Written)> = Vec::new();
    for act in acts {
        let there = found.get(act.key.as_str()).map_or(&[][..], Vec::as_slice);
        match act.fate.contradicted(there.len()) {
            Some(Contradiction::Missing) => findings.lost.push(act.key.clone()),
            Some(Contradiction::Repeated) => findings.duplicated.push(format!("{}, {} times", act.key, there.len())),
            Some(Contradiction::Unasked) => findings.unasked.push(act.key.clone()),
            None => {}
        }
        if let (Fate::Done, [one]) = (act.fate, there) {
            let other = act.value.as_ref().is_some_and(|value| *value != one.value)
                || act.seq.is_some_and(|seq| one.seq != Some(seq))
                || act.repository != one.repository;
            if other {
                findings.lost.push(format!("{}, which stands there as {one:?}", act.key));
            }
            placed.push((act, one));
        }
    }
    // What nobody asked for twice may not be there twice either, whoever remembers it.
    let remembered: std::collections::HashSet<&str> = acts.iter().map(|act| act.key.as_str()).collect();
    for (key, there) in found.iter().filter(|(key, there)| there.len() > 1 && !remembered.contains(**key)) {
        findings.duplicated.push(format!("{key}, {} times", there.len()));
    }
    for (repository, name, tip) in tips {
        let there = history.refs.get(&(repository.clone(), name.clone()));
        if there != Some(tip) {
            findings.lost.push(format!("{repository} {name} at {tip}; it is at {there:?}"));
        }
    }
    order(&placed, &mut findings);
    cursors(&placed, looks, history, &mut findings);
    findings
}

/// Who was told yes before another asked stands before it: in its repository, and in the whole forge.
fn order(placed: &[(&Act, &Written)], findings: &mut Findings) {
    let mut repositories: BTreeMap<&str, Vec<&(&Act, &Written)>> = BTreeMap::new();
    for one in placed {
        repositories.entry(&one.1.repository).or_default().push(one);
    }
    let mut say = |what: &str, (early, late): (&str, &str)| {
        findings.reordered.push(format!("{early} was acknowledged before {late} was asked, and has the higher {what}"));
    };
    for in_one in repositories.values() {
        let ended: Vec<_> = in_one.iter().map(|(act, at)| (act.ended, at.batch, act.key.as_str())).collect();
        let began: Vec<_> = in_one.iter().map(|(act, at)| (act.began, at.batch, act.key.as_str())).collect();
        overtaken(ended, began, |early, late| early >= late).for_each(|pair| say("batch", pair));
    }
    let numbered = || placed.iter().filter_map(|(act, at)| Some((act, at.seq?)));
    let ended = numbered().map(|(act, q)| (act.ended, q, act.key.as_str())).collect();
    let began = numbered().map(|(act, q)| (act.began, q, act.key.as_str())).collect();
    overtaken(ended, began, |early, late| early >= late).for_each(|pair| say("number", pair));
}

/// Cursors only grow, pass nothing that is yet to be written, and name a moment at which all below them was there.
fn cursors(placed: &[(&Act, &Written)], looks: &[Look], history: &History, findings: &mut Findings) {
    let seen = |when: fn(&Look) -> Moment| looks.iter().map(move |look| (when(look), look.cursor, "a cursor"));
    let (ended, began) = (|| seen(|look| look.ended).collect(), seen(|look| look.began).collect());
    let back = overtaken(ended(), began, |early, late| early > late).count();
    findings.skipped.extend((0..back).map(|_| "a cursor that went back".to_owned()));
    let asked = placed.iter().filter_map(|(act, at)| Some((act.began, at.seq?, act.key.as_str()))).collect();
    for (_, late) in overtaken(ended(), asked, |cursor, seq| cursor >= seq) {
        findings.skipped.push(format!("{late}, asked after a cursor had passed its number"));
    }
    let mut events: Vec<&(u64, String, u64)> = history.events.iter().collect();
    events.sort();
    let mut looked: Vec<&Look> = looks.iter().filter(|look| !look.tips.is_empty()).collect();
    looked.sort_by_key(|look| look.cursor);
    // The highest batch of each repository that holds an event up to the cursor.
    let (mut newest, mut events) = (HashMap::<&str, u64>::new(), events.into_iter().peekable());
    for look in looked {
        while let Some((_, repository, batch)) = events.next_if(|(q, _, _)| *q <= look.cursor) {
            let newest = newest.entry(repository).or_default();
            *newest = (*newest).max(*batch);
        }
        for (repository, tip) in &look.tips {
            let at = history.batches.get(&(repository.clone(), *tip));
            let Some(at) = at else {
                findings.lost.push(format!("{repository}: ledger commit {tip}, which was served"));
                continue;
            };
            let passed = newest.get(repository.as_str()).copied().unwrap_or(0);
            if passed > *at {
                let cursor = look.cursor;
                findings.skipped.push(format!("{repository} was at batch {at} when cursor {cursor} passed {passed}"));
            }
        }
    }
}

/// Every late one whose number does not fit the highest of those that had ended before it began, with that one. A list
/// holds when, which number, and whose.
fn overtaken<'a>(
    mut ended: Vec<(Moment, u64, &'a str)>,
    mut began: Vec<(Moment, u64, &'a str)>,
    wrong: impl Fn(u64, u64) -> bool,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    ended.sort();
    began.sort();
    let (mut ended, mut highest) = (ended.into_iter().peekable(), None::<(u64, &str)>);
    let found: Vec<(&str, &str)> = began
        .into_iter()
        .filter_map(|(moment, late, whose)| {
            while let Some((_, number, early)) = ended.next_if(|(when, _, _)| *when < moment) {
                highest = highest.max(Some((number, early)));
            }
            let (early, first) = highest?;
            wrong(early, late).then_some((first, whose))
        })
        .collect();
    found.into_iter()
}

#[cfg(test)]
mod tests;
