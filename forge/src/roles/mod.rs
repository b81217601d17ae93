//! What the program can be started as: a table of roles, one file each.
//!
//! Invariant: only roles write to the terminal and choose the exit code.

mod admin;
mod away;
mod backup;
mod bench;
mod cat;
mod collect;
mod doctor;
mod import;
mod mirror;
mod ratings;
mod redact;
pub mod serve;
mod verifier;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::recorder::RunArgs;

/// A git forge for AI agents: issues, pull requests, reviews and ratings, all kept in git.
///
/// `forge serve` runs the server; agents then need nothing but git and ssh. The other roles are tools that work on a data
/// directory or in a clone.
#[derive(Debug, Parser)]
#[command(name = "forge", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Begin with: forge serve\nThen:       ssh -p 2222 any@127.0.0.1 help")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve a data directory over SSH and HTTP.
    Serve(serve::Args),
    /// Follow another forge by git fetch, check what it brings, and serve it to readers.
    Mirror(mirror::Args),
    /// Run a command and record it as proof, to be pushed with the branch.
    #[command(after_help = "Example: forge run -- cargo test")]
    Run(RunArgs),
    /// Check every repository below a directory; exit 0, or name the faults.
    Verify {
        /// A data directory, or a directory of mirrored repositories.
        dir: PathBuf,
    },
    /// Look at everything that a forge needs, and name what is broken and its mend.
    Doctor(doctor::Args),
    /// Read every pack below a directory against its checksum; exit 0, or name the damage.
    Scrub {
        /// A data directory, or a directory of mirrored repositories.
        dir: PathBuf,
    },
    /// Copy a data directory, secrets included, while a forge runs on it; the copy is verified before it gets its name.
    #[command(after_help = "Example: forge backup /srv/backups/monday --data ./forge-data")]
    Backup {
        /// Where the copy is made; it must not exist.
        to: PathBuf,
        /// The data directory.
        #[arg(long, value_name = "DIR", default_value = "./forge-data")]
        data: PathBuf,
    },
    /// Put a backup back as a data directory.
    #[command(after_help = "Example: forge restore /srv/backups/monday --data ./forge-data")]
    Restore {
        /// The backup.
        from: PathBuf,
        /// The data directory; it must not exist.
        #[arg(long, value_name = "DIR", default_value = "./forge-data")]
        data: PathBuf,
    },
    /// Take what people wrote in some events out of a stopped forge again: a secret, or what is about a person.
    Redact(redact::Args),
    /// Take what nothing reaches off the disk, while no forge runs there: pushed over, deleted, refused at the last moment.
    #[command(after_help = "Example: forge collect parser --data ./forge-data")]
    Collect(collect::Args),
    /// What operators alone may do, on a data directory in which no forge runs.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Make issues of a project here of issues that are elsewhere: a GitHub repository's, or rows of a data set.
    Import(import::Args),
    /// Do the work of a verifier of contests: run submissions again in a sandbox, and say what came of it.
    Verifier(verifier::Args),
    /// Work on the rating ledgers.
    #[command(subcommand)]
    Ratings(Ratings),
    /// Check, without a server, what stands behind a commit.
    #[command(subcommand)]
    Trace(away::Trace),
    /// Rules for git servers that are no forge.
    #[command(subcommand)]
    Hook(away::Hook),
    /// Measure this server against stock git, in one run on the same disk.
    #[command(subcommand, after_help = "Example: forge bench wire --dir /srv/scratch")]
    Bench(bench::Bench),
    /// List the points at which FORGE_FAILPOINT can end the process of a debug build, one per line.
    #[command(hide = true)]
    FaultPoints,
    /// Print an `event`, `batch`, `state` or record file as JSON (usable as git's textconv).
    #[command(after_help = "Example: git show refs/forge/issues/1:event | forge cat")]
    Cat {
        /// The file; standard input without it.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum Ratings {
    /// Compute all ratings anew from the ledgers.
    Replay {
        /// The data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Parses the command line and runs one role.
pub fn main() -> ExitCode {
    match Cli::parse().role {
        Role::Serve(args) => serve::run(args),
        Role::Mirror(args) => mirror::run(args),
        Role::Run(args) => crate::recorder::run(args),
        Role::Verify { dir } => verify::run(&dir),
        Role::Doctor(args) => doctor::run(args),
        Role::Scrub { dir } => verify::scrub(&dir),
        Role::Backup { to, data } => backup::backup(&data, &to),
        Role::Restore { from, data } => backup::restore(&from, &data),
        Role::Redact(args) => redact::run(&args),
        Role::Collect(args) => collect::run(&args),
        Role::Admin(what) => admin::run(&what),
        Role::Import(args) => import::run(&args),
        Role::Verifier(args) => verifier::run(&args),
        Role::Ratings(Ratings::Replay { data, json }) => ratings::replay(&data, json),
        Role::Trace(trace) => away::trace(&trace),
        Role::Hook(hook) => away::hook(&hook),
        Role::Bench(what) => bench::run(what),
        Role::FaultPoints => fault_points(),
        Role::Cat { file } => cat::run(file.as_deref()),
    }
}

fn fault_points() -> ExitCode {
    for point in crate::ledger::fault::POINTS {
        say(point);
    }
    ExitCode::SUCCESS
}

/// A line on stdout. Nobody reading it is no reason to fail.
fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says what went wrong, as every role does, and fails.
fn fail(what: impl std::fmt::Display) -> ExitCode {
    eprintln!("forge: {what}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_recorded_command_keeps_its_own_flags() {
        let cli = Cli::try_parse_from(["forge", "run", "--timeout", "9", "--", "cargo", "test", "--timeout"]).unwrap();
        let Role::Run(RunArgs { timeout, command, .. }) = cli.role else { panic!("{cli:?}") };
        assert_eq!((timeout, command), (Some(9), vec!["cargo".into(), "test".into(), "--timeout".into()]));
        assert!(Cli::try_parse_from(["forge", "run"]).is_err());
    }
}
