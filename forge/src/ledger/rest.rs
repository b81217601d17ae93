//! Issues and pull requests that have come to rest: their refs are folded, so that those which are listed stay few.
//!
//! Invariant: nothing is lost by it. The ledger reaches what a folded ref names, its name is answered from memory as before, and
//! the next event of its entity lists it again.

use std::ops::Bound;

use notes_schema::{EntityId, refs};

use super::draft::Draft;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::answer::Refusal;
use crate::state::{Fold, IssueStatus, PullStatus};

/// Most issues and pull requests whose refs one batch folds: it is written between those of others, who wait for it.
/// Limit: issues and pull requests whose refs one batch folds | {}; the others are for the next
const MOST_FOLDED: usize = 1024;

/// Whether `id` is a closed issue, or a pull request that landed or was given up.
pub(super) fn has_ended(fold: &Fold, id: &EntityId) -> bool {
    match id {
        EntityId::Issue(n) => fold.issue(*n).is_some_and(|issue| issue.status == IssueStatus::Closed),
        EntityId::Pull(n) => fold.pull(*n).is_some_and(|pull| pull.status != PullStatus::Open),
        EntityId::Agent(_) | EntityId::Project(_) | EntityId::Elo(_) | EntityId::Checks(_) => false,
    }
}

/// Whether `id` has ended, and its last event was before `since`.
fn rests(fold: &Fold, id: &EntityId, since: u64) -> bool {
    has_ended(fold, id) && fold.entities.get(id).is_some_and(|entity| entity.t < since)
}

/// Issues and pull requests that rest since before `since` and have a ref that is listed.
fn resting(snapshot: &Snapshot, since: u64) -> impl Iterator<Item = EntityId> {
    let from = snapshot.refs.range::<_, str>((Bound::Included(refs::FORGE_PREFIX), Bound::Unbounded));
    let ours = from.take_while(|(name, _)| name.as_str().starts_with(refs::FORGE_PREFIX));
    ours.filter_map(|(name, _)| refs::entity_of(name)).filter(move |id| rests(&snapshot.fold, id, since))
}

impl Draft<'_> {
    /// Folds the refs of an issue or pull request that has ended.
    fn fold(&mut self, id: &EntityId) -> Result<(), Refusal> {
        let head = if let EntityId::Pull(n) = id { Some(refs::pull_head(*n)) } else { None };
        for name in std::iter::once(refs::entity(id)).chain(head) {
            if let Some(value) = self.snapshot().refs.get(&name).copied() {
                self.set_ref(&name, Some(value.id), None, None, None)?;
            }
        }
        Ok(())
    }
}

impl Repository {
    /// Folds, in one batch, the refs of issues and pull requests that ended and have had no event for `idle_ms`; whether
    /// there are more. Blocks.
    pub fn fold_resting(&self, idle_ms: u64) -> Result<bool, Refusal> {
        let snapshot = self.snapshot();
        let since = self.now().saturating_sub(idle_ms);
        let mut found: Vec<EntityId> = resting(&snapshot, since).take(MOST_FOLDED + 1).collect();
        if found.is_empty() || self.is_closed() {
            return Ok(false);
        }
        let more = found.len() > MOST_FOLDED;
        found.truncate(MOST_FOLDED);
        self.commit(move |draft| {
            // Somebody may have spoken up meanwhile.
            found.retain(|id| rests(&draft.snapshot().fold, id, since));
            found.iter().try_for_each(|id| draft.fold(id))?;
            if !found.is_empty() {
                draft.remark(format!("folded the refs of {} issues and pull requests that rest", found.len()));
            }
            Ok(())
        })?;
        Ok(more)
    }
}
