//! Votes, accepted answers, and leaderboards that say what they are of.

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, open_issue};
use tests::plumbing::{git, mirror_all};
use tests::{Agent, tool, until};

use super::contests::{Days, agents, answer, contest_in, line, stage};

fn votes(agent: &Agent, pull: &str) -> [i64; 4] {
    let page = agent.json(&format!("pr {pull}"));
    ["up", "down", "up_halves", "down_halves"].map(|key| number(&page, &format!("/votes/{key}")))
}

/// Who stands on a leaderboard, the best first.
fn order(agent: &Agent, line: &str) -> Vec<String> {
    list(&agent.json(line), "/agents").iter().map(|place| text(place, "/agent")).collect()
}

#[test]
fn votes_weigh_by_who_votes_and_a_second_answer_replaces_the_first() {
    let mut days = Days::start();
    let known = agents(&days.forge, ["host", "alpha", "beta", "gamma", "delta"]);
    days.again();
    let [host, alpha, beta, gamma, delta] = known.map(|agent| agent.at(&days.forge));
    found_project(&host, "parser", &[("README.md", "parser\n")]);
    let issue = open_issue(&beta, "parser", "It leaks");
    let first = Work::start(&alpha, &issue).deliver("a.txt", "mended\n");
    let second = Work::start(&gamma, &issue).deliver("b.txt", "mended, too\n");
    assert_eq!(votes(&beta, &first), [0; 4]);

    // A second vote replaces the first, and asking twice does it once.
    beta.ssh(&format!("vote {first} up")).ok().says("+0.5 (1 up, 0 down)");
    delta.ssh(&format!("vote {first} up")).ok();
    assert_eq!(votes(&beta, &first), [2, 0, 2, 0]);
    let down = number(&beta.json(&format!("vote {first} down")), "/seq");
    assert_eq!(number(&beta.json(&format!("vote {first} down")), "/seq"), down);
    assert_eq!(votes(&beta, &first), [1, 1, 1, 1]);
    beta.ssh(&format!("pr {first}")).ok().says("votes +0 (1 up, 1 down) · yours: down");
    // Who is vouched for weighs twice as much, at once and for what it said before.
    host.ssh("admin vouch delta").ok();
    assert_eq!(votes(&beta, &first), [1, 1, 2, 1]);
    alpha.ssh("my-work").ok().says("votes +0.5 (1 up, 1 down)");
    delta.ssh("feed").ok().says("votes +0.5 (1 up, 1 down)");
    beta.ssh(&format!("vote {first} none")).ok();
    assert_eq!(votes(&beta, &first), [1, 0, 2, 0]);
    assert!(beta.json(&format!("pr {first}"))["votes"]["yours"].is_null());

    // Nobody votes for itself, by whichever agent of its owner; what such a one said before counts no more.
    let code = |agent: &Agent, line: &str| agent.refusal(line).0;
    assert_eq!(code(&alpha, &format!("vote {first} up")), 4);
    for agent in ["alpha", "delta"] {
        host.ssh(&format!("admin vouch {agent} --owner acme")).ok();
    }
    assert_eq!(code(&delta, &format!("vote {first} up")), 4);
    assert_eq!(votes(&beta, &first), [0; 4]);
    assert_eq!(code(&beta, &format!("vote {issue} up")), 3);
    assert_eq!(code(&beta, &format!("vote {first} sideways")), 2);

    // Only who opened the issue, or the maintainer, says which answer it was.
    for agent in [&alpha, &gamma, &delta] {
        assert_eq!(code(agent, &format!("accept {first}")), 4, "{}", agent.name);
    }
    assert!(beta.json(&format!("details {issue}"))["accepted"].is_null());
    beta.ssh(&format!("accept {first}")).ok().says(&format!("{first} is accepted as the answer to {issue}."));
    assert_eq!(text(&beta.json(&format!("details {issue}")), "/accepted"), first);
    alpha.ssh("feed").ok().says(&format!("beta accepted it as the answer to {issue}"));
    assert_eq!(beta.json(&format!("pr {first}"))["accepted"], true);
    let replaced = host.json(&format!("accept {second}"));
    assert_eq!((text(&replaced, "/accepted"), text(&replaced, "/before")), (second.clone(), first.clone()));
    beta.ssh(&format!("details {issue}")).ok().says(&format!("accepted: {second}"));
    assert_eq!(beta.json(&format!("pr {first}"))["accepted"], false);
    assert_eq!(number(&host.json(&format!("accept {second}")), "/seq"), number(&replaced, "/seq"), "once");
    gamma.ssh(&format!("pr close {second} it was wrong")).ok();
    alpha.ssh(&format!("pr close {first} another is better")).ok();
    assert_eq!(code(&host, &format!("accept {first}")), 5, "what was given up is no answer");

    // All of it is what a human reads in a clone, and what a copy says.
    let clone = beta.clone_into(&beta.ssh_url("parser"), "mirrored", &["--mirror"]);
    let log = git(&clone, &["log", "--format=%s", &format!("refs/forge/pulls/{}", first.rsplit('#').next().unwrap())]);
    log.ok().says("voted it up").says("voted it down").says("took a vote back").says("accepted as the answer to #1");
    let copy = days.forge.scratch().join("copy");
    mirror_all(&days.forge, &beta, &copy);
    tool(&["verify", copy.to_str().unwrap()]).ok();
    let mut mirror = days.forge.beside_stopped(&copy);
    mirror.try_up(&days.told()).unwrap();
    for command in [format!("pr {first}"), format!("details {issue}")] {
        let [there, here] = [&mirror, &days.forge].map(|forge| beta.at(forge).ssh(&command).ok().stdout);
        assert_eq!(there, here);
    }
}

/// Signs what it records, which is what makes it first here.
fn signing(work: &Work) -> &Work {
    work.git(&["config", "forge.signingkey", work.agent.key_path().to_str().unwrap()]).ok();
    work
}

#[test]
fn leaderboards_are_of_what_is_asked_for() {
    let days = Days::start();
    let [host, alpha, beta, gamma] = agents(&days.forge, ["host", "alpha", "beta", "gamma"]);
    let empty = alpha.ssh("leaderboard simulator --lang rust").ok();
    empty.says("Nothing that was rated fits.");
    let rust = contest_in(&host, "drill", "rust", "medium", "");
    let go = contest_in(&host, "rock", "go", "easy", "");
    // In Rust alpha is first and gamma last; in Go gamma is first, and the other two submit the same change.
    let works = [&alpha, &beta, &gamma].map(|agent| [Work::start(agent, &rust), Work::start(agent, &go)]);
    let alphas = answer(signing(&works[0][0]), "42\n");
    answer(&works[1][0], "the answer is 42\n");
    works[2][0].deliver("answer", "43\n");
    let early = answer(&works[0][1], "42\n");
    let late = answer(&works[1][1], "42\n");
    let best = answer(signing(&works[2][1]), "it is 42\n");
    // While it runs, nobody is told what others have, and nothing is accepted.
    assert!(
        list(&beta.json(&format!("submission {go}")), "/submissions").iter().all(|l| list(l, "/same_as").is_empty())
    );
    let (code, error) = host.refusal(&format!("accept {alphas}"));
    assert_eq!((code, error["code"].as_str()), (1, Some("contest")), "{error}");
    beta.ssh(&format!("vote {alphas} up")).ok();

    days.later(25);
    let gain = |agent: &Agent| number(&agent.json("profile"), "/ratings/simulator") - 1_000_000;
    until("both are settled", || [&rust, &go].iter().all(|c| stage(&host, c) == "ranked") && gain(&gamma) != 0);
    until("both are rated", || list(&beta.json("profile"), "/history").len() == 2);
    assert_eq!(order(&host, "leaderboard simulator --lang rust"), ["alpha", "beta", "gamma"]);
    assert_eq!(order(&host, "leaderboard simulator --lang go")[0], "gamma");
    assert_eq!(order(&host, "leaderboard simulator --difficulty easy")[0], "gamma");
    assert_eq!(order(&host, "leaderboard simulator --difficulty medium")[0], "alpha");
    assert_eq!(order(&host, "leaderboard simulator --project rock --window 7d")[0], "gamma");
    assert_eq!(order(&host, "leaderboard simulator --difficulty hard"), Vec::<String>::new());
    assert_eq!(order(&host, "leaderboard antfarm --lang rust"), Vec::<String>::new(), "nothing has landed");
    // What is summed is what the ledger says of each.
    let board = host.json("leaderboard simulator --window all");
    for place in list(&board, "/agents") {
        assert_eq!(number(place, "/rating") - 1_000_000, number(place, "/change_milli"), "{place}");
        assert_eq!(number(place, "/games"), 2);
    }
    assert_eq!(text(&board, "/fitting/window"), "all");
    assert!(host.json("leaderboard simulator")["fitting"].is_null());
    for (line, why) in [
        ("leaderboard simulator --window 8d", "--window is"),
        ("leaderboard simulator --difficulty grim", "--difficulty is"),
        ("leaderboard nonsense", "tracks are"),
        ("leaderboard humans --window 7d", "without a --window"),
    ] {
        let (code, error) = host.refusal(line);
        assert!(code == 2 && text(&error, "/why").contains(why), "{line}: {error}");
    }
    assert_eq!(host.refusal("leaderboard --project nowhere").0, 3);
    // The page asks the same, and brings no flag of its own.
    let (status, page) = days.forge.get("/leaderboard.md?track=simulator&lang=go");
    assert_eq!((status, page), (200, host.ssh("leaderboard simulator --lang go").ok().stdout));
    assert_eq!(days.forge.get("/leaderboard.md?lang=--json").0, 404);

    // A profile says where it is good, and what each change came from.
    let profile = alpha.json("profile");
    assert_eq!((number(&profile, "/contests/solved"), number(&profile, "/contests/of")), (2, 2));
    assert_eq!(text(&profile, "/contests/best/0/ref"), rust);
    gamma
        .ssh("profile")
        .ok()
        .says("contests solved: 1/2 (go 1/1, rust 0/1)")
        .says(&format!("best places: 1 of 3 in {go}"));
    // The same change is said to be, by whom it came first.
    let board = host.json(&format!("submission {go}"));
    let same = |agent: &Agent| list(line(&board, agent), "/same_as").to_vec();
    assert_eq!((same(&alpha), same(&beta)), (vec![Value::from(late)], vec![Value::from(early)]));
    assert_eq!(same(&gamma), Vec::<Value>::new());
    // What was compared may be accepted, and one vote was cast.
    host.ssh(&format!("accept {best}")).ok();
    host.ssh(&format!("submission {go}")).ok().says(&format!("accepted: {best}")).says("the same change as");
    assert_eq!(number(line(&host.json(&format!("submission {rust}")), &alpha), "/votes/up_halves"), 1);

    // Programs ask by an address; it is the command.
    let command: Value = serde_json::from_str(&days.forge.get("/submission/rock/1/status").1).unwrap();
    assert_eq!(command, host.json("submission rock/1"));
    for path in ["/submission/rock%231/status", "/submission/rock%2F1/status"] {
        let (status, said) = days.forge.get(path);
        assert_eq!((status, serde_json::from_str::<Value>(&said).unwrap()), (200, command.clone()), "{path}");
    }
    for path in ["/submission/rock/99/status", "/submission/rock/x/status", "/submission/rock%231%20--json/status"] {
        let (status, said) = days.forge.get(path);
        assert!(status == 404 && serde_json::from_str::<Value>(&said).is_ok(), "{path}: {status} {said}");
    }

    // No issue came from elsewhere: that is said, and no figure is made up.
    let humans = host.json("leaderboard humans");
    assert_eq!(number(&humans, "/contests"), 0);
    assert!(humans["humans_permille"].is_null() && humans["agents_ms"].is_null(), "{humans}");
    let (status, page) = days.forge.get("/humans.md");
    assert!(status == 200 && page.contains("nothing to compare"), "{page}");
    assert!(days.forge.get("/leaderboard").1.contains("href=\"/humans\""));
}

#[test]
fn a_window_ends_at_the_newest_change_whatever_the_clock_says() {
    let days = Days::start();
    let [host, alpha, beta, gamma] = agents(&days.forge, ["host", "alpha", "beta", "gamma"]);
    let early = contest_in(&host, "drill", "rust", "easy", "");
    let late = contest_in(&host, "rock", "rust", "easy", "--deadline 20d");
    for (contest, agents) in [(&early, [&alpha, &beta]), (&late, [&beta, &gamma])] {
        let works = agents.map(|agent| Work::start(agent, contest));
        answer(signing(&works[0]), "42\n");
        answer(&works[1], "the answer is 42\n");
    }
    let rated = |agent: &Agent| list(&agent.json("profile"), "/history").len();
    days.later(25);
    until("the first is rated", || rated(&alpha) == 1);
    let week = "leaderboard simulator --window 7d";
    let before = host.ssh(week).ok().stdout;
    assert_eq!(order(&host, week), ["alpha", "beta"]);
    days.later(24 * 19);
    assert_eq!(host.ssh(week).ok().stdout, before, "nothing happened since, so nothing is older");
    days.later(24 * 20 + 1);
    until("the second is rated", || rated(&gamma) == 1);
    assert_eq!(order(&host, week), ["beta", "gamma"]);
    let quarter = order(&host, "leaderboard simulator --window 90d");
    assert_eq!((quarter.len(), quarter[2].as_str()), (3, "gamma"));
    let gains = host.json("leaderboard simulator --lang rust");
    assert_eq!(list(&gains, "/agents").iter().map(|place| number(place, "/change_milli")).sum::<i64>(), 0);
}
