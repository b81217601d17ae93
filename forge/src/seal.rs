//! What is sealed of a contest: tests and the golden patch, encrypted under a key of their own, which is published once the
//! contest is closed.
//!
//! The blob is a line that says what it is of, and behind it ChaCha20-Poly1305 of a salt and the text, with that line as what is
//! authenticated beside them. The key is HKDF-SHA256 of the forge's secret and that line, which holds a random id: no key seals
//! twice, so the nonce is zero. What was promised (the commitment) is the digest of salt and text, so that one text alone
//! answers to it.
//!
//! Invariant: pure; random bytes and secrets are handed in. A published key opens one blob, and says nothing of another's.

use std::fmt::Write as _;

use notes_schema::names::hex;
use notes_schema::{Oid, ProjectName, Sha256};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::import::Sealed;
use crate::ledger::SEALED;
use git::object::Kind;
use git::store::{Objects, ReadError};

/// Most bytes of what is sealed, as JSON.
/// Limit: sealed part of a contest, patches and names of tests together, as JSON | {:bytes}
pub const MOST_TEXT: usize = 1 << 20;
/// Longest line in front.
/// No limit: longer than any that names of projects make.
const MOST_HEAD: usize = 512;
const SALT: usize = 32;
const TAG: usize = 16;
/// Most bytes of a blob.
/// No limit: follows from the others.
pub const MOST_BYTES: usize = MOST_TEXT + MOST_HEAD + SALT + TAG;
/// Bytes of an id.
pub const ID: usize = 16;
const HEAD: &str = "forge sealed 1 ";
const TRIALS: &str = "forge trials 1 ";

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is too large.
    #[error("it is longer than {MOST_TEXT} bytes as JSON")]
    TooLarge,
    /// It has not the form of a sealed part.
    #[error("it is no sealed part of a form that is known")]
    Malformed,
    /// Another key sealed it, or it was changed.
    #[error("the key does not open it")]
    Key,
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a sealed part belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// The first commit of the forge's own ledger.
    pub genesis: Option<Oid>,
    /// Random, [`ID`] bytes.
    pub id: &'a [u8],
}

impl Place<'_> {
    /// The line in front, its end included.
    fn head(&self) -> String {
        let mut head = format!("{HEAD}{} ", hex(self.id));
        match self.genesis {
            Some(genesis) => write!(head, "{genesis}"),
            None => write!(head, "-"),
        }
        .expect("invariant: writing to a string does not fail");
        let _ = writeln!(head, " {}", self.project);
        head
    }

    /// Whether a blob says that it belongs here; only its key shows that it does.
    pub fn is_of(&self, blob: &[u8]) -> bool {
        self.id.len() == ID && blob.starts_with(self.head().as_bytes())
    }

    /// The key for what is sealed here.
    pub fn key(&self, secret: &[u8; 32]) -> [u8; 32] {
        self.derive(HEAD, secret)
    }

    /// The key that decides which of the contest's verifiers are tried. It opens nothing.
    pub fn trial_key(&self, secret: &[u8; 32]) -> [u8; 32] {
        self.derive(TRIALS, secret)
    }

    fn derive(&self, what: &str, secret: &[u8; 32]) -> [u8; 32] {
        let mut key = [0; 32];
        let head = self.head();
        let prk = Salt::new(HKDF_SHA256, what.as_bytes()).extract(secret);
        let filled = prk.expand(&[head.as_bytes()], HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        filled.expect("invariant: one output block is what HKDF gives at least");
        key
    }
}

/// A part, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What is promised of it.
    pub commitment: Sha256,
    /// The blob.
    pub blob: Vec<u8>,
}

/// A part, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The digest of what was in it, its salt included.
    pub commitment: Sha256,
    /// What is in it.
    pub part: Sealed,
}

/// Seals `part` at `place`. `salt` is random, and used once.
pub fn seal(secret: &[u8; 32], place: &Place, salt: [u8; SALT], part: &Sealed) -> Result<Closed, SealError> {
    let text = serde_json::to_vec(part).map_err(|_| SealError::Malformed)?;
    if text.len() > MOST_TEXT {
        return Err(SealError::TooLarge);
    }
    let head = place.head();
    if head.len() > MOST_HEAD || place.id.len() != ID {
        return Err(SealError::Malformed);
    }
    let mut sealed = [&salt[..], &text].concat();
    let commitment = Sha256::of(&sealed);
    let cipher = cipher(&place.key(secret))?;
    cipher.seal_in_place_append_tag(nonce(), Aad::from(&head), &mut sealed).map_err(|_| SealError::Key)?;
    Ok(Closed { commitment, blob: [head.as_bytes(), &sealed].concat() })
}

/// Opens `blob` by a key that was published; nothing else is needed.
pub fn open(key: &[u8], blob: &[u8]) -> Result<Opened, SealError> {
    let end = blob.iter().take(MOST_HEAD).position(|byte| *byte == b'\n').ok_or(SealError::Malformed)?;
    let (head, sealed) = blob.split_at(end + 1);
    if !head.starts_with(HEAD.as_bytes()) || blob.len() > MOST_BYTES {
        return Err(SealError::Malformed);
    }
    let mut sealed = sealed.to_vec();
    let plain = cipher(key)?.open_in_place(nonce(), Aad::from(head), &mut sealed).map_err(|_| SealError::Key)?;
    let commitment = Sha256::of(plain);
    let text = plain.get(SALT..).ok_or(SealError::Malformed)?;
    let part = serde_json::from_slice(text).map_err(|_| SealError::Malformed)?;
    Ok(Opened { commitment, part })
}

/// The blob beside the event of `commit`.
pub fn blob(objects: &dyn Objects, commit: Oid) -> Result<bytes::Bytes, SealError> {
    let tree = objects.tree(objects.commit(commit)?.tree)?;
    let entry = tree.iter().find(|entry| entry.name == SEALED.as_bytes()).ok_or(SealError::Malformed)?;
    if objects.size(entry.id)? > MOST_BYTES as u64 {
        return Err(SealError::Malformed);
    }
    Ok(objects.get_kind(entry.id, Kind::Blob)?.data)
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| SealError::Key)
}

/// Each key seals one text.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(golden: &str) -> Sealed {
        Sealed {
            golden: golden.to_owned(),
            tests: "diff".to_owned(),
            fail_to_pass: vec!["a".to_owned()],
            pass_to_pass: Vec::new(),
        }
    }

    #[test]
    fn its_key_alone_opens_a_part_and_no_other_does() {
        let (parser, lexer) = ("parser".parse().unwrap(), "lexer".parse().unwrap());
        let genesis = Some(Oid::from_bytes([3; 20]));
        let place = Place { project: &parser, genesis, id: &[7; ID] };
        let secret = [1; 32];
        let closed = seal(&secret, &place, [5; SALT], &part("the answer")).unwrap();
        let opened = open(&place.key(&secret), &closed.blob).unwrap();
        assert_eq!((opened.commitment, opened.part), (closed.commitment, part("the answer")));
        assert!(place.is_of(&closed.blob));
        assert!(matches!(open(&place.trial_key(&secret), &closed.blob), Err(SealError::Key)));
        let shown = String::from_utf8_lossy(&closed.blob).into_owned();
        assert!(!shown.contains("answer") && !shown.contains("golden"), "{shown}");
        for other in [
            Place { project: &lexer, ..place },
            Place { genesis: None, ..place },
            Place { genesis: Some(Oid::from_bytes([4; 20])), ..place },
            Place { id: &[8; ID], ..place },
        ] {
            assert!(matches!(open(&other.key(&secret), &closed.blob), Err(SealError::Key)));
            assert!(!other.is_of(&closed.blob));
        }
        assert!(matches!(open(&place.key(&[2; 32]), &closed.blob), Err(SealError::Key)));
        assert!(matches!(open(&secret[..31], &closed.blob), Err(SealError::Key)));
    }

    #[test]
    fn no_byte_of_it_can_be_changed_or_left_out() {
        let project = "parser".parse().unwrap();
        let place = Place { project: &project, genesis: None, id: &[7; ID] };
        let closed = seal(&[1; 32], &place, [5; SALT], &part("x")).unwrap();
        let key = place.key(&[1; 32]);
        for at in 0..closed.blob.len() {
            let mut bad = closed.blob.clone();
            bad[at] ^= 1;
            assert!(open(&key, &bad).is_err(), "byte {at}");
            assert!(open(&key, &closed.blob[..at]).is_err(), "{at} bytes");
        }
        assert!(open(&key, &[&closed.blob[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_salt_hides_what_is_promised_and_a_cap_bounds_it() {
        let project = "parser".parse().unwrap();
        let place = Place { project: &project, genesis: None, id: &[7; ID] };
        let with = |salt| seal(&[1; 32], &place, [salt; SALT], &part("x")).unwrap().commitment;
        assert_ne!(with(1), with(2));
        assert_ne!(with(1), Sha256::of(&serde_json::to_vec(&part("x")).unwrap()));
        let long = part(&"x".repeat(MOST_TEXT));
        assert!(matches!(seal(&[1; 32], &place, [1; SALT], &long), Err(SealError::TooLarge)));
        let short = Place { id: &[7; 3], ..place };
        assert!(matches!(seal(&[1; 32], &short, [1; SALT], &part("x")), Err(SealError::Malformed)));
    }

    /// Blobs of today are opened by programs of later.
    #[test]
    fn the_form_of_a_blob_is_frozen() {
        let project = "parser".parse().unwrap();
        let place = Place { project: &project, genesis: Some(Oid::from_bytes([3; 20])), id: &[7; ID] };
        let closed = seal(&[1; 32], &place, [5; SALT], &part("x")).unwrap();
        assert!(
            closed
                .blob
                .starts_with(format!("forge sealed 1 {} {} parser\n", "07".repeat(16), "03".repeat(20)).as_bytes())
        );
        assert_eq!(
            Sha256::of(&closed.blob).to_string(),
            "ed15bd5477783135eb23e934f207f807e369c3d383e6012316fa7f878dedafc0"
        );
    }
}
