//! `apply`: what a reviewer suggested becomes a commit of its author on the branch of the pull request.
//!
//! Invariant: the branch moves as by a push of whoever asks: the same rules judge it, and it opens the same round. What was
//! suggested is applied to the lines that it was said of, or not at all.

use notes_schema::names::parse_number;
use notes_schema::{EntityId, Fact, ItemRef, Oid, suggestion};
use serde::Serialize;

use super::context::Project;
use super::gate::{GateLine, gate_markdown, gate_of, next_for};
use super::place::{On, Side};
use super::suggest::{self, Unfit};
use super::{Args, Command, Context, Shape};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::forge::{Moved, advance};
use crate::gate;
use crate::ledger::draft::signature_of;
use crate::ledger::{self, ReadEvent};
use crate::state::{PullState, PullStatus};
use git::apply::{Applied, ApplyError};
use git::object::{Kind, NewCommit};
use git::store::{Objects as _, ReadError};

/// Most bytes that are read and hashed for one.
/// Limit: bytes read and hashed to apply a suggestion | {:bytes}
const ROOM: u64 = 64 << 20;

#[derive(Serialize)]
struct Done {
    #[serde(rename = "ref")]
    reference: ItemRef,
    /// The comment that was applied.
    comment: u64,
    branch: String,
    /// The head that it made.
    head: Oid,
    round: u64,
    proof: String,
    proof_means: &'static str,
    gate: Vec<GateLine>,
    seq: u64,
    next: String,
}

impl Render for Done {
    fn markdown(&self) -> String {
        format!(
            "# {}: suggestion {} applied\n\nround {} · head `{}` · proof {} ({})\nThe head is another one, and needs a run of \
             its own: `git pull --ff-only origin {}`, run it, `git push`.\n\n## Gate\n\n{}---\nnext: {}\n",
            self.reference,
            self.comment,
            self.round,
            self.head.short(),
            self.proof,
            self.proof_means,
            self.branch,
            gate_markdown(&self.gate),
            self.next
        )
    }
}

/// `apply`.
pub const APPLY: Command = Command {
    name: "apply",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Owner,
    shape: Shape::words(2, 2),
    usage: "<ref> <comment>",
    summary: "make what a comment on lines of your pull request suggests a commit of its branch",
    example: "apply parser/47 1203",
    run: apply,
};

fn apply(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let seq = args.word(1).and_then(parse_number);
    let seq =
        seq.ok_or_else(|| context.usage("a comment is named by its number: the seq that `pr` shows beside it"))?;
    let pull = authors_own(context, &project, &reference)?;
    let (read, on) = comment(&project, &reference, seq)?;
    let made = change(&project, &reference, pull, (&read, &on))?;
    let by = context.agent()?.clone();
    let (root, store) = (context.root.clone(), project.repository.store().clone());
    let (name, expected) = (reference.clone(), pull.head);
    let suggester = signature_of(&read.event.a, 0);
    let message = format!(
        "Apply a suggestion to {}\n\nSuggested by {} on {reference} (seq {seq}).\n\nCo-authored-by: {} <{}>\n",
        on.path, read.event.a, suggester.name, suggester.email
    );
    let (head, after) = context.commit(&project.repository, move |draft| {
        let snapshot = draft.snapshot().clone();
        let pull = snapshot.fold.pull(name.n).filter(|pull| pull.status == PullStatus::Open);
        let pull = pull.filter(|pull| pull.head == expected).ok_or_else(|| moved(&name, seq))?;
        let files = made.made.iter().filter(|(_, object)| object.kind == Kind::Blob).map(|(id, _)| *id).collect();
        for (id, object) in made.made {
            draft.known_object(id, object);
        }
        let commit = NewCommit {
            tree: made.tree,
            parents: vec![pull.head],
            author: signature_of(&by.name, draft.now()),
            committer: signature_of(&notes_schema::AgentName::forge(), draft.now()),
            message,
        };
        let head = draft.object(commit.encode(None))?;
        advance(draft, &root, &store, &by, &Moved { name: &pull.branch, old: pull.head, new: head, files })?;
        Ok(head)
    })?;
    let project = Project { repository: project.repository, snapshot: after };
    let pull = project.snapshot.fold.pull(reference.n).ok_or_else(|| moved(&reference, seq))?;
    let gate = gate_of(context, &project, reference.n, pull)?.lines;
    Ok(Answer::of(&Done {
        comment: seq,
        branch: pull.branch.short().to_owned(),
        head,
        round: pull.round,
        proof: pull.proof.level.to_string(),
        proof_means: gate::means(pull.proof.level),
        seq: pull.last_q,
        next: next_for(context, reference.project.as_str(), reference.n, pull, &gate, false),
        gate,
        reference,
    }))
}

/// The open pull request, whose branch belongs to whoever asks.
fn authors_own<'p>(context: &Context, project: &'p Project, reference: &ItemRef) -> Result<&'p PullState, Refusal> {
    let (path, shown) = (format!("{}/{}", reference.project, reference.n), reference.to_string());
    let pull = project.snapshot.fold.pull(reference.n);
    let pull = pull.ok_or_else(|| Refusal::new(Code::NotFound, &shown, "it is an issue", format!("details {path}")))?;
    let own = project.snapshot.owners.get(&pull.branch) == Some(&context.agent()?.name);
    if !authority::stands(APPLY.of, Ties { own, ..Ties::default() }) {
        let why = format!("only {}, to whom {} belongs, changes it", pull.author, pull.branch.short());
        return Err(Refusal::new(Code::NotAllowed, format!("apply {shown}"), why, format!("pr {path}")));
    }
    if pull.status != PullStatus::Open {
        let why = format!("it is {} already", pull.status.as_str());
        return Err(Refusal::new(Code::Stale, shown, why, "feed"));
    }
    Ok(pull)
}

/// What was said under that number, and of which lines.
fn comment(project: &Project, reference: &ItemRef, seq: u64) -> Result<(ReadEvent, On), Refusal> {
    let id = EntityId::Pull(reference.n);
    let next = format!("pr {}/{}", reference.project, reference.n);
    let what = format!("comment {seq} of {reference}");
    let store = project.repository.store().as_ref();
    let mut at = project.snapshot.fold.entities.get(&id).map(|entity| entity.tip);
    while let Some(commit) = at {
        let read = ledger::read_event(store, commit, &format!("{id}, event commit {commit}"));
        let read = read.map_err(|e| Refusal::new(Code::TryLater, id.to_string(), e.to_string(), "feed"))?;
        if read.event.q == seq {
            let on =
                of_lines(&read.fact).filter(|_| read.text.as_deref().is_some_and(|text| suggestion(text).is_some()));
            let why = "it suggests nothing: that is a ```suggestion block in a comment on lines of the head";
            let on = on.ok_or_else(|| Refusal::new(Code::Refused, &what, why, &next))?;
            return Ok((read, on));
        }
        // Numbers only grow along a thread.
        at = read.parents.first().copied().filter(|_| read.event.q > seq);
    }
    Err(Refusal::new(Code::NotFound, what, "nothing was said there under that number", next))
}

fn of_lines(fact: &Fact) -> Option<On> {
    On::of(fact).filter(|on| on.side == Side::New)
}

/// The tree that applying it makes of the head's.
fn change(
    project: &Project,
    reference: &ItemRef,
    pull: &PullState,
    (read, on): (&ReadEvent, &On),
) -> Result<Applied, Refusal> {
    let store = project.repository.store().as_ref();
    let path = format!("{}/{}", reference.project, reference.n);
    let what = format!("suggestion {} on {}:{}", read.event.q, on.path, on.line);
    let later = |e: ReadError| Refusal::new(Code::TryLater, &what, e.to_string(), format!("pr {path}"));
    let proposed = read.text.as_deref().and_then(suggestion).map(|found| found.lines).unwrap_or_default();
    let content = suggest::applied(store, on, pull.head, &proposed).map_err(|unfit| match unfit {
        Unfit::Read(error) => later(error),
        Unfit::NoFile(_) | Unfit::Changed | Unfit::Same => {
            let why = format!("{unfit}: the head is {} now, and it was said of {}", pull.head.short(), on.head.short());
            Refusal::new(Code::Stale, &what, why, format!("pr {path} --diff"))
        }
        Unfit::TooLarge => Refusal::new(Code::Refused, &what, unfit.to_string(), format!("pr {path}")),
    })?;
    let tree = store.commit(pull.head).map_err(later)?.tree;
    git::apply::put(store, tree, on.path.as_bytes(), content, &mut { ROOM }).map_err(|error| match error {
        ApplyError::Read(error) => later(error),
        error => Refusal::new(Code::Refused, &what, error.to_string(), format!("pr {path}")),
    })
}

fn moved(reference: &ItemRef, seq: u64) -> Refusal {
    let next = format!("apply {}/{} {seq}", reference.project, reference.n);
    Refusal::new(Code::Stale, reference.to_string(), "its head moved meanwhile", next)
}
