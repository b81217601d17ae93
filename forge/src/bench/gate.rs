//! `forge bench gate`: what the rules add to a push, with a full record and with none.
//!
//! Every push goes through the door of a whole server; the reference is the same push without the time that the server spent
//! in the rules meanwhile, which it counts itself.
//!
//! Invariant: each push must land, with its record.

use std::path::{Path, PathBuf};

use notes_schema::trace::limits;

use super::capture::{self, PushRequest};
use super::error::{BenchError, io};
use super::ours::{Agent, Ours};
use super::record;
use super::report::{Report, Row};
use super::repository::{self, Shape};
use super::stock::{self, Stock};
use super::timing::{Pair, milliseconds};
use super::{Options, machine};
use crate::gate::clock;

const PROJECT: &str = "gate";
/// A push without a record may spend a tenth in the rules; one with as much as fits, half.
const BARE: f64 = 0.9;
const FULL: f64 = 0.5;

/// What all rows stand on.
struct Ground {
    source: PathBuf,
    files: u64,
    ours: Ours,
    agent: Agent,
    /// The nonce that `start` gave.
    nonce: String,
    /// What a push is told that the server has.
    advertised: Vec<u8>,
    next: u64,
}

/// Measures. `log` gets a file for what the server logs meanwhile, `say` a line now and then.
pub fn run(options: &Options, log: &dyn Fn(std::fs::File), say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    log(std::fs::File::create(scratch.path().join("server.log")).map_err(io("a log file"))?);
    let machine = machine::describe(scratch.path());
    let (rounds, each) = if options.quick { (1, 2) } else { (5, 20) };
    let rounds = options.rounds.unwrap_or(rounds);
    say("making a repository and a server");
    let mut ground = Ground::prepare(scratch.path(), options.quick)?;
    let (mut bare, mut full) = (Pair::default(), Pair::default());
    let mut size = 0;
    // The first push of each kind makes what is made once.
    for round in 0..=rounds {
        say(if round == 0 { "warming up" } else { "a round" });
        let count = if round == 0 { 1 } else { each };
        let without = ground.pushes(count, false)?;
        let with = ground.pushes(count, true)?;
        size = with.1;
        let (without, with) = (ground.measure(&without.0)?, ground.measure(&with.0)?);
        if round > 0 {
            bare.add(without.0, without.1);
            full.add(with.0, with.1);
        }
    }
    let against = "itself without the rules";
    let name = format!("small push, a record of {} attempts and {} KiB", limits::ATTEMPTS, size >> 10);
    let rows = vec![
        Row::cost("small push, no record", "ms/push", bare.medians(), against, BARE),
        Row::cost(&name, "ms/push", full.medians(), against, FULL),
    ];
    Ok(Report { rows, machine, rounds, quick: options.quick })
}

impl Ground {
    fn prepare(dir: &Path, quick: bool) -> Result<Ground, BenchError> {
        let (source, empty) = (dir.join("source.git"), dir.join("empty.git"));
        for bare in [&source, &empty] {
            stock::git(dir, &["init", "-q", "--bare", "-b", "main", &bare.to_string_lossy()])?;
        }
        let files = if quick { 40 } else { 2_000 };
        let shape = Shape { commits: if quick { 30 } else { 1_000 }, files, blobs: 0, blob_bytes: 0 };
        repository::make(&source, &shape).map_err(io("git fast-import"))?;
        stock::git(&source, &["gc", "-q"])?;
        let known = Stock::copy(&source, &dir.join("known.git"), &["refs/heads/main"])?;
        let ours = Ours::start(&dir.join("data"))?;
        let agent = ours.register("alpha", None)?;
        ours.project(&agent, PROJECT, &source, &empty)?;
        ours.act(&agent, &format!("issue new {PROJECT} --title 'What does the gate cost?'"))?;
        let started = ours.act(&agent, &format!("start {PROJECT}/1"))?;
        let nonce = started["nonce"]
            .as_str()
            .ok_or_else(|| BenchError::Answer { what: "start".to_owned(), answer: started.to_string() })?;
        let (nonce, advertised) = (nonce.to_owned(), capture::advertisement(&known.dir)?);
        Ok(Ground { source, files, ours, agent, nonce, advertised, next: 0 })
    }

    /// Pushes of one new commit each to a new branch, each with a full record of its tree or with none; and how large a
    /// record is.
    fn pushes(&mut self, count: u64, recorded: bool) -> Result<(Vec<PushRequest>, usize), BenchError> {
        let first = self.next;
        self.next += count;
        let numbers = first..self.next;
        repository::branches(&self.source, self.files, "refs/heads/g/", numbers.clone(), 1)
            .map_err(io("git fast-import"))?;
        let (mut pushes, mut size) = (Vec::new(), 0);
        for n in numbers {
            let branch = format!("refs/heads/alpha/step-{n}");
            let mut refs = vec![(format!("refs/heads/g/{n}"), branch)];
            if recorded {
                let tree = stock::git(&self.source, &["rev-parse", &format!("refs/heads/g/{n}^{{tree}}")])?;
                let (id, bytes) = (format!("bench-{n:05}"), self.record(n, &tree)?);
                size = bytes.len();
                let held = format!("refs/notes/forge/out/{id}");
                repository::single_file(&self.source, &held, "record", &bytes).map_err(io("git fast-import"))?;
                refs.push((held, format!("refs/notes/forge/in/alpha/{id}")));
            }
            pushes.push(capture::push_all(&self.source, &self.advertised, &refs)?);
        }
        Ok((pushes, size))
    }

    /// A record with as many attempts as there may be, and as much output as fits.
    fn record(&self, n: u64, tree: &str) -> Result<Vec<u8>, BenchError> {
        let id = format!("bench-{n:05}");
        let of = record::Of { id: &id, project: PROJECT, issue: 1, agent: "alpha", nonce: &self.nonce, tree };
        record::passing(&of, 131, limits::ATTEMPTS)
    }

    /// Milliseconds per push, and what is left of them without the time in the rules.
    fn measure(&self, pushes: &[PushRequest]) -> Result<(f64, f64), BenchError> {
        let mut client = self.ours.connect()?;
        let before = clock::spent();
        let (took, ()) = milliseconds(|| {
            pushes.iter().try_for_each(|push| self.ours.push(&mut client, &self.agent, PROJECT, push))
        })?;
        let rules = (clock::spent() - before).as_secs_f64() * 1000.0;
        let count = pushes.len() as f64;
        Ok((took / count, (took - rules) / count))
    }
}
