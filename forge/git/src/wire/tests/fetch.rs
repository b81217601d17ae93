//! Clones and fetches.

use std::sync::atomic::Ordering;

use super::harness::{Server, commit, fails, ok};
use crate::wire::{Host as _, Service};

#[test]
fn a_clone_is_complete_and_a_fetch_brings_the_rest() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors() {
        ok(here, &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        ok(&clone, &["fsck", "--full", "--strict"]);
        assert_eq!(ok(&clone, &["rev-list", "--count", "--all"]), "40", "{name}");
        assert_eq!(ok(&clone, &["tag"]), "light\nv1", "{name}");
        assert_eq!(ok(&clone, &["symbolic-ref", "refs/remotes/origin/HEAD"]), "refs/remotes/origin/main");
    }
    let seed = server.path("seed");
    ok(&seed, &["checkout", "-q", "main"]);
    commit(&seed, "new", "new\n", 200);
    ok(&seed, &["tag", "-a", "-m", "second", "v2"]);
    ok(&seed, &["push", "-q", "../repo.git", "main", "v2"]);
    for (name, _, version) in server.doors() {
        let clone = server.path(&name);
        ok(&clone, &["-c", &version, "pull", "-q", "--ff-only"]);
        assert_eq!(ok(&clone, &["rev-list", "--count", "HEAD"]), "41", "{name}");
        assert_eq!(ok(&clone, &["cat-file", "-t", "v2"]), "tag", "{name}: tags follow");
    }
}

#[test]
fn histories_that_parted_negotiate_over_many_rounds() {
    let server = Server::with_history();
    let here = server.temp.path();
    let mine = server.path("mine");
    ok(here, &["clone", "-q", &server.doors()[0].1, "mine"]);
    (0..120).for_each(|n| drop(commit(&mine, "mine", &format!("{n}\n"), 300 + n)));
    let seed = server.path("seed");
    ok(&seed, &["checkout", "-q", "side"]);
    let theirs = (0..60).map(|n| commit(&seed, "theirs", &format!("{n}\n"), 500 + n)).next_back().unwrap();
    ok(&seed, &["push", "-q", "../repo.git", "side"]);
    for (name, url, version) in server.doors() {
        let clone = server.path(&name);
        assert!(std::process::Command::new("cp").arg("-r").arg(&mine).arg(&clone).status().unwrap().success());
        ok(&clone, &["-c", &version, "fetch", "-q", &url, "side"]);
        assert_eq!(ok(&clone, &["rev-parse", "FETCH_HEAD"]), theirs, "{name}");
        ok(&clone, &["fsck", "--full"]);
    }
}

#[test]
fn shallow_clones_deepen_and_become_whole() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors() {
        ok(here, &["-c", &version, "clone", "-q", "--depth", "1", &url, &name]);
        let clone = server.path(&name);
        let count = || ok(&clone, &["rev-list", "--count", "HEAD"]);
        assert_eq!(count(), "1", "{name}");
        ok(&clone, &["-c", &version, "fetch", "-q", "--deepen", "4"]);
        assert_eq!(count(), "5", "{name}");
        ok(&clone, &["-c", &version, "fetch", "-q", "--shallow-since", "1700000010"]);
        assert_eq!(count(), "30", "{name}");
        ok(&clone, &["-c", &version, "fetch", "-q", "--shallow-exclude", "v1", "origin", "main"]);
        assert_eq!(count(), "19", "{name}");
        ok(&clone, &["-c", &version, "fetch", "-q", "--unshallow"]);
        assert_eq!(count(), "40", "{name}");
        ok(&clone, &["fsck", "--full"]);
    }
}

#[test]
fn a_partial_clone_fetches_what_it_left_out_when_it_needs_it() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors() {
        let lacks = |clone: &std::path::Path| {
            let listed = ok(clone, &["rev-list", "--objects", "--all", "--missing=print"]);
            listed.lines().filter(|l| l.starts_with('?')).count()
        };
        ok(here, &["-c", &version, "clone", "-q", "--no-checkout", "--filter=blob:none", &url, &name]);
        let clone = server.path(&name);
        ok(&clone, &["config", "protocol.version", &version[version.len() - 1..]]);
        assert_eq!(lacks(&clone), 40, "{name}: no blob");
        ok(&clone, &["checkout", "-q", "side"]);
        assert_eq!(lacks(&clone), 19, "{name}: those of side have come");
        ok(&clone, &["checkout", "-q", "main"]);
        assert_eq!(lacks(&clone), 0, "{name}: all blobs have come");
    }
}

#[test]
fn single_branches_mirrors_and_lists() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors() {
        let run = |args: &[&str]| ok(here, &[&["-c", version.as_str()], args].concat());
        run(&["clone", "-q", "--single-branch", "-b", "side", &url, &name]);
        assert_eq!(ok(&server.path(&name), &["rev-list", "--count", "--all"]), "21", "{name}");

        let mirror = format!("{name}.git");
        run(&["clone", "-q", "--mirror", &url, &mirror]);
        let format = "--format=%(objectname) %(refname)";
        let shown = server.bare(&["for-each-ref", format, "refs/heads", "refs/tags"]);
        assert_eq!(ok(&server.path(&mirror), &["for-each-ref", format]), shown);

        let names = |listed: String| -> Vec<String> {
            listed.lines().map(|l| l.split('\t').next_back().unwrap().to_owned()).collect()
        };
        let all = ["HEAD", "refs/heads/main", "refs/heads/side", "refs/tags/light", "refs/tags/v1", "refs/tags/v1^{}"];
        assert_eq!(names(run(&["ls-remote", &url])), all, "{name}");
        assert_eq!(names(run(&["ls-remote", "--symref", &url, "HEAD"])), ["HEAD", "HEAD"], "{name}");
        assert_eq!(names(run(&["ls-remote", "--heads", &url, "m*"])), ["refs/heads/main"], "{name}");
        assert_eq!(names(run(&["ls-remote", "--tags", "--refs", &url])), ["refs/tags/light", "refs/tags/v1"], "{name}");
    }
}

#[test]
fn an_empty_repository_can_be_cloned() {
    let server = Server::start();
    server.bare(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["-c", &version, "clone", "-q", &url, &name]);
        assert_eq!(ok(server.temp.path(), &["-c", &version, "ls-remote", &url]), "");
        if version.ends_with('2') {
            let head = ok(&server.path(&name), &["symbolic-ref", "HEAD"]);
            assert_eq!(head, "refs/heads/trunk", "{name}: an unborn HEAD is told");
        }
    }
}

#[test]
fn only_what_shown_refs_reach_can_be_wanted() {
    let server = Server::with_history();
    let secret = server.bare(&["rev-parse", "refs/hidden/secret"]);
    let secret_blob = server.bare(&["rev-parse", "refs/hidden/secret:secret"]);
    let old = server.bare(&["rev-parse", "main~7"]);
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["init", "-q", &name]);
        let dir = server.path(&name);
        for hidden in [secret.as_str(), &secret_blob, &"12".repeat(20)] {
            let said = fails(&dir, &["-c", &version, "fetch", &url, hidden]);
            assert!(said.contains(&format!("not our ref {hidden}")), "{name}: {said}");
        }
        ok(&dir, &["-c", &version, "fetch", "-q", &url, &old]);
        assert_eq!(ok(&dir, &["rev-parse", "FETCH_HEAD"]), old, "{name}: what main reaches may be fetched by its id");
    }
}

#[test]
fn what_is_shown_counts_and_not_the_refs_on_disk() {
    let server = Server::with_history();
    let shown = server.host.advertise(Service::UploadPack, &[]);
    *server.host.ahead.lock().unwrap() = Some(shown);
    for name in server.bare(&["for-each-ref", "--format=%(refname)"]).lines() {
        server.bare(&["update-ref", "-d", name]);
    }
    // This one is on disk alone: older than what is shown.
    let stale = server.bare(&["commit-tree", "-m", "stale", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"]);
    server.bare(&["update-ref", "refs/heads/stale", &stale]);
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        assert_eq!(ok(&clone, &["rev-list", "--count", "--all"]), "40", "{name}");
        assert_eq!(ok(&clone, &["tag"]), "light\nv1", "{name}");
        assert!(!ok(&clone, &["branch", "-r"]).contains("stale"), "{name}");
        assert!(fails(&clone, &["-c", &version, "fetch", "origin", &stale]).contains("not our ref"), "{name}");
    }
}
