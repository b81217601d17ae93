//! Contests that are due: closed, verified by who is drawn for it, ranked, and ranked again where a proof turns.
//!
//! Invariant: what closes a contest is one batch. What was submitted before it counts, and nothing behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::event::{ContestDrawn, Entry, Seat};
use notes_schema::{EntityId, Sha256};

use super::Forge;
use crate::answer::Refusal;
use crate::gate::contest;
use crate::ledger::{Author, Draft, Repository, Snapshot};
use crate::state::contest::{FIRST_PANEL, Panel, WIDER_PANEL};
use crate::state::{Contest, Stage};
use git::store::{Objects, Over};

/// So long verifiers have; then the contest is ranked by what is known.
/// Limit: time from the draw of a contest's verifiers to its ranking, if they do not come to an end before | {:ms}
const VERIFIED_WITHIN_MS: u64 = 86_400_000;

impl Forge {
    /// Closes what is due in a project, takes verification a step on, and settles the ratings. Nothing happens where nothing
    /// is due.
    pub(super) fn close_contests(self: &Arc<Self>, repository: &Arc<Repository>) -> Result<(), Refusal> {
        let snapshot = repository.snapshot();
        let due: Vec<u64> = snapshot.fold.contests.due(self.now()).collect();
        for issue in &due {
            self.step(repository, *issue, close)?;
        }
        let verifying: Vec<u64> = snapshot.fold.contests.verifying().collect();
        for issue in &verifying {
            let contest = snapshot.fold.contests.of(*issue);
            let waits = |c: &Contest| matches!(next_step(&snapshot, &self.root(), c, self.now()), Step::Nothing);
            if !contest.is_none_or(waits) {
                self.step(repository, *issue, verify)?;
            }
        }
        if due.is_empty() && verifying.is_empty() { Ok(()) } else { self.settle(repository) }
    }

    fn step(
        self: &Arc<Self>,
        repository: &Arc<Repository>,
        issue: u64,
        step: fn(&mut Draft, &Snapshot, &dyn Objects, u64) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (root, store) = (self.root(), repository.store().clone());
        let committed = repository.commit(move |draft| {
            let made = draft.made();
            let objects = Over { made: &made, below: store.as_ref() };
            step(draft, &root, &objects, issue)
        });
        committed.map(drop)
    }
}

fn close(draft: &mut Draft, root: &Snapshot, objects: &dyn Objects, issue: u64) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(state) = state.filter(|contest| contest.stage == Stage::Open) else { return Ok(()) };
    let closed = contest::close(&snapshot, root, objects, issue, state);
    let (entries, is_verified) = (closed.entries.clone(), !closed.candidates.is_empty());
    let event = draft.event(&Author::forge(), &EntityId::Issue(issue), closed, None, &[])?;
    if is_verified {
        // Who verifies is drawn with a commit that is not there yet.
        return Ok(());
    }
    rank(draft, root, objects, issue, &entries, &[event.digest])
}

fn rank(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    issue: u64,
    entries: &[Entry],
    because: &[Sha256],
) -> Result<(), Refusal> {
    let ranked = contest::rank(&draft.snapshot().clone(), root, objects, entries);
    let anybody = !ranked.places.is_empty();
    let event = draft.event(&Author::forge(), &EntityId::Issue(issue), ranked, None, because)?;
    if anybody {
        draft.outbox(&event);
    }
    Ok(())
}

/// What is to be done about a contest that waits for verifiers.
enum Step {
    /// To wait.
    Nothing,
    /// These are to verify.
    Draw(Vec<Seat>),
    /// All is said, or the time is over.
    Rank,
}

fn next_step(snapshot: &Snapshot, root: &Snapshot, contest: &Contest, now: u64) -> Step {
    let verified = || contest.entries.iter().filter(|entry| entry.record.is_some()).map(|entry| entry.pull);
    if contest.due_ms.is_some_and(|due| now >= due) {
        return Step::Rank;
    }
    let seats = match contest.due_ms {
        None => FIRST_PANEL,
        Some(_) => WIDER_PANEL,
    };
    let asks = |pull: &u64| contest.due_ms.is_none() || contest.panel(*pull) == Panel::Split;
    let drawn: Vec<Seat> = match snapshot.tip {
        Some(beacon) => {
            verified().filter(asks).flat_map(|pull| contest::draw(root, contest, &beacon, pull, seats)).collect()
        }
        None => Vec::new(),
    };
    match () {
        () if !drawn.is_empty() => Step::Draw(drawn),
        () if verified().any(|pull| contest.panel(pull) == Panel::Waits) => Step::Nothing,
        () => Step::Rank,
    }
}

fn verify(draft: &mut Draft, root: &Snapshot, objects: &dyn Objects, issue: u64) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let Some(contest) = snapshot.fold.contests.of(issue).filter(|c| c.rankings.is_empty()) else { return Ok(()) };
    match next_step(&snapshot, root, contest, draft.now()) {
        Step::Nothing => Ok(()),
        Step::Rank => rank(draft, root, objects, issue, &contest.entries, &[]),
        Step::Draw(seats) => {
            let Some(beacon) = snapshot.tip else { return Ok(()) };
            let due_ms = contest.due_ms.unwrap_or_else(|| draft.now().saturating_add(VERIFIED_WITHIN_MS));
            let drawn = ContestDrawn { beacon, seats, due_ms };
            draft.event(&Author::forge(), &EntityId::Issue(issue), drawn, None, &[]).map(drop)
        }
    }
}

/// Ranks the contests again that any of these pull requests was submitted to, where something changes.
pub(crate) fn reconsider(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    pulls: impl IntoIterator<Item = u64>,
    because: &[Sha256],
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let issues: BTreeSet<u64> = pulls.into_iter().filter_map(|n| snapshot.fold.pull(n)?.issue).collect();
    for issue in issues {
        let Some(contest) = snapshot.fold.contests.of(issue) else { continue };
        let Some(ranked) = contest::rank_again(&snapshot, root, objects, contest) else { continue };
        let event = draft.event(&Author::forge(), &EntityId::Issue(issue), ranked, None, because)?;
        draft.outbox(&event);
    }
    Ok(())
}
