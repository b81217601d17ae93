//! What a repository takes on disk, and whether something was left behind that nothing reaches.
//!
//! Invariant: reads the directory when it is first asked and after packs went; what is added in between is counted as it is
//! written.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use notes_schema::Oid;
use notes_schema::batch::{PackLine, RefLine, RefTarget};

use super::{KeptGraph, ReadOnly, Repository};
use crate::ledger::pushes::Pushes;
use crate::ledger::{collect, storage};
use git::history;
use git::pack::write::Pack;

/// Most moves of refs that are remembered to be looked at later; with more, something is taken to be left behind.
/// Limit: moves of refs that are remembered until it is looked whether they left something behind | {}
const MOST_MOVED: usize = 1000;

/// Packs are counted when it is first asked: a start has other things to do.
pub(super) const UNCOUNTED: u64 = u64::MAX;

/// What may have left objects behind since the last collection.
#[derive(Debug)]
pub(super) struct LeftBehind {
    is_certain: bool,
    moved: Vec<(Oid, Oid)>,
}

impl Default for LeftBehind {
    /// After a start nobody knows.
    fn default() -> Self {
        LeftBehind { is_certain: true, moved: Vec::new() }
    }
}

impl Repository {
    /// Bytes of its packs.
    pub fn pack_bytes(&self) -> u64 {
        if self.pack_bytes.load(Ordering::Relaxed) == UNCOUNTED {
            self.recount();
        }
        match self.pack_bytes.load(Ordering::Relaxed) {
            UNCOUNTED => 0,
            bytes => bytes,
        }
    }

    /// Makes a pack durable on its own, before the batch that names it ([`Draft::depends_on`](super::Draft::depends_on)). Whoever
    /// makes one holds [`pushes`](Self::pushes) until that batch is written, and says [`leaves_behind`](Self::leaves_behind) where
    /// none is.
    pub fn land(&self, pack: &Pack) -> io::Result<PackLine> {
        let landed = storage::land(&self.git_dir, pack)?;
        self.add_pack_bytes(pack.pack.len() as u64);
        Ok(landed)
    }

    /// A pack was written.
    pub fn add_pack_bytes(&self, bytes: u64) {
        let added = |before: u64| (before != UNCOUNTED).then(|| before.saturating_add(bytes));
        // Who counts first finds it on disk.
        let _ = self.pack_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    /// Counts anew, once packs went.
    pub(in crate::ledger) fn recount(&self) {
        match collect::size(&self.git_dir) {
            Ok(bytes) => self.pack_bytes.store(bytes, Ordering::Relaxed),
            Err(error) => tracing::warn!(project = %self.name, %error, "packs cannot be counted"),
        }
    }

    /// The pushes to it that are under way.
    pub fn pushes(&self) -> &Arc<Pushes> {
        &self.pushes
    }

    /// Objects were written that nothing reaches.
    pub fn leaves_behind(&self) {
        self.left_behind.lock().expect("invariant: no panic under this lock").is_certain = true;
    }

    /// Whether objects may be there that nothing reaches since the last collection began.
    pub fn has_left_behind(&self) -> bool {
        let moved = {
            let mut left = self.left_behind.lock().expect("invariant: no panic under this lock");
            if left.is_certain {
                return true;
            }
            std::mem::take(&mut left.moved)
        };
        let grew = |(old, new): &(Oid, Oid)| history::is_ancestor(self.store.as_ref(), *old, *new).unwrap_or(false);
        if moved.iter().all(grew) {
            return false;
        }
        self.leaves_behind();
        true
    }

    pub(in crate::ledger) fn forget_left_behind(&self) {
        let mut left = self.left_behind.lock().expect("invariant: no panic under this lock");
        *left = LeftBehind { is_certain: false, moved: Vec::new() };
    }

    /// Notes what a batch may have left behind.
    pub(super) fn note_moves(&self, refs: &[RefLine]) {
        let mut left = self.left_behind.lock().expect("invariant: no panic under this lock");
        let may = |line: &&RefLine| collect::may_leave_behind(&line.name, line.new == RefTarget::Nothing);
        for line in refs.iter().filter(may) {
            match (line.old, &line.new) {
                (Some(_), RefTarget::Nothing) => left.is_certain = true,
                (Some(old), RefTarget::Object(new)) if !left.is_certain => left.moved.push((old, *new)),
                _ => {}
            }
        }
        if left.is_certain || left.moved.len() > MOST_MOVED {
            *left = LeftBehind { is_certain: true, moved: Vec::new() };
        }
    }

    /// One collection at a time.
    pub(in crate::ledger) fn collecting(&self) -> &std::sync::Mutex<()> {
        &self.collecting
    }

    /// Lets no commit-graph be written until what it gives is dropped; after that it is looked whether one is due.
    pub(in crate::ledger) fn hold_graph(&self) -> Option<MutexGuard<'_, KeptGraph>> {
        let mut kept = self.graph.try_lock().ok()?;
        (kept.written, kept.at) = (0, None);
        Some(kept)
    }

    /// Lets no packs be merged until what it gives is dropped, unless some are being merged.
    pub(in crate::ledger) fn try_hold_merging(&self) -> Option<MutexGuard<'_, ()>> {
        self.merging.try_lock().ok()
    }

    /// Takes no writes from here on, until a restart.
    pub(in crate::ledger) fn close(&self, why: String) {
        tracing::error!(project = %self.name, why, "the repository is read-only");
        let mut read_only = self.read_only.lock().expect("invariant: no panic under this lock");
        *read_only = Some(ReadOnly::Until(why));
    }
}
