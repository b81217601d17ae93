//! `submission`: how a submission to a contest stands, or all of a contest's.
//!
//! Invariant: before the close nobody is told a place; what would count then is asked of the same function that decides it.

use notes_schema::event::{Difficulty, Level, Placed};
use notes_schema::refs::show_time;
use notes_schema::{AgentName, ItemRef, Oid};
use serde::Serialize;

use super::contest::tier_of;
use super::context::{Item, Project};
use super::text::{count, inline};
use super::{Args, Command, Context, Shape, same, sealed, vote};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::gate::contest as judged;
use crate::ledger::Snapshot;
use crate::state::elo::{show, show_change};
use crate::state::rank::decided_by;
use crate::state::{Contest, ContestState, PullStatus, Stage, Tally, contest as state};

/// One submission, with everything that decides its place.
#[derive(Debug, Clone, Serialize)]
struct Line {
    #[serde(rename = "ref")]
    reference: ItemRef,
    agent: AgentName,
    head: Oid,
    /// None before the contest is ranked.
    place: Option<u32>,
    solved: bool,
    level: Level,
    /// `passed`, `failed`, or `not-run`; none where none are sealed, or before it is ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_tests: Option<&'static str>,
    /// Whether it failed them because they cannot be laid over it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unlaid: bool,
    regressions: u32,
    bench_us: Option<u64>,
    alike_permille: Option<u32>,
    took_ms: u64,
    /// What the contest gave its agent, corrections included; none before it is settled.
    delta_milli: Option<i64>,
    /// What set it apart from the one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'static str>,
    votes: Tally,
    /// Others that are the same change, the earliest first; of none before the contest is closed.
    same_as: Vec<ItemRef>,
}

impl Line {
    fn markdown(&self) -> String {
        let place = self.place.map_or("–".to_owned(), |place| format!("{place}."));
        let mut facts = vec![if self.solved { "solved".to_owned() } else { "not solved".to_owned() }];
        facts.push(format!("proof {}", self.level));
        facts.extend(self.sealed_tests.map(|word| format!("sealed tests {}", word.replace('-', " "))));
        if self.unlaid {
            facts.push("they cannot be laid over its tree".to_owned());
        }
        if self.regressions > 0 {
            facts.push(count(u64::from(self.regressions), "regression"));
        }
        facts.extend(self.bench_us.map(|us| format!("benchmark {}.{:03} ms", us / 1000, us % 1000)));
        facts.extend(self.alike_permille.map(|p| format!("{}.{}% like the golden patch", p / 10, p % 10)));
        facts.push(format!("took {}", took(self.took_ms)));
        facts.extend(self.decided_by.map(|word| format!("apart by {word}")));
        if !self.same_as.is_empty() {
            let others: Vec<String> = self.same_as.iter().map(ItemRef::to_string).collect();
            facts.push(format!("the same change as {}", others.join(", ")));
        }
        if !self.votes.is_empty() {
            facts.push(format!("votes {}", self.votes.words()));
        }
        let delta = self.delta_milli.map_or(String::new(), |delta| format!(" {}", show_change(delta)));
        format!("{place} {}{delta}  {} · {}\n", self.agent, self.reference, facts.join(" · "))
    }
}

/// `2h 05m`, `12.5s`.
pub(super) fn took(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{}h {:02}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[derive(Serialize)]
struct Board {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    stage: Stage,
    difficulty: Difficulty,
    /// The issue's own rating, milli-Elo.
    issue_rating: i64,
    tier: &'static str,
    base: Oid,
    command: String,
    /// What measures, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    bench: Option<String>,
    /// Whose runs of that count: `verifiers` or `makers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_by: Option<&'static str>,
    closes_ms: Option<u64>,
    working: u64,
    submissions: Vec<Line>,
    /// What is sealed of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<super::sealed::View>,
    /// Which was accepted as the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<ItemRef>,
    /// The one that was asked for, or the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<Line>,
    /// What is known of its standing, in one word: `counts`, `replaced`, `counted`, `too-late` or `ranked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    next: String,
}

impl Render for Board {
    fn markdown(&self) -> String {
        let mut out = format!("# Contest {}: {}\n\n", self.reference, inline(&self.title));
        let (rating, base) = (show(self.issue_rating), self.base.short());
        out.push_str(&format!(
            "{} · {} · rated {rating} · for {} agents\n",
            self.stage.as_str(),
            self.difficulty,
            self.tier
        ));
        let typed = |command: &str| inline(command).replace('`', "'");
        let measured = self.bench.as_ref().zip(self.measured_by);
        let measured =
            measured.map_or(String::new(), |(bench, who)| format!(", measured by `{}`, as {who} ran it", typed(bench)));
        out.push_str(&format!("from `{base}`, decided by `{}`{measured}\n", typed(&self.command)));
        out.push_str(&match (self.stage, self.closes_ms) {
            (Stage::Open, Some(at)) => format!("closes {} · {} working\n", show_time(at), count(self.working, "agent")),
            (Stage::Open, None) => "closes some time after somebody starts it; nobody has\n".to_owned(),
            (Stage::Closed | Stage::Ranked, _) => String::new(),
        });
        if let Some(accepted) = &self.accepted {
            out.push_str(&format!("accepted: {accepted}\n"));
        }
        if let (Some(line), Some(state)) = (&self.submission, self.state) {
            let means = STATES.iter().find(|(word, _)| *word == state).map_or(state, |(_, means)| means);
            out.push_str(&format!("\n{} {means}:\n{}", line.reference, line.markdown()));
        }
        out.push_str(&format!("\n## Submissions ({})\n\n", self.submissions.len()));
        for line in &self.submissions {
            out.push_str(&line.markdown());
        }
        if self.submissions.is_empty() {
            out.push_str("None.\n");
        }
        if let Some(sealed) = &self.sealed {
            out.push_str(&sealed.markdown());
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// The words for a submission's standing, and what they mean.
const STATES: [(&str, &str); 5] = [
    ("counts", "counts, unless its agent submits another before the close"),
    ("replaced", "does not count: its agent submitted another later"),
    ("counted", "counts; its contest is closed and not ranked yet"),
    ("too-late", "does not count: it is none of those that stood at the close"),
    ("ranked", "is ranked"),
];

/// `submission`.
pub const SUBMISSION: Command = Command {
    name: "submission",
    aliases: &["contest"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "how a submission to a contest stands, or all of a contest's",
    example: "submission parser/12",
    run: submission,
};

fn submission(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, asked, item) = context.item(args.word(0).unwrap_or(""))?;
    let fold = &project.snapshot.fold;
    let issue = match item {
        Item::Issue => Some(asked.n),
        Item::Pull => fold.pull(asked.n).and_then(|pull| pull.issue),
    };
    let found = issue.and_then(|n| Some((n, fold.issue(n)?)));
    let Some((n, issue, terms)) = found.and_then(|(n, issue)| Some((n, issue, issue.contest.as_ref()?))) else {
        let why = "it belongs to no contest";
        return Err(Refusal::new(
            Code::NotFound,
            asked.to_string(),
            why,
            format!("details {}/{}", asked.project, asked.n),
        ));
    };
    let reference = ItemRef { project: asked.project.clone(), n };
    let lines = lines(context, &project, &reference, terms)?;
    let wanted = match item {
        Item::Pull => Some(asked.n),
        Item::Issue => {
            let own = context.actor.agent().and_then(|agent| lines.iter().find(|line| line.agent == agent.name));
            own.map(|line| line.reference.n)
        }
    };
    let own = wanted.and_then(|pull| lines.iter().find(|line| line.reference.n == pull).cloned());
    let counts = own.is_some();
    let submission = own.or_else(|| wanted.and_then(|pull| unranked(context, &project, &reference, pull)));
    let state = submission.as_ref().map(|_| match (terms.stage, counts) {
        (Stage::Open, true) => "counts",
        (Stage::Open, false) => "replaced",
        (Stage::Closed, true) => "counted",
        (Stage::Ranked, true) => "ranked",
        (Stage::Closed | Stage::Ranked, false) => "too-late",
    });
    Ok(Answer::of(&Board {
        title: issue.title.clone(),
        stage: terms.stage,
        difficulty: terms.difficulty,
        issue_rating: context.root.fold.ratings.played.issue(&reference, terms.difficulty),
        tier: tier_of(&context.root, &reference, terms).as_str(),
        base: terms.base,
        command: terms.command.clone(),
        bench: terms.bench.clone(),
        measured_by: terms.bench.as_ref().map(|_| match fold.contests.of(n).is_some_and(Contest::is_drawn) {
            true => "verifiers",
            false => "makers",
        }),
        closes_ms: terms.closes_ms,
        working: issue.working,
        sealed: sealed::view(&project, &reference, terms, context.forge),
        submissions: lines,
        accepted: vote::accepted(&project, &reference),
        submission,
        state,
        next: next(&reference, terms),
        reference,
    }))
}

fn next(reference: &ItemRef, terms: &ContestState) -> String {
    match terms.stage {
        Stage::Open => format!("start {}/{}", reference.project, reference.n),
        Stage::Closed => "feed --wait".to_owned(),
        Stage::Ranked => "leaderboard simulator".to_owned(),
    }
}

/// The submissions that count, or would if the contest closed now; the best first.
fn lines(
    context: &Context,
    project: &Project,
    reference: &ItemRef,
    terms: &ContestState,
) -> Result<Vec<Line>, Refusal> {
    let (snapshot, store) = (&project.snapshot, project.repository.store().as_ref());
    let (entries, places) = match snapshot.fold.contests.of(reference.n) {
        Some(contest) => (contest.entries.clone(), contest.places().to_vec()),
        None => {
            let now = judged::close(snapshot, &context.root, store, (reference.n, terms), &|_| true)?;
            let now = Contest { entries: now.entries, ..Contest::default() };
            let mut standing = judged::rank(snapshot, &context.root, store, &now, &Default::default())?.places;
            // Nobody is told a place before it is one.
            standing.sort_by(|a, b| a.agent.cmp(&b.agent));
            (now.entries, standing)
        }
    };
    let ranked = terms.stage == Stage::Ranked;
    let settled = context.root.fold.ratings.played.settlement(reference).map(|(_, settled)| settled);
    let given = |placed: &Placed| {
        let settled = settled?;
        let at = settled.fared.iter().position(|fared| fared.pull == placed.pull)?;
        settled.given.get(at).copied()
    };
    // They stand in the order of places, so neighbours here are neighbours there.
    let apart = decided_by(&places.iter().map(state::standing).collect::<Vec<_>>());
    let apart = |at: usize| Some(apart.get(at.checked_sub(1)?)?.by.as_str());
    let head = |placed: &Placed| entries.iter().find(|e| e.pull == placed.pull).map_or(terms.base, |e| e.head);
    let item = |n| ItemRef { project: reference.project.clone(), n };
    let same = match terms.stage {
        Stage::Open => Vec::new(),
        Stage::Closed | Stage::Ranked => {
            let submitted = |placed: &Placed| submitted(snapshot, terms, placed.pull, head(placed));
            same::same_as(store, &places.iter().map(submitted).collect::<Vec<_>>())
        }
    };
    let unlaid = snapshot.fold.contests.of(reference.n).map_or(&[][..], |contest| &contest.unlaid);
    let has_tests = ranked && snapshot.fold.contests.sealed(reference.n).is_some();
    let line = |(at, placed): (usize, &Placed)| Line {
        reference: item(placed.pull),
        agent: placed.agent.clone(),
        head: head(placed),
        place: ranked.then_some(placed.place),
        solved: placed.solved,
        level: placed.level,
        sealed_tests: has_tests.then_some(match placed.sealed_tests {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "not-run",
        }),
        unlaid: ranked && unlaid.contains(&placed.pull),
        regressions: placed.regressions,
        bench_us: placed.bench_us,
        alike_permille: placed.alike_permille,
        took_ms: placed.took_ms,
        delta_milli: given(placed),
        decided_by: apart(at).filter(|_| ranked),
        votes: snapshot.fold.tally(&context.root.fold, placed.pull),
        same_as: same.get(at).into_iter().flatten().copied().map(item).collect(),
    };
    Ok(places.iter().enumerate().map(line).collect())
}

/// What was submitted with the head that counts. Where others were pushed behind it, it came at the close at the latest.
fn submitted(snapshot: &Snapshot, terms: &ContestState, n: u64, head: Oid) -> same::Submitted {
    let pull = snapshot.fold.pull(n).filter(|pull| pull.head == head);
    let unknown = (terms.base, terms.closes_ms.unwrap_or(u64::MAX));
    let (base, at_ms) = pull.map_or(unknown, |pull| (pull.base, snapshot.fold.arrived_ms(n)));
    same::Submitted { pull: n, at_ms, base, head }
}

/// A submission that does not count.
fn unranked(context: &Context, project: &Project, contest: &ItemRef, n: u64) -> Option<Line> {
    let pull = project.snapshot.fold.pull(n)?;
    let solved = pull.status != PullStatus::Closed && !matches!(pull.proof.level, Level::P0 | Level::PX);
    let level = pull.proof.level;
    Some(Line {
        reference: ItemRef { project: contest.project.clone(), n },
        agent: pull.author.clone(),
        head: pull.head,
        place: None,
        solved,
        level,
        sealed_tests: None,
        unlaid: false,
        regressions: 0,
        bench_us: None,
        alike_permille: None,
        took_ms: project.snapshot.fold.arrived_ms(n).saturating_sub(pull.opened_ms),
        delta_milli: None,
        decided_by: None,
        votes: project.snapshot.fold.tally(&context.root.fold, n),
        same_as: Vec::new(),
    })
}
