//! The trace record: what an agent recorded of its runs, bound to the trees they ran on.
//!
//! Its one canonical encoding is MessagePack with sorted keys, in which whatever equals its default is absent; the
//! digest of those bytes is the record's identity. A JSON form is normalised to the same bytes.
//!
//! Invariant: a value of [`Record`] that came out of a decoder is within every limit of [`limits`], and
//! [`Record::canonical`] gives back exactly the MessagePack it was decoded from. A field that this version does not
//! know is refused by name, because a record means only what its reader understands; a later format raises `v`.

mod codec;
pub mod limits;
mod zstd;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use codec::TraceError;
pub use zstd::claimed;

use crate::event::TestCounts;
use crate::names::{AgentName, Oid, ProjectName, Sha256, hex};

/// 16 random bytes from `start`, which bind a record to one agent, one issue and the time after it. Hexadecimal in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Takes 16 raw bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Nonce(bytes)
    }

    /// Takes a slice that must hold exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Nonce(bytes.try_into().ok()?))
    }

    /// The 16 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 32 hexadecimal digits")]
pub struct BadNonce;

impl FromStr for Nonce {
    type Err = BadNonce;
    fn from_str(text: &str) -> Result<Self, BadNonce> {
        let mut bytes = [0; 16];
        crate::names::decode_hex(text, &mut bytes).ok_or(BadNonce)?;
        Ok(Nonce(bytes))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A trace record: one chain of attempts by one agent on one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Format version.
    pub v: u32,
    /// A ULID, or any 1 to 64 letters, digits, `-` and `_`; the last segment of the ref that carries it.
    pub id: String,
    /// The project.
    pub project: ProjectName,
    /// Number of the issue in that project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<u64>,
    /// Which house the work is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Who ran it.
    pub agent: AgentName,
    /// Fingerprint of the agent's key, `SHA256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_fp: Option<String>,
    /// From `start`.
    pub nonce: Nonce,
    /// Kind of object ids below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub object_format: ObjectFormat,
    /// Where the work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<Oid>,
    /// Tree of `base_commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_tree: Option<Oid>,
    /// Tree of the last attempt.
    pub head_tree: Oid,
    /// Digest of this agent's previous record here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Sha256>,
    /// What it is about, when it is not about the agent's own work: `challenge/<digest of the record that is run again>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What wrote the record; absent where it was made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Tool>,
    /// The model behind the agent, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens spent on this work so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Environment>,
    /// How often each rule of the secret scanner struck something out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<(String, u64)>,
    /// Digest of a trajectory that rides along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectory_sha256: Option<Sha256>,
    /// The runs, oldest first; never empty.
    #[serde(deserialize_with = "codec::attempts")]
    pub attempts: Vec<Attempt>,
}

impl Record {
    /// The attempt that counts as proof: the last.
    pub fn last(&self) -> &Attempt {
        self.attempts.last().expect("invariant: decoders refuse a record without attempts")
    }

    /// The tree that the patch of its first attempt starts from: where the record before it is of the same `start` and
    /// carries the patch of its last attempt, that attempt's tree; else the base's. So a chain that was broken by a patch
    /// that was left out begins anew, at a tree that a commit holds.
    pub fn starts_from(&self, prev: Option<&Record>) -> Option<Oid> {
        match prev.filter(|prev| prev.nonce == self.nonce && prev.last().patch.is_some()) {
            Some(prev) => Some(prev.head_tree),
            None => self.base_tree,
        }
    }
}

/// The two houses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Drills.
    Simulator,
    /// The startup.
    Antfarm,
}

/// The object formats this forge reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectFormat {
    /// The only one so far.
    #[default]
    Sha1,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Tokens spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Read by the model.
    #[serde(rename = "in")]
    pub input: u64,
    /// Written by the model.
    #[serde(rename = "out")]
    pub output: u64,
    /// Read from a cache.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cache_read: u64,
}

/// Where a run happened: never a host, user or address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Operating system.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Processor architecture.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// Processors that could be used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpus: u64,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mem_mib: u64,
    /// Name and version of the tools that the command uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<(String, String)>,
    /// Path and digest of each lock file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lockfiles: Vec<(String, Sha256)>,
    /// Digest of the container image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

/// One run of one command on one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Number in the record, growing; JSON may leave it out and gets its position from 1.
    #[serde(default)]
    pub seq: u64,
    /// When it began, milliseconds since 1970 by the agent's clock.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_ms: u64,
    /// How long it took.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dur_ms: u64,
    /// The command and its arguments, redacted; never empty.
    pub argv: Vec<String>,
    /// Directory it ran in, relative to the top of the work tree; absent means the top.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// The work tree it ran on.
    pub tree: Oid,
    /// What `git diff-tree -r -p --text --full-index --no-renames` says of the tree before (see [`Record::starts_from`] for
    /// the first) and this one, in one zstd frame. Base64 in JSON.
    #[serde(default, with = "codec::base64_bytes", skip_serializing_if = "Option::is_none")]
    pub patch: Option<Vec<u8>>,
    /// The recorder left the patch out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patch_omitted: bool,
    /// Why it did, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_omitted_why: Option<String>,
    /// Exit status; exactly one of `exit` and `signal` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i64>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u64>,
    /// The recorder ended it because its time was up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timed_out: bool,
    /// What it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Output>,
    /// What it complained of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Output>,
    /// Test counts, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// What the agent had in mind, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Peak memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss_kib: Option<u64>,
}

impl Attempt {
    /// Whether it ended by itself with status 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0) && self.signal.is_none() && !self.timed_out
    }

    /// How it ended, for people: `exit 0`, `signal 9`, `timed out`.
    pub fn ending(&self) -> String {
        match (self.timed_out, self.exit, self.signal) {
            (true, _, _) => "timed out".to_owned(),
            (false, Some(status), _) => format!("exit {status}"),
            (false, None, Some(signal)) => format!("signal {signal}"),
            (false, None, None) => "no status".to_owned(),
        }
    }

    /// The command on one line, for people; never for a shell.
    pub fn command(&self) -> String {
        let words = self.argv.join(" ");
        words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
    }
}

/// One output stream: all of it counted and hashed after redaction, its two ends kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Length as it came.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes: u64,
    /// Lines as they came.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lines: u64,
    /// Digest of the whole redacted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The beginning, redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// The end, redacted; begins where `head` ends when nothing was left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

/// Test counts as a run printed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// Which runner's output was read: `cargo-test`, `tap`.
    pub framework: String,
    /// Passed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passed: u64,
    /// Failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: u64,
    /// Ignored or skipped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignored: u64,
    /// Names of the first tests that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_names: Vec<String>,
}

impl Tests {
    /// The counts alone, as events carry them.
    pub fn counts(&self) -> TestCounts {
        TestCounts {
            framework: self.framework.clone(),
            passed: self.passed,
            failed: self.failed,
            ignored: self.ignored,
        }
    }

    /// How many tests ran.
    pub fn ran(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
pub(crate) mod tests;
