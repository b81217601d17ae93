//! What one project adds to `today`, kept until something happens in it: with thousands of projects, a look folds those
//! anew where something did, and takes the others as they were.
//!
//! Invariant: what is kept follows from a ledger commit alone, which its digest names; the clock and the index have no part in
//! it. It is kept by the ledger's first commit, so all forges of a process may share it. What a reader may see is decided before
//! it is asked for.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use notes_schema::event::{Level, Verdict};
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256};
use serde::Serialize;

use super::MOST;
use crate::commands::context::Project;
use crate::ledger;
use crate::state::{PullState, PullStatus};

/// Most pull requests of a project of which it is looked up when they landed.
/// Limit: landed pull requests of a project that `today` looks at | {}, the newest
const LANDED: usize = 500;
/// A pull request has so many events after it landed that its landing is looked for among them.
const EVENTS: usize = 64;
/// Most projects of which it is kept.
/// Limit: projects of which it is kept what they add to `today` | {}; what others add is worked out with each look
const MOST_KEPT: usize = 50_000;

/// An agent at work.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Working {
    pub agent: AgentName,
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub title: String,
    pub since_ms: u64,
    pub due_ms: u64,
    /// How the newest records of it ended, oldest first.
    pub runs: Vec<&'static str>,
}

/// A pull request that waits.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Reviewing {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub title: String,
    pub author: AgentName,
    pub round: u64,
    pub level: Level,
    pub approved: Vec<AgentName>,
    pub objected: Vec<AgentName>,
    pub arrived_ms: u64,
    #[serde(skip)]
    pub seq: u64,
}

/// A pull request that landed.
#[derive(Debug, Clone, Serialize)]
pub(in crate::commands) struct Landing {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub title: String,
    pub author: AgentName,
    pub landed: Option<Oid>,
    pub level: Level,
    pub landed_ms: u64,
    #[serde(skip)]
    pub seq: u64,
}

/// What one project adds.
#[derive(Debug)]
pub(super) struct Part {
    /// The ledger commit that it was made of.
    digest: Sha256,
    /// Everybody who works on something.
    pub agents: BTreeSet<AgentName>,
    /// Those who began last.
    pub working: Vec<Begun>,
    /// How many pull requests are open.
    pub open_pulls: usize,
    /// Those of them where something happened last.
    pub reviewing: Vec<Reviewing>,
    /// What landed, the newest first.
    pub landings: Vec<Landing>,
}

/// An agent at work; how its runs ended is read when somebody looks.
#[derive(Debug)]
pub(super) struct Begun {
    pub since_ms: u64,
    row: Working,
    runs: OnceLock<Vec<&'static str>>,
}

impl Begun {
    /// The row, with how the agent's last runs ended.
    pub fn shown(&self, project: &Project) -> Working {
        let runs = self.runs.get_or_init(|| runs(project, &self.row));
        Working { runs: runs.clone(), ..self.row.clone() }
    }
}

/// Of the last looks, by the first commit of the ledger.
static KEPT: LazyLock<Mutex<HashMap<Oid, Arc<Part>>>> = LazyLock::new(Mutex::default);

/// What each of `projects` adds.
pub(super) fn of_all(projects: &[Project]) -> Vec<Arc<Part>> {
    let lock = || KEPT.lock().expect("invariant: no panic under this lock");
    let known: Vec<Option<Arc<Part>>> = {
        let kept = lock();
        projects.iter().map(|project| kept.get(&project.snapshot.genesis?).cloned()).collect()
    };
    let mut made = Vec::new();
    let one = |(project, known): (&Project, Option<Arc<Part>>)| match known {
        Some(known) if known.digest == project.snapshot.tip_digest => known,
        old => {
            let part = Arc::new(Part::of(project, old.as_deref()));
            made.extend(project.snapshot.genesis.map(|genesis| (genesis, part.clone())));
            part
        }
    };
    let parts = projects.iter().zip(known).map(one).collect();
    if !made.is_empty() {
        let mut kept = lock();
        for (genesis, part) in made {
            if kept.len() < MOST_KEPT || kept.contains_key(&genesis) {
                kept.insert(genesis, part);
            }
        }
    }
    parts
}

impl Part {
    /// `old` is what it was before something happened.
    fn of(project: &Project, old: Option<&Part>) -> Part {
        let (working, agents) = working(project);
        let (reviewing, open_pulls) = reviewing(project);
        let landings = landings(project, old);
        Part { digest: project.snapshot.tip_digest, agents, working, open_pulls, reviewing, landings }
    }
}

fn working(project: &Project) -> (Vec<Begun>, BTreeSet<AgentName>) {
    let fold = &project.snapshot.fold;
    let (mut rows, mut agents) = (Vec::new(), BTreeSet::new());
    // What was submitted waits for others.
    for (agent, n, work) in fold.works.all().filter(|(agent, n, _)| !fold.awaits(agent, *n)) {
        agents.insert(agent.clone());
        let Some(issue) = fold.issue(n) else { continue };
        let row = Working {
            agent: agent.clone(),
            reference: ItemRef { project: project.repository.name().clone(), n },
            title: issue.title.clone(),
            since_ms: work.since_ms,
            due_ms: work.due_ms(),
            runs: Vec::new(),
        };
        rows.push(Begun { since_ms: work.since_ms, row, runs: OnceLock::new() });
    }
    rows.sort_by_key(|row| Reverse(row.since_ms));
    rows.truncate(MOST);
    (rows, agents)
}

/// How the last attempts of an agent on an issue ended.
fn runs(project: &Project, row: &Working) -> Vec<&'static str> {
    const SHOWN: usize = 4;
    let store = project.repository.store();
    let of = project.snapshot.records_of(&row.agent).rev().filter(|known| known.issue == Some(row.reference.n));
    let mut ends = Vec::new();
    for record in of.take(SHOWN).filter_map(|known| crate::gate::read_record(store.as_ref(), known)) {
        ends.extend(record.attempts.iter().rev().map(|attempt| if attempt.succeeded() { "pass" } else { "fail" }));
    }
    ends.truncate(SHOWN);
    ends.reverse();
    ends
}

fn reviewing(project: &Project) -> (Vec<Reviewing>, usize) {
    let fold = &project.snapshot.fold;
    let open = || fold.open_pulls.values().filter_map(|n| Some((*n, fold.pull(*n)?)));
    let mut newest: Vec<(u64, &PullState)> = open().collect();
    newest.sort_by_key(|(_, pull)| Reverse(pull.last_q));
    let row = |(n, pull): (u64, &PullState)| {
        let named = |verdict: Verdict| pull.live(verdict).map(|review| review.agent.clone()).collect();
        Reviewing {
            reference: ItemRef { project: project.repository.name().clone(), n },
            title: pull.title.clone(),
            author: pull.author.clone(),
            round: pull.round,
            level: pull.proof.level,
            approved: named(Verdict::Approve),
            objected: named(Verdict::RequestChanges),
            arrived_ms: fold.arrived_ms(n),
            seq: pull.last_q,
        }
    };
    let all = newest.len();
    (newest.into_iter().take(MOST).map(row).collect(), all)
}

/// The newest landings of a project, the newest first. When one landed never changes, so what `old` knows is not looked up.
fn landings(project: &Project, old: Option<&Part>) -> Vec<Landing> {
    let fold = &project.snapshot.fold;
    let known: HashMap<(u64, u64), u64> =
        old.iter().flat_map(|old| &old.landings).map(|row| ((row.reference.n, row.seq), row.landed_ms)).collect();
    let merged = fold.pulls().rev().filter(|(_, pull)| pull.status == PullStatus::Merged).take(LANDED);
    let one = |(n, pull): (u64, &PullState)| {
        let seq = pull.ended_q?;
        Some(Landing {
            reference: ItemRef { project: project.repository.name().clone(), n },
            title: pull.title.clone(),
            author: pull.author.clone(),
            landed: pull.landed,
            level: pull.proof.level,
            landed_ms: known.get(&(n, seq)).copied().or_else(|| landed_ms(project, n, seq, pull.last_q))?,
            seq,
        })
    };
    let mut rows: Vec<Landing> = merged.filter_map(one).collect();
    rows.sort_by_key(|row| Reverse(row.seq));
    rows
}

/// When a pull request landed: its last event, or one before it that has this number.
fn landed_ms(project: &Project, n: u64, ended_q: u64, last_q: u64) -> Option<u64> {
    let entity = project.snapshot.fold.entities.get(&EntityId::Pull(n))?;
    if ended_q == last_q {
        return Some(entity.t);
    }
    let events = ledger::chain(project.repository.store().as_ref(), entity.tip, EVENTS).ok()?;
    events.into_iter().find(|read| read.event.q == ended_q).map(|read| read.event.t)
}
