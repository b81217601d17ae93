//! When refs of issues and pull requests that rest are folded: now and then, a batch at a time, behind the writers.
//!
//! Invariant: what is folded follows from the ledger's own times and this forge's clock, and is written into the ledger: who
//! replays it folds the same and asks no clock.

use notes_schema::ProjectName;

use super::Forge;
use crate::answer::Refusal;
use crate::ledger::Repository;

/// A repository is looked at once in each of so many parts of the time after which refs are folded: daily where that is a month.
const LOOKS: u64 = 30;

impl Forge {
    /// Folds refs of what has rested for long enough, where it is time to look. Blocks.
    pub(super) fn fold_resting(&self, repository: &Repository) -> Result<(), Refusal> {
        let idle_ms = self.config.limits.fold_seconds.saturating_mul(1000);
        if idle_ms == 0 || repository.name().is_forge() || *self.stopping.borrow() {
            return Ok(());
        }
        let now = self.now();
        if self.next_look(repository.name()).is_some_and(|next| now < next) {
            return Ok(());
        }
        // Set first: what cannot be folded now is tried again at the next look.
        self.look_again(repository.name(), now.saturating_add(idle_ms / LOOKS));
        if repository.fold_resting(idle_ms)? {
            self.look_again(repository.name(), now);
        }
        Ok(())
    }

    fn next_look(&self, project: &ProjectName) -> Option<u64> {
        self.folding.lock().expect("invariant: no panic under this lock").get(project).copied()
    }

    fn look_again(&self, project: &ProjectName, at: u64) {
        self.folding.lock().expect("invariant: no panic under this lock").insert(project.clone(), at);
    }
}
