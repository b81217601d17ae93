//! What a push or a pull request changes, for the rules that ask about paths.
//!
//! Invariant: reads only, and no more than its caps: what is beyond them cannot be decided, which refuses where a policy
//! asks.

use std::collections::{HashMap, HashSet};

use hooks::policy::Policy;
use hooks::{Changed, Undecided};
use notes_schema::Oid;

use git::diff::{self, Change};
use git::history;
use git::object::{Kind, Mode};
use git::store::Objects;

/// Most commits of one push that are looked through.
/// Limit: commits of one push that are looked through, where a policy asks about files | {}
const MOST_COMMITS: usize = 2000;
/// Most paths that a push or a pull request may change where a policy asks about them.
/// Limit: paths of one push or pull request, where a policy asks about them | {}
const MOST_PATHS: usize = 10_000;

fn undecided(error: impl std::fmt::Display) -> Undecided {
    Undecided(error.to_string())
}

fn too_many(what: &str, most: usize) -> Undecided {
    Undecided(format!("it changes more than {most} {what} at once: send it in smaller parts"))
}

/// Sizes of files, each read once.
struct Sizes<'o> {
    objects: &'o dyn Objects,
    wanted: bool,
    known: HashMap<Oid, u64>,
}

impl Sizes<'_> {
    fn of(&mut self, change: &Change) -> Result<u64, Undecided> {
        let file = |(mode, id): (Mode, Oid)| match mode {
            Mode::File | Mode::Executable | Mode::Link => Some(id),
            Mode::Tree | Mode::Submodule => None,
        };
        let Some(id) = change.new.and_then(file).filter(|_| self.wanted) else { return Ok(0) };
        if let Some(size) = self.known.get(&id) {
            return Ok(*size);
        }
        let size = self.objects.get_kind(id, Kind::Blob).map_err(undecided)?.data.len() as u64;
        self.known.insert(id, size);
        Ok(size)
    }
}

/// What a pull request changes: between its base and its head.
pub(super) fn of_pull(objects: &dyn Objects, policy: &Policy, base: Oid, head: Oid) -> Result<Vec<Changed>, Undecided> {
    let tree = |id| objects.commit(id).map(|commit| commit.tree).map_err(undecided);
    let changes =
        diff::changed_paths(objects, Some(tree(base)?), Some(tree(head)?), MOST_PATHS + 1).map_err(undecided)?;
    if changes.len() > MOST_PATHS {
        return Err(too_many("paths", MOST_PATHS));
    }
    let mut sizes = Sizes { objects, wanted: policy.largest_file > 0, known: HashMap::new() };
    let one = |change: Change| Ok(Changed { size: sizes.of(&change)?, path: change.shown(), before: Some(base) });
    changes.into_iter().map(one).collect()
}

/// What the commits that `new` has and none of `not` change, oldest first.
pub(super) fn of_push(
    objects: &dyn Objects,
    policy: &Policy,
    new: Oid,
    not: &[Oid],
) -> Result<Vec<Changed>, Undecided> {
    let mut commits = history::range(objects, new, not, MOST_COMMITS + 1).map_err(undecided)?;
    if commits.len() > MOST_COMMITS {
        return Err(too_many("commits", MOST_COMMITS));
    }
    commits.reverse();
    let mut sizes = Sizes { objects, wanted: policy.largest_file > 0, known: HashMap::new() };
    let mut all = Vec::new();
    for (_, commit) in commits {
        let before = commit.parents.first().copied();
        for change in changes_of(objects, commit.tree, &commit.parents, MOST_PATHS + 1)? {
            if all.len() == MOST_PATHS {
                return Err(too_many("paths", MOST_PATHS));
            }
            all.push(Changed { size: sizes.of(&change)?, path: change.shown(), before });
        }
    }
    Ok(all)
}

/// What a commit changes against its parent; a merge, what differs from each of them.
pub(super) fn changes_of(
    objects: &dyn Objects,
    tree: Oid,
    parents: &[Oid],
    most: usize,
) -> Result<Vec<Change>, Undecided> {
    let against = |parent: Option<Oid>| {
        let old = parent.map(|id| objects.commit(id).map(|commit| commit.tree)).transpose().map_err(undecided)?;
        diff::changed_paths(objects, old, Some(tree), most).map_err(undecided)
    };
    let mut changes = against(parents.first().copied())?;
    for parent in parents.iter().skip(1) {
        let other: HashSet<Vec<u8>> = against(Some(*parent))?.into_iter().map(|change| change.path).collect();
        changes.retain(|change| other.contains(&change.path));
    }
    Ok(changes)
}
