//! What happened last: of each item its newest event.
//!
//! Invariant: an item stands once, with the event that is its newest now; all of its events are in `details`.

use std::cmp::Reverse;

use notes_schema::{AgentName, EntityId, ItemRef};
use search::{Filter, Kind, Sort};
use serde::Serialize;

use super::Context;
use super::context::Project;
use super::text::inline;
use crate::answer::{Code, Refusal};
use crate::ledger;

/// Most items.
/// Limit: items of which `today` and `project show` tell the newest event | {}
const MOST: usize = 20;

/// The newest event of an item.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Recent {
    #[serde(rename = "ref")]
    reference: ItemRef,
    kind: &'static str,
    title: String,
    by: AgentName,
    summary: String,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    seq: u64,
}

impl Recent {
    /// `parser#7  Fix the leak    beta: commented (seq 12)`, and where to read on.
    pub(super) fn markdown(&self) -> String {
        let (title, what) = (inline(&self.title), inline(&self.summary));
        let ItemRef { project, n } = &self.reference;
        format!("{}  {title}    {}: {what} (seq {})\n  → details {project}/{n}\n", self.reference, self.by, self.seq)
    }
}

/// The items of `projects` that `filter` finds and where something happened last, the newest first.
pub(super) fn of(context: &Context, filter: Filter, projects: &[Project]) -> Result<Vec<Recent>, Refusal> {
    let filter = Filter { sort: Sort::Active, ..filter };
    let failed = |e: search::Error| Refusal::new(Code::TryLater, "index", e.to_string(), "feed");
    let found = context.forge.index()?.list(&filter, MOST, None).map_err(failed)?;
    let one = |item: &std::sync::Arc<search::Item>| {
        let project = projects.iter().find(|project| *project.repository.name() == item.project)?;
        let (id, kind) = match item.kind {
            Kind::Issue => (EntityId::Issue(item.n), "issue"),
            Kind::Pull => (EntityId::Pull(item.n), "pull"),
            Kind::Project => return None,
        };
        let tip = project.snapshot.fold.entities.get(&id)?.tip;
        let read = ledger::chain(project.repository.store().as_ref(), tip, 1).ok()?.pop()?;
        Some(Recent {
            reference: ItemRef { project: item.project.clone(), n: item.n },
            kind,
            title: item.title.clone(),
            summary: read.fact.subject(),
            by: read.event.a,
            time_ms: read.event.t,
            seq: read.event.q,
        })
    };
    let mut recent: Vec<Recent> = found.iter().filter_map(one).collect();
    recent.sort_by_key(|recent| Reverse(recent.seq));
    Ok(recent)
}
