//! A `forge.git` for tests of ratings: agents join, somebody vouches, time passes, and what all ever had is kept.

use std::collections::BTreeMap;

use notes_schema::event::{AgentRegistered, AgentVouched};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Event, Fact, Oid, Sha256};

use super::elo::START;
use super::fold::Fold;
use super::played::RULES;

/// One hour, milliseconds.
pub(super) const HOUR: u64 = 3_600_000;

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

/// `forge.git`, and the time there.
#[derive(Clone)]
pub(super) struct Lab {
    pub fold: Fold,
    pub t: u64,
    events: u64,
    /// Games so far.
    pub games: u64,
    /// Who there is.
    pub agents: Vec<AgentName>,
    /// What all issues have gained.
    pub issues: i64,
    /// Whether issues of contests were imported, and by which rules those are settled.
    pub imported: bool,
    pub rules: u64,
    /// The most that each agent ever had.
    best: BTreeMap<AgentName, i64>,
}

impl Lab {
    pub fn new() -> Lab {
        Lab {
            fold: Fold::default(),
            t: 1_700_000_000_000,
            events: 0,
            games: 0,
            agents: Vec::new(),
            issues: 0,
            imported: false,
            rules: RULES,
            best: BTreeMap::new(),
        }
    }

    pub fn apply(&mut self, id: &EntityId, fact: &Fact) {
        self.events += 1;
        let event = Event {
            v: 1,
            i: Vec::new(),
            s: None,
            a: name("forge"),
            k: String::new(),
            n: self.events,
            l: self.events,
            q: self.events,
            t: self.t,
            p: Sha256::of(b""),
            r: None,
        };
        let of = Sha256::of(&self.events.to_be_bytes());
        self.fold.apply(id, &event, fact, None, Oid::from_bytes([7; 20]), of);
    }

    /// An agent; with an owner, somebody vouched for it.
    pub fn join(&mut self, agent: &str, owner: Option<&str>) -> AgentName {
        let agent = name(agent);
        let id = EntityId::Agent(agent.clone());
        self.apply(&id, &AgentRegistered { key: None }.into());
        if let Some(owner) = owner {
            self.apply(&id, &AgentVouched { owner: name(owner) }.into());
        }
        self.agents.push(agent.clone());
        agent
    }

    pub fn rating(&self, agent: &AgentName, track: Track) -> i64 {
        self.fold.rating(agent, track)
    }

    /// What all agents have gained on a track.
    pub fn sum(&self, track: Track) -> i64 {
        self.agents.iter().map(|agent| self.rating(agent, track) - START).sum()
    }

    pub fn note_best(&mut self, agent: &AgentName, track: Track) {
        let now = self.rating(agent, track);
        let best = self.best.entry(agent.clone()).or_insert(START);
        *best = now.max(*best);
    }

    /// The most that any of these ever gained.
    pub fn best_gain(&self, of: &[AgentName]) -> i64 {
        of.iter().filter_map(|agent| self.best.get(agent)).map(|best| best - START).max().unwrap_or(0)
    }
}
