//! `forge doctor`: each prerequisite of a forge, and how a broken one is mended.

use std::process::ExitCode;

use super::serve;
use crate::doctor;
use crate::ledger::system_clock;

/// Flags of `forge doctor`: those of the server that it is to look after.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "doctor")]
#[command(after_help = "Example: forge doctor --data ./forge-data")]
pub struct Args {
    #[command(flatten)]
    serve: serve::Args,
}

/// Names each broken prerequisite and its mend; exit 0 where there is none.
pub fn run(args: Args) -> ExitCode {
    let (config, _) = match args.serve.start() {
        Ok(settings) => settings,
        Err(error) => return super::fail(error),
    };
    let found = doctor::examine(&config, &system_clock());
    let mut count = 0;
    for finding in &found {
        match &finding.state {
            Ok(how) => super::say(format_args!("ok      {}: {how}", finding.what)),
            Err((why, next)) => {
                count += 1;
                super::say(format_args!("BROKEN  {}: {why}\nnext: {next}", finding.what));
            }
        }
    }
    if count == 0 { ExitCode::SUCCESS } else { super::fail(format_args!("{count} of {} broken", found.len())) }
}
