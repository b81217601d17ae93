//! Caches on disk, brought up to date behind the writers: refs, and small packs merged into larger ones.
//!
//! Invariant: what is deleted here is durable elsewhere already, and batch packs above the flushed number are never
//! touched: they are the write-ahead log.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use notes_schema::names::hex;
use notes_schema::{Oid, RefName, refs};

use super::snapshot::Snapshot;
use super::{fault, storage};
use git::disk::{self, NewFile};
use git::pack::write::Pack;
use git::packed_refs;

/// How far refs on disk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flushed {
    /// The ledger number they reflect.
    pub number: u64,
    /// They were not written by this forge's flush (a mirror's), so they must be written once.
    pub stale: bool,
}

/// Writes `packed-refs` and `HEAD` for `snapshot`. Indexes of batches are not synced for it: recovery looks at each and
/// builds it again where a power cut took it, which costs a restart little and would cost every flush a sync per batch.
pub(super) fn flush_refs(git_dir: &Path, snapshot: &Snapshot, flushed: &mut Flushed) -> io::Result<()> {
    if flushed.number == snapshot.number && !flushed.stale {
        return Ok(());
    }
    fault::point("flush-before-refs");
    packed_refs::write(git_dir, &snapshot.refs, snapshot.head.as_ref())?;
    fault::point("flush-after-refs");
    *flushed = Flushed { number: snapshot.number, stale: false };
    Ok(())
}

/// Writes the commit-graph of what is durable: refs on disk may lag behind, or be those of a moment that never was.
pub(super) fn write_graph(git_dir: &Path, snapshot: &Snapshot, go_on: &dyn Fn() -> bool) -> io::Result<()> {
    // Chains of entities are many, and the ledger reaches them all.
    let is_tip = |name: &RefName| !name.as_str().starts_with("refs/forge/") || name.as_str() == refs::LEDGER;
    let named = snapshot.refs.iter().filter(|(name, _)| is_tip(name));
    let tips: Vec<Oid> = named.map(|(_, value)| value.peeled.unwrap_or(value.id)).collect();
    git::graph::keep::write(git_dir, &tips, go_on)
}

/// Fewer packs than this are left alone.
const ENOUGH: usize = 16;
/// Packs larger than this are never merged again.
/// Limit: pack that is merged with others | {:bytes}
const LARGEST: u64 = 256 << 20;
/// Most bytes that one merge copies; what is left over is for the next. Small packs gather meanwhile, so that none takes long.
/// Limit: bytes that one merge of packs copies | {:bytes} and one pack
const MOST_COPIED: u64 = 256 << 20;
/// Name prefix of merged packs: whole objects only, like batches, so their entries can be copied as they are.
pub(super) const MERGED: &str = "pack-m";

/// Merges packs of ours that are not tail: all that are smaller than the sum of those below them, oldest law of
/// geometric merging, so that each byte is copied a logarithmic number of times. Whether there were enough of them.
pub(super) fn merge_packs(git_dir: &Path, flushed: u64) -> io::Result<bool> {
    let mut packs: Vec<(u64, PathBuf)> = Vec::new();
    for batch in storage::batches(git_dir)?.into_iter().filter(|b| b.n <= flushed) {
        packs.push((fs::metadata(&batch.path)?.len(), batch.path));
    }
    if packs.len() < ENOUGH {
        return Ok(false);
    }
    for entry in fs::read_dir(storage::pack_dir(git_dir))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.starts_with(MERGED) && name.ends_with(".pack") {
            packs.push((fs::metadata(&path)?.len(), path));
        }
    }
    packs.sort();
    let mut sum = 0;
    let chosen: Vec<PathBuf> = packs
        .into_iter()
        .take_while(|(size, path)| {
            let is_batch = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pack-b"));
            let take = *size <= LARGEST && sum <= MOST_COPIED && (is_batch || *size <= sum.max(1) * 2);
            sum += size;
            take
        })
        .map(|(_, path)| path)
        .collect();
    if chosen.len() < ENOUGH {
        return Ok(false);
    }
    let merged = write_merged(git_dir, &chosen, &HashSet::new())?;
    fault::point("merge-before-delete");
    for path in chosen.iter().filter(|path| **path != merged) {
        // The index goes first: a pack without one is ignored by readers and found again by recovery.
        match disk::remove(&path.with_extension("idx")) {
            // A merged pack whose own writing or removal was cut short has none.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => disk::remove(path)?,
        }
    }
    disk::sync_dir(&storage::pack_dir(git_dir))?;
    fault::point("merge-after-delete");
    Ok(true)
}

/// Writes `pack`, which holds whole objects only, as a merged one. The directory of packs is not synced.
pub(super) fn write_pack(git_dir: &Path, pack: &Pack) -> io::Result<()> {
    let (dir, stem) = (storage::pack_dir(git_dir), merged_name(&pack.checksum));
    let mut file = NewFile::create(dir.join(format!("tmp_{stem}.pack")))?;
    file.write_all(&pack.pack)?;
    file.sync()?;
    file.replace(&dir.join(format!("{stem}.pack")))?;
    disk::replace_file(&dir, &format!("{stem}.idx"), &pack.index)
}

fn merged_name(checksum: &[u8; 20]) -> String {
    format!("{MERGED}{}", &hex(checksum)[..39])
}

/// Writes a pack of everything in `packs`, which may be another repository's, but `dropped`.
pub(super) fn write_merged(git_dir: &Path, packs: &[PathBuf], dropped: &HashSet<Oid>) -> io::Result<PathBuf> {
    let dir = storage::pack_dir(git_dir);
    let unnamed = dir.join("tmp_merging.pack");
    let merged = git::pack::merge::write(packs, &unnamed, dropped)?;
    let stem = merged_name(&merged.checksum);
    let path = dir.join(format!("{stem}.pack"));
    fault::point("merge-before-rename");
    merged.file.replace(&path)?;
    fault::point("merge-renamed");
    disk::replace_file(&dir, &format!("{stem}.idx"), &merged.index)?;
    Ok(path)
}
