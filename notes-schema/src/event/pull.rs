//! Pull requests: rounds, verdicts, landing, and the proof each round carries.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Subject, one_line};
use crate::names::{Oid, RefName, Sha256};

/// How much a proof shows; each level includes the ones before, except that PX overrides all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// No record.
    P0,
    /// Recorded by the authenticated agent and bound to the tree.
    P1,
    /// Signed by the agent's key as well.
    P2,
    /// Confirmed by re-runs of at least two other owners.
    P3,
    /// Refuted by re-runs.
    PX,
}

impl Level {
    /// As in commands, policies and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::P0 => "P0",
            Level::P1 => "P1",
            Level::P2 => "P2",
            Level::P3 => "P3",
            Level::PX => "PX",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Test counts as a run printed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// Which runner's output was read, for example `cargo-test`.
    pub framework: String,
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Ignored or skipped.
    pub ignored: u64,
}

/// What is known of a round's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How much it shows.
    pub level: Level,
    /// Digest of the record that proves this head; absent at P0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Sha256>,
    /// The command of its last attempt, joined for reading.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Test counts of its last attempt, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
}

impl Proof {
    /// No record at all.
    pub fn none() -> Self {
        Proof { level: Level::P0, record: None, command: String::new(), tests: None }
    }
}

/// A pull request was opened; this is its first round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullOpened {
    /// One line.
    pub title: String,
    /// Where its commits are pushed.
    pub branch: RefName,
    /// Where it is to land.
    pub target: RefName,
    /// The issue of the same project that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<u64>,
    /// Tip of the first round.
    pub head: Oid,
    /// Merge base with the target at that moment.
    pub base: Oid,
    /// The proof of that tip.
    pub proof: Proof,
}

impl Subject for PullOpened {
    fn subject(&self) -> String {
        format!(
            "opened: {} ({} at {}, proof {})",
            one_line(&self.title),
            self.branch.short(),
            self.head.short(),
            self.proof.level
        )
    }
}

/// A pull request has a new head, or a proof for the one it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRound {
    /// Number of the round, from 1; the same as before when only the proof is new.
    pub round: u64,
    /// Its tip.
    pub head: Oid,
    /// Merge base with the target at that moment.
    pub base: Oid,
    /// The proof of that tip.
    pub proof: Proof,
}

impl Subject for PullRound {
    fn subject(&self) -> String {
        format!("round {}: {}, proof {}", self.round, self.head.short(), self.proof.level)
    }
}

/// What a reviewer says of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may land.
    Approve,
    /// It must change first.
    RequestChanges,
    /// Neither.
    Comment,
}

impl Verdict {
    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::RequestChanges => "request-changes",
            Verdict::Comment => "comment",
        }
    }

    /// In the past tense, for people.
    pub fn past(self) -> &'static str {
        match self {
            Verdict::Approve => "approved",
            Verdict::RequestChanges => "requested changes",
            Verdict::Comment => "commented",
        }
    }
}

/// A reviewer gave a verdict on one head. It is void once there is another head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The verdict.
    pub verdict: Verdict,
    /// The head it is about.
    pub head: Oid,
    /// The lines that it is about, where it is about some: of that head, or of what the change removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

/// A line of a file, or some below one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's path, names joined by slashes.
    pub path: String,
    /// The line's number, from 1.
    pub line: u64,
    /// The last one's, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Whether it is a line that the change removes: one of the round's base, not of its head.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub old: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minus, path) = (if self.old { "-" } else { "" }, one_line(&self.path));
        write!(f, "{path}:{minus}{}", self.line)?;
        self.to.map_or(Ok(()), |to| write!(f, "-{to}"))
    }
}

impl Subject for Reviewed {
    fn subject(&self) -> String {
        let at = self.at.as_ref().map_or(String::new(), |at| format!(" on {at}"));
        format!("{} at {}{at}", self.verdict.past(), self.head.short())
    }
}

/// A pull request landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullMerged {
    /// What the target points at now.
    pub landed: Oid,
    /// What the target pointed at before.
    pub onto: Oid,
    /// The round's tip that landed.
    pub head: Oid,
    /// `merge`, `squash` or `rebase`.
    pub strategy: String,
    /// The issue that it closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<u64>,
    /// The proof of the tree that landed, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Blob of the policy that let it land; absent where the defaults did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Oid>,
}

impl Subject for PullMerged {
    fn subject(&self) -> String {
        let how = if self.strategy == "merge" { String::new() } else { format!(" by {}", self.strategy) };
        format!("merged as {}{how}", self.landed.short())
    }
}

/// A pull request was closed without landing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullClosed {}

impl Subject for PullClosed {
    fn subject(&self) -> String {
        "closed without merging".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_head_is_written_as_it_was_before_there_were_others() {
        let at = |to, old| Place { path: "src/lib.rs".to_owned(), line: 12, to, old };
        let keys = |place: &Place| match rmpv::decode::read_value(&mut &crate::envelope::encode(place)[..]).unwrap() {
            rmpv::Value::Map(fields) => fields.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(),
            other => panic!("{other}"),
        };
        assert_eq!(keys(&at(None, false)), ["\"path\"", "\"line\""]);
        assert_eq!(keys(&at(Some(14), true)), ["\"path\"", "\"line\"", "\"to\"", "\"old\""]);
        assert_eq!(
            [at(None, false), at(Some(14), false), at(None, true)].map(|place| place.to_string()),
            ["src/lib.rs:12", "src/lib.rs:12-14", "src/lib.rs:-12"]
        );
    }
}
