//! Building packs of our own, in memory: whole objects, no deltas, each once.
//!
//! Invariant: a pack built here holds everything it was given and nothing refers outside of it by delta.

use std::collections::HashSet;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use notes_schema::Oid;

use super::index::Entry;
use crate::git::object::{Kind, Object};

/// A pack under construction.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    body: Vec<u8>,
    entries: Vec<Entry>,
    ids: HashSet<Oid>,
}

/// A finished pack and its index.
#[derive(Debug, Clone)]
pub struct Pack {
    /// The pack's bytes.
    pub pack: Vec<u8>,
    /// The index's bytes.
    pub index: Vec<u8>,
    /// The pack's trailer.
    pub checksum: [u8; 20],
    /// How many objects it holds.
    pub objects: usize,
}

const HEADER: u64 = 12;

impl Builder {
    /// Adds `object` under its `id`; a second time does nothing.
    pub fn add(&mut self, id: Oid, object: &Object) {
        if !self.ids.insert(id) {
            return;
        }
        let start = self.body.len();
        whole_entry(&mut self.body, object);
        let crc32 = crc32fast::hash(&self.body[start..]);
        self.entries.push(Entry { id, offset: HEADER + start as u64, crc32 });
    }

    /// How many objects it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `id` was added.
    pub fn contains(&self, id: Oid) -> bool {
        self.ids.contains(&id)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Closes the pack.
    pub fn finish(self) -> Pack {
        let mut pack = Vec::with_capacity(self.body.len() + 32);
        pack.extend_from_slice(b"PACK\0\0\0\x02");
        pack.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        pack.extend_from_slice(&self.body);
        let checksum = sha1(&pack);
        pack.extend_from_slice(&checksum);
        let objects = self.entries.len();
        Pack { pack, index: super::index::encode(self.entries, checksum), checksum, objects }
    }
}

/// Appends `object` as an entry of its own: header and zlib stream.
pub(super) fn whole_entry(out: &mut Vec<u8>, object: &Object) {
    entry_header(out, object.kind, object.data.len() as u64);
    let mut deflate = ZlibEncoder::new(out, Compression::fast());
    deflate.write_all(&object.data).and_then(|()| deflate.finish().map(drop)).expect("invariant: memory takes writes");
}

fn entry_header(out: &mut Vec<u8>, kind: Kind, mut size: u64) {
    let code: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut byte = code << 4 | (size & 0x0f) as u8;
    size >>= 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
}

/// The SHA-1 of a file's bytes, for trailers.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    // Our own packs and indexes are hashed here: objects from outside were checked one by one when they came in.
    let id = hasher.try_finalize().expect("invariant: a pack of checked objects does not collide");
    *crate::git::object::from_gix(&id).as_bytes()
}
