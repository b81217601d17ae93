//! The server that is measured: `forge serve` as a process of its own, so that memory and processor time are its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::error::{BenchError, io, unusable};

/// The running process.
pub(in crate::bench) struct Served {
    child: Child,
    pub http: SocketAddr,
    pub ssh: SocketAddr,
}

impl Served {
    /// Starts this very program on the data directory `data`, which it makes where it is not there; its log goes to `log`.
    /// `operator` is an agent that has registered there; `more` are settings, by the names of their variables.
    pub fn start(
        data: &Path,
        operator: Option<&str>,
        more: &[(&str, String)],
        log: File,
    ) -> Result<Served, BenchError> {
        let program = std::env::current_exe().map_err(io("this program"))?;
        let mut command = Command::new(program);
        // Limits and faults of the environment would be measured as if they were the server's own.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FORGE_")) {
            if name != "FORGE_LOG" {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"]).arg(data);
        command.args(operator.into_iter().flat_map(|name| ["--operators", name]));
        command.envs(more.iter().map(|(name, value)| (name, value)));
        // All agents come from one address.
        command.env("FORGE_LIMIT_CONNECTIONS_EACH", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(io("forge serve"))?;
        let found = child.stdout.take().map(|out| addresses(BufReader::new(out)));
        match found {
            Some(Some((ssh, http))) => Ok(Served { child, http, ssh }),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                Err(unusable("forge serve", "an end before it was ready"))
            }
        }
    }

    /// What it takes so far.
    pub fn takes(&self) -> Takes {
        Takes::of(&self.child.id().to_string())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<(), BenchError> {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(pid, Signal::TERM).map_err(|e| io("ending the server")(e.into()))?;
        }
        let ended = self.child.wait().map_err(io("the server"))?;
        if ended.success() { Ok(()) } else { Err(unusable("the end of the server", ended)) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Of one that has ended this asks nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two addresses that a server says when it is ready.
fn addresses(lines: impl BufRead) -> Option<(SocketAddr, SocketAddr)> {
    let (mut ssh, mut http) = (None, None);
    for line in lines.lines().map_while(Result::ok) {
        let after = |scheme: &str| line.trim().strip_prefix(scheme).and_then(|address| address.parse().ok());
        ssh = ssh.or_else(|| after("ssh://"));
        http = http.or_else(|| after("http://"));
        if let (Some(ssh), Some(http)) = (ssh, http) {
            return Some((ssh, http));
        }
    }
    None
}

/// What a process takes of the machine, as the kernel counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct Takes {
    /// Resident now, MiB; pages of mapped packs included.
    pub resident: f64,
    /// Of its own now, MiB: what only giving it back frees.
    pub own: f64,
    /// The most that was ever resident, MiB.
    pub peak: f64,
    /// Processor time of it and of its children that have ended, seconds.
    pub cpu: f64,
}

impl Takes {
    /// Of this process.
    pub fn here() -> Takes {
        Takes::of("self")
    }

    fn of(pid: &str) -> Takes {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Takes { resident: mib("VmRSS"), own: mib("RssAnon"), peak: mib("VmHWM"), cpu: seconds(&stat) }
    }
}

/// Processor time of a line of `/proc/<pid>/stat`.
fn seconds(stat: &str) -> f64 {
    // The name in parentheses may hold anything; after it, the state is the third field.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_read_of_what_a_server_says() {
        let said = "forge: serving d\n  ssh://127.0.0.1:22\n  http://127.0.0.1:80\nnext: curl -s http://x/skill.md\n";
        let found = addresses(said.as_bytes()).map(|(ssh, http)| (ssh.port(), http.port()));
        assert_eq!(found, Some((22, 80)));
        assert_eq!(addresses("forge: serving d\n  ssh://127.0.0.1:22\n".as_bytes()), None);
    }

    #[test]
    fn processor_time_is_that_of_the_process_and_its_children() {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let stat = "7 (a) name) S 1 2 3 4 5 6 7 8 9 10 40 30 20 10 99 99 99";
        assert_eq!(seconds(stat) * ticks, 100.0);
        assert!(Takes::here().resident > 1.0);
    }
}
