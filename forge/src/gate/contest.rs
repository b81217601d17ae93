//! What counts of the submissions to a contest, and how they place.
//!
//! Invariant: reads only. What decides is what was recorded of the head that counts; who pushed what afterwards is nothing.
//! What cannot be read decides nothing: it is an error, and whoever asks tries again.

use std::collections::{BTreeMap, BTreeSet};

use notes_schema::event::{ContestClosed, ContestRanked, Entry, Level, Placed, Seat};
use notes_schema::trace::Record;
use notes_schema::{AgentName, Oid, Sha256};

use super::{level_of, read_record};
use crate::answer::{Code, Refusal};
use crate::ledger::{KnownRecord, Snapshot};
use crate::state::contest::in_order;
use crate::state::panel::{FIRST_PANEL, Tested};
use crate::state::{Contest, ContestState, PullState, PullStatus};
use git::alike::Alike;
use git::store::Objects;
use hooks::benches::taken_us;

/// Most submissions of a contest that count.
/// Limit: submissions of a contest that count | {}, one per agent; those of vouched agents first, of each owner one before another's second, then those that came first
pub const MOST_ENTRIES: usize = 256;

/// What counts as of now: each agent's newest submission. Of those who offer to verify, `believed` are candidates.
pub fn close(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    (issue, contest): (u64, &ContestState),
    believed: &dyn Fn(&AgentName) -> bool,
) -> Result<ContestClosed, Refusal> {
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
    let submitted: BTreeSet<&AgentName> = newest.iter().map(|(_, pull)| &pull.author).collect();
    let newest = those_that_count(newest, MOST_ENTRIES, |(_, pull)| {
        (root.fold.is_vouched(&pull.author), root.fold.owner(&pull.author))
    });
    let entry = |(n, pull): &(u64, &PullState)| {
        let work = snapshot.fold.work_on(&pull.author, issue);
        Ok(Entry {
            agent: pull.author.clone(),
            pull: *n,
            head: pull.head,
            record: deciding(snapshot, objects, pull, &contest.command)?,
            bench: match &contest.bench {
                Some(bench) => measuring(snapshot, objects, (pull.head, &pull.author), bench)?,
                None => None,
            },
            took_ms: arrived(*n).0.saturating_sub(work.map_or(began_ms, |work| work.since_ms)),
        })
    };
    let mut entries = newest.iter().map(entry).collect::<Result<Vec<Entry>, Refusal>>()?;
    entries.sort_by(|a, b| a.agent.cmp(&b.agent));
    let idle = |agent: &&AgentName| !submitted.contains(agent);
    let expired = snapshot.fold.works.on(issue).filter(idle).take(MOST_ENTRIES).cloned().collect();
    let candidates = candidates(snapshot, root, issue, &entries, believed);
    Ok(ContestClosed { entries, expired, candidates })
}

/// Of more than may count, in the order in which they came, those that do: names cost nothing, so who registered many does not push
/// out who has one. `whose` says of each whether somebody vouched for its agent, and who its owner is.
fn those_that_count<T>(came: Vec<T>, most: usize, whose: impl Fn(&T) -> (bool, AgentName)) -> Vec<T> {
    if came.len() <= most {
        return came;
    }
    let mut turns: BTreeMap<AgentName, usize> = BTreeMap::new();
    let mut ordered: Vec<((bool, usize), T)> = Vec::with_capacity(came.len());
    for one in came {
        let (is_vouched, owner) = whose(&one);
        let turn = turns.entry(owner).or_default();
        ordered.push(((!is_vouched, *turn), one));
        *turn += 1;
    }
    // Stable: equals stay as they came.
    ordered.sort_by_key(|(order, _)| *order);
    ordered.into_iter().take(most).map(|(_, one)| one).collect()
}

/// Most candidates that a close names.
/// Limit: candidates for the verification of a contest | {}, by name
const MOST_CANDIDATES: usize = 256;

/// Who may verify what was submitted; nobody where two owners cannot be had, or nothing is there to verify.
fn candidates(
    snapshot: &Snapshot,
    root: &Snapshot,
    issue: u64,
    entries: &[Entry],
    believed: &dyn Fn(&AgentName) -> bool,
) -> Vec<AgentName> {
    let owner = |agent: &AgentName| root.fold.owner(agent);
    let opener = snapshot.fold.issue(issue).map(|issue| owner(&issue.author));
    let involved: BTreeSet<AgentName> = entries.iter().map(|entry| owner(&entry.agent)).chain(opener).collect();
    let offering = root.fold.verifiers.iter().filter(|agent| root.fold.is_vouched(agent) && believed(agent));
    let free: Vec<AgentName> = offering.filter(|agent| !involved.contains(&owner(agent))).cloned().collect();
    let owners: BTreeSet<AgentName> = free.iter().map(owner).collect();
    let anything = entries.iter().any(|entry| entry.record.is_some());
    if owners.len() < FIRST_PANEL || !anything { Vec::new() } else { free.into_iter().take(MOST_CANDIDATES).collect() }
}

/// Who is to run `pull` again besides those who sit already: the first in the order of the draw, each of another owner, until
/// `seats` count.
pub fn draw(root: &Snapshot, contest: &Contest, beacon: &Oid, pull: u64, seats: usize) -> Vec<Seat> {
    let owner = |agent: &AgentName| root.fold.owner(agent);
    let sitting = contest.seats.iter().filter(|seat| seat.pull == pull);
    let mut owners: BTreeSet<AgentName> = sitting.map(|seat| owner(&seat.agent)).collect();
    let missing = seats.saturating_sub(contest.counting(pull).count());
    let mut drawn = Vec::new();
    for agent in contest.order(beacon, pull) {
        if drawn.len() < missing && owners.insert(owner(agent)) {
            drawn.push(Seat { pull, agent: agent.clone() });
        }
    }
    drawn
}

/// Most records that are read of one submission, each time that somebody looks at its contest.
/// Limit: records of an author on the tree of its submission that are read for the one that proves it | {}; the newest, signed ones first
const MOST_DECIDING: usize = 64;

/// Those of an author's records, the newest first, that are read: signed ones first, for they show more.
fn to_read<T>(newest: impl Iterator<Item = T>, is_signed: impl Fn(&T) -> bool) -> impl Iterator<Item = T> {
    let (signed, unsigned): (Vec<T>, Vec<T>) = newest.partition(is_signed);
    signed.into_iter().chain(unsigned).take(MOST_DECIDING)
}

/// The record of an author's passing run of `command` on the tree of its head, the best one.
fn deciding(
    snapshot: &Snapshot,
    objects: &dyn Objects,
    pull: &PullState,
    command: &str,
) -> Result<Option<Sha256>, Refusal> {
    let head = objects.commit(pull.head).map_err(|e| unread(snapshot, &format!("commit {}", pull.head.short()), e))?;
    let mut best: Option<&KnownRecord> = None;
    let there = snapshot.records_on(head.tree).rev().filter(|known| !snapshot.is_dropped(known));
    for known in to_read(there.filter(|known| known.agent == pull.author), |known| known.signed.is_some()) {
        let record = read(snapshot, objects, known)?;
        let passes = record.subject.is_none() && record.last().succeeded() && record.last().command() == command;
        // A signed one shows more than an unsigned one that came later.
        if passes && best.is_none_or(|best| known.signed.is_some() >= best.signed.is_some()) {
            best = Some(known);
        }
    }
    Ok(best.map(|known| known.digest))
}

/// An agent's newest passing run of the command that measures, on the tree of a head.
fn measuring(
    snapshot: &Snapshot,
    objects: &dyn Objects,
    (head, agent): (Oid, &AgentName),
    bench: &str,
) -> Result<Option<Sha256>, Refusal> {
    let head = objects.commit(head).map_err(|e| unread(snapshot, &format!("commit {}", head.short()), e))?;
    let is_own = |record: &Record| record.subject.is_none() && record.last().succeeded();
    measuring_on(snapshot, objects, (head.tree, agent), bench, is_own)
}

/// An agent's newest run of the command that measures, on a tree, among the records that `is_of` takes.
pub fn measuring_on(
    snapshot: &Snapshot,
    objects: &dyn Objects,
    (tree, agent): (Oid, &AgentName),
    bench: &str,
    is_of: impl Fn(&Record) -> bool,
) -> Result<Option<Sha256>, Refusal> {
    let there = snapshot.records_on(tree).rev().filter(|known| known.agent == *agent && !snapshot.is_dropped(known));
    for known in there {
        let record = read(snapshot, objects, known)?;
        if is_of(&record) && record.last().command() == bench {
            return Ok(Some(known.digest));
        }
    }
    Ok(None)
}

/// The command that measures what was submitted to the contest of a pull request, where one does.
pub fn bench_of(snapshot: &Snapshot, pull: u64) -> Option<&str> {
    let issue = snapshot.fold.issue(snapshot.fold.pull(pull)?.issue?)?;
    issue.contest.as_ref()?.bench.as_deref()
}

/// What the benchmarks of each submission took, microseconds, by its number. Whose runs count is one answer for the whole contest.
/// Where nobody was drawn, makers' own; else verifiers', of each submission the middle one, the lower one of two. Where they left one
/// out that they confirm, nobody has a number: that is no fault of its maker.
fn benches(snapshot: &Snapshot, objects: &dyn Objects, contest: &Contest) -> Result<BTreeMap<u64, u64>, Refusal> {
    let taken = |digest: Sha256| {
        let known = snapshot.records.get(&digest).filter(|known| !snapshot.is_dropped(known));
        let Some(known) = known else { return Ok(None) };
        let record = read(snapshot, objects, known)?;
        Ok(taken_us(record.last()).filter(|_| record.last().succeeded()))
    };
    let mut benches = BTreeMap::new();
    for entry in &contest.entries {
        let runs = match contest.is_drawn() {
            true => contest.measured(entry.pull),
            false => entry.bench.into_iter().collect(),
        };
        if contest.is_drawn() && runs.is_empty() && contest.confirming(entry.pull).next().is_some() {
            return Ok(BTreeMap::new());
        }
        let taken: Result<Vec<Option<u64>>, Refusal> = runs.into_iter().map(taken).collect();
        let mut taken: Vec<u64> = taken?.into_iter().flatten().collect();
        taken.sort_unstable();
        benches.extend(taken.get(taken.len().saturating_sub(1) / 2).map(|us| (entry.pull, *us)));
    }
    Ok(benches)
}

fn read(snapshot: &Snapshot, objects: &dyn Objects, known: &KnownRecord) -> Result<Record, Refusal> {
    let digest = known.digest.to_string();
    read_record(objects, known)
        .ok_or_else(|| unread(snapshot, &format!("record {}", &digest[..12]), "it is not readable"))
}

/// Nothing is decided by what cannot be read now.
fn unread(snapshot: &Snapshot, what: &str, why: impl std::fmt::Display) -> Refusal {
    let why = format!("{why}; a contest waits for what it is decided by");
    Refusal::new(Code::TryLater, format!("{what} of {}", snapshot.project), why, "feed")
}

/// What decides the place of one submission, and may turn later.
struct Decided {
    level: Level,
    solved: bool,
    sealed_tests: Option<bool>,
    regressions: u32,
}

/// A submission that was refuted, or has no passing run of its maker's, has not solved the issue. Else those decide who were drawn
/// to run it with the sealed tests in it, where something follows from what they found; two of other owners ran it then.
fn decided(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    contest: &Contest,
    entry: &Entry,
) -> Result<Decided, Refusal> {
    let level = level_by(snapshot, root, objects, entry.record)?;
    let tested = contest.tested(entry.pull);
    let (sealed_tests, regressions) = match tested {
        Some(Tested::Passed(regressions)) => (Some(true), regressions),
        Some(Tested::Failed) => (Some(false), 0),
        None => (None, 0),
    };
    let solved = !matches!(level, Level::P0 | Level::PX) && sealed_tests != Some(false);
    let level = if solved && sealed_tests == Some(true) { Level::P3 } else { level };
    Ok(Decided { level, solved, sealed_tests, regressions })
}

/// How what counts places, by what is known of each submission now.
/// `alike` is how alike each head is to the golden patch, where there is one.
pub fn rank(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    contest: &Contest,
    alike: &BTreeMap<Oid, Alike>,
) -> Result<ContestRanked, Refusal> {
    let benches = benches(snapshot, objects, contest)?;
    let placed = contest.entries.iter().map(|entry| {
        let Decided { level, solved, sealed_tests, regressions } = decided(snapshot, root, objects, contest, entry)?;
        Ok(Placed {
            agent: entry.agent.clone(),
            pull: entry.pull,
            place: 0,
            solved,
            level,
            sealed_tests,
            regressions,
            bench_us: benches.get(&entry.pull).copied(),
            alike_permille: alike.get(&entry.head).map(|alike| alike.tokens_permille),
            took_ms: entry.took_ms,
        })
    });
    placed.collect::<Result<Vec<Placed>, Refusal>>().map(in_order)
}

/// The same contest again, where what was refuted since, or is refuted no longer, changes it. Everything else stays as it
/// was when it was decided.
pub fn rank_again(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    contest: &Contest,
) -> Result<Option<ContestRanked>, Refusal> {
    let Some((_, first)) = contest.rankings.front() else { return Ok(None) };
    let again = first.iter().map(|was| {
        let Some(entry) = contest.entries.iter().find(|entry| entry.pull == was.pull) else { return Ok(was.clone()) };
        let now = decided(snapshot, root, objects, contest, entry)?;
        Ok(match now.level {
            Level::PX => Placed { level: Level::PX, solved: false, ..was.clone() },
            // Refuted when it was decided, and cleared since.
            level if was.level == Level::PX => Placed { level, solved: now.solved, ..was.clone() },
            _ => was.clone(),
        })
    });
    let ranked = in_order(again.collect::<Result<Vec<Placed>, Refusal>>()?);
    Ok((ranked.places != contest.places()).then_some(ranked))
}

fn level_by(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    record: Option<Sha256>,
) -> Result<Level, Refusal> {
    let known = record.and_then(|record| snapshot.records.get(&record));
    // Of one that was dropped with its month nobody can say anything.
    let Some(known) = known.filter(|known| !snapshot.is_dropped(known)) else { return Ok(Level::P0) };
    Ok(level_of(snapshot, root, known, &read(snapshot, objects, known)?))
}

/// The head that counts of a pull request that was submitted to a contest which is closed, and the record that proves it.
pub fn counted(snapshot: &Snapshot, n: u64) -> Option<(Oid, Option<Sha256>)> {
    let issue = snapshot.fold.pull(n)?.issue?;
    let entry = snapshot.fold.contests.of(issue)?.entries.iter().find(|entry| entry.pull == n)?;
    Some((entry.head, entry.record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_owner_and_names_that_nobody_vouched_for_push_nobody_out() {
        // Each is an agent and its owner; behind `!` somebody vouched.
        let count = |came: &str, most: usize| {
            let whose = |word: &&str| {
                let owner = word.trim_start_matches('!').split_once('/').map_or(*word, |(_, owner)| owner);
                (word.starts_with('!'), owner.parse().unwrap())
            };
            those_that_count(came.split(' ').collect(), most, whose).join(" ")
        };
        let came = "m1 m2 m3 !f1/farm !f2/farm !f3/farm !dave/dave late";
        assert_eq!(count(came, 8), came, "as many as may count stay as they came");
        assert_eq!(count(came, 2), "!f1/farm !dave/dave");
        assert_eq!(count(came, 3), "!f1/farm !dave/dave !f2/farm");
        assert_eq!(count(came, 6), "!f1/farm !dave/dave !f2/farm !f3/farm m1 m2");
    }

    #[test]
    fn so_many_records_are_read_and_signed_ones_first() {
        let newest: Vec<(usize, bool)> = (0..1000).map(|n| (n, n >= 990)).collect();
        let read: Vec<usize> = to_read(newest.into_iter(), |(_, signed)| *signed).map(|(n, _)| n).collect();
        assert_eq!(read.len(), MOST_DECIDING);
        assert_eq!((&read[..10], &read[10..13]), (&(990..1000).collect::<Vec<_>>()[..], &[0, 1, 2][..]));
    }
}
