//! Plain repositories: any bare one, or one with a `.git`, below a directory that stock git uses at the same time.
//!
//! There is no gate and no ledger here. A repository's own configuration decides what git's own server lets it decide
//! ([`settings::KEYS`]); that of the system and of users counts for nothing.
//!
//! Invariant: nothing outside of the served directory is read or written, no link leads there, and nothing is executed: no
//! hook, and nothing that a configuration names.

mod complete;
mod config;
mod hidden;
mod host;
mod objects;
mod packed;
mod place;
mod reflog;
mod refs;
mod seen;
pub mod settings;
mod shallow;
mod transaction;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use notes_schema::Oid;

use crate::object::{self, Kind};
use crate::pack::cache::PackCache;
use crate::pack::intake::{self, Limits};
use crate::store::{Objects as _, Store};
use crate::wire::{Host, Service};
use config::Values;
use host::PlainHost;
use packed::Stamp;
use refs::Refs;
pub use refs::on_disk;
use seen::Seen;
use settings::Settings;

/// How many repositories are kept open.
/// Limit: plain repositories kept open | {}; the least used is closed
const MOST_OPEN: usize = 256;
/// How old the remains of a push must be before they are taken for those of a server that was killed.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Longest chain of tags on tags.
/// Limit: tags on tags, in a plain repository | {}
const DEEPEST_TAG: usize = 64;
/// How many objects that refs name are remembered with what they peel to.
/// Limit: objects that refs of a plain repository name and that are remembered | {}
const MOST_FACTS: usize = 200_000;

/// Why a repository is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none at that path.
    #[error("there is no repository at this path")]
    NotFound,
    /// Its configuration does not allow it; the words are git's.
    #[error("{0}")]
    Forbidden(String),
    /// It is there, but cannot be served.
    #[error("this repository cannot be served: {0}")]
    Unusable(String),
}

/// By which way a client came, as far as the configuration tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// SSH.
    Ssh,
    /// HTTP. `local`: only this machine can reach it, so pushes are let in unless the repository says otherwise.
    Http {
        /// Whether only this machine can reach the door.
        local: bool,
    },
}

/// A directory whose repositories are served.
pub struct Root {
    dir: PathBuf,
    limits: Limits,
    clones: Option<Arc<PackCache>>,
    open: Mutex<HashMap<PathBuf, Slot>>,
}

struct Slot {
    identity: Identity,
    used: Instant,
    repository: Arc<Repository>,
}

/// By what a directory is known to be the same one.
#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64, Option<SystemTime>);

impl Identity {
    fn of(dir: &Path) -> io::Result<Identity> {
        let metadata = fs::metadata(dir)?;
        Ok(Identity(metadata.dev(), metadata.ino(), metadata.created().ok()))
    }
}

impl Root {
    /// Serves what is below `dir`; `limits` bound each push, `clones` keeps what full clones were sent.
    pub fn open(dir: &Path, limits: Limits, clones: Option<Arc<PackCache>>) -> io::Result<Root> {
        let dir = fs::canonicalize(dir)?;
        if !dir.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Root { dir, limits, clones, open: Mutex::default() })
    }

    /// The directory, links resolved.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The repository at `path`, as it stands in a URL, for `service`. Blocks.
    pub fn host(&self, path: &str, service: Service, door: Door) -> Result<Arc<dyn Host>, Refused> {
        let dir = place::find(&self.dir, path)?;
        let repository = self.repository(&dir)?;
        let settings = repository.settings()?;
        let enabled = match (door, service) {
            (Door::Ssh, _) => true,
            (Door::Http { .. }, Service::UploadPack) => settings.http_fetch,
            (Door::Http { local }, Service::ReceivePack) => settings.http_push.unwrap_or(local),
        };
        if !enabled {
            let name = service.as_str().trim_start_matches("git-");
            return Err(Refused::Forbidden(format!("Service not enabled: '{name}'")));
        }
        let limits = Limits {
            pack_bytes: settings.max_input.unwrap_or(u64::MAX).min(self.limits.pack_bytes),
            strict: settings.fsck,
            ..self.limits.clone()
        };
        Ok(Arc::new(PlainHost::new(repository, settings, limits, self.clones.clone())))
    }

    fn repository(&self, dir: &Path) -> Result<Arc<Repository>, Refused> {
        let unreadable = |e: io::Error| Refused::Unusable(e.kind().to_string());
        let identity = Identity::of(dir).map_err(unreadable)?;
        let mut open = self.open.lock().expect("invariant: no panic under this lock");
        if let Some(slot) = open.get_mut(dir)
            && slot.identity == identity
        {
            slot.used = Instant::now();
            return Ok(slot.repository.clone());
        }
        let repository = Arc::new(Repository::open(dir)?);
        if open.len() >= MOST_OPEN
            && let Some(oldest) = open.iter().min_by_key(|(_, slot)| slot.used).map(|(dir, _)| dir.clone())
        {
            open.remove(&oldest);
        }
        open.insert(dir.to_owned(), Slot { identity, used: Instant::now(), repository: repository.clone() });
        Ok(repository)
    }
}

/// One repository, as long as it is the same directory.
struct Repository {
    refs: Refs,
    store: Arc<Store>,
    settings: Mutex<Option<Configured>>,
    /// What objects that refs name peel to.
    facts: Mutex<HashMap<Oid, Option<Oid>>>,
    seen: Seen,
}

type Configured = ([Option<Stamp>; 2], Arc<Settings>);

impl Repository {
    fn open(dir: &Path) -> Result<Repository, Refused> {
        let repository = Repository {
            refs: Refs::new(dir.to_owned()),
            settings: Mutex::default(),
            facts: Mutex::default(),
            seen: Seen::default(),
            store: Arc::new(Store::open(dir).map_err(|e| Refused::Unusable(e.why))?),
        };
        if let Err(e) = intake::remove_older(dir, STALE) {
            tracing::warn!("{}: remains of old pushes: {e}", dir.display());
        }
        Ok(repository)
    }

    fn dir(&self) -> &Path {
        self.refs.dir()
    }

    /// Its settings, read again when their file has changed.
    fn settings(&self) -> Result<Arc<Settings>, Refused> {
        let files = [self.dir().join("config"), self.dir().join("config.worktree")];
        let unreadable = |e: io::Error| Refused::Unusable(format!("its configuration: {}", e.kind()));
        let stamps = [Stamp::at(&files[0]).map_err(unreadable)?, Stamp::at(&files[1]).map_err(unreadable)?];
        let mut cached = self.settings.lock().expect("invariant: no panic under this lock");
        if let Some((known, settings)) = &*cached
            && *known == stamps
        {
            return Ok(settings.clone());
        }
        let wrong = |why: String| Refused::Unusable(format!("its configuration: {why}"));
        let mut values = Values::read(&files[0]).map_err(wrong)?;
        if values.boolean("extensions.worktreeConfig").map_err(wrong)? == Some(true) {
            values.extend(Values::read(&files[1]).map_err(wrong)?);
        }
        let settings = Arc::new(Settings::of(&values).map_err(wrong)?);
        self.seen.forget();
        let settled = stamps.iter().flatten().all(Stamp::is_settled);
        *cached = settled.then(|| (stamps, settings.clone()));
        Ok(settings)
    }

    fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// What `id` peels to: the inner `None` where it is no tag, the outer one where it is not there.
    fn peel(&self, id: Oid) -> Option<Option<Oid>> {
        if let Some(known) = self.facts.lock().expect("invariant: no panic under this lock").get(&id) {
            return Some(*known);
        }
        let found = self.peel_anew(id)?;
        let mut facts = self.facts.lock().expect("invariant: no panic under this lock");
        if facts.len() >= MOST_FACTS {
            facts.clear();
        }
        facts.insert(id, found);
        Some(found)
    }

    fn peel_anew(&self, id: Oid) -> Option<Option<Oid>> {
        let store = self.store();
        let (mut at, mut kind) = (id, store.kind(id).ok()??);
        for _ in 0..DEEPEST_TAG {
            if kind != Kind::Tag {
                break;
            }
            let Ok((target, _)) =
                store.get(at).map_err(drop).and_then(|tag| object::tag_target(&tag.data).map_err(drop))
            else {
                return Some(None);
            };
            let Ok(Some(next)) = store.kind(target) else { return Some(None) };
            (at, kind) = (target, next);
        }
        Some((at != id).then_some(at))
    }
}

/// Whether a directory on the way from `dir` to `relative` is a link.
fn passes_link(dir: &Path, relative: &str) -> bool {
    relative
        .match_indices('/')
        .any(|(at, _)| fs::symlink_metadata(dir.join(&relative[..at])).is_ok_and(|found| found.is_symlink()))
}

/// Opens the file at `relative` below `dir` for reading, following no link.
fn open_file(dir: &Path, relative: &str) -> io::Result<File> {
    if passes_link(dir, relative) {
        return Err(ErrorKind::NotFound.into());
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(dir.join(relative))
}
