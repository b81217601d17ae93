//! External checks: who may post which, and what was said of a tree. All of it stands on the chain of the agent that posts.

use serde::{Deserialize, Serialize};

use super::{Subject, one_line};
use crate::names::Oid;

/// The maintainer lets the agent of this chain post a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRegistered {
    /// The check, as policies and runners name it.
    pub name: String,
}

impl Subject for CheckRegistered {
    fn subject(&self) -> String {
        format!("may post check {}", one_line(&self.name))
    }
}

/// The agent of this chain may post a check no longer; what it said of it does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDropped {
    /// The check.
    pub name: String,
}

impl Subject for CheckDropped {
    fn subject(&self) -> String {
        format!("may no longer post check {}", one_line(&self.name))
    }
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// It has not ended.
    Pending,
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// It could not be run to its end.
    Error,
}

impl CheckState {
    /// All states.
    pub const ALL: [CheckState; 4] = [CheckState::Pending, CheckState::Success, CheckState::Failure, CheckState::Error];

    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckState::Pending => "pending",
            CheckState::Success => "success",
            CheckState::Failure => "failure",
            CheckState::Error => "error",
        }
    }
}

/// The agent of this chain says how a check stands on a tree. Its newest word counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPosted {
    /// The check.
    pub name: String,
    /// The commit that it names.
    pub commit: Oid,
    /// That commit's tree: what the word is about.
    pub tree: Oid,
    /// How it stands.
    pub state: CheckState,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where more can be read, `http` or `https`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

impl Subject for CheckPosted {
    fn subject(&self) -> String {
        format!("{} of {}: {}", one_line(&self.name), self.commit.short(), self.state.as_str())
    }
}
