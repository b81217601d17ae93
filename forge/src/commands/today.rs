//! `today`: what goes on across the forge, for whoever watches: who works, what waits for review, what landed.
//!
//! Invariant: a day ends at the newest event and not at a clock's word, so that a mirror, and an idle forge tomorrow, say the
//! same; every number is counted from what is folded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use notes_schema::event::{Level, Verdict};
use notes_schema::names::Track;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, ProjectName};
use search::{Filter, Kind, State};
use serde::Serialize;

use super::context::Project;
use super::leaderboard::{self, Place};
use super::lists::{Listed, listed};
use super::recent::{self, Recent};
use super::text::{count, inline};
use super::{Args, Command, Context, Shape, needs};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::ledger;
use crate::state::{PullStatus, Stage};

/// Most rows of one list.
/// Limit: rows of a list of `today` | {}, the newest; all are counted
const MOST: usize = 20;
/// Most pull requests of a project of which it is looked up when they landed.
/// Limit: landed pull requests of a project that `today` looks at | {}, the newest
const LANDED: usize = 500;
/// Most projects with a row of days.
/// Limit: projects that `today` names | {}, those where something happened last
const PROJECTS: usize = 30;
/// How many of the best agents of each track are named.
const BEST: usize = 5;
/// A pull request has so many events after it landed that its landing is looked for among them.
const EVENTS: usize = 64;
/// So many days the row of a project has.
const DAYS: usize = 30;
/// One day, milliseconds.
const DAY_MS: u64 = 86_400_000;

/// An agent at work.
#[derive(Debug, Clone, Serialize)]
struct Working {
    agent: AgentName,
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    since_ms: u64,
    due_ms: u64,
    /// How the newest records of it ended, oldest first.
    runs: Vec<&'static str>,
}

/// A pull request that waits.
#[derive(Debug, Clone, Serialize)]
struct Reviewing {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    author: AgentName,
    round: u64,
    level: Level,
    approved: Vec<AgentName>,
    objected: Vec<AgentName>,
    arrived_ms: u64,
    #[serde(skip)]
    seq: u64,
}

/// A pull request that landed.
#[derive(Debug, Clone, Serialize)]
struct Landing {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    author: AgentName,
    landed: Option<notes_schema::Oid>,
    level: Level,
    landed_ms: u64,
    #[serde(skip)]
    seq: u64,
}

/// One project, and how many pull requests landed on each of the last days, the oldest first.
#[derive(Debug, Clone, Serialize)]
struct Days {
    project: ProjectName,
    landed: Vec<u64>,
    read_only: bool,
    #[serde(skip)]
    seq: u64,
}

#[derive(Debug, Serialize)]
struct Today {
    seq: u64,
    /// When the newest event was: where the day ends.
    until_ms: u64,
    /// How many agents work on something.
    agents: usize,
    /// How many pull requests are open.
    open_pulls: usize,
    /// How many landed within the day.
    landed_today: usize,
    /// The same by the hour, the oldest first.
    landed_hours: Vec<u64>,
    /// How many things wait for a human.
    needs: usize,
    working: Vec<Working>,
    reviewing: Vec<Reviewing>,
    landed: Vec<Landing>,
    contests: Vec<Listed>,
    recent: Vec<Recent>,
    days: Vec<Days>,
    best: BTreeMap<&'static str, Vec<Place>>,
}

impl Render for Today {
    fn markdown(&self) -> String {
        let mut out = format!(
            "# Today · seq {}\n\n{} at work · {} open · {} landed in the day up to {} · {} a human\n",
            self.seq,
            count(self.agents as u64, "agent"),
            count(self.open_pulls as u64, "pull request"),
            self.landed_today,
            show_time(self.until_ms),
            if self.needs == 1 { "1 thing needs".to_owned() } else { format!("{} things need", self.needs) }
        );
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                out.push_str(&format!("\n## {title}\n{}", lines.concat()));
            }
        };
        let path = |reference: &ItemRef| format!("{}/{}", reference.project, reference.n);
        let working = |w: &Working| {
            let (since, runs) = (show_time(w.since_ms), w.runs.join(" → "));
            let runs = if runs.is_empty() { runs } else { format!(" · {runs}") };
            let (title, next) = (inline(&w.title), path(&w.reference));
            format!("{}  {title}    {} since {since}{runs}\n  → details {next}\n", w.reference, w.agent)
        };
        section("Working", self.working.iter().map(working).collect());
        let reviewing = |r: &Reviewing| {
            let verdict = match (r.objected.is_empty(), r.approved.is_empty()) {
                (false, _) => "changes requested",
                (true, false) => "approved",
                (true, true) => "waits for review",
            };
            let (title, next) = (inline(&r.title), path(&r.reference));
            format!("{}  {title}    {verdict} · by {} · proof {}\n  → pr {next}\n", r.reference, r.author, r.level)
        };
        section("Reviewing", self.reviewing.iter().map(reviewing).collect());
        let landing = |l: &Landing| {
            let (title, next, when) = (inline(&l.title), path(&l.reference), show_time(l.landed_ms));
            format!("{}  {title}    by {} · proof {} · {when}\n  → pr {next}\n", l.reference, l.author, l.level)
        };
        section("Landed", self.landed.iter().map(landing).collect());
        section("Open contests", self.contests.iter().map(Listed::markdown).collect());
        section("Recently", self.recent.iter().map(Recent::markdown).collect());
        out.push_str("---\nnext: feed\n");
        out
    }
}

/// `today`.
pub const TODAY: Command = Command {
    name: "today",
    aliases: &["live"],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "what goes on across the forge: who works, what waits for review, what landed",
    example: "today",
    run: today,
};

fn today(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let projects: Vec<Project> = context.projects().filter(|p| !p.repository.name().is_forge()).collect();
    let recent = recent::of(context, Filter::default(), &projects)?;
    let until_ms = recent.first().map_or(0, |newest| newest.time_ms);
    let (working, agents) = working(&projects);
    let (reviewing, open_pulls) = reviewing(&projects);
    let landings: Vec<Vec<Landing>> = projects.iter().map(landings).collect();
    let days = days(&projects, &landings, until_ms);
    let (landed, landed_today, landed_hours) = landed(landings, until_ms);
    let best = |track| (Track::as_str(track), leaderboard::best(&context.root.fold, track, BEST));
    Ok(Answer::of(&Today {
        seq: context.seq,
        until_ms,
        agents,
        open_pulls,
        landed_today,
        landed_hours,
        needs: needs::count(context),
        working,
        reviewing,
        landed,
        contests: contests(context)?,
        recent,
        days,
        best: Track::ALL.into_iter().map(best).collect(),
    }))
}

fn working(projects: &[Project]) -> (Vec<Working>, usize) {
    let (mut rows, mut agents) = (Vec::new(), BTreeSet::new());
    for project in projects {
        let fold = &project.snapshot.fold;
        // What was submitted waits for others.
        let submitted = |agent: &AgentName, issue| {
            fold.answers(issue).any(|(_, pull)| pull.author == *agent && pull.status == PullStatus::Open)
        };
        for (agent, n, work) in fold.works().filter(|(agent, n, _)| !submitted(agent, *n)) {
            agents.insert(agent.clone());
            let Some(issue) = fold.issue(n) else { continue };
            rows.push((
                project,
                Working {
                    agent: agent.clone(),
                    reference: ItemRef { project: project.repository.name().clone(), n },
                    title: issue.title.clone(),
                    since_ms: work.since_ms,
                    due_ms: work.worker.deadline_ms,
                    runs: Vec::new(),
                },
            ));
        }
    }
    rows.sort_by_key(|(_, row)| Reverse(row.since_ms));
    rows.truncate(MOST);
    let with_runs = |(project, row): (&Project, Working)| Working { runs: runs(project, &row), ..row };
    (rows.into_iter().map(with_runs).collect(), agents.len())
}

/// How the last attempts of an agent on an issue ended.
fn runs(project: &Project, row: &Working) -> Vec<&'static str> {
    const SHOWN: usize = 4;
    let store = project.repository.store();
    let of = project.snapshot.records_of(&row.agent).rev().filter(|known| known.issue == Some(row.reference.n));
    let mut ends = Vec::new();
    for record in of.take(SHOWN).filter_map(|known| crate::gate::read_record(store.as_ref(), known)) {
        ends.extend(record.attempts.iter().rev().map(|attempt| if attempt.succeeded() { "pass" } else { "fail" }));
    }
    ends.truncate(SHOWN);
    ends.reverse();
    ends
}

fn reviewing(projects: &[Project]) -> (Vec<Reviewing>, usize) {
    let mut rows = Vec::new();
    for project in projects {
        let fold = &project.snapshot.fold;
        for (n, pull) in fold.open_pulls.values().filter_map(|n| Some((*n, fold.pull(*n)?))) {
            let named = |verdict: Verdict| pull.live(verdict).map(|review| review.agent.clone()).collect();
            rows.push(Reviewing {
                reference: ItemRef { project: project.repository.name().clone(), n },
                title: pull.title.clone(),
                author: pull.author.clone(),
                round: pull.round,
                level: pull.proof.level,
                approved: named(Verdict::Approve),
                objected: named(Verdict::RequestChanges),
                arrived_ms: fold.arrived_ms(n),
                seq: pull.last_q,
            });
        }
    }
    let all = rows.len();
    rows.sort_by_key(|row| Reverse(row.seq));
    rows.truncate(MOST);
    (rows, all)
}

/// What landed, the newest first; how much of it within the day that ends at `until_ms`, and in each of its hours.
fn landed(landings: Vec<Vec<Landing>>, until_ms: u64) -> (Vec<Landing>, usize, Vec<u64>) {
    const HOURS: usize = 24;
    let mut rows: Vec<Landing> = landings.into_iter().flatten().collect();
    rows.sort_by_key(|row| Reverse(row.seq));
    let mut hours = vec![0; HOURS];
    for row in rows.iter().filter(|row| row.landed_ms.saturating_add(DAY_MS) > until_ms) {
        let ago = until_ms.saturating_sub(row.landed_ms) / (DAY_MS / HOURS as u64);
        if let Some(hour) = usize::try_from(ago).ok().and_then(|ago| hours.iter_mut().rev().nth(ago)) {
            *hour += 1;
        }
    }
    let today = hours.iter().sum::<u64>();
    rows.truncate(MOST);
    (rows, usize::try_from(today).unwrap_or(usize::MAX), hours)
}

/// The newest landings of a project, in no order.
fn landings(project: &Project) -> Vec<Landing> {
    let fold = &project.snapshot.fold;
    let merged = fold.pulls().rev().filter(|(_, pull)| pull.status == PullStatus::Merged).take(LANDED);
    let one = |(n, pull): (u64, &crate::state::PullState)| {
        Some(Landing {
            reference: ItemRef { project: project.repository.name().clone(), n },
            title: pull.title.clone(),
            author: pull.author.clone(),
            landed: pull.landed,
            level: pull.proof.level,
            landed_ms: landed_ms(project, n, pull.ended_q?, pull.last_q)?,
            seq: pull.ended_q?,
        })
    };
    merged.filter_map(one).collect()
}

/// When a pull request landed: its last event, or one before it that has this number.
fn landed_ms(project: &Project, n: u64, ended_q: u64, last_q: u64) -> Option<u64> {
    let entity = project.snapshot.fold.entities.get(&EntityId::Pull(n))?;
    if ended_q == last_q {
        return Some(entity.t);
    }
    let events = ledger::chain(project.repository.store().as_ref(), entity.tip, EVENTS).ok()?;
    events.into_iter().find(|read| read.event.q == ended_q).map(|read| read.event.t)
}

fn contests(context: &Context) -> Result<Vec<Listed>, Refusal> {
    let filter = Filter { kind: Some(Kind::Issue), state: Some(State::Open), ..Filter::default() };
    let mut open = listed(context, &filter, MOST * 5)?;
    open.retain(|issue| issue.contest.as_ref().is_some_and(|contest| contest.stage == Stage::Open));
    open.truncate(MOST);
    Ok(open)
}

/// The projects where something happened last, with what landed on each of the days that end at `until_ms`.
fn days(projects: &[Project], landings: &[Vec<Landing>], until_ms: u64) -> Vec<Days> {
    let one = |(project, landings): (&Project, &Vec<Landing>)| {
        let mut landed = vec![0; DAYS];
        for landing in landings {
            let ago = until_ms.saturating_sub(landing.landed_ms) / DAY_MS;
            if let Some(day) = usize::try_from(ago).ok().and_then(|ago| landed.iter_mut().rev().nth(ago)) {
                *day += 1;
            }
        }
        Days {
            project: project.repository.name().clone(),
            landed,
            read_only: project.repository.read_only().is_some(),
            seq: project.snapshot.fold.max_q,
        }
    };
    let mut days: Vec<Days> = projects.iter().zip(landings).map(one).collect();
    days.sort_by_key(|days| Reverse(days.seq));
    days.truncate(PROJECTS);
    days
}
