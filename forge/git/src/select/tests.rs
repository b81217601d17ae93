use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::commits::{Commits, STOP_NEW, STOP_OLD};
use super::filter::Filter;
use super::ids::IdSet;
use super::*;
use crate::testing::{Repo, Shape, closure, history};

fn named(commits: &mut Commits, ids: &[Oid]) -> Named {
    let mut named = Named::default();
    ids.iter().for_each(|&id| named.add(commits, id).unwrap());
    named
}

fn run(commits: &mut Commits, ask: &Ask) -> Selection {
    select(commits, ask, &mut Watch::new(&mut |_| true)).unwrap()
}

fn ids(selection: &Selection) -> BTreeSet<Oid> {
    let ids: BTreeSet<Oid> = selection.objects.iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), selection.objects.len(), "each object once");
    ids
}

/// What is said about resemblance is true: of the same kind, sent or had, and without a circle.
fn resemblances_hold(store: &Store, selection: &Selection, had: &BTreeSet<Oid>) {
    let sent: HashMap<Oid, Option<Resembles>> = selection.objects.iter().map(|one| (one.id, one.resembles)).collect();
    for one in &selection.objects {
        assert_eq!(store.kind(one.id).unwrap(), Some(one.kind));
        let Some(resembles) = one.resembles else { continue };
        assert_eq!(store.kind(resembles.id).unwrap(), Some(one.kind));
        assert_eq!(sent.contains_key(&resembles.id), !resembles.held);
        assert!(!resembles.held || had.contains(&resembles.id), "{} is not had", resembles.id);
        let (mut at, mut steps) = (one.id, 0);
        while let Some(Some(next)) = sent.get(&at) {
            at = next.id;
            steps += 1;
            assert!(steps <= sent.len(), "a circle through {at}");
        }
    }
}

/// Whatever is wanted and had, however histories are cut and dates lie: what was had and what is sent make up what is
/// wanted, and nothing else is sent.
#[test]
fn had_and_sent_make_up_what_is_wanted() {
    for seed in 0..12 {
        let repo = Repo::bare();
        let made =
            history(repo.path(), &Shape { seed, commits: 120, reach: 1 + seed as usize * 3, lies: seed % 2 == 1 });
        let store = Arc::new(repo.store());
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        for round in 0..40 {
            let mut some = |most: usize, from: &[Oid]| -> Vec<Oid> {
                let count = random.random_range(0..=most);
                from.choose_multiple(&mut random, count).copied().collect()
            };
            let mut wants = [some(3, &made[60..]), vec![*made.last().unwrap()]].concat();
            let mut haves = some(4, &made[..100]);
            let (before, after): (HashSet<Oid>, HashSet<Oid>) = match round % 4 {
                0 | 1 => Default::default(),
                2 => (some(6, &made[..80]).into_iter().collect(), some(6, &made[20..]).into_iter().collect()),
                _ => {
                    let cut: HashSet<Oid> = some(8, &made).into_iter().collect();
                    (cut.clone(), cut)
                }
            };
            // Where the client was cut and is not any more, it gets what lies below.
            for &deepened in before.difference(&after) {
                haves.push(deepened);
                wants.extend(store.commit(deepened).unwrap().parents);
            }
            let mut commits = Commits::new(store.clone()).unwrap();
            for (cut, mark) in [(&before, STOP_OLD), (&after, STOP_NEW)] {
                for &id in cut {
                    let node = commits.node(id);
                    commits.mark(node, mark);
                }
            }
            let ask = Ask { wants: named(&mut commits, &wants), haves: named(&mut commits, &haves), ..Ask::default() };
            let selection = run(&mut commits, &ask);
            let (had, wanted) = (closure(&store, &haves, &before), closure(&store, &wants, &after));
            let sent = ids(&selection);
            let what = format!("seed {seed}, round {round}, wants {wants:?}, haves {haves:?}, {before:?}, {after:?}");
            assert!(wanted.iter().all(|id| had.contains(id) || sent.contains(id)), "something lacks: {what}");
            assert!(sent.is_subset(&wanted), "something else is sent: {what}");
            resemblances_hold(&store, &selection, &had);
            let commits_sent = selection.objects.iter().filter(|one| one.kind == Kind::Commit);
            assert!(commits_sent.clone().all(|one| !had.contains(&one.id)), "a commit is sent twice: {what}");
            if haves.is_empty() {
                assert_eq!(sent, wanted, "a clone: {what}");
            }
        }
    }
}

#[test]
fn what_only_moved_or_came_by_a_merge_is_not_sent_again() {
    let repo = Repo::new();
    (0..30).for_each(|n| repo.write(&format!("lib/part{}/file{n}", n % 3), format!("{n}\n")));
    let base = repo.commit("base");
    repo.git(&["checkout", "-q", "-b", "topic"]);
    repo.write("topic", "1\n");
    repo.commit("topic");
    repo.git(&["checkout", "-q", "main"]);
    (0..30).for_each(|n| repo.write(&format!("lib/part{}/file{n}", n % 3), format!("new {n}\n")));
    let main = repo.commit("main changes everything");
    repo.git(&["checkout", "-q", "topic"]);
    repo.git(&["merge", "-q", "-m", "merge", "main"]);
    let merged = repo.id("HEAD");
    repo.git(&["mv", "lib", "moved"]);
    let moved = repo.commit("moved");
    let store = Arc::new(repo.store());
    let sent = |want: Oid, have: Oid| {
        let mut commits = Commits::new(store.clone()).unwrap();
        let ask = Ask { wants: named(&mut commits, &[want]), haves: named(&mut commits, &[have]), ..Ask::default() };
        let selection = run(&mut commits, &ask);
        resemblances_hold(&store, &selection, &closure(&store, &[have], &HashSet::new()));
        let count = |kind| selection.objects.iter().filter(|one| one.kind == kind).count();
        (count(Kind::Commit), count(Kind::Tree), count(Kind::Blob))
    };
    assert_eq!(sent(moved, merged), (1, 1, 0), "a directory that moved");
    // Two commits, two root trees, and the one file of the topic; all that main changed is had.
    assert_eq!(sent(merged, main), (2, 2, 1));
    assert_eq!(sent(main, base), (1, 5, 30));
    assert_eq!(sent(base, main), (0, 0, 0));
}

#[test]
fn filters_leave_out_what_they_say_and_nothing_that_was_named() {
    let repo = Repo::new();
    for (path, size) in [("a", 10), ("dir/b", 100), ("dir/deep/c", 1000)] {
        repo.write(path, "x".repeat(size));
    }
    let tip = repo.commit("one");
    let store = Arc::new(repo.store());
    let blob = repo.id("HEAD:dir/deep/c");
    let deep = repo.id("HEAD:dir/deep");
    let sent = |wants: &[Oid], spec: &str| {
        let mut commits = Commits::new(store.clone()).unwrap();
        let filter = Filter::parse(spec, |_| {}).unwrap();
        let ask = Ask { wants: named(&mut commits, wants), filter, ..Ask::default() };
        let selection = run(&mut commits, &ask);
        ids(&selection);
        let count = |kind| selection.objects.iter().filter(|one| one.kind == kind).count();
        (count(Kind::Commit), count(Kind::Tree), count(Kind::Blob))
    };
    assert_eq!(sent(&[tip], "blob:none"), (1, 3, 0));
    assert_eq!(sent(&[tip], "blob:limit=100"), (1, 3, 1));
    assert_eq!(sent(&[tip], "blob:limit=101"), (1, 3, 2));
    assert_eq!(sent(&[tip], "tree:0"), (1, 0, 0));
    assert_eq!(sent(&[tip], "tree:1"), (1, 1, 0));
    assert_eq!(sent(&[tip], "tree:2"), (1, 2, 1));
    assert_eq!(sent(&[tip], "object:type=blob"), (1, 0, 3));
    assert_eq!(sent(&[tip], "object:type=tree"), (1, 3, 0));
    assert_eq!(sent(&[tip], "combine:tree:3+blob:limit=50"), (1, 3, 1));
    assert_eq!(sent(&[tip, blob], "blob:none"), (1, 3, 1));
    assert_eq!(sent(&[blob], "object:type=commit"), (0, 0, 1));
    assert_eq!(sent(&[deep, tip], "tree:1"), (1, 2, 1), "what a named tree holds lies at depth 0");
}

#[test]
fn what_refs_reach_is_found_and_what_they_do_not_reach_is_not() {
    for seed in 0..4 {
        let repo = Repo::bare();
        let made = history(repo.path(), &Shape { seed, commits: 150, reach: 8, lies: true });
        let store = Arc::new(repo.store());
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let everything: Vec<Oid> = repo.all_objects().into_iter().map(|(id, _, _)| id).collect();
        for _ in 0..10 {
            let tips: Vec<Oid> = made.choose_multiple(&mut random, 3).copied().collect();
            let visible = closure(&store, &tips, &HashSet::new());
            let sought: IdSet = everything.choose_multiple(&mut random, 40).copied().collect();
            let look = |sought: &IdSet, budget| {
                reach::reached(&store, &tips, sought, budget, &mut Watch::new(&mut |_| true)).unwrap()
            };
            let found = look(&sought, reach::BUDGET);
            let expected: IdSet = sought.iter().copied().filter(|id| visible.contains(id)).collect();
            assert_eq!(found, expected, "seed {seed}, tips {tips:?}");
            for &id in sought.iter().take(10) {
                let alone: IdSet = std::iter::once(id).collect();
                assert_eq!(look(&alone, reach::BUDGET).contains(&id), visible.contains(&id), "{id} by itself");
                assert!(look(&alone, 5).is_subset(&expected), "a small budget finds less and nothing wrong");
            }
        }
    }
}

#[test]
fn work_that_nobody_waits_for_stops() {
    let repo = Repo::bare();
    let made = history(repo.path(), &Shape { seed: 1, commits: 3000, reach: 2, lies: false });
    let mut commits = Commits::new(Arc::new(repo.store())).unwrap();
    let ask = Ask { wants: named(&mut commits, &made[1000..]), ..Ask::default() };
    let mut asked = 0;
    let mut told = |_| {
        asked += 1;
        asked < 2
    };
    assert!(matches!(select(&mut commits, &ask, &mut Watch::new(&mut told)), Err(SelectError::Stopped)));
    assert_eq!(asked, 2);
}
