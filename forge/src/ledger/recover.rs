//! Opening a repository after whatever happened to it: sweep, index, check the tail, fold.
//!
//! Invariant: what is served afterwards is durable. A damaged or contradictory tail is never repaired by guessing: the
//! repository opens read-only at its last good batch and says why.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use notes_schema::envelope::DecodeError;
use notes_schema::{Oid, ProjectName, RefName, Sha256, refs};

use super::checkpoint::Checkpoints;
use super::maintain::Flushed;
use super::replay::{self, ReadBatch, ReplayError};
use super::snapshot::Snapshot;
use super::storage::{self, BatchFile};
use super::{collect, fault, signer};
use git::disk;
use git::object::Object;
use git::pack::index::{self, Entry};
use git::pack::scan::{self, Scanned};
use git::packed_refs::{self, RefValue};
use git::store::{Objects, Over, Store};

/// Why a repository cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no repository.
    #[error(transparent)]
    Store(#[from] git::store::OpenError),
    /// A part of its ledger that was durable cannot be read any more.
    #[error("damaged: {0}")]
    Damaged(ReplayError),
    /// It was written by a later version.
    #[error("written by a newer format: {0}")]
    Newer(DecodeError),
}

impl From<ReplayError> for RecoverError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Decode { source: source @ DecodeError::Newer { .. }, .. } => RecoverError::Newer(source),
            other => RecoverError::Damaged(other),
        }
    }
}

pub(super) struct Recovered {
    pub snapshot: Snapshot,
    pub store: Store,
    pub flushed: Flushed,
    /// The number of the checkpoint that it began with; 0 without one.
    pub checkpoint: u64,
    /// Whether refs of the ledger are not served for want of their objects.
    pub lacks_objects: bool,
    /// Why the repository must take no writes, if so.
    pub damage: Option<String>,
}

/// Recovers the repository in `git_dir`. `authority` is `forge.git`'s snapshot, absent for `forge.git` itself. What a
/// checkpoint holds is not replayed.
pub(super) fn recover(
    git_dir: &Path,
    name: &ProjectName,
    authority: Option<&Snapshot>,
    checkpoints: Option<&Checkpoints>,
) -> Result<Recovered, RecoverError> {
    storage::sweep(git_dir)?;
    if collect::finish(git_dir)? {
        tracing::info!(project = %name, "packs that were being collected are gone");
    }
    fault::point("recovery-swept");
    let packs = storage::packs(git_dir)?;
    let batches = storage::batches_of(git_dir, &packs)?;
    let mut damage = index_batches(&batches)?;
    // Where a checkpoint says all, nothing is read of them.
    let store = Store::open(git_dir)?;
    let on_disk = packed_refs::read(git_dir)?;
    let mut snapshot = Snapshot::empty(name.clone());
    let (mut checkpoint, mut vouched) = (0, None);
    if let Some(tip) = packed_refs::read_one_of(git_dir, refs::LEDGER, &on_disk)? {
        let (kept, commits) = above_checkpoint(&store, name, tip, checkpoints)?;
        if let Some((kept, digest)) = kept {
            (checkpoint, vouched, snapshot) = (kept.number, Some(digest), kept);
        }
        replay::apply_all(&mut snapshot, &store, &commits)?;
    }
    let flushed = snapshot.number;
    let stale = is_stale(git_dir, &on_disk, &snapshot)?;
    let tail: Vec<&BatchFile> = batches.iter().filter(|b| b.n > flushed).collect();
    if let Err(why) = take_tail(&mut snapshot, &store, &tail, authority)? {
        damage = Some(why);
    }
    if let Some(why) = &damage {
        tracing::error!(project = %name, why, "repository is damaged; it is served read-only");
        // It may name commits that are gone now, and walks would pass over the gap.
        git::graph::keep::remove(git_dir)?;
    }
    // As they were when the checkpoint was written: with other packs an object may have gone.
    let is_vouched = damage.is_none() && checkpoint == snapshot.number && vouched == Some(storage::digest(&packs));
    let lacks_objects = !is_vouched && { drop_refs_without_objects(&mut snapshot, &store) };
    let flushed = Flushed { number: flushed, stale };
    Ok(Recovered { snapshot, store, flushed, checkpoint, lacks_objects, damage })
}

/// What a checkpoint holds, and the digest of the packs that there were then.
type Believed = (Snapshot, Sha256);

/// The newest checkpoint on the way to the ledger commit `tip`, where there is a good one, and the ledger commits from there
/// on, oldest first.
fn above_checkpoint(
    store: &Store,
    name: &ProjectName,
    tip: Oid,
    checkpoints: Option<&Checkpoints>,
) -> Result<(Option<Believed>, Vec<Oid>), RecoverError> {
    let Some(kept) = checkpoints.and_then(|all| all.find(name)) else {
        return Ok((None, replay::first_parents(store, tip, None)?.0));
    };
    let (commits, is_met) = replay::first_parents(store, tip, Some(kept.tip))?;
    if !is_met {
        tracing::warn!(project = %name, reflects = %kept.tip, "the checkpoint is not of this ledger; all of it is replayed");
        return Ok((None, commits));
    }
    let packs = kept.packs;
    match kept.read(name) {
        Ok(snapshot) => Ok((Some((snapshot, packs)), commits)),
        Err(why) => {
            tracing::warn!(project = %name, why, "the checkpoint is not believed; the whole ledger is replayed");
            Ok((None, replay::first_parents(store, tip, None)?.0))
        }
    }
}

/// Makes sure that every batch pack has a good index; only then may anyone read through them.
fn index_batches(batches: &[BatchFile]) -> io::Result<Option<String>> {
    let mut damage = None;
    for batch in batches {
        if index::is_good(&batch.path)? {
            continue;
        }
        match scan_file(batch)? {
            Ok((checksum, objects)) => {
                let entries = objects.iter().map(|o| Entry { id: o.id, offset: o.offset, crc32: o.crc32 }).collect();
                disk::write_cache(&batch.path.with_extension("idx"), &index::encode(entries, checksum))?;
            }
            Err(why) => {
                // Without an index nobody reads the damaged pack; it stays where it is as evidence.
                let _ = fs::remove_file(batch.path.with_extension("idx"));
                damage = Some(why);
            }
        }
    }
    fault::point("recovery-indexed");
    Ok(damage)
}

/// A pack's trailer and objects, or in what way it is damaged.
type ScannedFile = Result<([u8; 20], Vec<Scanned>), String>;

fn scan_file(batch: &BatchFile) -> io::Result<ScannedFile> {
    let bytes = fs::read(&batch.path)?;
    let name = batch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let checked = scan::checksum(&bytes).and_then(|checksum| Ok((checksum, scan::scan(&bytes)?)));
    Ok(match checked {
        Err(error) => Err(format!("{name}: {error}")),
        Ok((checksum, _)) if !notes_schema::names::hex(&checksum).starts_with(&batch.check) => {
            Err(format!("{name}: its name does not match its checksum"))
        }
        Ok(good) => Ok(good),
    })
}

/// A batch found above those that are known, and the repository after it.
pub(super) struct Taken {
    pub snapshot: Snapshot,
    pub read: ReadBatch,
    pub made: HashMap<Oid, Object>,
}

/// What a batch pack turned out to be.
enum Found {
    Good(Box<Taken>),
    /// It names this code pack, which is not there.
    Needs(String),
    Damaged(String),
}

/// Reads one batch pack and folds it over `snapshot`, with every check.
fn take_one(
    snapshot: &Snapshot,
    store: &Store,
    batch: &BatchFile,
    authority: Option<&Snapshot>,
) -> Result<Found, RecoverError> {
    let objects = match scan_file(batch)? {
        Ok((_, objects)) => objects,
        Err(why) => return Ok(Found::Damaged(why)),
    };
    let Some(commit) = objects.last().map(|o| o.id) else {
        return Ok(Found::Damaged(format!("batch {} is empty", batch.n)));
    };
    let made: HashMap<Oid, Object> = objects.into_iter().map(|o| (o.id, o.object)).collect();
    let scratch = Over { made: &made, below: store };
    let read = match replay::read_batch(&scratch, commit) {
        Ok(read) => read,
        Err(ReplayError::Decode { source: source @ DecodeError::Newer { .. }, .. }) => {
            return Err(RecoverError::Newer(source));
        }
        Err(error) => return Ok(Found::Damaged(error.to_string())),
    };
    if let Err(why) = check_link(snapshot, &read, authority) {
        return Ok(Found::Damaged(format!("batch {}: {why}", batch.n)));
    }
    if let Some(missing) = missing_pack(store, &read) {
        return Ok(Found::Needs(missing));
    }
    let mut next = snapshot.clone();
    if let Err(error) = replay::apply_batch(&mut next, &scratch, &read, &mut |_, _, _, _| Ok(())) {
        return Ok(Found::Damaged(error.to_string()));
    }
    Ok(Found::Good(Box::new(Taken { snapshot: next, read, made })))
}

/// Takes the batches above the flushed number in, in order. The inner error says why the tail ends early.
fn take_tail(
    snapshot: &mut Snapshot,
    store: &Store,
    tail: &[&BatchFile],
    authority: Option<&Snapshot>,
) -> Result<Result<(), String>, RecoverError> {
    for (at, batch) in tail.iter().enumerate() {
        let newest = at + 1 == tail.len();
        if batch.n != snapshot.number + 1 {
            let what = if batch.n == snapshot.number { "two batches have number" } else { "a gap stands before batch" };
            return Ok(Err(format!("{what} {}", batch.n)));
        }
        match take_one(snapshot, store, batch, authority)? {
            Found::Good(taken) => {
                make_durable(batch, newest)?;
                *snapshot = taken.snapshot;
            }
            Found::Needs(_) if newest => {
                // Code packs are durable before the batch that names them, so this one was never acknowledged.
                fs::remove_file(batch.path.with_extension("idx"))?;
                disk::remove(&batch.path)?;
                return Ok(Ok(()));
            }
            Found::Needs(missing) => return Ok(Err(format!("batch {} needs {missing}, which is gone", batch.n))),
            Found::Damaged(why) => return Ok(Err(why)),
        }
    }
    if !tail.is_empty() {
        disk::sync_dir(&storage::pack_dir(store.git_dir()))?;
        fault::point("recovery-synced");
    }
    Ok(Ok(()))
}

/// Makes the bytes of a batch durable before anybody reads of it. Of the newest it is not known whether a sync of it or
/// of its name has failed before: it is written anew, as far as there is room. On a full disk it is synced, like those
/// below it, each of which was durable before the next was begun.
fn make_durable(batch: &BatchFile, newest: bool) -> io::Result<()> {
    match if newest { storage::write_again(batch) } else { Err(io::ErrorKind::StorageFull.into()) } {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => disk::sync(&File::open(&batch.path)?, &batch.path),
        other => other,
    }
}

/// The one batch that stands above `before`, read from the disk as a restart reads it. The error says what is there
/// instead.
pub(super) fn reread(before: &Snapshot, store: &Store, authority: Option<&Snapshot>) -> Result<Taken, String> {
    let batches = storage::batches(store.git_dir()).map_err(|e| e.to_string())?;
    let above: Vec<&BatchFile> = batches.iter().filter(|batch| batch.n > before.number).collect();
    let [batch] = above[..] else {
        return Err(format!("{} batches stand above batch {}, where one should", above.len(), before.number));
    };
    match take_one(before, store, batch, authority).map_err(|e| e.to_string())? {
        Found::Good(taken) => Ok(*taken),
        Found::Needs(missing) => Err(format!("batch {} needs {missing}, which is gone", batch.n)),
        Found::Damaged(why) => Err(why),
    }
}

/// Whether `read` may follow on `snapshot`: digests and project.
pub(super) fn check_digests(snapshot: &Snapshot, read: &ReadBatch) -> Result<(), String> {
    if read.trailers.digest != Some(read.digest) {
        return Err("its blobs differ from Forge-Digest".to_owned());
    }
    let prev = snapshot.tip.map(|_| snapshot.tip_digest);
    if read.trailers.prev != prev {
        return Err("Forge-Prev is not the digest of the ledger commit before".to_owned());
    }
    if read.batch.project != snapshot.project {
        return Err(format!("it belongs to project {}", read.batch.project));
    }
    Ok(())
}

/// Whether `read` may follow on `snapshot`: digests, parent and signature.
pub(super) fn check_link(snapshot: &Snapshot, read: &ReadBatch, authority: Option<&Snapshot>) -> Result<(), String> {
    check_digests(snapshot, read)?;
    let epochs = &authority.unwrap_or(snapshot).epochs;
    let opened =
        read.batch.epoch_key.as_ref().filter(|_| authority.is_none() && read.batch.epoch == snapshot.epoch + 1);
    let key = opened.or_else(|| epochs.get(&read.batch.epoch));
    let key = key.ok_or_else(|| format!("nothing says which key signs epoch {}", read.batch.epoch))?;
    if !signer::is_signed_by(&read.raw, key) {
        return Err(format!("its signature is not by the key of epoch {}", read.batch.epoch));
    }
    Ok(())
}

fn missing_pack(store: &Store, read: &ReadBatch) -> Option<String> {
    let dir = storage::pack_dir(store.git_dir());
    read.batch.packs.iter().map(|p| &p.name).find(|name| !dir.join(format!("{name}.pack")).exists()).cloned()
}

/// Whether refs on disk are not what a flush at `snapshot` would have written.
fn is_stale(git_dir: &Path, packed: &[(RefName, RefValue)], snapshot: &Snapshot) -> io::Result<bool> {
    let same = packed.len() == snapshot.refs.len()
        && packed.iter().zip(&snapshot.refs).all(|((n, v), (name, value))| n == name && v.id == value.id);
    Ok(!same || fs::read_dir(git_dir.join("refs"))?.next().is_some())
}

/// A mirror takes refs from the ledger, but may lack what only a deleted ref reached; such a ref is not served.
/// Whether there is one.
pub(super) fn drop_refs_without_objects(snapshot: &mut Snapshot, store: &dyn Objects) -> bool {
    let missing: Vec<_> = snapshot.refs.iter().filter(|(_, v)| !store.contains(v.id)).map(|(n, _)| n.clone()).collect();
    for name in &missing {
        tracing::warn!(project = %snapshot.project, reference = %name, "its object is missing; the ref is not served");
        snapshot.withhold(name);
    }
    !missing.is_empty()
}
