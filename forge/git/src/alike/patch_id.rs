//! The id of a patch, as `git patch-id --stable` computes it from the text of a diff.
//!
//! The sum of one hash for each file, over its lines without whitespace, line numbers and ids. Where git departs from that, so
//! does this, since anybody can ask git: a section without hunks (a mode alone, an empty file) is hashed together with the next
//! file's, and the first line of the section behind a binary file is left out.
//!
//! Invariant: bytes in, an id out; nothing is read.

use std::fmt;

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

/// How many digits of ids there are in the header of a binary file.
pub(super) const DIGITS: usize = 40;

/// The id of a patch; shown as git shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatchId([u8; 20]);

impl PatchId {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stood last in the patch.
#[derive(Default, PartialEq, Eq)]
enum Last {
    /// Nothing, or the header of a file without hunks.
    #[default]
    Header,
    /// Hunks.
    Body,
    /// A binary file.
    Binary,
}

/// An id under way.
#[derive(Default)]
pub(super) struct Sum {
    hash: Sha1,
    sum: [u8; 20],
    last: Last,
    any: bool,
}

impl Sum {
    /// The header of a file, from the line `diff --git` on.
    pub(super) fn header(&mut self, text: &[u8]) {
        let last = std::mem::take(&mut self.last);
        if last == Last::Body {
            self.flush();
        }
        let unseen = usize::from(last == Last::Binary);
        for line in text.split_inclusive(|&b| b == b'\n').skip(unseen).filter(|line| !line.starts_with(b"index ")) {
            self.line(line);
        }
    }

    /// What follows the header of a text file: both names and the hunks.
    pub(super) fn body(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|&b| b == b'\n') {
            self.last = Last::Body;
            if !matches!(line.first(), Some(b'@' | b'\\')) {
                self.line(line);
            }
        }
    }

    /// What follows the header of a binary file.
    pub(super) fn binary(&mut self, ids: [Option<Oid>; 2]) {
        for id in ids {
            self.hash.update(id.map_or_else(|| "0".repeat(DIGITS), |id| id.to_string()));
        }
        self.flush();
        self.last = Last::Binary;
    }

    /// The id; `None` of an empty patch.
    pub(super) fn finish(mut self) -> Option<PatchId> {
        self.flush();
        self.any.then_some(PatchId(self.sum))
    }

    fn line(&mut self, line: &[u8]) {
        self.any = true;
        // To git a line ends at a zero byte.
        let line = line.split(|&b| b == 0).next().unwrap_or_default();
        for part in line.split(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.hash.update(part);
        }
    }

    /// Adds the hash so far, as numbers of 20 bytes, lowest first.
    fn flush(&mut self) {
        let hash = std::mem::take(&mut self.hash).finalize();
        let mut carry = 0u16;
        for (sum, byte) in self.sum.iter_mut().zip(hash) {
            carry += u16::from(*sum) + u16::from(byte);
            *sum = carry as u8;
            carry >>= 8;
        }
    }
}
