//! Work that was started and dropped: ended by the forge when there was no sign of life for long enough, and told.

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, land, open_issue};
use tests::plumbing::{assert_clean, git, mirror_all};
use tests::{Agent, tool, until};

use super::contests::{Days, agents};

const HOUR_MS: i64 = 3_600_000;

/// Who works on an issue, by name.
fn working(reader: &Agent, issue: &str) -> Vec<String> {
    let details = reader.json(&format!("details {issue}"));
    let mut names: Vec<String> = list(&details, "/working").iter().map(|name| name.as_str().unwrap().into()).collect();
    names.sort();
    names
}

fn reliability(agent: &Agent) -> (i64, i64, Value) {
    let profile = agent.json("profile");
    for track in ["simulator", "review"] {
        assert_eq!(number(&profile, &format!("/ratings/{track}")), 1_000_000, "reliability never touches a rating");
    }
    let count = |word: &str| number(&profile, &format!("/reliability/{word}"));
    (count("delivered"), count("expired"), profile["reliability"]["permille"].clone())
}

#[test]
fn work_that_was_dropped_ends_and_its_agent_is_told() {
    let mut days = Days::start();
    let known = agents(&days.forge, ["host", "alpha", "beta", "gamma", "delta"]);
    let [host, alpha, beta, gamma, delta] = &known;
    found_project(host, "parser", &[("README.md", "parser\n")]);
    found_project(host, "calm", &[(".forge/policy.toml", "[work]\nidle_hours = 0\n")]);
    found_project(host, "brisk", &[(".forge/policy.toml", "[work]\nidle_hours = 2\n")]);
    // What landed counts for its agent, as what was dropped counts against it.
    land(alpha, host, "parser", "a.txt", "mended\n");
    let antfarm = number(&alpha.json("profile"), "/ratings/antfarm");
    assert_eq!(reliability(alpha), (1, 0, 1000.into()));

    let leak = open_issue(host, "parser", "It leaks");
    let slow = open_issue(host, "calm", "It is slow");
    let hot = open_issue(host, "brisk", "It is hot");
    let begun = alpha.json(&format!("start {leak}"));
    assert_eq!(number(&begun, "/idle_ms"), 24 * HOUR_MS);
    alpha.ssh("feed").ok().says("later with each push or reply");
    let pushes = Work::start(beta, &leak);
    gamma.json(&format!("start {leak}"));
    let pull = Work::start(delta, &leak).deliver("d.txt", "mended\n");
    for (issue, idle) in [(&slow, Value::Null), (&hot, (2 * HOUR_MS).into())] {
        assert_eq!(gamma.json(&format!("start {issue}"))["idle_ms"], idle, "{issue}");
    }

    // A push and a reply are signs of life, and move the end.
    days.later(20);
    until("the other policy ends work sooner", || working(host, &hot).is_empty());
    pushes.write("b.txt", "begun\n");
    pushes.commit("Begin");
    pushes.push().ok();
    gamma.ssh(&format!("reply {leak} I am still looking")).ok();
    let seen = number(&alpha.json("feed"), "/seq");
    assert_eq!(working(host, &leak), ["alpha", "beta", "delta", "gamma"]);
    days.again();
    days.later(25);
    let at = |agent: &Agent| agent.at(&days.forge);
    let [host, alpha, beta, gamma, delta] = [host, alpha, beta, gamma, delta].map(at);
    until("alpha's work ends", || working(&host, &leak) == ["beta", "delta", "gamma"]);
    let news = alpha.json(&format!("feed --since {seen}"));
    let told = list(&news, "/attention").iter().find(|item| item["ref"] == leak.as_str()).expect("alpha is told");
    assert!(text(told, "/text").contains("your work on it expired"), "{told}");
    assert_eq!(text(told, "/next"), format!("start {}", leak.replace('#', "/")));
    assert_eq!(list(&news, "/working").len(), 0, "{news}");
    assert_eq!(reliability(&alpha), (1, 1, 500.into()));
    assert_eq!(number(&alpha.json("profile"), "/ratings/antfarm"), antfarm);
    alpha.ssh("profile").ok().says("delivers 50.0% of what it starts (1 delivered, 0 given up, 1 expired)");
    host.ssh(&format!("details {leak}")).ok().says("ended the work of alpha: no sign of life since");
    // It starts again as if for the first time, and gives up in time at no cost.
    alpha.ssh(&format!("start {leak}")).ok();
    alpha.ssh(&format!("abandon {leak}")).ok();
    assert_eq!(reliability(&alpha), (1, 1, 500.into()));

    // Over a kill, with nobody up when it was due. What waits in an open pull request goes on.
    days.later(50);
    days.again();
    let at = |agent: &Agent| agent.at(&days.forge);
    let [host, beta, gamma, delta] = [&host, &beta, &gamma, &delta].map(at);
    until("work on a push and on a reply ends later", || working(&host, &leak) == ["delta"]);
    assert_eq!([&beta, &delta].map(reliability), [(0, 1, 0.into()), (0, 0, Value::Null)]);
    assert_eq!(reliability(&gamma), (0, 2, 0.into()));
    assert_eq!(working(&host, &slow), ["gamma"], "a policy may let it be");
    // When others have closed the pull request, its agent has as long as at first.
    host.ssh(&format!("pr close {pull} not like this")).ok();
    days.later(73);
    delta.ssh("feed").ok().says("Working on");
    assert_eq!(working(&host, &leak), ["delta"]);
    days.later(75);
    until("no answer waits any more", || working(&host, &leak).is_empty());
    let clone = host.clone_into(&host.ssh_url("parser"), "mirrored", &["--mirror"]);
    let chain = format!("refs/forge/issues/{}", leak.rsplit('#').next().unwrap());
    let log = git(&clone, &["log", "--format=%s", &chain]).ok();
    log.says("ended the work of delta").says("ended the work of beta");

    // Copies hold the same, and nothing in them is wrong.
    let copy = days.forge.scratch().join("copy");
    mirror_all(&days.forge, &host, &copy);
    tool(&["verify", copy.to_str().unwrap()]).ok();
    let mut mirror = days.forge.beside_stopped(&copy);
    mirror.try_up(&days.told()).unwrap();
    for line in [format!("details {leak}"), "profile gamma".to_owned()] {
        let [there, here] = [&mirror, &days.forge].map(|forge| host.at(forge).ssh(&line).ok().stdout);
        assert_eq!(there, here);
    }
    assert_clean(&days.forge.data().join("repositories/parser.git"));
}
