//! Git's delta format: copy from the base, or insert.
//!
//! Invariant: the declared result is compared with a budget before anything is allocated.

/// What is wrong with a delta.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pack) enum BadDelta {
    /// The declared result is larger than allowed.
    TooLarge(u64),
    /// It makes no sense.
    Damaged(&'static str),
}

/// The object that `delta` makes of `base`.
pub(in crate::pack) fn apply(base: &[u8], delta: &[u8], limit: u64) -> Result<Vec<u8>, BadDelta> {
    let damaged = |why| Err(BadDelta::Damaged(why));
    let mut rest = delta;
    let base_size = size(&mut rest)?;
    let result_size = size(&mut rest)?;
    if base_size != base.len() as u64 {
        return damaged("the delta was made for a base of another size");
    }
    if result_size > limit {
        return Err(BadDelta::TooLarge(result_size));
    }
    let result_size = result_size as usize;
    let mut out = Vec::with_capacity(result_size.min(base.len() + delta.len()));
    while let Some((&op, after)) = rest.split_first() {
        rest = after;
        let piece = match op {
            0 => return damaged("the delta has a reserved instruction"),
            1..=0x7f => {
                let Some((insert, after)) = rest.split_at_checked(op as usize) else {
                    return damaged("the delta ends within an insertion");
                };
                rest = after;
                insert
            }
            0x80.. => {
                let (start, length) = copy(op, &mut rest)?;
                let end = start.checked_add(length).filter(|&end| end <= base.len());
                let Some(end) = end else {
                    return damaged("the delta copies from outside its base");
                };
                &base[start..end]
            }
        };
        if piece.len() > result_size - out.len() {
            return damaged("the delta makes more than it declares");
        }
        out.extend_from_slice(piece);
    }
    if out.len() != result_size {
        return damaged("the delta makes less than it declares");
    }
    Ok(out)
}

fn byte(rest: &mut &[u8]) -> Result<u8, BadDelta> {
    let (&byte, after) = rest.split_first().ok_or(BadDelta::Damaged("the delta ends early"))?;
    *rest = after;
    Ok(byte)
}

fn size(rest: &mut &[u8]) -> Result<u64, BadDelta> {
    let mut size = 0u64;
    for shift in (0..=56).step_by(7) {
        let byte = byte(rest)?;
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
    Err(BadDelta::Damaged("the delta declares an absurd size"))
}

fn copy(op: u8, rest: &mut &[u8]) -> Result<(usize, usize), BadDelta> {
    let (mut start, mut length) = (0usize, 0usize);
    for bit in 0..4 {
        if op & (1 << bit) != 0 {
            start |= usize::from(byte(rest)?) << (8 * bit);
        }
    }
    for bit in 0..3 {
        if op & (0x10 << bit) != 0 {
            length |= usize::from(byte(rest)?) << (8 * bit);
        }
    }
    Ok((start, if length == 0 { 0x10000 } else { length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_inserts() {
        let delta = [10, 8, 0x91, 6, 4, 4, b'-', b'-', b'-', b'-'];
        assert_eq!(apply(b"0123456789", &delta, 100).as_deref(), Ok(&b"6789----"[..]));
    }

    #[test]
    fn refuses_nonsense_before_it_allocates() {
        let base = b"0123456789";
        let huge = [10, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 1];
        assert_eq!(apply(base, &huge, 100), Err(BadDelta::TooLarge(0x7_ffff_ffff)));
        for delta in [
            &[9, 1, 0x90, 1][..],
            &[10, 4, 0x91, 8, 4],
            &[10, 1, 0x90, 4],
            &[10, 9, 0x90, 4],
            &[10, 4, 5, b'x'],
            &[10, 1, 0],
            &[10],
            &[],
            &[0xff; 12],
        ] {
            assert!(matches!(apply(base, delta, 100), Err(BadDelta::Damaged(_))), "{delta:?}");
        }
    }
}
