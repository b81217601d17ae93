//! A mirror's rounds: every repository fetched, checked and shown, until what they cite of each other is here.
//!
//! Invariant: `forge.git` is at least as new as whatever a project cites of it when that project's batches are checked. A
//! repository that cannot be followed stays at the moment before, and the others go on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notes_schema::{Oid, ProjectName, RefName, refs};

use super::{Forge, OpenError, found, lock};
use crate::ledger::{self, Clock, Deps, FollowError, NewEpochs, Repository, Sequence, Signer, read_batch};
use crate::mirror::{self, FetchError, Upstream};
use crate::secrets::Secrets;
use git::packed_refs;
use git::store::Objects as _;

/// How often a round is made again because the forge went on meanwhile, before its copy is left open.
/// Limit: rounds through all repositories until a mirror is closed, before the next look | {}
const MOST_ROUNDS: usize = 16;

/// Why a repository is not followed.
#[derive(Debug, thiserror::Error)]
#[error("{project}: {why}")]
pub struct NotFollowed {
    /// The repository.
    pub project: ProjectName,
    /// Why.
    pub why: String,
    /// Whether it opens an epoch, which an operator may accept.
    pub epoch: bool,
}

impl NotFollowed {
    fn new(project: &ProjectName, why: impl std::fmt::Display) -> Self {
        NotFollowed { project: project.clone(), why: why.to_string(), epoch: false }
    }
}

/// What a round brought.
#[derive(Debug, Default)]
pub struct Followed {
    /// New batches.
    pub batches: u64,
    /// Whether everything that repositories cite of each other is here.
    pub closed: bool,
    /// Repositories that could not be followed.
    pub failed: Vec<NotFollowed>,
}

/// Makes `data` a mirror of `upstream`: fetches `forge.git` where it is not there. Blocks.
pub fn begin(data: &Path, upstream: &Upstream, clock: &Clock) -> Result<(), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let repositories = data.join("repositories");
    std::fs::create_dir_all(&repositories).map_err(at(&repositories))?;
    let _lock = lock(data)?;
    let marked = Upstream::of(data).map_err(at(data))?;
    let root = found::git_dir(data, &ProjectName::forge());
    let is_begun = root.exists() && packed_refs::read_one(&root, refs::LEDGER).map_err(at(&root))?.is_some();
    if marked.as_ref() == Some(upstream) && is_begun {
        return Ok(());
    }
    let (key, is_new) = Secrets::open(data)?.load_or_create_signing_key()?;
    let deps = Deps {
        clock: clock.clone(),
        sequence: Arc::new(Sequence::default()),
        signer: Arc::new(Signer::new(key)),
        authority: None,
        accept_clock: false,
        checkpoints: None,
        mirror: Some(Arc::new(upstream.refusal())),
    };
    let signer = deps.signer.public_openssh();
    let root = found::open_root(data, deps)?;
    let snapshot = root.snapshot();
    if marked.is_none() && !is_new && snapshot.epochs.values().any(|key| *key == signer) {
        return Err(OpenError::NoMirror(data.to_owned()));
    }
    if snapshot.number == 0 {
        let fetched = fetch(&root, upstream).and_then(|fetched| take(&root, fetched, NewEpochs::Refused));
        fetched.map_err(|why| OpenError::Upstream(why.to_string()))?;
    }
    upstream.mark(data).map_err(at(data))
}

/// What a remote showed at one moment, its objects brought here.
struct Fetched {
    tip: Oid,
    shown: BTreeMap<RefName, Oid>,
}

/// Fetches what is new; `None` where nothing is.
fn fetch(repository: &Repository, upstream: &Upstream) -> Result<Option<Fetched>, NotFollowed> {
    let (dir, url) = (repository.git_dir(), upstream.url_of(repository.name()));
    let failed = |why: FetchError| NotFollowed::new(repository.name(), why);
    let here = repository.snapshot().tip;
    if here.is_some() && mirror::tip(dir, &url).map_err(failed)? == here && !repository.is_behind() {
        return Ok(None);
    }
    let shown = mirror::shown(dir, &url).map_err(failed)?;
    let tip = shown.get(&refs::ledger()).copied();
    let tip = tip.ok_or_else(|| NotFollowed::new(repository.name(), format!("{url} shows no ledger")))?;
    mirror::objects(repository.store(), &url, &shown).map_err(failed)?;
    Ok(Some(Fetched { tip, shown }))
}

fn take(repository: &Repository, fetched: Option<Fetched>, epochs: NewEpochs) -> Result<ledger::Followed, NotFollowed> {
    let Some(Fetched { tip, shown }) = fetched else {
        return Ok(ledger::Followed { batches: 0, is_rewritten: false });
    };
    let taken = repository.follow(tip, &shown, epochs);
    let taken = taken.map_err(|error| NotFollowed {
        epoch: matches!(error, FollowError::Epoch { .. }),
        ..NotFollowed::new(repository.name(), error)
    })?;
    if let Err(error) = mirror::tidy(repository.git_dir()) {
        tracing::warn!(project = %repository.name(), %error, "small packs are not gathered");
    }
    Ok(taken)
}

impl Forge {
    /// Follows `upstream` until its copy is closed, or the forge there goes on faster than it is copied. Blocks.
    pub fn follow(self: &Arc<Self>, upstream: &Upstream, accept_epoch: bool) -> Followed {
        let _one_at_a_time = self.creating.lock().expect("invariant: no panic under this lock");
        let epochs = if accept_epoch { NewEpochs::Accepted } else { NewEpochs::Refused };
        let mut all = Followed::default();
        let mut known = self.newest_number();
        for _ in 0..MOST_ROUNDS {
            let round = self.follow_once(upstream, epochs);
            // Every repository was looked at after this was the newest number anywhere, so no lower one comes later.
            self.sequence.saw_durable(known);
            known = self.newest_number();
            all.batches += round.batches;
            all.failed = round.failed;
            all.closed = all.failed.is_empty() && self.is_not_closed().is_empty();
            if (all.closed && round.batches == 0) || !all.failed.is_empty() || *self.stopping.borrow() {
                break;
            }
        }
        all
    }

    /// The highest number of the forge-wide sequence that is in any repository here.
    fn newest_number(&self) -> u64 {
        self.all_repositories().iter().map(|repository| repository.snapshot().fold.max_q).max().unwrap_or(0)
    }

    fn follow_once(self: &Arc<Self>, upstream: &Upstream, epochs: NewEpochs) -> Followed {
        let mut round = Followed::default();
        match self.follow_root(upstream, epochs) {
            Ok(batches) => round.batches += batches,
            Err(why) => {
                round.failed.push(why);
                return round;
            }
        }
        let names: Vec<ProjectName> = self.root().fold.projects().map(|(name, _)| name.clone()).collect();
        for name in names.iter().filter(|name| !name.is_forge()) {
            match self.follow_project(name, upstream, epochs) {
                Ok(batches) => round.batches += batches,
                Err(why) => round.failed.push(why),
            }
        }
        round
    }

    fn follow_root(&self, upstream: &Upstream, epochs: NewEpochs) -> Result<u64, NotFollowed> {
        take(&self.root, fetch(&self.root, upstream)?, epochs).map(|taken| taken.batches)
    }

    fn follow_project(
        self: &Arc<Self>,
        name: &ProjectName,
        upstream: &Upstream,
        epochs: NewEpochs,
    ) -> Result<u64, NotFollowed> {
        let failed = |why: String| NotFollowed::new(name, why);
        let known = self.open_repositories().into_iter().find(|repository| repository.name() == name);
        let is_known = known.is_some();
        let repository = match known {
            Some(repository) => repository,
            None => self.begin_project(name)?,
        };
        let fetched = fetch(&repository, upstream)?;
        let mut batches = 0;
        if let Some(Fetched { tip, .. }) = &fetched {
            let read = read_batch(repository.store().as_ref(), *tip).map_err(|e| failed(e.to_string()))?;
            if let Some(cited) = read.batch.authority.filter(|cited| !self.root.store().contains(*cited)) {
                batches += self.follow_root(upstream, epochs)?;
                if !self.root.store().contains(cited) {
                    return Err(failed(format!("it cites {cited} of forge.git, which is not in forge.git there")));
                }
            }
        }
        let taken = take(&repository, fetched, epochs)?;
        let is_new = !is_known && repository.snapshot().number > 0;
        if is_new {
            self.serve_repository(repository.clone());
        }
        if is_new || taken.is_rewritten {
            // What came before anybody listened, or was said in other words.
            self.rebuild_index(&repository).map_err(|e| failed(e.to_string()))?;
        }
        Ok(batches + taken.batches)
    }

    /// A repository of a project that is not here yet, empty unless an earlier round was cut short.
    fn begin_project(&self, name: &ProjectName) -> Result<Arc<Repository>, NotFollowed> {
        let failed = |why: String| NotFollowed::new(name, why);
        let root = self.root();
        let project = root.fold.project(name).ok_or_else(|| failed("forge.git knows no such project".to_owned()))?;
        let dir = self.git_dir(name);
        if !dir.exists() {
            packed_refs::init_bare(&dir, &project.default_branch).map_err(|e| failed(e.to_string()))?;
        }
        let opened = Repository::open(&dir, name.clone(), self.deps.clone()).map_err(|e| failed(e.to_string()))?;
        Ok(Arc::new(opened))
    }

    /// Follows `upstream` from now on, a round at each `pause`. A failure is logged when it is a new one.
    pub fn keep_following(self: &Arc<Self>, upstream: Upstream, pause: Duration) {
        let said = std::sync::Mutex::new(Vec::<String>::new());
        self.every(pause, move |forge| {
            let followed = forge.follow(&upstream, false);
            let failed: Vec<String> = followed.failed.iter().map(NotFollowed::to_string).collect();
            let mut said = said.lock().expect("invariant: no panic under this lock");
            for why in failed.iter().filter(|why| !said.contains(why)) {
                tracing::error!(why, "not followed; what was seen before is served on");
            }
            *said = failed;
        });
    }
}
