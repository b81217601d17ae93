//! `forge bench start`: from the start of `forge serve` to its first feed, with its caches and without.
//!
//! The data directory is made by a server in this process; what is measured is the program itself, started anew, asked over
//! HTTP, and ended, politely or by SIGKILL.
//!
//! Invariant: a row says which caches there were, and nothing but them differs between rows.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::error::{BenchError, io};
use super::http::Client;
use super::machine;
use super::ours::{self, Agent, Ours};
use super::report::{Report, Row};
use super::timing::median;

/// The project with very many events.
const LONG: &str = "long";
/// Milliseconds in which a server is to answer its first request.
const MARK: f64 = 5_000.0;
/// Events that a killed server took since it came to rest.
const LATE: usize = 50;

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// Of how many rounds a number is the median.
    pub rounds: usize,
    /// Events in one repository.
    pub events: u64,
    /// How many repositories there are besides that one, each with an issue.
    pub repositories: u64,
    /// Tiny sizes, for tests of the measurement itself.
    pub quick: bool,
    /// Where it works.
    pub dir: PathBuf,
}

/// Measures. `log` gets a file for what the server that prepares logs, `say` a line now and then.
pub fn run(options: &Options, log: &dyn Fn(fs::File), say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    log(fs::File::create(scratch.path().join("server.log")).map_err(io("a log file"))?);
    let machine = machine::describe(scratch.path());
    let data = scratch.path().join("data");
    say("making repositories");
    let agent = prepare(&data, options)?;
    let caches = |names: &[&str]| {
        for name in names {
            let path = data.join(name);
            if path.exists() {
                fs::remove_dir_all(&path).map_err(io(path.display()))?;
            }
        }
        Ok(())
    };
    let (mut cold, mut bare, mut warm, mut killed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        say("a round");
        caches(&["index", "checkpoints"])?;
        let (took, served) = Served::start(&data, &agent)?;
        cold.push(took);
        served.stop()?;
        caches(&["checkpoints"])?;
        let (took, served) = Served::start(&data, &agent)?;
        bare.push(took);
        served.stop()?;
        let (took, served) = Served::start(&data, &agent)?;
        warm.push(took);
        for _ in 0..LATE {
            served.act(&agent, &format!("issue new {LONG} --title Late"))?;
        }
        served.kill()?;
        let (took, served) = Served::start(&data, &agent)?;
        killed.push(took);
        served.stop()?;
    }
    let what = match (options.events, options.repositories) {
        (events, 0) => format!("{events} events"),
        (events, repositories) => format!("{events} events, {repositories} repositories"),
    };
    let row = |how: &str, took: Vec<f64>| {
        Row::cost(&format!("start, {what}, {how}"), "ms", (median(took), MARK), "five seconds", 1.0)
    };
    let rows = vec![
        row("warm", warm),
        row("after SIGKILL", killed),
        row("without checkpoints", bare),
        row("cold, without checkpoints and index", cold),
    ];
    Ok(Report { rows, machine, rounds: options.rounds, quick: options.quick })
}

/// Makes the data directory.
fn prepare(data: &Path, options: &Options) -> Result<Agent, BenchError> {
    let ours = Ours::start(data)?;
    let agent = ours.register("agent", None)?;
    ours.act(&agent, &format!("project new {LONG}"))?;
    ours.long_threads(LONG, &agent, options.events)?;
    let mut client = ours.connect()?;
    for n in 0..options.repositories {
        ours::act(&mut client, &agent, &format!("project new small-{n}"))?;
        ours::act(&mut client, &agent, &format!("issue new small-{n} --title Small"))?;
    }
    drop(client);
    ours.end()?;
    Ok(agent)
}

/// `forge serve` as a process of its own; it ends with this value.
struct Served {
    child: Child,
    http: SocketAddr,
}

impl Served {
    /// Starts it: milliseconds until it has answered its first feed.
    fn start(data: &Path, agent: &Agent) -> Result<(f64, Served), BenchError> {
        let program = std::env::current_exe().map_err(io("this program"))?;
        let log = fs::File::options().create(true).append(true).open(data.with_extension("log"));
        let mut command = Command::new(program);
        command.args(["serve", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.map_err(io("a log file"))?);
        let began = Instant::now();
        let mut served =
            Served { child: command.spawn().map_err(io("forge serve"))?, http: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let said = served.child.stdout.take().map(BufReader::new).into_iter().flat_map(|out| out.lines());
        let http = said.map_while(Result::ok).find_map(|line| line.trim().strip_prefix("http://")?.parse().ok());
        let silent = || BenchError::Answer { what: "forge serve".to_owned(), answer: "it did not start".to_owned() };
        served.http = http.ok_or_else(silent)?;
        served.act(agent, "feed")?;
        Ok((began.elapsed().as_secs_f64() * 1000.0, served))
    }

    fn act(&self, agent: &Agent, line: &str) -> Result<(), BenchError> {
        let mut client = Client::connect(self.http).map_err(io("connecting to the server"))?;
        ours::act(&mut client, agent, line).map(drop)
    }

    /// Ends it as an operator does, and waits until it has gone.
    fn stop(mut self) -> Result<(), BenchError> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|e| io("forge serve")(e.into()))?;
        self.child.wait().map(drop).map_err(io("forge serve"))
    }

    /// Ends it at once.
    fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(io("forge serve"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
