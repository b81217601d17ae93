//! The machine that was measured on, as far as it explains the numbers.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// The machine that was measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Model of its processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Its memory, MiB.
    pub memory_mib: u64,
    /// Runnable processes per minute while the measurement began: what else went on.
    pub load: String,
    /// Kernel.
    pub kernel: String,
    /// Kind of file system under the directory measured in.
    pub filesystem: String,
    /// Version of git.
    pub git: String,
    /// How this program was built: `release`, or `debug`, whose numbers mean nothing.
    pub build: &'static str,
}

impl Machine {
    /// The machine in a line, and in a second one what makes its numbers void.
    pub fn line(&self) -> String {
        let Machine { cpu, cores, memory_mib, load, kernel, filesystem, git, build } = self;
        let mut text = format!(
            "{cpu}, {cores} cores, {memory_mib} MiB, {filesystem}, Linux {kernel}, load {load}, git {git}, {build} build\n"
        );
        if *build == "debug" {
            text.push_str("THIS IS A DEBUG BUILD: its numbers say nothing about the server (cargo build --release).\n");
        }
        text
    }
}

/// What can be found out; an unknown thing is said to be unknown.
pub fn describe(dir: &Path) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    let memory = read("/proc/meminfo");
    let memory =
        memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let git = Command::new("git").arg("--version").output().ok();
    let git = git.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    Machine {
        cpu: cpu.unwrap_or("unknown").to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: memory.unwrap_or(0) / 1024,
        load: read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        filesystem: filesystem(dir, &read("/proc/self/mounts")),
        git: git.trim_start_matches("git version ").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
    }
}

/// The kind of the file system whose mount point is the longest that leads to `dir`.
fn filesystem(dir: &Path, mounts: &str) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (point, kind) = (words.nth(1)?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    found.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_names_the_file_system() {
        let mounts = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\ntmpfs /proc/self tmpfs rw 0 0\n";
        assert_eq!(filesystem(Path::new("/"), mounts), "ext4");
        assert_eq!(filesystem(Path::new("/proc/sys"), mounts), "proc");
        assert_eq!(filesystem(Path::new("/nowhere"), ""), "unknown");
    }
}
