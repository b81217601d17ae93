//! One batch after the other, written anew in memory.
//!
//! Invariant: nothing is written to disk, and of what is read nothing is changed but free text of the events that are to go,
//! and what follows from it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use notes_schema::batch::{self, Batch, EventLine, RefLine, RefTarget};
use notes_schema::envelope::{self, REDACTED_FORMAT};
use notes_schema::{AgentName, EntityId, Oid, Sha256, refs};

use super::{NoteOf, RedactError, entity_of};
use crate::ledger::draft::signature_of;
use crate::ledger::replay::{self, ReadBatch, ReadEvent};
use crate::ledger::snapshot::Snapshot;
use crate::ledger::{Signer, fanout, message};
use git::object::{Kind, Mode, NewCommit, Object, TreeEntry, tree};
use git::store::{Objects as _, Over, ReadError, Store};

/// What is made on the way.
pub(super) struct Writer<'a> {
    pub(super) store: &'a Store,
    pub(super) because: &'a str,
    pub(super) note_of: &'a NoteOf<'a>,
    /// Epoch of the key that signs.
    pub(super) epoch: u32,
    pub(super) signer: &'a Signer,
    pub(super) wanted: BTreeSet<(EntityId, u64)>,
    pub(super) made: HashMap<Oid, Object>,
    pub(super) order: Vec<Oid>,
    /// What became of commits of events and of notes.
    pub(super) moved: HashMap<Oid, Oid>,
    /// Objects of the old ledger that have another in their place, and which of them hold what was written.
    pub(super) old: HashSet<Oid>,
    pub(super) telling: BTreeMap<Oid, String>,
    /// Lines of notes, and what stands for them.
    pub(super) notes: Vec<(String, String)>,
}

impl Writer<'_> {
    fn add(&mut self, object: Object) -> Result<Oid, ReadError> {
        let collides = |_| ReadError::Store { id: Oid::from_bytes([0; 20]), why: "an object that collides".to_owned() };
        let id = object.id().map_err(collides)?;
        if self.made.insert(id, object).is_none() {
            self.order.push(id);
        }
        Ok(id)
    }

    fn file(&mut self, name: &str, bytes: Vec<u8>) -> Result<TreeEntry, ReadError> {
        let id = self.add(Object::new(Kind::Blob, bytes))?;
        Ok(TreeEntry { mode: Mode::File, name: name.as_bytes().to_vec(), id })
    }

    /// The batch `read` anew, behind `before`; its ledger commit.
    pub(super) fn batch(&mut self, before: &Snapshot, read: &ReadBatch) -> Result<Oid, RedactError> {
        let (mut now, mut events, mut subjects) = (before.clone(), Vec::new(), Vec::new());
        for line in &read.batch.events {
            let id = entity_of(line)?;
            let event = replay::read_event(self.store, line.c, &line.e)?;
            let was = message::event_line(&id, &event.event, &event.fact);
            let (line, subject) = self.event(&mut now, &id, line, event)?;
            events.push(line);
            subjects.push((was, subject));
        }
        let refs = self.ref_lines(read)?;
        let is_redacted = events.iter().any(|line| line.r.is_some());
        let v = if is_redacted { read.batch.v.max(REDACTED_FORMAT) } else { read.batch.v };
        let batch = Batch { v, epoch: self.epoch, events, ..read.batch.clone() };
        let (batch_bytes, refs_bytes) = (envelope::encode(&batch), batch::encode_refs(&refs).into_bytes());
        let digest = Sha256::of_parts(&[&batch_bytes, &refs_bytes]);
        let root = tree(vec![self.file("batch", batch_bytes)?, self.file("refs", refs_bytes)?]);
        let raw = self.store.commit(read.commit)?;
        self.old.insert(read.commit);
        self.old.insert(raw.tree);
        self.old.extend(self.store.tree(raw.tree)?.into_iter().map(|entry| entry.id));
        if is_redacted {
            self.telling.insert(read.commit, format!("ledger commit {} (batch {})", read.commit, batch.n));
        }
        let moved = |id: &Oid| self.moved.get(id).copied().unwrap_or(*id);
        let mut parents: Vec<Oid> = read.parents.iter().map(moved).collect();
        if let (Some(first), Some(tip)) = (parents.first_mut(), before.tip) {
            *first = tip;
        }
        let forge = signature_of(&AgentName::forge(), batch.t);
        let lines = message::lines_anew(&raw.message, batch.n, &subjects);
        let prev = before.tip.map(|_| before.tip_digest);
        let commit = NewCommit {
            tree: self.add(root)?,
            parents,
            author: forge.clone(),
            committer: forge,
            message: message::batch(batch.n, &lines, batch.epoch, prev, digest),
        };
        let armor = self.signer.sign(&commit.encode(None).data);
        Ok(self.add(commit.encode(Some(&armor)))?)
    }

    /// One event anew, behind what `now` has of its entity: its line, and its line for people.
    fn event(
        &mut self,
        now: &mut Snapshot,
        id: &EntityId,
        line: &EventLine,
        read: ReadEvent,
    ) -> Result<(EventLine, String), RedactError> {
        let files = self.store.tree(self.store.commit(line.c)?.tree)?;
        let anew = match self.wanted.contains(&(id.clone(), read.event.n)) {
            true => read.event.redacted(read.digest, self.because),
            false => None,
        };
        let is_redacted = anew.is_some();
        let (event, text) = anew.unwrap_or_else(|| (read.event.clone(), read.text.clone()));
        let fact = if is_redacted {
            event.intent().map(|intent| intent.fact()).unwrap_or(read.fact.clone())
        } else {
            read.fact.clone()
        };
        let before = now.fold.entities.get(id).map(|entity| entity.tip);
        let state = {
            let at = crate::state::Happened { agent: &event.a, t: event.t, q: event.q, text: text.as_deref() };
            envelope::encode(&now.fold.next_state(id, &fact, &at))
        };
        let mut entries = vec![self.file("state", state)?];
        let mut left = line.r;
        if is_redacted {
            let bytes = event.encode();
            left = Some(Sha256::of(&bytes));
            entries.push(self.file("event", bytes)?);
            if let Some(text) = &text {
                entries.push(self.file("body.md", text.as_bytes().to_vec())?);
            }
            self.tell(id, &read, line, &files);
        } else {
            entries.extend(files.iter().filter(|entry| entry.name != b"state").cloned());
        }
        let root = self.add(tree(entries))?;
        let told = is_redacted.then(|| {
            let (project, of) = (&now.project, (event.q, read.digest));
            message::event(project, id, of, &fact, text.as_deref(), &read.intent.cause)
        });
        let object = commit_anew(&self.store.get_kind(line.c, Kind::Commit)?, root, before, told.as_deref());
        let tip = self.add(object)?;
        if tip != line.c {
            self.moved.insert(line.c, tip);
            self.old.insert(line.c);
            self.old.insert(self.store.commit(line.c)?.tree);
            self.old.extend(files.iter().map(|entry| entry.id));
        }
        let subject = message::event_line(id, &event, &fact);
        now.fold.apply(id, &event, &fact, text.as_deref(), tip, read.digest);
        Ok((EventLine { e: line.e.clone(), c: tip, h: line.h, r: left }, subject))
    }

    /// Remembers which objects hold what was written in an event, and what notes repeat of it.
    fn tell(&mut self, id: &EntityId, read: &ReadEvent, line: &EventLine, files: &[TreeEntry]) {
        let what = format!("{id} event {}", read.event.n);
        self.telling.insert(line.c, format!("the old commit of {what}"));
        for entry in files.iter().filter(|entry| entry.name != b"state") {
            self.telling.insert(entry.id, format!("the text of {what}"));
        }
        let said = (self.note_of)(&line.e, read);
        let text = read.text.as_ref().map(|_| envelope::redacted_text(self.because));
        let says = (self.note_of)(&line.e, &ReadEvent { text, ..read.clone() });
        self.notes.extend(said.zip(says).filter(|(said, says)| said != says));
    }

    /// A batch's ref lines: chains of entities and notes name other commits now, and nothing else does.
    fn ref_lines(&mut self, read: &ReadBatch) -> Result<Vec<RefLine>, RedactError> {
        let mut lines = Vec::new();
        for line in &read.refs {
            let is_notes = line.name.as_str() == refs::REVIEW_NOTES;
            if let (true, RefTarget::Object(tip)) = (is_notes && !self.notes.is_empty(), &line.new) {
                self.note(*tip)?;
            }
            let is_ours = is_notes || refs::entity_of(&line.name).is_some();
            let moved = |id: Oid| if is_ours { self.moved.get(&id).copied().unwrap_or(id) } else { id };
            let new = match &line.new {
                RefTarget::Object(id) => RefTarget::Object(moved(*id)),
                other => other.clone(),
            };
            lines.push(RefLine { name: line.name.clone(), new, old: line.old.map(moved) });
        }
        Ok(lines)
    }

    /// A commit of notes anew, where it or one below repeats what was written.
    fn note(&mut self, tip: Oid) -> Result<(), RedactError> {
        let commit = self.store.commit(tip)?;
        let parent = commit.parents.first().copied();
        let below = parent.map(|id| self.moved.get(&id).copied().unwrap_or(id));
        let before = parent.map_or(Ok(BTreeMap::new()), |id| fanout::files(self.store, id))?;
        let mut files = Vec::new();
        let mut is_touched = below != parent;
        for (name, id) in fanout::files(self.store, tip)? {
            if before.get(&name) == Some(&id) {
                continue;
            }
            let said = String::from_utf8_lossy(&self.store.get(id)?.data).into_owned();
            let says = self.notes.iter().fold(said.clone(), |text, (was, is)| text.replace(was, is));
            if says != said {
                is_touched = true;
                self.telling.insert(id, "a note on a commit".to_owned());
            }
            self.old.insert(id);
            files.push((name, self.add(Object::new(Kind::Blob, says.into_bytes()))?));
        }
        if !is_touched {
            return Ok(());
        }
        let change = fanout::add(&Over { made: &self.made, below: self.store }, below, files)?;
        for (_, object) in change.objects {
            self.add(object)?;
        }
        let object = commit_anew(&self.store.get_kind(tip, Kind::Commit)?, change.tree, below, None);
        let anew = self.add(object)?;
        self.moved.insert(tip, anew);
        self.old.insert(tip);
        self.old.insert(commit.tree);
        let trees = self.store.tree(commit.tree)?;
        self.old.extend(trees.into_iter().filter(|entry| entry.mode == Mode::Tree).map(|entry| entry.id));
        Ok(())
    }
}

/// `old` with another tree and another parent, and another message where one is given; its people and times stay.
fn commit_anew(old: &Object, tree: Oid, parent: Option<Oid>, message: Option<&str>) -> Object {
    let text = String::from_utf8_lossy(&old.data);
    let (head, said) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut anew = format!("tree {tree}\n");
    anew.extend(parent.map(|id| format!("parent {id}\n")));
    for line in head.lines().filter(|line| !line.starts_with("tree ") && !line.starts_with("parent ")) {
        anew.push_str(line);
        anew.push('\n');
    }
    anew.push('\n');
    anew.push_str(message.unwrap_or(said));
    Object::new(Kind::Commit, anew.into_bytes())
}
