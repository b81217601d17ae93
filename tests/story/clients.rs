//! Stock git as a client: what it does daily, under protocol v0 and v2, through both doors.

use std::path::Path;

use tests::agent::text;
use tests::flow::{self, Work};
use tests::plumbing::{self, remote_ref};
use tests::{Agent, Forge};

/// A project with a history worth cloning: a merge, a tag, a branch, a pull request.
fn prepared(forge: &Forge) -> (Agent, Agent) {
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let dir = flow::found_project(&beta, "parser", &[("README.md", "one\n"), ("src/lib.rs", "fn parse() {}\n")]);
    for n in 1..=5 {
        flow::write(&dir, "big.txt", &format!("{n}\n").repeat(2000));
        beta.git(&dir, &["add", "-A"]).ok();
        beta.git(&dir, &["commit", "-q", "-m", &format!("Change {n}")]).ok();
        beta.git(&dir, &["push", "-q", "origin", &format!("HEAD:refs/heads/beta/step-{n}")]).ok();
    }
    beta.git(&dir, &["tag", "-a", "v1", "-m", "Version 1", "main"]).ok();
    beta.git(&dir, &["push", "-q", "origin", "v1"]).ok();
    flow::land(&alpha, &beta, "parser", "docs/guide.md", "Guide\n");
    (alpha, beta)
}

/// The address of a project behind each door, with what git needs to get in.
fn doors(agent: &Agent) -> [(String, Vec<String>); 2] {
    let http = agent.sh(agent.home(), "printf %s \"$HTTP_URL\"").ok().stdout;
    let bearer = format!("http.extraHeader=Authorization: Bearer {}", agent.token(""));
    [(agent.ssh_url("parser"), Vec::new()), (format!("{http}/parser"), vec!["-c".to_owned(), bearer])]
}

fn git(agent: &Agent, dir: &Path, version: &str, login: &[String], args: &[&str]) -> tests::Out {
    let protocol = format!("protocol.version={version}");
    let mut all = vec!["-c", &protocol];
    all.extend(login.iter().map(String::as_str));
    all.extend(args);
    agent.git(dir, &all)
}

#[test]
fn clones_of_every_kind_through_both_doors_under_both_protocols() {
    let forge = Forge::start();
    let (alpha, _) = prepared(&forge);
    let main = remote_ref(&alpha, "parser", "refs/heads/main").unwrap();
    for (door, (url, login)) in doors(&alpha).into_iter().enumerate() {
        for version in ["0", "2"] {
            let place = |kind: &str| alpha.home().join(format!("{kind}-{door}-{version}"));
            let clone = |kind: &str, options: &[&str]| {
                let dir = place(kind);
                let mut args = vec!["clone", "-q"];
                args.extend(options);
                args.extend([url.as_str(), dir.to_str().unwrap()]);
                git(&alpha, alpha.home(), version, &login, &args).ok();
                alpha.git(&dir, &["fsck", "--strict", "--no-dangling"]).ok();
                dir
            };
            let full = clone("full", &[]);
            assert_eq!(alpha.git(&full, &["rev-parse", "HEAD"]).ok().text(), main);
            assert_eq!(alpha.git(&full, &["describe", "--tags", "v1"]).ok().text(), "v1");
            assert!(full.join("docs/guide.md").exists());

            let shallow = clone("shallow", &["--depth", "1"]);
            assert_eq!(alpha.git(&shallow, &["rev-list", "--count", "HEAD"]).ok().text(), "1");
            git(&alpha, &shallow, version, &login, &["fetch", "-q", "--unshallow"]).ok();
            let count = |dir: &Path| alpha.git(dir, &["rev-list", "--count", "HEAD"]).ok().text().to_owned();
            assert_eq!(count(&shallow), count(&full));

            let single = clone("single", &["--single-branch", "--branch", "beta/step-3"]);
            let branches = alpha.git(&single, &["for-each-ref", "--format=%(refname)", "refs/remotes"]).ok();
            assert_eq!(branches.text(), "refs/remotes/origin/beta/step-3");

            let partial = clone("partial", &["--filter=blob:none", "--no-checkout"]);
            let missing = alpha.git(&partial, &["rev-list", "--objects", "--missing=print", "HEAD"]).ok();
            // Filters need protocol v2 or an advertised capability; either way no blob came along.
            assert!(missing.stdout.lines().any(|line| line.starts_with('?')), "no blob should be here\n{missing}");

            let mirror = place("mirror");
            let to = mirror.to_str().unwrap();
            git(&alpha, alpha.home(), version, &login, &["clone", "-q", "--mirror", &url, to]).ok();
            for name in ["refs/forge/ledger", "refs/forge/issues/1", "refs/forge/pulls/2", "refs/pull/2/head"] {
                alpha.git(&mirror, &["rev-parse", "-q", "--verify", name]).ok();
            }
            plumbing::assert_clean(&mirror);
        }
    }
}

#[test]
fn partial_clone_fetches_what_it_lacks() {
    let forge = Forge::start();
    let (alpha, _) = prepared(&forge);
    for (door, (url, login)) in doors(&alpha).into_iter().enumerate() {
        let dir = alpha.home().join(format!("lazy-{door}"));
        let mut args = vec!["clone", "-q", "--filter=blob:none"];
        args.extend([url.as_str(), dir.to_str().unwrap()]);
        git(&alpha, alpha.home(), "2", &login, &args).ok();
        assert!(dir.join("docs/guide.md").exists(), "checking out fetches the blobs of HEAD");
        let old = git(&alpha, &dir, "2", &login, &["show", "origin/beta/step-2:big.txt"]).ok();
        assert_eq!(old.stdout, "2\n".repeat(2000));
    }
}

#[test]
fn ls_remote_shows_the_same_under_both_protocols_and_through_both_doors() {
    let forge = Forge::start();
    let (alpha, _) = prepared(&forge);
    let doors = doors(&alpha);
    // The server writes its notes in batches of its own, soon after what they are about: only a round in which the
    // ledger stood still compares like with like.
    let ledger = || remote_ref(&alpha, "parser", "refs/forge/ledger");
    let seen = loop {
        let before = ledger();
        let seen = listings(&alpha, &doors);
        if ledger() == before {
            break seen;
        }
    };
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}

fn listings(alpha: &Agent, doors: &[(String, Vec<String>)]) -> Vec<String> {
    let mut seen = Vec::new();
    for (url, login) in doors {
        for version in ["0", "2"] {
            let out = git(alpha, alpha.home(), version, login, &["ls-remote", url]).ok();
            assert!(out.stdout.contains("\tHEAD\n") && out.stdout.contains("\trefs/tags/v1^{}\n"), "{out}");
            let symref = git(alpha, alpha.home(), version, login, &["ls-remote", "--symref", url, "HEAD"]).ok();
            assert!(symref.stdout.starts_with("ref: refs/heads/main\tHEAD\n"), "{symref}");
            seen.push(out.stdout);
        }
    }
    seen
}

#[test]
fn pushes_of_every_kind_through_both_doors() {
    let forge = Forge::start();
    let (alpha, beta) = prepared(&forge);
    for (door, (url, login)) in doors(&alpha).into_iter().enumerate() {
        let dir = alpha.clone_into(&alpha.ssh_url("parser"), &format!("push-{door}"), &[]);
        let push = |args: &[&str]| {
            let mut all = vec!["push"];
            all.extend(args);
            git(&alpha, &dir, "2", &login, &all)
        };
        let name = |short: &str| format!("refs/heads/alpha/{short}-{door}");
        let to = |short: &str| format!("HEAD:{}", name(short));
        let tip = |short: &str| remote_ref(&alpha, "parser", &name(short));
        let commit = |text: &str| {
            flow::write(&dir, "note.txt", text);
            alpha.git(&dir, &["add", "-A"]).ok();
            alpha.git(&dir, &["commit", "-q", "-m", text]).ok();
            alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned()
        };
        let first = commit("first");
        push(&["--atomic", &url, &to("a"), &to("b")]).ok();
        assert_eq!((tip("a"), tip("b")), (Some(first.clone()), Some(first.clone())));

        // One forbidden ref takes the others down with it, and only with --atomic.
        let second = commit("second");
        push(&["--atomic", &url, &to("a"), "HEAD:refs/heads/main"]).fails();
        assert_eq!(tip("a"), Some(first.clone()));
        push(&[&url, &to("a"), "HEAD:refs/heads/main"]).fails().says("main");
        assert_eq!(tip("a"), Some(second.clone()));

        // Rewritten history: a plain push is refused by git, a lease on the wrong value too, one on the right value lands.
        alpha.git(&dir, &["commit", "-q", "--amend", "-m", "second, better"]).ok();
        push(&[&url, &to("a")]).fails();
        push(&[&format!("--force-with-lease={}:{first}", name("a")), &url, &to("a")]).fails();
        assert_eq!(tip("a"), Some(second.clone()));
        push(&[&format!("--force-with-lease={}:{second}", name("a")), &url, &to("a")]).ok();
        let third = alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
        assert_eq!(tip("a"), Some(third));

        push(&[&url, "--delete", &name("b")]).ok();
        assert_eq!(tip("b"), None);
        push(&[&url, "--delete", "refs/heads/main"]).fails();
        push(&[&url, "--delete", "refs/heads/beta/step-1"]).fails();

        let tag = format!("alpha-{door}");
        alpha.git(&dir, &["tag", "-a", &tag, "-m", "A tag"]).ok();
        push(&[&url, &tag]).ok();
        assert!(remote_ref(&beta, "parser", &format!("refs/tags/{tag}")).is_some());
        alpha.git(&dir, &["fetch", "-q", "--tags", &url]).ok();
        assert!(push(&[&url, &to("a")]).ok().all().contains("Everything up-to-date"));
    }
}

#[test]
fn a_file_directory_conflict_is_refused_and_an_incremental_fetch_brings_the_rest() {
    let forge = Forge::start();
    let (alpha, beta) = prepared(&forge);
    let before = beta.clone_into(&beta.ssh_url("parser"), "before", &[]);
    let dir = alpha.clone_into(&alpha.ssh_url("parser"), "conflict", &[]);
    alpha.git(&dir, &["push", "origin", "HEAD:refs/heads/alpha/x"]).ok();
    alpha.git(&dir, &["push", "origin", "HEAD:refs/heads/alpha/x/y"]).fails();
    alpha.git(&dir, &["push", "origin", "HEAD:refs/heads/alpha"]).fails();
    let landed = flow::land(&alpha, &beta, "parser", "late.txt", "late\n");
    beta.git(&before, &["pull", "-q", "--ff-only"]).ok();
    assert_eq!(beta.git(&before, &["rev-parse", "HEAD"]).ok().text(), landed.commit);
    beta.git(&before, &["fetch", "-q", "origin", "+refs/pull/*/head:refs/remotes/origin/pull/*"]).ok();
    beta.git(&before, &["rev-parse", "--verify", "origin/pull/2"]).ok();
}

#[test]
fn basic_authentication_takes_the_token_as_password() {
    let forge = Forge::start();
    let (alpha, _) = prepared(&forge);
    let token = alpha.token("");
    let address = format!("127.0.0.1:{}", forge.http_port());
    let dir = alpha.clone_into(&format!("http://{address}/parser.git"), "basic", &[]);
    let with = |password: &str| format!("http://whoever:{password}@{address}/parser");
    alpha.git(&dir, &["push", "-q", &with(&token), "HEAD:refs/heads/alpha/basic"]).ok();
    assert!(remote_ref(&alpha, "parser", "refs/heads/alpha/basic").is_some());
    alpha.git(&dir, &["push", "-q", &with("wrong"), "HEAD:refs/heads/alpha/wrong"]).fails();
    alpha.git(&dir, &["push", "-q", &format!("http://{address}/parser"), "HEAD:refs/heads/alpha/none"]).fails();
    assert_eq!(remote_ref(&alpha, "parser", "refs/heads/alpha/wrong"), None);
    assert_eq!(remote_ref(&alpha, "parser", "refs/heads/alpha/none"), None);
}

#[test]
fn an_object_is_as_visible_as_the_refs_that_reach_it() {
    let forge = Forge::start();
    let (alpha, beta) = prepared(&forge);
    let tip = remote_ref(&alpha, "parser", "refs/heads/beta/step-2").unwrap();
    let shown = beta.git(beta.home().join("parser-first"), &["rev-parse", &format!("{tip}:big.txt")]).ok();
    // Pushed and deleted again: its objects lie in the store, and no ref reaches them.
    let gone = alpha.clone_into(&alpha.ssh_url("parser"), "gone", &[]);
    flow::write(&gone, "gone.txt", "soon gone\n");
    alpha.git(&gone, &["add", "-A"]).ok();
    alpha.git(&gone, &["commit", "-q", "-m", "Soon gone"]).ok();
    let hidden = alpha.git(&gone, &["rev-parse", "HEAD:gone.txt"]).ok();
    alpha.git(&gone, &["push", "-q", "origin", "HEAD:refs/heads/alpha/gone"]).ok();
    alpha.git(&gone, &["push", "-q", "origin", "--delete", "alpha/gone"]).ok();

    let dir = alpha.home().join("by-id");
    for (url, login) in doors(&alpha) {
        for version in ["0", "2"] {
            let fetch = |id: &str| {
                drop(std::fs::remove_dir_all(&dir));
                alpha.git(alpha.home(), &["init", "-q", dir.to_str().unwrap()]).ok();
                git(&alpha, &dir, version, &login, &["fetch", "-q", &url, id])
            };
            fetch(&tip).ok();
            // Partial clones fetch what they lack like this.
            fetch(shown.text()).ok();
            // Stock upload-pack would hand this out under v2.
            fetch(hidden.text()).fails().says("not our ref");
        }
    }
}

#[test]
fn a_large_push_and_a_clone_of_it_carry_the_same_bytes() {
    let forge = Forge::start();
    let alpha = forge.agent("alpha");
    alpha.json("project new large");
    let dir = alpha.home().join("large");
    alpha.git(alpha.home(), &["init", "-q", "large"]).ok();
    // 24 MB that do not compress: above every size at which a quarantine moves from memory to disk.
    alpha.sh(&dir, "for n in 1 2 3; do head -c 8000000 /dev/urandom > noise-$n.bin; done").ok();
    alpha.sh(&dir, "mkdir many && for n in $(seq 1 500); do echo $n > many/$n; done").ok();
    alpha.git(&dir, &["add", "-A"]).ok();
    alpha.git(&dir, &["commit", "-q", "-m", "Large"]).ok();
    alpha.git(&dir, &["push", "-q", &alpha.ssh_url("large"), "HEAD:refs/heads/main"]).ok();
    for (name, url) in [("ssh", alpha.ssh_url("large")), ("http", forge.http_url("/large"))] {
        let copy = alpha.clone_into(&url, &format!("large-{name}"), &[]);
        let sum = |dir: &Path| alpha.sh(dir, "cat noise-*.bin many/* | sha256sum").ok().stdout;
        assert_eq!(sum(&copy), sum(&dir));
        alpha.git(&copy, &["fsck", "--full", "--strict"]).ok();
    }
}

#[test]
fn settings_pasted_twice_push_branch_and_records_once() {
    let forge = Forge::start();
    let (alpha, beta) = prepared(&forge);
    let issue = flow::open_issue(&beta, "parser", "Paste twice");
    let work = Work::start(&alpha, &issue);
    work.paste_settings();
    work.write("twice.txt", "x\n");
    work.record("true").ok();
    work.commit("Twice");
    work.push().ok();
    // Nothing is left to say, and nothing is sent again.
    work.push().ok().says("Everything up-to-date");
    assert_eq!(remote_ref(&alpha, "parser", &format!("refs/heads/{}", work.branch)), Some(work.head()));
    assert_eq!(text(&work.submit(), "/proof"), "P1");
}

#[test]
fn clones_are_kept_on_disk_and_never_out_of_date() {
    let mut forge = Forge::start();
    let (alpha, beta) = prepared(&forge);
    let clones = forge.data().join("clones");
    let kept = || {
        let files = std::fs::read_dir(&clones).unwrap().map(|entry| entry.unwrap().path());
        files.collect::<std::collections::BTreeSet<_>>()
    };
    let clone = |forge: &Forge, name: &str| {
        let dir = alpha.clone_into(&forge.http_url("/parser"), name, &["--bare"]);
        alpha.git(&dir, &["fsck", "--strict"]).ok();
        let refs = |at: &str| alpha.git(&dir, &["ls-remote", "--heads", "--tags", at]).ok().text().to_owned();
        assert_eq!(refs("."), refs("origin"), "{name}");
    };
    // An older pack that was outgrown by the first is replaced by the second.
    clone(&forge, "first");
    clone(&forge, "second");
    let files = kept();
    assert!(!files.is_empty());
    clone(&forge, "again");
    assert_eq!(kept(), files, "the same tips are one file");
    let dir = beta.home().join("more");
    beta.git(beta.home(), &["clone", "-q", &beta.ssh_url("parser"), "more"]).ok();
    flow::write(&dir, "more.txt", "more\n");
    beta.git(&dir, &["add", "-A"]).ok();
    beta.git(&dir, &["commit", "-q", "-m", "More"]).ok();
    beta.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/beta/more"]).ok();
    clone(&forge, "moved");
    beta.git(&dir, &["push", "-q", "origin", ":refs/heads/beta/step-5"]).ok();
    clone(&forge, "less");
    forge.kill();
    for file in kept() {
        plumbing::flip_byte(&file, 40);
    }
    forge.up();
    clone(&forge, "damaged");
    std::fs::remove_dir_all(&clones).unwrap();
    clone(&forge, "without");
    assert!(!forge.has_died());
}
