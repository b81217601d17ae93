//! How much a record shows: by itself, by its maker's signature, and by what others found who ran it again.
//!
//! Invariant: a fold of events and of what pushes brought; the same in a clone, as far as owners are known there.

use hooks::reruns;
use notes_schema::event::{CheckState, Level, Outcome};
use notes_schema::trace::Record;
use notes_schema::{AgentName, Oid, Sha256};

use crate::ledger::{KnownRecord, Snapshot};
use crate::state::{PullState, Rerun};
use git::store::Objects;

/// What a passing record shows by itself.
pub fn own_level(known: &KnownRecord) -> Level {
    if known.signed.is_some() { Level::P2 } else { Level::P1 }
}

/// The level of a passing record. `root` says who answers for whom.
pub fn level_of(snapshot: &Snapshot, root: &Snapshot, known: &KnownRecord, record: &Record) -> Level {
    let own = own_level(known);
    if snapshot.fold.checks.is_empty() && !snapshot.fold.reruns.contains_key(&known.tree) {
        return own;
    }
    let run = reruns::run_of(record.last());
    let reruns = reruns_of(snapshot, root, known, run);
    reruns::level(own, &root.fold.owner(&known.agent), &run, &reruns)
}

/// The re-runs that count for a run that `known` records, oldest first: that a registered CI passed the tree, whatever it
/// ran, and what others recorded. A check that failed refutes nothing, for nobody knows that it ran the same. Whoever says
/// both means what it recorded.
pub fn reruns_of(snapshot: &Snapshot, root: &Snapshot, known: &KnownRecord, run: Sha256) -> Vec<reruns::Rerun> {
    let (owner, of) = (|agent: &AgentName| root.fold.owner(agent), root.fold.owner(&known.agent));
    let said = snapshot.fold.checks.on(known.tree).into_iter().filter(|said| said.word.state == CheckState::Success);
    let passed = said.map(|said| reruns::Rerun { owner: owner(said.by), of: of.clone(), run, passed: true });
    let recorded = snapshot.fold.reruns.get(&known.tree).into_iter().flatten();
    passed.chain(recorded.map(|rerun| counted(root, rerun))).collect()
}

/// A re-run as the rules count it.
pub fn counted(root: &Snapshot, rerun: &Rerun) -> reruns::Rerun {
    let owner = |agent: &AgentName| root.fold.owner(agent);
    let (owner, of) = (owner(&rerun.agent), owner(&rerun.of));
    reruns::Rerun { owner, of, run: rerun.run, passed: rerun.outcome == Outcome::Confirm }
}

/// The level of the best passing record of `author` on `tree`, whatever its command; P0 where there is none.
pub fn best_on(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    author: Option<&AgentName>,
    tree: Oid,
) -> Level {
    let mut best = Level::P0;
    for known in snapshot.records_on(tree).filter(|known| author.is_none_or(|author| known.agent == *author)) {
        let Some(record) = super::read_record(objects, known) else { continue };
        let own_work = author.is_none() || record.subject.is_none();
        if own_work && record.last().succeeded() {
            best = best.max(level_of(snapshot, root, known, &record));
        }
    }
    best
}

/// Those who ran a pull request's proof again, each by what it said last, oldest first.
pub fn challengers<'a>(snapshot: &'a Snapshot, objects: &dyn Objects, pull: &PullState) -> Vec<&'a Rerun> {
    let known = pull.proof.record.and_then(|record| snapshot.records.get(&record));
    let Some(known) = known.filter(|known| snapshot.fold.reruns.contains_key(&known.tree)) else { return Vec::new() };
    let Some(record) = super::read_record(objects, known) else { return Vec::new() };
    let run = reruns::run_of(record.last());
    let mut newest: Vec<&Rerun> = Vec::new();
    for rerun in snapshot.fold.reruns.get(&known.tree).into_iter().flatten().filter(|rerun| rerun.run == run) {
        newest.retain(|other| other.agent != rerun.agent);
        newest.push(rerun);
    }
    newest
}
