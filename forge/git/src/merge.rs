//! Three-way merge of two commits, in memory.
//!
//! Deterministic: the same two commits give the same tree on every machine, because neither configuration nor attributes
//! nor whatever `HEAD` names take part. No driver, filter or other program is ever started.
//!
//! Invariant: nothing is written to disk.

mod pick;
mod scratch;

use std::collections::{BTreeSet, HashMap, HashSet};

use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::plumbing::tree::TreatAsUnresolved;
use notes_schema::Oid;

use super::object::{self, Kind, Object};
use super::store::Store;
use scratch::Scratch;

pub use pick::{Picked, carry, pick};

/// Largest file that is merged by lines, in bytes; larger ones conflict when both sides changed them.
/// Limit: file that is merged by lines | {:bytes}; a larger one conflicts where both sides changed it
const LARGEST_TEXT: u64 = 16 << 20;
/// Most files on either side that are compared with each other to find renames with changes.
/// Limit: renames that a merge looks for | {}
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
    let scratch = Scratch::over(store);
    let mut graph = gix::revwalk::Graph::new(&scratch, None);
    let labels = Labels { ancestor: None, current: Some("ours".into()), other: Some("theirs".into()) };
    let outcome = gix::merge::plumbing::commit(
        object::to_gix(ours),
        object::to_gix(theirs),
        labels,
        &mut graph,
        &mut diff_platform(store),
        &mut merge_platform(store),
        &scratch,
        &mut |id| id.to_string(),
        options(),
    )
    .map_err(|e| failed(e.to_string()))?;
    let mut merge = outcome.tree_merge;
    let paths = conflicting_paths(&merge.conflicts, TreatAsUnresolved::git());
    if !paths.is_empty() {
        return Err(MergeError::Conflicts { paths });
    }
    let written =
        merge.tree.write(|tree| gix::objs::Write::write(&scratch, tree)).map_err(|e| failed(e.to_string()))?;
    let tree = object::from_gix(&written);
    drop((merge, graph));
    let objects = new_objects(store, tree, &scratch.into_made()).map_err(|e| failed(e.to_string()))?;
    Ok(Merged { tree, objects })
}

/// The paths of what both sides changed, sorted.
fn conflicting_paths(conflicts: &[gix::merge::plumbing::tree::Conflict], unresolved: TreatAsUnresolved) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for conflict in conflicts.iter().filter(|conflict| conflict.is_unresolved(unresolved)) {
        for change in [&conflict.ours, &conflict.theirs] {
            paths.insert(String::from_utf8_lossy(change.location()).into_owned());
        }
    }
    paths.into_iter().collect()
}

/// What is reachable from `tree` and not in the store, parents before children. Most of it is new: each miss would have all
/// packs looked for again, and an object that came a moment ago may well be written once more.
fn new_objects(store: &Store, tree: Oid, made: &HashMap<Oid, Object>) -> Result<Vec<(Oid, Object)>, object::Malformed> {
    let mut objects = Vec::new();
    let mut seen = HashSet::from([tree]);
    let mut open = vec![tree];
    while let Some(id) = open.pop() {
        // What was not made just now was there before, and so was everything below it.
        let Some(object) = made.get(&id).filter(|_| !store.knows(id)) else {
            continue;
        };
        if object.kind == Kind::Tree {
            open.extend(object::read_tree(&object.data)?.into_iter().map(|e| e.id).filter(|id| seen.insert(*id)));
        }
        objects.push((id, object.clone()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::write::Builder;
    use crate::store::Objects as _;
    use crate::testing::Repo;

    /// A repository in which `ours` and `theirs` go apart from a common commit.
    fn fork(base: &dyn Fn(&Repo), ours: &dyn Fn(&Repo), theirs: &dyn Fn(&Repo)) -> (Repo, Oid, Oid) {
        let repo = Repo::new();
        base(&repo);
        repo.commit("base");
        repo.git(&["checkout", "-q", "-b", "theirs"]);
        theirs(&repo);
        let theirs = repo.commit("theirs");
        repo.git(&["checkout", "-q", "main"]);
        ours(&repo);
        let ours = repo.commit("ours");
        (repo, ours, theirs)
    }

    fn lines(change: &[(usize, &str)]) -> String {
        let mut lines: Vec<String> = (0..30).map(|n| format!("line {n}")).collect();
        change.iter().for_each(|(at, text)| lines[*at] = (*text).to_owned());
        lines.join("\n") + "\n"
    }

    /// What `git merge-tree` makes of it: the tree, and whether it is clean.
    fn by_git(repo: &Repo, ours: Oid, theirs: Oid) -> (bool, String) {
        let (clean, stdout, _) =
            repo.try_git(&["merge-tree", "--write-tree", "--name-only", &ours.to_string(), &theirs.to_string()], b"");
        (clean, String::from_utf8(stdout).expect("text"))
    }

    fn count(repo: &Repo) -> String {
        repo.git(&["count-objects", "-v"])
    }

    fn assert_clean(repo: &Repo, ours: Oid, theirs: Oid) -> Merged {
        let (store, before) = (repo.store(), count(repo));
        let merged = merge(&store, ours, theirs).expect("merges");
        assert_eq!(merge(&store, ours, theirs).expect("merges"), merged, "the same again");
        assert_eq!(count(repo), before, "nothing is written");
        for (id, object) in &merged.objects {
            assert_eq!(object.id().expect("no collision"), *id);
            assert!(!store.contains(*id));
        }
        let mut builder = Builder::default();
        merged.objects.iter().for_each(|(id, object)| builder.add(*id, object));
        repo.git_bytes(&["index-pack", "--stdin", "--strict"], &builder.finish().pack);
        let (ours_hex, theirs_hex, tree) = (ours.to_string(), theirs.to_string(), merged.tree.to_string());
        let commit = repo.git(&["commit-tree", &tree, "-p", &ours_hex, "-p", &theirs_hex, "-m", "merge"]);
        repo.git(&["update-ref", "refs/heads/merged", &commit]);
        repo.assert_clean();
        assert_eq!(by_git(repo, ours, theirs), (true, format!("{}\n", merged.tree)));
        merged
    }

    fn assert_conflicts(repo: &Repo, ours: Oid, theirs: Oid, expected: &[&str]) {
        assert!(!by_git(repo, ours, theirs).0, "git finds no conflict");
        match merge(&repo.store(), ours, theirs) {
            Err(MergeError::Conflicts { paths }) => assert_eq!(paths, expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn merges_what_does_not_meet() {
        let base = |repo: &Repo| {
            repo.write("a/b/file", lines(&[]));
            repo.write("gone", "x\n");
            repo.write("other", "y\n");
        };
        let ours = |repo: &Repo| {
            repo.write("a/b/file", lines(&[(2, "ours")]));
            repo.write("a/new", "ours\n");
            repo.git(&["rm", "-q", "gone"]);
        };
        let theirs = |repo: &Repo| {
            repo.write("a/b/file", lines(&[(20, "theirs")]));
            repo.write("z/new", "theirs\n");
            repo.git(&["update-index", "--chmod=+x", "other"]);
            repo.git(&["checkout-index", "-f", "other"]);
        };
        let (repo, ours, theirs) = fork(&base, &ours, &theirs);
        let merged = assert_clean(&repo, ours, theirs);
        let file =
            super::super::history::entry_at(&repo.store(), merged.tree, "a/b/file").expect("readable").expect("there");
        let file = repo.git_bytes(&["cat-file", "blob", &file.id.to_string()], b"");
        assert_eq!(String::from_utf8_lossy(&file), lines(&[(2, "ours"), (20, "theirs")]));
        // root, a, a/b and the file; everything else was there.
        assert_eq!(merged.objects.len(), 4);
    }

    #[test]
    fn follows_renames() {
        let (repo, ours, theirs) =
            fork(&|repo| repo.write("old", lines(&[])), &|repo| drop(repo.git(&["mv", "old", "new"])), &|repo| {
                repo.write("old", lines(&[(5, "theirs")]))
            });
        assert_clean(&repo, ours, theirs);
    }

    #[test]
    fn names_conflicts() {
        let (repo, ours, theirs) = fork(
            &|repo| repo.write("dir/file", lines(&[])),
            &|repo| repo.write("dir/file", lines(&[(5, "ours")])),
            &|repo| repo.write("dir/file", lines(&[(5, "theirs")])),
        );
        assert_conflicts(&repo, ours, theirs, &["dir/file"]);
        let (repo, ours, theirs) = fork(&|repo| repo.write("a", "1\n"), &|repo| repo.write("b", "ours\n"), &|repo| {
            repo.write("b", "theirs\n")
        });
        assert_conflicts(&repo, ours, theirs, &["b"]);
        let (repo, ours, theirs) =
            fork(&|repo| repo.write("a", lines(&[])), &|repo| drop(repo.git(&["rm", "-q", "a"])), &|repo| {
                repo.write("a", lines(&[(1, "theirs")]))
            });
        assert_conflicts(&repo, ours, theirs, &["a"]);
        let (repo, ours, theirs) =
            fork(&|repo| repo.write("a", b"\0one"), &|repo| repo.write("a", b"\0two"), &|repo| {
                repo.write("a", b"\0three")
            });
        assert_conflicts(&repo, ours, theirs, &["a"]);
    }

    #[test]
    fn merges_over_several_bases() {
        let (repo, ours, theirs) =
            fork(&|repo| repo.write("f", lines(&[])), &|repo| repo.write("f", lines(&[(2, "ours")])), &|repo| {
                repo.write("f", lines(&[(25, "theirs")]))
            });
        repo.git(&["merge", "-q", "--no-ff", "-m", "theirs into ours", &theirs.to_string()]);
        repo.write("f", lines(&[(2, "ours again"), (25, "theirs")]));
        let left = repo.commit("left");
        repo.git(&["checkout", "-q", "theirs"]);
        repo.git(&["merge", "-q", "--no-ff", "-m", "ours into theirs", &ours.to_string()]);
        repo.write("f", lines(&[(2, "ours"), (25, "theirs again")]));
        let right = repo.commit("right");
        assert_clean(&repo, left, right);
    }

    #[test]
    fn attributes_and_configuration_take_no_part() {
        let (repo, ours, theirs) = fork(
            &|repo| {
                repo.write(".gitattributes", "* merge=run\n");
                repo.write("f", lines(&[]));
            },
            &|repo| repo.write("f", lines(&[(2, "ours")])),
            &|repo| repo.write("f", lines(&[(20, "theirs")])),
        );
        let before = merge(&repo.store(), ours, theirs).expect("merges");
        let witness = repo.path().join("witness");
        repo.git(&["config", "merge.run.driver", &format!("touch {}; false", witness.display())]);
        assert_eq!(merge(&repo.store(), ours, theirs).expect("merges"), before);
        assert!(!witness.exists());
    }

    #[test]
    fn refuses_the_unrelated_and_the_missing() {
        let (repo, ours, _) = fork(&|repo| repo.write("a", "1\n"), &|_| {}, &|_| {});
        let tree = repo.git(&["write-tree"]);
        let alone: Oid = repo.git(&["commit-tree", &tree, "-m", "alone"]).parse().expect("an id");
        assert!(matches!(merge(&repo.store(), ours, alone), Err(MergeError::Unrelated { .. })));
        assert!(matches!(merge(&repo.store(), ours, Oid::from_bytes([9; 20])), Err(MergeError::Failed { .. })));
        let tree: Oid = tree.parse().expect("an id");
        assert!(matches!(merge(&repo.store(), ours, tree), Err(MergeError::Failed { .. })));
    }
}
