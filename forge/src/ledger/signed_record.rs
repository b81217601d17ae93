//! What signs a record, and whether that holds: the armored signature beside it in its commit, or the certificate of the
//! push that brought that commit.
//!
//! Invariant: needs objects only. Whose key it is, is for whoever knows `forge.git` to say.

use bytes::Bytes;
use hooks::record::Form;
use notes_schema::batch::RecordSignature;
use notes_schema::trace::Record;
use notes_schema::{Oid, RefName, Sha256};

use super::signer::{self, signed_by};
use git::object::Kind;
use git::store::Objects;

/// What `ssh-keygen -Y sign -n` is told, so that a signature for one purpose is none for another.
pub const NAMESPACE: &str = "synstack-trace@v1";
/// The file beside the record that holds the armored signature.
pub const FILE: &str = "record.sig";
/// Longest signature, in bytes.
const LONGEST: usize = 16 << 10;
/// Where a certificate's signature begins.
const ARMOR: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// The files of a record's commit: the record, and at most a signature.
pub fn record_files(objects: &dyn Objects, commit: Oid) -> Result<(Form, Bytes, Option<Bytes>), String> {
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
pub fn record_signer(file: &[u8], armor: &[u8]) -> Result<String, String> {
    if armor.len() > LONGEST {
        return Err(format!("its `{FILE}` holds {} bytes, {LONGEST} allowed", armor.len()));
    }
    let invalid = || format!("its `{FILE}` is no valid SSH signature over the file beside it, namespace {NAMESPACE}");
    signed_by(NAMESPACE, file, armor).ok_or_else(invalid)
}

/// Whether a record that came as `commit` under `name` is signed as the ledger states.
pub fn check_signature(
    objects: &dyn Objects,
    signed: &RecordSignature,
    commit: Oid,
    name: &RefName,
    digest: &Sha256,
) -> Result<(), String> {
    let kept = objects.get_kind(signed.blob, Kind::Blob).map_err(|e| e.to_string())?.data;
    let (form, file, _) = record_files(objects, commit)?;
    let record = match form {
        Form::MessagePack => Record::decode_msgpack(&file),
        Form::Json => Record::decode_json(&file),
    };
    if record.map(|record| record.digest()).as_ref() != Ok(digest) {
        return Err(format!("commit {} holds another record", commit.short()));
    }
    let key = if signed.push { certified(&kept, commit, name)? } else { record_signer(&file, &kept)? };
    if key == signed.key { Ok(()) } else { Err(format!("{key} signed it, and the ledger states {}", signed.key)) }
}

/// The key that signed a push which brought `commit` as `name`.
fn certified(certificate: &[u8], commit: Oid, name: &RefName) -> Result<String, String> {
    let at = certificate.windows(ARMOR.len()).position(|bytes| bytes == ARMOR);
    let (text, armor) = certificate.split_at(at.ok_or("its push certificate holds no signature")?);
    let line = format!(" {commit} {name}");
    if !String::from_utf8_lossy(text).lines().any(|said| said.ends_with(&line)) {
        return Err("its push certificate is of another push".to_owned());
    }
    signed_by(signer::NAMESPACE, text, armor).ok_or_else(|| "its push certificate is not validly signed".to_owned())
}
