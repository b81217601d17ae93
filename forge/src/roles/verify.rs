//! `forge verify`: checks copies or live repositories, without a server and without writing.

use std::path::Path;
use std::process::ExitCode;

use crate::ledger::verify;
use crate::mirror::Upstream;

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
        "{} repositories, {} ledger commits (signed by keys of {} epochs), {} events, {} ratings computed again, \
         {} signed records, {} refs, {} objects",
        report.repositories,
        report.batches,
        report.epochs,
        report.events,
        report.ratings,
        report.signed,
        report.refs,
        report.objects
    );
    if !report.faults.is_empty() {
        // What is whole again comes from where it was copied from, or from a backup.
        let next = match Upstream::of(dir) {
            Ok(Some(upstream)) => format!("forge mirror {upstream} --data {}.anew --once", dir.display()),
            Ok(None) | Err(_) => "forge restore --help".to_owned(),
        };
        return super::fail(format_args!("{} faults; {counts} checked\nnext: {next}", report.faults.len()));
    }
    for (project, n, commit) in &report.heads {
        super::say(format_args!("ledger {project} {n} {commit}"));
    }
    super::say(format_args!("good: {counts} checked"));
    if report.absent > 0 {
        super::say(format_args!("{} notes and months of records are not in this copy", report.absent));
    }
    super::say(verify::CANNOT_SHOW);
    ExitCode::SUCCESS
}
