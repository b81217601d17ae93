//! The ledger of another forge, followed: what is new is checked batch by batch before anything of it is believed.
//!
//! Invariant: a ledger is followed forwards alone. One that does not go on from what was seen here is another history, and
//! nothing of it is taken, unless it differs in what `forge.git` declares redacted and in nothing else.

mod redacted;

use std::collections::BTreeMap;

use notes_schema::{Fact, Oid, RefName, refs};

use super::replay::{self, ReadBatch, ReplayError};
use super::snapshot::Snapshot;
use super::verify::take_batch;
use git::object::{self, Kind};
use git::store::{Objects as _, ReadError, Store};
use notes_schema::event::Subject as _;

/// What becomes of batches that open an epoch: anybody could write one, with a key of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewEpochs {
    /// They are refused, unless nothing was seen of this forge before.
    Refused,
    /// They are followed: an operator judged the new key.
    Accepted,
}

/// Why a ledger is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// It is not the one that was seen before, continued.
    #[error(
        "the history there was rewritten: its ledger {there} (batch {n_there}) does not go on from {here} (batch {n_here}), \
         which was seen before"
    )]
    Rewritten {
        /// Its tip.
        there: Oid,
        /// The number of that.
        n_there: u64,
        /// The tip here.
        here: Oid,
        /// The number of that.
        n_here: u64,
    },
    /// It opens an epoch.
    #[error("batch {n} opens epoch {epoch} {why}")]
    Epoch {
        /// The batch.
        n: u64,
        /// The epoch.
        epoch: u32,
        /// With which key, and for what: what a person must judge.
        why: String,
    },
    /// Its refs are not those of its ledger.
    #[error("{0}")]
    Refs(String),
    /// A rule of the format is broken.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An object is missing or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What is new of another forge's ledger.
pub(super) struct Taken {
    /// The state at its tip.
    pub after: Snapshot,
    /// The batches after those that were seen before, in order.
    pub batches: Vec<ReadBatch>,
    /// Whether those that were seen before were written anew, because something was redacted in them.
    pub is_rewritten: bool,
}

/// The state at `tip` and the batches that lead there from `before`.
pub(super) fn take(
    before: &Snapshot,
    store: &Store,
    authority: Option<&Snapshot>,
    tip: Oid,
    epochs: NewEpochs,
) -> Result<Taken, FollowError> {
    let mut after = before.clone();
    let mut batches = Vec::new();
    let commits = match new_commits(before, store, tip) {
        Err(error @ FollowError::Rewritten { .. }) => {
            let Some((after, batches)) = redacted::take(before, store, authority, tip)? else { return Err(error) };
            return Ok(Taken { after, batches, is_rewritten: true });
        }
        other => other?,
    };
    for commit in commits {
        let read = replay::read_batch(store, commit)?;
        if let Some(key) = &read.batch.epoch_key
            && before.number > 0
            && epochs == NewEpochs::Refused
        {
            let why = why_epoch(&after, store, &read, key)?;
            return Err(FollowError::Epoch { n: read.batch.n, epoch: read.batch.epoch, why });
        }
        take_batch(&mut after, store, &read, authority, &mut |_, _| {})?;
        batches.push(read);
    }
    Ok(Taken { after, batches, is_rewritten: false })
}

/// What a person must judge of the epoch that `read` opens behind `before`: whose the key is, and what is redacted under it.
fn why_epoch(before: &Snapshot, store: &Store, read: &ReadBatch, key: &str) -> Result<String, ReplayError> {
    let mut redacted = Vec::new();
    for line in &read.batch.events {
        if let Fact::ProjectRedacted(fact) = replay::read_event(store, line.c, &line.e)?.fact {
            redacted.push(format!("{} of {}", fact.subject(), line.e.trim_start_matches("projects/")));
        }
    }
    let is_known = before.epochs.get_max().is_some_and(|(_, known)| known == key);
    let whose = format!("with a new signing key, `{key}`: whose it is must be judged by a person");
    Ok(match (redacted.is_empty(), is_known) {
        (true, _) => whose,
        (false, true) => {
            format!("for a redaction ({}): whether it is right must be judged by a person", redacted.join("; "))
        }
        (false, false) => format!("for a redaction ({}) {whose}", redacted.join("; ")),
    })
}

/// Ledger commits after `before` up to `tip`, oldest first.
fn new_commits(before: &Snapshot, store: &Store, tip: Oid) -> Result<Vec<Oid>, FollowError> {
    let mut found = Vec::new();
    let mut at = Some(tip);
    while at != before.tip {
        let Some(commit) = at else {
            let n_there = replay::read_batch(store, tip)?.batch.n;
            let here = before.tip.expect("invariant: a walk to the root has passed `None`");
            return Err(FollowError::Rewritten { there: tip, n_there, here, n_here: before.number });
        };
        found.push(commit);
        let raw = store.get_kind(commit, Kind::Commit)?;
        let parsed = object::read_commit(&raw.data).map_err(|source| ReadError::Malformed { id: commit, source })?;
        at = parsed.parents.first().copied();
    }
    found.reverse();
    Ok(found)
}

/// Holds what was advertised against what the ledger says. What is not shown there for want of its object is not served
/// here either; whether there is something of that kind.
pub(super) fn check_shown(
    after: &mut Snapshot,
    store: &Store,
    shown: &BTreeMap<RefName, Oid>,
) -> Result<bool, FollowError> {
    let mut lost = Vec::new();
    for (name, value) in &after.refs {
        let says = format!("its ledger (batch {}) says {}", after.number, value.id);
        match shown.get(name) {
            Some(id) if *id == value.id => {}
            Some(id) => return Err(FollowError::Refs(format!("{name} is shown there as {id}, but {says}"))),
            None if store.contains(value.id) => {
                return Err(FollowError::Refs(format!("{name} is not shown there, but {says}")));
            }
            None => lost.push(name.clone()),
        }
    }
    // A copy that is fetched without pruning goes on showing what was folded since.
    let is_folded = |name: &RefName, id: &Oid| after.folded.get(name).is_some_and(|value| value.id == *id);
    if let Some((name, _)) = shown.iter().find(|(name, id)| !after.refs.contains_key(*name) && !is_folded(name, id)) {
        return Err(FollowError::Refs(format!("{name} is shown there, but its ledger knows no such ref")));
    }
    for name in lost.iter().filter(|name| name.as_str() != refs::LEDGER) {
        after.withhold(name);
    }
    Ok(!lost.is_empty())
}
