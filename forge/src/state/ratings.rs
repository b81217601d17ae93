//! Ratings as the rating ledgers record them. How they are computed is [`super::elo`]'s business.

use std::collections::BTreeMap;

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::event::RatingSettled;
use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef, Sha256};
use serde::{Deserialize, Serialize};

use super::elo::START;
use super::fold::Happened;

/// A rating ledger after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EloState {
    /// Games settled so far.
    pub games: u64,
    /// Key of the last one.
    pub last: Sha256,
}

/// One change of one agent's rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Forge-wide number of the event.
    pub q: u64,
    /// The ledger.
    pub track: Track,
    /// What was gained, milli-Elo.
    pub delta_milli: i64,
    /// The pull request that caused it.
    pub cause: ItemRef,
    /// The event that caused it.
    pub key: Sha256,
}

/// All ratings of a forge. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Ratings {
    agents: OrdMap<(AgentName, Track), i64>,
    tickets: OrdMap<ItemRef, i64>,
    history: OrdMap<AgentName, Vector<Change>>,
    keys: OrdSet<Sha256>,
}

impl Ratings {
    /// An agent's rating, milli-Elo.
    pub fn of(&self, agent: &AgentName, track: Track) -> i64 {
        self.agents.get(&(agent.clone(), track)).copied().unwrap_or(START)
    }

    /// All three ratings of an agent.
    pub fn all_of(&self, agent: &AgentName) -> BTreeMap<&'static str, i64> {
        Track::ALL.into_iter().map(|track| (track.as_str(), self.of(agent, track))).collect()
    }

    /// A ticket's rating, milli-Elo.
    pub fn of_ticket(&self, ticket: &ItemRef) -> i64 {
        self.tickets.get(ticket).copied().unwrap_or(START)
    }

    /// An agent's changes, oldest first.
    pub fn history(&self, agent: &AgentName) -> Vector<Change> {
        self.history.get(agent).cloned().unwrap_or_default()
    }

    /// Whether a game with this key was settled.
    pub fn has(&self, key: &Sha256) -> bool {
        self.keys.contains(key)
    }

    /// The change that an event caused for an agent.
    pub fn change_for(&self, agent: &AgentName, key: &Sha256) -> Option<Change> {
        self.history.get(agent)?.iter().rev().find(|c| c.key == *key).cloned()
    }

    pub(super) fn settled(&mut self, fact: &RatingSettled, track: Track, at: &Happened) {
        if self.keys.insert(fact.key).is_some() {
            return;
        }
        *self.agents.entry((fact.agent.clone(), track)).or_insert(START) += fact.delta_milli;
        *self.tickets.entry(fact.ticket.clone()).or_insert(START) -= fact.delta_milli;
        self.history.entry(fact.agent.clone()).or_default().push_back(Change {
            q: at.q,
            track,
            delta_milli: fact.delta_milli,
            cause: fact.pull.clone(),
            key: fact.key,
        });
    }
}
