//! Taking out of a ledger again what people wrote in some of its events.
//!
//! A ledger is a chain of digests, so nothing goes out of its midst: from the first batch that is touched on it is written
//! anew, under the epoch that the redaction opens. Each redacted event becomes what [`notes_schema::Event::redacted`] leaves
//! of it and keeps its place and its digest, by which all others know it. Kept events stay as they are, byte for byte; their
//! commits are others, and `state` where a title stood in it. Numbers, times, pushes and what refs of code name are the same.
//!
//! Invariant: the repository is read alone. What is made of it is a new one beside, whole, checked as `forge verify` checks
//! it, and without an object that only the old ledger reached.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use notes_schema::batch::{self, Batch, EventLine, RefLine, RefTarget};
use notes_schema::envelope::{self, REDACTED_FORMAT};
use notes_schema::event::{ProjectRedacted, RedactedEvent};
use notes_schema::{AgentName, EntityId, Oid, RefName, Sha256, refs};

use super::draft::signature_of;
use super::replay::{self, ReadBatch, ReadEvent, ReplayError};
use super::snapshot::Snapshot;
use super::verify::take_batch;
use super::{Signer, fanout, maintain, message, recover, storage};
use git::object::{Kind, Mode, NewCommit, Object, TreeEntry, tree};
use git::pack::write::Builder;
use git::store::{Objects, Over, ReadError, Store};
use git::{disk, packed_refs};

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
    for commit in snapshot.tip.map_or(Ok(Vec::new()), |tip| Ok::<_, ReplayError>(replay::first_parents(store, tip, None)?.0))? {
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

/// What is made on the way.
struct Writer<'a> {
    store: &'a Store,
    because: &'a str,
    note_of: &'a NoteOf<'a>,
    /// Epoch of the key that signs.
    epoch: u32,
    signer: &'a Signer,
    wanted: BTreeSet<(EntityId, u64)>,
    made: HashMap<Oid, Object>,
    order: Vec<Oid>,
    /// What became of commits of events and of notes.
    moved: HashMap<Oid, Oid>,
    /// Objects of the old ledger that have another in their place, and which of them hold what was written.
    old: HashSet<Oid>,
    telling: BTreeMap<Oid, String>,
    /// Lines of notes, and what stands for them.
    notes: Vec<(String, String)>,
}

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
    fn batch(&mut self, before: &Snapshot, read: &ReadBatch) -> Result<Oid, RedactError> {
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
        let fact = if is_redacted { event.intent().map(|intent| intent.fact()).unwrap_or(read.fact.clone()) } else { read.fact.clone() };
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

impl Rewritten {
    /// Makes the repository `to` of `from`: everything that is there but what only the old ledger reached, and the ledger
    /// written anew. Whole and durable when this returns. What is at `to` goes first.
    pub(crate) fn build(&self, from: &Path, to: &Path, authority: &Snapshot, signer: &Signer) -> Result<(), RedactError> {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        let head = self.snapshot.head.clone().unwrap_or_else(RefName::head);
        packed_refs::init_bare(to, &head)?;
        let is_whole = |name: &str| name.starts_with("pack-b") || name.starts_with(maintain::MERGED);
        let touched = git::pack::without::copy(from, to, &self.dropped, &is_whole)?;
        if !touched.is_empty() {
            maintain::write_merged(to, &touched, &self.dropped)?;
        }
        let mut builder = Builder::default();
        for (id, object) in &self.made {
            builder.add(*id, object);
        }
        maintain::write_pack(to, &builder.finish())?;
        disk::sync_dir(&storage::pack_dir(to))?;
        packed_refs::write(to, &self.snapshot.refs, self.snapshot.head.as_ref())?;
        disk::replace_file(to, "config", &fs::read(from.join("config"))?)?;
        self.check(to, authority, signer)
    }

    /// Replays what was built, from its first batch on, and looks for what must be gone.
    fn check(&self, built: &Path, authority: &Snapshot, signer: &Signer) -> Result<(), RedactError> {
        let store = Store::open(built)?;
        let mut then = authority.clone();
        then.epochs.insert(authority.epoch + 1, signer.public_openssh());
        then.fold.redactions.entry(self.snapshot.project.clone()).or_default().push_back(self.fact.clone());
        let mut snapshot = Snapshot::empty(self.snapshot.project.clone());
        for commit in replay::first_parents(&store, self.fact.new, None)?.0 {
            take_batch(&mut snapshot, &store, &replay::read_batch(&store, commit)?, Some(&then), &mut |_, _| {})?;
        }
        recover::drop_refs_without_objects(&mut snapshot, &store);
        if snapshot != self.snapshot {
            return Err(RedactError::Differs("what was built of it"));
        }
        if let Some(id) = self.dropped.iter().find(|id| store.contains(**id)) {
            return Err(ReadError::Store { id: *id, why: "it is still in what was built".to_owned() }.into());
        }
        match self.kept.iter().find(|id| !store.contains(**id)) {
            Some(id) => Err(ReadError::Missing(*id).into()),
            None => Ok(()),
        }
    }
}
