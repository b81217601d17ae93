//! Refs on disk against the ledger's last line for each, and everything that code refs reach.
//!
//! Refs on disk reflect one ledger commit, the one that the ledger's own ref names: a mirror's newest, or in a running
//! forge's directory the one of the last flush.
//!
//! Invariant: reads only.

use std::collections::{BTreeMap, BTreeSet};

use notes_schema::batch::RefTarget;
use notes_schema::{Oid, RefName, refs};

use super::{Checked, Hashing, Report};
use crate::ledger::replay;
use crate::ledger::snapshot::Snapshot;
use git::name::FullName;
use git::object::{self, Kind};
use git::store::{Objects as _, ReadError};

/// What stands on disk.
pub(super) type OnDisk = BTreeMap<FullName, Option<Oid>>;

/// Holds every ref on disk against the ledger: altered, missing and extra ones are faults.
pub(super) fn check_refs(report: &mut Report, checked: &Checked, disk: &OnDisk, objects: &Hashing) {
    let project = &checked.snapshot.project;
    let ledger = FullName::from(refs::ledger());
    let Some(at) = &checked.on_disk else {
        let named = disk.get(&ledger).map(|id| id.map_or("nothing".to_owned(), |id| id.to_string()));
        match named {
            Some(id) => report.faults.push(format!("{project}: {ledger} names {id} on disk, and its ledger never did")),
            None => {
                report.faults.extend(disk.keys().map(|name| format!("{project}: {name} is there without a ledger")))
            }
        }
        return;
    };
    for (name, value) in at.refs.iter().filter(|(name, _)| name.as_str() != refs::LEDGER) {
        let says = || format!("the ledger (batch {}) says {}", at.number, value.id);
        match disk.get(&FullName::from(name)) {
            Some(Some(id)) if *id == value.id => report.refs += 1,
            Some(Some(id)) => report.faults.push(format!("{project}: {name} names {id} on disk, but {}", says())),
            Some(None) => report.faults.push(format!("{project}: {name} names no object on disk, but {}", says())),
            // Records come along with their month, whether their own refs were copied or not.
            None if name.as_str().starts_with(refs::IN_PREFIX) => report.absent += 1,
            None if may_be_absent(name) && !objects.contains(value.id) => report.absent += 1,
            None => report.faults.push(format!("{project}: {name} is missing on disk, but {}", says())),
        }
    }
    let known =
        |name: &FullName| *name == ledger || name.as_str().parse().is_ok_and(|n: RefName| at.refs.contains_key(&n));
    let is_folded = |name: &FullName, id: &Option<Oid>| {
        let value = name.as_str().parse().ok().and_then(|name: RefName| at.folded.get(&name));
        value.is_some_and(|value| *id == Some(value.id))
    };
    let (folded, extra): (Vec<_>, Vec<_>) =
        disk.iter().filter(|(name, _)| !known(name)).partition(|(name, id)| is_folded(name, id));
    if !folded.is_empty() {
        let why = "which the ledger has folded since (git fetch --prune removes them)";
        report.pending.push(format!("{project}: {} refs of what rests are still on disk, {why}", folded.len()));
    }
    if extra.is_empty() {
        return;
    }
    let once = said_once(checked, &extra, objects);
    for (name, id) in extra {
        let shown = id.map_or("no object".to_owned(), |id| id.to_string());
        if once.contains(name) {
            let why = "which the ledger has deleted since (git fetch --prune removes it)";
            report.pending.push(format!("{project}: {name} is still on disk, {why}"));
        } else {
            report.faults.push(format!("{project}: {name} names {shown} on disk, and its ledger knows no such ref"));
        }
    }
}

/// Notes and months of records are copied at the will of whoever copies; nothing rests on them.
fn may_be_absent(name: &RefName) -> bool {
    name.as_str().starts_with("refs/notes/") || name.as_str().starts_with(refs::TRACES_PREFIX)
}

/// Those of `extra` to which the ledger gave this very value at some time: what a fetch without pruning leaves.
fn said_once<'a>(
    checked: &Checked,
    extra: &[(&'a FullName, &Option<Oid>)],
    objects: &Hashing,
) -> BTreeSet<&'a FullName> {
    let mut found = BTreeSet::new();
    for commit in checked.chain.iter().rev() {
        let Ok(read) = replay::read_batch(objects, *commit) else { continue };
        for line in &read.refs {
            let RefTarget::Object(new) = line.new else { continue };
            let is = |(name, id): &&(&FullName, &Option<Oid>)| name.as_str() == line.name.as_str() && **id == Some(new);
            found.extend(extra.iter().find(is).map(|(name, _)| *name));
        }
        if found.len() == extra.len() {
            break;
        }
    }
    found
}

/// Reads everything that code refs reach, naming the ref at which something is damaged.
pub(super) fn walk_tips(report: &mut Report, snapshot: &Snapshot, objects: &Hashing) {
    let mut seen = BTreeSet::new();
    for (reference, value) in snapshot.answered() {
        let is_code =
            !reference.as_str().starts_with(refs::FORGE_PREFIX) || reference.as_str().starts_with(refs::TRACES_PREFIX);
        if !is_code || !objects.contains(value.id) {
            continue;
        }
        if let Err(error) = walk(objects, value.id, &mut seen) {
            report.faults.push(format!("{}: {reference}: {error}", snapshot.project));
        }
    }
}

/// Reads and hashes everything that `tip` reaches and `seen` does not hold yet.
pub(super) fn walk(objects: &Hashing, tip: Oid, seen: &mut BTreeSet<Oid>) -> Result<(), ReadError> {
    let mut left = vec![tip];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        let object = objects.get(id)?;
        let malformed = |source| ReadError::Malformed { id, source };
        match object.kind {
            Kind::Blob => {}
            Kind::Commit => {
                let commit = object::read_commit(&object.data).map_err(malformed)?;
                left.push(commit.tree);
                left.extend(commit.parents);
            }
            Kind::Tree => {
                let entries = object::read_tree(&object.data).map_err(malformed)?;
                left.extend(entries.iter().filter(|e| e.mode != object::Mode::Submodule).map(|e| e.id));
            }
            Kind::Tag => left.push(object::tag_target(&object.data).map_err(malformed)?.0),
        }
    }
    Ok(())
}
