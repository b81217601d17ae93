//! `forge ratings`: stand-in until the ledger is merged.

use std::path::Path;
use std::process::ExitCode;

/// Computes all ratings anew.
pub(super) fn replay(data: &Path, _json: bool) -> ExitCode {
    super::fail(format!("{}: this build cannot replay", data.display()))
}
