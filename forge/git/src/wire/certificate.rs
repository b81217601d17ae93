//! Push certificates: what a pusher signed, and whether the nonce in it is one of ours.
//!
//! Invariant: a certificate's commands are the push's only commands. Whether a signature is anybody's is the host's to say.

use notes_schema::names::hex;
use sha2::{Digest as _, Sha256};

use super::{NonceSeed, WireError};

/// The first lines of signatures that git knows.
const SIGNATURES: [&[u8]; 4] = [
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];
/// The longest header line of a certificate.
/// Limit: header line of a push certificate | {:bytes}
const LONGEST: usize = 4096;
/// Bytes that SHA-256 takes at a time.
const BLOCK: usize = 64;

/// What a signed push carries beside its pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What was signed, byte by byte: headers, an empty line, and the commands.
    pub text: Vec<u8>,
    /// The signature as it came, armored; empty where there is none.
    pub signature: Vec<u8>,
    /// Who says to push.
    pub pusher: String,
    /// Where to, as the pusher names it.
    pub pushee: Option<String>,
    /// Push options that were signed.
    pub options: Vec<String>,
    /// Whether it answers to what this server asked.
    pub nonce: NonceStatus,
}

/// What the nonce of a certificate proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceStatus {
    /// It is the one that was given out, or one of an earlier request within the slop.
    Ok,
    /// It is ours, and this many seconds old, which is more than the slop; below zero, it comes from the future.
    Slop(i64),
    /// It is not one of ours.
    Bad,
    /// There is none.
    Missing,
    /// None was asked for.
    Unsolicited,
}

/// What a nonce is compared with.
pub(super) struct Asked {
    seed: NonceSeed,
    path: String,
    /// The nonce given out on this very connection; over HTTP there is none.
    issued: Option<String>,
}

impl Asked {
    pub(super) fn new(seed: NonceSeed, path: String) -> Asked {
        Asked { seed, path, issued: None }
    }

    /// A new nonce. `stateful`: no other answer will do.
    pub(super) fn issue(&mut self, now: u64, stateful: bool) -> String {
        let nonce = self.nonce(now);
        self.issued = stateful.then(|| nonce.clone());
        nonce
    }

    fn nonce(&self, stamp: u64) -> String {
        let code = hmac(self.seed.secret.as_bytes(), format!("{}:{stamp}", self.path).as_bytes());
        format!("{stamp}-{}", hex(&code))
    }

    fn judge(&self, nonce: &str, now: u64) -> NonceStatus {
        if let Some(issued) = &self.issued {
            return if is_same(issued, nonce) { NonceStatus::Ok } else { NonceStatus::Bad };
        }
        let stamp = nonce.split_once('-').map(|(stamp, _)| stamp).filter(|stamp| !stamp.starts_with(['0', '+']));
        let Some(stamp) = stamp.and_then(|stamp| stamp.parse::<u64>().ok()) else { return NonceStatus::Bad };
        if !is_same(&self.nonce(stamp), nonce) {
            return NonceStatus::Bad;
        }
        let age = now.cast_signed().saturating_sub(stamp.cast_signed());
        if age == 0 || age.unsigned_abs() <= self.seed.slop { NonceStatus::Ok } else { NonceStatus::Slop(age) }
    }
}

/// Compares without telling by its time where two texts differ.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let keyed = |pad: u8| Sha256::new().chain_update(block.map(|b| b ^ pad));
    let inner = keyed(0x36).chain_update(text).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

fn malformed<T>(why: &str) -> Result<T, WireError> {
    Err(WireError::Refused(format!("malformed push certificate: {why}")))
}

impl Certificate {
    /// Reads a certificate, `now` being seconds since 1970.
    pub(super) fn parse(bytes: &[u8], asked: Option<&Asked>, now: u64) -> Result<Certificate, WireError> {
        let end = signature_start(bytes);
        let (text, signature) = bytes.split_at(end);
        let Some(headers) = text.windows(2).position(|pair| pair == b"\n\n") else {
            return malformed("no empty line before its commands");
        };
        let mut certificate = Certificate {
            text: text.to_vec(),
            signature: signature.to_vec(),
            pusher: String::new(),
            pushee: None,
            options: Vec::new(),
            nonce: if asked.is_some() { NonceStatus::Missing } else { NonceStatus::Unsolicited },
        };
        let mut lines = text[..headers].split(|&b| b == b'\n');
        if lines.next() != Some(b"certificate version 0.1") {
            return malformed("only `certificate version 0.1` is known");
        }
        let mut nonce = None;
        for line in lines {
            if line.len() > LONGEST {
                return malformed("a header is too long");
            }
            let Ok(line) = std::str::from_utf8(line) else { return malformed("a header is not UTF-8") };
            match line.split_once(' ') {
                Some(("pusher", who)) => certificate.pusher = who.to_owned(),
                Some(("pushee", url)) => certificate.pushee = Some(url.to_owned()),
                Some(("nonce", value)) => nonce = nonce.or(Some(value)),
                Some(("push-option", option)) => certificate.options.push(option.to_owned()),
                Some(_) | None => {}
            }
        }
        if let (Some(asked), Some(nonce)) = (asked, nonce) {
            certificate.nonce = asked.judge(nonce, now);
        }
        Ok(certificate)
    }

    /// Its commands, one per line.
    pub(super) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        let start = self.text.windows(2).position(|pair| pair == b"\n\n").map_or(self.text.len(), |at| at + 2);
        self.text[start..].split(|&b| b == b'\n').filter(|line| !line.is_empty())
    }
}

/// Where the last signature begins; the end where there is none.
fn signature_start(bytes: &[u8]) -> usize {
    let (mut at, mut found) = (0, bytes.len());
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        if SIGNATURES.iter().any(|start| line.starts_with(start)) {
            found = at;
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(slop: u64) -> Asked {
        Asked::new(NonceSeed { secret: "seed".into(), slop }, "/srv/x.git".into())
    }

    fn certificate(nonce: &str) -> Vec<u8> {
        format!(
            "certificate version 0.1\npusher A <a@b> 1 +0000\npushee ssh://x/y\nnonce {nonce}\npush-option one\n\n\
             1 2 refs/heads/x\n3 4 refs/heads/y\n-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"
        )
        .into_bytes()
    }

    fn status(asked: &Asked, nonce: &str, now: u64) -> NonceStatus {
        Certificate::parse(&certificate(nonce), Some(asked), now).unwrap().nonce
    }

    #[test]
    fn the_code_is_that_of_the_standard() {
        // RFC 4231, cases 2 and 6.
        let code = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&code), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let code = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&code), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_certificate_is_split_into_what_was_signed_and_the_signature() {
        let read = Certificate::parse(&certificate("1-x"), None, 5).unwrap();
        assert_eq!([read.text.clone(), read.signature.clone()].concat(), certificate("1-x"));
        assert!(read.signature.starts_with(b"-----BEGIN SSH"));
        assert_eq!((read.pusher.as_str(), read.pushee.as_deref()), ("A <a@b> 1 +0000", Some("ssh://x/y")));
        assert_eq!((read.options.as_slice(), read.nonce), (&["one".to_owned()][..], NonceStatus::Unsolicited));
        assert_eq!(read.commands().collect::<Vec<_>>(), [&b"1 2 refs/heads/x"[..], b"3 4 refs/heads/y"]);
        for bad in ["", "certificate version 0.1\n", "certificate version 9\nx\n\n"] {
            assert!(Certificate::parse(bad.as_bytes(), None, 5).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_nonce_is_ours_and_young_or_it_is_not_ok() {
        let mut stateful = asked(0);
        let nonce = stateful.issue(1000, true);
        assert_eq!(status(&stateful, &nonce, 5000), NonceStatus::Ok);
        assert_eq!(status(&stateful, &asked(0).issue(1001, true), 1001), NonceStatus::Bad);
        let stateless = asked(10);
        assert_eq!(status(&stateless, &nonce, 1000), NonceStatus::Ok);
        assert_eq!(status(&stateless, &nonce, 1010), NonceStatus::Ok);
        assert_eq!(status(&stateless, &nonce, 1011), NonceStatus::Slop(11));
        assert_eq!(status(&stateless, &nonce, 900), NonceStatus::Slop(-100));
        let elsewhere = Asked::new(NonceSeed { secret: "seed".into(), slop: 10 }, "/srv/z.git".into());
        for bad in [elsewhere.nonce(1000), nonce.replace("1000-", "1001-"), "1000".into(), "x-y".into(), "".into()] {
            assert_eq!(status(&stateless, &bad, 1000), NonceStatus::Bad, "{bad}");
        }
        let without = certificate("x")
            .split_inclusive(|&b| b == b'\n')
            .filter(|l| !l.starts_with(b"nonce"))
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(Certificate::parse(&without, Some(&stateless), 1).unwrap().nonce, NonceStatus::Missing);
    }
}
