//! Contests that are due: closed, ranked, and ranked again where a proof turns.
//!
//! Invariant: what closes a contest is one batch. What was submitted before it counts, and nothing behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::event::ContestRevealed;
use notes_schema::{EntityId, Oid, Sha256};

use super::Forge;
use crate::answer::Refusal;
use crate::gate::contest;
use crate::ledger::{Author, Draft, Repository, Snapshot};
use crate::state::Stage;
use git::store::{Objects, Over};

impl Forge {
    /// Closes and ranks what is due in a project, and settles the ratings. Nothing happens where nothing is due.
    pub(super) fn close_contests(self: &Arc<Self>, repository: &Arc<Repository>) -> Result<(), Refusal> {
        if self.deps.mirror.is_some() {
            return Ok(());
        }
        let (snapshot, store) = (repository.snapshot(), repository.store().clone());
        let contests = &snapshot.fold.contests;
        let waiting = contests.waiting().filter(|issue| self.can_rank(&snapshot, store.as_ref(), *issue));
        let due: BTreeSet<u64> = contests.due(self.now()).chain(waiting).collect();
        for issue in &due {
            // Measured here, so that nobody who writes meanwhile waits for it.
            self.measure(&snapshot, store.as_ref(), *issue);
            let (forge, root, store, issue) = (self.clone(), self.root(), store.clone(), *issue);
            repository.commit(move |draft| {
                let made = draft.made();
                let objects = Over { made: &made, below: store.as_ref() };
                close(draft, &forge, &root, &objects, issue)
            })?;
        }
        if due.is_empty() { Ok(()) } else { self.settle(repository) }
    }

    /// Measures what is submitted as of now to a contest that is due.
    fn measure(&self, snapshot: &Snapshot, objects: &dyn Objects, issue: u64) {
        let Some(state) = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref()) else { return };
        let part = snapshot.fold.contests.sealed(issue).filter(|part| part.commit.is_some());
        let opened = part.and_then(|part| self.key_of(snapshot, objects, issue, part));
        let Some((_, opened)) = opened else { return };
        let entries = match snapshot.fold.contests.of(issue) {
            Some(contest) => contest.entries.clone(),
            None => contest::close(snapshot, objects, issue, state).entries,
        };
        let heads: Vec<Oid> = entries.iter().map(|entry| entry.head).collect();
        self.alike(objects, (&snapshot.project, issue), state.base, &opened.part.golden, &heads);
    }
}

/// Closes a contest that is open; reveals what is sealed of it, and ranks it, where it is closed.
fn close(
    draft: &mut Draft,
    forge: &Forge,
    root: &Snapshot,
    objects: &dyn Objects,
    issue: u64,
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(state) = state.filter(|contest| contest.stage != Stage::Ranked) else { return Ok(()) };
    let (author, id) = (Author::forge(), EntityId::Issue(issue));
    let (entries, mut because) = match snapshot.fold.contests.of(issue) {
        Some(contest) => (contest.entries.clone(), Vec::new()),
        None => {
            let closed = contest::close(&snapshot, objects, issue, state);
            let entries = closed.entries.clone();
            (entries, vec![draft.event(&author, &id, closed, None, &[])?.digest])
        }
    };
    let mut golden = None;
    if let Some(part) = snapshot.fold.contests.sealed(issue).filter(|part| part.commit.is_some()) {
        let Some((key, opened)) = forge.key_of(&snapshot, objects, issue, part) else { return Ok(()) };
        if part.key.is_none() {
            let revealed = ContestRevealed { id: part.id.clone(), key };
            because = vec![draft.event(&author, &id, revealed, None, &because)?.digest];
        }
        golden = Some(opened.part.golden);
    }
    let heads: Vec<Oid> = entries.iter().map(|entry| entry.head).collect();
    let alike = golden.map(|patch| forge.alike(objects, (&snapshot.project, issue), state.base, &patch, &heads));
    let ranked = contest::rank(&snapshot, root, objects, &entries, &alike.unwrap_or_default());
    let anybody = !ranked.places.is_empty();
    let event = draft.event(&author, &id, ranked, None, &because)?;
    if anybody {
        draft.outbox(&event);
    }
    Ok(())
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
