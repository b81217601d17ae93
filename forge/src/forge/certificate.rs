//! Signed pushes: whose signature a push certificate carries.
//!
//! Invariant: a signed push lands only if one of the pusher's own keys signed it, for this repository, just now. Who does
//! not sign is judged by the credential alone, as ever.

use notes_schema::AgentName;

use super::signature::Signature;
use crate::answer::{Code, Refusal};
use crate::ledger::{GIT_NAMESPACE, Snapshot, signed_by};
use git::wire::{Certificate, NonceSeed, NonceStatus};

/// How many seconds may pass between the two requests of a push over HTTP.
/// Limit: age of the nonce of a signed push over HTTP | {:s}
const SLOP: u64 = 300;

/// What nonces are made from, given the forge's own secret.
pub(super) fn seed(secret: &[u8; 32]) -> NonceSeed {
    let secret = notes_schema::Sha256::of_parts(&[b"nonces of push certificates", secret]).to_string();
    NonceSeed { secret, slop: SLOP }
}

/// Refuses a certificate that is not `agent`'s own word for this push; answers what it makes of the records in it.
pub(super) fn check(root: &Snapshot, agent: &AgentName, certificate: &Certificate) -> Result<Signature, Refusal> {
    let refuse = |why: String| Err(Refusal::new(Code::NotAllowed, "push --signed", why, "git push --no-signed"));
    match certificate.nonce {
        NonceStatus::Ok => {}
        NonceStatus::Slop(age) => return refuse(format!("its nonce is {age} seconds old; push again")),
        NonceStatus::Bad | NonceStatus::Missing | NonceStatus::Unsolicited => {
            return refuse("its nonce is not one that this forge gave out for this repository".to_owned());
        }
    }
    let Some(key) = signed_by(GIT_NAMESPACE, &certificate.text, &certificate.signature) else {
        let why = "its signature is no valid SSH signature over it; sign with `-c gpg.format=ssh` and one of your keys";
        return refuse(why.to_owned());
    };
    match root.fold.keys.get(&key) {
        Some(owner) if owner == agent => {
            let bytes = [&certificate.text[..], &certificate.signature].concat();
            Ok(Signature { key, push: true, bytes })
        }
        Some(_) | None => refuse(format!("{key} signed it, which is no key of {agent}; `key add` makes it one")),
    }
}
