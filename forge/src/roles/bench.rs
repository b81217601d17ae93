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
    /// From the start of a server to its first feed, with its caches and without.
    Start(Start),
    /// What a first look at each page takes, and pages of code beside plain git, on a large repository; fails where a page is
    /// over its budget of requests or bytes.
    Pages(Pages),
    /// Many agents at once walk the whole loop on one server, and a watcher looks for lost, doubled and reordered writes.
    Swarm(Swarm),
    /// Agents of known skill hold contests on one server, farms cheat beside them; fails where ratings do not find skill, a farm
    /// gains, or anything is lost.
    Contests(Contests),
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
    /// Only some rows: clone, fetch, poll, refs, ssh, events, push, merge, history.
    #[arg(long, value_name = "ROWS")]
    only: Vec<String>,
    /// Measures a project with so many events too, which takes minutes to make.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    events: Option<u64>,
}

/// Flags of `forge bench swarm`.
#[derive(Debug, clap::Args)]
pub(super) struct Swarm {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// How many agents, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(2..=10_000))]
    agents: u16,
    /// How many more wait for news meanwhile, and do nothing else.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    waiting: u16,
    /// On how many projects.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    projects: u16,
    /// How long they begin anew; each walks the loop once at least.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// How many of a hundred come over SSH, the others over HTTP.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    ssh: u8,
    /// Where the server works: the disk that is measured. The system's directory for temporary files without it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Lets a swarm loose, and prints; fails where anything failed, or the watcher found anything.
fn swarm(Swarm { json, agents, waiting, projects, seconds, ssh, dir }: Swarm) -> ExitCode {
    let options = bench::swarm::Options {
        agents: agents.into(),
        waiting: waiting.into(),
        projects: projects.into(),
        seconds: seconds.into(),
        ssh: ssh.into(),
        dir: dir.unwrap_or_else(std::env::temp_dir),
    };
    let next = format!("FORGE_LOG=debug forge bench swarm --agents {agents} --projects {projects} --seconds {seconds}");
    let report = match bench::swarm::run(&options, &|said| eprintln!("bench: {said}")) {
        Ok(report) => report,
        Err(error) => return super::fail(error),
    };
    let printed = print(json, &report, || report.table());
    match report.is_clean() {
        true => printed,
        false => super::fail(format!("something failed, or the watcher found something: see above\nnext: {next}")),
    }
}

/// Flags of `forge bench contests`.
#[derive(Debug, clap::Args)]
pub(super) struct Contests {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// How many honest agents.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(4..=1_000))]
    agents: u16,
    /// How many contests they hold; each farm holds one for five of them.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    contests: u32,
    /// What decides everything that chance decides.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where the server works. The system's directory for temporary files without it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Holds contests, and prints; fails where anything was lost, or a mark is missed.
fn contests(Contests { json, agents, contests, seed, dir }: Contests) -> ExitCode {
    let dir = dir.unwrap_or_else(std::env::temp_dir);
    let options = bench::contests::Options { agents: agents.into(), contests: contests as usize, seed, dir };
    let next = format!("FORGE_LOG=debug forge bench contests --agents {agents} --contests {contests} --seed {seed}");
    let report = match bench::contests::run(&options, &|said| eprintln!("bench: {said}")) {
        Ok(report) => report,
        Err(error) => return super::fail(error),
    };
    let clean = report.is_clean();
    let printed = match json {
        true => print(true, &report, String::new),
        false => {
            super::say(report.table().trim_end());
            ExitCode::SUCCESS
        }
    };
    if clean {
        printed
    } else {
        super::fail(format!("something was lost, or a mark is missed: see above\nnext: {next}"))
    }
}

/// Prints what was measured.
fn print(json: bool, report: &impl serde::Serialize, table: impl FnOnce() -> String) -> ExitCode {
    match json {
        true => match serde_json::to_string(report) {
            Ok(text) => super::say(text),
            Err(error) => return super::fail(error),
        },
        false => super::say(table().trim_end()),
    }
    ExitCode::SUCCESS
}

/// Flags of `forge bench start`.
#[derive(Debug, clap::Args)]
pub(super) struct Start {
    #[command(flatten)]
    flags: Flags,
    /// Events in one repository.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    events: u64,
    /// Repositories besides that one.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    repositories: u64,
}

/// Flags of `forge bench pages`.
#[derive(Debug, clap::Args)]
pub(super) struct Pages {
    #[command(flatten)]
    flags: Flags,
    /// Files of the repository that is made.
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(20..=500_000))]
    files: u64,
    /// Commits of it.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(50..=1_000_000))]
    commits: u64,
    /// Takes this repository instead; it is copied, and nothing of it is changed.
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
}

/// Looks at every page, and prints; fails where one is over its budget.
fn pages(Pages { flags, files, commits, repository }: Pages, log: Log, say: Say) -> ExitCode {
    let (dir, quick) = (flags.dir(), flags.quick);
    let (files, commits, rounds) = if quick { (60, 300, 1) } else { (files, commits, 5) };
    let rounds = flags.rounds.map_or(rounds, usize::from);
    let repository = repository.map(|given| given.canonicalize().unwrap_or(given));
    let options = bench::PagesOptions { rounds, repository, files, commits, quick, dir };
    let report = match bench::pages(&options, log, say) {
        Ok(report) => report,
        Err(error) => return super::fail(error),
    };
    let printed = print(flags.json, &report, || report.table());
    match report.is_clean() {
        true => printed,
        false => super::fail(
            "a page is over its budget: see above\nnext: look at what it loads, in a browser's network view",
        ),
    }
}

type Log<'a> = &'a dyn Fn(File);
type Say<'a> = &'a dyn Fn(&str);

/// Measures, and prints; fails when something could not be measured that should.
pub(super) fn run(bench: Bench) -> ExitCode {
    let (log, say): (Log, Say) = (&log_as_a_server_does, &|said| eprintln!("bench: {said}"));
    let (json, measured) = match bench {
        Bench::Wire(Wire { flags, only, events }) => (flags.json, bench::wire(&flags.options(only, events), log, say)),
        Bench::Gate(flags) => (flags.json, bench::gate(&flags.options(Vec::new(), None), log, say)),
        Bench::Swarm(flags) => return swarm(flags),
        Bench::Contests(flags) => return contests(flags),
        Bench::Pages(flags) => return pages(flags, log, say),
        Bench::Start(start) => (start.flags.json, bench::start(&start.options(), log, say)),
    };
    let report = match measured {
        Ok(report) => report,
        Err(error) => return super::fail(error),
    };
    print(json, &report, || report.table())
}

impl Flags {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn options(&self, only: Vec<String>, events: Option<u64>) -> bench::Options {
        bench::Options { quick: self.quick, rounds: self.rounds.map(usize::from), events, only, dir: self.dir() }
    }
}

impl Start {
    fn options(&self) -> bench::StartOptions {
        let Start { flags, events, repositories } = self;
        let (quick, dir) = (flags.quick, flags.dir());
        let (most, rounds) = if quick { (200, 1) } else { (u64::MAX, 3) };
        let rounds = flags.rounds.map_or(rounds, usize::from);
        bench::StartOptions { rounds, events: (*events).min(most), repositories: (*repositories).min(most), quick, dir }
    }
}

/// What a server writes to its log while it is measured costs what it costs in service; it goes to a file.
fn log_as_a_server_does(file: File) {
    let filter = EnvFilter::try_from_env("FORGE_LOG").unwrap_or_else(|_| EnvFilter::new("info,russh=warn"));
    let set =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::sync::Mutex::new(file));
    drop(set.try_init());
}
