//! Running a program to its end, and saying what it said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Longest that one client process may take, unless `FORGE_PATIENCE` says otherwise. It only bounds a hanging test; nothing
/// is asserted about time.
const PATIENCE_SECONDS: &str = "180";

/// What a process said, and how it ended.
#[derive(Debug, Clone)]
pub struct Out {
    /// The command, for messages.
    pub what: String,
    /// Exit code; 128 + the signal where one ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Out {
    /// Panics unless it exited 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == 0, "should have succeeded\n{self}");
        self
    }

    /// Panics unless it exited with exactly `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(self.code == code, "should have exited with {code}\n{self}");
        self
    }

    /// Panics unless it failed, with whatever code.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(self.code != 0, "should have failed\n{self}");
        self
    }

    /// Panics unless either stream holds `needle`.
    #[track_caller]
    pub fn says(self, needle: &str) -> Self {
        assert!(self.stdout.contains(needle) || self.stderr.contains(needle), "should say {needle:?}\n{self}");
        self
    }

    /// Panics when either stream holds `needle`.
    #[track_caller]
    pub fn keeps_quiet_about(self, needle: &str) -> Self {
        assert!(!self.stdout.contains(needle) && !self.stderr.contains(needle), "should not say {needle:?}\n{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("stdout should be JSON ({error})\n{self}"),
        }
    }

    /// Standard output without surrounding white space.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Whether it succeeded.
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }
}

impl std::fmt::Display for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Out { what, code, stdout, stderr } = self;
        write!(f, "$ {what}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n--- exit {code}")
    }
}

/// `program` under a time limit, so that a hanging server fails a test instead of hanging it.
pub fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    let patience = std::env::var("FORGE_PATIENCE").unwrap_or_else(|_| PATIENCE_SECONDS.to_owned());
    command.args(["-k", "5", &patience]).arg(program);
    command
}

/// Runs `command` with `stdin` (or none) to its end.
pub fn run(command: &mut Command, stdin: Option<&[u8]>) -> Out {
    let words = command.get_args().skip(3).map(|word| word.to_string_lossy().into_owned());
    let what = words.collect::<Vec<_>>().join(" ");
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
    let writer = child.stdin.take().zip(stdin.map(<[u8]>::to_vec)).map(|(mut pipe, bytes)| {
        // A program may well end before it has read everything.
        std::thread::spawn(move || drop(pipe.write_all(&bytes)))
    });
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("cannot wait for {what}: {error}"));
    if let Some(writer) = writer {
        writer.join().expect("the writer does not panic");
    }
    let status = output.status;
    Out {
        what,
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
