//! What the ledgers in a data directory hold, read as `forge verify` reads them.
//!
//! Invariant: reads alone, and believes nothing that its caller has not verified.

use std::path::Path;

use notes_schema::batch::RefTarget;
use notes_schema::names::hex;
use notes_schema::{EntityId, Fact, ProjectName, refs};

use super::watch::{History, Written, keys};
use crate::bench::error::{BenchError, unusable};
use crate::ledger::{ReadBatch, read_batch, read_event, verify};
use git::store::Store;

/// Reads every repository below the data directory `data`.
pub(super) fn read(data: &Path) -> Result<History, BenchError> {
    let mut history = History::default();
    for (name, path) in verify::repositories(data).map_err(|e| unusable("reading the repositories", e))? {
        let store = Store::open(&path).map_err(|e| unusable(name.as_str(), e))?;
        let commits = verify::ledger_commits(&path, &store).map_err(|e| unusable(name.as_str(), e))?;
        for commit in commits {
            let read = read_batch(&store, commit).map_err(|e| unusable(name.as_str(), e))?;
            history.batches.insert((name.to_string(), commit), read.batch.n);
            pushes(&mut history, &name, &read);
            for line in &read.batch.events {
                let event = read_event(&store, line.c, &line.e).map_err(|e| unusable(name.as_str(), e))?;
                let (q, agent) = (event.event.q, event.event.a.as_str());
                history.events.push((q, name.to_string(), read.batch.n));
                let entity: Option<EntityId> = line.e.parse().ok();
                if let Some((key, value)) = said(name.as_str(), entity.as_ref(), agent, &event.fact) {
                    let (repository, batch) = (name.to_string(), read.batch.n);
                    history.written.push(Written { key, repository, batch, seq: Some(q), value });
                }
            }
        }
    }
    Ok(history)
}

/// What an event says was done, and the value that its agent was told.
fn said(project: &str, entity: Option<&EntityId>, agent: &str, fact: &Fact) -> Option<(String, String)> {
    Some(match (entity?, fact) {
        (EntityId::Agent(name), Fact::AgentRegistered(_)) => (keys::agent(name.as_str()), name.to_string()),
        (EntityId::Agent(name), Fact::TokenIssued(_)) => (keys::token(name.as_str()), name.to_string()),
        (EntityId::Issue(n), Fact::IssueOpened(f)) => (keys::issue(project, &f.title), format!("{project}#{n}")),
        (EntityId::Issue(n), Fact::WorkStarted(f)) => (keys::start(project, *n, agent), hex(&f.nonce)),
        (EntityId::Pull(n), Fact::PullOpened(f)) => {
            (keys::submit(project, f.branch.as_str()), format!("{project}#{n}"))
        }
        (EntityId::Pull(n), Fact::Reviewed(f)) => (keys::review(project, *n, agent), f.head.to_string()),
        (EntityId::Pull(n), Fact::PullMerged(f)) => (keys::merge(project, *n), f.landed.to_string()),
        (EntityId::Elo(_), Fact::RatingSettled(f)) => {
            (keys::rating(f.pull.project.as_str(), f.pull.n), f.agent.to_string())
        }
        _ => return None,
    })
}

/// What a batch's pushes set, where its refs end, and what landed on the default branch.
fn pushes(history: &mut History, name: &ProjectName, read: &ReadBatch) {
    let (repository, batch) = (name.to_string(), read.batch.n);
    let mut write = |key: String, value: String| {
        history.written.push(Written { key, repository: repository.clone(), batch, seq: None, value });
    };
    for record in read.batch.pushes.iter().flat_map(|push| &push.records) {
        write(keys::push(name.as_str(), record.r.as_str()), record.c.to_string());
    }
    for line in read.refs.iter().filter(|line| !line.name.as_str().starts_with(refs::IN_PREFIX)) {
        let RefTarget::Object(id) = &line.new else { continue };
        let pushed = read.batch.pushes.iter().filter(|push| push.refs.contains(&line.name)).count();
        (0..pushed).for_each(|_| write(keys::push(name.as_str(), line.name.as_str()), id.to_string()));
        if line.name.as_str() == "refs/heads/main" && pushed == 0 {
            write(keys::landing(name.as_str(), &id.to_string()), id.to_string());
        }
    }
    for line in &read.refs {
        let place = (repository.clone(), line.name.to_string());
        match &line.new {
            RefTarget::Object(id) => history.refs.insert(place, *id),
            RefTarget::Symbolic(_) | RefTarget::Nothing => history.refs.remove(&place),
        };
    }
}
