//! Who works on which open issue, until when without a sign of life, and who keeps what it starts.
//!
//! Invariant: the end of work is an event. What is read never compares its time with a clock.

use imbl::{OrdMap, OrdSet};
use notes_schema::event::{WorkExpired, WorkStarted};
use notes_schema::{AgentName, RefName};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::contest::Kept;
use super::fold::Happened;
use super::issue::Worker;

/// An agent's work on an open issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// As `start` answered it.
    pub worker: Worker,
    /// What binds its records to that start.
    pub nonce: Vec<u8>,
    /// When that was, milliseconds since 1970.
    pub since_ms: u64,
    /// So long it may be without a sign of life, milliseconds; `None` where the forge does not end it.
    pub idle_ms: Option<u64>,
    /// The agent's last sign of life on the issue, milliseconds since 1970.
    pub alive_ms: u64,
}

impl Work {
    /// When the forge ends it unless there is another sign of life, milliseconds since 1970; `None` where it never does.
    pub fn ends_ms(&self) -> Option<u64> {
        self.idle_ms.map(|idle| self.alive_ms.saturating_add(idle))
    }

    /// When it is due, milliseconds since 1970.
    pub fn due_ms(&self) -> u64 {
        self.ends_ms().unwrap_or(self.worker.deadline_ms)
    }
}

/// Work that its agent did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Forge-wide number of the event.
    pub q: u64,
    /// What ended it.
    pub by: EndedBy,
}

/// What ended an agent's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// The forge, for there was no sign of life since `alive_ms`, milliseconds since 1970.
    Expiry {
        /// When the last one was.
        alive_ms: u64,
    },
    /// Whoever closed the issue, or the end of its contest.
    Close,
}

/// All work on open issues of a project. The state of an issue names the newest only; this has all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Works {
    by: OrdMap<(AgentName, u64), Shared<Work>>,
    on: OrdMap<u64, OrdSet<AgentName>>,
    /// When the forge ends each that it may end.
    ending: OrdSet<(u64, u64, AgentName)>,
    /// What ended last of each agent on each issue without its doing, until the agent starts that again.
    ended: OrdMap<(AgentName, u64), Ended>,
    kept: OrdMap<AgentName, Kept>,
}

impl Works {
    /// Open issues that an agent works on, by number.
    pub fn of<'a>(&'a self, agent: &AgentName) -> impl Iterator<Item = (u64, &'a Work)> + use<'a> {
        let range = (agent.clone(), 0)..=(agent.clone(), u64::MAX);
        self.by.range(range).map(|((_, n), work)| (*n, &**work))
    }

    /// All of it.
    pub fn all(&self) -> impl Iterator<Item = (&AgentName, u64, &Work)> {
        self.by.iter().map(|((agent, n), work)| (agent, *n, &**work))
    }

    /// An agent's work on one issue.
    pub fn get(&self, agent: &AgentName, issue: u64) -> Option<&Work> {
        self.by.get(&(agent.clone(), issue)).map(|work| &**work)
    }

    /// Who works on an issue.
    pub fn on(&self, issue: u64) -> impl Iterator<Item = &AgentName> {
        self.on.get(&issue).into_iter().flatten()
    }

    /// Work of which there was no sign of life for as long as it may be, by `now`: the issue and the agent, the longest first.
    pub fn due(&self, now: u64) -> impl Iterator<Item = (u64, &AgentName)> {
        self.ending.iter().take_while(move |(at, ..)| *at <= now).map(|(_, issue, agent)| (*issue, agent))
    }

    /// What ended of an agent's work without its doing, and it did not start again: by issue.
    pub fn ended_of<'a>(&'a self, agent: &AgentName) -> impl Iterator<Item = (u64, Ended)> + use<'a> {
        let range = (agent.clone(), 0)..=(agent.clone(), u64::MAX);
        self.ended.range(range).map(|((_, n), ended)| (*n, *ended))
    }

    /// Whether an agent keeps what it starts here outside of contests.
    pub fn kept(&self, agent: &AgentName) -> Kept {
        self.kept.get(agent).copied().unwrap_or_default()
    }

    pub(super) fn started(&mut self, issue: u64, fact: &WorkStarted, at: &Happened) {
        self.take(at.agent, issue);
        let worker = Worker {
            agent: at.agent.clone(),
            base: fact.base,
            branch: fact.branch.clone(),
            deadline_ms: fact.deadline_ms,
        };
        let (nonce, idle_ms) = (fact.nonce.clone(), fact.idle_ms);
        self.put(issue, Work { worker, nonce, since_ms: at.t, idle_ms, alive_ms: at.t });
        self.on.entry(issue).or_default().insert(at.agent.clone());
        self.ended.remove(&(at.agent.clone(), issue));
    }

    fn put(&mut self, issue: u64, work: Work) {
        let agent = work.worker.agent.clone();
        if let Some(ends) = work.ends_ms() {
            self.ending.insert((ends, issue, agent.clone()));
        }
        self.by.insert((agent, issue), Shared::new(work));
    }

    fn take(&mut self, agent: &AgentName, issue: u64) -> Option<Shared<Work>> {
        let work = self.by.remove(&(agent.clone(), issue))?;
        if let Some(ends) = work.ends_ms() {
            self.ending.remove(&(ends, issue, agent.clone()));
        }
        Some(work)
    }

    /// A sign of life of an agent on an issue.
    pub(super) fn alive(&mut self, agent: &AgentName, issue: u64, t: u64) {
        if self.get(agent, issue).is_some_and(|work| work.idle_ms.is_some() && work.alive_ms < t)
            && let Some(work) = self.take(agent, issue)
        {
            self.put(issue, Work { alive_ms: t, ..Work::clone(&work) });
        }
    }

    /// The same by a push: of the branch that `start` offered, or of a record that is bound to the start.
    pub(crate) fn pushed<'a>(
        &mut self,
        agent: &AgentName,
        branches: &[RefName],
        records: impl Iterator<Item = &'a u64>,
        t: u64,
    ) {
        let offered = self.of(agent).filter(|(_, work)| branches.contains(&work.worker.branch)).map(|(n, _)| n);
        let issues: Vec<u64> = offered.chain(records.copied()).collect();
        for issue in issues {
            self.alive(agent, issue, t);
        }
    }

    /// An agent works on an issue no longer.
    pub(super) fn stopped(&mut self, agent: &AgentName, issue: u64) {
        self.take(agent, issue);
        let mut others = self.on.remove(&issue).unwrap_or_default();
        others.remove(agent);
        if !others.is_empty() {
            self.on.insert(issue, others);
        }
    }

    pub(super) fn expired(&mut self, issue: u64, fact: &WorkExpired, at: &Happened) {
        if self.get(&fact.agent, issue).is_none() {
            return;
        }
        self.stopped(&fact.agent, issue);
        let by = EndedBy::Expiry { alive_ms: fact.alive_ms };
        self.ended.insert((fact.agent.clone(), issue), Ended { q: at.q, by });
        self.kept.entry(fact.agent.clone()).or_default().expired += 1;
    }

    /// Nobody works on an issue any more: it was closed, by the work of `by` if by somebody's.
    pub(super) fn closed(&mut self, issue: u64, by: Option<&AgentName>, at: &Happened) {
        for agent in self.on.remove(&issue).unwrap_or_default() {
            let work = self.take(&agent, issue);
            // What was started before work could expire is not counted: neither could it count against anybody.
            if by == Some(&agent) && work.is_some_and(|work| work.idle_ms.is_some()) {
                self.kept.entry(agent.clone()).or_default().delivered += 1;
            }
            if by != Some(&agent) && agent != *at.agent {
                self.ended.insert((agent, issue), Ended { q: at.q, by: EndedBy::Close });
            }
        }
    }
}
