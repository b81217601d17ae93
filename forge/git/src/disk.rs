//! The few durable file operations that packs, refs and secrets are made of.
//!
//! Invariant: when one of these returns, what it wrote survives a power loss on an honest disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Makes the directory's entries durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces `dir/name` by `bytes`: temporary file, sync, rename, sync of the directory.
pub fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix("tmp_").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    set_readable(file.path())?;
    file.persist(dir.join(name)).map_err(|e| e.error)?;
    sync_dir(dir)
}

/// Temporary files are made private; repositories are for every local reader.
pub fn set_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

/// Renames `from` to `to`, or fails with `AlreadyExists` when `to` is there. The directory is not synced.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, rustix::fs::RenameFlags::NOREPLACE)?;
    Ok(())
}
