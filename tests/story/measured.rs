//! Contests that are measured: what a command printed in a recorded run is what ranks those who are equal so far.

use tests::agent::{list, number, text};
use tests::flow::{Work, found_project};
use tests::{Agent, until};

use super::contests::{Days, agents, holds, line, rating, stage};
use super::verifiers::{arena_with, tasks};

/// Says how fast a solution is, by what stands in it and not by a clock; whoever has `LIE` says what that says.
const BENCH: &str = "echo warming up\necho \"bench: answer ${LIE:-$(cat speed)} us\"\n";

/// A contest that a second command measures.
fn contest(host: &Agent) -> String {
    let files = [("answer", "41\n"), ("speed", "9000\n"), ("check.sh", "grep -q 42 answer\n"), ("bench.sh", BENCH)];
    found_project(host, "drill", &files);
    let new = "issue new drill --title 'It is slow' --difficulty medium --deadline 10m --command sh check.sh";
    text(&host.json(&format!("{new} --bench sh bench.sh")), "/ref")
}

/// Mends the answer at that speed, and measures it by `measure` unless that is empty.
fn answer(work: &Work, speed: &str, measure: &str) {
    work.write("answer", "42\n");
    work.write("speed", speed);
    if !measure.is_empty() {
        work.agent.sh(&work.dir, measure).ok().says("benchmarks ");
    }
    work.agent.sh(&work.dir, "forge run -- sh check.sh").ok();
    work.commit("Mend the answer");
    work.push().ok();
    work.submit();
}

#[test]
fn of_two_that_solve_it_the_one_that_is_faster_by_a_step_is_first() {
    let days = Days::start();
    let [host, alpha, beta, gamma, delta] = agents(&days.forge, ["host", "alpha", "beta", "gamma", "delta"]);
    let drill = contest(&host);
    let (code, error) = host.refusal("issue new drill --title T --bench true");
    assert!(code == 2 && text(&error, "/why").contains("--difficulty"), "{error}");
    let same = "issue new drill --title T --difficulty easy --command true --bench true";
    assert!(text(&host.refusal(same).1, "/why").contains("another command"));
    let works = [&alpha, &beta, &gamma, &delta].map(|agent| Work::start(agent, &drill));
    assert_eq!(text(&works[0].start, "/bench"), "sh bench.sh");
    alpha.ssh(&format!("start {drill}")).ok().says("forge run -- sh bench.sh");
    // Six percent apart by what is printed; the first is the slower one, and would be before by time.
    answer(&works[0], "1060\n", "forge run -- sh bench.sh");
    answer(&works[1], "1000\n", "forge run -- sh bench.sh");
    answer(&works[2], "1020\n", "forge run -- sh bench.sh");
    answer(&works[3], "1\n", "");
    host.ssh(&format!("submission {drill}")).ok().says("measured by `sh bench.sh`, as makers ran it");
    days.minutes_later(11);
    until("the contest is ranked", || stage(&host, &drill) == "ranked");
    let (status, body) = days.forge.get("/submission/drill/1/status");
    assert_eq!(status, 200, "{body}");
    let board: serde_json::Value = serde_json::from_str(&body).unwrap();
    let of = |agent: &Agent| (number(line(&board, agent), "/place"), line(&board, agent)["bench_us"].as_i64());
    assert_eq!(of(&alpha), (3, Some(1060)), "{board}");
    // By less than a step apart: time says more.
    assert_eq!([of(&beta).1, of(&gamma).1], [Some(1000), Some(1020)]);
    assert!(of(&beta).0 <= 2 && of(&gamma).0 <= 2, "{board}");
    // Who did not measure it stands behind everybody who did.
    assert_eq!(of(&delta), (4, None), "{board}");
    for agent in [&alpha, &delta] {
        assert_eq!(text(line(&board, agent), "/decided_by"), "benchmark", "{board}");
    }
    host.ssh(&format!("submission {drill}")).ok().says("benchmark 1.060 ms").says("apart by benchmark");
    let (status, page) = days.forge.get("/drill/issues/1");
    assert!(status == 200 && page.contains("\">1.060 ms</td>") && page.contains("as makers ran it"), "{page}");
    until("the ratings are settled", || rating(&delta) != 1_000_000);
    holds(&days, &[&alpha, &beta, &gamma, &delta]);
}

#[test]
fn where_verifiers_measure_their_numbers_count_and_not_what_a_maker_says_of_its_own() {
    let (days, known) = arena_with(&[]);
    let [host, alpha, beta, ..] = &known;
    let drill = contest(host);
    let works = [alpha, beta].map(|agent| Work::start(agent, &drill));
    answer(&works[0], "2000\n", "LIE=1 forge run -- sh bench.sh");
    answer(&works[1], "1000\n", "forge run -- sh bench.sh");
    let board = host.json(&format!("submission {drill}"));
    assert_eq!([alpha, beta].map(|agent| number(line(&board, agent), "/bench_us")), [1, 1000], "{board}");
    days.minutes_later(11);
    until("verifiers are drawn", || known[4..].iter().map(|agent| tasks(agent).len()).sum::<usize>() == 4);
    let drawn = known[4..].iter().find(|agent| !tasks(agent).is_empty()).unwrap();
    let task = text(&tasks(drawn)[0], "/ref");
    drawn.ssh(&format!("challenge {task}")).ok().says("forge run -- sh bench.sh");
    until("the contest is ranked", || {
        known[4..].iter().for_each(|agent| drop(agent.sh(agent.home(), "forge verifier --once -- env")));
        stage(host, &drill) == "ranked"
    });
    let board = host.json(&format!("submission {drill}"));
    assert_eq!(list(&board, "/submissions").len(), 2);
    assert_eq!([alpha, beta].map(|agent| number(line(&board, agent), "/bench_us")), [2000, 1000], "{board}");
    assert_eq!([alpha, beta].map(|agent| number(line(&board, agent), "/place")), [2, 1], "{board}");
    assert_eq!(
        (text(&board, "/measured_by"), text(line(&board, alpha), "/decided_by")),
        ("verifiers".into(), "benchmark".into())
    );
    until("the ratings are settled", || rating(beta) > 1_000_000);
    holds(&days, &[alpha, beta]);
}
