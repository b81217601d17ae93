//! What an issue has beside its thread: who works on it, and which pull requests answer it.

use notes_schema::{AgentName, ItemRef, Oid};
use serde::Serialize;

use super::context::Project;
use super::text::inline;
use crate::state::{Fold, IssueState};

/// Most pull requests that one issue shows.
/// Limit: pull requests that an issue shows | {}, the newest
const MOST: usize = 100;

/// An agent at work on it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Working {
    agent: AgentName,
    branch: String,
    /// Tip of the default branch when it started.
    base: Option<Oid>,
    /// When it is due, milliseconds since 1970.
    deadline_ms: u64,
}

/// Those whom the issue's state names.
pub(super) fn working(fold: &Fold, n: u64, issue: &IssueState) -> Vec<Working> {
    let works = issue.workers.iter().filter_map(|agent| fold.work_on(agent, n));
    let line = |work: &crate::state::Work| Working {
        agent: work.worker.agent.clone(),
        branch: work.worker.branch.short().to_owned(),
        base: work.worker.base,
        deadline_ms: work.due_ms(),
    };
    works.map(line).collect()
}

/// A pull request that answers it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answering {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    state: &'static str,
    author: AgentName,
}

/// The newest, the last of them first.
pub(super) fn answering(project: &Project, n: u64) -> Vec<Answering> {
    let name = project.repository.name();
    let mut all: Vec<Answering> = project
        .snapshot
        .fold
        .answers(n)
        .map(|(number, pull)| Answering {
            reference: ItemRef { project: name.clone(), n: number },
            title: pull.title.clone(),
            state: pull.status.as_str(),
            author: pull.author.clone(),
        })
        .collect();
    all.reverse();
    all.truncate(MOST);
    all
}

/// `answered by parser#47 (merged, alpha): Fix the leak`, a line each.
pub(super) fn markdown(pulls: &[Answering]) -> String {
    let line = |pull: &Answering| {
        format!("- answered by {} ({}, {}): {}\n", pull.reference, pull.state, pull.author, inline(&pull.title))
    };
    pulls.iter().map(line).collect::<String>() + if pulls.is_empty() { "" } else { "\n" }
}
