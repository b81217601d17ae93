//! The index beside a pack, version 2.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use notes_schema::Oid;

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
