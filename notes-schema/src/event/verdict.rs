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
    /// How it is decided who of these is tried, where anybody may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<Trials>,
}

/// Of those who are drawn some run a tree of which is known what comes of it. A key that is published later decides who does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// Digest of the key.
    pub commitment: Sha256,
    /// Of a thousand seats so many are trials.
    pub permille: u32,
}

/// What a trial runs, with the sealed tests in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// What all began with, which fails.
    Base,
    /// The same with the golden patch, which passes.
    Golden,
}

impl Known {
    /// What whoever runs it finds.
    pub fn finding(self) -> Finding {
        match self {
            Known::Base => Finding::Refute,
            Known::Golden => Finding::Confirm,
        }
    }
}

impl Trials {
    /// Whether a seat is a trial by `key`, and of what.
    pub fn of(&self, key: &[u8], pull: u64, agent: &AgentName) -> Option<Known> {
        let digest = Sha256::of_parts(&[key, &pull.to_be_bytes(), agent.as_str().as_bytes()]);
        let [a, b, c, d, kind, ..] = *digest.as_bytes();
        let is_tried = u32::from_be_bytes([a, b, c, d]) % 1000 < self.permille;
        // Who confirms everything gains most: one in four asks for that.
        is_tried.then_some(if kind % 4 == 0 { Known::Golden } else { Known::Base })
    }
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

/// A seat that was a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The submission that the verifier was drawn for.
    pub pull: u64,
    /// Who.
    pub agent: AgentName,
    /// What it ran in its place.
    pub ran: Known,
    /// Whether it found what is known; absent where it told nothing, or nobody found that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
}

/// Whose verdicts count nothing: those that were trials, and those of agents that are not believed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiersJudged {
    /// The key that [`Trials`] promise, once all who were drawn at first have told what they found, or their time is over.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<u8>>,
    /// The trials, by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<Trial>,
    /// Who is not drawn any more, and whose open verdicts here count nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discredited: Vec<AgentName>,
}

impl Subject for VerifiersJudged {
    fn subject(&self) -> String {
        let names: Vec<&str> = self.discredited.iter().map(AgentName::as_str).collect();
        match (self.trials.len(), names.as_slice()) {
            (tried, []) => format!("verifiers judged, {tried} on trial"),
            (tried, names) => format!("verifiers judged, {tried} on trial; no longer believed: {}", names.join(", ")),
        }
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
    /// The record of its run of the command that measures, on the same tree; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Sha256>,
}

impl Subject for VerdictRevealed {
    fn subject(&self) -> String {
        format!("verdict on #{}: {}", self.pull, self.finding)
    }
}
