//! One repository: its snapshot for readers, its queue and committer for writers.
//!
//! Invariant: one writer at a time, and whoever waits longest commits for all that queued meanwhile; there is no timer,
//! so an idle forge answers at once. Leading is handed on, never raced for: a writer that comes back at once cannot get
//! ahead of those that wait, which would make batches of one.
//! Invariant: whose batch may or may not be on disk is told that this is unknown, never yes. The repository takes no writes
//! until that batch has been written again, whole, and read back from the disk as a restart reads it.

mod doubt;
mod keep;
mod space;

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use notes_schema::batch::{Batch, RefLine};
use notes_schema::{Oid, ProjectName, RefName};
use tokio::sync::OwnedMutexGuard;

use super::checkpoint::Checkpoints;
use super::clock::Clock;
use super::draft::{Built, Draft};
use super::follow::{self, FollowError, NewEpochs};
use super::pushes::Pushes;
use super::sequence::Sequence;
use super::signer::Signer;
use super::snapshot::Snapshot;
use super::storage::{self, AppendError};
use super::{fault, maintain, recover};
use crate::answer::{Code, Refusal};
use doubt::ReadOnly;
pub use doubt::UNKNOWN;
use git::object::Object;
use git::store::{Objects as _, Store};

/// What a repository shares with the rest of its forge.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Clock,
    /// Whether it is right, however far behind the ledger.
    pub accept_clock: bool,
    /// The forge-wide sequence.
    pub sequence: Arc<Sequence>,
    /// The signing key of the current epoch.
    pub signer: Arc<Signer>,
    /// `forge.git`'s snapshot, for projects: which epoch signs, and which keys are valid.
    pub authority: Option<Arc<Repository>>,
    /// Where checkpoints are kept; without it, every start replays all.
    pub checkpoints: Option<Arc<Checkpoints>>,
    /// What every write is refused with, where these are copies of another forge's repositories that follow it.
    pub mirror: Option<Arc<Refusal>>,
}

/// A batch that became durable a moment ago.
pub struct Published<'a> {
    /// The repository after it.
    pub snapshot: &'a Arc<Snapshot>,
    /// The batch.
    pub batch: &'a Batch,
    /// The ledger commit before it.
    pub before: Option<Oid>,
    /// The refs that it moved.
    pub refs: &'a [RefLine],
}

/// What following brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Followed {
    /// New batches.
    pub batches: u64,
    /// Whether batches that were seen before were written anew, because something was redacted in them.
    pub is_rewritten: bool,
}

/// In a mirror's repository: ledgers that it followed before they were written anew, a line each with the number of the last
/// batch, its commit, and what the new ledger's tip was.
const UNREDACTED: &str = "unredacted";

type Listener = Box<dyn Fn(&Published) + Send + Sync>;
type Outcome = Result<Box<dyn Any + Send>, Refusal>;
type Plan = Box<dyn FnOnce(&mut Draft) -> Outcome + Send>;

/// What a writer gets back: its plan's outcome, and the repository after its batch.
type Answered = (Outcome, Arc<Snapshot>);
type Answerer = SyncSender<Turn>;

/// What a waiting writer is told.
enum Turn {
    /// Its plan was dealt with.
    Answered(Answered),
    /// It is the one to lead now.
    Lead,
}

struct Job {
    plan: Plan,
    answer: Answerer,
}

/// Writers that wait.
#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether somebody leads. Whoever finds it unset does.
    led: bool,
}

/// How far behind the ledger the machine's clock may be, milliseconds.
/// Limit: how far the clock may be behind what was written | {:ms}
const CLOCK_TOLERANCE_MS: u64 = 86_400_000;
/// Most batches above the flushed one: each is a pack, and a look for an object asks them all.
/// Limit: batches above the flushed refs | {}, then writers wait for a flush
const LONGEST_TAIL: u64 = 512;
/// Most batches since packs were last merged. Merging takes seconds at most and has a thread of its own, so only one that
/// hangs comes here: what bounds it is that each pack is mapped, and a process may have some 65,000 maps.
/// Limit: batches since packs were merged | {}, then writers wait for a merge
const MOST_UNMERGED: u64 = 4096;
/// Most remembered object bytes before refs are flushed and memory is given back.
/// Limit: objects of batches that are remembered before refs are flushed | {:bytes}
const MOST_REMEMBERED: usize = 64 << 20;

/// Refs are flushed at most for one part in so many of the time.
const FLUSH_SHARE: u32 = 20;
/// Shortest time between two commit-graphs of a repository.
const GRAPH_PAUSE: Duration = Duration::from_secs(60);
/// So many batches behind, a commit-graph is brought up to date even while others are written.
const FAR_BEHIND: u64 = 4096;

/// How far the commit-graph is.
#[derive(Debug, Default)]
pub(super) struct KeptGraph {
    /// The ledger number that it was last written for, and when.
    written: u64,
    at: Option<Instant>,
    /// The ledger number at the last look.
    seen: u64,
}

/// Runs one writer's work so that its panic costs that writer alone: an unwinding committer would poison its lock, and
/// with it the repository, until a restart. What the work touched is scratch state and is rolled back. The panic hook
/// has logged it.
fn contained<R>(work: impl FnOnce() -> R) -> Option<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// Leading, handed on when it ends, however it ends.
struct Leading<'a>(&'a Repository);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.hand_on(std::thread::panicking());
    }
}

/// One bare repository with its ledger.
pub struct Repository {
    name: ProjectName,
    git_dir: PathBuf,
    store: Arc<Store>,
    deps: Deps,
    snapshot: ArcSwap<Snapshot>,
    queue: Arc<Mutex<Queue>>,
    flushing: Mutex<maintain::Flushed>,
    /// The number in `flushing`, for writers, who must not wait for a flush to read it.
    flushed: AtomicU64,
    /// When the last flush ended, and how long it took.
    last_flush: Mutex<(Option<Instant>, Duration)>,
    /// Held while packs are merged, which may take long.
    merging: Mutex<()>,
    /// The flushed number at the last merge.
    merged: AtomicU64,
    /// Held while git writes the commit-graph.
    graph: Mutex<KeptGraph>,
    /// Held while a checkpoint is written.
    checkpoint: Mutex<keep::KeptCheckpoint>,
    /// Whether what is served leaves out refs that the ledger has.
    lacks_objects: AtomicBool,
    read_only: Mutex<Option<ReadOnly>>,
    /// Bytes of its packs.
    pack_bytes: AtomicU64,
    /// Pushes under way.
    pushes: Arc<Pushes>,
    /// Held while orphans are collected.
    collecting: Mutex<()>,
    left_behind: Mutex<space::LeftBehind>,
    /// Held by whoever makes something outside the committer that stands only if the refs do.
    turn: Arc<tokio::sync::Mutex<()>>,
    listener: OnceLock<Listener>,
}

impl Repository {
    /// Recovers and opens the bare repository in `git_dir`. A damaged tail opens read-only at the last good batch.
    pub fn open(git_dir: &Path, name: ProjectName, deps: Deps) -> Result<Repository, recover::RecoverError> {
        let authority = deps.authority.as_ref().map(|forge| forge.snapshot());
        let recovered = recover::recover(git_dir, &name, authority.as_deref(), deps.checkpoints.as_deref())?;
        deps.sequence.saw_durable(recovered.snapshot.fold.max_q);
        Ok(Repository {
            name,
            git_dir: git_dir.to_owned(),
            store: Arc::new(recovered.store),
            deps,
            snapshot: ArcSwap::from_pointee(recovered.snapshot),
            queue: Arc::default(),
            flushed: AtomicU64::new(recovered.flushed.number),
            flushing: Mutex::new(recovered.flushed),
            last_flush: Mutex::default(),
            merging: Mutex::default(),
            merged: AtomicU64::new(recovered.flushed.number),
            graph: Mutex::default(),
            checkpoint: Mutex::new(keep::KeptCheckpoint::of(recovered.checkpoint)),
            lacks_objects: AtomicBool::new(recovered.lacks_objects),
            read_only: Mutex::new(recovered.damage.map(ReadOnly::Until)),
            pack_bytes: AtomicU64::new(space::UNCOUNTED),
            pushes: Arc::default(),
            collecting: Mutex::default(),
            left_behind: Mutex::default(),
            turn: Arc::default(),
            listener: OnceLock::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    /// Its directory.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Its objects.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The newest durable moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Milliseconds since 1970, by its clock.
    pub(super) fn now(&self) -> u64 {
        (self.deps.clock)()
    }

    /// Why it takes no writes, if it does not.
    pub fn read_only(&self) -> Option<String> {
        match &*self.read_only.lock().expect("invariant: no panic under this lock") {
            None => None,
            Some(ReadOnly::Until(why)) => Some(why.clone()),
            Some(ReadOnly::Doubt(doubt)) => Some(doubt.why.clone()),
        }
    }

    /// Whether nothing of its own may be written here: no batch, no caches of refs and packs.
    pub fn is_closed(&self) -> bool {
        self.deps.mirror.is_some() || self.read_only().is_some()
    }

    /// Calls `listener` after every batch, before its writers are answered. Only the first call counts.
    pub fn on_publish(&self, listener: impl Fn(&Published) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Runs `plan` at the commit point and returns once its batch is durable and published. Preconditions and authority
    /// belong inside `plan`: what it sees is what is written onto. Blocks.
    pub fn commit<R, F>(&self, plan: F) -> Result<(R, Arc<Snapshot>), Refusal>
    where
        R: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<R, Refusal> + Send + 'static,
    {
        if let Some(refusal) = &self.deps.mirror {
            return Err(Refusal::clone(refusal));
        }
        if !self.name.is_forge() && self.deps.sequence.is_short() {
            self.reserve_sequence()?;
        }
        self.commit_here(plan)
    }

    fn commit_here<R, F>(&self, plan: F) -> Result<(R, Arc<Snapshot>), Refusal>
    where
        R: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<R, Refusal> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let plan: Plan = Box::new(move |draft| plan(draft).map(|value| Box::new(value) as Box<dyn Any + Send>));
        let leads = {
            let mut queue = self.queue.lock().expect("invariant: no panic under this lock");
            queue.jobs.push_back(Job { plan, answer });
            !std::mem::replace(&mut queue.led, true)
        };
        let (outcome, snapshot) = self.lead_or_follow(leads, &answered)?;
        let value = outcome?.downcast::<R>().expect("invariant: a job is answered with its own type");
        Ok((*value, snapshot))
    }

    /// For whoever makes something outside the committer that is void once a ref has moved: those who take turns do not
    /// make each other's work void. Other writers go on meanwhile. First come, first served.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// The same for a thread. Blocks.
    pub fn blocking_turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().blocking_lock_owned()
    }

    /// Writes the first batch: it names the default branch and has no events, so that first parents end there. In
    /// `forge.git` it opens the first epoch too.
    pub fn begin(&self, default_branch: &RefName) -> Result<(), Refusal> {
        let head = default_branch.clone();
        let key = self.deps.authority.is_none().then(|| self.deps.signer.public_openssh());
        let plan = move |draft: &mut Draft| {
            if draft.snapshot().number == 0 {
                draft.set_head(&head);
                if let Some(key) = key {
                    draft.open_epoch(key);
                    draft.reserve_sequence();
                }
            }
            Ok(())
        };
        self.commit(plan).map(drop)
    }

    /// What it was opened with.
    #[cfg(test)]
    pub(super) fn deps(&self) -> &Deps {
        &self.deps
    }

    /// Counts the writers that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Box<dyn Fn() -> usize + Send + Sync> {
        let queue = self.queue.clone();
        Box::new(move || queue.lock().expect("invariant: no panic under this lock").jobs.len())
    }

    fn lead_or_follow(&self, leads: bool, turns: &Receiver<Turn>) -> Result<Answered, Refusal> {
        let mut leads = leads;
        loop {
            if leads {
                let _handed_on = Leading(self);
                self.lead();
            }
            match turns.recv() {
                Ok(Turn::Answered(answered)) => return Ok(answered),
                Ok(Turn::Lead) => leads = true,
                Err(_) => return Err(self.refuse_all("an earlier write failed unexpectedly")),
            }
        }
    }

    /// Lets the next in the queue lead. After a panic nobody may: what it left half done, only recovery can tell.
    fn hand_on(&self, failed: bool) {
        let mut queue = self.queue.lock().expect("invariant: no panic under this lock");
        if failed {
            let why = "an earlier write failed unexpectedly".to_owned();
            let mut read_only = self.read_only.lock().expect("invariant: no panic under this lock");
            read_only.get_or_insert(ReadOnly::Until(why));
            // Who waits is refused by the loss of its answer.
            queue.jobs.clear();
        }
        queue.led = queue.jobs.front().is_some_and(|next| next.answer.send(Turn::Lead).is_ok());
    }

    fn reserve_sequence(&self) -> Result<(), Refusal> {
        let Some(forge) = &self.deps.authority else { return Ok(()) };
        forge
            .commit(|draft| {
                draft.reserve_sequence();
                Ok(())
            })
            .map(drop)
    }

    fn refuse_all(&self, why: &str) -> Refusal {
        Refusal::new(Code::TryLater, format!("write to {}", self.name), why, "ssh forge feed")
    }

    /// Commits one batch of what is queued. Called by the one that leads.
    fn lead(&self) {
        self.settle_doubt();
        let before = self.snapshot();
        let mut answers: Vec<(Answerer, Outcome)> = Vec::new();
        if let Some(why) = self.refuses_writes(&before) {
            for job in self.take_jobs(usize::MAX) {
                answers.push((job.answer, Err(self.refuse_all(&why))));
            }
            self.answer(answers, &before);
            return;
        }
        let genesis = self.genesis(&before);
        let mut draft = Draft::new(&before, &self.store, &self.deps.sequence, genesis, (self.deps.clock)());
        while !draft.is_full() {
            let Some(job) = self.take_jobs(1).pop() else { break };
            let savepoint = draft.savepoint();
            let plan = job.plan;
            let outcome = contained(|| plan(&mut draft))
                .unwrap_or_else(|| Err(self.refuse_all("it failed unexpectedly; the log says how")))
                .and_then(|value| draft.check_size(&savepoint).map(|()| value));
            if outcome.is_err() {
                draft.roll_back(savepoint);
            }
            answers.push((job.answer, outcome));
        }
        let taken = draft.taken().to_vec();
        let after = if draft.is_empty() { Ok(before.clone()) } else { self.append(draft, &taken) };
        if let Ok(snapshot) = &after {
            self.deps.sequence.saw_durable(snapshot.fold.max_q);
        }
        if self.doubt().is_none() {
            self.deps.sequence.settle(&taken, false);
        }
        match after {
            Ok(snapshot) => {
                self.answer(answers, &snapshot);
                self.hold_back(snapshot.number);
            }
            Err(refusal) => {
                let refused =
                    answers.into_iter().map(|(to, outcome)| (to, outcome.and(Err(refusal.clone())))).collect();
                self.answer(refused, &before);
            }
        }
    }

    fn take_jobs(&self, most: usize) -> Vec<Job> {
        let mut queue = self.queue.lock().expect("invariant: no panic under this lock");
        let count = most.min(queue.jobs.len());
        queue.jobs.drain(..count).collect()
    }

    fn answer(&self, answers: Vec<(Answerer, Outcome)>, snapshot: &Arc<Snapshot>) {
        for (to, outcome) in answers {
            // A writer that went away does not undo what is durable.
            let _ = to.send(Turn::Answered((outcome, snapshot.clone())));
        }
    }

    fn refuses_writes(&self, before: &Snapshot) -> Option<String> {
        if let Some(why) = self.read_only() {
            let until =
                if self.doubt().is_some() { "; it takes writes again by itself once the disk does" } else { "" };
            return Some(format!("the repository is read-only: {why}{until}"));
        }
        let now = (self.deps.clock)();
        let is_behind = now.saturating_add(CLOCK_TOLERANCE_MS) < before.t && !self.deps.accept_clock;
        let why =
            "the machine's clock is more than a day behind the ledger: set it right, or start with --accept-clock";
        is_behind.then(|| why.to_owned())
    }

    /// The forge's identity: first ledger commit of `forge.git`.
    fn genesis(&self, own: &Snapshot) -> Option<Oid> {
        match &self.deps.authority {
            Some(forge) => forge.snapshot().genesis,
            None => own.genesis,
        }
    }

    fn append(&self, mut draft: Draft, taken: &[u64]) -> Result<Arc<Snapshot>, Refusal> {
        let authority = self.deps.authority.as_ref().map(|forge| forge.snapshot());
        if let Some(forge) = &authority {
            draft.set_epoch(forge.epoch);
        }
        // Nothing is on disk yet, so a failure here is a plain no.
        let built = contained(|| draft.build(&self.deps.signer, authority.and_then(|forge| forge.tip)))
            .unwrap_or_else(|| Err(self.refuse_all("the batch could not be built; the log says how")))?;
        fault::point("batch-built");
        match storage::append(&self.git_dir, built.snapshot.number, &built.pack) {
            Ok(()) => self.add_pack_bytes(built.pack.pack.len() as u64),
            Err(AppendError::NotWritten(error)) => {
                tracing::error!(project = %self.name, %error, "batch not written");
                return Err(self.refuse_all(&format!("the disk takes no writes: {error}")));
            }
            Err(AppendError::Unknown(error)) => return Err(self.begin_doubt(built, taken, &error)),
        }
        if let Some(reserved) = built.batch.seq_reserved {
            self.deps.sequence.extend(reserved);
        }
        let Built { objects, snapshot, batch, refs, .. } = built;
        Ok(self.publish(objects, snapshot, &batch, &refs))
    }

    /// Follows another forge's ledger to `tip`, whose objects were fetched: every new batch is checked as `forge verify`
    /// checks it, refs on disk are made to equal the ledger, and readers are shown the new moment. `shown` is every ref that
    /// was advertised beside `tip`. After an error all is as before. Numbers of the forge-wide
    /// sequence are not announced: only who follows all repositories knows which are complete.
    pub(crate) fn follow(
        &self,
        tip: Oid,
        shown: &BTreeMap<RefName, Oid>,
        epochs: NewEpochs,
    ) -> Result<Followed, FollowError> {
        let before = self.snapshot();
        let authority = self.deps.authority.as_ref().map(|forge| forge.snapshot());
        let taken = follow::take(&before, &self.store, authority.as_deref(), tip, epochs)?;
        let (mut after, batches) = (taken.after, taken.batches);
        let lacks_objects = follow::check_shown(&mut after, &self.store, shown)?;
        let after = Arc::new(after);
        {
            let mut flushed = self.flushing.lock().expect("invariant: no panic under this lock");
            // Git syncs the packs that it fetches, and not their directory.
            git::disk::sync_dir(&storage::pack_dir(&self.git_dir))?;
            if taken.is_rewritten {
                self.note_old_tip(&before, &after)?;
                flushed.stale = true;
            }
            maintain::flush_refs(&self.git_dir, &after, &mut flushed)?;
            self.flushed.store(flushed.number, Ordering::Release);
        }
        // Before readers, and with them whoever writes a checkpoint, are shown it.
        self.lacks_objects.fetch_or(lacks_objects, Ordering::SeqCst);
        self.snapshot.store(after.clone());
        let mut tip_before = before.tip;
        for read in &batches {
            if let Some(listener) = self.listener.get() {
                let published =
                    Published { snapshot: &after, batch: &read.batch, before: tip_before, refs: &read.refs };
                contained(|| listener(&published));
            }
            tip_before = Some(read.commit);
        }
        self.recount();
        Ok(Followed { batches: batches.len() as u64, is_rewritten: taken.is_rewritten })
    }

    /// Writes down which ledger was followed until now. Its objects stay, and are served to nobody: they show what was
    /// redacted to who holds the disk.
    fn note_old_tip(&self, before: &Snapshot, after: &Snapshot) -> std::io::Result<()> {
        let (Some(old), Some(new)) = (before.tip, after.tip) else { return Ok(()) };
        let path = self.git_dir.join(UNREDACTED);
        let mut lines = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            lines => lines?,
        };
        lines.push_str(&format!("{} {old} {new}\n", before.number));
        git::disk::replace_file(&self.git_dir, UNREDACTED, lines.as_bytes())?;
        tracing::warn!(
            project = %self.name, batch = before.number, %old, noted = %path.display(),
            "something was redacted there; the ledger of before is kept and not served"
        );
        Ok(())
    }

    fn publish(
        &self,
        objects: HashMap<Oid, Object>,
        snapshot: Snapshot,
        batch: &Batch,
        refs: &[RefLine],
    ) -> Arc<Snapshot> {
        self.store.remember(objects);
        self.note_moves(refs);
        let snapshot = Arc::new(snapshot);
        let before = self.snapshot.swap(snapshot.clone()).tip;
        fault::point("batch-published");
        if let Some(listener) = self.listener.get() {
            // The batch is durable whatever becomes of who listens.
            contained(|| listener(&Published { snapshot: &snapshot, batch, before, refs }));
        }
        snapshot
    }

    /// Where housekeeping cannot keep up gives memory back, shortens the tail and merges packs; the writers wait for it. Nobody waits for a merge under way.
    fn hold_back(&self, written: u64) {
        let flushed = self.flushed.load(Ordering::Acquire);
        let far = written.saturating_sub(flushed) >= LONGEST_TAIL || self.store.remembered() >= MOST_REMEMBERED;
        if far && let Err(error) = self.flush() {
            tracing::error!(project = %self.name, %error, "refs on disk lag");
        }
        if written.saturating_sub(self.merged.load(Ordering::Acquire)) >= MOST_UNMERGED {
            let merging = self.merging.lock().expect("invariant: no panic under this lock");
            if let Err(error) = self.merge_under(merging) {
                tracing::error!(project = %self.name, %error, "small packs are not merged");
            }
        }
    }

    /// Whether refs on disk lag, and the last flush is so long ago that they may be written again: with many refs a flush
    /// is dear, and takes a share of the time that does not grow with them.
    pub fn wants_flush(&self) -> bool {
        let (at, took) = *self.last_flush.lock().expect("invariant: no panic under this lock");
        // Or the writers would have to do it themselves, and wait.
        let tail = self.snapshot().number.saturating_sub(self.flushed.load(Ordering::Acquire));
        let near = tail >= LONGEST_TAIL / 2 || self.store.remembered() >= MOST_REMEMBERED / 2;
        let due = near || at.is_none_or(|at| at.elapsed() > took * FLUSH_SHARE);
        due && self.is_behind()
    }

    /// Whether refs on disk lag at all.
    pub fn is_behind(&self) -> bool {
        let flushed = self.flushing.lock().expect("invariant: no panic under this lock");
        flushed.number != self.snapshot().number || flushed.stale
    }

    /// Brings refs on disk up to date. Writers and readers go on meanwhile.
    pub fn flush(&self) -> std::io::Result<()> {
        let mut flushed = self.flushing.lock().expect("invariant: no panic under this lock");
        // What stands before a batch in doubt is as durable as ever.
        if self.deps.mirror.is_some() || (self.read_only().is_some() && self.doubt().is_none()) {
            return Ok(());
        }
        let (snapshot, start) = (self.snapshot(), Instant::now());
        maintain::flush_refs(&self.git_dir, &snapshot, &mut flushed)?;
        *self.last_flush.lock().expect("invariant: no panic under this lock") = (Some(Instant::now()), start.elapsed());
        self.flushed.store(flushed.number, Ordering::Release);
        self.store.forget(MOST_REMEMBERED / 2);
        Ok(())
    }

    /// Merges small packs, where there are many. It may take long, and nobody waits for it: a second call returns at once.
    pub fn merge_packs(&self) -> std::io::Result<()> {
        match self.merging.try_lock() {
            Ok(merging) => self.merge_under(merging),
            Err(_) => Ok(()),
        }
    }

    /// Lets no packs be merged until what it gives is dropped: for tests and measurements.
    pub(crate) fn hold_merging(&self) -> MutexGuard<'_, ()> {
        self.merging.lock().expect("invariant: no panic under this lock")
    }

    fn merge_under(&self, _alone: MutexGuard<()>) -> std::io::Result<()> {
        let flushed = self.flushed.load(Ordering::Acquire);
        if self.merged.load(Ordering::Acquire) == flushed || self.is_closed() {
            return Ok(());
        }
        // Set first: what cannot be merged now is looked at again when there is more.
        self.merged.store(flushed, Ordering::Release);
        if maintain::merge_packs(&self.git_dir, flushed)? {
            self.recount();
        }
        self.store.look_again();
        Ok(())
    }

    /// Brings the commit-graph up to date once the repository has come to rest, or is far behind. Call it now and then;
    /// it may take long, nobody waits for it, and it ends early when `go_on` says so.
    pub fn keep_graph(&self, go_on: &dyn Fn() -> bool) -> std::io::Result<()> {
        let Ok(mut kept) = self.graph.try_lock() else { return Ok(()) };
        let snapshot = self.snapshot();
        let rests = std::mem::replace(&mut kept.seen, snapshot.number) == snapshot.number;
        let behind = snapshot.number - kept.written.min(snapshot.number);
        let too_soon = kept.at.is_some_and(|at| at.elapsed() < GRAPH_PAUSE);
        if behind == 0 || !(rests || behind >= FAR_BEHIND) || too_soon || self.is_closed() {
            return Ok(());
        }
        if snapshot.tip.is_some_and(|tip| self.store.graph().is_some_and(|graph| graph.contains(tip))) {
            kept.written = snapshot.number;
            return Ok(());
        }
        kept.at = Some(Instant::now());
        kept.written = snapshot.number;
        maintain::write_graph(&self.git_dir, &snapshot, go_on)
    }

    /// Flushes and merges.
    pub fn maintain(&self) -> std::io::Result<()> {
        self.flush()?;
        self.merge_packs()
    }
}
