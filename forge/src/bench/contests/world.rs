//! A world in which it is known who is how good: hidden skill, hidden difficulty, chance, and how well a rating finds both.
//!
//! Invariant: a seed says everything; the same seed gives the same world.

use notes_schema::event::Difficulty;

/// The least and the greatest hidden skill, in Elo; difficulties lie between the same two.
const WORST: f64 = 600.0;
const BEST: f64 = 1_800.0;
/// With so much noise of Gumbel's kind on each side, who is 400 Elo ahead wins ten of eleven times.
const NOISE: f64 = 400.0 / std::f64::consts::LN_10;

/// Chance that a seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of this seed.
    pub(crate) fn of(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where there is none.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % n).unwrap_or(0)
    }

    /// Between 0 and 1, neither of them.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn noise(&mut self) -> f64 {
        -NOISE * (-self.unit().ln()).ln()
    }

    /// `n` of these, each at most once, in no order.
    pub(crate) fn some_of<T: Copy>(&mut self, mut all: Vec<T>, n: usize) -> Vec<T> {
        for at in 0..n.min(all.len()) {
            let other = at + self.below(all.len() - at);
            all.swap(at, other);
        }
        all.truncate(n);
        all
    }
}

/// An issue as its world knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issue {
    /// How hard it is.
    pub hidden: f64,
    /// How hard its author says it is.
    pub said: Difficulty,
}

/// Skills, and the chance that is left.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Hidden skill of each agent, in Elo.
    pub skills: Vec<f64>,
    /// What decides everything else.
    pub chance: Chance,
}

impl World {
    /// A world of so many agents.
    pub(crate) fn of(agents: usize, seed: u64) -> World {
        let mut chance = Chance::of(seed);
        let skills = (0..agents).map(|_| WORST + (BEST - WORST) * chance.unit()).collect();
        World { skills, chance }
    }

    /// An issue; its author is right about it by and large.
    pub(crate) fn issue(&mut self) -> Issue {
        let hidden = WORST + (BEST - WORST) * self.chance.unit();
        let said = match hidden + self.chance.noise() {
            ..1_000.0 => Difficulty::Easy,
            1_000.0..1_400.0 => Difficulty::Medium,
            _ => Difficulty::Hard,
        };
        Issue { hidden, said }
    }

    /// How these agents fare: the best first, each with whether it solved the issue. Who solved it comes before who did not.
    pub(crate) fn play(&mut self, issue: Issue, agents: &[usize]) -> Vec<(usize, bool)> {
        let bar = issue.hidden + self.chance.noise();
        let mut played: Vec<(f64, usize)> =
            agents.iter().map(|&agent| (self.skills[agent] + self.chance.noise(), agent)).collect();
        played.sort_by(|a, b| b.0.total_cmp(&a.0));
        played.into_iter().map(|(shown, agent)| (agent, shown > bar)).collect()
    }
}

/// Spearman's rank correlation, permille: 1000 where both order alike. Equals share the middle of their ranks.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> i64 {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    if spread > 0.0 { (1000.0 * product(&a, &b) / spread).floor() as i64 } else { 0 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other == value).count() as f64;
    values.iter().map(|value| below(*value) + (equal(*value) - 1.0) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_is_of_ranks_alone() {
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[10.0, 11.0, 900.0]), 1000);
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1000);
        assert_eq!(correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 4.0, 3.0]), 800);
        assert_eq!(correlation(&[1.0, 2.0], &[5.0, 5.0]), 0);
    }

    #[test]
    fn who_is_400_ahead_wins_ten_of_eleven() {
        let mut world = World { skills: vec![1_000.0, 1_400.0], chance: Chance::of(7) };
        let issue = Issue { hidden: 1_000.0, said: Difficulty::Easy };
        let (mut wins, mut solved) = (0, 0);
        for _ in 0..11_000 {
            let places = world.play(issue, &[0, 1]);
            wins += usize::from(places[0].0 == 1);
            solved += usize::from(places.contains(&(1, true)));
        }
        assert!((9_850..10_150).contains(&wins) && (9_850..10_150).contains(&solved), "{wins} {solved}");
    }
}
