//! Budgets for MessagePack from outside, spent before anything is allocated or recursed into.
//!
//! [`check`] walks the bytes without decoding them; only what it passes may reach a decoder.

/// How much one value may hold.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Longest encoding, in bytes.
    pub bytes: usize,
    /// Deepest nesting of arrays and maps.
    pub depth: usize,
    /// Most values in all, keys included.
    pub elements: usize,
}

/// An event or intent: 256 KiB, 32 deep, 20,000 values.
/// Limit: one event | {bytes:bytes}, {depth} deep, {elements} values
pub const EVENT: Budget = Budget { bytes: 256 << 10, depth: 32, elements: 20_000 };
/// A trace record: 512 KiB, 32 deep, 50,000 values.
/// Limit: one trace record | {bytes:bytes}, {depth} deep, {elements} values
pub const TRACE: Budget = Budget { bytes: 512 << 10, depth: 32, elements: 50_000 };
/// The `batch` blob of a ledger commit: 4 MiB, 32 deep, 500,000 values.
/// Limit: the `batch` of a ledger commit | {bytes:bytes}, {depth} deep, {elements} values
pub const BATCH: Budget = Budget { bytes: 4 << 20, depth: 32, elements: 500_000 };

/// Why bytes were refused before they were decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// Longer than the budget.
    #[error("{got} bytes, {allowed} allowed")]
    Bytes {
        /// What arrived.
        got: usize,
        /// What the budget holds.
        allowed: usize,
    },
    /// Nested deeper than the budget.
    #[error("nested deeper than {0}")]
    Depth(usize),
    /// More values than the budget.
    #[error("more than {0} values")]
    Elements(usize),
    /// The encoding ends inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A byte that MessagePack never uses, or a kind of value this format does not use (floats, extensions).
    #[error("byte {0:#04x} starts no value of this format")]
    Marker(u8),
    /// Bytes after the value.
    #[error("{0} bytes after the end of the value")]
    Trailing(usize),
}

/// Checks that `bytes` are exactly one MessagePack value within `budget`, without floats or extension types.
pub fn check(bytes: &[u8], budget: Budget) -> Result<(), Overrun> {
    if bytes.len() > budget.bytes {
        return Err(Overrun::Bytes { got: bytes.len(), allowed: budget.bytes });
    }
    // One entry per open array or map: how many values it still expects. The outermost expects one.
    let mut open: Vec<usize> = vec![1];
    let mut rest = bytes;
    let mut seen = 0usize;
    while let Some(expected) = open.last_mut() {
        if *expected == 0 {
            open.pop();
            continue;
        }
        *expected -= 1;
        seen += 1;
        if seen > budget.elements {
            return Err(Overrun::Elements(budget.elements));
        }
        let marker = *rest.first().ok_or(Overrun::Truncated)?;
        let length = |at: usize, width: usize| -> Result<usize, Overrun> {
            let field = rest.get(at..at + width).ok_or(Overrun::Truncated)?;
            Ok(field.iter().fold(0usize, |n, &b| n << 8 | usize::from(b)))
        };
        let (skip, children) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0),
            0x80..=0x8f => (1, usize::from(marker & 0x0f) * 2),
            0x90..=0x9f => (1, usize::from(marker & 0x0f)),
            0xa0..=0xbf => (1 + usize::from(marker & 0x1f), 0),
            0xc4 | 0xd9 => (2 + length(1, 1)?, 0),
            0xc5 | 0xda => (3 + length(1, 2)?, 0),
            0xc6 | 0xdb => (5 + length(1, 4)?, 0),
            0xcc | 0xd0 => (2, 0),
            0xcd | 0xd1 => (3, 0),
            0xce | 0xd2 => (5, 0),
            0xcf | 0xd3 => (9, 0),
            0xdc => (3, length(1, 2)?),
            0xdd => (5, length(1, 4)?),
            0xde => (3, length(1, 2)?.saturating_mul(2)),
            0xdf => (5, length(1, 4)?.saturating_mul(2)),
            other => return Err(Overrun::Marker(other)),
        };
        rest = rest.get(skip..).ok_or(Overrun::Truncated)?;
        if children > 0 {
            if open.len() > budget.depth {
                return Err(Overrun::Depth(budget.depth));
            }
            open.push(children);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Overrun::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Budget = Budget { bytes: 100, depth: 3, elements: 10 };

    #[test]
    fn every_limit_is_named() {
        assert_eq!(check(&[0xc0; 101], SMALL), Err(Overrun::Bytes { got: 101, allowed: 100 }));
        assert_eq!(check(&[0x91, 0x91, 0x91, 0x91, 0xc0], SMALL), Err(Overrun::Depth(3)));
        assert_eq!(check(&[0x9b; 12], SMALL), Err(Overrun::Depth(3)));
        assert_eq!(check(&[0x9f, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], SMALL), Err(Overrun::Elements(10)));
        assert_eq!(check(&[0xdd, 0xff, 0xff, 0xff, 0xff], SMALL), Err(Overrun::Truncated));
        assert_eq!(check(&[0xc6, 0xff, 0xff, 0xff, 0xff], SMALL), Err(Overrun::Truncated));
        assert_eq!(check(&[0xc0, 0xc0], SMALL), Err(Overrun::Trailing(1)));
        assert_eq!(check(&[0xcb, 0, 0, 0, 0, 0, 0, 0, 0], SMALL), Err(Overrun::Marker(0xcb)));
        assert_eq!(check(&[0x91, 0x91, 0x91, 0xc0], SMALL), Ok(()));
    }

    proptest! {
        #[test]
        fn whatever_passes_can_be_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if check(&bytes, EVENT).is_ok() {
                let mut rest = &bytes[..];
                // Text that is not UTF-8 decodes to a value too; the typed decoder refuses it later.
                rmpv::decode::read_value(&mut rest).unwrap();
                prop_assert!(rest.is_empty());
            }
        }
    }
}
