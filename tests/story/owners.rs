//! Who answers for whom: operators vouch, agents of one owner neither rate nor confirm each other, and every copy says the same.

use serde_json::Value;
use tests::agent::{list, text};
use tests::flow::{self, Work};
use tests::plumbing::mirror_all;
use tests::{Agent, Forge, tool};

use super::follow::mirror_once;
use super::mirror::verify;

/// A forge with these agents, of whom olga is its operator.
fn with_operator<const N: usize>(names: [&str; N]) -> (Forge, Agent, [Agent; N]) {
    let mut forge = Forge::start();
    let olga = forge.agent("olga");
    assert_eq!(forge.stop(), 0);
    forge.set_flags(&["--operators", "olga,later"]);
    forge.up();
    let agents = names.map(|name| forge.agent(name));
    (forge, olga, agents)
}

/// Owner, and whether somebody vouched, as `whoami` and `profile` say alike.
#[track_caller]
fn owner(agent: &Agent) -> (String, bool) {
    let said = |line: &str| {
        let answer = agent.json(line);
        (text(&answer, "/owner"), answer["vouched"].as_bool().unwrap())
    };
    let own = said("whoami");
    assert_eq!(said(&format!("profile {}", agent.name)), own);
    own
}

fn answered(owner: &str) -> (String, bool) {
    (owner.to_owned(), true)
}

/// `vouch`, with a token by which `agent` agrees.
fn take_in(by: &Agent, agent: &Agent) -> tests::Out {
    let consent = agent.token("--verbs vouch --ttl 10m");
    by.ssh_with(&format!("vouch --json {} -", agent.name), &consent)
}

/// How many ratings the merge of a change gave, which `judge` asked for and approved of.
#[track_caller]
fn rated(author: &Agent, judge: &Agent, path: &str) -> usize {
    list(&flow::land(author, judge, "parser", path, "changed\n").answer, "/ratings").len()
}

#[test]
fn operators_vouch_and_agents_take_in_who_agrees() {
    let (mut forge, olga, [alpha, beta, gamma]) = with_operator(["alpha", "beta", "gamma"]);
    assert_eq!(owner(&alpha), ("alpha".to_owned(), false));
    alpha.ssh("whoami").ok().says("owner: alpha (nobody vouched for it)");

    // Who is no operator vouches for nobody, and nobody becomes one by taking the name.
    for line in ["admin vouch alpha", "admin vouch beta --owner alpha", "vouch beta -"] {
        let (code, error) = alpha.refusal(line);
        assert_eq!((code, text(&error, "/code")), (4, "not-allowed".to_owned()), "{line}");
    }
    let (code, error) = forge.stranger("later").refusal("register later");
    assert_eq!(code, 4, "{error}");
    // Limits of a token are limits of an operator's.
    assert_eq!(olga.action(&olga.token("--verbs feed"), "admin vouch alpha").0, 403);
    assert_eq!(olga.action(&olga.token("--refs refs/heads/x"), "admin vouch alpha").0, 403);
    assert_eq!(olga.refusal("admin vouch nobody").0, 3);
    assert_eq!(olga.refusal("admin vouch alpha --owner Acme").0, 2);
    assert_eq!(olga.refusal("admin vouch alpha --owner forge").0, 2);
    assert_eq!(owner(&alpha), ("alpha".to_owned(), false));

    let first = olga.json("admin vouch alpha --owner acme");
    assert_eq!((text(&first, "/owner"), text(&first, "/before")), ("acme".to_owned(), "alpha".to_owned()));
    assert_eq!(owner(&alpha), answered("acme"));
    // Asking twice does it once.
    let refs = |agent: &Agent| agent.git(agent.home(), &["ls-remote", &agent.ssh_url("forge"), "refs/forge/agents/*"]);
    let before = refs(&alpha).ok().stdout;
    olga.json("admin vouch alpha --owner acme");
    assert_eq!(refs(&alpha).ok().stdout, before);
    // Who took the name of an owner would be taken for it.
    let (code, error) = forge.stranger("acme").refusal("register acme");
    assert_eq!((code, text(&error, "/next")), (5, "register acme-2".to_owned()));

    // Beta must agree, by a token that is good for nothing else.
    assert_eq!(alpha.refusal("vouch beta").0, 2);
    for consent in [beta.token(""), alpha.token("--verbs vouch"), beta.token("--verbs push"), "no token".to_owned()] {
        alpha.ssh_with("vouch beta -", &consent).exits(4);
    }
    let void = beta.token("--verbs vouch");
    for token in list(&beta.json("key list"), "/tokens") {
        beta.ssh(&format!("key revoke token:{}", text(token, "/id"))).ok();
    }
    alpha.ssh_with("vouch beta -", &void).exits(4);
    assert_eq!(owner(&beta), ("beta".to_owned(), false));
    let answer = take_in(&alpha, &beta).ok().json();
    assert_eq!((text(&answer, "/owner"), &answer["vouched"]), ("acme".to_owned(), &Value::Bool(true)));
    assert_eq!(owner(&beta), answered("acme"));
    take_in(&beta, &beta).ok();
    // What an operator said, an operator changes.
    olga.json("admin vouch gamma");
    assert_eq!(owner(&gamma), answered("gamma"));
    take_in(&alpha, &gamma).exits(5);
    assert_eq!(owner(&gamma), answered("gamma"));

    // Whoever runs the process, while it does not run; it needs no agent for that.
    let data = forge.data().to_str().unwrap().to_owned();
    let by_hand = |rest: &[&str]| tool(&[&["admin", "vouch"], rest, &["--data", &data]].concat());
    by_hand(&["gamma", "--owner", "acme"]).exits(1).says("in use");
    assert_eq!(forge.stop(), 0);
    by_hand(&["gamma", "--owner", "acme"]).ok().says("good: acme answers for gamma");
    by_hand(&["nobody"]).exits(1).says("no such agent").says("next: forge ratings replay");
    by_hand(&["gamma", "--owner", "Acme"]).exits(2);
    verify(forge.data()).ok();
    forge.up();
    let all = [&alpha, &beta, &gamma].map(owner);
    assert_eq!(all, ["acme", "acme", "acme"].map(answered));
    let log = ["log", "--format=%an %s", "refs/forge/agents/gamma"];
    let said = tests::plumbing::git(&forge.repository("forge"), &log).ok().stdout;
    assert!(said.lines().next().unwrap().starts_with("forge "), "{said}");

    // Without what was folded, a start folds the same; and so does a mirror, which takes no word of anybody's.
    assert_eq!(forge.stop(), 0);
    std::fs::remove_dir_all(forge.data().join("checkpoints")).unwrap();
    forge.up();
    assert_eq!([&alpha, &beta, &gamma].map(owner), all);
    let copy = forge.scratch().join("mirrored");
    mirror_once(&forge.http_url(""), &copy).ok();
    let mirror = forge.beside(&copy);
    for agent in [&alpha, &beta, &gamma] {
        assert_eq!(owner(&agent.at(&mirror)), answered("acme"));
    }
}

#[test]
fn agents_of_one_owner_do_not_rate_each_other_and_what_was_settled_stays() {
    let (mut forge, olga, [alpha, beta, gamma]) = with_operator(["alpha", "beta", "gamma"]);
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    assert_eq!(rated(&alpha, &beta, "one.txt"), 1);

    for agent in ["alpha", "beta"] {
        olga.json(&format!("admin vouch {agent} --owner acme"));
    }
    // What was rated between strangers stays rated, and holds.
    verify(forge.data()).ok();
    assert_eq!(rated(&alpha, &beta, "two.txt"), 0);
    assert_eq!(rated(&alpha, &gamma, "three.txt"), 1);
    verify(forge.data()).ok();
    // What was not rated between two of one owner is not owed because they part.
    olga.json("admin vouch beta");
    verify(forge.data()).ok();
    assert_eq!(rated(&alpha, &beta, "four.txt"), 1);
    let history = alpha.json("profile alpha");
    assert_eq!(list(&history, "/history").len(), 3);

    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &alpha, &data);
    verify(&data).ok();
    let copy = forge.beside(&data);
    assert_eq!(alpha.at(&copy).json("profile alpha"), history);
    assert_eq!(forge.stop(), 0);
    verify(forge.data()).ok();
    forge.up();
    assert_eq!(alpha.json("profile alpha"), history);
}

/// Runs the proof of `pull` again, as the block says; the level that is stated since.
#[track_caller]
fn run_again(agent: &Agent, pull: &str) -> String {
    let how = agent.ssh(&format!("challenge {pull}")).ok().stdout;
    let block = how.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    agent.sh(agent.home(), block).ok();
    text(&agent.json(&format!("pr {pull}")), "/proof")
}

#[test]
fn two_agents_of_one_owner_confirm_a_proof_once() {
    let (forge, olga, [alpha, beta, gamma, delta]) = with_operator(["alpha", "beta", "gamma", "delta"]);
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    for agent in ["beta", "gamma"] {
        olga.json(&format!("admin vouch {agent} --owner acme"));
    }
    let work = Work::start(&alpha, &flow::open_issue(&beta, "parser", "Leak"));
    let pull = work.deliver("leak.txt", "fixed\n").replace('#', "/");
    let level = text(&alpha.json(&format!("pr {pull}")), "/proof");
    assert_eq!(run_again(&beta, &pull), level);
    assert_eq!(run_again(&gamma, &pull), level, "both are acme's");
    let head = format!("refs/pull/{}/head", pull.rsplit('/').next().unwrap());
    let checked = |name: &str, with_forge: bool| {
        let [parser, root] = ["parser", "forge"]
            .map(|project| alpha.clone_into(&alpha.ssh_url(project), &format!("{name}-{project}"), &["--mirror"]));
        let signers = if with_forge { format!("--signers {}", root.display()) } else { String::new() };
        alpha.sh(&parser, &format!("forge trace verify {head} {signers}")).ok()
    };
    let states = format!("the ledger states {level}");
    let good = format!("good: proof {level}");
    checked("two", true).says(&format!("{states} as well")).says(&good);
    checked("two-alone", false).says(&good);
    assert_eq!(run_again(&delta, &pull), "P3");
    checked("three", true).says("the ledger states P3 as well").says("good: proof P3");

    // What was stated is counted by whose they were then.
    olga.json("admin vouch delta --owner acme");
    checked("one-now", true).says("the ledger states P3 as well").says("good: proof P3");
    // Nobody of the author's owner's runs it again.
    olga.json("admin vouch alpha --owner acme");
    checked("none-now", true).says("the ledger states P3 as well").says("good: proof P3");
    let (code, error) = beta.refusal(&format!("challenge {pull}"));
    assert_eq!((code, text(&error, "/code")), (4, "not-allowed".to_owned()));
    verify(forge.data()).ok();
}
