//! External checks: who may post which, and what was said of a commit's tree.
//!
//! Invariant: only the project's maintainer says who may post a check of it.

mod post;

use notes_schema::event::{CheckDropped, CheckRegistered, CheckState};
use notes_schema::{AgentName, EntityId, Oid, ProjectName};
use serde::Serialize;

use super::context::Project;
use super::text::inline;
use super::{Args, Command, Context, Shape, code, restate};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::gate::View;
use crate::state::checks::{self, Said};
use crate::state::{Checks, PullState, WRITTEN_NAMES};
use git::store::{Objects as _, Over};
use hooks::Repo as _;

pub use post::CHECK_POST;

/// Longest name of a check, in bytes. An agent's state holds all of its names.
/// Limit: name of a check | {:bytes}
const LONGEST_NAME: usize = 100;
/// Most registrations of a project.
/// Limit: registrations of checks of a project | {}
const MOST_REGISTERED: usize = 128;
/// Most pull requests of which one commit states another level: a batch holds no more than 128 chains.
/// Limit: pull requests whose level one batch states again | {}; the others are for the next
const RESTATED: usize = 64;

/// What was said of a check, as answers show it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CheckLine {
    name: String,
    state: &'static str,
    by: AgentName,
    tree: Oid,
    commit: Oid,
    description: String,
    url: String,
    time_ms: u64,
    seq: u64,
    /// Whether it is this word that decides: there is no newer one, and it is not its author's own.
    counts: bool,
}

impl CheckLine {
    /// `- ci: success, says robot: "12 passed" https://…`.
    fn markdown(&self) -> String {
        let text =
            if self.description.is_empty() { String::new() } else { format!(": \"{}\"", inline(&self.description)) };
        let url = if self.url.is_empty() { String::new() } else { format!(" {}", inline(&self.url)) };
        let void = if self.counts { "" } else { " (does not count)" };
        format!("- {}: {}, says {}{text}{url}{void}\n", inline(&self.name), self.state, self.by)
    }
}

/// Everything that counts about `tree`, for work by `author` where there is one.
pub(super) fn lines(checks: &Checks, tree: Oid, author: Option<&AgentName>) -> Vec<CheckLine> {
    let said = checks.on(tree);
    let newest = checks::newest(&said, author);
    let line = |said: &Said<'_>| CheckLine {
        name: said.name.to_owned(),
        state: said.word.state.as_str(),
        by: said.by.clone(),
        tree,
        commit: said.word.commit,
        description: said.word.description.clone(),
        url: said.word.url.clone(),
        time_ms: said.word.t,
        seq: said.word.q,
        counts: newest.contains(said),
    };
    let mut lines: Vec<CheckLine> = said.iter().map(line).collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name).then(b.seq.cmp(&a.seq)));
    lines
}

/// What was said of a pull request's head, as far as it counts for it.
pub(super) fn of_pull(project: &Project, pull: &PullState) -> Vec<CheckLine> {
    let checks = &project.snapshot.fold.checks;
    if checks.is_empty() {
        return Vec::new();
    }
    // A head is always there; where it cannot be read, the gate says so.
    tree_of(project, pull.head).map_or(Vec::new(), |tree| lines(checks, tree, Some(&pull.author)))
}

/// The lines of a section, with its title; nothing where nothing was said.
pub(super) fn section(lines: &[CheckLine]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\n## Checks\n\n{}", lines.iter().map(CheckLine::markdown).collect::<String>())
}

/// How the checks of a pull request stand, as the feed shows it.
pub(super) struct Standing {
    /// `passing`, `pending` or `failing`.
    pub word: &'static str,
    /// Number of the newest word.
    pub seq: u64,
    /// What failed: check, who says so, number.
    pub failed: Vec<(String, AgentName, u64)>,
}

/// The same of a pull request's head; nothing where nothing was said that counts for it.
pub(super) fn standing(project: &Project, pull: &PullState) -> Option<Standing> {
    let checks = &project.snapshot.fold.checks;
    if checks.is_empty() {
        return None;
    }
    let newest = checks::newest(&checks.on(tree_of(project, pull.head).ok()?), Some(&pull.author));
    let fails = |said: &&Said<'_>| matches!(said.word.state, CheckState::Failure | CheckState::Error);
    let failed = newest.iter().filter(fails).map(|said| (said.name.to_owned(), said.by.clone(), said.word.q));
    Some(Standing {
        word: match checks::together(&newest)? {
            CheckState::Success => "passing",
            CheckState::Pending => "pending",
            CheckState::Failure | CheckState::Error => "failing",
        },
        seq: newest.iter().map(|said| said.word.q).max()?,
        failed: failed.collect(),
    })
}

/// The name of a check as it was written, or why it is none.
fn name_of(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("the name of a check is one line of 1 to {LONGEST_NAME} bytes"));
    }
    Ok(name.to_owned())
}

#[derive(Serialize)]
struct Changed {
    project: ProjectName,
    name: String,
    agent: AgentName,
    registered: bool,
    seq: u64,
}

impl Render for Changed {
    fn markdown(&self) -> String {
        let may = if self.registered { "may post" } else { "may no longer post" };
        format!(
            "{} {may} check `{}` of {}.\n---\nnext: check list {}\n",
            self.agent,
            self.name.replace('`', "'"),
            self.project,
            self.project
        )
    }
}

/// `check register`.
pub const CHECK_REGISTER: Command = Command {
    name: "check register",
    aliases: &["check add"],
    needs: Needs::WholeAgent,
    of: Of::Maintainer,
    shape: Shape::words(3, 24),
    usage: "<project> <name> <agent>",
    summary: "let an agent post a check of your project: `help ci`",
    example: "check register parser ci/test robot",
    run: |context, args| change(context, args, true),
};

/// `check drop`.
pub const CHECK_DROP: Command = Command {
    name: "check drop",
    aliases: &["check remove", "check unregister"],
    needs: Needs::Agent,
    of: Of::Maintainer,
    shape: Shape::words(3, 24),
    usage: "<project> <name> <agent>",
    summary: "let an agent post a check no longer; what it said stops counting",
    example: "check drop parser ci/test robot",
    run: |context, args| change(context, args, false),
};

/// Between the project and the agent stands the name, which may hold spaces.
fn change(context: &Context, args: &Args, register: bool) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    let (last, middle) = args.words[1..].split_last().ok_or_else(|| context.usage("it needs a name and an agent"))?;
    let name = name_of(&middle.join(" ")).map_err(|why| context.usage(why))?;
    let agent: AgentName = last.parse().map_err(|e: notes_schema::NameError| context.usage(e.to_string()))?;
    let (by, of) = (context.author()?, project.repository.name().clone());
    maintains(context, &of)?;
    if register && context.root.fold.agent(&agent).is_none() {
        let why = "there is no such agent: it registers first, with a key or over HTTP";
        return Err(Refusal::new(Code::NotFound, agent.as_str(), why, "help register"));
    }
    let (posts, what, list) = (agent.clone(), name.clone(), format!("check list {of}"));
    // What it said of a tree counted like a re-run of the proofs on it.
    let mut pulls = match register {
        true => Vec::new(),
        false => restate::proven_by(&project.snapshot, &project.snapshot.fold.checks.trees(&name, &agent)),
    };
    let later = pulls.split_off(pulls.len().min(RESTATED));
    let (root, store) = (context.root.clone(), project.repository.store().clone());
    let (seq, _) = context.commit(&project.repository, move |draft| {
        let checks = &draft.snapshot().fold.checks;
        let before = draft.snapshot().fold.max_q;
        let id = EntityId::Checks(posts.clone());
        match (register, checks.may_post(&what, &posts)) {
            (true, true) => Ok(before),
            (true, false) => {
                check_room(checks, &posts, &list)?;
                draft.event(&by, &id, CheckRegistered { name: what }, None, &[]).map(|event| event.q)
            }
            (false, true) => {
                let dropped = draft.event(&by, &id, CheckDropped { name: what }, None, &[])?.q;
                let made = draft.made();
                restate::restate(draft, &root, &Over { made: &made, below: store.as_ref() }, &by, &pulls, &[])?;
                Ok(dropped)
            }
            (false, false) => {
                let why = format!("{posts} is not registered for it");
                Err(Refusal::new(Code::NotFound, format!("check {what}"), why, list))
            }
        }
    })?;
    restate_later(context, &project, &later)?;
    context.forge.settle(&project.repository)?;
    Ok(Answer::of(&Changed { project: of, name, agent, registered: register, seq }))
}

/// States the levels of those that one batch had no room for.
fn restate_later(context: &Context, project: &Project, pulls: &[u64]) -> Result<(), Refusal> {
    for pulls in pulls.chunks(RESTATED).map(<[u64]>::to_vec) {
        let (by, root, store) = (context.author()?, context.root.clone(), project.repository.store().clone());
        context.commit(&project.repository, move |draft| {
            let made = draft.made();
            restate::restate(draft, &root, &Over { made: &made, below: store.as_ref() }, &by, &pulls, &[])
        })?;
    }
    Ok(())
}

fn maintains(context: &Context, project: &ProjectName) -> Result<(), Refusal> {
    if context.stands(project, false) {
        return Ok(());
    }
    let maintainer = context.root.fold.project(project).map_or_else(AgentName::forge, |entry| entry.creator.clone());
    let why = format!("its maintainer {maintainer} says who may post checks");
    Err(Refusal::new(Code::NotAllowed, format!("checks of {project}"), why, format!("check list {project}")))
}

fn check_room(checks: &Checks, agent: &AgentName, list: &str) -> Result<(), Refusal> {
    let full = |why: String| Err(Refusal::new(Code::Refused, "check register", why, list));
    if checks.registered().count() >= MOST_REGISTERED {
        return full(format!("the project has {MOST_REGISTERED} registrations: drop one first"));
    }
    if checks.registered().filter(|(_, other)| *other == agent).count() >= WRITTEN_NAMES {
        return full(format!("{agent} may post {WRITTEN_NAMES} checks already: drop one first"));
    }
    Ok(())
}

#[derive(Serialize)]
struct Registered {
    name: String,
    /// Who may post it.
    agents: Vec<AgentName>,
    /// Whether the policy demands it of some change.
    demanded: bool,
}

#[derive(Serialize)]
struct List {
    project: ProjectName,
    checks: Vec<Registered>,
    next: String,
}

impl Render for List {
    fn markdown(&self) -> String {
        let mut out = format!("# Checks of {} ({})\n\n", self.project, self.checks.len());
        for check in &self.checks {
            let agents: Vec<&str> = check.agents.iter().map(AgentName::as_str).collect();
            let by =
                if agents.is_empty() { "nobody may post it".to_owned() } else { format!("by {}", agents.join(", ")) };
            let demanded = if check.demanded { " · demanded by the policy" } else { "" };
            out.push_str(&format!("- {}: {by}{demanded}\n", inline(&check.name)));
        }
        if self.checks.is_empty() {
            out.push_str("None is registered, and the policy demands none.\n");
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// `check list`.
pub const CHECK_LIST: Command = Command {
    name: "check list",
    aliases: &["checks"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1),
    usage: "[project]",
    summary: "a project's checks, and who may post them",
    example: "check list parser",
    run: check_list,
};

fn check_list(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project_or_current(args.word(0))?;
    let store = project.repository.store();
    let view = View::new(&project.snapshot, &context.root, store.as_ref(), context.forge.now());
    let policy = view.policy().map_err(|e| Refusal::new(Code::TryLater, "policy", e.to_string(), "help policy"))?;
    let row = |name: &str, demanded| Registered { name: name.to_owned(), agents: Vec::new(), demanded };
    let mut rows: Vec<Registered> = policy.policy.checks().into_iter().map(|name| row(name, true)).collect();
    for (name, agent) in project.snapshot.fold.checks.registered() {
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.agents.push(agent.clone()),
            None => rows.push(Registered { agents: vec![agent.clone()], ..row(name, false) }),
        }
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer::of(&List { project: project.repository.name().clone(), checks: rows, next: "help ci".to_owned() }))
}

#[derive(Serialize)]
struct Shown {
    project: ProjectName,
    commit: Oid,
    tree: Oid,
    /// All of them together: what clients call the combined status.
    state: &'static str,
    checks: Vec<CheckLine>,
    next: String,
}

impl Render for Shown {
    fn markdown(&self) -> String {
        let mut out =
            format!("# Checks of {} at {}\n\ntree `{}` · ", self.project, self.commit.short(), self.tree.short());
        out.push_str(if self.checks.is_empty() { "nothing was posted for it\n" } else { self.state });
        if !self.checks.is_empty() {
            out.push_str(&format!("\n\n{}", self.checks.iter().map(CheckLine::markdown).collect::<String>()));
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// `check show`.
pub const CHECK_SHOW: Command = Command {
    name: "check show",
    aliases: &["check view"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 2),
    usage: "<project> [branch | commit]",
    summary: "what checks said of a commit's tree",
    example: "check show parser main",
    run: check_show,
};

fn check_show(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    let commit = code::commit(context, &project, args.word(1).unwrap_or(""))?;
    let tree = tree_of(&project, commit)?;
    let checks = &project.snapshot.fold.checks;
    let lines = lines(checks, tree, None);
    let state = checks::together(&checks::newest(&checks.on(tree), None)).unwrap_or(CheckState::Pending).as_str();
    let name = project.repository.name().clone();
    Ok(Answer::of(&Shown { next: format!("check list {name}"), project: name, commit, tree, state, checks: lines }))
}

fn tree_of(project: &Project, commit: Oid) -> Result<Oid, Refusal> {
    let read = project.repository.store().commit(commit);
    read.map(|commit| commit.tree).map_err(|e| Refusal::new(Code::TryLater, commit.short(), e.to_string(), "feed"))
}
