//! Clones and fetches.

use std::path::Path;

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

/// Commits `count` times on `branch`, from where that is or from `from`; the last one's id.
fn many(dir: &Path, branch: &str, from: &str, count: usize) -> String {
    use std::fmt::Write as _;
    let mut stream = String::new();
    for n in 0..count {
        let message = format!("{branch} {n}\n");
        let _ = writeln!(stream, "commit refs/heads/{branch}\ncommitter a <a@example.org> {} +0000", 1_700_001_000 + n);
        let _ = write!(stream, "data {}\n{message}", message.len());
        if n == 0 {
            let _ = writeln!(stream, "from {from}");
        }
        let _ = writeln!(stream, "M 100644 inline {branch}{}\ndata {}\n{message}", n % 7, message.len());
    }
    let mut command = super::harness::git_command(dir);
    command.args(["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"]).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    ok(dir, &["rev-parse", branch])
}

#[test]
fn histories_that_parted_negotiate_over_many_rounds() {
    let server = Server::with_history();
    let here = server.temp.path();
    let base = server.bare(&["rev-parse", "main"]);
    let mine = server.path("mine");
    ok(here, &["clone", "-q", &server.doors()[0].1, "mine"]);
    many(&mine, "mine", &base, 1500);
    let theirs = many(&server.path("repo.git"), "theirs", &base, 1200);
    for (name, url, version) in server.doors() {
        let clone = server.path(&name);
        assert!(std::process::Command::new("cp").arg("-r").arg(&mine).arg(&clone).status().unwrap().success());
        ok(&clone, &["-c", &version, "fetch", "-q", &url, "theirs"]);
        assert_eq!(ok(&clone, &["rev-parse", "FETCH_HEAD"]), theirs, "{name}");
        ok(&clone, &["fsck", "--full", "--connectivity-only"]);
        let packed = ok(&clone, &["count-objects", "-v"]);
        let count = packed.lines().find_map(|line| line.strip_prefix("in-pack: ")).unwrap().parse::<usize>().unwrap();
        // 1500 commits, trees and blobs of its own, 40 commits with their trees, and what came.
        assert!(count < 3 * 1500 + 200 + 3 * 1200 + 50, "{name}: what it has is not sent again: {packed}");
    }
}

/// What a clone is: its refs, where it is cut, and every object it has.
fn state(clone: &Path) -> (String, String, String) {
    let git_dir = if clone.join(".git").exists() { clone.join(".git") } else { clone.to_owned() };
    let shallow = std::fs::read_to_string(git_dir.join("shallow")).unwrap_or_default();
    let mut cut: Vec<&str> = shallow.lines().collect();
    cut.sort_unstable();
    let objects = ok(clone, &["cat-file", "--batch-all-objects", "--batch-check"]);
    let fsck = ok(clone, &["fsck", "--full", "--no-dangling"]);
    assert!(fsck.lines().all(|line| line.starts_with("Checking ") || line.starts_with("notice: ")), "{fsck}");
    (ok(clone, &["for-each-ref"]), cut.join("\n"), objects)
}

/// The same commands against us and against stock git leave the same clones.
#[test]
fn what_clients_do_ends_as_with_stock_git() {
    let server = Server::with_history();
    // Not allowRefInWant: with a depth, stock git tells wanted refs too early for its own client.
    for setting in ["allowFilter", "allowReachableSHA1InWant"] {
        server.bare(&["config", &format!("uploadpack.{setting}"), "true"]);
    }
    server.bare(&["config", "uploadpack.hideRefs", "refs/hidden"]);
    let old = server.bare(&["rev-parse", "main~7"]);
    let stories: &[&[&[&str]]] = &[
        &[
            &["clone", "--depth", "1"],
            &["fetch", "--deepen", "4"],
            &["fetch", "--depth", "2"],
            &["fetch", "--unshallow"],
        ],
        &[&["clone", "--depth", "3", "--no-single-branch"], &["fetch", "--shallow-since", "1700000010"]],
        &[&["clone", "--shallow-exclude", "v1"], &["fetch", "--depth", "2147483647", "origin", "side:side"]],
        &[&["clone", "--shallow-since", "1700000030"], &["fetch", "origin", "refs/tags/v1:refs/tags/v1"]],
        &[&["clone", "--single-branch", "-b", "side"], &["fetch", "origin", "main:m"]],
        &[&["clone", "--no-tags", "-b", "side", "--single-branch"], &["fetch", "--tags"]],
        &[&["clone", "--depth", "2"], &["fetch", "origin", &old, "side"]],
        &[&["clone", "--mirror"]],
        &[&["clone", "--no-checkout", "--filter=tree:0"], &["checkout", "side"], &["log", "-3", "--stat", "main"]],
        &[&["clone", "--no-checkout", "--filter=blob:limit=11"], &["fetch", "--refetch"]],
        &[&["clone", "--no-checkout", "--filter=combine:blob:none+tree:2"], &["checkout", "main"]],
        &[&["clone", "--no-checkout", "--depth", "5", "--filter=object:type=commit"]],
        &[&["clone", "--bare", "--filter=blob:none", "--depth", "3"], &["fetch", "--deepen", "3", "origin", "main"]],
    ];
    let stock =
        ("stock".to_owned(), format!("file://{}", server.path("repo.git").display()), "protocol.version=2".into());
    let doors: Vec<_> = std::iter::once(stock).chain(server.doors()).collect();
    for (number, story) in stories.iter().enumerate() {
        let mut expected = None;
        for (name, url, version) in &doors {
            let clone = server.path(&format!("story{number}-{name}"));
            // A plain fetch in the end: over HTTP, before v2, git lets tags follow a fetch late.
            for step in story.iter().chain(std::iter::once(&&["fetch"][..])) {
                let (dir, tail) = match step[0] {
                    "clone" => (server.temp.path(), vec!["-q", url.as_str(), clone.to_str().unwrap()]),
                    "fetch" => (clone.as_path(), vec!["-q"]),
                    _ => (clone.as_path(), vec![]),
                };
                let (first, rest) = step.split_at(1);
                let options = ["-c", version.as_str(), "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
                ok(
                    dir,
                    &match first[0] {
                        "fetch" => [&options[..], first, &tail, rest].concat(),
                        _ => [&options[..], first, rest, &tail].concat(),
                    },
                );
            }
            let got = state(&clone);
            match &expected {
                None => expected = Some(got),
                Some(expected) => {
                    assert_eq!(got.0, expected.0, "refs: {name}: {story:?}");
                    assert_eq!(got.1, expected.1, "cuts: {name}: {story:?}");
                    assert_eq!(got.2, expected.2, "objects: {name}: {story:?}");
                }
            }
        }
    }
}

/// A repository that lacks a part of its history itself.
#[test]
fn a_repository_that_is_cut_itself_says_so() {
    let server = Server::with_history();
    let here = server.temp.path();
    ok(here, &["clone", "-q", "--bare", "--depth", "6", "--no-single-branch", &server.doors()[0].1, "cut.git"]);
    let served = Server::of(&server.path("cut.git"));
    for (name, url, version) in served.doors() {
        ok(here, &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        let shallow = std::fs::read_to_string(clone.join(".git/shallow")).unwrap();
        assert_eq!(shallow.lines().count(), 2, "{name}");
        assert_eq!(ok(&clone, &["rev-list", "--count", "--all"]), "12", "{name}");
        ok(&clone, &["fsck", "--full"]);
        let deep = format!("{name}-deep");
        ok(here, &["-c", &version, "clone", "-q", "--depth", "3", &url, &deep]);
        let deep = server.path(&deep);
        assert_eq!(ok(&deep, &["rev-list", "--count", "HEAD"]), "3", "{name}");
        ok(&deep, &["-c", &version, "fetch", "-q", "--depth", "100"]);
        assert_eq!(ok(&deep, &["rev-list", "--count", "HEAD"]), "6", "{name}");
        ok(&deep, &["fsck", "--full"]);
    }
}

#[test]
fn people_are_told_how_far_it_is() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors() {
        let said = |quiet: &str| {
            let to = format!("{name}{quiet}");
            let mut command = super::harness::git_command(here);
            let done = command.args(["-c", &version, "clone", quiet, &url, &to]).output().unwrap();
            assert!(done.status.success());
            String::from_utf8(done.stderr).unwrap()
        };
        let told = said("--progress");
        assert!(told.contains("remote: Enumerating objects: 161, done."), "{name}: {told}");
        assert!(told.contains("remote: Total 161"), "{name}: {told}");
        assert_eq!(said("--quiet"), "", "{name}");
    }
}

#[test]
fn what_is_common_can_be_asked_without_a_fetch() {
    let server = Server::with_history();
    let here = server.temp.path();
    for (name, url, version) in server.doors().into_iter().filter(|(_, _, version)| version.ends_with('2')) {
        ok(here, &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        let common = ok(&clone, &["rev-parse", "HEAD"]);
        ok(&clone, &["commit", "-q", "--allow-empty", "-m", "mine alone"]);
        let ask =
            |url: &str| ok(&clone, &["-c", &version, "fetch", "-q", "--negotiate-only", "--negotiation-tip=HEAD", url]);
        let stock = ask(&format!("file://{}", server.path("repo.git").display()));
        assert!(stock.contains(&common), "{stock}");
        assert_eq!(ask(&url), stock, "{name}");
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
