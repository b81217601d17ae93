//! Git's wire protocol, server side: advertisement, ls-refs, fetch and push, the same code for SSH and HTTP.
//!
//! Invariant: this module decides nothing. What is visible and what may land is asked of a [`Host`].

use std::path::Path;
use std::sync::Arc;

use notes_schema::{Oid, RefName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::git::pack::intake::Quarantine;
use crate::git::store::Store;

/// Which of the two services a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `git-upload-pack`: fetch, clone, ls-remote.
    UploadPack,
    /// `git-receive-pack`: push.
    ReceivePack,
}

/// One advertised ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedRef {
    /// Its name.
    pub name: RefName,
    /// What it points at.
    pub id: Oid,
    /// What an annotated tag finally points at.
    pub peeled: Option<Oid>,
}

/// What a client is shown: one consistent, durable moment.
#[derive(Debug, Clone, Default)]
pub struct Advertisement {
    /// All refs, sorted by name; `HEAD` is not among them.
    pub refs: Vec<AdvertisedRef>,
    /// The ref that `HEAD` names, whether or not it exists yet.
    pub head: Option<RefName>,
}

/// One command of a push, before anything was decided. `old` and `new` are never both `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The ref.
    pub name: RefName,
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
    /// The new objects. Dropping it forgets them.
    pub quarantine: Quarantine,
}

/// What became of a push.
#[derive(Debug, Clone, Default)]
pub struct PushOutcome {
    /// One entry per update, in order: done and durable, or why not (one line, without line breaks).
    pub results: Vec<(RefName, Result<(), String>)>,
    /// Lines for the person or agent, shown by git as `remote: …`.
    pub messages: Vec<String>,
}

/// A repository as the wire sees it on behalf of one authenticated actor. All methods may block.
pub trait Host: Send + Sync + 'static {
    /// What this actor is shown for `service`. A push is shown heads, tags and the pusher's own records.
    fn advertise(&self, service: Service) -> Advertisement;
    /// Whether an object may be named in `want`: it is the tip of a ref that was visible in the last minutes.
    fn may_want(&self, id: Oid) -> bool;
    /// The objects.
    fn store(&self) -> Arc<Store>;
    /// The bare repository's directory, for the stock `git upload-pack` behind the seam.
    fn git_dir(&self) -> &Path;
    /// Makes refs on disk equal to what is served, for requests in which stock git reads them (`include-tag`,
    /// `deepen-not`).
    fn flush_refs(&self) -> std::io::Result<()>;
    /// Early word on a push before its pack is read: an error refuses the update of that name without reading on.
    fn precheck(&self, update: &RefUpdate) -> Result<(), String>;
    /// Judges a push and, where it is accepted, makes it durable. Returns only then.
    fn receive(&self, push: Push) -> PushOutcome;
}

/// Stand-in until the real wire is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(u8);

impl Protocol {
    /// Stand-in.
    pub fn parse(value: Option<&str>) -> Protocol {
        Protocol(if value.is_some_and(|v| v.contains("version=2")) { 2 } else { 0 })
    }
}

/// Stand-in.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Stand-in.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Stand-in.
pub async fn serve(
    host: Arc<dyn Host>,
    service: Service,
    protocol: Protocol,
    reader: impl AsyncRead + Unpin + Send + 'static,
    writer: impl AsyncWrite + Unpin + Send,
) -> Result<(), WireError> {
    rpc(host, service, protocol, reader, writer).await
}

/// Stand-in.
pub async fn info_refs(_host: Arc<dyn Host>, _service: Service, _protocol: Protocol) -> Vec<u8> {
    Vec::new()
}

/// Stand-in: echoes.
pub async fn rpc(
    _host: Arc<dyn Host>,
    _service: Service,
    _protocol: Protocol,
    mut body: impl AsyncRead + Unpin + Send + 'static,
    mut writer: impl AsyncWrite + Unpin + Send,
) -> Result<(), WireError> {
    tokio::io::copy(&mut body, &mut writer).await?;
    Ok(writer.shutdown().await?)
}
