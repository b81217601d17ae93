//! Making deltas: git's copy and insert instructions that turn one object into another.
//!
//! The base is cut into blocks of sixteen bytes, found again in the target by a rolling hash, as git's own `diff-delta` does.
//!
//! Invariant: time is bounded by a constant times the sizes of base and target, memory by the size of the base; what is
//! larger than [`LARGEST`] is not looked at.

/// Objects beyond this size are never compared.
/// Limit: objects compared to send one as a delta of the other | {:bytes}; larger ones go as they are
pub(crate) const LARGEST: usize = 16 << 20;

const BLOCK: usize = 16;
/// How many places of the same hash are compared.
const TRIES: usize = 32;
/// A match so long is taken without looking for a longer one.
const LONG_ENOUGH: usize = 4096;
/// The longest that one instruction copies, and inserts.
/// No limit: of the format.
const MOST_COPIED: usize = 0x10000;
/// No limit: of the format.
const MOST_INSERTED: usize = 0x7f;
/// A change no longer than this is inserted without looking for it elsewhere in the base.
const SMALL: usize = 32;

const FACTOR: u32 = 0x9e37_79b1;
const NONE: u32 = u32::MAX;

/// Buffers that outlive one delta.
#[derive(Default)]
pub(crate) struct Encoder {
    heads: Vec<u32>,
    next: Vec<u32>,
    /// The delta that was made last.
    pub(crate) delta: Vec<u8>,
}

impl Encoder {
    /// Writes into [`Encoder::delta`] what makes `target` of `base`; false when that takes more than `most` bytes.
    pub(crate) fn encode(&mut self, base: &[u8], target: &[u8], most: usize) -> bool {
        self.delta.clear();
        if base.len() > LARGEST || target.len() > LARGEST || base.is_empty() || target.is_empty() {
            return false;
        }
        size(&mut self.delta, base.len());
        size(&mut self.delta, target.len());
        let front = same_front(base, target);
        let back = same_front_of_backs(&base[front..], &target[front..]);
        let (middle, behind) = (front..target.len() - back, base.len() - back);
        copy(&mut self.delta, 0, front);
        if middle.len() <= SMALL {
            insert(&mut self.delta, &target[middle]);
        } else if !self.search(base, target, middle, most) {
            return false;
        }
        copy(&mut self.delta, behind, back);
        self.delta.len() <= most
    }

    /// Covers `range` of `target` with pieces of `base`.
    fn search(&mut self, base: &[u8], target: &[u8], range: std::ops::Range<usize>, most: usize) -> bool {
        self.index(base);
        let target = &target[..range.end];
        let shift = 32 - self.heads.len().trailing_zeros();
        let (mut done, mut at) = (range.start, range.start);
        let mut hash = target.get(at..at + BLOCK).map_or(0, hash);
        while at + BLOCK <= target.len() {
            match self.longest(base, target, at, (hash >> shift) as usize) {
                Some((mut from, mut length)) => {
                    let before = same_front_of_backs(&base[..from], &target[done..at]);
                    from -= before;
                    length += before;
                    insert(&mut self.delta, &target[done..at - before]);
                    copy(&mut self.delta, from, length);
                    at += length - before;
                    done = at;
                    hash = target.get(at..at + BLOCK).map_or(0, self::hash);
                }
                None => {
                    if let Some(&coming) = target.get(at + BLOCK) {
                        hash = roll(hash, target[at], coming);
                    }
                    at += 1;
                }
            }
            if self.delta.len() + (at - done) > most {
                return false;
            }
        }
        insert(&mut self.delta, &target[done..]);
        true
    }

    /// Chains of blocks with the same hash, the first in the base leading.
    fn index(&mut self, base: &[u8]) {
        let blocks = base.len() / BLOCK;
        let slots = (blocks * 2).next_power_of_two().max(16);
        let shift = 32 - slots.trailing_zeros();
        self.heads.clear();
        self.heads.resize(slots, NONE);
        self.next.clear();
        self.next.resize(blocks, NONE);
        let mut after = None;
        for block in (0..blocks).rev() {
            let hash = hash(&base[block * BLOCK..(block + 1) * BLOCK]);
            // Of a run of equal blocks the first is enough: what matches there is extended over the others.
            let slot = (hash >> shift) as usize;
            if after == Some(hash) {
                self.next[block] = self.next[block + 1];
            } else {
                self.next[block] = self.heads[slot];
            }
            self.heads[slot] = block as u32;
            after = Some(hash);
        }
    }

    fn longest(&self, base: &[u8], target: &[u8], at: usize, slot: usize) -> Option<(usize, usize)> {
        let wanted = &target[at..];
        let (mut block, mut best) = (self.heads[slot], None);
        for _ in 0..TRIES {
            if block == NONE {
                break;
            }
            let from = block as usize * BLOCK;
            if base[from..from + BLOCK] == wanted[..BLOCK] {
                let length = BLOCK + same_front(&base[from + BLOCK..], &wanted[BLOCK..]);
                if best.is_none_or(|(_, longest)| length > longest) {
                    best = Some((from, length));
                }
                if length >= LONG_ENOUGH {
                    break;
                }
            }
            block = self.next[block as usize];
        }
        best
    }
}

/// The hash of one block.
fn hash(block: &[u8]) -> u32 {
    block.iter().fold(0, |hash, &byte| mixed(hash, byte))
}

fn mixed(hash: u32, byte: u8) -> u32 {
    hash.wrapping_mul(FACTOR).wrapping_add(u32::from(byte) + 1)
}

/// What the first byte of a block has become by the time that the block's last byte was mixed in.
const LEAVING: u32 = {
    let (mut factor, mut n) = (1u32, 0);
    while n < BLOCK {
        factor = factor.wrapping_mul(FACTOR);
        n += 1;
    }
    factor
};

/// The hash of the block one byte on.
fn roll(hash: u32, leaving: u8, coming: u8) -> u32 {
    mixed(hash, coming).wrapping_sub((u32::from(leaving) + 1).wrapping_mul(LEAVING))
}

fn same_front(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

fn same_front_of_backs(a: &[u8], b: &[u8]) -> usize {
    let words = a.rchunks_exact(8).zip(b.rchunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    let (a, b) = (&a[..a.len() - words], &b[..b.len() - words]);
    words + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

fn size(out: &mut Vec<u8>, mut size: usize) {
    while size >= 0x80 {
        out.push(size as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
}

fn insert(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(MOST_INSERTED) {
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
    }
}

fn copy(out: &mut Vec<u8>, mut from: usize, mut length: usize) {
    while length > 0 {
        let now = length.min(MOST_COPIED);
        let op = out.len();
        out.push(0x80);
        for (bit, byte) in (from as u32).to_le_bytes().into_iter().enumerate() {
            if byte != 0 {
                out[op] |= 1 << bit;
                out.push(byte);
            }
        }
        // The largest length is written as none at all.
        for (bit, byte) in (now as u16).to_le_bytes().into_iter().enumerate() {
            if byte != 0 {
                out[op] |= 0x10 << bit;
                out.push(byte);
            }
        }
        from += now;
        length -= now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng as _, RngCore as _, SeedableRng as _};

    use super::*;
    use crate::pack::intake::delta::apply;

    /// What `base` becomes by changes, moves and repetitions.
    fn edited(base: &[u8], edits: usize, seed: u64) -> Vec<u8> {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut made = base.to_vec();
        for _ in 0..edits {
            let at = random.random_range(0..=made.len());
            let length = random.random_range(0..=(made.len() - at).min(300));
            let mut piece = vec![0; random.random_range(0..40)];
            random.fill_bytes(&mut piece);
            match random.random_range(0..4) {
                0 => drop(made.splice(at..at + length, piece)),
                1 => drop(made.splice(at..at, piece)),
                2 => drop(made.drain(at..at + length)),
                _ => {
                    let moved: Vec<u8> = made.drain(at..at + length).collect();
                    let to = random.random_range(0..=made.len());
                    made.splice(to..to, moved);
                }
            }
        }
        made
    }

    fn delta_of(encoder: &mut Encoder, base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
        encoder.encode(base, target, usize::MAX).then(|| encoder.delta.clone())
    }

    fn holds(base: &[u8], target: &[u8]) -> usize {
        let delta = delta_of(&mut Encoder::default(), base, target).expect("nothing forbids it");
        let made = apply(base, &delta, u64::MAX).expect("a delta that makes sense");
        assert!(made == target, "{} from {}", target.len(), base.len());
        delta.len()
    }

    proptest! {
        #[test]
        fn what_was_edited_is_made_again(
            base in prop::collection::vec(0..4u8, 1..3000), edits in 1..20usize, seed: u64,
        ) {
            let target = edited(&base, edits, seed);
            prop_assume!(!target.is_empty());
            holds(&base, &target);
        }

        #[test]
        fn anything_is_made_of_anything(
            base in prop::collection::vec(any::<u8>(), 1..600), target in prop::collection::vec(any::<u8>(), 1..600),
        ) {
            holds(&base, &target);
        }

        #[test]
        fn no_delta_is_longer_than_allowed(
            base in prop::collection::vec(any::<u8>(), 1..600), edits in 1..20usize, seed: u64, most in 0..300usize,
        ) {
            let target = edited(&base, edits, seed);
            let mut encoder = Encoder::default();
            if encoder.encode(&base, &target, most) {
                prop_assert!(encoder.delta.len() <= most);
                prop_assert_eq!(apply(&base, &encoder.delta, u64::MAX).unwrap(), target);
            }
        }
    }

    #[test]
    fn small_changes_make_small_deltas() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let mut base = vec![0; 300_000];
        random.fill_bytes(&mut base);
        assert!(holds(&base, &base) <= 40);
        for edits in [1, 5, 20] {
            let target = edited(&base, edits, 3);
            let length = holds(&base, &target);
            assert!(length < 200 * edits + 40, "{edits} edits take {length} bytes");
        }
        // Halves that changed places are found.
        let turned = [&base[150_000..], &base[..150_000]].concat();
        assert!(holds(&base, &turned) < 200);
        let zeros = vec![0; 1 << 20];
        assert!(holds(&zeros, &vec![0; 3 << 20]) < 400);
        assert!(holds(&zeros[..100], &zeros) > 0);
    }

    #[test]
    fn what_is_empty_or_large_is_left_alone() {
        let mut encoder = Encoder::default();
        assert_eq!(delta_of(&mut encoder, b"", b"some"), None);
        assert_eq!(delta_of(&mut encoder, b"some", b""), None);
        let large = vec![1; LARGEST + 1];
        assert_eq!(delta_of(&mut encoder, &large, b"some"), None);
        assert_eq!(delta_of(&mut encoder, b"some", &large), None);
        let largest = &large[1..];
        holds(largest, b"other");
        holds(b"a", &vec![1; 1 << 20]);
    }

    #[test]
    fn repetitions_cost_no_more_than_their_length() {
        // Every place of the target fits into every place of the base, and none fits for long.
        let base: Vec<u8> = (0..1 << 19).map(|n| if n % 37 == 0 { n as u8 } else { b'x' }).collect();
        let target: Vec<u8> = (0..1 << 19).map(|n| if n % 41 == 0 { (n >> 3) as u8 } else { b'x' }).collect();
        holds(&base, &target);
    }
}
