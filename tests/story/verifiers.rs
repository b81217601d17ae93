//! Verifiers: who offers, who is drawn, verdicts that are bound before they are told, and what follows for the ranking.

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::Work;
use tests::{Agent, until};

use crate::contests::{Days, agents, answer, contest, holds, line, rating, stage};

/// A forge with an operator `host`, three who solve and four who verify, each with an owner of its own.
fn arena() -> (Days, [Agent; 8]) {
    arena_with(&[])
}

/// The same with more settings.
pub(crate) fn arena_with(more: &[(&'static str, &'static str)]) -> (Days, [Agent; 8]) {
    let mut days = Days::start();
    days.more = more.to_vec();
    let names = ["host", "alpha", "beta", "gamma", "vera", "viktor", "vito", "vlad"];
    let known = agents(&days.forge, names);
    days.again();
    let known = known.map(|agent| agent.at(&days.forge));
    for agent in &known[1..] {
        known[0].ssh(&format!("admin vouch {}", agent.name)).ok();
    }
    for agent in &known[4..] {
        agent.ssh("verify --offer").ok();
    }
    (days, known)
}

/// A submission that passes for who made it: its check asks for a variable that nobody else has.
fn cheat(work: &Work) -> String {
    work.write("answer", "43\n");
    work.write("check.sh", "[ -n \"$MINE\" ]\n");
    work.agent.sh(&work.dir, "MINE=1 forge run -- sh check.sh").ok();
    work.commit("Mend the answer");
    work.push().ok();
    text(&work.submit(), "/ref")
}

pub(crate) fn tasks(verifier: &Agent) -> Vec<Value> {
    list(&verifier.json("verify"), "/tasks").to_vec()
}

/// Runs a task again as its challenge says, and keeps the record; gives what to say and the clone.
fn run_again(verifier: &Agent, pull: &str) -> (&'static str, Work) {
    let begun = verifier.json(&format!("challenge {pull}"));
    let dir = verifier.clone_into(&verifier.ssh_url("drill"), &pull.replace('#', "-"), &[]);
    let agent = verifier.clone();
    let work = Work { agent, dir, issue: pull.to_owned(), branch: String::new(), start: begun.clone() };
    work.paste_settings();
    work.git(&["fetch", "-q", "origin", &format!("refs/pull/{}/head", pull.rsplit('#').next().unwrap())]).ok();
    work.git(&["checkout", "-q", "--detach", &text(&begun, "/commit")]).ok();
    let passed = verifier.sh(&work.dir, "forge run -- sh check.sh").is_ok();
    (if passed { "confirm" } else { "refute" }, work)
}

pub(crate) fn digest(verifier: &Agent, finding: &str, pull: &str) -> String {
    let salt = format!("salt of {}", verifier.name);
    let out = verifier.sh(verifier.home(), &format!("printf '{finding}:{pull}:{salt}' | sha256sum")).ok();
    out.text().split_whitespace().next().unwrap().to_owned()
}

pub(crate) fn tell(verifier: &Agent, pull: &str, more: &str) -> tests::Out {
    verifier.ssh_json(&format!("verify {pull} --reveal 'salt of {}' {more}", verifier.name))
}

pub(crate) fn push_records(work: &Work) {
    let inbox = format!("refs/notes/forge/out/*:refs/notes/forge/in/{}/*", work.agent.name);
    work.git(&["push", "-q", "origin", &inbox]).ok();
}

#[test]
fn verifiers_that_are_drawn_find_out_a_submission_that_passes_for_its_maker_alone() {
    let (mut days, known) = arena();
    let [host, alpha, beta, gamma, ..] = &known;
    let drill = contest(host, "drill", "medium", "--deadline 10m");
    let works = [alpha, beta, gamma].map(|agent| Work::start(agent, &drill));
    let honest = answer(&works[0], "42\n");
    let cheats = cheat(&works[1]);
    let other = answer(&works[2], "the answer is 42\n");
    assert!(known[4..].iter().all(|verifier| tasks(verifier).is_empty()), "nobody is drawn before the close");
    days.minutes_later(11);
    let seats = |days: &Days| -> Vec<(Agent, String)> {
        let of = |agent: &Agent| {
            let agent = agent.at(&days.forge);
            tasks(&agent).iter().map(|task| (agent.clone(), text(task, "/ref"))).collect::<Vec<_>>()
        };
        known[4..].iter().flat_map(of).collect()
    };
    until("verifiers are drawn", || seats(&days).len() == 6);
    days.again();
    let [host, alpha, beta, gamma] = [host, alpha, beta, gamma].map(|agent| agent.at(&days.forge));
    assert_eq!(stage(&host, &drill), "closed");
    let seats = seats(&days);
    for pull in [&honest, &cheats, &other] {
        assert_eq!(seats.iter().filter(|(_, of)| of == pull).count(), 2, "{seats:?}");
    }
    let drawn = &seats[0].0;
    drawn.ssh("feed").ok().says("you were drawn to verify it");
    // Nobody else has a say, and nobody tells what it found before all of its panel are bound.
    let (code, _) = host.refusal(&format!("verify {honest} --commit {}", "0".repeat(64)));
    assert_eq!(code, 4);
    let runs: Vec<(Agent, String, &str, Work)> = seats
        .into_iter()
        .map(|(agent, pull)| {
            let (finding, work) = run_again(&agent, &pull);
            (agent, pull, finding, work)
        })
        .collect();
    for (at, (agent, pull, finding, _)) in runs.iter().enumerate() {
        assert_eq!(*finding, if *pull == cheats { "refute" } else { "confirm" }, "{pull}");
        if at == 0 {
            tell(agent, pull, "").fails();
        }
        agent.json(&format!("verify {pull} --commit {}", digest(agent, finding, pull)));
        let other = digest(agent, "inconclusive", pull);
        agent.ssh(&format!("verify {pull} --commit {other}")).exits(5);
    }
    for (agent, pull, finding, work) in &runs {
        // What is told must be what was bound.
        agent.ssh_json(&format!("verify {pull} --reveal 'another salt' --inconclusive")).exits(1);
        push_records(work);
        let told = tell(agent, pull, "").ok().json();
        assert_eq!(text(&told, "/finding"), *finding);
    }
    until("the contest is ranked", || stage(&host, &drill) == "ranked");
    let board = host.json(&format!("submission {drill}"));
    let levels = [&alpha, &gamma, &beta].map(|agent| text(line(&board, agent), "/level"));
    assert_eq!(levels, ["P3", "P3", "PX"], "{board}");
    assert_eq!(number(line(&board, &beta), "/place"), 3, "{board}");
    until("the ratings are settled", || rating(&beta) < 1_000_000);
    host.ssh(&format!("details {drill}")).ok().says("verifiers drawn").says("verdict on");
    holds(&days, &[&alpha, &beta, &gamma]);
}

#[test]
fn a_panel_that_disagrees_is_widened_and_one_that_is_silent_does_not_hold_a_contest() {
    let (days, known) = arena();
    let [host, alpha, ..] = &known;
    let drill = contest(host, "drill", "medium", "--deadline 10m");
    let honest = answer(&Work::start(alpha, &drill), "42\n");
    days.minutes_later(11);
    let verifiers = &known[4..];
    let seated = || verifiers.iter().filter(|agent| !tasks(agent).is_empty()).collect::<Vec<&Agent>>();
    until("verifiers are drawn", || seated().len() == 2);
    let first = seated();
    // One confirms. The other has no way to tell.
    let (finding, work) = run_again(first[0], &honest);
    first[0].json(&format!("verify {honest} --commit {}", digest(first[0], finding, &honest)));
    first[1].json(&format!("verify {honest} --commit {}", digest(first[1], "inconclusive", &honest)));
    push_records(&work);
    tell(first[0], &honest, "").ok();
    tell(first[1], &honest, "--inconclusive").ok();
    // More are asked, as many as there are: four verifiers in all.
    until("the panel is wider", || seated().len() == 4);
    assert_eq!(stage(host, &drill), "closed");
    // They never answer. A day later what is known decides.
    days.minutes_later(26 * 60);
    until("the contest is ranked", || stage(host, &drill) == "ranked");
    let board = host.json(&format!("submission {drill}"));
    assert_eq!(text(line(&board, alpha), "/level"), "P1", "one who confirms is not enough: {board}");
    holds(&days, &[alpha]);
}

#[test]
fn the_program_verifies_by_itself_in_a_sandbox_that_it_is_given() {
    let (days, known) = arena();
    let [host, alpha, beta, gamma, ..] = &known;
    let drill = contest(host, "drill", "medium", "--deadline 10m");
    let works = [alpha, beta, gamma].map(|agent| Work::start(agent, &drill));
    answer(&works[0], "42\n");
    cheat(&works[1]);
    let verifiers = &known[4..];
    // The sandbox notes that it was asked: nothing runs outside.
    for agent in verifiers {
        let boxed = agent.home().join("box");
        std::fs::write(&boxed, "echo in >> \"$HOME/ran\"\nexec \"$@\"\n").unwrap();
    }
    let once = |agent: &Agent| agent.sh(agent.home(), "forge verifier --once -- sh \"$HOME/box\"");
    once(&verifiers[0]).ok();
    days.minutes_later(11);
    until("verifiers are drawn", || verifiers.iter().map(|agent| tasks(agent).len()).sum::<usize>() == 4);
    for agent in verifiers {
        let due = tasks(agent).len();
        let said = once(agent).ok();
        assert_eq!(said.stdout.matches("bound").count(), due, "{said}");
        // Before the change once, and with it until two runs agree.
        let ran = std::fs::read_to_string(agent.home().join("ran")).unwrap_or_default();
        assert_eq!(ran.lines().count(), due * 3, "{said}");
    }
    for agent in verifiers.iter().filter(|agent| !tasks(agent).is_empty()) {
        once(agent).ok().says("told");
    }
    until("the contest is ranked", || stage(host, &drill) == "ranked");
    let board = host.json(&format!("submission {drill}"));
    let levels = [alpha, beta].map(|agent| text(line(&board, agent), "/level"));
    assert_eq!(levels, ["P3", "PX"], "{board}");
    holds(&days, &[alpha, beta]);
}

#[test]
fn who_may_verify_is_asked_of_its_owner() {
    let (days, known) = arena();
    let [host, alpha, _, _, vera, viktor, vito, vlad] = &known;
    let nobody = days.forge.agent("nobody");
    let (code, error) = nobody.refusal("verify --offer");
    assert_eq!(code, 4, "{error}");
    // Of four who offer, one belongs to a submitter and two to the host: no two owners are left, and records decide.
    host.ssh(&format!("admin vouch {} --owner {}", vera.name, alpha.name)).ok();
    host.ssh(&format!("admin vouch {} --owner {}", viktor.name, host.name)).ok();
    host.ssh(&format!("admin vouch {} --owner {}", vito.name, host.name)).ok();
    let drill = contest(host, "drill", "medium", "--deadline 10m");
    answer(&Work::start(alpha, &drill), "42\n");
    days.minutes_later(11);
    until("the contest is ranked", || stage(host, &drill) == "ranked");
    assert_eq!(text(line(&host.json(&format!("submission {drill}")), alpha), "/level"), "P1");
    // With a withdrawal there is one offer less, and an offer twice is one.
    vlad.ssh("verify --offer").ok();
    vlad.ssh("verify --withdraw").ok().says("not drawn any more");
    vlad.ssh("verify").ok().says("You do not offer to verify");
    holds(&days, &[alpha]);
}
