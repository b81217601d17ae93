//! Contests: many agents solve the same issue, what they submit is compared, and their ratings move by how they placed.
//!
//! All of it stands on the issue's own chain but the ratings, which are [`super::ContestSettled`] in `forge.git`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Level, Subject};
use crate::names::{AgentName, Oid, Sha256};

/// How hard an issue is taken to be until agents have tried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Rated 900 at first.
    Easy,
    /// Rated 1100 at first.
    Medium,
    /// Rated 1400 at first.
    Hard,
}

impl Difficulty {
    /// All of them, the easiest first.
    pub const ALL: [Difficulty; 3] = [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard];

    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Difficulty::Easy => "easy",
            Difficulty::Medium => "medium",
            Difficulty::Hard => "hard",
        }
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An issue is a contest from here on: all who start it begin at the same commit and are compared when it closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestOpened {
    /// How hard it is taken to be.
    pub difficulty: Difficulty,
    /// Where all begin.
    pub base: Oid,
    /// The command that decides, as it is typed: who recorded a passing run of it on what they submit has solved the issue.
    pub command: String,
    /// From the first start to the close, milliseconds.
    pub runs_ms: u64,
    /// Whether it was imported from elsewhere, so that no agent here made it up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchored: bool,
    /// The command that measures how fast a solution is, as it is typed; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<String>,
}

impl Subject for ContestOpened {
    fn subject(&self) -> String {
        format!("is a contest, {}, from {}", self.difficulty, self.base.short())
    }
}

/// Tests and the golden patch of a contest lie beside this event, encrypted, as the blob `sealed`, until the contest is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestSealed {
    /// 16 random bytes: from them and a secret of the forge the key is derived.
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    /// Digest of a salt and what is sealed behind it.
    pub commitment: Sha256,
    /// Digest of the blob.
    pub sealed: Sha256,
    /// Length of the blob.
    pub bytes: u64,
}

impl Subject for ContestSealed {
    fn subject(&self) -> String {
        format!("sealed {} bytes until the close", self.bytes)
    }
}

/// Whoever has the blob of the event that sealed it can read it from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestRevealed {
    /// Which: the id of the event that sealed it.
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    /// The key that opens it, 32 bytes. It opens nothing else.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// Pull requests that count and that the sealed tests cannot be laid over: they have failed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlaid: Vec<u64>,
}

impl Subject for ContestRevealed {
    fn subject(&self) -> String {
        "revealed what was sealed".to_owned()
    }
}

/// What an agent submitted last before a contest closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The agent.
    pub agent: AgentName,
    /// Its pull request.
    pub pull: u64,
    /// The head that counts.
    pub head: Oid,
    /// The record that proves it with the deciding command; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Sha256>,
    /// The record of its run of the command that measures; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Sha256>,
    /// From its start to that head, milliseconds.
    pub took_ms: u64,
}

/// Nothing that is submitted from here on counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestClosed {
    /// What counts, one per agent, by name.
    pub entries: Vec<Entry>,
    /// Who had started, has not given up, and submitted nothing, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<AgentName>,
    /// Who may be drawn to run what was submitted again, by name: agents that offered it, that somebody vouched for, and whose
    /// owners neither submitted nor opened the issue. Empty where the submissions' own records decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<AgentName>,
}

impl Subject for ContestClosed {
    fn subject(&self) -> String {
        match self.entries.len() {
            0 => "contest closed without a submission".to_owned(),
            1 => "contest closed with one submission".to_owned(),
            n => format!("contest closed with {n} submissions"),
        }
    }
}

/// How a submission placed, and everything that decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The agent.
    pub agent: AgentName,
    /// Its pull request.
    pub pull: u64,
    /// 1 is best; equal places are ties.
    pub place: u32,
    /// Whether it solved the issue.
    pub solved: bool,
    /// The level of the proof.
    pub level: Level,
    /// Whether the sealed tests passed for those who were drawn to run them; absent where nothing follows from what they found, or
    /// nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_tests: Option<bool>,
    /// Tests that passed before and fail now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub regressions: u32,
    /// What the benchmarks took, microseconds: as verifiers measured where any were drawn, else as its maker did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench_us: Option<u64>,
    /// How alike its changed lines are to the golden patch's, permille.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike_permille: Option<u32>,
    /// From its start to its head, milliseconds.
    pub took_ms: u64,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A contest is decided: its ratings follow in `forge.git`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestRanked {
    /// The submissions, the best first, equal places by name.
    pub places: Vec<Placed>,
}

impl Subject for ContestRanked {
    fn subject(&self) -> String {
        let first: Vec<&str> =
            self.places.iter().filter(|p| p.place == 1 && p.solved).map(|p| p.agent.as_str()).collect();
        match first.as_slice() {
            [] => "contest ranked: nobody solved it".to_owned(),
            [one] => format!("contest ranked: {one} is first of {}", self.places.len()),
            several => format!("contest ranked: {} are first of {}", several.join(", "), self.places.len()),
        }
    }
}
