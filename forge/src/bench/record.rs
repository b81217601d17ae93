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
    made(of, (argv, None), (tests, &[]), attempts)
}

/// The canonical bytes of a record of one run of what is challenged by `subject`, in which these tests failed, of twelve.
pub fn of_a_challenge(of: &Of<'_>, argv: &[&str], subject: &str, failed: &[&str]) -> Result<Vec<u8>, BenchError> {
    made(of, (argv, Some(subject)), (12 - failed.len(), failed), 1)
}

fn made(
    of: &Of<'_>,
    (argv, subject): (&[&str], Option<&str>),
    (tests, failed): (usize, &[&str]),
    attempts: usize,
) -> Result<Vec<u8>, BenchError> {
    let Of { id, project, issue, agent, nonce, tree } = *of;
    let passing = (0..tests).map(|t| format!("test module_{t}::tests::what_it_says_of_{id} ... ok\n"));
    let lines: String = passing.chain(failed.iter().map(|name| format!("test {name} ... FAILED\n"))).collect();
    let (failures, result) = (failed.len(), if failed.is_empty() { "ok" } else { "FAILED" });
    let output = format!(
        "{lines}\ntest result: {result}. {tests} passed; {failures} failed; 0 ignored; 0 measured; 0 filtered out; \
         finished in 0.16s\n"
    );
    let mut counts = json!({ "framework": "cargo-test", "passed": tests });
    if failures > 0 {
        counts["failed"] = failures.into();
        counts["failed_names"] = failed.into();
    }
    let attempt = json!({
        "argv": argv, "exit": if failed.is_empty() { 0 } else { 101 }, "tree": tree, "dur_ms": 160,
        "stdout": { "bytes": output.len(), "lines": tests + failures + 2, "tail": output },
        "tests": counts,
        "reasoning": "What was wrong is right now. ".repeat(8),
    });
    let mut record = json!({
        "v": 1, "id": id, "project": project, "issue": issue, "agent": agent, "nonce": nonce,
        "head_tree": tree, "attempts": vec![attempt; attempts],
    });
    if let Some(subject) = subject {
        record["subject"] = subject.into();
    }
    let record = Record::decode_json(record.to_string().as_bytes());
    let record = record.map_err(|e| BenchError::Answer { what: "a record".to_owned(), answer: e.to_string() })?;
    Ok(record.canonical())
}
