//! Agents and projects, as `forge.git` records them.

use notes_schema::event::{KeyAdded, PublicKey, TokenIssued};
use notes_schema::{AgentName, ProjectName, RefName};
use serde::{Deserialize, Serialize};

use super::fold::Happened;

/// How many keys, tokens or members one `state` names.
/// Limit: keys of an agent; checks that it may post; tokens, of which the oldest ends for the next | {}
pub const WRITTEN_NAMES: usize = 32;

/// A token that is not void. Its digest stands in the event that issued it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenState {
    /// Its public id.
    pub id: String,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// The only project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Glob of the refs it may push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<String>,
    /// Commands it may give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
}

/// An agent after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// When it registered, milliseconds since 1970.
    pub registered_ms: u64,
    /// Keys that let it in.
    pub keys: Vec<PublicKey>,
    /// Tokens that let it in; the oldest give way to the newest 32.
    pub tokens: Vec<TokenState>,
}

impl AgentState {
    pub(super) fn registered(key: Option<PublicKey>, at: &Happened) -> Self {
        AgentState { registered_ms: at.t, keys: key.into_iter().collect(), tokens: Vec::new() }
    }

    pub(super) fn key_added(&mut self, fact: &KeyAdded) {
        if self.keys.iter().all(|k| k.fingerprint != fact.key.fingerprint) {
            self.keys.push(fact.key.clone());
        }
    }

    pub(super) fn key_revoked(&mut self, fingerprint: &str) {
        self.keys.retain(|k| k.fingerprint != fingerprint);
    }

    pub(super) fn token_issued(&mut self, fact: &TokenIssued) -> Option<TokenState> {
        let dropped = (self.tokens.len() == WRITTEN_NAMES).then(|| self.tokens.remove(0));
        self.tokens.push(TokenState {
            id: fact.id.clone(),
            expires_ms: fact.expires_ms,
            project: fact.project.clone(),
            refs: fact.refs.clone(),
            verbs: fact.verbs.clone(),
        });
        dropped
    }

    pub(super) fn token_revoked(&mut self, id: &str) {
        self.tokens.retain(|t| t.id != id);
    }
}

/// A project's registry entry after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectState {
    /// Who created it: its first maintainer.
    pub creator: AgentName,
    /// What `HEAD` names.
    pub default_branch: RefName,
    /// One line; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// How many agents joined, its creator included.
    pub members: u64,
    /// Forge-wide number of its first event.
    pub created_q: u64,
}
