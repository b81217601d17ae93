//! Pushing: commands, pack, connectivity, the host's judgement, report.
//!
//! Invariant: a client that sent well-framed commands gets a verdict on each of them, whatever happens to its pack; and
//! `ok` is said only of what the host said is durable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use notes_schema::Oid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

use super::certificate::Asked;
use super::commands::{self, Capabilities, Request};
use super::pktline::{PktReader, SideBand};
use super::report::Ballot;
use super::{Host, Push, PushOffer, RefUpdate, WireError};
use crate::connect;
use crate::name::FullName;
use crate::pack::intake::{self, PackError, Quarantine};

/// How long a client is left without a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How much of a push that is already answered is read on, so that the client gets to read the answer.
/// Limit: what is read on of a push that is answered already, so that its client reads the answer | {:bytes}
const MAX_DRAINED: u64 = 1 << 30;
/// Progress lines under way between threads; a client that reads slowly misses some.
const PROGRESS_LINES: usize = 64;

/// What a repository offers to this pusher, and what a certificate of its has to answer to.
#[derive(Default)]
pub(super) struct Terms {
    pub(super) offer: PushOffer,
    pub(super) asked: Option<Asked>,
}

impl Terms {
    pub(super) async fn of(host: &Arc<dyn Host>) -> Result<Terms, WireError> {
        let host = host.clone();
        super::blocking(move || {
            let offer = host.push_offer();
            let path = || host.git_dir().to_string_lossy().into_owned();
            let asked = offer.certificates.clone().map(|seed| Asked::new(seed, path()));
            Terms { offer, asked }
        })
        .await
    }

    /// A nonce for the pusher to sign, where signed pushes are offered.
    pub(super) fn nonce(&mut self, stateful: bool) -> Option<String> {
        self.asked.as_mut().map(|asked| asked.issue(super::now(), stateful))
    }
}

/// The rest of a push conversation after the advertisement, or the whole of a push over HTTP.
pub async fn receive<R, W>(host: Arc<dyn Host>, terms: Terms, reader: R, writer: W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let mut reader = PktReader::new(reader, false, commands::MAX_BYTES);
    let mut can = Capabilities::default();
    let request = commands::read(&mut reader, &mut can, &terms).await;
    let mut rest = reader.into_inner();
    let mut out = SideBand::new(writer, can.side_band);
    let done = match request {
        Ok(None) => return Ok(()),
        Ok(Some(request)) => push(&host, &terms.offer, request, &can, rest, &mut out).await,
        Err(error) => {
            tell(&error, &mut out).await?;
            drain(&mut rest).await;
            return Err(error);
        }
    };
    if let Err(error) = &done {
        tell(error, &mut out).await?;
    }
    done
}

async fn tell<W: AsyncWrite + Unpin>(error: &WireError, out: &mut SideBand<W>) -> Result<(), WireError> {
    if let Some(why) = error.public() {
        out.fail(&why).await?;
        out.finish().await?;
    }
    Ok(())
}

/// Reads what an answered client still sends, for else it would see a broken pipe and not the answer.
async fn drain<R: AsyncRead + Unpin>(rest: &mut R) {
    // That reading fails here is no news: the answer was given.
    let _ = tokio::io::copy(&mut rest.take(MAX_DRAINED), &mut tokio::io::sink()).await;
}

async fn push<R, W>(
    host: &Arc<dyn Host>,
    offer: &PushOffer,
    request: Request,
    can: &Capabilities,
    rest: BufReader<R>,
    out: &mut SideBand<W>,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let Request { mut ballot, has_pack, options, certificate, shallow } = request;
    let (asked, open) = (host.clone(), ballot.open());
    ballot.judge(&super::blocking(move || prechecked(&*asked, &open)).await?);

    let (quarantine, unread) = take(host, &mut ballot, has_pack, can, rest, out).await?;
    if let Some(quarantine) = quarantine {
        let cut = Cut { shallow, kept: offer.shallow };
        let (quarantine, shallow) = connected(host, &mut ballot, quarantine, cut, out).await?;
        let updates = ballot.open();
        if !updates.is_empty() {
            let (judge, atomic) = (host.clone(), can.atomic);
            let push = Push { updates, atomic, options, certificate, quarantine, shallow };
            let outcome = work(out, false, move |_| judge.receive(push)).await?;
            ballot.decided(outcome.results);
            out.progress(&outcome.messages.join("\n")).await?;
        }
    }
    out.progress(&ballot.advice().join("\n")).await?;
    if can.report {
        out.payload(&ballot.report()).await?;
    }
    out.finish().await?;
    if let Some(mut unread) = unread {
        drain(&mut unread).await;
    }
    Ok(())
}

fn prechecked(host: &dyn Host, updates: &[RefUpdate]) -> HashMap<FullName, String> {
    let refused = |u: &RefUpdate| host.precheck(u).err().map(|why| (u.name.clone(), why));
    updates.iter().filter_map(refused).collect()
}

/// Takes the pack if one follows and someone still needs it. Gives back the quarantine, unless all is refused, and the
/// stream when it was not read to the pack's end.
async fn take<R, W>(
    host: &Arc<dyn Host>,
    ballot: &mut Ballot,
    has_pack: bool,
    can: &Capabilities,
    rest: BufReader<R>,
    out: &mut SideBand<W>,
) -> Result<(Option<Quarantine>, Option<BufReader<R>>), WireError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let open = ballot.open();
    let unread = |rest: BufReader<R>| has_pack.then_some(rest);
    if open.is_empty() {
        return Ok((None, unread(rest)));
    }
    if open.iter().all(|u| u.new.is_none()) {
        return Ok((Some(Quarantine::empty()), unread(rest)));
    }
    let (store, limits) = (host.store(), host.limits());
    let (taken, rest) = work(out, !can.quiet, move |progress| {
        let mut bridge = SyncIoBridge::new(rest);
        let taken: Result<Quarantine, PackError> = intake::take(&mut bridge, &store, &limits, progress);
        (taken, bridge.into_inner())
    })
    .await?;
    match taken {
        Ok(quarantine) => Ok((Some(quarantine), None)),
        Err(error) => {
            if let (PackError::PackTooLarge { .. }, asked) = (&error, host.clone())
                && let Some(why) = super::blocking(move || asked.too_large()).await?
            {
                let refused = open.iter().map(|update| (update.name.clone(), why.clone()));
                ballot.judge(&refused.collect());
                return Ok((None, Some(rest)));
            }
            ballot.unpack_failed(&error.to_string());
            Ok((None, Some(rest)))
        }
    }
}

/// Refuses the updates whose objects are not all there.
async fn connected<W>(
    host: &Arc<dyn Host>,
    ballot: &mut Ballot,
    quarantine: Quarantine,
    cut: Cut,
    out: &mut SideBand<W>,
) -> Result<(Quarantine, Vec<Oid>), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let (store, open) = (host.store(), ballot.open());
    let (quarantine, roots, reasons) = work(out, false, move |_| {
        let tips: HashSet<Oid> = open.iter().filter_map(|u| u.new).collect();
        let tips: Vec<Oid> = tips.into_iter().collect();
        let mut reasons = HashMap::new();
        // One walk for all is the rule; only when it fails each is walked by itself, to blame the right one.
        let roots = match connect::check_cut(&tips, &quarantine, &store, &cut.shallow) {
            Ok(roots) if roots.is_empty() || cut.kept => roots,
            // Nothing of the pack may land, for some of it is not complete.
            Ok(_) => {
                let refuse = |u: &RefUpdate| (u.name.clone(), "shallow update not allowed".to_owned());
                reasons.extend(open.iter().filter(|u| u.new.is_some()).map(refuse));
                Vec::new()
            }
            Err(_) => {
                for update in &open {
                    let Some(new) = update.new else { continue };
                    if let Err(error) = connect::check_cut(&[new], &quarantine, &store, &cut.shallow) {
                        reasons.insert(update.name.clone(), format!("missing necessary objects\nerror: {error}"));
                    }
                }
                Vec::new()
            }
        };
        (quarantine, roots, reasons)
    })
    .await?;
    ballot.judge(&reasons);
    Ok((quarantine, roots))
}

/// Where the client's history ends, and whether a repository may end there too.
struct Cut {
    shallow: HashSet<Oid>,
    kept: bool,
}

/// Runs `job` where it may block, passes its progress on, and keeps the connection alive meanwhile. When the client
/// goes away the job runs on to its end: what it makes durable is durable.
async fn work<T, W>(
    out: &mut SideBand<W>,
    verbose: bool,
    job: impl FnOnce(&mut dyn FnMut(&str)) -> T + Send + 'static,
) -> Result<T, WireError>
where
    T: Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let (sender, mut lines) = mpsc::channel::<String>(PROGRESS_LINES);
    let task = tokio::task::spawn_blocking(move || {
        job(&mut |text: &str| {
            if verbose {
                let _ = sender.try_send(text.to_owned());
            }
        })
    });
    loop {
        match tokio::time::timeout(KEEP_ALIVE, lines.recv()).await {
            Ok(Some(line)) => out.progress(&line).await?,
            Ok(None) => break,
            Err(_) => out.keep_alive().await?,
        }
    }
    task.await.map_err(WireError::inside)
}
