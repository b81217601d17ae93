//! Which objects are needed: everything that some of them reach, found by reading the objects themselves.
//!
//! Invariant: reads only, never recurses, and holds of each object found its id alone.

use notes_schema::Oid;

use super::object::{self, Kind, tag_target};
use super::select::ids::IdSet;
use super::select::trees::entries;
use super::store::{Objects, ReadError};

/// Most objects that one mark finds: each takes some twenty to forty bytes of memory.
/// Limit: objects of a repository whose orphans are collected | {}; a larger one keeps them
const MOST_MARKED: usize = 16 << 20;
/// Steps between two looks at whether to go on.
const PACE: u32 = 256;

/// Why it is not known what is needed.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// An object that something needs cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There are more than memory is given to.
    #[error("it reaches more than {MOST_MARKED} objects")]
    TooMany,
    /// Whoever asked wants it no more.
    #[error("it was stopped")]
    Stopped,
}

/// What was found to be needed.
#[derive(Debug, Default)]
pub struct Mark {
    seen: IdSet,
    /// Marked, and not looked into, for they were not there.
    missed: Vec<Oid>,
}

impl Mark {
    /// Whether an object is needed, as far as was looked.
    pub fn contains(&self, id: Oid) -> bool {
        self.seen.contains(&id)
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Marks one that is known to refer to nothing.
    pub fn leaf(&mut self, id: Oid) -> Result<(), MarkError> {
        self.seen.insert(id);
        if self.seen.len() > MOST_MARKED { Err(MarkError::TooMany) } else { Ok(()) }
    }

    /// Marks `root` and all that it reaches. What was marked before is not looked into again: whoever got an error throws
    /// the mark away.
    pub fn reach(&mut self, objects: &dyn Objects, root: Oid, go_on: &dyn Fn() -> bool) -> Result<(), MarkError> {
        self.walk(objects, root, false, go_on)
    }

    /// The same for what nothing needs, and which may refer to what is not there: so far as it is there. What comes later is
    /// looked into by [`Mark::look_again`].
    pub fn reach_what_is_there(
        &mut self,
        objects: &dyn Objects,
        root: Oid,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), MarkError> {
        self.walk(objects, root, true, go_on)
    }

    /// Looks into what was not there so far, and has come since: pushed again, with what it refers to, it is needed whole.
    pub fn look_again(&mut self, objects: &dyn Objects, go_on: &dyn Fn() -> bool) -> Result<(), MarkError> {
        for id in std::mem::take(&mut self.missed) {
            self.seen.remove(&id);
            self.reach_what_is_there(objects, id, go_on)?;
        }
        Ok(())
    }

    fn walk(
        &mut self,
        objects: &dyn Objects,
        root: Oid,
        lenient: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), MarkError> {
        let mut open: Vec<Oid> = Vec::new();
        self.find(root, &mut open)?;
        let mut ticks = 0u32;
        while let Some(id) = open.pop() {
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(PACE) && !go_on() {
                return Err(MarkError::Stopped);
            }
            let found = match objects.get(id) {
                Err(ReadError::Missing(_)) if lenient => {
                    self.missed.push(id);
                    continue;
                }
                found => found?,
            };
            let bad = |source| ReadError::Malformed { id, source };
            match found.kind {
                Kind::Blob => {}
                Kind::Tag => match tag_target(&found.data).map_err(bad)? {
                    (target, Kind::Blob) => self.leaf(target)?,
                    (target, _) => self.find(target, &mut open)?,
                },
                Kind::Commit => {
                    let (tree, parents, _) = object::read_links(&found.data).map_err(bad)?;
                    for next in std::iter::once(tree).chain(parents) {
                        self.find(next, &mut open)?;
                    }
                }
                Kind::Tree => {
                    for entry in entries(&found.data) {
                        let entry = entry.map_err(bad)?;
                        match entry.kind {
                            Some(Kind::Tree) => self.find(entry.id, &mut open)?,
                            Some(_) => self.leaf(entry.id)?,
                            // Of another repository.
                            None => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks an object that is to be looked into, unless it was.
    fn find(&mut self, id: Oid, open: &mut Vec<Oid>) -> Result<(), MarkError> {
        if self.seen.insert(id) {
            open.push(id);
        }
        if self.seen.len() > MOST_MARKED { Err(MarkError::TooMany) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Repo;

    #[test]
    fn it_finds_what_git_finds() {
        let repo = Repo::new();
        repo.write("a", "one\n");
        repo.write("dir/deep/b", "two\n");
        repo.commit("one");
        repo.git(&["tag", "-a", "-m", "a tag", "v1"]);
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("dir/c", "three\n");
        repo.commit("two");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("d", "four\n");
        repo.commit("three");
        repo.git(&["merge", "-q", "--no-edit", "side"]);
        repo.git(&["tag", "blob", "HEAD:d"]);
        let (store, go_on) = (repo.store(), || true);
        let all: BTreeSet<Oid> = repo.all_objects().into_iter().map(|(id, ..)| id).collect();
        for tips in [vec!["side"], vec!["v1"], vec!["main~1"], vec!["blob"], vec!["main", "v1", "side"]] {
            let mut mark = Mark::default();
            for tip in &tips {
                mark.reach(&store, repo.id(tip), &go_on).expect("complete");
            }
            let listed = repo.git(&[["rev-list", "--objects", "--no-object-names"].as_slice(), &tips].concat());
            let expected: BTreeSet<Oid> = listed.lines().map(|line| line.parse().expect("an id")).collect();
            let found: BTreeSet<Oid> = all.iter().copied().filter(|id| mark.contains(*id)).collect();
            assert_eq!(found, expected, "{tips:?}");
            assert_eq!(mark.len(), expected.len());
        }
    }

    #[test]
    fn a_hole_is_an_error_where_something_needs_it() {
        let repo = Repo::new();
        repo.write("dir/a", "one\n");
        repo.commit("one");
        let (tip, tree, blob) = (repo.id("HEAD"), repo.id("HEAD:dir"), repo.id("HEAD:dir/a"));
        let path = repo.git_dir().join("objects").join(&tree.to_string()[..2]).join(&tree.to_string()[2..]);
        let beside = repo.git_dir().join("beside");
        std::fs::rename(&path, &beside).expect("a loose object");
        let store = repo.store();
        let refused = Mark::default().reach(&store, tip, &|| true);
        assert!(matches!(refused, Err(MarkError::Read(ReadError::Missing(id))) if id == tree), "{refused:?}");
        let mut mark = Mark::default();
        mark.reach_what_is_there(&store, tip, &|| true).expect("the rest is there");
        assert!(mark.contains(tip) && mark.contains(repo.id("HEAD^{tree}")) && !mark.contains(blob));
        mark.look_again(&store, &|| true).expect("it is missing still");
        assert!(!mark.contains(blob));
        // Now something needs all of it, and the mark knows the tip already.
        std::fs::rename(beside, path).expect("it comes again");
        mark.look_again(&repo.store(), &|| true).expect("all is there");
        mark.reach(&repo.store(), tip, &|| true).expect("all is there");
        assert!(mark.contains(blob), "what is behind that which was missing is needed as well");
    }
}
