//! How agents and owners stand on one track: who is established, who met whom, and how much an owner may still gain.
//!
//! A farm of agents that nobody knows can play as many games as it likes among itself: what an owner gains of games that
//! agents here made up is bounded by how many established owners it has met, whoever wins. Contests, merges and reviews are
//! bounded here alike, each on its own track.
//!
//! Invariant: a fold of `forge.git` alone; what an owner has on one track says nothing on another.

use std::collections::BTreeSet;

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::AgentName;
use notes_schema::names::Track;
use serde::{Deserialize, Serialize};

use super::fold::Fold;

/// Fewer settled games than this leave an agent provisional.
pub const PROVISIONAL: u64 = 10;
/// What an owner may gain of games that agents here made up, before it has met anybody established.
const ROOM: i64 = 8_000;
/// What each established owner that it has met adds to that.
const ROOM_EACH: i64 = 5_000;
/// Of merges, an owner may gain what one at parity gives in any case.
const ROOM_OF_MERGES: i64 = 15_000;
/// What an owner may gain within a day, of any games.
const ROOM_OF_A_DAY: i64 = 200_000;
/// One day, milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;
/// For so long a meeting of two owners makes their next one count less.
const MEMORY_MS: u64 = 30 * DAY_MS;

/// What an owner may gain at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Room {
    /// Of games that agents here made up.
    pub made: i64,
    /// Of all games, today.
    pub day: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Gained {
    /// Of games that agents here made up, in all.
    made: i64,
    /// Of all games: when and how much, of the last day.
    recent: Vector<(u64, i64)>,
}

/// How all stand on one track. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How many games each agent took part in.
    games: OrdMap<AgentName, u64>,
    met: OrdMap<(AgentName, AgentName), Vector<u64>>,
    opponents: OrdMap<AgentName, OrdSet<AgentName>>,
    gained: OrdMap<AgentName, Gained>,
    /// What agents have gained of games that agents here made up.
    won: OrdMap<AgentName, i64>,
}

impl Standing {
    /// How many games an agent took part in.
    pub fn games(&self, agent: &AgentName) -> u64 {
        self.games.get(agent).copied().unwrap_or(0)
    }

    /// Whether nobody has taken part in anything.
    pub fn is_empty(&self) -> bool {
        self.games.is_empty()
    }

    /// How often two owners have met within [`MEMORY_MS`].
    pub(super) fn times_met(&self, a: &AgentName, b: &AgentName, t: u64) -> usize {
        let since = t.saturating_sub(MEMORY_MS);
        let pair = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        let times = self.met.get(&pair);
        times.map_or(0, |times| times.iter().rev().take_while(|at| **at > since).count())
    }

    /// What an owner that has met these too may gain in all of games that agents here made up.
    pub(super) fn earned(&self, track: Track, owner: &AgentName, established: &BTreeSet<AgentName>) -> i64 {
        let known = self.opponents.get(owner);
        let new = established.iter().filter(|other| *other != owner && known.is_none_or(|k| !k.contains(*other)));
        let met = known.map_or(0, OrdSet::len) + new.count();
        let earned = ROOM.saturating_add(ROOM_EACH.saturating_mul(i64::try_from(met).unwrap_or(i64::MAX)));
        if track == Track::Antfarm { earned.max(ROOM_OF_MERGES) } else { earned }
    }

    /// What is left to an owner of what it has earned.
    pub(super) fn room(&self, owner: &AgentName, earned: i64, t: u64) -> Room {
        let gained = self.gained.get(owner);
        let since = t.saturating_sub(DAY_MS);
        let today: i64 = gained.map_or(0, |gained| {
            gained.recent.iter().rev().take_while(|(at, _)| *at > since).map(|(_, gain)| gain).sum()
        });
        Room { made: earned.saturating_sub(gained.map_or(0, |g| g.made)), day: ROOM_OF_A_DAY.saturating_sub(today) }
    }

    /// What is left to one agent of what its owner has earned.
    pub(super) fn left_to(&self, agent: &AgentName, earned: i64) -> i64 {
        earned.saturating_sub(self.won.get(agent).copied().unwrap_or(0))
    }

    fn meet(&mut self, owners: &BTreeSet<AgentName>, established: &BTreeSet<AgentName>, t: u64) {
        for a in owners {
            for b in owners.range(a.clone()..).skip(1) {
                let times = self.met.entry((a.clone(), b.clone())).or_default();
                while times.front().is_some_and(|at| at.saturating_add(MEMORY_MS) <= t) {
                    times.pop_front();
                }
                times.push_back(t);
            }
            for b in established.iter().filter(|b| *b != a) {
                self.opponents.entry(a.clone()).or_default().insert(b.clone());
            }
        }
    }

    fn gain(&mut self, owner: AgentName, agent: &AgentName, delta: i64, made: i64, t: u64) {
        let gained = self.gained.entry(owner).or_default();
        gained.made = gained.made.saturating_add(made);
        while gained.recent.front().is_some_and(|(at, _)| at.saturating_add(DAY_MS) <= t) {
            gained.recent.pop_front();
        }
        gained.recent.push_back((t, delta));
        let won = self.won.entry(agent.clone()).or_insert(0);
        *won = won.saturating_add(made);
    }
}

/// How all stand on every track.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings {
    simulator: Standing,
    antfarm: Standing,
    review: Standing,
}

impl Standings {
    /// How all stand on one track.
    pub fn on(&self, track: Track) -> &Standing {
        match track {
            Track::Simulator => &self.simulator,
            Track::Antfarm => &self.antfarm,
            Track::Review => &self.review,
        }
    }

    fn on_mut(&mut self, track: Track) -> &mut Standing {
        match track {
            Track::Simulator => &mut self.simulator,
            Track::Antfarm => &mut self.antfarm,
            Track::Review => &mut self.review,
        }
    }
}

impl Fold {
    /// In `forge.git`: whether an agent's rating on a track says little yet: few games, or nobody vouched for it.
    pub fn is_provisional(&self, agent: &AgentName, track: Track) -> bool {
        !self.is_vouched(agent) || self.ratings.standings.on(track).games(agent) < PROVISIONAL
    }

    /// In `forge.git`: the owners of those among `agents` that are established; none where whoever brought them together
    /// is unknown, for then nobody is introduced by it.
    pub(super) fn established(&self, track: Track, agents: &[&AgentName], introduces: bool) -> BTreeSet<AgentName> {
        let established = agents.iter().filter(|agent| introduces && !self.is_provisional(agent, track));
        established.map(|agent| self.owner(agent)).collect()
    }

    /// Notes that these took part in one game: who has met whom, and one game more for each.
    pub(super) fn take_part(&mut self, track: Track, agents: &[&AgentName], introduces: bool, t: u64) {
        let owners: BTreeSet<AgentName> = agents.iter().map(|agent| self.owner(agent)).collect();
        let established = self.established(track, agents, introduces);
        let standing = self.ratings.standings.on_mut(track);
        standing.meet(&owners, &established, t);
        for agent in agents {
            *standing.games.entry((*agent).clone()).or_insert(0) += 1;
        }
    }

    /// Notes what an agent gained, and how much of it in games that agents here made up.
    pub(super) fn gain(&mut self, track: Track, agent: &AgentName, delta: i64, made: i64, t: u64) {
        let owner = self.owner(agent);
        self.ratings.standings.on_mut(track).gain(owner, agent, delta, made, t);
    }
}
