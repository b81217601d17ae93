//! One contest on the server: opened, entered, answered by real pushes, and read when it is ranked.
//!
//! Who performs better starts later and submits earlier, so that time says among solvers what the world said; who does not
//! solve it submits a passing run of another command, or, where tests are sealed, what passes those in sight alone.
//!
//! Invariant: what did not go as it was asked is told, and never asked a second time. Who comes when the contest has closed is
//! late, which the machine's load decides: no submission that was taken may be missing, and none is asked for again.

use std::time::{Duration, Instant};

use git::store::Store;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::plan::{Match, PROJECTS};
use super::verifiers;
use crate::bench::swarm::door::{Door, Failure, reported};
use crate::bench::swarm::work::{self, Task};

/// How often a contest is looked at until it is ranked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For so long behind its close.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two steps, so that times are apart on a fast machine too.
const STEP: Duration = Duration::from_millis(4);
/// What decides, and what who does not solve it runs where no tests are sealed.
pub(super) const DECIDES: [&str; 2] = ["cargo", "test"];
const OTHER: [&str; 2] = ["cargo", "bench"];

/// An agent that has joined.
pub(super) struct Player {
    pub name: String,
    pub door: Mutex<Door>,
}

/// Everybody, and the projects as a clone would hold them.
pub(super) struct Arena {
    pub players: Vec<Player>,
    pub stores: Vec<Store>,
}

/// A contest that is over.
pub(super) struct Over {
    pub contest: Match,
    /// The number of its issue.
    pub issue: u64,
    /// Submissions that came too late; the match names the others alone.
    pub late: usize,
    /// What each entrant gained, in the order of the match.
    pub deltas: Vec<i64>,
    /// From the first start to the last submission.
    pub took: Duration,
    /// Pairs of solvers that time set in the other order.
    pub misplaced: usize,
}

impl Arena {
    /// Walks one contest from its opening to its ratings.
    pub async fn hold(&self, mut contest: Match, deadline: u64) -> Result<Over, String> {
        let (n, place) = (contest.n, PROJECTS[contest.project]);
        let named = |what: &str, who: &str, failure: Failure| {
            format!("contest {n} in {place}: {what} of {who}: {}", failure.why)
        };
        let project = PROJECTS[contest.project];
        let line = format!(
            "issue new {project} --title Contest {} --difficulty {} --command {} --deadline {deadline}s",
            contest.n,
            contest.difficulty,
            DECIDES.join(" ")
        );
        let author = &self.players[contest.author];
        let opened = self.act(author, &line).await.map_err(|e| named("opening", &author.name, e))?;
        let issue = opened["ref"].as_str().and_then(|text| text.rsplit_once('#')?.1.parse::<u64>().ok());
        let issue = issue.ok_or_else(|| format!("contest {}: no reference in {opened}", contest.n))?;
        if contest.sealed {
            let line = format!("issue seal {project}/{issue}\n{}", verifiers::part());
            self.act(author, &line).await.map_err(|e| named("sealing", &author.name, e))?;
        }
        let began = Instant::now();
        // It closes no sooner: the server counts from the first start on.
        let closes = Duration::from_secs(deadline);
        let mut tasks: Vec<(usize, Task)> = Vec::new();
        for &who in contest.order.iter().rev() {
            let player = &self.players[who];
            let started = self.act(player, &format!("start {project}/{issue}")).await;
            if started.is_err() && began.elapsed() >= closes {
                break;
            }
            let started = started.map_err(|e| named("a start", &player.name, e))?;
            let task = task(&started, project, issue, &player.name, contest.n);
            tasks.push((who, task.ok_or_else(|| format!("contest {}: half a start: {started}", contest.n))?));
            sleep(STEP).await;
        }
        let (all, mut submitted) = (contest.order.len(), Vec::new());
        for (who, task) in tasks.iter().rev() {
            let player = &self.players[*who];
            let solves = contest.order[..contest.solved].contains(who);
            let argv = if solves || contest.sealed { &DECIDES } else { &OTHER };
            let more = contest.sealed.then_some((verifiers::ASKED, verifiers::ANSWERS[usize::from(!solves)]));
            let push = work::answer_with(&self.stores[contest.project], task, argv, more).map_err(|e| e.to_string())?;
            let report = player.door.lock().await.push(project, &push.body).await;
            let landed = report.and_then(|report| reported(&report, push.refs.iter().map(|(name, _)| name)));
            landed.map_err(|e| named("a push", &player.name, e))?;
            let line = format!("submit {} --project {project} --issue {project}/{issue}", task.branch);
            let answer = self.act(player, &line).await;
            if answer.is_err() && began.elapsed() >= closes {
                break;
            }
            answer.map_err(|e| named("a submission", &player.name, e))?;
            submitted.push(*who);
            sleep(STEP).await;
        }
        contest.solved = submitted.iter().filter(|who| contest.order[..contest.solved].contains(who)).count();
        contest.order = submitted;
        let (late, took) = (all - contest.order.len(), began.elapsed());
        sleep(closes.saturating_sub(took)).await;
        let (deltas, misplaced) = self.ranked(&contest, issue).await?;
        Ok(Over { contest, issue, late, deltas, took, misplaced })
    }

    pub async fn act(&self, who: &Player, line: &str) -> Result<Value, Failure> {
        who.door.lock().await.act(line).await
    }

    /// Waits until it is ranked and rated, and reads how.
    async fn ranked(&self, contest: &Match, issue: u64) -> Result<(Vec<i64>, usize), String> {
        let (project, until) = (PROJECTS[contest.project], Instant::now() + PATIENCE);
        let reader = &self.players[contest.order.first().copied().unwrap_or(contest.author)];
        loop {
            let board = self.act(reader, &format!("submission {project}/{issue}")).await;
            let board = board.map_err(|e| format!("contest {}: reading it: {}", contest.n, e.why))?;
            let lines = board["submissions"].as_array().map_or(&[][..], Vec::as_slice);
            if board["stage"] == "ranked" && lines.iter().all(|line| line["delta_milli"].is_i64()) {
                return self.read(contest, lines);
            }
            if Instant::now() > until {
                return Err(format!("contest {} in {project} is not ranked and rated: {board}", contest.n));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What each entrant gained, and how many pairs of solvers time set in the other order.
    fn read(&self, contest: &Match, lines: &[Value]) -> Result<(Vec<i64>, usize), String> {
        let (mut deltas, mut places) = (Vec::new(), Vec::new());
        for (at, &who) in contest.order.iter().enumerate() {
            let name = self.players[who].name.as_str();
            let line = lines.iter().find(|line| line["agent"] == name);
            let line = line.ok_or_else(|| format!("contest {}: {name} submitted, and it does not count", contest.n))?;
            if line["solved"].as_bool() != Some(at < contest.solved) {
                return Err(format!("contest {}: {name} is taken for what it is not: {line}", contest.n));
            }
            deltas.push(line["delta_milli"].as_i64().unwrap_or(0));
            places.push(line["place"].as_u64().unwrap_or(0));
        }
        if lines.len() != contest.order.len() {
            return Err(format!("contest {}: {} submissions of {}", contest.n, lines.len(), contest.order.len()));
        }
        let solvers = &places[..contest.solved];
        let misplaced = solvers.iter().enumerate().map(|(i, a)| solvers[i + 1..].iter().filter(|b| *b < a).count());
        Ok((deltas, misplaced.sum()))
    }
}

pub(super) fn task(started: &Value, project: &str, issue: u64, agent: &str, n: usize) -> Option<Task> {
    let text = |key: &str| started[key].as_str().map(str::to_owned);
    let (nonce, branch, base) = (text("nonce")?, text("branch")?, text("base")?.parse().ok()?);
    let round = u64::try_from(n).unwrap_or(u64::MAX);
    Some(Task { project: project.to_owned(), issue, agent: agent.to_owned(), nonce, branch, base, round })
}
