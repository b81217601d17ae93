//! Which words of a line that was changed are others now.
//!
//! Invariant: bounded. Lines that are long, pairs that have little in common, and all once the work allowed is spent are
//! left unmarked.

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Longest line in which words are marked, in bytes.
/// Limit: line of a diff in which changed words are marked | {:bytes}
const LONGEST: usize = 1 << 10;
/// Most comparisons of words for one diff.
/// Limit: comparisons of words of one diff | {}, then lines are shown without marks
pub(super) const MOST: usize = 4 << 20;

/// What is marked of a line, before and now: ranges of its bytes.
pub(super) type Marks = (Vec<Range<usize>>, Vec<Range<usize>>);

/// The parts of `old` and of `new` that the other has not; none where marks would not help. `left` is spent.
pub(super) fn marks(old: &str, new: &str, left: &mut usize) -> Option<Marks> {
    if old.len() > LONGEST || new.len() > LONGEST {
        return None;
    }
    let (a, b) = (words(old), words(new));
    *left = left.checked_sub(a.len() * b.len())?;
    let (old_at, new_at) = (offsets(&a), offsets(&b));
    let (mut gone, mut came, mut kept) = (Vec::new(), Vec::new(), 0);
    for op in capture_diff_slices(Algorithm::Myers, &a, &b) {
        let (before, now) = (op.old_range(), op.new_range());
        let before = old_at[before.start]..old_at[before.end];
        let now = new_at[now.start]..new_at[now.end];
        if op.tag() == DiffTag::Equal {
            kept += old[before].split_whitespace().map(str::len).sum::<usize>();
            continue;
        }
        gone.extend(Some(before).filter(|part| !part.is_empty()));
        came.extend(Some(now).filter(|part| !part.is_empty()));
    }
    // Lines that share a third at most are two lines, not one that was changed.
    let longer = old.trim().len().max(new.trim().len());
    (kept * 3 > longer).then_some((gone, came))
}

/// Where each word begins, and where the last one ends.
fn offsets(words: &[&str]) -> Vec<usize> {
    let ends = words.iter().scan(0, |at, word| {
        *at += word.len();
        Some(*at)
    });
    std::iter::once(0).chain(ends).collect()
}

/// A line as words, blanks, and whatever stands between them one by one.
fn words(line: &str) -> Vec<&str> {
    #[derive(PartialEq)]
    enum Class {
        Word,
        Blank,
        Other,
    }
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => Class::Word,
        c if c.is_whitespace() => Class::Blank,
        _ => Class::Other,
    };
    let (mut words, mut from, mut before) = (Vec::new(), 0, None);
    for (at, c) in line.char_indices() {
        let now = class(c);
        if before.as_ref().is_some_and(|before| *before != now || now == Class::Other) {
            words.push(&line[from..at]);
            from = at;
        }
        before = Some(now);
    }
    if from < line.len() {
        words.push(&line[from..]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(old: &str, new: &str) -> Option<(Vec<String>, Vec<String>)> {
        let (gone, came) = marks(old, new, &mut MOST.clone())?;
        let parts = |line: &str, of: Vec<Range<usize>>| of.into_iter().map(|part| line[part].to_owned()).collect();
        Some((parts(old, gone), parts(new, came)))
    }

    #[test]
    fn words_that_changed_are_marked() {
        let (gone, came) = shown("let size = buf.len();", "let count = buf.len() + 1;").unwrap();
        assert_eq!((gone, came), (vec!["size".to_owned()], vec!["count".to_owned(), " + 1".to_owned()]));
        assert_eq!(shown("same", "same"), Some((vec![], vec![])));
    }

    #[test]
    fn nothing_is_marked_where_it_would_not_help() {
        assert_eq!(shown("fn alpha() {", "return 7 * x;"), None);
        assert_eq!(shown(&"x".repeat(LONGEST + 1), "x"), None);
        assert_eq!(marks("a b", "a c", &mut 1), None, "the work allowed is spent");
    }

    proptest! {
        #[test]
        fn marks_are_parts_of_their_lines(old in "[ab é.]{0,40}", new in "[ab é.]{0,40}") {
            if let Some((gone, came)) = marks(&old, &new, &mut MOST.clone()) {
                let rest = |line: &str, parts: &[Range<usize>]| {
                    let mut at = 0;
                    let mut kept = String::new();
                    for part in parts {
                        kept += &line[at..part.start];
                        at = part.end;
                    }
                    kept + &line[at..]
                };
                prop_assert_eq!(rest(&old, &gone), rest(&new, &came));
            }
        }
    }
}
