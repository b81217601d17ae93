//! How far a rating may be from what its agent is worth.
//!
//! A game moves a rating toward what the agent is worth, and by chance away from it. Both are known of a game between equals with
//! factor K: what was wrong shrinks by K · ln 10 / 1600 of itself, and chance adds K² / 4 to its variance. Many games leave what
//! chance adds with each; few leave what nobody knows of somebody new.
//!
//! Invariant: integers alone, as in [`super::elo`]: every copy of a ledger says the same.

use std::sync::LazyLock;

use notes_schema::names::Track;

use super::elo::{K_CONTEST, K_MERGE, K_REVIEW};

/// Standard deviation of agents' worth around where all begin, milli-Elo.
const SPREAD: i128 = 300_000;
/// ln 10 / 1600 in parts of ten millions: by how much of itself a point of K shrinks what is wrong.
const SHRINKS: i128 = 14_391;
const WHOLE: i128 = 10_000_000;
/// Behind so many games nothing shrinks any more.
const SETTLED: usize = 1_000;

/// Two standard deviations of a rating after so many rated games, milli-Elo: to either side. Each counts as one in full between
/// equals, so what counted for less is known less well than this says.
pub fn interval_milli(track: Track, games: usize) -> i64 {
    // A board asks it of every agent.
    static CONTESTS: LazyLock<Vec<i64>> = LazyLock::new(|| behind_each(K_CONTEST));
    static MERGES: LazyLock<Vec<i64>> = LazyLock::new(|| behind_each(K_MERGE));
    static REVIEWS: LazyLock<Vec<i64>> = LazyLock::new(|| behind_each(K_REVIEW));
    let known = match track {
        Track::Simulator => &CONTESTS,
        Track::Antfarm => &MERGES,
        Track::Review => &REVIEWS,
    };
    known[games.min(SETTLED)]
}

/// The same behind 0, 1, 2 … [`SETTLED`] games with this K.
fn behind_each(k: i64) -> Vec<i64> {
    let k = i128::from(k);
    let keeps = WHOLE - k * SHRINKS / 1000;
    let next = |variance: &i128| Some(variance * keeps / WHOLE * keeps / WHOLE + k * k / 4);
    let variances = std::iter::successors(Some(SPREAD * SPREAD), next).take(SETTLED + 1);
    variances.map(|variance| i64::try_from(2 * variance.isqrt()).unwrap_or(i64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_narrows_with_games_to_what_chance_adds_with_each() {
        let of = |games| interval_milli(Track::Simulator, games) / 1000;
        // By hand: 0.95395² · 90000 + 256 = 82158, whose root is 286.6; many leave 256 / (1 − 0.95395²) = 2845, and 53.3.
        assert_eq!((of(0), of(1), of(10), of(30)), (600, 573, 383, 178));
        assert_eq!((of(200), of(usize::MAX)), (106, 106));
        for track in Track::ALL {
            let all: Vec<i64> = (0..300).map(|games| interval_milli(track, games)).collect();
            assert!(all.is_sorted_by(|a, b| a >= b), "{track:?}");
        }
        let reviews = interval_milli(Track::Review, 100);
        assert!(reviews > interval_milli(Track::Antfarm, 100), "where less is at stake, more games are needed");
    }
}
