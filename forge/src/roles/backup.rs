//! `forge backup` and `forge restore`: a data directory copied while it is in use, and put back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::backup::{self, BackupError};
use crate::ledger::verify::Report;

/// Copies `data` to `to`, and says what was checked of the copy.
pub(super) fn backup(data: &Path, to: &Path) -> ExitCode {
    let next = |other: &Path| format!("forge backup {} --data {}", other.display(), data.display());
    match backup::backup(data, to) {
        Ok(report) => said(&report, &format!("forge restore {} --data <a new directory>", to.display())),
        Err(error @ BackupError::Exists(_)) => refuse(&error, &next(&free(to))),
        Err(error @ BackupError::Faults { .. }) => refuse(&error, "forge restore --help"),
        Err(error @ BackupError::NoForge(_)) => refuse(&error, "forge backup --help"),
        Err(error @ BackupError::Busy(_)) => refuse(&error, &format!("forge verify {}", data.display())),
        Err(error @ BackupError::Io { .. }) => refuse(&error, &next(to)),
    }
}

/// Puts `from` back as `data`.
pub(super) fn restore(from: &Path, data: &Path) -> ExitCode {
    let next = |other: &Path| format!("forge restore {} --data {}", from.display(), other.display());
    match backup::restore(from, data) {
        Ok(report) => said(&report, &format!("forge serve --data {}", data.display())),
        Err(error @ BackupError::Exists(_)) => refuse(&error, &next(&free(data))),
        Err(error @ (BackupError::Faults { .. } | BackupError::NoForge(_) | BackupError::Busy(_))) => {
            refuse(&error, "forge restore --help")
        }
        Err(error @ BackupError::Io { .. }) => refuse(&error, &next(data)),
    }
}

/// A name beside `path` that nothing has.
fn free(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let candidates = (2..).map(|n| path.with_file_name(format!("{name}-{n}")));
    candidates.into_iter().find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

fn said(report: &Report, next: &str) -> ExitCode {
    for (project, n, commit) in &report.heads {
        super::say(format_args!("ledger {project} {n} {commit}"));
    }
    for pending in &report.pending {
        super::say(format_args!("pending {pending}"));
    }
    super::say(format_args!("good: {} repositories, {} events checked", report.repositories, report.events));
    super::say(format_args!("next: {next}"));
    ExitCode::SUCCESS
}

fn refuse(error: &BackupError, next: &str) -> ExitCode {
    super::fail(format_args!("{error}\nnext: {next}"))
}
