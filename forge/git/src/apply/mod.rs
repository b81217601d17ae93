//! Applies a patch to a tree, without a work tree and without an index.
//!
//! The one form that is read is what `git diff-tree -r -p --text --full-index --no-renames <tree> <tree>` prints: every
//! file is text, ids are whole, nothing is renamed or copied. Each section is held against the tree (mode and id before)
//! and against itself (id after), so that whatever does not fit is named by its path. [`apply_abbreviated`] takes ids as a
//! plain `git diff --no-renames` has them, and holds what there is of them against the same. [`lay_over`] takes some paths from
//! one tree into another, whatever stands there; [`put`] gives one file another content.
//!
//! Invariant: reads only; what it makes is handed back and stored nowhere. The patch may come from anybody: work and memory
//! are bounded by `room` before they are spent, nesting by a cap.

mod content;
mod onto;
mod parse;
mod put;

#[cfg(test)]
mod tests;

use notes_schema::Oid;

use crate::object::{self, Kind, Mode, Object};
use crate::store::{Objects, ReadError};

pub use onto::lay_over;
use parse::Section;
pub use put::put;

/// Most directories above a file.
/// Limit: directories above a file in a patch | {}
const DEEPEST: usize = 256;

/// Why a patch makes no tree of another.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not of the form that is read.
    #[error("line {line} of it {why}")]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// What is wrong, as the end of a sentence.
        why: &'static str,
    },
    /// It is a patch of another tree, or does not do what it says.
    #[error("at `{path}` {why}")]
    Unfit {
        /// Where.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An object that it rests on cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// More would have to be read and hashed than there is room for.
    #[error("it takes more reading and hashing than is allowed")]
    TooMuch,
}

/// What a patch made.
#[derive(Debug)]
pub struct Applied {
    /// The new tree.
    pub tree: Oid,
    /// The paths that it names, sorted.
    pub paths: Vec<Vec<u8>>,
    /// The objects that had to be made for it, some of which may have been there.
    pub made: Vec<(Oid, Object)>,
}

/// Applies `patch` to `tree`. `room` is how many bytes may be read and hashed; what it took is taken off.
pub fn apply<O: Objects + ?Sized>(objects: &O, tree: Oid, patch: &[u8], room: &mut u64) -> Result<Applied, ApplyError> {
    apply_sections(objects, tree, parse::sections(patch, false)?, room)
}

/// [`apply`] of a patch whose ids may be abbreviated.
pub fn apply_abbreviated<O: Objects + ?Sized>(
    objects: &O,
    tree: Oid,
    patch: &[u8],
    room: &mut u64,
) -> Result<Applied, ApplyError> {
    apply_sections(objects, tree, parse::sections(patch, true)?, room)
}

fn apply_sections<O: Objects + ?Sized>(
    objects: &O,
    tree: Oid,
    mut sections: Vec<Section>,
    room: &mut u64,
) -> Result<Applied, ApplyError> {
    // By their parts, so that what is below one directory stands together; a removal stays before what replaces it.
    sections.sort_by(|a, b| a.parts().cmp(b.parts()));
    let mut work = Work { objects, room, made: Vec::new() };
    let new = if sections.is_empty() { Some(tree) } else { work.directory(Some(tree), &sections, 0, 0)? };
    let new = match new {
        Some(new) => new,
        None => work.keep(Object::new(Kind::Tree, Vec::new()))?,
    };
    let mut paths: Vec<Vec<u8>> = sections.into_iter().map(|section| section.path.into_owned()).collect();
    paths.dedup();
    Ok(Applied { tree: new, paths, made: work.made })
}

/// The id that stands for no object.
const NOTHING: Oid = Oid::from_bytes([0; 20]);

/// What stands under a name.
type Entry = (Mode, Oid);

struct Work<'w, O: ?Sized> {
    objects: &'w O,
    room: &'w mut u64,
    made: Vec<(Oid, Object)>,
}

impl<O: Objects + ?Sized> Work<'_, O> {
    fn take(&mut self, bytes: u64) -> Result<(), ApplyError> {
        *self.room = self.room.checked_sub(bytes).ok_or(ApplyError::TooMuch)?;
        Ok(())
    }

    fn read(&mut self, id: Oid, kind: Kind) -> Result<bytes::Bytes, ApplyError> {
        // The size first: it is compared with the room before anything is allocated.
        let size = self.objects.size(id)?;
        self.take(size)?;
        Ok(self.objects.get_kind(id, kind)?.data)
    }

    fn keep(&mut self, object: Object) -> Result<Oid, ApplyError> {
        self.take(object.data.len() as u64)?;
        let id =
            object.id().map_err(|_| ApplyError::Unfit { path: String::new(), why: "is a collision".to_owned() })?;
        self.made.push((id, object));
        Ok(id)
    }

    /// The directory `old` after `sections`, whose names in it begin at byte `at` of their paths. `None` when it is empty.
    fn directory(
        &mut self,
        old: Option<Oid>,
        sections: &[Section],
        at: usize,
        depth: usize,
    ) -> Result<Option<Oid>, ApplyError> {
        if depth > DEEPEST {
            return Err(unfit(&sections[0], format!("it lies below more than {DEEPEST} directories")));
        }
        let data = old.map(|id| self.read(id, Kind::Tree)).transpose()?.unwrap_or_default();
        let groups: Vec<&[Section]> = sections.chunk_by(|a, b| a.name(at) == b.name(at)).collect();
        let mut there: Vec<Option<Entry>> = vec![None; groups.len()];
        each_entry(&data, old, |_, mode, name, id| {
            if let Ok(group) = groups.binary_search_by(|group| group[0].name(at).cmp(name)) {
                there[group] = Some((mode, id));
            }
        })?;
        let mut changed: Vec<(&[u8], Option<Entry>)> = Vec::with_capacity(groups.len());
        for (group, there) in groups.iter().zip(there) {
            changed.push((group[0].name(at), self.name(there, group, at, depth)?));
        }
        let new = rewrite(&data, old, changed)?;
        if new.is_empty() { Ok(None) } else { self.keep(Object::new(Kind::Tree, new)).map(Some) }
    }

    /// What stands under one name after the sections of it and of everything below it.
    fn name(
        &mut self,
        there: Option<Entry>,
        group: &[Section],
        at: usize,
        depth: usize,
    ) -> Result<Option<Entry>, ApplyError> {
        let name = group[0].name(at);
        let (of_it, below) = group.split_at(group.partition_point(|section| section.path.len() == at + name.len()));
        let (mut file, mut tree) = match there {
            Some((Mode::Tree, id)) => (None, Some(id)),
            file => (file, None),
        };
        let replaced = of_it.len() == 2 && of_it[0].removes() && !of_it[1].removes();
        if of_it.len() > 1 && !replaced {
            return Err(unfit(&group[0], "it stands there more than once".to_owned()));
        }
        for section in of_it {
            file = self.file(file, section)?;
        }
        if !below.is_empty() {
            tree = self.directory(tree, below, at + name.len() + 1, depth + 1)?;
        }
        match (file, tree) {
            (Some(_), Some(_)) => Err(unfit(&group[0], "it would be a file and a directory".to_owned())),
            (file, tree) => Ok(file.or(tree.map(|id| (Mode::Tree, id)))),
        }
    }

    /// What one section makes of what stands at its path.
    fn file(&mut self, there: Option<Entry>, section: &Section) -> Result<Option<Entry>, ApplyError> {
        // A section without an `index` line changes a mode alone.
        let (before, after) = section.sides(there);
        if before != there {
            return Err(unfit(section, format!("the tree has {}, and it is of {}", shown(there), shown(before))));
        }
        if section.hunks.is_empty() && before.map(|(_, id)| id) == after.map(|(_, id)| id) {
            return Ok(after);
        }
        let old = match before {
            None => bytes::Bytes::new(),
            Some((Mode::Submodule, id)) => content::of_submodule(id).into(),
            Some((_, id)) => self.read(id, Kind::Blob)?,
        };
        if *self.room < (old.len() + section.hunks.len()) as u64 {
            return Err(ApplyError::TooMuch);
        }
        let new = content::patched(&old, section.hunks).map_err(|why| unfit(section, why))?;
        let (mode, made) = match after {
            None if new.is_empty() => return Ok(None),
            None => return Err(unfit(section, "it removes the file and leaves some of it".to_owned())),
            Some((mode @ Mode::Submodule, id)) if new == content::of_submodule(id) => (mode, id),
            Some((Mode::Submodule, _)) => return Err(unfit(section, "it names two commits".to_owned())),
            Some((mode, _)) => (mode, self.keep(Object::new(Kind::Blob, new))?),
        };
        if after.is_some_and(|after| !section.says(after, made)) {
            return Err(unfit(section, format!("its lines make {}, and it says {}", made.short(), shown(after))));
        }
        Ok(Some((mode, made)))
    }
}

fn unfit(section: &Section, why: String) -> ApplyError {
    ApplyError::Unfit { path: String::from_utf8_lossy(&section.path).into_owned(), why }
}

fn shown(entry: Option<Entry>) -> String {
    entry.map_or("nothing".to_owned(), |(mode, id)| format!("{} {}", mode.as_str(), id.short()))
}

/// Shows each entry of a tree: its bytes, and what they say.
fn each_entry(data: &[u8], of: Option<Oid>, mut see: impl FnMut(&[u8], Mode, &[u8], Oid)) -> Result<(), ApplyError> {
    let mut rest = data;
    loop {
        let from = rest;
        let found = object::next_entry(&mut rest);
        let found = found.map_err(|source| ReadError::Malformed { id: of.unwrap_or(NOTHING), source })?;
        let Some((mode, name, id)) = found else { return Ok(()) };
        see(&from[..from.len() - rest.len()], mode, name, id);
    }
}

/// A tree's bytes with what changed in it: everything else is copied as it stands.
fn rewrite(data: &[u8], of: Option<Oid>, changed: Vec<(&[u8], Option<Entry>)>) -> Result<Vec<u8>, ApplyError> {
    let mut added: Vec<(&[u8], Entry)> = changed.iter().filter_map(|(name, new)| Some((*name, (*new)?))).collect();
    added.sort_by(|a, b| object::tree_order((a.0, a.1.0), (b.0, b.1.0)));
    let mut added = added.into_iter().peekable();
    let mut new = Vec::with_capacity(data.len());
    each_entry(data, of, |bytes, mode, name, _| {
        while let Some((other, entry)) =
            added.next_if(|(other, entry)| object::tree_order((other, entry.0), (name, mode)).is_lt())
        {
            object::write_entry(&mut new, entry.0, other, entry.1);
        }
        if changed.binary_search_by(|(other, _)| (*other).cmp(name)).is_err() {
            // As it stands: git spelled modes otherwise once.
            new.extend_from_slice(bytes);
        }
    })?;
    for (name, entry) in added {
        object::write_entry(&mut new, entry.0, name, entry.1);
    }
    Ok(new)
}
