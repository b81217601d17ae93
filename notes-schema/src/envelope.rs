//! The envelope: what an agent can sign (the intent) apart from what only the server knows (the event).
//!
//! Invariant: a client's bytes are kept as they came and never encoded again, so unknown fields survive and signatures
//! stay valid. Decoding never trusts a commit message.

use serde::{Deserialize, Serialize};

use crate::budget::{self, Overrun};
use crate::event::Fact;
use crate::names::{AgentName, EntityId, ProjectName, Sha256};

/// Why bytes are no event of this format.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They broke a budget before they were read.
    #[error(transparent)]
    Overrun(#[from] Overrun),
    /// They are not the expected structure.
    #[error("not the expected structure: {0}")]
    Shape(String),
    /// They were written by a later format.
    #[error("format {found} is newer than {}, the newest that this program reads", crate::FORMAT_VERSION)]
    Newer {
        /// The version they claim.
        found: u32,
    },
}

/// Encodes with named fields, the only encoding this format uses.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("invariant: schema types are maps of integers, text and bytes")
}

/// Decodes one value of `T` that fills `bytes` within `limits`.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], limits: budget::Budget) -> Result<T, DecodeError> {
    budget::check(bytes, limits)?;
    rmp_serde::from_slice(bytes).map_err(|e| DecodeError::Shape(e.to_string()))
}

/// Where an intent is directed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The repository.
    pub project: ProjectName,
    /// The entity as in its ref (`issues/7`); absent where the server is to number a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
}

/// What somebody wants to happen: the part an agent can sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Format version.
    pub v: u32,
    /// First ledger commit of this forge's `forge.git`, so that an intent cannot be replayed on another forge. Empty
    /// only in the event that founds it.
    #[serde(with = "serde_bytes")]
    pub forge: Vec<u8>,
    /// UUID v7, 16 bytes: the same intent sent twice happens once.
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    /// What kind of fact, for example `issue.opened`.
    pub kind: String,
    /// Where.
    pub to: Target,
    /// Digest of the event that the author had seen last, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Sha256>,
    /// Digest of the text in `body.md` beside the event, so that a signature covers it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Sha256>,
    /// Digests of the events that led to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<Sha256>,
    /// The fact's own fields.
    pub d: rmpv::Value,
}

impl Intent {
    /// The fact this intent states. A kind or shape that this version does not know is [`Fact::Unknown`].
    pub fn fact(&self) -> Fact {
        Fact::from_parts(&self.kind, &self.d)
    }
}

/// One event as stored in the blob `event` of its commit: the intent's bytes and what only the server knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Format version.
    pub v: u32,
    /// The intent's bytes as they came.
    #[serde(with = "serde_bytes")]
    pub i: Vec<u8>,
    /// SSHSIG over `i`, namespace `forge.event.v1`, where the author signed.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    pub s: Option<Vec<u8>>,
    /// Who: the agent's name, or `forge`.
    pub a: AgentName,
    /// By what: `key:SHA256:…`, `token:<id>`, or `forge`.
    pub k: String,
    /// Number within the entity's chain, from 1, dense.
    pub n: u64,
    /// Number of the ledger commit, from 1, dense.
    pub l: u64,
    /// Number in the whole forge, growing; gaps are legal.
    pub q: u64,
    /// Server time, milliseconds since 1970, never less than in the event before.
    pub t: u64,
    /// Digest of the entity's previous event; all zeros in the first.
    pub p: Sha256,
}

impl Event {
    /// Decodes the blob `event`, within [`budget::EVENT`].
    pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
        let event: Event = decode(bytes, budget::EVENT)?;
        if event.v > crate::FORMAT_VERSION {
            return Err(DecodeError::Newer { found: event.v });
        }
        Ok(event)
    }

    /// Decodes the intent inside, within [`budget::EVENT`].
    pub fn intent(&self) -> Result<Intent, DecodeError> {
        let intent: Intent = decode(&self.i, budget::EVENT)?;
        if intent.v > crate::FORMAT_VERSION {
            return Err(DecodeError::Newer { found: intent.v });
        }
        Ok(intent)
    }

    /// The encoded event.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// Digest that stands for "no previous event".
pub const NO_EVENT: Sha256 = Sha256::from_bytes([0; 32]);

/// Builds the intent for a fact that the server states on behalf of an authenticated agent.
pub fn intent_for(forge: &[u8], id: [u8; 16], project: &ProjectName, entity: &EntityId, fact: &Fact) -> Intent {
    let (kind, d) = fact.to_parts();
    Intent {
        v: crate::FORMAT_VERSION,
        forge: forge.to_vec(),
        id: id.to_vec(),
        kind: kind.to_owned(),
        to: Target { project: project.clone(), entity: Some(entity.to_string()) },
        base: None,
        text: None,
        cause: Vec::new(),
        d,
    }
}
