//! One contest on the server: opened, entered, answered by real pushes, and read when it is ranked.
//!
//! Who performs better starts later and submits earlier, so that time says among solvers what the world said; who does not
//! solve it submits a passing run of another command.
//!
//! Invariant: what did not go as it was asked is told, and never asked a second time.

use std::time::{Duration, Instant};

use git::store::Store;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::plan::{Match, PROJECTS};
use crate::bench::swarm::door::{Door, Failure, reported};
use crate::bench::swarm::work::{self, Task};

/// How often a contest is looked at until it is ranked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For so long behind its close.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two steps, so that times are apart on a fast machine too.
const STEP: Duration = Duration::from_millis(4);
/// What decides, and what who does not solve it runs.
const DECIDES: [&str; 2] = ["cargo", "test"];
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
    /// What each entrant gained, in the order of the match.
    pub deltas: Vec<i64>,
    /// From the first start to the last submission.
    pub took: Duration,
    /// Pairs of solvers that time set in the other order.
    pub misplaced: usize,
}

impl Arena {
    /// Walks one contest from its opening to its ratings.
    pub async fn hold(&self, contest: Match, deadline: u64) -> Result<Over, String> {
        let named = |what: &str, who: &str, failure: Failure| {
            format!("contest {} in {}: {what} of {who}: {}", contest.n, PROJECTS[contest.project], failure.why)
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
        let began = Instant::now();
        let mut tasks: Vec<(usize, Task)> = Vec::new();
        for &who in contest.order.iter().rev() {
            let player = &self.players[who];
            let started = self.act(player, &format!("start {project}/{issue}")).await;
            let started = started.map_err(|e| named("a start", &player.name, e))?;
            let task = task(&started, project, issue, &player.name, contest.n);
            tasks.push((who, task.ok_or_else(|| format!("contest {}: half a start: {started}", contest.n))?));
            sleep(STEP).await;
        }
        for (at, (who, task)) in tasks.iter().rev().enumerate() {
            let player = &self.players[*who];
            let argv = if at < contest.solved { &DECIDES } else { &OTHER };
            let push = work::answer_with(&self.stores[contest.project], task, argv).map_err(|e| e.to_string())?;
            let report = player.door.lock().await.push(project, &push.body).await;
            let landed = report.and_then(|report| reported(&report, push.refs.iter().map(|(name, _)| name)));
            landed.map_err(|e| named("a push", &player.name, e))?;
            let line = format!("submit {} --project {project} --issue {project}/{issue}", task.branch);
            self.act(player, &line).await.map_err(|e| named("a submission", &player.name, e))?;
            sleep(STEP).await;
        }
        let took = began.elapsed();
        sleep(Duration::from_secs(deadline).saturating_sub(took)).await;
        self.ranked(contest, issue, took).await
    }

    async fn act(&self, who: &Player, line: &str) -> Result<Value, Failure> {
        who.door.lock().await.act(line).await
    }

    /// Waits until it is ranked and rated, and reads how.
    async fn ranked(&self, contest: Match, issue: u64, took: Duration) -> Result<Over, String> {
        let (project, until) = (PROJECTS[contest.project], Instant::now() + PATIENCE);
        let reader = &self.players[contest.order[0]];
        loop {
            let board = self.act(reader, &format!("submission {project}/{issue}")).await;
            let board = board.map_err(|e| format!("contest {}: reading it: {}", contest.n, e.why))?;
            let lines = board["submissions"].as_array().map_or(&[][..], Vec::as_slice);
            if board["stage"] == "ranked" && lines.iter().all(|line| line["delta_milli"].is_i64()) {
                return self.read(contest, issue, lines, took);
            }
            if Instant::now() > until {
                return Err(format!("contest {} in {project} is not ranked and rated: {board}", contest.n));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn read(&self, contest: Match, issue: u64, lines: &[Value], took: Duration) -> Result<Over, String> {
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
        let misplaced = misplaced.sum();
        Ok(Over { contest, issue, deltas, took, misplaced })
    }
}

fn task(started: &Value, project: &str, issue: u64, agent: &str, n: usize) -> Option<Task> {
    let text = |key: &str| started[key].as_str().map(str::to_owned);
    let (nonce, branch, base) = (text("nonce")?, text("branch")?, text("base")?.parse().ok()?);
    let round = u64::try_from(n).unwrap_or(u64::MAX);
    Some(Task { project: project.to_owned(), issue, agent: agent.to_owned(), nonce, branch, base, round })
}
