//! Reading objects of one repository: the newest batches from memory, everything else from its packs, or loose.
//!
//! Invariant: never writes. Packs appear in the directory through [`super::pack::write`] alone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use notes_schema::Oid;

use super::graph::{Graph, Stamp};
use super::object::{self, Commit, Kind, Malformed, Object, TreeEntry};
use super::pack::folders::{Folders, Listed, Place};
use super::pack::reader::{Inflater, Pack};

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such object.
    #[error("object {0} is missing")]
    Missing(Oid),
    /// It is there, but of another kind.
    #[error("object {id} is a {found}, not a {wanted}")]
    Kind {
        /// The object.
        id: Oid,
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It is there, but its content is not what its kind says.
    #[error("object {id}: {source}")]
    Malformed {
        /// The object.
        id: Oid,
        /// What is wrong.
        source: Malformed,
    },
    /// The store itself failed: disk or a damaged pack.
    #[error("object {id} cannot be read: {why}")]
    Store {
        /// The object.
        id: Oid,
        /// What the store says.
        why: String,
    },
}

/// A directory that is no usable bare repository.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be opened as a repository: {why}", git_dir.display())]
pub struct OpenError {
    /// The directory.
    pub git_dir: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Anything that objects can be read from: a repository's store, or a quarantine in front of it.
pub trait Objects {
    /// The object, or [`ReadError::Missing`].
    fn get(&self, id: Oid) -> Result<Object, ReadError>;

    /// Whether the object is there.
    fn contains(&self, id: Oid) -> bool;

    /// The object, when it is of `kind`.
    fn get_kind(&self, id: Oid, kind: Kind) -> Result<Object, ReadError> {
        let object = self.get(id)?;
        if object.kind == kind {
            return Ok(object);
        }
        Err(ReadError::Kind { id, wanted: kind.as_str(), found: object.kind.as_str() })
    }

    /// How many bytes the object has; without reading all of it, where that can be.
    fn size(&self, id: Oid) -> Result<u64, ReadError> {
        Ok(self.get(id)?.data.len() as u64)
    }

    /// The commit-graph of the repository behind it, for [`Commits`](crate::graph::Commits). `None` where every object
    /// must be read itself.
    fn graph(&self) -> Option<Arc<Graph>> {
        None
    }

    /// A commit, read.
    fn commit(&self, id: Oid) -> Result<Commit, ReadError> {
        let object = self.get_kind(id, Kind::Commit)?;
        object::read_commit(&object.data).map_err(|source| ReadError::Malformed { id, source })
    }

    /// A tree, read.
    fn tree(&self, id: Oid) -> Result<Vec<TreeEntry>, ReadError> {
        let object = self.get_kind(id, Kind::Tree)?;
        object::read_tree(&object.data).map_err(|source| ReadError::Malformed { id, source })
    }
}

/// Objects that are only being made.
pub trait Made {
    /// The object, when it is one of them.
    fn made(&self, id: Oid) -> Option<Object>;
}

impl Made for HashMap<Oid, Object> {
    fn made(&self, id: Oid) -> Option<Object> {
        self.get(&id).cloned()
    }
}

/// Objects that are only being made, in front of those that are there.
pub struct Over<'a, M> {
    /// The new ones.
    pub made: &'a M,
    /// The others.
    pub below: &'a dyn Objects,
}

impl<M: Made> Objects for Over<'_, M> {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        self.made.made(id).map_or_else(|| self.below.get(id), Ok)
    }

    fn contains(&self, id: Oid) -> bool {
        self.made.made(id).is_some() || self.below.contains(id)
    }

    fn size(&self, id: Oid) -> Result<u64, ReadError> {
        self.made.made(id).map_or_else(|| self.below.size(id), |object| Ok(object.data.len() as u64))
    }

    fn graph(&self) -> Option<Arc<Graph>> {
        self.below.graph()
    }
}

/// The objects of one repository.
pub struct Store {
    git_dir: PathBuf,
    recent: RwLock<Recent>,
    folders: Folders,
    /// What reads use, between two of them: making one anew costs more than most reads.
    idle: Mutex<Vec<Inflater>>,
    graph: Mutex<(Stamp, Option<Arc<Graph>>)>,
    /// Whether packs were read since [`Store::last_read`] was asked.
    touched: AtomicBool,
    /// What it was told then; 0 while no pack is open.
    last_read: AtomicU64,
}

/// Objects of the newest batches: since the last call of [`Store::forget`], and before it.
#[derive(Default)]
struct Recent {
    new: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    objects: HashMap<Oid, Object>,
    bytes: usize,
}

impl Recent {
    fn get(&self, id: Oid) -> Option<&Object> {
        self.new.objects.get(&id).or_else(|| self.old.objects.get(&id))
    }
}

/// See [`Store::known`].
pub(crate) struct Known(Arc<Listed>);

impl Known {
    /// What the object is, when it was known to be there. `store` is the one that gave this.
    pub(crate) fn kind(&self, store: &Store, id: Oid) -> Option<Kind> {
        let place = self.0.locate(id)?;
        Some(store.header_at(id, &place).ok()?.0)
    }

    /// The object, when it was known to be there. `store` is the one that gave this.
    pub(crate) fn get(&self, store: &Store, id: Oid) -> Option<Object> {
        let place = self.0.locate(id)?;
        store.object_at(id, &place).ok()
    }
}

/// Most of what reads use that is kept between them.
const IDLE: usize = 4;

impl Store {
    /// Opens a bare repository; nothing of it is read before something is asked for.
    pub fn open(git_dir: &Path) -> Result<Store, OpenError> {
        let failed = |why: &str| OpenError { git_dir: git_dir.to_owned(), why: why.to_owned() };
        for (name, is_there) in
            [("objects", Path::is_dir as fn(&Path) -> bool), ("refs", Path::is_dir), ("HEAD", Path::exists)]
        {
            if !is_there(&git_dir.join(name)) {
                return Err(failed(&format!("it has no `{name}`")));
            }
        }
        Ok(Store {
            git_dir: git_dir.to_owned(),
            recent: RwLock::default(),
            folders: Folders::default(),
            idle: Mutex::default(),
            graph: Mutex::default(),
            touched: AtomicBool::new(false),
            last_read: AtomicU64::new(0),
        })
    }

    /// Looks at which packs there are, and closes those that are gone. Call it after some were merged.
    pub fn look_again(&self) {
        self.folders.current(&self.git_dir);
    }

    /// When packs were last read, by the time that who looks now and then gives itself, from 1; `None` while none is open.
    pub fn last_read(&self, now: u64) -> Option<u64> {
        if self.touched.swap(false, Ordering::Relaxed) {
            self.last_read.store(now, Ordering::Relaxed);
        }
        Some(self.last_read.load(Ordering::Relaxed)).filter(|last| *last > 0)
    }

    /// Closes its packs, each of which takes two of the maps that a process may have. The next read opens what it needs.
    pub fn let_go(&self) {
        self.touched.store(false, Ordering::Relaxed);
        self.last_read.store(0, Ordering::Relaxed);
        self.folders.close();
        self.idle.lock().expect("invariant: no panic under this lock").clear();
    }

    fn touch(&self) {
        // Looked at first, so that readers on several cores do not take it from each other.
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// The repository's directory.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Serves `objects`, which are durable in a pack already, from memory.
    pub fn remember(&self, objects: impl IntoIterator<Item = (Oid, Object)>) {
        // What comes may take a while to make, and readers should not wait for it.
        let objects: Vec<(Oid, Object)> = objects.into_iter().collect();
        let mut recent = self.recent.write().expect("invariant: no panic under this lock");
        for (id, object) in objects {
            recent.new.bytes += object.data.len();
            recent.new.objects.insert(id, object);
        }
    }

    /// Objects may be gone that were there: none is answered from memory or from packs that were open until now. Who reads
    /// at this moment may still meet them.
    pub fn look_anew(&self) {
        let recent = std::mem::take(&mut *self.recent.write().expect("invariant: no panic under this lock"));
        drop(recent);
        self.let_go();
    }

    /// Drops what was remembered before the last call, and all of it where more than `most` bytes would stay; it is read
    /// from packs from here on.
    pub fn forget(&self, most: usize) {
        let mut recent = self.recent.write().expect("invariant: no panic under this lock");
        let fresh = std::mem::take(&mut recent.new);
        let (kept, dropped) =
            if fresh.bytes > most { (Generation::default(), fresh) } else { (fresh, Generation::default()) };
        let older = std::mem::replace(&mut recent.old, kept);
        // Many objects take a moment to go, and nobody should wait for it.
        drop(recent);
        drop((older, dropped));
    }

    /// How many bytes are remembered.
    pub fn remembered(&self) -> usize {
        let recent = self.recent.read().expect("invariant: no panic under this lock");
        recent.new.bytes + recent.old.bytes
    }

    /// The packs that are there now, to copy entries from.
    pub(crate) fn packs(&self) -> Arc<Vec<Arc<Pack>>> {
        self.touch();
        self.folders.current(&self.git_dir).copyable()
    }

    /// What the object is, without reading it in full; `None` when it is not there.
    pub fn kind(&self, id: Oid) -> Result<Option<Kind>, ReadError> {
        Ok(self.header(id)?.map(|(kind, _)| kind))
    }

    /// What the object is and how many bytes it has, without reading it in full; `None` when it is not there.
    pub fn header(&self, id: Oid) -> Result<Option<(Kind, u64)>, ReadError> {
        if let Some(object) = self.recent(id) {
            return Ok(Some((object.kind, object.data.len() as u64)));
        }
        match self.at_place(id, |place| self.header_at(id, place)) {
            Err(ReadError::Missing(_)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The commits whose ids begin with `prefix`, at least four and at most 40 hexadecimal digits, sorted. What cannot be
    /// looked through has none.
    pub fn commits_beginning(&self, prefix: &str) -> Vec<Oid> {
        let is_commit = |id: &Oid| self.kind(*id).is_ok_and(|kind| kind == Some(Kind::Commit));
        if let Ok(id) = prefix.parse::<Oid>() {
            return Some(id).filter(is_commit).into_iter().collect();
        }
        let Ok(wanted) = gix::hash::Prefix::from_hex(prefix) else { return Vec::new() };
        self.touch();
        let listed = self.folders.current(&self.git_dir);
        let mut ids: BTreeSet<Oid> = listed.packs().iter().flat_map(|pack| pack.beginning(wanted)).collect();
        for loose in listed.loose() {
            let mut found = HashSet::new();
            // Where they cannot be listed there are none.
            let _ = loose.lookup_prefix(wanted, Some(&mut found));
            ids.extend(found.iter().map(|id| object::from_gix(id)));
        }
        let recent = self.recent.read().expect("invariant: no panic under this lock");
        for generation in [&recent.new, &recent.old] {
            ids.extend(generation.objects.keys().filter(|id| id.to_string().starts_with(prefix)));
        }
        drop(recent);
        ids.into_iter().filter(is_commit).collect()
    }

    /// Puts what is to be read into the order in which that is cheapest: what is made of the same base by deltas comes together,
    /// so that a cache for few objects is enough, and bases come first.
    pub fn in_order<T>(&self, all: &mut [T], id: impl Fn(&T) -> Oid) {
        let listed = self.known().0;
        all.sort_by_cached_key(|one| match listed.locate(id(one)) {
            Some(Place::Packed(pack, position)) => pack.family(position),
            Some(Place::Loose(_)) | None => (u32::MAX, u64::MAX, u64::MAX),
        });
    }

    /// A view of the objects whose packs are there now: it answers a miss without looking at the directory again.
    pub(crate) fn known(&self) -> Known {
        self.touch();
        Known(self.folders.current(&self.git_dir))
    }

    /// Whether the object is there, as far as packs are known by now: a miss does not look at the directory again.
    pub(crate) fn knows(&self, id: Oid) -> bool {
        self.has_recent(id) || self.folders.known().locate(id).is_some()
    }

    fn has_recent(&self, id: Oid) -> bool {
        self.recent.read().expect("invariant: no panic under this lock").get(id).is_some()
    }

    fn place(&self, id: Oid) -> Result<Option<Place>, ReadError> {
        let place = self.folders.locate(&self.git_dir, id);
        self.touch();
        place.map_err(|unread| ReadError::Store { id, why: unread.to_string() })
    }

    /// Reads the object where it lies. What was loose a moment ago may be packed now.
    fn at_place<T>(&self, id: Oid, read: impl Fn(&Place) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let place = || self.place(id)?.ok_or(ReadError::Missing(id));
        match read(&place()?) {
            Err(ReadError::Missing(_)) => read(&place()?),
            first => first,
        }
    }

    fn object_at(&self, id: Oid, place: &Place) -> Result<Object, ReadError> {
        let failed = |why: String| ReadError::Store { id, why };
        match place {
            Place::Packed(pack, position) => self.inflating(|with| pack.object(*position, with)).map_err(failed),
            Place::Loose(loose) => {
                let mut bytes = Vec::new();
                let found = loose.try_find(&object::to_gix(id), &mut bytes).map_err(|e| failed(e.to_string()))?;
                let kind = found.ok_or(ReadError::Missing(id))?.kind;
                Ok(Object::new(kind.into(), bytes))
            }
        }
    }

    fn header_at(&self, id: Oid, place: &Place) -> Result<(Kind, u64), ReadError> {
        let failed = |why: String| ReadError::Store { id, why };
        match place {
            Place::Packed(pack, position) => self.inflating(|with| pack.header(*position, with)).map_err(failed),
            Place::Loose(loose) => {
                let found = loose.try_header(&object::to_gix(id)).map_err(|e| failed(e.to_string()))?;
                let (size, kind) = found.ok_or(ReadError::Missing(id))?;
                Ok((kind.into(), size))
            }
        }
    }

    fn inflating<T>(&self, read: impl FnOnce(&mut Inflater) -> T) -> T {
        let idle = self.idle.lock().expect("invariant: no panic under this lock").pop();
        let mut inflater = idle.unwrap_or_default();
        let answer = read(&mut inflater);
        let mut idle = self.idle.lock().expect("invariant: no panic under this lock");
        if idle.len() < IDLE {
            idle.push(inflater);
        }
        answer
    }

    pub(crate) fn recent(&self, id: Oid) -> Option<Object> {
        self.recent.read().expect("invariant: no panic under this lock").get(id).cloned()
    }
}

impl Objects for Store {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        if let Some(object) = self.recent(id) {
            return Ok(object);
        }
        self.at_place(id, |place| self.object_at(id, place))
    }

    fn contains(&self, id: Oid) -> bool {
        self.has_recent(id) || self.place(id).is_ok_and(|place| place.is_some())
    }

    fn size(&self, id: Oid) -> Result<u64, ReadError> {
        self.header(id)?.map(|(_, size)| size).ok_or(ReadError::Missing(id))
    }

    fn graph(&self) -> Option<Arc<Graph>> {
        let stamp = Stamp::of(&self.git_dir);
        let mut known = self.graph.lock().expect("invariant: no panic under this lock");
        if known.0 != stamp {
            let graph = Graph::open(&self.git_dir, &stamp, known.1.as_deref()).map(Arc::new);
            *known = (stamp, graph);
        }
        known.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::write::Builder;
    use crate::testing::Repo;

    fn put(repo: &Repo, n: usize) -> Oid {
        put_object(repo, n, &Object::new(Kind::Blob, n.to_string().into_bytes()))
    }

    fn put_object(repo: &Repo, n: usize, object: &Object) -> Oid {
        let mut builder = Builder::default();
        let id = object.id().expect("no collision");
        builder.add(id, object);
        let (pack, stem) = (builder.finish(), repo.git_dir().join(format!("objects/pack/pack-{n:040x}")));
        std::fs::write(stem.with_extension("idx"), &pack.index).expect("written");
        std::fs::write(stem.with_extension("pack"), &pack.pack).expect("written");
        id
    }

    #[test]
    fn commits_are_found_by_how_their_ids_begin_wherever_they_are() {
        let repo = Repo::bare();
        let store = repo.store();
        // Messages by which two ids begin alike.
        let [one, two] = [20220, 23740].map(|n| {
            let who = "a <a@b> 1700000000 +0000";
            let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
            let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{n}\n");
            Object::new(Kind::Commit, text.into_bytes())
        });
        let packed = put_object(&repo, 1, &one);
        let remembered = two.id().expect("no collision");
        store.remember([(remembered, two)]);
        let mut both = [packed, remembered];
        both.sort();
        assert_eq!(store.commits_beginning("d0abd85"), both);
        for id in both {
            assert_eq!(store.commits_beginning(&id.to_string()), [id]);
            assert_eq!(store.commits_beginning(&id.to_string()[..12]), [id]);
        }
        let blob = put(&repo, 2).to_string();
        for nothing in [&blob, &blob[..7], "0000000", "no hex", "d0a"] {
            assert_eq!(store.commits_beginning(nothing), [], "{nothing}");
        }
    }

    #[test]
    fn thousands_of_packs_are_read() {
        let repo = Repo::bare();
        let store = repo.store();
        let mut ids = Vec::new();
        for n in 0..1300 {
            ids.push(put(&repo, n));
            if n % 100 == 0 {
                assert!(ids.iter().step_by(37).chain(ids.last()).all(|id| store.contains(*id)), "after {n} packs");
            }
        }
        assert!(ids.iter().all(|id| store.contains(*id)));
        let fresh = repo.store();
        assert!(ids.iter().all(|id| fresh.contains(*id)));
    }

    #[test]
    fn an_index_that_is_written_again_leaves_its_readers_what_they_have() {
        let repo = Repo::bare();
        let store = repo.store();
        let ids: Vec<Oid> = (0..2).map(|n| put(&repo, n)).collect();
        assert!(ids.iter().all(|id| store.get(*id).is_ok()));
        let index = repo.git_dir().join(format!("objects/pack/pack-{:040x}.idx", 0));
        crate::disk::write_cache(&index, b"").expect("written");
        assert_eq!(std::fs::read(&index).expect("there"), b"");
        assert!(ids.iter().all(|id| store.get(*id).is_ok()));
        assert!(
            repo.store().get(ids[0]).is_err_and(|error| !matches!(error, ReadError::Missing(_))),
            "it cannot be told"
        );
    }

    /// A pack of `objects`, written as the ledger writes a batch (its index first), or as it writes what it merged.
    fn land(repo: &Repo, name: &str, objects: &[Object], is_merged: bool) {
        let mut builder = Builder::default();
        for object in objects {
            builder.add(object.id().expect("no collision"), object);
        }
        let (made, stem) = (builder.finish(), repo.git_dir().join("objects/pack").join(name));
        let file = |kind: &str, bytes: &[u8]| {
            let unnamed = repo.git_dir().join(format!("objects/pack/tmp_{name}_{kind}"));
            std::fs::write(&unnamed, bytes).expect("written");
            std::fs::rename(&unnamed, stem.with_extension(kind)).expect("renamed");
        };
        let (pack, index) = (|| file("pack", &made.pack), || file("idx", &made.index));
        if is_merged {
            pack();
            index();
        } else {
            index();
            pack();
        }
    }

    #[test]
    fn objects_are_found_while_packs_come_and_go_under_many_readers() {
        let repo = Repo::bare();
        let store = repo.store();
        let object = |n: usize| Object::new(Kind::Blob, n.to_string().into_bytes());
        let newest = std::sync::atomic::AtomicUsize::new(0);
        let done = AtomicBool::new(false);
        let missed = Mutex::new(Vec::new());
        land(&repo, &format!("pack-b{:039x}", 0), &[object(0)], false);
        std::thread::scope(|scope| {
            for reader in 0..8 {
                let (store, newest, done, missed) = (&store, &newest, &done, &missed);
                scope.spawn(move || {
                    let mut n: usize = reader;
                    while !done.load(Ordering::Relaxed) {
                        n = n.wrapping_mul(31).wrapping_add(7);
                        let there = newest.load(Ordering::SeqCst);
                        let wanted = if n.is_multiple_of(2) { there } else { n % (there + 1) };
                        let id = object(wanted).id().expect("no collision");
                        let read = if n.is_multiple_of(3) { store.contains(id) } else { store.get(id).is_ok() };
                        if !read {
                            missed.lock().expect("no panic").push(format!("{wanted} of {there}"));
                        }
                    }
                });
            }
            let mut apart: Vec<usize> = vec![0];
            for n in 1..1500 {
                // Each holds one that was there before, as a base that a thin pack did not bring.
                land(&repo, &format!("pack-b{n:039x}"), &[object(n), object(n / 2)], false);
                newest.store(n, Ordering::SeqCst);
                apart.push(n);
                if apart.len() == 20 {
                    let both = apart.iter().flat_map(|&n| [n, n / 2]).collect::<BTreeSet<_>>();
                    let all: Vec<Object> = both.into_iter().map(object).collect();
                    land(&repo, &format!("pack-m{n:039x}"), &all, true);
                    for n in apart.drain(..) {
                        let old = repo.git_dir().join(format!("objects/pack/pack-b{n:039x}.idx"));
                        std::fs::remove_file(&old).expect("removed");
                        std::fs::remove_file(old.with_extension("pack")).expect("removed");
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let missed = missed.into_inner().expect("no panic");
        assert!(missed.is_empty(), "{} misses: {missed:#?}", missed.len());
    }

    /// How many maps of files below `dir` this process has.
    fn maps(dir: &Path) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("this process");
        maps.lines().filter(|line| line.contains(&*dir.to_string_lossy())).count()
    }

    #[test]
    fn packs_that_are_let_go_are_closed_and_opened_again_by_the_next_read() {
        let repo = Repo::bare();
        let store = repo.store();
        let ids: Vec<Oid> = (0..4).map(|n| put(&repo, n)).collect();
        assert_eq!((store.last_read(1), maps(&repo.git_dir())), (None, 0));
        for round in [2, 4] {
            assert!(ids.iter().all(|id| store.get(*id).is_ok()));
            assert_eq!(store.packs().len(), 4);
            assert!(maps(&repo.git_dir()) >= 8);
            assert_eq!((store.last_read(round), store.last_read(round + 1)), (Some(round), Some(round)));
            store.let_go();
            assert_eq!((store.last_read(round + 1), maps(&repo.git_dir())), (None, 0));
        }
    }

    /// Blobs `from..to` in a pack of their own.
    fn put_many(repo: &Repo, from: u32, to: u32) -> Vec<Oid> {
        let mut builder = Builder::default();
        let mut one = |n: u32| {
            let object = Object::new(Kind::Blob, n.to_le_bytes().to_vec());
            let id = object.id().expect("no collision");
            builder.add(id, &object);
            id
        };
        let ids = (from..to).map(&mut one).collect();
        let (pack, stem) = (builder.finish(), repo.git_dir().join(format!("objects/pack/pack-{from:040x}")));
        std::fs::write(stem.with_extension("pack"), &pack.pack).expect("written");
        std::fs::write(stem.with_extension("idx"), &pack.index).expect("written");
        ids
    }

    /// One large pack and many of a batch's size, as merging leaves them.
    #[test]
    #[ignore = "a measurement: cargo test --release -p git store::tests::lookups -- --ignored --nocapture"]
    fn lookups() {
        let absent: Vec<Oid> = put_many(&Repo::bare(), 1_000_000, 1_002_000);
        let spread = |ids: &[Oid], seed: usize| -> Vec<Oid> {
            (0..2000).map(|n| ids[(n * 7919 + seed) * 104_729 % ids.len()]).collect()
        };
        for packs in [8, 32, 64, 128] {
            let repo = Repo::bare();
            let large = put_many(&repo, 0, 100_000);
            let small: Vec<Oid> =
                (1..packs).flat_map(|n| put_many(&repo, 100_000 + n * 400, 100_400 + n * 400)).collect();
            let store = repo.store();
            let opened = std::time::Instant::now();
            assert!(!store.contains(absent[0]));
            let opened = opened.elapsed();
            let timed = |ids: &[Oid], what: &dyn Fn(Oid) -> bool| {
                let began = std::time::Instant::now();
                let found = ids.iter().filter(|&&id| what(id)).count();
                (began.elapsed() / ids.len() as u32, found)
            };
            let known = store.known();
            let read = |id| store.get(id).is_ok();
            println!(
                "{packs} packs: first {opened:?}, in the large one {:?}, in small ones {:?}, absent {:?}, absent and looked for \
                 again {:?}",
                timed(&spread(&large, 1), &read),
                timed(&spread(&small, 2), &read),
                timed(&absent, &|id| known.kind(&store, id).is_some()),
                timed(&absent, &|id| store.contains(id)),
            );
        }
    }
}
