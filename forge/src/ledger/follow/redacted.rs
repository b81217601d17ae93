//! A ledger that was written anew, because something was redacted in it: followed only as far as it says what it said before.
//!
//! Invariant: taken only where `forge.git`, followed into the epoch of that redaction on an operator's word, declares it; where
//! every batch that was seen here stands there under its number; and where every event that is not declared redacted is the
//! same, byte for byte.

use notes_schema::batch::{Batch, EventLine, RefLine, RefTarget};
use notes_schema::event::ProjectRedacted;
use notes_schema::{EntityId, Oid, RefName, refs};

use super::FollowError;
use crate::ledger::replay::{self, ReadBatch, ReplayError};
use crate::ledger::snapshot::Snapshot;
use crate::ledger::verify::take_batch;
use git::store::{Objects, Store};

/// The state at `tip`, whose ledger does not go on from `before`, and its batches that were not seen before. `None` where
/// nothing declares why.
pub(super) fn take(
    before: &Snapshot,
    store: &Store,
    authority: Option<&Snapshot>,
    tip: Oid,
) -> Result<Option<(Snapshot, Vec<ReadBatch>)>, FollowError> {
    let Some(authority) = authority else { return Ok(None) };
    let declared =
        |id: &EntityId, n: u64| authority.fold.redaction(&before.project, id, n).map(|found| found.0.clone());
    let all = authority.fold.redactions.get(&before.project).into_iter().flatten();
    let is_new = |redaction: &&ProjectRedacted| {
        let known = |event: &notes_schema::event::RedactedEvent| {
            event.e.parse().is_ok_and(|id: EntityId| before.fold.redacted.contains_key(&(id, event.n)))
        };
        !redaction.events.iter().all(known)
    };
    let Some(from) = all.filter(is_new).map(|redaction| redaction.from).min() else { return Ok(None) };
    let Some(here) = before.tip else { return Ok(None) };
    let (old, new) = (replay::first_parents(store, here, None)?.0, replay::first_parents(store, tip, None)?.0);
    if new.len() < old.len() {
        return Ok(None);
    }
    let (mut after, mut batches) = (Snapshot::empty(before.project.clone()), Vec::new());
    for (at, commit) in new.into_iter().enumerate() {
        let read = replay::read_batch(store, commit)?;
        match old.get(at) {
            Some(seen) if *seen == commit => {}
            Some(seen) if read.batch.n >= from => {
                check_kept(store, &replay::read_batch(store, *seen)?, &read, &declared)?;
            }
            Some(_) => return Ok(None),
            None => batches.push(read.clone()),
        }
        take_batch(&mut after, store, &read, Some(authority), &mut |_, _| {})?;
    }
    Ok(Some((after, batches)))
}

fn entity(line: &EventLine) -> Result<EntityId, ReplayError> {
    line.e.parse().map_err(|_| ReplayError::broken("a batch", format!("{} is no entity", line.e)))
}

/// Whether a batch of the new history says what the one of the old history says, but for what is redacted between them:
/// `old` and `new` have the same number, and `declared` is all that `forge.git` declares of the project.
fn check_kept(
    objects: &dyn Objects,
    old: &ReadBatch,
    new: &ReadBatch,
    declared: &dyn Fn(&EntityId, u64) -> Option<ProjectRedacted>,
) -> Result<(), ReplayError> {
    let place = format!("batch {}", old.batch.n);
    let fail = |why: String| Err(ReplayError::broken(&place, why));
    let bare = |of: &Batch| Batch { v: 0, epoch: 0, events: Vec::new(), ..of.clone() };
    if bare(&old.batch) != bare(&new.batch) || old.batch.events.len() != new.batch.events.len() {
        return fail("it says something else than before, beside what is declared redacted".to_owned());
    }
    let is_moved = |name: &RefName| name.as_str() == refs::REVIEW_NOTES || refs::entity_of(name).is_some();
    let same_ref = |(old, new): (&RefLine, &RefLine)| {
        let moves = matches!((&old.new, &new.new), (RefTarget::Object(_), RefTarget::Object(_)));
        let old_is = old.old.is_some() == new.old.is_some();
        old == new || (old.name == new.name && is_moved(&old.name) && old_is && (moves || old.new == new.new))
    };
    if old.refs.len() != new.refs.len() || !old.refs.iter().zip(&new.refs).all(same_ref) {
        return fail("it moves refs in another way than before".to_owned());
    }
    for (was, is) in old.batch.events.iter().zip(&new.batch.events) {
        if (&was.e, was.h) != (&is.e, is.h) {
            return fail(format!("its event of {} is another one than before", was.e));
        }
        // Bytes of the same digest are the same; so is the text, whose digest stands in them.
        if is.r == was.r {
            continue;
        }
        let before = replay::read_event(objects, was.c, &was.e)?;
        let after = replay::read_event(objects, is.c, &is.e)?;
        let n = before.event.n;
        let redaction = declared(&entity(was)?, n);
        let left = redaction.and_then(|redaction| before.event.redacted(was.h, &redaction.because));
        if left != Some((after.event, after.text)) {
            return fail(format!("{} event {n} says more or less than a redaction leaves of it", was.e));
        }
    }
    Ok(())
}
