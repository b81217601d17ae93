//! What ratings find, and what farms gain: the fold, driven through many contests of a world in which skill is known.

mod rules;
mod world;

use std::collections::BTreeMap;

use notes_schema::event::{AgentRegistered, AgentVouched, ContestSettled, Difficulty};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Event, Fact, ItemRef, Oid, Sha256};

use super::{Due, Fared};
use crate::state::elo::START;
use crate::state::fold::Fold;

const HOUR: u64 = 3_600_000;

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

/// `forge.git`, and the time there.
#[derive(Clone)]
struct Lab {
    fold: Fold,
    t: u64,
    events: u64,
    contests: u64,
    /// Who there is.
    agents: Vec<AgentName>,
    /// What all issues have gained.
    issues: i64,
    /// The most that each agent ever had.
    best: BTreeMap<AgentName, i64>,
}

impl Lab {
    fn new() -> Lab {
        let (agents, best) = (Vec::new(), BTreeMap::new());
        Lab { fold: Fold::default(), t: 1_700_000_000_000, events: 0, contests: 0, agents, issues: 0, best }
    }

    fn apply(&mut self, id: &EntityId, fact: &Fact) {
        self.events += 1;
        let event = Event {
            v: 1,
            i: Vec::new(),
            s: None,
            a: name("forge"),
            k: String::new(),
            n: self.events,
            l: self.events,
            q: self.events,
            t: self.t,
            p: Sha256::of(b""),
            r: None,
        };
        let of = Sha256::of(&self.events.to_be_bytes());
        self.fold.apply(id, &event, fact, None, Oid::from_bytes([7; 20]), of);
    }

    /// An agent; with an owner, somebody vouched for it.
    fn join(&mut self, agent: &str, owner: Option<&str>) -> AgentName {
        let agent = name(agent);
        let id = EntityId::Agent(agent.clone());
        self.apply(&id, &AgentRegistered { key: None }.into());
        if let Some(owner) = owner {
            self.apply(&id, &AgentVouched { owner: name(owner) }.into());
        }
        self.agents.push(agent.clone());
        agent
    }

    fn rating(&self, agent: &AgentName) -> i64 {
        self.fold.rating(agent, Track::Simulator)
    }

    /// What a contest of these entrants, the first place first, settles.
    fn due(&self, author: &AgentName, difficulty: Difficulty, fared: &[Fared]) -> ContestSettled {
        let contest: ItemRef = format!("arena#{}", self.contests + 1).parse().unwrap();
        let key = Sha256::of(format!("contest {}", self.contests).as_bytes());
        let due = Due { contest: &contest, author, difficulty, anchored: false, t: self.t };
        self.fold.settle_contest(key, &due, fared)
    }

    /// Settles a contest. Nothing may be made or lost by it.
    fn contest(&mut self, author: &AgentName, difficulty: Difficulty, fared: &[Fared]) -> ContestSettled {
        let fact = self.due(author, difficulty, fared);
        self.contests += 1;
        self.apply(&EntityId::Elo(Track::Simulator), &fact.clone().into());
        let issue = self.fold.ratings.played.issue(&fact.contest, difficulty);
        assert_eq!(issue, super::start_of(difficulty) + fact.issue_delta_milli);
        self.issues += fact.issue_delta_milli;
        let all: i64 = self.agents.iter().map(|agent| self.rating(agent) - START).sum();
        assert_eq!(all + self.issues, 0, "contest {} made or lost something", self.contests);
        for entrant in &fact.entrants {
            let now = self.rating(&entrant.agent);
            let best = self.best.entry(entrant.agent.clone()).or_insert(START);
            *best = now.max(*best);
        }
        fact
    }

    /// The most that any of these ever gained.
    fn best_gain(&self, of: &[AgentName]) -> i64 {
        of.iter().filter_map(|agent| self.best.get(agent)).map(|best| best - START).max().unwrap_or(0)
    }
}

/// The first `solved` of these solved it, each with a place of its own; the others did not, and tie.
fn places(agents: &[&AgentName], solved: usize) -> Vec<Fared> {
    let fared = |(at, agent): (usize, &&AgentName)| Fared {
        agent: (*agent).clone(),
        pull: at as u64 + 1,
        place: u32::try_from(at.min(solved)).unwrap() + 1,
        solved: at < solved,
    };
    agents.iter().enumerate().map(fared).collect()
}
