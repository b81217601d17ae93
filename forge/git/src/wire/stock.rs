//! Stock git, for fetches with a sparse filter: one child process for one request, which it never outlives.
//!
//! Invariant: a child is started by [`crate::child`], with no configuration but the repository's and ours, and gets no text
//! of a client as an argument. What a client said goes to its standard input, after it was checked.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::pktline::{self, Packet, PktReader};
use super::{Protocol, WireError};

/// How much of a child's error stream is kept for the log.
const KEPT_WORDS: u64 = 4096;
/// The unit in which answers are passed on.
const CHUNK: usize = 64 << 10;

/// Settings of `git upload-pack`: whatever was admitted may be asked for, by any means that we advertise.
const SETTINGS: [&str; 4] = [
    "uploadpack.allowAnySHA1InWant=true",
    "uploadpack.allowFilter=true",
    "uploadpack.allowRefInWant=true",
    "uploadpack.allowSidebandAll=true",
];

/// A child process; dropping it kills it together with all that it started.
pub struct Running {
    what: &'static str,
    child: Child,
    words: Option<JoinHandle<String>>,
}

impl Running {
    fn upload_pack(git_dir: &Path, protocol: Protocol, options: &[&str]) -> Result<Running, WireError> {
        let mut command = git();
        if protocol == Protocol::V2 {
            command.env("GIT_PROTOCOL", "version=2");
        }
        command.args(options).args(["--", "."]).current_dir(git_dir);
        Running::spawn("upload-pack", command)
    }

    fn spawn(what: &'static str, mut command: Command) -> Result<Running, WireError> {
        let mut child = command.spawn().map_err(|e| failed(what, format!("it cannot be started: {e}")))?;
        let words = child.stderr.take().map(|mut stderr| {
            tokio::spawn(async move {
                let mut kept = Vec::new();
                let _ = (&mut stderr).take(KEPT_WORDS).read_to_end(&mut kept).await;
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
                String::from_utf8_lossy(&kept).trim().to_owned()
            })
        });
        Ok(Running { what, child, words })
    }

    /// Its input and output; once.
    pub fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout), WireError> {
        match (self.child.stdin.take(), self.child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok((stdin, stdout)),
            _ => Err(WireError::inside("a child process without pipes")),
        }
    }

    /// Waits for its end.
    pub async fn finish(mut self) -> Result<(), WireError> {
        let status = self.child.wait().await?;
        if status.success() {
            return Ok(());
        }
        let words = match self.words.take() {
            Some(words) => words.await.unwrap_or_default(),
            None => String::new(),
        };
        Err(failed(self.what, format!("{status}: {words}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Known only until it was waited for, so the number cannot belong to another process by now.
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(group) = pid {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

fn failed(what: &'static str, why: String) -> WireError {
    tracing::warn!("git {what}: {why}");
    WireError::Stock(what)
}

fn git() -> Command {
    let mut command = Command::from(crate::child::git());
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    command.kill_on_drop(true);
    command
}

/// Answers one self-contained request: any of v2, or one round of v0 over HTTP.
pub async fn stateless<W>(git_dir: &Path, protocol: Protocol, request: Vec<u8>, writer: &mut W) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let mut run = Running::upload_pack(git_dir, protocol, &["upload-pack", "--strict", "--stateless-rpc"])?;
    let (mut stdin, stdout) = run.pipes()?;
    let feed = async move {
        // A child that stops reading says why in its answer or on its error stream.
        let _ = stdin.write_all(&request).await;
    };
    let ((), relayed) = tokio::join!(feed, pump(stdout, writer));
    end(run, relayed?, writer).await
}

/// Goes on with a v0 conversation whose wants are `request`: the child negotiates with the client itself. `limit`
/// bounds what the client may still say.
pub async fn stateful<R, W>(
    git_dir: &Path,
    request: Vec<u8>,
    reader: R,
    limit: u64,
    writer: &mut W,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    // The child advertises as well; the client has seen ours, so the child hides its refs and its words are dropped.
    let options = ["-c", "uploadpack.hideRefs=refs", "upload-pack", "--strict"];
    let mut run = Running::upload_pack(git_dir, Protocol::V0, &options)?;
    let (mut stdin, stdout) = run.pipes()?;
    let mut stdout = PktReader::new(stdout, false, u64::MAX);
    while let Some(Packet::Data(_)) = stdout.next().await? {}
    let feed = async move {
        let said = async {
            stdin.write_all(&request).await?;
            stdin.flush().await?;
            pump(reader.take(limit), &mut stdin).await
        };
        // Whether the client has gone or the child has all it needs shows in the child's answer.
        let _ = said.await;
    };
    let relayed = {
        let answer = pump(stdout.into_inner(), &mut *writer);
        tokio::pin!(feed, answer);
        tokio::select! {
            relayed = &mut answer => relayed,
            () = &mut feed => answer.await,
        }
    };
    end(run, relayed?, writer).await
}

/// Passes bytes on as they come, and says how many there were.
async fn pump<R, W>(mut from: R, to: &mut W) -> std::io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; CHUNK];
    let mut passed = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(passed);
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        passed += read as u64;
    }
}

/// A child that failed without a word leaves the client waiting for one.
async fn end<W: AsyncWrite + Unpin>(run: Running, relayed: u64, writer: &mut W) -> Result<(), WireError> {
    let ended = run.finish().await;
    if ended.is_err() && relayed == 0 {
        writer.write_all(&pktline::error("upload-pack: the server could not complete this fetch")).await?;
        writer.flush().await?;
    }
    ended
}
