//! What a run of contests prints: whether ratings found skill, what farms gained, and whether anything was lost.

use std::path::PathBuf;

use notes_schema::event::Trial;
use serde::Serialize;

use super::arena::Over;
use super::verifiers::is_liars;
use crate::bench::machine::Machine;
use crate::bench::report::Report as Rows;
pub(super) use crate::bench::report::Row;

/// What the rank correlation of rating with hidden skill is to reach, permille.
const FOUND: f64 = 900.0;
/// With fewer honest contests of each agent, chance is most of what a rating says.
const ENOUGH: usize = 30;
/// What the best of a farm may gain, milli-Elo.
const GAIN: f64 = 20_000.0;
/// What a verifier is believed before anything is known of it.
const FIRST_CREDIBILITY: u64 = 3;
/// Who was found wrong so often is believed no more, unless it was right by chance before.
const FOUND_OUT: usize = 2;
/// How many findings are printed of each kind.
const SHOWN: usize = 10;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) agents: usize,
    pub(super) contests: usize,
    pub(super) seed: u64,
    pub(super) seconds: f64,
    /// What came of verification; none where nothing was sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<Verified>,
    /// Submissions that came after the close, and do not count.
    pub(super) late: usize,
    /// Pairs of solvers that time set in another order than they were meant to be in.
    pub(super) misplaced: usize,
    /// What went wrong, or is not there.
    pub(super) lost: Vec<String>,
    /// What `forge verify` says is wrong or unfinished.
    pub(super) faults: Vec<String>,
    /// Warnings and errors of the server's log.
    pub(super) complaints: Vec<String>,
    pub(super) machine: Machine,
    /// Where the server's data and its log stay, if anything was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<PathBuf>,
}

/// What came of the contests with sealed tests, and of those who verified them.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    /// Contests with sealed tests.
    contests: usize,
    /// Seats that were trials, and how many of these were right, wrong, and neither.
    trials: usize,
    right: usize,
    wrong: usize,
    unjudged: usize,
    /// Trials of the one who confirms everything, and how many of these were judged wrong.
    liars_trials: usize,
    liars_wrong: usize,
    /// How often another was judged wrong.
    pub(super) wronged: usize,
    /// How far the one who confirms everything is believed at the end, and the least of the others: from 0 to 10, 3 at first.
    liars_credibility: u64,
    least_of_others: u64,
}

impl Verified {
    pub(super) fn of(over: &[Over], trials: &[Trial], (liars_credibility, least_of_others): (u64, u64)) -> Verified {
        let count = |which: &dyn Fn(&Trial) -> bool| trials.iter().filter(|trial| which(trial)).count();
        let (right, wrong) = (count(&|trial| trial.right == Some(true)), count(&|trial| trial.right == Some(false)));
        let liars_wrong = count(&|trial| is_liars(trial) && trial.right == Some(false));
        Verified {
            contests: over.iter().filter(|over| over.contest.sealed).count(),
            trials: trials.len(),
            right,
            wrong,
            unjudged: trials.len() - right - wrong,
            liars_trials: count(&is_liars),
            liars_wrong,
            wronged: wrong - liars_wrong,
            liars_credibility,
            least_of_others,
        }
    }

    fn line(&self) -> String {
        let Verified { contests, trials, right, wrong, unjudged, liars_trials, liars_wrong, .. } = self;
        format!(
            "{contests} contests with sealed tests; {trials} trials of verifiers: {right} right, {wrong} wrong, {unjudged} not \
             judged; of who confirms everything {liars_trials}, {liars_wrong} of them judged wrong; believed at the end: {} of 10, \
             the least of the others {}\n",
            self.liars_credibility, self.least_of_others
        )
    }
}

/// How much of its credibility who confirms everything has lost.
pub(super) fn caught(verified: &Verified) -> Row {
    let lost = FIRST_CREDIBILITY.saturating_sub(verified.liars_credibility);
    let row = Row::rate(
        "credibility that a liar lost",
        "of what it had",
        (lost as f64, FIRST_CREDIBILITY as f64),
        "all of it",
        1.0,
    );
    match verified.liars_wrong {
        0..FOUND_OUT if verified.liars_credibility > 0 => {
            unjudged(row, format!("it was judged wrong {} times, and {FOUND_OUT} are enough", verified.liars_wrong))
        }
        _ => row,
    }
}

/// Rank correlation, permille, where each agent played `each` contests.
pub(super) fn found(permille: i64, each: usize) -> Row {
    let row = Row::rate("rating against hidden skill", "permille", (permille as f64, FOUND), "nine tenths", 1.0);
    match each {
        0..ENOUGH => unjudged(row, format!("each agent plays {each} contests, and {ENOUGH} are enough")),
        ENOUGH.. => row,
    }
}

/// The most that any of a farm gained, milli-Elo.
pub(super) fn gained(farm: &str, milli: i64) -> Row {
    let gain = (milli.max(1) as f64, GAIN);
    Row::cost(&format!("best gain in the {farm}"), "milli-Elo", gain, "twenty points", 1.0)
}

/// The same by trivial tickets, of which so many merges rated somebody.
pub(super) fn gained_by_tickets(farm: &str, milli: i64, merges: usize) -> Row {
    let row = gained(&format!("{farm}, by tickets"), milli);
    if merges == 0 { unjudged(row, "none of its merges rated anybody".to_owned()) } else { row }
}

/// Submissions that counted, of those that were taken in time.
pub(super) fn counted(count: usize, asked: usize) -> Row {
    Row::rate("submissions that counted", "submissions", (count as f64, asked as f64), "all that were taken", 1.0)
}

/// Contests from opening to ratings.
pub(super) fn speed(contests: usize, seconds: f64) -> Row {
    let row = Row::rate("contests ranked", "contests/s", (contests as f64 / seconds, 1.0), "one a second", 1.0);
    unjudged(row, "it waits for its deadlines".to_owned())
}

fn unjudged(row: Row, why: String) -> Row {
    Row { ratio: None, why: Some(why), ..row }
}

impl Report {
    /// Whether nothing was lost, and every mark that is judged is reached.
    pub fn is_clean(&self) -> bool {
        // What the server warned of is told, and is for people to judge.
        let found = [&self.lost, &self.faults];
        found.iter().all(|found| found.is_empty()) && self.rows.iter().all(|row| row.ratio.is_none() || row.reached())
    }

    /// The report, for people.
    pub fn table(self) -> String {
        let mut text = format!(
            "{} agents, {} contests and those of farms, seed {}, {:.1} s; {} submissions came late, {} pairs of solvers are in \
             another order than meant\n",
            self.agents, self.contests, self.seed, self.seconds, self.late, self.misplaced
        );
        text.extend(self.verified.as_ref().map(Verified::line));
        for (name, found) in [("lost", &self.lost), ("faults", &self.faults), ("complaints", &self.complaints)] {
            text.push_str(&format!("{name:<12} {}\n", found.len()));
            found.iter().take(SHOWN).for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        if let Some(kept) = &self.kept {
            text.push_str(&format!("the server's data and log stay in {}\n", kept.display()));
        }
        let rows = Rows { rows: self.rows, machine: self.machine, rounds: 1, quick: false };
        text + "\n" + &rows.table()
    }
}
