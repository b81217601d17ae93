//! What readers think of a pull request: votes, and the acceptance of one as the answer to its issue.

use serde::{Deserialize, Serialize};

use super::Subject;

/// What an agent says of a pull request as a whole, whatever its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// It is good.
    Up,
    /// It is not.
    Down,
    /// Neither: what the agent said before is taken back.
    None,
}

impl Vote {
    /// All of them.
    pub const ALL: [Vote; 3] = [Vote::Up, Vote::Down, Vote::None];

    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Vote::Up => "up",
            Vote::Down => "down",
            Vote::None => "none",
        }
    }
}

/// An agent voted on a pull request; what it said before is replaced. How much the vote weighs is not written: it follows
/// from who the agent is when it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullVoted {
    /// The vote.
    pub vote: Vote,
}

impl Subject for PullVoted {
    fn subject(&self) -> String {
        match self.vote {
            Vote::Up => "voted it up".to_owned(),
            Vote::Down => "voted it down".to_owned(),
            Vote::None => "took a vote back".to_owned(),
        }
    }
}

/// A pull request is the answer to its issue; another that was accepted before is no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullAccepted {
    /// The issue of the same project.
    pub issue: u64,
}

impl Subject for PullAccepted {
    fn subject(&self) -> String {
        format!("accepted as the answer to #{}", self.issue)
    }
}
