//! The file `shallow`: commits whose parents are not here, where pushes may add some (`receive.shallowUpdate`).
//!
//! Invariant: changed under `shallow.lock` alone, as git does, and durable before any ref that needs it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use notes_schema::Oid;

use crate::disk::sync_dir;

const FILE: &str = "shallow";
const LOCK: &str = "shallow.lock";
/// The largest file that is read.
/// Limit: `shallow` of a plain repository | {:bytes}
const LARGEST: u64 = 64 << 20;

/// The commits whose parents are not here.
pub(super) fn read(git_dir: &Path) -> io::Result<BTreeSet<Oid>> {
    let mut text = String::new();
    match super::open_file(git_dir, FILE).and_then(|file| file.take(LARGEST).read_to_string(&mut text)) {
        Ok(_) => Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(e),
    }
}

/// Adds `roots`.
pub(super) fn add(git_dir: &Path, roots: &[Oid]) -> io::Result<()> {
    if roots.is_empty() {
        return Ok(());
    }
    let lock = git_dir.join(LOCK);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&lock)?;
    let mut write = || {
        let mut all = read(git_dir)?;
        all.extend(roots);
        let text: String = all.iter().map(|id| format!("{id}\n")).collect();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&lock, git_dir.join(FILE))?;
        sync_dir(git_dir)
    };
    let written = write();
    if written.is_err() {
        drop(fs::remove_file(&lock));
    }
    written
}
