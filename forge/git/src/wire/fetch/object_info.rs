//! The v2 command `object-info`: how large objects are.
//!
//! Invariant: an object that no shown ref reaches is answered like one that never existed.

use notes_schema::Oid;

use super::request::{oid, split};
use super::{Asked, admit};
use crate::select::ids::IdSet;
use crate::wire::{Wants, WireError, pktline};

/// The most objects that one request asks about.
/// Limit: objects that one object-info asks about | {}
const MOST: usize = 100_000;

/// Answers framed arguments.
pub fn answer(asked: &Asked, arguments: &[u8]) -> Result<Vec<u8>, WireError> {
    let (mut size, mut ids) = (false, Vec::new());
    for line in pktline::payloads(arguments).map(pktline::text) {
        match split(line) {
            (b"size", b"") => size = true,
            (b"oid", id) if ids.len() < MOST => ids.push(oid(id)?),
            (b"oid", _) => return refused(format!("at most {MOST} objects at once")),
            _ => return refused(format!("unexpected line: '{}'", String::from_utf8_lossy(line))),
        }
    }
    let visible = visible(asked, &ids)?;
    let mut out = Vec::new();
    if size && !ids.is_empty() {
        pktline::data(&mut out, b"size");
    }
    let store = asked.host.store();
    for id in ids {
        let header = if visible.contains(&id) { store.header(id).map_err(WireError::read)? } else { None };
        let answer = match header {
            _ if !size => id.to_string(),
            Some((_, bytes)) => format!("{id} {bytes}"),
            None => format!("{id} "),
        };
        pktline::data(&mut out, answer.as_bytes());
    }
    out.extend_from_slice(pktline::FLUSH);
    Ok(out)
}

fn visible(asked: &Asked, ids: &[Oid]) -> Result<IdSet, WireError> {
    let (tips, others): (IdSet, IdSet) = ids.iter().copied().partition(|&id| asked.host.may_want(id));
    let found = match asked.wants {
        Wants::Any => others,
        Wants::Advertised | Wants::Tips | Wants::Reachable => admit::visible(asked, &others)?,
    };
    Ok(tips.into_iter().chain(found).collect())
}

fn refused<T>(why: String) -> Result<T, WireError> {
    Err(WireError::Refused(format!("object-info: {why}")))
}
