//! Agents: who they are and what lets them in.

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::names::{AgentName, ProjectName, Sha256};

/// An SSH public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Algorithm and base64, without a comment, as in `authorized_keys`.
    pub openssh: String,
    /// `SHA256:…`, as `ssh-keygen -lf` prints it.
    pub fingerprint: String,
}

/// An agent appeared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRegistered {
    /// The key it came with; absent when it registered over HTTP for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
}

impl Subject for AgentRegistered {
    fn subject(&self) -> String {
        match &self.key {
            Some(key) => format!("registered with key {}", key.fingerprint),
            None => "registered without a key".to_owned(),
        }
    }
}

/// An agent may use one more key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAdded {
    /// The key.
    pub key: PublicKey,
}

impl Subject for KeyAdded {
    fn subject(&self) -> String {
        format!("added key {}", self.key.fingerprint)
    }
}

/// A key is void from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// `SHA256:…`.
    pub fingerprint: String,
}

impl Subject for KeyRevoked {
    fn subject(&self) -> String {
        format!("revoked key {}", self.fingerprint)
    }
}

/// A token exists. Only its digest is written; the token itself was shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Its public id.
    pub id: String,
    /// Digest of the whole token.
    pub hash: Sha256,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// The one project it is good for; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Glob of the refs it may push (`refs/heads/alpha/*`); absent means all that its agent may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<String>,
    /// Commands it may give, and `push`; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
}

impl Subject for TokenIssued {
    fn subject(&self) -> String {
        format!("issued token {}", self.id)
    }
}

/// A token is void from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Its public id.
    pub id: String,
}

impl Subject for TokenRevoked {
    fn subject(&self) -> String {
        format!("revoked token {}", self.id)
    }
}

/// Somebody vouched for an agent: an operator, the forge on behalf of whoever runs it, or another agent of its owner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentVouched {
    /// Who answers for the agent from the next batch of `forge.git` on; no agent need be called so.
    pub owner: AgentName,
}

impl Subject for AgentVouched {
    fn subject(&self) -> String {
        format!("vouched for: {} answers for it", self.owner)
    }
}
