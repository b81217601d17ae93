//! What a forge needs of its machine and its data directory, looked at one by one, each with its mend.
//!
//! Invariant: looks only; nothing is made, mended or moved. What is in the repositories is `forge verify`'s to check.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use notes_schema::refs;
use rustix::fs::FlockOperation;

use crate::config::Config;
use crate::ledger::{Clock, read_batch};
use crate::mirror::Upstream;
use git::packed_refs;
use git::store::Store;

/// The oldest git whose commands are used.
const OLDEST_GIT: (u32, u32) = (2, 32);
/// Free space below which a forge should not be started, in bytes.
/// Limit: free space below which `forge doctor` objects | {:bytes}
const LEAST_FREE: u64 = 1 << 30;
/// Open files beside connections: packs, indexes, logs.
const OTHER_FILES: u64 = 512;
/// How far the clock may be behind what was written, milliseconds.
/// Limit: age of what was written that the clock may be behind, for `forge doctor` | {:ms}
const CLOCK_TOLERANCE_MS: u64 = 86_400_000;

/// One prerequisite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it stands, or why it is broken and the command that mends it.
    pub state: Result<String, (String, String)>,
}

fn broken(why: impl Into<String>, next: impl Into<String>) -> Result<String, (String, String)> {
    Err((why.into(), next.into()))
}

/// Looks at everything that a forge with these settings needs.
pub fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let data = &config.data;
    let mut found = vec![
        Finding { what: "git", state: git_version() },
        Finding { what: "open files", state: open_files(config) },
        Finding { what: "data directory", state: directory(data) },
    ];
    if !data.is_dir() {
        return found;
    }
    let runs = is_in_use(data);
    found.push(Finding { what: "free space", state: free_space(data) });
    found.push(Finding { what: "secrets", state: secrets(data) });
    found.push(Finding { what: "forge.git", state: root(data, clock) });
    found.push(Finding { what: "mirror", state: mark(data) });
    // A forge that runs there has the addresses itself.
    if !runs {
        found.push(Finding { what: "SSH address", state: address("--ssh", config.ssh) });
        found.push(Finding { what: "HTTP address", state: address("--http", config.http) });
    }
    found
}

fn git_version() -> Result<String, (String, String)> {
    let said = Command::new("git").arg("version").output();
    let text = said.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let version = text.split(' ').nth(2).unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (least_major, least_minor) = OLDEST_GIT;
    match (major, minor) >= OLDEST_GIT {
        true => Ok(version.to_owned()),
        false if text.is_empty() => broken("git cannot be run", "command -v git || echo 'install git'"),
        false => broken(format!("{version} is older than {least_major}.{least_minor}"), "git version"),
    }
}

fn open_files(config: &Config) -> Result<String, (String, String)> {
    let limits = &config.limits;
    let needed = (limits.ssh_connections + limits.http_connections) as u64 + OTHER_FILES;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match (limit.current, limit.maximum) {
        (Some(now), _) if now >= needed => Ok(now.to_string()),
        (None, _) => Ok("unlimited".to_owned()),
        (Some(now), most) => {
            let why = format!("{now} may be open at once, and so many connections as are allowed need {needed}");
            let fits = most.is_none_or(|most| most >= needed);
            // Where the system gives no more, fewer connections need fewer.
            let half = now.saturating_sub(OTHER_FILES).max(64) / 2;
            let next = match fits {
                true => format!("ulimit -n {needed}"),
                false => format!("export FORGE_LIMIT_SSH_CONNECTIONS={half} FORGE_LIMIT_HTTP_CONNECTIONS={half}"),
            };
            broken(why, next)
        }
    }
}

fn directory(data: &Path) -> Result<String, (String, String)> {
    let shown = data.display();
    match fs::metadata(data) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(format!("{shown} is not there yet; `forge serve` makes it"))
        }
        Err(error) => broken(format!("{shown}: {error}"), format!("ls -ld {shown}")),
        Ok(metadata) if !metadata.is_dir() => broken(format!("{shown} is no directory"), format!("ls -ld {shown}")),
        Ok(_) => match rustix::fs::access(data, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(shown.to_string()),
            Err(error) => broken(format!("{shown} takes no writes: {error}"), format!("chmod u+rwx {shown}")),
        },
    }
}

fn free_space(data: &Path) -> Result<String, (String, String)> {
    match rustix::fs::statvfs(data) {
        Err(error) => broken(error.to_string(), format!("df -h {}", data.display())),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let shown = format!("{} MiB", free >> 20);
            if free >= LEAST_FREE {
                Ok(shown)
            } else {
                broken(format!("only {shown}"), format!("df -h {}", data.display()))
            }
        }
    }
}

/// Whether a forge runs on the directory.
fn is_in_use(data: &Path) -> bool {
    let Ok(file) = File::open(data.join("lock")) else { return false };
    // The lock goes with the file at the end of this function.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

fn secrets(data: &Path) -> Result<String, (String, String)> {
    let dir = data.join("secrets");
    let mut files = match fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok("none yet; `forge serve` makes them".to_owned());
        }
        Err(error) => return broken(format!("{}: {error}", dir.display()), format!("chmod u+rwx {}", dir.display())),
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect::<Vec<_>>(),
    };
    files.sort();
    for path in std::iter::once(&dir).chain(&files) {
        let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
        if mode & 0o077 != 0 {
            let why = format!("others may look into {}", path.display());
            return broken(why, format!("chmod -R go-rwx {}", dir.display()));
        }
    }
    for path in files.iter().filter(|path| path.to_string_lossy().ends_with("_key")) {
        let key = fs::read(path).map_err(|e| e.to_string());
        let read = key.and_then(|bytes| russh::keys::PrivateKey::from_openssh(bytes).map_err(|e| e.to_string()));
        if let Err(why) = read {
            let (shown, aside) = (path.display(), path.with_extension("damaged"));
            return broken(format!("{shown} is no key: {why}"), format!("mv {shown} {}", aside.display()));
        }
    }
    Ok(format!("{} files, for their owner alone", files.len()))
}

/// `forge.git`'s newest flushed batch: it can be read by this version, and the clock is not behind it.
fn root(data: &Path, clock: &Clock) -> Result<String, (String, String)> {
    let dir = data.join("repositories/forge.git");
    if !dir.exists() {
        return Ok("not there yet; `forge serve` makes it".to_owned());
    }
    let next = || format!("forge verify {}", data.display());
    let tip = match packed_refs::read_one(&dir, refs::LEDGER) {
        Ok(Some(tip)) => tip,
        Ok(None) => return Ok("nothing of it is flushed yet".to_owned()),
        Err(error) => return broken(error.to_string(), next()),
    };
    let store = Store::open(&dir).map_err(|error| (error.to_string(), next()))?;
    let newest = read_batch(&store, tip).map_err(|error| (error.to_string(), next()))?;
    if clock() + CLOCK_TOLERANCE_MS < newest.batch.t {
        let why =
            format!("the clock is more than a day behind what was written at {}", refs::show_time(newest.batch.t));
        return broken(why, "date -u");
    }
    Ok(format!("batch {} of {}", newest.batch.n, refs::show_time(newest.batch.t)))
}

fn mark(data: &Path) -> Result<String, (String, String)> {
    match Upstream::of(data) {
        Ok(None) => Ok("no; a forge of its own".to_owned()),
        Ok(Some(upstream)) => Ok(format!("of {upstream}, reads only")),
        Err(error) => {
            let path = data.join("upstream");
            broken(format!("{}: {error}", path.display()), format!("mv {0} {0}.damaged", path.display()))
        }
    }
}

fn address(flag: &str, address: SocketAddr) -> Result<String, (String, String)> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(address.to_string()),
        Err(error) => {
            let free = SocketAddr::new(address.ip(), 0);
            broken(format!("{flag} {address}: {error}"), format!("forge doctor {flag} {free}"))
        }
    }
}
