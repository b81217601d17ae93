//! `forge bench swarm`: many agents at once on one server, each on a connection of its own, and a watcher that holds what
//! they were told against the ledgers afterwards.
//!
//! Invariant: the server is a process of its own, so that what it takes is its own; a run that found an error, a lost, a
//! doubled or a reordered write is no measurement, and says so.

mod agent;
pub(super) mod door;
mod history;
mod report;
pub(super) mod served;
mod watch;
pub(super) mod work;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use git::store::Store;
use notes_schema::{FORGE_PROJECT, Oid, refs};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::capture;
use super::error::{BenchError, io, unusable};
use super::fate::Fate;
use super::machine;
use crate::ledger::verify;
use agent::{Agent, Diary, Swarm};
use door::{Door, Failure, Http, reported};
pub use report::Report;
use served::{Served, Takes};
use watch::{Act, Look};

/// How many agents connect at once: fewer than may be without a proven key.
const CONNECT_AT_ONCE: usize = 64;
/// How often the watcher looks at the cursor and the ledgers.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What to let loose.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many agents.
    pub agents: usize,
    /// On how many projects; at least two agents work on each.
    pub projects: usize,
    /// How many more agents wait for news meanwhile, and do nothing else.
    pub waiting: usize,
    /// How long loops are begun, in seconds; each agent walks at least one.
    pub seconds: u64,
    /// How many of a hundred agents come over SSH; the others over HTTP.
    pub ssh: usize,
    /// Where the server works: the disk that is measured.
    pub dir: PathBuf,
}

/// Lets the agents loose. `say` gets a line now and then.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    if options.agents < options.projects * 2 {
        let Options { agents, projects, .. } = options;
        let why = format!("{agents} agents are too few for {projects} projects: on each one works and another reviews");
        return Err(BenchError::Asked { why, next: format!("forge bench swarm --agents {agents} --projects 1") });
    }
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("agents").build();
    let runtime = runtime.map_err(io("the runtime"))?;
    let machine = machine::describe(scratch.path());
    let (data, log) = (scratch.path().join("data"), scratch.path().join("server.log"));
    let served = Served::start(&data, None, &[], File::create(&log).map_err(io("a log file"))?)?;
    let ran = runtime.block_on(let_loose(options, &data, &served, say))?;
    let peak = served.takes().peak;
    say("stopping the server, and reading its ledgers");
    served.stop()?;
    // Connections to a server that has ended are told so before they are dropped.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let checked = verify::verify(&data).map_err(io("forge verify"))?;
    let findings = watch::judge(&ran.diary.acts, &ran.diary.looks, &ran.diary.tips, &history::read(&data)?);
    let complaints = complaints(&fs::read_to_string(&log).unwrap_or_default());
    let mut report = report::made(options, machine, ran, peak, findings, &checked, complaints);
    if !report.is_clean() {
        report.kept = Some(scratch.keep());
    }
    Ok(report)
}

/// What a run was.
struct Ran {
    diary: Diary,
    /// Seconds from the first loop's begin to the last one's end.
    seconds: f64,
    /// Seconds that connecting and registering took.
    joining: f64,
    /// The server with everybody connected and nobody at work; then over the work, processor time alone counts.
    connected: Takes,
    server_cpu: f64,
    clients_cpu: f64,
    /// Connections made again.
    reconnects: u64,
    /// Memory at the end of the work.
    after: Takes,
}

async fn let_loose(options: &Options, data: &Path, served: &Served, say: &dyn Fn(&str)) -> Result<Ran, BenchError> {
    let clock = Instant::now();
    let projects: Vec<String> = (0..options.projects).map(|n| format!("swarm-{n}")).collect();
    let mut founder = Http::connect(served.http).await.map_err(|e| failed("connecting", e))?;
    founder.register("founder").await.map_err(|e| failed("register", e))?;
    let mut founder = Door::Http(founder);
    for project in &projects {
        founder.act(&format!("project new {project}")).await.map_err(|e| failed("project new", e))?;
        let first = work::first(project)?;
        let report = founder.push(project, &first.body).await.map_err(|e| failed("the first push", e))?;
        reported(&report, first.refs.iter().map(|(name, _)| name)).map_err(|e| failed("the first push", e))?;
    }
    say(&format!("{} agents connect and register", options.agents + options.waiting));
    let (mut joined, mut diary) = join_all(options, served, clock).await?;
    let idle = joined.split_off(options.agents);
    let joining = clock.elapsed().as_secs_f64();
    let stores = projects.iter().map(|p| Store::open(&data.join("repositories").join(format!("{p}.git"))));
    let stores = stores.collect::<Result<Vec<_>, _>>().map_err(|e| unusable("a project", e))?;
    let until = clock.elapsed() + Duration::from_secs(options.seconds);
    let swarm = Arc::new(Swarm { agents: joined, projects, stores, clock, until });
    let (connected, here, began) = (served.takes(), Takes::here(), Instant::now());
    say(&format!("all are connected; they work for {} s", options.seconds));
    let (enough, http) = (CancellationToken::new(), Http::connect(served.http));
    let http = http.await.map_err(|e| failed("connecting", e))?;
    let watcher = tokio::spawn(watch_on(http, swarm.clone(), enough.clone()));
    let mut waiting = JoinSet::new();
    for Agent { name, door, .. } in idle {
        waiting.spawn(agent::wait_on(swarm.clone(), name, door.into_inner(), enough.clone()));
    }
    let mut agents = JoinSet::new();
    for at in 0..swarm.agents.len() {
        agents.spawn(swarm.clone().work(at));
    }
    while let Some(remembered) = agents.join_next().await {
        diary.absorb(remembered.map_err(|e| unusable("an agent", e))?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = served.takes();
    enough.cancel();
    while let Some(remembered) = waiting.join_next().await {
        diary.absorb(remembered.map_err(|e| unusable("an agent that waits", e))?);
    }
    diary.absorb(watcher.await.map_err(|e| unusable("the watcher", e))?);
    let mut reconnects = 0;
    for agent in &swarm.agents {
        reconnects += agent.door.lock().await.reconnects();
    }
    let (server_cpu, clients_cpu) = (after.cpu - connected.cpu, Takes::here().cpu - here.cpu);
    Ok(Ran { diary, seconds, joining, connected, server_cpu, clients_cpu, reconnects, after })
}

/// Connects and registers everybody, and remembers that they were told so.
async fn join_all(options: &Options, served: &Served, clock: Instant) -> Result<(Vec<Agent>, Diary), BenchError> {
    let joining = (0..options.agents + options.waiting).map(|at| {
        // Spread evenly, so that each project has some of both.
        let ssh = (at / options.projects + 1) * options.ssh / 100 > (at / options.projects) * options.ssh / 100;
        async move {
            let name = format!("agent-{at}");
            let (door, acts) = agent::join(served, &name, ssh, clock).await?;
            Ok::<_, BenchError>((Agent { name, project: at % options.projects, door: Mutex::new(door) }, acts))
        }
    });
    let joined: Vec<(Agent, Vec<Act>)> = stream::iter(joining).buffered(CONNECT_AT_ONCE).try_collect().await?;
    let (agents, acts): (Vec<Agent>, Vec<Vec<Act>>) = joined.into_iter().unzip();
    Ok((agents, Diary { acts: acts.concat(), ..Diary::default() }))
}

/// Looks at the cursor, and then at where each ledger is, until it is `enough`.
async fn watch_on(mut http: Http, swarm: Arc<Swarm>, enough: CancellationToken) -> Diary {
    let mut diary = Diary::default();
    loop {
        match look(&mut http, &swarm).await {
            Ok(look) => diary.looks.push(look),
            Err(failure) => diary.failed("watch", "the watcher", &failure),
        }
        if timeout(LOOK_EVERY, enough.cancelled()).await.is_ok() {
            return diary;
        }
    }
}

async fn look(http: &mut Http, swarm: &Swarm) -> Result<Look, Failure> {
    let began = swarm.now();
    let said = http.act("feed").await?;
    let cursor = serde_json::from_slice::<serde_json::Value>(&said).ok().and_then(|said| said["seq"].as_u64());
    let unread = |why: &str| Failure { fate: Fate::Lost, why: why.to_owned() };
    let cursor = cursor.ok_or_else(|| unread("a feed without its number"))?;
    let ended = swarm.now();
    let mut tips = Vec::new();
    for repository in swarm.projects.iter().map(String::as_str).chain([FORGE_PROJECT]) {
        let said = http.upload_pack(repository, capture::ls_refs(&[refs::LEDGER])).await?;
        let id = capture::packet(&said).and_then(|(line, _)| std::str::from_utf8(line.get(..40)?).ok()?.parse().ok());
        let id: Oid = id.ok_or_else(|| unread("a list of refs without the ledger"))?;
        tips.push((repository.to_owned(), id));
    }
    Ok(Look { began, ended, cursor, tips })
}

/// What the server warned of in its log.
pub(super) fn complaints(log: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).map(str::to_owned).collect()
}

fn failed(what: &str, failure: Failure) -> BenchError {
    unusable(what, failure.why)
}
