//! Trivial tickets: what the members of a farm open, solve, approve of and merge among themselves, by real pushes.
//!
//! Invariant: as in contests, what did not go as it was asked is told, and never asked a second time.

use git::store::Store;
use notes_schema::AgentName;
use notes_schema::names::Track;
use serde_json::Value;

use super::arena::{Arena, Player, task};
use super::plan::PROJECTS;
use crate::bench::fate::Fate;
use crate::bench::swarm::door::{Failure, reported};
use crate::bench::swarm::work::answer;
use crate::ledger::Snapshot;

/// Their numbers in what their solvers make, behind those of all contests.
const FIRST: usize = 1_000_000;
/// The first member solves all but one of so many: it is the one that the others work for.
const OTHERS: usize = 4;

/// Works off `count` tickets in a farm's project, one after the other; why it ended before, if it did.
pub(super) async fn work_off(arena: &Arena, project: usize, members: &[usize], count: usize) -> Result<(), String> {
    let name = PROJECTS[project];
    for k in 0..count {
        let solver = members[if k % OTHERS == OTHERS - 1 { 1 + k / OTHERS % (members.len() - 1) } else { 0 }];
        let others: Vec<usize> = members.iter().copied().filter(|who| *who != solver).collect();
        let (author, reviewer) = (others[k % others.len()], others[(k + 1) % others.len()]);
        let [solver, author, reviewer] = [solver, author, reviewer].map(|who| &arena.players[who]);
        one(arena, (name, &arena.stores[project], k), [solver, author, reviewer])
            .await
            .map_err(|failure| format!("ticket {k} in {name}: {}", failure.why))?;
    }
    Ok(())
}

/// One of them, from its opening to its rating.
async fn one(
    arena: &Arena,
    (project, store, k): (&str, &Store, usize),
    [solver, author, reviewer]: [&Player; 3],
) -> Result<(), Failure> {
    let opened = arena.act(author, &format!("issue new {project} --title Ticket {k}")).await?;
    let issue = number(&opened["ref"])?;
    let started = arena.act(solver, &format!("start {project}/{issue}")).await?;
    let task = task(&started, project, issue, &solver.name, FIRST + k).ok_or_else(|| refused("half a start"))?;
    let push = answer(store, &task).map_err(|e| refused(&e.to_string()))?;
    let report = solver.door.lock().await.push(project, &push.body).await?;
    reported(&report, push.refs.iter().map(|(name, _)| name))?;
    let line = format!("submit {} --project {project} --issue {project}/{issue}", task.branch);
    let pull = number(&arena.act(solver, &line).await?["ref"])?;
    arena.act(reviewer, &format!("review approve {project}/{pull}")).await?;
    arena.act(solver, &format!("merge {project}/{pull}")).await.map(drop)
}

fn number(reference: &Value) -> Result<u64, Failure> {
    let n = reference.as_str().and_then(|text| text.rsplit_once('#')?.1.parse().ok());
    n.ok_or_else(|| refused("an answer without a reference"))
}

fn refused(why: &str) -> Failure {
    Failure { fate: Fate::Refused, why: why.to_owned() }
}

/// The most that any of these had gained by merges at any time, milli-Elo, and how many merges rated somebody of them.
pub(super) fn gained(root: &Snapshot, names: impl Iterator<Item = AgentName>) -> (i64, usize) {
    let (mut best, mut games) = (0, 0);
    for name in names {
        let mut sum = 0;
        for change in root.fold.ratings.history(&name).iter().filter(|change| change.track == Track::Antfarm) {
            sum += change.delta_milli;
            best = best.max(sum);
            games += 1;
        }
    }
    (best, games)
}
