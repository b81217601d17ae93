//! Everything below a tree, in the order in which git lists it.
//!
//! Invariant: reads only, never recurses, and holds one tree for each directory on the way. A directory that lies too deep is
//! named, not entered, and counted.

use notes_schema::Oid;

use super::object::{Mode, TreeEntry};
use super::store::{Objects, ReadError};

/// Deepest directory that is entered.
/// Limit: directories in each other that a walk over files enters | {}; what lies deeper is counted
const DEEPEST: usize = 512;
/// Longest path.
/// Limit: path of a file that a walk over files meets | {:bytes}
const LONGEST: usize = 16 << 10;

/// A walk: every entry with its path, a directory before what is in it.
pub struct Below<'o, O: ?Sized> {
    objects: &'o O,
    levels: Vec<(Vec<u8>, std::vec::IntoIter<TreeEntry>)>,
    begin: Option<(Vec<u8>, Oid)>,
    too_deep: usize,
}

impl<'o, O: Objects + ?Sized> Below<'o, O> {
    /// Below `tree`, which stands at `path` (empty for the root).
    pub fn new(objects: &'o O, path: &[u8], tree: Oid) -> Self {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        Below { objects, levels: Vec::new(), begin: Some((prefix, tree)), too_deep: 0 }
    }

    /// How many directories were not entered so far, because they lie too deep.
    pub fn too_deep(&self) -> usize {
        self.too_deep
    }

    fn enter(&mut self, prefix: Vec<u8>, tree: Oid) -> Result<(), ReadError> {
        if self.levels.len() >= DEEPEST || prefix.len() > LONGEST {
            self.too_deep += 1;
            return Ok(());
        }
        let entries = self.objects.tree(tree)?;
        self.levels.push((prefix, entries.into_iter()));
        Ok(())
    }
}

impl<O: Objects + ?Sized> Iterator for Below<'_, O> {
    type Item = Result<(Vec<u8>, TreeEntry), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((prefix, tree)) = self.begin.take()
            && let Err(error) = self.enter(prefix, tree)
        {
            return Some(Err(error));
        }
        while let Some((prefix, entries)) = self.levels.last_mut() {
            let Some(entry) = entries.next() else {
                self.levels.pop();
                continue;
            };
            let path = [&prefix[..], &entry.name].concat();
            if entry.mode == Mode::Tree
                && let Err(error) = self.enter([&path[..], b"/"].concat(), entry.id)
            {
                self.levels.clear();
                return Some(Err(error));
            }
            return Some(Ok((path, entry)));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::object::{Kind, Object, tree};
    use crate::store::Over;
    use crate::testing::Repo;

    #[test]
    fn it_is_what_git_lists() {
        let repo = Repo::new();
        for path in ["a/b/f", "a.txt", "a/l", "c/g"] {
            repo.write(path, path);
        }
        let tip = repo.commit("files");
        let theirs = repo.git(&["ls-tree", "-r", "-t", "--format=%(objectname) %(path)", "HEAD"]);
        let store = repo.store();
        let tree = store.commit(tip).unwrap().tree;
        let ours: Vec<String> = Below::new(&store, b"", tree)
            .map(|found| {
                found.map(|(path, entry)| format!("{} {}", entry.id, String::from_utf8(path).unwrap())).unwrap()
            })
            .collect();
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
    }

    #[test]
    fn a_chain_of_directories_has_an_end() {
        let mut made: HashMap<Oid, Object> = HashMap::new();
        let mut inner = tree(Vec::new());
        for _ in 0..DEEPEST + 2 {
            let id = inner.id().unwrap();
            made.insert(id, inner);
            inner = tree(vec![TreeEntry { mode: Mode::Tree, name: b"d".to_vec(), id }]);
        }
        let top = inner.id().unwrap();
        made.insert(top, inner);
        let repo = Repo::new();
        let store = repo.store();
        let objects = Over { made: &made, below: &store };
        let mut below = Below::new(&objects, b"", top);
        let all = below.by_ref().filter(Result::is_ok).count();
        assert_eq!((all, below.too_deep()), (DEEPEST, 1), "the last one is named, and not entered");
        assert_eq!(objects.get(top).unwrap().kind, Kind::Tree);
    }
}
