//! A large file written in pieces, each synced before the next, so that whoever else syncs does not wait for all of it.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::disk::NewFile;

/// Written between two syncs.
const PIECE: u64 = 4 << 20;

/// A new file under way.
pub(super) struct Paced {
    file: BufWriter<NewFile>,
    unsynced: u64,
}

impl Paced {
    /// An empty file at `path`.
    pub(super) fn create(path: &Path) -> io::Result<Paced> {
        Ok(Paced { file: BufWriter::with_capacity(256 << 10, NewFile::create(path.to_owned())?), unsynced: 0 })
    }

    /// The file with all that was written, synced.
    pub(super) fn finish(self) -> io::Result<NewFile> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync()?;
        Ok(file)
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written as u64;
        if self.unsynced >= PIECE {
            self.file.flush()?;
            self.file.get_ref().sync()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
