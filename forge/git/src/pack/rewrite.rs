//! Some objects of a repository's packs, written as one pack more: deltas are copied where their bases come along.
//!
//! Invariant: bytes are copied only where they match the checksum in their index, and the new index is made of what was
//! written, read back.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use notes_schema::Oid;

use super::emit::{self, EmitError, Options};
use super::index::{self, Entry};
use super::paced::Paced;
use crate::disk::NewFile;
use crate::object::Kind;
use crate::select::{Selected, Selection};
use crate::store::Store;

/// What [`write()`] made.
pub struct Rewritten {
    /// The pack, synced, under the name that it was written as.
    pub file: NewFile,
    /// Its trailer.
    pub checksum: [u8; 20],
    /// The bytes of its index.
    pub index: Vec<u8>,
    /// Whether every object in it is whole, as in packs of the ledger.
    pub is_whole: bool,
}

/// Writes the objects `ids`, each named once, to a new file at `target`, and syncs it. In their order, but for bases,
/// which come first.
pub fn write(store: &Store, ids: &[Oid], target: &Path) -> Result<Rewritten, EmitError> {
    // Nobody asks here what they are: it stands where they lie.
    let selected = |id: &Oid| Selected { id: *id, kind: Kind::Blob, resembles: None };
    let selection = Selection { objects: ids.iter().map(selected).collect(), ..Selection::default() };
    let mut out = Paced::create(target)?;
    let options = Options { thin: false, ofs_delta: true };
    let (written, begins) = emit::write_listed(store, &selection, &options, &mut out)?;
    let file = out.finish()?;
    let mut entries: Vec<Entry> =
        ids.iter().zip(begins).map(|(id, offset)| Entry { id: *id, offset, crc32: 0 }).collect();
    sum(target, &mut entries)?;
    let index = index::encode(entries, written.checksum);
    Ok(Rewritten { file, checksum: written.checksum, index, is_whole: written.deltas == 0 })
}

/// Reads back what was written, for the checksums of its entries.
fn sum(pack: &Path, entries: &mut [Entry]) -> io::Result<()> {
    if !index::has_good_trailer(pack)? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what was read back is not what was written"));
    }
    entries.sort_unstable_by_key(|entry| entry.offset);
    let mut file = File::open(pack)?;
    let end = file.metadata()?.len() - 20;
    let ends: Vec<u64> = entries.iter().skip(1).map(|entry| entry.offset).chain([end]).collect();
    file.seek(SeekFrom::Start(entries.first().map_or(end, |entry| entry.offset)))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut piece = vec![0; 64 << 10];
    for (entry, end) in entries.iter_mut().zip(ends) {
        let mut left = end - entry.offset;
        let mut crc32 = crc32fast::Hasher::new();
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            reader.read_exact(&mut piece[..wanted])?;
            crc32.update(&piece[..wanted]);
            left -= wanted as u64;
        }
        entry.crc32 = crc32.finalize();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Objects as _;
    use crate::testing::Repo;

    #[test]
    fn git_reads_what_is_left_of_a_pack_with_deltas() {
        let repo = Repo::new();
        let text =
            |n: usize| (0..400).map(|line| format!("{line} {}\n", if line == n { n } else { 0 })).collect::<String>();
        for n in 0..20 {
            repo.write("file", text(n));
            repo.commit(&format!("{n}"));
        }
        repo.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50"]);
        let all: Vec<Oid> = repo.all_objects().into_iter().map(|(id, ..)| id).collect();
        let mut with_deltas = 0;
        for rest in 0..3 {
            // Every third goes, bases of others among them.
            let kept: Vec<Oid> = all.iter().enumerate().filter(|(n, _)| n % 3 != rest).map(|(_, id)| *id).collect();
            let elsewhere = Repo::bare();
            let target = elsewhere.git_dir().join("objects/pack/pack-c.pack");
            let rewritten = write(&repo.store(), &kept, &target.with_file_name("tmp_x.pack")).expect("written");
            with_deltas += usize::from(!rewritten.is_whole);
            rewritten.file.replace(&target).expect("renamed");
            fs::write(target.with_extension("idx"), &rewritten.index).expect("written");
            elsewhere.git(&["index-pack", "-o", "again.idx", "objects/pack/pack-c.pack"]);
            assert_eq!(fs::read(elsewhere.path().join("again.idx")).expect("an index"), rewritten.index);
            let (from, to) = (repo.store(), elsewhere.store());
            assert!(kept.iter().all(|id| from.get(*id).expect("there") == to.get(*id).expect("there")));
            assert!(all.iter().filter(|id| !kept.contains(id)).all(|id| !to.contains(*id)));
        }
        assert!(with_deltas >= 2, "deltas are kept where their base is");
    }
}
