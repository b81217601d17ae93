//! Reading a pack stream once: headers, zlib streams, checksum.

use std::io::{ErrorKind, Read};

use flate2::{FlushDecompress, Status};
use notes_schema::Oid;

use super::{Base, Entry, Intake, Limits, PackError};
use crate::object::{self, Kind, Object};
use crate::zlib;

/// Bytes to parse, wherever they come from. An empty `fill` is the end.
pub(super) trait Input {
    fn fill(&mut self) -> Result<&[u8], PackError>;
    fn consume(&mut self, count: usize);
}

const BUFFER: usize = 64 << 10;
const CHECKSUM: usize = 20;
const REPORT_EVERY: u32 = 20_000;

/// The foreign stream: everything consumed is counted, hashed and spooled, in runs.
struct Source<'s, 'i, 'a, R> {
    reader: &'s mut R,
    intake: &'i mut Intake<'a>,
    buffer: Box<[u8]>,
    /// `buffer[done..pos]` is consumed but not yet hashed and spooled; `buffer[pos..end]` is ahead.
    done: usize,
    pos: usize,
    end: usize,
    hasher: gix::hash::Hasher,
    crc: crc32fast::Hasher,
}

impl<R: Read> Source<'_, '_, '_, R> {
    fn settle(&mut self) -> Result<(), PackError> {
        let run = &self.buffer[self.done..self.pos];
        if self.intake.spool.len() + run.len() as u64 > self.intake.limits.pack_bytes {
            return Err(PackError::PackTooLarge { limit: self.intake.limits.pack_bytes });
        }
        self.hasher.update(run);
        self.crc.update(run);
        self.intake.spool.append(run, self.intake.store.git_dir()).map_err(PackError::Disk)?;
        self.done = self.pos;
        Ok(())
    }

    /// Where the next byte stands in the pack.
    fn at(&self) -> u64 {
        self.intake.spool.len() + (self.pos - self.done) as u64
    }

    /// The CRC-32 of everything since the last call.
    fn take_crc(&mut self) -> Result<u32, PackError> {
        self.settle()?;
        Ok(std::mem::take(&mut self.crc).finalize())
    }
}

impl<R: Read> Input for Source<'_, '_, '_, R> {
    fn fill(&mut self) -> Result<&[u8], PackError> {
        if self.pos == self.end {
            self.settle()?;
            (self.done, self.pos, self.end) = (0, 0, 0);
            self.end = loop {
                match self.reader.read(&mut self.buffer) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == ErrorKind::UnexpectedEof => break 0,
                    other => break other.map_err(PackError::Receive)?,
                }
            };
        }
        Ok(&self.buffer[self.pos..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.pos += count;
    }
}

/// Reads the whole pack: afterwards every whole object is named, and every delta knows what it rests on.
pub(super) fn receive(
    reader: &mut impl Read,
    intake: &mut Intake<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), PackError> {
    let mut source = Source {
        reader,
        intake,
        buffer: vec![0; BUFFER].into(),
        done: 0,
        pos: 0,
        end: 0,
        hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
        crc: crc32fast::Hasher::new(),
    };
    let read = read_all(&mut source, progress);
    let at = source.at();
    read.map_err(|e| match e {
        PackError::Truncated { .. } if at == 0 => PackError::NoPack("nothing was sent"),
        PackError::Truncated { .. } => PackError::Truncated { at },
        other => other,
    })?;
    intake.spool.flush().map_err(PackError::Disk)
}

fn read_all<R: Read>(source: &mut Source<'_, '_, '_, R>, progress: &mut dyn FnMut(&str)) -> Result<(), PackError> {
    let objects = pack_header(source)?;
    let limit = source.intake.limits.objects;
    if objects > limit {
        return Err(PackError::TooManyObjects { objects, limit });
    }
    source.take_crc()?;
    let mut inflater = Inflater::default();
    for number in 0..objects {
        if number > 0 && number % REPORT_EVERY == 0 {
            progress(&format!("received {number} of {objects} objects"));
        }
        entry(source, &mut inflater)?;
    }
    trailer(source)
}

fn pack_header<R: Read>(source: &mut Source<'_, '_, '_, R>) -> Result<u32, PackError> {
    let header: [u8; 12] = fixed(source, 0)?;
    if &header[..4] != b"PACK" {
        return Err(PackError::NoPack("it does not begin with `PACK`"));
    }
    if header[4..8] != [0, 0, 0, 2] {
        return Err(PackError::NoPack("its version is not 2"));
    }
    Ok(u32::from_be_bytes([header[8], header[9], header[10], header[11]]))
}

fn entry<R: Read>(source: &mut Source<'_, '_, '_, R>, inflater: &mut Inflater) -> Result<(), PackError> {
    let offset = source.at();
    let header = entry_header(source, offset, source.intake.limits)?;
    inflater.inflate(source, header.size, offset)?;
    let crc32 = source.take_crc()?;
    let intake = &mut *source.intake;
    let base = match header.rests_on {
        RestsOn::Nothing(_) => Base::Whole,
        RestsOn::Id(id) => Base::Named(id),
        RestsOn::Distance(distance) => {
            let at = offset.checked_sub(distance);
            let found = at.and_then(|at| intake.entries.binary_search_by_key(&at, |e| e.offset).ok());
            let why = "its base is no object of this pack";
            Base::Entry(found.ok_or(PackError::BadEntry { at: offset, why })? as u32)
        }
    };
    intake.entries.push(Entry { offset, crc32, base, kind: None, id: Oid::from_bytes([0; 20]) });
    if let Some(kept) = &mut intake.kept {
        kept.push(None);
    }
    intake.charge(header.size)?;
    if let RestsOn::Nothing(kind) = header.rests_on {
        let object = Object::new(kind, std::mem::take(&mut inflater.out));
        intake.name(intake.entries.len() - 1, &object)?;
    }
    Ok(())
}

fn trailer<R: Read>(source: &mut Source<'_, '_, '_, R>) -> Result<(), PackError> {
    source.settle()?;
    let at = source.at();
    let hasher = std::mem::replace(&mut source.hasher, gix::hash::hasher(gix::hash::Kind::Sha1));
    let computed = object::from_gix(&hasher.try_finalize().map_err(|_| PackError::Collision { at: 0 })?);
    let stated: [u8; CHECKSUM] = fixed(source, at)?;
    source.settle()?;
    if stated != *computed.as_bytes() {
        return Err(PackError::Checksum { stated: Oid::from_bytes(stated), computed });
    }
    debug_assert_eq!(source.at(), at + CHECKSUM as u64);
    source.intake.checksum = stated;
    match source.end - source.pos {
        0 => Ok(()),
        count => Err(PackError::Trailing { count }),
    }
}

/// What an entry's header says it rests on.
#[derive(Debug, Clone, Copy)]
pub(super) enum RestsOn {
    /// Nothing: it is a whole object.
    Nothing(Kind),
    /// What begins so many bytes earlier.
    Distance(u64),
    /// That object.
    Id(Oid),
}

/// An entry's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryHeader {
    /// Inflated size of the object or delta that follows.
    pub(super) size: u64,
    pub(super) rests_on: RestsOn,
}

/// Reads the header of the entry at `at`; a size above the budget is refused.
pub(super) fn entry_header(input: &mut impl Input, at: u64, limits: &Limits) -> Result<EntryHeader, PackError> {
    let first = byte(input, at)?;
    let mut size = u64::from(first & 0x0f);
    let (mut last, mut shift) = (first, 4);
    while last & 0x80 != 0 {
        if shift > 56 {
            return Err(PackError::BadEntry { at, why: "its size is absurd" });
        }
        last = byte(input, at)?;
        size |= u64::from(last & 0x7f) << shift;
        shift += 7;
    }
    let limit = limits.object_bytes;
    if size > limit {
        return Err(PackError::ObjectTooLarge { at, size, limit });
    }
    let rests_on = match first >> 4 & 7 {
        1 => RestsOn::Nothing(Kind::Commit),
        2 => RestsOn::Nothing(Kind::Tree),
        3 => RestsOn::Nothing(Kind::Blob),
        4 => RestsOn::Nothing(Kind::Tag),
        6 => RestsOn::Distance(distance(input, at)?),
        7 => RestsOn::Id(Oid::from_bytes(fixed(input, at)?)),
        _ => {
            return Err(PackError::BadEntry { at, why: "its type is unknown" });
        }
    };
    Ok(EntryHeader { size, rests_on })
}

fn distance(input: &mut impl Input, at: u64) -> Result<u64, PackError> {
    let mut last = byte(input, at)?;
    let mut distance = u64::from(last & 0x7f);
    while last & 0x80 != 0 {
        if distance >> 55 != 0 {
            return Err(PackError::BadEntry { at, why: "the way to its base is absurd" });
        }
        last = byte(input, at)?;
        distance = ((distance + 1) << 7) | u64::from(last & 0x7f);
    }
    Ok(distance)
}

fn byte(input: &mut impl Input, at: u64) -> Result<u8, PackError> {
    let byte = *input.fill()?.first().ok_or(PackError::Truncated { at })?;
    input.consume(1);
    Ok(byte)
}

fn fixed<const N: usize>(input: &mut impl Input, at: u64) -> Result<[u8; N], PackError> {
    let mut bytes = [0; N];
    for slot in &mut bytes {
        *slot = byte(input, at)?;
    }
    Ok(bytes)
}

/// Inflates zlib streams of known size, one after the other.
#[derive(Default)]
pub(super) struct Inflater {
    /// What came out last.
    pub(super) out: Vec<u8>,
}

impl Inflater {
    /// Inflates one stream, which must yield exactly `size` bytes, into `out`. Memory grows with what really comes.
    pub(super) fn inflate(&mut self, input: &mut impl Input, size: u64, at: u64) -> Result<(), PackError> {
        let bad = |why| PackError::BadEntry { at, why };
        let size = usize::try_from(size).map_err(|_| bad("its size is absurd"))?;
        let mut inflater = zlib::inflater();
        self.out.clear();
        loop {
            if self.out.len() == self.out.capacity() {
                // One byte more than declared, so that a stream that is too long shows itself.
                let room = size - self.out.len() + 1;
                self.out.reserve_exact(room.min(self.out.len().max(8 << 10)));
            }
            let ahead = input.fill()?;
            let ended = ahead.is_empty();
            let (in_before, out_before) = (inflater.total_in(), self.out.len());
            let status = inflater
                .decompress_vec(ahead, &mut self.out, FlushDecompress::None)
                .map_err(|_| bad("its zlib stream is damaged"))?;
            let used = (inflater.total_in() - in_before) as usize;
            input.consume(used);
            if self.out.len() > size {
                return Err(bad("it inflates to more than it declares"));
            }
            match status {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError if ended => return Err(PackError::Truncated { at }),
                Status::Ok | Status::BufError if used == 0 && self.out.len() == out_before => {
                    return Err(bad("its zlib stream does not go on"));
                }
                Status::Ok | Status::BufError => {}
            }
        }
        if self.out.len() < size {
            return Err(bad("it inflates to less than it declares"));
        }
        Ok(())
    }
}
