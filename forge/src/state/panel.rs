//! Verifiers of a contest: what a submission's panel makes of it, who of them was tried, and how far one is believed.
//!
//! Invariant: pure. A seat that is void counts nowhere, whatever was said from it.

use notes_schema::event::{Finding, Known, Trial};
use notes_schema::{AgentName, Sha256};
use serde::{Deserialize, Serialize};

use super::contest::Contest;

/// A verifier's seat, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seated {
    /// The submission.
    pub pull: u64,
    /// Who.
    pub agent: AgentName,
    /// The verdict that it is bound to.
    pub bound: Option<Sha256>,
    /// The verdict, once it is told.
    pub found: Option<Finding>,
    /// How many tests its run broke, where the sealed tests were in it.
    pub regressions: Option<u32>,
    /// The record of what it measured, where it did.
    pub bench: Option<Sha256>,
    /// Whether it counts nothing: it was a trial, or its agent is not believed any more.
    pub void: bool,
}

/// What a verifier said of trees of which it was known what comes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// How often that.
    pub right: u64,
    /// How often something else.
    pub wrong: u64,
}

/// Who has said nothing yet is believed so far.
const BELIEVED_AT_FIRST: u64 = 3;
/// Who was always right is believed so far, and no further.
/// No limit: the end of a scale.
const MOST_BELIEVED: u64 = 10;
/// What one wrong verdict costs.
const COST_OF_WRONG: u64 = 3;

impl Trust {
    /// Both together.
    pub fn and(self, other: Trust) -> Trust {
        Trust { right: self.right + other.right, wrong: self.wrong + other.wrong }
    }

    /// How far it is believed: 3 at first, one more for each time that it was right up to 10, three less for each that it was
    /// not. At 0 it is drawn no more.
    pub fn credibility(self) -> u64 {
        let earned = BELIEVED_AT_FIRST.saturating_add(self.right).min(MOST_BELIEVED);
        earned.saturating_sub(self.wrong.saturating_mul(COST_OF_WRONG))
    }
}

/// What those who were drawn found who ran a submission with the contest's sealed tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// Those that must pass now do, and so many that must pass still do not.
    Passed(u32),
    /// They do not.
    Failed,
}

/// How a submission's verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// Not all of its verifiers have told what they found.
    Waits,
    /// They disagree, and no more were asked yet.
    Split,
    /// Fewer count than were to: some were on trial, or are not believed.
    Short,
    /// More confirm than refute, two at least.
    Confirmed,
    /// More refute than confirm, two at least.
    Refuted,
    /// Nothing follows from what they say.
    Open,
}

/// So many verifiers a submission has at first.
pub const FIRST_PANEL: usize = 2;
/// So many where the first disagree.
pub const WIDER_PANEL: usize = 5;

impl Contest {
    /// How the verification of a submission stands.
    pub fn panel(&self, pull: u64) -> Panel {
        let of: Vec<&Seated> = self.counting(pull).collect();
        let count = |finding| of.iter().filter(|seat| seat.found == Some(finding)).count();
        let (confirm, refute) = (count(Finding::Confirm), count(Finding::Refute));
        match () {
            () if of.iter().any(|seat| seat.found.is_none()) => Panel::Waits,
            () if confirm > refute && confirm >= FIRST_PANEL => Panel::Confirmed,
            () if refute > confirm && refute >= FIRST_PANEL => Panel::Refuted,
            () if of.len() < FIRST_PANEL && self.seats.iter().any(|seat| seat.pull == pull) => Panel::Short,
            () if of.len() == FIRST_PANEL => Panel::Split,
            () => Panel::Open,
        }
    }

    /// The seats of a submission that count.
    pub fn counting(&self, pull: u64) -> impl Iterator<Item = &Seated> {
        self.seats.iter().filter(move |seat| seat.pull == pull && !seat.void)
    }

    /// Whether it can be said who was tried: all have told what they found who are still to, or nobody waits for them any more.
    pub fn is_to_judge(&self, now: u64) -> bool {
        let is_over = self.due_ms.is_some_and(|due| now >= due);
        self.trials.is_some() && (is_over || self.seats.iter().all(|seat| seat.found.is_some() || seat.void))
    }

    /// The seats that are trials by `key`, and who of them was right: where anybody found what is known, those who did.
    pub fn trials_by(&self, key: &[u8], has_golden: bool) -> Vec<Trial> {
        let Some(trials) = self.trials else { return Vec::new() };
        let tried = self.seats.iter().filter_map(|seat| Some((seat, trials.of(key, seat.pull, &seat.agent)?)));
        let tried: Vec<(&Seated, Known)> = tried.filter(|(_, ran)| has_golden || *ran == Known::Base).collect();
        let is_known = |ran: Known| tried.iter().any(|(seat, of)| *of == ran && seat.found == Some(ran.finding()));
        let trial = |(seat, ran): &(&Seated, Known)| {
            let told = seat.found.filter(|found| *found != Finding::Inconclusive && is_known(*ran));
            let right = told.map(|found| found == ran.finding());
            Trial { pull: seat.pull, agent: seat.agent.clone(), ran: *ran, right }
        };
        tried.iter().map(trial).collect()
    }

    /// What a submission's panel found of the sealed tests; nothing where they were not run, or nothing follows. What they cannot
    /// be laid over has failed them. Those who confirm may have seen other tests fail: of their counts the one in the middle counts, the lower one of two.
    pub fn tested(&self, pull: u64) -> Option<Tested> {
        let of = self.seats.iter().filter(|seat| seat.pull == pull);
        let mut broken: Vec<u32> =
            of.filter(|seat| seat.found == Some(Finding::Confirm)).filter_map(|seat| seat.regressions).collect();
        broken.sort_unstable();
        match self.panel(pull) {
            _ if self.unlaid.contains(&pull) => Some(Tested::Failed),
            _ if !self.ran_sealed_tests(pull) => None,
            Panel::Confirmed => broken.get(broken.len().saturating_sub(1) / 2).copied().map(Tested::Passed),
            Panel::Refuted => Some(Tested::Failed),
            Panel::Waits | Panel::Split | Panel::Short | Panel::Open => None,
        }
    }

    fn ran_sealed_tests(&self, pull: u64) -> bool {
        self.counting(pull).any(|seat| seat.regressions.is_some())
    }

    /// The seat of a verifier.
    pub fn seat(&self, pull: u64, agent: &AgentName) -> Option<&Seated> {
        self.seats.iter().find(|seat| seat.pull == pull && seat.agent == *agent)
    }

    /// Whether anybody was drawn to verify: then nobody's word of its own submission says how fast that is.
    pub fn is_drawn(&self) -> bool {
        !self.seats.is_empty()
    }

    /// The seats of those who confirm a submission.
    pub fn confirming(&self, pull: u64) -> impl Iterator<Item = &Seated> {
        self.counting(pull).filter(|seat| seat.found == Some(Finding::Confirm))
    }

    /// The records of what those measured who confirm a submission.
    pub fn measured(&self, pull: u64) -> Vec<Sha256> {
        self.confirming(pull).filter_map(|seat| seat.bench).collect()
    }

    /// Whether all of a submission's panel are bound to a verdict.
    pub fn all_bound(&self, pull: u64) -> bool {
        self.counting(pull).all(|seat| seat.bound.is_some())
    }
}

#[cfg(test)]
mod tests {
    use notes_schema::event::Trials;

    use super::*;

    /// `+`, `-` and `?` are verdicts, a number behind one what the sealed tests broke.
    fn panel(words: &str) -> Contest {
        let seat = |(at, word): (usize, &str)| Seated {
            pull: 1,
            agent: format!("v{at}").parse().unwrap(),
            bound: None,
            found: match &word[..1] {
                "+" => Some(Finding::Confirm),
                "-" => Some(Finding::Refute),
                "?" => Some(Finding::Inconclusive),
                _ => None,
            },
            regressions: word[1..].parse().ok(),
            bench: None,
            void: false,
        };
        Contest { seats: words.split_whitespace().enumerate().map(seat).collect(), ..Contest::default() }
    }

    #[test]
    fn two_of_a_panel_decide_what_the_sealed_tests_say() {
        for (words, tested) in [
            ("+0 +0", Some(Tested::Passed(0))),
            ("+3 +1", Some(Tested::Passed(1))),
            ("+3 +1 +2 -0", Some(Tested::Passed(2))),
            ("-0 -4", Some(Tested::Failed)),
            ("-0 -0 +0 ?", Some(Tested::Failed)),
            ("+0 -0", None),
            ("+0 ?", None),
            ("? ?", None),
            ("+0 .", None),
            ("+ +", None),
            ("- -", None),
            ("", None),
        ] {
            assert_eq!(panel(words).tested(1), tested, "{words}");
        }
        assert_eq!(panel("+0 +0").tested(2), None);
    }

    #[test]
    fn who_is_wrong_is_believed_less_and_who_is_right_more_up_to_a_point() {
        let of = |right, wrong| Trust { right, wrong }.credibility();
        assert_eq!([of(0, 0), of(1, 0), of(7, 0), of(99, 0)], [3, 4, 10, 10]);
        assert_eq!([of(0, 1), of(1, 1), of(9, 3), of(99, 4), of(u64::MAX, u64::MAX)], [0, 1, 1, 0, 0]);
    }

    #[test]
    fn a_trial_is_right_or_wrong_where_anybody_found_what_is_known() {
        let all = Trials { commitment: Sha256::of(b"key"), permille: 1000 };
        let with = |words: &str| Contest { trials: Some(all), ..panel(words) };
        let judged = |words: &str| -> Vec<(Known, Option<bool>)> {
            with(words).trials_by(b"key", true).iter().map(|trial| (trial.ran, trial.right)).collect()
        };
        let ran = judged(". . . . . . . .");
        assert!(ran.iter().all(|(_, right)| right.is_none()));
        let fails: Vec<usize> = (0..8).filter(|at| ran[*at].0 == Known::Base).collect();
        let [first, second, ..] = fails[..] else { panic!("two of eight fail: {ran:?}") };
        let word = |at: usize, one: &str, two: &str| match at {
            at if at == first => one.to_owned(),
            at if at == second => two.to_owned(),
            _ => ".".to_owned(),
        };
        let words = |one: &str, two: &str| (0..8).map(|at| word(at, one, two)).collect::<Vec<_>>().join(" ");
        let right = |one: &str, two: &str| (judged(&words(one, two))[first].1, judged(&words(one, two))[second].1);
        assert_eq!(right("+0", "-0"), (Some(false), Some(true)));
        assert_eq!(right("?", "-0"), (None, Some(true)));
        assert_eq!(right("+0", "+0"), (None, None), "nobody found it: what is known may be wrong");
        let none = Contest { trials: Some(Trials { permille: 0, ..all }), ..panel("+0 -0") };
        assert!(none.trials_by(b"key", true).is_empty());
        assert!(with("+0 -0 +0 -0").trials_by(b"key", false).iter().all(|trial| trial.ran == Known::Base));
    }

    #[test]
    fn nobody_waits_for_the_word_of_whom_nobody_believes() {
        let trials = Trials { commitment: Sha256::of(b"key"), permille: 1000 };
        let mut contest = Contest { trials: Some(trials), ..panel("+0 .") };
        assert!(!contest.is_to_judge(0));
        contest.seats[1].void = true;
        assert!(contest.is_to_judge(0));
    }

    #[test]
    fn what_counts_no_more_leaves_a_panel_short() {
        let mut contest = panel("+0 +0 -0");
        assert_eq!(contest.panel(1), Panel::Confirmed);
        contest.seats[0].void = true;
        assert_eq!(contest.panel(1), Panel::Split);
        contest.seats[1].void = true;
        assert_eq!((contest.panel(1), contest.tested(1)), (Panel::Short, None));
    }
}
