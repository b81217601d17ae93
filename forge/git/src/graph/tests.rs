use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::history;
use crate::store::Store;
use crate::testing::Repo;

/// Objects without their commit-graph.
struct Bare<'a>(&'a Store);

impl Objects for Bare<'_> {
    fn get(&self, id: Oid) -> Result<crate::object::Object, ReadError> {
        self.0.get(id)
    }

    fn contains(&self, id: Oid) -> bool {
        self.0.contains(id)
    }
}

/// Commits of one file each, with these parents (how far back) and dates, through `git fast-import`.
pub(crate) fn history(repo: &Repo, shape: &[(Vec<usize>, u64)]) -> Vec<Oid> {
    let mut stream = String::new();
    for (number, (back, seconds)) in shape.iter().enumerate() {
        let parents: BTreeSet<usize> =
            back.iter().filter(|_| number > 0).map(|back| number - 1 - back % number.min(6)).collect();
        // Each stands on a ref of its own, so that it has none but the parents named here.
        stream += &format!("commit refs/heads/n{number}\nmark :{}\n", number + 1);
        stream += &format!("committer alpha <a@example.org> {seconds} +0000\ndata 2\n{}\n", number % 10);
        for (at, parent) in parents.iter().enumerate() {
            stream += &format!("{} :{}\n", if at == 0 { "from" } else { "merge" }, parent + 1);
        }
        stream += &format!("M 100644 inline d{}/f{}\ndata 3\n{:03}\n", number % 3, number % 5, number % 1000);
    }
    repo.git_bytes(&["fast-import", "--quiet", "--date-format=raw", "--force"], stream.as_bytes());
    (0..shape.len()).map(|number| repo.id(&format!("refs/heads/n{number}"))).collect()
}

fn assert_same(store: &Store, ids: &[Oid]) {
    let graph = store.graph().expect("a graph");
    for &id in ids {
        let read = Commits::new(&Bare(store)).node(id).expect("a commit");
        let known = graph.node(id).expect("in the graph");
        assert_eq!((known.tree, &known.parents, known.seconds), (read.tree, &read.parents, read.seconds));
        let below = known.parents.iter().filter_map(|&parent| graph.node(parent)).map(|parent| parent.generation);
        assert_eq!(known.generation, below.max().map_or(1, |most| most + 1));
    }
}

#[test]
fn a_file_and_a_chain_say_what_the_objects_say() {
    let repo = Repo::new();
    let shape: Vec<(Vec<usize>, u64)> = (0..60).map(|n| ((0..n % 5).collect(), 1_700_000_000 + n as u64)).collect();
    let ids = history(&repo, &shape);
    let (store, foreign) = (repo.store(), Oid::from_bytes([7; 20]));
    assert!(store.graph().is_none());
    repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
    assert_same(&store, &ids);
    assert!(store.graph().is_some_and(|graph| graph.len() == 60 && graph.node(foreign).is_none() && !graph.is_empty()));
    // Reopened when the files change: three layers, the uppermost standing on both others.
    std::fs::remove_file(repo.git_dir().join("objects/info/commit-graph")).expect("removed");
    for upto in [20, 40, 60] {
        let tips: String = ids[..upto].iter().map(|id| format!("{id}\n")).collect();
        let split = ["commit-graph", "write", "--stdin-commits", "--split=no-merge", "--changed-paths"];
        repo.git_bytes(&split, tips.as_bytes());
        let graph = store.graph().expect("a chain");
        assert_eq!((graph.len(), graph.layers.len()), (upto, upto / 20));
        assert!(ids.iter().enumerate().all(|(n, id)| graph.contains(*id) == (n < upto)));
    }
    assert_same(&store, &ids);
    // A chain that lost its lowest layer is worth nothing, one that lost its uppermost is worth the rest.
    let list = repo.git_dir().join("objects/info/commit-graphs/commit-graph-chain");
    let names = std::fs::read_to_string(&list).expect("a list");
    let layer = |n: usize| list.with_file_name(format!("graph-{}.graph", names.lines().nth(n).expect("a layer")));
    std::fs::remove_file(layer(2)).expect("removed");
    std::fs::write(&list, &names).expect("written");
    assert!(repo.store().graph().is_some_and(|graph| graph.len() == 40));
    std::fs::remove_file(layer(0)).expect("removed");
    assert!(repo.store().graph().is_none());
}

#[test]
fn an_octopus_has_all_its_parents() {
    let repo = Repo::new();
    let mut shape: Vec<(Vec<usize>, u64)> = (0..6).map(|_| (Vec::new(), 5)).collect();
    shape.push(((0..6).collect(), 3));
    shape.push((vec![0], 1));
    let ids = history(&repo, &shape);
    repo.git(&["commit-graph", "write", "--reachable"]);
    let store = repo.store();
    assert_same(&store, &ids);
    assert_eq!(store.graph().and_then(|graph| graph.node(ids[6])).map(|node| node.parents.len()), Some(6));
}

#[test]
fn a_repository_whose_parents_are_rewritten_has_no_graph() {
    let repo = Repo::new();
    let ids = history(&repo, &[(vec![], 1), (vec![0], 2), (vec![0], 3)]);
    repo.git(&["commit-graph", "write", "--reachable"]);
    let store = repo.store();
    assert!(store.graph().is_some());
    // A replacement is for whoever made it: both the graph and the objects say what is really there.
    repo.git(&["replace", "--graft", &ids[2].to_string()]);
    assert_eq!(repo.store().commit(ids[2]).expect("a commit").parents, [ids[1]]);
    std::fs::write(repo.git_dir().join("shallow"), format!("{}\n", ids[1])).expect("written");
    assert!(store.graph().is_none());
}

/// Whatever byte is wrong, the file is ignored or harmless; a right checksum over wrong content is believed for what it
/// can be believed for.
#[test]
fn damage_is_ignored() {
    let repo = Repo::new();
    let shape: Vec<(Vec<usize>, u64)> = (0..12).map(|n| ((0..n % 5).collect(), n as u64)).collect();
    let ids = history(&repo, &shape);
    repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
    let path = repo.git_dir().join("objects/info/commit-graph");
    let good = std::fs::read(&path).expect("a file");
    let keys = PathKeys::new([b"d1/f1".as_slice(), b"d0"]);
    let touch = |bytes: Vec<u8>| {
        let Ok(file) = File::parse(bytes, &[], 0) else { return false };
        let graph = Graph { layers: vec![Arc::new(file)], bases: vec![0] };
        for &id in &ids {
            let (_, _) = (graph.node(id), graph.may_change(id, &keys));
        }
        for at in [0, 5, graph.len() as u32, u32::MAX] {
            let (_, _, _) = (graph.layers[0].commit(at), graph.layers[0].filter(at), graph.id_at(at));
        }
        true
    };
    assert!(touch(good.clone()));
    for at in 0..good.len() {
        for value in [0, 0x7f, 0xff, good[at] ^ 1] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(bad == good || !touch(bad.clone()), "byte {at}");
            let end = bad.len() - 20;
            let trailer = crate::pack::write::sha1(&bad[..end]);
            bad[end..].copy_from_slice(&trailer);
            touch(bad);
        }
        assert!(!touch(good[..at].to_vec()));
    }
    let mut permissions = std::fs::metadata(&path).expect("there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&path, permissions).expect("writable");
    std::fs::write(&path, &good[..good.len() - 1]).expect("written");
    let store = repo.store();
    assert!(store.graph().is_none());
    assert!(history::is_ancestor(&store, ids[0], ids[11]).is_ok());
}

#[test]
fn filters_never_hide_a_change() {
    let repo = Repo::new();
    repo.write("a/b/c", "1");
    repo.write("top", "1");
    repo.write("d\u{e9}j\u{e0}/vu", "1");
    repo.commit("first");
    let many: Vec<String> = (0..600).map(|n| format!("many/{n}")).collect();
    for (n, path) in ["a/b/c", "a/b/d", "top", "d\u{e9}j\u{e0}/vu", "a/x"].iter().enumerate() {
        repo.write(path, format!("{n} again"));
        repo.commit(path);
    }
    many.iter().for_each(|path| repo.write(path, "x"));
    repo.commit("many");
    repo.git(&["rm", "-q", "-r", "a/b"]);
    repo.commit("gone");
    repo.commit("empty");
    repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
    let store = repo.store();
    let commits = Commits::new(&store);
    let mut hidden = 0;
    for line in repo.git(&["rev-list", "HEAD"]).lines() {
        let id: Oid = line.parse().expect("an id");
        for path in
            ["a", "a/b", "a/b/c", "a/b/d", "a/x", "top", "d\u{e9}j\u{e0}/vu", "d\u{e9}j\u{e0}", "many/7", "none"]
        {
            let changed = !repo.git(&["diff-tree", "--root", "--no-commit-id", "-r", line, "--", path]).is_empty();
            let may = commits.may_change(id, &PathKeys::new([path.as_bytes()]));
            assert!(may || !changed, "{line} {path}");
            hidden += usize::from(!may);
        }
        assert!(commits.may_change(id, &PathKeys::new([b"".as_slice()])));
        assert!(commits.may_change(id, &PathKeys::new(["d\u{e9}j\u{e0}/none".as_bytes()])), "version 1 is not trusted");
    }
    assert!(hidden > 30, "{hidden} of about 50 are told apart");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the dates say, whether all, some or none of the history stands in a graph: git's answers.
    #[test]
    fn walks_agree_with_git(
        shape in prop::collection::vec((prop::collection::vec(0usize..6, 0..3), 1u64..50), 3..24),
        part in 0usize..24,
        pairs in prop::collection::vec((0usize..24, 0usize..24), 6),
    ) {
        let repo = Repo::new();
        let ids = history(&repo, &shape);
        let bare = repo.store();
        let some: String = ids[..part.min(ids.len())].iter().map(|id| format!("{id}\n")).collect();
        repo.git_bytes(&["commit-graph", "write", "--stdin-commits", "--split"], some.as_bytes());
        let store = repo.store();
        prop_assert_eq!(store.graph().is_some(), part > 0);
        for (a, b) in pairs {
            let (a, b) = (ids[a % ids.len()], ids[b % ids.len()]);
            let (a_hex, b_hex) = (a.to_string(), b.to_string());
            let (theirs, _, _) = repo.try_git(&["merge-base", "--is-ancestor", &a_hex, &b_hex], b"");
            let (_, bases, _) = repo.try_git(&["merge-base", "--all", &a_hex, &b_hex], b"");
            let bases = String::from_utf8(bases).expect("text");
            let between: BTreeSet<String> = repo.git(&["rev-list", &a_hex, &format!("^{b_hex}")]).lines().map(str::to_owned).collect();
            for objects in [&store as &dyn Objects, &Bare(&bare)] {
                prop_assert_eq!(history::is_ancestor(objects, a, b).expect("readable"), theirs);
                match history::merge_base(objects, a, b).expect("readable") {
                    Some(base) => prop_assert!(bases.lines().any(|line| line == base.to_string())),
                    None => prop_assert!(bases.is_empty()),
                }
                let mine = history::range(objects, a, &[b], 1000).expect("readable");
                prop_assert_eq!(mine.iter().map(|(id, _)| id.to_string()).collect::<BTreeSet<_>>(), between.clone());
            }
            let (with, without) = (history::log(&store, a, 1000), history::log(&Bare(&bare), a, 1000));
            prop_assert_eq!(with.expect("readable"), without.expect("readable"));
        }
    }
}
