//! When a repository's checkpoint is written: behind the writers, once it is worth it.
//!
//! Invariant: a checkpoint reflects what refs on disk name, and nothing that only batch packs above them hold. So whatever a
//! start checks of those it still checks.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Repository;
use crate::ledger::{Checkpoints, storage};

/// So many batches behind, a checkpoint is written even while others are written.
/// Limit: batches since the last checkpoint, before another is written at any time | {}; at most a twentieth of the time
const FAR: u64 = 512;
/// Fewer batches than this are replayed in no time.
/// Limit: the same, at rest or at a stop | {}
const WORTH: u64 = 16;
/// A repository with no more batches than this has its checkpoint written for each: that is quick, and a start which finds
/// everything in it opens no pack.
const SMALL: u64 = 256;
/// Checkpoints take at most one part in so many of the time.
const SHARE: u32 = 20;

/// How far the checkpoint is.
#[derive(Debug, Default)]
pub(super) struct KeptCheckpoint {
    /// The ledger number that it reflects.
    number: u64,
    /// When the last one was written, and how long it took.
    at: Option<Instant>,
    took: Duration,
    /// The ledger number at the last look.
    seen: u64,
}

impl KeptCheckpoint {
    /// The one that a start began with.
    pub(super) fn of(number: u64) -> Self {
        KeptCheckpoint { number, ..KeptCheckpoint::default() }
    }
}

impl Repository {
    /// Writes a checkpoint where enough came since the last one and the repository has come to rest, or `ends`. Call it
    /// now and then; it may take long, and nobody waits for it.
    pub fn keep_checkpoint(&self, ends: bool) -> io::Result<()> {
        let (Some(checkpoints), Ok(mut kept)) = (&self.deps.checkpoints, self.checkpoint.try_lock()) else {
            return Ok(());
        };
        let snapshot = self.snapshot();
        let rests = std::mem::replace(&mut kept.seen, snapshot.number) == snapshot.number;
        let behind = snapshot.number.saturating_sub(kept.number);
        let worth = if snapshot.number <= SMALL { 1 } else { WORTH };
        let due = behind >= FAR || ((rests || ends) && behind >= worth);
        let too_soon = !ends && kept.at.is_some_and(|at| at.elapsed() < kept.took * SHARE);
        if !due || too_soon || self.is_partial() {
            return Ok(());
        }
        self.write_checkpoint(checkpoints, &mut kept)
    }

    fn write_checkpoint(&self, checkpoints: &Checkpoints, kept: &mut KeptCheckpoint) -> io::Result<()> {
        let snapshot = self.snapshot();
        self.flush()?;
        if self.flushed.load(Ordering::Acquire) < snapshot.number {
            return Ok(());
        }
        let start = Instant::now();
        let packs = storage::packs(&self.git_dir);
        let written = packs.and_then(|packs| checkpoints.write(&snapshot, &storage::digest(&packs)));
        // After a failure too, or a full disk would be written to without a pause.
        (kept.at, kept.took) = (Some(Instant::now()), start.elapsed());
        written?;
        kept.number = snapshot.number;
        tracing::debug!(project = %self.name, number = kept.number, took = ?kept.took, "a checkpoint was written");
        Ok(())
    }

    /// Whether a replay may give something else than what is served.
    fn is_partial(&self) -> bool {
        self.read_only().is_some() || self.lacks_objects.load(Ordering::SeqCst)
    }

    /// Writes a checkpoint, worth it or not.
    #[cfg(test)]
    pub(in crate::ledger) fn checkpoint_now(&self) -> io::Result<()> {
        let checkpoints = self.deps.checkpoints.as_ref().expect("a world with checkpoints");
        self.write_checkpoint(checkpoints, &mut self.checkpoint.lock().expect("no panic under this lock"))
    }
}
