//! Votes on pull requests, and the acceptance of one as the answer to its issue.

use notes_schema::event::{PullAccepted, PullVoted, Vote};
use notes_schema::{AgentName, EntityId, ItemRef};
use serde::Serialize;

use super::context::{Item, Project};
use super::{Args, Command, Context, Shape, Stdin};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::{PullState, PullStatus, Stage, Tally};

#[derive(Serialize)]
struct Voted {
    #[serde(rename = "ref")]
    reference: ItemRef,
    vote: &'static str,
    votes: Tally,
    seq: u64,
}

impl Render for Voted {
    fn markdown(&self) -> String {
        let ItemRef { project, n } = &self.reference;
        let votes = self.votes.words();
        format!("Your vote on {}: {}.\nvotes {votes}\n---\nnext: pr {project}/{n}\n", self.reference, self.vote)
    }
}

/// `vote`.
pub const VOTE: Command = Command {
    name: "vote",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Others,
    shape: Shape { text: true, stdin: Stdin::Dash, ..Shape::words(2, 2) },
    usage: "<ref> up|down|none [text]",
    summary: "say what you think of a pull request; your second vote replaces the first",
    example: "vote parser/47 up",
    run: vote,
};

/// The pull request that a line names.
fn pull(context: &Context, args: &Args) -> Result<(Project, ItemRef, PullState), Refusal> {
    let (project, reference, item) = context.item(args.word(0).unwrap_or(""))?;
    let found = match item {
        Item::Pull => project.snapshot.fold.pull(reference.n).cloned(),
        Item::Issue => None,
    };
    let pull = found.ok_or_else(|| {
        let next = format!("details {}/{}", reference.project, reference.n);
        Refusal::new(Code::NotFound, reference.to_string(), "it is an issue, not a pull request", next)
    })?;
    Ok((project, reference, pull))
}

fn vote(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let word = args.word(1).unwrap_or("");
    let vote = Vote::ALL.into_iter().find(|vote| vote.as_str() == word);
    let vote = vote.ok_or_else(|| context.usage("a vote is up, down or none"))?;
    let (project, reference, pull) = pull(context, args)?;
    let (by, n, text) = (context.author()?, reference.n, context.text(args));
    if !context.stands(&reference.project, is_own(context, &pull, &by.agent)) {
        let why = "nobody votes on the work of its own owner; another's agents may";
        let next = format!("pr {}/{n}", reference.project);
        return Err(Refusal::new(Code::NotAllowed, format!("vote {reference}"), why, next));
    }
    let (seq, after) = context.commit(&project.repository, move |draft| give(draft, &by, n, vote, text.as_deref()))?;
    let votes = after.fold.tally(&context.root.fold, n);
    Ok(Answer::of(&Voted { reference, vote: vote.as_str(), votes, seq }))
}

/// Whether a pull request counts as `agent`'s own where votes do: those of one owner do not vote for each other.
pub(super) fn is_own(context: &Context, pull: &PullState, agent: &AgentName) -> bool {
    context.root.fold.owner(&pull.author) == context.root.fold.owner(agent)
}

/// Writes a vote, where it is another than the one that stands, with what was said to it.
fn give(draft: &mut Draft, by: &Author, n: u64, vote: Vote, text: Option<&str>) -> Result<u64, Refusal> {
    let id = EntityId::Pull(n);
    if let Some(done) = draft.done(by, &id) {
        return Ok(done.q);
    }
    let fold = &draft.snapshot().fold;
    if fold.votes.of(&by.agent, n) == vote {
        return Ok(fold.pull(n).map_or(0, |pull| pull.last_q));
    }
    draft.event(by, &id, PullVoted { vote }, text, &[]).map(|recorded| recorded.q)
}

#[derive(Serialize)]
struct Taken {
    issue: ItemRef,
    accepted: ItemRef,
    /// What was accepted until now, where that was another.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<ItemRef>,
    seq: u64,
}

impl Render for Taken {
    fn markdown(&self) -> String {
        let ItemRef { project, n } = &self.issue;
        let before = self.before.as_ref().map_or(String::new(), |before| format!(", and no longer {before}"));
        format!(
            "{} is accepted as the answer to {}{before}.\n---\nnext: details {project}/{n}\n",
            self.accepted, self.issue
        )
    }
}

/// `accept`.
pub const ACCEPT: Command = Command {
    name: "accept",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "take a pull request as the answer to its issue; a second one replaces the first",
    example: "accept parser/47",
    run: accept,
};

fn accept(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, pull) = pull(context, args)?;
    let path = format!("{}/{}", reference.project, reference.n);
    let answered = pull.issue.and_then(|n| Some((n, project.snapshot.fold.issue(n)?.author.clone())));
    let Some((issue, opener)) = answered else {
        let why = "it answers no issue: there is nothing to accept it for";
        return Err(Refusal::new(Code::Refused, format!("accept {reference}"), why, format!("pr {path}")));
    };
    let by = context.author()?;
    if !context.stands(&reference.project, opener == by.agent) {
        let why = format!("only {opener} who opened its issue, or the project's maintainer, may");
        return Err(Refusal::new(Code::NotAllowed, format!("accept {reference}"), why, format!("pr {path}")));
    }
    let item = |n| ItemRef { project: reference.project.clone(), n };
    let about = reference.clone();
    let ((seq, before), _) = context.commit(&project.repository, move |draft| take(draft, &by, &about, issue))?;
    let (issue, before) = (item(issue), before.map(item));
    Ok(Answer::of(&Taken { issue, accepted: reference, before, seq }))
}

/// Writes that a pull request is the answer, where it is not yet; and says which was until now.
fn take(draft: &mut Draft, by: &Author, reference: &ItemRef, issue: u64) -> Result<(u64, Option<u64>), Refusal> {
    let (id, n) = (EntityId::Pull(reference.n), reference.n);
    if let Some(done) = draft.done(by, &id) {
        return Ok((done.q, None));
    }
    may_accept(draft.snapshot(), reference, issue)?;
    let before = draft.snapshot().fold.votes.accepted(issue).cloned();
    if let Some(same) = before.as_ref().filter(|before| before.pull == n) {
        return Ok((same.q, None));
    }
    let recorded = draft.event(by, &id, PullAccepted { issue }, None, &[])?;
    Ok((recorded.q, before.map(|before| before.pull)))
}

/// Refuses what was given up, and what a contest has not compared.
pub(super) fn may_accept(snapshot: &Snapshot, reference: &ItemRef, issue: u64) -> Result<(), Refusal> {
    let (fold, project) = (&snapshot.fold, &reference.project);
    let refuse = |code, why: &str, next: String| Err(Refusal::new(code, format!("accept {reference}"), why, next));
    if fold.pull(reference.n).is_none_or(|pull| pull.status == PullStatus::Closed) {
        return refuse(Code::Stale, "it was given up", format!("details {project}/{issue}"));
    }
    let contest = fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(contest) = contest else { return Ok(()) };
    let board = format!("submission {project}/{issue}");
    if contest.stage != Stage::Ranked {
        let why = "its contest is not decided yet, and nothing is accepted before all were compared";
        return refuse(Code::Refused, why, board).map_err(|refusal: Refusal| refusal.by_rule("contest"));
    }
    let counted = fold.contests.of(issue).is_some_and(|c| c.places().iter().any(|p| p.pull == reference.n));
    if counted {
        return Ok(());
    }
    let why = "it is none of those that its contest compared";
    refuse(Code::Refused, why, board).map_err(|refusal: Refusal| refusal.by_rule("contest"))
}

/// How votes on a pull request stand, and what the caller said.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Standing {
    #[serde(flatten)]
    pub tally: Tally,
    /// What the caller said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yours: Option<&'static str>,
}

impl Standing {
    pub(super) fn of(context: &Context, project: &Project, n: u64) -> Standing {
        let fold = &project.snapshot.fold;
        let yours = context.actor.agent().map(|agent| fold.votes.of(&agent.name, n));
        let yours = yours.filter(|vote| *vote != Vote::None).map(Vote::as_str);
        Standing { tally: fold.tally(&context.root.fold, n), yours }
    }

    /// The line of a page; empty where nobody's vote counts.
    pub(super) fn line(&self) -> String {
        if self.tally.is_empty() {
            return String::new();
        }
        let yours = self.yours.map_or(String::new(), |vote| format!(" · yours: {vote}"));
        format!("votes {}{yours}\n", self.tally.words())
    }
}

/// ` · votes +2.5 (2 up, 1 down)`, for a line in a list; empty where nobody's vote counts.
pub(super) fn facet(context: &Context, project: &Snapshot, n: u64) -> String {
    let tally = project.fold.tally(&context.root.fold, n);
    if tally.is_empty() { String::new() } else { format!(" · votes {}", tally.words()) }
}

/// The accepted answer to an issue, or to the issue of a pull request that is that answer.
pub(super) fn accepted(project: &Project, reference: &ItemRef) -> Option<ItemRef> {
    let fold = &project.snapshot.fold;
    let accepted = match fold.pull(reference.n) {
        Some(_) => fold.is_accepted(reference.n),
        None => fold.votes.accepted(reference.n),
    }?;
    Some(ItemRef { project: reference.project.clone(), n: accepted.pull })
}
