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
use git::object::{Kind, Mode};
use git::store::Objects;

/// What `ssh-keygen -Y sign -n` is told, so that a signature for one purpose is none for another.
pub const NAMESPACE: &str = "synstack-trace@v1";
/// The file beside the record that holds the armored signature.
pub const FILE: &str = "record.sig";
/// Longest signature, in bytes.
/// Limit: the signature on a record | {:bytes}
const LONGEST: usize = 16 << 10;
/// Where a signature begins, and where it ends.
const ARMOR: [&[u8]; 2] = [b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"];

/// The files of a record's commit as it arrives: the record, and at most a signature. What else the commit led to would be
/// kept and served with it, and nobody searches that.
pub fn record_files(objects: &dyn Objects, commit: Oid) -> Result<(Form, Bytes, Option<Bytes>), String> {
    let holder = objects.commit(commit).map_err(|e| e.to_string())?;
    if !holder.parents.is_empty() {
        return Err("its commit has a parent, and a record's commit stands alone".to_owned());
    }
    let tree = objects.tree(holder.tree).map_err(|e| e.to_string())?;
    if let Some(entry) = tree.iter().find(|entry| !matches!(entry.mode, Mode::File | Mode::Executable)) {
        return Err(format!(
            "`{}` in its tree is no regular file",
            String::from_utf8_lossy(&entry.name).escape_debug()
        ));
    }
    let (form, file, signature) = kept_files(objects, commit)?;
    if signature.as_deref().is_some_and(|armor| !is_bare(armor)) {
        return Err(format!("its `{FILE}` holds more, or less, than one armored SSH signature"));
    }
    Ok((form, file, signature))
}

/// The same of one that was taken, by whatever was asked of it then.
fn kept_files(objects: &dyn Objects, commit: Oid) -> Result<(Form, Bytes, Option<Bytes>), String> {
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

/// Whether nothing stands around or between the lines of one signature. What they enclose is read as base64.
fn is_bare(armor: &[u8]) -> bool {
    let bare = armor.trim_ascii();
    let ends = |bytes: &&[u8]| *bytes == ARMOR[1];
    bare.starts_with(ARMOR[0]) && bare.ends_with(ARMOR[1]) && bare.windows(ARMOR[1].len()).filter(ends).count() == 1
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
    let (form, file, _) = kept_files(objects, commit)?;
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
    let at = certificate.windows(ARMOR[0].len()).position(|bytes| bytes == ARMOR[0]);
    let (text, armor) = certificate.split_at(at.ok_or("its push certificate holds no signature")?);
    let line = format!(" {commit} {name}");
    if !String::from_utf8_lossy(text).lines().any(|said| said.ends_with(&line)) {
        return Err("its push certificate is of another push".to_owned());
    }
    signed_by(signer::NAMESPACE, text, armor).ok_or_else(|| "its push certificate is not validly signed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use git::object::{NewCommit, Object, Signature, TreeEntry, tree};
    use git::store::ReadError;
    use russh::keys::ssh_key::{HashAlg, LineEnding};
    use russh::keys::{Algorithm, PrivateKey, key::safe_rng};
    use std::collections::HashMap;

    /// Objects in memory.
    #[derive(Default)]
    struct Memory(HashMap<Oid, Object>);

    impl Memory {
        fn add(&mut self, object: Object) -> Oid {
            let id = object.id().unwrap();
            self.0.insert(id, object);
            id
        }

        fn holder(&mut self, files: &[(&str, &[u8])]) -> Oid {
            self.holding(files, Mode::File, vec![])
        }

        fn holding(&mut self, files: &[(&str, &[u8])], mode: Mode, parents: Vec<Oid>) -> Oid {
            let entries = files.iter().map(|(name, bytes)| TreeEntry {
                mode,
                name: name.as_bytes().to_vec(),
                id: self.add(Object::new(Kind::Blob, bytes.to_vec())),
            });
            let entries = entries.collect();
            let who = Signature { name: "alpha".into(), email: "alpha@forge".into(), seconds: 1 };
            let tree = self.add(tree(entries));
            let (author, committer) = (who.clone(), who);
            self.add(NewCommit { tree, parents, author, committer, message: "r\n".into() }.encode(None))
        }
    }

    impl Objects for Memory {
        fn get(&self, id: Oid) -> Result<Object, ReadError> {
            self.0.get(&id).cloned().ok_or(ReadError::Missing(id))
        }
        fn contains(&self, id: Oid) -> bool {
            self.0.contains_key(&id)
        }
    }

    fn sign(key: &PrivateKey, namespace: &str, text: &[u8]) -> Vec<u8> {
        key.sign(namespace, HashAlg::Sha512, text).unwrap().to_pem(LineEnding::LF).unwrap().into_bytes()
    }

    fn record(json: &str) -> Record {
        Record::decode_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_signature_is_over_the_file_beside_it_or_over_the_push_that_brought_it() {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let tree = "05".repeat(20);
        let json = format!(
            r#"{{"v":1,"id":"r1","project":"parser","agent":"alpha","nonce":"{}","head_tree":"{tree}",
                "attempts":[{{"argv":["make"],"exit":0,"tree":"{tree}"}}]}}"#,
            "01".repeat(16)
        );
        let (canonical, digest) = (record(&json).canonical(), record(&json).digest());
        let name: RefName = "refs/notes/forge/in/alpha/r1".parse().unwrap();
        let mut objects = Memory::default();
        for (file, bytes) in [("record", canonical.as_slice()), ("record.json", json.as_bytes())] {
            let armor = sign(&key, NAMESPACE, bytes);
            let commit = objects.holder(&[(file, bytes), (FILE, &armor)]);
            let signed = |objects: &mut Memory, kept: &[u8], push| RecordSignature {
                key: fingerprint.clone(),
                blob: objects.add(Object::new(Kind::Blob, kept.to_vec())),
                push,
            };
            let own = signed(&mut objects, &armor, false);
            assert_eq!(check_signature(&objects, &own, commit, &name, &digest), Ok(()), "{file}");
            let another = RecordSignature { key: "SHA256:x".into(), ..own.clone() };
            assert!(check_signature(&objects, &another, commit, &name, &digest).is_err(), "by another key");
            assert!(check_signature(&objects, &own, commit, &name, &Sha256::of(b"?")).is_err(), "another record");
            let commit_signature = signed(&mut objects, &sign(&key, "git", bytes), false);
            assert!(check_signature(&objects, &commit_signature, commit, &name, &digest).is_err(), "for git");
            // A push that names this commit under this name.
            let text = |name: &str| format!("certificate version 0.1\n\n{} {commit} {name}\n", "0".repeat(40));
            let certificate = |name: &str| {
                let text = text(name).into_bytes();
                [text.clone(), sign(&key, "git", &text)].concat()
            };
            let push = signed(&mut objects, &certificate(name.as_str()), true);
            assert_eq!(check_signature(&objects, &push, commit, &name, &digest), Ok(()), "{file}");
            let elsewhere = signed(&mut objects, &certificate("refs/notes/forge/in/alpha/r2"), true);
            assert!(check_signature(&objects, &elsewhere, commit, &name, &digest).is_err(), "another ref");
            let mut changed = certificate(name.as_str());
            changed[0] = b'C';
            let changed = signed(&mut objects, &changed, true);
            assert!(check_signature(&objects, &changed, commit, &name, &digest).is_err(), "changed since");
        }
    }

    #[test]
    fn nothing_else_rides_along_and_nothing_large_is_read_as_a_signature() {
        let mut objects = Memory::default();
        let files = |objects: &mut Memory, names: &[&str]| {
            let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
            let commit = objects.holder(&files);
            record_files(objects, commit).map(|(form, _, signature)| (form, signature.is_some()))
        };
        assert_eq!(files(&mut objects, &["record"]), Ok((Form::MessagePack, false)));
        assert!(files(&mut objects, &["record.json", FILE]).unwrap_err().contains("armored"), "no signature");
        for names in [&["other"][..], &[FILE], &["record", "other"], &["record", "record.json"], &["record", FILE, "z"]]
        {
            assert!(files(&mut objects, names).is_err(), "{names:?}");
        }
        let before = objects.holder(&[("secret", b"s")]);
        let record: &[(&str, &[u8])] = &[("record", b"r")];
        let regular = objects.holding(record, Mode::Executable, vec![]);
        assert!(record_files(&objects, regular).is_ok());
        let link = objects.holding(record, Mode::Link, vec![]);
        assert_eq!(record_files(&objects, link).unwrap_err(), "`record` in its tree is no regular file");
        let follows = objects.holding(record, Mode::File, vec![before]);
        assert!(record_files(&objects, follows).unwrap_err().contains("stands alone"));
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let armor = sign(&key, NAMESPACE, b"x");
        let mut signed = |armor: &[u8]| {
            let commit = objects.holder(&[("record", b"x"), (FILE, armor)]);
            record_files(&objects, commit).is_ok()
        };
        assert!(signed(&armor) && signed(&[b"\n".as_slice(), &armor, b"\n\n"].concat()));
        let around =
            [[b"note\n".as_slice(), &armor].concat(), [&armor, b"note\n".as_slice()].concat(), armor.repeat(2)];
        assert!(!around.iter().any(|armor| signed(armor)));
        assert!(record_signer(b"x", &vec![b'-'; LONGEST + 1]).unwrap_err().contains("allowed"));
        assert!(record_signer(b"x", b"no armor").unwrap_err().contains("no valid SSH signature"));
    }
}
