//! Reflogs, where the configuration wants them.
//!
//! Invariant: a line is appended before its ref changes, as in git, under the ref's lock.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use notes_schema::Oid;

use super::settings::Logged;
use super::transaction::{Change, prune_parents};
use crate::name::FullName;

/// How one push is logged.
pub(super) struct Log<'a> {
    pub(super) kept: Logged,
    /// `name <address>`.
    pub(super) who: &'a str,
    /// The ref that `HEAD` names: its changes are logged for `HEAD` too.
    pub(super) head: Option<FullName>,
}

impl Log<'_> {
    /// Logs that `change` moves its ref from `old`.
    pub(super) fn append(&self, git_dir: &Path, change: &Change, old: Option<Oid>) -> io::Result<()> {
        let zero = Oid::from_bytes([0; 20]);
        let (old, new) = (old.unwrap_or(zero), change.new.unwrap_or(zero));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let line = format!("{old} {new} {} {now} +0000\tpush\n", self.who);
        self.line(git_dir, change.name.as_str(), &line)?;
        if let Some(through) = &change.through {
            self.line(git_dir, through.as_str(), &line)?;
        }
        if self.head.as_ref() == Some(&change.name) {
            self.line(git_dir, "HEAD", &line)?;
        }
        Ok(())
    }

    fn line(&self, git_dir: &Path, name: &str, line: &str) -> io::Result<()> {
        let usual = |name: &str| {
            name == "HEAD" || ["refs/heads/", "refs/remotes/", "refs/notes/"].iter().any(|p| name.starts_with(p))
        };
        let create = match self.kept {
            Logged::Present => false,
            Logged::Usual => usual(name),
            Logged::Always => true,
        };
        let relative = format!("logs/{name}");
        let path = git_dir.join(&relative);
        if super::passes_link(git_dir, &relative) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a link stands in the way of the reflog"));
        }
        if let Some(parent) = path.parent().filter(|_| create) {
            fs::create_dir_all(parent)?;
        }
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let open = || OpenOptions::new().append(true).create(create).mode(0o666).custom_flags(flags).open(&path);
        let opened = match open() {
            // Directories of refs that are gone.
            Err(e) if e.kind() == ErrorKind::IsADirectory && create && fs::remove_dir(&path).is_ok() => open(),
            opened => opened,
        };
        match opened {
            Ok(mut file) => file.write_all(line.as_bytes()),
            Err(e) if !create && matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Removes the log of a ref that is gone.
pub(super) fn forget(git_dir: &Path, name: &FullName) {
    let relative = format!("logs/{name}");
    if !super::passes_link(git_dir, &relative) && fs::remove_file(git_dir.join(&relative)).is_ok() {
        prune_parents(git_dir, &relative, 3);
    }
}
