//! Runs the command: its output goes through to where it would have gone, and into a capture.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hooks::secrets::Allowed;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::Streams;
use super::capture::{Capture, Captured};
use super::terminal;
use crate::ledger::system_clock;

/// How long a command that was told to end may take to do so, and a stream to close after its command ended: a process
/// left behind may hold it open for ever.
const GRACE: Duration = Duration::from_secs(5);

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this status; 127 when it was not found, 126 when it could not be started.
    Exited(i32),
    /// By this signal.
    Killed(u32),
    /// Its time was up.
    TimedOut {
        /// The signal that ended it; none when it made an end by itself.
        signal: Option<u32>,
    },
}

impl Ending {
    /// The exit status to pass on, as a shell would.
    pub fn exit_status(self) -> u8 {
        match self {
            Ending::Exited(status) => status as u8,
            Ending::Killed(signal) => 128u8.saturating_add(signal as u8),
            Ending::TimedOut { .. } => 124,
        }
    }
}

/// A finished run.
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// When it began, milliseconds since 1970.
    pub started_ms: u64,
    /// How long it took.
    pub dur_ms: u64,
    /// Its output.
    pub stdout: Captured,
    /// Its complaints.
    pub stderr: Captured,
}

/// Runs `command` in `here`.
pub fn run(command: &[OsString], here: &Path, timeout: Option<Duration>, streams: &Streams, allowed: &Allowed) -> Ran {
    let started_ms = system_clock()();
    let started = Instant::now();
    let finish = |ending, stdout, stderr| Ran {
        ending,
        started_ms,
        dur_ms: started.elapsed().as_millis() as u64,
        stdout,
        stderr,
    };
    match run_piped(command, here, timeout, streams, allowed) {
        Ok((ending, stdout, stderr)) => finish(ending, stdout, stderr),
        Err(error) => {
            let program = command.first().map_or_else(String::new, |p| p.to_string_lossy().into_owned());
            let text = format!("{program}: {error}");
            streams.say(&text);
            let mut capture = Capture::default();
            capture.take(text.as_bytes());
            let status = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            finish(Ending::Exited(status), Captured::default(), capture.finish())
        }
    }
}

fn run_piped(
    command: &[OsString],
    here: &Path,
    timeout: Option<Duration>,
    streams: &Streams,
    allowed: &Allowed,
) -> std::io::Result<(Ending, Captured, Captured)> {
    let (program, args) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (out_reader, out_writer) =
            if streams.out_is_terminal { terminal::terminal(std::io::stdout())? } else { terminal::pipe()? };
        let (err_reader, err_writer) =
            if streams.err_is_terminal { terminal::terminal(std::io::stderr())? } else { terminal::pipe()? };
        // A group of its own lets all of it be ended; but on a terminal it must stay in ours to be able to read.
        let own_group = !std::io::stdin().is_terminal();
        let mut command = Command::new(program);
        command.args(args).current_dir(here).stdin(Stdio::inherit()).stdout(out_writer).stderr(err_writer);
        if own_group {
            command.process_group(0);
        }
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut child = command.spawn()?;
        // Our copies of the writing ends are in `command`; only the child's may keep the pipes open.
        drop(command);
        let target = Target { pid: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)), own_group };
        let out = tee(out_reader, Arc::clone(&streams.out), allowed);
        let err = tee(err_reader, Arc::clone(&streams.err), allowed);
        let deadline = timeout.map(|limit| tokio::time::Instant::now() + limit);
        let mut timed_out = false;
        let status = loop {
            let time_is_up = async {
                match deadline {
                    Some(at) if !timed_out => tokio::time::sleep_until(at).await,
                    Some(_) | None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = child.wait() => break status?,
                () = time_is_up => {
                    timed_out = true;
                    target.send(Signal::TERM);
                    if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
                        // What it left running ends with it.
                        target.send(Signal::KILL);
                        break status?;
                    }
                    target.send(Signal::KILL);
                    kill(&mut child);
                }
                // On a terminal the whole group got it; what runs decides, and its end is recorded.
                _ = interrupts.recv() => if own_group { target.send(Signal::INT) },
                _ = terminations.recv() => target.send(Signal::TERM),
            }
        };
        let until = Instant::now() + GRACE;
        Ok((ending(status, timed_out), out.finish(until), err.finish(until)))
    })
}

fn kill(child: &mut Child) {
    // Fails only when it has ended already.
    let _ = child.start_kill();
}

fn ending(status: ExitStatus, timed_out: bool) -> Ending {
    let signal = status.signal().and_then(|signal| u32::try_from(signal).ok());
    match (timed_out, signal, status.code()) {
        (true, signal, _) => Ending::TimedOut { signal },
        (false, Some(signal), _) => Ending::Killed(signal),
        (false, None, code) => Ending::Exited(code.unwrap_or(1)),
    }
}

/// Whom signals go to.
struct Target {
    pid: Option<Pid>,
    own_group: bool,
}

impl Target {
    fn send(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // Fails only when nobody is left to get it.
        let _ = if self.own_group {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
    }
}

/// A stream being passed on and captured by a thread of its own.
struct Tee {
    capture: Arc<Mutex<Capture>>,
    done: mpsc::Receiver<()>,
}

fn tee(mut from: Box<dyn Read + Send>, to: Arc<Mutex<dyn Write + Send>>, allowed: &Allowed) -> Tee {
    let capture = Arc::new(Mutex::new(Capture::allowing(allowed.clone())));
    let (ended, done) = mpsc::channel();
    let into = Arc::clone(&capture);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // A terminal says so when nobody writes to it any more.
                Err(_) => break,
            };
            {
                let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
                // A reader that has gone away does not end the run: the record still wants the rest.
                let _ = to.write_all(&buffer[..n]).and_then(|()| to.flush());
            }
            into.lock().unwrap_or_else(PoisonError::into_inner).take(&buffer[..n]);
        }
        let _ = ended.send(());
    });
    Tee { capture, done }
}

impl Tee {
    /// What was captured when the stream ended, or at `until`.
    fn finish(self, until: Instant) -> Captured {
        let _ = self.done.recv_timeout(until.saturating_duration_since(Instant::now()));
        let mut capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *capture).finish()
    }
}
