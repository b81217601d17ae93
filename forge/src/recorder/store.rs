//! Records in an agent's clone: one commit each below `refs/notes/forge/out/`, its tree holding one blob, and
//! the signature over it where there is one.

use std::cmp::Reverse;
use std::collections::HashSet;

use notes_schema::trace::Record;
use notes_schema::{Sha256, refs};

use super::git::{Git, GitError, Identity};
use crate::ledger::SIGNATURE_FILE;

/// How many of the newest records are looked through for the agent's own.
const LOOK_BACK: usize = 32;

/// Writes a record under its own ref, which `git push` sends. `sign` is given the record's bytes, and may answer what is to
/// stand beside them.
pub fn write(git: &Git, record: &Record, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<(), GitError> {
    let bytes = record.canonical();
    Record::decode_msgpack(&bytes).map_err(|e| GitError::Unexpected(e.to_string()))?;
    let keep = |bytes: &[u8]| git.call(&["hash-object", "-w", "--stdin"]).input(bytes).id();
    let mut entries = format!("100644 blob {}\trecord\n", keep(&bytes)?);
    if let Some(signature) = sign(&bytes) {
        entries.push_str(&format!("100644 blob {}\t{SIGNATURE_FILE}\n", keep(&signature)?));
    }
    let tree = git.call(&["mktree"]).input(entries.as_bytes()).id()?;
    let last = record.last();
    let message = format!("{}: {}\n", last.command(), last.ending());
    let name = record.agent.as_str();
    let mail = format!("{name}@forge.invalid");
    // In UTC: the zone is nobody's business. The agent needs no identity of git's own for this.
    let date = format!("@{} +0000", (last.started_ms + last.dur_ms) / 1000);
    let commit = git
        .call(&["-c", "commit.gpgSign=false", "commit-tree", &tree.to_string()])
        .env("GIT_AUTHOR_NAME", name)
        .env("GIT_AUTHOR_EMAIL", &mail)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_NAME", name)
        .env("GIT_COMMITTER_EMAIL", &mail)
        .env("GIT_COMMITTER_DATE", &date)
        .input(message.as_bytes())
        .id()?;
    let name = format!("{}{}", refs::OUT_PREFIX, record.id);
    // All zeros: the ref must not exist yet.
    git.call(&["update-ref", &name, &commit.to_string(), &"0".repeat(40)]).bytes()?;
    Ok(())
}

/// The newest records, newest first; what is no record is passed over.
pub fn newest(git: &Git) -> Result<Vec<Record>, GitError> {
    let format = "--format=%(objectname) %(committerdate:unix)";
    let commits =
        git.call(&["for-each-ref", "--sort=-refname", "--sort=-committerdate", format, refs::OUT_PREFIX]).bytes()?;
    let commits = String::from_utf8_lossy(&commits).into_owned();
    let newest: Vec<(&str, &str)> = commits.lines().take(LOOK_BACK).filter_map(|line| line.split_once(' ')).collect();
    let asked: String = newest.iter().map(|(commit, _)| format!("{commit}:record\n{commit}:record.json\n")).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let answers = git.call(&["cat-file", "--batch"]).input(asked.as_bytes()).bytes()?;
    let mut records: Vec<(i64, Record)> = blobs(&answers)
        .into_iter()
        .filter_map(|(place, record)| Some((newest.get(place / 2)?.1.parse().unwrap_or_default(), record)))
        .collect();
    // Within one second the dates do not tell; but what another record follows is not the newest.
    let followed: HashSet<Sha256> = records.iter().filter_map(|(_, record)| record.prev).collect();
    records.sort_by_cached_key(|(date, record)| (Reverse(*date), followed.contains(&record.digest())));
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

/// Records in the answers of `git cat-file --batch`, and which answers they are: a line of id, kind and size, then the bytes;
/// or a line without size.
fn blobs(mut answers: &[u8]) -> Vec<(usize, Record)> {
    let (mut records, mut place) = (Vec::new(), 0);
    while let Some(end) = answers.iter().position(|&b| b == b'\n') {
        let header = String::from_utf8_lossy(&answers[..end]).into_owned();
        answers = &answers[end + 1..];
        place += 1;
        let mut words = header.split(' ').skip(1);
        let (Some("blob"), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<usize>)) else {
            continue;
        };
        let Some(blob) = answers.get(..size) else { break };
        let record = Record::decode_msgpack(blob).or_else(|_| Record::decode_json(blob));
        records.extend(record.ok().map(|record| (place - 1, record)));
        answers = answers.get(size + 1..).unwrap_or_default();
    }
    records
}

/// This agent's newest record for this project here.
pub fn previous(git: &Git, identity: &Identity) -> Result<Option<Record>, GitError> {
    let own = |record: &Record| record.agent == identity.agent && record.project == identity.project;
    Ok(newest(git)?.into_iter().find(own))
}
