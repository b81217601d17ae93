//! What a merge would make, by each strategy, in memory.
//!
//! Invariant: reads only. What it made is written by whoever lands it, if nothing moved meanwhile.

use std::collections::HashMap;

use hooks::gate::Mergeability;
use hooks::policy::{self, Policy, Strategy};
use notes_schema::Oid;

use git::history;
use git::merge::{self, MergeError};
use git::object::{Kind, Mode, Object};
use git::store::{Objects, Over, ReadError, Store};

/// Most commits that a rebase makes again.
/// Limit: commits that a rebase makes again | {}
const MOST_PICKED: usize = 256;

/// What would land.
#[derive(Debug, Clone)]
pub struct Landing {
    /// What it was made upon.
    pub onto: Oid,
    /// How.
    pub strategy: Strategy,
    /// The tree of what would land.
    pub tree: Oid,
    /// Its trees and blobs that are not in the store yet.
    pub objects: Vec<(Oid, Object)>,
    /// Of a rebase: each commit to be made again, and the tree that it gets; none where nothing needs to be.
    pub picks: Vec<(Oid, Oid)>,
}

/// Why nothing can land that way.
#[derive(Debug, thiserror::Error)]
pub enum CannotLand {
    /// The merge itself.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A rebase of what cannot be rebased.
    #[error("{0}")]
    NoRebase(String),
}

/// Makes what `head` upon `onto` would be.
pub fn land(store: &Store, onto: Oid, head: Oid, strategy: Strategy) -> Result<Landing, CannotLand> {
    let landing = |tree, objects, picks| Landing { onto, strategy, tree, objects, picks };
    let ahead = history::is_ancestor(store, onto, head)?;
    match strategy {
        Strategy::Merge | Strategy::Squash if ahead => Ok(landing(store.commit(head)?.tree, Vec::new(), Vec::new())),
        Strategy::Merge | Strategy::Squash => {
            let merged = merge::merge(store, onto, head)?;
            Ok(landing(merged.tree, merged.objects, Vec::new()))
        }
        Strategy::Rebase => {
            let commits = line(store, onto, head)?;
            if ahead {
                return Ok(landing(store.commit(head)?.tree, Vec::new(), Vec::new()));
            }
            let picked = merge::pick(store, onto, &commits)?;
            let mut before = store.commit(onto)?.tree;
            let mut picks: Vec<(Oid, Oid)> = commits.into_iter().zip(picked.trees).collect();
            // What the target has already is not made again.
            picks.retain(|(_, tree)| std::mem::replace(&mut before, *tree) != *tree);
            if picks.is_empty() {
                return Err(CannotLand::NoRebase("its target has all of its changes already".to_owned()));
            }
            Ok(landing(before, picked.objects, picks))
        }
    }
}

/// The commits of `head` that `onto` lacks, oldest first, where they are one line.
fn line(store: &Store, onto: Oid, head: Oid) -> Result<Vec<Oid>, CannotLand> {
    let commits = history::range(store, head, &[onto], MOST_PICKED + 1)?;
    if commits.len() > MOST_PICKED {
        return Err(CannotLand::NoRebase(format!("it has more than {MOST_PICKED} commits")));
    }
    if let Some((id, _)) = commits.iter().find(|(_, commit)| commit.parents.len() != 1) {
        return Err(CannotLand::NoRebase(format!("its commit {} is a merge, or the first of a history", id.short())));
    }
    Ok(commits.into_iter().rev().map(|(id, _)| id).collect())
}

impl Landing {
    /// How the gate sees it.
    pub(super) fn judged(&self, objects: &dyn Objects, base: &policy::Base) -> Result<hooks::gate::Landing, ReadError> {
        let made: HashMap<Oid, Object> = self.objects.iter().cloned().collect();
        let both = Over { made: &made, below: objects };
        let file = policy_file(&both, self.tree)?;
        let other = file.filter(|(blob, _)| base.blob != Some(*blob));
        let broken_policy = other.and_then(|(_, bytes)| Policy::parse(&bytes).err());
        Ok(hooks::gate::Landing { tree: self.tree, broken_policy })
    }
}

/// Whether what would land can.
pub(super) fn mergeability(landing: &Result<Landing, CannotLand>) -> Mergeability {
    match landing {
        Ok(_) => Mergeability::Clean,
        Err(CannotLand::Merge(MergeError::Conflicts { paths })) => Mergeability::Conflicts(paths.clone()),
        Err(error) => Mergeability::Unknown(error.to_string()),
    }
}

/// The policy in a tree.
pub(super) fn policy_file<O: Objects + ?Sized>(
    objects: &O,
    tree: Oid,
) -> Result<Option<(Oid, bytes::Bytes)>, ReadError> {
    match history::entry_at(objects, tree, policy::PATH)? {
        // Whatever else stands there is read as a policy too, and refused as one.
        Some(entry) if entry.mode == Mode::Submodule => Ok(Some((entry.id, bytes::Bytes::from_static(b"is no file")))),
        Some(entry) => match objects.get(entry.id)? {
            object if object.kind == Kind::Blob => Ok(Some((entry.id, object.data))),
            _ => Ok(Some((entry.id, bytes::Bytes::from_static(b"is no file")))),
        },
        None => Ok(None),
    }
}
