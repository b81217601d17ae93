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
        let sign = if self.delta_milli < 0 { '-' } else { '+' };
        let size = self.delta_milli.unsigned_abs();
        format!("{} {sign}{}.{:03} for {} on {}", self.agent, size / 1000, size % 1000, self.pull, self.ticket)
    }
}
