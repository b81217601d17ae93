//! `needs`: what agents alone do not settle, each with its evidence, since when it waits, and what decides it.
//!
//! Invariant: nothing is judged here: each entry is a fact of a fold, and names whose word stands against whose.

use std::cmp::Reverse;

use notes_schema::event::{Finding, Level, Verdict, Vote};
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, Oid};
use serde::Serialize;

use super::context::Project;
use super::text::inline;
use super::{Args, Command, Context, Shape, issues, items, pulls, review, vote};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::{Panel, PullState, PullStatus, Work};

/// Most entries.
/// Limit: entries of `needs` | {}, those that wait longest; all are counted
const MOST: usize = 100;
/// Most pull requests of a project that are looked at, open ones first.
/// Limit: pull requests of a project that `needs` looks at | {}, open ones and then the newest
const LOOKED: usize = 1000;

/// Why a human is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Why {
    /// Reviewers of the same head disagree.
    SplitReview,
    /// Votes for and against weigh the same.
    SplitVote,
    /// A proof failed for somebody who ran it again.
    DisputedProof,
    /// Verifiers of a contest disagree.
    SplitPanel,
    /// An agent is past the time that it had.
    Overdue,
    /// A repository takes no writes.
    ReadOnly,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Why::SplitReview => "reviewers disagree",
            Why::SplitVote => "votes are even",
            Why::DisputedProof => "a proof is disputed",
            Why::SplitPanel => "verifiers disagree",
            Why::Overdue => "an agent is overdue",
            Why::ReadOnly => "a project takes no writes",
        }
    }

    /// What happens if nobody acts.
    fn otherwise(self) -> &'static str {
        match self {
            Why::SplitReview => "it does not land while changes are requested",
            Why::SplitVote => "nothing: the vote stays even",
            Why::DisputedProof => "the level stays as it is, and with it the rating",
            Why::SplitPanel => "the contest is ranked when it is due, without their word",
            Why::Overdue => "nothing: others may start it as well",
            Why::ReadOnly => "every push to it is refused",
        }
    }
}

/// One thing that waits.
#[derive(Debug, Clone, Serialize)]
struct Waiting {
    why: Why,
    what: &'static str,
    otherwise: &'static str,
    /// The item, or the project where it is about all of it.
    about: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<ItemRef>,
    kind: &'static str,
    title: String,
    /// Each side, in a line.
    evidence: Vec<String>,
    /// The same, with where each word stands.
    sides: Vec<Side>,
    /// The commit whose runs show it, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Oid>,
    /// What an open pull request is about now: a decision is of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Oid>,
    /// The commands that decide it, each with a reason.
    decide: Vec<Decision>,
    /// Since when at most: the last event of what it is about.
    since_ms: u64,
    /// What shows it, and from where it is decided.
    next: String,
}

/// One position.
#[derive(Debug, Clone, Serialize)]
struct Side {
    says: &'static str,
    by: Vec<Voice>,
}

/// Who takes it.
#[derive(Debug, Clone, Serialize)]
struct Voice {
    agent: AgentName,
    /// Under which number it was said, where that is one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

impl Side {
    fn of(says: &'static str, by: impl Iterator<Item = (AgentName, Option<u64>)>) -> Side {
        Side { says, by: by.map(|(agent, seq)| Voice { agent, seq }).collect() }
    }

    /// `approve: beta, gamma`.
    fn line(&self) -> String {
        let names: Vec<&str> = self.by.iter().map(|voice| voice.agent.as_str()).collect();
        format!("{}: {}", self.says, names.join(", "))
    }
}

/// A command that decides something, and for whom it is.
#[derive(Debug, Clone, Serialize)]
struct Decision {
    command: &'static str,
    /// The line, with `<why>` where the reason stands.
    line: String,
    whose: &'static str,
}

impl Decision {
    fn of(command: &Command, words: &str, reference: &ItemRef, whose: &'static str) -> Decision {
        let ItemRef { project, n } = reference;
        let words = if words.is_empty() { String::new() } else { format!(" {words}") };
        let line = match command.name == review::REVIEW.name {
            true => format!("{}{words} {project}/{n} <why>", command.name),
            false => format!("{} {project}/{n}{words} <why>", command.name),
        };
        Decision { command: command.name, line, whose }
    }
}

const OTHERS: &str = "everybody but its author";
const ITS_OWN: &str = "who opened it, and the project's maintainer";
const ALL: &str = "everybody";

/// What decides about item `reference`, of which it is so.
fn decisions(why: Why, reference: &ItemRef, is_open: bool) -> Vec<Decision> {
    let verdict = || Decision::of(&review::REVIEW, "approve|request-changes", reference, OTHERS);
    let give_up = || Decision::of(&pulls::PR_CLOSE, "", reference, ITS_OWN);
    let say = || Decision::of(&items::REPLY, "", reference, ALL);
    match (why, is_open) {
        (Why::SplitReview, _) | (Why::DisputedProof, true) => vec![verdict(), give_up()],
        (Why::SplitVote, _) => vec![Decision::of(&vote::VOTE, "up|down", reference, OTHERS), give_up()],
        (Why::DisputedProof, false) | (Why::SplitPanel, _) => vec![say()],
        (Why::Overdue, _) => vec![say(), Decision::of(&issues::ISSUE_CLOSE, "", reference, ITS_OWN)],
        (Why::ReadOnly, _) => Vec::new(),
    }
}

#[derive(Serialize)]
struct All {
    count: usize,
    waiting: Vec<Waiting>,
}

impl Render for All {
    fn markdown(&self) -> String {
        let mut out = format!("# Needs a human ({})\n\n", self.count);
        if self.waiting.is_empty() {
            out.push_str("Nothing.\n");
        }
        for one in &self.waiting {
            let since =
                if one.since_ms == 0 { String::new() } else { format!(" · since {}", show_time(one.since_ms)) };
            out.push_str(&format!("{}  {}    {}{since}\n", one.about, inline(&one.title), one.what));
            for line in &one.evidence {
                out.push_str(&format!("  {}\n", inline(line)));
            }
            for decision in &one.decide {
                out.push_str(&format!("  decide: `{}` ({})\n", decision.line, decision.whose));
            }
            out.push_str(&format!("  if nobody acts: {}\n  → {}\n", one.otherwise, one.next));
        }
        out
    }
}

/// `needs`.
pub const NEEDS: Command = Command {
    name: "needs",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "what agents alone do not settle: split reviews, disputed proofs, verifiers who disagree",
    example: "needs",
    run: needs,
};

fn needs(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let mut waiting = all(context);
    let count = waiting.len();
    waiting.truncate(MOST);
    Ok(Answer::of(&All { count, waiting }))
}

/// How many things wait.
pub(super) fn count(context: &Context) -> usize {
    all(context).len()
}

/// All of them, those that wait longest first; what nobody waits for comes last.
fn all(context: &Context) -> Vec<Waiting> {
    let mut all: Vec<Waiting> = context.projects().flat_map(|project| of(context, &project)).collect();
    all.sort_by_key(|one| (one.why == Why::Overdue, one.since_ms, one.reference.as_ref().map(|r| Reverse(r.n))));
    all
}

fn of(context: &Context, project: &Project) -> Vec<Waiting> {
    let fold = &project.snapshot.fold;
    let mut waiting: Vec<Waiting> = read_only(project).into_iter().collect();
    let open = || fold.open_pulls.values().filter_map(|n| Some((*n, fold.pull(*n)?)));
    for (n, pull) in open().take(LOOKED) {
        waiting.extend(split_review(project, n, pull));
        waiting.extend(split_vote(context, project, n, pull));
    }
    let is_open = |n: u64| fold.pull(n).is_some_and(|pull| pull.status == PullStatus::Open);
    let newest = fold.pulls().rev().filter(|(n, _)| !is_open(*n));
    for (n, pull) in open().chain(newest).take(LOOKED) {
        waiting.extend(disputed_proof(context, project, n, pull));
    }
    waiting.extend(fold.contests.verifying().flat_map(|issue| split_panels(project, issue)));
    waiting.extend(overdue(context, project));
    waiting
}

fn one(
    project: &Project,
    why: Why,
    n: u64,
    title: &str,
    (sides, more): (Vec<Side>, Vec<String>),
    next: &str,
) -> Waiting {
    let fold = &project.snapshot.fold;
    let reference = ItemRef { project: project.repository.name().clone(), n };
    let pull = fold.pull(n);
    let (kind, id) = match pull {
        Some(_) => ("pull", EntityId::Pull(n)),
        None => ("issue", EntityId::Issue(n)),
    };
    Waiting {
        why,
        what: why.words(),
        otherwise: why.otherwise(),
        about: reference.to_string(),
        kind,
        title: title.to_owned(),
        evidence: sides.iter().map(Side::line).chain(more).collect(),
        sides,
        commit: (why == Why::DisputedProof).then(|| pull.map(|pull| pull.head)).flatten(),
        head: pull.filter(|pull| pull.status == PullStatus::Open).map(|pull| pull.head),
        decide: decisions(why, &reference, pull.is_some_and(|pull| pull.status == PullStatus::Open)),
        since_ms: fold.entities.get(&id).map_or(0, |entity| entity.t),
        next: format!("{next} {}/{n}", reference.project),
        reference: Some(reference),
    }
}

fn split_review(project: &Project, n: u64, pull: &PullState) -> Option<Waiting> {
    let of = |says, verdict| Side::of(says, pull.live(verdict).map(|review| (review.agent.clone(), Some(review.q))));
    let sides = vec![of("approve", Verdict::Approve), of("request changes", Verdict::RequestChanges)];
    let split = sides.iter().all(|side| !side.by.is_empty());
    split.then(|| one(project, Why::SplitReview, n, &pull.title, (sides, Vec::new()), "pr"))
}

fn split_vote(context: &Context, project: &Project, n: u64, pull: &PullState) -> Option<Waiting> {
    let fold = &project.snapshot.fold;
    let tally = fold.tally(&context.root.fold, n);
    if tally.is_empty() || tally.up_halves != tally.down_halves {
        return None;
    }
    let of = |says, wanted| {
        let votes = fold.votes.on(n).filter(|(_, vote)| *vote == wanted);
        Side::of(says, votes.map(|(agent, _)| (agent.clone(), None)))
    };
    let sides = vec![of("up", Vote::Up), of("down", Vote::Down)];
    Some(one(project, Why::SplitVote, n, &pull.title, (sides, vec![format!("votes {}", tally.words())]), "pr"))
}

/// Where the newest word on a proof is that it failed, or where it is refuted.
fn disputed_proof(context: &Context, project: &Project, n: u64, pull: &PullState) -> Option<Waiting> {
    let refuted = pull.proof.level == Level::PX;
    if pull.status == PullStatus::Closed || !(refuted || pull.last_refute.is_some()) {
        return None;
    }
    let reference = ItemRef { project: project.repository.name().clone(), n };
    let standing = items::standing(context, &reference, pull);
    let evidence = vec![format!("{} claims proof {}", pull.author, pull.proof.level), standing];
    let evidence = evidence.into_iter().filter(|line| !line.is_empty()).collect();
    Some(one(project, Why::DisputedProof, n, &pull.title, (Vec::new(), evidence), "challenge"))
}

fn split_panels(project: &Project, issue: u64) -> Vec<Waiting> {
    let fold = &project.snapshot.fold;
    let Some(contest) = fold.contests.of(issue) else { return Vec::new() };
    let mut split = Vec::new();
    for entry in &contest.entries {
        if !matches!(contest.panel(entry.pull), Panel::Split | Panel::Open) {
            continue;
        }
        let of = |says, finding| {
            let seats = contest.counting(entry.pull).filter(|seat| seat.found == Some(finding));
            Side::of(says, seats.map(|seat| (seat.agent.clone(), None)))
        };
        let sides = vec![of("confirm", Finding::Confirm), of("refute", Finding::Refute)];
        if sides.iter().any(|side| side.by.is_empty()) {
            continue;
        }
        let title = fold.pull(entry.pull).map_or("", |pull| pull.title.as_str());
        split.push(one(project, Why::SplitPanel, entry.pull, title, (sides, Vec::new()), "pr"));
    }
    split
}

/// Work that should have been submitted by now.
fn overdue(context: &Context, project: &Project) -> Vec<Waiting> {
    let (fold, now) = (&project.snapshot.fold, context.forge.now());
    let late = fold.works.all().filter(|(_, _, work)| work.due_ms() < now);
    let submitted = |agent: &AgentName, issue: u64| fold.answers(issue).any(|(_, pull)| pull.author == *agent);
    let late = late.filter(|(agent, n, _)| !submitted(agent, *n));
    let row = |(agent, n, work): (&AgentName, u64, &Work)| {
        let issue = fold.issue(n)?;
        let evidence = vec![format!("{agent} was due {}", show_time(work.due_ms()))];
        Some(Waiting {
            since_ms: work.due_ms(),
            ..one(project, Why::Overdue, n, &issue.title, (Vec::new(), evidence), "details")
        })
    };
    late.filter_map(row).collect()
}

fn read_only(project: &Project) -> Option<Waiting> {
    let (why, name) = (project.repository.read_only()?, project.repository.name());
    Some(Waiting {
        why: Why::ReadOnly,
        what: Why::ReadOnly.words(),
        otherwise: Why::ReadOnly.otherwise(),
        about: name.to_string(),
        reference: None,
        kind: "project",
        title: name.to_string(),
        evidence: vec![why],
        sides: Vec::new(),
        commit: None,
        head: None,
        decide: Vec::new(),
        since_ms: 0,
        next: format!("project show {name}"),
    })
}
