//! `forge redact`: what people wrote in events of a project, taken out of it while no server runs.
//!
//! The new repository is built beside the old one. Then `forge.git` declares the redaction in the batch that opens its epoch,
//! and that batch is the commit point: before it nothing happened, and after it [`finish`] puts the new repository in place
//! of the old one, at this moment or at the next start.
//!
//! Invariant: at any moment the old repository is there whole and is the one that `forge.git` knows, or the new one is.
//! Invariant: when the role ends well, no file of the data directory holds an object that only the old ledger reached.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notes_schema::envelope::REDACTED_FORMAT;
use notes_schema::event::ProjectRedacted;
use notes_schema::{EntityId, Oid, ProjectName, refs};

use super::{OpenError, found, lock, notes};
use crate::answer::Refusal;
use crate::ledger::redact::{self, Found, RedactError, Rewritten};
use crate::ledger::{self, Author, Deps, Draft, Repository, Sequence, Signer, Snapshot, fault};
use crate::mirror::Upstream;
use crate::secrets::Secrets;
use git::disk::{rename, sync_dir};
use git::packed_refs;

/// Most events of one redaction.
/// Limit: events of one redaction | {}; more go in several
const MOST_EVENTS: usize = 100;
/// Longest reason.
/// Limit: reason of a redaction | {:bytes} in one line
const LONGEST_REASON: usize = 200;
/// Whose deletion costs nothing but time; what was redacted stands in each of them.
const CACHES: [&str; 4] = ["index", "checkpoints", "clones", "trigrams"];

/// Why nothing was redacted.
#[derive(Debug, thiserror::Error)]
pub enum NotRedacted {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It only follows another forge.
    #[error("{} is a mirror of {upstream}: redact there, and follow it with --accept-epoch", data.display())]
    Mirror {
        /// The data directory.
        data: PathBuf,
        /// What it follows.
        upstream: Upstream,
    },
    /// `forge.git` names agents, keys and ratings alone; a name is the identity itself.
    #[error("forge.git is not redacted: names of agents and projects stand in everything that was signed since")]
    Root,
    /// There is no such project.
    #[error("there is no project {0}")]
    NoProject(ProjectName),
    /// Its repository is damaged.
    #[error("{project} is damaged, and what does not hold is not written anew: {why}")]
    Damaged {
        /// The project.
        project: ProjectName,
        /// In what way.
        why: String,
    },
    /// The reason is no line.
    #[error("--because must be one line of 1 to {LONGEST_REASON} bytes: it stands for good where the text was")]
    Reason,
    /// Too many, or none.
    #[error("1 to {MOST_EVENTS} events can be redacted at once")]
    Count,
    /// What was made is not as it must be, or the disk refused.
    #[error("{0}")]
    Redact(String),
    /// The declaration was not written.
    #[error("forge.git did not take the declaration: {0}")]
    Write(Refusal),
}

impl From<RedactError> for NotRedacted {
    fn from(error: RedactError) -> Self {
        NotRedacted::Redact(error.to_string())
    }
}

/// One event, as an operator is shown it before it goes.
#[derive(Debug)]
pub struct Shown {
    /// Its entity.
    pub entity: EntityId,
    /// Its number there.
    pub n: u64,
    /// Its commit.
    pub commit: Oid,
    /// Whose it is.
    pub by: String,
    /// Its line in `git log`.
    pub subject: String,
    /// How many bytes of text it has.
    pub bytes: usize,
}

/// A data directory that nobody else uses, opened to be redacted.
pub struct Redaction {
    data: PathBuf,
    root: Arc<Repository>,
    project: Repository,
    signer: Arc<Signer>,
    _lock: File,
}

/// What was found, and what would be made of it.
pub struct Prepared {
    /// The events, in the order of the ledger.
    pub events: Vec<Shown>,
    /// Where what was written stands once more, and stays.
    pub still: Vec<String>,
    rewritten: Rewritten,
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// What `forge.git` declares.
    pub fact: ProjectRedacted,
    /// The epoch that it opened.
    pub epoch: u32,
}

impl Redaction {
    /// Opens `data`, on which no forge may run, and the project in it. What an earlier redaction left unfinished is finished.
    pub fn open(data: &Path, name: &ProjectName) -> Result<Redaction, NotRedacted> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        if !found::git_dir(data, &ProjectName::forge()).is_dir() {
            let source = io::Error::new(io::ErrorKind::NotFound, "no repositories/forge.git is in it");
            return Err(OpenError::Io { path: data.to_owned(), source }.into());
        }
        let held = lock(data)?;
        if let Some(upstream) = Upstream::of(data).map_err(at(data))? {
            return Err(NotRedacted::Mirror { data: data.to_owned(), upstream });
        }
        let (key, _) =
            Secrets::open(data).map_err(OpenError::from)?.load_or_create_signing_key().map_err(OpenError::from)?;
        let sequence = Arc::new(Sequence::default());
        let signer = Arc::new(Signer::new(key));
        let deps = Deps {
            clock: ledger::system_clock(),
            accept_clock: false,
            sequence: sequence.clone(),
            signer: signer.clone(),
            authority: None,
            // None is read, so that what is signed anew was read whole; and none is written of what will be gone.
            checkpoints: None,
            mirror: None,
        };
        let root = Arc::new(found::open_root(data, deps.clone())?);
        sequence.resume(root.snapshot().seq_reserved);
        if name.is_forge() {
            return Err(NotRedacted::Root);
        }
        if root.snapshot().fold.project(name).is_none() {
            return Err(NotRedacted::NoProject(name.clone()));
        }
        finish(data, &root.snapshot()).map_err(at(data))?;
        let damaged = |why: String| NotRedacted::Damaged { project: name.clone(), why };
        let deps = Deps { authority: Some(root.clone()), ..deps };
        let project =
            Repository::open(&found::git_dir(data, name), name.clone(), deps).map_err(|e| damaged(e.to_string()))?;
        match project.read_only() {
            Some(why) => Err(damaged(why)),
            None => Ok(Redaction { data: data.to_owned(), root, project, signer, _lock: held }),
        }
    }

    /// The events of an entity, for who wants to choose among them.
    pub fn list(&self, entity: &EntityId) -> Result<Vec<Shown>, NotRedacted> {
        let snapshot = self.project.snapshot();
        let tip = snapshot.fold.entities.get(entity).map(|known| known.tip);
        let tip = tip.ok_or_else(|| NotRedacted::Redact(format!("{} has no {entity}", snapshot.project)))?;
        let events = ledger::chain(self.project.store().as_ref(), tip, usize::MAX).map_err(RedactError::from)?;
        Ok(events.into_iter().map(|read| shown(entity.clone(), read)).collect())
    }

    /// Looks the events up and writes the ledger anew in memory; nothing on disk is changed.
    pub fn prepare(&self, wanted: &BTreeSet<(EntityId, u64)>, because: &str) -> Result<Prepared, NotRedacted> {
        if because.trim().is_empty() || because.len() > LONGEST_REASON || because.chars().any(char::is_control) {
            return Err(NotRedacted::Reason);
        }
        if wanted.is_empty() || wanted.len() > MOST_EVENTS {
            return Err(NotRedacted::Count);
        }
        let (snapshot, store, root) = (self.project.snapshot(), self.project.store(), self.root.snapshot());
        let plan = redact::plan(&snapshot, store, &root, wanted)?;
        let rewritten = redact::rewrite(&plan, store, &root, &self.signer, because.trim(), &notes::review_line)?;
        let mut still = rewritten.still.clone();
        for Found { entity, read, .. } in &plan.events {
            if let (EntityId::Pull(n), notes_schema::Fact::PullOpened(_)) = (entity, &read.fact)
                && snapshot.fold.landings.contains_key(n)
            {
                still.push(format!("the title of {entity} stands in the message of the commit by which it landed"));
            }
        }
        let events = plan.events.iter().map(|found| shown(found.entity.clone(), found.read.clone())).collect();
        Ok(Prepared { events, still, rewritten })
    }

    /// Takes it out, for good.
    pub fn carry_out(&self, prepared: &Prepared) -> Result<Done, NotRedacted> {
        let name = self.project.name();
        let failed = |error: io::Error| NotRedacted::Redact(error.to_string());
        let beside = place(&self.data, name, NEW);
        let root = self.root.snapshot();
        prepared.rewritten.build(self.project.git_dir(), &beside, &root, &self.signer)?;
        sync_dir(&self.data.join("repositories")).map_err(failed)?;
        fault::point("redaction-built");
        self.declare(&root, &prepared.rewritten)?;
        fault::point("redaction-declared");
        let root = self.root.snapshot();
        finish(&self.data, &root).map_err(failed)?;
        self.root.flush().map_err(failed)?;
        Ok(Done { fact: prepared.rewritten.fact.clone(), epoch: root.epoch })
    }

    /// Opens the epoch in `forge.git`, says in it what is redacted, and sets the project's cursor to the commit that stands
    /// where it was.
    fn declare(&self, root: &Snapshot, rewritten: &Rewritten) -> Result<(), NotRedacted> {
        let (name, fact) = (self.project.name().clone(), rewritten.fact.clone());
        let settled = root.cursors.get(&name).map(|(n, _)| *n).filter(|n| *n >= fact.from);
        let at = settled.and_then(|n| Some((n, *rewritten.commits.get(usize::try_from(n - fact.from).ok()?)?)));
        let key = self.signer.public_openssh();
        let declare = move |draft: &mut Draft| {
            draft.needs_format(REDACTED_FORMAT);
            draft.open_epoch(key);
            draft.event(&Author::forge(), &EntityId::Project(name.clone()), fact, None, &[])?;
            if let Some((n, commit)) = at {
                draft.cursor(&name, n, commit);
            }
            found::show_keys(draft)
        };
        self.root.commit(declare).map(drop).map_err(NotRedacted::Write)
    }
}

fn shown(entity: EntityId, read: ledger::ReadEvent) -> Shown {
    Shown {
        entity,
        n: read.event.n,
        commit: read.commit,
        by: read.event.a.to_string(),
        subject: read.fact.subject(),
        bytes: read.text.as_ref().map_or(0, String::len),
    }
}

/// Where a repository is built, and where the old one is set aside, beside its own place.
const NEW: &str = "redacted";
const OLD: &str = "unredacted";

fn place(data: &Path, name: &ProjectName, what: &str) -> PathBuf {
    data.join("repositories").join(format!("{name}.git.{what}"))
}

/// Puts repositories in place that are built and that `forge.git` declares, and removes what was there, caches included. One
/// that it does not declare was never more than built, and goes.
pub(super) fn finish(data: &Path, root: &Snapshot) -> io::Result<()> {
    for name in begun(data)? {
        let (git_dir, new, old) = (found::git_dir(data, &name), place(data, &name, NEW), place(data, &name, OLD));
        let declared = root.fold.redactions.get(&name).and_then(|all| all.last()).map(|newest| newest.new);
        let is_due =
            new.is_dir() && declared.is_some() && packed_refs::read_one(&new, refs::LEDGER).ok().flatten() == declared;
        if is_due || old.is_dir() {
            for cache in CACHES {
                remove_all(&data.join(cache))?;
            }
            sync_dir(data)?;
        }
        if is_due {
            tracing::warn!(project = %name, "what was redacted is taken out");
            if git_dir.is_dir() {
                rename(&git_dir, &old)?;
            }
            sync_dir(&data.join("repositories"))?;
            fault::point("redaction-set-aside");
            rename(&new, &git_dir)?;
            sync_dir(&data.join("repositories"))?;
            fault::point("redaction-swapped");
        }
        remove_all(&new)?;
        if git_dir.is_dir() {
            remove_all(&old)?;
        }
        sync_dir(&data.join("repositories"))?;
        fault::point("redaction-ended");
    }
    Ok(())
}

/// Projects of which a redaction was begun.
fn begun(data: &Path) -> io::Result<HashSet<ProjectName>> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(data.join("repositories"))? {
        let file = entry?.file_name();
        let name =
            file.to_str().and_then(|file| file.rsplit_once(".git.")).filter(|(_, what)| [NEW, OLD].contains(what));
        names.extend(name.and_then(|(name, _)| name.parse::<ProjectName>().ok()));
    }
    Ok(names)
}

fn remove_all(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
