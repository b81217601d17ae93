//! Fetching: what a client wants, what it has, where its history is cut, and the pack that makes up the difference.
//!
//! One [`Request`] stands for a fetch in whichever version; [`admit`] decides with the host what may be wanted,
//! [`shallow`] computes where the client's history is cut, [`negotiate`] finds out what it has, and [`respond`] selects
//! and sends. A filter that reads its rules from a blob (`sparse:oid`) goes to stock git.
//!
//! Invariant: nothing is read on behalf of a client before every `want` was admitted, and what stands below is the same
//! for every door and version.

mod admit;
mod negotiate;
mod object_info;
pub(super) mod request;
mod respond;
mod shallow;
mod sparse;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notes_schema::Oid;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::pktline::{self, Packet, PktError, PktReader};
use super::{FetchOffer, Host, Protocol, Service, Wants, WireError, ls_refs};
use crate::pack::cache::Asked as FullClone;
use crate::select::commits::{Commits, grafts};
use crate::select::{Ask, Named, SelectError};
use crate::store::{ReadError, Store};
use negotiate::{End, Negotiation};
use request::Request;
use respond::Job;
use shallow::Cut;

/// The most that one request may say, or one round of a negotiation over a stream, in bytes: some 300,000 haves.
/// Limit: one request of a fetch (wants, haves, capabilities), or one round of a negotiation over SSH | {:bytes}
const MAX_REQUEST: u64 = 16 << 20;
/// The most rounds of a negotiation over a stream.
/// Limit: rounds of a negotiation over SSH | {}
const MAX_ROUNDS: usize = 1 << 16;

/// A request on its way, as all who work on it see it.
pub struct Asked {
    host: Arc<dyn Host>,
    request: Request,
    /// Which objects may be wanted by id.
    wants: Wants,
    /// Whether nobody waits for the answer any more.
    gone: Arc<AtomicBool>,
}

/// Says that nobody waits any more, should it be dropped before the answer is there.
struct Waiting(Option<Arc<AtomicBool>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(gone) = &self.0 {
            gone.store(true, Ordering::Relaxed);
        }
    }
}

impl From<SelectError> for WireError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Stopped => WireError::Io(std::io::ErrorKind::BrokenPipe.into()),
            SelectError::Read(_) | SelectError::Store(_) => WireError::inside(error),
        }
    }
}

/// The commits whose parents a repository lacks itself, sorted.
pub fn own_cuts(store: &Store) -> Result<Vec<Oid>, WireError> {
    let mut cuts: Vec<Oid> = grafts(store)?.into_iter().collect();
    cuts.sort_unstable();
    Ok(cuts)
}

/// A whole conversation after the advertisement.
pub async fn converse<R, W>(host: Arc<dyn Host>, protocol: Protocol, reader: R, mut writer: W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut reader = PktReader::new(reader, protocol == Protocol::V2, MAX_REQUEST);
    let done = match protocol {
        Protocol::V2 => loop {
            match command(&host, &mut reader, &mut writer).await {
                Ok(true) => reader.renew(),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        },
        Protocol::V0 | Protocol::V1 => version0(&host, false, reader, &mut writer).await,
    };
    told(done, writer).await
}

/// One request of smart HTTP.
pub async fn once<R, W>(host: Arc<dyn Host>, protocol: Protocol, body: R, mut writer: W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut reader = PktReader::new(body, protocol == Protocol::V2, MAX_REQUEST);
    let done = match protocol {
        Protocol::V2 => command(&host, &mut reader, &mut writer).await.map(|_| ()),
        Protocol::V0 | Protocol::V1 => version0(&host, true, reader, &mut writer).await,
    };
    told(done, writer).await
}

/// Tells the client why its conversation ends, if it does and if it can be told.
async fn told<W: AsyncWrite + Unpin>(done: Result<(), WireError>, mut writer: W) -> Result<(), WireError> {
    if let Err(error) = &done
        && let Some(why) = error.public()
    {
        writer.write_all(&pktline::error(&why)).await?;
    }
    writer.flush().await?;
    done
}

/// One command of v2. False when the client has ended the conversation instead.
async fn command<R, W>(host: &Arc<dyn Host>, reader: &mut PktReader<R>, writer: &mut W) -> Result<bool, WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let Some((name, arguments)) = read_command(reader).await? else {
        return Ok(false);
    };
    match name.as_str() {
        "ls-refs" => {
            let wish = ls_refs::parse(&arguments)?;
            let shown = super::advertisement(host, Service::UploadPack, wish.prefixes.clone()).await?;
            writer.write_all(&ls_refs::answer(&shown, &wish)).await?;
            writer.flush().await?;
        }
        "fetch" => version2(host, arguments, writer).await?,
        "object-info" => {
            let offer = offer(host).await?;
            if !offer.object_info {
                return Err(unknown_command(&name));
            }
            let asked = asked(host, &offer, Request::default(), true);
            let answer = working(&asked, move |asked| object_info::answer(asked, &arguments)).await?;
            writer.write_all(&answer).await?;
            writer.flush().await?;
        }
        other => return Err(unknown_command(other)),
    }
    Ok(true)
}

fn unknown_command(name: &str) -> WireError {
    WireError::Refused(format!("unknown command `{name}`: ls-refs and fetch are known"))
}

/// A command's name and its framed arguments.
async fn read_command<R>(reader: &mut PktReader<R>) -> Result<Option<(String, Vec<u8>)>, WireError>
where
    R: AsyncRead + Unpin,
{
    let (mut name, mut arguments, mut in_arguments, mut first) = (None, Vec::new(), false, true);
    loop {
        match reader.next().await? {
            None if first => return Ok(None),
            None => return Err(PktError::Ended("the rest of a command").into()),
            Some(Packet::Flush) if first => return Ok(None),
            Some(Packet::Flush) => break,
            Some(Packet::Delim) if in_arguments => return Err(WireError::Refused("a second delimiter".to_owned())),
            Some(Packet::Delim) => in_arguments = true,
            Some(Packet::Data(line)) if in_arguments => pktline::data(&mut arguments, line),
            Some(Packet::Data(line)) => capability(&String::from_utf8_lossy(pktline::text(line)), &mut name)?,
        }
        first = false;
    }
    let name = name.ok_or_else(|| WireError::Refused("no command requested".to_owned()))?;
    Ok(Some((name, arguments)))
}

fn capability(line: &str, name: &mut Option<String>) -> Result<(), WireError> {
    match line.split_once('=').unwrap_or((line, "")) {
        ("command", command) if name.is_none() => *name = Some(command.to_owned()),
        ("object-format", "sha1") | ("agent" | "server-option" | "session-id", _) => {}
        ("object-format", other) => return Err(wrong_format(other)),
        _ => return Err(WireError::Refused(format!("unknown capability `{line}`"))),
    }
    Ok(())
}

/// The refusal of a client that speaks another hash.
pub fn wrong_format(asked: &str) -> WireError {
    WireError::Refused(format!("object-format `{asked}` is not supported: repositories here are sha1"))
}

async fn offer(host: &Arc<dyn Host>) -> Result<FetchOffer, WireError> {
    let host = host.clone();
    super::blocking(move || host.fetch_offer()).await
}

/// `earlier` says that the client may know refs from an earlier answer only: under v2 and over HTTP, git's own server
/// takes a want that a ref reaches whatever it offers, for a ref may have moved since.
fn asked(host: &Arc<dyn Host>, offer: &FetchOffer, request: Request, earlier: bool) -> Arc<Asked> {
    let wants = if earlier { offer.wants.max(Wants::Reachable) } else { offer.wants };
    Arc::new(Asked { host: host.clone(), request, wants, gone: Arc::default() })
}

/// Runs `job` where it may block, and tells it when nobody waits any more.
async fn working<T: Send + 'static>(
    asked: &Arc<Asked>,
    job: impl FnOnce(&Asked) -> Result<T, WireError> + Send + 'static,
) -> Result<T, WireError> {
    let mut waiting = Waiting(Some(asked.gone.clone()));
    let asked = asked.clone();
    let done = super::blocking(move || job(&asked)).await;
    waiting.0 = None;
    done?
}

/// What a client may have of what it wants.
fn admitted(asked: &Asked) -> Result<(Negotiation, Vec<(Oid, String)>), WireError> {
    let named = admit::refs(&*asked.host, &asked.request.want_refs)?;
    admit::wants(asked, &asked.request.wants)?;
    let store = asked.host.store();
    let mut commits = Commits::new(store.clone())?;
    let mut wants = Named::default();
    for &id in asked.request.wants.iter().chain(named.iter().map(|(id, _)| id)) {
        wants.add(&mut commits, id).map_err(|error| match error {
            ReadError::Missing(missing) if missing == id => {
                WireError::Refused(format!("upload-pack: not our ref {id}"))
            }
            other => WireError::read(other),
        })?;
    }
    Ok((Negotiation::new(&store, commits, wants), named))
}

/// What is to be selected now that all is known.
fn job(asked: &Asked, negotiation: Negotiation, cut: Cut) -> Result<Job, WireError> {
    let Negotiation { mut commits, mut wants, common, .. } = negotiation;
    let mut haves = Named::default();
    for id in common {
        // What a client has and we lack is its own affair.
        let _ = haves.add(&mut commits, id);
    }
    haves.commits.extend(cut.deepened);
    wants.commits.extend(cut.wanted);
    let mut follow = Vec::new();
    if asked.request.include_tag {
        let shown = asked.host.advertise(Service::UploadPack, &["refs/tags/".to_owned()]);
        let is_tag = |name: &str| name.starts_with("refs/tags/");
        let tags = shown.refs.iter().filter(|item| is_tag(item.name.as_str()));
        follow.extend(tags.filter_map(|item| Some((item.id, item.peeled?))));
    }
    let clone = is_clone(&asked.request, &wants, &haves).then(|| FullClone {
        wants: wants.commits.iter().map(|&node| commits.id(node)).chain(wants.tags.iter().copied()).collect(),
        filter: asked.request.filter,
        follow: follow.clone(),
        ofs_delta: asked.request.ofs_delta,
    });
    Ok(Job { commits, ask: Ask { wants, haves, filter: asked.request.filter, follow }, clone })
}

/// Whether this is the request of a client that has nothing yet and wants whole histories.
fn is_clone(request: &Request, wants: &Named, haves: &Named) -> bool {
    let uncut = request.shallow.is_empty() && !request.deepen.is_asked();
    let has_nothing = [haves.tags.len(), haves.trees.len(), haves.blobs.len(), haves.commits.len()] == [0; 4];
    uncut && has_nothing && wants.trees.is_empty() && wants.blobs.is_empty() && !wants.commits.is_empty()
}

/// The command `fetch` of v2.
async fn version2<W>(host: &Arc<dyn Host>, arguments: Vec<u8>, writer: &mut W) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let offer = offer(host).await?;
    let mut request = Request::default();
    let read = request.version2(arguments, &offer);
    let banded = request.sideband_all;
    let done = match read {
        Ok(()) => answer2(&asked(host, &offer, request, true), writer).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if banded && error.public().is_some() => {
            let why = error.public().unwrap_or_default();
            let mut line = vec![3];
            line.extend_from_slice(pktline::visible(&why).as_bytes());
            let mut out = Vec::new();
            pktline::data(&mut out, &line);
            writer.write_all(&out).await?;
            Err(WireError::Told(why))
        }
        other => other,
    }
}

async fn answer2<W>(asked: &Arc<Asked>, writer: &mut W) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let request = &asked.request;
    if request.wants.is_empty() && request.want_refs.is_empty() && !request.wait_for_done {
        return Ok(());
    }
    if request.filter.sparse {
        return sparse::version2(asked, writer).await;
    }
    let (lines, job) = working(asked, decide2).await?;
    writer.write_all(&lines.out).await?;
    writer.flush().await?;
    match job {
        Some(job) => respond::send(asked, job, writer).await,
        None => Ok(()),
    }
}

/// All of an answer but the pack, and what is to be in that.
fn decide2(asked: &Asked) -> Result<(Lines, Option<Job>), WireError> {
    let request = &asked.request;
    let (mut negotiation, named) = admitted(asked)?;
    let mut lines = Lines { out: Vec::new(), banded: request.sideband_all };
    let mut common = Vec::new();
    for &id in &request.haves {
        if negotiation.have(id).map_err(WireError::read)? {
            common.push(id);
        }
    }
    if !request.haves.is_empty() && !request.done {
        lines.line("acknowledgments");
        if common.is_empty() {
            lines.line("NAK");
        }
        common.iter().for_each(|id| lines.line(&format!("ACK {id}")));
        if request.wait_for_done || !negotiation.is_enough().map_err(WireError::read)? {
            lines.out.extend_from_slice(pktline::FLUSH);
            return Ok((lines, None));
        }
        lines.line("ready");
        lines.out.extend_from_slice(pktline::DELIM);
    }
    let Negotiation { commits, wants, .. } = &mut negotiation;
    let cut = shallow::cut(asked, commits, wants, true)?;
    if request.deepen.is_asked() || !request.shallow.is_empty() || !negotiation.commits.grafts().is_empty() {
        lines.line("shallow-info");
        lines.cut(&cut);
        lines.out.extend_from_slice(pktline::DELIM);
    }
    if !named.is_empty() {
        lines.line("wanted-refs");
        named.iter().for_each(|(id, name)| lines.line(&format!("{id} {name}")));
        lines.out.extend_from_slice(pktline::DELIM);
    }
    lines.line("packfile");
    Ok((lines, Some(job(asked, negotiation, cut)?)))
}

/// Lines of an answer, on the side-band where all of it goes there.
struct Lines {
    out: Vec<u8>,
    banded: bool,
}

impl Lines {
    fn line(&mut self, text: &str) {
        let band = if self.banded { "\u{1}" } else { "" };
        pktline::line(&mut self.out, &format!("{band}{text}"));
    }

    fn cut(&mut self, cut: &Cut) {
        cut.shallow.iter().for_each(|id| self.line(&format!("shallow {id}")));
        cut.unshallow.iter().for_each(|id| self.line(&format!("unshallow {id}")));
    }
}

/// A fetch under v0 or v1. `stateless` is HTTP, where a body repeats what was said before and ends with one round.
async fn version0<R, W>(
    host: &Arc<dyn Host>,
    stateless: bool,
    mut reader: PktReader<R>,
    writer: &mut W,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let Some(asked) = needs(host, stateless, &mut reader).await? else {
        return Ok(());
    };
    if asked.request.filter.sparse {
        return sparse::version0(&asked, stateless, reader, writer).await;
    }
    let (mut negotiation, cut) = working(&asked, |asked| {
        let (mut negotiation, _) = admitted(asked)?;
        let Negotiation { commits, wants, .. } = &mut negotiation;
        let cut = shallow::cut(asked, commits, wants, false)?;
        Ok((negotiation, cut))
    })
    .await?;
    if asked.request.deepen.is_asked() {
        let mut lines = Lines { out: Vec::new(), banded: false };
        lines.cut(&cut);
        lines.out.extend_from_slice(pktline::FLUSH);
        writer.write_all(&lines.out).await?;
        writer.flush().await?;
    }
    for round in 0.. {
        if !stateless {
            reader.renew();
        }
        if round > MAX_ROUNDS {
            return Err(WireError::Refused("upload-pack: this negotiation has too many rounds".to_owned()));
        }
        let Some((haves, end)) = haves(&mut reader).await? else {
            // Over HTTP a client may ask where its history is to be cut before it says what it has.
            let ended = PktError::Ended("more haves, a flush or done").into();
            return if stateless && round == 0 { Ok(()) } else { Err(ended) };
        };
        let (multi, no_done) = (asked.request.multi_ack, asked.request.no_done);
        let (next, out, pack) = working(&asked, move |_| {
            let mut out = Vec::new();
            let pack = negotiation.round(&haves, end, multi, no_done, &mut out).map_err(WireError::read)?;
            Ok((negotiation, out, pack))
        })
        .await?;
        negotiation = next;
        writer.write_all(&out).await?;
        writer.flush().await?;
        if pack {
            break;
        }
        if stateless {
            return Ok(());
        }
    }
    let job = working(&asked, |asked| job(asked, negotiation, cut)).await?;
    respond::send(&asked, job, writer).await
}

/// What a client under v0 or v1 needs. `None` when it wants nothing.
async fn needs<R>(
    host: &Arc<dyn Host>,
    stateless: bool,
    reader: &mut PktReader<R>,
) -> Result<Option<Arc<Asked>>, WireError>
where
    R: AsyncRead + Unpin,
{
    let offer = offer(host).await?;
    let mut request = Request::default();
    loop {
        match reader.next().await? {
            Some(Packet::Data(line)) => {
                request.version0_line(pktline::text(line), &offer)?;
                pktline::data(&mut request.lines, line);
            }
            Some(Packet::Flush) if !request.wants.is_empty() => break,
            Some(Packet::Flush) => return Ok(None),
            None if request.lines.is_empty() => return Ok(None),
            None | Some(Packet::Delim) => return Err(PktError::Ended("the end of the wants").into()),
        }
    }
    request.lines.extend_from_slice(pktline::FLUSH);
    Ok(Some(asked(host, &offer, request, stateless)))
}

/// One round of what a client has; `None` when it has gone, or says no more.
async fn haves<R>(reader: &mut PktReader<R>) -> Result<Option<(Vec<Oid>, End)>, WireError>
where
    R: AsyncRead + Unpin,
{
    let mut haves = Vec::new();
    loop {
        let line = match reader.next().await? {
            Some(Packet::Data(line)) => pktline::text(line),
            Some(Packet::Flush) => return Ok(Some((haves, End::Flush))),
            None if haves.is_empty() => return Ok(None),
            None | Some(Packet::Delim) => return Err(PktError::Ended("a flush or done").into()),
        };
        match request::split(line) {
            (b"have", id) => haves.push(request::oid(id)?),
            (b"done", b"") => return Ok(Some((haves, End::Done))),
            _ => {
                let shown = String::from_utf8_lossy(line);
                return Err(WireError::Refused(format!("upload-pack: expected SHA1 list, got '{shown}'")));
            }
        }
    }
}
