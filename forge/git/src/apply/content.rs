//! One file: its lines before, the hunks of a section, its lines after.

use notes_schema::Oid;

use super::parse::{Hunk, Line, take_hunk};

/// What git shows of a submodule.
pub(super) fn of_submodule(id: Oid) -> Vec<u8> {
    format!("Subproject commit {id}\n").into_bytes()
}

/// Applies `hunks`, which were found well-formed, to `old`. Nothing is searched for: each stands where it says.
pub(super) fn patched(old: &[u8], mut hunks: &[u8]) -> Result<Vec<u8>, String> {
    let mut new = Vec::with_capacity(old.len());
    let (mut rest, mut lines_before) = (old, 0u64);
    // How many lines more there are so far; negative as well.
    let mut more = 0i64;
    while !hunks.is_empty() {
        let hunk = take_hunk(&mut hunks).map_err(str::to_owned)?;
        let (before, before_new) = (starts_after(hunk.old), starts_after(hunk.new));
        if before < lines_before {
            return Err(format!("the hunks of lines {} and above are not in order", hunk.old.0));
        }
        while lines_before < before {
            let line = first_line(&mut rest).ok_or_else(|| format!("it has no line {before}"))?;
            put(&mut new, line)?;
            lines_before += 1;
        }
        if before.checked_add_signed(more) != Some(before_new) {
            return Err(format!("the hunk of line {} belongs elsewhere in the new file", hunk.old.0));
        }
        apply_hunk(&hunk, &mut rest, &mut new, &mut lines_before)?;
        more += hunk.new.1 as i64 - hunk.old.1 as i64;
    }
    if !rest.is_empty() {
        put(&mut new, rest)?;
    }
    Ok(new)
}

/// Number of lines before a range of a hunk: an empty one names the line before it.
fn starts_after((first, count): (u64, u64)) -> u64 {
    if count == 0 { first } else { first.saturating_sub(1) }
}

fn apply_hunk(hunk: &Hunk, rest: &mut &[u8], new: &mut Vec<u8>, at: &mut u64) -> Result<(), String> {
    for line in hunk.lines() {
        match line {
            Line::Added(text) => put(new, text)?,
            Line::Kept(text) | Line::Removed(text) => {
                *at += 1;
                if first_line(rest) != Some(text) {
                    return Err(format!("line {at} is another"));
                }
                if matches!(line, Line::Kept(_)) {
                    put(new, text)?;
                }
            }
        }
    }
    Ok(())
}

/// Adds what follows, unless the last line has no end.
fn put(new: &mut Vec<u8>, text: &[u8]) -> Result<(), String> {
    if new.last().is_some_and(|byte| *byte != b'\n') {
        return Err("a line follows one that has no end".to_owned());
    }
    new.extend_from_slice(text);
    Ok(())
}

/// The next line with its end, if it has one.
fn first_line<'t>(text: &mut &'t [u8]) -> Option<&'t [u8]> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    let (line, rest) = text.split_at(end);
    *text = rest;
    Some(line)
}
