//! Objects that were taken but have not landed.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use notes_schema::Oid;

use super::landing::{Directory, LandablePack};
use super::links::{Link, Links};
use super::{Entry, Intake, PackError, dotfiles, spool};
use crate::object::{Kind, Object};
use crate::store::{Objects, ReadError, Store};

/// The objects of one push, visible to whoever judges it and to nobody else. Dropping it forgets them.
pub struct Quarantine {
    place: Place,
    bytes: u64,
    /// What the objects refer to outside of the quarantine.
    outside: Vec<Link>,
}

enum Place {
    Memory { objects: Vec<(Oid, Object)>, at: HashMap<Oid, usize> },
    Directory(Box<Directory>),
}

/// How the objects of a quarantine come to stay.
pub enum Kept {
    /// Few: add them to the batch's own pack. In the order in which they came.
    Memory(Vec<(Oid, Object)>),
    /// Many: a pack of its own that has to land before the batch.
    Directory(LandablePack),
}

impl Quarantine {
    /// Without any object: for a push that only deletes, or names what is here already.
    pub fn empty() -> Self {
        Quarantine { place: Place::Memory { objects: Vec::new(), at: HashMap::new() }, bytes: 0, outside: Vec::new() }
    }

    /// Of objects made here, for example by a command. Their references are taken as complete.
    pub fn of(objects: Vec<(Oid, Object)>) -> Self {
        let bytes = objects.iter().map(|(_, object)| object.data.len() as u64).sum();
        let at = objects.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        Quarantine { place: Place::Memory { objects, at }, bytes, outside: Vec::new() }
    }

    /// Closes an intake whose entries are all named: `thin` lists the bases that have to come from the store.
    pub(super) fn settle(mut intake: Intake<'_>, thin: &[Oid]) -> Result<Self, PackError> {
        let bytes = intake.spool.len();
        let place = match intake.kept.take() {
            Some(kept) => Place::memory(&intake.entries, kept),
            None => {
                let (dir, file) =
                    intake.spool.into_file().map_err(PackError::Disk)?.expect("invariant: kept or spooled");
                let entries = std::mem::take(&mut intake.entries);
                let mut directory = Directory::new(dir, file, bytes, entries, intake.checksum, intake.limits);
                directory.complete(thin, intake.store)?;
                Place::Directory(Box::new(directory))
            }
        };
        let mut quarantine = Quarantine { place, bytes, outside: Vec::new() };
        if intake.limits.strict {
            quarantine.check_special(&intake.links, intake.store)?;
        }
        quarantine.outside = intake.links.outside(|id| quarantine.kind(id))?;
        Ok(quarantine)
    }

    /// Files whose content git itself obeys, wherever a new tree names them.
    fn check_special(&self, links: &Links, store: &Store) -> Result<(), PackError> {
        type Check = fn(&[u8]) -> Result<(), super::fsck::Fault>;
        let modules: Check = dotfiles::check_modules;
        let attributes: Check = dotfiles::check_attributes;
        let all =
            links.modules.iter().map(|id| (id, modules)).chain(links.attributes.iter().map(|id| (id, attributes)));
        for (&id, check) in all {
            let found = match self.read(id)? {
                Some(object) => object,
                // What neither side has is a hole, which the check for completeness names.
                None => match store.get(id) {
                    Ok(object) => object,
                    Err(ReadError::Missing(_)) => continue,
                    Err(e) => return Err(PackError::Store(e)),
                },
            };
            if found.kind == Kind::Blob {
                check(&found.data).map_err(|(rule, why)| PackError::Malformed { id, kind: Kind::Blob, rule, why })?;
            }
        }
        Ok(())
    }

    /// The object, when it is here and can be read.
    pub fn get(&self, id: Oid) -> Option<Object> {
        self.read(id).ok().flatten()
    }

    /// The object, when it is here.
    pub(super) fn read(&self, id: Oid) -> Result<Option<Object>, ReadError> {
        match &self.place {
            Place::Memory { objects, at } => Ok(at.get(&id).map(|at| objects[*at].1.clone())),
            Place::Directory(directory) => directory.get(id),
        }
    }

    /// What the object is, when it is here.
    pub fn kind(&self, id: Oid) -> Option<Kind> {
        match &self.place {
            Place::Memory { objects, at } => at.get(&id).map(|at| objects[*at].1.kind),
            Place::Directory(directory) => directory.kind(id),
        }
    }

    /// Whether the object is here.
    pub fn contains(&self, id: Oid) -> bool {
        self.kind(id).is_some()
    }

    /// How many objects are here.
    pub fn len(&self) -> usize {
        match &self.place {
            Place::Memory { objects, .. } => objects.len(),
            Place::Directory(directory) => directory.len(),
        }
    }

    /// Whether no object is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all objects, in the order in which they came.
    pub fn ids(&self) -> Box<dyn Iterator<Item = Oid> + '_> {
        match &self.place {
            Place::Memory { objects, .. } => Box::new(objects.iter().map(|(id, _)| *id)),
            Place::Directory(directory) => Box::new(directory.ids()),
        }
    }

    /// How many bytes were sent for it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Everything its objects refer to that is not among them.
    pub(crate) fn outside(&self) -> &[Link] {
        &self.outside
    }

    /// Hands over what is here, to make it stay.
    pub fn into_kept(self) -> Kept {
        match self.place {
            Place::Memory { objects, .. } => Kept::Memory(objects),
            Place::Directory(directory) => Kept::Directory(LandablePack::new(directory)),
        }
    }
}

impl Place {
    fn memory(entries: &[Entry], kept: Vec<Option<Object>>) -> Place {
        let objects: Vec<(Oid, Object)> =
            entries.iter().zip(kept).filter_map(|(entry, object)| Some((entry.id, object?))).collect();
        debug_assert_eq!(objects.len(), entries.len());
        let at = objects.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        Place::Memory { objects, at }
    }
}

/// A repository as it would be with the quarantine in it.
pub struct Overlay<'a> {
    /// Looked into first.
    pub quarantine: &'a Quarantine,
    /// Looked into next.
    pub store: &'a Store,
}

impl Objects for Overlay<'_> {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        match self.quarantine.read(id)? {
            Some(object) => Ok(object),
            None => self.store.get(id),
        }
    }

    fn contains(&self, id: Oid) -> bool {
        self.quarantine.contains(id) || self.store.contains(id)
    }

    fn size(&self, id: Oid) -> Result<u64, ReadError> {
        match self.quarantine.read(id)? {
            Some(object) => Ok(object.data.len() as u64),
            None => self.store.size(id),
        }
    }

    fn graph(&self) -> Option<std::sync::Arc<crate::graph::Graph>> {
        self.store.graph()
    }
}

/// Removes what packs under way left below `git_dir` when a server was killed. Only before any push is taken.
pub fn remove_stale(git_dir: &Path) -> std::io::Result<()> {
    remove_older(git_dir, Duration::ZERO)
}

/// The same for a directory in which another server may take pushes: only what is older than `age`.
pub fn remove_older(git_dir: &Path, age: Duration) -> std::io::Result<()> {
    let is_old = |entry: &std::fs::DirEntry| -> std::io::Result<bool> {
        Ok(age.is_zero() || entry.metadata()?.modified()?.elapsed().is_ok_and(|since| since > age))
    };
    for entry in std::fs::read_dir(git_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.as_encoded_bytes().starts_with(spool::PREFIX.as_bytes()) && entry.file_type()?.is_dir();
        if ours && is_old(&entry)? {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
