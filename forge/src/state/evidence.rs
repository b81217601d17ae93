//! What a proof rests on besides its record: whose key was whose, what was challenged, and what came of it.
//!
//! Invariant: takes events for what they say; whoever verifies a copy holds them against the records they name.

use notes_schema::event::{Outcome, PullChallenged};
use notes_schema::{AgentName, EntityId, Fact, Sha256};
use serde::{Deserialize, Serialize};

use super::fold::{Fold, Happened, Started};

/// From which batch of `forge.git` to which a key let an agent in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpan {
    /// Whom.
    pub agent: AgentName,
    /// The batch that added it.
    pub from: u64,
    /// The batch that revoked it.
    pub until: Option<u64>,
}

/// A re-run of a proof by somebody else, as its event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// Who ran it.
    pub agent: AgentName,
    /// Whose proof it was.
    pub of: AgentName,
    /// What was run.
    pub run: Sha256,
    /// The record of it.
    pub record: Sha256,
    /// What came of it.
    pub outcome: Outcome,
}

/// A challenge that an agent began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The record that it challenges.
    pub proof: Sha256,
    /// What binds its own record to it.
    pub nonce: Vec<u8>,
}

impl Fold {
    pub(super) fn note_key(&mut self, id: &EntityId, fact: &Fact, batch: u64) {
        let EntityId::Agent(agent) = id else { return };
        let added = match fact {
            Fact::AgentRegistered(f) => f.key.as_ref().map(|key| &key.fingerprint),
            Fact::KeyAdded(f) => Some(&f.key.fingerprint),
            Fact::KeyRevoked(f) => {
                let spans = self.key_spans.get_mut(&f.fingerprint);
                if let Some(span) = spans.and_then(|spans| spans.back_mut()) {
                    span.until = Some(batch);
                }
                None
            }
            _ => None,
        };
        if let Some(fingerprint) = added {
            let span = KeySpan { agent: agent.clone(), from: batch, until: None };
            self.key_spans.entry(fingerprint.clone()).or_default().push_back(span);
        }
    }

    /// In `forge.git`: whether a key let `agent` in as of a batch; without one, whether it ever did.
    pub fn let_in(&self, fingerprint: &str, agent: &AgentName, as_of: Option<u64>) -> bool {
        let spans = self.key_spans.get(fingerprint).into_iter().flatten().filter(|span| span.agent == *agent);
        let within = |span: &KeySpan, batch| span.from <= batch && span.until.is_none_or(|until| batch <= until);
        spans.into_iter().any(|span| as_of.is_none_or(|batch| within(span, batch)))
    }

    pub(super) fn give_nonce(&mut self, nonce: &[u8], issue: u64, challenges: Option<Sha256>, at: &Happened) {
        self.nonces.insert(nonce.to_vec(), Started { agent: at.agent.clone(), issue, challenges, at_ms: at.t });
    }

    pub(super) fn run_again(&mut self, n: u64, fact: &PullChallenged, at: &Happened) {
        let Some(of) = self.pull(n).map(|pull| pull.author.clone()) else { return };
        let PullChallenged { run, record, outcome, .. } = *fact;
        let rerun = Rerun { agent: at.agent.clone(), of, run, record, outcome };
        self.reruns.entry(fact.tree).or_default().push_back(rerun);
    }
}
