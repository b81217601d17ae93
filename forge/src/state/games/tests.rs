//! What a merge and a verdict move, what holds of any story of them, and what a farm of trivial tickets gains.

use notes_schema::EntityId;
use notes_schema::event::Level;
use proptest::prelude::*;

use super::*;
use crate::bench::contests::world::Chance;
use crate::state::elo::{LOSS, START, WIN};
use crate::state::lab::{HOUR, Lab};

/// What the best of a farm may gain, milli-Elo.
const MARK: i64 = 20_000;
const MONTH: u64 = 31 * 24 * HOUR;

fn elo(track: Track) -> EntityId {
    EntityId::Elo(track)
}

fn item(n: u64) -> ItemRef {
    format!("farm#{n}").parse().unwrap()
}

impl Lab {
    /// Merges work on a new ticket. Nothing may be made or lost by it.
    fn merge(&mut self, agent: &AgentName, ticket_author: &AgentName, approvers: &[&AgentName]) -> RatingSettled {
        self.games += 1;
        let (n, approvers) = (self.games, approvers.iter().map(|a| (*a).clone()).collect::<Vec<_>>());
        let (ticket, pull, key) = (&item(2 * n), &item(2 * n + 1), Sha256::of(format!("merge {n}").as_bytes()));
        let merge = Merge { key, agent, ticket, ticket_author, pull, approvers: &approvers };
        let fact = self.fold.settle_merge(&merge, self.t);
        self.apply(&elo(Track::Antfarm), &fact.clone().into());
        self.check_merges();
        self.note_best(agent, Track::Antfarm);
        fact
    }

    fn check_merges(&self) {
        let tickets: i64 = (1..=self.games).map(|n| self.fold.ratings.of_ticket(&item(2 * n)) - START).sum();
        assert_eq!(self.sum(Track::Antfarm) + tickets, 0, "game {} made or lost something", self.games);
    }

    /// The proof of a merge is refuted, or is so no longer.
    fn turn(&mut self, merge: &RatingSettled, level: Level) -> Option<RatingCorrected> {
        let score = if level == Level::PX { LOSS } else { WIN };
        let key = Sha256::of(format!("turn {} {level}", self.t).as_bytes());
        let fact = self.fold.ratings.game(&merge.key)?.correction(key, merge.key, &merge.pull, score)?;
        self.apply(&elo(Track::Antfarm), &fact.clone().into());
        self.check_merges();
        Some(fact)
    }

    /// Judges a verdict of a new pull request.
    fn judge(&mut self, reviewer: &AgentName, author: &AgentName, score: i64) -> ReviewSettled {
        self.games += 1;
        let key = Sha256::of(format!("verdict {}", self.games).as_bytes());
        self.judge_again(key, reviewer, author, Some(score)).unwrap()
    }

    fn judge_again(
        &mut self,
        key: Sha256,
        reviewer: &AgentName,
        author: &AgentName,
        score_ppm: Option<i64>,
    ) -> Option<ReviewSettled> {
        let pull = &item(self.games);
        let fact = self.fold.settle_review(&Verdict { key, reviewer, author, pull, score_ppm }, self.t)?;
        self.apply(&elo(Track::Review), &fact.clone().into());
        assert_eq!(self.sum(Track::Review), 0, "verdict {} made or lost something", self.games);
        self.note_best(reviewer, Track::Review);
        self.note_best(author, Track::Review);
        Some(fact)
    }
}

/// Agents of owners of their own, that have each taken part in enough of both to be established.
fn established(lab: &mut Lab, agents: usize) -> Vec<AgentName> {
    let all: Vec<AgentName> =
        (0..agents).map(|k| lab.join(&format!("agent-{k}"), Some(&format!("owner-{k}")))).collect();
    for turn in 0..4 {
        for k in 0..agents {
            lab.t += MONTH;
            let [a, b, c] = [0, 1 + turn, 2 + 2 * turn].map(|far| &all[(k + far) % agents]);
            lab.merge(a, b, &[c]);
            lab.judge(a, b, if k % 2 == 0 { WIN } else { LOSS });
            lab.judge(a, c, if k % 2 == 0 { LOSS } else { WIN });
        }
    }
    for track in [Track::Antfarm, Track::Review] {
        assert!(all.iter().all(|agent| !lab.fold.is_provisional(agent, track)), "{}", track.as_str());
    }
    all
}

#[test]
fn a_game_counts_by_who_stands_behind_it() {
    let mut lab = Lab::new();
    let all = established(&mut lab, 12);
    let unknown = lab.join("unknown", None);
    let fleet = lab.join("fleet", Some("owner-1"));
    lab.t += MONTH;
    let counts = |lab: &Lab, agent: &AgentName, author: &AgentName, approvers: &[&AgentName]| {
        let approvers: Vec<AgentName> = approvers.iter().map(|a| (*a).clone()).collect();
        let (ticket, pull, key) = (&item(900), &item(901), Sha256::of(b"x"));
        let merge = Merge { key, agent, ticket, ticket_author: author, pull, approvers: &approvers };
        lab.fold.settle_merge(&merge, lab.t).counts.unwrap()
    };
    // Whole, whoever they are; nothing where only one's own owner approved.
    assert_eq!(counts(&lab, &all[0], &all[1], &[&all[2]]).weight_permille, 1000);
    assert_eq!(counts(&lab, &unknown, &all[1], &[&all[2]]).weight_permille, 1000);
    assert_eq!(counts(&lab, &all[0], &unknown, &[&all[2]]).weight_permille, 1000);
    assert_eq!(counts(&lab, &all[0], &all[1], &[&unknown]).weight_permille, 1000);
    assert_eq!(counts(&lab, &all[0], &all[1], &[&unknown, &all[2]]).weight_permille, 1000);
    assert_eq!(counts(&lab, &all[1], &all[0], &[&fleet]).weight_permille, 0);
    // Who met once within thirty days counts 1000/√2, and again as at first behind them.
    lab.merge(&all[0], &all[1], &[&all[2]]);
    assert_eq!(counts(&lab, &all[0], &all[1], &[&all[5]]).weight_permille, 707);
    assert_eq!(counts(&lab, &all[0], &all[5], &[&all[1]]).weight_permille, 707);
    assert_eq!(counts(&lab, &all[0], &all[5], &[&all[1], &all[6]]).weight_permille, 1000);
    lab.t += MONTH;
    assert_eq!(counts(&lab, &all[0], &all[1], &[&all[2]]).weight_permille, 1000);
}

#[test]
fn a_merge_between_unknowns_is_fifteen_and_takes_all_room_and_a_refutation_takes_twice_that() {
    let mut lab = Lab::new();
    let [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(|name| lab.join(name, None));
    // 30 · (1 - 0.5)
    let merge = lab.merge(&alpha, &beta, &[&gamma]);
    assert_eq!((merge.delta_milli, merge.counts), (15_000, Some(Counts { weight_permille: 1000, room_milli: 15_000 })));
    lab.t += 1;
    assert_eq!(lab.turn(&merge, Level::PX).map(|fact| fact.delta_milli), Some(-30_000));
    assert_eq!(lab.turn(&merge, Level::PX), None);
    lab.t += 1;
    assert_eq!(lab.turn(&merge, Level::P3).map(|fact| fact.delta_milli), Some(30_000));
    // They met once, and nobody established: what there is room for was gained.
    let second = lab.merge(&alpha, &beta, &[&gamma]);
    assert_eq!(second.counts.unwrap(), Counts { weight_permille: 707, room_milli: 0 });
    assert_eq!(second.delta_milli, 0);
}

#[test]
fn a_reviewer_plays_the_author_for_eight() {
    let mut lab = Lab::new();
    let all = established(&mut lab, 12);
    lab.t += MONTH;
    let (ra, rb) = (lab.rating(&all[0], Track::Review), lab.rating(&all[1], Track::Review));
    let fact = lab.judge(&all[0], &all[1], WIN);
    assert_eq!(fact.delta_milli, elo::game(ra, rb, WIN, 8_000), "established, and they have not met for a month");
    assert_eq!(lab.rating(&all[0], Track::Review), ra + fact.delta_milli);
    assert_eq!(lab.rating(&all[1], Track::Review), rb - fact.delta_milli);
    // What is judged no longer is given back, and may come again.
    for (score, given) in [(None, 0), (Some(WIN), fact.delta_milli), (None, 0)] {
        assert!(lab.judge_again(fact.key, &all[0], &all[1], score).is_some());
        assert_eq!(lab.rating(&all[0], Track::Review), ra + given);
        assert_eq!(lab.judge_again(fact.key, &all[0], &all[1], score), None);
    }
    let history = lab.fold.ratings.history(&all[1]);
    let newest: Vec<bool> = history.iter().rev().take(4).map(|change| change.corrects).collect();
    assert_eq!(newest, [true, true, true, false]);
}

#[test]
fn twenty_verdicts_of_a_day_are_rated_and_the_next_day_twenty_more() {
    let mut lab = Lab::new();
    let all = established(&mut lab, 30);
    let reviewer = lab.join("busy", Some("busy"));
    for day in 0..2 {
        lab.t += MONTH;
        for (k, author) in all.iter().enumerate() {
            let fact = lab.judge(&reviewer, author, WIN);
            assert_eq!(fact.counts.weight_permille > 0, k < 20, "day {day}, verdict {k}");
            assert_eq!(fact.delta_milli > 0, k < 20, "day {day}, verdict {k}");
        }
    }
    let history = lab.fold.ratings.history(&reviewer);
    assert_eq!(history.len(), 40, "what is not rated is no change");
    lab.t += 24 * HOUR;
    // One that it has not met, for which there is room.
    assert!(lab.judge(&reviewer, &all[25], WIN).delta_milli > 0);
}

/// The best of three owners with `each` agents who open, solve and approve each other's tickets, and review each other; in
/// the ant farm, and in reviews. The first of each always wins. `lured` established agents approve of it besides.
fn ring(vouched: bool, each: usize, apart: u64, lured: usize) -> (i64, i64) {
    let mut lab = Lab::new();
    let honest = established(&mut lab, 12);
    let all: Vec<Vec<AgentName>> = (0..3)
        .map(|o| (0..each).map(|k| lab.join(&format!("ring-{o}-{k}"), vouched.then_some(["x", "y", "z"][o]))).collect())
        .collect();
    let mut chance = Chance::of(5);
    let mut best = (0, 0);
    for n in 0..400 {
        lab.t += apart;
        let [a, b, c] = [0, 1, 2].map(|far| (n + far) % 3);
        let mut approvers = vec![&all[c][n % each]];
        approvers.extend(chance.some_of(honest.iter().collect(), lured));
        lab.merge(&all[a][0], &all[b][n % each], &approvers);
        lab.judge(&all[a][0], &all[b][each - 1], WIN);
        let of = |track| {
            let gains = all.iter().map(|owner| lab.rating(&owner[0], track) - START);
            gains.max().unwrap()
        };
        best = (of(Track::Antfarm).max(best.0), of(Track::Review).max(best.1));
    }
    best
}

#[test]
fn three_owners_that_open_solve_and_approve_each_others_trivial_tickets_gain_nothing() {
    for apart in [1, HOUR, MONTH] {
        for (vouched, each, lured) in [(false, 1, 0), (false, 1, 6), (true, 1, 0), (true, 2, 0), (true, 5, 0)] {
            let (antfarm, review) = ring(vouched, each, apart, lured);
            println!("vouched {vouched}, {each} each, {lured} lured, every {apart} ms: {antfarm}, reviews {review}");
            assert!(antfarm > 0 && antfarm < MARK && review > 0 && review < MARK, "{antfarm} {review}");
        }
    }
}

#[test]
fn who_works_with_many_is_not_held_back() {
    let mut lab = Lab::new();
    let all = established(&mut lab, 40);
    let mut chance = Chance::of(7);
    for _ in 0..2_000 {
        lab.t += HOUR;
        let some = chance.some_of(all.iter().collect(), 3);
        lab.merge(some[0], some[1], &[some[2]]);
    }
    let gained: Vec<i64> = all.iter().map(|agent| lab.rating(agent, Track::Antfarm) - START).collect();
    let least = gained.iter().min().unwrap();
    println!("of fifty merges of each the least gained {least}");
    assert!(*least > 100_000, "{gained:?}");
}

/// One step of a story: hours since the last, who does it, with whom, and what.
type Story = Vec<(u64, usize, usize, usize, u8)>;

fn story() -> impl Strategy<Value = Story> {
    let hours = prop_oneof![Just(0u64), Just(1), Just(30), Just(800)];
    proptest::collection::vec((hours, 0..6usize, 0..6usize, 0..6usize, 0..6u8), 1..40)
}

/// Agents of one owner, of owners of their own, and of none.
fn some_agents() -> (Lab, Vec<AgentName>) {
    let mut lab = Lab::new();
    let owners = [Some("acme"), Some("acme"), Some("b"), Some("c"), None, None];
    let agents = owners.iter().enumerate().map(|(k, owner)| lab.join(&format!("agent-{k}"), *owner)).collect();
    (lab, agents)
}

/// Plays a story; what was written, and when.
fn play(lab: &mut Lab, agents: &[AgentName], story: &Story) -> Vec<(u64, EntityId, notes_schema::Fact)> {
    let (mut written, mut merged) = (Vec::new(), Vec::<RatingSettled>::new());
    let mut judged = Vec::<ReviewSettled>::new();
    for (hours, a, b, c, what) in story {
        lab.t += hours * HOUR + 1;
        let (a, b, c) = (&agents[*a], &agents[*b], &agents[*c]);
        let fact: Option<notes_schema::Fact> = match what {
            0 | 1 => {
                merged.push(lab.merge(a, b, &[c]));
                merged.last().cloned().map(Into::into)
            }
            2 => match merged.last().cloned() {
                Some(merge) => {
                    let level = if lab.games.is_multiple_of(2) { Level::PX } else { Level::P2 };
                    lab.turn(&merge, level).map(Into::into)
                }
                None => None,
            },
            3 | 4 => {
                judged.push(lab.judge(a, b, if *what == 3 { WIN } else { LOSS }));
                judged.last().cloned().map(Into::into)
            }
            _ => match judged.last().cloned() {
                Some(was) => {
                    let now = lab.fold.ratings.review(&was.key).unwrap().score_ppm;
                    let other = if now.is_some() { None } else { was.score_ppm };
                    lab.judge_again(was.key, &was.reviewer, &was.author, other).map(Into::into)
                }
                None => None,
            },
        };
        if let Some(fact) = fact {
            let track =
                if matches!(fact, notes_schema::Fact::ReviewSettled(_)) { Track::Review } else { Track::Antfarm };
            written.push((lab.t, elo(track), fact));
        }
    }
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_makes_the_same_again_and_a_duplicate_changes_nothing(story in story(), which in 0usize..40) {
        let (mut lab, agents) = some_agents();
        let written = play(&mut lab, &agents, &story);
        let (mut copy, _) = some_agents();
        for (t, id, fact) in &written {
            copy.t = *t;
            copy.apply(id, fact);
        }
        prop_assert_eq!(&copy.fold.ratings, &lab.fold.ratings);
        if let Some((_, id, fact)) = written.get(which % written.len().max(1)) {
            // A verdict that was judged otherwise since would be judged so again.
            let stands = match fact {
                notes_schema::Fact::ReviewSettled(f) => copy.fold.ratings.review(&f.key).unwrap().score_ppm == f.score_ppm,
                _ => true,
            };
            copy.t += HOUR;
            if stands {
                copy.apply(id, fact);
                prop_assert_eq!(&copy.fold.ratings, &lab.fold.ratings);
            }
        }
    }

    #[test]
    fn a_correction_is_a_replay_with_the_corrected_outcome(story in story(), a in 0usize..6, b in 0usize..6) {
        let (mut wrong, agents) = some_agents();
        play(&mut wrong, &agents, &story);
        let mut right = wrong.clone();
        let fact = wrong.judge(&agents[a], &agents[b], WIN);
        let taken_back = wrong.judge_again(fact.key, &agents[a], &agents[b], None);
        prop_assert!(taken_back.is_some());
        for agent in &agents {
            prop_assert_eq!(wrong.rating(agent, Track::Review), right.rating(agent, Track::Review));
        }
        let again = right.judge(&agents[a], &agents[b], WIN);
        prop_assert_eq!(&again.counts, &fact.counts);
        prop_assert_eq!(again.delta_milli, fact.delta_milli);
    }
}
