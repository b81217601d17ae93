//! Stock git at work in the same repository.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Served, says};
use crate::wire::tests::harness::{commit, ok};

#[test]
fn no_update_is_lost_while_stock_git_packs_refs_and_pushes_too() {
    let served = Served::start();
    let dir = served.bare("busy.git");
    ok(served.temp.path(), &["init", "-q", "--bare", served.ours("other.git").to_str().unwrap()]);
    let over = AtomicBool::new(false);
    let clones: Vec<_> = (0..3).map(|n| served.temp.path().join(format!("clone{n}"))).collect();
    for clone in &clones {
        ok(served.temp.path(), &["clone", "-q", served.seed().to_str().unwrap(), clone.to_str().unwrap()]);
    }
    let ends: Vec<(String, String)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                says(&dir, &["pack-refs", "--all", "--prune"]);
            }
        });
        let workers: Vec<_> = clones
            .iter()
            .enumerate()
            .map(|(n, clone)| {
                // The first two through us, the last through stock git itself.
                let url = if n < 2 { served.url("busy.git") } else { dir.to_str().unwrap().to_owned() };
                scope.spawn(move || {
                    let branch = format!("refs/heads/worker/{n}");
                    let mut last = String::new();
                    for round in 0..12 {
                        last = commit(clone, &format!("f{n}"), &format!("{round}\n"), 100 + round);
                        let gone = format!("refs/heads/passing/{n}/{round}");
                        let mut tries = 0;
                        // Another process may hold the lock of packed-refs for longer than git itself would wait.
                        while !says(clone, &["push", &url, &format!("HEAD:{branch}"), &format!("HEAD:{gone}")]).1 {
                            tries += 1;
                            assert!(tries < 50, "{branch} cannot be pushed");
                        }
                        while !says(clone, &["push", &url, &format!(":{gone}")]).1 {
                            tries += 1;
                            assert!(tries < 50, "{gone} cannot be deleted");
                        }
                    }
                    (branch, last)
                })
            })
            .collect();
        let ends = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        ends
    });
    for (branch, id) in ends {
        assert_eq!(ok(&dir, &["rev-parse", &branch]), id);
    }
    assert_eq!(ok(&dir, &["for-each-ref", "refs/heads/passing"]), "");
    ok(&dir, &["fsck", "--full", "--strict"]);
}

#[test]
fn of_two_who_expect_the_same_value_one_gets_it() {
    let served = Served::start();
    let dir = served.bare("race.git");
    let clones: Vec<_> = (0..4).map(|n| served.temp.path().join(format!("clone{n}"))).collect();
    for (n, clone) in clones.iter().enumerate() {
        ok(served.temp.path(), &["clone", "-q", served.seed().to_str().unwrap(), clone.to_str().unwrap()]);
        commit(clone, "mine", &format!("{n}\n"), 200 + n as u64);
    }
    let won = std::thread::scope(|scope| {
        let pushes: Vec<_> = clones
            .iter()
            .enumerate()
            .map(|(n, clone)| {
                let url = if n % 2 == 0 { served.url("race") } else { dir.to_str().unwrap().to_owned() };
                scope.spawn(move || says(clone, &["push", &url, "HEAD:main"]).1)
            })
            .collect();
        pushes.into_iter().filter(|_| true).map(|push| push.join().unwrap()).collect::<Vec<_>>()
    });
    let winners: Vec<_> = clones.iter().zip(&won).filter(|(_, won)| **won).collect();
    assert_eq!(winners.len(), 1, "{won:?}");
    assert_eq!(ok(&dir, &["rev-parse", "main"]), ok(winners[0].0, &["rev-parse", "HEAD"]));
}

#[test]
fn settings_and_repositories_that_change_while_they_are_served_are_noticed() {
    let served = Served::start();
    let dir = served.bare("x.git");
    let listed = || ok(&served.seed(), &["ls-remote", &served.url("x")]);
    assert!(listed().contains("refs/tags/v1"));
    ok(&dir, &["config", "transfer.hideRefs", "refs/tags"]);
    assert!(!listed().contains("refs/tags/v1"));
    ok(&dir, &["config", "--unset", "transfer.hideRefs"]);
    assert!(listed().contains("refs/tags/v1"));
    std::fs::write(dir.join("packed-refs"), "rubbish\n").unwrap();
    assert!(says(&served.seed(), &["ls-remote", &served.url("x")]).0.is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(says(&served.seed(), &["ls-remote", &served.url("x")]).0.contains("no repository at this path"));
    ok(served.temp.path(), &["init", "-q", "--bare", "-b", "main", dir.to_str().unwrap()]);
    commit(&served.seed(), "fresh", "fresh\n", 300);
    ok(&served.seed(), &["push", "-q", &served.url("x"), "HEAD:main"]);
    assert!(listed().contains("refs/heads/main"));
    ok(&dir, &["fsck", "--full", "--strict"]);
}

#[test]
fn a_lock_that_somebody_left_is_waited_for_and_then_named() {
    let served = Served::start();
    let dir = served.bare("x.git");
    std::fs::write(dir.join("refs/heads/main.lock"), "").unwrap();
    commit(&served.seed(), "more", "more\n", 301);
    let (said, done) = says(&served.seed(), &["push", &served.url("x"), "HEAD:main", "HEAD:refs/heads/free"]);
    assert!(!done && said.contains("HEAD -> free"), "{said}");
    assert!(said.contains("Unable to create 'refs/heads/main.lock': File exists."), "{said}");
    assert!(dir.join("refs/heads/main.lock").exists(), "it is not ours to remove");
}
