//! Which submissions to a contest are the same change.
//!
//! Invariant: asked of contests that are closed alone. While one runs, whoever submits guesses must not be told what others
//! have submitted.

use notes_schema::Oid;

use git::alike::{Budget, PatchId, shape};
use git::store::Objects;

/// So many submissions of a contest are held against each other.
/// Limit: submissions of a contest that are asked whether they are the same change | {}, the earliest
const MOST: usize = 50;
/// Most files that one of them may touch.
/// Limit: files of a submission that is asked whether it is the same change | {}; of a larger one it is not said
const MOST_FILES: usize = 200;
/// Most bytes of those.
/// Limit: bytes of those files, before and after together | {:bytes}; of a larger one it is not said
const MOST_BYTES: u64 = 1 << 20;
/// Most lines of those.
/// Limit: lines of those files, before and after together | {}; of a larger one it is not said
const MOST_LINES: usize = 20_000;

/// A submission: its pull request, when its head arrived, and what it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Submitted {
    pub pull: u64,
    pub at_ms: u64,
    pub base: Oid,
    pub head: Oid,
}

/// For each submission, in the order given, the pull requests of the others that are the same patch by
/// `git patch-id --stable`, the earliest first.
pub(super) fn same_as(objects: &dyn Objects, all: &[Submitted]) -> Vec<Vec<u64>> {
    let budget = Budget { files: MOST_FILES, bytes: MOST_BYTES, lines: MOST_LINES };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| (all[*at].at_ms, all[*at].pull));
    let patch = |at: usize| {
        let tree = |id| objects.commit(id).ok().map(|commit| commit.tree);
        let (base, head) = (tree(all[at].base)?, tree(all[at].head)?);
        // What changes nothing, or is too large, is the same as nothing.
        shape(objects, Some(base), Some(head), budget).ok()?.patch
    };
    let known: Vec<(usize, PatchId)> = order.into_iter().take(MOST).filter_map(|at| Some((at, patch(at)?))).collect();
    let others = |at: usize| {
        let own = known.iter().find(|(other, _)| *other == at).map(|(_, id)| *id);
        let same = known.iter().filter(|(other, id)| *other != at && own == Some(*id));
        same.map(|(other, _)| all[*other].pull).collect()
    };
    (0..all.len()).map(others).collect()
}
