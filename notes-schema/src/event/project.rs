//! The forge itself and its projects.

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::names::RefName;

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
