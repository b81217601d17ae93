//! A disk that fails, tears or forgets as it is told: for tests, in builds with debug assertions alone.
//!
//! What shall fail is data: lines `<operation> <which> <how> [part of the path]`, for example `sync-dir 1 EIO parser.git` or
//! `any 7+ ENOSPC`. The operation is `create`, `write`, `sync`, `rename`, `remove`, `sync-dir` or `any`; `7` is the
//! seventh that fits, `7+` that one and all after it. How: `EIO` and `ENOSPC` instead of doing it, `after` does it and
//! says EIO all the same, `torn` does half of a write and says EIO, `cut` ends the process there.
//!
//! `FORGE_DISK_FAULTS` names a file of such lines for a whole process: it is looked at before each operation, so what it
//! says can change while the process runs; lines that came to pass are added to `<file>.fired`. [`inject`] does the same
//! within one process, for one directory. `FORGE_POWER_LOSS=<seed>` makes a process that ends at a fault point or `cut`
//! first forget, by dice, what was not synced: names whose directory was not, and bytes of files that were not.
//!
//! Invariant: nothing here is compiled into a release build.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Change;

/// How an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Error(rustix::io::Errno),
    After,
    Torn,
    Cut,
}

/// A line: which operations go wrong, and how.
#[derive(Debug)]
struct Rule {
    line: String,
    operation: String,
    at: u64,
    from_there_on: bool,
    how: How,
    part: String,
    seen: AtomicU64,
    fired: AtomicBool,
}

impl Rule {
    fn parse(line: &str) -> Option<Rule> {
        let mut words = line.split_whitespace();
        let (operation, which, how) = (words.next()?, words.next()?, words.next()?);
        let (at, from_there_on) = which.strip_suffix('+').map_or((which, false), |at| (at, true));
        let how = match how {
            "EIO" => How::Error(rustix::io::Errno::IO),
            "ENOSPC" => How::Error(rustix::io::Errno::NOSPC),
            "after" => How::After,
            "torn" => How::Torn,
            "cut" => How::Cut,
            _ => return None,
        };
        Some(Rule {
            line: line.to_owned(),
            operation: operation.to_owned(),
            at: at.parse().ok()?,
            from_there_on,
            how,
            part: words.next().unwrap_or("").to_owned(),
            seen: AtomicU64::new(0),
            fired: AtomicBool::new(false),
        })
    }

    /// How `change` goes wrong by this rule, which counts it.
    fn asked(&self, change: Change) -> Option<How> {
        let (operation, path) = match change {
            Change::Create(path) => ("create", path),
            Change::Write(path) => ("write", path),
            Change::Sync(path) => ("sync", path),
            // Where a file goes says more than where it comes from.
            Change::Rename(_, path) => ("rename", path),
            Change::Remove(path) => ("remove", path),
            Change::SyncDir(path) => ("sync-dir", path),
        };
        let fits = self.operation == "any" || self.operation == operation;
        if !fits || (self.how == How::Torn && operation != "write") || !path.to_string_lossy().contains(&self.part) {
            return None;
        }
        let count = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let goes_wrong = count == self.at || (self.from_there_on && count > self.at);
        self.fired.fetch_or(goes_wrong, Ordering::SeqCst);
        goes_wrong.then_some(self.how)
    }
}

/// Rules that hold for one directory while this lives. See [`inject`].
#[derive(Debug)]
pub struct Injected {
    rules: Arc<Vec<Rule>>,
}

impl Injected {
    /// Whether any of them came to pass.
    pub fn fired(&self) -> bool {
        self.rules.iter().any(|rule| rule.fired.load(Ordering::SeqCst))
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        injected().retain(|(_, rules)| !Arc::ptr_eq(rules, &self.rules));
    }
}

type ByDirectory = Vec<(PathBuf, Arc<Vec<Rule>>)>;

fn injected() -> MutexGuard<'static, ByDirectory> {
    static INJECTED: Mutex<ByDirectory> = Mutex::new(Vec::new());
    INJECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets operations below `dir` go wrong as `lines` say, until what it gives is dropped.
///
/// # Panics
/// On a line that cannot be read.
pub fn inject(dir: &Path, lines: &str) -> Injected {
    let rules = lines.lines().map(|line| Rule::parse(line).unwrap_or_else(|| panic!("no disk fault: {line}")));
    let rules = Arc::new(rules.collect());
    injected().push((dir.to_owned(), Arc::clone(&rules)));
    Injected { rules }
}

/// Rules of a file, as it was when it was last looked at.
#[derive(Default)]
struct Told {
    text: String,
    rules: Vec<Rule>,
}

/// What the file that the environment names says about `change`.
fn told(change: Change) -> Option<How> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    static TOLD: Mutex<Option<Told>> = Mutex::new(None);
    let file = FILE.get_or_init(|| std::env::var_os("FORGE_DISK_FAULTS").map(PathBuf::from)).as_deref()?;
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    if told.text != text {
        let rules = text.lines().map(|line| Rule::parse(line).unwrap_or_else(|| panic!("no disk fault: {line}")));
        *told = Told { rules: rules.collect(), text: text.clone() };
    }
    let (rule, how) = told.rules.iter().find_map(|rule| Some((rule, rule.asked(change)?)))?;
    let log = fs::File::options().create(true).append(true).open(file.with_extension("fired"));
    let _ = log.and_then(|mut log| writeln!(log, "{}", rule.line));
    Some(how)
}

fn goes_wrong(change: Change) -> Option<How> {
    let path = match change {
        Change::Create(path) | Change::Write(path) | Change::Sync(path) | Change::Rename(_, path) => path,
        Change::Remove(path) | Change::SyncDir(path) => path,
    };
    let here: Vec<_> =
        injected().iter().filter(|(dir, _)| path.starts_with(dir)).map(|(_, rules)| Arc::clone(rules)).collect();
    here.iter().flat_map(|rules| rules.iter()).find_map(|rule| rule.asked(change)).or_else(|| told(change))
}

/// Does `change` by `work`, unless a rule has it go wrong.
pub(super) fn pass<T>(change: Change, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // One at a time where the power may go: what is forgotten must be what was not synced at one moment.
    let mut unsynced = UnsyncedState::of_this_process();
    match goes_wrong(change) {
        None => {}
        Some(How::Error(errno)) => return Err(errno.into()),
        Some(How::Cut) => {
            drop(unsynced);
            cut();
        }
        Some(How::After) => {
            perform(change, work, unsynced.as_deref_mut())?;
            return Err(rustix::io::Errno::IO.into());
        }
        Some(How::Torn) => {
            perform(change, work, unsynced.as_deref_mut())?;
            if let Change::Write(path) = change {
                let file = fs::File::options().write(true).open(path)?;
                file.set_len(file.metadata()?.len() / 2)?;
            }
            return Err(rustix::io::Errno::IO.into());
        }
    }
    perform(change, work, unsynced.as_deref_mut())
}

fn perform<T>(change: Change, work: impl FnOnce() -> io::Result<T>, unsynced: Option<&mut Unsynced>) -> io::Result<T> {
    let Some(unsynced) = unsynced else { return work() };
    let before = match change {
        Change::Create(path) | Change::Remove(path) | Change::Rename(_, path) => fs::read(path).ok(),
        Change::Write(_) | Change::Sync(_) | Change::SyncDir(_) => None,
    };
    let done = work()?;
    unsynced.note(change, before);
    Ok(done)
}

/// What a power cut would take.
#[derive(Debug, Default)]
struct Unsynced {
    /// Names that changed since their directory was synced, with what stood there then.
    names: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// Files whose bytes changed since they were synced, with how many were durable then.
    bytes: BTreeMap<PathBuf, u64>,
}

struct UnsyncedState;

impl UnsyncedState {
    /// Held during an operation; `None` where the power never goes.
    fn of_this_process() -> Option<MutexGuard<'static, Unsynced>> {
        static UNSYNCED: Mutex<Unsynced> = Mutex::new(Unsynced { names: BTreeMap::new(), bytes: BTreeMap::new() });
        seed().map(|_| UNSYNCED.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn seed() -> Option<u64> {
    static SEED: OnceLock<Option<u64>> = OnceLock::new();
    *SEED.get_or_init(|| std::env::var("FORGE_POWER_LOSS").ok().and_then(|seed| seed.parse().ok()))
}

impl Unsynced {
    fn note(&mut self, change: Change, before: Option<Vec<u8>>) {
        match change {
            Change::Create(path) => {
                self.names.entry(path.to_owned()).or_insert(before);
                self.bytes.insert(path.to_owned(), 0);
            }
            Change::Write(path) => {
                self.bytes.entry(path.to_owned()).or_insert(0);
            }
            Change::Sync(path) => {
                self.bytes.remove(path);
            }
            Change::Rename(from, to) => {
                self.names.entry(to.to_owned()).or_insert(before);
                self.names.entry(from.to_owned()).or_insert(None);
                match self.bytes.remove(from) {
                    Some(durable) => self.bytes.insert(to.to_owned(), durable),
                    None => self.bytes.remove(to),
                };
            }
            Change::Remove(path) => {
                self.names.entry(path.to_owned()).or_insert(before);
                self.bytes.remove(path);
            }
            Change::SyncDir(dir) => self.names.retain(|path, _| path.parent() != Some(dir)),
        }
    }

    /// Changes the files to what a disk may hold after the power went. Each name and each file by itself: a disk that
    /// keeps an order keeps more.
    fn forget(&self, seed: u64) -> io::Result<()> {
        let mut dice = seed | 1;
        let mut below = |n: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % n.max(1)
        };
        for (path, durable) in &self.bytes {
            let Ok(file) = fs::File::options().write(true).open(path) else { continue };
            let len = file.metadata()?.len();
            let lost_from = durable + below(len.saturating_sub(*durable) + 1);
            match below(3) {
                0 => {}
                1 => file.set_len(lost_from)?,
                // Blocks were given out and never written.
                _ => {
                    file.set_len(lost_from)?;
                    file.set_len(len)?;
                }
            }
        }
        for (path, before) in &self.names {
            match (below(3), before) {
                (0, _) => {}
                (_, Some(bytes)) => fs::write(path, bytes)?,
                (_, None) => {
                    let _ = fs::remove_file(path);
                }
            }
        }
        Ok(())
    }
}

/// Ends the process as a power cut does. What was not synced is forgotten first, where `FORGE_POWER_LOSS` says so.
pub fn cut() -> ! {
    // Held to the end: nothing is written any more.
    let unsynced = UnsyncedState::of_this_process();
    if let (Some(unsynced), Some(seed)) = (&unsynced, seed())
        && let Err(error) = unsynced.forget(seed)
    {
        tracing::error!(%error, "the power loss was not played to its end");
    }
    std::process::abort();
}
