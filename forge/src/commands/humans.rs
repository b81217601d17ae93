//! Agents and humans on the same issues: those that were imported from elsewhere, where humans have mended them or not.
//!
//! Invariant: humans' figures are what the source said, and nothing is estimated. Where it said nothing, nothing is shown.

use notes_schema::{ItemRef, ProjectName};
use serde::Serialize;

use super::leaderboard::{Fitting, Seen};
use super::submission::took;
use super::text::{count, inline};
use crate::answer::{Answer, Render};
use crate::state::Fold;

/// Most contests that are listed; all are counted.
/// Limit: contests that agents and humans are compared on by name | {}, the last of each project; all are counted
const MOST: usize = 50;

/// One imported issue that agents had a contest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Compared {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    /// How many agents solved it, and of how many.
    solved: u64,
    of: u64,
    /// The median time of those who did, from the start to the head.
    agents_ms: Option<u64>,
    /// The time from its opening to its closing where it came from; none where it is not known to have been closed.
    humans_ms: Option<u64>,
    #[serde(skip)]
    times: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Both {
    fitting: Fitting,
    /// How many contests are compared.
    contests: u64,
    /// How many of them at least one agent solved.
    agents_solved: u64,
    /// How many of them humans had closed.
    humans_solved: u64,
    /// All submissions, and how many of them solved their issue.
    submissions: u64,
    submissions_solved: u64,
    agents_permille: Option<u64>,
    humans_permille: Option<u64>,
    agents_ms: Option<u64>,
    humans_ms: Option<u64>,
    issues: Vec<Compared>,
}

impl Both {
    fn of(fitting: Fitting, mut issues: Vec<Compared>) -> Both {
        let contests = issues.len() as u64;
        let counted = |what: fn(&Compared) -> bool| issues.iter().filter(|issue| what(issue)).count() as u64;
        let (agents_solved, humans_solved) = (counted(|i| i.solved > 0), counted(|i| i.humans_ms.is_some()));
        let both = Both {
            contests,
            agents_solved,
            humans_solved,
            submissions: issues.iter().map(|issue| issue.of).sum(),
            submissions_solved: issues.iter().map(|issue| issue.solved).sum(),
            agents_permille: (agents_solved * 1000).checked_div(contests),
            humans_permille: (humans_solved * 1000).checked_div(contests),
            agents_ms: median(issues.iter().flat_map(|issue| issue.times.iter().copied()).collect()),
            humans_ms: median(issues.iter().filter_map(|issue| issue.humans_ms).collect()),
            fitting,
            issues: Vec::new(),
        };
        issues.sort_by(|a, b| b.reference.n.cmp(&a.reference.n).then_with(|| a.reference.cmp(&b.reference)));
        issues.truncate(MOST);
        Both { issues, ..both }
    }
}

impl Render for Both {
    fn markdown(&self) -> String {
        let mut out = "# Agents and humans\n\n".to_owned();
        let asked = self.fitting.words();
        if !asked.is_empty() {
            out.push_str(&format!("{asked}\n\n"));
        }
        if self.contests == 0 {
            let why = "No contest on an imported issue has been ranked yet, so there is nothing to compare.";
            return format!("{out}{why}\n---\nnext: leaderboard simulator\n");
        }
        out.push_str(&format!("{} on imported issues:\n\n", count(self.contests, "contest")));
        let side = |solved: u64, permille: Option<u64>, ms: Option<u64>| {
            let share = permille.map_or(String::new(), |p| format!(" ({}.{}%)", p / 10, p % 10));
            let time = ms.map_or("not known".to_owned(), span);
            format!("solved {solved} of {}{share}, median time {time}", self.contests)
        };
        out.push_str(&format!("- agents: {}", side(self.agents_solved, self.agents_permille, self.agents_ms)));
        out.push_str(&format!(
            "; {} of {} solved theirs\n",
            self.submissions_solved,
            count(self.submissions, "submission")
        ));
        out.push_str(&format!("- humans: {}\n\n", side(self.humans_solved, self.humans_permille, self.humans_ms)));
        out.push_str(
            "Agents' time is from the start to the head that counts. Humans' is from the opening to the closing of the issue \
             where it came from, waiting included. What its source does not call closed counts as not solved by humans.\n\n",
        );
        for issue in &self.issues {
            let agents = issue.agents_ms.map_or(String::new(), |ms| format!(" in {}", span(ms)));
            let humans = issue.humans_ms.map_or("not closed by humans".to_owned(), |ms| format!("humans {}", span(ms)));
            out.push_str(&format!(
                "{}  {}    {} of {} agents{agents} · {humans}\n  → submission {}/{}\n",
                issue.reference,
                inline(&issue.title),
                issue.solved,
                issue.of,
                issue.reference.project,
                issue.reference.n
            ));
        }
        out
    }
}

/// `3d 04h`, or as a submission's time.
fn span(ms: u64) -> String {
    let hours = ms / 3_600_000;
    if hours < 48 { took(ms) } else { format!("{}d {:02}h", hours / 24, hours % 24) }
}

/// The one in the middle, or what lies between the two that are.
fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    let upper = *times.get(times.len() / 2)?;
    if times.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *times.get(times.len() / 2 - 1)?;
    Some(lower + (upper - lower) / 2)
}

/// `leaderboard humans`.
pub(super) fn compare(seen: &Seen, fitting: Fitting) -> Answer {
    let issues = seen.folds().flat_map(|(project, fold)| compared(project, fold, &fitting)).collect();
    Answer::of(&Both::of(fitting, issues))
}

/// The imported issues of a project that a contest was ranked on, and that say when they were opened.
fn compared(project: &ProjectName, fold: &Fold, fitting: &Fitting) -> Vec<Compared> {
    let one = |n: u64, contest: &crate::state::Contest| {
        let issue = fold.issue(n).filter(|issue| fitting.takes(project, Some(issue)))?;
        let source = issue.imported.as_ref()?;
        let opened_ms = source.created_ms?;
        let places = contest.places();
        let times: Vec<u64> = places.iter().filter(|placed| placed.solved).map(|placed| placed.took_ms).collect();
        Some(Compared {
            reference: ItemRef { project: project.clone(), n },
            title: issue.title.clone(),
            solved: times.len() as u64,
            of: places.len() as u64,
            agents_ms: median(times.clone()),
            humans_ms: source.closed_ms.and_then(|closed| closed.checked_sub(opened_ms)),
            times,
        })
    };
    fold.contests.ranked().filter_map(|(n, contest)| one(n, contest)).collect()
}

#[cfg(test)]
mod tests {
    use notes_schema::event::{
        ContestClosed, ContestOpened, ContestRanked, Difficulty, IssueImported, IssueOpened, Level, Placed,
    };
    use notes_schema::{EntityId, Event, Fact, Oid, Sha256};

    use super::*;

    const DAY: u64 = 86_400_000;

    fn apply(fold: &mut Fold, n: u64, fact: impl Into<Fact>) {
        let fact = fact.into();
        let event = Event {
            v: 1,
            i: Vec::new(),
            s: None,
            a: "forge".parse().unwrap(),
            k: String::new(),
            n: 1,
            l: 1,
            q: 1,
            t: 1,
            p: Sha256::of(b""),
            r: None,
        };
        fold.apply(&EntityId::Issue(n), &event, &fact, None, Oid::from_bytes([7; 20]), Sha256::of(&n.to_be_bytes()));
    }

    fn placed(agent: &str, solved: bool, took_ms: u64) -> Placed {
        Placed {
            agent: agent.parse().unwrap(),
            pull: 9,
            place: 1,
            solved,
            level: Level::P1,
            sealed_tests: None,
            regressions: 0,
            bench_us: None,
            alike_permille: None,
            took_ms,
        }
    }

    /// A contest on issue `n`, from elsewhere where `source` says when it was opened and closed there.
    fn contest(fold: &mut Fold, n: u64, source: Option<(Option<u64>, Option<u64>)>, places: Vec<Placed>) {
        let lang = Some("rust".to_owned());
        apply(fold, n, IssueOpened { title: format!("Leak {n}"), labels: Vec::new(), lang, dedupe: None });
        if let Some((created_ms, closed_ms)) = source {
            let key = format!("github:a/b#{n}");
            apply(fold, n, IssueImported { key, url: None, author: None, created_ms, closed_ms });
        }
        let (base, command) = (Oid::from_bytes([1; 20]), "true".to_owned());
        let anchored = source.is_some();
        apply(
            fold,
            n,
            ContestOpened { difficulty: Difficulty::Easy, base, command, runs_ms: 1, anchored, bench: None },
        );
        apply(fold, n, ContestClosed { entries: Vec::new(), expired: Vec::new(), candidates: Vec::new() });
        apply(fold, n, ContestRanked { places });
    }

    #[test]
    fn agents_and_humans_are_compared_on_what_was_imported_and_says_when_it_was_opened() {
        let mut fold = Fold::default();
        let solved = || vec![placed("alpha", true, 1_000), placed("beta", true, 4_000), placed("gamma", false, 9)];
        contest(&mut fold, 1, Some((Some(DAY), Some(11 * DAY))), solved());
        contest(&mut fold, 2, Some((Some(DAY), None)), vec![placed("alpha", false, 5)]);
        contest(&mut fold, 3, Some((Some(5), Some(4))), vec![placed("alpha", true, 6_000)]);
        // Neither what was made here nor what says nothing of its time.
        contest(&mut fold, 4, None, solved());
        contest(&mut fold, 5, Some((None, Some(DAY))), solved());
        let project: ProjectName = "drill".parse().unwrap();
        let both = Both::of(Fitting::default(), compared(&project, &fold, &Fitting::default()));
        assert_eq!((both.contests, both.agents_solved, both.humans_solved), (3, 2, 1));
        assert_eq!((both.submissions, both.submissions_solved), (5, 3));
        assert_eq!((both.agents_permille, both.humans_permille), (Some(666), Some(333)));
        assert_eq!((both.agents_ms, both.humans_ms), (Some(4_000), Some(10 * DAY)));
        assert_eq!(both.issues.iter().map(|issue| issue.reference.n).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(both.issues[2].agents_ms, Some(2_500));
        let said = both.markdown();
        for words in
            ["solved 2 of 3 (66.6%), median time 4.0s; 3 of 5 submissions", "median time 10d 00h", "2 of 3 agents"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn nothing_to_compare_is_said_and_no_share_is_made_up() {
        let both = Both::of(Fitting::default(), Vec::new());
        assert_eq!((both.agents_permille, both.humans_permille, both.agents_ms), (None, None, None));
        assert!(both.markdown().contains("nothing to compare"));
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![7]), Some(7));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![u64::MAX, u64::MAX - 2]), Some(u64::MAX - 1));
    }
}
