//! One channel: its requests, its one command, its exit code.
//!
//! Invariant: a command ends with its channel. The client's messages are read to the end whatever the command does, so
//! that a command that ignores its stdin blocks nobody, and one that ignores its client is given up.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use super::Door;
use super::line::{self, Request};
use crate::answer::{Code, Refusal};
use crate::authority::Actor;
use crate::commands::{self, Call, Reply};
use crate::forge::Forge;
use crate::hosts::Who;
use crate::socket::Stall;
use git::wire::{self, Protocol, Service};

/// The one variable that is taken from a client.
pub(super) const GIT_PROTOCOL: &str = "GIT_PROTOCOL";

/// How much of stdin is held for a command that has not read it yet, in bytes.
/// Limit: input of an SSH command that is held until it is read | {:bytes}
const PIPE: usize = 128 << 10;
/// Most requests before the command; a client has no use for more.
/// Limit: requests (variables, a terminal) before the command of an SSH channel | {}
const REQUESTS: usize = 64;
/// Longest value of [`GIT_PROTOCOL`], in bytes.
/// Limit: value of `GIT_PROTOCOL` | {:bytes}; a longer one is not looked at
const VALUE: usize = 256;
/// What control-C and control-D send from a terminal in raw mode.
const INTERRUPT: u8 = 3;
const END_OF_INPUT: u8 = 4;

/// What the client asked of this channel.
struct Asked {
    command: Vec<u8>,
    protocol: Option<String>,
    at_end: bool,
    terminal: bool,
}

/// Serves one channel until its command or its client ends.
pub(super) async fn serve(door: &Arc<Door>, who: Who, channel: Channel<Msg>) {
    let (mut read, write) = channel.split();
    let limits = &door.config.limits;
    let asked = match timeout(limits.idle(), asked(&mut read)).await {
        Ok(Err(Early::Left)) | Err(_) => {
            let _ = write.close().await;
            return;
        }
        Ok(Err(Early::TalkedTooMuch)) => None,
        Ok(Ok(asked)) => Some(asked),
    };
    let (feed, stdin) = tokio::io::duplex(PIPE);
    let feed = asked.as_ref().is_some_and(|asked| !asked.at_end).then_some(feed);
    let terminal = asked.as_ref().is_some_and(|asked| asked.terminal);
    let work = async {
        let status = match asked {
            Some(asked) => run(door, who, asked, stdin, &write).await,
            None => {
                let why = format!("more than {REQUESTS} requests came before it; send no variables but {GIT_PROTOCOL}");
                refuse(door, &write, &Refusal::new(Code::Usage, "command", why, "help")).await
            }
        };
        finish(&write, status).await;
    };
    tokio::select! {
        () = work => {}
        () = pump(&mut read, feed, terminal, limits.idle()) => tracing::debug!("ssh: the client left before its answer"),
    }
}

/// Why no command came.
enum Early {
    Left,
    TalkedTooMuch,
}

/// Waits for the command.
async fn asked(read: &mut ChannelReadHalf) -> Result<Asked, Early> {
    let mut protocol = None;
    let mut at_end = false;
    let mut terminal = false;
    for _ in 0..REQUESTS {
        match read.wait().await.ok_or(Early::Left)? {
            ChannelMsg::SetEnv { variable_name, variable_value, .. }
                if variable_name == GIT_PROTOCOL && variable_value.len() <= VALUE =>
            {
                protocol = Some(variable_value);
            }
            ChannelMsg::Exec { command, .. } => return Ok(Asked { command, protocol, at_end, terminal }),
            ChannelMsg::RequestShell { .. } => {
                return Ok(Asked { command: b"help".to_vec(), protocol, at_end: true, terminal });
            }
            ChannelMsg::RequestPty { .. } => terminal = true,
            ChannelMsg::Eof => at_end = true,
            ChannelMsg::Close => return Err(Early::Left),
            _ => {}
        }
    }
    Err(Early::TalkedTooMuch)
}

/// Feeds stdin until the client leaves; drops what nobody reads any more. Returns when the command should be given up.
async fn pump(read: &mut ChannelReadHalf, mut feed: Option<DuplexStream>, terminal: bool, idle: Duration) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if terminal && data.contains(&INTERRUPT) {
                    return;
                }
                let Some(pipe) = &mut feed else { continue };
                let (text, ends) = if terminal { typed(&data) } else { (Cow::Borrowed(&data[..]), false) };
                match timeout(idle, pipe.write_all(&text)).await {
                    Ok(Ok(())) if !ends => {}
                    Ok(Ok(())) => feed = None,
                    Ok(Err(_)) => feed = None,
                    Err(_) => return,
                }
            }
            ChannelMsg::Eof => feed = None,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// What a terminal in raw mode sent: carriage returns for line breaks, and control-D for the end.
fn typed(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let end = bytes.iter().position(|&b| b == END_OF_INPUT);
    let text = bytes[..end.unwrap_or(bytes.len())].iter().map(|&b| if b == b'\r' { b'\n' } else { b });
    (text.collect(), end.is_some())
}

/// Runs the command and returns its exit code.
async fn run(door: &Arc<Door>, who: Who, asked: Asked, stdin: DuplexStream, write: &ChannelWriteHalf<Msg>) -> u8 {
    match line::parse(&asked.command) {
        Ok(Request::Git(service, path)) => git(door, who, service, path, asked.protocol, stdin, write).await,
        Ok(Request::Command(line)) => {
            let (Some(forge), Who::Key(key)) = (&door.behind.forge, &who) else {
                let why = "this server serves git alone: clone, fetch and push";
                let next = "git clone ssh://<host>:<port>/<path>";
                return refuse(door, write, &Refusal::new(Code::Usage, "command", why, next)).await;
            };
            let mut reply = command(door, forge, forge.actor_for_key(key), line, stdin).await;
            if asked.terminal {
                // The client's terminal is in raw mode and would print a staircase.
                reply.stdout = reply.stdout.replace('\n', "\r\n");
                reply.stderr = reply.stderr.replace('\n', "\r\n");
            }
            say(door, write, &reply).await;
            reply.exit
        }
        Err(e) => refuse(door, write, &Refusal::new(Code::Usage, "command", e.to_string(), "help")).await,
    }
}

async fn command(door: &Arc<Door>, forge: &Arc<Forge>, actor: Actor, line: String, stdin: DuplexStream) -> Reply {
    let line = if line.is_empty() { "help".to_owned() } else { line };
    let call = Call { actor, from: None, door: commands::Door::Ssh, line, only: None, json: false };
    // One byte more than allowed, so that the command can tell a body that is too long from one that just fits.
    let mut body = Stall::new(stdin, door.config.limits.idle()).take(door.config.limits.body_bytes + 1);
    commands::dispatch(forge, call, &mut body).await
}

async fn git(
    door: &Arc<Door>,
    who: Who,
    service: Service,
    path: String,
    protocol: Option<String>,
    stdin: DuplexStream,
    write: &ChannelWriteHalf<Msg>,
) -> u8 {
    let _transfer = match door.behind.begin(&who) {
        Ok(transfer) => transfer,
        Err(refusal) => return refuse(door, write, &refusal).await,
    };
    let hosts = door.behind.hosts.clone();
    // May open and recover the repository.
    let host = tokio::task::spawn_blocking(move || hosts.open(&path, &who, service)).await;
    let host = match host {
        Ok(Ok(host)) => host,
        Ok(Err(closed)) => return refuse(door, write, closed.refusal()).await,
        Err(e) => {
            tracing::error!("opening a repository failed: {e}");
            return Code::TryLater as u8;
        }
    };
    let idle = door.config.limits.idle();
    let protocol = Protocol::parse(protocol.as_deref());
    let stdin = Stall::new(stdin, idle);
    match wire::serve(host, service, protocol, stdin, Stdout::new(write, idle)).await {
        Ok(()) => 0,
        Err(e) => {
            tracing::debug!("git over ssh: {e}");
            let _ = Stdout::stderr(write, idle).write_all(format!("forge: {e}\n").as_bytes()).await;
            Code::Refused as u8
        }
    }
}

async fn refuse(door: &Arc<Door>, write: &ChannelWriteHalf<Msg>, refusal: &Refusal) -> u8 {
    let reply =
        Reply { stdout: String::new(), stderr: refusal.lines(), exit: refusal.code as u8, status: 0, file: None };
    say(door, write, &reply).await;
    reply.exit
}

async fn say(door: &Arc<Door>, write: &ChannelWriteHalf<Msg>, reply: &Reply) {
    let idle = door.config.limits.idle();
    let said = async {
        let mut stdout = Stdout::new(write, idle);
        match &reply.file {
            // Bytes as they are: a terminal that asked for them gets them.
            Some(file) => {
                let mut pieces = file.clone().pieces();
                while let Some(piece) = pieces.recv().await {
                    stdout.write_all(&piece?).await?;
                }
            }
            None => stdout.write_all(reply.stdout.as_bytes()).await?,
        }
        Stdout::stderr(write, idle).write_all(reply.stderr.as_bytes()).await
    };
    if let Err(e) = said.await {
        tracing::debug!("ssh: answering: {e}");
    }
}

async fn finish(write: &ChannelWriteHalf<Msg>, status: u8) {
    let _ = write.exit_status(u32::from(status)).await;
    let _ = write.eof().await;
    let _ = write.close().await;
}

/// The client's side of stdout or stderr. Shutting it down sends nothing: the end is sent once, after the exit code.
struct Stdout<'a>(Stall<Pin<Box<dyn AsyncWrite + Send + 'a>>>);

impl<'a> Stdout<'a> {
    fn new(write: &'a ChannelWriteHalf<Msg>, idle: Duration) -> Self {
        Stdout(Stall::new(Box::pin(write.make_writer()), idle))
    }

    fn stderr(write: &'a ChannelWriteHalf<Msg>, idle: Duration) -> Self {
        Stdout(Stall::new(Box::pin(write.make_writer_ext(Some(1))), idle))
    }
}

impl AsyncWrite for Stdout<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // russh takes an empty write for an error.
        if bytes.is_empty() { Poll::Ready(Ok(0)) } else { Pin::new(&mut self.0).poll_write(cx, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_keys_are_understood() {
        assert_eq!(typed(b"one\rtwo"), (Cow::Borrowed(&b"one\ntwo"[..]), false));
        assert_eq!(typed(b"one\r\x04rest"), (Cow::Borrowed(&b"one\n"[..]), true));
    }
}
