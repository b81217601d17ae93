//! Whether what a push rests on is whole, in a repository that others prune.
//!
//! What refs reach is whole, for git prunes none of it. An object that is merely there may have lost what it names, so a
//! push that rests on such a one is followed to the end, as the connectivity check of stock git would.
//!
//! Invariant: reads only, never recurses, and looks at each object once.

use std::collections::{BTreeSet, HashSet};

use notes_schema::Oid;

use crate::history;
use crate::object::{self, Kind, Mode};
use crate::pack::intake::Quarantine;
use crate::store::{Objects as _, ReadError, Store};

/// Checks what `quarantine` and the `new` values of refs rest on in `store`. `near` are tips that a push is likely to rest
/// on; `all` gives every tip.
pub(super) fn check(
    quarantine: &Quarantine,
    store: &Store,
    new: &[Oid],
    near: &[Oid],
    all: &dyn Fn() -> Vec<Oid>,
) -> Result<(), ReadError> {
    let mut walk = Walk { store, seen: HashSet::new() };
    let (mut commits, mut trees) = (BTreeSet::new(), BTreeSet::new());
    let outside = quarantine.outside().iter().map(|link| link.id);
    for id in outside.chain(new.iter().copied().filter(|id| !quarantine.contains(*id))) {
        let (id, kind) = walk.untagged(id)?;
        match kind {
            Kind::Commit => drop(commits.insert(id)),
            Kind::Tree => drop(trees.insert(id)),
            Kind::Blob | Kind::Tag => {}
        }
    }
    walk.strike_unchanged(&commits, &mut trees)?;
    trees.into_iter().try_for_each(|tree| walk.tree(tree))?;
    commits.retain(|id| !near.contains(id));
    if commits.is_empty() {
        return Ok(());
    }
    let all = all();
    let tips: HashSet<Oid> = all.iter().copied().collect();
    commits.retain(|id| !tips.contains(id));
    let mut heads: Option<Vec<Oid>> = None;
    for commit in commits {
        let is_below = |tip: &Oid| history::is_ancestor(store, commit, *tip).unwrap_or(false);
        if near.iter().any(is_below) {
            continue;
        }
        let heads = heads.get_or_insert_with(|| {
            let commits = tips.iter().filter_map(|tip| walk.untagged(*tip).ok());
            commits.filter(|(_, kind)| *kind == Kind::Commit).map(|(id, _)| id).collect()
        });
        for (_, unreached) in history::range(store, commit, heads, usize::MAX)? {
            walk.tree(unreached.tree)?;
        }
    }
    Ok(())
}

struct Walk<'a> {
    store: &'a Store,
    seen: HashSet<Oid>,
}

impl Walk<'_> {
    fn kind(&self, id: Oid) -> Result<Kind, ReadError> {
        self.store.kind(id)?.ok_or(ReadError::Missing(id))
    }

    /// What a tag finally names; anything else is itself.
    fn untagged(&self, id: Oid) -> Result<(Oid, Kind), ReadError> {
        let (mut id, mut kind) = (id, self.kind(id)?);
        for _ in 0..super::DEEPEST_TAG {
            if kind != Kind::Tag {
                break;
            }
            let tag = self.store.get(id)?;
            let (target, _) = object::tag_target(&tag.data).map_err(|source| ReadError::Malformed { id, source })?;
            (id, kind) = (target, self.kind(target)?);
        }
        Ok((id, kind))
    }

    /// Strikes what stands in the trees of `commits`, looking only into directories that the push has changed.
    fn strike_unchanged(&mut self, commits: &BTreeSet<Oid>, trees: &mut BTreeSet<Oid>) -> Result<(), ReadError> {
        let mut looked = HashSet::new();
        let mut open = Vec::new();
        for &commit in commits {
            open.push(self.store.commit(commit)?.tree);
        }
        while let Some(tree) = open.pop().filter(|_| !trees.is_empty()) {
            // A commit's own tree may be missing when nothing reaches it; that is found out where the commit is judged.
            if trees.remove(&tree) || !looked.insert(tree) {
                continue;
            }
            let Ok(entries) = self.store.tree(tree) else { continue };
            open.extend(entries.into_iter().filter(|entry| entry.mode == Mode::Tree).map(|entry| entry.id));
        }
        Ok(())
    }

    /// Everything below `tree` has to be there.
    fn tree(&mut self, tree: Oid) -> Result<(), ReadError> {
        let mut open = vec![tree];
        while let Some(tree) = open.pop() {
            if !self.seen.insert(tree) {
                continue;
            }
            for entry in self.store.tree(tree)? {
                match entry.mode {
                    Mode::Tree => open.push(entry.id),
                    Mode::Submodule => {}
                    Mode::File | Mode::Executable | Mode::Link => {
                        if self.seen.insert(entry.id) {
                            self.kind(entry.id)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{NewCommit, Object, Signature, TreeEntry};
    use crate::testing::Repo;

    fn commit(tree: Oid, parents: &[Oid]) -> (Oid, Object) {
        let who = Signature { name: "a".into(), email: "a@b".into(), seconds: 9 };
        let new =
            NewCommit { tree, parents: parents.to_vec(), author: who.clone(), committer: who, message: "x\n".into() };
        let object = new.encode(None);
        (object.id().unwrap(), object)
    }

    /// What a push of one commit with `tree` and `parents` rests on.
    fn rests(repo: &Repo, tree: Oid, parents: &[Oid]) -> Result<(), ReadError> {
        let (id, object) = commit(tree, parents);
        let mut bytes = Vec::new();
        let pack = {
            let mut builder = crate::pack::write::Builder::default();
            builder.add(id, &object);
            builder.finish().pack
        };
        bytes.extend_from_slice(&pack);
        let (store, limits) = (repo.store(), crate::pack::intake::Limits::default());
        let quarantine = crate::pack::intake::take(&mut &bytes[..], &store, &limits, &mut |_| {}).unwrap();
        let all =
            || repo.git(&["for-each-ref", "--format=%(objectname)"]).lines().map(|l| l.parse().unwrap()).collect();
        check(&quarantine, &store, &[id], &[repo.id("HEAD")], &all)
    }

    #[test]
    fn what_refs_reach_is_whole_and_what_is_merely_there_is_followed() {
        let repo = Repo::new();
        repo.write("dir/a", "a");
        let first = repo.commit("one");
        repo.write("b", "b");
        let second = repo.commit("two");
        repo.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
        repo.write("dir/c", "c");
        let side = repo.commit("side");
        repo.commit("above side");
        repo.git(&["checkout", "-q", "main"]);
        let tree = |id: Oid| repo.id(&format!("{id}^{{tree}}"));
        for parents in [&[second][..], &[first], &[side], &[]] {
            rests(&repo, tree(second), parents).unwrap();
            rests(&repo, tree(side), parents).unwrap();
        }
        // A commit that no ref reaches: good as long as it is whole.
        let lost = commit(tree(second), &[side]).1;
        let lost = repo.git_bytes(&["hash-object", "-w", "-t", "commit", "--stdin"], &lost.data);
        let lost: Oid = String::from_utf8(lost).unwrap().trim().parse().unwrap();
        rests(&repo, tree(second), &[lost]).unwrap();

        // And one whose tree somebody pruned.
        let absent = Oid::from_bytes([7; 20]);
        let holed = object::tree(vec![TreeEntry { mode: Mode::Tree, name: b"gone".to_vec(), id: absent }]);
        let written = repo.git_bytes(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &holed.data);
        let holed: Oid = String::from_utf8(written).unwrap().trim().parse().unwrap();
        let broken = commit(holed, &[second]).1;
        let broken = repo.git_bytes(&["hash-object", "-w", "-t", "commit", "--stdin"], &broken.data);
        let broken: Oid = String::from_utf8(broken).unwrap().trim().parse().unwrap();
        for (tree, parents) in [(tree(second), &[broken][..]), (holed, &[second]), (holed, &[])] {
            let found = rests(&repo, tree, parents);
            assert!(matches!(found, Err(ReadError::Missing(id)) if id == absent), "{found:?}");
        }
    }
}
