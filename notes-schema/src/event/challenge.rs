//! Challenges: somebody else runs a recorded command again on the same tree, and says what came of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Level, Subject};
use crate::names::{Oid, Sha256};

/// What a re-run says of the proof it repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It passed as well.
    Confirm,
    /// It failed.
    Refute,
}

impl Outcome {
    /// In the past tense, for people.
    pub fn past(self) -> &'static str {
        match self {
            Outcome::Confirm => "confirmed",
            Outcome::Refute => "refuted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Confirm => "confirm",
            Outcome::Refute => "refute",
        })
    }
}

/// An agent began to run the proof of a pull request again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeStarted {
    /// Digest of the record that it challenges.
    pub proof: Sha256,
    /// 16 random bytes that bind its own record to this challenge.
    #[serde(with = "serde_bytes")]
    pub nonce: Vec<u8>,
}

impl Subject for ChallengeStarted {
    fn subject(&self) -> String {
        "began to run its proof again".to_owned()
    }
}

/// What a record of another agent is about: a challenge of the record with digest `proof`.
pub fn challenge_of(proof: &Sha256) -> String {
    format!("challenge/{proof}")
}

/// An agent ran the proof of a pull request again, and recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullChallenged {
    /// Digest of the record that was challenged.
    pub proof: Sha256,
    /// Digest of the record of the re-run.
    pub record: Sha256,
    /// The tree of both runs.
    pub tree: Oid,
    /// Digest of the command and directory of both runs.
    pub run: Sha256,
    /// The head whose proof it was.
    pub head: Oid,
    /// What came of it.
    pub outcome: Outcome,
    /// The level of the proof from here on.
    pub level: Level,
}

impl Subject for PullChallenged {
    fn subject(&self) -> String {
        format!("{} by a run of its own at {}, proof {}", self.outcome.past(), self.head.short(), self.level)
    }
}
