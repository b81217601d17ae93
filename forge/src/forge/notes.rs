//! Notes on commits, for people who read `git log --notes=forge/traces`: derived from events, coalesced, rebuilt from
//! where the notes themselves say they are.

use std::ops::Bound;
use std::sync::Arc;

use notes_schema::event::Proof;
use notes_schema::{Fact, Oid, RefName, refs};

use super::Forge;
use crate::answer::{Code, Refusal};
use crate::ledger::{self, Draft, Repository, fanout};
use git::object::{Kind, NewCommit, Object};
use git::store::Objects as _;

/// What one event adds to the notes.
struct Note {
    list: &'static str,
    commit: Oid,
    text: String,
}

/// The trailer of a notes commit that says up to which batch it reflects the events.
const REFLECTS: &str = "Forge-Ledger: ";
/// Most batches that one round looks at, so that the first one after a long time stays short.
/// Limit: batches that one round of writing notes looks at | {}; the others are for the next
const MOST_BATCHES: u64 = 2000;

impl Forge {
    /// Writes the notes that are missing, if any. Blocks.
    pub(super) fn write_notes(&self, repository: &Arc<Repository>) -> Result<(), Refusal> {
        let snapshot = repository.snapshot();
        if repository.name().is_forge() || repository.is_closed() {
            return Ok(());
        }
        // What there is to note is about pull requests; without any, nothing is read.
        if !snapshot.fold.has_pulls() {
            return Ok(());
        }
        let known = self.notes.lock().expect("invariant: no panic under this lock").get(repository.name()).copied();
        let from = match known {
            Some(number) => number,
            None => reflected(repository).map_err(unreadable)?,
        };
        if from >= snapshot.number {
            return Ok(());
        }
        let upto = snapshot.number.min(from + MOST_BATCHES);
        let notes = missing(repository, from, upto).map_err(unreadable)?;
        if !notes.is_empty() {
            let store = repository.store().clone();
            repository.commit(move |draft| add(draft, &store, notes, upto))?;
        }
        self.notes.lock().expect("invariant: no panic under this lock").insert(repository.name().clone(), upto);
        Ok(())
    }
}

fn unreadable(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::TryLater, "notes", error.to_string(), "feed")
}

fn list(name: &'static str) -> RefName {
    name.parse().expect("invariant: a good name")
}

/// The newest batch that the notes on disk reflect.
fn reflected(repository: &Repository) -> Result<u64, git::store::ReadError> {
    let snapshot = repository.snapshot();
    let mut newest = 0;
    for name in [refs::TRACE_NOTES, refs::REVIEW_NOTES] {
        let Some(tip) = snapshot.ref_id(&list(name)) else { continue };
        let message = repository.store().commit(tip)?.message;
        let number = message.lines().find_map(|l| l.strip_prefix(REFLECTS)).and_then(|n| n.trim().parse().ok());
        newest = newest.max(number.unwrap_or(0));
    }
    Ok(newest)
}

/// What the batches after `from` up to `upto` add.
fn missing(repository: &Repository, from: u64, upto: u64) -> Result<Vec<Note>, ledger::ReplayError> {
    let store = repository.store().as_ref();
    let mut at = repository.snapshot().tip;
    let mut batches = Vec::new();
    while let Some(commit) = at {
        let read = ledger::read_batch(store, commit)?;
        if read.batch.n <= from {
            break;
        }
        at = (read.batch.n > 1).then(|| read.parents.first().copied()).flatten();
        if read.batch.n <= upto {
            batches.push(read);
        }
    }
    let months = Months::of(repository);
    let mut notes = Vec::new();
    for line in batches.iter().rev().flat_map(|read| &read.batch.events) {
        let event = ledger::read_event(store, line.c, &line.e)?;
        notes.extend(note(&line.e, &event, &months));
    }
    Ok(notes)
}

/// Where records are kept, and whose they are.
struct Months<'a> {
    repository: &'a Repository,
    snapshot: Arc<ledger::Snapshot>,
    /// The months that there are, newest first, with their tips.
    tips: Vec<(RefName, Oid)>,
}

impl<'a> Months<'a> {
    fn of(repository: &'a Repository) -> Self {
        let snapshot = repository.snapshot();
        let from = snapshot.refs.range::<_, str>((Bound::Included(refs::TRACES_PREFIX), Bound::Unbounded));
        let there = from.take_while(|(name, _)| name.as_str().starts_with(refs::TRACES_PREFIX));
        let mut tips: Vec<(RefName, Oid)> = there.map(|(name, value)| (name.clone(), value.id)).collect();
        tips.reverse();
        Months { repository, snapshot, tips }
    }

    /// The two lines that say what proves a commit: they name the agent that recorded it.
    fn shown(&self, entity: &str, proof: &Proof) -> Option<String> {
        let record = proof.record?;
        let by = &self.snapshot.records.get(&record)?.agent;
        let tests =
            proof.tests.as_ref().map_or(String::new(), |t| format!(", {} passed, {} failed", t.passed, t.failed));
        let key = record.to_string();
        let store = self.repository.store().as_ref();
        let holds = |(_, tip): &&(RefName, Oid)| fanout::find(store, *tip, &key).is_ok_and(|found| found.is_some());
        let month = self.tips.iter().find(holds).map_or(String::new(), |(name, _)| format!(" in {name}"));
        let command = crate::state::snippet(&proof.command, 200);
        Some(format!("proof {} by {by}: `{command}`{tests} ({entity})\nrecord {record}{month}\n", proof.level))
    }
}

/// What a review adds to the notes on its commit; `None` of any other event.
pub(super) fn review_line(entity: &str, read: &ledger::ReadEvent) -> Option<String> {
    let Fact::Reviewed(fact) = &read.fact else { return None };
    let said = read.text.as_deref().map_or(String::new(), |t| format!(": {}", crate::state::snippet(t, 400)));
    Some(format!("{} {} ({entity}){said}\n", read.event.a, fact.verdict.past()))
}

fn note(entity: &str, read: &ledger::ReadEvent, months: &Months<'_>) -> Option<Note> {
    let by = &read.event.a;
    let proof = |commit: Oid, proof: &Proof| {
        months.shown(entity, proof).map(|text| Note { list: refs::TRACE_NOTES, commit, text })
    };
    match &read.fact {
        Fact::PullOpened(fact) => proof(fact.head, &fact.proof),
        Fact::PullRound(fact) => proof(fact.head, &fact.proof),
        Fact::PullMerged(fact) => {
            let mut text = format!("landed by {by} as {} of {entity}, head {}\n", fact.strategy, fact.head);
            // The landed tree is the proven one, or has a proof of its own; else nothing is claimed.
            match fact.proof.as_ref().and_then(|proof| months.shown(entity, proof)) {
                Some(proof) => text.push_str(&proof),
                None => text.push_str("proof P0: no run of the tree that landed was recorded\n"),
            }
            if let Some(policy) = fact.policy {
                text.push_str(&format!("policy {policy}\n"));
            }
            Some(Note { list: refs::TRACE_NOTES, commit: fact.landed, text })
        }
        Fact::Reviewed(fact) => {
            Some(Note { list: refs::REVIEW_NOTES, commit: fact.head, text: review_line(entity, read)? })
        }
        Fact::PullChallenged(fact) => {
            let text = format!(
                "{} by {by}, who ran it again ({entity}), proof {}\nrecord {}\n",
                fact.outcome.past(),
                fact.level,
                fact.record
            );
            Some(Note { list: refs::TRACE_NOTES, commit: fact.head, text })
        }
        _ => None,
    }
}

/// Appends to each list's tree in one event-less batch.
fn add(draft: &mut Draft, store: &git::store::Store, notes: Vec<Note>, upto: u64) -> Result<(), Refusal> {
    for name in [refs::TRACE_NOTES, refs::REVIEW_NOTES] {
        let mut texts: Vec<(Oid, String)> = Vec::new();
        for note in notes.iter().filter(|n| n.list == name) {
            match texts.iter_mut().find(|(commit, _)| *commit == note.commit) {
                Some((_, text)) => text.push_str(&note.text),
                None => texts.push((note.commit, note.text.clone())),
            }
        }
        if texts.is_empty() {
            continue;
        }
        let name = list(name);
        let before = draft.snapshot().ref_id(&name);
        let mut files = Vec::new();
        for (commit, text) in texts {
            let text = earlier(store, before, commit)? + &text;
            files.push((commit.to_string(), draft.object(Object::new(Kind::Blob, text.into_bytes()))?));
        }
        let change = fanout::add(store, before, files).map_err(unreadable)?;
        for (id, object) in change.objects {
            draft.known_object(id, object);
        }
        let forge = ledger::draft::signature_of(&notes_schema::AgentName::forge(), draft.now());
        let commit = NewCommit {
            tree: change.tree,
            parents: before.into_iter().collect(),
            author: forge.clone(),
            committer: forge,
            message: format!("Notes up to batch {upto}\n\n{REFLECTS}{upto}\n"),
        };
        let tip = draft.object(commit.encode(None))?;
        draft.remark(format!("notes: {}", name.as_str().trim_start_matches(refs::NOTES_PREFIX)));
        draft.set_ref(&name, before, Some(tip), None, None)?;
    }
    Ok(())
}

/// The note that a commit has already.
fn earlier(store: &git::store::Store, tip: Option<Oid>, commit: Oid) -> Result<String, Refusal> {
    let Some(tip) = tip else { return Ok(String::new()) };
    let Some(blob) = fanout::find(store, tip, &commit.to_string()).map_err(unreadable)? else {
        return Ok(String::new());
    };
    let object = store.get(blob).map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&object.data).into_owned())
}
