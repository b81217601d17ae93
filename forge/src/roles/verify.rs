//! `forge verify`: checks copies or live repositories, without a server and without writing.

use std::path::Path;
use std::process::ExitCode;

use crate::ledger::verify;
use crate::mirror::Upstream;

/// Holds every pack below `dir` against its checksum; exit 0, or the damage by name.
pub(super) fn scrub(dir: &Path) -> ExitCode {
    let report = match verify::scrub(dir) {
        Ok(report) => report,
        Err(error) => {
            return super::fail(format_args!("{}: {error}\nnext: forge scrub <data directory>", dir.display()));
        }
    };
    for fault in &report.faults {
        super::say(format_args!("FAULT {fault}"));
    }
    let counts = format!("{} repositories, {} packs and indexes", report.repositories, report.packs);
    if !report.faults.is_empty() {
        let next = mend(dir);
        return super::fail(format_args!("{} faults; {counts} are sound\nnext: {next}", report.faults.len()));
    }
    super::say(format_args!("good: {counts} read"));
    super::say("Not shown by this: whether they hold what was written; `forge verify` shows that.");
    ExitCode::SUCCESS
}

/// Where what is damaged comes from again: the forge that it follows, or a backup.
fn mend(dir: &Path) -> String {
    match Upstream::of(dir) {
        Ok(Some(upstream)) => format!("forge mirror {upstream} --data {}.anew --once", dir.display()),
        Ok(None) | Err(_) => "forge restore --help".to_owned(),
    }
}

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
         {} signed records, {} refs, {} folded ones, {} objects",
        report.repositories,
        report.batches,
        report.epochs,
        report.events,
        report.ratings,
        report.signed,
        report.refs,
        report.folded,
        report.objects
    );
    if !report.faults.is_empty() {
        let next = mend(dir);
        return super::fail(format_args!("{} faults; {counts} checked\nnext: {next}", report.faults.len()));
    }
    for redacted in &report.redacted {
        super::say(format_args!("redacted {redacted}"));
    }
    for (project, n, commit) in &report.heads {
        super::say(format_args!("ledger {project} {n} {commit}"));
    }
    super::say(format_args!("good: {counts} checked"));
    if !report.redacted.is_empty() {
        super::say(format_args!("{} events redacted, each as forge.git declares it", report.redacted.len()));
    }
    if report.absent > 0 {
        super::say(format_args!("{} notes and months of records are not in this copy", report.absent));
    }
    super::say(verify::CANNOT_SHOW);
    ExitCode::SUCCESS
}
