//! What counts of the submissions to a contest, and how they place.
//!
//! Invariant: reads only. What decides is what was recorded of the head that counts; who pushed what afterwards is nothing.

use std::collections::BTreeSet;

use notes_schema::event::{ContestClosed, ContestRanked, Entry, Level, Placed, Seat};
use notes_schema::{AgentName, Oid, Sha256};

use super::{level_of, read_record};
use crate::ledger::Snapshot;
use crate::state::contest::{FIRST_PANEL, in_order};
use crate::state::{Contest, ContestState, PullState, PullStatus};
use git::store::Objects;

/// Most submissions of a contest that count.
/// Limit: submissions of a contest that count | {}, one per agent, those that came first
pub const MOST_ENTRIES: usize = 256;

/// What counts as of now: each agent's newest submission.
pub fn close(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    issue: u64,
    contest: &ContestState,
) -> ContestClosed {
    let began_ms = contest.closes_ms.unwrap_or(0).saturating_sub(contest.runs_ms);
    let arrived = |n: u64| (snapshot.fold.arrived_ms(n), n);
    let mut newest: Vec<(u64, &PullState)> = Vec::new();
    for (n, pull) in snapshot.fold.answers(issue).filter(|(_, pull)| pull.status != PullStatus::Closed) {
        match newest.iter_mut().find(|(_, other)| other.author == pull.author) {
            Some(slot) if arrived(n) > arrived(slot.0) => *slot = (n, pull),
            Some(_) => {}
            None => newest.push((n, pull)),
        }
    }
    newest.sort_by_key(|(n, _)| arrived(*n));
    newest.truncate(MOST_ENTRIES);
    let entry = |(n, pull): &(u64, &PullState)| {
        let work = snapshot.fold.work_on(&pull.author, issue);
        Entry {
            agent: pull.author.clone(),
            pull: *n,
            head: pull.head,
            record: deciding(snapshot, objects, pull, &contest.command),
            took_ms: arrived(*n).0.saturating_sub(work.map_or(began_ms, |work| work.since_ms)),
        }
    };
    let mut entries: Vec<Entry> = newest.iter().map(entry).collect();
    entries.sort_by(|a, b| a.agent.cmp(&b.agent));
    let idle = |agent: &&AgentName| entries.binary_search_by(|entry| entry.agent.cmp(agent)).is_err();
    let expired = snapshot.fold.workers_on(issue).filter(idle).take(MOST_ENTRIES).cloned().collect();
    let candidates = candidates(snapshot, root, issue, &entries);
    ContestClosed { entries, expired, candidates }
}

/// Most candidates that a close names.
/// Limit: candidates for the verification of a contest | {}, by name
const MOST_CANDIDATES: usize = 256;

/// Who may verify what was submitted; nobody where two owners cannot be had, or nothing is there to verify.
fn candidates(snapshot: &Snapshot, root: &Snapshot, issue: u64, entries: &[Entry]) -> Vec<AgentName> {
    let owner = |agent: &AgentName| root.fold.owner(agent);
    let opener = snapshot.fold.issue(issue).map(|issue| owner(&issue.author));
    let involved: BTreeSet<AgentName> = entries.iter().map(|entry| owner(&entry.agent)).chain(opener).collect();
    let offering = root.fold.verifiers.iter().filter(|agent| root.fold.is_vouched(agent));
    let free: Vec<AgentName> = offering.filter(|agent| !involved.contains(&owner(agent))).cloned().collect();
    let owners: BTreeSet<AgentName> = free.iter().map(owner).collect();
    let anything = entries.iter().any(|entry| entry.record.is_some());
    if owners.len() < FIRST_PANEL || !anything { Vec::new() } else { free.into_iter().take(MOST_CANDIDATES).collect() }
}

/// Who is to run `pull` again besides those who sit already: the first in the order of the draw, each of another owner, until
/// there are `seats`.
pub fn draw(root: &Snapshot, contest: &Contest, beacon: &Oid, pull: u64, seats: usize) -> Vec<Seat> {
    let owner = |agent: &AgentName| root.fold.owner(agent);
    let sitting = contest.seats.iter().filter(|seat| seat.pull == pull);
    let mut owners: BTreeSet<AgentName> = sitting.map(|seat| owner(&seat.agent)).collect();
    let mut drawn = Vec::new();
    for agent in contest.order(beacon, pull) {
        if owners.len() < seats && owners.insert(owner(agent)) {
            drawn.push(Seat { pull, agent: agent.clone() });
        }
    }
    drawn
}

/// The record of an author's passing run of `command` on the tree of its head, the best one.
fn deciding(snapshot: &Snapshot, objects: &dyn Objects, pull: &PullState, command: &str) -> Option<Sha256> {
    let tree = objects.commit(pull.head).ok()?.tree;
    let own = snapshot.records_on(tree).rev().filter(|known| known.agent == pull.author);
    let passing = own.filter(|known| {
        read_record(objects, known).is_some_and(|record| {
            record.subject.is_none() && record.last().succeeded() && record.last().command() == command
        })
    });
    // A signed one shows more than an unsigned one that came later.
    passing.max_by_key(|known| known.signed.is_some()).map(|known| known.digest)
}

/// How what counts places, by what is known of each submission now.
pub fn rank(snapshot: &Snapshot, root: &Snapshot, objects: &dyn Objects, entries: &[Entry]) -> ContestRanked {
    let placed = entries.iter().map(|entry| {
        let level = level_by(snapshot, root, objects, entry.record);
        Placed {
            agent: entry.agent.clone(),
            pull: entry.pull,
            place: 0,
            solved: level != Level::P0 && level != Level::PX,
            level,
            regressions: 0,
            bench_us: None,
            alike_permille: None,
            took_ms: entry.took_ms,
        }
    });
    in_order(placed.collect())
}

/// The same contest again, where what was refuted since, or is refuted no longer, changes it. Everything else stays as it
/// was when it was decided.
pub fn rank_again(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    contest: &Contest,
) -> Option<ContestRanked> {
    let (_, first) = contest.rankings.front()?;
    let again = first.iter().map(|was| {
        let record = contest.entries.iter().find(|entry| entry.pull == was.pull).and_then(|entry| entry.record);
        match level_by(snapshot, root, objects, record) {
            Level::PX => Placed { level: Level::PX, solved: false, ..was.clone() },
            // Refuted when it was decided, and cleared since.
            level if was.level == Level::PX => Placed { level, solved: level != Level::P0, ..was.clone() },
            _ => was.clone(),
        }
    });
    let ranked = in_order(again.collect());
    (ranked.places != contest.places()).then_some(ranked)
}

fn level_by(snapshot: &Snapshot, root: &Snapshot, objects: &dyn Objects, record: Option<Sha256>) -> Level {
    let known = record.and_then(|record| snapshot.records.get(&record));
    let read = known.and_then(|known| Some((known, read_record(objects, known)?)));
    read.map_or(Level::P0, |(known, record)| level_of(snapshot, root, known, &record))
}

/// The head that counts of a pull request that was submitted to a contest which is closed, and the record that proves it.
pub fn counted(snapshot: &Snapshot, n: u64) -> Option<(Oid, Option<Sha256>)> {
    let issue = snapshot.fold.pull(n)?.issue?;
    let entry = snapshot.fold.contests.of(issue)?.entries.iter().find(|entry| entry.pull == n)?;
    Some((entry.head, entry.record))
}
