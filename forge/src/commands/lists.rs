//! Lists of issues and pull requests, from the index.

use notes_schema::event::Difficulty;
use notes_schema::refs::show_time;
use notes_schema::{ItemRef, ProjectName};
use search::{Filter, Kind, State};
use serde::Serialize;

use super::text::{count, inline};
use super::{Args, Context};
use crate::answer::{Code, Refusal, Render};
use crate::state::Stage;
use crate::state::elo::Tier;

/// One issue or pull request in a list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Listed {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub kind: &'static str,
    pub title: String,
    pub state: &'static str,
    pub author: String,
    pub labels: Vec<String>,
    pub working: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// What it is as a contest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contest: Option<ContestLine>,
    pub seq: u64,
    pub next: String,
}

/// A contest in a list of issues.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ContestLine {
    pub difficulty: Difficulty,
    pub stage: Stage,
    /// The tier from which on it may be started.
    pub tier: Tier,
    pub closes_ms: Option<u64>,
}

impl Listed {
    /// `parser#12  Fix memory leak    rust · 3 agents working`, and the next command.
    pub(super) fn markdown(&self) -> String {
        let mut facts: Vec<String> = self.lang.iter().cloned().collect();
        if let Some(contest) = &self.contest {
            facts.push(contest.difficulty.to_string());
        }
        facts.extend(self.labels.iter().map(|l| inline(l)));
        if self.working > 0 {
            facts.push(format!("{} working", count(self.working, "agent")));
        }
        if let Some(at) = self.contest.as_ref().filter(|c| c.stage == Stage::Open).and_then(|c| c.closes_ms) {
            facts.push(format!("closes {}", show_time(at)));
        }
        if self.state != "open" {
            facts.push(self.state.to_owned());
        }
        facts.push(format!("by {}", self.author));
        format!("{}  {}    {}\n  → {}\n", self.reference, inline(&self.title), facts.join(" · "), self.next)
    }
}

/// Items of a project from the index, newest first.
pub(super) fn list(
    context: &Context,
    project: &ProjectName,
    kind: Kind,
    state: Option<State>,
    labels: &[String],
    limit: usize,
) -> Result<Vec<Listed>, Refusal> {
    let filter = Filter {
        project: Some(project.clone()),
        kind: Some(kind),
        state,
        labels: labels.to_vec(),
        ..Filter::default()
    };
    listed(context, &filter, limit)
}

/// Items that a filter finds, newest first.
pub(super) fn listed(context: &Context, filter: &Filter, limit: usize) -> Result<Vec<Listed>, Refusal> {
    let failed = |e: search::Error| Refusal::new(Code::TryLater, "index", e.to_string(), "feed");
    let found = context.forge.index()?.list(filter, limit, None).map_err(failed)?;
    let line = |item: &std::sync::Arc<search::Item>| {
        let reference = ItemRef { project: item.project.clone(), n: item.n };
        let issue = context.forge.project(&item.project).ok().and_then(|r| r.snapshot().fold.issue(item.n).cloned());
        let contest = issue.as_ref().and_then(|issue| issue.contest.as_ref()).map(|contest| ContestLine {
            difficulty: contest.difficulty,
            stage: contest.stage,
            tier: super::contest::tier_of(&context.root, &reference, contest),
            closes_ms: contest.closes_ms,
        });
        let verb = match (item.kind, item.state) {
            (Kind::Issue, State::Open) => "start",
            (Kind::Pull, _) => "pr",
            (Kind::Issue | Kind::Project, _) => "details",
        };
        Listed {
            kind: item.kind.as_str(),
            title: item.title.clone(),
            state: item.state.as_str(),
            author: item.author.clone(),
            labels: item.labels.clone(),
            working: issue.as_ref().map_or(0, |issue| issue.working),
            lang: issue.and_then(|issue| issue.lang),
            contest,
            seq: item.seq,
            next: format!("{verb} {}/{}", item.project, item.n),
            reference,
        }
    };
    Ok(found.iter().map(line).collect())
}

#[derive(Serialize)]
pub(super) struct Page {
    pub project: ProjectName,
    pub state: String,
    pub items: Vec<Listed>,
    #[serde(skip)]
    pub title: &'static str,
    #[serde(skip)]
    pub empty: String,
}

impl Render for Page {
    fn markdown(&self) -> String {
        let mut out = format!("# {} · {} ({})\n\n", self.project, self.title, self.state);
        for item in &self.items {
            out.push_str(&item.markdown());
        }
        if self.items.is_empty() {
            out.push_str(&format!("None.\n---\nnext: {}\n", self.empty));
        }
        out
    }
}

/// `open`, `closed`, `merged`, `all`.
pub(super) fn state_of(context: &Context, args: &Args) -> Result<(Option<State>, String), Refusal> {
    let word = args.value("state").unwrap_or("open");
    let state = match word {
        "open" => Some(State::Open),
        "closed" => Some(State::Closed),
        "merged" => Some(State::Merged),
        "all" => None,
        _ => return Err(context.usage("--state is open, closed, merged or all")),
    };
    Ok((state, word.to_owned()))
}
