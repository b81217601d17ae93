//! Keeps what matters of an output stream in constant memory: its two ends, redacted, its size, the digest of all of it
//! after redaction, and test counts.
//!
//! Invariant: bytes that were not searched for secrets are never kept past their line. Only whole lines are kept, so
//! that a cut cannot make a secret of what was none.

use std::collections::VecDeque;

use hooks::counts::{Counter, without_colour};
use hooks::secrets::{Allowed, Redactor};
use notes_schema::Sha256;
use notes_schema::trace::{Output, Tests, limits};
use sha2::Digest as _;

/// A longer line is broken, at a space where there is one.
/// Limit: line of an output that is recorded | {:bytes}; a longer one is broken
const LONGEST_LINE: usize = 4 << 10;

/// What is left of a stream.
#[derive(Debug, Default)]
pub struct Captured {
    /// For the record.
    pub output: Output,
    /// Test counts, where the output was of a known runner.
    pub tests: Option<Tests>,
    /// How often each rule struck.
    pub redactions: Vec<(String, u64)>,
}

/// A stream being read.
#[derive(Default)]
pub struct Capture {
    bytes: u64,
    breaks: u64,
    pending: Vec<u8>,
    redactor: Redactor,
    counter: Counter,
    hasher: sha2::Sha256,
    head: String,
    head_is_full: bool,
    tail: VecDeque<String>,
    tail_len: usize,
}

impl Capture {
    /// One that leaves listed fixtures alone.
    pub fn allowing(allowed: Allowed) -> Self {
        Capture { redactor: Redactor::allowing(allowed), ..Capture::default() }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, mut chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        while !chunk.is_empty() {
            let room = LONGEST_LINE - self.pending.len();
            let window = &chunk[..chunk.len().min(room)];
            let (used, ended) = match window.iter().position(|&b| b == b'\n') {
                Some(at) => (at + 1, true),
                None => (window.len(), false),
            };
            self.pending.extend_from_slice(&chunk[..used]);
            chunk = &chunk[used..];
            if ended {
                self.breaks += 1;
                let line = std::mem::take(&mut self.pending);
                self.line(&line);
            } else if self.pending.len() == LONGEST_LINE {
                self.break_line();
            }
        }
    }

    /// Breaks a line that is too long: after its last space, or else between two characters.
    fn break_line(&mut self) {
        let space = self.pending.iter().rposition(|b| *b == b' ' || *b == b'\t').map(|at| at + 1);
        let between = || {
            let starts = |b: u8| b & 0b1100_0000 != 0b1000_0000;
            let last = self.pending.iter().rposition(|&b| starts(b)).unwrap_or(0);
            // Bytes that are no UTF-8 at all have no such place near.
            if last > LONGEST_LINE - 4 { last } else { LONGEST_LINE }
        };
        let at = space.filter(|at| *at > LONGEST_LINE / 2).unwrap_or_else(between);
        let rest = self.pending.split_off(at);
        let mut line = std::mem::replace(&mut self.pending, rest);
        line.push(b'\n');
        self.line(&line);
    }

    fn line(&mut self, line: &[u8]) {
        // Without its colours: they can stand in the midst of a secret, and tell a reader nothing.
        let clean = self.redactor.line(&without_colour(&String::from_utf8_lossy(line)));
        self.counter.line(clean.trim_end_matches('\n'));
        self.hasher.update(clean.as_bytes());
        if !self.head_is_full && self.head.len() + clean.len() <= limits::HEAD {
            self.head.push_str(&clean);
            return;
        }
        self.head_is_full = true;
        self.tail_len += clean.len();
        self.tail.push_back(clean);
        while self.tail_len > limits::TAIL {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_len -= oldest.len();
        }
    }

    /// What is left, now that the stream has ended.
    pub fn finish(mut self) -> Captured {
        let mut lines = self.breaks;
        if !self.pending.is_empty() {
            lines += 1;
            let line = std::mem::take(&mut self.pending);
            self.line(&line);
        }
        let output = Output {
            bytes: self.bytes,
            lines,
            sha256: Some(Sha256::from_bytes(self.hasher.finalize().into())),
            head: self.head,
            tail: Vec::from(self.tail).concat(),
        };
        Captured { output, tests: self.counter.finish(), redactions: self.redactor.counts() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capture(chunks: &[&[u8]]) -> Captured {
        let mut capture = Capture::default();
        chunks.iter().for_each(|chunk| capture.take(chunk));
        capture.finish()
    }

    #[test]
    fn short_output_is_kept_whole() {
        let captured = capture(&[b"one\ntw", b"o\nthree"]);
        let output = captured.output;
        assert_eq!(
            (output.bytes, output.lines, output.head.as_str(), output.tail.as_str()),
            (13, 3, "one\ntwo\nthree", "")
        );
        assert_eq!(output.sha256, Some(Sha256::of(b"one\ntwo\nthree")));
    }

    #[test]
    fn a_long_stream_keeps_its_ends_and_all_counts() {
        let text: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
        let captured = capture(&text.as_bytes().chunks(1000).collect::<Vec<_>>());
        let output = captured.output;
        assert_eq!((output.bytes, output.lines), (text.len() as u64, 200_000));
        assert_eq!(output.sha256, Some(Sha256::of(text.as_bytes())));
        assert!(text.starts_with(&output.head) && output.head.len() > limits::HEAD - 20);
        assert!(
            text.ends_with(&output.tail) && output.tail.len() > limits::TAIL - 20 && output.tail.len() <= limits::TAIL
        );
    }

    #[test]
    fn secrets_are_struck_out_even_when_they_come_in_pieces() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let text = format!("export T={token}\ntest result: ok. 2 passed; 0 failed; 0 ignored\n");
        let captured = capture(&text.as_bytes().chunks(7).collect::<Vec<_>>());
        assert_eq!(captured.output.head.lines().next(), Some("export T=[redacted:github-token]"));
        assert_eq!(captured.redactions, [("github-token".to_owned(), 1)]);
        assert_eq!(captured.output.sha256, Some(Sha256::of(captured.output.head.as_bytes())), "of the redacted text");
        assert_eq!(captured.tests.map(|t| t.passed), Some(2));
    }

    #[test]
    fn colours_do_not_hide_a_secret() {
        let text = format!("T=\u{1b}[31mghp_\u{1b}[0m{}\u{1b}(B\n", "a1B2".repeat(9));
        assert_eq!(capture(&[text.as_bytes()]).output.head, "T=[redacted:github-token]\n");
    }

    #[test]
    fn a_line_without_end_is_broken_at_spaces() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let text = format!("{} {token} {}", "x ".repeat(2030), "é".repeat(5000));
        let captured = capture(&[text.as_bytes()]);
        assert_eq!(captured.output.lines, 1);
        let kept = captured.output.head + &captured.output.tail;
        assert!(!kept.contains("a1B2") && kept.contains("[redacted:github-token]"));
        assert!(!kept.contains('\u{fffd}'), "no character was cut");
    }

    proptest! {
        #[test]
        fn any_bytes_stay_within_limits_and_hold_no_secret(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' ')], 0..20_000),
            size in 1usize..5000,
        ) {
            let captured = capture(&bytes.chunks(size).collect::<Vec<_>>());
            prop_assert_eq!(captured.output.bytes, bytes.len() as u64);
            prop_assert!(captured.output.head.len() <= limits::HEAD && captured.output.tail.len() <= limits::TAIL);
            prop_assert!(hooks::secrets::find(&captured.output.head).is_empty());
            prop_assert!(hooks::secrets::find(&captured.output.tail).is_empty());
        }
    }
}
