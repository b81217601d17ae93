//! The patch from the tree before to the one that was run, as a record carries it.
//!
//! Invariant: a record carries a patch only if it was replayed here and made the tree, if nothing in it looks like a secret,
//! and if it fits. Otherwise it says why there is none; that never keeps a run from being recorded.

use git::apply;
use hooks::patch;
use hooks::secrets::Allowed;
use notes_schema::trace::{Record, limits};
use notes_schema::{Oid, budget};

use super::git::Git;
use crate::away::Stock;

/// Longest patch that is looked at, in bytes.
/// Limit: patch that `forge run` looks at | {:bytes}; a longer one is left out of the record, which says so
const LONGEST: u64 = 8 << 20;
/// Most bytes that are read and hashed to replay it: as many as the forge would.
/// Limit: bytes that `forge run` reads and hashes to replay it | {:bytes}
const ROOM: u64 = 128 << 20;
/// What the name of the field and its head take in a record, and a little more.
const AROUND: usize = 64;

/// Adds the patch of the only attempt of `record`, which follows `before`; or why there is none.
pub fn add(git: &Git, record: &mut Record, before: Option<&Record>, allowed: &Allowed) {
    let room = budget::TRACE.bytes.saturating_sub(record.canonical().len() + AROUND);
    let made = match record.starts_from(before) {
        Some(from) => between(git, from, record.head_tree, allowed, room),
        None => Err("no tree is known that it could start from".to_owned()),
    };
    let Some(attempt) = record.attempts.last_mut() else { return };
    match made {
        Ok(frame) => attempt.patch = Some(frame),
        Err(why) => {
            let end = (0..=limits::TEXT.min(why.len())).rev().find(|at| why.is_char_boundary(*at)).unwrap_or(0);
            attempt.patch_omitted = true;
            attempt.patch_omitted_why = Some(why[..end].to_owned());
        }
    }
}

fn between(git: &Git, from: Oid, to: Oid, allowed: &Allowed, room: usize) -> Result<Vec<u8>, String> {
    let text = git.patch(from, to, LONGEST).map_err(|_| "git could not compare the two trees".to_owned())?;
    let text = text.ok_or_else(|| format!("it has more than {} MiB", LONGEST >> 20))?;
    if let Some((rule, line)) = patch::find_secret(&text, allowed) {
        return Err(format!("its line {line} looks like a secret ({rule})"));
    }
    let frame = patch::deflate(&text);
    if frame.len() > room {
        return Err(format!("{} bytes of it are left, and {room} fit into the record", frame.len()));
    }
    let stock = Stock::open(git.top()).map_err(|e| e.to_string())?;
    match apply::apply(&stock, from, &text, &mut ROOM.clone()) {
        Ok(applied) if applied.tree == to => Ok(frame),
        Ok(applied) => Err(format!("it makes tree {} and not {}", applied.tree.short(), to.short())),
        // Not in the words of the error: it may name a path, and paths were not searched in it.
        Err(apply::ApplyError::TooMuch) => Err("it takes too much to be replayed".to_owned()),
        Err(_) => Err("it could not be replayed".to_owned()),
    }
}
