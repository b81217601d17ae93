//! Where a run happened, without host, user or address.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use notes_schema::Sha256;
use notes_schema::trace::{Environment, limits};

/// Lock files that are looked for at the top of the work tree.
const LOCK_FILES: &[&str] = &[
    "Cargo.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "go.sum",
    "poetry.lock",
    "uv.lock",
    "Pipfile.lock",
    "requirements.txt",
    "Gemfile.lock",
];
/// A lock file larger than this is not read.
/// Limit: lock file that is recorded | {:bytes}; a larger one is not recorded
const LARGEST_LOCK_FILE: u64 = 32 << 20;

/// A tool and the argument that makes it say its version.
type Asked = (&'static str, &'static str);

/// Programs, and what is asked for their tools' versions. Only these are started: another program might do anything.
const TOOLS: &[(&[&str], &[Asked])] = &[
    (&["cargo", "rustc", "cargo-nextest"], &[("cargo", "--version"), ("rustc", "--version")]),
    (&["node", "npm", "npx", "pnpm", "yarn"], &[("node", "--version")]),
    (&["python", "python3", "pytest", "tox"], &[("python3", "--version")]),
    (&["go"], &[("go", "version")]),
];

/// Describes the machine and what the command builds on.
pub fn describe(top: &Path, command: &[OsString]) -> Environment {
    let program = command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let asked = TOOLS.iter().find(|(programs, _)| programs.contains(&&*program)).map_or(&[][..], |(_, asked)| asked);
    let tools = asked.iter().filter_map(|(tool, how)| Some(((*tool).to_owned(), version(top, tool, how)?)));
    let lockfiles = LOCK_FILES.iter().filter_map(|name| Some(((*name).to_owned(), digest(&top.join(name))?)));
    Environment {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpus: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
        mem_mib: memory_mib().unwrap_or(0),
        tools: tools.collect(),
        lockfiles: lockfiles.collect(),
        image_digest: None,
    }
}

/// The first word with a digit in what the tool says of itself.
fn version(top: &Path, tool: &str, how: &str) -> Option<String> {
    let output =
        Command::new(tool).arg(how).current_dir(top).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = said.split_whitespace().find(|word| word.bytes().any(|b| b.is_ascii_digit()))?;
    (output.status.success() && word.len() <= limits::TEXT).then(|| word.to_owned())
}

fn digest(path: &Path) -> Option<Sha256> {
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > LARGEST_LOCK_FILE {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_LOCK_FILE).read_to_end(&mut bytes).ok()?;
    Some(Sha256::of(&bytes))
}

fn memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
