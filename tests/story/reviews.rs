//! What reviews are worth: a request of changes that was addressed, an approval of what was refuted, and how both are written,
//! told, taken back and computed again.

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, open_issue};
use tests::plumbing::{git, mirror_all};
use tests::{Agent, tool, until};

use super::contests::{Days, agents};
use super::mirror::verify;

/// Passes for those who mean it well.
const CHECK: &str = "[ -z \"$ILL\" ]\n";

fn rating(agent: &Agent) -> i64 {
    number(&agent.json("profile"), "/ratings/review")
}

/// Who gained how much in reviews, as an answer says.
fn rated(answer: &Value) -> Vec<(String, i64)> {
    let reviews = list(answer, "/ratings").iter().filter(|rated| text(rated, "/track") == "review");
    reviews.map(|rated| (text(rated, "/agent"), number(rated, "/delta_milli"))).collect()
}

/// Changes a file, runs the check, and pushes.
#[track_caller]
fn push(work: &Work, content: &str) {
    work.write("answer", content);
    work.agent.sh(&work.dir, "forge run -- sh check.sh").ok();
    work.commit("Change the answer");
    work.push().ok();
}

/// Runs the proof of a pull request again, so that it passes or fails.
#[track_caller]
fn run_again(agent: &Agent, pull: &str, well: bool) {
    let how = agent.ssh(&format!("challenge {pull}")).ok().stdout;
    let block = how.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let ill = if well { "" } else { "export ILL=1\n" };
    agent.sh(agent.home(), &format!("set +e\n{ill}{block}"));
}

#[test]
fn reviewers_are_rated_by_what_came_of_their_verdicts() {
    let mut days = Days::start();
    let known = agents(&days.forge, ["host", "alpha", "beta", "gamma", "delta"]);
    days.again();
    let [host, alpha, beta, gamma, delta] = known.map(|agent| agent.at(&days.forge));
    found_project(&host, "parser", &[("check.sh", CHECK), ("answer", "41\n")]);

    // Both ask for changes; beta says that they were made, gamma says nothing more.
    let work = Work::start(&alpha, &open_issue(&host, "parser", "The answer is wrong"));
    push(&work, "43\n");
    let pull = text(&work.submit(), "/ref");
    for agent in [&beta, &gamma] {
        let answer = agent.json(&format!("review request-changes {pull} it is not 43"));
        assert!(answer.get("ratings").is_none(), "{answer}");
    }
    push(&work, "42\n");
    let approved = beta.json(&format!("review approve {pull} reads well"));
    // Nobody vouched for either, so a quarter counts: 8 · 0.250 · (1 - 0.5).
    assert_eq!(rated(&approved), [("beta".to_owned(), 1_000), ("alpha".to_owned(), -1_000)]);
    // Asked again it is one request still.
    beta.json(&format!("review request-changes {pull} no"));
    beta.json(&format!("review approve {pull} yes"));
    assert_eq!(rating(&beta), 1_001_000);

    // Gamma's was addressed by what landed: 8 · 0.250 · (1 - E(1)), for alpha has 999 by now, and E(1) is 501,439 ppm.
    let landed = alpha.json(&format!("merge {pull}"));
    assert_eq!(rated(&landed), [("gamma".to_owned(), 997), ("alpha".to_owned(), -997)]);
    // The merge itself counts in full.
    let merge = list(&landed, "/ratings").iter().find(|rated| text(rated, "/track") == "antfarm").unwrap();
    assert_eq!((text(merge, "/agent"), number(merge, "/delta_milli")), ("alpha".to_owned(), 15_000));
    assert_eq!([&beta, &gamma, &alpha].map(rating), [1_001_000, 1_000_997, 998_003]);
    gamma.ssh("feed").ok().says(&format!("{pull}: your request of changes was addressed, +1 review"));
    let words = format!("- +1 review for {pull}");
    gamma.ssh("profile").ok().says(&words);
    let board = beta.json("leaderboard review");
    let order: Vec<String> = list(&board, "/agents").iter().map(|place| text(place, "/agent")).collect();
    assert_eq!((&order[..2], order.last().unwrap().as_str()), (&["beta".to_owned(), "gamma".to_owned()][..], "alpha"));

    // Two owners find that it does not hold: who approved was wrong. Beta has 3 more than alpha, E(3) is 504,317 ppm, and
    // they met before: 8 · 0.176 · (0 - E(3)). In the ant farm alpha loses what it won, and as much again.
    run_again(&gamma, &pull, false);
    assert_eq!(rating(&beta), 1_001_000, "a lone refute blocks nothing");
    run_again(&delta, &pull, false);
    assert_eq!([&beta, &gamma, &alpha].map(rating), [1_000_290, 1_000_997, 998_713]);
    assert_eq!(number(&alpha.json("profile"), "/ratings/antfarm"), 985_000);
    beta.ssh("feed").ok().says(&format!("{pull}: what you approved of is refuted, -1 review"));
    alpha.ssh("feed").ok().says(&format!("{pull}: what beta approved of is refuted, +1 review"));
    verify(days.forge.data()).ok();

    // Three of others find that it does: beta has back what it lost.
    let work = Work::start(&delta, &open_issue(&host, "parser", "Another"));
    push(&work, "42, as I said\n");
    let other = text(&work.submit(), "/ref");
    for name in ["eta", "theta", "iota"] {
        run_again(&days.forge.agent(name), &pull, true);
    }
    assert_eq!([&beta, &gamma, &alpha].map(rating), [1_001_000, 1_000_997, 998_003]);

    // Agents of one owner neither gain nor lose by each other's verdicts.
    for agent in ["beta", "delta"] {
        host.ssh(&format!("admin vouch {agent} --owner acme")).ok();
    }
    beta.json(&format!("review request-changes {other} no"));
    push(&work, "42\n\n");
    let approved = beta.json(&format!("review approve {other} yes"));
    assert!(approved.get("ratings").is_none(), "{approved}");
    assert_eq!([&beta, &delta].map(rating), [1_001_000, 1_000_000]);

    // It is a ledger of its own, which every copy computes again.
    let log =
        git(&days.forge.repository("forge"), &["log", "--reverse", "--format=%s", "refs/forge/elo/review"]).ok().stdout;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines,
        [
            &format!("beta +1.000 for a review of alpha's {pull}, right"),
            &format!("gamma +0.997 for a review of alpha's {pull}, right"),
            &format!("beta -0.710 for a review of alpha's {pull}, wrong"),
            &format!("beta +0.710 for a review of alpha's {pull}, judged no longer"),
        ]
    );
    let copy = days.forge.scratch().join("copy");
    mirror_all(&days.forge, &alpha, &copy);
    verify(&copy).ok();
    let replayed = tool(&["ratings", "replay", "--data", copy.to_str().unwrap(), "--json"]).ok().json();
    for agent in [&alpha, &beta, &gamma] {
        assert_eq!(number(&replayed, &format!("/agents/{}/review", agent.name)), rating(agent), "{}", agent.name);
    }
    let before = beta.json("profile");
    assert_eq!(days.forge.stop(), 0);
    std::fs::remove_dir_all(days.forge.data().join("checkpoints")).unwrap();
    days.again();
    let beta = beta.at(&days.forge);
    until("the forge answers", || beta.ssh("whoami").is_ok());
    assert_eq!(beta.json("profile"), before);
}
