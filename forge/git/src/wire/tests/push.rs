//! Pushes.

use std::sync::atomic::Ordering;

use super::harness::{Server, commit, fails, ok};

#[test]
fn a_branch_is_made_moved_forced_and_deleted() {
    let server = Server::with_history();
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        let branch = format!("refs/heads/{name}");
        let push = |args: &[&str]| -> Vec<String> {
            ["-c", version.as_str(), "push", "origin"].iter().chain(args).map(|a| (*a).to_owned()).collect()
        };
        let there = || server.bare(&["for-each-ref", "--format=%(objectname)", &branch]);

        let first = commit(&clone, "a", &name, 400);
        ok(&clone, &push(&[&format!("HEAD:{branch}")]));
        assert_eq!(there(), first);
        let second = commit(&clone, "b", &name, 401);
        ok(&clone, &push(&[&format!("HEAD:{branch}")]));
        assert_eq!(there(), second);

        ok(&clone, &["reset", "-q", "--hard", "HEAD~1"]);
        let other = commit(&clone, "c", &name, 402);
        let stale = format!("--force-with-lease={branch}:{first}");
        assert!(fails(&clone, &push(&[&stale, &format!("HEAD:{branch}")])).contains("stale info"), "{name}");
        let lease = format!("--force-with-lease={branch}:{second}");
        ok(&clone, &push(&[&lease, &format!("HEAD:{branch}")]));
        assert_eq!(there(), other);

        ok(&clone, &["tag", "-a", "-m", "t", &format!("t-{name}")]);
        ok(&clone, &push(&["--tags"]));
        assert_eq!(server.bare(&["cat-file", "-t", &format!("refs/tags/t-{name}")]), "tag");
        ok(&clone, &push(&["--delete", &branch]));
        assert_eq!(there(), "");
    }
    server.bare(&["fsck", "--full", "--strict"]);
}

#[test]
fn the_first_push_into_an_empty_repository() {
    let server = Server::start();
    ok(server.temp.path(), &["init", "-q", "-b", "main", "seed"]);
    let seed = server.path("seed");
    for (name, url, version) in server.doors() {
        let id = commit(&seed, "a", &name, 1);
        ok(&seed, &["-c", &version, "push", "-q", &url, "main"]);
        assert_eq!(server.bare(&["rev-parse", "main"]), id);
    }
}

#[test]
fn each_ref_has_its_own_answer_and_an_atomic_push_one() {
    let server = Server::with_history();
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["-c", &version, "clone", "-q", &url, &name]);
        let clone = server.path(&name);
        commit(&clone, "a", &name, 400);
        let refs =
            [format!("HEAD:refs/heads/ok-{name}"), "HEAD:refs/heads/locked".into(), "HEAD:refs/heads/early".into()];
        let push = |more: &[&str], refs: &[String]| {
            let mut args = vec!["-c", version.as_str(), "push", &url];
            args.extend(more);
            args.extend(refs.iter().map(String::as_str));
            fails(&clone, &args)
        };
        let said = push(&["--atomic"], &refs);
        assert_eq!(said.matches("(atomic push failure)").count(), 2, "{name}: {said}");
        assert!(said.contains("(refused early)"), "{name}: {said}");
        let before = server.host.received.load(Ordering::Relaxed);
        let said = push(&["--atomic"], &refs[..2]);
        assert_eq!(said.matches("(sunk together)").count(), 2, "{name}: {said}");
        assert_eq!(server.host.received.load(Ordering::Relaxed), before + 1);

        let said = push(&[], &refs);
        assert!(said.contains(&format!("HEAD -> ok-{name}")), "{name}: {said}");
        assert!(said.contains("(locked)") && said.contains("(refused early)"), "{name}: {said}");
        assert!(said.contains("remote: by the test"), "what a reason says in further lines is advice: {name}: {said}");
        assert_eq!(server.bare(&["for-each-ref", "--format=%(refname)", "refs/heads/locked", "refs/heads/early"]), "");
        assert_eq!(server.bare(&["rev-parse", &format!("ok-{name}")]), ok(&clone, &["rev-parse", "HEAD"]));
    }
}

#[test]
fn names_that_are_no_names_are_refused_by_name() {
    let server = Server::with_history();
    let seed = server.path("seed");
    for (name, url, version) in server.doors() {
        let good = format!("HEAD:refs/heads/good-{name}");
        let said = fails(&seed, &["-c", &version, "push", &url, "HEAD:refs/flat", &good]);
        assert!(said.contains("HEAD -> refs/flat (funny refname)"), "{name}: {said}");
        assert!(said.contains("remote: error: refusing to create funny ref 'refs/flat' remotely"), "{name}: {said}");
        assert!(said.contains(&format!("HEAD -> good-{name}")), "{name}: {said}");
    }
}

#[test]
fn options_arrive_and_messages_return() {
    let server = Server::with_history();
    let seed = server.path("seed");
    for (name, url, version) in server.doors() {
        commit(&seed, "a", &name, 400);
        let target = format!("HEAD:refs/heads/{name}");
        let said = ok(&seed, &["-c", &version, "push", "-o", "issue=7", "-o", "draft", &url, &target]);
        for line in ["remote: see parser#7 [31m", "remote: option issue=7", "remote: option draft"] {
            assert!(said.contains(line), "{name}: {said:?}");
        }
    }
}

#[test]
fn a_shallow_clone_can_push() {
    let server = Server::with_history();
    for (name, url, version) in server.doors() {
        ok(server.temp.path(), &["-c", &version, "clone", "-q", "--depth", "1", &url, &name]);
        let clone = server.path(&name);
        let id = commit(&clone, "a", &name, 400);
        ok(&clone, &["-c", &version, "push", "-q", "origin", &format!("HEAD:refs/heads/{name}")]);
        assert_eq!(server.bare(&["rev-parse", &name]), id);
    }
}

#[test]
fn a_pack_refused_while_it_is_sent_still_gets_its_answer() {
    let server = Server::with_history();
    let seed = server.path("seed");
    // Noise that does not compress, behind a tree that no repository may hold: it is refused long before the end.
    let mut noise = vec![0; 6 << 20];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    std::fs::write(seed.join("noise"), noise).unwrap();
    let blob = ok(&seed, &["hash-object", "-w", "noise"]);
    std::fs::write(seed.join("listing"), format!("100644 blob {blob}\t.git\n")).unwrap();
    let made = super::harness::git_command(&seed)
        .arg("mktree")
        .stdin(std::fs::File::open(seed.join("listing")).unwrap())
        .output()
        .unwrap();
    let tree = String::from_utf8(made.stdout).unwrap();
    let bad = ok(&seed, &["commit-tree", "-m", "bad", tree.trim()]);
    for (name, url, version) in server.doors() {
        let said = fails(&seed, &["-c", &version, "push", &url, &format!("{bad}:refs/heads/bad")]);
        assert!(said.contains("remote unpack failed: tree ") && said.contains("(unpacker error)"), "{name}: {said}");
    }
    assert_eq!(server.bare(&["for-each-ref", "refs/heads/bad"]), "");
}
