//! What contests have made of ratings, and the inputs of the next. What bounds a farm is [`super::standing`]'s business.
//!
//! Invariant: a fold of `forge.git` alone; the same inputs give the same [`Outcome`] on every machine, now and when it is
//! corrected.

use std::collections::BTreeSet;

use imbl::OrdMap;
use notes_schema::event::{ContestCorrected, ContestSettled, Difficulty, Entrant as Line};
use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef, Sha256};
use serde::{Deserialize, Serialize};

use super::elo::{self, Keeps, Outcome};
use super::fold::Fold;
use super::standing::{PROVISIONAL, Room};
use super::{Shared, elo::Entrant};

/// The rules by which contests are settled now; those of before are followed where a settlement says so.
pub const RULES: u64 = 1;
/// So many owners must have submitted before an issue that an agent here made up counts as an opponent.
const INDEPENDENT: usize = 3;

/// Rating of an issue before anybody has tried it.
pub fn start_of(difficulty: Difficulty) -> i64 {
    match difficulty {
        Difficulty::Easy => 900_000,
        Difficulty::Medium => 1_100_000,
        Difficulty::Hard => 1_400_000,
    }
}

/// A contest whose ratings are due.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    /// The issue.
    pub contest: &'a ItemRef,
    /// Who opened it.
    pub author: &'a AgentName,
    /// How hard it was said to be.
    pub difficulty: Difficulty,
    /// Whether it came from elsewhere.
    pub anchored: bool,
    /// When, milliseconds since 1970.
    pub t: u64,
    /// By which rules: [`RULES`], or those by which it was settled.
    pub rules: u64,
}

impl Due<'_> {
    /// Whether its issue was taken for one that nobody here made up. Whoever has a project imports what it likes, so no issue
    /// is by the rules of now.
    fn came_from_elsewhere(&self) -> bool {
        self.anchored && self.rules == 0
    }
}

/// How an entrant fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fared {
    /// The agent.
    pub agent: AgentName,
    /// Its pull request.
    pub pull: u64,
    /// 1 is best; equal places are ties.
    pub place: u32,
    /// Whether it solved the issue.
    pub solved: bool,
}

impl Fared {
    /// As a settlement or a correction says.
    pub fn of(line: &Line) -> Fared {
        Fared { agent: line.agent.clone(), pull: line.pull, place: line.place, solved: line.solved }
    }
}

/// An entrant's part of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    rating: i64,
    issue_k: i64,
    /// Its owner's place in `rooms`.
    owner: usize,
    /// What it may gain itself at most of games that agents here made up.
    room: i64,
}

/// Everything that decides what a contest moves but how its entrants fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    issue: i64,
    /// Whether what is gained of the issue takes no room.
    anchored: bool,
    entrants: Vec<Input>,
    /// How much each pair counts, permille, the first entrant's pairs first.
    weights: Vec<u16>,
    rooms: Vec<Room>,
}

impl Inputs {
    fn weight(&self, i: usize, j: usize) -> i64 {
        // Pairs before those of i: (n-1) + (n-2) + … .
        let before = i * (2 * self.entrants.len() - i - 1) / 2;
        self.weights.get(before + j - i - 1).map_or(0, |w| i64::from(*w))
    }

    /// What the contest moves where its entrants fared so, in their order.
    pub fn outcome(&self, fared: &[Fared]) -> Outcome {
        let entrants = self.entrants(fared);
        self.settled(&entrants, &self.keeps(&entrants))
    }

    /// The part of it that comes of games that agents here made up.
    fn made(&self, fared: &[Fared]) -> Vec<i64> {
        let mut entrants = self.entrants(fared);
        let keeps = self.keeps(&entrants);
        for entrant in entrants.iter_mut().filter(|_| self.anchored) {
            entrant.issue_k = 0;
        }
        self.settled(&entrants, &keeps).agents
    }

    fn entrants(&self, fared: &[Fared]) -> Vec<Entrant> {
        let entrant = |(input, fared): (&Input, &Fared)| Entrant {
            rating: input.rating,
            place: fared.place,
            solved: fared.solved,
            issue_k: input.issue_k,
        };
        self.entrants.iter().zip(fared).map(entrant).collect()
    }

    fn settled(&self, entrants: &[Entrant], keeps: &[Keeps]) -> Outcome {
        elo::contest(entrants, self.issue, |i, j| self.weight(i, j), |i| keeps[i])
    }

    /// What each entrant keeps of its gains, so that neither it nor its owner gains more than there is room for.
    fn keeps(&self, entrants: &[Entrant]) -> Vec<Keeps> {
        let mut own = vec![Gains::default(); entrants.len()];
        for (i, a) in entrants.iter().enumerate() {
            for (j, b) in entrants.iter().enumerate().skip(i + 1) {
                let score = elo::score(a.place, b.place);
                let gain = elo::pair(a.rating, b.rating, score, self.weight(i, j), entrants.len());
                own[if gain > 0 { i } else { j }].pairs += gain.abs();
            }
            let score = if a.solved { elo::WIN } else { elo::LOSS };
            own[i].issue += elo::game(a.rating, self.issue, score, a.issue_k).max(0);
        }
        let mut all = vec![Gains::default(); self.rooms.len()];
        for (input, own) in self.entrants.iter().zip(&own) {
            let all = &mut all[input.owner];
            (all.pairs, all.issue) = (all.pairs + own.pairs, all.issue + own.issue);
        }
        let keeps = |(input, own): (&Input, &Gains)| {
            let (room, all) = (&self.rooms[input.owner], &all[input.owner]);
            let of_made = share(room.made, all.made(self.anchored)).min(share(input.room, own.made(self.anchored)));
            let of_issue = if self.anchored { 1000 } else { of_made };
            let of_day = share(room.day, all.pairs * of_made / 1000 + all.issue * of_issue / 1000);
            Keeps { pairs: of_made * of_day / 1000, issue: of_issue * of_day / 1000 }
        };
        self.entrants.iter().zip(&own).map(keeps).collect()
    }
}

/// What would be gained if there were room for it.
#[derive(Debug, Clone, Copy, Default)]
struct Gains {
    pairs: i64,
    issue: i64,
}

impl Gains {
    /// The part of it that comes of games that agents here made up.
    fn made(self, anchored: bool) -> i64 {
        if anchored { self.pairs } else { self.pairs + self.issue }
    }
}

/// How much of `gain` fits into `room`, permille.
fn share(room: i64, gain: i64) -> i64 {
    // A correction may have left less than nothing: who gains nothing then asks for none of it.
    if gain <= room.max(0) { 1000 } else { room.max(0).saturating_mul(1000) / gain }
}

/// A contest as it was settled, and corrected since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledContest {
    /// The issue.
    pub contest: ItemRef,
    /// What decided it.
    pub inputs: Inputs,
    /// Agents and pull requests, with the places that are rated now.
    pub fared: Vec<Fared>,
    /// What it has given each, corrections included.
    pub given: Vec<i64>,
    /// What it has given the issue.
    pub issue_given: i64,
}

/// All contests that were settled. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    issues: OrdMap<ItemRef, i64>,
    settled: OrdMap<Sha256, Shared<SettledContest>>,
    of: OrdMap<ItemRef, Sha256>,
    /// The newest rules by which any was settled.
    pub rules: u64,
}

impl Played {
    /// An issue's rating, milli-Elo.
    pub fn issue(&self, contest: &ItemRef, difficulty: Difficulty) -> i64 {
        self.issues.get(contest).copied().unwrap_or_else(|| start_of(difficulty))
    }

    /// The settlement of a contest: its key, and what it was made of.
    pub fn settlement(&self, contest: &ItemRef) -> Option<(Sha256, &SettledContest)> {
        let key = self.of.get(contest)?;
        Some((*key, self.settled.get(key)?))
    }
}

impl Fold {
    /// In `forge.git`: whether entrants of a contest get to know each other: not where whoever invited them is unknown.
    fn introduces(&self, due: &Due) -> bool {
        due.came_from_elsewhere() || self.is_vouched(due.author)
    }

    /// In `forge.git`: what decides a contest of these agents as of now.
    pub fn contest_inputs(&self, due: &Due, agents: &[&AgentName]) -> Inputs {
        let (played, standing) = (&self.ratings.played, self.ratings.standings.on(Track::Simulator));
        let owners: Vec<AgentName> = agents.iter().map(|agent| self.owner(agent)).collect();
        let provisional: Vec<bool> = agents.iter().map(|agent| self.is_provisional(agent, Track::Simulator)).collect();
        let authors = self.owner(due.author);
        let independent: BTreeSet<&AgentName> = agents
            .iter()
            .zip(&owners)
            .filter(|(agent, owner)| self.is_vouched(agent) && **owner != authors)
            .map(|(_, owner)| owner)
            .collect();
        let counts = due.anchored || independent.len() >= INDEPENDENT;
        let established = self.established(Track::Simulator, agents, self.introduces(due));
        let mut distinct: Vec<&AgentName> = owners.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let issue_k = |agent: &AgentName, owner: &AgentName| match standing.games(agent) {
            _ if !counts || *owner == authors => 0,
            0..PROVISIONAL => elo::K_ISSUE_PROVISIONAL,
            PROVISIONAL.. => elo::K_ISSUE,
        };
        let earned: Vec<i64> =
            distinct.iter().map(|owner| standing.earned(Track::Simulator, owner, &established)).collect();
        let entrant = |(agent, owner): (&&AgentName, &AgentName)| {
            let at = distinct.binary_search(&owner).unwrap_or(0);
            Input {
                rating: self.ratings.of(agent, Track::Simulator),
                issue_k: issue_k(agent, owner),
                owner: at,
                room: standing.left_to(agent, earned[at]),
            }
        };
        let mut weights = Vec::new();
        for i in 0..agents.len() {
            for j in i + 1..agents.len() {
                let same = owners[i] == owners[j];
                let met = if same { 0 } else { standing.times_met(&owners[i], &owners[j], due.t) };
                let weight = elo::weight(same, provisional[i] || provisional[j], met);
                weights.push(u16::try_from(weight).unwrap_or(0));
            }
        }
        Inputs {
            issue: played.issue(due.contest, due.difficulty),
            anchored: due.came_from_elsewhere(),
            entrants: agents.iter().zip(&owners).map(entrant).collect(),
            weights,
            rooms: distinct.iter().zip(&earned).map(|(owner, earned)| standing.room(owner, *earned, due.t)).collect(),
        }
    }

    /// In `forge.git`: the settlement that is due of a contest whose entrants fared so; `key` is the digest of the ranking.
    pub fn settle_contest(&self, key: Sha256, due: &Due, fared: &[Fared]) -> ContestSettled {
        let agents: Vec<&AgentName> = fared.iter().map(|f| &f.agent).collect();
        let inputs = self.contest_inputs(due, &agents);
        let outcome = inputs.outcome(fared);
        ContestSettled {
            key,
            contest: due.contest.clone(),
            author: due.author.clone(),
            difficulty: due.difficulty,
            anchored: due.anchored,
            issue_before: inputs.issue,
            issue_delta_milli: outcome.issue,
            rules: due.rules,
            entrants: lines(&inputs, fared, &outcome.agents),
        }
    }

    /// In `forge.git`: the correction that is due where the entrants of a settled contest fare so now; `None` where nothing
    /// moves, or they are others.
    pub fn correct_contest(&self, key: Sha256, contest: &ItemRef, fared: &[Fared]) -> Option<ContestCorrected> {
        let (corrects, settled) = self.ratings.played.settlement(contest)?;
        // In the order of the settlement, whatever theirs is.
        let now: Option<Vec<Fared>> = settled
            .fared
            .iter()
            .map(|was| fared.iter().find(|f| f.agent == was.agent && f.pull == was.pull).cloned())
            .collect();
        let now = now.filter(|now| now.len() == fared.len())?;
        let outcome = settled.inputs.outcome(&now);
        let deltas: Vec<i64> = outcome.agents.iter().zip(&settled.given).map(|(due, given)| due - given).collect();
        let issue_delta_milli = outcome.issue - settled.issue_given;
        if now == settled.fared || (issue_delta_milli == 0 && deltas.iter().all(|delta| *delta == 0)) {
            return None;
        }
        let entrants = lines(&settled.inputs, &now, &deltas);
        Some(ContestCorrected { key, corrects, contest: contest.clone(), issue_delta_milli, entrants })
    }

    pub(super) fn contest_settled(&mut self, fact: &ContestSettled, t: u64) {
        let due = Due {
            contest: &fact.contest,
            author: &fact.author,
            difficulty: fact.difficulty,
            anchored: fact.anchored,
            t,
            rules: fact.rules,
        };
        let agents: Vec<&AgentName> = fact.entrants.iter().map(|e| &e.agent).collect();
        let inputs = self.contest_inputs(&due, &agents);
        let fared: Vec<Fared> = fact.entrants.iter().map(Fared::of).collect();
        self.take_part(Track::Simulator, &agents, self.introduces(&due), t);
        self.gain_all(&fact.entrants, &inputs.made(&fared), t);
        let played = &mut self.ratings.played;
        played.rules = played.rules.max(fact.rules);
        played.issues.insert(fact.contest.clone(), fact.issue_before.saturating_add(fact.issue_delta_milli));
        played.of.insert(fact.contest.clone(), fact.key);
        let settled = SettledContest {
            contest: fact.contest.clone(),
            inputs,
            fared,
            given: fact.entrants.iter().map(|e| e.delta_milli).collect(),
            issue_given: fact.issue_delta_milli,
        };
        played.settled.insert(fact.key, Shared::new(settled));
    }

    pub(super) fn contest_corrected(&mut self, fact: &ContestCorrected, t: u64) {
        let Some(before) = self.ratings.played.settled.get(&fact.corrects).cloned() else { return };
        let mut settled = SettledContest::clone(&before);
        let now: Vec<Fared> = fact.entrants.iter().map(Fared::of).collect();
        let (due, was) = (settled.inputs.made(&now), settled.inputs.made(&settled.fared));
        let made: Vec<i64> = due.iter().zip(was).map(|(due, was)| due.saturating_sub(was)).collect();
        self.gain_all(&fact.entrants, &made, t);
        settled.fared = now;
        for (given, line) in settled.given.iter_mut().zip(&fact.entrants) {
            *given = given.saturating_add(line.delta_milli);
        }
        settled.issue_given = settled.issue_given.saturating_add(fact.issue_delta_milli);
        let played = &mut self.ratings.played;
        if let Some(rating) = played.issues.get_mut(&fact.contest) {
            *rating = rating.saturating_add(fact.issue_delta_milli);
        }
        played.settled.insert(fact.corrects, Shared::new(settled));
    }

    /// Notes what all have gained: in all, and of games that agents here made up.
    fn gain_all(&mut self, lines: &[Line], made: &[i64], t: u64) {
        for (line, made) in lines.iter().zip(made) {
            self.gain(Track::Simulator, &line.agent, line.delta_milli, *made, t);
        }
    }
}

fn lines(inputs: &Inputs, fared: &[Fared], deltas: &[i64]) -> Vec<Line> {
    let all = inputs.entrants.iter().zip(fared).zip(deltas);
    all.map(|((input, fared), delta)| Line {
        agent: fared.agent.clone(),
        pull: fared.pull,
        place: fared.place,
        solved: fared.solved,
        before: input.rating,
        issue_k: input.issue_k,
        delta_milli: *delta,
    })
    .collect()
}

#[cfg(test)]
mod tests;
