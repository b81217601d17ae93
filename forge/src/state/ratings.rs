//! Ratings as the rating ledgers record them. How they are computed is [`super::elo`]'s business.

use std::collections::BTreeMap;

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::event::{ContestCorrected, ContestSettled, Entrant, RatingCorrected, RatingSettled, ReviewSettled};
use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef, Sha256};
use serde::{Deserialize, Serialize};

use super::elo::{START, Tier};
use super::fold::{Fold, Happened};
use super::games::{self, Game, Rated, ReviewGame};
use super::played::Played;
use super::standing::{DAY_MS, Standings};

/// A rating ledger after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EloState {
    /// Games settled so far.
    pub games: u64,
    /// Key of the last one.
    pub last: Sha256,
}

/// One change of one agent's rating.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Forge-wide number of the event.
    pub q: u64,
    /// When, milliseconds since 1970.
    pub t: u64,
    /// The ledger.
    pub track: Track,
    /// What was gained, milli-Elo.
    pub delta_milli: i64,
    /// The pull request that caused it, or the contest.
    pub cause: ItemRef,
    /// The event that caused it.
    pub key: Sha256,
    /// Whether an earlier game was corrected, rather than one played.
    pub corrects: bool,
    /// The place in the contest, and of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<(u32, u32)>,
    /// The tier that the rating is in since, where it was in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Tier>,
}

/// All ratings of a forge. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratings {
    games: OrdMap<Sha256, Game>,
    /// Verdicts that were judged, by their digests.
    reviews: OrdMap<Sha256, ReviewGame>,
    /// When verdicts of each reviewer were rated, of the last day.
    rated: OrdMap<AgentName, Rated>,
    agents: OrdMap<(AgentName, Track), i64>,
    tickets: OrdMap<ItemRef, i64>,
    history: OrdMap<AgentName, Vector<Change>>,
    keys: OrdSet<Sha256>,
    /// What contests made of them.
    pub played: Played,
    /// How all stand on each track.
    pub standings: Standings,
}

impl Ratings {
    /// An agent's rating, milli-Elo.
    pub fn of(&self, agent: &AgentName, track: Track) -> i64 {
        self.agents.get(&(agent.clone(), track)).copied().unwrap_or(START)
    }

    /// All three ratings of an agent.
    pub fn all_of(&self, agent: &AgentName) -> BTreeMap<&'static str, i64> {
        Track::ALL.into_iter().map(|track| (track.as_str(), self.of(agent, track))).collect()
    }

    /// A ticket's rating, milli-Elo.
    pub fn of_ticket(&self, ticket: &ItemRef) -> i64 {
        self.tickets.get(ticket).copied().unwrap_or(START)
    }

    /// An agent's changes, oldest first.
    pub fn history(&self, agent: &AgentName) -> Vector<Change> {
        self.history.get(agent).cloned().unwrap_or_default()
    }

    /// How many rated games an agent had on a track.
    pub fn games(&self, agent: &AgentName, track: Track) -> usize {
        let history = self.history.get(agent).into_iter().flatten();
        history.filter(|change| change.track == track && !change.corrects).count()
    }

    /// The game that the event with this digest decided.
    pub fn game(&self, key: &Sha256) -> Option<&Game> {
        self.games.get(key)
    }

    /// The verdict with this digest, where it was settled.
    pub fn review(&self, key: &Sha256) -> Option<&ReviewGame> {
        self.reviews.get(key)
    }

    /// How many verdicts of a reviewer were rated within the day before `t`.
    pub(super) fn reviews_of_a_day(&self, reviewer: &AgentName, t: u64) -> usize {
        self.rated.get(reviewer).map_or(0, |times| games::within_a_day(times, t))
    }

    /// Whether an event with this digest was settled, as a game or as a correction.
    pub fn has(&self, key: &Sha256) -> bool {
        self.keys.contains(key)
    }

    /// The change that an event caused for an agent.
    pub fn change_for(&self, agent: &AgentName, key: &Sha256) -> Option<Change> {
        self.history.get(agent)?.iter().rev().find(|c| c.key == *key).cloned()
    }

    /// Takes a merge in; whether it was not there yet.
    pub(super) fn settled(&mut self, fact: &RatingSettled, track: Track, at: &Happened) -> bool {
        if self.keys.insert(fact.key).is_some() {
            return false;
        }
        self.games.insert(fact.key, Game::of(fact));
        self.moved(&fact.agent, &fact.ticket, track, change(fact.key, &fact.pull, fact.delta_milli, track, at));
        true
    }

    /// Takes the correction of a merge in; whether it was not there yet.
    pub(super) fn corrected(&mut self, fact: &RatingCorrected, track: Track, at: &Happened) -> bool {
        if self.keys.insert(fact.key).is_some() {
            return false;
        }
        if let Some(game) = self.games.get_mut(&fact.game) {
            game.given_milli = game.given_milli.saturating_add(fact.delta_milli);
        }
        let change = change(fact.key, &fact.pull, fact.delta_milli, track, at);
        self.moved(&fact.agent, &fact.ticket, track, Change { corrects: true, ..change });
        true
    }

    pub(super) fn know_review(&mut self, key: Sha256, game: ReviewGame) {
        self.reviews.insert(key, game);
    }

    pub(super) fn note_review(&mut self, reviewer: &AgentName, t: u64) {
        let times = self.rated.entry(reviewer.clone()).or_default();
        while times.front().is_some_and(|at| at.saturating_add(DAY_MS) <= t) {
            times.pop_front();
        }
        times.push_back(t);
    }

    /// What the reviewer gains the author loses.
    pub(super) fn reviewed(&mut self, fact: &ReviewSettled, corrects: bool, at: &Happened) {
        let change = change(fact.key, &fact.pull, fact.delta_milli, Track::Review, at);
        let change = Change { corrects, ..change };
        let lost = Change { delta_milli: fact.delta_milli.saturating_neg(), ..change.clone() };
        self.changed(&fact.reviewer, Track::Review, change);
        self.changed(&fact.author, Track::Review, lost);
    }

    /// What one side gains the other loses.
    fn moved(&mut self, agent: &AgentName, ticket: &ItemRef, track: Track, change: Change) {
        *self.tickets.entry(ticket.clone()).or_insert(START) -= change.delta_milli;
        self.changed(agent, track, change);
    }

    fn changed(&mut self, agent: &AgentName, track: Track, change: Change) {
        let rating = self.agents.entry((agent.clone(), track)).or_insert(START);
        let before = Tier::of(*rating);
        *rating = rating.saturating_add(change.delta_milli);
        let reached = Some(Tier::of(*rating)).filter(|tier| *tier != before);
        self.history.entry(agent.clone()).or_default().push_back(Change { reached, ..change });
    }

    fn entrants_changed(
        &mut self,
        key: Sha256,
        contest: &ItemRef,
        entrants: &[Entrant],
        corrects: bool,
        at: &Happened,
    ) {
        let of = u32::try_from(entrants.len()).unwrap_or(u32::MAX);
        for entrant in entrants.iter().filter(|entrant| !corrects || entrant.delta_milli != 0) {
            let change = change(key, contest, entrant.delta_milli, Track::Simulator, at);
            let change = Change { corrects, place: Some((entrant.place, of)), ..change };
            self.changed(&entrant.agent, Track::Simulator, change);
        }
    }
}

impl Fold {
    /// Takes in what a contest moved.
    pub(super) fn rate_contest(&mut self, fact: &ContestSettled, at: &Happened) {
        if self.ratings.keys.insert(fact.key).is_none() {
            self.contest_settled(fact, at.t);
            self.ratings.entrants_changed(fact.key, &fact.contest, &fact.entrants, false, at);
        }
    }

    /// Takes in what a corrected contest moves.
    pub(super) fn rate_corrected_contest(&mut self, fact: &ContestCorrected, at: &Happened) {
        if self.ratings.keys.insert(fact.key).is_none() {
            self.contest_corrected(fact, at.t);
            self.ratings.entrants_changed(fact.key, &fact.contest, &fact.entrants, true, at);
        }
    }
}

fn change(key: Sha256, cause: &ItemRef, delta_milli: i64, track: Track, at: &Happened) -> Change {
    Change {
        q: at.q,
        t: at.t,
        track,
        delta_milli,
        cause: cause.clone(),
        key,
        corrects: false,
        place: None,
        reached: None,
    }
}
