//! Disk: orphans are collected, and what projects and owners hold is known.
//!
//! Invariant: what a pusher or a fetching client is told is there stays as long as it may rest on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notes_schema::{AgentName, ProjectName, refs};

use super::Forge;
use super::host::records_shown;
use crate::answer::{Beside, Code, Refusal};
use crate::authority::AgentActor;
use crate::ledger::{Collected, Keeps, NotCollected, Repository, Snapshot};
use git::history;
use git::store::Store;

/// Orphans are collected at the earliest so long after a start: what was shown before it may still be asked for.
const FIRST: Duration = Duration::from_secs(600);

/// Where somebody was refused for want of room, what is deleted is collected after this time already.
const SOON: Duration = Duration::from_secs(600);
/// What a push may bring though nothing is left of a budget: the pack of one that only moves a ref, or makes one.
/// Limit: pack of a push into a project whose budget is spent | {:bytes}
const EMPTY_PACK: u64 = 32;
/// Text may go past a budget by one part in so many: who is over it still says so, and work still ends.
/// Limit: how far text may go past a budget of disk | an {}th part
const PAST: u64 = 8;
/// Most branches of the pusher's that are looked at, to say which are not merged, and that are named.
/// Limit: branches that are looked at to say what can be deleted | {}
const MOST_LOOKED_AT: usize = 200;
/// Limit: branches that are named then | {}
const MOST_NAMED: usize = 10;

/// What a project may still bring to disk.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Bytes that are left.
    left: u64,
    /// The limit that says so, by its variable.
    limit: &'static str,
    /// What is held, and what may be.
    held: u64,
    most: u64,
    is_owners: bool,
}

/// When orphans of a repository were last collected, or when it was last tried; and where somebody waits for it.
pub(super) struct Collections {
    began: Instant,
    last: Mutex<BTreeMap<ProjectName, Instant>>,
    wanted: Mutex<BTreeMap<ProjectName, Instant>>,
}

impl Default for Collections {
    fn default() -> Self {
        Collections { began: Instant::now(), last: Mutex::default(), wanted: Mutex::default() }
    }
}

impl Collections {
    /// Whether it is time for a repository's next one, `pause` after the last.
    fn is_due(&self, project: &ProjectName, pause: Duration) -> bool {
        let last = self.last.lock().expect("invariant: no panic under this lock").get(project).copied();
        last.map_or(self.began.elapsed() >= pause.min(FIRST), |last| last.elapsed() >= pause)
    }

    /// Somebody was refused for want of room there.
    fn want(&self, project: &ProjectName) {
        self.wanted.lock().expect("invariant: no panic under this lock").insert(project.clone(), Instant::now());
    }

    /// Whether somebody was within the last `pause`: what is deleted for it comes later.
    fn is_wanted(&self, project: &ProjectName, pause: Duration) -> bool {
        let wanted = self.wanted.lock().expect("invariant: no panic under this lock").get(project).copied();
        wanted.is_some_and(|at| at.elapsed() < pause)
    }

    fn note(&self, project: &ProjectName) {
        self.last.lock().expect("invariant: no panic under this lock").insert(project.clone(), Instant::now());
    }
}

impl Forge {
    /// Collects orphans of the repositories that left something behind, each at most once in a while. It may take long.
    pub(super) fn keep_space(&self) {
        let go_on = || !*self.stopping.borrow();
        let Some(pause) = self.config.limits.collect_pause() else { return };
        for repository in self.all_repositories().into_iter().filter(|_| go_on()) {
            let project = repository.name();
            let pause = if self.collections.is_wanted(project, pause) { pause.min(SOON) } else { pause };
            if repository.is_closed() || !self.collections.is_due(project, pause) || !repository.has_left_behind() {
                continue;
            }
            self.collections.note(project);
            if let Err(error) = self.collect(&repository, false, &go_on) {
                // What was left behind is still there.
                repository.leaves_behind();
                tracing::warn!(%project, %error, "orphans stay until the next round");
            }
        }
    }

    /// Collects what nothing reaches in a repository; see [`Repository::collect`].
    pub fn collect(
        &self,
        repository: &Arc<Repository>,
        all: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Collected, NotCollected> {
        let visible = self.visible(repository.name());
        let keeps: Keeps = Arc::new(move |snapshot| {
            let mut kept = visible.still_fetchable();
            kept.extend(records_shown(snapshot));
            kept
        });
        repository.collect(all, &keeps, go_on)
    }
}

/// Budgets.
impl Forge {
    /// Who answers for a project, and so for what it takes.
    pub fn owner_of(&self, project: &ProjectName) -> Option<AgentName> {
        let root = self.root();
        root.fold.project(project).map(|entry| root.fold.owner(&entry.creator))
    }

    /// Bytes of packs in all projects that an owner's agents have made.
    pub fn held_by(&self, owner: &AgentName) -> u64 {
        self.projects_of(owner).iter().map(|repository| repository.pack_bytes()).sum()
    }

    fn projects_of(&self, owner: &AgentName) -> Vec<Arc<Repository>> {
        let root = self.root();
        let is_owners = |repository: &Arc<Repository>| {
            let entry = root.fold.project(repository.name());
            entry.is_some_and(|entry| root.fold.owner(&entry.creator) == *owner)
        };
        self.open_repositories().into_iter().filter(is_owners).collect()
    }

    /// The budget that has least left for a project; none where no budget holds.
    fn room(&self, repository: &Repository) -> Option<Room> {
        let limits = &self.config.limits;
        if repository.name().is_forge() {
            return None;
        }
        let room = |most: u64, limit, is_owners, held: &dyn Fn() -> u64| {
            (most > 0).then(|| {
                let held = held();
                Room { left: most.saturating_sub(held), limit, held, most, is_owners }
            })
        };
        let of_project = room(limits.project_bytes, "FORGE_LIMIT_PROJECT_BYTES", false, &|| repository.pack_bytes());
        let owner = self.owner_of(repository.name());
        let of_owner =
            owner.and_then(|owner| room(limits.owner_bytes, "FORGE_LIMIT_OWNER_BYTES", true, &|| self.held_by(&owner)));
        of_project.into_iter().chain(of_owner).min_by_key(|room| room.left)
    }

    /// How large the pack of a push may be for the budgets' sake.
    pub(super) fn pack_room(&self, repository: &Repository) -> u64 {
        self.room(repository).map_or(u64::MAX, |room| room.left.max(EMPTY_PACK))
    }

    /// Refuses a push whose pack has `bytes` or more where a budget has no room for it, and says what to drop.
    pub(super) fn has_room_for_pack(
        &self,
        repository: &Repository,
        agent: &AgentActor,
        bytes: u64,
    ) -> Result<(), Refusal> {
        let Some(room) = self.room(repository).filter(|room| bytes > room.left.max(EMPTY_PACK)) else {
            return Ok(());
        };
        self.collections.want(repository.name());
        for project in
            self.owner_of(repository.name()).filter(|_| room.is_owners).iter().flat_map(|o| self.projects_of(o))
        {
            self.collections.want(project.name());
        }
        let snapshot = repository.snapshot();
        let mut refusal = self.beyond(repository.name(), &room);
        let own = unmerged(&snapshot, repository.store(), &agent.name);
        let months = snapshot.refs.keys().filter(|name| name.as_str().starts_with(refs::TRACES_PREFIX)).count();
        let mut details = vec![format!(
            "it holds {} records of {months} months; branches of yours that are not merged: {}",
            snapshot.records.len(),
            if own.is_empty() { "none".to_owned() } else { own.join(", ") }
        )];
        if !own.is_empty() {
            refusal.next = format!("git push origin --delete {}", own.join(" "));
            details.push("what only those reach leaves the disk some minutes after they are deleted".to_owned());
        }
        refusal.beside = Some(Box::new(Beside { details, gate: None }));
        Err(refusal)
    }

    /// Refuses text where a project is far over a budget. What ends work (merge, close, review) is never refused for it.
    pub fn has_room_for_text(&self, repository: &Repository) -> Result<(), Refusal> {
        match self.room(repository).filter(|room| room.held > room.most.saturating_add(room.most / PAST)) {
            Some(room) => Err(self.beyond(repository.name(), &room)),
            None => Ok(()),
        }
    }

    /// Refuses a new project to who has spent the budget for all of them.
    pub fn has_room_for_project(&self, project: &ProjectName, agent: &AgentName) -> Result<(), Refusal> {
        let owner = self.root().fold.owner(agent);
        let most = self.config.limits.owner_bytes;
        let held = if most == 0 { 0 } else { self.held_by(&owner) };
        if most == 0 || held < most {
            return Ok(());
        }
        Err(self.beyond(project, &Room { left: 0, limit: "FORGE_LIMIT_OWNER_BYTES", held, most, is_owners: true }))
    }

    fn beyond(&self, project: &ProjectName, room: &Room) -> Refusal {
        let who = match (room.is_owners, self.owner_of(project)) {
            (true, Some(owner)) => format!("the projects of {owner} hold"),
            (true, None) => "your projects hold".to_owned(),
            (false, _) => format!("{project} holds"),
        };
        let why = format!(
            "{who} {} of the {} that may be held ({}): something has to be dropped first",
            bytes(room.held),
            bytes(room.most),
            room.limit
        );
        let rule = if room.is_owners { "owner-bytes" } else { "project-bytes" };
        Refusal::new(Code::Refused, project.as_str(), why, format!("ssh forge project show {project}")).by_rule(rule)
    }
}

/// Branches of an agent's that the default branch does not reach.
fn unmerged(snapshot: &Snapshot, store: &Store, agent: &AgentName) -> Vec<String> {
    let own = snapshot.owners.iter().filter(|(_, owner)| *owner == agent).map(|(name, _)| name);
    let branches = own.filter(|name| name.branch_name().is_some() && snapshot.head.as_ref() != Some(*name));
    let is_merged =
        |tip| snapshot.default_tip().is_some_and(|main| history::is_ancestor(store, tip, main).unwrap_or(false));
    let looked_at = branches.take(MOST_LOOKED_AT);
    let open = looked_at.filter(|name| snapshot.ref_id(name).is_some_and(|tip| !is_merged(tip)));
    open.take(MOST_NAMED).map(|name| name.short().to_owned()).collect()
}

/// An amount for people.
pub fn bytes(count: u64) -> String {
    match count {
        0..0x2800 => format!("{count} bytes"),
        0x2800..0xa0_0000 => format!("{} KiB", count >> 10),
        0xa0_0000..0x2_8000_0000 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}
