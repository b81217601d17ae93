//! What a zstd stream claims to inflate to, read from the headers of its frames and blocks alone (RFC 8878).
//!
//! Invariant: nothing is inflated and nothing allocated; work grows with the input, not with what it claims.

/// What one block can hold at most.
const BLOCK: u64 = 128 << 10;
const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE: u32 = 0x184d_2a50;

/// Bytes that `stream` may inflate to: what its frames state, or where they state nothing or too little, what their
/// blocks can hold. What is no zstd, or ends early, claims what stands before that.
pub fn claimed(mut stream: &[u8]) -> u64 {
    let mut sum = 0u64;
    while let Some((claim, rest)) = frame(stream) {
        sum = sum.saturating_add(claim);
        let Some(rest) = rest else { break };
        stream = rest;
    }
    sum
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Takes `count` bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

/// The claim of the first frame, and what follows it, if it ends.
fn frame(mut stream: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    let magic = number(take(&mut stream, 4)?) as u32;
    if magic & 0xffff_fff0 == SKIPPABLE {
        let size = number(take(&mut stream, 4)?) as usize;
        return Some((0, take(&mut stream, size).map(|_| stream)));
    }
    if magic != MAGIC {
        return None;
    }
    let descriptor = take(&mut stream, 1)?[0];
    let single = descriptor & 0x20 != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let width = match descriptor >> 6 {
        0 => usize::from(single),
        flag => 1 << flag,
    };
    take(&mut stream, window + dictionary)?;
    let stated = take(&mut stream, width)?;
    let stated = match width {
        0 => None,
        2 => Some(number(stated) + 256),
        _ => Some(number(stated)),
    };
    let (exact, most, ended) = blocks(&mut stream);
    let claim = stated.map_or(most, |stated| stated.max(exact));
    if !ended {
        return Some((claim, None));
    }
    let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
    Some((claim, take(&mut stream, checksum).map(|_| stream)))
}

/// What the blocks of a frame hold for sure, and at most; and whether the last one was there.
fn blocks(stream: &mut &[u8]) -> (u64, u64, bool) {
    let (mut exact, mut most) = (0u64, 0u64);
    while let Some(header) = take(stream, 3) {
        let header = number(header);
        let size = header >> 3;
        let stored = match header >> 1 & 3 {
            0 => (size, size, size),
            1 => (size, size, 1),
            2 => (0, BLOCK, size),
            _ => return (exact, most, false),
        };
        exact = exact.saturating_add(stored.0);
        most = most.saturating_add(stored.1);
        if take(stream, stored.2 as usize).is_none() {
            return (exact, most, false);
        }
        if header & 1 == 1 {
            return (exact, most, true);
        }
    }
    (exact, most, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZEROS: &[u8] = include_bytes!("../../golden/zeros-64-mib.zst");
    const PATCH: &[u8] = include_bytes!("../../golden/small-patch.zst");

    /// A frame that states nothing: blocks that repeat one byte.
    fn repeats(blocks: usize, size: u32, stated: Option<u64>) -> Vec<u8> {
        let mut frame = MAGIC.to_le_bytes().to_vec();
        match stated {
            None => frame.extend([0x00, 0x38]),
            Some(size) => {
                frame.extend([0xc0, 0x38]);
                frame.extend(size.to_le_bytes());
            }
        }
        for at in 0..blocks {
            let header = size << 3 | 1 << 1 | u32::from(at + 1 == blocks);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(b'x');
        }
        frame
    }

    #[test]
    fn claims_are_read_without_inflating() {
        // Both were made by the `zstd` program; from a pipe it states no size.
        assert_eq!(claimed(ZEROS), 64 << 20);
        assert!(claimed(PATCH) <= BLOCK && claimed(PATCH) > 0, "{}", claimed(PATCH));
        assert_eq!(claimed(&repeats(1000, 128 << 10, None)), 1000 << 17);
        assert_eq!(claimed(&repeats(1000, 128 << 10, Some(1))), 1000 << 17, "a frame that states too little");
        assert_eq!(claimed(&repeats(1, 1, Some(1 << 50))), 1 << 50);
        let two = [repeats(2, 10, None), repeats(3, 10, None)].concat();
        assert_eq!(claimed(&two), 50, "frames add up");
        let skipped = [&SKIPPABLE.to_le_bytes()[..], &[3, 0, 0, 0], b"abc", &two].concat();
        assert_eq!(claimed(&skipped), 50);
        for nothing in [&b""[..], b"plain text", &[0x28, 0xb5, 0x2f, 0xfd, 0]] {
            assert_eq!(claimed(nothing), 0, "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..2000, byte: u8) {
            claimed(&bytes);
            claimed(&[&MAGIC.to_le_bytes()[..], &bytes].concat());
            let mut damaged = ZEROS.to_vec();
            damaged[at] = byte;
            claimed(&damaged);
        }
    }
}
