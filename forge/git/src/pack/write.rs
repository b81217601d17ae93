//! Building packs of our own, in memory: whole objects, no deltas, each once.
//!
//! Invariant: a pack built here holds everything it was given and nothing refers outside of it by delta.

use std::collections::HashSet;

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

use super::index::Entry;
use crate::object::{Kind, Object};
use crate::zlib;

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
    zlib::deflate(&object.data, out);
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

/// The SHA-1 of a file's bytes, for trailers: they guard against damage and nothing else, so collisions are not looked for.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::index;
    use crate::store::{Objects as _, ReadError};
    use crate::testing::Repo;

    fn objects() -> Vec<(Oid, Object)> {
        let repo = Repo::new();
        repo.write("empty", "");
        repo.write("dir/large", "x".repeat(100_000));
        repo.write(
            "noise",
            (0..5000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect::<Vec<u8>>(),
        );
        repo.commit("one");
        repo.git(&["tag", "-a", "-m", "a tag", "v1"]);
        let kind = |word: &str| match word {
            "commit" => Kind::Commit,
            "tree" => Kind::Tree,
            "tag" => Kind::Tag,
            _ => Kind::Blob,
        };
        repo.all_objects().into_iter().map(|(id, word, data)| (id, Object::new(kind(&word), data))).collect()
    }

    #[test]
    fn git_and_the_store_read_what_was_built() {
        let objects = objects();
        let mut builder = Builder::default();
        for (id, object) in objects.iter().chain(&objects) {
            builder.add(*id, object);
        }
        assert_eq!(builder.len(), objects.len());
        assert!(builder.contains(objects[0].0) && !builder.is_empty());
        let pack = builder.finish();
        assert_eq!(pack.objects, objects.len());
        let server = Repo::bare();
        let store = server.store();
        let missing = objects[0].0;
        assert!(matches!(store.get(missing), Err(ReadError::Missing(id)) if id == missing));
        std::fs::write(server.git_dir().join("objects/pack/pack-b1.pack"), &pack.pack).expect("a file");
        std::fs::write(server.git_dir().join("objects/pack/pack-b1.idx"), &pack.index).expect("a file");
        server.git(&["verify-pack", "objects/pack/pack-b1.idx"]);
        for (id, object) in &objects {
            assert_eq!(store.get(*id).expect("there"), *object);
            assert_eq!(store.kind(*id).expect("readable"), Some(object.kind));
            assert!(store.contains(*id));
        }
        server.assert_clean();
    }

    #[test]
    fn git_makes_the_same_index() {
        let mut builder = Builder::default();
        objects().iter().for_each(|(id, object)| builder.add(*id, object));
        let pack = builder.finish();
        let elsewhere = Repo::bare();
        std::fs::write(elsewhere.path().join("a.pack"), &pack.pack).expect("a file");
        let checksum = elsewhere.git(&["index-pack", "--strict", "a.pack"]);
        assert_eq!(checksum, notes_schema::names::hex(&pack.checksum));
        assert_eq!(std::fs::read(elsewhere.path().join("a.idx")).expect("a file"), pack.index);
    }

    #[test]
    fn an_index_points_beyond_two_gigabytes() {
        let entry = |first: u8, offset| Entry { id: Oid::from_bytes([first; 20]), offset, crc32: u32::from(first) };
        let bytes = index::encode(vec![entry(9, 1 << 40), entry(3, 12), entry(5, 1 << 31)], [7; 20]);
        let server = Repo::bare();
        let shown = server.git_bytes(&["show-index"], &bytes);
        let shown = String::from_utf8(shown).expect("text");
        let offsets: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(offsets, ["12", "2147483648", "1099511627776"]);
    }
}
