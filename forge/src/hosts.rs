//! What a door asks when a client wants a repository. Both doors ask it, and both kinds of server answer it: the forge,
//! and plain repositories without one.
//!
//! Invariant: who a client is was proven by its door; what that allows is decided behind [`Hosts`] alone.

use std::path::Path;
use std::sync::Arc;

use notes_schema::event::PublicKey;
use tempfile::TempDir;

use crate::answer::{Code, Refusal};
use crate::authority::Actor;
use crate::config::Limits;
use crate::forge::Forge;
use crate::transfers::{Transfer, Transfers};
use git::pack::cache::PackCache;
use git::plain::{self, Refused};
use git::wire::{Host, Service};

/// Who a client is, as far as its door can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Who holds this SSH key.
    Key(PublicKey),
    /// Who was given this token.
    Token(String),
    /// Somebody who showed nothing, over SSH.
    Stranger,
    /// Somebody who showed nothing, over HTTP.
    Anonymous,
}

/// Why a repository does not open.
#[derive(Debug)]
pub enum Closed {
    /// Not for this client.
    Refused(Refusal),
    /// Not without credentials: a door that can ask for them should.
    Ask(Refusal),
}

impl Closed {
    /// What is said about it.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Closed::Refused(refusal) | Closed::Ask(refusal) => refusal,
        }
    }
}

/// Repositories by the path in their URL.
pub trait Hosts: Send + Sync + 'static {
    /// The agent that `who` is; `None` for whoever is none.
    fn agent(&self, who: &Who) -> Option<String>;
    /// The repository at `path` for `service`, on behalf of `who`. Blocks.
    fn open(&self, path: &str, who: &Who, service: Service) -> Result<Arc<dyn Host>, Closed>;
}

/// What stands behind both doors.
#[derive(Clone)]
pub struct Behind {
    /// Repositories.
    pub hosts: Arc<dyn Hosts>,
    /// Commands and pages; `None` where git is all that is served, and to anybody.
    pub forge: Option<Arc<Forge>>,
    /// Fetches and pushes through both doors.
    pub transfers: Arc<Transfers>,
}

impl Behind {
    /// A forge.
    pub fn forge(forge: Arc<Forge>) -> Behind {
        let transfers = Transfers::new(&forge.config().limits);
        Behind { hosts: Arc::new(forge.clone()), forge: Some(forge), transfers }
    }

    /// Plain repositories.
    pub fn plain(root: PlainHosts, limits: &Limits) -> Behind {
        Behind { hosts: Arc::new(root), forge: None, transfers: Transfers::new(limits) }
    }

    /// Begins a fetch or push on behalf of `who`.
    pub fn begin(&self, who: &Who) -> Result<Transfer, Refusal> {
        self.transfers.begin(self.hosts.agent(who))
    }
}

impl Hosts for Arc<Forge> {
    fn agent(&self, who: &Who) -> Option<String> {
        let actor = match who {
            Who::Key(key) => self.actor_for_key(key),
            Who::Token(token) => self.actor_for_token(token).ok()?,
            Who::Anonymous | Who::Stranger => return None,
        };
        actor.agent().map(|agent| agent.name.to_string())
    }

    fn open(&self, path: &str, who: &Who, service: Service) -> Result<Arc<dyn Host>, Closed> {
        let actor = match who {
            Who::Key(key) => self.actor_for_key(key),
            Who::Token(token) => self.actor_for_token(token).map_err(Closed::Ask)?,
            Who::Anonymous | Who::Stranger => Actor::Anonymous,
        };
        let anonymous = actor == Actor::Anonymous;
        self.host(path, &actor, service).map_err(|refusal| match (refusal.code, service) {
            (Code::NotAllowed, Service::ReceivePack) if anonymous => {
                let why = "this needs an agent: give a token as the password, with any user name";
                Closed::Ask(Refusal::new(Code::NotAllowed, "push", why, "ssh forge token"))
            }
            (Code::NotAllowed, Service::UploadPack) if anonymous => Closed::Ask(refusal),
            _ => Closed::Refused(refusal),
        })
    }
}

/// Plain repositories below a directory, for anybody.
pub struct PlainHosts {
    root: plain::Root,
    /// Whether only this machine can reach the HTTP door.
    local: bool,
    /// Where packs of clones are kept; it goes with the server.
    _clones: Option<TempDir>,
}

impl PlainHosts {
    /// Those below `dir`.
    pub fn open(dir: &Path, limits: &Limits, local: bool) -> std::io::Result<PlainHosts> {
        let kept = match limits.clone_bytes {
            0 => None,
            _ => Some(TempDir::with_prefix("forge-clones-")?),
        };
        let clones = kept.as_ref().map(|kept| PackCache::open(kept.path(), limits.clone_bytes)).transpose()?;
        Ok(PlainHosts { root: plain::Root::open(dir, limits.of_packs(), clones)?, local, _clones: kept })
    }

    /// The directory, links resolved.
    pub fn dir(&self) -> &Path {
        self.root.dir()
    }
}

impl Hosts for PlainHosts {
    fn agent(&self, _who: &Who) -> Option<String> {
        None
    }

    fn open(&self, path: &str, who: &Who, service: Service) -> Result<Arc<dyn Host>, Closed> {
        let door = match who {
            Who::Key(_) | Who::Stranger => plain::Door::Ssh,
            Who::Token(_) | Who::Anonymous => plain::Door::Http { local: self.local },
        };
        self.root.host(path, service, door).map_err(|refused| {
            let code = match refused {
                Refused::NotFound => Code::NotFound,
                Refused::Forbidden(_) => Code::NotAllowed,
                Refused::Unusable(_) => Code::Refused,
            };
            let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
            Closed::Refused(Refusal::new(code, shown, refused.to_string(), "git ls-remote <url>"))
        })
    }
}
