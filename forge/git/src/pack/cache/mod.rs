//! Packs of full clones, kept on disk: the second clone of the same tips is a file that is read.
//!
//! A clone is named by all that shapes it ([`Key`]): the tips above all, so a cached pack cannot be out of date, whatever
//! is pushed meanwhile. The first who asks for a key starts a builder; the builder writes a file at the speed of the disk,
//! and all who asked read behind it as fast as each can. When tips have moved a little, a cached pack of older tips is sent
//! first and the new objects behind it, under one header and one trailer; when they have moved far, what is sent that way
//! becomes the next file.
//!
//! To use it: open one per data directory, and for a fetch without haves and without shallow boundaries make a wish
//! ([`Wish::new`]) and call [`PackCache::send`] on a thread that may block.
//!
//! Invariant: a cache and nothing else. It may be deleted at any time, whole or in part, and a file that is not what was
//! written is removed, not sent.

mod build;
mod file;
mod growth;
#[cfg(test)]
mod tests;
mod wish;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use notes_schema::Oid;

use self::file::Facts;
use self::growth::Growth;
pub use self::wish::Asked;
use super::emit::{self, Before, EmitError, Options, Written};
use crate::select::{SelectError, Selection};
use crate::store::Store;

/// All that shapes a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    family: Family,
    tips: Vec<Oid>,
}

/// What clones have in common of which one may be the beginning of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Family {
    repository: String,
    filter: String,
    features: String,
    ofs_delta: bool,
}

impl Key {
    /// `repository` tells repositories apart, `tips` are what is wanted (in any order), `filter` is the client's filter or
    /// empty. Whatever else makes two packs of the same tips differ must be in `features`.
    pub fn new(
        repository: &str,
        tips: impl IntoIterator<Item = Oid>,
        filter: &str,
        features: &str,
        ofs_delta: bool,
    ) -> Key {
        let mut tips: Vec<Oid> = tips.into_iter().collect();
        tips.sort_unstable();
        tips.dedup();
        let [repository, filter, features] = [repository, filter, features].map(str::to_owned);
        Key { family: Family { repository, filter, features, ofs_delta }, tips }
    }

    fn options(&self, thin: bool) -> Options {
        Options { thin, ofs_delta: self.family.ofs_delta }
    }
}

/// A question about tips that reading the repository answers.
pub type Ask<T> = Arc<dyn Fn(&[Oid]) -> Result<T, SelectError> + Send + Sync>;

/// A clone, and how to make it. A builder may outlive whoever asked first, so everything in here is shared.
#[derive(Clone)]
pub struct Wish {
    /// Its name.
    pub key: Key,
    /// Where its objects are.
    pub store: Arc<Store>,
    /// Whether each of these older tips can be reached from the wanted ones. All of them must be, to be asked for again.
    pub reaches: Ask<bool>,
    /// What the clone needs, each object once, under the key's filter. Older tips are already there with all that they
    /// reach under the same filter, so nothing of that need be among it; without older tips it is everything.
    pub select: Ask<Selection>,
}

/// Why a clone could not be sent in full.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The pack could not be made or passed on.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// What belongs into it could not be found out.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Another thread made the pack, and failed.
    #[error("the pack could not be made: {0}")]
    Builder(String),
}

impl From<io::Error> for CacheError {
    fn from(error: io::Error) -> Self {
        CacheError::Emit(error.into())
    }
}

/// How many packs are built at once; whoever comes when they are busy is served without the cache.
/// Limit: packs built for the clone cache at once | {}; who comes then goes past it
const BUILDS: usize = 2;
/// How many cached packs are considered as the beginning of another clone.
const CANDIDATES: usize = 4;
/// An addition of more than one part in this many becomes a file of its own.
const SHARE: u64 = 4;
/// How many families are remembered that do not fit.
/// Limit: kinds of clones that are remembered as not worth keeping | {}
const MOST_UNFIT: usize = 1000;
const PIECE: usize = 256 << 10;

/// Cached packs in one directory.
pub struct PackCache {
    dir: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: HashMap<String, Ready>,
    growing: HashMap<String, Arc<Growth>>,
    /// Clones that do not fit, into the cache or onto its disk.
    unfit: HashSet<Family>,
    uses: u64,
}

#[derive(Clone)]
struct Ready {
    facts: Arc<Facts>,
    used: u64,
    /// Written by this process, or read in full since it started.
    verified: bool,
    /// What came behind it last time was so much that a new file is due.
    outgrown: bool,
}

/// A cached pack that another one begins with, and what that one has beyond it.
struct Base {
    facts: Arc<Facts>,
    file: File,
    selection: Selection,
}

enum Found {
    Ready(Ready),
    Growing(Arc<Growth>),
    Nothing,
}

impl PackCache {
    /// A cache of at most `max_bytes` in `dir`, which is made if need be. Packs under construction come on top.
    pub fn open(dir: &Path, max_bytes: u64) -> io::Result<Arc<PackCache>> {
        fs::create_dir_all(dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let facts = File::open(&path).and_then(|file| Ok((file.metadata()?.modified()?, file::read(&file)?)));
            match facts {
                Ok((modified, Some(facts))) if path == dir.join(file::name(&facts.key)) => {
                    found.push((modified, facts))
                }
                _ if is_ours(&path) => fs::remove_file(&path)?,
                _ => {}
            }
        }
        found.sort_by_key(|(modified, _)| *modified);
        let mut state = State::default();
        for (_, facts) in found {
            state.insert(facts, false);
        }
        let cache = PackCache { dir: dir.to_owned(), max_bytes, state: Mutex::new(state) };
        cache.evict(&mut cache.state());
        Ok(Arc::new(cache))
    }

    /// How many bytes are kept.
    pub fn bytes(&self) -> u64 {
        self.state().ready.values().map(|ready| ready.facts.file_bytes()).sum()
    }

    /// Sends a clone to `out`: from the cache, through it, or past it when it is busy.
    pub fn send(
        self: &Arc<Self>,
        wish: &Wish,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Written, CacheError> {
        let name = file::name(&wish.key);
        // A second time when somebody else was faster, or when the file is not what it was.
        for _ in 0..2 {
            match self.find(&name) {
                Found::Ready(ready) => {
                    if let Some(file) = self.open_file(&name, &ready) {
                        return send_file(&file, &ready.facts, out, progress);
                    }
                }
                Found::Growing(growth) => return follow(&growth, out, progress),
                Found::Nothing => {}
            }
            let mut base = None;
            if let Some((ready, file)) = self.base(wish)? {
                let selection = match (wish.select)(&ready.facts.key.tips) {
                    Ok(selection) => beyond(&ready.facts, &file, selection)?,
                    // Pruned since it was looked at; without it, what is really missing is said.
                    Err(SelectError::Read(_)) => break,
                    Err(other) => return Err(other.into()),
                };
                let much = selection.objects.len() as u64 * SHARE > ready.facts.written.objects as u64;
                if !much && !ready.outgrown {
                    return self.send_addition(wish, &ready, &file, &selection, out, progress);
                }
                base = Some(Base { facts: ready.facts, file, selection });
            }
            match build::start(self, &name, wish, base) {
                Found::Growing(growth) => return follow(&growth, out, progress),
                Found::Ready(_) => {}
                Found::Nothing => break,
            }
        }
        let selection = (wish.select)(&[])?;
        Ok(emit::write(&wish.store, &selection, &wish.key.options(false), out, progress)?)
    }

    fn find(&self, name: &str) -> Found {
        let mut state = self.state();
        if let Some(growth) = state.growing.get(name) {
            return Found::Growing(growth.clone());
        }
        state.uses += 1;
        let uses = state.uses;
        match state.ready.get_mut(name) {
            Some(ready) => {
                ready.used = uses;
                Found::Ready(ready.clone())
            }
            None => Found::Nothing,
        }
    }

    /// The file of a cached pack, if it is still there and what was written.
    fn open_file(&self, name: &str, ready: &Ready) -> Option<File> {
        let path = self.dir.join(name);
        let file = File::open(&path).ok();
        let file = file.filter(|file| file.metadata().is_ok_and(|meta| meta.len() == ready.facts.file_bytes()));
        let good = file.filter(|file| ready.verified || file::is_whole(file, &ready.facts).unwrap_or(false));
        let mut state = self.state();
        match &good {
            Some(file) => {
                // What was used last shall be known after a restart; nothing depends on it.
                let _ = file.set_modified(SystemTime::now());
                if let Some(ready) = state.ready.get_mut(name) {
                    ready.verified = true;
                }
            }
            None => {
                drop(state);
                self.drop_file(name);
            }
        }
        good
    }

    /// Removes what is not what it should be.
    fn drop_file(&self, name: &str) {
        self.state().ready.remove(name);
        let _ = fs::remove_file(self.dir.join(name));
    }

    /// A cached pack that the wanted clone begins with.
    fn base(&self, wish: &Wish) -> Result<Option<(Ready, File)>, SelectError> {
        let mut candidates: Vec<Ready> = {
            let state = self.state();
            let related = |ready: &&Ready| ready.facts.key.family == wish.key.family;
            state.ready.values().filter(related).cloned().collect()
        };
        candidates.sort_by_key(|ready| std::cmp::Reverse(ready.used));
        for ready in candidates.into_iter().take(CANDIDATES) {
            if !(wish.reaches)(&ready.facts.key.tips)? {
                continue;
            }
            let name = file::name(&ready.facts.key);
            let Some(file) = self.open_file(&name, &ready) else { continue };
            let mut state = self.state();
            state.uses += 1;
            let uses = state.uses;
            if let Some(ready) = state.ready.get_mut(&name) {
                ready.used = uses;
            }
            return Ok(Some((ready, file)));
        }
        Ok(None)
    }

    /// Sends a cached pack with what is new behind it.
    fn send_addition(
        &self,
        wish: &Wish,
        ready: &Ready,
        file: &File,
        selection: &Selection,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Written, CacheError> {
        let name = file::name(&ready.facts.key);
        let written = self.extended(wish, &ready.facts, file, selection, out, progress)?;
        let grown = written.bytes.saturating_sub(ready.facts.written.bytes);
        if grown.saturating_mul(SHARE) > ready.facts.written.bytes
            && let Some(ready) = self.state().ready.get_mut(&name)
        {
            ready.outgrown = true;
        }
        Ok(written)
    }

    /// A cached pack's entries and those of `selection`, as one pack.
    fn extended(
        &self,
        wish: &Wish,
        facts: &Facts,
        file: &File,
        selection: &Selection,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Written, CacheError> {
        let mut body = file::Body::new(file, facts);
        let before = Before { objects: facts.written.objects, deltas: facts.written.deltas, body: &mut body };
        // Deltas may rest on what stands in front of them: the client has that by then.
        let done = emit::write_after(Some(before), &wish.store, selection, &wish.key.options(true), out, progress);
        if matches!(done, Err(EmitError::Before(_))) {
            self.drop_file(&file::name(&facts.key));
        }
        Ok(done?)
    }

    fn evict(&self, state: &mut State) {
        loop {
            let bytes: u64 = state.ready.values().map(|ready| ready.facts.file_bytes()).sum();
            if bytes <= self.max_bytes {
                return;
            }
            let oldest = state.ready.iter().min_by_key(|(_, ready)| ready.used);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            state.ready.remove(&name);
            let _ = fs::remove_file(self.dir.join(&name));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: no panic under this lock")
    }
}

impl State {
    fn insert(&mut self, facts: Facts, verified: bool) {
        self.uses += 1;
        let ready = Ready { facts: Arc::new(facts), used: self.uses, verified, outgrown: false };
        self.ready.insert(file::name(&ready.facts.key), ready);
    }

    /// Clones of this family go past the cache from now on. Clients choose filters, so this is bounded.
    fn set_unfit(&mut self, family: &Family) {
        if self.unfit.len() >= MOST_UNFIT {
            self.unfit.clear();
        }
        self.unfit.insert(family.clone());
    }
}

/// What of `selection` a cached pack has not: something that went away and came back was selected although it is there.
fn beyond(facts: &Facts, file: &File, mut selection: Selection) -> io::Result<Selection> {
    let mut there = HashSet::new();
    for object in &selection.objects {
        if file::contains(file, facts, object.id)? {
            there.insert(object.id);
        }
    }
    selection.objects.retain(|object| !there.contains(&object.id));
    for resembles in selection.objects.iter_mut().filter_map(|object| object.resembles.as_mut()) {
        resembles.held |= there.contains(&resembles.id);
    }
    Ok(selection)
}

fn send_file(
    file: &File,
    facts: &Facts,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<Written, CacheError> {
    pass(file, 0, facts.written.bytes, &mut vec![0; PIECE], out)?;
    out.flush()?;
    told(facts.written, progress)
}

/// Reads behind the builder.
fn follow(growth: &Growth, out: &mut dyn Write, progress: &mut dyn FnMut(&str)) -> Result<Written, CacheError> {
    let (mut at, mut heard, mut piece) = (0, 0, vec![0; PIECE]);
    loop {
        let seen = growth.wait(at, &mut heard).map_err(CacheError::Builder)?;
        if let Some(line) = &seen.line {
            progress(line);
        }
        pass(growth.file(), at, seen.bytes, &mut piece, out)?;
        at = seen.bytes;
        if let Some(written) = seen.written {
            out.flush()?;
            return Ok(written);
        }
    }
}

fn told(written: Written, progress: &mut dyn FnMut(&str)) -> Result<Written, CacheError> {
    let written = Written { reused: written.objects, ..written };
    progress(&written.to_string());
    Ok(written)
}

fn pass(file: &File, mut at: u64, end: u64, piece: &mut [u8], out: &mut dyn Write) -> io::Result<()> {
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(piece.len());
        let read = file.read_at(&mut piece[..most], at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.write_all(&piece[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Whether a file may be removed because this cache must have left it.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(file::TEMPORARY) || name.ends_with(file::ENDING)
}
