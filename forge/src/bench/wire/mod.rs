//! `forge bench wire`: pushes, events, clones, fetches, polls and SSH against stock git and sshd.
//!
//! Invariant: both sides get the same bytes, work in the same directory's disk, and take turns.

mod clone;
mod events;
mod fetch;
mod ground;
mod history;
mod merge;
mod push;
mod refs;
mod ssh;

use std::fs::File;
use std::path::PathBuf;

use super::error::{BenchError, io};
use super::machine;
use super::report::{Report, Row};
use ground::Ground;

/// What to measure, and how thoroughly.
#[derive(Debug)]
pub struct Options {
    /// Tiny sizes, for tests of the measurement itself.
    pub quick: bool,
    /// Of how many rounds a number is the median.
    pub rounds: Option<usize>,
    /// How many events the repository with very many has; without it, those rows are left out.
    pub events: Option<u64>,
    /// Names of groups of rows; without any, all.
    pub only: Vec<String>,
    /// Where both sides work.
    pub dir: PathBuf,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rounds: usize,
    /// Of the repository that is cloned and pushed to.
    commits: u64,
    files: u64,
    pushers: usize,
    /// Pushes of each of them per round.
    each: usize,
    /// Pushes of a single pusher per round.
    alone: usize,
    /// Events of each writer per round.
    events: usize,
    /// Closed entities of the two projects that are polled.
    few: u64,
    many: u64,
    /// Events of the project with very many.
    history: u64,
    /// Requests per round that are too short to be measured one by one.
    repeat: usize,
}

impl Sizes {
    fn of(options: &Options) -> Sizes {
        let mut sizes = match options.quick {
            // 3,500 commits of five objects each, on 2,000 files in 21 directories: about 20,000 objects.
            false => Sizes {
                rounds: 5,
                commits: 3_550,
                files: 2_000,
                pushers: 64,
                each: 4,
                alone: 20,
                events: 8,
                few: 1_000,
                many: 100_000,
                history: 0,
                repeat: 20,
            },
            true => Sizes {
                rounds: 1,
                commits: 30,
                files: 40,
                pushers: 64,
                each: 1,
                alone: 3,
                events: 1,
                few: 10,
                many: 200,
                history: 0,
                repeat: 2,
            },
        };
        sizes.rounds = options.rounds.unwrap_or(sizes.rounds);
        sizes.history = options.events.unwrap_or(0);
        sizes
    }
}

type Group = fn(&mut Ground) -> Result<Vec<Row>, BenchError>;

/// Every group of rows, in the order in which they run: what leaves the least behind comes first.
const GROUPS: &[(&str, Group)] = &[
    ("clone", clone::rows),
    ("fetch", fetch::rows),
    ("poll", refs::poll),
    ("refs", refs::prefix),
    ("ssh", ssh::rows),
    ("events", events::rows),
    ("push", push::rows),
    ("merge", merge::rows),
    // Takes minutes to make, so only where it is asked for; last, since it starts the server anew.
    ("history", history::rows),
];

/// Measures. `log` gets a file for what the server logs meanwhile, `say` a line now and then.
pub fn run(options: &Options, log: &dyn Fn(File), say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    if let Some(unknown) = options.only.iter().find(|name| GROUPS.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        return Err(BenchError::Answer {
            what: format!("--only {unknown}"),
            answer: format!("there are only: {}", known.join(", ")),
        });
    }
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    log(File::create(scratch.path().join("server.log")).map_err(io("a log file"))?);
    let machine = machine::describe(scratch.path());
    let sizes = Sizes::of(options);
    say("making repositories and a server");
    let mut ground = Ground::prepare(scratch.path(), sizes)?;
    let mut rows = Vec::new();
    for (name, group) in GROUPS {
        let asked = options.only.is_empty() || options.only.iter().any(|only| only == name);
        if asked && (*name != "history" || sizes.history > 0) {
            say(name);
            rows.extend(group(&mut ground)?);
        }
    }
    Ok(Report { rows, machine, rounds: sizes.rounds, quick: options.quick })
}
