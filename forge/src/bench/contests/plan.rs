//! Who meets whom: honest agents in contests of a world in which skill is known, and farms that deceive beside them.
//!
//! Invariant: pure. Who enters what follows from the seed and from the ratings that the server has told so far.

use notes_schema::event::Difficulty;

use super::world::{Chance, World};
use crate::state::elo::Tier;
use crate::state::played::start_of;

/// Most entrants of an honest contest, and of one of the farm's.
const ENTRANTS: usize = 10;
/// Agents of the farm that nobody vouched for, where there are two hundred honest ones.
const FARM: usize = 50;
/// For so many honest contests each farm plays one, and works off one ticket.
pub(super) const EACH_FARM: usize = 5;
/// Who opens honest contests.
pub(super) const HOST: usize = 0;
/// Projects: honest contests', the farm's, the ring's, and that of who is its own judge.
pub(super) const PROJECTS: [&str; 4] = ["arena", "farm", "ring", "own"];

/// A contest as it is to go.
#[derive(Debug, Clone)]
pub(super) struct Match {
    /// Its number, which names it.
    pub n: usize,
    /// Of [`PROJECTS`].
    pub project: usize,
    /// Who opens it.
    pub author: usize,
    pub difficulty: Difficulty,
    /// The entrants, the best first; those who solved it come before those who did not.
    pub order: Vec<usize>,
    /// How many solved it.
    pub solved: usize,
    /// Whether tests are sealed of it, that verifiers run.
    pub sealed: bool,
}

/// An agent, before it has connected.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub name: String,
    /// Who answers for it, where an operator vouches for it.
    pub owner: Option<String>,
}

/// All contests of a run.
pub(super) struct Plan {
    pub world: World,
    pub players: Vec<Who>,
    /// Places in `players` of honest agents.
    pub honest: Vec<usize>,
    /// What each farm is called, and its members in `players`.
    pub farms: [(&'static str, Vec<usize>); 3],
    entrants: usize,
    contests: usize,
    begun: usize,
    /// Of a hundred rounds of contests at once, so many are of contests with sealed tests.
    sealed: usize,
    rounds: usize,
    /// How many contests each farm has begun.
    farmed: usize,
    numbers: usize,
    chance: Chance,
}

impl Plan {
    pub fn of(agents: usize, contests: usize, sealed: usize, seed: u64) -> Plan {
        let mut players = vec![Who { name: "host".to_owned(), owner: Some("house".to_owned()) }];
        let mut join = |name: String, owner: Option<String>| {
            players.push(Who { name, owner });
            players.len() - 1
        };
        let honest = (0..agents).map(|k| join(format!("agent-{k}"), Some(format!("owner-{k}")))).collect();
        let farm = (0..(FARM * agents / 200).clamp(3, FARM)).map(|k| join(format!("farm-{k}"), None)).collect();
        let ring = (0..3).map(|k| join(format!("ring-{k}"), Some(format!("boss-{k}")))).collect();
        let own = vec![join("cheat".to_owned(), Some("shade".to_owned())), join("sock".to_owned(), None)];
        let farms = [("farm nobody vouched for", farm), ("ring of three owners", ring), ("judge of its own", own)];
        let entrants = ENTRANTS.min(agents / 2).max(2);
        let (world, chance) = (World::of(agents, seed), Chance::of(!seed));
        let (begun, rounds, farmed, numbers) = (0, 0, 0, 0);
        Plan { world, players, honest, farms, entrants, contests, begun, sealed, rounds, farmed, numbers, chance }
    }

    /// Contests that are to be at once next; none once all were. `rating` says what the server has told of an agent. Who offers to
    /// verify may be drawn for every contest that closes meanwhile: those with sealed tests are at once with no others, and the
    /// farms' come with the next that have none.
    pub fn next(&mut self, rating: impl Fn(usize) -> i64) -> Vec<Match> {
        let at_once = (self.honest.len() / self.entrants).clamp(1, self.contests - self.begun + 1);
        let (from, to) = (self.begun, (self.begun + at_once).min(self.contests));
        let is_last = to == self.contests && from == to;
        let share = |rounds: usize| rounds * self.sealed / 100;
        let sealed = !is_last && share(self.rounds + 1) > share(self.rounds);
        self.rounds += 1;
        let mut free = self.honest.clone();
        let mut wave = Vec::new();
        for _ in from..to {
            let mut issue = self.world.issue();
            let may = |said| -> Vec<usize> {
                let asks = Tier::of(start_of(said));
                free.iter().copied().filter(|&who| Tier::of(rating(who)) >= asks).collect()
            };
            if may(issue.said).len() < self.entrants {
                issue.said = Difficulty::Medium;
            }
            let some = self.world.chance.some_of(may(issue.said), self.entrants);
            free.retain(|who| !some.contains(who));
            // Honest agents stand behind the host, in the order of their skills.
            let skilled: Vec<usize> = some.iter().map(|who| who - 1).collect();
            let played = self.world.play(issue, &skilled);
            let solved = played.iter().filter(|(_, solved)| *solved).count();
            let order = played.iter().map(|(k, _)| k + 1).collect();
            wave.push(Match { sealed, ..self.contest(0, HOST, issue.said, order, solved) });
        }
        while !sealed && self.farmed < to.div_ceil(EACH_FARM) {
            wave.extend(self.farms(self.farmed));
            self.farmed += 1;
        }
        self.begun = to;
        wave
    }

    /// The next contest of each farm.
    fn farms(&mut self, k: usize) -> [Match; 3] {
        let [(_, farm), (_, ring), (_, own)] = self.farms.clone();
        // The first of the farm always wins.
        let mut order = vec![farm[0]];
        order.extend(self.chance.some_of(farm[1..].to_vec(), ENTRANTS - 1));
        let author = farm[1 + self.chance.below(farm.len() - 1)];
        let farmed = self.contest(1, author, Difficulty::Medium, order, 1);
        // The others open what the first solves best.
        let (author, other) = if k.is_multiple_of(2) { (ring[1], ring[2]) } else { (ring[2], ring[1]) };
        let colluded = self.contest(2, author, Difficulty::Easy, vec![ring[0], other, author], 3);
        let (author, order) = match k % 3 {
            0 => (own[0], vec![own[0]]),
            1 => (own[0], own.clone()),
            _ => (own[1], own.clone()),
        };
        [farmed, colluded, self.contest(3, author, Difficulty::Medium, order, 1)]
    }

    fn contest(
        &mut self,
        project: usize,
        author: usize,
        difficulty: Difficulty,
        order: Vec<usize>,
        solved: usize,
    ) -> Match {
        self.numbers += 1;
        Match { n: self.numbers, project, author, difficulty, order, solved, sealed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_plays_one_honest_contest_at_a_time_and_the_farms_beside_them() {
        let mut plan = Plan::of(24, 20, 40, 3);
        let (mut honest, mut farmed, mut sealed) = (0, 0, 0);
        loop {
            let wave = plan.next(|_| 1_000_000);
            if wave.is_empty() {
                break;
            }
            let mut entered: Vec<usize> =
                wave.iter().filter(|m| m.project == 0).flat_map(|m| m.order.clone()).collect();
            let all = entered.len();
            entered.sort_unstable();
            entered.dedup();
            assert_eq!(entered.len(), all);
            assert!(entered.iter().all(|who| plan.honest.contains(who)));
            assert!(wave.iter().all(|m| m.difficulty != Difficulty::Hard), "nobody is in that tier");
            let tested = wave.iter().filter(|m| m.sealed).count();
            assert!(tested == 0 || tested == wave.len(), "verifiers are drawn for whatever closes");
            sealed += tested;
            honest += wave.iter().filter(|m| m.project == 0).count();
            farmed += wave.iter().filter(|m| m.project != 0).count();
        }
        assert_eq!((honest, farmed), (20, 12));
        assert!((6..=8).contains(&sealed), "{sealed}");
    }
}
