//! How far a rating may be from what its agent is worth.
//!
//! A game moves a rating toward what the agent is worth, and by chance away from it. Both are known of a game between equals with
//! factor K: what was wrong shrinks by K · ln 10 / 1600 of itself, and chance adds K² / 4 to its variance. Many games leave what
//! chance adds with each; few leave what nobody knows of somebody new.
//!
//! Invariant: integers alone, as in [`super::elo`]: every copy of a ledger says the same.

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
    let k = i128::from(match track {
        Track::Simulator => K_CONTEST,
        Track::Antfarm => K_MERGE,
        Track::Review => K_REVIEW,
    });
    let keeps = WHOLE - k * SHRINKS / 1000;
    let (mut variance, chance) = (SPREAD * SPREAD, k * k / 4);
    for _ in 0..games.min(SETTLED) {
        variance = variance * keeps / WHOLE * keeps / WHOLE + chance;
    }
    i64::try_from(2 * variance.isqrt()).unwrap_or(i64::MAX)
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
