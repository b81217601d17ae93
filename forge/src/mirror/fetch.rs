//! Stock git as the transport: what a remote shows, and its objects brought into a repository.
//!
//! Invariant: only the schemes that an [`Upstream`](super::Upstream) can have are spoken, no hook and no maintenance of
//! git's own runs, and no ref is written.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use notes_schema::{Oid, RefName, refs};

use git::store::{Objects as _, Store};

/// The longest list of refs that is read from a remote.
/// Limit: refs that a followed forge shows, as text | {:bytes}
const MOST_SHOWN: u64 = 256 << 20;
/// Packs of a mirrored repository after which small ones are gathered.
/// Limit: packs of a mirrored repository after which small ones are gathered | {}
const MANY_PACKS: usize = 64;

/// Why git brought nothing.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct FetchError {
    what: String,
    why: String,
}

impl FetchError {
    fn new(what: &str, why: impl Into<String>) -> Self {
        FetchError { what: what.to_owned(), why: why.into() }
    }
}

/// `git` in `git_dir`: the operator's own keys and credentials, and nothing of a repository that it happens to stand in.
fn git(git_dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(git_dir).arg("--git-dir=.");
    for setting in [
        "protocol.allow=never",
        "protocol.http.allow=always",
        "protocol.https.allow=always",
        "protocol.ssh.allow=always",
        "protocol.version=2",
        "core.hooksPath=/dev/null",
        "gc.auto=0",
        "maintenance.auto=false",
        "fetch.unpackLimit=1",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=300",
        "repack.writeBitmaps=false",
    ] {
        command.args(["-c", setting]);
    }
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        command.env_remove(inherited);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command
}

/// What `command` prints when it is given `input`. Its own words where it fails.
fn said(mut command: Command, what: &str, input: Vec<u8>) -> Result<String, FetchError> {
    let failed = |e: std::io::Error| FetchError::new(what, format!("git cannot be run: {e}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Each pipe is served by itself, so that none of them fills while another is waited for.
    let feeding = std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let words = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.map(|pipe| pipe.take(64 << 10).read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut text = Vec::new();
    let read = stdout.map_or(Ok(0), |pipe| pipe.take(MOST_SHOWN + 1).read_to_end(&mut text));
    if read.is_err() || text.len() as u64 > MOST_SHOWN {
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let _ = feeding.join();
    let words = words.join().unwrap_or_default();
    if !status.success() {
        let why = words.lines().find(|l| l.starts_with("fatal: ") || l.starts_with("error: "));
        let why = why.or(words.lines().last()).unwrap_or("git failed without a word");
        return Err(FetchError::new(what, why.trim_start_matches("fatal: ")));
    }
    String::from_utf8(text).map_err(|_| FetchError::new(what, "git printed something that is no text"))
}

fn list(git_dir: &Path, url: &str, only: &[&str]) -> Result<BTreeMap<RefName, Oid>, FetchError> {
    let mut command = git(git_dir);
    command.args(["ls-remote", "--quiet", "--refs", "--", url]).args(only);
    let text = said(command, url, Vec::new())?;
    let read = |line: &str| {
        let (id, name) = line.split_once('\t')?;
        Some((name.parse().ok()?, id.parse().ok()?))
    };
    let odd = |line: &str| FetchError::new(url, format!("it shows a ref that no forge has: {}", line.escape_debug()));
    text.lines().map(|line| read(line).ok_or_else(|| odd(line))).collect()
}

/// The remote's ledger commit; `None` where it shows no ledger. A few hundred bytes on the wire.
pub fn tip(git_dir: &Path, url: &str) -> Result<Option<Oid>, FetchError> {
    Ok(list(git_dir, url, &[refs::LEDGER])?.remove(&refs::ledger()))
}

/// Every ref that the remote shows, as of one moment.
pub fn shown(git_dir: &Path, url: &str) -> Result<BTreeMap<RefName, Oid>, FetchError> {
    list(git_dir, url, &[])
}

/// Brings what `shown` names and `store` lacks. Chains of entities come with the ledger, which reaches them all.
pub fn objects(store: &Store, url: &str, shown: &BTreeMap<RefName, Oid>) -> Result<(), FetchError> {
    let missing = shown.iter().filter(|(name, id)| refs::entity_of(name).is_none() && !store.contains(**id));
    let wants: String = missing.map(|(_, id)| format!("{id}\n")).collect();
    if wants.is_empty() {
        return Ok(());
    }
    let mut command = git(store.git_dir());
    command.args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--refmap="]);
    command.args(["--no-recurse-submodules", "--stdin", "--", url]);
    said(command, url, wants.into_bytes()).map(drop)
}

/// Gathers small packs where many have come together. Nothing is dropped.
pub fn tidy(git_dir: &Path) -> Result<(), FetchError> {
    let what = git_dir.display().to_string();
    let entries = std::fs::read_dir(git_dir.join("objects/pack")).map_err(|e| FetchError::new(&what, e.to_string()))?;
    let is_pack = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|kind| kind == "pack");
    if entries.filter_map(Result::ok).filter(is_pack).count() < MANY_PACKS {
        return Ok(());
    }
    let mut command = git(git_dir);
    command.args(["repack", "--quiet", "-d", "--geometric=2", "-n"]);
    said(command, &what, Vec::new()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_packs_are_gathered_and_nothing_is_dropped_that_no_ref_reaches() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("x.git");
        ::git::packed_refs::init_bare(&here, &"refs/heads/main".parse().unwrap()).unwrap();
        let run = |args: &[&str], input: &str| {
            let mut command = git(&here);
            command.args(args);
            said(command, "git", input.as_bytes().to_vec()).unwrap().trim().to_owned()
        };
        let is_pack =
            |e: std::io::Result<std::fs::DirEntry>| e.unwrap().path().extension().is_some_and(|k| k == "pack");
        let packs =
            || std::fs::read_dir(here.join("objects/pack")).unwrap().filter_map(|e| is_pack(e).then_some(())).count();
        let mut blobs = Vec::new();
        for n in 0..MANY_PACKS {
            assert_eq!(packs(), n);
            tidy(&here).unwrap();
            let blob = run(&["hash-object", "-w", "--stdin"], &n.to_string());
            run(&["pack-objects", "-q", "objects/pack/pack"], &blob);
            run(&["prune-packed", "-q"], "");
            blobs.push(blob);
        }
        tidy(&here).unwrap();
        assert!(packs() < 10, "{}", packs());
        for (n, blob) in blobs.iter().enumerate() {
            assert_eq!(run(&["cat-file", "blob", blob], ""), n.to_string());
        }
    }

    #[test]
    fn other_schemes_than_the_three_are_not_spoken() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("x.git");
        ::git::packed_refs::init_bare(&here, &"refs/heads/main".parse().unwrap()).unwrap();
        for url in [format!("file://{}", here.display()), here.display().to_string(), "ext::sh -c true".to_owned()] {
            let why = tip(&here, &url).unwrap_err().to_string();
            assert!(why.contains("not allowed"), "{why}");
        }
    }
}
