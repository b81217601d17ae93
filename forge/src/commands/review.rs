//! Verdicts.

use notes_schema::event::{Place, Reviewed, Verdict};
use notes_schema::{EntityId, ItemRef, Oid};
use serde::Serialize;

use super::context::Project;
use super::pulls::{gate_of, still_at};
use super::{Args, Command, Context, Shape, Stdin, Takes, place};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::ledger::{Author, Draft};
use crate::state::PullStatus;

#[derive(Serialize)]
struct Given {
    #[serde(rename = "ref")]
    reference: ItemRef,
    verdict: &'static str,
    head: Oid,
    seq: u64,
    next: String,
}

impl Render for Given {
    fn markdown(&self) -> String {
        format!("{} on {} at {}.\n---\nnext: {}\n", self.verdict, self.reference, self.head.short(), self.next)
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
    let ((head, q), snapshot) = context
        .commit(&project.repository, move |draft| give(draft, &by, &name, (verdict, at), text.as_deref(), &expected))?;
    let next = match verdict {
        Verdict::Approve => after_approval(context, &Project { snapshot, ..project }, n),
        Verdict::RequestChanges | Verdict::Comment => "feed --wait".to_owned(),
    };
    Ok(Answer::of(&Given { reference, verdict: verdict.as_str(), head, seq: q, next }))
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

fn give(
    draft: &mut Draft,
    by: &Author,
    reference: &ItemRef,
    (verdict, at): (Verdict, Option<Place>),
    text: Option<&str>,
    expected: &[String],
) -> Result<(Oid, u64), Refusal> {
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
        return Ok((head, done.q));
    }
    let recorded = draft.event(by, &EntityId::Pull(reference.n), Reviewed { verdict, head, at }, text, &[])?;
    Ok((head, recorded.q))
}
