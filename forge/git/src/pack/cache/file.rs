//! A cached pack on disk: the pack's bytes, the sorted ids of its objects, what it is of, and how long that is.
//!
//! Invariant: nothing in a file is believed before it was compared: the facts with the file's name, the pack with its own
//! trailer, and what is copied out of it with its checksum.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use notes_schema::{Oid, Sha256};
use sha1::Sha1;
use sha2::Digest as _;

use super::{Family, Key, PIECE};
use crate::pack::emit::Written;

/// How the name of a file ends that is complete, and how that of another begins.
pub(super) const ENDING: &str = ".clone";
pub(super) const TEMPORARY: &str = "tmp_clone_";

const MAGIC: &[u8; 8] = b"clone 1\n";
const FOOT: u64 = 16;
/// More than half a million tips are not believed.
/// Limit: tips that a cached pack of a clone names, in bytes | {:bytes}; a pack with more is not believed
const MOST_FACTS: u64 = 16 << 20;
const HEADER: u64 = 12;
const TRAILER: u64 = 20;
const ID: u64 = 20;

/// What is known of a cached pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) key: Key,
    pub(super) written: Written,
    /// CRC-32 of the whole pack.
    pub(super) crc32: u32,
    /// CRC-32 of the ids.
    pub(super) ids_crc32: u32,
}

/// The name of the file for `key`.
pub(super) fn name(key: &Key) -> String {
    let digest: [u8; 32] = sha2::Sha256::digest(encode_key(key)).into();
    format!("{}{ENDING}", Sha256::from_bytes(digest))
}

fn encode_key(key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.tips.len() * 20 + 128);
    for text in [&key.family.repository, &key.family.filter, &key.family.features] {
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.push(u8::from(key.family.ofs_delta));
    key.tips.iter().for_each(|tip| out.extend_from_slice(tip.as_bytes()));
    out
}

impl Facts {
    /// What stands behind the ids.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.written.bytes, self.written.objects as u64, self.written.deltas as u64] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.crc32.to_be_bytes());
        out.extend_from_slice(&self.ids_crc32.to_be_bytes());
        out.extend_from_slice(&self.written.checksum);
        out.extend_from_slice(&encode_key(&self.key));
        let length = out.len() as u64;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<Facts> {
        let rest = &mut bytes;
        let [bytes, objects, deltas] = [number(rest)?, number(rest)?, number(rest)?];
        let [crc32, ids_crc32] = [u32::from_be_bytes(take(rest)?), u32::from_be_bytes(take(rest)?)];
        let checksum = take(rest)?;
        let [repository, filter, features] = [text(rest)?, text(rest)?, text(rest)?];
        let [ofs_delta] = take(rest)?;
        let ofs_delta = ofs_delta != 0;
        let tips = rest.chunks(20).map(Oid::from_slice).collect::<Option<Vec<_>>>()?;
        let (objects, deltas) = (usize::try_from(objects).ok()?, usize::try_from(deltas).ok()?);
        let written = Written { objects, deltas, reused: 0, bytes, checksum };
        Some(Facts {
            key: Key { family: Family { repository, filter, features, ofs_delta }, tips },
            written,
            crc32,
            ids_crc32,
        })
    }

    /// How long the file is.
    pub(super) fn file_bytes(&self) -> u64 {
        self.ids_end().saturating_add(self.encoded_len())
    }

    fn ids_end(&self) -> u64 {
        self.written.bytes.saturating_add((self.written.objects as u64).saturating_mul(ID))
    }

    fn encoded_len(&self) -> u64 {
        let family = &self.key.family;
        let texts = family.repository.len() + family.filter.len() + family.features.len() + 3 * 4 + 1;
        (3 * 8 + 2 * 4 + 20 + texts + self.key.tips.len() * 20) as u64 + FOOT
    }
}

/// The facts at the end of `file`; `None` where there are none, or none that fit.
pub(super) fn read(file: &File) -> io::Result<Option<Facts>> {
    let whole = file.metadata()?.len();
    let Some(end) = whole.checked_sub(FOOT) else { return Ok(None) };
    let mut foot = [0; FOOT as usize];
    file.read_exact_at(&mut foot, end)?;
    let mut rest = &foot[..];
    let length = number(&mut rest).unwrap_or(u64::MAX);
    if rest != MAGIC || length > MOST_FACTS.min(end) {
        return Ok(None);
    }
    let mut facts = vec![0; length as usize];
    file.read_exact_at(&mut facts, end - length)?;
    Ok(Facts::decode(&facts).filter(|facts| facts.file_bytes() == whole && facts.written.bytes >= HEADER + TRAILER))
}

/// Reads the file in full and compares the pack with its trailer, and the ids with their checksum.
pub(super) fn is_whole(file: &File, facts: &Facts) -> io::Result<bool> {
    let content = facts.written.bytes - TRAILER;
    let mut hasher = Sha1::new();
    each_piece(file, 0, content, |piece| hasher.update(piece))?;
    let mut trailer = [0; TRAILER as usize];
    file.read_exact_at(&mut trailer, content)?;
    let mut ids = crc32fast::Hasher::new();
    each_piece(file, facts.written.bytes, facts.ids_end(), |piece| ids.update(piece))?;
    let good = hasher.finalize()[..] == trailer && ids.finalize() == facts.ids_crc32;
    Ok(good && trailer == facts.written.checksum)
}

fn each_piece(file: &File, mut at: u64, end: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
        file.read_exact_at(&mut piece[..most], at)?;
        each(&piece[..most]);
        at += most as u64;
    }
    Ok(())
}

/// Whether a cached pack has an object.
pub(super) fn contains(file: &File, facts: &Facts, id: Oid) -> io::Result<bool> {
    let (mut low, mut high) = (0, facts.written.objects as u64);
    let mut met = [0; ID as usize];
    while low < high {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut met, facts.written.bytes + middle * ID)?;
        match met.cmp(id.as_bytes()) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(false)
}

/// The ids of a cached pack.
pub(super) fn ids(file: &File, facts: &Facts) -> io::Result<Vec<Oid>> {
    let mut ids = Vec::new();
    // Pieces would cut ids apart.
    let whole = PIECE as u64 / ID * ID;
    let (mut at, end) = (facts.written.bytes, facts.ids_end());
    while at < end {
        let next = (at + whole).min(end);
        let mut piece = vec![0; (next - at) as usize];
        file.read_exact_at(&mut piece, at)?;
        ids.extend(piece.chunks(ID as usize).filter_map(Oid::from_slice));
        at = next;
    }
    Ok(ids)
}

/// The ids as they stand in a file.
pub(super) fn encode_ids(mut ids: Vec<Oid>) -> Vec<u8> {
    ids.sort_unstable();
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

/// The entries of a cached pack. Reading them to the end fails when any byte of the pack has changed.
pub(super) struct Body<'a> {
    file: &'a File,
    facts: &'a Facts,
    at: u64,
    hasher: crc32fast::Hasher,
}

impl<'a> Body<'a> {
    pub(super) fn new(file: &'a File, facts: &'a Facts) -> Self {
        Body { file, facts, at: 0, hasher: crc32fast::Hasher::new() }
    }

    /// Reads what is compared and not handed out.
    fn pass(&mut self, length: u64) -> io::Result<()> {
        let mut bytes = [0; TRAILER as usize];
        let bytes = &mut bytes[..length as usize];
        self.file.read_exact_at(bytes, self.at)?;
        self.hasher.update(bytes);
        self.at += length;
        Ok(())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.facts.written.bytes - TRAILER;
        if self.at == 0 {
            self.pass(HEADER)?;
        }
        if self.at == end {
            self.pass(TRAILER)?;
        }
        if self.at > end {
            return match self.hasher.clone().finalize() == self.facts.crc32 {
                true => Ok(0),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "a cached pack has changed on disk")),
            };
        }
        let most = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&buffer[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_be_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = u32::from_be_bytes(take(rest)?);
    let (text, after) = rest.split_at_checked(length as usize)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}
