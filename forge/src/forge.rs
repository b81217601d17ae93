//! The running forge: its repositories, the index over them, who may come in, and what happens behind the doors.
//!
//! Invariant: what it answers is folded from git alone. Deleting the index, or starting on copies of the repositories,
//! changes no answer.

mod certificate;
mod contests;
mod credentials;
mod expiry;
mod folding;
mod follow;
mod found;
mod host;
mod indexing;
pub(crate) mod laid;
mod loss;
mod months;
mod notes;
mod owners;
mod push;
pub mod redact;
mod refusals;
mod sealed;
mod settle;
mod signature;
mod space;
mod stores;
mod trials;

pub(crate) use contests::reconsider;
pub use follow::{Followed, NotFollowed, begin as begin_mirror};
pub(crate) use owners::{Vouched, vouch};
pub(crate) use push::{Moved, advance, merge_base, shown as shown_proof};
pub use refusals::{Refusals, Refused};
pub(crate) use sealed::{Sealing, opened, seal};
pub(crate) use space::bytes;
pub(crate) use trials::Run;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use notes_schema::{AgentName, ItemRef, ProjectName};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::answer::{Code, Refusal};
use crate::authority::{Actor, AgentActor};
use crate::config::Config;
use crate::ledger::verify::redaction::is_undone;
use crate::ledger::{self, Checkpoints, Clock, Deps, Draft, RecoverError, Repository, Sequence, Snapshot};
use crate::mirror::Upstream;
use crate::secrets::{SecretError, Secrets};
use crate::sessions::Sessions;
use crate::token::Tokens;
use git::pack::cache::PackCache;
use git::wire::{Host, NonceSeed, Service};

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another forge runs on it.
    #[error("{} is in use by another running forge; stop that one, or give --data another directory", .0.display())]
    InUse(PathBuf),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A secret is unusable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// `forge.git` cannot be opened; nothing works without it.
    #[error("forge.git: {source}; run `forge verify {}` and restore it from a mirror or backup", dir.display())]
    Root {
        /// What is wrong.
        #[source]
        source: RecoverError,
        /// The data directory.
        dir: PathBuf,
    },
    /// The repositories were written by a later version.
    #[error("{project}.git was {source}")]
    Newer {
        /// The repository.
        project: ProjectName,
        /// What is wrong.
        #[source]
        source: RecoverError,
    },
    /// `forge.git` takes no writes, so nobody could register and no rating could settle.
    #[error("forge.git is damaged: {0}")]
    RootReadOnly(String),
    /// It is to follow another forge, and is one itself.
    #[error("{} is a forge of its own: its signing key has signed forge.git", .0.display())]
    NoMirror(PathBuf),
    /// It follows a forge of which nothing is here.
    #[error("{} is a mirror of {upstream}, of which nothing is here yet", data.display())]
    EmptyMirror {
        /// The data directory.
        data: PathBuf,
        /// What it follows.
        upstream: Upstream,
    },
    /// The forge to follow cannot be reached, or cannot be believed.
    #[error("{0}")]
    Upstream(String),
    /// Its repositories are copies of different moments.
    #[error(
        "{} holds copies of different moments: {}; `forge mirror` completes them from the forge that they are copies of, \
         --accept-loss gives up what is missing",
        data.display(),
        why.join("; ")
    )]
    NotClosed {
        /// The data directory.
        data: PathBuf,
        /// What is missing of which.
        why: Vec<String>,
    },
    /// The index can be neither opened nor made.
    #[error("index: {0}")]
    Index(#[from] search::Error),
    /// A first write failed.
    #[error("{0}")]
    Write(Refusal),
}

enum Slot {
    Open(Arc<Repository>),
    Damaged(String),
}

/// A running forge.
pub struct Forge {
    config: Config,
    data: PathBuf,
    /// Held while this value lives; the system releases it when the process ends, however it ends.
    _lock: File,
    clock: Clock,
    sequence: Arc<Sequence>,
    deps: Deps,
    root: Arc<Repository>,
    projects: RwLock<BTreeMap<ProjectName, Slot>>,
    tokens: Tokens,
    sessions: Sessions,
    nonces: NonceSeed,
    index: search::Index,
    clones: Option<Arc<PackCache>>,
    trigrams: search::trigrams::Trigrams,
    dirty: Mutex<indexing::Dirty>,
    indexing: Mutex<()>,
    notes: Mutex<BTreeMap<ProjectName, u64>>,
    /// When each project is next looked at for refs to fold.
    folding: Mutex<BTreeMap<ProjectName, u64>>,
    settling: Mutex<()>,
    creating: Mutex<()>,
    push_caches: Mutex<BTreeMap<ProjectName, Arc<host::Visible>>>,
    collections: space::Collections,
    sealed: sealed::Looked,
    refusals: Refusals,
    stopping: watch::Sender<bool>,
    /// Places to look for those who wait for news.
    looking: Semaphore,
}

impl Forge {
    /// Opens or founds the forge in the configured data directory. Blocks.
    pub fn open(config: &Config) -> Result<Arc<Forge>, OpenError> {
        Self::open_at(config, crate::ledger::system_clock())
    }

    /// [`Forge::open`] under a given clock.
    pub fn open_at(config: &Config, clock: Clock) -> Result<Arc<Forge>, OpenError> {
        let data = config.data.clone();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let repositories = data.join("repositories");
        fs::create_dir_all(&repositories).map_err(at(&repositories))?;
        let lock = lock(&data)?;
        let secrets = Secrets::open(&data)?;
        let (signing_key, _) = secrets.load_or_create_signing_key()?;
        let upstream = Upstream::of(&data).map_err(at(&data))?;
        let sequence = Arc::new(Sequence::default());
        let signer = Arc::new(crate::ledger::Signer::new(signing_key));
        let deps = Deps {
            clock: clock.clone(),
            accept_clock: config.accept_clock,
            sequence: sequence.clone(),
            checkpoints: Some(Arc::new(Checkpoints::new(data.join("checkpoints"), &signer))),
            signer,
            authority: None,
            mirror: upstream.as_ref().map(|upstream| Arc::new(upstream.refusal())),
        };
        let root = Arc::new(found::open_root(&data, deps.clone())?);
        sequence.resume(root.snapshot().seq_reserved);
        // Before anything is opened that goes with it.
        redact::finish(&data, &root.snapshot()).map_err(at(&data))?;
        let deps = Deps { authority: Some(root.clone()), ..deps };
        match &upstream {
            None => found::begin(&root)?,
            Some(upstream) if root.snapshot().number == 0 => {
                return Err(OpenError::EmptyMirror { data, upstream: upstream.clone() });
            }
            Some(upstream) => {
                tracing::warn!(%upstream, "a mirror: it reads only, until the file `upstream` is removed")
            }
        }
        let genesis = root.snapshot().genesis.map(|g| g.to_string()).unwrap_or_default();
        let (index, reflects) = search::Index::open(&data.join("index"))?;
        let clones = data.join("clones");
        let clones = match config.limits.clone_bytes {
            0 => None,
            most => Some(PackCache::open(&clones, most).map_err(at(&clones))?),
        };
        let trigrams = search::trigrams::Trigrams::new(data.join("trigrams"), config.limits.trigram_bytes);
        let token_key = secrets.load_or_create_token_key()?;
        // Half of the machine: the other half is for those who do something.
        let looking = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let forge = Arc::new(Forge {
            tokens: Tokens::new(&token_key, genesis),
            sessions: Sessions::open(secrets)?,
            nonces: certificate::seed(&token_key),
            config: config.clone(),
            data,
            _lock: lock,
            refusals: Refusals::new(clock()),
            clock,
            sequence,
            deps,
            root,
            projects: RwLock::default(),
            index,
            clones,
            trigrams,
            dirty: Mutex::default(),
            indexing: Mutex::default(),
            notes: Mutex::default(),
            folding: Mutex::default(),
            settling: Mutex::default(),
            creating: Mutex::default(),
            push_caches: Mutex::default(),
            collections: space::Collections::default(),
            sealed: sealed::Looked::default(),
            stopping: watch::Sender::new(false),
            looking: Semaphore::new(looking),
        });
        forge.listen(&forge.root);
        forge.open_projects()?;
        if upstream.is_none() {
            let lost = loss::check(&forge)?;
            found::found(&forge.root, &forge.deps, lost.clone())?;
            lost.map_or(Ok(()), |lost| loss::skip(&forge, &lost))?;
        }
        forge.index_what_is_behind(&reflects)?;
        for project in forge.open_repositories().iter().filter(|_| forge.deps.mirror.is_none()) {
            // Nothing of it is lost where it cannot be written now: housekeeping tries again, and reads go on meanwhile.
            if let Err(error) = forge.settle(project) {
                tracing::warn!(project = %project.name(), why = %error, "ratings wait");
            }
        }
        forge.start_housekeeping();
        Ok(forge)
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Milliseconds since 1970, by its clock.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// `forge.git` as of now: agents, projects, ratings.
    pub fn root(&self) -> Arc<Snapshot> {
        self.root.snapshot()
    }

    /// `forge.git` itself.
    pub fn root_repository(&self) -> &Arc<Repository> {
        &self.root
    }

    /// The newest forge-wide number below which everything is durable.
    pub fn seq(&self) -> u64 {
        self.sequence.shown()
    }

    /// Changes whenever [`Forge::seq`] may have grown.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// What is known of files that were searched.
    pub fn trigrams(&self) -> &search::trigrams::Trigrams {
        &self.trigrams
    }

    /// What the gate refused lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Remembers a refusal where it is the gate's.
    pub(crate) fn note_refusal(&self, agent: &AgentName, refusal: &Refusal) {
        self.refusals.note(self.now(), agent, refusal);
    }

    /// A place to look for whoever waits for news. A change wakes all who wait, and most find nothing in it, or something
    /// that concerns everybody: at once they would take the machine from those who work. While one waits for its turn,
    /// changes add up.
    pub async fn turn_to_look(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.looking.acquire().await.ok()
    }

    /// Becomes true when the forge stops: whoever waits for a change answers at once.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Sends everybody home who waits for a change.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Tokens of this forge.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Commits `plan` to `repository` on behalf of `agent`, whose credential is checked again at the commit point.
    pub fn commit<R, F>(
        self: &Arc<Self>,
        repository: &Repository,
        agent: &AgentActor,
        plan: F,
    ) -> Result<(R, Arc<Snapshot>), Refusal>
    where
        R: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<R, Refusal> + Send + 'static,
    {
        let (forge, agent) = (self.clone(), agent.clone());
        repository.commit(move |draft| {
            forge.is_live(&agent)?;
            plan(draft)
        })
    }

    /// A project's repository, or why there is none to use.
    pub fn project(&self, name: &ProjectName) -> Result<Arc<Repository>, Refusal> {
        if name.is_forge() {
            return Ok(self.root.clone());
        }
        let projects = self.projects.read().expect("invariant: no panic under this lock");
        match projects.get(name) {
            Some(Slot::Open(repository)) => Ok(repository.clone()),
            Some(Slot::Damaged(why)) => Err(Refusal::new(
                Code::TryLater,
                name.as_str(),
                format!("its repository is damaged: {why}"),
                "project list",
            )),
            None => Err(Refusal::new(Code::NotFound, name.as_str(), "there is no such project", "project list")),
        }
    }

    /// Every project that can be read, by name.
    pub fn open_repositories(&self) -> Vec<Arc<Repository>> {
        let projects = self.projects.read().expect("invariant: no panic under this lock");
        let open = projects.values().filter_map(|slot| match slot {
            Slot::Open(repository) => Some(repository.clone()),
            Slot::Damaged(_) => None,
        });
        open.collect()
    }

    /// The repository called `path` (as in a URL: with or without leading slash and `.git`) for git's wire protocol.
    pub fn host(self: &Arc<Self>, path: &str, actor: &Actor, service: Service) -> Result<Arc<dyn Host>, Refusal> {
        host::host(self, path, actor, service)
    }

    fn open_projects(self: &Arc<Self>) -> Result<(), OpenError> {
        let root = self.root();
        let is_open =
            |name: &ProjectName| self.projects.read().expect("invariant: no panic under this lock").contains_key(name);
        let names = root.fold.projects().map(|(name, _)| name).filter(|name| !name.is_forge() && !is_open(name));
        let open = |name: &&ProjectName| {
            let opened = Repository::open(&self.git_dir(name), (*name).clone(), self.deps.clone());
            opened.inspect(|repository| self.spare(repository))
        };
        for (name, opened) in at_once(&names.collect::<Vec<_>>(), open) {
            let slot = match opened {
                Ok(repository) => match is_undone(&root.fold, &repository.snapshot()) {
                    Some(why) => {
                        tracing::error!(project = %name, why, "repository is not served; the others serve on");
                        Slot::Damaged(why)
                    }
                    None => {
                        let repository = Arc::new(repository);
                        self.listen(&repository);
                        Slot::Open(repository)
                    }
                },
                Err(source @ RecoverError::Newer(_)) => return Err(OpenError::Newer { project: name.clone(), source }),
                Err(error) => {
                    tracing::error!(project = %name, %error, "repository cannot be opened; the others serve on");
                    Slot::Damaged(error.to_string())
                }
            };
            self.projects.write().expect("invariant: no panic under this lock").insert(name.clone(), slot);
        }
        Ok(())
    }

    /// Opens the projects whose makers were told that it is unknown whether they were made.
    fn open_what_was_unknown(self: &Arc<Self>) {
        // Whoever makes one right now serves it as well.
        let Ok(_nobody_makes_one) = self.creating.try_lock() else { return };
        if let Err(error) = self.open_projects() {
            tracing::error!(%error, "a project cannot be opened");
        }
    }

    fn git_dir(&self, name: &ProjectName) -> PathBuf {
        found::git_dir(&self.data, name)
    }

    /// Makes the repository of a new project. Nothing refers to it until `project.created` is durable in `forge.git`.
    fn make_repository(
        &self,
        name: &ProjectName,
        default_branch: &notes_schema::RefName,
    ) -> Result<Arc<Repository>, Refusal> {
        let failed = |why: String| Refusal::new(Code::TryLater, name.as_str(), why, "project list");
        let git_dir = self.git_dir(name);
        if git_dir.exists() {
            // Left by a creation that never became durable in forge.git, unless forge.git is older than its projects.
            let left = Repository::open(&git_dir, name.clone(), self.deps.clone());
            if left.is_ok_and(|repository| repository.snapshot().number > 1) {
                return Err(failed(
                    "a repository of that name is on disk, with a history that forge.git lacks".to_owned(),
                ));
            }
            fs::remove_dir_all(&git_dir).map_err(|e| failed(e.to_string()))?;
        }
        let made = || {
            git::packed_refs::init_bare(&git_dir, default_branch).map_err(|e| failed(e.to_string()))?;
            let repository =
                Repository::open(&git_dir, name.clone(), self.deps.clone()).map_err(|e| failed(e.to_string()))?;
            repository.begin(default_branch)?;
            Ok(Arc::new(repository))
        };
        made().inspect_err(|_| unmake(&git_dir))
    }

    /// Makes a project: its repository first, then `register` makes it known in `forge.git`, which is the commit point;
    /// answers what `register` answers.
    pub fn create_project<R>(
        self: &Arc<Self>,
        name: &ProjectName,
        default_branch: &notes_schema::RefName,
        register: impl FnOnce() -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        self.writable()?;
        let _one_at_a_time = self.creating.lock().expect("invariant: no panic under this lock");
        self.root.leave_doubt();
        if let Some(why) = self.root.read_only() {
            // It may be this very project whose making is unknown; its repository must not be made anew.
            return Err(Refusal::new(
                Code::TryLater,
                name.as_str(),
                format!("forge.git takes no writes: {why}"),
                "feed",
            ));
        }
        if self.root().fold.project(name).is_some() {
            let next = format!("project show {name}");
            return Err(Refusal::new(Code::Stale, name.as_str(), "the name is taken", next));
        }
        let repository = self.make_repository(name, default_branch)?;
        let registered = register().inspect_err(|refusal| {
            if refusal.rule != ledger::UNKNOWN && self.root().fold.project(name).is_none() {
                unmake(repository.git_dir());
            }
        })?;
        self.serve_repository(repository);
        Ok(registered)
    }

    /// Refuses where nothing may be written: what is dear to prepare asks first.
    fn writable(&self) -> Result<(), Refusal> {
        self.deps.mirror.as_ref().map_or(Ok(()), |refusal| Err(Refusal::clone(refusal)))
    }

    /// Serves a repository from here on. Call it when its project is durable in `forge.git`.
    fn serve_repository(self: &Arc<Self>, repository: Arc<Repository>) {
        self.listen(&repository);
        let mut projects = self.projects.write().expect("invariant: no panic under this lock");
        projects.insert(repository.name().clone(), Slot::Open(repository));
    }

    fn listen(self: &Arc<Self>, repository: &Arc<Repository>) {
        let forge = Arc::downgrade(self);
        repository.on_publish(move |published| {
            if let Some(forge) = forge.upgrade() {
                forge.note_dirty(published);
                forge.retire_tips(published);
            }
        });
    }

    fn start_housekeeping(self: &Arc<Self>) {
        self.every(Duration::from_millis(500), |forge| forge.keep_house());
        // What may take long has a thread of its own, or refs, notes and index would wait for it.
        self.every(Duration::from_millis(500), |forge| forge.keep_packs());
        self.every(Duration::from_secs(5), |forge| forge.keep_graphs());
        self.every(Duration::from_secs(5), |forge| forge.keep_checkpoints(false));
        self.every(Duration::from_secs(5), |forge| forge.keep_stores());
        self.every(Duration::from_secs(1), |forge| forge.keep_space());
        self.every(Duration::from_secs(60), |forge| forge.drop_months());
    }

    fn every(self: &Arc<Self>, pause: Duration, round: impl Fn(&Arc<Self>) + Send + 'static) {
        let forge = Arc::downgrade(self);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(pause);
                let Some(forge) = forge.upgrade() else { return };
                if *forge.stopping.borrow() {
                    return;
                }
                // One bad round must not end all later ones: refs, notes and index would lag for ever.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(&forge))).is_err() {
                    tracing::error!("housekeeping failed unexpectedly; it goes on");
                }
            }
        });
    }

    /// Every repository that can be read, `forge.git` last.
    pub fn all_repositories(&self) -> Vec<Arc<Repository>> {
        let mut repositories = self.open_repositories();
        repositories.push(self.root.clone());
        repositories
    }

    /// Index, notes and refs on disk: everything that may lag a moment behind what was answered.
    fn keep_house(self: &Arc<Self>) {
        if let Err(error) = self.index_dirty() {
            tracing::error!(%error, "the index lags");
        }
        self.root.leave_doubt();
        self.open_what_was_unknown();
        for repository in self.all_repositories() {
            repository.leave_doubt();
            if let Err(error) = self.settle_what_waits(&repository) {
                tracing::warn!(project = %repository.name(), why = %error, "ratings wait");
            }
            if let Err(error) = self.close_contests(&repository) {
                tracing::warn!(project = %repository.name(), why = %error, "a contest that is due stays open");
            }
            if let Err(error) = self.expire_work(&repository) {
                tracing::warn!(project = %repository.name(), why = %error, "work that was dropped is not ended");
            }
            if let Err(error) = self.write_notes(&repository) {
                tracing::warn!(project = %repository.name(), why = %error, "notes lag");
            }
            if let Err(error) = self.fold_resting(&repository) {
                tracing::warn!(project = %repository.name(), why = %error, "refs of what rests are still listed");
            }
            if repository.wants_flush()
                && let Err(error) = repository.flush()
            {
                tracing::error!(project = %repository.name(), %error, "refs on disk lag");
            }
        }
    }

    fn keep_packs(&self) {
        for repository in self.all_repositories() {
            if let Err(error) = repository.merge_packs() {
                tracing::error!(project = %repository.name(), %error, "small packs are not merged");
            }
        }
    }

    fn keep_graphs(&self) {
        let go_on = || !*self.stopping.borrow();
        for repository in self.all_repositories().into_iter().filter(|_| go_on()) {
            match repository.keep_graph(&go_on) {
                // What a stop breaks off, the next start writes.
                Err(error) if go_on() => tracing::warn!(project = %repository.name(), %error, "the commit-graph lags"),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn keep_checkpoints(&self, ends: bool) {
        for repository in self.all_repositories().into_iter().filter(|_| ends || !*self.stopping.borrow()) {
            if let Err(error) = repository.keep_checkpoint(ends) {
                tracing::warn!(project = %repository.name(), %error, "no checkpoint was written; a start takes longer");
            }
        }
    }

    /// Finishes what is under way and writes caches; after it nothing may be asked. Blocks.
    pub fn close(self: &Arc<Self>) {
        self.stop_waiting();
        if self.deps.mirror.is_none()
            && let Some(to) = self.sequence.give_back()
        {
            let given = self.root.commit(move |draft| {
                draft.release_sequence(to);
                Ok(())
            });
            if let Err(refusal) = given {
                tracing::warn!(why = %refusal, "the next start leaves a gap in the sequence");
            }
        }
        self.keep_house();
        for repository in self.all_repositories().into_iter().filter(|repository| repository.is_behind()) {
            if let Err(error) = repository.flush() {
                tracing::error!(project = %repository.name(), %error, "refs on disk lag; the next start catches up");
            }
        }
        self.keep_checkpoints(true);
        if let Err(error) = self.index.flush() {
            tracing::error!(%error, "the index was not written; the next start rebuilds it");
        }
    }

    /// Where the page of `parser#7` is, if there is such an item.
    pub fn path_of(&self, item: &ItemRef) -> Option<String> {
        let snapshot = self.project(&item.project).ok()?.snapshot();
        let kind = match (snapshot.fold.issue(item.n), snapshot.fold.pull(item.n)) {
            (Some(_), _) => "issues",
            (None, Some(_)) => "pulls",
            (None, None) => return None,
        };
        Some(format!("/{}/{kind}/{}", item.project, item.n))
    }

    /// An agent, or that there is none.
    pub fn known_agent(&self, name: &str) -> Result<AgentName, Refusal> {
        let missing = || Refusal::new(Code::NotFound, name, "there is no such agent", "leaderboard");
        let name: AgentName = name.parse().map_err(|_| missing())?;
        if self.root().fold.agent(&name).is_some() { Ok(name) } else { Err(missing()) }
    }
}

/// What `work` makes of each of `all`, in order, by a thread per core.
fn at_once<T: Sync + Copy, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<(T, R)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(all.len());
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            taken.map_while(|at| Some((at, work(all.get(at)?)))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.flatten().collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(at, made)| (all[at], made)).collect()
}

/// Removes what a creation made that was refused. Nobody knows of it; what stays is in nobody's way.
fn unmake(git_dir: &Path) {
    if let Err(error) = fs::remove_dir_all(git_dir) {
        tracing::warn!(git_dir = %git_dir.display(), %error, "left by a creation that was refused");
    }
}

fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("lock");
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(data.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}
