//! Sealed tests decide: verifiers run each submission with them laid over it, and what they find is what ranks it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project};
use tests::plumbing::remote_ref;
use tests::{Agent, Out, root, until};

use super::contests::{Days, holds, line, rating, stage};
use super::verifiers::{arena_with, digest, push_records, tasks, tell};

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
fn contest(host: &Agent, project: &str, deadline: &str) -> String {
    let files = [
        ("answer", "41\n"),
        ("kept", "\n"),
        ("check.sh", CHECK),
        ("tests/answer.sh", "grep -q 4 answer\n"),
        ("tests/kept.sh", "[ -f kept ]\n"),
    ];
    let dir = found_project(host, project, &files);
    let title = "--title 'The answer is wrong' --difficulty medium";
    let new = format!("issue new {project} {title} --command sh check.sh --deadline {deadline}");
    let contest = text(&host.json(&new), "/ref");
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
    let project = pull.split('#').next().unwrap();
    let into = format!("{commit}-{}", pull.replace('#', "-"));
    let dir = verifier.clone_into(&verifier.ssh_url(project), &into, &[]);
    let (agent, issue) = (verifier.clone(), pull.to_owned());
    let work = Work { agent, dir, issue, branch: String::new(), start: begun.clone() };
    work.paste_settings();
    work.git(&["fetch", "-q", "origin", name]).ok();
    work.git(&["checkout", "-q", "--detach", commit]).ok();
    work
}

/// Lets the program verify what is to be verified now.
fn once(agent: &Agent) -> Out {
    fs::write(agent.home().join("box"), "echo in >> \"$HOME/ran\"\nexec \"$@\"\n").unwrap();
    agent.sh(agent.home(), "forge verifier --once -- sh \"$HOME/box\"")
}

#[test]
fn sealed_tests_that_verifiers_run_decide_what_the_tests_in_sight_do_not() {
    let (mut days, known) = arena_with(&[("FORGE_TRIAL_PERMILLE", "0")]);
    let [host, alpha, beta, gamma, ..] = &known;
    let drill = contest(host, "drill", "10m");
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
    let (head, laid) = (format!("refs/pull/{n}/head"), "refs/forge/sealed/1");
    assert_eq!(text(&begun, "/sealed_tests_of"), drill);
    by_hand.ssh(&format!("challenge {good}")).ok().says("with the sealed tests of drill#1").says(laid);
    // Who was not drawn runs what was submitted.
    let other = verifiers.iter().find(|agent| !seats(&good).iter().any(|seat| seat.name == agent.name)).unwrap();
    assert_eq!(Some(text(&other.json(&format!("challenge {good}")), "/commit")), remote_ref(host, "drill", &head));
    let wrong = at(by_hand, &good, &begun, &head, &remote_ref(host, "drill", &head).unwrap());
    by_hand.sh(&wrong.dir, "forge run -- sh check.sh").ok();
    by_hand.json(&format!("verify {good} --commit {}", digest(by_hand, "confirm", &good)));

    // The others let the program do it. It leaves what is bound alone, for it has no salt of it.
    for agent in verifiers {
        let due = tasks(agent).iter().filter(|task| task["state"] == "to-run").count();
        let said = once(agent);
        assert_eq!(said.stdout.matches("with the sealed tests").count(), due, "{said}");
        let ran = fs::read_to_string(agent.home().join("ran")).unwrap_or_default();
        assert_eq!(ran.lines().count(), due * 2, "{said}");
    }
    push_records(&wrong);
    tell(by_hand, &good, "").exits(1).says("with the sealed tests it is tree");
    let right = at(by_hand, &good, &begun, laid, &text(&begun, "/commit"));
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

/// The messages of a project's ledger, the newest first.
fn batches(host: &Agent, project: &str) -> Vec<String> {
    let clone = host.home().join(format!("{project}-ledger"));
    let (url, into) = (host.ssh_url(project), clone.to_str().unwrap());
    host.git(host.home(), &["clone", "-q", "--mirror", &url, into]).ok();
    let log = host.git(&clone, &["log", "-z", "--first-parent", "--format=%B", "refs/forge/ledger"]).ok().stdout;
    log.split('\0').map(str::to_owned).collect()
}

#[test]
fn a_submission_that_sealed_tests_cannot_be_laid_over_fails_alone() {
    let (mut days, known) = arena_with(&[("FORGE_TRIAL_PERMILLE", "0")]);
    let [host, alpha, beta, ..] = &known;
    let drill = contest(host, "drill", "10m");
    let works = [alpha, beta].map(|agent| Work::start(agent, &drill));
    // Right, and then with so many files beside it that it takes long to make another tree of it.
    works[0].write("answer", "42\n");
    let good = submit(&works[0]);
    for n in 0..3000 {
        fs::write(works[0].dir.join(format!("{n:0>240}")), "").unwrap();
    }
    alpha.sh(&works[0].dir, "forge run -- sh check.sh").ok();
    works[0].commit("Fill the root");
    works[0].push().ok();
    let refused = alpha.ssh(&format!("submit {} --issue {drill}", works[0].branch));
    refused.exits(1).says("list more than 256 KiB beyond").says("git diff --stat");
    works[1].write("answer", "42\n");
    submit(&works[1]);
    // It dies with all of it made and nothing of it named, and comes back to make the same.
    days.more.push(("FORGE_FAILPOINT", "code-pack-landed"));
    days.again();
    days.minutes_later(11);
    until("it has died", || days.forge.has_died());
    days.more.pop();
    days.again();
    let known = known.each_ref().map(|agent| agent.at(&days.forge));
    let [host, alpha, beta, ..] = &known;
    until("verifiers are drawn", || known[4..].iter().map(|agent| tasks(agent).len()).sum::<usize>() == 2);
    until("the contest is ranked", || {
        known[4..].iter().for_each(|agent| drop(once(agent)));
        stage(host, &drill) == "ranked"
    });
    let board = host.json(&format!("submission {drill}"));
    let of = |agent: &Agent| {
        let line = line(&board, agent);
        (text(line, "/sealed_tests"), line["solved"] == true, line["unlaid"] == true)
    };
    assert_eq!(of(beta), ("passed".to_owned(), true, false), "{board}");
    assert_eq!(of(alpha), ("failed".to_owned(), false, true), "{board}");
    assert_eq!(text(line(&board, alpha), "/ref"), good);
    host.ssh(&format!("submission {drill}")).ok().says("they cannot be laid over its tree");
    // What verifiers run was made of what counted by then: the close is a batch of its own.
    let batches = batches(host, "drill");
    let in_batch = |words: &str| batches.iter().position(|batch| batch.contains(words)).unwrap();
    let (closed, revealed) = (in_batch("contest closed"), in_batch("revealed what was sealed"));
    assert!(in_batch("contest ranked") < revealed && revealed < closed, "{batches:?}");
    holds(&days, &[alpha, beta]);
}

/// Says yes to whatever it is asked, with records of runs that never were.
fn say_yes(agent: &Agent) {
    let fake = agent.home().join("fake");
    fs::create_dir_all(&fake).unwrap();
    let shell = fake.join("sh");
    fs::write(&shell, "#!/bin/sh\nprintf 'ok 1 - a\\nok 2 - b\\nok 3 - c\\n1..3\\n'\n").unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    for task in tasks(agent) {
        let pull = text(&task, "/ref");
        let bound = || number(&task, "/bound") == number(&task, "/panel");
        match task["state"].as_str() {
            Some("to-run") => {
                let begun = agent.json(&format!("challenge {pull}"));
                let n = begun["sealed_tests_of"].as_str().unwrap().rsplit('#').next().unwrap();
                let work = at(agent, &pull, &begun, &format!("refs/forge/sealed/{n}"), &text(&begun, "/commit"));
                agent.sh(&work.dir, "PATH=\"$HOME/fake:$PATH\" forge run -- sh check.sh").ok();
                push_records(&work);
                agent.json(&format!("verify {pull} --commit {}", digest(agent, "confirm", &pull)));
            }
            Some("bound") if bound() => {
                tell(agent, &pull, "").ok();
            }
            _ => {}
        }
    }
}

/// A contest with three good submissions, and everything that its verifiers do.
fn play(days: &Days, known: &[Agent], project: &str, minutes: u64) -> String {
    let [host, solvers @ .., vera, viktor, vito, _] = known else { panic!("eight agents") };
    let drill = contest(host, project, "2m");
    for agent in solvers {
        let work = Work::start(agent, &drill);
        work.write("answer", "42\n");
        submit(&work);
    }
    days.minutes_later(minutes);
    let others = || [viktor, vito].map(|agent| tasks(agent).len()).iter().sum::<usize>();
    until("verifiers are drawn", || others() > 0);
    until("the contest is ranked", || {
        say_yes(vera);
        once(viktor);
        once(vito);
        stage(host, &drill) == "ranked"
    });
    drill
}

#[test]
fn a_verifier_that_says_yes_to_everything_is_found_out_and_an_honest_one_is_not() {
    let (mut days, known) = arena_with(&[("FORGE_TRIAL_PERMILLE", "1000")]);
    let [host, alpha, beta, gamma, vera, viktor, vito, vlad] = &known;
    vlad.ssh("verify --withdraw").ok();
    let credibility = |agent: &Agent| number(&agent.json("verify"), "/credibility");
    assert_eq!(credibility(vera), 3);
    // Who is drawn for what, and what it then runs, is chance: in each contest she is asked what fails with seven of eight.
    let mut minutes = 3;
    for round in 1.. {
        assert!(round <= 4, "she was not found out");
        play(&days, &known, &format!("drill-{round}"), minutes);
        minutes += 3;
        if credibility(vera) == 0 {
            host.ssh(&format!("details drill-{round}/1")).ok().says("no longer believed: vera");
            break;
        }
    }
    vera.ssh("verify").ok().says("You are not drawn any more");
    for honest in [viktor, vito] {
        assert!(credibility(honest) > 3, "{}", honest.name);
    }
    // She still offers it, and is no candidate any more; the others are, and decide.
    days.more = vec![("FORGE_TRIAL_PERMILLE", "0")];
    days.again();
    let known = known.each_ref().map(|agent| agent.at(&days.forge));
    let drill = play(&days, &known, "last", minutes);
    assert!(tasks(&known[4]).is_empty());
    let board = known[0].json(&format!("submission {drill}"));
    for agent in [alpha, beta, gamma] {
        let line = line(&board, agent);
        assert_eq!(
            (text(line, "/sealed_tests"), text(line, "/level")),
            ("passed".to_owned(), "P3".to_owned()),
            "{board}"
        );
    }
    until("the ratings are settled", || rating(&known[1]) != 1_000_000);
    holds(&days, &[&known[1], &known[2], &known[3]]);
}

/// An issue of the starter pack, whose tests in sight pass as it is. Python names tests in its own way.
#[test]
fn the_sealed_tests_of_a_starter_issue_tell_who_mended_it() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no python3");
    }
    let (days, known) = arena_with(&[("FORGE_TRIAL_PERMILLE", "0")]);
    let [host, alpha, beta, ..] = &known;
    let packed = root().join("tests/starter/packed");
    let rows = fs::read_to_string(packed.join("rows.jsonl")).unwrap();
    let mut rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = rows.find(|row| row["instance_id"] == "synstack__invoice-1").unwrap();
    host.json("project new invoice");
    let dir = host.clone_into(packed.join("synstack__invoice-1.bundle").to_str().unwrap(), "code", &[]);
    host.git(&dir, &["push", "-q", &host.ssh_url("invoice"), "HEAD:refs/heads/main"]).ok();
    let new = format!("--difficulty medium --command {} --deadline 10m", text(&row, "/test_command"));
    let contest = text(&host.json(&format!("issue new invoice --title 'Half cents' {new}")), "/ref");
    let names = |key: &str| serde_json::from_str::<Value>(row[key].as_str().unwrap()).unwrap();
    let part = json!({
        "golden": row["patch"], "tests": row["test_patch"],
        "fail_to_pass": names("FAIL_TO_PASS"), "pass_to_pass": names("PASS_TO_PASS"),
    });
    host.ssh_with(&format!("issue seal {contest}"), &part.to_string()).ok();
    let works = [alpha, beta].map(|agent| Work::start(agent, &contest));
    fs::write(alpha.home().join("golden"), text(&row, "/patch")).unwrap();
    works[0].git(&["apply", "../golden"]).ok();
    works[1].write("NOTES", "It was right all along.\n");
    for work in &works {
        work.agent.sh(&work.dir, &format!("forge run -- {}", text(&row, "/test_command"))).ok();
        work.commit("Mend the rounding");
        work.push().ok();
        work.submit();
    }
    days.minutes_later(11);
    until("verifiers are drawn", || known[4..].iter().map(|agent| tasks(agent).len()).sum::<usize>() == 4);
    until("the contest is ranked", || {
        known[4..].iter().for_each(|agent| drop(once(agent)));
        stage(host, &contest) == "ranked"
    });
    let board = host.json(&format!("submission {contest}"));
    let of = |agent: &Agent| (text(line(&board, agent), "/sealed_tests"), line(&board, agent)["solved"] == true);
    assert_eq!((of(alpha), of(beta)), (("passed".to_owned(), true), ("failed".to_owned(), false)), "{board}");
}
