//! Keeping a repository's commit-graph: stock git writes it, in layers, with changed paths.
//!
//! Invariant: it names nothing but what the given tips reach, and losing it loses nothing: a graph that git cannot go on
//! from is removed, and so is what a killed git left, before the next one runs.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use notes_schema::Oid;

use crate::child;

/// How often it is looked whether git is done.
const PAUSE: Duration = Duration::from_millis(50);
/// How much of git's error stream is kept.
const KEPT_WORDS: u64 = 4096;
/// Where layers are.
const LAYERS: &str = "objects/info/commit-graphs";

/// Ends the child, if it still runs, with all that it started.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let pid = rustix::process::Pid::from_child(&self.0);
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Adds everything that `tips` reach to the commit-graph; tips that are no commits count for nothing. It is ended when
/// `go_on` says so. Blocks; one at a time for a repository.
pub fn write(git_dir: &Path, tips: &[Oid], go_on: &dyn Fn() -> bool) -> io::Result<()> {
    let written = run(git_dir, tips, go_on);
    if written.is_err() && go_on() {
        // Whatever git stumbled over was a cache.
        remove(git_dir)?;
    }
    written
}

fn run(git_dir: &Path, tips: &[Oid], go_on: &dyn Fn() -> bool) -> io::Result<()> {
    let mut command = child::git();
    // Readers trust what has its name: it must survive a power cut whole.
    command.args(["-c", "core.fsync=all", "--git-dir"]).arg(git_dir).args(["commit-graph", "write", "--no-progress"]);
    command.args(["--stdin-commits", "--split", "--changed-paths"]).stdout(Stdio::null());
    let mut child = Ended(command.spawn()?);
    // Pushes come first.
    let pid = rustix::process::Pid::from_child(&child.0);
    let _ = rustix::process::setpriority_process(Some(pid), 19);
    let words = child.0.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            let mut words = String::new();
            let mut stderr = stderr;
            let _ = (&mut stderr).take(KEPT_WORDS).read_to_string(&mut words);
            let _ = io::copy(&mut stderr, &mut io::sink());
            words
        })
    });
    if let Some(stdin) = child.0.stdin.take() {
        let mut stdin = io::BufWriter::new(stdin);
        let fed = tips.iter().try_for_each(|tip| writeln!(stdin, "{tip}")).and_then(|()| stdin.flush());
        // A git that left before it has read all says why.
        drop(fed);
    }
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        if !go_on() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the forge stops"));
        }
        std::thread::sleep(PAUSE);
    };
    if status.success() {
        return Ok(());
    }
    let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
    Err(io::Error::other(format!("git commit-graph: {status}: {}", words.trim())))
}

/// Removes the commit-graph; it is never more than a cache.
pub fn remove(git_dir: &Path) -> io::Result<()> {
    let absent = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    absent(fs::remove_file(git_dir.join("objects/info/commit-graph")))?;
    absent(fs::remove_dir_all(git_dir.join(LAYERS)))
}

/// Removes what a git that was killed left behind. Only before any other is started.
pub fn sweep(git_dir: &Path) -> io::Result<()> {
    for dir in ["objects/info", LAYERS] {
        let entries = match fs::read_dir(git_dir.join(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("tmp_graph") || (name.starts_with("commit-graph") && name.ends_with(".lock")) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::history;
    use crate::store::Objects as _;
    use crate::testing::Repo;

    #[test]
    fn layers_are_added_as_history_grows() {
        let repo = Repo::bare();
        let shape: Vec<(Vec<usize>, u64)> = (0..50).map(|n| (vec![0], 1000 + n)).collect();
        let ids = history(&repo, &shape);
        let blob = repo.id("n0:d0/f0");
        let store = repo.store();
        for upto in [10, 11, 50] {
            write(&repo.git_dir(), &[ids[upto - 1], blob], &|| true).expect("written");
            assert_eq!(store.graph().map(|graph| graph.len()), Some(upto));
            repo.git(&["commit-graph", "verify"]);
        }
        repo.assert_clean();
        // Nobody gets a graph of what is not there.
        write(&repo.git_dir(), &[Oid::from_bytes([9; 20])], &|| true).expect_err("missing");
        assert!(store.graph().is_none(), "what git failed on is gone");
        write(&repo.git_dir(), &ids, &|| true).expect("written anew");
        assert_eq!(store.graph().map(|graph| graph.len()), Some(50));
        write(&repo.git_dir(), &ids, &|| false).map_or_else(|e| assert_eq!(e.kind(), io::ErrorKind::Interrupted), drop);
        assert!(store.graph().is_some());
    }

    #[test]
    fn what_a_killed_git_left_is_swept() {
        let repo = Repo::bare();
        let ids = history(&repo, &[(vec![], 1), (vec![0], 2)]);
        write(&repo.git_dir(), &ids[..1], &|| true).expect("written");
        let layers = repo.git_dir().join(LAYERS);
        for name in ["tmp_graph_abcdef", "commit-graph-chain.lock"] {
            fs::write(layers.join(name), "half").expect("written");
        }
        write(&repo.git_dir(), &ids, &|| true).expect_err("locked");
        write(&repo.git_dir(), &ids[..1], &|| true).expect("the lock went with the rest");
        for name in ["tmp_graph_abcdef", "commit-graph-chain.lock"] {
            fs::write(layers.join(name), "half").expect("written");
        }
        sweep(&repo.git_dir()).expect("swept");
        assert_eq!(fs::read_dir(&layers).expect("a directory").count(), 2, "the list and one layer");
        write(&repo.git_dir(), &ids, &|| true).expect("written");
        repo.git(&["commit-graph", "verify"]);
    }
}
