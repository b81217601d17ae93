//! Which packs and loose objects a repository has, its own and those that it borrows: opened when first asked for.
//!
//! Packs come and go while others read. Every moment has each object in one of them at least: a new pack is named before
//! those that it replaces go.
//!
//! Invariant: what is there during a whole search is found by it, whatever is merged meanwhile.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use gix::odb::loose;
use notes_schema::Oid;

use super::reader::{LARGEST_OBJECT, Pack};
use crate::object;

/// A directory changed so recently may change again under the same time stamp.
const UNSETTLED: Duration = Duration::from_millis(50);

/// All packs of a repository and of those it borrows from.
#[derive(Default)]
pub(crate) struct Folders {
    state: Mutex<State>,
    listed: RwLock<Arc<Listed>>,
}

/// Packs that may be there and cannot be looked into, in words: what is missed may be in one of them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unread(String);

/// The packs at one moment.
#[derive(Default)]
pub(crate) struct Listed {
    /// All of them, the newest first.
    packs: Vec<Arc<Pack>>,
    /// Those from which entries may be copied as they lie.
    copyable: Arc<Vec<Arc<Pack>>>,
    loose: Vec<loose::Store>,
    /// The pack that had what was looked for last: neighbours often lie together.
    last: AtomicUsize,
}

/// Where an object lies.
pub(crate) enum Place {
    /// In a pack, at this position of its index.
    Packed(Arc<Pack>, u32),
    /// In a file of its own.
    Loose(loose::Store),
}

impl Listed {
    /// The packs, the newest first.
    pub(crate) fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// Those from which entries may be copied as they lie.
    pub(crate) fn copyable(&self) -> Arc<Vec<Arc<Pack>>> {
        self.copyable.clone()
    }

    /// Where loose objects are.
    pub(crate) fn loose(&self) -> &[loose::Store] {
        &self.loose
    }

    /// Where `id` lies, if it is known here.
    pub(crate) fn locate(&self, id: Oid) -> Option<Place> {
        let packed = || {
            let last = self.last.load(Ordering::Relaxed);
            let others = (0..self.packs.len()).filter(|&number| number != last);
            (last < self.packs.len()).then_some(last).into_iter().chain(others).find_map(|number| {
                let position = self.packs[number].lookup(id)?;
                self.last.store(number, Ordering::Relaxed);
                Some(Place::Packed(self.packs[number].clone(), position))
            })
        };
        let holds = |store: &&loose::Store| store.contains(&object::to_gix(id));
        packed().or_else(|| Some(Place::Loose(self.loose.iter().find(holds)?.clone())))
    }
}

#[derive(Default)]
struct State {
    /// When the list of those it borrows from was written.
    borrowed: Option<SystemTime>,
    folders: Vec<Folder>,
}

/// One directory of objects.
struct Folder {
    loose: loose::Store,
    packs: PathBuf,
    stamp: Option<SystemTime>,
    open: HashMap<OsString, Arc<Pack>>,
    /// Why something of it was not read at the last look.
    unread: Option<String>,
}

/// How a look at the directories ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// There are other packs than before.
    Changed,
    /// The same names as before, which may have been read while some came and went.
    Same,
    /// Nothing has changed since the last look.
    Settled,
}

impl Folders {
    /// Closes them all; who reads through one still has it.
    pub(crate) fn close(&self) {
        *self.state.lock().expect("invariant: no panic under this lock") = State::default();
        *self.listed.write().expect("invariant: no panic under this lock") = Arc::default();
    }

    /// What is known by now, without looking.
    pub(crate) fn known(&self) -> Arc<Listed> {
        self.listed.read().expect("invariant: no panic under this lock").clone()
    }

    /// What is there now.
    pub(crate) fn current(&self, git_dir: &Path) -> Arc<Listed> {
        self.look(git_dir);
        self.known()
    }

    /// Where `id` lies, if it is there.
    pub(crate) fn locate(&self, git_dir: &Path, id: Oid) -> Result<Option<Place>, Unread> {
        if let Some(place) = self.known().locate(id) {
            return Ok(Some(place));
        }
        // One look may miss an object that moves while the directory is read: from a pack that is gone when its turn comes
        // into one that was not there yet. Then the next finds other names.
        let mut looked = false;
        loop {
            let look = self.look(git_dir);
            if let Some(place) = self.known().locate(id) {
                return Ok(Some(place));
            }
            if look == Look::Settled || (look == Look::Same && looked) {
                let state = self.state.lock().expect("invariant: no panic under this lock");
                let unread = state.folders.iter().find_map(|folder| folder.unread.clone());
                return unread.map_or(Ok(None), |why| Err(Unread(why)));
            }
            looked = true;
        }
    }

    fn look(&self, git_dir: &Path) -> Look {
        let mut state = self.state.lock().expect("invariant: no panic under this lock");
        let objects = git_dir.join("objects");
        let borrowed = modified(&objects.join("info/alternates"));
        let mut look = Look::Settled;
        if state.folders.is_empty() || state.borrowed != borrowed {
            state.folders = folders(&objects);
            state.borrowed = borrowed.filter(settled);
            look = Look::Changed;
        }
        for folder in &mut state.folders {
            look = match (look, folder.look()) {
                (Look::Changed, _) | (_, Look::Changed) => Look::Changed,
                (Look::Same, _) | (_, Look::Same) => Look::Same,
                (Look::Settled, Look::Settled) => Look::Settled,
            };
        }
        if look == Look::Changed {
            let mut packs: Vec<Arc<Pack>> = state.folders.iter().flat_map(|f| f.open.values()).cloned().collect();
            packs.sort_by(|a, b| b.modified().cmp(&a.modified()).then_with(|| a.index_path().cmp(b.index_path())));
            let copyable = Arc::new(packs.iter().filter(|pack| pack.is_checked()).cloned().collect());
            let loose = state.folders.iter().map(|folder| folder.loose.clone()).collect();
            // Still under the lock of the state, so that no older list replaces a newer one.
            let listed = Arc::new(Listed { packs, copyable, loose, last: AtomicUsize::new(0) });
            *self.listed.write().expect("invariant: no panic under this lock") = listed;
        }
        look
    }
}

fn folders(objects: &Path) -> Vec<Folder> {
    let options = loose::Options { alloc_limit_bytes: Some(LARGEST_OBJECT), ..Default::default() };
    let folder = |dir: PathBuf| Folder {
        packs: dir.join("pack"),
        loose: loose::Store::at_opts(dir, gix::hash::Kind::Sha1, options),
        stamp: None,
        open: HashMap::new(),
        unread: None,
    };
    let absolute = fs::canonicalize(objects).unwrap_or_else(|_| objects.to_owned());
    let others = gix::odb::alternate::resolve(absolute.clone(), Path::new("/")).unwrap_or_default();
    std::iter::once(absolute).chain(others).map(folder).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn settled(at: &SystemTime) -> bool {
    at.elapsed().is_ok_and(|age| age > UNSETTLED)
}

impl Folder {
    /// Looks again where the directory has changed.
    fn look(&mut self) -> Look {
        let changed = modified(&self.packs);
        // Read before the names are, so that what changes meanwhile is seen the next time.
        if changed.is_some() && self.stamp == changed {
            return Look::Settled;
        }
        let before = self.unread.take();
        let look = self.read().unwrap_or_else(|error| {
            // Out of descriptors, say: what is open goes on being read.
            self.unread = Some(format!("{}: {error}", self.packs.display()));
            Look::Same
        });
        // What could not be read may be readable the next time.
        self.stamp = changed.filter(|at| self.unread.is_none() && settled(at));
        if let Some(why) = self.unread.as_ref().filter(|why| before.as_ref() != Some(why)) {
            tracing::warn!(why, "packs cannot be opened");
        }
        look
    }

    fn read(&mut self) -> io::Result<Look> {
        let listed = match fs::read_dir(&self.packs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?.collect::<io::Result<Vec<_>>>()?,
        };
        let mut known = std::mem::take(&mut self.open);
        let mut fresh = false;
        for entry in listed {
            let name = entry.file_name();
            // What is still being written has another name.
            let bytes = name.as_encoded_bytes();
            if !bytes.ends_with(b".idx") || bytes.starts_with(b"tmp_") {
                continue;
            }
            if let Some(pack) = known.remove(&name) {
                self.open.insert(name, pack);
                continue;
            }
            match Pack::open(entry.path()) {
                Ok(pack) => {
                    self.open.insert(name, Arc::new(pack));
                    fresh = true;
                }
                // An index may stand there a moment before its pack, and a pack that goes loses its index first.
                Err(why) if entry.path().exists() && entry.path().with_extension("pack").exists() => {
                    self.unread = Some(format!("{}: {why}", entry.path().display()));
                }
                Err(_) => {}
            }
        }
        Ok(if fresh || !known.is_empty() { Look::Changed } else { Look::Same })
    }
}
