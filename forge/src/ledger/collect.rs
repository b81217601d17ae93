//! Objects that nothing reaches any more leave the disk: pushed over, deleted, refused at the last moment.
//!
//! What is needed is marked beside the writers, and packs that hold orphans are written again without them. Then, for a
//! moment, nobody pushes and nobody commits: what came meanwhile is marked as well, and the old packs go.
//!
//! Invariant: what a ref, the ledger or a tip that may still be fetched reaches stays. Of what stays, all that it refers to
//! stays too, an orphan's as well: a push may rest on whatever is there.
//! Invariant: old packs go all together. The list of them is durable before the first goes, and whoever opens the repository
//! next finishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notes_schema::names::hex;
use notes_schema::{Oid, RefName, refs};

use super::draft::Draft;
use super::repository::Repository;
use super::snapshot::Snapshot;
use super::{fault, maintain, storage};
use git::disk;
use git::mark::{Mark, MarkError};
use git::object::Kind;
use git::pack::emit::EmitError;
use git::pack::index::{self, Entry};
use git::pack::rewrite;
use git::select::ids::IdSet;
use git::store::{Objects, Over, Store};

/// Fewer bytes of orphans than this stay where they are.
const WORTH: u64 = 1 << 20;
/// A pack is written again where at least one part in so many of it is orphans …
const SHARE: u64 = 4;
/// … or where it is so small that writing it costs little. What small packs hold often needs what large ones hold.
const SMALL: u64 = 256 << 20;
/// Most bytes of packs that one collection writes again; the others are for the next.
/// Limit: bytes of packs that one collection of orphans writes again | {:bytes}; the others are for the next
const MOST_REWRITTEN: u64 = 4 << 30;
/// Most objects that turn out to be needed again while nobody may write.
/// Limit: orphans that are needed again at the last moment of a collection | {}; with more it is tried again later
const MOST_RESCUED: usize = 20_000;
/// How long pushes under way are waited for, while new ones wait.
/// Limit: time for which new pushes wait until a collection of orphans knows of none under way | {}
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that is tried before the next round, and the pause between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// The file in a repository in which packs are listed that are to go.
pub const LIST: &str = "collecting";
/// What else git keeps beside a pack under its name.
const BESIDE: [&str; 3] = ["rev", "bitmap", "mtimes"];

/// What a collection came to, in bytes of packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// All packs before.
    pub before: u64,
    /// All packs after.
    pub after: u64,
    /// What was found to be needed by nothing.
    pub orphans: u64,
}

/// Why nothing was collected.
#[derive(Debug, thiserror::Error)]
pub enum NotCollected {
    /// Nothing may be written here: a mirror, or a damaged repository.
    #[error("nothing may be written there")]
    Closed,
    /// Others are at work; later it may be possible.
    #[error("{0}")]
    Busy(&'static str),
    /// It is not known what is needed.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// A pack could not be written again.
    #[error(transparent)]
    Rewrite(#[from] EmitError),
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is to stay though no ref reaches it: tips that may still be fetched.
pub type Keeps = Arc<dyn Fn(&Snapshot) -> Vec<Oid> + Send + Sync>;

/// A pack with its index.
#[derive(Debug, Clone)]
struct Listed {
    path: PathBuf,
    bytes: u64,
    /// Bytes of its objects that nothing needs.
    orphans: u64,
}

/// Packs by their names.
type Packs = BTreeMap<String, Listed>;

/// What is ready once the packs that go have been written again.
struct Ready {
    mark: Mark,
    /// All packs that were looked through.
    known: BTreeSet<String>,
    going: Packs,
    /// What was taken over from those.
    taken: IdSet,
    /// Whether somebody may find the list of those that go, now or after a start: what was taken over has to stay.
    is_listed: bool,
    keeps: Keeps,
}

impl Repository {
    /// Collects what nothing reaches, where that is worth it; `all` whatever it costs. It may take long, and writers wait for
    /// its last moment alone. One at a time. Blocks.
    pub fn collect(
        self: &Arc<Self>,
        all: bool,
        keeps: &Keeps,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Collected, NotCollected> {
        let Ok(_alone) = self.collecting().try_lock() else { return Err(NotCollected::Busy("it is under way")) };
        if self.is_closed() {
            return Err(NotCollected::Closed);
        }
        // From here on it counts again what is left behind.
        self.forget_left_behind();
        let known = packs(self.git_dir())?;
        let mut mark = Mark::default();
        let snapshot = self.snapshot();
        needed(&mut mark, self.store().as_ref(), &snapshot, keeps, go_on)?;
        let mut collected = Collected { before: known.values().map(|pack| pack.bytes).sum(), ..Collected::default() };
        collected.after = collected.before;
        let known = weighed(known, &mark)?;
        collected.orphans = known.values().map(|pack| pack.orphans).sum();
        if collected.orphans < if all { 1 } else { WORTH } {
            return Ok(collected);
        }
        let mut going = choose(&known, all);
        for (_, pack) in known.iter().filter(|(name, pack)| pack.orphans > 0 && !going.contains_key(*name)) {
            keep_orphans(&mut mark, self.store(), pack, go_on)?;
        }
        for id in loose(self.git_dir())? {
            keep_orphan(&mut mark, self.store(), id, go_on)?;
        }
        going = weighed(going, &mark)?;
        going.retain(|_, pack| pack.orphans > 0);
        if going.values().map(|pack| pack.orphans).sum::<u64>() < if all { 1 } else { WORTH } {
            return Ok(collected);
        }
        let taken = still_needed(&going, &mark)?;
        let written = match taken.is_empty() {
            true => None,
            false => Some(write(self.git_dir(), self.store(), &taken)?),
        };
        let known = known.into_keys().collect();
        let taken = taken.into_iter().collect();
        let ready = Ready { mark, known, going, taken, is_listed: false, keeps: keeps.clone() };
        let (done, is_listed) = self.exchange(ready, go_on);
        if !is_listed && let Some(written) = &written {
            // Copies of what stays where it was. One that was merged meanwhile is gone already.
            drop(remove(written));
        }
        self.recount();
        done?;
        collected.after = self.pack_bytes();
        tracing::info!(project = %self.name(), before = collected.before, after = collected.after, "orphans were collected");
        Ok(collected)
    }

    /// The last moment: tried a few times, for it has to be one at which nobody pushes and no packs are merged.
    /// Whether packs that go were listed stands beside what came of it.
    fn exchange(self: &Arc<Self>, ready: Ready, go_on: &dyn Fn() -> bool) -> (Result<(), NotCollected>, bool) {
        let ready = Arc::new(Mutex::new(ready));
        let mut done = Err(NotCollected::Closed);
        for _ in 0..TRIES {
            if !go_on() {
                done = Err(MarkError::Stopped.into());
                break;
            }
            done = self.exchange_once(&ready);
            if !matches!(done, Err(NotCollected::Busy(_))) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        // Whoever panicked under it may have listed them.
        (done, ready.lock().map_or(true, |ready| ready.is_listed))
    }

    fn exchange_once(self: &Arc<Self>, ready: &Arc<Mutex<Ready>>) -> Result<(), NotCollected> {
        // What git is about to write names what is about to go.
        let Some(_no_graph) = self.hold_graph() else {
            return Err(NotCollected::Busy("the commit-graph is being written"));
        };
        let Some(_no_pushes) = self.pushes().hold(PATIENCE) else {
            return Err(NotCollected::Busy("pushes are under way"));
        };
        let (repository, ready) = (self.clone(), ready.clone());
        // At the commit point, so that no batch is written meanwhile.
        let done = self.commit(move |draft| {
            let mut ready = ready.lock().expect("invariant: no panic under this lock");
            Ok(repository.exchange_alone(draft, &mut ready))
        });
        done.map_or(Err(NotCollected::Busy("the repository takes no writes")), |(done, _)| done)
    }

    fn exchange_alone(&self, draft: &Draft, ready: &mut Ready) -> Result<(), NotCollected> {
        let Some(_no_merge) = self.try_hold_merging() else {
            return Err(NotCollected::Busy("packs are being merged"));
        };
        // Packs of batches that refs on disk do not reflect are what a start goes on from.
        self.flush()?;
        let snapshot = self.snapshot();
        if self.is_behind() {
            return Err(NotCollected::Busy("refs on disk lag"));
        }
        let now = packs(self.git_dir())?;
        ready.going.retain(|name, _| now.contains_key(name));
        let made = draft.made();
        let objects = Over { made: &made, below: self.store().as_ref() };
        ready.mark.look_again(&objects, &|| true)?;
        for seen in [&*snapshot, draft.snapshot()] {
            needed(&mut ready.mark, &objects, seen, &ready.keeps, &|| true)?;
        }
        for (_, pack) in now.iter().filter(|(name, _)| !ready.known.contains(*name)) {
            keep_orphans(&mut ready.mark, self.store(), pack, &|| true)?;
        }
        // Pushed again, since it was an orphan.
        let mut rescued = still_needed(&ready.going, &ready.mark)?;
        rescued.retain(|id| !ready.taken.contains(id));
        if rescued.len() > MOST_RESCUED {
            return Err(NotCollected::Busy("much of what was an orphan is needed again"));
        }
        if !rescued.is_empty() {
            write(self.git_dir(), self.store(), &rescued)?;
            ready.taken.extend(rescued);
        }
        if ready.going.is_empty() {
            return Ok(());
        }
        let listed = list(self.git_dir(), ready.going.keys());
        // Where it got its name and no more is known, the next start may find it.
        ready.is_listed = listed.is_ok() || self.git_dir().join(LIST).exists();
        if !ready.is_listed {
            return Ok(listed?);
        }
        fault::point("collect-listed");
        let removed = listed.and_then(|()| finish(self.git_dir()));
        self.store().look_anew();
        if let Err(error) = removed {
            // Some may be gone, and others that need them may be there.
            self.close(format!("packs that are collected cannot be removed: {error}; a restart goes on with it"));
            return Err(error.into());
        }
        Ok(())
    }
}

/// Marks what a repository needs.
fn needed(
    mark: &mut Mark,
    objects: &dyn Objects,
    snapshot: &Snapshot,
    keeps: &Keeps,
    go_on: &dyn Fn() -> bool,
) -> Result<(), MarkError> {
    for id in snapshot.tip.into_iter().chain(snapshot.refs.values().map(|value| value.id)) {
        mark.reach(objects, id, go_on)?;
    }
    // Of these it is not said that they are there.
    for id in snapshot.absent.values().copied().chain(keeps(snapshot)) {
        mark.reach_what_is_there(objects, id, go_on)?;
    }
    Ok(())
}

/// Marks what a pack that stays holds: all that it refers to has to stay as well.
fn keep_orphans(mark: &mut Mark, store: &Store, pack: &Listed, go_on: &dyn Fn() -> bool) -> Result<(), NotCollected> {
    for entry in entries(&pack.path)? {
        keep_orphan(mark, store, entry.id, go_on)?;
    }
    Ok(())
}

fn keep_orphan(mark: &mut Mark, store: &Store, id: Oid, go_on: &dyn Fn() -> bool) -> Result<(), MarkError> {
    if mark.contains(id) {
        return Ok(());
    }
    match store.kind(id)? {
        Some(Kind::Blob) => mark.leaf(id),
        _ => mark.reach_what_is_there(store, id, go_on),
    }
}

/// Every pack that has an index.
fn packs(git_dir: &Path) -> io::Result<Packs> {
    let mut found = Packs::new();
    for entry in fs::read_dir(storage::pack_dir(git_dir))? {
        let path = entry?.path().with_extension("pack");
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|name| name.starts_with("pack-"))
        else {
            continue;
        };
        if !path.with_extension("idx").exists() {
            continue;
        }
        match fs::metadata(&path) {
            Ok(meta) => drop(found.insert(name.to_owned(), Listed { bytes: meta.len(), orphans: 0, path })),
            // Of a batch that is just about to get its name, or merged a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The bytes of all packs of a repository.
pub(super) fn size(git_dir: &Path) -> io::Result<u64> {
    Ok(packs(git_dir)?.values().map(|pack| pack.bytes).sum())
}

/// The entries of a pack, in its order.
fn entries(pack: &Path) -> io::Result<Vec<Entry>> {
    let read = index::read(pack)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{}: its index cannot be read", pack.display()));
    let mut entries = read.ok_or_else(bad)?;
    entries.sort_unstable_by_key(|entry| entry.offset);
    Ok(entries)
}

/// Objects that lie by themselves, as git may leave them in a copy that was a mirror.
fn loose(git_dir: &Path) -> io::Result<Vec<Oid>> {
    let mut found = Vec::new();
    for dir in fs::read_dir(git_dir.join("objects"))? {
        let dir = dir?;
        let first = dir.file_name().to_string_lossy().into_owned();
        if first.len() != 2 {
            continue;
        }
        for file in fs::read_dir(dir.path())? {
            let name = format!("{first}{}", file?.file_name().to_string_lossy());
            found.extend(name.parse::<Oid>());
        }
    }
    Ok(found)
}

/// The same packs, each with how much of it is not marked. One that went meanwhile is left out.
fn weighed(packs: Packs, mark: &Mark) -> io::Result<Packs> {
    let mut weighed = Packs::new();
    for (name, pack) in packs {
        let entries = match entries(&pack.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        let ends = entries.iter().skip(1).map(|entry| entry.offset).chain([pack.bytes.saturating_sub(20)]);
        let orphans = entries.iter().zip(ends).filter(|(entry, _)| !mark.contains(entry.id));
        let orphans = orphans.map(|(entry, end)| end.saturating_sub(entry.offset)).sum();
        weighed.insert(name, Listed { orphans, ..pack });
    }
    Ok(weighed)
}

/// The packs that are written again without their orphans, those first that lose most.
fn choose(packs: &Packs, all: bool) -> Packs {
    let mut worth: Vec<_> = packs.iter().filter(|(_, pack)| pack.orphans > 0).collect();
    worth.retain(|(_, pack)| all || pack.orphans * SHARE >= pack.bytes || pack.bytes <= SMALL);
    // Somebody wants it to stay as it is.
    worth.retain(|(_, pack)| !pack.path.with_extension("keep").exists());
    worth.sort_by_key(|(_, pack)| std::cmp::Reverse(u128::from(pack.orphans) * 1000 / u128::from(pack.bytes.max(1))));
    let mut rest = MOST_REWRITTEN;
    let mut chosen = Packs::new();
    for (name, pack) in worth {
        let Some(left) = rest.checked_sub(pack.bytes.saturating_sub(pack.orphans)) else { continue };
        rest = left;
        chosen.insert(name.clone(), pack.clone());
    }
    chosen
}

/// What is marked of what these packs hold, each object once, in their order.
fn still_needed(packs: &Packs, mark: &Mark) -> io::Result<Vec<Oid>> {
    let (mut seen, mut needed) = (IdSet::default(), Vec::new());
    for pack in packs.values() {
        let marked = entries(&pack.path)?.into_iter().map(|entry| entry.id).filter(|id| mark.contains(*id));
        needed.extend(marked.filter(|id| seen.insert(*id)));
    }
    Ok(needed)
}

/// Writes one more pack of `ids`, durable when this returns. Its path.
fn write(git_dir: &Path, store: &Store, ids: &[Oid]) -> Result<PathBuf, NotCollected> {
    let dir = storage::pack_dir(git_dir);
    let written = rewrite::write(store, ids, &dir.join("tmp_collecting.pack"))?;
    // One of whole objects alone is merged with others again.
    let prefix = if written.is_whole { maintain::MERGED } else { "pack-c" };
    let stem = format!("{prefix}{}", &hex(&written.checksum)[..39]);
    let path = dir.join(format!("{stem}.pack"));
    fault::point("collect-before-rename");
    written.file.replace(&path)?;
    disk::replace_file(&dir, &format!("{stem}.idx"), &written.index)?;
    fault::point("collect-renamed");
    Ok(path)
}

/// Makes durable that these packs are to go.
fn list<'a>(git_dir: &Path, names: impl Iterator<Item = &'a String>) -> io::Result<()> {
    let lines: String = names.map(|name| format!("{name}\n")).collect();
    disk::replace_file(git_dir, LIST, lines.as_bytes())
}

/// Removes the packs that are listed to go, if any are, and what names their objects. Whether there was such a list.
pub(super) fn finish(git_dir: &Path) -> io::Result<bool> {
    let lines = match fs::read_to_string(git_dir.join(LIST)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        lines => lines?,
    };
    git::graph::keep::remove(git_dir)?;
    let dir = storage::pack_dir(git_dir);
    gone(disk::remove(&dir.join("multi-pack-index")))?;
    // What does not look like a pack's name is none.
    for name in lines.lines().filter(|name| name.starts_with("pack-") && !name.contains(['/', '.'])) {
        remove(&dir.join(format!("{name}.pack")))?;
        fault::point("collect-removed");
    }
    disk::sync_dir(&dir)?;
    fault::point("collect-durable");
    disk::remove(&git_dir.join(LIST))?;
    disk::sync_dir(git_dir)?;
    Ok(true)
}

/// Removes a pack. The index goes first: a pack without one is ignored by readers.
fn remove(pack: &Path) -> io::Result<()> {
    gone(disk::remove(&pack.with_extension("idx")))?;
    for beside in BESIDE {
        let path = pack.with_extension(beside);
        if path.exists() {
            gone(disk::remove(&path))?;
        }
    }
    gone(disk::remove(pack))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a ref that goes or moves may leave something behind: chains of entities, the ledger, months and notes only grow,
/// and a record on its way in stays in its month.
pub(super) fn may_leave_behind(name: &RefName, is_gone: bool) -> bool {
    let name = name.as_str();
    let is_chain = [refs::FORGE_PREFIX, refs::NOTES_PREFIX].iter().any(|prefix| name.starts_with(prefix));
    !is_chain || (is_gone && name.starts_with(refs::TRACES_PREFIX))
}
