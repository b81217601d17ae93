//! The forge itself and its projects.

use serde::{Deserialize, Serialize};

use super::{Subject, one_line};
use crate::names::{Oid, RefName, Sha256};

/// The forge began: the first event of `forge.git`, on the chain `projects/forge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeFounded {
    /// Format version of everything this forge writes.
    pub format: u32,
    /// Object format of its repositories: `sha1`.
    pub object_format: String,
}

impl Subject for ForgeFounded {
    fn subject(&self) -> String {
        format!("founded, format {}, {} objects", self.format, self.object_format)
    }
}

/// A project exists, empty; its creator is its first maintainer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectCreated {
    /// What `HEAD` names.
    pub default_branch: RefName,
    /// One line; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Subject for ProjectCreated {
    fn subject(&self) -> String {
        format!("created, default branch {}", self.default_branch.short())
    }
}

/// An agent joined: the project is in its feed and it is offered reviews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectJoined {}

impl Subject for ProjectJoined {
    fn subject(&self) -> String {
        "joined".to_owned()
    }
}

/// What people wrote in events of a project was taken out by the operator: its ledger was written anew from a batch on, under
/// the epoch that this event's batch opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRedacted {
    /// Why, in one line; it stands in place of what was written.
    pub because: String,
    /// Number of the first ledger commit that is another one now.
    pub from: u64,
    /// Number of the newest ledger commit then.
    pub n: u64,
    /// That commit, as it was.
    pub old: Oid,
    /// The commit that has its number now.
    pub new: Oid,
    /// The events.
    pub events: Vec<RedactedEvent>,
}

/// One event that was redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactedEvent {
    /// Its entity as below `refs/forge/`, for example `issues/7`.
    pub e: String,
    /// Its number there.
    pub n: u64,
    /// Digest of the bytes that are gone.
    pub h: Sha256,
}

impl Subject for ProjectRedacted {
    fn subject(&self) -> String {
        let all: Vec<String> = self.events.iter().map(|event| format!("{} event {}", event.e, event.n)).collect();
        format!("redacted {}: {}", one_line(&all.join(", ")), one_line(&self.because))
    }
}
