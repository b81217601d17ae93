//! Places of a contest: how the submissions of one issue rank.
//!
//! Component after component, each looked at among those alone that are equal so far:
//! not refuted → solved → proof level → fewer regressions → benchmark, in steps of 5% above the best → likeness to the golden
//! patch, in steps of 0.1 → time, where more than 10% apart. What is left is a tie. Places are those of competitions: 1, 1, 3.
//!
//! - Submissions that were refuted tie, whatever else they are; so do those that were not and did not solve the issue. Who has
//!   no solution has no claim to how good or fast it is.
//! - What was not measured ranks behind every measure of its kind, and is equal to what was not measured either.
//! - "10% apart" of pairs is not transitive. So the fastest opens a place, who took at most a tenth longer than that one
//!   shares it, and the next one opens another.
//!
//! Invariant: pure, in integers, and without regard to the order in which submissions are given.
//!
//! Invariant: to improve one component never costs a place. There is one exception, which comes from measuring against the
//! best: who becomes the new best of a benchmark may push the fastest of their equals a step away, and with them go the ten
//! percent that others shared; these may now be faster.

use std::cmp::Reverse;

use notes_schema::event::Level;

/// What a submission has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether re-runs refuted it. A level of `PX` says the same.
    pub refuted: bool,
    /// Whether it solved the issue.
    pub solved: bool,
    /// How well that is proven.
    pub level: Level,
    /// Tests that it broke.
    pub regressions: u32,
    /// Its benchmark in microseconds, less is better; `None` where there is none.
    pub bench_us: Option<u64>,
    /// How alike its tokens are to those of the golden patch; `None` where there is none, or it was too large to be measured.
    pub alike_permille: Option<u32>,
    /// Time from the start to the submission.
    pub took_ms: u64,
}

/// What decided between two submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// One was refuted.
    Refuted,
    /// One did not solve the issue.
    Solved,
    /// One is proven better.
    Proof,
    /// One broke fewer tests.
    Regressions,
    /// One's benchmark is better by a step.
    Benchmark,
    /// One is more like the golden patch by a step.
    Similarity,
    /// One was faster.
    Time,
    /// Nothing: they share a place.
    Tie,
}

impl By {
    /// The word in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Refuted => "refuted",
            By::Solved => "solved",
            By::Proof => "proof",
            By::Regressions => "regressions",
            By::Benchmark => "benchmark",
            By::Similarity => "similarity",
            By::Time => "time",
            By::Tie => "tie",
        }
    }
}

/// Two submissions next to each other in the order of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbours {
    /// Which submission stands before, by its index among those given.
    pub ahead: usize,
    /// Which stands behind, or shares the place.
    pub behind: usize,
    /// What decided that.
    pub by: By,
}

/// Places of submissions, in the order given: 1 is best, equals share a place, and the next place is that much later.
pub fn places(standings: &[Standing]) -> Vec<u32> {
    let keys = keys(standings);
    let mut places = vec![1u32; keys.len()];
    let mut place = 1u32;
    let order = order(&keys);
    for (at, pair) in (1u32..).zip(order.windows(2)) {
        if keys[pair[0]] != keys[pair[1]] {
            place = at.saturating_add(1);
        }
        places[pair[1]] = place;
    }
    places
}

/// What decided between each two that stand next to each other, best first; those who share a place stand as they were given.
pub fn decided_by(standings: &[Standing]) -> Vec<Neighbours> {
    let keys = keys(standings);
    let order = order(&keys);
    let pairs = order.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.map(|(ahead, behind)| Neighbours { ahead, behind, by: keys[ahead].differs_by(&keys[behind]) }).collect()
}

fn order(keys: &[Key]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&at| keys[at]);
    order
}

/// What a submission ranks by; less is better, field after field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    refuted: bool,
    unsolved: bool,
    proof: Reverse<u8>,
    regressions: u32,
    /// Whole steps above the best of those equal so far.
    bench: u128,
    /// `None`, which is less than any, ranks last.
    alike: Reverse<Option<u32>>,
    /// Which of those equal so far opened the place.
    time: usize,
}

impl Key {
    fn differs_by(&self, other: &Key) -> By {
        let same = [
            (self.refuted == other.refuted, By::Refuted),
            (self.unsolved == other.unsolved, By::Solved),
            (self.proof == other.proof, By::Proof),
            (self.regressions == other.regressions, By::Regressions),
            (self.bench == other.bench, By::Benchmark),
            (self.alike == other.alike, By::Similarity),
            (self.time == other.time, By::Time),
        ];
        same.into_iter().find(|(same, _)| !same).map_or(By::Tie, |(_, by)| by)
    }
}

fn keys(standings: &[Standing]) -> Vec<Key> {
    let mut keys: Vec<Key> = standings.iter().map(alone).collect();
    among_equals(&mut keys, |keys, equals| {
        let best = equals.iter().filter_map(|&at| standings[at].bench_us).min();
        for &at in equals {
            keys[at].bench = steps(standings[at].bench_us, best);
        }
    });
    // Likeness is no matter of others, but it stands behind what is.
    among_equals(&mut keys, |keys, equals| {
        for &at in equals {
            keys[at].alike = Reverse(standings[at].alike_permille.map(|permille| permille.min(1000) / 100));
        }
    });
    among_equals(&mut keys, |keys, equals| {
        let mut by_time = equals.to_vec();
        by_time.sort_by_key(|&at| standings[at].took_ms);
        let (mut place, mut first) = (0, None);
        for (nth, at) in by_time.into_iter().enumerate() {
            let took = u128::from(standings[at].took_ms);
            if first.is_none_or(|first| took * 10 > first * 11) {
                (place, first) = (nth, Some(took));
            }
            keys[at].time = place;
        }
    });
    keys
}

/// What a submission says without looking at the others.
fn alone(standing: &Standing) -> Key {
    if standing.refuted || standing.level == Level::PX {
        Key { refuted: true, ..Key::default() }
    } else if !standing.solved {
        Key { unsolved: true, ..Key::default() }
    } else {
        Key { proof: Reverse(proven(standing.level)), regressions: standing.regressions, ..Key::default() }
    }
}

fn proven(level: Level) -> u8 {
    match level {
        Level::PX | Level::P0 => 0,
        Level::P1 => 1,
        Level::P2 => 2,
        Level::P3 => 3,
    }
}

/// How many whole 5% of the best a benchmark lies above it. A best of 0 counts as 1.
fn steps(bench: Option<u64>, best: Option<u64>) -> u128 {
    match (bench, best) {
        (Some(bench), Some(best)) => u128::from(bench.saturating_sub(best)) * 20 / u128::from(best.max(1)),
        (None, None) => 0,
        _ => u128::MAX,
    }
}

/// Gives those that are equal so far to `look`, by their indices; the others have nothing more to be told apart by.
fn among_equals(keys: &mut [Key], look: impl Fn(&mut [Key], &[usize])) {
    let mut order = order(keys);
    order.retain(|&at| !keys[at].refuted && !keys[at].unsolved);
    let equals: Vec<&[usize]> = order.chunk_by(|&a, &b| keys[a] == keys[b]).collect();
    for equals in equals {
        look(keys, equals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Standing = Standing {
        refuted: false,
        solved: true,
        level: Level::P1,
        regressions: 0,
        bench_us: None,
        alike_permille: None,
        took_ms: 1000,
    };

    fn timed(times: &[u64]) -> Vec<Standing> {
        times.iter().map(|&took_ms| Standing { took_ms, ..GOOD }).collect()
    }

    #[test]
    fn each_component_decides_where_those_before_are_equal() {
        let refuted = Standing { refuted: true, ..GOOD };
        let mut all = vec![
            Standing { level: Level::P3, regressions: 9, bench_us: None, ..GOOD },
            Standing { level: Level::P2, regressions: 1, bench_us: Some(104), alike_permille: Some(999), ..GOOD },
            Standing { level: Level::P2, regressions: 1, bench_us: Some(100), alike_permille: Some(899), ..GOOD },
            Standing {
                level: Level::P2,
                regressions: 1,
                bench_us: Some(101),
                alike_permille: Some(800),
                took_ms: 1101,
                ..GOOD
            },
            Standing {
                level: Level::P2,
                regressions: 1,
                bench_us: Some(105),
                alike_permille: Some(1000),
                took_ms: 1,
                ..GOOD
            },
            Standing { level: Level::P2, regressions: 2, bench_us: Some(1), ..GOOD },
            Standing { level: Level::P0, ..GOOD },
            Standing { level: Level::P3, solved: false, ..GOOD },
            Standing { level: Level::PX, ..GOOD },
            refuted,
        ];
        assert_eq!(places(&all), [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
        let by: Vec<&str> = decided_by(&all).iter().map(|pair| pair.by.as_str()).collect();
        let expected = ["proof", "similarity", "time", "benchmark", "regressions", "proof", "solved", "refuted", "tie"];
        assert_eq!(by, expected);
        all.reverse();
        assert_eq!(places(&all), [9, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        let pairs = decided_by(&all);
        assert_eq!(pairs[0], Neighbours { ahead: 9, behind: 8, by: By::Proof });
        assert_eq!(pairs[8], Neighbours { ahead: 0, behind: 1, by: By::Tie });
    }

    #[test]
    fn who_has_no_claim_to_quality_ties_with_their_like() {
        let worst = Standing { regressions: 7, took_ms: 9_000_000, level: Level::P0, ..GOOD };
        let unsolved = [GOOD, worst].map(|standing| Standing { solved: false, bench_us: Some(1), ..standing });
        let refuted = [GOOD, worst, unsolved[0]].map(|standing| Standing { refuted: true, ..standing });
        let all = [refuted[0], unsolved[0], worst, refuted[1], unsolved[1], refuted[2]];
        assert_eq!(places(&all), [4, 2, 1, 4, 2, 4]);
    }

    #[test]
    fn the_fastest_opens_a_place() {
        assert_eq!(places(&timed(&[1000, 1100, 1101, 1210, 1211, 1212])), [1, 1, 3, 3, 3, 6]);
        assert_eq!(places(&timed(&[0, 0, 1])), [1, 1, 3]);
        assert_eq!(places(&timed(&[u64::MAX, u64::MAX - 1])), [1, 1]);
        assert_eq!(places(&[]), [0u32; 0]);
        assert!(decided_by(&[]).is_empty() && decided_by(&timed(&[1])).is_empty());
    }

    #[test]
    fn benchmarks_count_in_whole_steps_above_the_best_of_their_equals() {
        let with = |bench: &[Option<u64>]| -> Vec<Standing> {
            bench.iter().map(|&bench_us| Standing { bench_us, ..GOOD }).collect()
        };
        assert_eq!(places(&with(&[Some(1000), Some(1049), Some(1050), Some(1099), Some(1100)])), [1, 1, 3, 3, 5]);
        assert_eq!(places(&with(&[None, Some(u64::MAX), None, Some(0), Some(0)])), [4, 3, 4, 1, 1]);
        // The best of those who broke a test is no measure for the others.
        let mut other = with(&[Some(1000), Some(1049), Some(10)]);
        other[2].regressions = 1;
        assert_eq!(places(&other), [1, 1, 3]);
    }

    #[test]
    fn likeness_counts_in_tenths() {
        let with = [Some(0), None, Some(99), Some(100), Some(1000), Some(999), Some(7000)];
        let all = with.map(|alike_permille| Standing { alike_permille, ..GOOD });
        assert_eq!(places(&all), [5, 7, 5, 4, 1, 3, 1]);
    }

    /// The exception that the head of this module tells of.
    #[test]
    fn a_new_best_may_take_along_what_others_shared() {
        let mut all = timed(&[100, 111, 112, 122]);
        all[0].bench_us = Some(104);
        for other in &mut all[1..] {
            other.bench_us = Some(100);
        }
        // 100 | 111, 112, 122: the last is not more than a tenth behind the second.
        assert_eq!(places(&all), [1, 2, 2, 2]);
        all.push(Standing { took_ms: 110, bench_us: Some(100), ..GOOD });
        assert_eq!(places(&all), [1, 3, 3, 3, 1]);
        all[3].bench_us = Some(98);
        // The first is a step away now, 110 opens a place, and 122 is more than a tenth behind it.
        assert_eq!(places(&all), [5, 1, 1, 4, 1]);
    }

    fn some() -> impl Strategy<Value = Standing> {
        let level = prop::sample::select(vec![Level::P0, Level::P1, Level::P2, Level::P3, Level::PX]);
        let bench = prop::option::weighted(0.8, 95u64..120);
        let alike = prop::option::weighted(0.8, 650u32..1000);
        (prop::bool::weighted(0.1), prop::bool::weighted(0.9), level, 0u32..2, bench, alike, 90u64..140).prop_map(
            |(refuted, solved, level, regressions, bench_us, alike_permille, took_ms)| Standing {
                refuted,
                solved,
                level,
                regressions,
                bench_us,
                alike_permille,
                took_ms,
            },
        )
    }

    /// Some fields are equal in all but what is looked at last, so that the last components decide.
    fn field() -> impl Strategy<Value = Vec<Standing>> {
        (0usize..4, prop::collection::vec(some(), 1..9)).prop_map(|(close, mut field)| {
            for one in &mut field {
                if close > 0 {
                    *one = Standing { refuted: false, solved: true, level: Level::P2, regressions: 0, ..*one };
                }
                if close > 1 {
                    one.alike_permille = Some(700);
                }
                if close > 2 {
                    one.bench_us = None;
                }
            }
            field
        })
    }

    /// One component better, if it can be.
    fn better(one: Standing, which: usize, by: u64) -> Standing {
        let by32 = by as u32;
        match which {
            0 => Standing { refuted: false, ..one },
            1 => Standing { solved: true, ..one },
            2 => {
                let next = match one.level {
                    Level::PX => Level::P0,
                    Level::P0 => Level::P1,
                    Level::P1 => Level::P2,
                    Level::P2 | Level::P3 => Level::P3,
                };
                Standing { level: next, ..one }
            }
            3 => Standing { regressions: one.regressions.saturating_sub(1), ..one },
            4 => Standing { alike_permille: Some(one.alike_permille.map_or(by32, |alike| alike + by32)), ..one },
            5 => Standing { took_ms: one.took_ms.saturating_sub(by), ..one },
            _ => Standing { bench_us: Some(one.bench_us.map_or(100, |bench| bench.saturating_sub(by))), ..one },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_order_given_is_nothing(field in field(), turn in 0usize..9) {
            let turn = turn % field.len();
            let turned = |list: &mut Vec<Standing>| { list.rotate_left(turn); list.reverse(); };
            let mut other = field.clone();
            turned(&mut other);
            let mut expected = places(&field);
            expected.rotate_left(turn);
            expected.reverse();
            prop_assert_eq!(places(&other), expected);
            let words = |field: &[Standing]| decided_by(field).iter().map(|pair| pair.by).collect::<Vec<_>>();
            prop_assert_eq!(words(&other), words(&field));
        }

        #[test]
        fn places_are_those_of_competitions(field in field()) {
            let places = places(&field);
            for (at, place) in places.iter().enumerate() {
                let ahead = places.iter().filter(|other| *other < place).count();
                prop_assert_eq!(*place as usize, ahead + 1, "{}", at);
            }
            for pair in decided_by(&field) {
                prop_assert_eq!(pair.by == By::Tie, places[pair.ahead] == places[pair.behind]);
                prop_assert!(places[pair.ahead] <= places[pair.behind]);
            }
        }

        #[test]
        fn equals_tie(field in field(), who in 0usize..9) {
            let mut twins = field.clone();
            twins.push(twins[who % field.len()]);
            let places = places(&twins);
            prop_assert_eq!(places[who % field.len()], places[field.len()]);
        }

        #[test]
        fn to_improve_never_costs_a_place(field in field(), who in 0usize..9, which in 0usize..6, by in 1u64..40) {
            let who = who % field.len();
            let mut improved = field.clone();
            improved[who] = better(field[who], which, by);
            prop_assert!(places(&improved)[who] <= places(&field)[who], "{:?}", improved[who]);
        }

        #[test]
        fn nor_does_a_benchmark_but_for_how_others_share_their_time(field in field(), who in 0usize..9, by in 1u64..40) {
            let who = who % field.len();
            let mut improved = field.clone();
            improved[who] = better(field[who], 6, by);
            let bench = |one: &Standing| one.bench_us.unwrap_or(u64::MAX);
            let equal = |one: &&Standing| {
                one.solved && !one.refuted && (one.level, one.regressions) == (field[who].level, field[who].regressions)
            };
            let best = field.iter().filter(equal).map(bench).min();
            // Short of a new best, always.
            if best.is_some_and(|best| best <= bench(&improved[who])) {
                prop_assert!(places(&improved)[who] <= places(&field)[who]);
            }
            // A new best as well, as far as benchmark and likeness go.
            let timeless = |field: &[Standing]| -> Vec<Standing> {
                field.iter().map(|one| Standing { took_ms: 1, ..*one }).collect()
            };
            prop_assert!(places(&timeless(&improved))[who] <= places(&timeless(&field))[who]);
        }

        #[test]
        fn ties_are_of_those_alike_and_apart_by_time_only_beyond_a_tenth(field in field()) {
            let places = places(&field);
            for pair in decided_by(&field) {
                let (a, b) = (field[pair.ahead], field[pair.behind]);
                let apart = a.took_ms * 11 < b.took_ms * 10 || b.took_ms * 11 < a.took_ms * 10;
                if pair.by == By::Tie && a.solved && !a.refuted && a.level != Level::PX {
                    prop_assert!(!apart);
                    prop_assert_eq!((a.level, a.regressions), (b.level, b.regressions));
                }
                if pair.by == By::Time && pair.ahead != pair.behind {
                    prop_assert!(a.took_ms < b.took_ms);
                    // Whoever opened the place of the one ahead is more than a tenth faster.
                    let opened = (0..field.len()).filter(|&at| places[at] == places[pair.ahead]);
                    let first = opened.map(|at| field[at].took_ms).min().unwrap_or(0);
                    prop_assert!(field[pair.behind].took_ms * 10 > first * 11);
                }
            }
        }
    }
}
