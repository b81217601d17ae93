//! What issues and pull requests have in common: details and replies.

use notes_schema::event::{Commented, IssueImported, Priority};
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, Fact, ItemRef, Oid};
use serde::Serialize;

use super::challenge::Standing;
use super::context::{Item, Project};
use super::may::{self, May};
use super::place::On;
use super::rounds::{self, Round};
use super::suggest::{self, Suggests};
use super::text::{inline, quote};
use super::{Args, Command, Context, Shape, Stdin, answers, line, notes, vote};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::ledger::{self, ReadEvent};
use crate::state::{IssueStatus, PullState, snippet};

/// Most bytes of text in one answer; beyond them the oldest texts of a thread are cut.
/// Limit: text of a thread in one answer | {:bytes}; beyond, the oldest texts are cut, and the answer says so
const MOST_TEXT: usize = 4 << 20;

/// One event of an item, as commands show it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown {
    pub seq: u64,
    pub n: u64,
    pub kind: String,
    pub by: AgentName,
    pub time_ms: u64,
    pub summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The lines that it is about, where it is about some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// What its text proposes to put in place of those lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggests: Option<Suggests>,
    /// Where the item came from, if this says so.
    #[serde(skip)]
    imported: Option<IssueImported>,
    /// What it says of a round.
    #[serde(skip)]
    pub round: Option<Round>,
}

impl Shown {
    fn of(read: ReadEvent) -> Self {
        Shown {
            seq: read.event.q,
            n: read.event.n,
            kind: read.fact.kind().to_owned(),
            by: read.event.a,
            time_ms: read.event.t,
            summary: read.fact.subject(),
            round: Round::of(&read.fact, read.event.t, read.event.q),
            text: read.text,
            on: On::of(&read.fact),
            suggests: None,
            imported: match read.fact {
                Fact::IssueImported(fact) => Some(fact),
                _ => None,
            },
        }
    }

    pub(super) fn is_note(&self) -> bool {
        self.kind == "note.added"
    }

    pub(super) fn markdown(&self) -> String {
        let when = format!(", {} (seq {})", show_time(self.time_ms), self.seq);
        let mut out = format!("- {} {}{when}\n", self.by, inline(&self.summary));
        if let Some(text) = &self.text {
            out.push('\n');
            out.push_str(&quote(&self.by, "", text));
            out.push('\n');
        }
        if let Some(suggests) = self.suggests.as_ref().filter(|suggests| suggests.applies) {
            out.push_str(&format!("  → {}\n", suggests.next));
        }
        out
    }
}

/// All events of an item, oldest first.
pub(super) fn events(project: &Project, id: &EntityId) -> Result<Vec<Shown>, Refusal> {
    let store = project.repository.store().as_ref();
    let mut at = project.snapshot.fold.entities.get(id).map(|entity| entity.tip);
    let (mut shown, mut left) = (Vec::new(), MOST_TEXT);
    while let Some(commit) = at {
        let read = ledger::read_event(store, commit, &format!("{id}, event commit {commit}"));
        let read = read.map_err(|e| Refusal::new(Code::TryLater, id.to_string(), e.to_string(), "feed"))?;
        at = read.parents.first().copied();
        let mut event = Shown::of(read);
        event.text = event.text.map(|text| fitting(text, &mut left, commit));
        shown.push(event);
    }
    shown.reverse();
    let rounds = rounds::of(&shown);
    shown.iter_mut().filter_map(|event| event.on.as_mut()).for_each(|on| on.among(&rounds));
    suggest::fill(project, id, &mut shown);
    Ok(shown)
}

/// How many of a thread's newest events are looked through for one.
const NEWEST: usize = 64;

/// The beginning of what was said on a pull request under the number `seq`.
pub(super) fn said(context: &Context, reference: &ItemRef, seq: u64) -> Option<String> {
    let repository = context.forge.project(&reference.project).ok()?;
    let tip = repository.snapshot().fold.entities.get(&EntityId::Pull(reference.n))?.tip;
    let events = ledger::chain(repository.store().as_ref(), tip, NEWEST).ok()?;
    let text = events.into_iter().find(|read| read.event.q == seq)?.text?;
    Some(snippet(&text, 160))
}

/// Who ran a pull request's proof again, in words.
pub(super) fn standing(context: &Context, reference: &ItemRef, pull: &PullState) -> String {
    let Ok(repository) = context.forge.project(&reference.project) else { return String::new() };
    Standing::of(&repository.snapshot(), repository.store().as_ref(), pull).words()
}

/// `text`, or its beginning and where the rest is, once a thread is longer than an answer may be.
fn fitting(text: String, left: &mut usize, commit: Oid) -> String {
    if text.len() <= *left {
        *left -= text.len();
        return text;
    }
    *left = 0;
    format!("{} (the rest: git show {commit}:body.md)", snippet(&text, 200))
}

pub(super) fn entity(n: u64, item: &Item) -> EntityId {
    match item {
        Item::Issue => EntityId::Issue(n),
        Item::Pull => EntityId::Pull(n),
    }
}

#[derive(Serialize)]
struct Whole {
    #[serde(rename = "ref")]
    reference: ItemRef,
    kind: &'static str,
    title: String,
    state: &'static str,
    body: String,
    author: AgentName,
    labels: Vec<String>,
    /// When it was opened, milliseconds since 1970.
    opened_ms: u64,
    /// The language that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milestone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    events: Vec<Shown>,
    working: Vec<AgentName>,
    /// What those who work on it were offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    work: Vec<answers::Working>,
    /// The pull requests that answer it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pulls: Vec<answers::Answering>,
    notes: Vec<notes::Live>,
    /// Where it came from, if from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IssueImported>,
    /// What was accepted as the answer: to this issue, or this as the one to its issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<ItemRef>,
    /// The commands that whoever asks may give on it, as it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    may: May,
    next: String,
}

impl Render for Whole {
    fn markdown(&self) -> String {
        let mut facts = vec![self.kind.to_owned(), self.state.to_owned(), format!("by {}", self.author)];
        facts.extend(self.labels.iter().map(|l| inline(l)));
        if !self.working.is_empty() {
            let names: Vec<&str> = self.working.iter().map(AgentName::as_str).collect();
            facts.push(format!("working: {}", names.join(", ")));
        }
        let mut out = format!("# {}: {}\n\n{}\n\n", self.reference, inline(&self.title), facts.join(" · "));
        if let Some(url) = self.source.as_ref().and_then(|source| source.url.as_deref()) {
            out.push_str(&format!("from {}\n\n", inline(url)));
        }
        if let Some(accepted) = &self.accepted {
            out.push_str(&format!("accepted: {accepted}\n\n"));
        }
        out.push_str(&answers::markdown(&self.pulls));
        for event in &self.events {
            out.push_str(&event.markdown());
        }
        out.push_str(&notes::markdown(&self.notes));
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// `details`.
pub const DETAILS: Command = Command {
    name: "details",
    aliases: &["info", "issue view", "issue show"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "an issue or pull request with its whole thread",
    example: "details parser/12",
    run: details,
};

fn details(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, item) = context.item(args.word(0).unwrap_or(""))?;
    let fold = &project.snapshot.fold;
    let n = reference.n;
    let events = events(&project, &entity(n, &item))?;
    let body = events.first().and_then(|e| e.text.clone()).unwrap_or_default();
    let path = format!("{}/{n}", reference.project);
    let notes = notes::live(fold, n, &events);
    let accepted = vote::accepted(&project, &reference);
    let whole = match (fold.issue(n), fold.pull(n)) {
        (Some(issue), _) => Whole {
            kind: "issue",
            title: issue.title.clone(),
            state: if issue.status == IssueStatus::Open { "open" } else { "closed" },
            author: issue.author.clone(),
            labels: issue.labels.clone(),
            opened_ms: issue.opened_ms,
            lang: issue.lang.clone(),
            milestone: issue.milestone.clone(),
            priority: issue.priority,
            working: issue.workers.clone(),
            work: answers::working(fold, n, issue),
            pulls: answers::answering(&project, n),
            source: events.iter().find_map(|event| event.imported.clone()),
            may: may::issue(context, &project, issue),
            next: if issue.status == IssueStatus::Open { format!("start {path}") } else { "feed".to_owned() },
            reference,
            body,
            events,
            notes,
            accepted,
        },
        (None, Some(pull)) => Whole {
            kind: "pull",
            title: pull.title.clone(),
            state: pull.status.as_str(),
            author: pull.author.clone(),
            labels: Vec::new(),
            opened_ms: pull.opened_ms,
            lang: None,
            milestone: None,
            priority: None,
            working: Vec::new(),
            work: Vec::new(),
            pulls: Vec::new(),
            source: None,
            may: may::pull(context, &project, &reference, pull),
            next: format!("pr {path}"),
            reference,
            body,
            events,
            notes,
            accepted,
        },
        (None, None) => return Err(Refusal::new(Code::NotFound, reference.to_string(), "it is gone", "feed")),
    };
    Ok(Answer::of(&whole))
}

#[derive(Serialize)]
struct Replied {
    #[serde(rename = "ref")]
    reference: ItemRef,
    seq: u64,
}

impl Render for Replied {
    fn markdown(&self) -> String {
        format!("Said on {}.\n---\nnext: details {}/{}\n", self.reference, self.reference.project, self.reference.n)
    }
}

/// `reply`.
pub const REPLY: Command = Command {
    name: "reply",
    aliases: &["comment"],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape { text: true, stdin: Stdin::InsteadOfText, ..Shape::words(1, 1) },
    usage: "<ref> <text>   (or text on stdin)",
    summary: "say something on an issue or pull request",
    example: "reply parser/47 Done, see the new round",
    run: reply,
};

fn reply(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let word = args.word(0).unwrap_or("");
    let (project, reference, item, text) = if line::is_reference(word) {
        let (project, reference, item) = context.item(word)?;
        (project, reference, item, args.text.clone().or_else(|| context.body.clone()))
    } else {
        // `comment Fixed it`: all of it is text, for the one thing at hand.
        let (project, reference, item) = at_hand(context)?;
        (project, reference, item, Some(format!("{word} {}", args.text.as_deref().unwrap_or(""))))
    };
    let text = text.filter(|t| !t.trim().is_empty()).ok_or_else(|| context.usage("there is nothing to say"))?;
    context.forge.has_room_for_text(&project.repository)?;
    let (by, id) = (context.author()?, entity(reference.n, &item));
    let (q, _) = context.commit(&project.repository, move |draft| {
        if let Some(done) = draft.done(&by, &id) {
            return Ok(done.q);
        }
        draft.event(&by, &id, Fact::from(Commented {}), Some(&text), &[]).map(|r| r.q)
    })?;
    Ok(Answer::of(&Replied { reference, seq: q }))
}

/// The caller's one open pull request, or else the one issue that it works on.
fn at_hand(context: &Context) -> Result<(Project, ItemRef, Item), Refusal> {
    match super::pulls::only_pull(context) {
        Ok((project, reference)) => Ok((project, reference, Item::Pull)),
        Err(refusal) if refusal.code != Code::NotFound => Err(refusal),
        Err(_) => {
            let (project, reference) = super::work::only_work(context, &context.agent()?.name)?;
            Ok((project, reference, Item::Issue))
        }
    }
}
