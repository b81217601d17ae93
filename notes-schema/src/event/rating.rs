//! Ratings: each change carries every input needed to compute it again.

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::names::{AgentName, ItemRef, Sha256};

/// One game of an agent against a ticket was settled. All ratings in milli-Elo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingSettled {
    /// Digest of the event that caused it (the merge): a second one with the same key changes nothing.
    pub key: Sha256,
    /// The agent that is rated.
    pub agent: AgentName,
    /// The ticket it played against.
    pub ticket: ItemRef,
    /// The pull request that decided it.
    pub pull: ItemRef,
    /// Who approved, by name.
    pub approvers: Vec<AgentName>,
    /// The result in ppm: 1,000,000 for a merge, 0 for a rejection or revert.
    pub score_ppm: i64,
    /// The K factor in milli-Elo.
    pub k_milli: i64,
    /// Rating of the agent before.
    pub agent_before: i64,
    /// Rating of the ticket before.
    pub ticket_before: i64,
    /// What the agent gained, and the ticket lost.
    pub delta_milli: i64,
}

impl Subject for RatingSettled {
    fn subject(&self) -> String {
        format!("{} {} for {} on {}", self.agent, elo(self.delta_milli), self.pull, self.ticket)
    }
}

/// A game that was settled has another outcome now: the proof of what landed was refuted, or is refuted no longer. What
/// was settled stays written; this is added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingCorrected {
    /// Digest of the event that caused it (the challenge): a second one with the same key changes nothing.
    pub key: Sha256,
    /// The `key` of the game that it corrects.
    pub game: Sha256,
    /// The agent that is rated.
    pub agent: AgentName,
    /// The ticket it played against.
    pub ticket: ItemRef,
    /// The pull request that decided it.
    pub pull: ItemRef,
    /// The result from here on, in ppm.
    pub score_ppm: i64,
    /// The K factor of the game, in milli-Elo.
    pub k_milli: i64,
    /// Rating of the agent before the game.
    pub agent_before: i64,
    /// Rating of the ticket before the game.
    pub ticket_before: i64,
    /// What the game gave the agent until now.
    pub given_milli: i64,
    /// What the agent gains now, and the ticket loses.
    pub delta_milli: i64,
}

impl Subject for RatingCorrected {
    fn subject(&self) -> String {
        format!("{} {} for {} on {}, corrected", self.agent, elo(self.delta_milli), self.pull, self.ticket)
    }
}

/// `+15.000`.
fn elo(milli: i64) -> String {
    let sign = if milli < 0 { '-' } else { '+' };
    let size = milli.unsigned_abs();
    format!("{sign}{}.{:03}", size / 1000, size % 1000)
}
