//! `health`: how a project fares: what lands, by whom, whether it stays sound, how much is done, since when it rests.
//!
//! Invariant: every number is counted from what is folded, and stands beside what it was counted from; a day ends at the
//! newest event of the forge and not at a clock's word.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use notes_schema::event::{CheckState, Level};
use notes_schema::refs::show_time;
use notes_schema::{AgentName, Oid, ProjectName};
use serde::Serialize;

use super::checks::{self, CheckLine};
use super::context::Project;
use super::roadmap::permille;
use super::text::{count, inline};
use super::today::{self, Landing};
use super::{Args, Command, Context, Shape};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::checks as judged;
use crate::state::{Fold, IssueStatus, PullStatus};
use git::store::Objects as _;

/// Most landings whose soundness is looked at.
/// Limit: landings of which `health` tells whether they are sound | {}, the newest
const MOST: usize = 30;
/// Most contributors that are named.
/// Limit: contributors that `health` names | {}, those of whom most landed; all are counted
const NAMED: usize = 30;
/// Without an event for so long, while the forge had some, a project rests.
const IDLE_MS: u64 = 14 * today::DAY_MS;

/// Somebody who took part.
#[derive(Debug, Default, Serialize)]
struct Contributor {
    agent: Option<AgentName>,
    /// Pull requests that landed.
    landed: u64,
    /// Verdicts on pull requests of others.
    reviews: u64,
    /// Issues opened.
    issues: u64,
}

/// Something that landed, and whether it is sound.
#[derive(Debug, Serialize)]
struct Sound {
    #[serde(flatten)]
    landing: Landing,
    /// What external checks say of its tree together, where any does.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<&'static str>,
    /// Neither refuted nor red, and proven or green.
    sound: bool,
}

/// The default branch as it is.
#[derive(Debug, Serialize)]
struct Main {
    branch: String,
    commit: Option<Oid>,
    checks: Vec<CheckLine>,
    /// What they say together, where any counts.
    state: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Counts {
    open: u64,
    closed: u64,
    /// How much is closed, or merged.
    permille: u64,
}

#[derive(Serialize)]
struct Health {
    project: ProjectName,
    /// Where the last day ends: when the newest event of the forge was.
    until_ms: u64,
    /// When the last event here was.
    last_ms: u64,
    /// The same, where it was so long ago that the project rests.
    idle_since_ms: Option<u64>,
    /// How much landed on each of the last days, the oldest first.
    landed: Vec<u64>,
    issues: Counts,
    pulls: Counts,
    merged: u64,
    /// How many took part.
    contributors_in_all: u64,
    contributors: Vec<Contributor>,
    main: Main,
    /// How many of the newest landings are sound, permille; none where nothing landed.
    stability_permille: Option<u64>,
    landings: Vec<Sound>,
    next: String,
}

impl Render for Health {
    fn markdown(&self) -> String {
        let share = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        let mut out = format!("# {} · health\n\n", self.project);
        match self.idle_since_ms {
            Some(ms) => out.push_str(&format!("idle since {}\n", show_time(ms))),
            None => out.push_str(&format!("last event {}\n", show_time(self.last_ms))),
        }
        let landed: u64 = self.landed.iter().sum();
        out.push_str(&format!(
            "{landed} landed in the {} days up to {}\n",
            self.landed.len(),
            show_time(self.until_ms)
        ));
        let all = self.issues.open + self.issues.closed;
        out.push_str(&format!(
            "issues: {} of {all} closed ({}): `roadmap {}`\n",
            self.issues.closed,
            share(self.issues.permille),
            self.project
        ));
        out.push_str(&format!("pull requests: {} open, {} merged\n", self.pulls.open, self.merged));
        let state = self.main.state.unwrap_or("no check says anything");
        out.push_str(&format!("`{}`: {state}\n", self.main.branch));
        out.push_str(&checks::section(&self.main.checks));
        if let Some(permille) = self.stability_permille {
            out.push_str(&format!("\n## Landed last ({} sound)\n\n", share(permille)));
        }
        for one in &self.landings {
            let checks = one.checks.map_or(String::new(), |state| format!(" · checks {state}"));
            let mark = if one.sound { 'x' } else { ' ' };
            let landing = &one.landing;
            let (title, level) = (inline(&landing.title), landing.level);
            out.push_str(&format!("- [{mark}] {}  {title}    proof {level}{checks}\n", landing.reference));
        }
        out.push_str(&format!("\n## Contributors ({})\n\n", self.contributors_in_all));
        for one in &self.contributors {
            let agent = one.agent.as_ref().map_or(String::new(), AgentName::to_string);
            let (landed, reviews) = (count(one.landed, "landed change"), count(one.reviews, "review"));
            out.push_str(&format!("- {agent}: {landed}, {reviews}, {}\n", count(one.issues, "issue")));
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// `health`.
pub const HEALTH: Command = Command {
    name: "health",
    aliases: &["project health"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1),
    usage: "[project]",
    summary: "how a project fares: what lands, by whom, whether it is sound, how much is done, since when it rests",
    example: "health parser",
    run: health,
};

fn health(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project_or_current(args.word(0))?;
    let (fold, name) = (&project.snapshot.fold, project.repository.name().clone());
    let projects = context.projects().filter(|project| !project.repository.name().is_forge());
    let until_ms = projects.map(|project| project.snapshot.fold.max_t).max().unwrap_or(fold.max_t);
    let mut landings = today::landings(&project);
    landings.sort_by_key(|landing| Reverse(landing.seq));
    let landed = today::by_day(&landings, until_ms);
    landings.truncate(MOST);
    let landings: Vec<Sound> = landings.into_iter().map(|landing| sound(&project, landing)).collect();
    let good = landings.iter().filter(|one| one.sound).count() as u64;
    let mut issues = Counts { open: 0, closed: 0, permille: 0 };
    for (_, issue) in fold.issues() {
        *(if issue.status == IssueStatus::Open { &mut issues.open } else { &mut issues.closed }) += 1;
    }
    let mut pulls = Counts { open: 0, closed: 0, permille: 0 };
    let mut merged = 0;
    for (_, pull) in fold.pulls() {
        match pull.status {
            PullStatus::Open => pulls.open += 1,
            PullStatus::Closed => pulls.closed += 1,
            PullStatus::Merged => merged += 1,
        }
    }
    issues.permille = permille(issues.open, issues.closed);
    pulls.permille = permille(pulls.open + pulls.closed, merged);
    let mut contributors = contributors(fold);
    let contributors_in_all = contributors.len() as u64;
    contributors.truncate(NAMED);
    Ok(Answer::of(&Health {
        until_ms,
        last_ms: fold.max_t,
        idle_since_ms: idle_since(fold.max_t, until_ms),
        landed,
        issues,
        pulls,
        merged,
        contributors_in_all,
        contributors,
        main: main(&project),
        stability_permille: (good * 1000).checked_div(landings.len() as u64),
        landings,
        next: format!("roadmap {name}"),
        project: name,
    }))
}

/// Since when a project rests: when its last event was, where the forge went on for long without it.
pub(super) fn idle_since(last_ms: u64, until_ms: u64) -> Option<u64> {
    (until_ms.saturating_sub(last_ms) >= IDLE_MS).then_some(last_ms)
}

/// Whether what landed is sound, by its proof and by what checks say of it.
fn sound(project: &Project, landing: Landing) -> Sound {
    let checks = landing.landed.and_then(|commit| state(project, commit));
    let red = matches!(checks, Some(CheckState::Failure | CheckState::Error));
    let proven = !matches!(landing.level, Level::P0 | Level::PX) || checks == Some(CheckState::Success);
    let sound = proven && !red && landing.level != Level::PX;
    Sound { landing, checks: checks.map(CheckState::as_str), sound }
}

/// What checks say of a commit's tree together.
fn state(project: &Project, commit: Oid) -> Option<CheckState> {
    let checks = &project.snapshot.fold.checks;
    if checks.is_empty() {
        return None;
    }
    let tree = project.repository.store().commit(commit).ok()?.tree;
    judged::together(&judged::newest(&checks.on(tree), None))
}

fn main(project: &Project) -> Main {
    let snapshot = &project.snapshot;
    let commit = snapshot.default_tip();
    let tree = commit.and_then(|commit| Some(project.repository.store().commit(commit).ok()?.tree));
    Main {
        branch: snapshot.head.as_ref().map_or("main", notes_schema::RefName::short).to_owned(),
        checks: tree.map_or_else(Vec::new, |tree| checks::lines(&snapshot.fold.checks, tree, None)),
        state: commit.and_then(|commit| state(project, commit)).map(CheckState::as_str),
        commit,
    }
}

/// Everybody who took part, those of whom most landed first.
fn contributors(fold: &Fold) -> Vec<Contributor> {
    let mut all: BTreeMap<&AgentName, Contributor> = BTreeMap::new();
    for (_, pull) in fold.pulls() {
        all.entry(&pull.author).or_default().landed += u64::from(pull.status == PullStatus::Merged);
        for review in pull.reviews.iter().filter(|review| review.agent != pull.author) {
            all.entry(&review.agent).or_default().reviews += 1;
        }
    }
    for (_, issue) in fold.issues() {
        all.entry(&issue.author).or_default().issues += 1;
    }
    let named = |(agent, one): (&AgentName, Contributor)| Contributor { agent: Some(agent.clone()), ..one };
    let mut all: Vec<Contributor> = all.into_iter().map(named).collect();
    all.sort_by_key(|one| (Reverse(one.landed), Reverse(one.reviews), Reverse(one.issues)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_rests_by_the_forges_time_and_not_by_a_clock() {
        assert_eq!(idle_since(1000, 1000 + IDLE_MS), Some(1000));
        assert_eq!(idle_since(1000, 999 + IDLE_MS), None);
        assert_eq!(idle_since(1000, 0), None, "what is newest of all does not rest");
    }
}
