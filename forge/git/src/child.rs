//! Stock git as a child process: how every one is started.
//!
//! Invariant: a child gets a cleared environment, no configuration but the repository's and what is named here or on its
//! command line, and a process group of its own, so that it and all that it started can be ended together.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// `git` without arguments; its three pipes are ours.
pub(crate) fn git() -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs([
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_NO_LAZY_FETCH", "1"),
    ]);
    command.args(["-c", "safe.directory=*"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0);
    command
}
