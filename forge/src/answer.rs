//! What a command answers: one value that becomes Markdown or JSON, or a refusal that says what, why and what next.
//!
//! Invariant: an answer holds no host, port or current time unless the command is about them, so two forges on the same
//! repositories print the same bytes.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use bytes::Bytes;
use notes_schema::ProjectName;
use serde::Serialize;
use tokio::sync::mpsc;

/// Why something was not done; the number is the exit code over SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: understood, and refused by a rule.
    Refused = 1,
    /// 2: not understood.
    Usage = 2,
    /// 3: no such thing.
    NotFound = 3,
    /// 4: not by this actor.
    NotAllowed = 4,
    /// 5: the world has moved on, or two things cannot both be.
    Stale = 5,
    /// 75: not now.
    TryLater = 75,
}

impl Code {
    /// The HTTP status that says the same.
    pub fn http_status(self) -> u16 {
        match self {
            Code::Refused => 422,
            Code::Usage => 400,
            Code::NotFound => 404,
            Code::NotAllowed => 403,
            Code::Stale => 409,
            Code::TryLater => 503,
        }
    }
}

/// The rule of [`Refusal::too_many`].
const TOO_MANY: &str = "too-many";

/// A refusal: what was refused, why, and a command that can be run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Refusal {
    /// Class and exit code.
    pub code: Code,
    /// A stable word for scripts, for example `not-found` or `E08`.
    pub rule: String,
    /// What was refused.
    pub what: String,
    /// Why.
    pub why: String,
    /// The next command, runnable as it stands; never empty.
    pub next: String,
    /// What only some have.
    pub beside: Option<Box<Beside>>,
}

/// What a refusal has beside its words; most have nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// What else git shows below a refused push, a line each.
    pub details: Vec<String>,
    /// The project whose gate made it, where one did.
    pub gate: Option<ProjectName>,
}

impl Refusal {
    /// [`Beside::details`].
    pub fn details(&self) -> &[String] {
        self.beside.as_ref().map_or(&[], |beside| &beside.details)
    }

    /// [`Beside::gate`].
    pub fn gate(&self) -> Option<&ProjectName> {
        self.beside.as_ref()?.gate.as_ref()
    }

    /// A refusal whose rule word follows from its class.
    pub fn new(code: Code, what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        let rule = match code {
            Code::Refused => "refused",
            Code::Usage => "usage",
            Code::NotFound => "not-found",
            Code::NotAllowed => "not-allowed",
            Code::Stale => "stale",
            Code::TryLater => "try-later",
        };
        Refusal { code, rule: rule.to_owned(), what: what.into(), why: why.into(), next: next.into(), beside: None }
    }

    /// Not now, because whoever asks has as much under way as one may: 429, where [`Code::TryLater`] alone is 503.
    pub fn too_many(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Refusal::new(Code::TryLater, what, why, next).by_rule(TOO_MANY)
    }

    /// The HTTP status that says the same.
    pub fn http_status(&self) -> u16 {
        if self.rule == TOO_MANY { 429 } else { self.code.http_status() }
    }

    /// The same as the answer to a command: its next command goes the way that this one came.
    pub fn to_a_command(mut self) -> Self {
        if let Some(rest) = self.next.strip_prefix("ssh forge ") {
            self.next = rest.to_owned();
        }
        self
    }

    /// The same refusal under the word of the rule that made it, for example `E08`.
    pub fn by_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    /// `{"error": {code, what, why, next}}`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": { "code": self.rule, "what": self.what, "why": self.why, "next": self.next } })
    }

    /// Two lines for people: `forge: E08 <what>: <why>`, where a rule of the gate has a code, and `next: <command>`.
    pub fn lines(&self) -> String {
        let is_code = self.rule.starts_with('E') && self.rule[1..].bytes().all(|b| b.is_ascii_digit());
        let code = if is_code { format!("{} ", self.rule) } else { String::new() };
        // Names of files and refs by others stand in here: none of them may begin a line of its own.
        let one_line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        format!("forge: {code}{}: {}\nnext: {}\n", one_line(&self.what), one_line(&self.why), one_line(&self.next))
    }
}

/// A value that a command answers with.
pub trait Render: Serialize {
    /// The answer as Markdown, ending with a line break.
    fn markdown(&self) -> String;
}

/// A finished answer in both forms.
#[derive(Debug, Clone)]
pub struct Answer {
    /// For people and agents.
    pub markdown: String,
    /// For scripts.
    pub json: serde_json::Value,
    /// It says that nothing changed, so that `--wait` may wait on.
    pub nothing_new: bool,
    /// What is sent instead, unless JSON is asked for.
    pub file: Option<File>,
}

/// Writes a file's bytes.
pub type WriteBytes = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

/// A file as an answer: its bytes as they are, made while they are sent.
#[derive(Clone)]
pub struct File {
    /// Its name.
    pub name: String,
    /// How many bytes it has, where that is known before.
    pub size: Option<u64>,
    /// Writes them. Blocks.
    pub write: Arc<WriteBytes>,
}

impl File {
    /// One whose bytes are there.
    pub fn of_bytes(name: String, bytes: Bytes) -> File {
        let size = Some(bytes.len() as u64);
        File { name, size, write: Arc::new(move |to| to.write_all(&bytes)) }
    }

    /// Its bytes, piece by piece, made a little ahead of whoever takes them. An error is the last that comes.
    pub fn pieces(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (send, receive) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut pieces = BufWriter::with_capacity(PIECE, Pieces(&send));
            let written = (self.write)(&mut pieces).and_then(|()| pieces.flush());
            // What is left must not be sent behind an error.
            let (_, _) = pieces.into_parts();
            if let Err(error) = written {
                // Nobody takes them any more, or they are told.
                let _ = send.blocking_send(Err(error));
            }
        });
        receive
    }
}

/// Size of a piece, and how many are made ahead.
const PIECE: usize = 64 << 10;
const AHEAD: usize = 4;

struct Pieces<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One that is large would wait whole for somebody who is slow.
        let some = &bytes[..bytes.len().min(PIECE)];
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(some))).map_err(gone)?;
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("name", &self.name).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Answer {
    /// Renders `value` both ways.
    pub fn of(value: &impl Render) -> Self {
        let json = serde_json::to_value(value).expect("invariant: answers are maps with text keys");
        Answer { markdown: value.markdown(), json, nothing_new: false, file: None }
    }

    /// The same with a file that is sent in its place.
    pub fn with_file(self, file: File) -> Self {
        Answer { file: Some(file), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_refusal_begins_a_line_of_its_own() {
        let refusal = Refusal::new(Code::Stale, "merge p#1", "it conflicts in a\nnext: merge p/2\u{1b}[2J", "feed");
        assert_eq!(refusal.lines(), "forge: merge p#1: it conflicts in a next: merge p/2 [2J\nnext: feed\n");
    }
}
