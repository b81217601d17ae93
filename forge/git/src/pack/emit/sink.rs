//! Where a pack's bytes go: counted, hashed for the trailer, and passed on in pieces.
//!
//! Invariant: what is passed on is hashed, in the same order.

use std::io::{self, Read, Write};

use sha1::{Digest as _, Sha1};

use super::EmitError;

/// Pieces passed on; the hash reads them while they are in the processor's cache.
const PIECE: usize = 64 << 10;

/// The pack as it leaves.
pub(super) struct Sink<'o> {
    out: &'o mut dyn Write,
    // Without collision detection, which the trailer does not need: it guards against damage on the way and nothing else.
    hasher: Sha1,
    buffer: Vec<u8>,
    passed: u64,
}

impl<'o> Sink<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Sink { out, hasher: Sha1::new(), buffer: Vec::with_capacity(PIECE), passed: 0 }
    }

    /// How many bytes were written.
    pub(super) fn at(&self) -> u64 {
        self.passed + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.buffer.len() + bytes.len() >= PIECE {
            if self.buffer.is_empty() {
                let (piece, rest) = bytes.split_at(PIECE);
                self.pass(piece)?;
                bytes = rest;
            } else {
                let (piece, rest) = bytes.split_at(PIECE - self.buffer.len());
                self.buffer.extend_from_slice(piece);
                self.drain()?;
                bytes = rest;
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// All that `from` has.
    pub(super) fn copy(&mut self, from: &mut dyn Read) -> Result<(), EmitError> {
        self.drain()?;
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => self.pass(&piece[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(EmitError::Before(error)),
            }
        }
    }

    /// An entry's type and size.
    pub(super) fn header(&mut self, code: u8, mut size: u64) -> io::Result<()> {
        let mut bytes = [0; 10];
        let mut used = 0;
        let mut byte = code << 4 | (size & 0x0f) as u8;
        size >>= 4;
        while size > 0 {
            bytes[used] = byte | 0x80;
            used += 1;
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        bytes[used] = byte;
        self.write(&bytes[..=used])
    }

    /// How far back a base begins.
    pub(super) fn distance(&mut self, mut distance: u64) -> io::Result<()> {
        let mut bytes = [0; 10];
        let mut from = bytes.len() - 1;
        bytes[from] = (distance & 0x7f) as u8;
        distance >>= 7;
        while distance > 0 {
            distance -= 1;
            from -= 1;
            bytes[from] = 0x80 | (distance & 0x7f) as u8;
            distance >>= 7;
        }
        self.write(&bytes[from..])
    }

    /// Writes the trailer; how long the pack became, and the trailer.
    pub(super) fn finish(mut self) -> io::Result<(u64, [u8; 20])> {
        self.drain()?;
        let checksum: [u8; 20] = self.hasher.finalize().into();
        self.out.write_all(&checksum)?;
        self.out.flush()?;
        Ok((self.passed + checksum.len() as u64, checksum))
    }

    fn pass(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.passed += piece.len() as u64;
        self.out.write_all(piece)
    }

    fn drain(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let done = self.pass(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        done
    }
}
