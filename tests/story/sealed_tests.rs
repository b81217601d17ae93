//! Sealed tests decide: verifiers run each submission with them laid over it, and what they find is what ranks it.

use std::fs;

use serde_json::{Value, json};
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project};
use tests::plumbing::remote_ref;
use tests::{Agent, until};

use super::contests::{holds, line, rating, stage};
use super::verifiers::{arena, digest, push_records, tasks, tell};

/// Runs every test of a directory, and says of each how it went.
const CHECK: &str = "n=0; bad=0
for t in tests/*.sh; do
    n=$((n + 1))
    if sh \"$t\"; then echo \"ok $n - $t\"; else echo \"not ok $n - $t\"; bad=1; fi
done
echo \"1..$n\"
exit $bad
";

/// A contest whose tests in sight ask for less than those that are sealed.
fn contest(host: &Agent) -> String {
    let files = [
        ("answer", "41\n"),
        ("kept", "\n"),
        ("check.sh", CHECK),
        ("tests/answer.sh", "grep -q 4 answer\n"),
        ("tests/kept.sh", "[ -f kept ]\n"),
    ];
    let dir = found_project(host, "drill", &files);
    let new = "issue new drill --title 'The answer is wrong' --difficulty medium --command sh check.sh --deadline 10m";
    let contest = text(&host.json(new), "/ref");
    fs::write(dir.join("answer"), "42\n").unwrap();
    let golden = host.git(&dir, &["diff"]).ok().stdout;
    host.git(&dir, &["checkout", "-q", "answer"]).ok();
    fs::write(dir.join("tests/sealed.sh"), "grep -qx 42 answer\n").unwrap();
    fs::write(dir.join("tests/kept.sh"), "# Nobody may do without it.\n[ -f kept ]\n").unwrap();
    host.git(&dir, &["add", "-N", "tests"]).ok();
    let tests = host.git(&dir, &["diff"]).ok().stdout;
    let part = json!({
        "golden": golden, "tests": tests,
        "fail_to_pass": ["tests/sealed.sh"], "pass_to_pass": ["tests/answer.sh", "tests/kept.sh"],
    });
    host.ssh_with(&format!("issue seal {contest}"), &part.to_string()).ok();
    contest
}

/// Runs the deciding command, which must pass, and submits.
fn submit(work: &Work) -> String {
    work.agent.sh(&work.dir, "forge run -- sh check.sh").ok();
    work.commit("Mend the answer");
    work.push().ok();
    text(&work.submit(), "/ref")
}

/// A verifier's clone at `commit` of what `name` names, ready to run.
fn at(verifier: &Agent, pull: &str, begun: &Value, name: &str, commit: &str) -> Work {
    let dir = verifier.clone_into(&verifier.ssh_url("drill"), &format!("{}-{}", commit, pull.replace('#', "-")), &[]);
    let (agent, issue) = (verifier.clone(), pull.to_owned());
    let work = Work { agent, dir, issue, branch: String::new(), start: begun.clone() };
    work.paste_settings();
    work.git(&["fetch", "-q", "origin", name]).ok();
    work.git(&["checkout", "-q", "--detach", commit]).ok();
    work
}

#[test]
fn sealed_tests_that_verifiers_run_decide_what_the_tests_in_sight_do_not() {
    let (mut days, known) = arena();
    let [host, alpha, beta, gamma, ..] = &known;
    let drill = contest(host);
    let works = [alpha, beta, gamma].map(|agent| Work::start(agent, &drill));
    works[0].write("answer", "42\n");
    let good = submit(&works[0]);
    // Good enough for the tests in sight.
    works[1].write("answer", "40\n");
    let shallow = submit(&works[1]);
    // Solves it, breaks something else, and the test that would tell with it.
    works[2].write("answer", "42\n");
    works[2].git(&["rm", "-q", "kept"]).ok();
    works[2].write("tests/kept.sh", "true\n");
    let careless = submit(&works[2]);
    // What is sealed cannot be revealed: nobody is drawn to run what nobody can make.
    let (key, away) = (days.forge.data().join("secrets/seal.key"), days.forge.scratch().join("seal.key"));
    fs::rename(&key, &away).unwrap();
    days.minutes_later(11);
    until("the contest is closed", || stage(host, &drill) == "closed");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(known[4..].iter().all(|verifier| tasks(verifier).is_empty()));
    fs::rename(&away, &key).unwrap();
    until("verifiers are drawn", || known[4..].iter().map(|agent| tasks(agent).len()).sum::<usize>() == 6);
    days.again();
    let known = known.each_ref().map(|agent| agent.at(&days.forge));
    let [host, alpha, beta, gamma, ..] = &known;
    let verifiers = &known[4..];

    // One of them does it by hand, and first runs what was submitted, as it stands.
    let seats = |pull: &str| {
        let has = |agent: &&Agent| tasks(agent).iter().any(|task| text(task, "/ref") == pull);
        verifiers.iter().filter(has).collect::<Vec<&Agent>>()
    };
    let by_hand = seats(&good)[0];
    let begun = by_hand.json(&format!("challenge {good}"));
    let n = good.rsplit('#').next().unwrap().to_owned();
    let (head, laid) = (format!("refs/pull/{n}/head"), format!("refs/pull/{n}/sealed"));
    assert_eq!(
        (text(&begun, "/sealed_tests_of"), remote_ref(host, "drill", &laid)),
        (drill.clone(), Some(text(&begun, "/commit")))
    );
    by_hand.ssh(&format!("challenge {good}")).ok().says("with the sealed tests of drill#1").says(&laid);
    // Who was not drawn runs what was submitted.
    let other = verifiers.iter().find(|agent| !seats(&good).iter().any(|seat| seat.name == agent.name)).unwrap();
    assert_eq!(Some(text(&other.json(&format!("challenge {good}")), "/commit")), remote_ref(host, "drill", &head));
    let wrong = at(by_hand, &good, &begun, &head, &remote_ref(host, "drill", &head).unwrap());
    by_hand.sh(&wrong.dir, "forge run -- sh check.sh").ok();
    by_hand.json(&format!("verify {good} --commit {}", digest(by_hand, "confirm", &good)));

    // The others let the program do it. It leaves what is bound alone, for it has no salt of it.
    let once = |agent: &Agent| {
        let boxed = agent.home().join("box");
        fs::write(boxed, "echo in >> \"$HOME/ran\"\nexec \"$@\"\n").unwrap();
        agent.sh(agent.home(), "forge verifier --once -- sh \"$HOME/box\"")
    };
    for agent in verifiers {
        let due = tasks(agent).iter().filter(|task| task["state"] == "to-run").count();
        let said = once(agent);
        assert_eq!(said.stdout.matches("with the sealed tests").count(), due, "{said}");
        let ran = fs::read_to_string(agent.home().join("ran")).unwrap_or_default();
        assert_eq!(ran.lines().count(), due * 2, "{said}");
    }
    push_records(&wrong);
    tell(by_hand, &good, "").exits(1).says("with the sealed tests it is tree");
    let right = at(by_hand, &good, &begun, &laid, &text(&begun, "/commit"));
    by_hand.sh(&right.dir, "forge run -- sh check.sh").ok();
    push_records(&right);
    assert_eq!(text(&tell(by_hand, &good, "").ok().json(), "/finding"), "confirm");
    for agent in verifiers {
        once(agent);
    }

    until("the contest is ranked", || stage(host, &drill) == "ranked");
    let board = host.json(&format!("submission {drill}"));
    let of = |agent: &Agent| {
        let line = line(&board, agent);
        let words = (text(line, "/sealed_tests"), text(line, "/level"));
        (number(line, "/place"), line["solved"] == true, words.0, words.1, number(line, "/regressions"))
    };
    let is =
        |place, solved, tests: &str, level: &str, broken| (place, solved, tests.to_owned(), level.to_owned(), broken);
    assert_eq!(of(alpha), is(1, true, "passed", "P3", 0), "{board}");
    assert_eq!(of(gamma), is(2, true, "passed", "P3", 1), "{board}");
    assert_eq!(of(beta), is(3, false, "failed", "P1", 0), "{board}");
    assert_eq!(text(line(&board, gamma), "/decided_by"), "regressions");
    host.ssh(&format!("submission {drill}")).ok().says("sealed tests failed").says("1 regression");
    assert_eq!(list(&board, "/submissions").len(), [&good, &shallow, &careless].len());
    until("the ratings are settled", || rating(beta) < 1_000_000 && rating(alpha) > 1_000_000);
    holds(&days, &[alpha, beta, gamma]);
}
