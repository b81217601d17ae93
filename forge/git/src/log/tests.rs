use proptest::prelude::*;

use super::*;
use crate::store::Store;
use crate::testing::Repo;

fn query(tip: Oid, path: &str) -> Query<'_> {
    Query { tip, not: &[], path: path.as_bytes(), follow: false, after: None, limit: usize::MAX, most: usize::MAX }
}

fn shown(listed: &Listed) -> Vec<String> {
    listed.lines.iter().map(|line| line.id.to_string()).collect()
}

fn by_git(repo: &Repo, options: &[&str], path: &str) -> Vec<String> {
    let path: &[&str] = if path.is_empty() { &[] } else { &["--", path] };
    let listed = repo.git(&[&["log", "--format=%H"], options, path].concat());
    listed.lines().map(str::to_owned).collect()
}

const PATHS: [&str; 8] = ["", "d0", "d1", "d0/f0", "d1/f1", "d2/f2", "none", "d0/f0/none"];

/// What `git log -- path` lists, of everything and in a range, with and without a graph and its filters.
fn assert_as_git(shape: &[(Vec<usize>, u64)], tip: usize, not: usize) -> Result<(), TestCaseError> {
    let repo = Repo::new();
    let ids = crate::graph::tests::history(&repo, shape);
    let (tip, not) = (ids[tip % ids.len()], [ids[not % ids.len()]]);
    for graph in [false, true] {
        if graph {
            repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
        }
        let store = repo.store();
        for path in PATHS {
            let theirs = by_git(&repo, &[&tip.to_string()], path);
            assert_pages(&store, query(tip, path), &theirs)?;
            let between = format!("{}..{tip}", not[0]);
            let theirs = by_git(&repo, &[&between], path);
            assert_pages(&store, Query { not: &not, ..query(tip, path) }, &theirs)?;
        }
    }
    Ok(())
}

/// In pages of two the same commits come as at once, and the last page says so.
fn assert_pages(store: &Store, query: Query<'_>, theirs: &[String]) -> Result<(), TestCaseError> {
    prop_assert_eq!(shown(&log(store, &query).expect("readable")), theirs, "{:?}", query);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = log(store, &Query { after, limit: 2, ..query }).expect("readable");
        prop_assert!(page.lines.len() == 2 || !page.more);
        after = page.lines.last().map(|line| line.id);
        paged.extend(shown(&page));
        if !page.more {
            prop_assert_eq!(paged, theirs);
            return Ok(());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any shape of history, any path. Honest dates: with others git itself gives up being exact.
    #[test]
    fn lists_what_git_lists(
        shape in prop::collection::vec(prop::collection::vec(0usize..6, 0..3), 3..40),
        tip in 0usize..40,
        not in 0usize..40,
    ) {
        let shape: Vec<(Vec<usize>, u64)> =
            shape.into_iter().enumerate().map(|(n, parents)| (parents, 1000 + n as u64)).collect();
        assert_as_git(&shape, tip, not)?;
    }
}

/// A merge looks at its elder parent while nobody knows yet that the other one reaches it: what is as there came from
/// there.
#[test]
fn a_parent_that_is_hidden_later_counts() {
    let back: [&[usize]; 5] = [&[], &[0], &[0], &[0], &[3, 0]];
    let shape: Vec<(Vec<usize>, u64)> =
        back.iter().enumerate().map(|(n, back)| (back.to_vec(), 1000 + n as u64)).collect();
    assert_as_git(&shape, 4, 3).expect("as git lists");
}

#[test]
fn a_range_that_is_given_up_says_so_and_lists_nothing_hidden() {
    let repo = Repo::new();
    let shape: Vec<(Vec<usize>, u64)> = (0..30).map(|n| (vec![0], 1000 + n as u64)).collect();
    let ids = crate::graph::tests::history(&repo, &shape);
    let store = repo.store();
    let all = Query { not: &[ids[9]], ..query(ids[29], "d0") };
    let (whole, cut) = (log(&store, &all), log(&store, &Query { most: 4, ..all }));
    let (whole, cut) = (whole.expect("readable"), cut.expect("readable"));
    assert!(!whole.exhausted && !whole.more && cut.exhausted && cut.more, "{whole:?} {cut:?}");
    assert!(!cut.lines.is_empty() && whole.lines.starts_with(&cut.lines) && cut.lines.len() < whole.lines.len());
}

#[test]
fn a_file_is_followed_to_its_former_names() {
    let repo = Repo::new();
    let text =
        |n: usize| (0..20).map(|line| format!("line {line} of {}\n", if line < n { n } else { 0 })).collect::<String>();
    repo.write("first", text(0));
    repo.commit("1");
    repo.write("first", text(1));
    repo.commit("2");
    repo.git(&["mv", "first", "second"]);
    repo.write("second", text(3));
    repo.commit("3");
    repo.write("other", "x\n");
    repo.commit("4");
    std::fs::create_dir(repo.path().join("dir")).expect("a directory");
    repo.git(&["mv", "second", "dir/third"]);
    repo.commit("5");
    repo.write("dir/third", text(4));
    let tip = repo.commit("6");
    for graph in [false, true] {
        if graph {
            repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
        }
        let store = repo.store();
        let followed = log(&store, &Query { follow: true, ..query(tip, "dir/third") }).expect("readable");
        assert_eq!(shown(&followed), by_git(&repo, &["--follow"], "dir/third"));
        let names: Vec<_> =
            followed.lines.iter().map(|line| String::from_utf8_lossy(&line.path).into_owned()).collect();
        assert_eq!(names, ["dir/third", "dir/third", "second", "first", "first"]);
        assert_eq!(shown(&log(&store, &query(tip, "dir/third")).expect("readable")).len(), 2);
    }
}

#[test]
fn a_search_that_is_cut_short_says_so() {
    let repo = Repo::new();
    let shape: Vec<(Vec<usize>, u64)> = (0..30).map(|n| (vec![0], n)).collect();
    let ids = crate::graph::tests::history(&repo, &shape);
    let store = repo.store();
    let cut = log(&store, &Query { most: 10, ..query(ids[29], "d0") }).expect("readable");
    assert!(cut.more && cut.exhausted && !cut.lines.is_empty());
    let whole = log(&store, &Query { most: 30, ..query(ids[29], "d0") }).expect("readable");
    assert!(!whole.more && !whole.exhausted);
    assert!(whole.lines.starts_with(&cut.lines));
}
