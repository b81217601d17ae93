//! The index beside a pack, version 2.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

/// One object of a pack.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its id.
    pub id: Oid,
    /// Where it begins in the pack.
    pub offset: u64,
    /// CRC-32 of its bytes in the pack.
    pub crc32: u32,
}

const LARGE: u64 = 1 << 31;

/// The index's bytes for `entries` (any order, each id once) of the pack whose trailer is `pack_checksum`.
pub fn encode(mut entries: Vec<Entry>, pack_checksum: [u8; 20]) -> Vec<u8> {
    entries.sort_unstable_by_key(|e| e.id);
    let mut out = Vec::with_capacity(1072 + entries.len() * 28);
    out.extend_from_slice(b"\xfftOc\0\0\0\x02");
    let mut below = 0usize;
    for first_byte in 0..=255u8 {
        while entries.get(below).is_some_and(|e| e.id.as_bytes()[0] <= first_byte) {
            below += 1;
        }
        out.extend_from_slice(&(below as u32).to_be_bytes());
    }
    for entry in &entries {
        out.extend_from_slice(entry.id.as_bytes());
    }
    for entry in &entries {
        out.extend_from_slice(&entry.crc32.to_be_bytes());
    }
    let mut large = Vec::new();
    for entry in &entries {
        let field = if entry.offset < LARGE {
            entry.offset as u32
        } else {
            large.push(entry.offset);
            LARGE as u32 | (large.len() - 1) as u32
        };
        out.extend_from_slice(&field.to_be_bytes());
    }
    for offset in large {
        out.extend_from_slice(&offset.to_be_bytes());
    }
    out.extend_from_slice(&pack_checksum);
    let trailer = super::write::sha1(&out);
    out.extend_from_slice(&trailer);
    out
}

/// Whether the index beside `pack` is whole and belongs to it: its own checksum holds and it names the pack's trailer.
pub fn is_good(pack: &Path) -> io::Result<bool> {
    let index = match fs::read(pack.with_extension("idx")) {
        Ok(index) => index,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let Some(split) = index.len().checked_sub(40) else { return Ok(false) };
    let mut file = File::open(pack)?;
    if file.metadata()?.len() < 32 {
        return Ok(false);
    }
    let mut trailer = [0; 20];
    file.seek(SeekFrom::End(-20))?;
    file.read_exact(&mut trailer)?;
    Ok(index[split..split + 20] == trailer && super::write::sha1(&index[..split + 20]) == index[split + 20..])
}

/// The entries of the index beside `pack`; `None` where it cannot be read as one.
pub fn read(pack: &Path) -> io::Result<Option<Vec<Entry>>> {
    let index = fs::read(pack.with_extension("idx"))?;
    Ok(decode(&index))
}

fn decode(index: &[u8]) -> Option<Vec<Entry>> {
    let word = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    let tables = 8 + 256 * 4;
    let count = word(tables - 4)? as usize;
    let (ids, crcs) = (tables, tables + count.checked_mul(20)?);
    let offsets = crcs + count * 4;
    let large = offsets + count * 4;
    if !index.starts_with(b"\xfftOc\0\0\0\x02") || index.len() < large + 40 {
        return None;
    }
    let entry = |n: usize| {
        let short = word(offsets + n * 4)?;
        let offset = match u64::from(short) < LARGE {
            true => u64::from(short),
            false => {
                let at = large + (short as usize & (LARGE as usize - 1)) * 8;
                u64::from_be_bytes(index.get(at..at + 8)?.try_into().ok()?)
            }
        };
        let id = Oid::from_slice(index.get(ids + n * 20..ids + n * 20 + 20)?)?;
        Some(Entry { id, offset, crc32: word(crcs + n * 4)? })
    };
    (0..count).map(entry).collect()
}

/// Whether a pack or index file's trailer matches its content; read in pieces, so any size will do.
pub fn has_good_trailer(file: &Path) -> io::Result<bool> {
    let length = fs::metadata(file)?.len();
    let Some(content) = length.checked_sub(20) else { return Ok(false) };
    let mut reader = io::BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut hasher = Sha1::new();
    let mut left = content;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        reader.read_exact(&mut piece[..wanted])?;
        hasher.update(&piece[..wanted]);
        left -= wanted as u64;
    }
    let mut trailer = [0; 20];
    reader.read_exact(&mut trailer)?;
    Ok(hasher.finalize()[..] == trailer)
}

/// The objects of `pack` whose bytes are not those that its index recorded: where exactly it is damaged.
pub fn damaged(pack: &Path) -> io::Result<Vec<Oid>> {
    let Some(mut entries) = read(pack)? else { return Ok(Vec::new()) };
    entries.sort_unstable_by_key(|e| e.offset);
    let end = fs::metadata(pack)?.len().saturating_sub(20);
    let ends: Vec<u64> = entries.iter().skip(1).map(|e| e.offset).chain([end]).collect();
    let mut file = File::open(pack)?;
    let mut found = Vec::new();
    for (entry, end) in entries.iter().zip(ends) {
        file.seek(SeekFrom::Start(entry.offset))?;
        let mut hasher = crc32fast::Hasher::new();
        let mut part = io::Read::take(&mut file, end.saturating_sub(entry.offset));
        let mut piece = [0; 64 << 10];
        loop {
            match part.read(&mut piece)? {
                0 => break,
                n => hasher.update(&piece[..n]),
            }
        }
        if hasher.finalize() != entry.crc32 {
            found.push(entry.id);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Kind, Object};
    use crate::pack::write::Builder;

    #[test]
    fn a_flipped_byte_is_traced_to_its_object() {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Builder::default();
        for k in 0..50u32 {
            let object = Object::new(Kind::Blob, format!("{k} ").repeat(k as usize + 1).into_bytes());
            builder.add(object.id().unwrap(), &object);
        }
        let built = builder.finish();
        let path = dir.path().join("pack-x.pack");
        fs::write(path.with_extension("idx"), &built.index).unwrap();
        fs::write(&path, &built.pack).unwrap();
        assert!(is_good(&path).unwrap() && has_good_trailer(&path).unwrap());
        assert_eq!(damaged(&path).unwrap(), []);
        let entries = read(&path).unwrap().unwrap();
        assert_eq!(entries.len(), 50);
        for entry in &entries {
            let mut bad = built.pack.clone();
            bad[entry.offset as usize + 3] ^= 4;
            fs::write(&path, bad).unwrap();
            assert_eq!(damaged(&path).unwrap(), [entry.id]);
            assert!(!has_good_trailer(&path).unwrap());
        }
        assert_eq!(decode(&built.index[..100]).map(|e| e.len()), None);
    }
}
