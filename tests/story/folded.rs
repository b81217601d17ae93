//! Refs of what has rested for long are folded: no list and no copy on disk has them any more, and whoever asks for one by its
//! name is answered as before, by git and by every command.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tests::flow;
use tests::plumbing::{self, mirror_all, remote_ref};
use tests::{Agent, Forge, tool};

use super::follow::mirror_once;
use super::mirror::{feeds, lived_in, verify};

/// What rests in `parser` of [`rested`]: two closed issues, one of whose names begins like the other's, and what landed.
const FOLDED: [&str; 4] = ["refs/forge/issues/1", "refs/forge/issues/10", "refs/forge/pulls/2", "refs/pull/2/head"];
const LISTED: [&str; 4] = ["refs/forge/issues/3", "refs/forge/pulls/5", "refs/pull/5/head", "refs/forge/ledger"];

/// A forge in which some things are over.
fn rested() -> (Forge, [Agent; 3]) {
    let (forge, agents) = lived_in();
    for n in 6..=10 {
        flow::open_issue(&agents[0], "parser", &format!("Issue {n}"));
    }
    agents[0].json("issue close parser#10 no longer happens");
    (forge, agents)
}

/// What is asked of things that rest.
fn answers(forge: &Forge, agents: &[Agent]) -> Vec<String> {
    let alpha = agents[0].at(forge);
    let head = alpha.json("pr parser/2").pointer("/head").and_then(|head| head.as_str()).unwrap().to_owned();
    let lines = [
        "details parser#10".to_owned(),
        "details parser/2".to_owned(),
        "pr parser/2 --diff".to_owned(),
        "log parser refs/pull/2/head".to_owned(),
        "search Please".to_owned(),
        "issue list parser --state all".to_owned(),
        "pr list parser --state merged".to_owned(),
        format!("trace {head}"),
    ];
    let told = lines.iter().map(|line| alpha.ssh(line).ok().stdout);
    feeds(forge, agents).into_iter().chain(told).collect()
}

fn values(agent: &Agent, names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|name| remote_ref(agent, "parser", name)).collect()
}

/// Starts `forge` so that it folds whatever rests, waits until it did, and starts it as usual again.
#[track_caller]
fn fold(forge: &mut Forge, agent: &Agent) {
    assert_eq!(forge.stop(), 0);
    forge.try_up(&[("FORGE_LIMIT_FOLD_SECONDS", "1")]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while values(agent, &FOLDED).iter().any(Option::is_some) {
        assert!(Instant::now() < deadline, "nothing was folded");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(forge.stop(), 0);
    forge.up();
}

/// `git rev-parse` of `name` in `dir`.
#[track_caller]
fn parsed(dir: &Path, name: &str) -> String {
    plumbing::git(dir, &["rev-parse", "--verify", name]).ok().text().to_owned()
}

#[test]
fn refs_of_what_rests_are_folded_and_their_names_still_answer() {
    let (mut forge, agents) = rested();
    let alpha = &agents[0];
    let named: Vec<String> = values(alpha, &FOLDED).into_iter().map(Option::unwrap).collect();
    let before = answers(&forge, &agents);
    fold(&mut forge, alpha);
    assert!(values(alpha, &LISTED).iter().all(Option::is_some));
    assert_eq!(answers(&forge, &agents), before);

    // By name, over both doors, together though one name begins with another; and below a prefix what is listed.
    for (url, name) in [(alpha.ssh_url("parser"), "over-ssh"), (forge.http_url("/parser.git"), "over-http")] {
        let clone = alpha.clone_into(&url, name, &[]);
        let wanted = FOLDED.map(|name| format!("{name}:refs/got/{}", name.replace('/', "-")));
        let mut fetch = vec!["fetch", "-q", "origin"];
        fetch.extend(wanted.iter().map(String::as_str));
        alpha.git(&clone, &fetch).ok();
        let got = FOLDED.map(|name| parsed(&clone, &format!("refs/got/{}", name.replace('/', "-"))));
        assert_eq!(got.to_vec(), named);
        alpha.git(&clone, &["fetch", "-q", "origin", "refs/forge/issues/*:refs/all/*"]).ok();
        let listed = alpha.git(&clone, &["for-each-ref", "--format=%(refname)", "refs/all"]).ok();
        assert_eq!(listed.stdout.lines().count(), 6, "{listed}");
        // Who speaks the first version of the protocol is told everything at once, and asks by id.
        alpha.git(&clone, &["-c", "protocol.version=0", "fetch", "-q", "origin", &named[0]]).ok();
        assert_eq!(parsed(&clone, "FETCH_HEAD"), named[0]);
        alpha.git(&clone, &["log", "--format=%B", "refs/got/refs-forge-issues-10"]).ok().says("no longer happens");
    }

    // The next event lists a chain again, where it was.
    alpha.json("issue reopen parser#10 it is back");
    alpha.json("reply parser/2 What about the tests?");
    let listed = values(alpha, &FOLDED);
    assert_eq!(listed.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true, false]);
    let clone = alpha.clone_into(&alpha.ssh_url("parser"), "later", &[]);
    alpha.git(&clone, &["fetch", "-q", "origin", FOLDED[1], FOLDED[2]]).ok();
    for (was, is) in [1, 2].map(|at| (&named[at], listed[at].as_ref().unwrap())) {
        alpha.git(&clone, &["merge-base", "--is-ancestor", was, is]).ok();
    }

    // A kill and a start without anything but git change nothing.
    let now = answers(&forge, &agents);
    forge.kill();
    fs::remove_dir_all(forge.data().join("checkpoints")).ok();
    fs::remove_dir_all(forge.data().join("index")).unwrap();
    forge.up();
    assert_eq!((answers(&forge, &agents), values(alpha, &FOLDED)), (now, listed));
    assert_eq!(forge.stop(), 0);
    verify(forge.data()).ok().says(" folded ones,").keeps_quiet_about("pending");
    plumbing::assert_clean(&forge.repository("parser"));
}

#[test]
fn copies_made_before_and_after_refs_were_folded_serve_the_same() {
    let (mut forge, agents) = rested();
    let alpha = &agents[0];
    let [old, followed] = ["old", "followed"].map(|name| forge.scratch().join(name));
    mirror_all(&forge, alpha, &old);
    mirror_once(&forge.http_url(""), &followed).ok();
    let ids: Vec<String> = values(alpha, &FOLDED).into_iter().map(Option::unwrap).collect();
    fold(&mut forge, alpha);
    let served = answers(&forge, &agents);

    // A new copy has every object, and none of the refs.
    let new = forge.scratch().join("new");
    mirror_all(&forge, alpha, &new);
    for id in &ids {
        plumbing::git(&new.join("repositories/parser.git"), &["cat-file", "-e", id]).ok();
    }
    verify(&new).ok().says(" 4 folded ones,").keeps_quiet_about("pending");
    let second = forge.beside(&new);
    assert_eq!(answers(&second, &agents), served);
    let clone = alpha.at(&second).clone_into(&second.ssh_url("parser"), "from-the-copy", &[]);
    alpha.at(&second).git(&clone, &["fetch", "-q", "origin", FOLDED[3]]).ok();
    assert_eq!(parsed(&clone, "FETCH_HEAD"), ids[3]);

    // One that is fetched without pruning keeps them, which is no fault.
    for project in forge.projects() {
        alpha.git(old.join(format!("repositories/{project}.git")), &["fetch", "-q"]).ok();
    }
    verify(&old).ok().says("pending parser: 4 refs of what rests are still on disk").says("git fetch --prune");
    let third = forge.beside(&old);
    assert_eq!(answers(&third, &agents), served);

    // One that follows takes it in, and so does a backup that is restored.
    mirror_once(&forge.http_url(""), &followed).ok();
    verify(&followed).ok().says(" 4 folded ones,").keeps_quiet_about("pending");
    let mirror = forge.beside(&followed);
    assert_eq!(answers(&mirror, &agents), served);
    let [saved, restored] = ["saved", "restored"].map(|name| forge.scratch().join(name));
    let data = forge.data().to_str().unwrap();
    tool(&["backup", saved.to_str().unwrap(), "--data", data]).ok().says("good: ");
    assert_eq!(forge.stop(), 0);
    tool(&["restore", saved.to_str().unwrap(), "--data", restored.to_str().unwrap()]).ok();
    let fourth = forge.beside(&restored);
    assert_eq!(answers(&fourth, &agents), served);
}
