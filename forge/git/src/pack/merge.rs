//! Several packs made one, in pieces: memory does not grow with what the packs hold, but with how many objects.
//!
//! Invariant: bytes are copied as they are, after each pack's trailer and each object's checksum was found right; a pack
//! that fails either is an error, and nothing is made of it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

use super::index::{self, Entry};
use super::paced::Paced;
use super::scan;
use crate::disk::NewFile;

const HEADER: u64 = 12;

/// What [`write()`] made.
pub struct Merged {
    /// The pack, synced, under the name that it was written as.
    pub file: NewFile,
    /// The trailer of the pack.
    pub checksum: [u8; 20],
    /// The bytes of its index.
    pub index: Vec<u8>,
}

/// An object in one of the packs.
struct Part {
    id: Oid,
    from: u64,
    to: u64,
    crc32: u32,
}

/// Writes a pack of everything in `packs` but `dropped`, which must hold whole objects only, to a new file at `target`, and
/// syncs it. Where two packs hold an object, the first one's is taken.
pub fn write(packs: &[PathBuf], target: &Path, dropped: &HashSet<Oid>) -> io::Result<Merged> {
    let mut seen: HashSet<Oid> = HashSet::new();
    let mut chosen: Vec<(&PathBuf, Vec<Part>)> = Vec::new();
    for path in packs {
        let mut parts = parts(path)?;
        parts.retain(|part| !dropped.contains(&part.id) && seen.insert(part.id));
        chosen.push((path, parts));
    }
    let count = u32::try_from(seen.len()).map_err(|_| io::Error::other("more objects than a pack can hold"))?;
    drop(seen);
    let mut out = Output::new(target)?;
    out.write(b"PACK\0\0\0\x02")?;
    out.write(&count.to_be_bytes())?;
    let mut entries = Vec::with_capacity(count as usize);
    for (path, parts) in chosen {
        let mut pack = File::open(path)?;
        for part in parts {
            entries.push(Entry { id: part.id, offset: out.at, crc32: part.crc32 });
            copy(&mut pack, &part, &mut out).map_err(|e| about(path, e))?;
        }
    }
    let (checksum, file) = out.finish()?;
    Ok(Merged { file, checksum, index: index::encode(entries, checksum) })
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// All objects of a pack, in its order.
fn parts(path: &Path) -> io::Result<Vec<Part>> {
    let indexed = if index::is_good(path)? { index::read(path)? } else { None };
    let Some(mut entries) = indexed else {
        // Its index is lost, so it must be read as a whole.
        let found = scan::scan(&fs::read(path)?).map_err(|e| about(path, bad(e.to_string())))?;
        let part = |s: scan::Scanned| Part { id: s.id, from: s.offset, to: s.end, crc32: s.crc32 };
        return Ok(found.into_iter().map(part).collect());
    };
    if !index::has_good_trailer(path)? {
        return Err(about(path, bad("its checksum does not match its content")));
    }
    entries.sort_unstable_by_key(|entry| entry.offset);
    let end = fs::metadata(path)?.len() - 20;
    let ends: Vec<u64> = entries.iter().skip(1).map(|entry| entry.offset).chain([end]).collect();
    let parts = entries.iter().zip(ends);
    let part = |(entry, to): (&Entry, u64)| Part { id: entry.id, from: entry.offset, to, crc32: entry.crc32 };
    let parts: Vec<Part> = parts.map(part).collect();
    if parts.iter().any(|part| part.from < HEADER || part.from >= part.to || part.to > end) {
        return Err(about(path, bad("its index points elsewhere")));
    }
    Ok(parts)
}

fn copy(pack: &mut File, part: &Part, out: &mut Output) -> io::Result<()> {
    pack.seek(SeekFrom::Start(part.from))?;
    let mut rest = part.to - part.from;
    let mut crc32 = crc32fast::Hasher::new();
    let mut piece = [0; 32 << 10];
    let mut first = true;
    while rest > 0 {
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(piece.len());
        pack.read_exact(&mut piece[..wanted])?;
        if std::mem::take(&mut first) && !(1..=4).contains(&(piece[0] >> 4 & 7)) {
            return Err(bad(format!("object {} is stored as a delta", part.id)));
        }
        crc32.update(&piece[..wanted]);
        out.write(&piece[..wanted])?;
        rest -= wanted as u64;
    }
    match crc32.finalize() == part.crc32 {
        true => Ok(()),
        false => Err(bad(format!("object {} is damaged", part.id))),
    }
}

struct Output {
    file: Paced,
    hasher: Sha1,
    at: u64,
}

impl Output {
    fn new(path: &Path) -> io::Result<Output> {
        Ok(Output { file: Paced::create(path)?, hasher: Sha1::new(), at: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<([u8; 20], NewFile)> {
        let checksum: [u8; 20] = self.hasher.finalize().into();
        self.file.write_all(&checksum)?;
        Ok((checksum, self.file.finish()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Kind, Object};
    use crate::pack::write::Builder;
    use crate::store::Objects as _;
    use crate::testing::Repo;

    fn put(dir: &Path, name: &str, contents: impl Iterator<Item = String>) -> PathBuf {
        let mut builder = Builder::default();
        for content in contents {
            let object = Object::new(Kind::Blob, content.into_bytes());
            builder.add(object.id().expect("no collision"), &object);
        }
        let (pack, path) = (builder.finish(), dir.join(name));
        fs::write(&path, &pack.pack).expect("written");
        fs::write(path.with_extension("idx"), &pack.index).expect("written");
        path
    }

    #[test]
    fn git_reads_what_was_merged() {
        let repo = Repo::bare();
        let dir = tempfile::tempdir().expect("a directory");
        let text = |n: usize| format!("{n} ").repeat(n * 40 + 1);
        let packs = [
            put(dir.path(), "a.pack", (0..40).map(text)),
            put(dir.path(), "b.pack", (30..70).map(text)),
            put(dir.path(), "c.pack", (70..71).map(text)),
        ];
        fs::remove_file(packs[2].with_extension("idx")).expect("removed");
        let target = repo.git_dir().join("objects/pack/pack-m.pack");
        let merged = write(&packs, &target.with_file_name("tmp_merged"), &HashSet::new()).expect("merged");
        merged.file.replace(&target).expect("renamed");
        fs::write(target.with_extension("idx"), &merged.index).expect("written");
        repo.git(&["verify-pack", "objects/pack/pack-m.idx"]);
        repo.git(&["index-pack", "--strict", "-o", "again.idx", "objects/pack/pack-m.pack"]);
        assert_eq!(fs::read(repo.path().join("again.idx")).expect("an index"), merged.index);
        assert_eq!(repo.all_objects().len(), 71);
        let blob = Object::new(Kind::Blob, text(69).into_bytes());
        assert_eq!(repo.store().get(blob.id().expect("no collision")).expect("there"), blob);
    }

    #[test]
    fn a_damaged_pack_is_not_merged() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = put(dir.path(), "a.pack", (0..10).map(|n| n.to_string().repeat(20)));
        let (pack, index) = (fs::read(&path).expect("read"), fs::read(path.with_extension("idx")).expect("read"));
        let target = dir.path().join("tmp_merged");
        for at in (12..pack.len()).step_by(3) {
            let mut bad = pack.clone();
            bad[at] ^= 0x10;
            // With a trailer that is right for the wrong bytes the objects' own checksums still tell.
            if at < pack.len() - 20 {
                let trailer = super::super::write::sha1(&bad[..pack.len() - 20]);
                bad[pack.len() - 20..].copy_from_slice(&trailer);
                let mut index = index.clone();
                let end = index.len();
                index[end - 40..end - 20].copy_from_slice(&trailer);
                let own = super::super::write::sha1(&index[..end - 20]);
                index[end - 20..].copy_from_slice(&own);
                fs::write(path.with_extension("idx"), index).expect("written");
            }
            fs::write(&path, &bad).expect("written");
            assert!(write(std::slice::from_ref(&path), &target, &HashSet::new()).is_err(), "byte {at}");
            fs::write(path.with_extension("idx"), &index).expect("written");
        }
        fs::write(&path, &pack[..pack.len() - 30]).expect("written");
        assert!(write(&[path], &target, &HashSet::new()).is_err());
    }
}
