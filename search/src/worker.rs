//! The layers above the index and the one thread that commits them.
//!
//! Invariant: `fresh` over `committing` over the searcher is, at every moment at which the lock is free, exactly what was
//! written. Nothing slow happens under the lock.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notes_schema::ProjectName;
use tantivy::Searcher;

use crate::Error;
use crate::overlay::{Overlay, View};
use crate::store::{Reflects, Store, Writer};

/// A commit begins this long after the first write that waits for it …
const LINGER: Duration = Duration::from_secs(2);
/// … or when this many items wait …
const COMMIT_ITEMS: usize = 256;
/// … or this many bytes.
const COMMIT_BYTES: usize = 2 << 20;
/// With this many items waiting, or this many bytes, a write waits for the commit under way.
/// Limit: items that wait to be indexed, before their writer's index waits | {}
const WAIT_ITEMS: usize = 2048;
/// See [`WAIT_ITEMS`].
/// Limit: bytes of items that wait to be indexed | {:bytes}
const WAIT_BYTES: usize = 16 << 20;
/// After a failed commit the next one begins this much later.
const RETRY: Duration = Duration::from_secs(5);

/// What queries see, and what the thread still has to do.
pub(crate) struct State {
    /// Written since the last commit began.
    pub fresh: Overlay,
    /// Being committed.
    committing: Option<Arc<Overlay>>,
    /// The index as of the last commit.
    searcher: Searcher,
    /// What queries reflect.
    pub reflects: Reflects,
    /// Projects of which a write was refused.
    behind: HashSet<ProjectName>,
    /// Number of the last change.
    changes: u64,
    /// Number of the last change that is on disk.
    durable: u64,
    /// When the next commit begins at the latest.
    due: Option<Instant>,
    /// Someone waits: commit now.
    urgent: bool,
    /// How many commits failed, and why the last one did, unless one succeeded since.
    failures: u64,
    failed: Option<String>,
    closing: bool,
}

/// Shared with the thread.
pub(crate) struct Shared {
    pub store: Store,
    state: Mutex<State>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells the others that a commit ended.
    ended: Condvar,
}

/// The handle: stops the thread when dropped.
pub(crate) struct Worker {
    pub shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Opens the index and starts the thread.
    pub fn start(dir: &Path) -> Result<(Worker, Reflects), Error> {
        let (store, writer, reflects) = Store::open(dir)?;
        let state = State {
            fresh: Overlay::default(),
            committing: None,
            searcher: store.searcher(),
            reflects: reflects.clone(),
            behind: HashSet::new(),
            changes: 0,
            durable: 0,
            due: None,
            urgent: false,
            failures: 0,
            failed: None,
            closing: false,
        };
        let shared = Arc::new(Shared { store, state: Mutex::new(state), work: Condvar::new(), ended: Condvar::new() });
        let for_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name("search-commit".to_owned()).spawn(move || for_thread.run(writer))?;
        Ok((Worker { shared, thread: Some(thread) }, reflects))
    }

    /// The state, also after a panic elsewhere: every change to it is whole before the lock is let go.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Applies one change, waiting first where too much waits already. With `whole` the change replaces all there is of
    /// `project` (of everything, without one), so it does not matter what was refused before.
    pub fn change(
        &self,
        project: Option<&ProjectName>,
        whole: bool,
        apply: impl FnOnce(&mut State),
    ) -> Result<(), Error> {
        let mut state = self.lock();
        let failures = state.failures;
        while state.fresh.is_beyond(WAIT_ITEMS, WAIT_BYTES) {
            if state.failures != failures || state.failed.is_some() {
                let Some(project) = project else { break };
                state.behind.insert(project.clone());
                return Err(Error::Behind(project.clone()));
            }
            state.urgent = true;
            self.shared.work.notify_one();
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match project {
            Some(project) if whole => drop(state.behind.remove(project)),
            Some(project) if state.behind.contains(project) => return Err(Error::Behind(project.clone())),
            Some(_) => {}
            None => state.behind.clear(),
        }
        apply(&mut state);
        state.changes += 1;
        state.fresh.upto = state.changes;
        let begins = state.due.is_none();
        if begins {
            state.due = Some(Instant::now() + LINGER);
        }
        if begins || state.fresh.is_beyond(COMMIT_ITEMS, COMMIT_BYTES) {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits until everything written so far is on disk.
    pub fn flush(&self) -> Result<(), Error> {
        let mut state = self.lock();
        let (wanted, failures) = (state.changes, state.failures);
        while state.durable < wanted {
            if state.failures != failures {
                return Err(Error::Commit(state.failed.clone().unwrap_or_default()));
            }
            state.urgent = true;
            self.shared.work.notify_one();
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Everything as of now: the committed index and what lies above it.
    pub fn view(&self) -> (Searcher, View) {
        let state = self.lock();
        let mut view = View::default();
        view.lower(&state.fresh);
        if let Some(committing) = &state.committing {
            view.lower(committing);
        }
        (state.searcher.clone(), view)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It catches its own panics; there is nothing to do about one that it did not.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, writer: Writer) {
        let mut writer = Some(writer);
        while let Some((overlay, reflects)) = self.next() {
            let outcome = match catch_unwind(AssertUnwindSafe(|| self.commit(&mut writer, &overlay, &reflects))) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("committing panicked".to_owned()),
            };
            if outcome.is_err() {
                // A writer that failed may be dead; the next commit makes its own and repeats everything.
                drop(catch_unwind(AssertUnwindSafe(|| writer.take())));
            }
            self.end(overlay, outcome);
        }
    }

    fn commit(&self, writer: &mut Option<Writer>, overlay: &Overlay, reflects: &Reflects) -> Result<(), Error> {
        let writer = match writer {
            Some(writer) => writer,
            None => writer.insert(self.store.writer()?),
        };
        self.store.commit(writer, overlay, reflects)
    }

    /// Waits for something to commit and takes it; none when the index is being closed.
    fn next(&self) -> Option<(Arc<Overlay>, Reflects)> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            let now = Instant::now();
            let full = state.failed.is_none() && state.fresh.is_beyond(COMMIT_ITEMS, COMMIT_BYTES);
            if !state.fresh.is_empty() && (state.urgent || full || state.due.is_none_or(|due| due <= now)) {
                break;
            }
            let wait = state.due.filter(|_| !state.fresh.is_empty()).map(|due| due.saturating_duration_since(now));
            state = match wait {
                Some(wait) => self.work.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.urgent = false;
        state.due = None;
        let overlay = Arc::new(std::mem::take(&mut state.fresh));
        state.committing = Some(overlay.clone());
        Some((overlay, state.reflects.clone()))
    }

    /// Puts the result of a commit where queries see it.
    fn end(&self, overlay: Arc<Overlay>, outcome: Result<(), String>) {
        let mut state = self.lock();
        state.committing = None;
        match outcome {
            Ok(()) => {
                state.searcher = self.store.searcher();
                state.durable = overlay.upto;
                state.failed = None;
            }
            Err(why) => {
                tracing::error!(
                    why,
                    waiting = overlay.count,
                    "the search index could not be written; it is tried again"
                );
                let newer = std::mem::take(&mut state.fresh);
                state.fresh = Overlay::clone(&overlay);
                state.fresh.absorb(newer);
                state.failures += 1;
                state.failed = Some(why);
                state.due = Some(Instant::now() + RETRY);
            }
        }
        drop(state);
        self.ended.notify_all();
    }
}
