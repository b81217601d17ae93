//! Trees with one level of fan-out (`ab/cdef…`), as trace months and notes use them: adding a file rewrites one small
//! subtree and the root.

use std::collections::BTreeMap;

use notes_schema::Oid;

use git::object::{Mode, Object, TreeEntry, tree};
use git::store::{Objects, ReadError};

/// A changed tree and the objects that it needs.
pub(crate) struct Change {
    /// The new root.
    pub tree: Oid,
    /// New trees, the root last.
    pub objects: Vec<(Oid, Object)>,
}

/// Adds `files` (hexadecimal name, blob) to the tree of the commit `before`; a file of that name is replaced.
pub(crate) fn add(store: &dyn Objects, before: Option<Oid>, files: Vec<(String, Oid)>) -> Result<Change, ReadError> {
    let mut root: BTreeMap<Vec<u8>, TreeEntry> = match before {
        Some(commit) => entries(store, store.commit(commit)?.tree)?,
        None => BTreeMap::new(),
    };
    let mut by_prefix: BTreeMap<Vec<u8>, Vec<(Vec<u8>, Oid)>> = BTreeMap::new();
    for (name, blob) in files {
        let (prefix, rest) = name.split_at(2);
        by_prefix.entry(prefix.as_bytes().to_vec()).or_default().push((rest.as_bytes().to_vec(), blob));
    }
    let mut objects = Vec::new();
    for (prefix, files) in by_prefix {
        let mut below = match root.get(&prefix) {
            Some(entry) => entries(store, entry.id)?,
            None => BTreeMap::new(),
        };
        for (name, id) in files {
            below.insert(name.clone(), TreeEntry { mode: Mode::File, name, id });
        }
        let id = keep(&mut objects, below)?;
        root.insert(prefix.clone(), TreeEntry { mode: Mode::Tree, name: prefix, id });
    }
    let tree = keep(&mut objects, root)?;
    Ok(Change { tree, objects })
}

/// The blob called `name` in the tree of the commit `at`.
pub(crate) fn find(store: &dyn Objects, at: Oid, name: &str) -> Result<Option<Oid>, ReadError> {
    let (prefix, rest) = name.split_at(2);
    let root = entries(store, store.commit(at)?.tree)?;
    let Some(below) = root.get(prefix.as_bytes()) else { return Ok(None) };
    Ok(entries(store, below.id)?.get(rest.as_bytes()).map(|entry| entry.id))
}

/// All files of the tree of the commit `at`, by hexadecimal name.
pub(crate) fn files(store: &dyn Objects, at: Oid) -> Result<BTreeMap<String, Oid>, ReadError> {
    let mut files = BTreeMap::new();
    for (prefix, below) in entries(store, store.commit(at)?.tree)? {
        for (rest, entry) in entries(store, below.id)? {
            files.insert(String::from_utf8_lossy(&[&prefix[..], &rest[..]].concat()).into_owned(), entry.id);
        }
    }
    Ok(files)
}

fn entries(store: &dyn Objects, id: Oid) -> Result<BTreeMap<Vec<u8>, TreeEntry>, ReadError> {
    Ok(store.tree(id)?.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
}

fn keep(objects: &mut Vec<(Oid, Object)>, entries: BTreeMap<Vec<u8>, TreeEntry>) -> Result<Oid, ReadError> {
    let object = tree(entries.into_values().collect());
    let collides = |_| ReadError::Store { id: Oid::from_bytes([0; 20]), why: "a tree that collides".to_owned() };
    let id = object.id().map_err(collides)?;
    objects.push((id, object));
    Ok(id)
}
