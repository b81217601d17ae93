//! The agent's signature on a record, made by `ssh-keygen` as git makes those on commits.
//!
//! Invariant: asks nothing of a terminal. Without a key there is no signature; what goes wrong is said, and the record goes
//! unsigned.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::git::{Git, Identity};
use crate::ledger::SIGNATURE_NAMESPACE;

/// The armored signature over `file`, where the clone's configuration names a key; or why there is none.
pub fn signature(git: &Git, identity: &Identity, file: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some(key) = key(git, identity) else { return Ok(None) };
    let key = key.to_string_lossy().into_owned();
    // An empty passphrase, so that none is asked for: a key that has one is used through the agent.
    keygen(&["-Y", "sign", "-P", "", "-n", SIGNATURE_NAMESPACE, "-f", &key], file).map(Some)
}

/// `forge.signingkey`; or the key that git signs with, where it is the one that the forge knows the agent by.
fn key(git: &Git, identity: &Identity) -> Option<PathBuf> {
    let setting =
        |name: &str| git.call(&["config", "--type=path", "--get", name]).line().ok().filter(|v| !v.is_empty());
    if let Some(key) = setting("forge.signingkey") {
        return Some(key.into());
    }
    let of_git = setting("user.signingkey").filter(|_| setting("gpg.format").as_deref() == Some("ssh"))?;
    let known = identity.key_fp.as_ref()?;
    let listed = keygen(&["-l", "-f", &of_git], &[]).ok()?;
    let is_known = String::from_utf8_lossy(&listed).split_whitespace().any(|word| word == known);
    is_known.then(|| of_git.into())
}

/// What `ssh-keygen` prints, or the last that it complained of.
fn keygen(args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let said = |e: std::io::Error| format!("ssh-keygen: {e}");
    let mut command = Command::new("ssh-keygen");
    command.args(args).env("LC_ALL", "C").env("SSH_ASKPASS_REQUIRE", "never");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(said)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may have given up before it reads; then its exit status says so.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(said)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("ssh-keygen failed").to_owned())
}
