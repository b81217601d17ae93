//! What changed between two trees, and how that looks as text.
//!
//! Invariant: reads only; answers are bounded by what the caller allows.

pub(crate) mod patch;
mod rename;

use std::cmp::Ordering;

use notes_schema::Oid;

use super::object::{Mode, TreeEntry};
use super::store::{Objects, ReadError};
use super::trail::{Standing, Trail};

pub use patch::{Blanks, Patch, Totals, numstat, unified, unified_where};
pub use rename::{source_of, with_renames};

/// Deepest directory that is looked into.
/// Limit: directories that a diff goes down | {}
const DEEPEST: usize = 1024;

/// One path that differs. At least one side is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, names joined by slashes.
    pub path: Vec<u8>,
    /// What stood there.
    pub old: Option<(Mode, Oid)>,
    /// What stands there now.
    pub new: Option<(Mode, Oid)>,
    /// Where the file was before, when it was renamed; see [`with_renames`].
    pub from: Option<Source>,
}

/// What a renamed file was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path.
    pub path: Vec<u8>,
    /// How much of it is left.
    pub percent: u8,
}

impl Change {
    /// The path for people: bytes that are no UTF-8 are replaced.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// Why trees could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Directories are nested too deeply.
    #[error("directories are nested more than {DEEPEST} deep")]
    TooDeep,
}

/// One directory being compared.
struct Level {
    /// Its path, with a slash at the end where it is not the root.
    prefix: Vec<u8>,
    old: std::vec::IntoIter<TreeEntry>,
    new: std::vec::IntoIter<TreeEntry>,
}

impl Level {
    fn open<O: Objects + ?Sized>(
        objects: &O,
        prefix: Vec<u8>,
        old: Option<Oid>,
        new: Option<Oid>,
    ) -> Result<Level, ReadError> {
        let list = |tree: Option<Oid>| tree.map_or(Ok(Vec::new()), |tree| objects.tree(tree));
        Ok(Level { prefix, old: list(old)?.into_iter(), new: list(new)?.into_iter() })
    }

    /// The next name on either side, with what stands there.
    fn next(&mut self) -> Option<(Option<TreeEntry>, Option<TreeEntry>)> {
        let order = match (self.old.as_slice().first(), self.new.as_slice().first()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => in_tree(old).cmp(in_tree(new)),
        };
        Some(match order {
            Ordering::Less => (self.old.next(), None),
            Ordering::Greater => (None, self.new.next()),
            Ordering::Equal => (self.old.next(), self.new.next()),
        })
    }
}

/// Where a tree sorts an entry: directories as if their names ended with a slash.
fn in_tree(entry: &TreeEntry) -> impl Iterator<Item = u8> + '_ {
    entry.name.iter().copied().chain((entry.mode == Mode::Tree).then_some(b'/'))
}

/// The first `limit` files that differ between two trees, sorted as git sorts them. To learn whether there are more, ask
/// for one more. `None` is the empty tree.
pub fn changed_paths<O: Objects + ?Sized>(
    objects: &O,
    old_tree: Option<Oid>,
    new_tree: Option<Oid>,
    limit: usize,
) -> Result<Vec<Change>, DiffError> {
    compare(objects, Vec::new(), old_tree, new_tree, limit)
}

/// [`changed_paths`] at or below `path` (names joined by slashes).
pub fn changed_below<O: Objects + ?Sized>(
    objects: &O,
    old_tree: Oid,
    new_tree: Oid,
    path: &[u8],
    limit: usize,
) -> Result<Vec<Change>, DiffError> {
    let end = |tree| Ok::<_, ReadError>(Trail::walk(objects, tree, path, None)?.end());
    let (old, new) = (end(old_tree)?, end(new_tree)?);
    if old == new {
        return Ok(Vec::new());
    }
    let directory = |side: Standing| side.filter(|(mode, _)| *mode == Mode::Tree).map(|(_, id)| id);
    let other = |side: Standing| side.filter(|(mode, _)| *mode != Mode::Tree);
    let mut changes = Vec::new();
    if other(old).is_some() || other(new).is_some() {
        changes.push(Change { path: path.to_owned(), old: other(old), new: other(new), from: None });
    }
    let left = limit.saturating_sub(changes.len());
    changes.extend(compare(objects, [path, b"/"].concat(), directory(old), directory(new), left)?);
    Ok(changes)
}

fn compare<O: Objects + ?Sized>(
    objects: &O,
    prefix: Vec<u8>,
    old_tree: Option<Oid>,
    new_tree: Option<Oid>,
    limit: usize,
) -> Result<Vec<Change>, DiffError> {
    let mut changes = Vec::new();
    if old_tree == new_tree {
        return Ok(changes);
    }
    let mut levels = vec![Level::open(objects, prefix, old_tree, new_tree)?];
    while let Some(level) = levels.last_mut() {
        if changes.len() >= limit {
            break;
        }
        let Some((old, new)) = level.next() else {
            levels.pop();
            continue;
        };
        let side = |entry: &Option<TreeEntry>| entry.as_ref().map(|entry| (entry.mode, entry.id));
        let (old_side, new_side) = (side(&old), side(&new));
        let Some(name) = old.or(new).map(|entry| entry.name) else {
            continue;
        };
        if old_side == new_side {
            continue;
        }
        let mut path = [level.prefix.as_slice(), &name].concat();
        let directory = |side: Option<(Mode, Oid)>| side.filter(|(mode, _)| *mode == Mode::Tree).map(|(_, id)| id);
        if directory(old_side).is_none() && directory(new_side).is_none() {
            changes.push(Change { path, old: old_side, new: new_side, from: None });
            continue;
        }
        path.push(b'/');
        if levels.len() >= DEEPEST {
            return Err(DiffError::TooDeep);
        }
        levels.push(Level::open(objects, path, directory(old_side), directory(new_side))?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
