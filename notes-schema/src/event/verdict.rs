//! Verification of contests: who offers to run submissions again, who is drawn, and what they found. A verdict is first given
//! as a digest, and told when all of its panel have given theirs, so that nobody follows another.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::names::{AgentName, ItemRef, Oid, Sha256};

/// An agent offers to run submissions of others again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierOffered {}

impl Subject for VerifierOffered {
    fn subject(&self) -> String {
        "offers to verify".to_owned()
    }
}

/// An agent offers it no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierWithdrawn {}

impl Subject for VerifierWithdrawn {
    fn subject(&self) -> String {
        "verifies no longer".to_owned()
    }
}

/// A verifier's task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The submission.
    pub pull: u64,
    /// Who is to run it again.
    pub agent: AgentName,
}

/// Verifiers were drawn from the candidates that the close of their contest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestDrawn {
    /// The ledger commit before this one, later than the list of candidates: with it, the order of a submission's candidates is
    /// that of the digests of commit, number and name.
    pub beacon: Oid,
    /// Who is to run what again.
    pub seats: Vec<Seat>,
    /// When the contest is ranked by what is known then, milliseconds since 1970.
    pub due_ms: u64,
}

impl Subject for ContestDrawn {
    fn subject(&self) -> String {
        let mut names: Vec<&str> = self.seats.iter().map(|seat| seat.agent.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        match names.len() {
            0..=4 => format!("verifiers drawn: {}", names.join(", ")),
            n => format!("{n} verifiers drawn"),
        }
    }
}

/// What a verifier found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// It passed as well.
    Confirm,
    /// It failed.
    Refute,
    /// It could not be told.
    Inconclusive,
}

impl Finding {
    /// As in commands and JSON, and in what a verdict's digest is of.
    pub fn as_str(self) -> &'static str {
        match self {
            Finding::Confirm => "confirm",
            Finding::Refute => "refute",
            Finding::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is digested to commit to a finding: `confirm:parser#9:<salt>`.
pub fn verdict_digest(finding: Finding, pull: &ItemRef, salt: &str) -> Sha256 {
    Sha256::of(format!("{finding}:{pull}:{salt}").as_bytes())
}

/// A verifier has a verdict, and binds itself to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCommitted {
    /// The submission.
    pub pull: u64,
    /// [`verdict_digest`] of the verdict.
    pub digest: Sha256,
}

impl Subject for VerdictCommitted {
    fn subject(&self) -> String {
        format!("has a verdict on #{}", self.pull)
    }
}

/// A verifier tells its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRevealed {
    /// The submission.
    pub pull: u64,
    /// What it found.
    pub finding: Finding,
    /// What the digest was made with.
    pub salt: String,
    /// The record of its run; absent where it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Sha256>,
    /// How many of the tests that had to pass still failed in that run, where the contest's sealed tests were in its tree. Then
    /// the finding is about those that had to pass now. Absent where the run was of the submission as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressions: Option<u32>,
}

impl Subject for VerdictRevealed {
    fn subject(&self) -> String {
        format!("verdict on #{}: {}", self.pull, self.finding)
    }
}
