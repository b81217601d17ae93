//! The few file operations that packs, refs and secrets are made of: the one seam between what must last and the disk.
//!
//! Invariant: when [`replace_file`] or [`sync_dir`] returns, what it wrote survives a power loss on an honest disk.
//! Invariant: a file whose writing or syncing failed is never synced again; it goes, and whoever tries again writes all
//! of it anew, because after a failed sync the system may take lost pages for clean ones.
//!
//! Builds with debug assertions let each operation fail, tear or be lost as [`faults`] is told. A release build holds
//! nothing of that: an operation is the system call.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[cfg(debug_assertions)]
pub mod faults;
#[cfg(debug_assertions)]
use faults::pass;

/// One operation that changes a disk.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// A file appears, empty.
    Create(&'a Path),
    /// Bytes are added to a file.
    Write(&'a Path),
    /// A file's bytes are made durable.
    Sync(&'a Path),
    /// A file gets another name; what had that name goes.
    Rename(&'a Path, &'a Path),
    /// A file goes.
    Remove(&'a Path),
    /// The names in a directory are made durable.
    SyncDir(&'a Path),
}

#[cfg(not(debug_assertions))]
#[inline(always)]
fn pass<T>(_: Change, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work()
}

/// A file that is being written under a name that nobody reads. It goes when this is dropped before it got its own name.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    named: bool,
}

impl NewFile {
    /// An empty file at `path`; what an interrupted write left there goes, it is never written over.
    pub fn create(path: PathBuf) -> io::Result<NewFile> {
        let open = || File::options().write(true).create_new(true).open(&path);
        let file = pass(Change::Create(&path), || match open() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&path).and_then(|()| open()),
            other => other,
        })?;
        Ok(NewFile { file, path, named: false })
    }

    /// Makes its bytes durable.
    pub fn sync(&self) -> io::Result<()> {
        pass(Change::Sync(&self.path), || self.file.sync_data())
    }

    /// Gives it the name `to`, in place of what has it. The directory is not synced.
    pub fn replace(mut self, to: &Path) -> io::Result<()> {
        rename(&self.path, to)?;
        self.named = true;
        Ok(())
    }

    /// Gives it the name `to`, or fails with `AlreadyExists` when that is taken. The directory is not synced.
    pub fn take_name(mut self, to: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let rename = || Ok(renameat_with(CWD, &self.path, CWD, to, RenameFlags::NOREPLACE)?);
        pass(Change::Rename(&self.path, to), rename)?;
        self.named = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        pass(Change::Write(&self.path), || self.file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            // What stays is swept at the next start.
            let _ = remove(&self.path);
        }
    }
}

/// Creates `path`, to be written and read, which must not exist.
pub fn create(path: &Path) -> io::Result<File> {
    pass(Change::Create(path), || File::options().create_new(true).read(true).write(true).open(path))
}

/// Changes the bytes of the file at `path` by `work`.
pub fn write<T>(path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    pass(Change::Write(path), work)
}

/// Makes the bytes of the file at `path` durable.
pub fn sync(file: &File, path: &Path) -> io::Result<()> {
    pass(Change::Sync(path), || file.sync_all())
}

/// Writes a cache: a file that may be lost or torn, because whoever reads it checks it. What has its name is replaced and never
/// written over: readers may have it mapped, and where a mapped file is cut short a read of it ends the process.
pub fn write_cache(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unnamed = std::ffi::OsString::from("tmp_");
    unnamed.push(path.file_name().unwrap_or_default());
    let mut file = NewFile::create(path.with_file_name(unnamed))?;
    file.write_all(bytes)?;
    file.replace(path)
}

/// Renames `from` to `to`, in place of what is there. The directory is not synced.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    pass(Change::Rename(from, to), || fs::rename(from, to))
}

/// Removes a file. The directory is not synced.
pub fn remove(path: &Path) -> io::Result<()> {
    pass(Change::Remove(path), || fs::remove_file(path))
}

/// Makes the directory's entries durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    pass(Change::SyncDir(dir), || File::open(dir)?.sync_all())
}

/// Replaces `dir/name` by `bytes`: temporary file, sync, rename, sync of the directory. One at a time for each name.
pub fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(dir.join(format!("tmp_{name}")))?;
    file.write_all(bytes)?;
    file.sync()?;
    set_readable(&file.path)?;
    file.replace(&dir.join(name))?;
    sync_dir(dir)
}

/// Repositories are for every local reader, whatever the process's mask says.
pub fn set_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}
