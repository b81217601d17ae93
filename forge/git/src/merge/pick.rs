//! The changes of commits, made again upon another commit: one after the other, or all at once; in memory.
//!
//! Invariant: nothing is written to disk, and the same commits give the same trees on every machine.

use std::collections::HashSet;

use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::plumbing::tree::TreatAsUnresolved;
use notes_schema::Oid;

use super::scratch::Scratch;
use super::{MergeError, Merged, conflicting_paths, diff_platform, merge_platform, new_objects, options};
use crate::object::{self, Object};
use crate::store::{Objects as _, Store};

/// Changes made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// The tree after each of the commits.
    pub trees: Vec<Oid>,
    /// Their trees and blobs that the store does not have yet.
    pub objects: Vec<(Oid, Object)>,
}

/// Makes what each of `commits` changed against its one parent again upon `onto`, in that order.
pub fn pick(store: &Store, onto: Oid, commits: &[Oid]) -> Result<Picked, MergeError> {
    let failed = |theirs: Oid, why: String| MergeError::Failed { ours: onto, theirs, why };
    let tree_of = |id: Oid| store.commit(id).map(|commit| commit.tree).map_err(|e| failed(id, e.to_string()));
    let scratch = Scratch::over(store);
    let mut at = tree_of(onto)?;
    let mut trees = Vec::with_capacity(commits.len());
    for &id in commits {
        let commit = store.commit(id).map_err(|e| failed(id, e.to_string()))?;
        let [parent] = commit.parents.as_slice() else {
            return Err(failed(id, "it has not exactly one parent".to_owned()));
        };
        let base = tree_of(*parent)?;
        at = upon(store, &scratch, Sides { base, ours: at, theirs: commit.tree }).map_err(|stuck| match stuck {
            Stuck::Conflicts(paths) => MergeError::Conflicts { paths },
            Stuck::Failed(why) => failed(id, why),
        })?;
        trees.push(at);
    }
    let made = scratch.into_made();
    let (mut objects, mut seen) = (Vec::new(), HashSet::new());
    for &tree in &trees {
        let new = new_objects(store, tree, &made).map_err(|e| failed(onto, e.to_string()))?;
        objects.extend(new.into_iter().filter(|(id, _)| seen.insert(*id)));
    }
    Ok(Picked { trees, objects })
}

/// What `head` changed since `base`, made again upon `onto`, whatever lies between them.
pub fn carry(store: &Store, base: Oid, head: Oid, onto: Oid) -> Result<Merged, MergeError> {
    let failed = |why: String| MergeError::Failed { ours: onto, theirs: head, why };
    let tree_of = |id: Oid| store.commit(id).map(|commit| commit.tree).map_err(|e| failed(e.to_string()));
    let scratch = Scratch::over(store);
    let sides = Sides { base: tree_of(base)?, ours: tree_of(onto)?, theirs: tree_of(head)? };
    let tree = upon(store, &scratch, sides).map_err(|stuck| match stuck {
        Stuck::Conflicts(paths) => MergeError::Conflicts { paths },
        Stuck::Failed(why) => failed(why),
    })?;
    let objects = new_objects(store, tree, &scratch.into_made()).map_err(|e| failed(e.to_string()))?;
    Ok(Merged { tree, objects })
}

/// The trees of a three-way merge.
struct Sides {
    base: Oid,
    ours: Oid,
    theirs: Oid,
}

/// Why trees were not merged.
enum Stuck {
    Conflicts(Vec<String>),
    Failed(String),
}

/// The tree that comes of what `theirs` changed, made upon `ours`.
fn upon(store: &Store, scratch: &Scratch<'_>, sides: Sides) -> Result<Oid, Stuck> {
    let labels = Labels { ancestor: Some("base".into()), current: Some("ours".into()), other: Some("theirs".into()) };
    let mut outcome = gix::merge::plumbing::tree(
        &object::to_gix(sides.base),
        &object::to_gix(sides.ours),
        &object::to_gix(sides.theirs),
        labels,
        scratch,
        |data| gix::objs::Write::write_buf(scratch, gix::objs::Kind::Blob, data),
        &mut gix::diff::tree::State::default(),
        &mut diff_platform(store),
        &mut merge_platform(store),
        options().tree_merge,
    )
    .map_err(|e| Stuck::Failed(e.to_string()))?;
    let paths = conflicting_paths(&outcome.conflicts, TreatAsUnresolved::git());
    if !paths.is_empty() {
        return Err(Stuck::Conflicts(paths));
    }
    let written = outcome.tree.write(|tree| gix::objs::Write::write(scratch, tree));
    Ok(object::from_gix(&written.map_err(|e| Stuck::Failed(e.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    #[test]
    fn a_change_is_carried_to_another_base_without_what_lies_between() {
        let repo = Repo::new();
        repo.write("f", lines(&[]));
        let base = repo.commit("base");
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("f", lines(&[20]));
        repo.commit("one");
        repo.write("new", "new\n");
        let head = repo.commit("two");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("f", lines(&[2]));
        let onto = repo.commit("onto");
        let store = repo.store();
        let carried = carry(&store, base, head, onto).expect("carries");
        assert_eq!(carried.tree, *by_git(&repo, onto, &[repo.id("side~1"), head]).last().expect("two"));
        let back = carry(&store, onto, onto, base).expect("carries");
        assert_eq!(back.tree, store.commit(base).expect("there").tree, "what changed nothing changes nothing");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("f", lines(&[]).replace("line 20\n", "other\n"));
        let other = repo.commit("other");
        assert!(matches!(carry(&store, base, head, other), Err(MergeError::Conflicts { paths }) if paths == ["f"]));
    }

    /// What `git cherry-pick` makes of the same commits, tree by tree.
    fn by_git(repo: &Repo, onto: Oid, commits: &[Oid]) -> Vec<Oid> {
        repo.git(&["checkout", "-q", "--detach", &onto.to_string()]);
        let picked = |id: &Oid| {
            repo.git(&["cherry-pick", "--allow-empty", "--keep-redundant-commits", &id.to_string()]);
            repo.id("HEAD^{tree}")
        };
        commits.iter().map(picked).collect()
    }

    fn lines(changed: &[usize]) -> String {
        (0..30).map(|n| if changed.contains(&n) { format!("changed {n}\n") } else { format!("line {n}\n") }).collect()
    }

    #[test]
    fn picks_what_git_picks() {
        let repo = Repo::new();
        repo.write("f", lines(&[]));
        repo.write("dir/g", "1\n");
        repo.commit("base");
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("f", lines(&[20]));
        let one = repo.commit("one");
        repo.write("dir/new", "new\n");
        repo.git(&["rm", "-q", "dir/g"]);
        let two = repo.commit("two");
        repo.write("f", lines(&[20, 25]));
        let three = repo.commit("three");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("f", lines(&[2, 20]));
        let onto = repo.commit("onto");
        let store = repo.store();
        let picked = pick(&store, onto, &[one, two, three]).expect("picks");
        assert_eq!(pick(&store, onto, &[one, two, three]).expect("picks"), picked, "the same again");
        assert!(picked.objects.iter().all(|(id, object)| object.id().expect("no collision") == *id));
        assert!(picked.objects.iter().all(|(id, _)| !store.contains(*id)));
        assert_eq!(picked.trees[0], store.commit(onto).expect("there").tree, "the first is there already");
        assert_eq!(picked.trees, by_git(&repo, onto, &[one, two, three]));
    }

    #[test]
    fn names_conflicts_and_refuses_merges() {
        let repo = Repo::new();
        repo.write("f", lines(&[]));
        repo.commit("base");
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("f", lines(&[5]));
        let side = repo.commit("side");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("f", lines(&[]).replace("line 5\n", "other\n"));
        let main = repo.commit("main");
        match pick(&repo.store(), main, &[side]) {
            Err(MergeError::Conflicts { paths }) => assert_eq!(paths, ["f"]),
            other => panic!("{other:?}"),
        }
        repo.git(&["merge", "-q", "-s", "ours", "-m", "merge", "side"]);
        assert!(matches!(pick(&repo.store(), main, &[repo.id("main")]), Err(MergeError::Failed { .. })));
    }
}
