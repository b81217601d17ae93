//! Keeping the index a step behind the ledger and no more: writers only note what changed, whoever asks the index brings
//! it up to date first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use notes_schema::{EntityId, ProjectName};
use search::{Item, Kind, Moment, State};

use super::Forge;
use crate::ledger::{self, Published, Repository, Snapshot};
use crate::state::{IssueStatus, PullStatus};

// The index is somebody else's code: when it panics, these locks stay usable, or every later reader and writer would fail. What was lost then is found again, because the index says how far it is.

/// What the index does not reflect yet, and up to which moment that brings it.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    projects: BTreeMap<ProjectName, (Moment, BTreeSet<u64>)>,
}

/// How many of an entity's events are searched, newest first.
/// Limit: events of a thread that are searched | {}, the newest
const SEARCHED_EVENTS: usize = 64;
/// Longest searched text of one entity, in bytes.
/// Limit: text of a thread that is searched | {:bytes}
const SEARCHED_BYTES: usize = 32 << 10;

impl Forge {
    /// Notes what a batch changed. Cheap: it runs in the committer.
    pub(super) fn note_dirty(&self, published: &Published) {
        let Some(at) = moment(published.snapshot) else { return };
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = dirty.projects.entry(published.snapshot.project.clone()).or_insert((at, BTreeSet::new()));
        entry.0 = at;
        for line in &published.batch.events {
            if let Ok(EntityId::Issue(n) | EntityId::Pull(n)) = line.e.parse() {
                entry.1.insert(n);
            }
        }
    }

    /// Brings the index up to what is durable now. One at a time; committers only wait while the list is taken.
    pub(super) fn index_dirty(&self) -> Result<(), search::Error> {
        let _one_at_a_time = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        let mut projects = taken.projects.into_iter();
        while let Some((name, (at, items))) = projects.next() {
            let Ok(repository) = self.project(&name) else { continue };
            let snapshot = repository.snapshot();
            let changed = items.iter().filter_map(|n| item(&repository, &snapshot, *n)).collect();
            let updated = match self.index.update(&name, at, changed) {
                Err(search::Error::Behind(_)) => self.rebuild_index(&repository),
                other => other,
            };
            if let Err(error) = updated {
                self.put_back(std::iter::once((name, (at, items))).chain(projects));
                return Err(error);
            }
        }
        Ok(())
    }

    fn put_back(&self, left: impl Iterator<Item = (ProjectName, (Moment, BTreeSet<u64>))>) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, (at, items)) in left {
            let entry = dirty.projects.entry(name).or_insert((at, BTreeSet::new()));
            if entry.0.number < at.number {
                entry.0 = at;
            }
            entry.1.extend(items);
        }
    }

    /// The index, reflecting everything that was durable when this was called.
    pub fn index(&self) -> Result<&search::Index, crate::answer::Refusal> {
        self.index_dirty()
            .map_err(|e| crate::answer::Refusal::new(crate::answer::Code::TryLater, "index", e.to_string(), "feed"))?;
        Ok(&self.index)
    }

    /// Brings what the index on disk does not reflect up to date: what changed since, where the ledger leads on from what it
    /// reflects, and else the whole project. So it never knows more than the ledger.
    pub(super) fn index_what_is_behind(&self, reflects: &HashMap<ProjectName, Moment>) -> Result<(), search::Error> {
        let repositories = self.open_repositories();
        for gone in reflects.keys().filter(|name| repositories.iter().all(|r| r.name() != *name)) {
            self.index.remove_project(gone)?;
        }
        for repository in repositories {
            let snapshot = repository.snapshot();
            let (at, known) = (moment(&snapshot), reflects.get(repository.name()).copied());
            match (at, known.and_then(|known| changed_since(&repository, &snapshot, known))) {
                _ if at == known => {}
                (Some(at), Some(changed)) => {
                    self.index.update(repository.name(), at, items(&repository, &snapshot, &changed))?;
                }
                _ => self.rebuild_index(&repository)?,
            }
            self.spare(&repository);
        }
        Ok(())
    }

    pub(super) fn rebuild_index(&self, repository: &Arc<Repository>) -> Result<(), search::Error> {
        let snapshot = repository.snapshot();
        let Some(at) = moment(&snapshot) else { return Ok(()) };
        let numbers = snapshot.fold.issues().map(|(n, _)| n).chain(snapshot.fold.pulls().map(|(n, _)| n));
        let items = items(repository, &snapshot, &numbers.collect::<Vec<u64>>());
        tracing::info!(project = %repository.name(), items = items.len(), "rebuilding the index");
        self.index.rebuild(repository.name(), at, items)
    }
}

fn moment(snapshot: &Snapshot) -> Option<Moment> {
    snapshot.tip.map(|commit| Moment { number: snapshot.number, commit })
}

/// Issues and pull requests with events after `known`; `None` where the ledger does not lead on from there.
fn changed_since(repository: &Repository, snapshot: &Snapshot, known: Moment) -> Option<Vec<u64>> {
    let (store, tip) = (repository.store().as_ref(), snapshot.tip.filter(|_| known.number <= snapshot.number)?);
    let (commits, is_met) = ledger::first_parents(store, tip, Some(known.commit)).ok()?;
    let mut changed = BTreeSet::new();
    for commit in commits.into_iter().filter(|_| is_met) {
        for line in ledger::read_batch(store, commit).ok()?.batch.events {
            if let Ok(EntityId::Issue(n) | EntityId::Pull(n)) = line.e.parse() {
                changed.insert(n);
            }
        }
    }
    is_met.then(|| changed.into_iter().collect())
}

/// Fewer items than this are made by one thread.
const ENOUGH: usize = 256;

/// What the index says of these issues and pull requests. Reading their threads is most of the work, and is shared.
fn items(repository: &Arc<Repository>, snapshot: &Snapshot, numbers: &[u64]) -> Vec<Item> {
    let make = |numbers: &[u64]| numbers.iter().filter_map(|n| item(repository, snapshot, *n)).collect::<Vec<Item>>();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if numbers.len() < ENOUGH || threads < 2 {
        return make(numbers);
    }
    std::thread::scope(|scope| {
        let parts = numbers.chunks(numbers.len().div_ceil(threads)).map(|part| scope.spawn(move || make(part)));
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn item(repository: &Arc<Repository>, snapshot: &Snapshot, n: u64) -> Option<Item> {
    let project = repository.name().clone();
    let lang = snapshot.fold.issue(n).and_then(|issue| issue.lang.clone());
    let (id, kind, state, title, author, labels, seq, opened_seq) = if let Some(issue) = snapshot.fold.issue(n) {
        let state = match issue.status {
            IssueStatus::Open => State::Open,
            IssueStatus::Closed => State::Closed,
        };
        let labels = issue.labels.clone();
        (EntityId::Issue(n), Kind::Issue, state, &issue.title, &issue.author, labels, issue.last_q, issue.opened_q)
    } else {
        let pull = snapshot.fold.pull(n)?;
        let state = match pull.status {
            PullStatus::Open => State::Open,
            PullStatus::Merged => State::Merged,
            PullStatus::Closed => State::Closed,
        };
        (EntityId::Pull(n), Kind::Pull, state, &pull.title, &pull.author, Vec::new(), pull.last_q, pull.opened_q)
    };
    let tip = snapshot.fold.entities.get(&id)?.tip;
    let body = searched_text(repository, tip);
    Some(Item {
        project,
        n,
        kind,
        state,
        title: title.clone(),
        body,
        author: author.to_string(),
        labels,
        lang,
        seq,
        opened_seq,
    })
}

fn searched_text(repository: &Repository, tip: notes_schema::Oid) -> String {
    let texts = ledger::texts(repository.store().as_ref(), tip, SEARCHED_EVENTS).unwrap_or_default();
    let mut body = String::new();
    for text in texts {
        if body.len() + text.len() > SEARCHED_BYTES {
            break;
        }
        body.push_str(&text);
        body.push('\n');
    }
    body
}
