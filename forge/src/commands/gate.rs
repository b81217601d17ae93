//! How a pull request stands at the gate, as commands show it, and the command that moves it on.
//!
//! Invariant: the rules decide, in [`crate::gate`]; here is only what people are told of that.

use notes_schema::event::{Level, Verdict};
use notes_schema::{ItemRef, Oid};
use serde::Serialize;

use super::Context;
use super::context::Project;
use super::merges::Merges;
use super::text::inline;
use crate::answer::{Code, Refusal};
use crate::gate::{View, Work};
use crate::state::{PullState, PullStatus};
use hooks::Repo as _;

/// One line of the gate, as commands show it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct GateLine {
    pub rule: String,
    pub state: hooks::gate::State,
    pub ok: bool,
    pub why: String,
    pub next: String,
    #[serde(skip)]
    pub quiet: bool,
}

/// The gate of a pull request, and by what it is judged.
pub(super) struct Gate {
    pub merges: Merges,
    pub lines: Vec<GateLine>,
    pub risk: Option<hooks::policy::Risk>,
    pub policy: Option<Oid>,
}

impl GateLine {
    /// What is left to say of a proof whose record is gone.
    fn dropped(pull: &PullState) -> Self {
        GateLine {
            rule: "proof".to_owned(),
            state: hooks::gate::State::Satisfied,
            ok: true,
            why: format!("{} when it ended; its record was dropped with its month", pull.proof.level),
            next: String::new(),
            quiet: false,
        }
    }

    pub(super) fn of(line: hooks::gate::GateLine) -> Self {
        GateLine {
            rule: line.rule.to_owned(),
            state: line.state,
            ok: line.ok,
            quiet: line.quiet,
            why: line.why,
            next: line.next.strip_prefix("ssh forge ").unwrap_or(&line.next).to_owned(),
        }
    }
}

/// `- [x] approval: approved by beta`, and the next command where something is missing. What need not be told is not.
pub(super) fn gate_markdown(gate: &[GateLine]) -> String {
    let line = |line: &GateLine| {
        let mark = if line.ok { 'x' } else { ' ' };
        let next = if line.ok { String::new() } else { format!("\n  → {}", line.next) };
        format!("- [{mark}] {}: {}{next}\n", line.rule, inline(&line.why))
    };
    gate.iter().filter(|line| !line.quiet).map(line).collect()
}

/// What the rules say of a pull request now.
pub(super) fn gate_of(context: &Context, project: &Project, n: u64, pull: &PullState) -> Result<Gate, Refusal> {
    let store = project.repository.store();
    let view = View::new(&project.snapshot, &context.root, store.as_ref(), context.forge.now());
    let work = Work::of_pull(&view, store, n, pull);
    let work = work.map_err(|e| Refusal::new(Code::TryLater, format!("{n}"), e.to_string(), "feed"))?;
    let mut lines: Vec<GateLine> = work.gate(&view).into_iter().map(GateLine::of).collect();
    let proof = pull.proof.record.and_then(|record| project.snapshot.records.get(&record));
    if pull.status != PullStatus::Open && proof.is_some_and(|record| project.snapshot.is_dropped(record)) {
        // What is missing by now is not what was missing then.
        lines.retain(|line| line.ok);
        lines.push(GateLine::dropped(pull));
    }
    Ok(Gate {
        merges: Merges::of(work.mergeable()),
        lines,
        risk: work.risk(&view),
        policy: view.policy().ok().and_then(|base| base.blob),
    })
}

/// The first rule that an approved pull request still fails where a policy may ask for more than an approval. Without a
/// policy file nothing is computed: a feed shows many.
pub(super) fn still_missing(context: &Context, reference: &ItemRef, pull: &PullState) -> Option<String> {
    let repository = context.forge.project(&reference.project).ok()?;
    let project = Project { snapshot: repository.snapshot(), repository };
    let store = project.repository.store();
    let view = View::new(&project.snapshot, &context.root, store.as_ref(), context.forge.now());
    view.policy().ok()?.blob?;
    let gate = gate_of(context, &project, reference.n, pull).ok()?;
    gate.lines.into_iter().find(|line| !line.ok).map(|line| line.rule)
}

/// Refuses where the head is another than was `expected`: ids, or at least seven digits of them.
pub(super) fn still_at(pull: &PullState, reference: &ItemRef, expected: &[String]) -> Result<(), Refusal> {
    let head = pull.head.to_string();
    if expected.iter().all(|id| id.len() >= 7 && head.starts_with(id.as_str())) {
        return Ok(());
    }
    let came = if pull.round > 1 { format!("round {} came meanwhile: ", pull.round) } else { String::new() };
    let why = format!("{came}its head is {} now", pull.head.short());
    let next = format!("pr {}/{} --diff", reference.project, reference.n);
    Err(Refusal::new(Code::Stale, reference.to_string(), why, next))
}

/// The command that moves a pull request on, as the caller sees it, who `has_read` its diff with this answer or not.
pub(super) fn next_for(
    context: &Context,
    project: &str,
    n: u64,
    pull: &PullState,
    gate: &[GateLine],
    has_read: bool,
) -> String {
    let path = format!("{project}/{n}");
    let viewer = context.actor.agent().map(|a| &a.name);
    let missing = gate.iter().find(|line| !line.ok);
    match (pull.status, missing) {
        (PullStatus::Merged | PullStatus::Closed, _) => "feed".to_owned(),
        (PullStatus::Open, None) => format!("merge {path}"),
        (PullStatus::Open, Some(line)) if viewer == Some(&pull.author) && line.rule != "approval" => {
            own_next(&line.next, &path, pull)
        }
        (PullStatus::Open, Some(_)) if viewer == Some(&pull.author) => "feed --wait".to_owned(),
        (PullStatus::Open, Some(line))
            if line.rule == "level" && pull.live(Verdict::Approve).any(|review| Some(&review.agent) == viewer) =>
        {
            line.next.clone()
        }
        // The verdict is on what was read, not on what was pushed meanwhile.
        (PullStatus::Open, Some(_)) if has_read => format!("review approve {path} --if-match {}", pull.head.short()),
        (PullStatus::Open, Some(_)) => format!("pr {path} --diff"),
    }
}

/// The command that helps the author of a pull request, where `next` helps somebody: only others approve it, or run its
/// proof again.
pub(super) fn own_next(next: &str, path: &str, pull: &PullState) -> String {
    let word = next.strip_prefix("ssh forge ").unwrap_or(next);
    match (word.starts_with("challenge "), pull.proof.level) {
        (true, Level::PX) => format!("pr {path}"),
        (true, Level::P0 | Level::P1 | Level::P2 | Level::P3) => "feed --wait".to_owned(),
        (false, _) if word.starts_with("review approve ") => "feed --wait".to_owned(),
        (false, _) => next.to_owned(),
    }
}
