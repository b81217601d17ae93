//! Reading the ledger back: one batch at a time, in order, into a snapshot. Recovery and verification share it.

use std::sync::mpsc::sync_channel;

use notes_schema::batch::{self, BadRefLine, Batch, EventLine, RefLine, RefTarget};
use notes_schema::envelope::{self, DecodeError, REDACTED_FORMAT};
use notes_schema::{EntityId, Event, Fact, Intent, NameError, Oid, ProjectName, Sha256, budget, refs};

use super::draft::Recorded;
use super::snapshot::Snapshot;
use git::object::{self, Kind, TreeEntry};
use git::store::{Objects, ReadError, Store};

/// What is sealed of a contest, beside the event that says so.
pub(crate) const SEALED: &str = "sealed";

/// Why a part of the ledger could not be read. The text names the place.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An object is missing or damaged.
    #[error("{place}: {source}")]
    Object {
        /// The ledger commit or event it belongs to.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// Bytes are not what the format says.
    #[error("{place}: {source}")]
    Decode {
        /// The ledger commit or event.
        place: String,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// A rule of the format is broken.
    #[error("{place}: {why}")]
    Broken {
        /// The ledger commit or event.
        place: String,
        /// Which rule, and how.
        why: String,
    },
}

impl ReplayError {
    pub(super) fn broken(place: impl Into<String>, why: impl Into<String>) -> Self {
        ReplayError::Broken { place: place.into(), why: why.into() }
    }
}

/// A ledger commit, read.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// The commit.
    pub commit: Oid,
    /// Digest of the commit's bytes.
    pub commit_digest: Sha256,
    /// The commit's bytes.
    pub raw: bytes::Bytes,
    /// Its parents: the previous ledger commit first, then entity tips and ended pull requests' heads.
    pub parents: Vec<Oid>,
    /// What its message says of the previous commit and of its blobs.
    pub trailers: Trailers,
    /// Digest of `batch` and `refs`, computed.
    pub digest: Sha256,
    /// The blob `batch`.
    pub batch: Batch,
    /// The blob `refs`.
    pub refs: Vec<RefLine>,
}

/// The trailers of a ledger commit that chain it by SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailers {
    /// `Forge-Prev`: digest of the previous ledger commit's bytes.
    pub prev: Option<Sha256>,
    /// `Forge-Digest`: digest of `batch` and `refs`.
    pub digest: Option<Sha256>,
}

/// An event, read from its commit.
#[derive(Debug, Clone)]
pub struct ReadEvent {
    /// Its commit.
    pub commit: Oid,
    /// The commit's parents.
    pub parents: Vec<Oid>,
    /// Digest of its bytes as they were written: what others know it by.
    pub digest: Sha256,
    /// Digest of the bytes that stand here, where it was redacted.
    pub left: Option<Sha256>,
    /// The envelope.
    pub event: Event,
    /// The intent inside.
    pub intent: Intent,
    /// What it states.
    pub fact: Fact,
    /// `body.md`.
    pub text: Option<String>,
    /// The blob `state`, raw.
    pub state: Option<bytes::Bytes>,
    /// The blob [`SEALED`], which is not read.
    pub sealed: Option<Oid>,
}

fn blob(
    objects: &dyn Objects,
    tree: &[TreeEntry],
    name: &str,
    place: &str,
) -> Result<Option<bytes::Bytes>, ReplayError> {
    let Some(entry) = tree.iter().find(|e| e.name == name.as_bytes()) else { return Ok(None) };
    let object = objects
        .get_kind(entry.id, Kind::Blob)
        .map_err(|source| ReplayError::Object { place: place.to_owned(), source })?;
    Ok(Some(object.data))
}

/// Reads one ledger commit.
pub fn read_batch(objects: &dyn Objects, commit: Oid) -> Result<ReadBatch, ReplayError> {
    let place = format!("ledger commit {commit}");
    let at = |source| ReplayError::Object { place: place.clone(), source };
    let raw = objects.get_kind(commit, Kind::Commit).map_err(at)?.data;
    let parsed = object::read_commit(&raw).map_err(|e| ReplayError::broken(&place, e.to_string()))?;
    let tree = objects.tree(parsed.tree).map_err(at)?;
    let missing = |name: &str| ReplayError::broken(&place, format!("its tree has no `{name}`"));
    let batch_bytes = blob(objects, &tree, "batch", &place)?.ok_or_else(|| missing("batch"))?;
    let refs_bytes = blob(objects, &tree, "refs", &place)?.ok_or_else(|| missing("refs"))?;
    let batch: Batch = envelope::decode(&batch_bytes, budget::BATCH)
        .map_err(|source| ReplayError::Decode { place: place.clone(), source })?;
    let newest = batch::NEWEST_FORMAT;
    if batch.v > newest {
        return Err(ReplayError::Decode { place, source: DecodeError::Newer { found: batch.v, newest } });
    }
    let refs_text = std::str::from_utf8(&refs_bytes).map_err(|_| ReplayError::broken(&place, "`refs` is not UTF-8"))?;
    let refs = batch::decode_refs(refs_text).map_err(|e: BadRefLine| ReplayError::broken(&place, e.to_string()))?;
    let trailer = |key: &str| {
        parsed.message.lines().rev().find_map(|l| l.strip_prefix(key)).and_then(|value| value.trim().parse().ok())
    };
    Ok(ReadBatch {
        commit,
        commit_digest: Sha256::of(&raw),
        parents: parsed.parents,
        trailers: Trailers { prev: trailer("Forge-Prev:"), digest: trailer("Forge-Digest:") },
        digest: Sha256::of_parts(&[&batch_bytes, &refs_bytes]),
        raw,
        batch,
        refs,
    })
}

/// Reads one event's commit.
pub fn read_event(objects: &dyn Objects, commit: Oid, place: &str) -> Result<ReadEvent, ReplayError> {
    let at = |source| ReplayError::Object { place: place.to_owned(), source };
    let parsed = objects.commit(commit).map_err(at)?;
    let tree = objects.tree(parsed.tree).map_err(at)?;
    let bytes =
        blob(objects, &tree, "event", place)?.ok_or_else(|| ReplayError::broken(place, "its tree has no `event`"))?;
    let decode = |source| ReplayError::Decode { place: place.to_owned(), source };
    let event = Event::decode(&bytes).map_err(decode)?;
    let intent = event.intent().map_err(decode)?;
    let text = match blob(objects, &tree, "body.md", place)? {
        None => None,
        Some(raw) => {
            Some(String::from_utf8(raw.to_vec()).map_err(|_| ReplayError::broken(place, "`body.md` is not UTF-8"))?)
        }
    };
    let digest = Sha256::of(&bytes);
    Ok(ReadEvent {
        commit,
        parents: parsed.parents,
        digest: event.r.unwrap_or(digest),
        left: event.r.map(|_| digest),
        fact: intent.fact(),
        text,
        state: blob(objects, &tree, "state", place)?,
        sealed: tree.iter().find(|entry| entry.name == SEALED.as_bytes()).map(|entry| entry.id),
        event,
        intent,
    })
}

/// Ledger commits from `tip` back to the first, oldest first; where `known` is met they begin after it, and `true` says so.
pub(crate) fn first_parents(
    objects: &dyn Objects,
    tip: Oid,
    known: Option<Oid>,
) -> Result<(Vec<Oid>, bool), ReplayError> {
    let mut chain = Vec::new();
    let mut newest = tip;
    let is_met = loop {
        if known == Some(newest) {
            break true;
        }
        chain.push(newest);
        let place = format!("ledger commit {newest}");
        let raw = objects
            .get_kind(newest, Kind::Commit)
            .map_err(|source| ReplayError::Object { place: place.clone(), source })?;
        let parsed = object::read_commit(&raw.data).map_err(|e| ReplayError::broken(&place, e.to_string()))?;
        let Some(parent) = parsed.parents.first() else { break false };
        newest = *parent;
    };
    chain.reverse();
    Ok((chain, is_met))
}

/// Sees every event before it is folded, and may object.
pub(super) type Seen<'a> = dyn FnMut(&Snapshot, &EntityId, &EventLine, &ReadEvent) -> Result<(), ReplayError> + 'a;

/// Takes `read` into `snapshot`, which must stand at the batch before. Every event is handed to `seen` with the
/// snapshot as it was before that event.
pub(super) fn apply_batch(
    snapshot: &mut Snapshot,
    objects: &dyn Objects,
    read: &ReadBatch,
    seen: &mut Seen,
) -> Result<(), ReplayError> {
    let project = snapshot.project.clone();
    let events = read.batch.events.iter().map(|line| read_line(objects, &project, read, line));
    fold_batch(snapshot, objects, read, events, seen)
}

type ReadLine = Result<(EntityId, ReadEvent), ReplayError>;

/// The event that a line of a batch names.
fn read_line(objects: &dyn Objects, project: &ProjectName, batch: &ReadBatch, line: &EventLine) -> ReadLine {
    let named = |e: NameError| ReplayError::broken(place_of(batch), e.to_string());
    let id: EntityId = line.e.parse().map_err(named)?;
    let place = format!("{project}: {id} event commit {}", line.c);
    let event = read_event(objects, line.c, &place)?;
    if event.digest != line.h || event.left != line.r {
        return Err(ReplayError::broken(place, "its bytes differ from the digest in its batch"));
    }
    if line.r.is_some() && batch.batch.v < REDACTED_FORMAT {
        return Err(ReplayError::broken(place, "it is redacted, in a batch whose format knows no redaction"));
    }
    Ok((id, event))
}

fn place_of(read: &ReadBatch) -> String {
    format!("ledger commit {} (batch {})", read.commit, read.batch.n)
}

/// [`apply_batch`] with events that are read already, or as they are asked for.
fn fold_batch(
    snapshot: &mut Snapshot,
    objects: &dyn Objects,
    read: &ReadBatch,
    events: impl Iterator<Item = ReadLine>,
    seen: &mut Seen,
) -> Result<(), ReplayError> {
    let place = place_of(read);
    if read.batch.n != snapshot.number + 1 {
        let why = format!("it has number {}, but {} must follow", read.batch.n, snapshot.number + 1);
        return Err(ReplayError::broken(place, why));
    }
    if snapshot.tip.is_some() && read.parents.first().copied() != snapshot.tip {
        return Err(ReplayError::broken(place, "its first parent is not the ledger commit before"));
    }
    for (line, event) in read.batch.events.iter().zip(events) {
        let (id, event) = event?;
        seen(snapshot, &id, line, &event)?;
        let recorded = Recorded { entity: id.clone(), n: event.event.n, q: event.event.q, digest: event.digest };
        // The id of a redacted one is gone with it.
        if event.left.is_none() {
            snapshot.intents.insert(&event.event.a, &event.intent.id, event.event.t, recorded);
        }
        snapshot.fold.apply(&id, &event.event, &event.fact, event.text.as_deref(), line.c, event.digest);
    }
    let pusher = |name: &notes_schema::RefName| read.batch.pushes.iter().find(|p| p.refs.contains(name)).map(|p| &p.a);
    for line in &read.refs {
        let peeled = match &line.new {
            RefTarget::Object(id) if line.name.as_str().starts_with("refs/tags/") => peel(objects, *id),
            RefTarget::Object(_) | RefTarget::Symbolic(_) | RefTarget::Nothing => None,
        };
        snapshot.set_ref(&line.name, &line.new, peeled, pusher(&line.name));
    }
    snapshot.absorb(read);
    Ok(())
}

/// Fewer batches than this are read and folded by one thread.
const ENOUGH: usize = 16;
/// Most threads that read.
/// Limit: threads that read ahead of one replay | {}, one per core
const MOST_READERS: usize = 8;
/// So many batches each of them is ahead at most.
/// Limit: batches that each of them is ahead | {}
const AHEAD: usize = 4;

/// Takes the batches `commits` into `snapshot`, which must stand before the first. Reading is most of the work: threads of
/// their own go ahead with it, while this one folds.
pub(super) fn apply_all(snapshot: &mut Snapshot, objects: &Store, commits: &[Oid]) -> Result<(), ReplayError> {
    let readers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_READERS);
    if commits.len() < ENOUGH || readers < 2 {
        return commits.iter().try_for_each(|commit| {
            apply_batch(snapshot, objects, &read_batch(objects, *commit)?, &mut |_, _, _, _| Ok(()))
        });
    }
    let project = &snapshot.project.clone();
    let read = |commit| {
        let read = read_batch(objects, commit)?;
        let events: Vec<ReadLine> =
            read.batch.events.iter().map(|line| read_line(objects, project, &read, line)).collect();
        Ok::<_, ReplayError>((read, events))
    };
    std::thread::scope(|scope| {
        let read = &read;
        let ahead = |first: usize| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                // Nobody takes more after a batch that cannot be folded.
                let mut mine = commits.iter().skip(first).step_by(readers);
                mine.all(|commit| send.send(read(*commit)).is_ok())
            });
            receive
        };
        let ahead: Vec<_> = (0..readers).map(ahead).collect();
        for (receive, commit) in ahead.iter().cycle().zip(commits) {
            let gone = |_| ReplayError::broken(format!("ledger commit {commit}"), "reading it panicked");
            let (read, events) = receive.recv().map_err(gone)??;
            fold_batch(snapshot, objects, &read, events.into_iter(), &mut |_, _, _, _| Ok(()))?;
        }
        Ok(())
    })
}

/// What an annotated tag finally names; `None` when `id` is no tag. At most 16 deep.
pub(crate) fn peel(objects: &dyn Objects, id: Oid) -> Option<Oid> {
    let mut at = id;
    for _ in 0..16 {
        let object = objects.get(at).ok()?;
        if object.kind != Kind::Tag {
            break;
        }
        at = object::tag_target(&object.data).ok()?.0;
    }
    (at != id).then_some(at)
}

/// The ref lines that events of a batch imply: each entity's chain.
pub(super) fn entity_ref(id: &EntityId) -> notes_schema::RefName {
    refs::entity(id)
}

/// The newest `limit` events of a chain, oldest first.
pub fn chain(objects: &dyn Objects, tip: Oid, limit: usize) -> Result<Vec<ReadEvent>, ReplayError> {
    let mut events = Vec::new();
    let mut at = Some(tip);
    while let Some(commit) = at.filter(|_| events.len() < limit) {
        let read = read_event(objects, commit, &format!("event commit {commit}"))?;
        at = read.parents.first().copied();
        events.push(read);
    }
    events.reverse();
    Ok(events)
}

/// What the newest `limit` events of a chain say, oldest first; those that say nothing are left out.
pub(crate) fn texts(objects: &dyn Objects, tip: Oid, limit: usize) -> Result<Vec<String>, ReplayError> {
    let place = format!("event commit {tip}");
    let at = |source| ReplayError::Object { place: place.clone(), source };
    let mut texts = Vec::new();
    let mut next = Some(tip);
    for _ in 0..limit {
        let Some(commit) = next else { break };
        let parsed = objects.commit(commit).map_err(at)?;
        if let Some(raw) = blob(objects, &objects.tree(parsed.tree).map_err(at)?, "body.md", &place)? {
            texts.push(
                String::from_utf8(raw.to_vec()).map_err(|_| ReplayError::broken(&place, "`body.md` is not UTF-8"))?,
            );
        }
        next = parsed.parents.first().copied();
    }
    texts.reverse();
    Ok(texts)
}
