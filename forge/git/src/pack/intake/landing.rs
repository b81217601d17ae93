//! A taken pack in a directory of its own: reading from it, completing it, and moving it among the repository's packs.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use notes_schema::{Oid, Sha256};
use sha2::Digest as _;
use tempfile::TempDir;

use super::delta;
use super::spool::{PACK, Reader};
use super::stream::{Inflater, entry_header};
use super::{Base, Entry, Limits, PackError};
use crate::disk;
use crate::object::{self, Kind, Object};
use crate::pack::{index, write};
use crate::store::{Objects as _, ReadError, Store};

const CHECKSUM: u64 = 20;
const COUNT_AT: u64 = 8;
/// Bytes of resolved objects kept to resolve their neighbours.
/// Limit: resolved objects kept to resolve their neighbours | {:bytes}
const CACHED: usize = 32 << 20;

/// A complete pack in a temporary directory, which goes with it.
pub(super) struct Directory {
    dir: TempDir,
    file: File,
    len: u64,
    /// First what came, then bases from the store.
    entries: Vec<Entry>,
    came: usize,
    /// Numbers of the entries that came, by name.
    by_name: Vec<u32>,
    checksum: [u8; 20],
    limits: Limits,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    objects: HashMap<u32, Bytes>,
    bytes: usize,
}

impl Cache {
    fn put(&mut self, number: u32, data: &Bytes) {
        if data.len() > CACHED / 4 {
            return;
        }
        if self.bytes + data.len() > CACHED {
            *self = Cache::default();
        }
        if self.objects.insert(number, data.clone()).is_none() {
            self.bytes += data.len();
        }
    }
}

impl Directory {
    pub(super) fn new(
        dir: TempDir,
        file: File,
        len: u64,
        entries: Vec<Entry>,
        checksum: [u8; 20],
        limits: &Limits,
    ) -> Self {
        let mut by_name: Vec<u32> = (0..entries.len() as u32).collect();
        by_name.sort_unstable_by_key(|number| entries[*number as usize].id);
        let came = entries.len();
        let cache = Mutex::default();
        Directory { dir, file, len, entries, came, by_name, checksum, limits: limits.clone(), cache }
    }

    /// Appends the bases that only the store has, so that nothing rests on what is outside.
    pub(super) fn complete(&mut self, thin: &[Oid], store: &Store) -> Result<(), PackError> {
        if thin.is_empty() {
            return Ok(());
        }
        let path = self.dir.path().join(PACK);
        let write_at =
            |bytes: &[u8], at: u64| disk::write(&path, || self.file.write_all_at(bytes, at)).map_err(PackError::Disk);
        let mut end = self.len - CHECKSUM;
        for &id in thin {
            let object = store.get(id)?;
            let mut bytes = Vec::new();
            write::whole_entry(&mut bytes, &object);
            write_at(&bytes, end)?;
            let crc32 = crc32fast::hash(&bytes);
            self.entries.push(Entry { offset: end, crc32, base: Base::Whole, kind: Some(object.kind), id });
            end += bytes.len() as u64;
        }
        let count = (self.entries.len() as u32).to_be_bytes();
        write_at(&count, COUNT_AT)?;
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        each_chunk(&self.file, end, |chunk| hasher.update(chunk)).map_err(PackError::Disk)?;
        let checksum = hasher.try_finalize().map_err(|_| PackError::Collision { at: 0 })?;
        self.checksum = *object::from_gix(&checksum).as_bytes();
        write_at(object::from_gix(&checksum).as_bytes(), end)?;
        self.len = end + CHECKSUM;
        self.file.set_len(self.len).map_err(PackError::Disk)
    }

    pub(super) fn len(&self) -> usize {
        self.came
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Oid> + '_ {
        self.entries[..self.came].iter().map(|entry| entry.id)
    }

    fn number(&self, id: Oid) -> Option<u32> {
        let found = self.by_name.binary_search_by_key(&id, |number| self.entries[*number as usize].id);
        found.ok().map(|at| self.by_name[at])
    }

    pub(super) fn kind(&self, id: Oid) -> Option<Kind> {
        self.number(id).and_then(|number| self.entries[number as usize].kind)
    }

    pub(super) fn get(&self, id: Oid) -> Result<Option<Object>, ReadError> {
        let Some(number) = self.number(id) else { return Ok(None) };
        let Some(kind) = self.entries[number as usize].kind else {
            return Ok(None);
        };
        let data = self.resolve(number).map_err(|e| ReadError::Store { id, why: e.to_string() })?;
        Ok(Some(Object { kind, data }))
    }

    /// Walks down to what is whole or cached, then applies deltas on the way up. The depth was limited when it came.
    fn resolve(&self, number: u32) -> Result<Bytes, PackError> {
        let mut inflater = Inflater::default();
        let mut above = Vec::new();
        let mut at = number;
        let mut data = loop {
            if let Some(data) = self.cached(at) {
                break data;
            }
            match self.entries[at as usize].base {
                Base::Entry(base) => {
                    above.push(at);
                    at = base;
                }
                Base::Whole | Base::Named(_) => break self.inflate(at, &mut inflater)?,
            }
        };
        while let Some(next) = above.pop() {
            self.cache(at, &data);
            let instructions = self.inflate(next, &mut inflater)?;
            let made = delta::apply(&data, &instructions, self.limits.object_bytes);
            let at_byte = self.entries[next as usize].offset;
            data = made.map_err(|_| PackError::BadEntry { at: at_byte, why: "it changed on disk" })?.into();
            at = next;
        }
        self.cache(at, &data);
        Ok(data)
    }

    fn cached(&self, number: u32) -> Option<Bytes> {
        self.cache.lock().expect("invariant: no panic under this lock").objects.get(&number).cloned()
    }

    fn cache(&self, number: u32, data: &Bytes) {
        self.cache.lock().expect("invariant: no panic under this lock").put(number, data);
    }

    fn inflate(&self, number: u32, inflater: &mut Inflater) -> Result<Bytes, PackError> {
        let at = self.entries[number as usize].offset;
        let mut reader = Reader::file(&self.file, at, self.len);
        // A base from the store may be larger than what a pack may bring.
        let limits = Limits { object_bytes: u64::MAX, ..self.limits.clone() };
        let header = entry_header(&mut reader, at, &limits)?;
        inflater.inflate(&mut reader, header.size, at)?;
        Ok(Bytes::from(std::mem::take(&mut inflater.out)))
    }
}

fn each_chunk(file: &File, end: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..want], at)?;
        each(&buffer[..want]);
        at += want as u64;
    }
    Ok(())
}

/// A complete pack that waits to be moved among the repository's packs.
pub struct LandablePack {
    directory: Box<Directory>,
}

/// A pack that has landed and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedPack {
    /// Its file name without ending: `pack-c…`.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// Its trailer.
    pub checksum: [u8; 20],
    /// How many objects it holds, bases from elsewhere included.
    pub objects: usize,
    /// Its size.
    pub bytes: u64,
}

impl LandablePack {
    pub(super) fn new(directory: Box<Directory>) -> Self {
        LandablePack { directory }
    }

    /// How many objects it holds.
    pub fn objects(&self) -> usize {
        self.directory.entries.len()
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.directory.len
    }

    /// Moves the pack and its index into `pack_dir`. Everything is on disk when this returns.
    ///
    /// Its name follows from its bytes, so landing the same pack twice is the same as once.
    pub fn land(self, pack_dir: &Path) -> io::Result<LandedPack> {
        self.land_as(pack_dir, |sha256, _| format!("pack-c{}", &sha256.to_string()[..39]))
    }

    /// The same under the name that git itself gives to a pack.
    pub fn land_as_git_does(self, pack_dir: &Path) -> io::Result<LandedPack> {
        self.land_as(pack_dir, |_, checksum| format!("pack-{}", Oid::from_bytes(checksum)))
    }

    fn land_as(self, pack_dir: &Path, name: impl Fn(Sha256, [u8; 20]) -> String) -> io::Result<LandedPack> {
        let Directory { dir, file, len, entries, checksum, .. } = *self.directory;
        let mut hasher = sha2::Sha256::new();
        each_chunk(&file, len, |chunk| hasher.update(chunk))?;
        let sha256 = Sha256::from_bytes(hasher.finalize().into());
        let name = name(sha256, checksum);
        let objects = entries.len();
        let listed = entries.iter().map(|e| index::Entry { id: e.id, offset: e.offset, crc32: e.crc32 }).collect();
        let index_path = dir.path().join("index");
        disk::write_cache(&index_path, &index::encode(listed, checksum))?;
        let (index_file, pack_path) = (File::open(&index_path)?, dir.path().join(PACK));
        for (file, path) in [(&file, &pack_path), (&index_file, &index_path)] {
            file.set_permissions(Permissions::from_mode(0o444))?;
            disk::sync(file, path)?;
        }
        // Readers look for indexes, so the pack has to be there first.
        disk::rename(&pack_path, &pack_dir.join(format!("{name}.pack")))?;
        disk::rename(&index_path, &pack_dir.join(format!("{name}.idx")))?;
        disk::sync_dir(pack_dir)?;
        Ok(LandedPack { name, sha256, checksum, objects, bytes: len })
    }
}
