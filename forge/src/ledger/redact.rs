//! Taking out of a ledger again what people wrote in some of its events.
//!
//! A ledger is a chain of digests, so nothing goes out of its midst: from the first batch that is touched on it is written
//! anew, under the epoch that the redaction opens. Each redacted event becomes what [`notes_schema::Event::redacted`] leaves
//! of it and keeps its place and its digest, by which all others know it. Kept events stay as they are, byte for byte; their
//! commits are others, and `state` where a title stood in it. Numbers, times, pushes and what refs of code name are the same.
//!
//! Invariant: the repository is read alone. What is made of it is a new one beside, whole, checked as `forge verify` checks
//! it, and without an object that only the old ledger reached.

mod build;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use notes_schema::batch::EventLine;
use notes_schema::event::{ProjectRedacted, RedactedEvent};
use notes_schema::{EntityId, Oid, RefName, Sha256, refs};

use super::replay::{self, ReadEvent, ReplayError};
use super::snapshot::Snapshot;
use super::verify::take_batch;
use super::{Signer, recover};
use git::object::{Kind, Mode, Object};
use git::store::{Objects, Over, ReadError, Store};
use writer::Writer;

/// Why nothing is redacted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedactError {
    /// An event that is not there.
    #[error("{0} has no event {1}")]
    NoEvent(EntityId, u64),
    /// An event of which nothing is left to take out.
    #[error("{0} event {1} is redacted already")]
    Redacted(EntityId, u64),
    /// An event whose fields this program does not know.
    #[error("{0} event {1} is of a kind that this program does not know, so it cannot tell what in it is text")]
    Unknown(EntityId, u64),
    /// Somebody put the old ledger under a ref of their own.
    #[error("{name} reaches {what}, so it would still be served: delete that ref first")]
    Reached {
        /// The ref.
        name: RefName,
        /// What it reaches.
        what: String,
    },
    /// What came out is not what went in but for the text.
    #[error("nothing was changed: the ledger written anew would differ in {0}")]
    Differs(&'static str),
    /// The ledger does not hold.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An object is missing or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no repository.
    #[error(transparent)]
    Store(#[from] git::store::OpenError),
}

/// An event that is to be redacted.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its entity.
    pub entity: EntityId,
    /// Its number there.
    pub n: u64,
    /// The event.
    pub read: ReadEvent,
}

/// What is to be redacted, found in a ledger that holds.
pub(crate) struct Plan {
    /// The events, in the order of the ledger.
    pub events: Vec<Found>,
    /// The project before the first batch that is touched.
    before: Snapshot,
    /// Ledger commits from there on.
    commits: Vec<Oid>,
    /// The project as it is.
    after: Snapshot,
}

/// A ledger written anew, not yet on disk.
pub(crate) struct Rewritten {
    /// What `forge.git` is to declare.
    pub fact: ProjectRedacted,
    /// The project as it will be.
    pub snapshot: Snapshot,
    /// Ledger commits from `fact.from` on.
    pub commits: Vec<Oid>,
    /// Where text of a redacted event stands again in an object that stays, in words.
    pub still: Vec<String>,
    made: Vec<(Oid, Object)>,
    /// What the repository will reach, as far as it is here.
    kept: HashSet<Oid>,
    dropped: HashSet<Oid>,
}

/// Looks the events up that `wanted` names, and checks the whole ledger on the way: what does not hold must not be signed
/// anew.
pub(crate) fn plan(
    snapshot: &Snapshot,
    store: &Store,
    authority: &Snapshot,
    wanted: &BTreeSet<(EntityId, u64)>,
) -> Result<Plan, RedactError> {
    let mut now = Snapshot::empty(snapshot.project.clone());
    let mut plan = Plan { events: Vec::new(), before: now.clone(), commits: Vec::new(), after: now.clone() };
    for commit in
        snapshot.tip.map_or(Ok(Vec::new()), |tip| Ok::<_, ReplayError>(replay::first_parents(store, tip, None)?.0))?
    {
        let read = replay::read_batch(store, commit)?;
        let before = now.clone();
        take_batch(&mut now, store, &read, Some(authority), &mut |_, _| {})?;
        let mut numbers: BTreeMap<EntityId, u64> = BTreeMap::new();
        for line in &read.batch.events {
            let entity = entity_of(line)?;
            let known = before.fold.entities.get(&entity).map_or(0, |known| known.n);
            let n = *numbers.entry(entity.clone()).and_modify(|n| *n += 1).or_insert(known + 1);
            if wanted.contains(&(entity.clone(), n)) {
                let event = replay::read_event(store, line.c, &line.e)?;
                plan.events.push(checked(Found { entity, n, read: event })?);
            }
        }
        if plan.commits.is_empty() {
            plan.before = before;
        }
        if !plan.events.is_empty() {
            plan.commits.push(commit);
        }
    }
    plan.after = now;
    let missing = wanted.iter().find(|(id, n)| !plan.events.iter().any(|found| found.entity == *id && found.n == *n));
    missing.map_or(Ok(plan), |(id, n)| Err(RedactError::NoEvent(id.clone(), *n)))
}

fn checked(found: Found) -> Result<Found, RedactError> {
    let Found { entity, n, read, .. } = &found;
    if read.left.is_some() {
        return Err(RedactError::Redacted(entity.clone(), *n));
    }
    if read.event.redacted(read.digest, "").is_none() {
        return Err(RedactError::Unknown(entity.clone(), *n));
    }
    Ok(found)
}

fn entity_of(line: &EventLine) -> Result<EntityId, ReplayError> {
    line.e.parse().map_err(|_| ReplayError::broken("a batch", format!("{} is no entity", line.e)))
}

/// What notes on commits say of an event, given its text: before, and with another text.
pub(crate) type NoteOf<'a> = dyn Fn(&str, &ReadEvent) -> Option<String> + 'a;

/// Writes the ledger anew. `authority` is `forge.git` as it is; `note_of` the line that an event adds to notes on commits.
pub(crate) fn rewrite(
    plan: &Plan,
    store: &Store,
    authority: &Snapshot,
    signer: &Signer,
    because: &str,
    note_of: &NoteOf,
) -> Result<Rewritten, RedactError> {
    let old = plan.after.tip.expect("invariant: an event was found, so there is a ledger");
    let listed = |found: &Found| RedactedEvent { e: found.entity.to_string(), n: found.n, h: found.read.digest };
    let mut fact = ProjectRedacted {
        because: because.to_owned(),
        from: plan.before.number + 1,
        n: plan.after.number,
        old,
        new: old,
        events: plan.events.iter().map(listed).collect(),
    };
    // As `forge.git` will be: each batch that is made is checked as a mirror will check it.
    let mut then = authority.clone();
    then.epoch += 1;
    then.epochs.insert(then.epoch, signer.public_openssh());
    then.fold.redactions.entry(plan.after.project.clone()).or_default().push_back(fact.clone());
    let mut writer = Writer {
        store,
        because,
        note_of,
        epoch: then.epoch,
        signer,
        wanted: plan.events.iter().map(|found| (found.entity.clone(), found.n)).collect(),
        made: HashMap::new(),
        order: Vec::new(),
        moved: HashMap::new(),
        old: HashSet::new(),
        telling: BTreeMap::new(),
        notes: Vec::new(),
    };
    let mut snapshot = plan.before.clone();
    let mut commits = Vec::new();
    for commit in &plan.commits {
        let made = writer.batch(&snapshot, &replay::read_batch(store, *commit)?)?;
        let over = Over { made: &writer.made, below: store };
        take_batch(&mut snapshot, &over, &replay::read_batch(&over, made)?, Some(&then), &mut |_, _| {})?;
        commits.push(made);
    }
    fact.new = snapshot.tip.expect("invariant: at least one batch was written");
    compare(&plan.after, &snapshot)?;
    let over = Over { made: &writer.made, below: store };
    recover::drop_refs_without_objects(&mut snapshot, &over);
    let kept = reached(&over, snapshot.refs.values().map(|value| value.id))?;
    let still = still_there(&writer, &snapshot, &over, &kept)?;
    let dropped = writer.old.iter().filter(|id| !kept.contains(id)).copied().collect();
    let kept = kept.into_iter().filter(|id| over.contains(*id)).collect();
    let made = writer.order.iter().map(|id| (*id, writer.made[id].clone())).collect();
    Ok(Rewritten { fact, snapshot, commits, still, made, kept, dropped })
}

/// A redaction changes what people read, and nothing else that a ledger says.
fn compare(was: &Snapshot, is: &Snapshot) -> Result<(), RedactError> {
    let is_code = |name: &RefName| {
        let name = name.as_str();
        name != refs::LEDGER && name != refs::REVIEW_NOTES
    };
    let code = |of: &Snapshot| -> Vec<(RefName, Oid)> {
        let kept = of.refs.iter().filter(|(name, _)| is_code(name) && refs::entity_of(name).is_none());
        kept.map(|(name, value)| (name.clone(), value.id)).collect()
    };
    let chains = |of: &Snapshot| -> Vec<(EntityId, u64, Sha256)> {
        of.fold.entities.iter().map(|(id, entity)| (id.clone(), entity.n, entity.last)).collect()
    };
    let asked = |of: &Snapshot| -> Vec<(u64, Sha256)> { of.outbox.iter().map(|(n, _, line)| (*n, line.h)).collect() };
    let differs = |what| Err(RedactError::Differs(what));
    if (was.number, was.t, was.next_number, &was.head) != (is.number, is.t, is.next_number, &is.head) {
        return differs("its numbers");
    }
    if code(was) != code(is) || was.owners != is.owners {
        return differs("refs");
    }
    if chains(was) != chains(is) || was.fold.max_q != is.fold.max_q || was.fold.last_q != is.fold.last_q {
        return differs("its chains of events");
    }
    if asked(was) != asked(is) || was.fold.landings != is.fold.landings || was.records != is.records {
        return differs("what landed, or was recorded");
    }
    Ok(())
}

/// Everything that `tips` reach, as far as it is here.
fn reached(objects: &dyn Objects, tips: impl IntoIterator<Item = Oid>) -> Result<HashSet<Oid>, ReadError> {
    let mut seen = HashSet::new();
    let mut open: Vec<Oid> = tips.into_iter().collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) || !objects.contains(id) {
            continue;
        }
        let object = objects.get(id)?;
        let malformed = |source| ReadError::Malformed { id, source };
        match object.kind {
            Kind::Blob => {}
            Kind::Commit => {
                let commit = git::object::read_commit(&object.data).map_err(malformed)?;
                open.push(commit.tree);
                open.extend(commit.parents);
            }
            Kind::Tree => {
                for entry in git::object::read_tree(&object.data).map_err(malformed)? {
                    match entry.mode {
                        Mode::Tree => open.push(entry.id),
                        Mode::Submodule => {}
                        // Large ones among them need not be read.
                        _ => drop(seen.insert(entry.id)),
                    }
                }
            }
            Kind::Tag => open.push(git::object::tag_target(&object.data).map_err(malformed)?.0),
        }
    }
    Ok(seen)
}

/// What was written and is in objects that stay: the same text in another event or file. A ref that reaches the old commits
/// themselves is an error.
fn still_there(
    writer: &Writer,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    kept: &HashSet<Oid>,
) -> Result<Vec<String>, RedactError> {
    let mut still = Vec::new();
    let told: Vec<(&Oid, &String)> = writer.telling.iter().filter(|(id, _)| kept.contains(id)).collect();
    if told.is_empty() {
        return Ok(still);
    }
    for (name, value) in snapshot.refs.iter().filter(|(name, _)| name.as_str() != refs::LEDGER) {
        let reached = reached(objects, [value.id])?;
        for (id, what) in told.iter().filter(|(id, _)| reached.contains(id)) {
            if objects.get(**id)?.kind == Kind::Commit {
                return Err(RedactError::Reached { name: name.clone(), what: what.to_string() });
            }
            still.push(format!("{what} stands word for word in {name} too, as blob {id}"));
        }
    }
    if still.is_empty() {
        still.extend(told.iter().map(|(id, what)| format!("{what} is reached by the ledger too, as object {id}")));
    }
    Ok(still)
}
