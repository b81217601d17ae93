//! `forge bench`: measures this server against stock git and prints the rows.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::bench;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Bench {
    /// Pushes, events, clones, fetches, polls and SSH, against stock git and sshd on the same disk.
    Wire(Wire),
    /// What the rules add to a push, with a full record and with none.
    Gate(Flags),
}

/// Flags of every measurement.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// Tiny sizes: shows that every row can be measured; the numbers mean nothing.
    #[arg(long)]
    quick: bool,
    /// Of how many rounds a number is the median.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// Where it works: the disk that is measured. The system's directory for temporary files without it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Flags of `forge bench wire`.
#[derive(Debug, clap::Args)]
pub(super) struct Wire {
    #[command(flatten)]
    flags: Flags,
    /// Only some rows: clone, fetch, poll, refs, ssh, events, push.
    #[arg(long, value_name = "ROWS")]
    only: Vec<String>,
}

type Measure = fn(&bench::Options, &dyn Fn(File), &dyn Fn(&str)) -> Result<bench::Report, bench::BenchError>;

/// Measures, and prints; fails when something could not be measured that should.
pub(super) fn run(bench: Bench) -> ExitCode {
    let (measure, Flags { json, quick, rounds, dir }, only): (Measure, Flags, Vec<String>) = match bench {
        Bench::Wire(Wire { flags, only }) => (bench::wire, flags, only),
        Bench::Gate(flags) => (bench::gate, flags, Vec::new()),
    };
    let options =
        bench::Options { quick, rounds: rounds.map(usize::from), only, dir: dir.unwrap_or_else(std::env::temp_dir) };
    let report = match measure(&options, &log_as_a_server_does, &|said| eprintln!("bench: {said}")) {
        Ok(report) => report,
        Err(error) => return super::fail(error),
    };
    match json {
        true => match serde_json::to_string(&report) {
            Ok(text) => super::say(text),
            Err(error) => return super::fail(error),
        },
        false => super::say(report.table().trim_end()),
    }
    ExitCode::SUCCESS
}

/// What a server writes to its log while it is measured costs what it costs in service; it goes to a file.
fn log_as_a_server_does(file: File) {
    let filter = EnvFilter::try_from_env("FORGE_LOG").unwrap_or_else(|_| EnvFilter::new("info,russh=warn"));
    let set =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::sync::Mutex::new(file));
    drop(set.try_init());
}
