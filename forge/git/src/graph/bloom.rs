//! Changed-path Bloom filters: for each commit, which paths may differ from its first parent.
//!
//! Invariant: a filter only ever says "surely not"; whatever is not understood says "perhaps".

/// How the filters of one file were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    version: u32,
    hashes: u32,
}

/// More hashes than this are not believed; git uses 7.
/// Limit: hashes of a filter in a commit-graph | {}; a filter with more is not believed
const MOST_HASHES: u32 = 64;

impl Settings {
    /// Hash version, number of hashes, bits per entry; `None` for versions that are not known.
    pub(super) fn read(bytes: &[u8]) -> Option<Settings> {
        let word = |n: usize| Some(u32::from_be_bytes(bytes.get(n * 4..n * 4 + 4)?.try_into().ok()?));
        let settings = Settings { version: word(0)?, hashes: word(1)? };
        let known = matches!(settings.version, 1 | 2) && (1..=MOST_HASHES).contains(&settings.hashes);
        known.then_some(settings)
    }
}

/// The filter of one commit.
pub(super) struct Filter<'a> {
    pub settings: Settings,
    pub bits: &'a [u8],
}

impl Filter<'_> {
    fn may_hold(&self, key: Key) -> bool {
        let size = self.bits.len() as u64 * 8;
        (0..self.settings.hashes).all(|n| {
            let bit = u64::from(key.0.wrapping_add(n.wrapping_mul(key.1))) % size;
            self.bits[(bit / 8) as usize] & (1 << (bit % 8)) != 0
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Key(u32, u32);

impl Key {
    fn of(path: &[u8]) -> Key {
        Key(murmur3(0x293a_e76f, path), murmur3(0x7e64_6e2c, path))
    }
}

/// Paths to be looked for, hashed once.
#[derive(Debug, Clone, Default)]
pub struct PathKeys {
    /// Each path with all directories above it, the path last.
    paths: Vec<Vec<Key>>,
    /// One of them holds bytes that version 1 hashed as the writer's machine had it.
    odd: bool,
    /// One of them is the root, which every commit may change.
    root: bool,
}

impl PathKeys {
    /// Of `paths`, whose names are joined by single slashes.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> PathKeys {
        let mut keys = PathKeys::default();
        for path in paths {
            keys.root |= path.is_empty();
            keys.odd |= !path.is_ascii();
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            keys.paths.push(slashes.chain([path.len()]).map(|end| Key::of(&path[..end])).collect());
        }
        keys
    }

    /// A commit that changes a path changes every directory above it as well.
    pub(super) fn may_be_in(&self, filter: &Filter) -> bool {
        if self.root || (self.odd && filter.settings.version == 1) {
            return true;
        }
        self.paths.iter().any(|keys| keys.iter().rev().all(|key| filter.may_hold(*key)))
    }
}

/// MurmurHash3, 32 bits.
fn murmur3(seed: u32, data: &[u8]) -> u32 {
    let (c1, c2) = (0xcc9e_2d51_u32, 0x1b87_3593_u32);
    let scramble = |k: u32| k.wrapping_mul(c1).rotate_left(15).wrapping_mul(c2);
    let (blocks, tail) = data.as_chunks::<4>();
    let mut hash = seed;
    for block in blocks {
        hash = (hash ^ scramble(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = tail.iter().rev().fold(0u32, |k, byte| k << 8 | u32::from(*byte));
    if !tail.is_empty() {
        hash ^= scramble(rest);
    }
    hash ^= data.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of git's own test of its filters (t0095).
    #[test]
    fn hashes_as_git_does() {
        assert_eq!(murmur3(0, b""), 0);
        assert_eq!(murmur3(0, b"Hello world!"), 0x627b_0c2c);
        assert_eq!(murmur3(0, b"The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }
}
