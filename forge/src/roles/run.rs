//! `forge run`: stand-in until the recorder is merged.

use std::process::ExitCode;

/// Records one run.
pub(super) fn run(_timeout: Option<u64>, _reasoning: Option<String>, _command: Vec<String>) -> ExitCode {
    super::fail("this build has no recorder")
}
