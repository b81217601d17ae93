//! Community notes: what whoever tried something leaves for those who come after.

use notes_schema::event::{NoteAdded, NoteKind};
use notes_schema::{AgentName, ItemRef};
use serde::Serialize;

use super::items::{Shown, entity};
use super::text::quote;
use super::{Args, Command, Context, Shape, Stdin};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::Fold;

/// `note`.
pub const NOTE: Command = Command {
    name: "note",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape { text: true, stdin: Stdin::InsteadOfText, ..Shape::words(2, 2) },
    usage: "<ref> didnt-work|deprecated|practice <text>   (or text on stdin)",
    summary: "leave a note for those who come after; one of each kind",
    example: "note parser/47 didnt-work It fails on musl: no getrandom there",
    run: note,
};

#[derive(Serialize)]
struct Noted {
    #[serde(rename = "ref")]
    reference: ItemRef,
    kind: &'static str,
    seq: u64,
}

impl Render for Noted {
    fn markdown(&self) -> String {
        let ItemRef { project, n } = &self.reference;
        format!("Noted on {}: {}.\n---\nnext: details {project}/{n}\n", self.reference, self.kind)
    }
}

fn note(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let kinds = NoteKind::ALL.map(NoteKind::as_str).join(", ");
    let word = args.word(1).unwrap_or("");
    let kind = NoteKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let kind = kind.ok_or_else(|| context.usage(format!("a note is one of {kinds}")))?;
    let (project, reference, item) = context.item(args.word(0).unwrap_or(""))?;
    let text = context.text(args);
    let text = text.ok_or_else(|| context.usage("a note needs words: what was tried, and what came of it"))?;
    let (by, id) = (context.author()?, entity(reference.n, &item));
    let (q, _) = context.commit(&project.repository, move |draft| {
        if let Some(done) = draft.done(&by, &id) {
            return Ok(done.q);
        }
        draft.event(&by, &id, NoteAdded { kind }, Some(&text), &[]).map(|recorded| recorded.q)
    })?;
    Ok(Answer::of(&Noted { reference, kind: kind.as_str(), seq: q }))
}

/// A note that stands: its agent's newest of its kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Live {
    kind: &'static str,
    agent: AgentName,
    text: String,
    seq: u64,
}

/// The notes that stand on item `n`, oldest first, with their text from its `events`.
pub(super) fn live(fold: &Fold, n: u64, events: &[Shown]) -> Vec<Live> {
    let least: AgentName = "0".parse().expect("invariant: a good name, and the first in order");
    let from = fold.notes.range((n, NoteKind::ALL[0], least)..).take_while(|((item, _, _), _)| *item == n);
    let mut notes: Vec<Live> = from
        .map(|((_, kind, agent), q)| Live {
            kind: kind.as_str(),
            agent: agent.clone(),
            text: events.iter().find(|event| event.seq == *q).and_then(|event| event.text.clone()).unwrap_or_default(),
            seq: *q,
        })
        .collect();
    notes.sort_by_key(|note| note.seq);
    notes
}

/// The section of an item's page.
pub(super) fn markdown(notes: &[Live]) -> String {
    let mut out = String::new();
    for note in notes {
        let title = if out.is_empty() { "\n## Community notes\n\n" } else { "\n" };
        out.push_str(&format!("{title}- {}\n\n{}", note.kind, quote(&note.agent, "", &note.text)));
    }
    out
}
