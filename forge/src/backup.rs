//! A data directory copied while a forge runs on it, secrets included, and put back.
//!
//! Files of packs never change, and refs on disk lag behind them: so refs are read first, packs are listed at one moment
//! and copied after it, and the copy is verified before it gets its name.
//!
//! Invariant: the source is read alone. What has the backup's name is whole, of one moment, and without a fault.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use notes_schema::ProjectName;

use crate::ledger;
use crate::ledger::verify::{self, Report};
use git::disk::sync_dir;

/// How often it is begun again because the forge merged packs, or settled something, just then.
/// Limit: tries of one backup to be of one moment | {}
const MOST_ATTEMPTS: usize = 16;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{} exists; a copy is made in a place of its own", .0.display())]
    Exists(PathBuf),
    /// It holds no forge.
    #[error("{} holds no repositories/forge.git", .0.display())]
    NoForge(PathBuf),
    /// What is copied has faults.
    #[error("{} has {} faults, the first: {first}", dir.display(), count)]
    Faults {
        /// The directory.
        dir: PathBuf,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Its repositories were never of one moment.
    #[error("its repositories are not of one moment, in {MOST_ATTEMPTS} tries: {0}")]
    Busy(String),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}

/// What a data directory held at one moment, by path below it.
#[derive(Default)]
struct Listing {
    /// Directories that must be there even where they are empty: git knows a repository by them.
    dirs: Vec<PathBuf>,
    /// Small files that change in place, read.
    read: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that never change.
    fixed: Vec<PathBuf>,
}

/// Copies the data directory `data`, in use or not, to `to`, which must not exist. What was checked of the copy.
pub fn backup(data: &Path, to: &Path) -> Result<Report, BackupError> {
    copy(data, to, MOST_ATTEMPTS)
}

/// Puts the backup `from` back as the data directory `data`, which must not exist.
pub fn restore(from: &Path, data: &Path) -> Result<Report, BackupError> {
    copy(from, data, 1)
}

fn copy(from: &Path, to: &Path, attempts: usize) -> Result<Report, BackupError> {
    if !from.join("repositories/forge.git/objects").is_dir() {
        return Err(BackupError::NoForge(from.to_owned()));
    }
    let partial = partial(to);
    if let Some(there) = [to, &partial].into_iter().find(|path| path.exists()) {
        return Err(BackupError::Exists(there.to_owned()));
    }
    let mut last = String::new();
    for _ in 0..attempts {
        let copied = attempt(from, &partial)?;
        match copied {
            Ok(report) => {
                fs::rename(&partial, to).map_err(at(to))?;
                let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                sync_dir(parent).map_err(at(parent))?;
                return Ok(report);
            }
            Err(why) => last = why,
        }
        fs::remove_dir_all(&partial).map_err(at(&partial))?;
    }
    // A fault that stays is one of the source.
    let report = verify::verify(from).map_err(at(from))?;
    match report.faults.first() {
        Some(first) => {
            Err(BackupError::Faults { dir: from.to_owned(), count: report.faults.len(), first: first.clone() })
        }
        None => Err(BackupError::Busy(last)),
    }
}

/// Where a copy grows until it is known to be good.
fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

/// One try. The inner error says what kept it from being of one moment.
fn attempt(from: &Path, to: &Path) -> Result<Result<Report, String>, BackupError> {
    let listing = list(from)?;
    for dir in &listing.dirs {
        make_dir(&to.join(dir))?;
    }
    for (path, bytes) in &listing.read {
        write(&to.join(path), &bytes[..])?;
    }
    for path in &listing.fixed {
        let source = from.join(path);
        match File::open(&source) {
            Ok(file) => write(&to.join(path), file)?,
            // Its objects are in a larger pack now, which was not there when packs were listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(format!("{} is gone", path.display()))),
            Err(e) => return Err(at(&source)(e)),
        }
    }
    sync_below(to)?;
    let report = verify::verify(to).map_err(at(to))?;
    Ok(match report.faults.first().or(report.pending.iter().find(|_| report.open_ends > 0)) {
        Some(why) => Err(why.clone()),
        None => Ok(report),
    })
}

fn list(data: &Path) -> Result<Listing, BackupError> {
    let mut listing = Listing::default();
    let repositories = data.join("repositories");
    let mut names: Vec<PathBuf> = Vec::new();
    for name in names_in(&repositories)? {
        if name.strip_suffix(".git").is_some_and(|name| name.parse::<ProjectName>().is_ok()) {
            names.push(Path::new("repositories").join(name));
        }
    }
    // `forge.git` last: it ends no earlier than what projects cite of it.
    names.sort_by_key(|path| path.ends_with("forge.git"));
    for name in names {
        list_repository(data, &name, &mut listing)?;
    }
    for name in names_in(&data.join("secrets"))? {
        if !name.ends_with(".tmp") {
            let path = Path::new("secrets").join(name);
            listing.read.insert(path.clone(), fs::read(data.join(&path)).map_err(at(&path))?);
        }
    }
    read_file(data, Path::new("upstream"), &mut listing)?;
    Ok(listing)
}

/// Refs before packs: whatever they name is in packs that were there before them.
fn list_repository(data: &Path, repository: &Path, listing: &mut Listing) -> Result<(), BackupError> {
    for name in ["HEAD", "config", "packed-refs"] {
        read_file(data, &repository.join(name), listing)?;
    }
    listing.dirs.extend(["refs", "objects/pack", "objects/info"].map(|dir| repository.join(dir)));
    let mut open = vec![repository.join("refs")];
    while let Some(dir) = open.pop() {
        for name in names_in(&data.join(&dir))? {
            let path = dir.join(&name);
            match data.join(&path).is_dir() {
                true => open.push(path),
                false if name.ends_with(".lock") => {}
                false => read_file(data, &path, listing)?,
            }
        }
    }
    let objects = repository.join("objects");
    for name in names_in(&data.join(&objects))? {
        let is_loose = name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if name != "pack" && !is_loose {
            continue;
        }
        for file in names_in(&data.join(&objects).join(&name))? {
            let is_pack = file.starts_with("pack-") && (file.ends_with(".pack") || file.ends_with(".idx"));
            if is_pack || (is_loose && !file.starts_with("tmp_")) {
                listing.fixed.push(objects.join(&name).join(file));
            }
        }
    }
    // After the packs: where some of those that go together were gone already, who opens the copy finishes it.
    read_file(data, &repository.join(ledger::COLLECTING), listing)
}

fn read_file(data: &Path, path: &Path, listing: &mut Listing) -> Result<(), BackupError> {
    match fs::read(data.join(path)) {
        Ok(bytes) => drop(listing.read.insert(path.to_owned(), bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(at(path)(e)),
    }
    Ok(())
}

/// Names in a directory; none where there is no such directory. Links are left out: nothing of a forge's is one.
fn names_in(dir: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(dir))?;
        if !entry.file_type().map_err(at(dir))?.is_symlink()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Only its owner may look into a copy: it holds secrets.
fn make_dir(dir: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).recursive(true).create(dir).map_err(at(dir))
}

fn write(path: &Path, mut from: impl io::Read) -> Result<(), BackupError> {
    make_dir(path.parent().unwrap_or(Path::new(".")))?;
    let is_secret = path.parent().is_some_and(|dir| dir.ends_with("secrets"));
    let mode = if is_secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at(path))?;
    io::copy(&mut from, &mut file).and_then(|_| file.flush()).and_then(|()| file.sync_all()).map_err(at(path))
}

fn sync_below(dir: &Path) -> Result<(), BackupError> {
    for name in names_in(dir)? {
        let path = dir.join(name);
        if path.is_dir() {
            sync_below(&path)?;
        }
    }
    sync_dir(dir).map_err(at(dir))
}
