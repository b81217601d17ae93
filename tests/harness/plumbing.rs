//! Below the clients: hand-made push requests, damaged files, and what git itself says of a repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Forge;
use crate::agent::Agent;
use crate::out::{self, Out};

/// The object id that means "no object" on the wire.
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// `git` on a repository of the server or a mirror, as an operator runs it: no configuration of the machine.
pub fn git(dir: &Path, args: &[&str]) -> Out {
    let mut command = out::limited("git");
    command.args(args).current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("LC_ALL", "C.UTF-8").env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_DIR");
    out::run(&mut command, None)
}

/// One pkt-line.
fn pkt(line: &str) -> Vec<u8> {
    format!("{:04x}{line}", line.len() + 4).into_bytes()
}

/// The body of a `git-receive-pack` request: commands as `(old, new, ref)`, then the pack.
pub fn push_body(commands: &[(&str, &str, &str)], pack: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (at, (old, new, name)) in commands.iter().enumerate() {
        let capabilities = if at == 0 { "\0report-status" } else { "" };
        body.extend(pkt(&format!("{old} {new} {name}{capabilities}\n")));
    }
    body.extend(b"0000");
    body.extend(pack);
    body
}

/// Sends a hand-made push over HTTP with `token`: status and whatever came back, read as text.
#[track_caller]
pub fn post_push(forge: &Forge, token: &str, project: &str, body: &[u8]) -> (u16, String) {
    let file = tempfile::NamedTempFile::new_in(forge.scratch()).expect("a file");
    fs::write(file.path(), body).expect("a file");
    let data = format!("@{}", file.path().display());
    let bearer = format!("Authorization: Bearer {token}");
    let url = forge.http_url(&format!("/{project}.git/git-receive-pack"));
    let kind = "Content-Type: application/x-git-receive-pack-request";
    let out = forge.curl(&["-H", &bearer, "-H", kind, "--data-binary", &data, &url]);
    crate::server::split_status(&out)
}

/// A pack that holds what `tip` reaches in `dir` and `without` does not.
#[track_caller]
pub fn pack_of(agent: &Agent, dir: &Path, tip: &str, without: Option<&str>) -> Vec<u8> {
    let exclude = without.map(|id| format!("^{id}\\n")).unwrap_or_default();
    let file = dir.join(".git/made.pack");
    let script = format!("printf '{tip}\\n{exclude}' | git pack-objects -q --revs --stdout > '{}'", file.display());
    agent.sh(dir, &script).ok();
    fs::read(file).expect("a pack")
}

/// The value of `name` as the server advertises it.
#[track_caller]
pub fn remote_ref(agent: &Agent, project: &str, name: &str) -> Option<String> {
    let out = agent.git(agent.home(), &["ls-remote", &agent.ssh_url(project), name]).ok();
    let line = out.stdout.lines().find(|line| line.split('\t').nth(1) == Some(name))?;
    line.split('\t').next().map(str::to_owned)
}

/// `git clone --mirror` of every repository of `forge` into `<to>/repositories`, over SSH.
#[track_caller]
pub fn mirror_all(forge: &Forge, agent: &Agent, to: &Path) {
    let repositories = to.join("repositories");
    fs::create_dir_all(&repositories).expect("a directory");
    for project in forge.projects() {
        let copy = repositories.join(format!("{project}.git"));
        agent.git(to, &["clone", "-q", "--mirror", &agent.ssh_url(&project), copy.to_str().expect("UTF-8")]).ok();
    }
}

/// Panics unless git finds nothing at all to say against the repository. That there is no branch yet is nothing against it:
/// refs on disk follow the ledger with the next flush.
#[track_caller]
pub fn assert_clean(repository: &Path) {
    let out = git(repository, &["fsck", "--full", "--strict", "--no-dangling", "--no-progress"]).ok();
    let faults: Vec<&str> = out.stderr.lines().filter(|line| !line.starts_with("notice: ")).collect();
    assert!(out.stdout.trim().is_empty() && faults.is_empty(), "git fsck should be silent\n{out}");
}

/// All packs of a repository whose name begins with `prefix`, oldest name first.
pub fn packs(repository: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository.join("objects/pack")).expect("a pack directory");
    let mut packs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "pack"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    packs.sort();
    packs
}

/// Flips one bit of one byte of a file.
#[track_caller]
pub fn flip_byte(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a file");
    assert!(at < bytes.len(), "{} has only {} bytes", file.display(), bytes.len());
    bytes[at] ^= 0x10;
    // Packs are read-only files; replacing one needs its directory alone.
    fs::remove_file(file).expect("a file");
    fs::write(file, bytes).expect("a file");
}

/// Where in the packs of `repository` an object is stored: the pack, and the offset of a byte in the midst of it.
#[track_caller]
pub fn locate(repository: &Path, object: &str) -> (PathBuf, usize) {
    for pack in packs(repository, "") {
        let listing = git(repository, &["verify-pack", "-v", pack.to_str().expect("UTF-8")]).ok();
        let Some(line) = listing.stdout.lines().find(|line| line.starts_with(object)) else { continue };
        // `<id> <type> <size> <size in pack> <offset> …`
        let words: Vec<&str> = line.split_whitespace().collect();
        let size: usize = words[3].parse().expect("a size");
        let offset: usize = words[4].parse().expect("an offset");
        return (pack, offset + size / 2);
    }
    panic!("{object} is in no pack of {}", repository.display())
}

/// A byte-for-byte copy of a directory.
#[track_caller]
pub fn copy_tree(from: &Path, to: &Path) {
    let mut command = out::limited("cp");
    command.arg("-a").arg(from).arg(to);
    out::run(&mut command, None).ok();
}
