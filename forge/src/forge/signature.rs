//! Whose word a record is, as it arrives: what is kept of a signature beside it, or of the push that brings it.
//!
//! Invariant: a signature that is there is valid and by a key that lets its record's maker in, or the record is refused.
//! Who does not sign is judged by the credential alone, as ever.

use hooks::record::not_its_makers;
use notes_schema::batch::RecordSignature;
use notes_schema::{AgentName, Oid, RefName};

use crate::ledger::{Snapshot, record_signer};
use git::object::{Kind, Object};

/// A signature that holds, to be kept.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    /// Fingerprint of its key.
    pub key: String,
    /// Whether it is of the push.
    pub push: bool,
    /// The armored signature; of a push, what it signs before it.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// The blob that keeps it.
    pub(super) fn object(&self) -> Object {
        Object::new(Kind::Blob, self.bytes.clone())
    }

    /// What the ledger says of it.
    pub(super) fn line(&self, blob: Oid) -> RecordSignature {
        RecordSignature { key: self.key.clone(), blob, push: self.push }
    }
}

/// Checks the signature beside a record that `agent` pushes.
pub(super) fn check(
    root: &Snapshot,
    agent: &AgentName,
    name: &RefName,
    file: &[u8],
    armor: &[u8],
) -> Result<Signature, hooks::Refusal> {
    let key = record_signer(file, armor).map_err(|why| not_its_makers(name, why))?;
    if root.fold.keys.get(&key) != Some(agent) {
        return Err(not_its_makers(
            name,
            format!("{key} signed it, which is no key of {agent}; `key add` makes it one"),
        ));
    }
    Ok(Signature { key, push: false, bytes: armor.to_vec() })
}
