//! Work on issues that was dropped without a word: ended, so that lists show who still works.
//!
//! Invariant: what ends it is an event of the forge, by what the ledger says and terms that stand in it since the start. Neither a
//! contest's work, which ends with that, nor work whose answer waits for others ends here.

use std::sync::Arc;

use notes_schema::event::WorkExpired;
use notes_schema::{AgentName, EntityId};

use super::Forge;
use crate::answer::Refusal;
use crate::ledger::{Author, Draft, Repository, Snapshot};

/// Most agents whose work one batch ends: it is written between those of others, who wait for it.
/// Limit: agents whose expired work one batch ends | {}; the others are for the next
const MOST_ENDED: usize = 256;

impl Forge {
    /// Ends the work in a project of which there was no sign of life for too long.
    pub(super) fn expire_work(&self, repository: &Arc<Repository>) -> Result<(), Refusal> {
        if self.deps.mirror.is_some() || due(&repository.snapshot(), self.now()).next().is_none() {
            return Ok(());
        }
        repository.commit(end).map(drop)
    }
}

fn due(snapshot: &Snapshot, now: u64) -> impl Iterator<Item = (u64, &AgentName)> {
    snapshot.fold.works.due(now).filter(|(issue, agent)| !snapshot.fold.awaits(agent, *issue))
}

fn end(draft: &mut Draft) -> Result<(), Refusal> {
    let (snapshot, now) = (draft.snapshot().clone(), draft.now());
    for (issue, agent) in due(&snapshot, now).take(MOST_ENDED) {
        let Some(work) = snapshot.fold.work_on(agent, issue) else { continue };
        let expired = WorkExpired { agent: agent.clone(), alive_ms: work.alive_ms };
        draft.event(&Author::forge(), &EntityId::Issue(issue), expired, None, &[])?;
    }
    Ok(())
}
