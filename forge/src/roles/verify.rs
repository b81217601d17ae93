//! `forge verify`: checks copies or live repositories, without a server and without writing.

use std::path::Path;
use std::process::ExitCode;

use crate::ledger::verify;

/// Checks every repository below `dir`; exit 0, or the faults by name.
pub(super) fn run(dir: &Path) -> ExitCode {
    let report = match verify::verify(dir) {
        Ok(report) => report,
        Err(error) => {
            return super::fail(format_args!("{}: {error}\nnext: forge verify <data directory>", dir.display()));
        }
    };
    for fault in &report.faults {
        super::say(format_args!("FAULT {fault}"));
    }
    for pending in &report.pending {
        super::say(format_args!("pending {pending}"));
    }
    let counts = format!(
        "{} repositories, {} ledger commits, {} events, {} objects",
        report.repositories, report.batches, report.events, report.objects
    );
    if report.faults.is_empty() {
        super::say(format_args!("good: {counts} checked"));
        super::say(verify::CANNOT_SHOW);
        return ExitCode::SUCCESS;
    }
    super::fail(format_args!("{} faults; {counts} checked", report.faults.len()))
}
