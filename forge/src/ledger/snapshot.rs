//! One durable moment of a repository, complete and cheap to clone: what readers are served.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use notes_schema::batch::{OutboxLine, RecordSignature, RefTarget};
use notes_schema::{AgentName, Oid, ProjectName, RefName, Sha256, refs};
use serde::{Deserialize, Serialize};

use super::draft::Recorded;
use super::replay::ReadBatch;
use crate::state::Fold;
use git::packed_refs::RefValue;

/// A trace record that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRecord {
    /// Digest of its canonical bytes.
    pub digest: Sha256,
    /// Whose.
    pub agent: AgentName,
    /// The ref that brought it; it goes when its issue closes.
    pub name: RefName,
    /// The commit that brought it.
    pub commit: Oid,
    /// The blob that holds it.
    pub blob: Oid,
    /// The tree of its last attempt.
    pub tree: Oid,
    /// The issue that its nonce was given for.
    pub issue: Option<u64>,
    /// What its maker signed of it, where something is.
    pub signed: Option<RecordSignature>,
    /// Number of the batch that brought it.
    pub batch: u64,
}

/// Intents of the last two days: the same one sent twice happens once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intents {
    pub(super) by_id: OrdMap<Vec<u8>, Recorded>,
    pub(super) order: Vector<(u64, Vec<u8>)>,
}

fn key(agent: &AgentName, id: &[u8]) -> Vec<u8> {
    [agent.as_str().as_bytes(), b"/", id].concat()
}

/// How long an intent's id is remembered, milliseconds.
/// Limit: time for which an idempotency key is remembered | {:ms}
pub const REMEMBERED_MS: u64 = 2 * 86_400_000;

impl Intents {
    /// What became of an agent's intent. Ids are public once they are used, so an id means nothing from anyone else.
    pub fn get(&self, agent: &AgentName, id: &[u8]) -> Option<&Recorded> {
        self.by_id.get(&key(agent, id))
    }

    pub(super) fn insert(&mut self, agent: &AgentName, id: &[u8], t: u64, recorded: Recorded) {
        let id = key(agent, id);
        while let Some((old, _)) = self.order.front()
            && old + REMEMBERED_MS < t
        {
            if let Some((_, id)) = self.order.pop_front() {
                self.by_id.remove(&id);
            }
        }
        self.by_id.insert(id.clone(), recorded);
        self.order.push_back((t, id));
    }
}

/// A repository as of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The repository.
    pub project: ProjectName,
    /// Number of its newest ledger commit; 0 while there is none.
    pub number: u64,
    /// The first ledger commit: in `forge.git`, the forge's identity.
    pub genesis: Option<Oid>,
    /// The newest ledger commit.
    pub tip: Option<Oid>,
    /// Digest of that commit's bytes.
    pub tip_digest: Sha256,
    /// Its server time, milliseconds since 1970.
    pub t: u64,
    /// The next free number of an issue or pull request.
    pub next_number: u64,
    /// Epoch of the key that signed it.
    pub epoch: u32,
    /// In a project: the ledger commit of `forge.git` that the newest batch cites.
    pub cited: Option<Oid>,
    /// What `HEAD` names.
    pub head: Option<RefName>,
    /// Every ref that is served and listed, the ledger's own among them.
    pub refs: OrdMap<RefName, RefValue>,
    /// Refs of issues and pull requests that rest: they are neither on disk nor listed, and their names are answered as ever.
    pub folded: OrdMap<RefName, RefValue>,
    /// What the ledger says of refs that are not served, for their objects are not in this copy.
    pub(super) absent: OrdMap<RefName, Oid>,
    /// How many refs, listed or folded, name each object: whether one is a tip is asked with every fetch.
    pub(super) tips: OrdMap<Oid, u32>,
    /// Which agent created a branch or tag.
    pub owners: OrdMap<RefName, AgentName>,
    /// How many of them are whose.
    pub(super) held: OrdMap<AgentName, u64>,
    /// Accepted trace records, by digest.
    pub records: OrdMap<Sha256, Arc<KnownRecord>>,
    /// The same records by agent, in the order in which they came.
    pub(super) records_of: OrdMap<AgentName, Vector<Arc<KnownRecord>>>,
    pub(super) records_on: OrdMap<Oid, Vector<Arc<KnownRecord>>>,
    /// The months of records that are there, and the batch with which each began.
    pub(super) months: OrdMap<RefName, u64>,
    /// Records of batches before this one were dropped with their months.
    pub(super) dropped: u64,
    /// In a project: what must follow in `forge.git`, with the number of the batch that asked for it.
    pub outbox: Vector<(u64, Oid, OutboxLine)>,
    /// In `forge.git`: how far each project's outbox has been worked off.
    pub cursors: OrdMap<ProjectName, (u64, Oid)>,
    /// In `forge.git`: numbers of the forge-wide sequence that may be in use.
    pub seq_reserved: u64,
    /// In `forge.git`: public keys by epoch.
    pub epochs: OrdMap<u32, String>,
    /// Recent intents.
    pub intents: Intents,
    /// Folded events.
    pub fold: Fold,
}

impl Snapshot {
    /// A repository without a single batch.
    pub fn empty(project: ProjectName) -> Self {
        Snapshot {
            project,
            number: 0,
            genesis: None,
            tip: None,
            tip_digest: notes_schema::envelope::NO_EVENT,
            t: 0,
            next_number: 1,
            epoch: 0,
            cited: None,
            head: None,
            refs: OrdMap::new(),
            folded: OrdMap::new(),
            absent: OrdMap::new(),
            tips: OrdMap::new(),
            owners: OrdMap::new(),
            held: OrdMap::new(),
            records: OrdMap::new(),
            records_of: OrdMap::new(),
            records_on: OrdMap::new(),
            months: OrdMap::new(),
            dropped: 0,
            outbox: Vector::new(),
            cursors: OrdMap::new(),
            seq_reserved: 0,
            epochs: OrdMap::new(),
            intents: Intents::default(),
            fold: Fold::default(),
        }
    }

    /// What the ledger says that a ref names, served or not.
    pub fn said_id(&self, name: &RefName) -> Option<Oid> {
        self.ref_id(name).or_else(|| self.absent.get(name).copied())
    }

    /// What a ref names, folded or not.
    pub fn ref_id(&self, name: &RefName) -> Option<Oid> {
        self.ref_value(name).map(|value| value.id)
    }

    /// The same, with what a tag peels to.
    pub fn ref_value(&self, name: &RefName) -> Option<&RefValue> {
        self.refs.get(name).or_else(|| self.folded.get(name))
    }

    /// Every ref whose name is answered, those that are folded behind the others.
    pub(super) fn answered(&self) -> impl Iterator<Item = (&RefName, &RefValue)> {
        self.refs.iter().chain(&self.folded)
    }

    /// Whether a ref names this very object.
    pub fn is_tip(&self, id: Oid) -> bool {
        self.tips.contains_key(&id)
    }

    /// Serves a ref with this value; whether it was there before.
    fn put(&mut self, name: RefName, value: RefValue) -> bool {
        self.absent.remove(&name);
        *self.tips.entry(value.id).or_insert(0) += 1;
        let folded = self.folded.remove(&name);
        let before = self.refs.insert(name, value).or(folded);
        if let Some(before) = before {
            self.leave(before.id);
        }
        before.is_some()
    }

    /// Serves a ref no more, for want of its object.
    pub(super) fn withhold(&mut self, name: &RefName) {
        if let Some(id) = self.ref_id(name) {
            self.drop_ref(name);
            self.absent.insert(name.clone(), id);
        }
    }

    /// Serves a ref no more.
    fn drop_ref(&mut self, name: &RefName) {
        self.absent.remove(name);
        if let Some(before) = self.refs.remove(name) {
            self.leave(before.id);
        }
    }

    /// Lists a ref no more; its name is answered as before.
    fn fold_ref(&mut self, name: &RefName) {
        if let Some((name, value)) = self.refs.remove_with_key(name) {
            self.folded.insert(name, value);
        }
    }

    fn leave(&mut self, id: Oid) {
        match self.tips.get_mut(&id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.tips.remove(&id)),
        }
    }

    fn disown(&mut self, name: &RefName) {
        let Some(owner) = self.owners.remove(name) else { return };
        match self.held.get_mut(&owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.held.remove(&owner)),
        }
    }

    /// How many branches, tags and records on their way in an agent holds.
    pub fn held_by(&self, agent: &AgentName) -> u64 {
        self.held.get(agent).copied().unwrap_or(0)
    }

    /// The tip of the default branch, once it is born.
    pub fn default_tip(&self) -> Option<Oid> {
        self.ref_id(self.head.as_ref()?)
    }

    /// An agent's accepted records, in the order in which they came.
    pub fn records_of(&self, agent: &AgentName) -> impl DoubleEndedIterator<Item = &Arc<KnownRecord>> {
        self.records_of.get(agent).into_iter().flatten()
    }

    /// Who brought records.
    pub fn recorders(&self) -> impl Iterator<Item = &AgentName> {
        self.records_of.keys()
    }

    /// Everybody's records whose last run was on `tree`, oldest first.
    pub fn records_on(&self, tree: Oid) -> impl DoubleEndedIterator<Item = &Arc<KnownRecord>> {
        self.records_on.get(&tree).into_iter().flatten()
    }

    /// Whether a record went with its month: that it was there is all that is left of it.
    pub fn is_dropped(&self, record: &KnownRecord) -> bool {
        record.batch < self.dropped
    }

    /// The month that a record is kept in, while it is.
    pub fn month_of(&self, record: &KnownRecord) -> Option<&RefName> {
        let began = self.months.iter().filter(|(_, began)| **began <= record.batch);
        began.max_by_key(|(_, began)| **began).map(|(name, _)| name)
    }

    /// Notes where a month of records begins, and which records go with one that is dropped. They go in the order in which
    /// they came.
    fn note_month(&mut self, name: &RefName, is_there: bool) {
        // The batch that is being taken in.
        let batch = self.number + 1;
        if !name.as_str().starts_with(refs::TRACES_PREFIX) {
            return;
        }
        if is_there {
            self.months.entry(name.clone()).or_insert(batch);
        } else if self.months.remove(name).is_some() {
            self.dropped = self.months.values().copied().min().unwrap_or(batch);
        }
    }

    /// Takes in what a batch says besides its events and ref lines. `commit` is its ledger commit.
    pub(super) fn absorb(&mut self, read: &ReadBatch) {
        let batch = &read.batch;
        self.number = batch.n;
        self.genesis = self.genesis.or(Some(read.commit));
        self.tip = Some(read.commit);
        self.tip_digest = read.commit_digest;
        self.t = batch.t;
        self.next_number = batch.next_number;
        self.epoch = batch.epoch;
        self.cited = batch.authority;
        if let Some(key) = &batch.epoch_key {
            self.epochs.insert(batch.epoch, key.clone());
        }
        if let Some(reserved) = batch.seq_reserved {
            self.seq_reserved = reserved;
        }
        for cursor in &batch.cursors {
            self.cursors.insert(cursor.project.clone(), (cursor.n, cursor.c));
        }
        for line in &batch.outbox {
            self.outbox.push_back((batch.n, read.commit, line.clone()));
        }
        for push in &batch.pushes {
            for line in &push.records {
                self.know_record(&push.a, line, batch.n);
            }
            let issues = push.records.iter().filter_map(|line| line.issue.as_ref());
            self.fold.works.pushed(&push.a, &push.refs, issues, batch.t);
        }
        self.put(refs::ledger(), RefValue { id: read.commit, peeled: None });
    }

    pub(super) fn know_record(&mut self, agent: &AgentName, line: &notes_schema::batch::RecordLine, batch: u64) {
        if self.records.contains_key(&line.h) {
            return;
        }
        let known = Arc::new(KnownRecord {
            digest: line.h,
            agent: agent.clone(),
            name: line.r.clone(),
            commit: line.c,
            blob: line.blob,
            tree: line.tree,
            issue: line.issue,
            signed: line.signed.clone(),
            batch,
        });
        self.records.insert(line.h, known.clone());
        self.records_on.entry(known.tree).or_default().push_back(known.clone());
        self.records_of.entry(agent.clone()).or_default().push_back(known);
    }

    /// Sets one ref. `pusher` owns it from here on if it is new.
    pub(super) fn set_ref(&mut self, name: &RefName, new: &RefTarget, peeled: Option<Oid>, pusher: Option<&AgentName>) {
        match new {
            RefTarget::Object(id) => {
                self.note_month(name, true);
                let was_there = self.put(name.clone(), RefValue { id: *id, peeled });
                if let (false, Some(agent)) = (was_there, pusher) {
                    self.disown(name);
                    self.owners.insert(name.clone(), agent.clone());
                    *self.held.entry(agent.clone()).or_default() += 1;
                }
            }
            RefTarget::Symbolic(target) => self.head = Some(target.clone()),
            RefTarget::Nothing if refs::folded_with(name).is_some() => self.fold_ref(name),
            RefTarget::Nothing => {
                self.note_month(name, false);
                self.drop_ref(name);
                self.disown(name);
            }
        }
    }
}
