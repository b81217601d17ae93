//! A batch that may or may not be on disk: what its writers are told, and how the repository goes on without a restart.
//!
//! Invariant: it is rolled forward, never back and never synced again. The same bytes under the same name contradict
//! nothing, whichever of two files the disk keeps; what was read back from the disk is what is published.

use std::sync::Arc;

use super::Repository;
use crate::answer::Refusal;
use crate::ledger::draft::Built;
use crate::ledger::recover::{self, Taken};
use crate::ledger::{fault, storage};
use git::pack::write::Pack;

/// The word of a refusal that is none: it may have been done, and then it was done once.
pub const UNKNOWN: &str = "unknown";

/// Why a repository takes no writes.
pub(super) enum ReadOnly {
    /// Something that only people can look into, and a restart.
    Until(String),
    /// It is not known whether its newest batch is on disk.
    Doubt(Arc<Doubt>),
}

/// A batch that may or may not be on disk, complete, so that it can be written again.
pub(super) struct Doubt {
    n: u64,
    pack: Pack,
    pub(super) why: String,
    /// Numbers of the forge-wide sequence that its events have. They stay in flight: no cursor may pass what can still
    /// turn out to be there.
    taken: Vec<u64>,
}

impl Repository {
    /// The batch of which it is unknown whether it is there.
    pub(super) fn doubt(&self) -> Option<Arc<Doubt>> {
        match &*self.read_only.lock().expect("invariant: no panic under this lock") {
            Some(ReadOnly::Doubt(doubt)) => Some(doubt.clone()),
            None | Some(ReadOnly::Until(_)) => None,
        }
    }

    /// Tries to take writes again where the outcome of a batch is unknown: call it now and then. The next writer tries
    /// too. Blocks.
    pub fn leave_doubt(&self) {
        if self.doubt().is_some() {
            // Whoever leads settles it first; that it still cannot be settled was logged.
            let _ = self.commit_here(|_| Ok(()));
        }
    }

    /// From here on the repository takes no writes, until [`Repository::settle_doubt`].
    pub(super) fn begin_doubt(&self, built: Built, taken: &[u64], error: &std::io::Error) -> Refusal {
        let n = built.snapshot.number;
        let why = format!("whether batch {n} was written is unknown: {error}");
        tracing::error!(project = %self.name, why, "the repository takes no writes until that batch could be written again");
        let doubt = Doubt { n, pack: built.pack, why: why.clone(), taken: taken.to_vec() };
        *self.read_only.lock().expect("invariant: no panic under this lock") = Some(ReadOnly::Doubt(Arc::new(doubt)));
        let why = format!("{why}; look whether it was done before you ask again");
        self.refuse_all(&why).by_rule(UNKNOWN)
    }

    /// Writes the batch again whose outcome is unknown, and goes on from what the disk then holds. Nobody is told yes for
    /// it: its writers were told that it is unknown, and find it done. Called by the one that leads.
    pub(super) fn settle_doubt(&self) {
        let Some(doubt) = self.doubt() else { return };
        fault::point("doubt-before-rewrite");
        let authority = self.deps.authority.as_ref().map(|forge| forge.snapshot());
        let before = self.snapshot();
        let taken = storage::append_again(&self.git_dir, doubt.n, &doubt.pack)
            .map_err(|error| error.to_string())
            .and_then(|()| recover::reread(&before, &self.store, authority.as_deref()));
        let taken = match taken {
            Ok(taken) => taken,
            Err(why) => {
                tracing::warn!(project = %self.name, batch = doubt.n, why, "it is still unknown whether it was written");
                return;
            }
        };
        fault::point("doubt-rewritten");
        let Taken { snapshot, read, made } = taken;
        if let Some(reserved) = read.batch.seq_reserved {
            self.deps.sequence.extend(reserved);
        }
        let snapshot = self.publish(made, snapshot, &read.batch, &read.refs);
        self.recount();
        self.deps.sequence.saw_durable(snapshot.fold.max_q);
        self.deps.sequence.settle(&doubt.taken, false);
        *self.read_only.lock().expect("invariant: no panic under this lock") = None;
        tracing::info!(project = %self.name, batch = doubt.n, "it is written; the repository takes writes again");
    }
}
