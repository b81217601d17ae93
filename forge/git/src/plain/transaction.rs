//! Changing refs beside stock git processes, by git's own protocol of lock files.
//!
//! Invariant: a ref changes only while `<ref>.lock` is held and only from the value that was expected; `packed-refs` only
//! under `packed-refs.lock`. What is reported done is on disk. Several refs that must change together do so by one rename
//! of `packed-refs`, so neither a reader nor a crash ever sees a part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notes_schema::Oid;

use super::packed::{self, Packed, Value};
use super::reflog::{self, Log};
use super::refs::{Raw, Refs};
use crate::disk::sync_dir;
use crate::name::FullName;

/// How long another process may hold a ref's lock (`core.filesRefLockTimeout`) and that of `packed-refs`
/// (`core.packedRefsTimeout`) before a push gives up, as in git.
/// Limit: wait for another process's lock on a plain ref | {}
const REF_WAIT: Duration = Duration::from_millis(100);
/// Limit: wait for another process's lock on a plain `packed-refs` | {}
const PACKED_WAIT: Duration = Duration::from_secs(1);
/// From this many changes on, one new `packed-refs` is cheaper than as many files.
const MANY: usize = 16;
/// How often a directory may vanish under us.
const RETRIES: usize = 5;

/// One change of a ref that is no symbolic one.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) name: FullName,
    /// The symbolic ref by whose name it was asked for.
    pub(super) through: Option<FullName>,
    /// What it must be now; `None`: it must not exist.
    pub(super) old: Option<Oid>,
    /// What it is to be; `None`: it is to go.
    pub(super) new: Option<Oid>,
}

/// Why a ref was not changed, in git's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) why: String,
    /// Another ref is in the way, as a directory or a file.
    conflict: bool,
}

type Done = Result<(), Fault>;

fn cannot_lock(name: &FullName, why: impl std::fmt::Display) -> Fault {
    Fault { why: format!("cannot lock ref '{name}': {why}"), conflict: false }
}

fn conflict(name: &FullName, other: &str) -> Fault {
    Fault { why: format!("cannot lock ref '{name}': '{other}' exists; cannot create '{name}'"), conflict: true }
}

fn cannot_write(name: &FullName, error: &io::Error) -> Fault {
    tracing::error!("{name}: {error}");
    Fault { why: format!("cannot update ref '{name}': {}", error.kind()), conflict: false }
}

/// Changes refs of one repository.
pub(super) struct Transaction<'a> {
    pub(super) refs: &'a Refs,
    /// What a new value peels to, for `packed-refs`.
    pub(super) peel: &'a dyn Fn(Oid) -> Option<Oid>,
    pub(super) log: Log<'a>,
}

/// A change whose ref is locked and is what was expected.
struct Prepared<'a> {
    number: usize,
    change: &'a Change,
    lock: Lock,
    /// Whether there is a loose file.
    loose: bool,
    current: Option<Oid>,
}

impl Transaction<'_> {
    /// Makes `changes`, all or nothing when `atomic`, and each by itself otherwise; an answer for each.
    pub(super) fn run(&self, changes: &[Change], atomic: bool) -> Vec<Done> {
        let mut done = self.attempt(changes, atomic);
        // A ref may take the place of one that the same push removed, as it would if they came one by one.
        let removed = !atomic && changes.iter().zip(&done).any(|(change, done)| change.new.is_none() && done.is_ok());
        if removed {
            for (change, done) in changes.iter().zip(&mut done) {
                if done.as_ref().is_err_and(|fault| fault.conflict) {
                    *done = self.attempt(std::slice::from_ref(change), false).remove(0);
                }
            }
        }
        done
    }

    fn attempt(&self, changes: &[Change], atomic: bool) -> Vec<Done> {
        let mut done: Vec<Done> = vec![Ok(()); changes.len()];
        let mut prepared: Vec<Prepared<'_>> = Vec::with_capacity(changes.len());
        let mut names = Names::default();
        for (number, change) in changes.iter().enumerate() {
            match self.prepare(number, change, &names) {
                Ok(ready) => {
                    names.0.insert(change.name.as_str());
                    prepared.push(ready);
                }
                Err(fault) if atomic => return vec![Err(fault); changes.len()],
                Err(fault) => done[number] = Err(fault),
            }
        }
        let packed = self.refs.packed().map_or(0, |packed| packed.len());
        let together = atomic && prepared.len() > 1;
        if together || prepared.len() >= MANY.max(packed / 500) {
            let numbers: Vec<usize> = prepared.iter().map(|ready| ready.number).collect();
            let result = self.commit_together(prepared);
            numbers.into_iter().for_each(|number| done[number] = result.clone());
        } else {
            for (number, result) in self.commit_each(prepared) {
                done[number] = result;
            }
        }
        done
    }

    fn prepare<'c>(&self, number: usize, change: &'c Change, names: &Names<'_>) -> Result<Prepared<'c>, Fault> {
        let name = &change.name;
        if let Some(other) = names.in_the_way(name.as_str()) {
            return Err(conflict(name, &other));
        }
        let lock = Lock::take(self.refs.dir(), name)?;
        let unreadable = |_| cannot_lock(name, format!("unable to resolve reference '{name}': reference broken"));
        let loose = self.refs.loose(name.as_str()).map_err(unreadable)?;
        let current = self.refs.value(name).map_err(unreadable)?;
        match (change.old, current) {
            (old, current) if old == current => {}
            (Some(_), None) => return Err(cannot_lock(name, format!("unable to resolve reference '{name}'"))),
            (None, _) => return Err(cannot_lock(name, "reference already exists")),
            (Some(old), Some(current)) => {
                return Err(cannot_lock(name, format!("is at {current} but expected {old}")));
            }
        }
        if current.is_none() {
            self.place_is_free(name)?;
        }
        Ok(Prepared { number, change, lock, loose: matches!(loose, Some(Raw::Id(_))), current })
    }

    /// Whether a new ref has room between the others. Its lock keeps its directory and its name from being taken.
    fn place_is_free(&self, name: &FullName) -> Result<(), Fault> {
        let packed = self.refs.packed().map_err(|e| cannot_write(name, &e))?;
        if let Some(above) = above(name.as_str()).find(|above| packed.get(above).is_some()) {
            return Err(conflict(name, above));
        }
        if let Some(entry) = below(&packed, name.as_str()) {
            return Err(conflict(name, entry));
        }
        let path = self.refs.dir().join(name.as_str());
        if remove_empty_dirs(&path).is_err() {
            let inside = self.refs.loose_below(&[&format!("{name}/")]).unwrap_or_default();
            let other = inside.into_keys().next().map_or_else(|| format!("{name}/"), |other| other.to_string());
            return Err(conflict(name, &other));
        }
        Ok(())
    }

    /// One file each.
    fn commit_each(&self, prepared: Vec<Prepared<'_>>) -> Vec<(usize, Done)> {
        let (deleted, written): (Vec<_>, Vec<_>) = prepared.into_iter().partition(|ready| ready.change.new.is_none());
        let mut done: Vec<(usize, Done)> = written.into_iter().map(|ready| (ready.number, self.write(ready))).collect();
        if deleted.is_empty() {
            return done;
        }
        let result = self.delete(&deleted).map_err(|e| cannot_write(&deleted[0].change.name, &e));
        done.extend(deleted.iter().map(|ready| (ready.number, result.clone())));
        done
    }

    fn write(&self, ready: Prepared<'_>) -> Done {
        let Prepared { change, mut lock, current, .. } = ready;
        let (name, Some(new)) = (&change.name, change.new) else { return Ok(()) };
        if current == Some(new) {
            return Ok(());
        }
        let written = self.log.append(self.refs.dir(), change, current).and_then(|()| lock.commit(new));
        written.map_err(|e| cannot_write(name, &e))
    }

    fn delete(&self, deleted: &[Prepared<'_>]) -> io::Result<()> {
        let dir = self.refs.dir();
        let packed_lock = PackedLock::take(dir)?;
        let packed = self.refs.packed()?;
        let gone: BTreeMap<&str, Option<Value>> = deleted
            .iter()
            .map(|ready| (ready.change.name.as_str(), None))
            .filter(|(name, _)| packed.get(name).is_some())
            .collect();
        if !gone.is_empty() {
            packed_lock.replace(&gone)?;
        }
        remove_loose(dir, deleted.iter())?;
        drop(packed_lock);
        self.forget_logs(deleted);
        Ok(())
    }

    /// All in one new `packed-refs`. Loose files would shadow it, so what they say is packed first.
    fn commit_together(&self, prepared: Vec<Prepared<'_>>) -> Done {
        let Some(first) = prepared.first() else { return Ok(()) };
        let name = first.change.name.clone();
        self.replace_together(&prepared).map_err(|e| cannot_write(&name, &e))
    }

    fn replace_together(&self, prepared: &[Prepared<'_>]) -> io::Result<()> {
        let dir = self.refs.dir();
        let value = |id: Oid| (id, (self.peel)(id));
        let packed_lock = PackedLock::take(dir)?;
        let loose: Vec<&Prepared<'_>> = prepared.iter().filter(|ready| ready.loose).collect();
        if !loose.is_empty() {
            let same = loose.iter().map(|ready| (ready.change.name.as_str(), ready.current.map(value)));
            packed_lock.replace(&same.collect())?;
            remove_loose(dir, loose.into_iter())?;
        }
        for ready in prepared.iter().filter(|ready| ready.change.new.is_some() && ready.change.new != ready.current) {
            self.log.append(dir, ready.change, ready.current)?;
        }
        packed_lock.replace(&prepared.iter().map(|r| (r.change.name.as_str(), r.change.new.map(value))).collect())?;
        drop(packed_lock);
        self.forget_logs(prepared);
        Ok(())
    }

    fn forget_logs(&self, prepared: &[Prepared<'_>]) {
        for ready in prepared.iter().filter(|ready| ready.change.new.is_none()) {
            reflog::forget(self.refs.dir(), &ready.change.name);
        }
    }
}

/// The names of one transaction so far.
#[derive(Default)]
struct Names<'a>(BTreeSet<&'a str>);

impl Names<'_> {
    fn in_the_way(&self, name: &str) -> Option<String> {
        let inside = format!("{name}/");
        let below = self.0.range(inside.as_str()..).next().filter(|other| other.starts_with(&inside));
        let above = above(name).find(|above| self.0.contains(above));
        below.copied().or(above).map(str::to_owned)
    }
}

/// The names that a ref called `name` would have to be below of.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').skip(1).map(|(at, _)| &name[..at])
}

fn below<'a>(packed: &'a Packed, name: &str) -> Option<&'a str> {
    packed.below(&format!("{name}/")).first().map(|entry| entry.name.as_str())
}

fn remove_loose<'a, 'c: 'a>(dir: &Path, refs: impl Iterator<Item = &'a Prepared<'c>>) -> io::Result<()> {
    let mut touched = BTreeSet::new();
    for ready in refs {
        let path = dir.join(ready.change.name.as_str());
        match fs::remove_file(&path) {
            Ok(()) => drop(path.parent().map(|parent| touched.insert(parent.to_owned()))),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            // A directory of that name holds other refs; this one was packed only.
            Err(_) if path.is_dir() => {}
            Err(e) => return Err(e),
        }
    }
    touched.iter().try_for_each(|parent| sync_dir(parent))
}

/// Removes `path` if it is a directory that holds nothing but directories. An error: something else is there.
fn remove_empty_dirs(path: &Path) -> io::Result<()> {
    let mut dirs = vec![path.to_owned()];
    let mut at = 0;
    while at < dirs.len() {
        let listed = match fs::read_dir(&dirs[at]) {
            Ok(listed) => listed,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        for entry in listed {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            dirs.push(entry.path());
        }
        at += 1;
    }
    dirs.iter().rev().try_for_each(|dir| match fs::remove_dir(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    })
}

/// Removes the directories above a file that is gone, as far as they are empty; `keep` levels below `dir` stay.
pub(super) fn prune_parents(dir: &Path, file: &str, keep: usize) {
    let slashes: Vec<usize> = file.match_indices('/').map(|(at, _)| at).collect();
    for at in slashes.into_iter().skip(keep).rev() {
        if fs::remove_dir(dir.join(&file[..at])).is_err() {
            return;
        }
    }
}

/// `<ref>.lock`, which goes with the value.
struct Lock {
    dir: PathBuf,
    name: FullName,
    file: Option<File>,
    /// The highest directory that had to be made, whose parent has a new entry.
    made: Option<PathBuf>,
}

impl Lock {
    fn take(dir: &Path, name: &FullName) -> Result<Lock, Fault> {
        let until = Instant::now() + REF_WAIT;
        let mut retries = RETRIES;
        loop {
            let made = make_parents(dir, name)?;
            match create(&dir.join(format!("{name}.lock"))) {
                Ok(file) => return Ok(Lock { dir: dir.to_owned(), name: name.clone(), file: Some(file), made }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                // Another process has removed the empty directory.
                Err(e) if e.kind() == ErrorKind::NotFound && retries > 0 => retries -= 1,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    return Err(cannot_lock(name, format!("Unable to create '{name}.lock': File exists.")));
                }
                Err(e) => return Err(cannot_write(name, &e)),
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.lock", self.name))
    }

    /// Makes the ref `new`, durably.
    fn commit(&mut self, new: Oid) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Err(ErrorKind::InvalidInput.into()) };
        let target = self.dir.join(self.name.as_str());
        let written = file.write_all(format!("{new}\n").as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| fs::rename(self.path(), &target)) {
            drop(fs::remove_file(self.path()));
            return Err(e);
        }
        let mut parent = target.parent();
        let top = self.made.as_ref().and_then(|made| made.parent()).or(parent);
        while let Some(dir) = parent {
            sync_dir(dir)?;
            if Some(dir) == top {
                break;
            }
            parent = dir.parent();
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_some() {
            drop(fs::remove_file(self.path()));
        }
        // Also what became empty by a deletion. `refs` and the directory below it stay.
        prune_parents(&self.dir, self.name.as_str(), 2);
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o666).open(path)
}

/// Makes the directories above a ref; the highest one that was missing. None of them may be a link.
fn make_parents(dir: &Path, name: &FullName) -> Result<Option<PathBuf>, Fault> {
    let mut made = None;
    for part in name.as_str().match_indices('/').map(|(at, _)| &name.as_str()[..at]) {
        let path = dir.join(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_file() => return Err(conflict(name, part)),
            Ok(_) => return Err(cannot_lock(name, format!("'{part}' is a link"))),
            Err(e) if e.kind() == ErrorKind::NotFound => match fs::create_dir(&path) {
                Ok(()) => drop(made.get_or_insert(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot_write(name, &e)),
            },
            Err(e) => return Err(cannot_write(name, &e)),
        }
    }
    Ok(made)
}

/// `packed-refs.lock`, which goes with the value.
struct PackedLock {
    dir: PathBuf,
}

impl PackedLock {
    fn take(dir: &Path) -> io::Result<PackedLock> {
        let until = Instant::now() + PACKED_WAIT;
        loop {
            match create(&dir.join("packed-refs.lock")) {
                Ok(_) => return Ok(PackedLock { dir: dir.to_owned() }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes the next version, under the name that git uses while it holds the lock, and puts it in place, durably.
    fn replace(&self, changes: &BTreeMap<&str, Option<Value>>) -> io::Result<()> {
        let text = packed::changed(&self.dir, changes)?;
        let new = self.dir.join("packed-refs.new");
        // Only who holds the lock writes it: what is there was left by somebody who died.
        match fs::remove_file(&new) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = create(&new)?;
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| fs::rename(&new, self.dir.join(packed::FILE))) {
            drop(fs::remove_file(&new));
            return Err(e);
        }
        sync_dir(&self.dir)
    }
}

impl Drop for PackedLock {
    fn drop(&mut self) {
        drop(fs::remove_file(self.dir.join("packed-refs.lock")));
    }
}
