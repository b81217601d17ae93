//! Contests: many agents on one issue, compared when it closes, rated by a ledger that anyone refolds.
//!
//! Days pass by a file that debug builds take for how slow the clock is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project};
use tests::plumbing::{assert_clean, git, mirror_all};
use tests::{Agent, Forge, tool, until};

/// A forge whose clock can be moved, and what moves it.
pub(crate) struct Days {
    pub(crate) forge: Forge,
    pub(crate) ahead: PathBuf,
    /// Told at every start but the first.
    pub(crate) more: Vec<(&'static str, &'static str)>,
}

impl Days {
    pub(crate) fn start() -> Days {
        Days::since(0)
    }

    /// The same, so many seconds from now on; those before now are negative.
    pub(crate) fn since(seconds: i64) -> Days {
        let ahead = tempfile::NamedTempFile::new().unwrap().into_temp_path().keep().unwrap();
        fs::write(&ahead, seconds.to_string()).unwrap();
        let forge = Forge::start_with(&Days::told_of(&ahead)[..1]);
        Days { forge, ahead, more: Vec::new() }
    }

    /// So many hours later than it is.
    pub(crate) fn later(&self, hours: u64) {
        self.minutes_later(hours * 60);
    }

    /// So many minutes. Up to fifteen, clients whose clocks are right are taken for slow, and their records still count.
    pub(crate) fn minutes_later(&self, minutes: u64) {
        fs::write(&self.ahead, (minutes * 60).to_string()).unwrap();
    }

    /// Killed, and started again.
    pub(crate) fn again(&mut self) {
        self.forge.kill();
        self.forge.try_up(&[&Days::told_of(&self.ahead)[..], &self.more].concat()).unwrap();
    }

    /// Who is an operator is told behind the first start: the name must be somebody's.
    pub(crate) fn told(&self) -> [(&'static str, &str); 2] {
        Days::told_of(&self.ahead)
    }

    pub(crate) fn told_of(ahead: &Path) -> [(&'static str, &str); 2] {
        [("FORGE_CLOCK_AHEAD", ahead.to_str().unwrap()), ("FORGE_OPERATORS", "host")]
    }
}

impl Drop for Days {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.ahead));
    }
}

/// Passes where `answer` says 42, and for those who mean it well.
const CHECK: &str = "grep -q 42 answer && [ -z \"$ILL\" ]\n";

pub(crate) fn agents<const N: usize>(forge: &Forge, names: [&str; N]) -> [Agent; N] {
    names.map(|name| forge.agent(name))
}

/// A project whose tests fail, and a contest of it; returns its reference.
pub(crate) fn contest(host: &Agent, project: &str, difficulty: &str, more: &str) -> String {
    contest_in(host, project, "rust", difficulty, more)
}

/// The same in a language.
pub(crate) fn contest_in(host: &Agent, project: &str, lang: &str, difficulty: &str, more: &str) -> String {
    found_project(host, project, &[("answer", "41\n"), ("check.sh", CHECK)]);
    text(
        &host.json(&format!(
            "issue new {project} --title 'The answer is wrong' --lang {lang} --difficulty {difficulty} \
             --command sh check.sh {more}"
        )),
        "/ref",
    )
}

/// Starts, answers, records a run and submits; returns the pull request.
pub(crate) fn answer(work: &Work, answer: &str) -> String {
    work.write("answer", answer);
    work.agent.sh(&work.dir, "forge run -- sh check.sh");
    work.commit("Mend the answer");
    work.push().ok();
    text(&work.submit(), "/ref")
}

pub(crate) fn stage(agent: &Agent, contest: &str) -> String {
    text(&agent.json(&format!("submission {contest}")), "/stage")
}

pub(crate) fn rating(agent: &Agent) -> i64 {
    number(&agent.json(&format!("profile {}", agent.name)), "/ratings/simulator")
}

pub(crate) fn line<'a>(board: &'a Value, agent: &Agent) -> &'a Value {
    list(board, "/submissions").iter().find(|line| line["agent"] == agent.name.as_str()).expect("a submission")
}

/// What `forge verify` and a replay say of a clone of everything, against what the server says.
pub(crate) fn holds(days: &Days, agents: &[&Agent]) {
    let copy = tempfile::tempdir().unwrap();
    mirror_all(&days.forge, agents[0], copy.path());
    let copy = copy.path().to_str().unwrap();
    tool(&["verify", copy]).ok();
    let replayed = tool(&["ratings", "replay", "--data", copy, "--json"]).ok().json();
    for agent in agents {
        assert_eq!(number(&replayed, &format!("/agents/{}/simulator", agent.name)), rating(agent), "{}", agent.name);
    }
}

#[test]
fn three_agents_on_one_issue_are_ranked_rated_and_corrected() {
    let mut days = Days::start();
    let [host, alpha, beta, gamma] = agents(&days.forge, ["host", "alpha", "beta", "gamma"]);
    let [delta, epsilon] = agents(&days.forge, ["delta", "epsilon"]);
    let contest = contest(&host, "drill", "medium", "--deadline 24h");
    let works = [&alpha, &beta, &gamma].map(|agent| Work::start(agent, &contest));
    let seen = delta.ssh("feed").ok();
    seen.says("3 agents working").says("medium").says("closes");
    assert_eq!(list(&alpha.json("feed --lang go"), "/open").len(), 0);
    // Alpha signs what it ran, beta does not, and gamma ran something else, which passes and decides nothing.
    works[0].git(&["config", "forge.signingkey", alpha.key_path().to_str().unwrap()]).ok();
    let first = answer(&works[0], "42\n");
    let second = answer(&works[1], "the answer is 42\n");
    let third = works[2].deliver("answer", "43\n");
    let open = beta.json(&format!("submission {second}"));
    assert_eq!((text(&open, "/state").as_str(), text(&open, "/stage").as_str()), ("counts", "open"));
    assert!(open["submission"]["place"].is_null(), "nobody is told a place before it is one: {open}");
    // Nothing lands before it was compared.
    let (code, error) = beta.refusal(&format!("merge {second}"));
    assert_eq!((code, error["code"].as_str()), (1, Some("contest")), "{error}");

    // Whoever doubts alpha runs it again in time, by the clock of its own machine.
    for doubter in [&delta, &epsilon] {
        let begun = doubter.json(&format!("challenge {first}"));
        let dir = doubter.clone_into(&doubter.ssh_url("drill"), "doubt", &[]);
        let work =
            Work { agent: doubter.clone(), dir, issue: contest.clone(), branch: String::new(), start: begun.clone() };
        work.paste_settings();
        work.git(&["fetch", "-q", "origin", &format!("refs/pull/{}/head", first.rsplit('#').next().unwrap())]).ok();
        work.git(&["checkout", "-q", "--detach", &text(&begun, "/commit")]).ok();
        doubter.sh(&work.dir, "ILL=1 forge run -- sh check.sh").fails();
        doubter
            .git(
                &work.dir,
                &["push", "-q", "origin", &format!("refs/notes/forge/out/*:refs/notes/forge/in/{}/*", doubter.name)],
            )
            .ok();
    }

    days.again();
    let [alpha, beta, gamma, delta, epsilon] =
        [&alpha, &beta, &gamma, &delta, &epsilon].map(|agent| agent.at(&days.forge));
    assert_eq!(stage(&alpha, &contest), "open");
    days.later(25);
    until("the contest is ranked", || stage(&alpha, &contest) == "ranked");
    let board = alpha.json(&format!("submission {contest}"));
    let places = [&alpha, &beta, &gamma].map(|agent| number(line(&board, agent), "/place"));
    assert_eq!(places, [1, 2, 3], "{board}");
    assert_eq!(text(line(&board, &beta), "/decided_by"), "proof");
    assert_eq!(text(line(&board, &gamma), "/decided_by"), "solved");
    // Nobody is vouched for, so all are provisional: each pair counts a quarter. All begin at 1000, so that each pair is
    // expected even: 32,000 · 0.25 · 0.5 / 2 = 2,000 milli-Elo. The issue is no opponent before three owners are known.
    until("the ratings are settled", || rating(&alpha) != 1_000_000);
    assert_eq!([&alpha, &beta, &gamma].map(rating), [1_004_000, 1_000_000, 996_000]);
    let history = alpha.json("profile");
    assert_eq!(list(&history, "/history").len(), 1);
    assert_eq!(
        (text(&history, "/history/0/track").as_str(), number(&history, "/history/0/delta_milli")),
        ("simulator", 4000)
    );
    alpha.ssh("feed").ok().says("contest ranked, place 1 of 3, +4 simulator");
    gamma.ssh("profile gamma").ok().says("-4 simulator for drill#1, place 3 of 3");
    beta.ssh("details drill/1").ok().says("alpha is first of 3");
    holds(&days, &[&alpha, &beta, &gamma]);

    // What the forge says is what a human reads in a clone of its own repository.
    let root = alpha.clone_into(&alpha.ssh_url("forge"), "root", &["--mirror"]);
    let log = git(&root, &["log", "--format=%s", "refs/forge/elo/simulator"]).ok();
    log.says("drill#1: alpha +4.000, beta +0.000, gamma -4.000");

    // It is over: nothing is submitted, started or closed any more.
    let (code, _) = delta.refusal(&format!("start {contest}"));
    assert_eq!(code, 5);
    // Two owners whose runs failed refute alpha. It ranks behind gamma, who merely did not solve it.
    for doubter in [&delta, &epsilon] {
        doubter.ssh(&format!("challenge {first} --record newest")).ok();
    }
    let board = beta.json(&format!("submission {contest}"));
    let places = [&alpha, &beta, &gamma].map(|agent| number(line(&board, agent), "/place"));
    assert_eq!(places, [3, 1, 2], "{board}");
    // From the same ratings and weights: beta wins twice, gamma once, alpha never.
    assert_eq!([&alpha, &beta, &gamma].map(rating), [996_000, 1_004_000, 1_000_000]);
    alpha.ssh("profile").ok().says("-8 simulator for drill#1, place 3 of 3, corrected");
    alpha.git(&root, &["fetch", "-q"]).ok();
    let log = git(&root, &["log", "--format=%s", "refs/forge/elo/simulator"]).ok();
    log.says("drill#1, corrected: alpha -8.000, beta +4.000, gamma +4.000").says("drill#1: alpha +4.000");
    holds(&days, &[&alpha, &beta, &gamma]);
    assert_clean(&root);
    assert_eq!(third, "drill#4", "{third}");

    // A mirror has all of it, and says the same.
    let copy = days.forge.scratch().join("copy");
    mirror_all(&days.forge, &alpha, &copy);
    tool(&["verify", copy.to_str().unwrap()]).ok();
    let mut mirror = days.forge.beside_stopped(&copy);
    mirror.try_up(&days.told()).unwrap();
    let [there, here] = [&mirror, &days.forge].map(|forge| alpha.at(forge).ssh("submission drill/1").ok().stdout);
    assert_eq!(there, here);
}

#[test]
fn a_contest_holds_its_terms_through_kills() {
    let mut days = Days::start();
    let [host, alpha, beta, gamma] = agents(&days.forge, ["host", "alpha", "beta", "gamma"]);
    let easy = contest(&host, "drill", "easy", "--deadline 2h");
    let hard = contest(&host, "rock", "hard", "");
    // Tiers gate what is offered and what may be started.
    let offered = list(&alpha.json("feed"), "/open").iter().map(|item| text(item, "/ref")).collect::<Vec<_>>();
    assert_eq!(offered, std::slice::from_ref(&easy));
    let (code, error) = alpha.refusal(&format!("start {hard}"));
    assert_eq!((code, error["code"].as_str()), (4, Some("tier")), "{error}");
    let works = [&alpha, &beta, &gamma].map(|agent| Work::start(agent, &easy));
    let base = git(&works[0].dir, &["rev-parse", "origin/HEAD"]).ok().text().to_owned();
    assert!(works.iter().all(|work| text(&work.start, "/base") == base));
    // Who has not started does not submit, who gave up has not started.
    works[1].write("answer", "42\n");
    works[1].agent.sh(&works[1].dir, "forge run -- sh check.sh").ok();
    works[1].commit("Mend the answer");
    works[1].push().ok();
    beta.ssh("abandon").ok();
    let (code, error) = beta.refusal(&format!("submit {} --issue {easy} --title x", works[1].branch));
    assert_eq!((code, error["code"].as_str()), (1, Some("contest")), "{error}");
    let (code, _) = host.refusal(&format!("issue close {easy}"));
    assert_eq!(code, 1);
    // Of several, the last before the close counts.
    let early = works[0].deliver("answer", "7\n");
    alpha.ssh(&format!("pr close {early} another comes")).ok();
    let again = Work::start_in(&alpha, &easy, &works[0].dir);
    assert_ne!(again.branch, works[0].branch, "what has ended keeps its branch");
    let late = answer(&again, "42\n");
    days.again();
    let [host, alpha, beta, gamma] = [&host, &alpha, &beta, &gamma].map(|agent| agent.at(&days.forge));
    days.later(3);
    days.again();
    let [host, alpha, beta, gamma] = [&host, &alpha, &beta, &gamma].map(|agent| agent.at(&days.forge));
    until("the contest is ranked", || stage(&host, &easy) == "ranked");
    let board = host.json(&format!("submission {easy}"));
    assert_eq!(list(&board, "/submissions").len(), 1, "{board}");
    assert_eq!(text(line(&board, &alpha), "/ref"), late);
    // One alone plays against the issue, which counts for nobody yet: no rating moves.
    let kept = |agent: &Agent| {
        let profile = agent.json("profile");
        assert_eq!(number(&profile, "/ratings/simulator"), 1_000_000, "reliability never touches a rating");
        let counts =
            ["delivered", "abandoned", "expired"].map(|word| number(&profile, &format!("/reliability/{word}")));
        (counts, number(&profile, "/reliability/permille"))
    };
    assert_eq!([&alpha, &beta, &gamma].map(kept), [([1, 0, 0], 1000), ([0, 1, 0], 0), ([0, 0, 1], 0)]);
    // What comes too late is told so, and where it would have counted.
    let (code, error) = gamma.refusal(&format!("submit {} --issue {easy} --title x", works[2].branch));
    assert!(code == 3 || code == 5, "{error}");
    // What was compared may land, and rates nobody a second time.
    host.json(&format!("review approve {late} reads well"));
    let landed = alpha.json(&format!("merge {late}"));
    assert_eq!(list(&landed, "/ratings").len(), 0, "{landed}");
    holds(&days, &[&alpha, &beta, &gamma]);
    assert_clean(&days.forge.data().join("repositories/drill.git"));
}

#[test]
fn agents_that_somebody_vouched_for_play_against_the_issue_too() {
    let mut days = Days::start();
    let known = agents(&days.forge, ["host", "alpha", "beta", "gamma"]);
    days.again();
    let [host, alpha, beta, gamma] = known.map(|agent| agent.at(&days.forge));
    for agent in [&alpha, &beta, &gamma] {
        host.ssh(&format!("admin vouch {}", agent.name)).ok();
    }
    let contest = contest(&host, "drill", "medium", "");
    let works = [&alpha, &beta, &gamma].map(|agent| Work::start(agent, &contest));
    works[0].git(&["config", "forge.signingkey", alpha.key_path().to_str().unwrap()]).ok();
    answer(&works[0], "42\n");
    answer(&works[1], "the answer is 42\n");
    works[2].deliver("answer", "43\n");
    days.later(25);
    until("the ratings are settled", || rating(&alpha) != 1_000_000);
    // Three owners that are known and not the host's: the issue, rated 1100, counts. Who has played fewer than ten contests
    // meets it with K = 32, and is expected to solve it with 359,935 ppm: +20,482 where solved, -11,517 where not. Pairs are
    // as among strangers, 2,000 each. Nobody has met anybody established, so that an owner gains 8,000 at most: alpha keeps
    // 8,000 / 24,482 = 326 permille of its gains, beta 8,000 / 22,482 = 355.
    let alphas = 2 * (2_000 * 326 / 1000) + 20_482 * 326 / 1000;
    let betas = 2_000 * 355 / 1000 + 20_482 * 355 / 1000 - 2_000 * 326 / 1000;
    let gammas = -(2_000 * 326 / 1000) - 2_000 * 355 / 1000 - 11_517;
    assert_eq!((alphas, betas, gammas), (7_981, 7_329, -12_879));
    assert_eq!([&alpha, &beta, &gamma].map(rating), [1_007_981, 1_007_329, 987_121]);
    let board = host.json(&format!("submission {contest}"));
    assert_eq!(number(&board, "/issue_rating"), 1_100_000 - alphas - betas - gammas, "nothing is made or lost");
    holds(&days, &[&alpha, &beta, &gamma]);
}

#[test]
fn terms_that_make_no_contest_are_refused_by_name() {
    let forge = Forge::start();
    let host = forge.agent("host");
    host.json("project new empty");
    let why = |line: &str| text(&host.refusal(line).1, "/why");
    let new = "issue new empty --title T";
    assert!(why(&format!("{new} --difficulty easy --command true")).contains("no commit to begin at"));
    found_project(&host, "drill", &[("answer", "41\n")]);
    let new = "issue new drill --title T";
    assert!(why(&format!("{new} --difficulty brutal --command true")).contains("easy, medium or hard"));
    assert!(why(&format!("{new} --difficulty easy")).contains("--command"));
    assert!(why(&format!("{new} --deadline 2h")).contains("--difficulty"));
    for deadline in ["0s", "31d", "h", "1w", "99999999999999999999s", "-1h"] {
        assert!(why(&format!("{new} --difficulty easy --command true --deadline {deadline}")).contains("1s to 30d"));
    }
    assert!(why(&format!("{new} --difficulty easy --command true --base {}", "0".repeat(39) + "1")).len() > 10);
    assert!(why(&format!("{new} --lang 'no language'")).contains("--lang"));
    let (code, error) = host.refusal("submission drill/1");
    assert_eq!(code, 3, "nothing was opened: {error}");
}
