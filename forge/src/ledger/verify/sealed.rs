//! What lies beside events: a sealed part only where an event says so, and that one whole; and what was revealed is what was
//! promised.
//!
//! Invariant: reads only what is handed in.

use notes_schema::event::{ContestRevealed, ContestSealed};
use notes_schema::{EntityId, Fact, Oid, Sha256};

use crate::ledger::replay::{ReadEvent, ReplayError};
use crate::ledger::snapshot::Snapshot;
use crate::seal::{self, Place};
use crate::state::Stage;
use git::object::Kind;
use git::store::Objects;

/// Holds event `read` of `id` against the blob beside it and, where it reveals one, against what was promised.
pub(super) fn check(
    objects: &dyn Objects,
    before: &Snapshot,
    id: &EntityId,
    read: &ReadEvent,
    genesis: Option<Oid>,
) -> Result<(), ReplayError> {
    let place = format!("{}: {id} event {} (commit {})", before.project, read.event.n, read.commit);
    let fail = |why: &str| Err(ReplayError::broken(&place, why));
    let broken = |why: String| ReplayError::broken(&place, why);
    let EntityId::Issue(n) = id else {
        return if read.sealed.is_some() { fail("a sealed part lies beside it") } else { Ok(()) };
    };
    match (&read.fact, read.sealed) {
        (Fact::ContestSealed(_), None) if read.left.is_some() => Ok(()),
        (Fact::ContestSealed(_), None) => fail("the sealed part that it names is not beside it"),
        (Fact::ContestSealed(_), Some(_)) if read.left.is_some() => fail("it is redacted, and its sealed part is not"),
        (Fact::ContestSealed(fact), Some(blob)) => {
            let of = Place { project: &before.project, genesis, id: &fact.id };
            check_blob(objects, fact, blob, &of).map_err(broken)
        }
        // What later versions put beside what they alone know is theirs.
        (Fact::Unknown { .. }, _) => Ok(()),
        (_, Some(_)) => fail("a sealed part lies beside it, and it seals nothing"),
        (Fact::ContestRevealed(fact), None) => check_revealed(objects, before, *n, fact, genesis).map_err(broken),
        (Fact::ContestRanked(_), None) => match before.fold.contests.sealed(*n) {
            Some(part) if part.commit.is_some() && part.key.is_none() => {
                fail("it ranks a contest whose sealed part was not revealed")
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_blob(objects: &dyn Objects, fact: &ContestSealed, blob: Oid, of: &Place) -> Result<(), String> {
    let size = objects.size(blob).map_err(|e| e.to_string())?;
    if size != fact.bytes || size > seal::MOST_BYTES as u64 {
        return Err("its sealed part has another length than it says".to_owned());
    }
    let bytes = objects.get_kind(blob, Kind::Blob).map_err(|e| e.to_string())?.data;
    if Sha256::of(&bytes) != fact.sealed {
        return Err("its sealed part is not the one that it names".to_owned());
    }
    if !of.is_of(&bytes) {
        return Err("its sealed part was sealed for another place".to_owned());
    }
    Ok(())
}

fn check_revealed(
    objects: &dyn Objects,
    before: &Snapshot,
    n: u64,
    fact: &ContestRevealed,
    genesis: Option<Oid>,
) -> Result<(), String> {
    let contest = before.fold.issue(n).and_then(|issue| issue.contest.as_ref());
    if contest.is_none_or(|contest| contest.stage == Stage::Open) {
        return Err("it reveals what is sealed of a contest that is not closed".to_owned());
    }
    let part = before.fold.contests.sealed(n).filter(|part| part.id == fact.id && part.key.is_none());
    let part = part.ok_or("it reveals what was never sealed, or again")?;
    let counts = |pull: &u64| before.fold.contests.of(n).is_some_and(|of| of.to_verify().any(|other| other == *pull));
    if !fact.unlaid.iter().all(counts) {
        return Err("it fails by its sealed tests what is not to be verified".to_owned());
    }
    // Nothing can be said of what was redacted.
    let Some(commit) = part.commit else { return Ok(()) };
    let bytes = seal::blob(objects, commit).map_err(|e| e.to_string())?;
    let of = Place { project: &before.project, genesis, id: &part.id };
    let opened = seal::open(&fact.key, &bytes).map_err(|e| format!("what it reveals: {e}"))?;
    if opened.commitment != part.commitment || !of.is_of(&bytes) {
        return Err("what it reveals is not what was promised".to_owned());
    }
    Ok(())
}
