//! Code for a project that has none: one commit of a git bundle, and what it reaches, pushed by stock git.
//!
//! Invariant: nothing else of the bundle leaves this machine: neither its other refs, nor what came after the commit that
//! the rows are about.

use std::path::Path;
use std::process::{Command, Stdio};

use notes_schema::Oid;

/// Pushes `base`, or where there is none the tip of the bundle's `main`, to `branch` of the repository at `url`. Returns
/// what was pushed.
pub(super) fn push(file: &Path, base: Option<Oid>, url: &str, token: &str, branch: &str) -> Result<Oid, String> {
    let scratch = tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
    let code = scratch.path().join("code.git");
    let what = file.display();
    if !file.is_file() {
        return Err(format!("{what}: there is no such file"));
    }
    // A name with a colon or a dash in front would be something else to git.
    let file = std::path::absolute(file).map_err(|e| format!("{what}: {e}"))?;
    let mut clone = git();
    clone.args(["clone", "--quiet", "--bare", "--"]).arg(&file).arg(&code);
    said(&mut clone).map_err(|why| format!("{what}: {why}"))?;
    let inside = || {
        let mut git = git();
        git.arg("--git-dir").arg(&code);
        git
    };
    let tip = said(inside().args(["rev-parse", "--verify", "--quiet", "refs/heads/main^{commit}"]));
    let tip: Oid = tip.ok().and_then(|id| id.trim().parse().ok()).ok_or(format!("{what}: it has no branch main"))?;
    let commit = base.unwrap_or(tip);
    let is_reached = said(inside().args(["merge-base", "--is-ancestor", &commit.to_string(), &tip.to_string()]));
    if is_reached.is_err() {
        return Err(format!("{what}: its main does not reach {commit}, which the rows are about"));
    }
    let mut push = inside();
    // In the environment: arguments can be read by everybody on the machine.
    push.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader");
    push.env("GIT_CONFIG_VALUE_0", format!("Authorization: Bearer {token}"));
    push.args(["push", "--quiet", "--", url, &format!("{commit}:refs/heads/{branch}")]);
    said(&mut push).map_err(|why| format!("{url}: {why}"))?;
    Ok(commit)
}

/// `git` with the operator's own settings, and nothing of a repository that it happens to stand in.
fn git() -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        command.env_remove(inherited);
    }
    if let Some(trusted) = std::env::var_os("SSL_CERT_FILE").filter(|_| std::env::var_os("GIT_SSL_CAINFO").is_none()) {
        command.env("GIT_SSL_CAINFO", trusted);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// What git prints; where it fails, its own words.
fn said(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|e| format!("git cannot be run: {e}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).take(12).collect();
    Err(if words.is_empty() { "git failed without a word".to_owned() } else { words.join("\n") })
}
