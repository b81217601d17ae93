//! Verdicts.

use notes_schema::event::{Place, Reviewed, Verdict};
use notes_schema::{EntityId, ItemRef, Oid, Sha256};
use serde::Serialize;

use super::context::Project;
use super::gate::{gate_of, still_at};
use super::merge::{self, Rated};
use super::{Args, Command, Context, Shape, Stdin, Takes, place};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::PullStatus;

#[derive(Serialize)]
struct Given {
    #[serde(rename = "ref")]
    reference: ItemRef,
    verdict: &'static str,
    head: Oid,
    /// What it moved, where it says that what was asked for before was addressed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ratings: Vec<Rated>,
    seq: u64,
    next: String,
}

impl Render for Given {
    fn markdown(&self) -> String {
        let rated: String = self.ratings.iter().map(Rated::line).collect();
        format!("{} on {} at {}.\n{rated}---\nnext: {}\n", self.verdict, self.reference, self.head.short(), self.next)
    }
}

fn verdict(word: &str) -> Option<Verdict> {
    Some(match word {
        "approve" | "approved" | "lgtm" => Verdict::Approve,
        "request-changes" | "reject" | "changes" => Verdict::RequestChanges,
        "comment" => Verdict::Comment,
        _ => return None,
    })
}

/// `review`.
pub const REVIEW: Command = Command {
    name: "review",
    aliases: &["lgtm", "approve"],
    needs: Needs::Agent,
    of: Of::Others,
    shape: {
        // `review approve 7` and `review 7 approve`; in `lgtm 7 nice` the second word begins the text.
        Shape { text: true, stdin: Stdin::Dash, ..Shape::words(1, 2) }.flags(&[("at", Takes::Word)])
    },
    usage: "approve|request-changes|comment <ref> [--at PATH:LINE|PATH:FROM-TO|PATH:-REMOVED] [text]   (or - for text on stdin)",
    summary: "give a verdict on a pull request's head, or on lines of it; a ```suggestion block there can be applied",
    example: "review approve parser/47 reads well",
    run: review,
};

fn review(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (verdict, word, text) = spelled(context, args)?;
    let (project, reference, _) = context.item(&word)?;
    let n = reference.n;
    let by = context.author()?;
    let text = text.or_else(|| context.body.clone()).filter(|t| !t.trim().is_empty());
    if verdict != Verdict::Approve && text.is_none() {
        return Err(context.usage(format!("{} needs words that say why", verdict.as_str())));
    }
    // Before a line is looked up in a head that the reviewer has not seen.
    if let Some(pull) = project.snapshot.fold.pull(n).filter(|pull| pull.status == PullStatus::Open) {
        still_at(pull, &reference, context.if_match.as_slice())?;
    }
    let at = args.value("at").map(|word| place::named(context, &project, n, word)).transpose()?;
    // A line is one of the head that it was looked up in.
    let looked_at = at.as_ref().and_then(|_| project.snapshot.fold.pull(n)).map(|pull| pull.head.to_string());
    let expected: Vec<String> = context.if_match.clone().into_iter().chain(looked_at).collect();
    let name = reference.clone();
    let (done, snapshot) = context
        .commit(&project.repository, move |draft| give(draft, &by, &name, (verdict, at), text.as_deref(), &expected))?;
    let Done { head, q, digest } = done;
    let ratings = match digest {
        Some(digest) => rated(context, &project, &snapshot, &reference, &digest)?,
        None => Vec::new(),
    };
    let next = match verdict {
        Verdict::Approve => after_approval(context, &Project { snapshot, ..project }, n),
        Verdict::RequestChanges | Verdict::Comment => "feed --wait".to_owned(),
    };
    Ok(Answer::of(&Given { reference, verdict: verdict.as_str(), head, ratings, seq: q, next }))
}

/// Settles what the event with this digest judged, and says what that moved.
fn rated(
    context: &Context,
    project: &Project,
    snapshot: &Snapshot,
    reference: &ItemRef,
    digest: &Sha256,
) -> Result<Vec<Rated>, Refusal> {
    if snapshot.fold.reviews.judged_by(reference.n, digest).next().is_none() {
        return Ok(Vec::new());
    }
    context.forge.settle(&project.repository).map_err(|refusal| {
        let why = format!("the verdict stands, but the rating of the one before waits: {}", refusal.why);
        let next = format!("pr {}/{}", reference.project, reference.n);
        Refusal { what: format!("review {reference}"), why, next, ..refusal }
    })?;
    let Some(pull) = snapshot.fold.pull(reference.n) else { return Ok(Vec::new()) };
    let root = context.forge.root();
    Ok(merge::rated(&snapshot.fold, &root.fold, (reference.n, pull), digest))
}

/// Whoever approved merges where nothing else is missing, or runs the proof again where it shows too little. All else is for
/// others to do.
fn after_approval(context: &Context, project: &Project, n: u64) -> String {
    let path = format!("{}/{n}", project.repository.name());
    // The review is written: what cannot be looked up now is no reason to refuse it.
    let gate = project.snapshot.fold.pull(n).and_then(|pull| gate_of(context, project, n, pull).ok());
    let Some(gate) = gate else { return format!("pr {path}") };
    match gate.lines.into_iter().find(|line| !line.ok) {
        None => format!("merge {path}"),
        Some(line) if line.rule == "level" && line.next.starts_with("challenge ") => line.next,
        Some(_) => "feed --wait".to_owned(),
    }
}

/// Verdict, reference and text, in whichever order they came.
fn spelled(context: &Context, args: &Args) -> Result<(Verdict, String, Option<String>), Refusal> {
    let (first, second) = (args.word(0).unwrap_or(""), args.word(1));
    if context.named_as(&["lgtm", "approve"]) {
        let words: Vec<&str> = second.into_iter().chain(args.text.as_deref()).collect();
        return Ok((Verdict::Approve, first.to_owned(), Some(words.join(" "))));
    }
    match (verdict(first), second.and_then(verdict), second) {
        (Some(found), _, Some(reference)) => Ok((found, reference.to_owned(), args.text.clone())),
        (Some(_), _, None) => Err(context.usage("it needs the pull request, for example parser/47")),
        (None, Some(found), _) => Ok((found, first.to_owned(), args.text.clone())),
        (None, None, _) => Err(context.usage("a verdict is approve, request-changes or comment")),
    }
}

/// What was given.
struct Done {
    head: Oid,
    q: u64,
    /// Of its event; none where it was given before.
    digest: Option<Sha256>,
}

fn give(
    draft: &mut Draft,
    by: &Author,
    reference: &ItemRef,
    (verdict, at): (Verdict, Option<Place>),
    text: Option<&str>,
    expected: &[String],
) -> Result<Done, Refusal> {
    let (path, shown) = (format!("{}/{}", reference.project, reference.n), reference.to_string());
    let pull = draft.snapshot().fold.pull(reference.n);
    let pull = pull.ok_or_else(|| Refusal::new(Code::NotFound, &shown, "it is an issue", format!("details {path}")))?;
    if pull.status != PullStatus::Open {
        return Err(Refusal::new(Code::Stale, shown, format!("it is {} already", pull.status.as_str()), "feed"));
    }
    let own = pull.author == by.agent;
    if verdict != Verdict::Comment && !authority::stands(REVIEW.of, Ties { own, ..Ties::default() }) {
        let why = "nobody reviews their own work; another agent must";
        return Err(Refusal::new(Code::NotAllowed, format!("review {shown}"), why, "feed --wait"));
    }
    still_at(pull, reference, expected)?;
    let head = pull.head;
    if let Some(done) = draft.done(by, &EntityId::Pull(reference.n)) {
        return Ok(Done { head, q: done.q, digest: None });
    }
    let recorded = draft.event(by, &EntityId::Pull(reference.n), Reviewed { verdict, head, at }, text, &[])?;
    draft.outbox_of_judged(&recorded);
    Ok(Done { head, q: recorded.q, digest: Some(recorded.digest) })
}
