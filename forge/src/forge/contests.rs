//! Contests that are due: closed, ranked, and ranked again where a proof turns.
//!
//! Invariant: what closes a contest is one batch. What was submitted before it counts, and nothing behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::{EntityId, Sha256};

use super::Forge;
use crate::answer::Refusal;
use crate::gate::contest;
use crate::ledger::{Author, Draft, Repository, Snapshot};
use crate::state::Stage;
use git::store::{Objects, Over};

impl Forge {
    /// Closes what is due in a project, and settles the ratings. Nothing happens where nothing is due.
    pub(super) fn close_contests(self: &Arc<Self>, repository: &Arc<Repository>) -> Result<(), Refusal> {
        let due: Vec<u64> = repository.snapshot().fold.contests.due(self.now()).collect();
        for issue in &due {
            let (root, store, issue) = (self.root(), repository.store().clone(), *issue);
            repository.commit(move |draft| {
                let made = draft.made();
                let objects = Over { made: &made, below: store.as_ref() };
                close(draft, &root, &objects, issue)
            })?;
        }
        if due.is_empty() { Ok(()) } else { self.settle(repository) }
    }
}

fn close(draft: &mut Draft, root: &Snapshot, objects: &dyn Objects, issue: u64) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(state) = state.filter(|contest| contest.stage == Stage::Open) else { return Ok(()) };
    let closed = contest::close(&snapshot, objects, issue, state);
    let entries = closed.entries.clone();
    let (forge, id) = (Author::forge(), EntityId::Issue(issue));
    let event = draft.event(&forge, &id, closed, None, &[])?;
    let ranked = contest::rank(&snapshot, root, objects, &entries);
    let anybody = !ranked.places.is_empty();
    let event = draft.event(&forge, &id, ranked, None, &[event.digest])?;
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
