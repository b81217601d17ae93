//! The rounds of a pull request: what each one changes, and what its author changed from one to another.
//!
//! Invariant: between rounds the author's own change is told apart from what a rebase brought. Where that cannot be done, both
//! are shown, and the answer says so.

use std::collections::HashMap;

use notes_schema::event::Level;
use notes_schema::{Fact, ItemRef, Oid};
use serde::Serialize;

use super::context::Project;
use super::items::Shown;
use super::pulls::MOST_FILES;
use super::{Args, Context, Takes};
use crate::answer::{Code, Refusal};
use git::diff::{self, Blanks, DiffError, Patch};
use git::merge::{self, MergeError};
use git::store::{Objects, Over, ReadError};

/// Flags that say which changes are shown.
pub(super) const FLAGS: [(&str, Takes); 4] =
    [("diff", Takes::Nothing), ("round", Takes::Word), ("since-round", Takes::Word), ("ignore-space", Takes::Nothing)];

/// One round.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Round {
    /// Its number, from 1.
    pub round: u64,
    /// Its tip.
    pub head: Oid,
    /// Merge base of that tip with the target when it arrived.
    pub base: Oid,
    /// The proof of that tip when it was last said.
    pub proof: Level,
    /// When it arrived, milliseconds since 1970.
    pub time_ms: u64,
    /// Forge-wide number of the event.
    pub seq: u64,
}

impl Round {
    /// What an event says of a round.
    pub(super) fn of(fact: &Fact, time_ms: u64, seq: u64) -> Option<Round> {
        let (round, head, base, proof) = match fact {
            Fact::PullOpened(fact) => (1, fact.head, fact.base, fact.proof.level),
            Fact::PullRound(fact) => (fact.round, fact.head, fact.base, fact.proof.level),
            _ => return None,
        };
        Some(Round { round, head, base, proof, time_ms, seq })
    }
}

/// The rounds of a thread, oldest first. An event may say no more than that a round has another proof.
pub(super) fn of(events: &[Shown]) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    for said in events.iter().filter_map(|event| event.round) {
        match rounds.last_mut().filter(|last| last.round == said.round) {
            Some(last) => last.proof = said.proof,
            None => rounds.push(said),
        }
    }
    rounds
}

/// What the diff of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// All that the round changes.
    Whole,
    /// What its author changed since another round.
    Author,
    /// That and what a rebase brought: the two could not be told apart.
    Everything,
}

/// Which changes an answer shows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shows {
    /// The round.
    pub round: u64,
    /// Since which round; none where it is all that the round changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// How much of it.
    pub part: Part,
    /// Files in which the author's change and the rebase's could not be told apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mixed: Vec<String>,
    /// Whether changes of blanks are left out.
    pub ignores_space: bool,
    /// The same in a sentence.
    pub means: String,
}

/// The changes that were asked for.
pub(super) struct Changes {
    pub shows: Shows,
    pub patch: Patch,
    pub more_files: bool,
}

/// Reads `--round`, `--since-round` and `--ignore-space`, and makes at most `most` bytes of what they ask for.
pub(super) fn changes(
    context: &Context,
    args: &Args,
    project: &Project,
    reference: &ItemRef,
    rounds: &[Round],
    most: usize,
) -> Result<Changes, Refusal> {
    let newest = rounds.last().ok_or_else(|| gone(reference, "it has no round"))?;
    let named = |flag| match args.value(flag) {
        None => Ok(None),
        Some(word) => {
            let found = word.parse().ok().and_then(|n: u64| rounds.iter().find(|round| round.round == n));
            found.map(Some).ok_or_else(|| context.usage(format!("--{flag} is a round, from 1 to {}", newest.round)))
        }
    };
    let (to, since) = (named("round")?.unwrap_or(newest), named("since-round")?);
    if since.is_some_and(|since| since.round >= to.round) {
        return Err(context.usage(format!("--since-round is a round before round {}", to.round)));
    }
    let blanks = if args.has("ignore-space") { Blanks::Ignored } else { Blanks::Matter };
    let budget = Budget { most, blanks };
    let made = match since {
        None => whole(project, to, budget),
        Some(since) => between(project, since, to, budget),
    };
    made.map_err(|error| match error {
        DiffError::Read(ReadError::Missing(_)) => gone(reference, "the commits of that round are not kept any more"),
        error => Refusal::new(Code::TryLater, "diff", error.to_string(), "feed"),
    })
}

fn gone(reference: &ItemRef, why: &str) -> Refusal {
    Refusal::new(Code::NotFound, reference.to_string(), why, format!("pr {}/{}", reference.project, reference.n))
}

#[derive(Clone, Copy)]
struct Budget {
    most: usize,
    blanks: Blanks,
}

fn tree_of(project: &Project, commit: Oid) -> Result<Oid, DiffError> {
    Ok(project.repository.store().commit(commit)?.tree)
}

/// All that a round changes.
fn whole(project: &Project, round: &Round, budget: Budget) -> Result<Changes, DiffError> {
    let (old, new) = (tree_of(project, round.base)?, tree_of(project, round.head)?);
    let (patch, more_files) = patch(project.repository.store().as_ref(), old, new, budget)?;
    let shows = Shows {
        round: round.round,
        since: None,
        part: Part::Whole,
        mixed: Vec::new(),
        ignores_space: budget.blanks == Blanks::Ignored,
        means: format!("all that round {} changes", round.round),
    };
    Ok(Changes { shows, patch, more_files })
}

/// What changed from one round to another. Where the base moved, the older round's change is made again upon the newer base,
/// and compared with the newer head: what is left is the author's.
fn between(project: &Project, since: &Round, to: &Round, budget: Budget) -> Result<Changes, DiffError> {
    let store = project.repository.store();
    let new = tree_of(project, to.head)?;
    let (from, upto) = (since.round, to.round);
    let shows = |part, mixed, means| Shows {
        round: upto,
        since: Some(from),
        part,
        mixed,
        ignores_space: budget.blanks == Blanks::Ignored,
        means,
    };
    let author = format!("what the author changed from round {from} to round {upto}");
    let moved = format!("moved from {} to {}", since.base.short(), to.base.short());
    if since.base == to.base {
        let (patch, more_files) = patch(store.as_ref(), tree_of(project, since.head)?, new, budget)?;
        return Ok(Changes { shows: shows(Part::Author, Vec::new(), author), patch, more_files });
    }
    match merge::carry(store, since.base, since.head, to.base) {
        Ok(carried) => {
            let made: HashMap<_, _> = carried.objects.into_iter().collect();
            let over = Over { made: &made, below: store.as_ref() };
            let (patch, more_files) = patch(&over, carried.tree, new, budget)?;
            let means = format!("{author}; what came because its base {moved} is left out");
            Ok(Changes { shows: shows(Part::Author, Vec::new(), means), patch, more_files })
        }
        Err(error) => {
            let (patch, more_files) = patch(store.as_ref(), tree_of(project, since.head)?, new, budget)?;
            let (mixed, why) = match error {
                MergeError::Conflicts { paths } => {
                    let why = format!("the base changed the same lines of {}", paths.join(", "));
                    (paths, why)
                }
                MergeError::Unrelated { .. } | MergeError::Failed { .. } => (Vec::new(), error.to_string()),
            };
            let means = format!(
                "all that differs between round {from} and round {upto}, with what came because its base {moved}; the \
                 author's part cannot be told apart: {why}"
            );
            Ok(Changes { shows: shows(Part::Everything, mixed, means), patch, more_files })
        }
    }
}

fn patch<O: Objects + ?Sized>(objects: &O, old: Oid, new: Oid, budget: Budget) -> Result<(Patch, bool), DiffError> {
    let mut changes = diff::changed_paths(objects, Some(old), Some(new), MOST_FILES + 1)?;
    let more_files = changes.len() > MOST_FILES;
    changes.truncate(MOST_FILES);
    let changes = diff::with_renames(objects, changes)?;
    Ok((diff::unified_where(objects, &changes, budget.most, budget.blanks)?, more_files))
}
