//! Whose word a record is: what signs it, beside it in its commit or as the certificate of the push that brought it.
//!
//! Invariant: a signature that is there is valid and by a key that lets its record's maker in, or the record is refused.
//! Who does not sign is judged by the credential alone, as ever.

use bytes::Bytes;
use hooks::record::{Form, not_its_makers};
use notes_schema::batch::RecordSignature;
use notes_schema::{AgentName, Oid, RefName};

use crate::ledger::{Snapshot, signed_by};
use git::object::{Kind, Object};
use git::store::Objects;

/// What `ssh-keygen -Y sign -n` is told, so that a signature for one purpose is none for another.
pub const NAMESPACE: &str = "synstack-trace@v1";
/// The file beside the record that holds the armored signature.
pub const FILE: &str = "record.sig";
/// Longest signature, in bytes.
const LONGEST: usize = 16 << 10;

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

/// The files of a record's commit: the record, and at most a signature.
pub(crate) fn record_files(objects: &dyn Objects, commit: Oid) -> Result<(Form, Bytes, Option<Bytes>), String> {
    let tree = objects.commit(commit).and_then(|c| objects.tree(c.tree)).map_err(|e| e.to_string())?;
    let mut found = tree.iter().filter_map(|e| Some((Form::of_blob(&e.name)?, e.id)));
    let (form, id) = found.next().ok_or("its tree holds neither `record` nor `record.json`")?;
    let signature = tree.iter().find(|e| e.name == FILE.as_bytes());
    if tree.len() != 1 + usize::from(signature.is_some()) {
        return Err(format!("its tree must hold one file only, and at most `{FILE}` beside it"));
    }
    let blob = |id| objects.get_kind(id, Kind::Blob).map(|object| object.data).map_err(|e| e.to_string());
    Ok((form, blob(id)?, signature.map(|e| blob(e.id)).transpose()?))
}

/// The fingerprint of the key that signed a record's file, or what is wrong with the signature.
pub(crate) fn signer(file: &[u8], armor: &[u8]) -> Result<String, String> {
    if armor.len() > LONGEST {
        return Err(format!("its `{FILE}` holds {} bytes, {LONGEST} allowed", armor.len()));
    }
    let invalid = || format!("its `{FILE}` is no valid SSH signature over the file beside it, namespace {NAMESPACE}");
    signed_by(NAMESPACE, file, armor).ok_or_else(invalid)
}

/// Checks the signature beside a record that `agent` pushes.
pub(super) fn check(
    root: &Snapshot,
    agent: &AgentName,
    name: &RefName,
    file: &[u8],
    armor: &[u8],
) -> Result<Signature, hooks::Refusal> {
    let key = signer(file, armor).map_err(|why| not_its_makers(name, why))?;
    if root.fold.keys.get(&key) != Some(agent) {
        return Err(not_its_makers(name, format!("{key} signed it, which is no key of {agent}")));
    }
    Ok(Signature { key, push: false, bytes: armor.to_vec() })
}
