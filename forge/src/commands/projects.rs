//! Projects: making, listing, showing, joining.

use notes_schema::event::{ProjectCreated, ProjectJoined};
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ProjectName, RefName};
use search::{Filter, Kind, State};
use serde::Serialize;

use super::recent::{self, Recent};
use super::text::{count, inline};
use super::{Args, Command, Context, Door, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::forge::bytes;
use crate::ledger::Repository;

#[derive(Serialize)]
struct Created {
    project: ProjectName,
    ssh_url: String,
    http_url: String,
    default_branch: String,
    seq: u64,
    #[serde(skip)]
    clone_url: String,
}

impl Render for Created {
    fn markdown(&self) -> String {
        format!(
            "# {0}\n\nEmpty. You may push its first history once; then `{1}` moves through merge:\n\n    git remote add origin {2}\n    git push origin HEAD:refs/heads/{1} --tags\n\nssh: {3}\nhttp: {4}\n---\nnext: project show {0}\n",
            self.project, self.default_branch, self.clone_url, self.ssh_url, self.http_url
        )
    }
}

/// The URL that a reader at this door would clone from: over SSH the name from their configuration.
pub(super) fn clone_url(context: &Context, project: &ProjectName) -> String {
    match context.door {
        Door::Ssh => format!("ssh://forge/{project}"),
        Door::Http => format!("{}/{project}", context.forge.config().public_http),
    }
}

/// `project new`.
pub const PROJECT_NEW: Command = Command {
    name: "project new",
    aliases: &["project create"],
    needs: Needs::WholeAgent,
    of: Of::Forge,
    shape: Shape::words(1, 1).flags(&[("description", Takes::Words), ("branch", Takes::Word)]),
    usage: "<name> [--description TEXT] [--branch main]",
    summary: "make an empty public project; you are its maintainer",
    example: "project new parser --description A small parser",
    run: project_new,
};

/// Longest description, in bytes.
/// Limit: description of a project | {:bytes}, then `…`
const DESCRIBED: usize = 200;

fn project_new(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let name = ProjectName::parse_new(args.word(0).unwrap_or("")).map_err(|e| context.usage(e.to_string()))?;
    let branch = RefName::branch(args.value("branch").unwrap_or("main")).map_err(|e| context.usage(e.to_string()))?;
    let description = crate::state::snippet(args.value("description").unwrap_or(""), DESCRIBED);
    context.forge.has_room_for_project(&name, &context.agent()?.name)?;
    let repository = context.forge.create_project(&name, &branch, || {
        let (by, id) = (context.author()?, EntityId::Project(name.clone()));
        let fact = ProjectCreated { default_branch: branch.clone(), description };
        context
            .commit(context.forge.root_repository(), move |draft| draft.event(&by, &id, fact, None, &[]))
            .map(|(r, _)| r.q)
    })?;
    let config = context.forge.config();
    Ok(Answer::of(&Created {
        ssh_url: format!("{}/{name}", config.public_ssh),
        http_url: format!("{}/{name}", config.public_http),
        clone_url: clone_url(context, &name),
        default_branch: branch.short().to_owned(),
        seq: repository,
        project: name,
    }))
}

/// One project in lists.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    /// As every item of a feed has one.
    #[serde(rename = "ref")]
    pub reference: ProjectName,
    pub project: ProjectName,
    pub title: String,
    pub description: String,
    pub open_issues: u64,
    pub open_pulls: u64,
    pub members: u64,
    pub next: String,
}

impl Line {
    /// One line of a list: `parser  12 open issues · 1 open pull · 7 members`.
    pub(super) fn markdown(&self) -> String {
        let about =
            if self.description.is_empty() { String::new() } else { format!(" · {}", inline(&self.description)) };
        format!(
            "{}  {} · {} · {}{about}\n  → {}\n",
            self.project,
            count(self.open_issues, "open issue"),
            count(self.open_pulls, "open pull"),
            count(self.members, "member"),
            self.next
        )
    }
}

pub(super) fn line(context: &Context, name: &ProjectName) -> Result<Line, Refusal> {
    let index = context.forge.index()?;
    let open = |kind| {
        let filter =
            Filter { project: Some(name.clone()), kind: Some(kind), state: Some(State::Open), ..Filter::default() };
        index.count(&filter).map_err(|e| Refusal::new(Code::TryLater, "index", e.to_string(), "feed"))
    };
    let entry = context.root.fold.project(name);
    Ok(Line {
        description: entry.map(|p| p.description.clone()).unwrap_or_default(),
        open_issues: open(Kind::Issue)?,
        open_pulls: open(Kind::Pull)?,
        members: entry.map_or(0, |p| p.members),
        next: format!("project show {name}"),
        title: name.to_string(),
        reference: name.clone(),
        project: name.clone(),
    })
}

#[derive(Serialize)]
struct List {
    projects: Vec<Line>,
}

impl Render for List {
    fn markdown(&self) -> String {
        let mut out = format!("# Projects ({})\n\n", self.projects.len());
        if self.projects.is_empty() {
            out.push_str("There is none yet.\n---\nnext: project new first-project\n");
        }
        for line in &self.projects {
            out.push_str(&line.markdown());
        }
        out
    }
}

/// `project list`.
pub const PROJECT_LIST: Command = Command {
    name: "project list",
    aliases: &["projects"],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "all projects",
    example: "project list",
    run: project_list,
};

fn project_list(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let names = context.root.fold.projects().map(|(name, _)| name).filter(|name| !name.is_forge());
    let lines: Result<Vec<Line>, Refusal> = names.map(|name| line(context, name)).collect();
    Ok(Answer::of(&List { projects: lines? }))
}

#[derive(Serialize)]
struct Shown {
    project: ProjectName,
    description: String,
    creator: AgentName,
    created_ms: u64,
    default_branch: String,
    head: Option<String>,
    members: u64,
    ssh_url: String,
    http_url: String,
    open_issues: Vec<super::lists::Listed>,
    open_pulls: Vec<super::lists::Listed>,
    /// What happened last.
    recent: Vec<Recent>,
    branches: u64,
    disk: Disk,
    read_only: Option<String>,
}

/// What a project takes on disk, in bytes of packs; budgets are 0 where there is none.
#[derive(Serialize)]
struct Disk {
    bytes: u64,
    budget: u64,
    owner: Option<AgentName>,
    owner_bytes: u64,
    owner_budget: u64,
}

impl Disk {
    fn of(context: &Context, repository: &Repository) -> Disk {
        let limits = &context.forge.config().limits;
        let owner = context.forge.owner_of(repository.name());
        Disk {
            bytes: repository.pack_bytes(),
            budget: limits.project_bytes,
            owner_bytes: owner.as_ref().map_or(0, |owner| context.forge.held_by(owner)),
            owner_budget: limits.owner_bytes,
            owner,
        }
    }

    /// `12 MiB of 16 GiB; projects of alpha: 40 MiB of 64 GiB`.
    fn markdown(&self) -> String {
        let of = |held, most| match most {
            0 => bytes(held),
            most => format!("{} of {}", bytes(held), bytes(most)),
        };
        let mut out = of(self.bytes, self.budget);
        if let Some(owner) = &self.owner {
            out.push_str(&format!("; projects of {owner}: {}", of(self.owner_bytes, self.owner_budget)));
        }
        out
    }
}

impl Render for Shown {
    fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n", self.project);
        if !self.description.is_empty() {
            out.push_str(&format!("{}\n\n", inline(&self.description)));
        }
        let head = self.head.as_ref().map_or("not born yet".to_owned(), |h| format!("at {}", &h[..7]));
        out.push_str(&format!(
            "default branch `{}` {head} · {} · {} · by {} since {}\n\n    git clone {}\n    git clone {}\n",
            self.default_branch,
            count(self.branches, "branch").replace("branchs", "branches"),
            count(self.members, "member"),
            self.creator,
            show_time(self.created_ms),
            self.ssh_url,
            self.http_url
        ));
        out.push_str(&format!("\ndisk: {}\n", self.disk.markdown()));
        if let Some(why) = &self.read_only {
            out.push_str(&format!("\n**Read-only:** {why}\n"));
        }
        out.push_str(&format!("\n## Open issues ({})\n\n", self.open_issues.len()));
        for line in &self.open_issues {
            out.push_str(&line.markdown());
        }
        out.push_str(&format!("\n## Open pull requests ({})\n\n", self.open_pulls.len()));
        for line in &self.open_pulls {
            out.push_str(&line.markdown());
        }
        if !self.recent.is_empty() {
            out.push_str("\n## Recently\n\n");
        }
        for recent in &self.recent {
            out.push_str(&recent.markdown());
        }
        out.push_str(&format!("---\nnext: issue list {}\n", self.project));
        out
    }
}

/// `project show`.
pub const PROJECT_SHOW: Command = Command {
    name: "project show",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<name>",
    summary: "a project: where to clone it, what is open",
    example: "project show parser",
    run: project_show,
};

fn project_show(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    let (name, snapshot) = (project.repository.name().clone(), &project.snapshot);
    let entry = context.root.fold.project(&name);
    let config = context.forge.config();
    let happened = Filter { project: Some(name.clone()), ..Filter::default() };
    let list = |kind| super::lists::list(context, &name, kind, Some(State::Open), &[], 50);
    Ok(Answer::of(&Shown {
        description: entry.map(|p| p.description.clone()).unwrap_or_default(),
        creator: entry.map_or_else(AgentName::forge, |p| p.creator.clone()),
        created_ms: entry.map_or(0, |p| p.created_ms),
        members: entry.map_or(0, |p| p.members),
        default_branch: snapshot.head.as_ref().map_or("main", RefName::short).to_owned(),
        head: snapshot.default_tip().map(|id| id.to_string()),
        ssh_url: format!("{}/{name}", config.public_ssh),
        http_url: format!("{}/{name}", config.public_http),
        open_issues: list(Kind::Issue)?,
        open_pulls: list(Kind::Pull)?,
        recent: recent::of(context, happened, std::slice::from_ref(&project))?,
        branches: snapshot.refs.keys().filter(|r| r.branch_name().is_some()).count() as u64,
        disk: Disk::of(context, &project.repository),
        read_only: project.repository.read_only(),
        project: name,
    }))
}

#[derive(Serialize)]
struct Joined {
    project: ProjectName,
    members: u64,
    seq: u64,
}

impl Render for Joined {
    fn markdown(&self) -> String {
        format!(
            "You are in {0}, with {1}. It is in your feed, and you are offered its reviews.\n---\nnext: project show {0}\n",
            self.project,
            count(self.members, "member")
        )
    }
}

/// `join`.
pub const JOIN: Command = Command {
    name: "join",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<project>",
    summary: "put a project into your feed and be offered its reviews",
    example: "join parser",
    run: join,
};

fn join(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?.repository.name().clone();
    if project.is_forge() {
        return Err(context.usage("the forge's own repository takes no members"));
    }
    let (by, name) = (context.author()?, project.clone());
    let (q, after) = context.commit(context.forge.root_repository(), move |draft| {
        // Joining again makes it the current project; the number of members stays.
        draft.event(&by, &EntityId::Project(name), ProjectJoined {}, None, &[]).map(|r| r.q)
    })?;
    let members = after.fold.project(&project).map_or(0, |p| p.members);
    Ok(Answer::of(&Joined { project, members, seq: q }))
}
