//! Reading back a pack of our own: whole objects, no deltas, checked against its trailer.

use notes_schema::Oid;

use super::write::sha1;
use crate::object::{Kind, Object, hash};
use crate::zlib;

/// One object of a pack and where it stands there.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// Its id, computed from its content.
    pub id: Oid,
    /// The object.
    pub object: Object,
    /// Where it begins.
    pub offset: u64,
    /// Where the next one begins.
    pub end: u64,
    /// CRC-32 of its bytes in the pack.
    pub crc32: u32,
}

/// Why a pack is not one that we wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Its trailer does not match its content.
    #[error("its checksum does not match its content")]
    Checksum,
    /// It ends early or holds something else than whole objects.
    #[error("at byte {at}: {why}")]
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
}

/// The trailer of a pack, when it matches the content.
pub fn checksum(pack: &[u8]) -> Result<[u8; 20], ScanError> {
    let split = pack.len().checked_sub(20).ok_or(ScanError::Checksum)?;
    let (content, trailer) = pack.split_at(split);
    if sha1(content) != trailer {
        Err(ScanError::Checksum)
    } else {
        Ok(trailer.try_into().expect("invariant: 20 bytes"))
    }
}

/// All objects of a pack of ours, in order.
pub fn scan(pack: &[u8]) -> Result<Vec<Scanned>, ScanError> {
    checksum(pack)?;
    let content = &pack[..pack.len() - 20];
    let header = content.get(..12).filter(|h| h.starts_with(b"PACK\0\0\0\x02"));
    let header = header.ok_or(ScanError::Malformed { at: 0, why: "no pack header" })?;
    let count = u32::from_be_bytes(header[8..12].try_into().expect("invariant: 4 bytes")) as usize;
    let mut found = Vec::with_capacity(count.min(content.len() / 8));
    let mut at = 12;
    for _ in 0..count {
        let entry = read_entry(content, at)?;
        at = entry.end as usize;
        found.push(entry);
    }
    if at == content.len() { Ok(found) } else { Err(ScanError::Malformed { at, why: "bytes after the last object" }) }
}

fn read_entry(content: &[u8], start: usize) -> Result<Scanned, ScanError> {
    let bad = |why| ScanError::Malformed { at: start, why };
    let mut at = start;
    let mut next = || {
        let byte = content.get(at).copied();
        at += 1;
        byte.ok_or(bad("the pack ends inside a header"))
    };
    let mut byte = next()?;
    let kind = match byte >> 4 & 7 {
        1 => Kind::Commit,
        2 => Kind::Tree,
        3 => Kind::Blob,
        4 => Kind::Tag,
        _ => return Err(bad("an entry that is no whole object")),
    };
    let mut size = u64::from(byte & 0x0f);
    let mut shift = 4;
    while byte & 0x80 != 0 {
        byte = next()?;
        if shift > 56 {
            return Err(bad("a size of more than 60 bits"));
        }
        size |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    // A deflated byte yields at most about 1,032 bytes, so a size beyond that lies.
    let rest = &content[at..];
    if size > (rest.len() as u64).saturating_mul(1100) {
        return Err(bad("a size that its bytes cannot hold"));
    }
    let (data, used) = zlib::inflate(rest, size as usize).ok_or(bad("content that does not inflate to its size"))?;
    let object = Object::new(kind, data);
    let id = hash(kind, &object.data).map_err(|_| bad("an object built to collide"))?;
    let end = at + used;
    let crc32 = crc32fast::hash(&content[start..end]);
    Ok(Scanned { id, object, offset: start as u64, end: end as u64, crc32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::write::Builder;

    fn pack() -> Vec<u8> {
        let mut builder = Builder::default();
        for content in ["", "a", &"long ".repeat(5000)] {
            let object = Object::new(Kind::Blob, content.as_bytes().to_vec());
            builder.add(object.id().unwrap(), &object);
        }
        builder.finish().pack
    }

    #[test]
    fn what_is_written_is_scanned() {
        let found = scan(&pack()).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[2].object.data.len(), 25_000);
        assert_eq!(found[0].id.to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let good = pack();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(scan(&bad).is_err(), "byte {at}");
        }
        assert!(scan(&good[..good.len() - 1]).is_err());
        assert!(scan(&[]).is_err());
    }
}
