//! A mirror is the forge: the same feed byte for byte, index or not, and nothing altered goes unnoticed.

use std::fs;
use std::path::Path;

use tests::flow;
use tests::plumbing::{self, copy_tree, flip_byte, locate, mirror_all};
use tests::{Agent, Forge, tool};

/// A forge with a history: two projects, a merge that was rated, open work, checks.
pub(crate) fn lived_in() -> (Forge, [Agent; 3]) {
    let forge = Forge::start();
    let agents = ["alpha", "beta", "gamma"].map(|name| forge.agent(name));
    let [alpha, beta, gamma] = &agents;
    flow::found_project(beta, "parser", &[("README.md", "parser\n")]);
    flow::found_project(gamma, "lexer", &[("README.md", "lexer\n")]);
    flow::land(alpha, beta, "parser", "a.txt", "a\n");
    let open = flow::open_issue(gamma, "lexer", "Unicode <b>digits</b> & \u{1f980}");
    beta.json(&format!("start {open}"));
    beta.json(&format!("reply {open} Working on it"));
    flow::open_issue(alpha, "parser", "Second");
    gamma.json("join parser");
    let work = flow::Work::start(alpha, &flow::open_issue(beta, "parser", "Third"));
    work.deliver("b.txt", "b\n");
    beta.json("check register parser ci/test gamma");
    gamma.json(&format!("check post parser {} ci/test pending", work.head()));
    gamma.json(&format!("check post parser {} ci/test failure 1 of 3 failed", work.head()));
    (forge, agents)
}

pub(crate) fn feeds(forge: &Forge, agents: &[Agent]) -> Vec<String> {
    let mut all = Vec::new();
    for agent in agents {
        let agent = agent.at(forge);
        all.push(agent.ssh("feed").ok().stdout);
        all.push(agent.ssh_json("feed").ok().stdout);
        all.push(agent.ssh_json("details parser#1").ok().stdout);
        all.push(agent.ssh_json("check show parser refs/pull/5/head").ok().stdout);
        all.push(agent.ssh_json("check list parser").ok().stdout);
    }
    all
}

pub(crate) fn verify(data: &Path) -> tests::Out {
    tool(&["verify", data.to_str().unwrap()])
}

#[test]
fn a_forge_served_from_mirrors_prints_the_same_feeds_with_and_without_its_index() {
    let (mut forge, agents) = lived_in();
    let original = feeds(&forge, &agents);
    assert!(original[0].contains("check ci/test failed, says gamma") && original[0].contains("checks failing"));
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    let mut second = forge.beside(&data);
    assert_ne!(second.ssh_port(), forge.ssh_port());
    assert_eq!(feeds(&second, &agents), original);

    assert_eq!(second.stop(), 0);
    fs::remove_dir_all(data.join("index")).unwrap();
    second.up();
    assert_eq!(feeds(&second, &agents), original);

    // What is done on the copy is its own: it has its own key, and goes on counting.
    let alpha = agents[0].at(&second);
    flow::open_issue(&alpha, "parser", "Only here");
    assert_eq!(feeds(&forge, &agents), original);

    assert_eq!((second.stop(), forge.stop()), (0, 0));
    fs::remove_dir_all(forge.data().join("index")).unwrap();
    forge.up();
    assert_eq!(feeds(&forge, &agents), original);
    assert_eq!(forge.stop(), 0);
    verify(forge.data()).ok();
    verify(&data).ok();
}

#[test]
fn verify_passes_on_the_original_and_on_mirrors() {
    let (mut forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    verify(&data).ok();
    assert_eq!(forge.stop(), 0);
    verify(forge.data()).ok();
}

/// Flips a byte in the midst of the stored object `what` (as git names it) of a copy, and returns what verify says.
#[track_caller]
fn verify_after_flip(data: &Path, project: &str, what: &str) -> tests::Out {
    let damaged = data.with_file_name("damaged");
    drop(fs::remove_dir_all(&damaged));
    copy_tree(data, &damaged);
    let repository = damaged.join("repositories").join(format!("{project}.git"));
    let object = plumbing::git(&repository, &["rev-parse", "--verify", what]).ok().text().to_owned();
    let (pack, offset) = locate(&repository, &object);
    flip_byte(&pack, offset);
    verify(&damaged).fails()
}

#[test]
fn one_flipped_byte_is_named_with_its_entity() {
    let (mut forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    assert_eq!(forge.stop(), 0);
    for data in [data.as_path(), forge.data()] {
        verify_after_flip(data, "parser", "refs/forge/issues/1:event").says("issues/1").says("parser");
        verify_after_flip(data, "parser", "refs/forge/pulls/2:event").says("pulls/2").says("parser");
        verify_after_flip(data, "parser", "refs/forge/checks/gamma:event").says("checks/gamma").says("parser");
        verify_after_flip(data, "forge", "refs/forge/agents/beta:event").says("agents/beta").says("forge");
        verify_after_flip(data, "lexer", "refs/forge/ledger").says("lexer");
        // The checksums alone find it as well, and say which object it is.
        tool(&["scrub", data.to_str().unwrap()]).ok().says("good: 3 repositories");
        let (lexer, damaged) = (data.join("repositories/lexer.git"), data.with_file_name("damaged"));
        let ledger = plumbing::git(&lexer, &["rev-parse", "refs/forge/ledger"]).ok();
        tool(&["scrub", damaged.to_str().unwrap()])
            .exits(1)
            .says(&format!("FAULT lexer: object {} is damaged", ledger.text()))
            .keeps_quiet_about("FAULT parser")
            .says("next: forge restore --help");
    }
}

#[test]
fn an_event_rewritten_with_valid_objects_is_named() {
    let (forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    let parser = data.join("repositories/parser.git");
    // Sound objects throughout, so git is content: the title says something else, and the chain's tip follows.
    let rewrite = "set -e; tip=refs/forge/issues/3; \
        blob=$(git cat-file blob $tip:event | sed s/Second/Sekond/ | git hash-object -w --stdin); \
        old=$(git rev-parse $tip:event); [ $blob != $old ]; \
        tree=$(git ls-tree $tip | sed s/$old/$blob/ | git mktree); \
        commit=$(git cat-file commit $tip | sed s/^tree.*/tree\\ $tree/ | git hash-object -t commit -w --stdin); \
        git update-ref $tip $commit";
    agents[0].sh(&parser, rewrite).ok();
    plumbing::assert_clean(&parser);
    verify(&data).fails().says("issues/3").says("parser");
}
