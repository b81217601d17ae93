//! Records of test runs, as agents push them.

use notes_schema::trace::Record;
use serde_json::json;

use super::error::BenchError;

/// What a record is of.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// Its id.
    pub id: &'a str,
    /// The project.
    pub project: &'a str,
    /// The issue.
    pub issue: u64,
    /// Who ran.
    pub agent: &'a str,
    /// What `start` gave, in hexadecimal.
    pub nonce: &'a str,
    /// The tree that was run on.
    pub tree: &'a str,
}

/// The canonical bytes of a record of `attempts` passing runs of `tests` tests each, with all that they printed.
pub fn passing(of: &Of<'_>, tests: usize, attempts: usize) -> Result<Vec<u8>, BenchError> {
    passing_of(of, &["cargo", "test"], tests, attempts)
}

/// The same of another command.
pub fn passing_of(of: &Of<'_>, argv: &[&str], tests: usize, attempts: usize) -> Result<Vec<u8>, BenchError> {
    let Of { id, project, issue, agent, nonce, tree } = *of;
    let lines: String = (0..tests).map(|t| format!("test module_{t}::tests::what_it_says_of_{id} ... ok\n")).collect();
    let output = format!(
        "{lines}\ntest result: ok. {tests} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.16s\n"
    );
    let attempt = json!({
        "argv": argv, "exit": 0, "tree": tree, "dur_ms": 160,
        "stdout": { "bytes": output.len(), "lines": tests + 2, "tail": output },
        "tests": { "framework": "cargo-test", "passed": tests },
        "reasoning": "What was wrong is right now. ".repeat(8),
    });
    let record = json!({
        "v": 1, "id": id, "project": project, "issue": issue, "agent": agent, "nonce": nonce,
        "head_tree": tree, "attempts": vec![attempt; attempts],
    });
    let record = Record::decode_json(record.to_string().as_bytes());
    let record = record.map_err(|e| BenchError::Answer { what: "a record".to_owned(), answer: e.to_string() })?;
    Ok(record.canonical())
}
