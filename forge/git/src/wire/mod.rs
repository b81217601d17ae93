//! Git's wire protocol, server side: advertisement, ls-refs, fetch and push, the same code for SSH and HTTP.
//!
//! Invariant: this module decides nothing. What is visible and what may land is asked of a [`Host`].
//!
//! The doors call three functions. [`serve`] is a whole conversation over a two-way stream (SSH): it advertises first.
//! [`info_refs`] and [`rpc`] are the two requests of smart HTTP. The reader given to them must end when the connection
//! does, and idle timeouts are the door's: a push reads its pack on a blocking thread that stops only with its reader.

pub mod advertise;
mod certificate;
mod commands;
mod fetch;
mod ls_refs;
pub mod pktline;
pub mod probe;
mod receive_pack;
mod report;
mod stock;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;

use notes_schema::Oid;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::name::FullName;
use crate::pack::cache::PackCache;
use crate::pack::intake::{Limits, Quarantine};
use crate::store::Store;
pub use certificate::{Certificate, NonceStatus};
use pktline::PktError;
use receive_pack::Terms;

/// Which of the two services a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `git-upload-pack`: fetch, clone, ls-remote.
    UploadPack,
    /// `git-receive-pack`: push.
    ReceivePack,
}

impl Service {
    /// The service that `name` (`git-upload-pack`, `upload-pack` …) stands for.
    pub fn parse(name: &str) -> Option<Service> {
        match name {
            "git-upload-pack" | "upload-pack" => Some(Service::UploadPack),
            "git-receive-pack" | "receive-pack" => Some(Service::ReceivePack),
            _ => None,
        }
    }

    /// As clients spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }
}

/// Version of the wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protocol {
    /// The first one.
    #[default]
    V0,
    /// The first one behind a line that says so.
    V1,
    /// Capabilities first, then commands. Only for fetching: a push falls back to v0.
    V2,
}

impl Protocol {
    /// What a client asks for in `GIT_PROTOCOL` or the header `Git-Protocol`, for example `version=2`: the highest
    /// version that is known. Anything else is v0.
    pub fn parse(value: Option<&str>) -> Protocol {
        let version = |key: &str| match key {
            "version=1" => Protocol::V1,
            "version=2" => Protocol::V2,
            _ => Protocol::V0,
        };
        value.unwrap_or("").split(':').map(version).max().unwrap_or_default()
    }

    fn for_service(self, service: Service) -> Protocol {
        match (service, self) {
            (Service::ReceivePack, Protocol::V2) => Protocol::V0,
            (Service::ReceivePack | Service::UploadPack, other) => other,
        }
    }
}

/// Why a conversation ended early. Where the client could still be told, it has been.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The client asked for what it cannot have, or broke the protocol.
    #[error("{0}")]
    Refused(String),
    /// Its request was not framed as git frames it.
    #[error(transparent)]
    Framing(#[from] PktError),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The stock git behind the seam, this subcommand of it, could not be run or gave up. Why is in the log alone,
    /// because it may name paths.
    #[error("git {0} failed on the server")]
    Stock(&'static str),
    /// Whatever it was, the client was told where its answer stood.
    #[error("{0}")]
    Told(String),
    /// This server failed, not the client. Why is in the log.
    #[error("the server failed on this request; please report it if it stays")]
    Inside,
}

impl WireError {
    /// What the client is told.
    fn public(&self) -> Option<String> {
        match self {
            WireError::Refused(why) => Some(why.clone()),
            // A child's end is told where its answer is passed on: only there it is known whether one has begun.
            WireError::Framing(PktError::Io(_)) | WireError::Io(_) | WireError::Stock(_) | WireError::Told(_) => None,
            WireError::Framing(_) | WireError::Inside => Some(self.to_string()),
        }
    }

    fn inside(why: impl std::fmt::Display) -> WireError {
        tracing::error!("git: {why}");
        WireError::Inside
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Runs what may block on a thread where it may.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, WireError> {
    tokio::task::spawn_blocking(job).await.map_err(WireError::inside)
}

async fn advertisement(
    host: &Arc<dyn Host>,
    service: Service,
    prefixes: Vec<String>,
) -> Result<Advertisement, WireError> {
    let host = host.clone();
    blocking(move || host.advertise(service, &prefixes)).await
}

/// A whole conversation over a two-way stream: advertisement, then what the client asks for. Returns when it is over;
/// closing the stream is the caller's.
pub async fn serve<R, W>(
    host: Arc<dyn Host>,
    service: Service,
    protocol: Protocol,
    reader: R,
    mut writer: W,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let protocol = protocol.for_service(service);
    let mut terms = Terms::of(&host).await?;
    writer.write_all(&first_words(&host, service, protocol, &mut terms, false).await).await?;
    writer.flush().await?;
    match service {
        Service::UploadPack => fetch::converse(host, protocol, reader, writer).await,
        Service::ReceivePack => receive_pack::receive(host, terms, reader, writer).await,
    }
}

/// The advertisement; should the host fail on it, an `ERR` line in its place.
async fn first_words(
    host: &Arc<dyn Host>,
    service: Service,
    protocol: Protocol,
    terms: &mut Terms,
    stateless: bool,
) -> Vec<u8> {
    let words = match service {
        Service::ReceivePack => advertisement(host, service, Vec::new()).await.map(|shown| {
            let nonce = terms.nonce(!stateless);
            advertise::receive(protocol, &shown, &terms.offer, nonce.as_deref())
        }),
        Service::UploadPack => {
            let host = host.clone();
            let words = blocking(move || {
                let offer = host.fetch_offer();
                if protocol == Protocol::V2 {
                    return Ok(advertise::version2(&offer));
                }
                let mut shown = host.advertise(service, &[]);
                shown.shallow = fetch::own_cuts(&host.store())?;
                Ok(advertise::refs(protocol, &shown, &offer, stateless))
            });
            words.await.and_then(|words| words)
        }
    };
    match words {
        Ok(words) => words,
        Err(error) => pktline::error(&error.to_string()),
    }
}

/// The body that answers `GET …/info/refs?service=…`. Like git's own server it opens with a `# service=` line under v0
/// and v1, and without one under v2.
pub async fn info_refs(host: Arc<dyn Host>, service: Service, protocol: Protocol) -> Vec<u8> {
    let protocol = protocol.for_service(service);
    let mut out = Vec::new();
    if protocol != Protocol::V2 {
        pktline::line(&mut out, &format!("# service={}", service.as_str()));
        out.extend_from_slice(pktline::FLUSH);
    }
    let words = match Terms::of(&host).await {
        Ok(mut terms) => first_words(&host, service, protocol, &mut terms, true).await,
        Err(error) => pktline::error(&error.to_string()),
    };
    out.extend(words);
    out
}

/// Answers the body of `POST …/git-upload-pack` or `POST …/git-receive-pack`, already decompressed. A refusal is part
/// of the answer, whose HTTP status is 200 all the same: git shows it only then.
pub async fn rpc<R, W>(
    host: Arc<dyn Host>,
    service: Service,
    protocol: Protocol,
    body: R,
    writer: W,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    match service {
        Service::UploadPack => fetch::once(host, protocol, body, writer).await,
        Service::ReceivePack => receive_pack::receive(host.clone(), Terms::of(&host).await?, body, writer).await,
    }
}

/// One advertised ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedRef {
    /// Its name.
    pub name: FullName,
    /// What it points at.
    pub id: Oid,
    /// What an annotated tag finally points at.
    pub peeled: Option<Oid>,
}

/// What `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The ref that it names, whether or not that exists yet; `None` where it holds an id itself.
    pub target: Option<FullName>,
    /// What it finally points at; `None` before the first commit.
    pub id: Option<Oid>,
}

/// What a client is shown: one consistent, durable moment.
#[derive(Debug, Clone, Default)]
pub struct Advertisement {
    /// Refs, sorted by name; `HEAD` is not among them.
    pub refs: Vec<AdvertisedRef>,
    /// `HEAD`, whatever prefixes were asked for; `None` where it is not shown.
    pub head: Option<Head>,
    /// Commits whose parents are not here.
    pub shallow: Vec<Oid>,
    /// Those of `refs` that are symbolic, with what they finally name; sorted by name.
    pub symrefs: Vec<(FullName, FullName)>,
}

/// Which objects that are no advertised tips a client may name in `want`. Under v2 and over HTTP it may always name what
/// an advertised ref reaches, for it may have learned of a ref that has moved since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Wants {
    /// None.
    #[default]
    Advertised,
    /// Tips of refs that exist but are not advertised.
    Tips,
    /// All that can be reached from an advertised ref.
    Reachable,
    /// Whatever the store has.
    Any,
}

/// Which filters of partial clones a repository serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// Whether filters are served at all.
    pub served: bool,
    /// Kinds (`blob:none`, `blob:limit`, `tree`, `object:type`, `sparse:oid`, `combine`) that are not.
    pub refused: Vec<String>,
    /// The deepest `tree:<depth>`.
    pub tree_depth: Option<u64>,
}

/// What a repository offers to those who fetch. Each is a capability of git's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchOffer {
    /// Which objects may be wanted by id.
    pub wants: Wants,
    /// Partial clones.
    pub filters: Filters,
    /// `want-ref` (v2).
    pub want_ref: bool,
    /// `sideband-all` (v2).
    pub sideband_all: bool,
    /// The command `object-info` (v2).
    pub object_info: bool,
    /// Whether an unborn `HEAD` is shown to who asks (v2).
    pub unborn: bool,
}

/// What a repository offers to those who push. The first are capabilities of git's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOffer {
    /// All or nothing.
    pub atomic: bool,
    /// Push options.
    pub options: bool,
    /// Signed pushes: what nonces are made from, and how many seconds old one may be.
    pub certificates: Option<NonceSeed>,
    /// Whether a push from a shallow clone may bring commits without their parents.
    pub shallow: bool,
    /// The most commands of one push.
    pub commands: usize,
}

impl Default for PushOffer {
    fn default() -> Self {
        PushOffer { atomic: false, options: false, certificates: None, shallow: false, commands: MAX_COMMANDS }
    }
}

/// The most commands of one push, unless a host takes more.
/// Limit: commands of one push | {}
const MAX_COMMANDS: usize = 10_000;

/// What the nonces of push certificates are made from.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceSeed {
    /// Known to this server alone.
    pub secret: String,
    /// How old a nonce of another request (HTTP) may be, in seconds.
    pub slop: u64,
}

impl std::fmt::Debug for NonceSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NonceSeed").field("slop", &self.slop).finish_non_exhaustive()
    }
}

/// One command of a push, before anything was decided. `old` and `new` are never both `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The ref.
    pub name: FullName,
    /// What the client believes it points at; `None` means that it must not exist.
    pub old: Option<Oid>,
    /// What it is to point at; `None` deletes it.
    pub new: Option<Oid>,
}

/// A push whose pack has been taken into quarantine and whose objects are complete and connected.
pub struct Push {
    /// The commands whose names could be parsed, in the client's order, each name once.
    pub updates: Vec<RefUpdate>,
    /// All or nothing.
    pub atomic: bool,
    /// `--push-option` values.
    pub options: Vec<String>,
    /// What was signed, where the push was.
    pub certificate: Option<Certificate>,
    /// The new objects. Dropping it forgets them.
    pub quarantine: Quarantine,
    /// New commits whose parents are not here, for a host that offers to keep such.
    pub shallow: Vec<Oid>,
}

/// What became of a push.
#[derive(Debug, Clone, Default)]
pub struct PushOutcome {
    /// One entry per update, in order: done and durable, or why not. The first line of a reason stands beside the ref;
    /// lines after it are advice, shown as `remote: …` where the client reads side bands.
    pub results: Vec<(FullName, Result<(), String>)>,
    /// Lines for the person or agent, shown by git as `remote: …`.
    pub messages: Vec<String>,
}

/// A repository as the wire sees it on behalf of one authenticated actor. All methods may block.
pub trait Host: Send + Sync + 'static {
    /// What this actor is shown for `service`, of the refs that begin with one of `prefixes`; without any prefix, all. Each is
    /// shown once, though one prefix may begin with another. A push is shown heads, tags and the pusher's own records. Must cost by what is shown, not by what there is.
    fn advertise(&self, service: Service, prefixes: &[String]) -> Advertisement;
    /// What it offers to those who fetch.
    fn fetch_offer(&self) -> FetchOffer;
    /// What it offers to those who push.
    fn push_offer(&self) -> PushOffer;
    /// Whether an object may be named in `want`: it is the tip of a ref that was visible in the last minutes.
    fn may_want(&self, id: Oid) -> bool;
    /// The objects.
    fn store(&self) -> Arc<Store>;
    /// The bare repository's directory, for stock git.
    fn git_dir(&self) -> &Path;
    /// Where packs of full clones are kept, if anywhere.
    fn clones(&self) -> Option<Arc<PackCache>> {
        None
    }
    /// Makes refs on disk equal to what is served, for requests that stock git answers (sparse filters).
    fn flush_refs(&self) -> std::io::Result<()>;
    /// How much a pushed pack may cost.
    fn limits(&self) -> Limits;

    /// What a push is refused with whose pack is larger than that. Without it the report says so in general.
    fn too_large(&self) -> Option<String> {
        None
    }
    /// Early word on a push before its pack is read: an error refuses the update of that name without reading on.
    fn precheck(&self, update: &RefUpdate) -> Result<(), String>;
    /// Judges a push and, where it is accepted, makes it durable. Returns only then.
    fn receive(&self, push: Push) -> PushOutcome;
}
