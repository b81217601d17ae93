//! One pack as it lies on disk: where an object's bytes are, and the object that they make.
//!
//! Packs are mapped, so one that a merge removes stays readable for whoever holds it.
//!
//! Invariant: never writes, and never hands out an entry as it lies whose checksum in the index does not hold.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use gix::odb::pack::cache::lru::MemoryCappedHashmap;
use gix::odb::pack::data::decode;
use gix::odb::pack::{data, index};
use gix::zlib::Inflate;
use notes_schema::Oid;

use crate::object::{self, Kind, Object};

/// Largest object that is allocated for, in bytes, with what it is made of.
/// Limit: largest object that is read | {:bytes}
pub(crate) const LARGEST_OBJECT: usize = 256 << 20;
/// Most deltas that are followed to find out which objects are made of the same one.
/// Limit: deltas that are followed to find out which objects are read best after each other | {}
const LONGEST_CHAIN: usize = 64;
/// Limit: bases of deltas that one reader of packs keeps | {:bytes}
const BASE_CACHE: usize = 8 << 20;

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

/// What reading takes and the next read can use again: for one thread at a time, and every pack.
pub(crate) struct Inflater {
    inflate: Inflate,
    /// By the number of the pack, which no two of a process share.
    bases: MemoryCappedHashmap,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater { inflate: Inflate::default(), bases: MemoryCappedHashmap::new(BASE_CACHE) }
    }
}

/// One pack and its index, mapped.
pub(crate) struct Pack {
    index: index::File,
    data: data::File,
    modified: Option<SystemTime>,
    /// Whether its entries have checksums and it is the pack that the index was made of.
    is_checked: bool,
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
    /// Maps the pack of the index at `index`. The error says what either of them is not.
    pub(super) fn open(index: PathBuf) -> Result<Pack, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = index.with_extension("pack");
        let index = index::File::at(index, gix::hash::Kind::Sha1).map_err(|e| e.to_string())?;
        let data = data::File::at(&path, gix::hash::Kind::Sha1).map_err(|e| e.to_string())?;
        let mut data = data.with_alloc_limit_bytes(Some(LARGEST_OBJECT));
        data.id = NUMBER.fetch_add(1, Ordering::Relaxed);
        let trailer = data.entry_slice(data.pack_end() as u64..data.data_len() as u64);
        let mine = index.num_objects() == data.num_objects() && trailer == Some(index.pack_checksum().as_bytes());
        // Version 1 has no checksums of entries.
        let is_checked = mine && index.version() == index::Version::V2;
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        Ok(Pack { index, data, modified, is_checked, order: OnceLock::new(), deltas: AtomicBool::new(false) })
    }

    /// When its file was written.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// The path of its index.
    pub(super) fn index_path(&self) -> &Path {
        self.index.path()
    }

    /// Whether its entries may be handed out as they lie.
    pub(super) fn is_checked(&self) -> bool {
        self.is_checked
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

    /// A number that no other pack of this process has; where the object begins of which that at `position` is made in the
    /// end, by deltas; and where its own entry does. What cannot be read is a family of its own.
    pub(crate) fn family(&self, position: u32) -> (u32, u64, u64) {
        let own = self.index.pack_offset_at_index(position);
        let mut first = own;
        for _ in 0..LONGEST_CHAIN {
            let base = match self.data.entry(first).map(|entry| entry.header) {
                Ok(data::entry::Header::OfsDelta { base_distance }) => first.checked_sub(base_distance),
                Ok(data::entry::Header::RefDelta { base_id }) => {
                    self.index.lookup(base_id).map(|position| self.index.pack_offset_at_index(position))
                }
                _ => None,
            };
            let Some(base) = base else { break };
            first = base;
        }
        (self.data.id, first, own)
    }

    /// The ids in it that begin with `prefix`.
    pub(crate) fn beginning(&self, prefix: gix::hash::Prefix) -> impl Iterator<Item = Oid> {
        let mut found = 0..0;
        self.index.lookup_prefix(prefix, Some(&mut found));
        found.map(|position| self.id(position))
    }

    /// The object at `position`, deltas applied; the error says what is wrong with it.
    pub(crate) fn object(&self, position: u32, with: &mut Inflater) -> Result<Object, String> {
        let mut out = Vec::new();
        let in_here = |id: &gix::oid, _: &mut Vec<u8>| Ok(self.entry_of(id)?.map(decode::entry::ResolvedBase::InPack));
        let decoded = self
            .data
            .entry(self.index.pack_offset_at_index(position))
            .and_then(|entry| self.data.decode_entry(entry, &mut out, &mut with.inflate, &in_here, &mut with.bases))
            .map_err(|e| e.to_string())?;
        Ok(Object::new(decoded.kind.into(), out))
    }

    /// What the object at `position` is, and its size in bytes, without inflating it in full.
    pub(crate) fn header(&self, position: u32, with: &mut Inflater) -> Result<(Kind, u64), String> {
        let in_here = |id: &gix::oid| Ok(self.entry_of(id)?.map(decode::header::ResolvedBase::InPack));
        let decoded = self
            .data
            .entry(self.index.pack_offset_at_index(position))
            .and_then(|entry| self.data.decode_header(entry, &mut with.inflate, &in_here))
            .map_err(|e| e.to_string())?;
        Ok((decoded.kind.into(), decoded.object_size))
    }

    /// The entry of a base that is named by its id: packs on disk hold those of their own deltas.
    fn entry_of(&self, id: &gix::oid) -> Result<Option<data::Entry>, gix::Error> {
        let position = self.index.lookup(id);
        position.map(|at| self.data.entry(self.index.pack_offset_at_index(at))).transpose()
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
