//! Trees, read entry by entry without a copy, and two of them side by side.
//!
//! Invariant: a tree that is not sorted, or that a careless program wrote, may cost objects sent twice and never one that
//! is missing.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use notes_schema::Oid;

use super::ids::IdMap;
use crate::object::{Kind, Malformed};
use crate::store::{Objects as _, ReadError, Store};

/// How many bytes of trees are kept, twice.
/// Limit: trees that a fetch keeps, twice | {:bytes}
const KEPT: usize = 4 << 20;

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The object.
    pub id: Oid,
    /// What it is; nothing of ours where it is the commit of a submodule.
    pub kind: Option<Kind>,
}

/// The entries of a tree.
pub struct Entries<'a>(&'a [u8]);

/// Reads the entries of the tree `data`.
pub fn entries(data: &[u8]) -> Entries<'_> {
    Entries(data)
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = read(self.0);
        self.0 = match &read {
            Some((_, rest)) => rest,
            None => &[],
        };
        Some(read.map(|(entry, _)| entry).ok_or(Malformed { kind: "tree", why: "an entry without mode, name or id" }))
    }
}

fn read(data: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let space = data.iter().take(12).position(|&b| b == b' ')?;
    let octal = |n: u32, &b: &u8| Some(n * 8 + char::from(b).to_digit(8)?);
    let mode = data[..space].iter().try_fold(0, octal)?;
    let rest = &data[space + 1..];
    let end = rest.iter().position(|&b| b == 0)?;
    let id = rest.get(end + 1..end + 21).and_then(Oid::from_slice)?;
    let kind = match mode & 0o170_000 {
        0o040_000 => Some(Kind::Tree),
        0o160_000 => None,
        _ => Some(Kind::Blob),
    };
    Some((Entry { name: &rest[..end], id, kind }, &rest[end + 21..]))
}

/// How git sorts: a directory as if its name ended in a slash.
fn compare(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    let common = a.name.len().min(b.name.len());
    let end = |entry: &Entry<'_>| match entry.name.get(common) {
        Some(&byte) => byte,
        None if entry.kind == Some(Kind::Tree) => b'/',
        None => 0,
    };
    a.name[..common].cmp(&b.name[..common]).then_with(|| end(a).cmp(&end(b)))
}

/// Goes through `new`, and shows for each entry what has its name and kind in `old`.
pub fn beside<'n, E: From<Malformed>>(
    old: Option<&[u8]>,
    new: &'n [u8],
    mut each: impl FnMut(Entry<'n>, Option<Oid>) -> Result<(), E>,
) -> Result<(), E> {
    // What an old tree holds that cannot be read resembles nothing.
    let mut before = entries(old.unwrap_or(&[])).map_while(Result::ok).peekable();
    for entry in entries(new) {
        let entry = entry?;
        while before.peek().is_some_and(|old| compare(old, &entry) == Ordering::Less) {
            before.next();
        }
        let same = before.peek().filter(|old| old.name == entry.name && old.kind == entry.kind);
        each(entry, same.map(|old| old.id))?;
    }
    Ok(())
}

/// Reads trees and keeps the latest.
pub struct Trees {
    store: Arc<Store>,
    young: IdMap<Bytes>,
    old: IdMap<Bytes>,
    bytes: usize,
}

impl Trees {
    /// Of the repository behind `store`.
    pub fn new(store: Arc<Store>) -> Trees {
        Trees { store, young: IdMap::default(), old: IdMap::default(), bytes: 0 }
    }

    /// The objects that these trees are among.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The content of the tree `id`.
    pub fn get(&mut self, id: Oid) -> Result<Bytes, ReadError> {
        if let Some(data) = self.young.get(&id) {
            return Ok(data.clone());
        }
        let data = match self.old.remove(&id) {
            Some(data) => data,
            None => self.store.get_kind(id, Kind::Tree)?.data,
        };
        if self.bytes > KEPT {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += data.len() + 128;
        self.young.insert(id, data.clone());
        Ok(data)
    }

    /// The trees that are kept.
    pub fn into_read(mut self) -> IdMap<Bytes> {
        self.young.extend(self.old);
        self.young
    }

    /// The content of the tree `id`, which a client has and we may lack.
    pub fn find(&mut self, id: Oid) -> Option<Bytes> {
        self.get(id).ok()
    }
}
