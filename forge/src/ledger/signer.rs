//! Signatures on ledger commits: SSHSIG in git's own form, so `git log --show-signature` checks them.

use russh::keys::ssh_key::{HashAlg, LineEnding, SshSig};
use russh::keys::{PrivateKey, PublicKey};

use git::object;

/// The namespace that git uses for commits, tags and pushes.
pub const NAMESPACE: &str = "git";

/// The forge's signing key of the current epoch.
pub struct Signer {
    key: PrivateKey,
}

impl Signer {
    /// A signer with `key`.
    pub fn new(key: PrivateKey) -> Self {
        Signer { key }
    }

    /// The public key in OpenSSH form, without a comment.
    pub fn public_openssh(&self) -> String {
        let mut key = self.key.public_key().clone();
        key.set_comment("");
        key.to_openssh().expect("invariant: a key in memory can be written").trim().to_owned()
    }

    /// A secret of its own for `what`, which only who holds the key can make again.
    pub(super) fn secret(&self, what: &str) -> [u8; 32] {
        let signature = self.key.sign(what, HashAlg::Sha512, b"");
        let signature = signature.expect("invariant: an unencrypted ed25519 key signs");
        // Ed25519 takes no dice: the same key signs the same the same way.
        *notes_schema::Sha256::of(signature.signature_bytes()).as_bytes()
    }

    /// The armored signature over a commit's bytes.
    pub fn sign(&self, commit: &[u8]) -> String {
        let signature = self.key.sign(NAMESPACE, HashAlg::Sha512, commit);
        let pem = signature.and_then(|s| s.to_pem(LineEnding::LF));
        pem.expect("invariant: an unencrypted ed25519 key signs")
    }
}

/// Whether a commit (its whole bytes) carries a valid signature by `public_openssh`.
pub fn is_signed_by(commit: &[u8], public_openssh: &str) -> bool {
    let Ok(parsed) = object::read_commit(commit) else { return false };
    let Some(armor) = parsed.signature else { return false };
    let Ok(signature) = SshSig::from_pem(armor.as_bytes()) else { return false };
    let Ok(key) = PublicKey::from_openssh(public_openssh) else { return false };
    key.verify(NAMESPACE, &object::unsigned_bytes(commit), &signature).is_ok()
}

/// The fingerprint of the key that made `armor` over `text` for `namespace`; `None` where the signature is not valid.
pub fn signed_by(namespace: &str, text: &[u8], armor: &[u8]) -> Option<String> {
    let signature = SshSig::from_pem(armor).ok()?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(namespace, text, &signature).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use git::object::{NewCommit, Signature};

    #[test]
    fn a_signed_commit_verifies_and_a_changed_one_does_not() {
        let signer = Signer::new(
            PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519).unwrap(),
        );
        let who = Signature { name: "forge".into(), email: "forge@forge".into(), seconds: 1 };
        let commit = NewCommit {
            tree: notes_schema::Oid::from_bytes([1; 20]),
            parents: vec![],
            author: who.clone(),
            committer: who,
            message: "x\n".into(),
        };
        let armor = signer.sign(&commit.encode(None).data);
        let signed = commit.encode(Some(&armor)).data;
        assert!(is_signed_by(&signed, &signer.public_openssh()));
        let bytes = commit.encode(None).data;
        assert_eq!(
            signed_by(NAMESPACE, &bytes, armor.as_bytes()),
            Some(signer.key.public_key().fingerprint(HashAlg::Sha256).to_string())
        );
        assert_eq!(signed_by(NAMESPACE, b"else", armor.as_bytes()), None);
        assert_eq!(signed_by("file", &bytes, armor.as_bytes()), None, "for another purpose");
        let mut changed = signed.to_vec();
        *changed.iter_mut().rev().nth(1).unwrap() = b'y';
        assert!(!is_signed_by(&changed, &signer.public_openssh()));
        assert_eq!(object::unsigned_bytes(&signed), commit.encode(None).data);
    }
}
