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
        let best = equals.iter().filter_map(|&at| claims(standings, at)?.bench_us).min();
        for &at in equals {
            keys[at].bench = claims(standings, at).map_or(0, |standing| steps(standing.bench_us, best));
        }
    });
    for (key, standing) in keys.iter_mut().zip(standings).filter(|(key, _)| !key.refuted && !key.unsolved) {
        key.alike = Reverse(standing.alike_permille.map(|permille| permille.min(1000) / 100));
    }
    among_equals(&mut keys, |keys, equals| {
        let mut by_time: Vec<usize> = equals.iter().copied().filter(|&at| claims(standings, at).is_some()).collect();
        by_time.sort_by_key(|&at| standings[at].took_ms);
        let (mut place, mut opened_by) = (0, None);
        for (nth, at) in by_time.into_iter().enumerate() {
            let took = standings[at].took_ms;
            if opened_by.is_none_or(|first| u128::from(took) * 10 > u128::from(first) * 11) {
                (place, opened_by) = (nth, Some::<u64>(took));
            }
            keys[at].time = place;
        }
    });
    keys
}

/// What a submission says without looking at the others.
fn alone(standing: &Standing) -> Key {
    let key = Key { refuted: refuted(standing), ..Key::default() };
    if key.refuted {
        return key;
    }
    if !standing.solved {
        return Key { unsolved: true, ..key };
    }
    Key { proof: Reverse(proven(standing.level)), regressions: standing.regressions, ..key }
}

fn refuted(standing: &Standing) -> bool {
    standing.refuted || standing.level == Level::PX
}

/// The submission, if it has a claim to quality.
fn claims(standings: &[Standing], at: usize) -> Option<&Standing> {
    standings.get(at).filter(|standing| standing.solved && !refuted(standing))
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

/// Gives those that are equal so far to `look`, by their indices.
fn among_equals(keys: &mut [Key], look: impl Fn(&mut [Key], &[usize])) {
    let order = order(keys);
    let equals: Vec<&[usize]> = order.chunk_by(|&a, &b| keys[a] == keys[b]).collect();
    for equals in equals {
        look(keys, equals);
    }
}

#[cfg(test)]
mod tests;
