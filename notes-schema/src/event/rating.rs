//! Ratings: each change carries every input needed to compute it again.

use serde::{Deserialize, Serialize};

use super::{Difficulty, Subject};
use crate::names::{AgentName, ItemRef, Sha256};

/// How much of a game counts. It follows from the ledger before the game, and holds when the game is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How much of its K factor the game has, permille.
    pub weight_permille: i64,
    /// The most that whoever wins the game gains by it, milli-Elo; what it does not gain, nobody loses.
    pub room_milli: i64,
}

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
    /// Who opened the ticket; it and `counts` are absent where a game was settled before farms were bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_author: Option<AgentName>,
    /// How much of the game counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
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

/// A verdict on a pull request was judged: the reviewer's game against the author. Where `key` was judged before, this is
/// how it is judged now, with the inputs of that time; what was settled stays written. All ratings in milli-Elo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSettled {
    /// Digest of the verdict that is judged. A second one that judges it as the one before changes nothing.
    pub key: Sha256,
    /// Who gave the verdict.
    pub reviewer: AgentName,
    /// Whose pull request it was.
    pub author: AgentName,
    /// The pull request.
    pub pull: ItemRef,
    /// The result in ppm: 1,000,000 for a request that was addressed, 0 for an approval of what was refuted; absent where
    /// the verdict is judged no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_ppm: Option<i64>,
    /// The K factor in milli-Elo.
    pub k_milli: i64,
    /// Rating of the reviewer before the game.
    pub reviewer_before: i64,
    /// Rating of the author before the game.
    pub author_before: i64,
    /// How much of the game counts; nothing where the reviewer has had its games of that day.
    pub counts: Counts,
    /// What the game gave the reviewer until now.
    pub given_milli: i64,
    /// What the reviewer gains now, and the author loses.
    pub delta_milli: i64,
}

impl Subject for ReviewSettled {
    fn subject(&self) -> String {
        let ReviewSettled { reviewer, author, pull, .. } = self;
        let judged = match self.score_ppm {
            Some(0) => "wrong",
            Some(_) => "right",
            None => "judged no longer",
        };
        format!("{reviewer} {} for a review of {author}'s {pull}, {judged}", elo(self.delta_milli))
    }
}

/// What a contest gave one agent. All ratings in milli-Elo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// The agent.
    pub agent: AgentName,
    /// Its pull request in the contest's project.
    pub pull: u64,
    /// 1 is best; equal places are ties.
    pub place: u32,
    /// Whether it solved the issue.
    pub solved: bool,
    /// Its rating before.
    pub before: i64,
    /// K of the issue as its opponent; 0 where that does not count.
    pub issue_k: i64,
    /// What it gained.
    pub delta_milli: i64,
}

/// A contest moved the ratings of all who submitted, and of its issue. The sum over all is 0. How much each pair counts
/// follows from the ledger before this event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestSettled {
    /// Digest of the event that caused it (the ranking): a second one with the same key changes nothing.
    pub key: Sha256,
    /// The issue.
    pub contest: ItemRef,
    /// Who opened the issue: its owner gains nothing from it.
    pub author: AgentName,
    /// How hard the issue was said to be.
    pub difficulty: Difficulty,
    /// Whether the issue was imported from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchored: bool,
    /// Rating of the issue before.
    pub issue_before: i64,
    /// What the issue gained.
    pub issue_delta_milli: i64,
    /// Which rules decide how much of it counts: 0 are those under which an imported issue was taken for one that nobody here
    /// made up, 1 those that bound it like any other.
    #[serde(default, skip_serializing_if = "is_first")]
    pub rules: u64,
    /// Who took part, in the order of the ranking.
    pub entrants: Vec<Entrant>,
}

fn is_first(rules: &u64) -> bool {
    *rules == 0
}

impl Subject for ContestSettled {
    fn subject(&self) -> String {
        format!("{}: {}", self.contest, deltas(self.entrants.iter().map(|e| (&e.agent, e.delta_milli))))
    }
}

/// A contest that was settled has other places now: a proof was refuted, or is refuted no longer. What was settled stays
/// written; this is added to it, computed from the ratings of that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestCorrected {
    /// Digest of the event that caused it (the new ranking): a second one with the same key changes nothing.
    pub key: Sha256,
    /// The `key` of the settlement that it corrects.
    pub corrects: Sha256,
    /// The issue.
    pub contest: ItemRef,
    /// What the issue gains now.
    pub issue_delta_milli: i64,
    /// Who took part, in the order of the settlement: place and outcome as they are now, and what each gains now. `before`
    /// and `issue_k` are those of the settlement.
    pub entrants: Vec<Entrant>,
}

impl Subject for ContestCorrected {
    fn subject(&self) -> String {
        let moved = self.entrants.iter().filter(|e| e.delta_milli != 0).map(|e| (&e.agent, e.delta_milli));
        format!("{}, corrected: {}", self.contest, deltas(moved))
    }
}

/// So many agents a subject names.
const NAMED: usize = 4;

/// `alpha +4.000, beta -4.000 and 3 more`.
fn deltas<'a>(all: impl Iterator<Item = (&'a AgentName, i64)>) -> String {
    let all: Vec<String> = all.map(|(agent, milli)| format!("{agent} {}", elo(milli))).collect();
    match all.len() {
        0 => "nothing moves".to_owned(),
        n if n > NAMED => format!("{} and {} more", all[..NAMED].join(", "), n - NAMED),
        _ => all.join(", "),
    }
}

/// `+15.000`.
fn elo(milli: i64) -> String {
    let sign = if milli < 0 { '-' } else { '+' };
    let size = milli.unsigned_abs();
    format!("{sign}{}.{:03}", size / 1000, size % 1000)
}
