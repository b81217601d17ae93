//! What a command works with: who asks, the forge as of one moment, and the ways to a project, an item and a write.

use std::net::IpAddr;
use std::sync::Arc;

use notes_schema::names::parse_number;
use notes_schema::{ItemRef, ProjectName};

use super::{Args, Call, Command, Door};
use crate::answer::{Code, Refusal};
use crate::authority::{self, Actor, AgentActor, Ties};
use crate::forge::Forge;
use crate::ledger::{Author, Draft, Repository, Snapshot};

/// What a command works with.
pub struct Context<'a> {
    /// The forge.
    pub forge: &'a Arc<Forge>,
    /// Who asks.
    pub actor: &'a Actor,
    /// From which address, as far as that is known.
    pub from: Option<IpAddr>,
    /// Through which door.
    pub door: Door,
    /// Everything up to here is in what this command reads.
    pub seq: u64,
    /// `forge.git` as of now.
    pub root: Arc<Snapshot>,
    /// The body, where the command takes one.
    pub body: Option<String>,
    /// `--if-match`.
    pub if_match: Option<String>,
    command: &'static Command,
    called: String,
    intent: Option<[u8; 16]>,
}

/// A project and one moment of it.
pub struct Project {
    /// Its repository.
    pub repository: Arc<Repository>,
    /// The moment.
    pub snapshot: Arc<Snapshot>,
}

/// What a reference names.
pub enum Item {
    /// An issue.
    Issue,
    /// A pull request.
    Pull,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        forge: &'a Arc<Forge>,
        call: &'a Call,
        command: &'static Command,
        args: &Args,
        body: Option<String>,
    ) -> Result<Self, Refusal> {
        let bad_key = || {
            Refusal::new(
                Code::Usage,
                "--idempotency-key",
                "it must be a UUID of version 7 that is at most a day old",
                "help",
            )
        };
        let intent = match args.value("idempotency-key") {
            Some(text) => Some(fresh_uuid(text, forge.now()).ok_or_else(bad_key)?),
            None => None,
        };
        let if_match = args.value("if-match").map(str::to_owned);
        // Before anything is read: whatever becomes durable after this number is shown again, never lost.
        let seq = forge.seq();
        Ok(Context {
            forge,
            actor: &call.actor,
            from: call.from,
            door: call.door,
            seq,
            root: forge.root(),
            body,
            if_match,
            command,
            called: args.called.clone(),
            intent,
        })
    }

    /// The agent that asks. Commands that declare [`authority::Needs::Agent`] always have one.
    pub fn agent(&self) -> Result<&AgentActor, Refusal> {
        let why = "this needs an agent: come with a registered SSH key or a token";
        self.actor.agent().ok_or_else(|| Refusal::new(Code::NotAllowed, self.command.name, why, "help register"))
    }

    /// Who events are by.
    pub fn author(&self) -> Result<Author, Refusal> {
        let agent = self.agent()?;
        Ok(Author { agent: agent.name.clone(), credential: agent.credential.clone(), intent: self.intent })
    }

    /// Whether the command was called by one of these other names.
    pub fn named_as(&self, names: &[&str]) -> bool {
        names.contains(&self.called.as_str())
    }

    /// A project by name.
    pub fn project(&self, name: &str) -> Result<Project, Refusal> {
        let name: ProjectName = name.parse().map_err(|e: notes_schema::NameError| {
            Refusal::new(Code::NotFound, "project", e.to_string(), "project list")
        })?;
        self.named(&name)
    }

    fn named(&self, name: &ProjectName) -> Result<Project, Refusal> {
        self.permitted(Some(name))?;
        let repository = self.forge.project(name)?;
        Ok(Project { snapshot: repository.snapshot(), repository })
    }

    fn permitted(&self, project: Option<&ProjectName>) -> Result<(), Refusal> {
        let (rank, operation) = (self.forge.rank(self.actor), self.command.operation());
        authority::permit(self.actor, rank, operation, project, self.forge.config().read)
    }

    /// Whether the command is for somebody who opened, made or owns the thing in question in `project`, or did not.
    pub fn stands(&self, project: &ProjectName, own: bool) -> bool {
        authority::stands(self.command.of, self.ties(project, own))
    }

    fn ties(&self, project: &ProjectName, own: bool) -> Ties {
        let creator = self.root.fold.project(project).map(|project| &project.creator);
        let maintainer = creator.is_some() && creator == self.actor.agent().map(|agent| &agent.name);
        Ties { maintainer, own }
    }

    /// Whether whoever asks may ask for another `command` of a thing in `project` that is `own` to them, or is not.
    pub fn may(&self, command: &Command, project: &ProjectName, own: bool) -> bool {
        let (rank, operation) = (self.forge.rank(self.actor), command.operation());
        authority::permit(self.actor, rank, operation, Some(project), self.forge.config().read).is_ok()
            && authority::stands(command.of, self.ties(project, own))
    }

    /// Every project that the caller may ask the command of.
    pub fn projects(&self) -> impl Iterator<Item = Project> + '_ {
        let open = self.forge.open_repositories().into_iter();
        let permitted = open.filter(|repository| self.permitted(Some(repository.name())).is_ok());
        permitted.map(|repository| Project { snapshot: repository.snapshot(), repository })
    }

    /// The caller's current project: that of its latest `start`, `join` or `project new`.
    pub fn current_project(&self) -> Option<Project> {
        let agent = &self.actor.agent()?.name;
        let joined = self.root.fold.placed.get(agent).cloned();
        let started = self.forge.open_repositories().into_iter().filter_map(|repository| {
            let q = *repository.snapshot().fold.started.get(agent)?;
            Some((q, repository.name().clone()))
        });
        let (_, name) = started.chain(joined).max()?;
        self.named(&name).ok()
    }

    /// The project that a branch, commit or path is in: named, current, or the only one.
    pub fn project_or_current(&self, name: Option<&str>) -> Result<Project, Refusal> {
        if let Some(name) = name {
            return self.project(name);
        }
        if let Some(current) = self.current_project() {
            return Ok(current);
        }
        let open = self.forge.open_repositories();
        match open.as_slice() {
            [only] => self.named(only.name()),
            _ => Err(Refusal::new(
                Code::Usage,
                self.command.name,
                "it is not clear which project is meant",
                "project list",
            )),
        }
    }

    /// An issue or pull request as people write it: `parser#7`, `parser/7`, or `7` for the current project.
    pub fn item(&self, text: &str) -> Result<(Project, ItemRef, Item), Refusal> {
        let text = text.trim_start_matches('#');
        if let Some(n) = parse_number(text) {
            return self.bare(n);
        }
        let reference: ItemRef = text.parse().map_err(|e: notes_schema::NameError| {
            Refusal::new(Code::Usage, self.command.name, e.to_string(), format!("help {}", self.command.name))
        })?;
        let project = self.named(&reference.project)?;
        let item = kind_of(&project.snapshot, reference.n).ok_or_else(|| {
            Refusal::new(
                Code::NotFound,
                reference.to_string(),
                "the project has no such issue or pull request",
                format!("issue list {}", reference.project),
            )
        })?;
        Ok((project, reference, item))
    }

    fn bare(&self, n: u64) -> Result<(Project, ItemRef, Item), Refusal> {
        if let Some(project) = self.current_project()
            && let Some(item) = kind_of(&project.snapshot, n)
        {
            let reference = ItemRef { project: project.repository.name().clone(), n };
            return Ok((project, reference, item));
        }
        let having: Vec<Arc<Repository>> =
            self.forge.open_repositories().into_iter().filter(|r| kind_of(&r.snapshot(), n).is_some()).collect();
        match having.as_slice() {
            [] => Err(Refusal::new(Code::NotFound, n.to_string(), "no project has this number", "feed")),
            [only] => self.item(&format!("{}#{n}", only.name())),
            several => {
                let names: Vec<String> = several.iter().take(8).map(|r| format!("{}#{n}", r.name())).collect();
                let why = format!("several projects have it: {}", names.join(", "));
                Err(Refusal::new(Code::Usage, n.to_string(), why, format!("details {}", names[0])))
            }
        }
    }

    /// Commits to a project on behalf of the caller. `plan` checks its preconditions on the draft it is given.
    pub fn commit<R, F>(&self, repository: &Repository, plan: F) -> Result<(R, Arc<Snapshot>), Refusal>
    where
        R: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<R, Refusal> + Send + 'static,
    {
        let name = (!repository.name().is_forge()).then(|| repository.name());
        self.permitted(name)?;
        self.forge.commit(repository, self.agent()?, plan)
    }

    /// `http://…/parser/issues/7`.
    pub fn url(&self, reference: &ItemRef, item: &Item) -> String {
        let kind = match item {
            Item::Issue => "issues",
            Item::Pull => "pulls",
        };
        format!("{}/{}/{kind}/{}", self.forge.config().public_http, reference.project, reference.n)
    }

    /// What the command's text says: on its line, or on stdin.
    pub fn text(&self, args: &Args) -> Option<String> {
        args.text.clone().or_else(|| self.body.clone()).filter(|text| !text.trim().is_empty())
    }

    /// A refusal about this command's own arguments.
    pub fn usage(&self, why: impl Into<String>) -> Refusal {
        Refusal::new(Code::Usage, self.command.name, why, format!("help {}", self.command.name))
    }
}

/// What number `n` of a project is.
pub fn kind_of(snapshot: &Snapshot, n: u64) -> Option<Item> {
    if snapshot.fold.issue(n).is_some() {
        return Some(Item::Issue);
    }
    snapshot.fold.pull(n).map(|_| Item::Pull)
}

/// A UUID v7 whose time is within a day of now: older ones would not be remembered.
fn fresh_uuid(text: &str, now: u64) -> Option<[u8; 16]> {
    let uuid: uuid::Uuid = text.parse().ok()?;
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let t = seconds * 1000 + u64::from(nanos) / 1_000_000;
    (uuid.get_version_num() == 7 && t.abs_diff(now) <= 86_400_000).then(|| *uuid.as_bytes())
}
