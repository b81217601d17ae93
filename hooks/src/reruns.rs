//! Runs of others: what they make of the level of a proof.
//!
//! Invariant: counts owners, not runs. The author of the proof never counts, and two agents of one owner count once, by
//! what they said last.

use std::collections::BTreeMap;

use notes_schema::event::{Level, Outcome};
use notes_schema::trace::Attempt;
use notes_schema::{AgentName, Sha256};

use crate::rules::tests_passed;

/// Somebody ran a proof again, on its very tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// The owner of whoever ran it.
    pub owner: AgentName,
    /// The owner of whose proof it was.
    pub of: AgentName,
    /// What was run: [`run_of`] both records.
    pub run: Sha256,
    /// Whether it passed.
    pub passed: bool,
}

/// How many other owners say what of one run on one tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// It passed for them as well.
    pub confirm: usize,
    /// It failed for them.
    pub refute: usize,
}

/// How many owners it takes, on either side.
pub const NEEDED: usize = 2;

impl Count {
    /// At least two passed, and more than failed.
    pub fn confirms(self) -> bool {
        self.confirm >= NEEDED && self.confirm > self.refute
    }

    /// At least two failed, and more than passed.
    pub fn refutes(self) -> bool {
        self.refute >= NEEDED && self.refute > self.confirm
    }
}

/// Counts re-runs, oldest first, for a proof of `author`'s owner.
pub fn count<'a>(reruns: impl IntoIterator<Item = &'a Rerun>, author: &AgentName) -> Count {
    let others = reruns.into_iter().filter(|rerun| rerun.owner != *author);
    let newest: BTreeMap<&AgentName, bool> = others.map(|rerun| (&rerun.owner, rerun.passed)).collect();
    let confirm = newest.values().filter(|passed| **passed).count();
    Count { confirm, refute: newest.len() - confirm }
}

/// The level of a proof that by itself shows `own` (P1 or P2), by the re-runs on its tree, oldest first. It is refuted
/// where its run was, or another run by which the same owner meant to prove this tree: a second record shakes nothing off.
pub fn level(own: Level, author: &AgentName, run: &Sha256, on_tree: &[Rerun]) -> Level {
    let of = |run: &Sha256| count(on_tree.iter().filter(|rerun| rerun.run == *run), author);
    let claimed = on_tree.iter().filter(|rerun| rerun.of == *author).map(|rerun| &rerun.run);
    if claimed.chain([run]).any(|run| of(run).refutes()) {
        return Level::PX;
    }
    if of(run).confirms() { Level::P3 } else { own }
}

/// What tells whether two attempts ran the same: digest of the command and of the directory that it ran in.
pub fn run_of(attempt: &Attempt) -> Sha256 {
    let mut text = attempt.cwd.trim_end_matches('/').as_bytes().to_vec();
    for word in &attempt.argv {
        // No argument holds a zero byte, so that no two commands read alike.
        text.push(0);
        text.extend_from_slice(word.as_bytes());
    }
    Sha256::of(&text)
}

/// Whether the command of a run was recorded in full. What can be run by nobody else can be refuted by nobody, so it proves
/// nothing.
pub fn in_full(run: &Attempt) -> bool {
    run.argv.iter().all(|word| !word.contains("[redacted") && !word.contains("[more arguments left out]"))
}

/// What a re-run says, or why it says nothing.
pub fn outcome(again: &Attempt) -> Result<Outcome, String> {
    if again.timed_out {
        return Err("it was ended because its time was up, which may be a slow machine's fault".to_owned());
    }
    match tests_passed::complaint(again) {
        None => Ok(Outcome::Confirm),
        Some(why) if again.succeeded() && again.tests.as_ref().is_some_and(|tests| tests.ran() == 0) => Err(why),
        Some(_) => Ok(Outcome::Refute),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, attempt};

    #[test]
    fn the_exit_status_decides_where_anything_ran() {
        let tests = |passed, failed| {
            Some(notes_schema::trace::Tests { framework: "tap".into(), passed, failed, ..Default::default() })
        };
        let said = |again: Attempt| outcome(&again).ok();
        assert_eq!(said(attempt()), Some(Outcome::Confirm));
        assert_eq!(said(Attempt { tests: tests(3, 0), ..attempt() }), Some(Outcome::Confirm));
        assert_eq!(said(Attempt { exit: Some(127), ..attempt() }), Some(Outcome::Refute));
        assert_eq!(said(Attempt { exit: None, signal: Some(6), ..attempt() }), Some(Outcome::Refute));
        assert_eq!(said(Attempt { tests: tests(3, 1), ..attempt() }), Some(Outcome::Refute));
        assert_eq!(said(Attempt { tests: tests(0, 0), ..attempt() }), None);
        assert_eq!(said(Attempt { timed_out: true, exit: Some(124), ..attempt() }), None);
    }

    fn run(name: &str) -> Sha256 {
        Sha256::of(name.as_bytes())
    }

    /// `beta+` passed, `beta-` failed; `beta-x` failed another run `x` of alpha's, `beta-x@delta` one of delta's.
    fn reruns(words: &str) -> Vec<Rerun> {
        let one = |word: &str| {
            let at = word.find(['+', '-']).unwrap();
            let (what, of) = word[at + 1..].split_once('@').unwrap_or((&word[at + 1..], "alpha"));
            Rerun { owner: agent(&word[..at]), of: agent(of), run: run(what), passed: word[at..].starts_with('+') }
        };
        words.split_whitespace().map(one).collect()
    }

    #[test]
    fn levels_by_what_others_ran() {
        for (words, own, level) in [
            ("", "P1", "P1"),
            ("beta+", "P1", "P1"),
            ("beta+ gamma+", "P1", "P3"),
            ("beta+ gamma+", "P2", "P3"),
            // The same twice is one, and the author is none.
            ("beta+ beta+", "P2", "P2"),
            ("alpha+ beta+", "P1", "P1"),
            ("alpha- beta-", "P1", "P1"),
            ("beta- beta-", "P1", "P1"),
            // A lone refute only shows.
            ("beta-", "P2", "P2"),
            ("beta+ gamma+ delta-", "P1", "P3"),
            ("beta- gamma-", "P2", "PX"),
            ("beta- gamma- delta+", "P1", "PX"),
            // As many as say the contrary: nothing follows.
            ("beta- gamma- delta+ echo+", "P1", "P1"),
            ("beta- gamma- delta+ echo+ fox+", "P1", "P3"),
            // Whoever ran it once more says what it says now.
            ("beta- gamma- beta+", "P1", "P1"),
            ("beta- gamma- beta+ gamma+", "P1", "P3"),
            // Another run of the author's on this tree, and one of somebody else's.
            ("beta-x gamma-x", "P1", "PX"),
            ("beta-x gamma-x delta+ echo+", "P1", "PX"),
            ("beta-x@delta gamma-x@delta", "P1", "P1"),
            ("beta+x gamma+x", "P1", "P1"),
        ] {
            let own = if own == "P2" { Level::P2 } else { Level::P1 };
            let found = super::level(own, &agent("alpha"), &run(""), &reruns(words));
            assert_eq!(found.to_string(), level, "{words}, own level {own}");
        }
    }

    #[test]
    fn the_same_run_is_the_same_words_in_the_same_directory() {
        let with = |argv: &[&str], cwd: &str| {
            let argv = argv.iter().map(|word| (*word).to_owned()).collect();
            run_of(&Attempt { argv, cwd: cwd.to_owned(), ..attempt() })
        };
        assert_eq!(with(&["cargo", "test"], "sub"), with(&["cargo", "test"], "sub/"));
        let different = [with(&["cargo", "test"], ""), with(&["cargo test"], ""), with(&["test"], "cargo")];
        assert!(different[0] != different[1] && different[1] != different[2] && different[0] != different[2]);
    }
}
