//! Batch packs on disk: put-if-absent under a dense number, and finding them again.
//!
//! Invariant: a number is taken by at most one batch, and once [`append`] has returned its batch survives a power loss.
//! This is the seam where another store (one immutable value per number) would stand.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::fault;
use git::disk::{self, NewFile};
use git::pack::write::Pack;
use notes_schema::Sha256;
use notes_schema::batch::PackLine;
use notes_schema::names::hex;

/// A batch pack found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFile {
    /// Its ledger number.
    pub n: u64,
    /// The part of its checksum that its name holds.
    pub check: String,
    /// The `.pack` file.
    pub path: PathBuf,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing of it can appear later: the repository is as before.
    #[error("nothing was written: {0}")]
    NotWritten(#[source] io::Error),
    /// It may or may not be on disk: only recovery can tell.
    #[error("it is unknown whether the batch was written: {0}")]
    Unknown(#[source] io::Error),
}

/// The directory of packs.
pub fn pack_dir(git_dir: &Path) -> PathBuf {
    git_dir.join("objects/pack")
}

fn stem(n: u64, checksum: &[u8; 20]) -> String {
    format!("pack-b{n:015x}{}", &hex(checksum)[..24])
}

/// Appends batch `n`: write, sync, index, rename without replacing, sync of the directory.
pub fn append(git_dir: &Path, n: u64, pack: &Pack) -> Result<(), AppendError> {
    let dir = pack_dir(git_dir);
    let stem = stem(n, &pack.checksum);
    let index = dir.join(format!("{stem}.idx"));
    let prepare = || -> io::Result<NewFile> {
        let file = written(&dir, &stem, &pack.pack)?;
        fault::point("batch-written");
        // The index is rebuilt by recovery, so it is not synced here; under its final name git ignores it until the
        // pack is there.
        disk::write_cache(&index, &pack.index)?;
        fault::point("batch-indexed");
        Ok(file)
    };
    let file = prepare().map_err(|error| {
        let _ = disk::remove(&index);
        AppendError::NotWritten(error)
    })?;
    file.take_name(&dir.join(format!("{stem}.pack"))).map_err(AppendError::Unknown)?;
    fault::point("batch-renamed");
    disk::sync_dir(&dir).map_err(AppendError::Unknown)?;
    fault::point("batch-durable");
    Ok(())
}

/// The bytes of a batch in a file of their own, synced, not yet under their name.
fn written(dir: &Path, stem: &str, bytes: &[u8]) -> io::Result<NewFile> {
    let mut file = NewFile::create(dir.join(format!("tmp_{stem}.pack")))?;
    file.write_all(bytes)?;
    file.sync()?;
    Ok(file)
}

/// Appends batch `n` once more, after [`append`] has left it unknown whether it is there. Whatever the disk holds of the
/// first time, it is the same bytes under the same name, so nothing contradicts: both files are one batch. Nothing is
/// asked of what failed. Another sync of it could succeed without having written anything, and what the directory shows
/// may never have reached the disk. An error leaves it as unknown as before.
pub fn append_again(git_dir: &Path, n: u64, pack: &Pack) -> io::Result<()> {
    let dir = pack_dir(git_dir);
    let stem = stem(n, &pack.checksum);
    let file = written(&dir, &stem, &pack.pack)?;
    disk::write_cache(&dir.join(format!("{stem}.idx")), &pack.index)?;
    file.replace(&dir.join(format!("{stem}.pack")))?;
    disk::sync_dir(&dir)
}

/// Writes the newest batch that was found anew, from what can be read of it: whoever left it may have been told that its
/// sync failed, and syncing again what is there could succeed for nothing. The directory is not synced.
pub fn write_again(batch: &BatchFile) -> io::Result<()> {
    let (Some(dir), Some(stem)) = (batch.path.parent(), batch.path.file_stem()) else {
        return Err(io::Error::other("a batch without a place"));
    };
    written(dir, &stem.to_string_lossy(), &fs::read(&batch.path)?)?.replace(&batch.path)
}

/// Puts a pack that is no batch in its place, durable, before the batch that names it. Its name follows from its bytes, as that of
/// a large one that was pushed does: the same pack twice is the same as once.
pub fn land(git_dir: &Path, pack: &Pack) -> io::Result<PackLine> {
    let (dir, h) = (pack_dir(git_dir), Sha256::of(&pack.pack));
    let name = format!("pack-c{}", &h.to_string()[..39]);
    // Readers look for indexes, so the pack has to be there first.
    disk::replace_file(&dir, &format!("{name}.pack"), &pack.pack)?;
    disk::replace_file(&dir, &format!("{name}.idx"), &pack.index)?;
    Ok(PackLine { name, h })
}

/// The names of all packs and of their indexes, sorted.
pub fn packs(git_dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let is_one = |name: &String| name.ends_with(".pack") || name.ends_with(".idx");
    for entry in fs::read_dir(pack_dir(git_dir))? {
        names.extend(entry?.file_name().into_string().ok().filter(is_one));
    }
    names.sort();
    Ok(names)
}

/// What tells whether other packs are there than before. Their names hold checksums, and no pack is changed under its name.
pub fn digest(packs: &[String]) -> Sha256 {
    Sha256::of(packs.join("\n").as_bytes())
}

/// All batch packs, by number.
pub fn batches(git_dir: &Path) -> io::Result<Vec<BatchFile>> {
    batches_of(git_dir, &packs(git_dir)?)
}

/// Those of `packs` that are batches, by number. In a mirror git names packs by their whole checksum, and one in sixteen of
/// those looks like ours; it is none.
pub fn batches_of(git_dir: &Path, packs: &[String]) -> io::Result<Vec<BatchFile>> {
    let mut found = Vec::new();
    for name in packs {
        let path = pack_dir(git_dir).join(name);
        let Some(rest) = name.strip_prefix("pack-b").and_then(|r| r.strip_suffix(".pack")) else { continue };
        if rest.len() != 39 || !rest.is_ascii() {
            continue;
        }
        let (number, check) = rest.split_at(15);
        if is_named_by_git(&path, name)? {
            continue;
        }
        if let Ok(n) = u64::from_str_radix(number, 16) {
            found.push(BatchFile { n, check: check.to_owned(), path });
        }
    }
    found.sort_by_key(|b| b.n);
    Ok(found)
}

/// Whether a pack is called by its trailer, all forty digits, as git calls its packs.
fn is_named_by_git(pack: &Path, name: &str) -> io::Result<bool> {
    let mut file = File::open(pack)?;
    if file.metadata()?.len() < 20 {
        return Ok(false);
    }
    let mut trailer = [0; 20];
    file.seek(SeekFrom::End(-20))?;
    file.read_exact(&mut trailer)?;
    Ok(name == format!("pack-{}.pack", hex(&trailer)))
}

/// Deletes what an interrupted write left: `tmp_*` files among the packs, those of a commit-graph, quarantines, and
/// indexes of our packs that never got their name or lost it.
pub fn sweep(git_dir: &Path) -> io::Result<()> {
    git::graph::keep::sweep(git_dir)?;
    for dir in [pack_dir(git_dir), git_dir.to_owned()] {
        let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        let packs: HashSet<OsString> = entries.iter().map(fs::DirEntry::file_name).collect();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_ours = ["pack-b", "pack-c", "pack-m"].iter().any(|ours| name.starts_with(ours));
            let lacks = |stem: &str| !packs.contains(OsStr::new(&format!("{stem}.pack")));
            let is_orphan = is_ours && name.strip_suffix(".idx").is_some_and(lacks);
            if !name.starts_with("tmp_") && !name.starts_with("quarantine-") && !is_orphan {
                continue;
            }
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { disk::remove(&entry.path())? }
        }
    }
    Ok(())
}
