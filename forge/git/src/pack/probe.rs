//! Foreign bytes into what takes packs, for fuzzing and for the seeds in `fuzz/seeds`.
//!
//! Invariant: each function returns, whatever it is given, and takes no more than a few megabytes. What must hold of what
//! was taken is asserted here, so that a fuzzer finds more than crashes.

use std::io;

use tempfile::TempDir;

use super::intake::{self, Limits};
use crate::store::Store;

/// An empty repository to take packs for.
pub struct Ground {
    dir: TempDir,
    store: Store,
}

impl Ground {
    /// A new one.
    pub fn new() -> io::Result<Ground> {
        let dir = tempfile::tempdir()?;
        for below in ["objects/pack", "refs/heads"] {
            std::fs::create_dir_all(dir.path().join(below))?;
        }
        std::fs::write(dir.path().join("HEAD"), "ref: refs/heads/main\n")?;
        let store = Store::open(dir.path()).map_err(io::Error::other)?;
        Ok(Ground { dir, store })
    }

    /// Takes `body` as a pack, in memory and on disk. The checksum is put behind it here, for no fuzzer would guess it.
    pub fn pack_intake(&self, body: &[u8]) {
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(body);
        let Ok(checksum) = hasher.try_finalize() else { return };
        let pack = [body, checksum.as_slice()].concat();
        let in_memory = Limits {
            pack_bytes: 1 << 20,
            objects: 1000,
            object_bytes: 1 << 20,
            inflated_bytes: 8 << 20,
            delta_depth: 50,
            memory_bytes: 4 << 20,
            ..Limits::default()
        };
        let on_disk = Limits { memory_bytes: 0, ..in_memory.clone() };
        let taken = [in_memory, on_disk].map(|limits| {
            let quarantine = intake::take(&mut &pack[..], &self.store, &limits, &mut |_| ()).ok()?;
            let mut ids: Vec<_> = quarantine.ids().collect();
            for &id in &ids {
                let object = quarantine.get(id).expect("what was taken can be read");
                assert_eq!(object.id().ok(), Some(id), "an object is not what its name says");
            }
            ids.sort_unstable();
            Some(ids)
        });
        assert_eq!(taken[0], taken[1], "memory and disk take different packs");
        let left = std::fs::read_dir(self.dir.path()).map(Iterator::count);
        assert_eq!(left.ok(), Some(3), "something of a pack that was given up stays");
    }
}

/// Applies a delta: the first byte says how many of the following are the base, the rest is the delta.
pub fn delta(bytes: &[u8]) {
    /// Limit: bytes that an intake takes of one fuzzed input | {:bytes}
    const MOST: u64 = 1 << 16;
    let Some((&size, rest)) = bytes.split_first() else { return };
    let (base, delta) = rest.split_at(rest.len().min(usize::from(size)));
    if let Ok(made) = intake::delta::apply(base, delta, MOST) {
        assert!(made.len() as u64 <= MOST, "more was made than allowed");
        let copied = made.iter().all(|byte| base.contains(byte) || delta.contains(byte));
        assert!(copied, "a byte came from neither base nor delta");
    }
}
