//! The packs of one repository as they lie on disk: where an object's bytes are, without inflating them.
//!
//! Packs are mapped, so one that a merge removes stays readable for whoever holds it.
//!
//! Invariant: never writes, and never hands out bytes of an entry whose checksum in the index does not hold.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use gix::odb::pack::{data, index};
use notes_schema::Oid;

use crate::object::{self, Kind};

/// A directory changed so recently may change again under the same time stamp.
const UNSETTLED: Duration = Duration::from_millis(50);

/// An entry that is not what its index says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object {id} in {pack} is damaged: {why}; restore the file from a mirror, or see `git fsck`")]
pub struct Damaged {
    /// The object.
    pub id: Oid,
    /// The pack file's name.
    pub pack: String,
    /// What is wrong.
    pub why: &'static str,
}

/// All packs of a repository and of those it borrows from, opened when first asked for.
#[derive(Default)]
pub(crate) struct Packs {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the list of those it borrows from was written.
    borrowed: Option<SystemTime>,
    folders: Vec<Folder>,
    listed: Arc<Vec<Arc<Pack>>>,
}

/// One directory of packs.
struct Folder {
    path: PathBuf,
    stamp: Option<SystemTime>,
    open: HashMap<OsString, Arc<Pack>>,
}

impl Packs {
    /// Closes them all; who reads through one still has it.
    pub(crate) fn close(&self) {
        *self.state.lock().expect("invariant: no panic under this lock") = State::default();
    }

    /// The packs that are there now, the newest first. One that cannot be opened is left out: whoever misses an object
    /// reads it in another way, and hears the reason there.
    pub(crate) fn current(&self, git_dir: &Path) -> Arc<Vec<Arc<Pack>>> {
        let mut state = self.state.lock().expect("invariant: no panic under this lock");
        let objects = git_dir.join("objects");
        let borrowed = modified(&objects.join("info/alternates"));
        if state.folders.is_empty() || state.borrowed != borrowed {
            state.folders = folders(&objects);
            state.borrowed = borrowed.filter(settled);
        }
        let mut changed = false;
        for folder in &mut state.folders {
            changed |= folder.refresh();
        }
        if changed {
            let mut listed: Vec<Arc<Pack>> =
                state.folders.iter().flat_map(|folder| folder.open.values()).cloned().collect();
            listed.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.index.path().cmp(b.index.path())));
            state.listed = Arc::new(listed);
        }
        state.listed.clone()
    }
}

fn folders(objects: &Path) -> Vec<Folder> {
    let folder = |dir: PathBuf| Folder { path: dir.join("pack"), stamp: None, open: HashMap::new() };
    let absolute = fs::canonicalize(objects).unwrap_or_else(|_| objects.to_owned());
    let others = gix::odb::alternate::resolve(absolute.clone(), Path::new("/")).unwrap_or_default();
    std::iter::once(absolute).chain(others).map(folder).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn settled(at: &SystemTime) -> bool {
    at.elapsed().is_ok_and(|age| age > UNSETTLED)
}

impl Folder {
    /// Looks again where the directory has changed; whether it holds other packs than before.
    fn refresh(&mut self) -> bool {
        let changed = modified(&self.path);
        if changed.is_some() && self.stamp == changed {
            return false;
        }
        self.stamp = changed.filter(settled);
        let mut known = std::mem::take(&mut self.open);
        let mut fresh = false;
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !name.as_encoded_bytes().ends_with(b".idx") {
                continue;
            }
            if let Some(pack) = known.remove(&name) {
                self.open.insert(name, pack);
            } else if let Some(pack) = Pack::open(entry.path()) {
                self.open.insert(name, Arc::new(pack));
                fresh = true;
            }
        }
        fresh || !known.is_empty()
    }
}

/// One pack and its index, mapped.
pub(crate) struct Pack {
    index: index::File,
    data: data::File,
    modified: Option<SystemTime>,
    /// Positions in the index, by where their entries begin.
    order: OnceLock<Vec<u32>>,
    deltas: AtomicBool,
}

/// What an entry's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An object as it is.
    Whole(Kind),
    /// What must be applied to that object.
    Delta(Oid),
}

/// One entry, not inflated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    /// What it is.
    pub(crate) form: Form,
    /// Its size when inflated: that of the object, or of the delta.
    pub(crate) size: u64,
    /// All its bytes, header included.
    pub(crate) entry: &'a [u8],
    /// Its zlib stream.
    pub(crate) stream: &'a [u8],
}

impl Pack {
    fn open(index: PathBuf) -> Option<Pack> {
        let path = index.with_extension("pack");
        let index = index::File::at(index, gix::hash::Kind::Sha1).ok()?;
        let data = data::File::at(&path, gix::hash::Kind::Sha1).ok()?;
        // Version 1 has no checksums of entries.
        let mine = index.version() == index::Version::V2 && index.num_objects() == data.num_objects();
        let trailer = data.entry_slice(data.pack_end() as u64..data.data_len() as u64)?;
        if !mine || trailer != index.pack_checksum().as_bytes() {
            return None;
        }
        let modified = modified(&path);
        Some(Pack { index, data, modified, order: OnceLock::new(), deltas: AtomicBool::new(false) })
    }

    /// The pack's file.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        self.data.path()
    }

    /// Where `id` is in the index.
    pub(crate) fn lookup(&self, id: Oid) -> Option<u32> {
        self.index.lookup(object::to_gix(id))
    }

    /// Whether deltas were met in here, so that whoever made this pack has looked for them.
    pub(crate) fn has_deltas(&self) -> bool {
        self.deltas.load(Ordering::Relaxed)
    }

    /// The entry of the object at `position`, its header read and nothing checked.
    pub(crate) fn raw(&self, position: u32) -> Result<Raw<'_>, Damaged> {
        let damaged = |why| self.damaged(position, why);
        let start = self.index.pack_offset_at_index(position);
        let entry = self.data.entry_slice(start..self.end(start));
        let entry = entry.filter(|entry| !entry.is_empty()).ok_or_else(|| damaged("it lies outside of the pack"))?;
        let read = data::Entry::from_bytes(entry, start, gix::hash::Kind::Sha1);
        let read = read.map_err(|_| damaged("its header makes no sense"))?;
        let form = match read.header {
            data::entry::Header::OfsDelta { base_distance } => {
                let base = start.checked_sub(base_distance).and_then(|at| self.beginning_at(at));
                Form::Delta(base.ok_or_else(|| damaged("its base is not where it says"))?)
            }
            data::entry::Header::RefDelta { base_id } => Form::Delta(object::from_gix(&base_id)),
            data::entry::Header::Commit => Form::Whole(Kind::Commit),
            data::entry::Header::Tree => Form::Whole(Kind::Tree),
            data::entry::Header::Blob => Form::Whole(Kind::Blob),
            data::entry::Header::Tag => Form::Whole(Kind::Tag),
        };
        if matches!(form, Form::Delta(_)) && !self.has_deltas() {
            self.deltas.store(true, Ordering::Relaxed);
        }
        let stream = &entry[(read.data_offset - start) as usize..];
        Ok(Raw { form, size: read.decompressed_size, entry, stream })
    }

    /// The same, its bytes compared with the checksum in the index.
    pub(crate) fn checked(&self, position: u32) -> Result<Raw<'_>, Damaged> {
        let raw = self.raw(position)?;
        if self.index.crc32_at_index(position) == Some(crc32fast::hash(raw.entry)) {
            return Ok(raw);
        }
        Err(self.damaged(position, "its bytes are not those that the index recorded"))
    }

    /// The error about that entry.
    pub(crate) fn damaged(&self, position: u32, why: &'static str) -> Damaged {
        let name = self.data.path().file_name().unwrap_or_default();
        Damaged { id: self.id(position), pack: name.to_string_lossy().into_owned(), why }
    }

    fn id(&self, position: u32) -> Oid {
        object::from_gix(self.index.oid_at_index(position))
    }

    fn order(&self) -> &[u32] {
        self.order.get_or_init(|| {
            let mut begins: Vec<(u64, u32)> =
                (0..self.index.num_objects()).map(|at| (self.index.pack_offset_at_index(at), at)).collect();
            begins.sort_unstable();
            begins.into_iter().map(|(_, at)| at).collect()
        })
    }

    /// Where the entry after the one that begins at `start` begins.
    fn end(&self, start: u64) -> u64 {
        let order = self.order();
        let next = order.partition_point(|&at| self.index.pack_offset_at_index(at) <= start);
        match order.get(next) {
            Some(&at) => self.index.pack_offset_at_index(at),
            None => self.data.pack_end() as u64,
        }
    }

    fn beginning_at(&self, start: u64) -> Option<Oid> {
        let order = self.order();
        let found = order.binary_search_by_key(&start, |&at| self.index.pack_offset_at_index(at)).ok()?;
        Some(self.id(order[found]))
    }
}
