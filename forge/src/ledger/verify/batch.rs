//! Whether one batch may follow on the ledger before it: signature, digests, what its ref lines expect, its events, and
//! the signatures on records that it brought. Verification and mirrors share it.
//!
//! Invariant: reads only what is handed in.

use notes_schema::batch::{FOLDS_REFS, RefTarget};
use notes_schema::{EntityId, Fact, Oid, RefName, refs};

use super::events::check_event;
use super::{redaction, sealed};
use crate::ledger::recover::check_link;
use crate::ledger::replay::{self, ReadBatch, ReplayError};
use crate::ledger::rest::has_ended;
use crate::ledger::signed_record::check_signature;
use crate::ledger::snapshot::Snapshot;
use git::history;
use git::store::Objects;

/// Takes `read` into `snapshot`, which stands at the batch before, with every check; `authority` is `forge.git`'s state,
/// absent for `forge.git` itself. `saw` is told each event's place and fact. After an error `snapshot` is of no use.
pub(in crate::ledger) fn take_batch(
    snapshot: &mut Snapshot,
    objects: &dyn Objects,
    read: &ReadBatch,
    authority: Option<&Snapshot>,
    saw: &mut dyn FnMut(String, &Fact),
) -> Result<(), ReplayError> {
    let number = read.batch.n;
    let place = format!("ledger commit {} (batch {number})", read.commit);
    check_link(snapshot, read, authority).map_err(|why| ReplayError::broken(&place, why))?;
    check_ref_lines(snapshot, objects, read).map_err(|why| ReplayError::broken(&place, why))?;
    replay::apply_batch(snapshot, objects, read, &mut |before, id, line, event| {
        check_event(before, id, line.c, event, number, authority.unwrap_or(before).genesis)?;
        sealed::check(objects, before, id, event, authority.unwrap_or(before).genesis)?;
        let declared = authority.map_or(Ok(()), |authority| redaction::check(&authority.fold, before, id, event));
        declared
            .map_err(|why| ReplayError::broken(format!("{}: {id} event {}", before.project, event.event.n), why))?;
        saw(format!("{id} event {} (commit {})", event.event.n, line.c), &event.fact);
        Ok(())
    })?;
    for line in &read.batch.events {
        check_chain_line(read, line.e.as_str(), &place)?;
    }
    let signed = authority.map_or(Ok(()), |authority| check_signed_records(objects, read, authority));
    signed.map_err(|why| ReplayError::broken(&place, why))
}

/// A ref line expects what the ledger said before, and the default branch only ever grows.
fn check_ref_lines(snapshot: &Snapshot, objects: &dyn Objects, read: &ReadBatch) -> Result<(), String> {
    for line in &read.refs {
        let before = snapshot.said_id(&line.name);
        // A forge that was started on a copy without some object did not serve its ref, and went on without it.
        let was_lost = line.old.is_none() && before.is_some_and(|id| !objects.contains(id));
        if line.old != before && !was_lost {
            let show = |id: Option<Oid>| id.map_or("nothing".to_owned(), |id| id.to_string());
            return Err(format!("it moves {} from {}, where it was {}", line.name, show(line.old), show(before)));
        }
        if let (RefTarget::Nothing, Some(id)) = (&line.new, refs::folded_with(&line.name)) {
            check_folded(snapshot, read, &line.name, &id)?;
        }
        if let (Some(old), RefTarget::Object(new)) = (line.old, &line.new)
            && snapshot.head.as_ref() == Some(&line.name)
            && !history::is_ancestor(objects, old, *new).map_err(|e| format!("{}: {e}", line.name))?
        {
            return Err(format!("it moves {} from {old} to {new}, which does not descend from it", line.name));
        }
    }
    Ok(())
}

/// Refs of what is over are folded, and of nothing else, in a batch that older programs do not take for another.
fn check_folded(snapshot: &Snapshot, read: &ReadBatch, name: &RefName, id: &EntityId) -> Result<(), String> {
    if read.batch.v < FOLDS_REFS {
        return Err(format!("it drops {name}, which format {} cannot", read.batch.v));
    }
    if !has_ended(&snapshot.fold, id) {
        return Err(format!("it folds {name}, and {id} has not ended"));
    }
    Ok(())
}

/// What the ledger says was signed: by a key that let the record's maker in, over the record or the push that brought it.
fn check_signed_records(objects: &dyn Objects, read: &replay::ReadBatch, authority: &Snapshot) -> Result<(), String> {
    for push in &read.batch.pushes {
        for (line, signed) in push.records.iter().filter_map(|line| Some((line, line.signed.as_ref()?))) {
            if !objects.contains(line.blob) {
                // A month may be dropped, and its signatures with it.
                continue;
            }
            let named = |why: String| format!("record {} of {}: {why}", line.h, push.a);
            if !authority.fold.let_in(&signed.key, &push.a, None) {
                return Err(named(format!("{} signed it, which was never a key of its maker", signed.key)));
            }
            check_signature(objects, signed, line.c, &line.r, &line.h).map_err(named)?;
        }
    }
    Ok(())
}

/// An entity's new tip must stand among the ledger commit's parents and its ref lines.
pub(super) fn check_chain_line(read: &replay::ReadBatch, entity: &str, place: &str) -> Result<(), ReplayError> {
    let last = read.batch.events.iter().rev().find(|l| l.e == entity).map(|l| l.c);
    let id: EntityId = entity.parse().map_err(|_| ReplayError::broken(place, "an entity that is none"))?;
    let name = replay::entity_ref(&id);
    let in_refs = read.refs.iter().find(|l| l.name == name).map(|l| l.new.clone());
    if last.is_none_or(|tip| !read.parents.contains(&tip) || in_refs != Some(RefTarget::Object(tip))) {
        return Err(ReplayError::broken(
            place,
            format!("the new tip of {entity} is not a parent and a ref line of it"),
        ));
    }
    Ok(())
}
