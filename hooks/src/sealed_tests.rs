//! What a recorded run says of a contest's sealed tests, which were in its tree.
//!
//! Invariant: pure, and no kinder than the record. A record names tests that failed, not those that passed: so that a test passed
//! is concluded where everything did, or where all that failed is named and may fail.

use notes_schema::event::Finding;
use notes_schema::trace::Attempt;

use crate::reruns;
use crate::rules::tests_passed;

/// What is asked of a submission.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Tests that failed before, and must pass now.
    pub now: &'a [String],
    /// Tests that passed before, and must pass still.
    pub still: &'a [String],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// [`Finding::Confirm`] where all that must pass now did.
    pub finding: Finding,
    /// How many of those that must pass still failed.
    pub regressions: u32,
}

/// What a run says, or why it says nothing.
pub fn said(run: &Attempt, asked: Asked) -> Result<Said, String> {
    if run.timed_out {
        reruns::outcome(run)?;
    }
    let passed = tests_passed::complaint(run).is_none();
    let refuted = |regressions| Ok(Said { finding: Finding::Refute, regressions });
    let Some(tests) = run.tests.as_ref() else {
        // Nothing but the exit status is known.
        return if passed { Ok(Said { finding: Finding::Confirm, regressions: 0 }) } else { refuted(0) };
    };
    let wanted = (asked.now.len() + asked.still.len()) as u64;
    if passed {
        // Where fewer passed than there are, not all of them ran.
        return if tests.passed < wanted { refuted(0) } else { Ok(Said { finding: Finding::Confirm, regressions: 0 }) };
    }
    let fails = |names: &[String]| names.iter().filter(|name| tests.failed_names.iter().any(|f| is(name, f))).count();
    let regressions = u32::try_from(fails(asked.still)).unwrap_or(u32::MAX);
    let is_named = tests.failed_names.len() as u64 == tests.failed;
    let may_fail = |failed: &String| asked.still.iter().any(|name| is(name, failed));
    let ran = tests.passed.saturating_add(tests.failed) >= wanted;
    let is_solved =
        is_named && tests.failed > 0 && ran && fails(asked.now) == 0 && tests.failed_names.iter().all(may_fail);
    if is_solved { Ok(Said { finding: Finding::Confirm, regressions }) } else { refuted(regressions) }
}

/// Whether a name of a list and one that a runner printed are of one test. Most runners print what lists hold; `unittest`
/// prints `test_x (tests.test_a.A.test_x)`, and before 3.11 `test_x (tests.test_a.A)`, of `tests.test_a.A.test_x`; and what
/// go's `TestA/part` says, `TestA` says too.
fn is(listed: &str, printed: &str) -> bool {
    if printed.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return true;
    }
    let Some((test, place)) = printed.strip_suffix(')').and_then(|rest| rest.split_once(" (")) else { return false };
    listed == place || listed.strip_prefix(place).and_then(|rest| rest.strip_prefix('.')) == Some(test)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::attempt;
    use notes_schema::trace::Tests;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What a run says in which so many passed and these failed, where `a` and `b` must pass now, `x` and `y` still.
    fn of(passed: u64, failed: &str) -> (Finding, u32) {
        let failed_names = names(failed);
        let (count, exit) = (failed_names.len() as u64, if failed_names.is_empty() { 0 } else { 1 });
        let tests = Tests { framework: "tap".into(), passed, failed: count, failed_names, ..Default::default() };
        let run = Attempt { exit: Some(exit), tests: Some(tests), ..attempt() };
        let (now, still) = (names("a b"), names("x y"));
        let said = said(&run, Asked { now: &now, still: &still }).unwrap();
        (said.finding, said.regressions)
    }

    #[test]
    fn tests_that_must_pass_now_decide_and_those_that_must_still_are_counted() {
        use Finding::{Confirm, Refute};
        assert_eq!(of(4, ""), (Confirm, 0));
        assert_eq!(of(9, ""), (Confirm, 0));
        assert_eq!(of(3, ""), (Refute, 0), "one of them did not run");
        assert_eq!(of(3, "x"), (Confirm, 1));
        assert_eq!(of(2, "x y"), (Confirm, 2));
        assert_eq!(of(1, "x y"), (Refute, 2), "one of them did not run");
        assert_eq!(of(3, "a"), (Refute, 0));
        assert_eq!(of(2, "a y"), (Refute, 1));
        assert_eq!(of(4, "unknown"), (Refute, 0), "what is in no list may not fail");
        assert_eq!(of(0, ""), (Refute, 0), "nothing ran");
    }

    #[test]
    fn without_names_or_counts_the_exit_status_decides() {
        let (now, still) = (names("a"), names("x"));
        let asked = Asked { now: &now, still: &still };
        let with = |exit, tests| Attempt { exit: Some(exit), tests, ..attempt() };
        let finding = |run: &Attempt| said(run, asked).map(|said| (said.finding, said.regressions));
        assert_eq!(finding(&with(0, None)), Ok((Finding::Confirm, 0)));
        assert_eq!(finding(&with(1, None)), Ok((Finding::Refute, 0)));
        let some =
            Tests { framework: "tap".into(), passed: 5, failed: 2, failed_names: names("x"), ..Default::default() };
        assert_eq!(finding(&with(1, Some(some))), Ok((Finding::Refute, 1)), "one that failed is not named");
        assert!(finding(&Attempt { timed_out: true, ..with(124, None) }).is_err());
    }

    #[test]
    fn runners_name_a_test_in_their_ways() {
        let listed = "tests.test_a.A.test_x";
        assert!(
            is(listed, "test_x (tests.test_a.A.test_x)") && is(listed, "test_x (tests.test_a.A)") && is(listed, listed)
        );
        assert!(
            !is(listed, "test_x (tests.test_b.A)") && !is(listed, "test_y (tests.test_a.A)") && !is(listed, "test_x")
        );
        assert!(is("TestA", "TestA/part") && !is("TestA", "TestAB") && !is("TestA/part", "TestA"));
    }
}
