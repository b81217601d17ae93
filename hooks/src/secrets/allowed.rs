//! Values that look like secrets and are none: fixtures, listed by digest in `.forge/secrets.allow`.
//!
//! Invariant: the list holds digests only, so that it is itself no leak; what cannot be read as one is no entry.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::Sha256;

/// Where a project keeps its list, on the default branch.
pub const PATH: &str = ".forge/secrets.allow";
/// Largest list that is read, in bytes.
/// Limit: `.forge/secrets.allow` | {:bytes}; a longer one lists nothing, and the refusal says so
pub const LONGEST: usize = 64 << 10;

/// The listed values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    digests: Arc<BTreeSet<Sha256>>,
    too_long: bool,
}

impl Allowed {
    /// Reads a list: one SHA-256 in hexadecimal per line, what follows it is a comment, as is a line that begins with `#`.
    /// Answers the list, and the number of the first line that is neither.
    pub fn parse(text: &str) -> (Allowed, Option<usize>) {
        let mut digests = BTreeSet::new();
        let too_long = text.len() > LONGEST;
        let mut wrong = too_long.then_some(0);
        for (at, line) in text.lines().enumerate().take_while(|_| !too_long) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_whitespace().next().unwrap_or("").parse() {
                Ok(digest) => drop(digests.insert(digest)),
                Err(_) => wrong = wrong.or(Some(at + 1)),
            }
        }
        (Allowed { digests: Arc::new(digests), too_long }, wrong)
    }

    /// What a refusal adds where the list is longer than what is read; nothing else tells why its fixtures are refused.
    pub fn remark(&self) -> String {
        let most = LONGEST >> 10;
        if self.too_long {
            format!(", which lists nothing now, for it is longer than {most} KiB")
        } else {
            String::new()
        }
    }

    /// Whether a value is listed.
    pub fn has(&self, value: &str) -> bool {
        !self.digests.is_empty() && self.digests.contains(&Sha256::of(value.as_bytes()))
    }

    /// Whether the value with this digest is listed.
    pub fn has_digest(&self, digest: &Sha256) -> bool {
        self.digests.contains(digest)
    }
}
