//! Selecting and writing a pack on a thread that may block, while its client is kept informed.
//!
//! Invariant: no more of a pack is in memory than a few packets, however slowly its client reads; and once the client is
//! gone, the work stops.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Asked;
use super::request::Band;
use crate::pack::cache::{Asked as FullClone, CacheError, Wish};
use crate::pack::emit::{self, EmitError};
use crate::select::commits::Commits;
use crate::select::{self, Ask, Watch};
use crate::wire::WireError;
use crate::wire::pktline::{MAX_BAND, SideBand};

/// How long a client is left without a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How often it is told of progress.
const PROGRESS: Duration = Duration::from_millis(250);
/// Pieces under way between the threads.
const PIECES: usize = 8;
/// What is told where the reason is for the log alone, as git's own server says it.
const ABORTED: &str = "aborting due to possible repository corruption on the remote side.";

/// A pack to be made.
pub struct Job {
    /// The commits looked at so far, with marks where the client's history is cut.
    pub commits: Commits,
    /// What to select.
    pub ask: Ask,
    /// The same where it is a full clone, which may have been made before.
    pub clone: Option<FullClone>,
}

enum Piece {
    Pack(Vec<u8>),
    Words(String),
}

/// Makes the pack of `job` and sends it.
pub async fn send<W>(asked: &std::sync::Arc<Asked>, job: Job, writer: W) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let mut out = match asked.request.band {
        Band::Bare => SideBand::new(writer, false),
        Band::Small => SideBand::small(writer),
        Band::Large => SideBand::new(writer, true),
    };
    let (sender, pieces) = channel(PIECES);
    let making = asked.clone();
    let task = tokio::task::spawn_blocking(move || make(&making, job, &sender));
    let begun = relay(pieces, &mut out).await?;
    match task.await.map_err(WireError::inside)? {
        Ok(()) => Ok(out.finish().await?),
        Err(error) => {
            // A bare stream that has begun can only end too early.
            if !begun || asked.request.band != Band::Bare {
                out.fail(ABORTED).await?;
            }
            Err(WireError::Told(error.to_string()))
        }
    }
}

/// Passes the pieces on. Whether any of them was of the pack.
async fn relay<W: AsyncWrite + Unpin>(mut pieces: Receiver<Piece>, out: &mut SideBand<W>) -> io::Result<bool> {
    let mut begun = false;
    loop {
        match tokio::time::timeout(KEEP_ALIVE, pieces.recv()).await {
            Ok(Some(Piece::Pack(bytes))) => {
                begun = true;
                out.payload(&bytes).await?;
            }
            Ok(Some(Piece::Words(text))) => out.words(&text).await?,
            Ok(None) => return Ok(begun),
            Err(_) => out.keep_alive().await?,
        }
    }
}

fn make(asked: &Asked, job: Job, sender: &Sender<Piece>) -> Result<(), WireError> {
    let Job { mut commits, ask, clone } = job;
    let quiet = asked.request.no_progress || asked.request.band == Band::Bare;
    let words = |text: String| drop(sender.blocking_send(Piece::Words(text)));
    let mut progress = |text: &str| {
        if !quiet {
            words(if text.ends_with(['\r', '\n']) { text.to_owned() } else { format!("{text}\n") });
        }
    };
    let mut out = Pieces { sender, piece: Vec::new() };
    let store = commits.store().clone();
    if let (Some(clone), Some(clones)) = (clone, asked.host.clones()) {
        drop((commits, ask));
        let wish = Wish::new(&asked.host.git_dir().to_string_lossy(), &store, clone)?;
        clones.send(&wish, &mut out, &mut progress).map_err(cache_error)?;
        return Ok(out.flush()?);
    }
    let mut shown = Instant::now();
    let mut tell = |found: usize| {
        if !quiet && shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            let _ = sender.try_send(Piece::Words(format!("Enumerating objects: {found}\r")));
        }
        !sender.is_closed()
    };
    let selection = select::select(&mut commits, &ask, &mut Watch::new(&mut tell))?;
    drop((commits, ask));
    if !quiet {
        words(format!("Enumerating objects: {}, done.\n", selection.objects.len()));
    }
    let options = emit::Options { thin: asked.request.thin_pack, ofs_delta: asked.request.ofs_delta };
    emit::write(&store, &selection, &options, &mut out, &mut progress).map_err(emit_error)?;
    Ok(out.flush()?)
}

fn emit_error(error: EmitError) -> WireError {
    match error {
        // The client has gone, which is no fault of ours.
        EmitError::Out(gone) => WireError::Io(gone),
        other => WireError::inside(other),
    }
}

fn cache_error(error: CacheError) -> WireError {
    match error {
        CacheError::Emit(error) => emit_error(error),
        CacheError::Select(error) => error.into(),
        CacheError::Builder(why) => WireError::inside(why),
    }
}

/// Collects what is written into pieces of a packet's size.
struct Pieces<'s> {
    sender: &'s Sender<Piece>,
    piece: Vec<u8>,
}

impl Pieces<'_> {
    fn pass(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(MAX_BAND));
        self.sender.blocking_send(Piece::Pack(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(MAX_BAND - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == MAX_BAND {
            self.pass()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.pass() }
    }
}
