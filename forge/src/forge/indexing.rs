//! Keeping the index a step behind the ledger and no more: writers only note what changed, whoever asks the index brings
//! it up to date first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use notes_schema::{EntityId, ProjectName};
use search::{Item, Kind, State};

use super::Forge;
use crate::ledger::{self, Published, Repository, Snapshot};
use crate::state::{IssueStatus, PullStatus};

// The index is somebody else's code: when it panics, these locks stay usable, or every later reader and writer would fail. What was lost then is found again, because the index says how far it is.

/// What the index does not reflect yet, and up to which ledger number that brings it.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    projects: BTreeMap<ProjectName, (u64, BTreeSet<u64>)>,
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
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = dirty.projects.entry(published.snapshot.project.clone()).or_default();
        entry.0 = published.snapshot.number;
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
        while let Some((name, (number, items))) = projects.next() {
            let Ok(repository) = self.project(&name) else { continue };
            let snapshot = repository.snapshot();
            let changed = items.iter().filter_map(|n| item(&repository, &snapshot, *n)).collect();
            let updated = match self.index.update(&name, number, changed) {
                Err(search::Error::Behind(_)) => self.rebuild_index(&repository),
                other => other,
            };
            if let Err(error) = updated {
                self.put_back(std::iter::once((name, (number, items))).chain(projects));
                return Err(error);
            }
        }
        Ok(())
    }

    fn put_back(&self, left: impl Iterator<Item = (ProjectName, (u64, BTreeSet<u64>))>) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, (number, items)) in left {
            let entry = dirty.projects.entry(name).or_default();
            entry.0 = entry.0.max(number);
            entry.1.extend(items);
        }
    }

    /// The index, reflecting everything that was durable when this was called.
    pub fn index(&self) -> Result<&search::Index, crate::answer::Refusal> {
        self.index_dirty()
            .map_err(|e| crate::answer::Refusal::new(crate::answer::Code::TryLater, "index", e.to_string(), "feed"))?;
        Ok(&self.index)
    }

    /// Rebuilds what the index on disk does not reflect. It never knows more than the ledger: a project that it claims to
    /// be ahead in is rebuilt too.
    pub(super) fn index_what_is_behind(&self, reflects: &HashMap<ProjectName, u64>) -> Result<(), search::Error> {
        let repositories = self.open_repositories();
        for gone in reflects.keys().filter(|name| repositories.iter().all(|r| r.name() != *name)) {
            self.index.remove_project(gone)?;
        }
        for repository in repositories {
            let snapshot = repository.snapshot();
            if reflects.get(repository.name()) == Some(&snapshot.number) {
                continue;
            }
            self.rebuild_index(&repository)?;
        }
        Ok(())
    }

    pub(super) fn rebuild_index(&self, repository: &Arc<Repository>) -> Result<(), search::Error> {
        let snapshot = repository.snapshot();
        let numbers = snapshot.fold.issues().map(|(n, _)| n).chain(snapshot.fold.pulls().map(|(n, _)| n));
        let items: Vec<Item> = numbers.filter_map(|n| item(repository, &snapshot, n)).collect();
        tracing::info!(project = %repository.name(), items = items.len(), "rebuilding the index");
        self.index.rebuild(repository.name(), snapshot.number, items)
    }
}

fn item(repository: &Arc<Repository>, snapshot: &Snapshot, n: u64) -> Option<Item> {
    let project = repository.name().clone();
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
        lang: None,
        seq,
        opened_seq,
    })
}

fn searched_text(repository: &Repository, tip: notes_schema::Oid) -> String {
    let events = ledger::chain(repository.store().as_ref(), tip, SEARCHED_EVENTS).unwrap_or_default();
    let mut body = String::new();
    for text in events.iter().filter_map(|e| e.text.as_deref()) {
        if body.len() + text.len() > SEARCHED_BYTES {
            break;
        }
        body.push_str(text);
        body.push('\n');
    }
    body
}
