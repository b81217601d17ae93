//! `trace`: what was run before a commit landed, failures included.

mod full;

use std::sync::Arc;

use notes_schema::event::Level;
use notes_schema::{ItemRef, Oid};
use serde::Serialize;

use super::challenge::Standing;
use super::context::Project;
use super::text::inline;
use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::gate;
use crate::ledger::{KnownRecord, Snapshot};
use crate::state::PullState;
use git::history;
use git::store::Objects;

/// Fewest digits that name a commit, and how many commits are named where they name several.
const SHORTEST: usize = 7;
const NAMED: usize = 5;

#[derive(Serialize)]
struct Traced {
    commit: Oid,
    tree: Oid,
    level: Level,
    #[serde(rename = "ref")]
    reference: Option<ItemRef>,
    /// Who ran the proof of the pull request again, and what came of it.
    #[serde(flatten)]
    standing: Standing,
    attempts: Vec<Attempt>,
    /// Records of it that were dropped with their months.
    dropped: usize,
    /// The pull request, as far as the trace is about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull: Option<OfPull>,
    /// Where each record was made and what brought it, in full alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<full::RecordLine>,
}

#[derive(Serialize)]
struct OfPull {
    title: String,
    author: notes_schema::AgentName,
    status: crate::state::PullStatus,
    issue: Option<u64>,
    landed: Option<Oid>,
    /// What the default branch held after it landed.
    landed_tree: Option<Oid>,
}

impl OfPull {
    fn of(objects: &dyn Objects, pull: &PullState) -> OfPull {
        OfPull {
            title: pull.title.clone(),
            author: pull.author.clone(),
            status: pull.status,
            issue: pull.issue,
            landed: pull.landed,
            landed_tree: pull.landed.and_then(|landed| Some(objects.commit(landed).ok()?.tree)),
        }
    }
}

#[derive(Serialize)]
struct Attempt {
    seq: u64,
    argv: Vec<String>,
    exit: Option<i64>,
    signal: Option<u64>,
    timed_out: bool,
    dur_ms: u64,
    tree: Oid,
    tests: Option<notes_schema::event::TestCounts>,
    agent: notes_schema::AgentName,
    record: notes_schema::Sha256,
    /// What it printed and what was changed before it, in full alone.
    #[serde(flatten)]
    more: Option<full::More>,
}

impl Render for Traced {
    fn markdown(&self) -> String {
        let of = self.reference.as_ref().map_or(String::new(), |r| format!(" · {r}"));
        let mut out = format!(
            "# Trace of {}{of}\n\nproof {} · {} · tree `{}` · `help proof`\n\n",
            self.commit.short(),
            self.level,
            gate::means(self.level),
            self.tree.short()
        );
        if !self.standing.is_empty() {
            out.push_str(&format!("Run again on the same tree: {}.\n\n", self.standing.words()));
        }
        for attempt in &self.attempts {
            let end = match (attempt.exit, attempt.signal) {
                (Some(code), _) => format!("exit {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "no exit".to_owned(),
            };
            let tests = attempt
                .tests
                .as_ref()
                .map_or(String::new(), |t| format!(" · {} passed, {} failed", t.passed, t.failed));
            out.push_str(&format!(
                "{}. {} · `{}` on tree {}{tests} · {} ms, by {}\n",
                attempt.seq,
                end,
                inline(&crate::state::snippet(&attempt.argv.join(" "), 120)),
                attempt.tree.short(),
                attempt.dur_ms,
                attempt.agent
            ));
        }
        match (self.dropped, self.attempts.is_empty()) {
            (0, false) => {}
            (0, true) => out.push_str("No run was recorded for it.\n"),
            (1, _) => out.push_str("One record of it was dropped with its month.\n"),
            (dropped, _) => out.push_str(&format!("{dropped} records of it were dropped with their months.\n")),
        }
        if let Some(reference) = &self.reference {
            out.push_str(&format!("---\nnext: pr {}/{}\n", reference.project, reference.n));
        }
        out
    }
}

/// `trace`.
pub const TRACE: Command = Command {
    name: "trace",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 1).flags(&[("project", Takes::Word), ("full", Takes::Nothing)]),
    usage: "<commit> [--project P] [--full]",
    summary: "every recorded run behind a commit, failures included; in full with output and patches",
    example: "trace 3f1c2ab0123456789012345678901234567890ab",
    run: trace,
};

fn trace(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let word = args.word(0).unwrap_or("");
    let full = args.has("full");
    let (named, word) = match word.split_once(':') {
        Some((project, commit)) => (Some(project), commit),
        None => (args.value("project"), word),
    };
    let named = named.map(|name| context.project(name)).transpose()?;
    let (project, commit) = commit_named(context, named, word)?;
    let store = project.repository.store();
    let missing = |e: git::store::ReadError| Refusal::new(Code::NotFound, commit.to_string(), e.to_string(), "feed");
    let tree = store.commit(commit).map_err(missing)?.tree;
    let Some((n, pull)) = pull_of(&project.snapshot, store.as_ref(), commit) else {
        // Not submitted: what was recorded of this very tree, by whomever.
        let dropped = dropped(&project, project.snapshot.records_on(tree));
        let (attempts, records) = attempts(&project, project.snapshot.records_on(tree), full);
        let level = gate::best_on(&project.snapshot, &context.root, store.as_ref(), None, tree);
        let standing = Standing::default();
        let traced = Traced { commit, tree, level, reference: None, standing, attempts, dropped, pull: None, records };
        return Ok(Answer::of(&traced));
    };
    let reference = ItemRef { project: project.repository.name().clone(), n };
    let of_pull = records_of(&project.snapshot, store.as_ref(), &pull);
    let dropped = dropped(&project, of_pull.iter().copied());
    let (attempts, records) = attempts(&project, of_pull.into_iter(), full);
    let level = level_of(&project.snapshot, &context.root, store.as_ref(), &pull, (commit, tree));
    let standing = Standing::of(&project.snapshot, store.as_ref(), &pull);
    let (reference, pull) = (Some(reference), Some(OfPull::of(store.as_ref(), &pull)));
    Ok(Answer::of(&Traced { commit, tree, level, reference, standing, attempts, dropped, pull, records }))
}

/// The proof of a pull request's head is one of its tree: another tree, landed or on the way, needs a run of its own.
pub(crate) fn level_of(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    pull: &PullState,
    (commit, tree): (Oid, Oid),
) -> Level {
    if commit == pull.head || objects.commit(pull.head).is_ok_and(|head| head.tree == tree) {
        return pull.proof.level;
    }
    gate::best_on(snapshot, root, objects, Some(&pull.author), tree)
}

/// The commit that `word` is or begins: in the named project, else in the current one, else in the first that has one. Where
/// it begins several, they are named.
fn commit_named(context: &Context, named: Option<Project>, word: &str) -> Result<(Project, Oid), Refusal> {
    let word = word.to_ascii_lowercase();
    if !(SHORTEST..=40).contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(context.usage(format!("a commit is named by {SHORTEST} to 40 hexadecimal digits")));
    }
    let places: Vec<Project> = match named {
        Some(project) => vec![project],
        None => context.current_project().into_iter().chain(context.projects()).collect(),
    };
    for project in places {
        match project.repository.store().commits_beginning(&word)[..] {
            [] => {}
            [commit] => return Ok((project, commit)),
            ref several @ [first, ..] => {
                let shown: Vec<String> = several.iter().take(NAMED).map(Oid::to_string).collect();
                let why = format!("{} commits begin with it: {}", several.len(), shown.join(", "));
                let next = format!("trace {}:{first}", project.repository.name());
                return Err(Refusal::new(Code::Usage, word, why, next));
            }
        }
    }
    Err(Refusal::new(Code::NotFound, word, "no project has this commit", "project list"))
}

/// The pull request that a commit is the landing, the head or a part of.
pub(crate) fn pull_of(snapshot: &Snapshot, objects: &dyn Objects, commit: Oid) -> Option<(u64, PullState)> {
    let fold = &snapshot.fold;
    let is_it = |p: &PullState| p.landed == Some(commit) || p.head == commit;
    if let Some((n, pull)) = fold.pulls().rev().find(|(_, p)| is_it(p)) {
        return Some((n, pull.clone()));
    }
    let ends: Vec<Oid> = fold.pulls().rev().flat_map(|(_, p)| [p.head, p.base]).collect();
    let reached = history::which_reach(objects, commit, &ends).ok()?;
    let mut each = fold.pulls().rev().zip(reached.chunks(2));
    each.find(|(_, ends)| *ends == [true, false]).map(|((n, pull), _)| (n, pull.clone()))
}

/// The records of a pull request's author for its issue, in order; those on its tree where it answers no issue.
pub(crate) fn records_of<'a>(
    snapshot: &'a Snapshot,
    objects: &dyn Objects,
    pull: &PullState,
) -> Vec<&'a Arc<KnownRecord>> {
    let tree = objects.commit(pull.head).map(|c| c.tree).ok();
    let belongs = |r: &&Arc<KnownRecord>| {
        if pull.issue.is_some() { r.issue == pull.issue } else { Some(r.tree) == tree }
    };
    snapshot.records_of(&pull.author).filter(belongs).collect()
}

fn dropped<'a>(project: &Project, records: impl Iterator<Item = &'a Arc<KnownRecord>>) -> usize {
    records.filter(|record| project.snapshot.is_dropped(record)).count()
}

/// Every attempt of `records`, numbered.
fn attempts<'a>(
    project: &Project,
    records: impl Iterator<Item = &'a Arc<KnownRecord>>,
    full: bool,
) -> (Vec<Attempt>, Vec<full::RecordLine>) {
    let store = project.repository.store().as_ref();
    let (mut all, mut lines, mut budget) = (Vec::new(), Vec::new(), full::Budget::default());
    for known in records {
        let Some(record) = gate::read_record(store, known) else { continue };
        if full && lines.len() < full::RECORDS {
            lines.push(full::RecordLine::of(known, &record));
        }
        for attempt in record.attempts {
            let more = full.then(|| full::More::of(&attempt, &mut budget));
            all.push(Attempt {
                seq: all.len() as u64 + 1,
                argv: attempt.argv,
                exit: attempt.exit,
                signal: attempt.signal,
                timed_out: attempt.timed_out,
                dur_ms: attempt.dur_ms,
                tree: attempt.tree,
                tests: attempt.tests.as_ref().map(notes_schema::trace::Tests::counts),
                agent: known.agent.clone(),
                record: known.digest,
                more,
            });
        }
    }
    (all, lines)
}
