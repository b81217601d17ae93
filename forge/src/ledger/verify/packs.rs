//! Files of packs against their own checksums, and whose objects the damaged ones are.
//!
//! Invariant: reads only.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use notes_schema::{Oid, ProjectName, RefName, refs};

use super::on_disk::walk;
use super::{Hashing, Report};
use crate::ledger::snapshot::Snapshot;
use crate::ledger::storage;
use git::pack::index;
use git::store::Objects as _;

/// Every pack's own checksum: it finds damage in objects that nothing else reads. The damaged objects, where they can be
/// told.
pub(super) fn check_packs(report: &mut Report, name: &ProjectName, path: &Path) -> BTreeSet<Oid> {
    let mut damaged = BTreeSet::new();
    let dir = storage::pack_dir(path);
    let entries = fs::read_dir(&dir).map(|d| d.filter_map(Result::ok).map(|e| e.path()).collect::<Vec<_>>());
    for file in entries.unwrap_or_default() {
        let is_checked = matches!(file.extension().and_then(|e| e.to_str()), Some("pack" | "idx"));
        let shown = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A kill between a batch's index and its pack leaves an index that git ignores, possibly torn.
        if !is_checked || shown.starts_with("tmp_") || !file.with_extension("pack").exists() {
            continue;
        }
        match index::has_good_trailer(&file) {
            Ok(true) => report.packs += 1,
            Ok(false) => {
                report.faults.push(format!("{name}: {shown}: its checksum does not match its content"));
                damaged.extend(index::damaged(&file.with_extension("pack")).unwrap_or_default());
            }
            // A running forge has merged it into a larger one just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !file.exists() => {}
            Err(error) => report.faults.push(format!("{name}: {shown}: {error}")),
        }
    }
    damaged
}

/// Names the entity, ledger commit or ref that each damaged object belongs to, where the checks before did not: damage
/// can stand where reading does not stumble over it.
pub(super) fn name_damaged(report: &mut Report, snapshot: &Snapshot, objects: &Hashing, damaged: BTreeSet<Oid>) {
    let known = |faults: &[String], id: &Oid| faults.iter().any(|f| f.contains(&id.to_string()));
    let unnamed: BTreeSet<Oid> = damaged.into_iter().filter(|id| !known(&report.faults, id)).collect();
    if unnamed.is_empty() {
        return;
    }
    let mut name =
        |place: String, id: &Oid| report.faults.push(format!("{}: {place}: object {id} is damaged", snapshot.project));
    for (entity, state) in &snapshot.fold.entities {
        for (_, made) in chain(objects, Some(state.tip)) {
            for id in made.intersection(&unnamed) {
                name(entity.to_string(), id);
            }
        }
    }
    for (commit, made) in chain(objects, snapshot.tip) {
        for id in made.intersection(&unnamed) {
            name(format!("ledger commit {commit}"), id);
        }
    }
    let is_code = |name: &RefName| !name.as_str().starts_with(refs::FORGE_PREFIX);
    for (reference, value) in snapshot.answered().filter(|(name, _)| is_code(name)) {
        let mut reached = BTreeSet::new();
        // What cannot be read was named by the walk before.
        let _ = walk(objects, value.id, &mut reached);
        for id in reached.intersection(&unnamed) {
            name(reference.to_string(), id);
        }
    }
}

/// The commits of an entity's chain or of the ledger, each with its objects: itself, its tree and what is in it, as far as
/// they can be read.
fn chain<'a>(objects: &'a Hashing<'_>, tip: Option<Oid>) -> impl Iterator<Item = (Oid, BTreeSet<Oid>)> + 'a {
    let mut at = tip;
    std::iter::from_fn(move || {
        let commit = at.take()?;
        let mut made = BTreeSet::from([commit]);
        if let Ok(read) = objects.commit(commit) {
            made.insert(read.tree);
            made.extend(objects.tree(read.tree).unwrap_or_default().into_iter().map(|e| e.id));
            at = read.parents.first().copied();
        }
        Some((commit, made))
    })
}
