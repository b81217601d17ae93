//! The raw bytes of a pack under way: in memory at first, in a file of a directory of its own from a size on.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::PackError;
use super::stream::Input;
use crate::disk;

/// Directories of packs under way begin with this, below the repository's directory.
pub(super) const PREFIX: &str = "quarantine-";
/// The pack's name within its directory.
pub(super) const PACK: &str = "pack";

const TAIL: usize = 256 << 10;
const CHUNK: usize = 32 << 10;

/// Raw bytes, to which one appends and from which one reads anywhere.
pub(super) struct Spool {
    place: Place,
    len: u64,
    memory_bytes: u64,
}

enum Place {
    Memory(Vec<u8>),
    /// `tail` holds the last bytes, not yet in `file`.
    File {
        dir: TempDir,
        file: File,
        tail: Vec<u8>,
    },
}

impl Spool {
    pub(super) fn new(memory_bytes: u64) -> Self {
        Spool { place: Place::Memory(Vec::new()), len: 0, memory_bytes }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.place, Place::File { .. })
    }

    /// Appends; moves to a directory below `git_dir` once memory no longer suffices.
    pub(super) fn append(&mut self, bytes: &[u8], git_dir: &Path) -> io::Result<()> {
        if self.len + bytes.len() as u64 > self.memory_bytes {
            self.spill(git_dir)?;
        }
        self.len += bytes.len() as u64;
        match &mut self.place {
            Place::Memory(all) => all.extend_from_slice(bytes),
            Place::File { dir, file, tail } => {
                tail.extend_from_slice(bytes);
                if tail.len() >= TAIL {
                    disk::write(&dir.path().join(PACK), || file.write_all(tail))?;
                    tail.clear();
                }
            }
        }
        Ok(())
    }

    /// Moves to a directory below `git_dir`, where it is not there yet.
    pub(super) fn spill(&mut self, git_dir: &Path) -> io::Result<()> {
        let Place::Memory(all) = &mut self.place else {
            return Ok(());
        };
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(git_dir)?;
        let path = dir.path().join(PACK);
        let mut file = disk::create(&path)?;
        disk::write(&path, || file.write_all(all))?;
        self.place = Place::File { dir, file, tail: Vec::new() };
        Ok(())
    }

    /// Makes everything readable that was appended.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Place::File { dir, file, tail } = &mut self.place {
            disk::write(&dir.path().join(PACK), || file.write_all(tail))?;
            tail.clear();
        }
        Ok(())
    }

    /// Reads on from `at`; what was appended since the last [`Spool::flush`] may be missing.
    pub(super) fn reader(&self, at: u64) -> Reader<'_> {
        match &self.place {
            Place::Memory(all) => Reader::memory(all, at),
            Place::File { file, .. } => Reader::file(file, at, self.len),
        }
    }

    /// The directory and the file, when it moved there.
    pub(super) fn into_file(mut self) -> io::Result<Option<(TempDir, File)>> {
        self.flush()?;
        Ok(match self.place {
            Place::Memory(_) => None,
            Place::File { dir, file, .. } => Some((dir, file)),
        })
    }

    /// A second file beside the pack, for bases that memory does not hold.
    pub(super) fn scratch(&self) -> io::Result<Option<File>> {
        match &self.place {
            Place::Memory(_) => Ok(None),
            Place::File { dir, .. } => File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(dir.path().join("scratch"))
                .map(Some),
        }
    }
}

/// Reads a spooled pack from some offset on.
pub(super) enum Reader<'a> {
    /// Out of memory.
    Memory(&'a [u8]),
    /// Out of a file, in chunks.
    File { file: &'a File, next: u64, end: u64, buffer: Vec<u8>, pos: usize },
}

impl<'a> Reader<'a> {
    pub(super) fn memory(all: &'a [u8], at: u64) -> Self {
        Reader::Memory(usize::try_from(at).ok().and_then(|at| all.get(at..)).unwrap_or_default())
    }

    pub(super) fn file(file: &'a File, at: u64, end: u64) -> Self {
        Reader::File { file, next: at, end, buffer: Vec::new(), pos: 0 }
    }
}

impl Input for Reader<'_> {
    fn fill(&mut self) -> Result<&[u8], PackError> {
        match self {
            Reader::Memory(rest) => Ok(rest),
            Reader::File { file, next, end, buffer, pos } => {
                if *pos == buffer.len() {
                    // Most entries are small: begin with little and grow, or millions of them cost gigabytes of copies.
                    let want =
                        (buffer.len() * 4).clamp(1 << 10, CHUNK).min(usize::try_from(*end - *next).unwrap_or(CHUNK));
                    buffer.resize(want, 0);
                    let got = file.read_at(buffer, *next).map_err(PackError::Disk)?;
                    buffer.truncate(got);
                    *next += got as u64;
                    *pos = 0;
                }
                Ok(&buffer[*pos..])
            }
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Reader::Memory(rest) => *rest = &rest[count..],
            Reader::File { pos, .. } => *pos += count,
        }
    }
}
