//! `forge bench contests`: agents whose hidden skill is known hold contests on a server, farms cheat beside them, and the
//! ratings that come out are held against both.
//!
//! Invariant: the server is a process of its own, and what it says of ratings at the end is computed again from its ledgers;
//! a run in which anything was lost, or a unit made, is no measurement, and says so.

mod arena;
mod plan;
mod report;
mod tickets;
mod verifiers;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use git::store::Store;
use notes_schema::event::Difficulty;
use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::error::{BenchError, io, unusable};
use super::machine;
use super::swarm::complaints;
use super::swarm::door::{Door, Failure, Http, reported};
use super::swarm::served::Served;
use super::swarm::work;
use crate::ledger::{Snapshot, verify};
use crate::state::elo::START;
use crate::state::played::start_of;
use arena::{Arena, Over, Player};
use plan::{EACH_FARM, HOST, Match, PROJECTS, Plan};
pub use report::Report;
use report::Verified;
use verifiers::Verifier;

/// Deadline of the first contests, in seconds, and one more for so many submissions; those that follow are given by how long
/// these took.
const FIRST_DEADLINE: u64 = 6;
const MORE_FOR: usize = 20;

/// What to play.
#[derive(Debug, Clone)]
pub struct Options {
    /// Honest agents.
    pub agents: usize,
    /// Their contests.
    pub contests: usize,
    /// Of a hundred rounds of them, how many are of contests with sealed tests, which verifiers run.
    pub sealed: usize,
    /// Of a thousand seats of verifiers, how many are trials.
    pub trials: u16,
    /// What decides everything that chance decides.
    pub seed: u64,
    /// Where the server works.
    pub dir: PathBuf,
}

/// What a run was.
struct Ran {
    plan: Plan,
    over: Vec<Over>,
    lost: Vec<String>,
    /// Submissions that were asked for in time.
    asked: usize,
    /// What the server says of each player's contests at the end, milli-Elo, and the most that each ever had.
    ratings: Vec<i64>,
    best: Vec<i64>,
    /// What it says of each player's merges.
    merges: Vec<i64>,
    /// How far the verifier who confirms everything is believed at the end, and the least of the others; none where none were.
    believed: Option<(u64, u64)>,
    seconds: f64,
}

/// Plays. `say` gets a line now and then.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("agents").build();
    let runtime = runtime.map_err(io("the runtime"))?;
    let machine = machine::describe(scratch.path());
    let (data, log) = (scratch.path().join("data"), scratch.path().join("server.log"));
    let logs = || File::options().create(true).append(true).open(&log).map_err(io("a log file"));
    // Who is an operator has registered before it is named as one.
    let served = Served::start(&data, None, &[], logs()?)?;
    let host = runtime.block_on(async {
        let mut host = Http::connect(served.http).await?;
        host.register("host").await.map(|_| host)
    });
    let host = host.map_err(|e| unusable("register", e.why))?;
    served.stop()?;
    let served = Served::start(&data, Some("host"), &[("FORGE_TRIAL_PERMILLE", options.trials.to_string())], logs()?)?;
    let ran = runtime.block_on(play(options, &data, &served, host, say))?;
    say("stopping the server, and reading its ledgers");
    served.stop()?;
    // Connections to a server that has ended are told so before they are dropped.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let checked = verify::verify(&data).map_err(io("forge verify"))?;
    let root = verify::replay_root(&data).map_err(|why| unusable("forge ratings replay", why))?;
    let mut lost = ran.lost.clone();
    lost.extend(differences(&ran, &root));
    let verified = match ran.believed {
        Some(believed) => Some(Verified::of(&ran.over, &verifiers::trials(&data)?, believed)),
        None => None,
    };
    lost.extend(verified.iter().filter(|verified| verified.wronged > 0).map(|verified| {
        format!("verifiers who look at what they are given were found wrong {} times", verified.wronged)
    }));
    let mut report = Report {
        rows: rows(options, &ran, &root, verified.as_ref()),
        agents: options.agents,
        contests: options.contests,
        seed: options.seed,
        verified,
        seconds: ran.seconds,
        late: ran.over.iter().map(|over| over.late).sum(),
        misplaced: ran.over.iter().map(|over| over.misplaced).sum(),
        lost,
        faults: checked.faults.iter().chain(&checked.pending).cloned().collect(),
        complaints: complaints(&fs::read_to_string(&log).unwrap_or_default()),
        machine,
        kept: None,
    };
    if !report.is_clean() {
        report.kept = Some(scratch.keep());
    }
    Ok(report)
}

async fn play(
    options: &Options,
    data: &Path,
    served: &Served,
    host: Http,
    say: &dyn Fn(&str),
) -> Result<Ran, BenchError> {
    let failed = |what: &'static str| move |failure: Failure| unusable(what, failure.why);
    let mut plan = Plan::of(options.agents, options.contests, options.sealed, options.seed);
    say(&format!("{} agents join", plan.players.len()));
    let mut host = Door::Http(host.moved(served.http).await.map_err(failed("connecting"))?);
    let mut doors = Vec::new();
    for who in &plan.players[HOST + 1..] {
        let mut door = Http::connect(served.http).await.map_err(failed("connecting"))?;
        door.register(&who.name).await.map_err(failed("register"))?;
        doors.push(Door::Http(door));
    }
    for (name, owner) in plan.players.iter().filter_map(|who| Some((&who.name, who.owner.as_ref()?))) {
        host.act(&format!("admin vouch {name} --owner {owner}")).await.map_err(failed("vouch"))?;
    }
    let mut verifiers = verifiers::join(served, &mut host, options.sealed > 0).await.map_err(failed("verifiers"))?;
    doors.insert(HOST, host);
    let founders = [HOST, plan.farms[0].1[0], plan.farms[1].1[0], plan.farms[2].1[0]];
    for (project, founder) in PROJECTS.iter().zip(founders) {
        doors[founder].act(&format!("project new {project}")).await.map_err(failed("project new"))?;
        let first = work::first(project)?;
        let report = doors[founder].push(project, &first.body).await.map_err(failed("the first push"))?;
        reported(&report, first.refs.iter().map(|(name, _)| name)).map_err(failed("the first push"))?;
    }
    let stores = PROJECTS.iter().map(|p| Store::open(&data.join("repositories").join(format!("{p}.git"))));
    let stores = stores.collect::<Result<Vec<_>, _>>().map_err(|e| unusable("a project", e))?;
    let players = plan.players.iter().zip(doors);
    let players = players.map(|(who, door)| Player { name: who.name.clone(), door: Mutex::new(door) }).collect();
    let arena = Arc::new(Arena { players, stores });
    let mut ratings = vec![START; plan.players.len()];
    let (mut best, mut deadline) = (ratings.clone(), FIRST_DEADLINE + (plan.players.len() / MORE_FOR) as u64);
    let (mut over, mut lost, mut asked) = (Vec::new(), Vec::new(), 0);
    let began = Instant::now();
    loop {
        let wave = plan.next(|who| ratings[who]);
        if wave.is_empty() {
            break;
        }
        asked += wave.iter().map(|contest| contest.order.len()).sum::<usize>();
        let held = match wave.iter().any(|contest| contest.sealed) {
            true => verified(&arena, wave, deadline, (&mut lost, &mut verifiers)).await?,
            false => hold(&arena, wave, deadline, &mut lost).await?,
        };
        asked -= held.iter().map(|contest| contest.late).sum::<usize>();
        for contest in &held {
            for (&who, delta) in contest.contest.order.iter().zip(&contest.deltas) {
                ratings[who] += delta;
                best[who] = best[who].max(ratings[who]);
            }
        }
        let longest = held.iter().map(|contest| contest.took).max().unwrap_or_default();
        // Whatever else the machine does, what is submitted is in long before the close.
        deadline = longest.as_secs() * 3 + 4;
        over.extend(held);
        say(&format!("{} contests are ranked, those of farms among them; they took {longest:.1?}", over.len()));
    }
    let seconds = began.elapsed().as_secs_f64();
    let tickets = (options.contests / EACH_FARM).max(1);
    say(&format!("each farm works off {tickets} trivial tickets"));
    for (at, (_, members)) in plan.farms.iter().enumerate() {
        lost.extend(tickets::work_off(&arena, at + 1, members, tickets).await.err());
    }
    let (told, merges) = (profiles(&arena, Track::Simulator).await?, profiles(&arena, Track::Antfarm).await?);
    for ((player, told), summed) in arena.players.iter().zip(&told).zip(&ratings).filter(|((_, a), b)| a != b) {
        lost.push(format!("{} has {told}, and all it was told of makes {summed}", player.name));
    }
    let believed = verifiers::believed(&mut verifiers).await.map_err(failed("verify"))?;
    Ok(Ran { plan, over, lost, asked, ratings: told, best, merges, believed, seconds })
}

/// Holds contests with sealed tests at once, beside those who verify them.
async fn verified(
    arena: &Arc<Arena>,
    wave: Vec<Match>,
    deadline: u64,
    (lost, verifiers): (&mut Vec<String>, &mut Vec<Verifier>),
) -> Result<Vec<Over>, BenchError> {
    let failed = |failure: Failure| unusable("verify", failure.why);
    for verifier in verifiers.iter_mut() {
        verifier.offer(true).await.map_err(failed)?;
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut working = JoinSet::new();
    for mut verifier in verifiers.drain(..) {
        let (over, arena) = (over.clone(), arena.clone());
        working.spawn(async move {
            // Honest contests are all of one project.
            let worked = verifier.work(&arena.stores[0], &over).await;
            (verifier, worked)
        });
    }
    let held = hold(arena, wave, deadline, lost).await;
    over.store(true, Ordering::Relaxed);
    while let Some(worked) = working.join_next().await {
        let (verifier, worked) = worked.map_err(|e| unusable("a verifier", e))?;
        lost.extend(worked.err());
        verifiers.push(verifier);
    }
    for verifier in verifiers.iter_mut() {
        verifier.offer(false).await.map_err(failed)?;
    }
    held
}

/// Holds contests at once; what failed is told in `lost`.
async fn hold(
    arena: &Arc<Arena>,
    wave: Vec<Match>,
    deadline: u64,
    lost: &mut Vec<String>,
) -> Result<Vec<Over>, BenchError> {
    let mut contests = JoinSet::new();
    for contest in wave {
        let arena = arena.clone();
        contests.spawn(async move { arena.hold(contest, deadline).await });
    }
    let mut held = Vec::new();
    while let Some(over) = contests.join_next().await {
        match over.map_err(|e| unusable("a contest", e))? {
            Ok(over) => held.push(over),
            Err(why) => lost.push(why),
        }
    }
    Ok(held)
}

/// What the server says of each player's rating on a track.
async fn profiles(arena: &Arena, track: Track) -> Result<Vec<i64>, BenchError> {
    let mut ratings = Vec::new();
    for player in &arena.players {
        let said = player.door.lock().await.act(&format!("profile {}", player.name)).await;
        let said = said.map_err(|e| unusable("profile", e.why))?;
        let rating = said["ratings"][track.as_str()].as_i64();
        ratings.push(rating.ok_or_else(|| unusable("profile", "no rating"))?);
    }
    Ok(ratings)
}

/// Where the ledgers, computed again, say another thing than the server did; and what was made or lost.
fn differences(ran: &Ran, root: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let mut sum = 0;
    for ((who, told), merges) in ran.plan.players.iter().zip(&ran.ratings).zip(&ran.merges) {
        let Ok(name) = who.name.parse::<AgentName>() else { continue };
        let held = root.fold.ratings.of(&name, Track::Simulator);
        sum += held - START;
        if held != *told {
            found.push(format!("{name} was told {told}, and the ledgers make it {held}"));
        }
        let held = root.fold.ratings.of(&name, Track::Antfarm);
        if held != *merges {
            found.push(format!("{name} was told {merges} of merges, and the ledgers make it {held}"));
        }
    }
    let issues: BTreeMap<(usize, u64), Difficulty> =
        ran.over.iter().map(|over| ((over.contest.project, over.issue), over.contest.difficulty)).collect();
    for ((project, n), difficulty) in issues {
        let Ok(project) = PROJECTS[project].parse() else { continue };
        sum += root.fold.ratings.played.issue(&ItemRef { project, n }, difficulty) - start_of(difficulty);
    }
    if sum != 0 {
        found.push(format!("{sum} milli-Elo of agents and issues came of nothing"));
    }
    found
}

fn rows(options: &Options, ran: &Ran, root: &Snapshot, verified: Option<&Verified>) -> Vec<report::Row> {
    let rated: Vec<f64> = ran.plan.honest.iter().map(|&who| ran.ratings[who] as f64).collect();
    let honest = ran.over.iter().filter(|over| over.contest.project == 0);
    let each = honest.map(|over| over.contest.order.len()).sum::<usize>() / options.agents.max(1);
    let counted = ran.over.iter().map(|over| over.contest.order.len()).sum();
    let mut rows = vec![report::found(world::correlation(&rated, &ran.plan.world.skills), each)];
    for (farm, members) in &ran.plan.farms {
        let best = members.iter().map(|&who| ran.best[who] - START).max().unwrap_or(0);
        rows.push(report::gained(farm, best));
    }
    for (farm, members) in &ran.plan.farms {
        let names = members.iter().filter_map(|&who| ran.plan.players[who].name.parse().ok());
        let (best, merges) = tickets::gained(root, names);
        rows.push(report::gained_by_tickets(farm, best, merges));
    }
    rows.extend(verified.map(report::caught));
    rows.push(report::counted(counted, ran.asked));
    rows.push(report::speed(ran.over.len(), ran.seconds));
    rows
}
