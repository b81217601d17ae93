//! What a ledger commit holds: the blob `batch` (MessagePack) and the blob `refs` (lines).

use serde::{Deserialize, Serialize};

use crate::names::{AgentName, Oid, ProjectName, RefName, Sha256};

/// The newest format of a batch that is read here. Batches say the oldest that holds for them: [`crate::FORMAT_VERSION`] unless
/// they hold what came with a later one, so older programs go on reading a ledger until it holds something they would misread.
pub const NEWEST_FORMAT: u32 = 2;
/// The format from which a line that drops a ref of an issue or pull request says that it is folded: what it named is still what
/// its name means. Older programs would take it for gone.
pub const FOLDS_REFS: u32 = 2;

/// The blob `batch` of a ledger commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Format version: the oldest whose programs read this batch as it is meant.
    pub v: u32,
    /// The repository.
    pub project: ProjectName,
    /// Number of this ledger commit, from 1, dense.
    pub n: u64,
    /// Epoch of the key that signs it.
    pub epoch: u32,
    /// Server time, milliseconds since 1970, never less than in the batch before.
    pub t: u64,
    /// The next free number for an issue or pull request, after this batch.
    pub next_number: u64,
    /// Its events, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventLine>,
    /// Code packs that must be present, because they were too large to ride inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packs: Vec<PackLine>,
    /// The pushes it accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pushes: Vec<PushLine>,
    /// What must follow in `forge.git`, exactly once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxLine>,
    /// The last `forge.git` ledger commit known here: it defines which keys were valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Oid>,
    /// In `forge.git`: how far each project's outbox has been worked off, where this batch moves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cursors: Vec<Cursor>,
    /// In `forge.git`: numbers of the forge-wide sequence up to here may be in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_reserved: Option<u64>,
    /// In `forge.git`: this batch opens its epoch with this public key (OpenSSH form).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_key: Option<String>,
}

/// One event of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// The entity as below `refs/forge/`, for example `issues/7`.
    pub e: String,
    /// Its commit.
    pub c: Oid,
    /// Digest of its bytes as they were written.
    pub h: Sha256,
    /// Digest of the bytes that stand in its place, where it was redacted ([`crate::Event::redacted`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<Sha256>,
}

/// One code pack that a batch depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackLine {
    /// File name without extension, `pack-c…`.
    pub name: String,
    /// Digest of the file.
    pub h: Sha256,
}

/// One accepted push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushLine {
    /// Who.
    pub a: AgentName,
    /// By what credential.
    pub k: String,
    /// The refs that it moved; their values stand in `refs`.
    pub refs: Vec<RefName>,
    /// The records that it brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordLine>,
}

/// One trace record that a push brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLine {
    /// The ref that brought it, below `refs/notes/forge/in/`.
    pub r: RefName,
    /// The commit that brought it.
    pub c: Oid,
    /// Digest of its canonical bytes.
    pub h: Sha256,
    /// The blob that holds them.
    pub blob: Oid,
    /// The tree of its last attempt.
    pub tree: Oid,
    /// The issue that its nonce was given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<u64>,
    /// What its maker signed of it, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<RecordSignature>,
}

/// The signature by which a record is its maker's own word, kept beside it in its month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSignature {
    /// Fingerprint of the key, `SHA256:…`: one that let its maker in at that time.
    pub key: String,
    /// The blob: an armored SSHSIG over the record's file, or the certificate of the push that brought it.
    pub blob: Oid,
    /// Whether the push was signed, and not the record itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub push: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One thing that must follow elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxLine {
    /// Digest of the event that asks for it, or of the verdict that was judged; the follow-up carries it as its key.
    pub h: Sha256,
    /// The entity whose event that is.
    pub e: String,
}

/// How far a project's outbox has been worked off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The project.
    pub project: ProjectName,
    /// Number of its last ledger commit that was worked off.
    pub n: u64,
    /// That ledger commit.
    pub c: Oid,
}

/// One line of the blob `refs`: `<ref> <new> <old>`, ids in hexadecimal, `-` for none. `HEAD` names a ref instead:
/// `HEAD ref:refs/heads/main -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefLine {
    /// The ref.
    pub name: RefName,
    /// Its value from here on.
    pub new: RefTarget,
    /// Its value before.
    pub old: Option<Oid>,
}

/// What a ref holds after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefTarget {
    /// An object.
    Object(Oid),
    /// Another ref's name; only `HEAD`.
    Symbolic(RefName),
    /// Nothing: it was deleted, or folded where it is of an issue or pull request ([`crate::refs::folded_with`]).
    Nothing,
}

/// A line of the blob `refs` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the refs of a batch cannot be read")]
pub struct BadRefLine {
    /// Its number, from 1.
    pub line: usize,
}

/// Writes the blob `refs`.
pub fn encode_refs<'a>(lines: impl IntoIterator<Item = &'a RefLine>) -> String {
    let mut text = String::new();
    for line in lines {
        let new = match &line.new {
            RefTarget::Object(id) => id.to_string(),
            RefTarget::Symbolic(name) => format!("ref:{name}"),
            RefTarget::Nothing => "-".to_owned(),
        };
        let old = line.old.map_or_else(|| "-".to_owned(), |id| id.to_string());
        text.push_str(&format!("{} {new} {old}\n", line.name));
    }
    text
}

/// Reads the blob `refs`.
pub fn decode_refs(text: &str) -> Result<Vec<RefLine>, BadRefLine> {
    text.lines().enumerate().map(|(at, line)| decode_ref_line(line).ok_or(BadRefLine { line: at + 1 })).collect()
}

fn decode_ref_line(line: &str) -> Option<RefLine> {
    let mut fields = line.split(' ');
    let (name, new, old) = (fields.next()?, fields.next()?, fields.next()?);
    let new = match (new, new.strip_prefix("ref:")) {
        ("-", _) => RefTarget::Nothing,
        (_, Some(name)) => RefTarget::Symbolic(name.parse().ok()?),
        (id, None) => RefTarget::Object(id.parse().ok()?),
    };
    let old = if old == "-" { None } else { Some(old.parse().ok()?) };
    fields.next().is_none().then_some(RefLine { name: name.parse().ok()?, new, old })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written before there were signatures, these bytes are what an unsigned record's line still is.
    #[test]
    fn a_record_line_is_frozen_with_and_without_a_signature() {
        let bare = RecordLine {
            r: "refs/notes/forge/in/alpha/r1".parse().unwrap(),
            c: Oid::from_bytes([1; 20]),
            h: Sha256::of(b"record"),
            blob: Oid::from_bytes([2; 20]),
            tree: Oid::from_bytes([3; 20]),
            issue: Some(12),
            signed: None,
        };
        let by = |push| RecordSignature { key: "SHA256:x".to_owned(), blob: Oid::from_bytes([4; 20]), push };
        let lines = [None, Some(by(false)), Some(by(true))].map(|signed| RecordLine { signed, ..bare.clone() });
        let bytes = lines.each_ref().map(crate::envelope::encode);
        crate::envelope::golden("record-lines.hex", &bytes.each_ref().map(|b| crate::names::hex(b)).join("\n"));
        for (line, bytes) in lines.iter().zip(&bytes) {
            assert_eq!(&crate::envelope::decode::<RecordLine>(bytes, crate::budget::BATCH).unwrap(), line);
        }
    }

    #[test]
    fn ref_lines_read_back_as_written() {
        let id: Oid = "3f1c2ab0123456789012345678901234567890ab".parse().unwrap();
        let lines = vec![
            RefLine { name: RefName::head(), new: RefTarget::Symbolic(RefName::branch("main").unwrap()), old: None },
            RefLine { name: RefName::branch("main").unwrap(), new: RefTarget::Object(id), old: None },
            RefLine { name: RefName::branch("gone").unwrap(), new: RefTarget::Nothing, old: Some(id) },
        ];
        let text = encode_refs(&lines);
        assert_eq!(decode_refs(&text).unwrap(), lines);
        assert_eq!(decode_refs("refs/heads/x - - -\n"), Err(BadRefLine { line: 1 }));
        assert_eq!(decode_refs("HEAD ref:refs/heads/main -\nrefs/heads/x zz -\n"), Err(BadRefLine { line: 2 }));
    }
}
