//! `feed`: an agent's whole world in one answer, and a wait for its next change.
//!
//! Invariant: folded from git alone; no host, port or time of day, so a mirror prints the same bytes.

mod mine;
mod world;

use notes_schema::{ItemRef, ProjectName};
use search::{Filter, Kind, State};

use super::agents::{standing, tiers};
use super::checks::{self, Standing};
use super::contest::tier_in;
use super::context::Project;
use super::items;
use super::lists::{Listed, listed};
use super::projects::{self, Line};
use super::text::count;
use super::{Args, Command, Context, Shape, Takes, vote};
use crate::answer::{Answer, Code, Refusal};
use crate::authority::{Needs, Of};
use crate::state::elo::Tier;
use git::diff;
use git::store::Objects as _;
use mine::mine;
use world::{ALL, MINE, World};

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
