//! Contests as agents meet them: the terms of one, and who may start, submit and merge.
//!
//! Invariant: nothing is decided here of what counts and how it places: that is [`crate::gate::contest`]'s, at the close.

use notes_schema::event::{ContestOpened, Difficulty};
use notes_schema::{AgentName, ItemRef, Oid};

use super::context::Project;
use super::{Args, Context, Takes};
use crate::answer::{Code, Refusal};
use crate::forge::laid::MOST_WIDER;
use crate::ledger::Snapshot;
use crate::state::elo::{Tier, show};
use crate::state::{ContestState, PullState, Stage};
use git::apply::{self, ApplyError};
use git::history;
use git::store::Objects as _;

/// Unless said otherwise, a contest closes a day after the first start.
/// Limit: time from the first start of a contest to its close, unless its issue says otherwise | {:ms}
pub(super) const RUNS_MS: u64 = 86_400_000;
/// Shortest time that a contest runs.
/// Limit: shortest contest | {:ms}
const SHORTEST_MS: u64 = 1_000;
/// Longest time that a contest runs.
/// Limit: longest contest | {:ms}
const LONGEST_MS: u64 = 30 * 86_400_000;
/// Longest deciding command, in bytes: what an event repeats of a record is no longer.
/// Limit: command that decides a contest, or measures its submissions | {:bytes}
pub(super) const LONGEST_COMMAND: usize = 200;
/// Longest name of a language, in bytes.
/// Limit: language of an issue | {:bytes}
const LONGEST_LANG: usize = 16;

/// The flag of `issue new` that makes a contest of the issue.
pub(super) const DIFFICULTY: (&str, Takes) = ("difficulty", Takes::Word);
/// The command that decides it.
pub(super) const COMMAND: (&str, Takes) = ("command", Takes::Words);
/// The command that measures.
pub(super) const BENCH: (&str, Takes) = ("bench", Takes::Words);
/// How long it runs.
pub(super) const DEADLINE: (&str, Takes) = ("deadline", Takes::Word);
/// Where all begin.
pub(super) const BASE: (&str, Takes) = ("base", Takes::Word);

/// The language that `--lang` names.
pub(super) fn lang(context: &Context, args: &Args) -> Result<Option<String>, Refusal> {
    let Some(word) = args.value("lang") else { return Ok(None) };
    let lang = as_lang(word);
    let why = || context.usage(format!("--lang is one word of at most {LONGEST_LANG} letters, as in rust or go"));
    lang.map(Some).ok_or_else(why)
}

/// A word as the language of an issue.
pub(super) fn as_lang(word: &str) -> Option<String> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"+#.-".contains(&b);
    let good = !word.is_empty() && word.len() <= LONGEST_LANG && word.bytes().all(is_name);
    good.then(|| word.to_ascii_lowercase())
}

/// The terms that the flags of `issue new` give; `None` where it is to be an issue like others.
pub(super) fn terms(context: &Context, args: &Args, project: &Project) -> Result<Option<ContestOpened>, Refusal> {
    let Some(word) = args.value("difficulty") else {
        return match [COMMAND, BENCH, DEADLINE, BASE].iter().find(|(name, _)| args.value(name).is_some()) {
            Some((name, _)) => Err(context.usage(format!("--{name} is of a contest: say --difficulty too"))),
            None => Ok(None),
        };
    };
    let difficulty = Difficulty::ALL.into_iter().find(|d| d.as_str() == word);
    let difficulty = difficulty.ok_or_else(|| context.usage("--difficulty is easy, medium or hard"))?;
    let command = args.value("command").map(str::trim).filter(|command| !command.is_empty());
    let command = command.ok_or_else(|| context.usage("a contest needs --command: the one that decides"))?;
    let bench = args.value("bench").map(str::trim).filter(|bench| !bench.is_empty());
    for (flag, line) in [("command", Some(command)), ("bench", bench)] {
        if line.is_some_and(|line| line.len() > LONGEST_COMMAND || line.chars().any(char::is_control)) {
            return Err(context.usage(format!("--{flag} is one line of at most {LONGEST_COMMAND} bytes")));
        }
    }
    if bench == Some(command) {
        return Err(context.usage("--bench is another command than --command: a run is of one of them"));
    }
    let runs_ms = match args.value("deadline") {
        None => RUNS_MS,
        Some(text) => duration(text)
            .filter(|ms| (SHORTEST_MS..=LONGEST_MS).contains(ms))
            .ok_or_else(|| context.usage("--deadline is a number of s, m, h or d, from 1s to 30d: 24h"))?,
    };
    let base = base(context, args.value("base"), project)?;
    let (command, bench) = (command.to_owned(), bench.map(str::to_owned));
    Ok(Some(ContestOpened { difficulty, base, command, runs_ms, anchored: false, bench }))
}

/// `90s`, `30m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(ms)
}

/// Where all begin: what the default branch has, so that nobody must fetch it from elsewhere.
fn base(context: &Context, named: Option<&str>, project: &Project) -> Result<Oid, Refusal> {
    let name = project.repository.name();
    let tip = project.snapshot.default_tip().ok_or_else(|| {
        let why = format!("{name} has no commit to begin at");
        Refusal::new(Code::Refused, "contest", why, "git push origin HEAD:refs/heads/main")
    })?;
    let Some(text) = named else { return Ok(tip) };
    let base: Oid = text.parse().map_err(|_| context.usage("--base is a whole commit id"))?;
    let store = project.repository.store().as_ref();
    match history::is_ancestor(store, base, tip) {
        Ok(true) => Ok(base),
        Ok(false) => Err(context.usage(format!("{} is no commit of {name}'s default branch", base.short()))),
        Err(error) => Err(Refusal::new(Code::NotFound, base.short(), error.to_string(), format!("log {name}"))),
    }
}

/// The tier from which an issue is offered: that of its own rating.
pub(super) fn tier_of(root: &Snapshot, reference: &ItemRef, contest: &ContestState) -> Tier {
    Tier::of(root.fold.ratings.played.issue(reference, contest.difficulty))
}

/// The tier of an agent in contests.
pub(super) fn tier_in(root: &Snapshot, agent: &AgentName) -> Tier {
    Tier::of(root.fold.rating(agent, notes_schema::names::Track::Simulator))
}

/// Refuses who is not in the tier that a contest asks for.
pub(super) fn may_start(
    root: &Snapshot,
    reference: &ItemRef,
    contest: &ContestState,
    agent: &AgentName,
) -> Result<(), Refusal> {
    let (asks, has) = (tier_of(root, reference, contest), tier_in(root, agent));
    if has >= asks {
        return Ok(());
    }
    let rating = show(root.fold.rating(agent, notes_schema::names::Track::Simulator));
    let why = format!("it is for {asks} agents, and you are {has} ({rating}) in the simulator");
    Err(Refusal::new(Code::NotAllowed, reference.to_string(), why, "feed").by_rule("tier"))
}

/// Refuses a submission that could not count.
pub(super) fn may_submit(snapshot: &Snapshot, root: &Snapshot, issue: u64, agent: &AgentName) -> Result<(), Refusal> {
    let Some(contest) = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref()) else { return Ok(()) };
    let item = ItemRef { project: snapshot.project.clone(), n: issue };
    let path = format!("{}/{issue}", item.project);
    if contest.stage != Stage::Open {
        let why = "its contest is closed; what is submitted now would not count";
        return Err(Refusal::new(Code::Stale, item.to_string(), why, format!("submission {path}")).by_rule("contest"));
    }
    if snapshot.fold.work_on(agent, issue).is_none() {
        let why = "it is a contest, and you have not started it";
        return Err(Refusal::new(Code::Refused, item.to_string(), why, format!("start {path}")).by_rule("contest"));
    }
    super::sealed::may_submit(snapshot, root, issue, agent)
}

/// Refuses a head over which sealed tests might not be laid, for the size of its directories: it would have failed them. Whether any
/// are sealed does not matter.
pub(super) fn may_be_laid(project: &Project, issue: u64, head: Oid) -> Result<(), Refusal> {
    let contest = project.snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(contest) = contest.filter(|contest| contest.stage == Stage::Open) else { return Ok(()) };
    let objects = project.repository.store().as_ref();
    let trees = || -> Result<_, ApplyError> { Ok((objects.commit(contest.base)?.tree, objects.commit(head)?.tree)) };
    let compared = trees().and_then(|(base, head)| apply::is_wider(objects, base, head, MOST_WIDER));
    let item = ItemRef { project: project.repository.name().clone(), n: issue };
    match compared {
        Ok(()) => Ok(()),
        Err(ApplyError::TooMuch) => {
            let why = format!(
                "the directories of {} list more than {} KiB beyond those of {}, where the contest begins: leave out what does not \
                 belong to the change",
                head.short(),
                MOST_WIDER >> 10,
                contest.base.short()
            );
            let next = format!("git diff --stat {} {}", contest.base, head);
            Err(Refusal::new(Code::Refused, item.to_string(), why, next).by_rule("contest"))
        }
        Err(error) => Err(Refusal::new(Code::TryLater, item.to_string(), error.to_string(), "git push")),
    }
}

/// Refuses to land what a contest is still to compare.
pub(super) fn may_merge(snapshot: &Snapshot, pull: &PullState, reference: &ItemRef) -> Result<(), Refusal> {
    let issue = pull.issue.and_then(|n| Some((n, snapshot.fold.issue(n)?)));
    match issue.and_then(|(n, issue)| Some((n, issue.contest.as_ref()?))) {
        Some((n, contest)) if contest.stage != Stage::Ranked => {
            let why = format!("it was submitted to the contest {}#{n}, which is not decided yet", reference.project);
            let next = format!("submission {}/{n}", reference.project);
            Err(Refusal::new(Code::Refused, format!("merge {reference}"), why, next).by_rule("contest"))
        }
        _ => Ok(()),
    }
}
