//! A batch under construction: what is queued together becomes one ledger commit, all of it in scratch state.
//!
//! Invariant: a part that is refused leaves nothing behind; the parts before and after it stand.

mod build;
mod objects;
mod room;

pub(super) use build::Built;
pub use objects::BatchObjects;

use imbl::{OrdMap, Vector};
use notes_schema::batch::{EventLine, FOLDS_REFS, OutboxLine, PackLine, PushLine, RefLine, RefTarget};
use notes_schema::envelope::{self, NO_EVENT};
use notes_schema::{AgentName, EntityId, Event, Fact, Oid, ProjectName, RefName, Sha256, refs};

use super::message;
use super::sequence::Sequence;
use super::snapshot::Snapshot;
use crate::answer::{Code, Refusal};
use git::object::{NewCommit, Object, Signature, tree};
use git::store::{ReadError, Store};

/// Who an event is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The agent, or `forge`.
    pub agent: AgentName,
    /// `key:SHA256:…`, `token:<id>`, or `forge`.
    pub credential: String,
    /// The client's own id for what it asks, so that asking twice does it once.
    pub intent: Option<[u8; 16]>,
}

impl Author {
    /// The forge itself.
    pub fn forge() -> Self {
        Author { agent: AgentName::forge(), credential: "forge".to_owned(), intent: None }
    }
}

/// An event that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its entity.
    pub entity: EntityId,
    /// Its number there.
    pub n: u64,
    /// Its forge-wide number.
    pub q: u64,
    /// Digest of its bytes.
    pub digest: Sha256,
}

#[derive(Clone)]
struct Work {
    snapshot: Snapshot,
    lines: OrdMap<RefName, RefLine>,
    events: Vector<EventLine>,
    subjects: Vector<String>,
    chain_tips: OrdMap<EntityId, Oid>,
    kept_tips: Vector<Oid>,
    pushes: Vector<PushLine>,
    packs: Vector<PackLine>,
    outbox: Vector<OutboxLine>,
    cursors: OrdMap<ProjectName, (u64, Oid)>,
    records: Vector<NewRecord>,
    pushed_refs: usize,
    pushed_bytes: usize,
    seq_reserved: Option<u64>,
    epoch_key: Option<String>,
    housekeeping: bool,
    format: u32,
}

/// A batch under construction.
pub struct Draft<'a> {
    before: &'a Snapshot,
    store: &'a Store,
    sequence: &'a Sequence,
    genesis: Vec<u8>,
    t: u64,
    objects: BatchObjects,
    taken: Vec<u64>,
    parts: usize,
    work: Work,
}

/// A trace record to be kept in its month.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Digest of its canonical bytes.
    pub digest: Sha256,
    /// The blob with them.
    pub blob: Oid,
    /// The blob with what its maker signed of it, where something is.
    pub signature: Option<Oid>,
    /// The commit that brought them.
    pub commit: Oid,
    /// One line for people: who ran what, and how it ended.
    pub summary: String,
}

/// Where a draft can return to when one of its parts is refused.
pub(super) struct Savepoint {
    objects: usize,
    work: Work,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        before: &'a Snapshot,
        store: &'a Store,
        sequence: &'a Sequence,
        genesis: Option<Oid>,
        now: u64,
    ) -> Self {
        let t = now.max(before.t);
        Draft {
            before,
            store,
            sequence,
            genesis: genesis.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            t,
            objects: BatchObjects::default(),
            taken: Vec::new(),
            parts: 0,
            work: Work {
                snapshot: before.clone(),
                lines: OrdMap::new(),
                events: Vector::new(),
                subjects: Vector::new(),
                chain_tips: OrdMap::new(),
                kept_tips: Vector::new(),
                pushes: Vector::new(),
                packs: Vector::new(),
                outbox: Vector::new(),
                cursors: OrdMap::new(),
                records: Vector::new(),
                pushed_refs: 0,
                pushed_bytes: 0,
                seq_reserved: None,
                epoch_key: None,
                housekeeping: false,
                format: notes_schema::FORMAT_VERSION,
            },
        }
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint { objects: self.objects.0.borrow().order.len(), work: self.work.clone() }
    }

    pub(super) fn roll_back(&mut self, to: Savepoint) {
        self.objects.0.borrow_mut().truncate(to.objects);
        self.work = to.work;
    }

    /// The state as of this point of the batch: durable batches and what this one added so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.work.snapshot
    }

    /// The batch's own number.
    pub fn n(&self) -> u64 {
        self.before.number + 1
    }

    /// The batch's time, milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.t
    }

    /// Takes the next free number for an issue or pull request.
    pub fn number(&mut self) -> u64 {
        let n = self.work.snapshot.next_number;
        self.work.snapshot.next_number += 1;
        n
    }

    /// Leaves `count` numbers of issues and pull requests out: what was lost may have had them.
    pub fn skip_numbers(&mut self, count: u64) {
        self.work.snapshot.next_number += count;
        self.remark(format!("skipped {count} numbers"));
        self.work.housekeeping = true;
    }

    /// The batch holds what programs of formats before `format` would misread.
    pub(crate) fn needs_format(&mut self, format: u32) {
        self.work.format = self.work.format.max(format);
    }

    /// Adds an object to the batch's pack.
    pub fn object(&mut self, object: Object) -> Result<Oid, Refusal> {
        let id = object.id().map_err(|e| Refusal::new(Code::Refused, "object", e.to_string(), "help"))?;
        self.known_object(id, object);
        Ok(id)
    }

    /// Adds an object whose id was computed before.
    pub fn known_object(&mut self, id: Oid, object: Object) {
        self.objects.0.borrow_mut().add(id, object);
    }

    /// The objects of the batch, those that are still to be added included. In front of the repository's they are what
    /// the state that this draft shows is made of: a push right behind a merge is judged on what that merge wrote.
    pub fn made(&self) -> BatchObjects {
        self.objects.clone()
    }

    /// Names a large code pack that was made durable before and that this batch depends on.
    pub fn depends_on(&mut self, pack: PackLine) {
        self.work.packs.push_back(pack);
    }

    /// Keeps `id` reachable from the ledger for ever: the head of a pull request that ends.
    pub fn keep(&mut self, id: Oid) {
        self.work.kept_tips.push_back(id);
    }

    /// Keeps a trace record: in its month, where it stays when the ref that brought it goes. The blobs must have been
    /// added.
    pub fn keep_record(&mut self, record: NewRecord) {
        self.work.records.push_back(record);
    }

    /// Notes an accepted push. Call it after its refs were set.
    pub fn push(&mut self, line: PushLine) {
        for record in &line.records {
            let n = self.n();
            self.work.snapshot.know_record(&line.a, record, n);
        }
        self.work.pushed_refs += line.refs.len();
        self.work.pushed_bytes += line.refs.iter().map(|name| name.as_str().len() + 5).sum::<usize>();
        self.work.pushes.push_back(line);
    }

    /// What must follow in `forge.git` because of an event.
    pub fn outbox(&mut self, because: &Recorded) {
        self.ask(because.digest, &because.entity);
    }

    /// What must follow in `forge.git` because an event judged verdicts: each asks under its own digest.
    pub fn outbox_of_judged(&mut self, event: &Recorded) {
        let EntityId::Pull(n) = event.entity else { return };
        let judged: Vec<Sha256> =
            self.work.snapshot.fold.reviews.judged_by(n, &event.digest).map(|(verdict, _)| verdict).collect();
        judged.into_iter().for_each(|verdict| self.ask(verdict, &event.entity));
    }

    fn ask(&mut self, h: Sha256, entity: &EntityId) {
        self.work.outbox.push_back(OutboxLine { h, e: entity.to_string() });
    }

    /// In `forge.git`: a project's outbox has been worked off up to its batch `n`, ledger commit `commit`.
    pub fn cursor(&mut self, project: &ProjectName, n: u64, commit: Oid) {
        self.work.cursors.insert(project.clone(), (n, commit));
        self.work.snapshot.cursors.insert(project.clone(), (n, commit));
        self.work.housekeeping = true;
    }

    /// In `forge.git`: reserves numbers of the forge-wide sequence.
    pub fn reserve_sequence(&mut self) {
        self.remark("reserved sequence numbers".to_owned());
        self.raise_reservation(self.sequence.next_block());
    }

    /// In `forge.git`: numbers above `to`, which [`Sequence::give_back`] named, are free again.
    pub fn release_sequence(&mut self, to: u64) {
        self.remark("gave unused sequence numbers back".to_owned());
        self.work.seq_reserved = Some(to);
        self.work.housekeeping = true;
    }

    fn raise_reservation(&mut self, to: u64) {
        self.work.seq_reserved = Some(self.work.seq_reserved.unwrap_or(0).max(to));
        self.work.housekeeping = true;
    }

    /// In `forge.git`: from this batch on, `public_key` signs.
    pub fn open_epoch(&mut self, public_key: String) {
        self.work.snapshot.epoch += 1;
        self.work.snapshot.epochs.insert(self.work.snapshot.epoch, public_key.clone());
        self.remark(format!("epoch {} opens", self.work.snapshot.epoch));
        self.work.epoch_key = Some(public_key);
        self.work.housekeeping = true;
    }

    /// In a project: the epoch that `forge.git` is in.
    pub(super) fn set_epoch(&mut self, epoch: u32) {
        self.work.snapshot.epoch = epoch;
    }

    /// Sets a ref that is expected to hold `old`; `None` stands for "does not exist". `peeled` is what an annotated tag
    /// finally names; `pusher` owns a ref that is new.
    pub fn set_ref(
        &mut self,
        name: &RefName,
        old: Option<Oid>,
        new: Option<Oid>,
        peeled: Option<Oid>,
        pusher: Option<&AgentName>,
    ) -> Result<(), Refusal> {
        let found = self.work.snapshot.ref_id(name);
        if found != old {
            let show = |id: Option<Oid>| id.map_or("nothing".to_owned(), |id| id.short());
            return Err(Refusal::new(
                Code::Stale,
                name.as_str(),
                format!("it names {}, not {} as you expect", show(found), show(old)),
                "git fetch",
            ));
        }
        if let (Some(_), Some(_), None) = (new, pusher, old)
            && self.work.lines.get(name).is_some_and(|line| line.new == RefTarget::Nothing)
        {
            // One batch has one line per ref, from which a replay could not tell who owns it now.
            let why = "it was deleted a moment ago";
            return Err(Refusal::new(Code::TryLater, name.as_str(), why, "git push"));
        }
        let target = new.map_or(RefTarget::Nothing, RefTarget::Object);
        self.work.snapshot.set_ref(name, &target, peeled, pusher);
        self.note_line(name.clone(), target);
        Ok(())
    }

    /// Sets what `HEAD` names.
    pub fn set_head(&mut self, target: &RefName) {
        let symbolic = RefTarget::Symbolic(target.clone());
        self.work.snapshot.set_ref(&RefName::head(), &symbolic, None, None);
        self.note_line(RefName::head(), symbolic);
    }

    fn note_line(&mut self, name: RefName, new: RefTarget) {
        if new == RefTarget::Nothing && refs::folded_with(&name).is_some() {
            self.needs_format(FOLDS_REFS);
        }
        let old = self.before.ref_id(&name);
        self.work.lines.insert(name.clone(), RefLine { name, new, old });
    }

    /// What an earlier request with the same intent did to `id`.
    pub fn done(&self, by: &Author, id: &EntityId) -> Option<&Recorded> {
        self.work.snapshot.intents.get(&by.agent, &by.intent?).filter(|done| done.entity == *id)
    }

    /// Adds an event to `id`'s chain.
    pub fn event(
        &mut self,
        by: &Author,
        id: &EntityId,
        fact: impl Into<Fact>,
        text: Option<&str>,
        cause: &[Sha256],
    ) -> Result<Recorded, Refusal> {
        self.event_with(by, id, fact, text, cause, None)
    }

    /// [`Draft::event`] with a blob beside it, of which the fact must name the digest: nothing else holds it.
    pub fn event_with(
        &mut self,
        by: &Author,
        id: &EntityId,
        fact: impl Into<Fact>,
        text: Option<&str>,
        cause: &[Sha256],
        beside: Option<(&str, Vec<u8>)>,
    ) -> Result<Recorded, Refusal> {
        debug_assert!(self.before.number > 0, "the first batch is `begin`'s, or first parents would lead into a chain");
        if let Some(done) = by.intent.and_then(|id| self.work.snapshot.intents.get(&by.agent, &id)) {
            let why = format!("this key has done something already: {} of {}", done.n, done.entity);
            return Err(Refusal::new(Code::Stale, "--idempotency-key", why, "my-work"));
        }
        let fact = fact.into();
        let text = text.map(str::trim_end).filter(|t| !t.is_empty());
        let (event, intent_id) = self.envelope(by, id, &fact, text, cause)?;
        let bytes = event.encode();
        check_readable(&bytes)?;
        let digest = Sha256::of(&bytes);
        let before = self.work.snapshot.fold.entities.get(id).map(|e| e.tip);
        let state = {
            let at = crate::state::Happened { agent: &event.a, t: event.t, q: event.q, text };
            envelope::encode(&self.work.snapshot.fold.next_state(id, &fact, &at))
        };
        let mut entries = vec![self.file("event", bytes)?, self.file("state", state)?];
        if let Some(text) = text {
            entries.push(self.file("body.md", text.as_bytes().to_vec())?);
        }
        if let Some((name, bytes)) = beside {
            entries.push(self.file(name, bytes)?);
        }
        let root = self.object(tree(entries))?;
        let commit = NewCommit {
            tree: root,
            parents: before.into_iter().collect(),
            author: signature_of(&event.a, event.t),
            committer: signature_of(&AgentName::forge(), event.t),
            message: message::event(&self.before.project, id, (event.q, digest), &fact, text, cause),
        };
        let tip = self.object(commit.encode(None))?;
        self.work.subjects.push_back(message::event_line(id, &event, &fact));
        self.work.snapshot.fold.apply(id, &event, &fact, text, tip, digest);
        self.work.events.push_back(EventLine { e: id.to_string(), c: tip, h: digest, r: None });
        self.work.chain_tips.insert(id.clone(), tip);
        self.set_ref(&refs::entity(id), before, Some(tip), None, None)?;
        let recorded = Recorded { entity: id.clone(), n: event.n, q: event.q, digest };
        self.work.snapshot.intents.insert(&by.agent, &intent_id, self.t, recorded.clone());
        Ok(recorded)
    }

    fn envelope(
        &mut self,
        by: &Author,
        id: &EntityId,
        fact: &Fact,
        text: Option<&str>,
        cause: &[Sha256],
    ) -> Result<(Event, Vec<u8>), Refusal> {
        let intent_id = by.intent.unwrap_or_else(|| *uuid::Uuid::now_v7().as_bytes());
        let mut intent = envelope::intent_for(&self.genesis, intent_id, &self.before.project, id, fact);
        intent.text = text.map(|t| Sha256::of(t.as_bytes()));
        intent.cause = cause.to_vec();
        let entity = self.work.snapshot.fold.entities.get(id);
        let (n, last) = entity.map_or((0, NO_EVENT), |e| (e.n, e.last));
        let event = Event {
            v: notes_schema::FORMAT_VERSION,
            i: envelope::encode(&intent),
            s: None,
            a: by.agent.clone(),
            k: by.credential.clone(),
            n: n + 1,
            l: self.n(),
            q: self.take_number()?,
            t: self.t,
            p: last,
            r: None,
        };
        Ok((event, intent_id.to_vec()))
    }

    fn take_number(&mut self) -> Result<u64, Refusal> {
        let q = if self.before.project.is_forge() {
            let (q, reserve) = self.sequence.take_reserving();
            if let Some(reserve) = reserve {
                self.raise_reservation(reserve);
            }
            q
        } else {
            self.sequence.take().ok_or_else(|| {
                Refusal::new(Code::TryLater, "event", "the forge is reserving more sequence numbers", "feed")
            })?
        };
        self.taken.push(q);
        Ok(q)
    }

    /// Says in the ledger's log what a batch without events is for.
    pub fn remark(&mut self, text: String) {
        self.work.subjects.push_back(text);
    }

    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.work.lines.is_empty()
            && self.work.events.is_empty()
            && self.work.pushes.is_empty()
            && !self.work.housekeeping
    }

    /// Numbers taken so far, to be settled whatever becomes of the batch.
    pub(super) fn taken(&self) -> &[u64] {
        &self.taken
    }
}

/// What cannot be read back must not be written: it would be durable, and would keep its repository from opening.
fn check_readable(event: &[u8]) -> Result<(), Refusal> {
    Event::decode(event)
        .and_then(|event| event.intent())
        .map(drop)
        .map_err(|error| Refusal::new(Code::Refused, "event", format!("it does not fit the format: {error}"), "help"))
}

/// The author line of an agent: its name at the forge, never an address that it made up.
pub(crate) fn signature_of(agent: &AgentName, unix_ms: u64) -> Signature {
    Signature { name: agent.to_string(), email: format!("{agent}@forge"), seconds: unix_ms / 1000 }
}

fn unreadable(error: ReadError) -> Refusal {
    Refusal::new(Code::TryLater, "repository", error.to_string(), "feed")
}
