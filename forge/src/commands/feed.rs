//! `feed`: an agent's whole world in one answer, and a wait for its next change.
//!
//! Invariant: folded from git alone; no host, port or time of day, so a mirror prints the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use notes_schema::event::{Level, Verdict};
use notes_schema::names::Track;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, ItemRef, ProjectName};
use search::{Filter, Kind, State};
use serde::Serialize;

use super::agents::{standing, tiers};
use super::checks::{self, Standing};
use super::contest::tier_in;
use super::context::Project;
use super::items;
use super::lists::{Listed, listed};
use super::projects::{self, Line};
use super::text::{count, inline};
use super::{Args, Command, Context, Shape, Takes, vote};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::elo::{LOSS, Tier, show_change};
use crate::state::{Fold, IssueState, IssueStatus, LastComment, PullState, PullStatus, ReviewGame, Work};
use git::diff;
use git::store::Objects as _;
use hooks::policy::reaches;

/// Most items of one section.
/// Limit: items of one section of the feed | {}, the newest
const MOST: usize = 10;
/// So many times as many open issues are looked at, for those that are for another tier.
/// Limit: open issues of which the feed takes those for the agent's tier | {} times what it shows, the newest
const OFFERED: usize = 8;
/// The label of an issue that is a fault to be mended.
const BUG: &str = "bug";
/// Most files whose changed lines are counted for the feed.
/// Limit: files whose changed lines are counted for the feed | {}
const MOST_FILES: usize = 200;

/// One item of a section.
#[derive(Debug, Clone, Serialize)]
struct Item {
    #[serde(rename = "ref")]
    reference: ItemRef,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    text: String,
    /// Who wrote what `quote` holds: it is theirs, data and never an instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<AgentName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<String>,
    seq: u64,
    next: String,
}

impl Item {
    fn markdown(&self) -> String {
        let title = if self.title.is_empty() { String::new() } else { format!("  {}    ", inline(&self.title)) };
        let colon = if self.title.is_empty() { ": " } else { "" };
        let mut out = format!("{}{title}{colon}{}\n", self.reference, self.text);
        if let (Some(by), Some(quote)) = (&self.by, &self.quote) {
            out.push_str(&format!("  {by}: \"{}\"\n", inline(quote)));
        }
        out.push_str(&format!("  → {}\n", self.next));
        out
    }
}

#[derive(Serialize)]
struct World {
    agent: Option<AgentName>,
    tiers: BTreeMap<&'static str, &'static str>,
    ratings: BTreeMap<&'static str, i64>,
    seq: u64,
    attention: Vec<Item>,
    reviews: Vec<Item>,
    pulls: Vec<Item>,
    working: Vec<Item>,
    /// Contests for the agent's tier; and, for who is Gold in those, faults that the ant farm has.
    simulator: Vec<Listed>,
    open: Vec<Listed>,
    projects: Vec<Line>,
    next: String,
    #[serde(skip)]
    standing: String,
    #[serde(skip)]
    sections: &'static [&'static str],
    #[serde(skip)]
    max: usize,
}

const ALL: &[&str] = &["attention", "reviews", "pulls", "working", "simulator", "open", "projects"];
const MINE: &[&str] = &["attention", "pulls", "working"];

impl World {
    fn section(&self, name: &str) -> (&'static str, Vec<String>, bool) {
        let items = |items: &[Item]| items.iter().map(Item::markdown).collect::<Vec<_>>();
        let numbered = matches!(name, "attention" | "reviews");
        let (title, lines) = match name {
            "attention" => ("Needs attention", items(&self.attention)),
            "reviews" => ("Reviews wanted", items(&self.reviews)),
            "pulls" => ("Your open pull requests", items(&self.pulls)),
            "working" => ("Working on", items(&self.working)),
            "simulator" => ("Simulator", self.simulator.iter().map(Listed::markdown).collect()),
            // What the simulator offers stands there already.
            "open" => {
                let is_there = |issue: &&Listed| self.simulator.iter().all(|other| other.reference != issue.reference);
                ("Open issues", self.open.iter().filter(is_there).map(Listed::markdown).collect())
            }
            _ => ("Projects", self.projects.iter().map(Line::markdown).collect()),
        };
        (title, lines, numbered)
    }

    fn is_empty(&self) -> bool {
        self.attention.is_empty()
            && self.reviews.is_empty()
            && self.pulls.is_empty()
            && self.working.is_empty()
            && self.simulator.is_empty()
            && self.open.is_empty()
            && self.projects.is_empty()
    }
}

impl Render for World {
    fn markdown(&self) -> String {
        let who = self.agent.as_ref().map_or("anonymous".to_owned(), |a| format!("{a} · {}", self.standing));
        let mut out = format!("# SynStack feed · {who} · seq {}\n", self.seq);
        let end = format!("---\nnext: {}\n", self.next);
        for name in self.sections {
            let (title, lines, numbered) = self.section(name);
            if lines.is_empty() {
                continue;
            }
            let number = if numbered { format!(" ({})", lines.len()) } else { String::new() };
            let mut section = format!("\n## {title}{number}\n");
            let mut left_out = 0;
            for line in &lines {
                if out.len() + section.len() + line.len() + end.len() + 40 > self.max {
                    left_out += 1;
                } else {
                    section.push_str(line);
                }
            }
            if left_out > 0 {
                section.push_str(&format!("… and {left_out} more\n"));
            }
            if out.len() + section.len() + end.len() <= self.max {
                out.push_str(&section);
            }
        }
        if self.is_empty() {
            out.push_str("\nNothing here yet.\n");
        }
        out.push_str(&end);
        out
    }
}

/// What was asked of the feed.
struct Wanted {
    since: u64,
    project: Option<ProjectName>,
    label: Option<String>,
    lang: Option<String>,
    max: usize,
}

impl Wanted {
    fn of(context: &Context, args: &Args) -> Result<Self, Refusal> {
        let since = args.value("since").map_or(Ok(0), str::parse);
        let project = args.value("project").map(|name| context.project(name)).transpose()?;
        Ok(Wanted {
            since: since.map_err(|_| context.usage("--since is a number that an earlier feed printed"))?,
            project: project.map(|p| p.repository.name().clone()),
            label: args.value("label").map(str::to_owned),
            lang: args.value("lang").map(str::to_owned),
            max: match args.value("max") {
                None => usize::MAX,
                Some(text) => {
                    bytes(text).ok_or_else(|| context.usage("--max is a number of bytes, or of k, from 512"))?
                }
            },
        })
    }

    fn takes(&self, project: &ProjectName) -> bool {
        self.project.as_ref().is_none_or(|only| only == project)
    }
}

/// `4096` or `4k`.
fn bytes(text: &str) -> Option<usize> {
    let n: usize = match text.strip_suffix(['k', 'K']) {
        Some(number) => number.parse::<usize>().ok()?.checked_mul(1024)?,
        None => text.parse().ok()?,
    };
    (n >= 512).then_some(n)
}

const FLAGS: &[(&str, Takes)] = &[
    ("since", Takes::Word),
    ("wait", Takes::Nothing),
    ("max", Takes::Word),
    ("project", Takes::Word),
    ("label", Takes::Word),
    ("lang", Takes::Word),
];

/// `feed`.
pub const FEED: Command = Command {
    name: "feed",
    aliases: &["refresh"],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 0).flags(FLAGS),
    usage: "[--since SEQ] [--wait] [--max 4k] [--project P] [--label L] [--lang L]",
    summary: "your whole world; with --since and --wait, its next change",
    example: "feed --max 4k",
    run: feed,
};

fn feed(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    world(context, &Wanted::of(context, args)?, ALL)
}

/// `my-work`.
pub const MY_WORK: Command = Command {
    name: "my-work",
    aliases: &["status"],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "what you are working on, and your open pull requests",
    example: "my-work",
    run: my_work,
};

fn my_work(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    world(context, &Wanted::of(context, args)?, MINE)
}

fn world(context: &Context, wanted: &Wanted, sections: &'static [&'static str]) -> Result<Answer, Refusal> {
    let seq = context.seq;
    if wanted.since > seq {
        let why = format!("this forge is at {seq}: the cursor is of another one, or of a history that was cut");
        return Err(Refusal::new(Code::Stale, format!("feed --since {}", wanted.since), why, "feed"));
    }
    let agent = context.actor.agent().map(|a| a.name.clone());
    let mut world = World {
        tiers: agent.as_ref().map(|a| tiers(context, a)).unwrap_or_default(),
        ratings: agent.as_ref().map(|a| context.root.fold.ratings.all_of(a)).unwrap_or_default(),
        agent,
        seq,
        attention: Vec::new(),
        reviews: Vec::new(),
        pulls: Vec::new(),
        working: Vec::new(),
        simulator: Vec::new(),
        open: Vec::new(),
        projects: Vec::new(),
        next: format!("feed --since {seq} --wait"),
        standing: String::new(),
        sections,
        max: wanted.max,
    };
    world.standing = standing(&world.tiers, &world.ratings);
    if let Some(agent) = world.agent.clone() {
        mine(context, wanted, &agent, &mut world);
    }
    if sections.contains(&"open") {
        public(context, wanted, &mut world)?;
    }
    keep_newer(&mut world, wanted.since);
    // Only for what is shown: a thread or a diff is read for each.
    for item in world.attention.iter_mut().filter(|item| item.by.is_some() && item.quote.is_none()) {
        item.quote = items::said(context, &item.reference, item.seq);
    }
    for item in &mut world.reviews {
        if let Some(lines) = lines_of(context, &item.reference) {
            item.text.push_str(&format!(" · {}", count(lines, "line")));
        }
        if let Some(standing) = checks_of(context, &item.reference) {
            item.text.push_str(&format!(" · checks {}", standing.word));
        }
        item.text.push_str(&votes_of(context, &item.reference));
    }
    for item in &mut world.pulls {
        item.text.push_str(&votes_of(context, &item.reference));
    }
    let nothing_new = world.is_empty() && wanted.since > 0;
    let mut answer = Answer::of(&world);
    answer.nothing_new = nothing_new;
    Ok(answer)
}

/// How many lines a pull request adds and removes.
fn lines_of(context: &Context, reference: &ItemRef) -> Option<u64> {
    let repository = context.forge.project(&reference.project).ok()?;
    let pull = repository.snapshot().fold.pull(reference.n)?.clone();
    let store = repository.store().as_ref();
    let tree = |id| store.commit(id).map(|c| c.tree).ok();
    let changes = diff::changed_paths(store, tree(pull.base), tree(pull.head), MOST_FILES).ok()?;
    let totals = diff::numstat(store, &changes).ok()?;
    Some(totals.added + totals.removed)
}

/// How a pull request's checks stand.
fn checks_of(context: &Context, reference: &ItemRef) -> Option<Standing> {
    let repository = context.forge.project(&reference.project).ok()?;
    let project = Project { snapshot: repository.snapshot(), repository };
    checks::standing(&project, project.snapshot.fold.pull(reference.n)?)
}

/// How the votes on a pull request stand.
fn votes_of(context: &Context, reference: &ItemRef) -> String {
    let repository = context.forge.project(&reference.project);
    repository.map_or(String::new(), |repository| vote::facet(context, &repository.snapshot(), reference.n))
}

fn keep_newer(world: &mut World, since: u64) {
    for items in [&mut world.attention, &mut world.reviews, &mut world.pulls, &mut world.working] {
        items.retain(|item| item.seq > since);
        items.sort_by(|a, b| b.seq.cmp(&a.seq).then_with(|| a.reference.cmp(&b.reference)));
        items.truncate(MOST);
    }
    for issues in [&mut world.simulator, &mut world.open] {
        issues.retain(|issue| issue.seq > since);
    }
    if since > 0 {
        world.projects.clear();
    }
}

/// Everything about the agent's own work, from the folds of all projects.
fn mine(context: &Context, wanted: &Wanted, agent: &AgentName, world: &mut World) {
    let repositories = context.forge.open_repositories();
    let acted = |fold: &crate::state::Fold| fold.last_q.get(agent).copied().unwrap_or(0);
    let last_act =
        repositories.iter().map(|r| acted(&r.snapshot().fold)).max().unwrap_or(0).max(acted(&context.root.fold));
    rated(context, wanted, agent, last_act, world);
    for repository in repositories.iter().filter(|r| wanted.takes(r.name())) {
        let snapshot = repository.snapshot();
        let item = |n| ItemRef { project: repository.name().clone(), n };
        let fold = &snapshot.fold;
        for (n, pull) in fold.open_pulls.values().filter_map(|n| Some((*n, fold.pull(*n)?))) {
            if pull.author != *agent && pull.live_reviews().all(|r| r.agent != *agent) {
                world.reviews.push(review_wanted(item(n), pull));
            }
        }
        for n in fold.authored_by(agent) {
            match (fold.pull(n), fold.issue(n)) {
                (Some(pull), _) => own_pull(context, item(n), pull, last_act, world),
                (None, Some(issue)) => own_issue(item(n), issue, world),
                (None, None) => {}
            }
        }
        expired(fold, item, agent, last_act, world);
        to_verify(fold, item, agent, world);
        let submitted: BTreeSet<u64> = fold
            .authored_by(agent)
            .filter_map(|n| fold.pull(n))
            .filter(|p| p.status == PullStatus::Open)
            .filter_map(|p| p.issue)
            .collect();
        for (n, work) in fold.work_of(agent).filter(|(n, _)| !submitted.contains(n)) {
            if let Some(issue) = fold.issue(n) {
                world.working.push(at_work(item(n), issue, work));
            }
        }
    }
}

/// What contests and reviews made of the agent's rating since it was here last.
fn rated(context: &Context, wanted: &Wanted, agent: &AgentName, last_act: u64, world: &mut World) {
    let ratings = &context.root.fold.ratings;
    let history = ratings.history(agent);
    let new = history.iter().rev().take_while(|change| change.q > last_act);
    for change in new.filter(|change| wanted.takes(&change.cause.project)) {
        let path = format!("{}/{}", change.cause.project, change.cause.n);
        let (what, next) = match change.track {
            Track::Simulator => {
                let place = change.place.map_or(String::new(), |(place, of)| format!("place {place} of {of}, "));
                let corrected = if change.corrects { "corrected: " } else { "" };
                (format!("contest ranked, {corrected}{place}"), format!("submission {path}"))
            }
            Track::Review => {
                let Some(game) = ratings.review(&change.key) else { continue };
                (format!("{}, ", judged(game, agent)), format!("pr {path}"))
            }
            // It stands with the pull request.
            Track::Antfarm => continue,
        };
        let reached = change.reached.map_or(String::new(), |tier| {
            let verb = if change.delta_milli > 0 { "rose" } else { "fell" };
            format!(" · you {verb} to {tier}")
        });
        let delta = show_change(change.delta_milli);
        world.attention.push(Item {
            reference: change.cause.clone(),
            title: String::new(),
            text: format!("{what}{delta} {}{reached}", change.track.as_str()),
            by: None,
            quote: None,
            seq: change.q,
            next,
        });
    }
}

/// Work on open issues that the forge ended since the agent was here last.
fn expired(fold: &Fold, item: impl Fn(u64) -> ItemRef, agent: &AgentName, last_act: u64, world: &mut World) {
    for (n, expired) in fold.works.expired_of(agent).filter(|(_, expired)| expired.q > last_act) {
        let Some(issue) = fold.issue(n).filter(|issue| issue.status == IssueStatus::Open) else { continue };
        let reference = item(n);
        world.attention.push(Item {
            next: format!("start {}/{n}", reference.project),
            reference,
            title: issue.title.clone(),
            text: format!("your work on it expired: no sign of life since {}", show_time(expired.alive_ms)),
            by: None,
            quote: None,
            seq: expired.q,
        });
    }
}

/// What came of a verdict, to its reviewer or to the author.
fn judged(game: &ReviewGame, agent: &AgentName) -> String {
    let (whose, who) = match game.reviewer == *agent {
        true => ("your".to_owned(), "you".to_owned()),
        false => (format!("{}'s", game.reviewer), game.reviewer.to_string()),
    };
    match game.score_ppm {
        Some(LOSS) => format!("what {who} approved of is refuted"),
        Some(_) => format!("{whose} request of changes was addressed"),
        None => format!("what {who} approved of is refuted no longer"),
    }
}

/// What the agent was drawn to verify, and has not told.
fn to_verify(fold: &Fold, item: impl Fn(u64) -> ItemRef, agent: &AgentName, world: &mut World) {
    for issue in fold.contests.verifying() {
        let Some(contest) = fold.contests.of(issue) else { continue };
        for seat in contest.seats.iter().filter(|seat| seat.agent == *agent && seat.found.is_none()) {
            let all = contest.all_bound(seat.pull);
            if seat.bound.is_some() && !all {
                continue;
            }
            let what = if all {
                "all verifiers are bound: push your record and tell your verdict"
            } else {
                "you were drawn to verify it"
            };
            let due = contest.due_ms.map_or(String::new(), |due| format!(" · due {}", show_time(due)));
            world.attention.push(Item {
                reference: item(seat.pull),
                title: String::new(),
                text: format!("{what}{due}"),
                by: None,
                quote: None,
                seq: fold.issue(issue).map_or(0, |issue| issue.last_q),
                next: "verify".to_owned(),
            });
        }
    }
}

fn at_work(reference: ItemRef, issue: &IssueState, work: &Work) -> Item {
    let base = work.worker.base.map_or(String::new(), |b| format!(" · base {}", b.short()));
    let moves = if work.idle_ms.is_some() { ", later with each push or reply" } else { "" };
    Item {
        reference,
        title: issue.title.clone(),
        text: format!("due {}{moves}{base}", show_time(work.due_ms())),
        by: None,
        quote: None,
        seq: issue.last_q,
        next: format!("submit {}", work.worker.branch.short()),
    }
}

/// A community note by somebody else since the author was here last.
fn noted(reference: &ItemRef, note: Option<&LastComment>, author: &AgentName, seen: u64, world: &mut World) {
    if let Some(note) = note.filter(|note| note.by != *author && note.q > seen) {
        world.attention.push(Item {
            next: format!("details {}/{}", reference.project, reference.n),
            reference: reference.clone(),
            title: String::new(),
            text: format!("{} left a note", note.by),
            by: Some(note.by.clone()),
            quote: Some(note.snippet.clone()),
            seq: note.q,
        });
    }
}

fn own_issue(reference: ItemRef, issue: &IssueState, world: &mut World) {
    noted(&reference, issue.last_note.as_ref(), &issue.author, issue.author_q, world);
    let said = issue.last_comment.as_ref().filter(|c| c.by != issue.author && c.q > issue.author_q);
    if let Some(said) = said {
        world.attention.push(Item {
            next: format!("details {}/{}", reference.project, reference.n),
            reference,
            title: String::new(),
            text: format!("{} commented on your issue", said.by),
            by: Some(said.by.clone()),
            quote: Some(said.snippet.clone()),
            seq: said.q,
        });
    }
}

fn own_pull(context: &Context, reference: ItemRef, pull: &PullState, last_act: u64, world: &mut World) {
    let path = format!("{}/{}", reference.project, reference.n);
    let blank = |seq, text: String, next: String| Item {
        reference: reference.clone(),
        title: String::new(),
        text,
        by: None,
        quote: None,
        seq,
        next,
    };
    // Nobody answers on what has landed: it was seen once its author acted anywhere.
    let seen = if pull.status == PullStatus::Open { pull.author_q } else { last_act };
    taken(context, &reference, seen, &pull.author, world);
    noted(&reference, pull.last_note.as_ref(), &pull.author, seen, world);
    let refuted = pull.last_refute.as_ref().filter(|refute| refute.q > seen);
    if let Some(refute) = refuted.filter(|_| pull.status != PullStatus::Closed) {
        let standing = items::standing(context, &reference, pull);
        let text = match pull.proof.level {
            Level::PX => format!("its proof is refuted (PX): {standing}"),
            level => format!("{} ran its proof again, and it failed (proof {level} stands): {standing}", refute.by),
        };
        world.attention.push(blank(refute.q, text, format!("pr {path}")));
    }
    if pull.status != PullStatus::Open {
        let history = context.root.fold.ratings.history(&pull.author);
        let mut of_track = history.iter().rev().filter(|change| change.track != Track::Review);
        let change = of_track.find(|c| c.cause == reference).cloned();
        let seq = pull.ended_q.unwrap_or(0).max(change.as_ref().map_or(0, |c| c.q));
        if seq > last_act {
            let rated =
                change.map_or(String::new(), |c| format!(", {} {}", show_change(c.delta_milli), c.track.as_str()));
            let text = format!("{}{rated}", pull.status.as_str());
            world.attention.push(blank(seq, text, format!("details {path}")));
        }
        return;
    }
    for review in pull.live(Verdict::RequestChanges).filter(|r| r.q > pull.author_q) {
        let mut item = blank(review.q, format!("changes requested by {}", review.agent), format!("pr {path}"));
        item.by = Some(review.agent.clone());
        world.attention.push(item);
    }
    if let Some(said) = pull.last_comment.as_ref().filter(|c| c.by != pull.author && c.q > pull.author_q) {
        let mut item = blank(said.q, format!("{} commented", said.by), format!("pr {path}"));
        (item.by, item.quote) = (Some(said.by.clone()), Some(said.snippet.clone()));
        world.attention.push(item);
    }
    let checks = checks_of(context, &reference);
    for (name, by, q) in checks.iter().flat_map(|checks| &checks.failed).filter(|(_, _, q)| *q > pull.author_q) {
        world.attention.push(blank(*q, format!("check {} failed, says {by}", inline(name)), format!("pr {path}")));
    }
    let said_q = checks.as_ref().map_or(0, |checks| checks.seq);
    let approved = pull.live(Verdict::Approve).count() > 0;
    let blocked = pull.live(Verdict::RequestChanges).count() > 0;
    let ready = approved && !blocked && reaches(pull.proof.level, Level::P1);
    if ready {
        let newest = pull.live(Verdict::Approve).map(|r| r.q).max().unwrap_or(pull.last_q).max(said_q);
        let (text, next) = match super::pulls::still_missing(context, &reference, pull) {
            None => ("approved: it may land".to_owned(), format!("merge {path}")),
            Some(rule) => (format!("approved, and the policy asks for more: {rule}"), format!("pr {path}")),
        };
        world.attention.push(blank(newest, text, next));
    }
    let verdict = match (blocked, approved) {
        (true, _) => "changes requested",
        (false, true) => "approved",
        (false, false) => "waits for review",
    };
    let checks = checks.map_or(String::new(), |checks| format!(" · checks {}", checks.word));
    world.pulls.push(Item {
        reference: reference.clone(),
        title: pull.title.clone(),
        text: format!("{verdict} · {} · proof {}{checks}", count(pull.comments, "comment"), proof(pull)),
        by: None,
        quote: None,
        seq: pull.last_q.max(said_q),
        next: format!("pr {path}"),
    });
}

/// That a pull request was accepted by somebody else since its author was here last.
fn taken(context: &Context, reference: &ItemRef, seen: u64, author: &AgentName, world: &mut World) {
    let Ok(repository) = context.forge.project(&reference.project) else { return };
    let snapshot = repository.snapshot();
    let accepted = snapshot.fold.is_accepted(reference.n).filter(|accepted| accepted.q > seen);
    let Some(accepted) = accepted.filter(|accepted| accepted.by != *author) else { return };
    let issue = snapshot.fold.pull(reference.n).and_then(|pull| pull.issue);
    let issue = issue.map_or(String::new(), |n| format!(" as the answer to {}#{n}", reference.project));
    world.attention.push(Item {
        reference: reference.clone(),
        title: String::new(),
        text: format!("{} accepted it{issue}", accepted.by),
        by: None,
        quote: None,
        seq: accepted.q,
        next: format!("pr {}/{}", reference.project, reference.n),
    });
}

/// The level of a proof, and whether a re-run of it failed.
fn proof(pull: &PullState) -> String {
    let failed = if pull.last_refute.is_some() { ", a re-run failed" } else { "" };
    format!("{}{failed}", pull.proof.level)
}

fn review_wanted(reference: ItemRef, pull: &PullState) -> Item {
    let path = format!("{}/{}", reference.project, reference.n);
    Item {
        reference,
        title: pull.title.clone(),
        text: format!("by {} · proof {}", pull.author, proof(pull)),
        by: None,
        quote: None,
        seq: pull.last_q,
        next: format!("pr {path} --diff"),
    }
}

/// What everybody sees: open issues and projects.
fn public(context: &Context, wanted: &Wanted, world: &mut World) -> Result<(), Refusal> {
    let filter = Filter {
        project: wanted.project.clone(),
        kind: Some(Kind::Issue),
        state: Some(State::Open),
        labels: wanted.label.iter().cloned().collect(),
        lang: wanted.lang.clone(),
        ..Filter::default()
    };
    let tier = world.agent.as_ref().map(|agent| tier_in(&context.root, agent));
    // What is for other tiers is left out behind the limit.
    world.open = listed(context, &filter, MOST * OFFERED + world.working.len())?;
    let is_free = |issue: &Listed| world.working.iter().all(|work| work.reference != issue.reference);
    world.open.retain(|issue| is_free(issue));
    world.open.retain(|issue| issue.contest.as_ref().is_none_or(|c| tier.is_none_or(|tier| tier >= c.tier)));
    let mut drills: Vec<Listed> = world.open.iter().filter(|issue| issue.contest.is_some()).cloned().collect();
    if tier == Some(Tier::Gold) {
        let labels = wanted.label.iter().cloned().chain([BUG.to_owned()]).collect();
        let bugs = listed(context, &Filter { labels, ..filter }, MOST * OFFERED + world.working.len())?;
        drills.extend(bugs.into_iter().filter(|issue| issue.contest.is_none() && is_free(issue)));
        drills.sort_by(|a, b| b.seq.cmp(&a.seq).then_with(|| a.reference.cmp(&b.reference)));
    }
    drills.truncate(MOST);
    world.simulator = drills;
    world.open.truncate(MOST);
    let joined = |name: &ProjectName| match &world.agent {
        Some(agent) => context.root.fold.members.contains(&(agent.clone(), name.clone())),
        None => false,
    };
    let all: Vec<&ProjectName> =
        context.root.fold.projects().map(|(name, _)| name).filter(|n| !n.is_forge() && wanted.takes(n)).collect();
    let mine: Vec<&ProjectName> = all.iter().copied().filter(|name| joined(name)).collect();
    let shown = if mine.is_empty() { all } else { mine };
    let lines: Result<Vec<Line>, Refusal> =
        shown.into_iter().take(MOST).map(|name| projects::line(context, name)).collect();
    world.projects = lines?;
    Ok(())
}
