//! Sets and maps of object ids that cost no more than they must.
//!
//! Invariant: clients choose ids, so what they hash to depends on a secret of this process.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use notes_schema::Oid;

/// Ids, each once.
pub type IdSet = HashSet<Oid, IdState>;
/// Something for each of some ids.
pub type IdMap<T> = HashMap<Oid, T, IdState>;

/// Makes [`IdHasher`]s.
#[derive(Debug, Clone, Copy)]
pub struct IdState(u64);

impl Default for IdState {
    fn default() -> Self {
        static SECRET: OnceLock<u64> = OnceLock::new();
        IdState(*SECRET.get_or_init(|| RandomState::new().hash_one(0u64) | 1))
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { secret: self.0, state: 0 }
    }
}

/// Folds what are random bytes already, unless someone chose them.
pub struct IdHasher {
    secret: u64,
    state: u64,
}

impl IdHasher {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.state ^ word ^ self.secret) * u128::from(self.secret.rotate_left(29) | 1);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.fold(u64::from_le_bytes(word));
        }
    }

    /// The length in front of an id's bytes, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}
