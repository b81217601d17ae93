//! What `trace --full` adds: what each run printed, what was changed before it, and where it ran.
//!
//! Invariant: bounded as a whole, the first runs first; what is left out is said to be.

use std::sync::Arc;

use notes_schema::trace::{self, Environment, Output, Record, Tokens, Tool};
use notes_schema::{AgentName, Oid, Sha256};
use serde::Serialize;

use crate::ledger::KnownRecord;

/// Most records that are described.
/// Limit: records that `trace --full` describes | {}, the first
pub(super) const RECORDS: usize = 200;
/// Most output of one stream of one run.
/// Limit: output of one stream of one run that `trace --full` shows | {:bytes}, the end
const STREAM: usize = 32 << 10;
/// Most output of all runs together.
/// Limit: output of all runs that `trace --full` shows | {:bytes}
const OUTPUT: usize = 512 << 10;
/// Longest patch that is shown.
/// Limit: patch of one run that `trace --full` shows | {:bytes}
const PATCH: usize = 64 << 10;
/// Most text of the patches of all runs.
/// Limit: patches of all runs that `trace --full` shows | {:bytes}
const PATCHES: usize = 512 << 10;
/// Most that the patches of all runs may claim to inflate to: a small one whose frame says no size claims a whole block.
/// Limit: bytes that `trace --full` inflates for patches | {:bytes}
const INFLATED: u64 = 32 << 20;

/// What may still be shown.
pub(super) struct Budget {
    output: usize,
    patches: usize,
    inflated: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { output: OUTPUT, patches: PATCHES, inflated: INFLATED }
    }
}

/// One stream of a run.
#[derive(Serialize)]
struct Stream {
    bytes: u64,
    lines: u64,
    text: String,
    /// Whether something of it is not shown.
    cut: bool,
}

impl Stream {
    fn of(output: &Output, budget: &mut Budget) -> Stream {
        let kept = output.head.len() + output.tail.len();
        let whole = kept as u64 >= output.bytes;
        let gap = if whole || output.tail.is_empty() { "" } else { "\n[…]\n" };
        let text = format!("{}{gap}{}", output.head, output.tail);
        let shown = end_of(&text, STREAM.min(budget.output));
        budget.output -= shown.len();
        Stream {
            bytes: output.bytes,
            lines: output.lines,
            cut: !whole || shown.len() < text.len(),
            text: shown.to_owned(),
        }
    }
}

/// The end of `text` that has at most `most` bytes.
fn end_of(text: &str, most: usize) -> &str {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// What one run is beside its command and its end.
#[derive(Serialize)]
pub(super) struct More {
    started_ms: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    cwd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Stream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Stream>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    /// Why there is no patch, where there was something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_patch: Option<String>,
}

impl More {
    pub(super) fn of(attempt: &trace::Attempt, budget: &mut Budget) -> More {
        let (patch, no_patch) = match attempt.patch.as_deref().map(|frame| inflated(frame, budget)) {
            Some(Ok(patch)) => (Some(patch), None),
            Some(Err(why)) => (None, Some(why)),
            None if attempt.patch_omitted => {
                (None, Some(attempt.patch_omitted_why.clone().unwrap_or_else(|| "it was left out".to_owned())))
            }
            None => (None, None),
        };
        let mut stream = |output: &Option<Output>| output.as_ref().map(|output| Stream::of(output, budget));
        More {
            started_ms: attempt.started_ms,
            cwd: attempt.cwd.clone(),
            stdout: stream(&attempt.stdout),
            stderr: stream(&attempt.stderr),
            failed_names: attempt.tests.as_ref().map(|tests| tests.failed_names.clone()).unwrap_or_default(),
            reasoning: attempt.reasoning.clone(),
            patch,
            no_patch,
        }
    }
}

/// The text of a patch, or why it is not shown.
fn inflated(frame: &[u8], budget: &mut Budget) -> Result<String, String> {
    let claimed = trace::claimed(frame);
    if claimed > budget.inflated {
        return Err("it, or all of them together, would be more than is read for a page".to_owned());
    }
    budget.inflated -= claimed;
    let text = hooks::patch::inflate(frame).map_err(|why| format!("it cannot be read: it {why}"))?;
    if text.len() > PATCH.min(budget.patches) {
        return Err(format!("it has {} bytes, more than is shown here", text.len()));
    }
    budget.patches -= text.len();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A record: who brought it, and where its runs ran by its own word.
#[derive(Serialize)]
pub(super) struct RecordLine {
    record: Sha256,
    id: String,
    agent: AgentName,
    /// Whether its maker signed it.
    signed: bool,
    /// The blob that holds it, as `forge cat` reads it.
    blob: Oid,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorder: Option<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Environment>,
    /// How often something was struck out of it, by rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redactions: Vec<(String, u64)>,
}

impl RecordLine {
    pub(super) fn of(known: &Arc<KnownRecord>, record: &Record) -> RecordLine {
        RecordLine {
            record: known.digest,
            id: record.id.clone(),
            agent: known.agent.clone(),
            signed: known.signed.is_some(),
            blob: known.blob,
            recorder: record.recorder.clone(),
            model: record.model.clone(),
            tokens: record.tokens.clone(),
            env: record.env.clone(),
            redactions: record.redactions.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_from_its_beginning_and_says_so() {
        let mut budget = Budget { output: 10, ..Budget::default() };
        let output = Output { bytes: 14, head: "éééé".to_owned(), tail: "abcdef".to_owned(), ..Output::default() };
        let stream = Stream::of(&output, &mut budget);
        assert_eq!((stream.text.as_str(), stream.cut, budget.output), ("ééabcdef", true, 0));
        let nothing = Stream::of(&output, &mut budget);
        assert!(nothing.text.is_empty() && nothing.cut);
        let mut budget = Budget::default();
        let gap = Output { bytes: 99, head: "a".to_owned(), tail: "b".to_owned(), ..Output::default() };
        assert_eq!(Stream::of(&gap, &mut budget).text, "a\n[…]\nb");
    }

    #[test]
    fn a_patch_is_inflated_within_what_is_left() {
        let frame = hooks::patch::deflate(b"diff --git a/x b/x\n");
        let mut budget = Budget { output: 0, patches: 30, inflated: 1 << 20 };
        assert_eq!(inflated(&frame, &mut budget).unwrap(), "diff --git a/x b/x\n");
        assert!(inflated(&frame, &mut budget).unwrap_err().contains("more than is shown"));
        budget.inflated = 10;
        assert!(inflated(&frame, &mut budget).unwrap_err().contains("more than is read"));
        let mut budget = Budget::default();
        assert!(inflated(b"no frame", &mut budget).unwrap_err().contains("cannot be read"));
    }
}
