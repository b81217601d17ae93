//! Anyone can check: `forge trace verify` in a plain clone agrees with the server, and finds whatever was changed.

use std::fs;
use std::path::{Path, PathBuf};

use tests::agent::{list, text};
use tests::flow::{self, Work};
use tests::{Agent, Dice, Forge, Out, root};

/// How many histories are generated; `FORGE_HISTORIES` asks for more.
fn histories() -> u64 {
    std::env::var("FORGE_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// One issue worked on in a way that the dice choose; answers the commits that it left.
fn history(dice: &mut Dice, author: &Agent, judge: &Agent, dir: &Path, number: u64) -> Vec<String> {
    let script = root().join("frontend-static/forge-run.sh");
    let issue = flow::open_issue(judge, "parser", &format!("Issue {number}"));
    author.git(dir, &["switch", "-q", "--detach"]).ok();
    let work = Work::start_in(author, &issue, dir);
    let mut commits = Vec::new();
    let mut submitted = None;
    for round in 0..1 + dice.below(3) {
        for attempt in 0..1 + dice.below(3) {
            work.write(&format!("f{number}.txt"), &format!("{round}.{attempt}\n"));
            let exit = u32::from(dice.below(3) == 0);
            let recorder =
                if dice.below(3) == 0 { format!("sh {} --", script.display()) } else { "forge run --".into() };
            if dice.below(6) > 0 {
                author.sh(dir, &format!("{recorder} sh -c 'echo 1..1; echo ok; exit {exit}'")).exits(exit as i32);
            }
            if dice.below(2) == 0 {
                work.commit(&format!("Step {number}.{round}.{attempt}"));
            }
        }
        match dice.below(5) {
            // What is committed last may not be what ran last.
            0 => work.write(&format!("late{number}.txt"), &format!("{round}\n")),
            1 => drop(author.sh(dir, "forge run -- true").ok()),
            _ => {}
        }
        author.sh(dir, "git add -A && { git diff --cached --quiet || git commit -qm 'The rest'; }").ok();
        if dice.below(4) == 0 {
            work.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "In other words"]).ok();
            work.git(&["push", "-q", "--force"]).ok();
        } else {
            work.push().ok();
        }
        commits.push(work.head());
        if submitted.is_none() {
            let out = author.ssh_json(&format!("submit {} --issue {issue} --title 'Answer {number}'", work.branch));
            submitted = out.is_ok().then(|| text(&out.json(), "/ref"));
        }
    }
    if let Some(pull) = submitted.filter(|_| dice.below(2) == 0)
        && judge.ssh(&format!("review approve {pull}")).is_ok()
    {
        let out = author.ssh_json(&format!("merge {pull}"));
        if out.is_ok() {
            commits.push(text(&out.json(), "/landed"));
        }
    }
    commits
}

/// A clone by somebody who was never here, with what git leaves out unless asked.
fn plain_clone(agent: &Agent, name: &str) -> PathBuf {
    let dir = agent.clone_into(&agent.ssh_url("parser"), name, &[]);
    agent.git(&dir, &["fetch", "-q", "origin", "+refs/*:refs/*", "--update-head-ok"]).ok();
    dir
}

fn verify(agent: &Agent, dir: &Path, commit: &str, options: &str) -> Out {
    agent.sh(dir, &format!("forge trace verify --json {options} {commit}"))
}

#[test]
fn a_clone_agrees_with_the_server_on_generated_histories() {
    let mut forge = Forge::start();
    let seed = Dice::seed();
    let mut dice = Dice::new(seed);
    let (alpha, beta, gamma) = (forge.agent("alpha"), forge.agent("beta"), forge.agent("gamma"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let dir = alpha.clone_into(&alpha.ssh_url("parser"), "work", &[]);
    let mut commits = Vec::new();
    for number in 0..histories() {
        commits.extend(history(&mut dice, &alpha, &beta, &dir, number));
    }
    let server: Vec<String> = commits.iter().map(|c| text(&alpha.json(&format!("trace {c}")), "/level")).collect();
    let clone = plain_clone(&gamma, "clone");
    // From here on there is no server.
    assert_eq!(forge.stop(), 0);
    let (mut proven, mut replayed) = (0, 0);
    for (commit, level) in commits.iter().zip(&server) {
        let out = verify(&gamma, &clone, commit, "");
        let found = out.json();
        assert_eq!(&text(&found, "/level"), level, "FORGE_SEED={seed}: {commit}\n{out}");
        assert_eq!(out.code, i32::from(level == "P0"), "FORGE_SEED={seed}: {commit}\n{out}");
        proven += usize::from(level != "P0");
        // Both recorders carry patches, and each of them makes its tree again, committed or not.
        for record in list(&found, "/records") {
            let checks = list(record, "/checks");
            let replay = checks.iter().find(|check| check["rule"] == "E07").unwrap_or_else(|| panic!("{record:#}"));
            assert_eq!(replay["state"], "ok", "FORGE_SEED={seed}: {commit}\n{record:#}");
            replayed += 1;
        }
    }
    assert!(replayed > 0, "FORGE_SEED={seed}");
    assert!(proven > 0 && proven < commits.len(), "FORGE_SEED={seed}: {proven} of {} are proven", commits.len());
}

#[test]
fn a_proof_is_judged_by_the_policy_of_its_time() {
    let forge = Forge::start();
    let (alpha, beta, gamma) = (forge.agent("alpha"), forge.agent("beta"), forge.agent("gamma"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let work = |title: &str| Work::start(&alpha, &flow::open_issue(&beta, "parser", title));
    let (before, after, demanding) = (work("Before"), work("After"), work("A policy"));
    before.deliver("before.txt", "before\n");
    after.deliver("after.txt", "after\n");
    let pull = demanding.deliver(".forge/policy.toml", "[require]\ncommands = [\"sh test.sh\"]\n");
    beta.ssh(&format!("review approve {pull}")).ok();
    beta.ssh(&format!("merge {pull}")).ok();
    // The same kind of run that was good enough before.
    after.write("after.txt", "again\n");
    after.record("true").ok();
    after.commit("Again");
    after.push().ok();
    let clone = plain_clone(&gamma, "clone");
    for (commit, level) in [(before.head(), "P1"), (demanding.head(), "P1"), (after.head(), "P0")] {
        assert_eq!(text(&alpha.json(&format!("trace {commit}")), "/level"), level);
        let out = verify(&gamma, &clone, &commit, "");
        assert_eq!(text(&out.json(), "/level"), level, "{out}");
        assert_eq!(out.code, i32::from(level == "P0"), "{out}");
    }
    verify(&gamma, &clone, &after.head(), "").exits(1).says("what counts is `sh test.sh`");
}

/// Puts other content under the id of a loose object: the byte in its midst is another one, or the one behind `after`.
fn flip(agent: &Agent, dir: &Path, id: &str, kind: &str, after: &str) {
    let script = format!(
        "set -e; git cat-file {kind} {id} > .git/was\n\
         size=$(wc -c < .git/was); half=$((size / 2))\n\
         after='{after}'; [ -z \"$after\" ] || half=$(($(grep -abo \"$after\" .git/was | head -1 | cut -d: -f1) + 40))\n\
         {{ head -c $half .git/was; tail -c +$((half + 1)) .git/was | head -c 1 | tr '\\000-\\377' '\\001-\\377\\000'; \
         tail -c +$((half + 2)) .git/was; }} > .git/is\n\
         cmp -s .git/was .git/is && exit 1\n\
         new=$(git hash-object -w -t {kind} --literally .git/is)\n\
         path() {{ echo .git/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }}\n\
         chmod u+w $(path {id}); cp $(path {id}) .git/kept; cp $(path $new) $(path {id}); git prune-packed"
    );
    agent.sh(dir, &script).ok();
}

#[test]
fn a_flipped_byte_is_found_in_each_part() {
    let forge = Forge::start();
    let (alpha, beta, gamma) = (forge.agent("alpha"), forge.agent("beta"), forge.agent("gamma"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let issue = flow::open_issue(&beta, "parser", "Leak");
    let work = Work::start(&alpha, &issue);
    work.write("fix.txt", "fixed, and a little more than that\n");
    work.record("false").exits(1);
    work.record("echo 1..1; echo ok 1").ok();
    let head = work.commit("Fix");
    work.push().ok();
    work.submit();
    let clone = plain_clone(&gamma, "clone");
    // Loose objects, so that each can be changed alone.
    let unpack = "mkdir .git/packs && mv .git/objects/pack/*.pack .git/packs/ && rm -f .git/objects/pack/*\n\
                  for pack in .git/packs/*.pack; do git unpack-objects -q < $pack; done";
    gamma.sh(&clone, unpack).ok();
    let good = verify(&gamma, &clone, &head, "").ok().json();
    let records = list(&good, "/records");
    assert_eq!(records.len(), 2, "{good:#}");

    let line = |script: &str| gamma.sh(&clone, script).ok().text().to_owned();
    let digest = text(records.iter().find(|r| r["proves"] == true).unwrap(), "/record");
    let month = line("git for-each-ref --format='%(refname)' refs/forge/traces");
    let record = line(&format!("git rev-parse {month}:{}/{}", &digest[..2], &digest[2..]));
    let parts = [
        ("the proving record", record.clone(), "blob"),
        ("its patch", record, "blob"),
        ("the start event", line("git rev-parse refs/forge/issues/1:event"), "blob"),
        ("its commit", line("git rev-parse refs/forge/issues/1"), "commit"),
        ("the pull request's event", line("git rev-parse refs/forge/pulls/2:event"), "blob"),
        ("the pull request's state", line("git rev-parse refs/forge/pulls/2:state"), "blob"),
        ("a ledger commit", line("git rev-parse refs/forge/ledger~1"), "commit"),
        ("a batch", line("git rev-parse refs/forge/ledger~1:batch"), "blob"),
        ("the refs of a batch", line("git rev-parse refs/forge/ledger~1:refs"), "blob"),
        ("the commit", head.clone(), "commit"),
        ("its tree", line(&format!("git rev-parse {head}^{{tree}}")), "tree"),
        ("a file", line(&format!("git rev-parse {head}:fix.txt")), "blob"),
    ];
    for (part, id, kind) in parts {
        // A patch begins behind its name and the head of its frame.
        let after = if part == "its patch" { "patch" } else { "" };
        flip(&gamma, &clone, &id, kind, after);
        let out = verify(&gamma, &clone, &head, "");
        assert_ne!(out.code, 0, "{part} ({kind} {id}) was changed, and nothing was said\n{out}");
        assert_eq!(out.json()["good"], false, "{part}\n{out}");
        // Git may refuse to go near a commit that is damaged; else the object, or what it is part of, is named.
        let named = out.all().contains(&id) || out.all().contains("does not match") || kind == "commit";
        assert!(named, "{part} ({id}) should be named\n{out}");
        let restore = format!("cp .git/kept .git/objects/{}/{}", &id[..2], &id[2..]);
        gamma.sh(&clone, &restore).ok();
        verify(&gamma, &clone, &head, "").ok();
    }
}

#[test]
fn the_ledgers_signatures_are_checked_where_keys_are_given() {
    let forge = Forge::start();
    let (alpha, beta, gamma) = (forge.agent("alpha"), forge.agent("beta"), forge.agent("gamma"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let issue = flow::open_issue(&beta, "parser", "Leak");
    let work = Work::start(&alpha, &issue);
    work.deliver("fix.txt", "fixed\n");
    let clone = plain_clone(&gamma, "clone");
    let root = gamma.clone_into(&gamma.ssh_url("forge"), "root", &[]);
    let signers = format!("--signers {}", root.join("allowed_signers").display());
    let out = verify(&gamma, &clone, &work.head(), &signers).ok();
    assert_eq!(out.json()["signatures"], true);
    let stranger = gamma.home().join("stranger");
    fs::write(&stranger, format!("forge {}\n", gamma.public_key())).unwrap();
    let out = verify(&gamma, &clone, &work.head(), &format!("--signers {}", stranger.display()));
    out.exits(1).says("its signature is by none of the keys");
    // A ledger that somebody wrote anew does not hold together.
    let forged = gamma.sh(
        &clone,
        "git update-ref refs/forge/ledger $(git commit-tree -p refs/forge/ledger -m more refs/forge/ledger^{tree})",
    );
    forged.ok();
    verify(&gamma, &clone, &work.head(), "").exits(1).says("Forge-Digest");
}
