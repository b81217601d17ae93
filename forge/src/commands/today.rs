//! `today`: what goes on across the forge, for whoever watches: who works, what waits for review, what landed.
//!
//! Invariant: a day ends at the newest event and not at a clock's word, so that a mirror, and an idle forge tomorrow, say the
//! same; every number is counted from what is folded.

mod part;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use notes_schema::names::Track;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, ItemRef, ProjectName};
use search::{Filter, Kind, State};
use serde::Serialize;

use super::context::Project;
use super::leaderboard::{self, Place};
use super::lists::{Listed, listed};
use super::recent::{self, Recent};
use super::text::{count, inline};
use super::{Args, Command, Context, Shape, health, needs, roadmap};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::forge::Refused;
use crate::state::Stage;
pub(super) use part::Landing;
use part::{Part, Reviewing, Working};

/// Most rows of one list.
/// Limit: rows of a list of `today` | {}, the newest; all are counted
pub(super) const MOST: usize = 20;
/// Most projects with a row of days.
/// Limit: projects that `today` names | {}, those where something happened last
const PROJECTS: usize = 30;
/// How many of the best agents of each track are named.
const BEST: usize = 5;
/// So many days the row of a project has.
const DAYS: usize = 30;
/// One day, milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;

/// One project, and how many pull requests landed on each of the last days, the oldest first.
#[derive(Debug, Clone, Serialize)]
struct Days {
    project: ProjectName,
    landed: Vec<u64>,
    read_only: bool,
    /// When its last event was, where the forge went on for long without it.
    idle_since_ms: Option<u64>,
    /// How many of its issues are closed, permille; none where it has none.
    done_permille: Option<u64>,
}

/// What the gate refused lately.
#[derive(Debug, Serialize)]
struct Refusals {
    /// Since when it is remembered: this server's start.
    since_ms: u64,
    /// How many there were.
    count: u64,
    /// The newest, newest first.
    newest: Vec<Refused>,
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
    /// What the gate refused since this server began.
    refused: Refusals,
    contests: Vec<Listed>,
    recent: Vec<Recent>,
    days: Vec<Days>,
    best: BTreeMap<&'static str, Vec<Place>>,
}

impl Render for Today {
    fn markdown(&self) -> String {
        let landed = match self.until_ms {
            0 => "nothing landed".to_owned(),
            until_ms => format!("{} landed in the day up to {}", self.landed_today, show_time(until_ms)),
        };
        let mut out = format!(
            "# Today · seq {}\n\n{} at work · {} open · {landed} · {} a human\n",
            self.seq,
            count(self.agents as u64, "agent"),
            count(self.open_pulls as u64, "pull request"),
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
        let refused = |r: &Refused| {
            let (what, when, Refused { project, agent, rule, .. }) = (inline(&r.what), show_time(r.at_ms), r);
            format!("{rule} {what} of {agent}    in {project} · {when}\n  → project show {project}\n")
        };
        let title = format!("Refused by the gate ({} since {})", self.refused.count, show_time(self.refused.since_ms));
        section(&title, self.refused.newest.iter().map(refused).collect());
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
    let parts = part::of_all(&projects);
    let all = || projects.iter().zip(&parts);
    let agents: BTreeSet<&AgentName> = parts.iter().flat_map(|part| &part.agents).collect();
    let open_pulls = parts.iter().map(|part| part.open_pulls).sum();
    let working =
        newest(all().flat_map(|(project, part)| part.working.iter().map(move |row| (project, row))), |(_, row)| {
            row.since_ms
        });
    let reviewing = newest(parts.iter().flat_map(|part| &part.reviewing), |row| row.seq);
    let landed = newest(parts.iter().flat_map(|part| part.landings.iter().take(MOST)), |row| row.seq);
    let (landed_today, landed_hours) = landed_within(&parts, until_ms);
    let days = days(context, all().collect(), until_ms)?;
    let best = |track| (Track::as_str(track), leaderboard::best(&context.root.fold, track, BEST));
    Ok(Answer::of(&Today {
        seq: context.seq,
        until_ms,
        agents: agents.len(),
        open_pulls,
        landed_today,
        landed_hours,
        needs: needs::count(context),
        working: working.into_iter().map(|(project, row)| row.shown(project)).collect(),
        reviewing: reviewing.into_iter().cloned().collect(),
        landed: landed.into_iter().cloned().collect(),
        refused: refused(context),
        contests: contests(context)?,
        recent,
        days,
        best: Track::ALL.into_iter().map(best).collect(),
    }))
}

fn refused(context: &Context) -> Refusals {
    let refusals = context.forge.refusals();
    let (since_ms, count) = (refusals.since_ms(), *refusals.count().borrow());
    Refusals { since_ms, count, newest: refusals.newest() }
}

fn contests(context: &Context) -> Result<Vec<Listed>, Refusal> {
    let filter = Filter { kind: Some(Kind::Issue), state: Some(State::Open), ..Filter::default() };
    let mut open = listed(context, &filter, MOST * 5)?;
    open.retain(|issue| issue.contest.as_ref().is_some_and(|contest| contest.stage == Stage::Open));
    open.truncate(MOST);
    Ok(open)
}

/// The newest rows of all.
fn newest<T>(rows: impl Iterator<Item = T>, at: impl Fn(&T) -> u64) -> Vec<T> {
    let mut rows: Vec<T> = rows.collect();
    rows.sort_by_key(|row| Reverse(at(row)));
    rows.truncate(MOST);
    rows
}

/// What landed in a project, the newest first.
pub(super) fn landings(project: &Project) -> Vec<Landing> {
    part::of_all(std::slice::from_ref(project)).iter().flat_map(|part| part.landings.clone()).collect()
}

/// How much landed within the day that ends at `until_ms`, and in each of its hours.
fn landed_within(parts: &[Arc<Part>], until_ms: u64) -> (usize, Vec<u64>) {
    const HOURS: usize = 24;
    let mut hours = vec![0; HOURS];
    for row in parts.iter().flat_map(|part| &part.landings) {
        if row.landed_ms.saturating_add(DAY_MS) <= until_ms {
            continue;
        }
        let ago = until_ms.saturating_sub(row.landed_ms) / (DAY_MS / HOURS as u64);
        if let Some(hour) = usize::try_from(ago).ok().and_then(|ago| hours.iter_mut().rev().nth(ago)) {
            *hour += 1;
        }
    }
    let today = hours.iter().sum::<u64>();
    (usize::try_from(today).unwrap_or(usize::MAX), hours)
}

/// How much of it landed on each of the days that end at `until_ms`, the oldest first.
pub(super) fn by_day(landings: &[Landing], until_ms: u64) -> Vec<u64> {
    let mut landed = vec![0; DAYS];
    for landing in landings {
        let ago = until_ms.saturating_sub(landing.landed_ms) / DAY_MS;
        if let Some(day) = usize::try_from(ago).ok().and_then(|ago| landed.iter_mut().rev().nth(ago)) {
            *day += 1;
        }
    }
    landed
}

/// The projects where something happened last, with what landed on each of the days that end at `until_ms`.
fn days(context: &Context, mut projects: Vec<(&Project, &Arc<Part>)>, until_ms: u64) -> Result<Vec<Days>, Refusal> {
    let newest_ms = projects.iter().map(|(project, _)| project.snapshot.fold.max_t).max().unwrap_or(0);
    projects.sort_by_key(|(project, _)| Reverse(project.snapshot.fold.max_q));
    projects.truncate(PROJECTS);
    let one = |(project, part): (&Project, &Arc<Part>)| {
        Ok(Days {
            project: project.repository.name().clone(),
            landed: by_day(&part.landings, until_ms),
            read_only: project.repository.read_only().is_some(),
            idle_since_ms: health::idle_since(project.snapshot.fold.max_t, newest_ms),
            done_permille: done_permille(context, project.repository.name())?,
        })
    };
    projects.into_iter().map(one).collect()
}

/// How many of a project's issues are closed, by the index: nothing is gone round for it.
fn done_permille(context: &Context, project: &ProjectName) -> Result<Option<u64>, Refusal> {
    let index = context.forge.index()?;
    let count = |state| {
        let (project, kind) = (Some(project.clone()), Some(Kind::Issue));
        let filter = Filter { project, kind, state: Some(state), ..Filter::default() };
        index.count(&filter).map_err(|e| Refusal::new(Code::TryLater, "index", e.to_string(), "feed"))
    };
    let (open, closed) = (count(State::Open)?, count(State::Closed)?);
    Ok((open + closed > 0).then(|| roadmap::permille(open, closed)))
}
