//! A file that one thread writes and others read meanwhile.
//!
//! Invariant: readers never wait for each other, and the writer never waits for a reader.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::pack::emit::Written;

/// The file and how far it is.
pub(super) struct Growth {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: u64,
    /// What was said last, and how often something was.
    line: String,
    lines: u64,
    end: Option<Result<Written, String>>,
}

/// What a reader learns.
pub(super) struct Seen {
    /// So many bytes may be read.
    pub(super) bytes: u64,
    /// Something new for people.
    pub(super) line: Option<String>,
    /// There will not be more.
    pub(super) written: Option<Written>,
}

impl Growth {
    pub(super) fn new(file: File) -> Self {
        Growth { file, state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Waits until there is more than `at` bytes and `heard` lines, or nothing to wait for.
    pub(super) fn wait(&self, at: u64, heard: &mut u64) -> Result<Seen, String> {
        let news = |state: &mut State| state.bytes == at && state.lines == *heard && state.end.is_none();
        let state = self.changed.wait_while(self.state(), news).expect("invariant: no panic under this lock");
        let line = (state.lines != *heard).then(|| state.line.clone());
        *heard = state.lines;
        let written = state.end.clone().transpose()?;
        Ok(Seen { bytes: state.bytes, line, written })
    }

    /// A line for the people who follow.
    pub(super) fn say(&self, line: &str) {
        let mut state = self.state();
        state.line = line.to_owned();
        state.lines += 1;
        self.changed.notify_all();
    }

    pub(super) fn finish(&self, written: Written) {
        self.state().end.get_or_insert(Ok(written));
        self.changed.notify_all();
    }

    /// Unless it has ended already.
    pub(super) fn fail(&self, why: &str) {
        self.state().end.get_or_insert_with(|| Err(why.to_owned()));
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: no panic under this lock")
    }
}

/// The writing end.
pub(super) struct Grower<'a> {
    growth: &'a Growth,
    at: u64,
    hasher: crc32fast::Hasher,
}

impl<'a> Grower<'a> {
    pub(super) fn new(growth: &'a Growth) -> Self {
        Grower { growth, at: 0, hasher: crc32fast::Hasher::new() }
    }

    /// CRC-32 of all that was written.
    pub(super) fn crc32(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

impl Write for Grower<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.growth.file.write_all_at(bytes, self.at)?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        self.growth.state().bytes = self.at;
        self.growth.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
