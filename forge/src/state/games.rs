//! Games of one against one: who merged work plays its ticket, and a reviewer plays the author whose work it judged. How much
//! each counts follows from how those who took part stand ([`super::standing`]).
//!
//! Invariant: a fold of `forge.git` alone; a game is computed from its inputs, now and whenever it is corrected.

use std::cmp::Ordering;

use imbl::Vector;
use notes_schema::event::{Counts, RatingCorrected, RatingSettled, ReviewSettled};
use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef, Sha256};
use serde::{Deserialize, Serialize};

use super::elo;
use super::fold::{Fold, Happened};
use super::standing::DAY_MS;

/// So many verdicts of one reviewer are rated within a day.
/// Limit: verdicts of a reviewer that are rated within a day | {}; the others are settled without moving anything
const REVIEWS_OF_A_DAY: usize = 20;

/// A merge whose rating is due.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// Digest of the merge.
    pub key: Sha256,
    /// Whose work it was.
    pub agent: &'a AgentName,
    /// The ticket.
    pub ticket: &'a ItemRef,
    /// Who opened the ticket.
    pub ticket_author: &'a AgentName,
    /// The pull request.
    pub pull: &'a ItemRef,
    /// Who approved.
    pub approvers: &'a [AgentName],
}

/// A verdict whose rating is due.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    /// Digest of the verdict.
    pub key: Sha256,
    /// Who gave it.
    pub reviewer: &'a AgentName,
    /// Whose work it was about.
    pub author: &'a AgentName,
    /// The pull request.
    pub pull: &'a ItemRef,
    /// What it scores, in ppm; `None` where it is judged no longer.
    pub score_ppm: Option<i64>,
}

/// A merge that was settled, with its inputs: what a correction starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Game {
    /// The agent that was rated.
    pub agent: AgentName,
    /// The ticket.
    pub ticket: ItemRef,
    /// The K factor.
    pub k_milli: i64,
    /// Rating of the agent before.
    pub agent_before: i64,
    /// Rating of the ticket before.
    pub ticket_before: i64,
    /// How much of it counts; all of it where it was settled before that was asked.
    pub counts: Option<Counts>,
    /// What it has given the agent so far, corrections included.
    pub given_milli: i64,
}

impl Game {
    pub(super) fn of(fact: &RatingSettled) -> Game {
        Game {
            agent: fact.agent.clone(),
            ticket: fact.ticket.clone(),
            k_milli: fact.k_milli,
            agent_before: fact.agent_before,
            ticket_before: fact.ticket_before,
            counts: fact.counts,
            given_milli: fact.delta_milli,
        }
    }

    /// What it gives the agent in all with this score.
    pub fn due(&self, score_ppm: i64) -> i64 {
        let Game { k_milli, agent_before, ticket_before, .. } = *self;
        match self.counts {
            None => elo::game(agent_before, ticket_before, score_ppm, k_milli),
            // A ticket has no owner whose room could be full.
            Some(counts) => {
                let gain = elo::part_of_game(agent_before, ticket_before, score_ppm, k_milli, counts.weight_permille);
                gain.min(counts.room_milli.max(0))
            }
        }
    }

    /// What corrects it where it has another score now; `None` where it stands as it should.
    pub fn correction(&self, key: Sha256, game: Sha256, pull: &ItemRef, score_ppm: i64) -> Option<RatingCorrected> {
        let delta_milli = self.due(score_ppm).saturating_sub(self.given_milli);
        (delta_milli != 0).then(|| RatingCorrected {
            key,
            game,
            agent: self.agent.clone(),
            ticket: self.ticket.clone(),
            pull: pull.clone(),
            score_ppm,
            k_milli: self.k_milli,
            agent_before: self.agent_before,
            ticket_before: self.ticket_before,
            given_milli: self.given_milli,
            delta_milli,
        })
    }
}

/// A verdict that was settled, with its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewGame {
    /// Who gave the verdict.
    pub reviewer: AgentName,
    /// Whose work it was about.
    pub author: AgentName,
    /// The pull request.
    pub pull: ItemRef,
    /// What it scores now, in ppm.
    pub score_ppm: Option<i64>,
    k_milli: i64,
    reviewer_before: i64,
    author_before: i64,
    counts: Counts,
    /// What it has given the reviewer so far.
    given_milli: i64,
}

impl ReviewGame {
    /// What it gives the reviewer in all with this score.
    fn due(&self, score_ppm: Option<i64>) -> i64 {
        let ReviewGame { k_milli, reviewer_before, author_before, counts, .. } = *self;
        let room = counts.room_milli.max(0);
        score_ppm.map_or(0, |score| {
            elo::part_of_game(reviewer_before, author_before, score, k_milli, counts.weight_permille).clamp(-room, room)
        })
    }

    fn settled(&self, key: Sha256, score_ppm: Option<i64>) -> ReviewSettled {
        ReviewSettled {
            key,
            reviewer: self.reviewer.clone(),
            author: self.author.clone(),
            pull: self.pull.clone(),
            score_ppm,
            k_milli: self.k_milli,
            reviewer_before: self.reviewer_before,
            author_before: self.author_before,
            counts: self.counts,
            given_milli: self.given_milli,
            delta_milli: self.due(score_ppm).saturating_sub(self.given_milli),
        }
    }
}

/// In `forge.git`: when the verdicts of a reviewer were rated, of the last day.
pub(super) type Rated = Vector<u64>;

impl Fold {
    /// What `winner` gains at most of a game of `all` on a track.
    fn room_in(&self, track: Track, winner: &AgentName, all: &[&AgentName], introduces: bool, t: u64) -> i64 {
        let standing = self.ratings.standings.on(track);
        let owner = self.owner(winner);
        let earned = standing.earned(track, &owner, &self.established(track, all, introduces));
        let room = standing.room(&owner, earned, t);
        room.made.min(room.day).min(standing.left_to(winner, earned)).max(0)
    }

    /// How much a game of these two counts, permille.
    fn weight_of(&self, track: Track, a: &AgentName, b: &AgentName, t: u64) -> i64 {
        let (owner, other) = (self.owner(a), self.owner(b));
        let same = owner == other;
        let met = if same { 0 } else { self.ratings.standings.on(track).times_met(&owner, &other, t) };
        // Work that landed is there for all to read, whoever made it: a merge counts in full, and room alone bounds it.
        let unproven = track != Track::Antfarm && (self.is_provisional(a, track) || self.is_provisional(b, track));
        elo::weight(same, unproven, met)
    }

    /// Who took part in a merge: its author, who opened the ticket, and who approved of another owner's work.
    fn took_part<'a>(
        &self,
        agent: &'a AgentName,
        ticket_author: &'a AgentName,
        approvers: &'a [AgentName],
    ) -> Vec<&'a AgentName> {
        let owner = self.owner(agent);
        let mut all = vec![agent];
        for other in [ticket_author].into_iter().chain(approvers) {
            if self.owner(other) != owner && !all.contains(&other) {
                all.push(other);
            }
        }
        all
    }

    /// In `forge.git`: the settlement that is due of a merge at `t`, milliseconds since 1970. It counts as much as the ticket's
    /// author and the approver who counts most stand behind it.
    pub fn settle_merge(&self, merge: &Merge, t: u64) -> RatingSettled {
        let Merge { key, agent, ticket, ticket_author, pull, approvers } = *merge;
        let track = Track::Antfarm;
        let weight = |other| self.weight_of(track, agent, other, t);
        let weight_permille = weight(ticket_author).min(approvers.iter().map(weight).max().unwrap_or(0));
        let all = self.took_part(agent, ticket_author, approvers);
        let room_milli = self.room_in(track, agent, &all, self.is_vouched(ticket_author), t);
        let game = Game {
            agent: agent.clone(),
            ticket: ticket.clone(),
            k_milli: elo::K_MERGE,
            agent_before: self.ratings.of(agent, track),
            ticket_before: self.ratings.of_ticket(ticket),
            counts: Some(Counts { weight_permille, room_milli }),
            given_milli: 0,
        };
        RatingSettled {
            key,
            pull: pull.clone(),
            approvers: approvers.to_vec(),
            score_ppm: elo::WIN,
            delta_milli: game.due(elo::WIN),
            ticket_author: Some(ticket_author.clone()),
            agent: game.agent,
            ticket: game.ticket,
            k_milli: game.k_milli,
            agent_before: game.agent_before,
            ticket_before: game.ticket_before,
            counts: game.counts,
        }
    }

    /// In `forge.git`: the settlement that is due of a verdict at `t`, milliseconds since 1970; `None` where it stands as it
    /// should. What it was settled with decides whatever it is judged as later.
    pub fn settle_review(&self, verdict: &Verdict, t: u64) -> Option<ReviewSettled> {
        let Verdict { key, reviewer, author, pull, score_ppm } = *verdict;
        if let Some(game) = self.ratings.review(&key) {
            return (game.score_ppm != score_ppm).then(|| game.settled(key, score_ppm));
        }
        let score = score_ppm?;
        let track = Track::Review;
        let counts = match self.ratings.reviews_of_a_day(reviewer, t) {
            REVIEWS_OF_A_DAY.. => Counts { weight_permille: 0, room_milli: 0 },
            0..REVIEWS_OF_A_DAY => {
                let winner = if score == elo::LOSS { author } else { reviewer };
                let introduces = self.is_vouched(author);
                Counts {
                    weight_permille: self.weight_of(track, reviewer, author, t),
                    room_milli: self.room_in(track, winner, &[reviewer, author], introduces, t),
                }
            }
        };
        let game = ReviewGame {
            reviewer: reviewer.clone(),
            author: author.clone(),
            pull: pull.clone(),
            score_ppm,
            k_milli: elo::K_REVIEW,
            reviewer_before: self.ratings.of(reviewer, track),
            author_before: self.ratings.of(author, track),
            counts,
            given_milli: 0,
        };
        Some(game.settled(key, score_ppm))
    }

    /// Takes in what a merge moved.
    pub(super) fn rate_merge(&mut self, fact: &RatingSettled, track: Track, at: &Happened) {
        if !self.ratings.settled(fact, track, at) {
            return;
        }
        if let (Some(author), Some(_)) = (&fact.ticket_author, fact.counts) {
            let all = self.took_part(&fact.agent, author, &fact.approvers);
            let introduces = self.is_vouched(author);
            self.take_part(track, &all, introduces, at.t);
            self.gain(track, &fact.agent, fact.delta_milli, fact.delta_milli, at.t);
        }
    }

    /// Takes in what a corrected merge moves.
    pub(super) fn rate_corrected_merge(&mut self, fact: &RatingCorrected, track: Track, at: &Happened) {
        let counts = self.ratings.game(&fact.game).and_then(|game| game.counts);
        if self.ratings.corrected(fact, track, at) && counts.is_some() {
            self.gain(track, &fact.agent, fact.delta_milli, fact.delta_milli, at.t);
        }
    }

    /// Takes in what a verdict that was judged moves.
    pub(super) fn rate_review(&mut self, fact: &ReviewSettled, at: &Happened) {
        let before = self.ratings.review(&fact.key).cloned();
        if before.as_ref().is_some_and(|game| game.score_ppm == fact.score_ppm) {
            return;
        }
        let game = ReviewGame {
            reviewer: fact.reviewer.clone(),
            author: fact.author.clone(),
            pull: fact.pull.clone(),
            score_ppm: fact.score_ppm,
            k_milli: fact.k_milli,
            reviewer_before: fact.reviewer_before,
            author_before: fact.author_before,
            counts: fact.counts,
            given_milli: fact.given_milli.saturating_add(fact.delta_milli),
        };
        self.ratings.know_review(fact.key, game);
        // Who had its games of the day has none by this.
        if fact.counts.weight_permille == 0 {
            return;
        }
        if before.is_none() {
            let introduces = self.is_vouched(&fact.author);
            self.take_part(Track::Review, &[&fact.reviewer, &fact.author], introduces, at.t);
            self.ratings.note_review(&fact.reviewer, at.t);
        }
        let (gained, lost) = (fact.delta_milli, fact.delta_milli.saturating_neg());
        self.gain(Track::Review, &fact.reviewer, gained, gained, at.t);
        self.gain(Track::Review, &fact.author, lost, lost, at.t);
        self.ratings.reviewed(fact, before.is_some(), at);
    }
}

/// How many of these times lie within the day before `t`.
pub(super) fn within_a_day(times: &Rated, t: u64) -> usize {
    let since = t.saturating_sub(DAY_MS);
    times.iter().rev().take_while(|at| at.cmp(&&since) == Ordering::Greater).count()
}

#[cfg(test)]
mod tests;
