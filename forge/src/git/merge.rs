//! Three-way merge of two commits, in memory.
//!
//! Deterministic: the same two commits give the same tree on every machine, because neither configuration nor attributes
//! nor whatever `HEAD` names take part. No driver, filter or other program is ever started.
//!
//! Invariant: nothing is written to disk.

use std::collections::{BTreeSet, HashSet};

use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::plumbing::tree::TreatAsUnresolved;
use notes_schema::Oid;

use super::object::{self, Kind, Object};
use super::store::{Objects as _, Store};

/// Largest file that is merged by lines, in bytes; larger ones conflict when both sides changed them.
const LARGEST_TEXT: u64 = 16 << 20;
/// Most files on either side that are compared with each other to find renames with changes.
const RENAMES: usize = 200;

/// A merge that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The merged tree.
    pub tree: Oid,
    /// Its trees and blobs that the store does not have yet.
    pub objects: Vec<(Oid, Object)>,
}

/// Why two commits were not merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Both sides changed the same thing.
    #[error("both sides changed {}", paths.join(", "))]
    Conflicts {
        /// The files, sorted.
        paths: Vec<String>,
    },
    /// There is no common ancestor.
    #[error("{ours} and {theirs} have no common ancestor")]
    Unrelated {
        /// One.
        ours: Oid,
        /// The other.
        theirs: Oid,
    },
    /// The merge itself failed.
    #[error("{ours} and {theirs} cannot be merged: {why}")]
    Failed {
        /// One.
        ours: Oid,
        /// The other.
        theirs: Oid,
        /// What gix says.
        why: String,
    },
}

/// Merges `theirs` into `ours`. Whether one is an ancestor of the other is not looked at.
pub fn merge(store: &Store, ours: Oid, theirs: Oid) -> Result<Merged, MergeError> {
    let failed = |why: String| MergeError::Failed { ours, theirs, why };
    match super::history::merge_base(store, ours, theirs) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(MergeError::Unrelated { ours, theirs }),
        Err(e) => return Err(failed(e.to_string())),
    }
    let mut repository = store.gix().with_object_memory();
    repository.object_cache_size_if_unset(4 << 20);
    let mut graph = repository.revision_graph(None);
    let labels = Labels { ancestor: None, current: Some("ours".into()), other: Some("theirs".into()) };
    let outcome = gix::merge::plumbing::commit(
        object::to_gix(ours),
        object::to_gix(theirs),
        labels,
        &mut graph,
        &mut diff_platform(store),
        &mut merge_platform(store),
        &repository,
        &mut |id| id.to_string(),
        options(),
    )
    .map_err(|e| failed(e.to_string()))?;
    let mut merge = outcome.tree_merge;
    let git = TreatAsUnresolved::git();
    let mut paths = BTreeSet::new();
    for conflict in merge.conflicts.iter().filter(|conflict| conflict.is_unresolved(git)) {
        for change in [&conflict.ours, &conflict.theirs] {
            paths.insert(String::from_utf8_lossy(change.location()).into_owned());
        }
    }
    if !paths.is_empty() {
        return Err(MergeError::Conflicts { paths: paths.into_iter().collect() });
    }
    let written = merge.tree.write(|tree| gix::objs::Write::write(&repository, tree)).map_err(|e| failed(e.to_string()))?;
    let tree = object::from_gix(&written);
    drop((merge, graph));
    let made = repository.objects.take_object_memory().unwrap_or_default();
    let made = |id: Oid| made.get(&object::to_gix(id)).map(|(kind, data)| Object::new(Kind::from(*kind), data.clone()));
    Ok(Merged { tree, objects: new_objects(store, tree, made).map_err(|e| failed(e.to_string()))? })
}

/// What is reachable from `tree` and not in the store, parents before children.
fn new_objects(
    store: &Store,
    tree: Oid,
    made: impl Fn(Oid) -> Option<Object>,
) -> Result<Vec<(Oid, Object)>, object::Malformed> {
    let mut objects = Vec::new();
    let mut seen = HashSet::from([tree]);
    let mut open = vec![tree];
    while let Some(id) = open.pop() {
        // What was not made just now was there before, and so was everything below it.
        let Some(object) = made(id).filter(|_| !store.contains(id)) else { continue };
        if object.kind == Kind::Tree {
            open.extend(object::read_tree(&object.data)?.into_iter().map(|e| e.id).filter(|id| seen.insert(*id)));
        }
        objects.push((id, object));
    }
    Ok(objects)
}

fn options() -> gix::merge::plumbing::commit::Options {
    let text = gix::merge::blob::builtin_driver::text::Options {
        diff_algorithm: gix::diff::blob::Algorithm::Histogram,
        ..Default::default()
    };
    let rewrites = gix::diff::Rewrites { limit: RENAMES, ..Default::default() };
    gix::merge::plumbing::commit::Options {
        allow_missing_merge_base: false,
        use_first_merge_base: false,
        tree_merge: gix::merge::plumbing::tree::Options {
            rewrites: Some(rewrites),
            blob_merge: gix::merge::blob::platform::merge::Options { text, ..Default::default() },
            ..Default::default()
        },
    }
}

/// No attributes: those of `HEAD` on disk may be old, and building an index of them costs more than a merge.
fn no_attributes(store: &Store) -> gix::worktree::Stack {
    let state = gix::worktree::stack::State::AttributesStack(Default::default());
    gix::worktree::Stack::new(store.git_dir(), state, gix::glob::pattern::Case::Sensitive, Vec::new(), Vec::new())
}

fn no_filter() -> gix::filter::plumbing::Pipeline {
    gix::filter::plumbing::Pipeline::new(Default::default(), gix::hash::Kind::Sha1, Default::default())
}

fn diff_platform(store: &Store) -> gix::diff::blob::Platform {
    let limits = gix::diff::blob::pipeline::Options { large_file_threshold_bytes: LARGEST_TEXT, ..Default::default() };
    gix::diff::blob::Platform::new(
        gix::diff::blob::platform::Options {
            algorithm: Some(gix::diff::blob::Algorithm::Histogram),
            skip_internal_diff_if_external_is_configured: false,
        },
        gix::diff::blob::Pipeline::new(Default::default(), no_filter(), Vec::new(), limits),
        gix::diff::blob::pipeline::Mode::ToGit,
        no_attributes(store),
    )
}

fn merge_platform(store: &Store) -> gix::merge::blob::Platform {
    let limits = gix::merge::blob::pipeline::Options { large_file_threshold_bytes: LARGEST_TEXT };
    gix::merge::blob::Platform::new(
        gix::merge::blob::Pipeline::new(Default::default(), no_filter(), limits),
        gix::merge::blob::pipeline::Mode::ToGit,
        no_attributes(store),
        Vec::new(),
        Default::default(),
    )
}
