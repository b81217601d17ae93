//! Stock git in an agent's clone: the few calls that the recorder makes.
//!
//! Invariant: the user's index is only read; a copy of it is what `git add` sees.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use notes_schema::trace::Nonce;
use notes_schema::{AgentName, ItemRef, Oid, ProjectName};

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not be started, or a file could not be read.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// It refused.
    #[error("`git {command}` said: {why}")]
    Failed {
        /// Its first arguments.
        command: String,
        /// First line of what it said.
        why: String,
    },
    /// It answered something else than expected.
    #[error("{0}")]
    Unexpected(String),
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> GitError {
    let what = what.into();
    move |source| GitError::Io { what, source }
}

/// One call of git about to be made.
pub struct Call<'a> {
    command: Command,
    shown: String,
    input: &'a [u8],
}

impl<'a> Call<'a> {
    /// Sets a variable of its environment.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Gives it bytes to read.
    pub fn input(mut self, bytes: &'a [u8]) -> Self {
        self.input = bytes;
        self
    }

    /// What it prints, when it succeeds.
    pub fn bytes(mut self) -> Result<Vec<u8>, GitError> {
        let what = || format!("git {}", self.shown);
        self.command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(io(what()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Everything given here is read before git prints, so writing first cannot block for ever.
            stdin.write_all(self.input).map_err(io(what()))?;
        }
        let output = child.wait_with_output().map_err(io(what()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why =
            said.lines().find(|line| !line.is_empty() && !line.starts_with("hint:")).unwrap_or("nothing").to_owned();
        Err(GitError::Failed { command: self.shown, why })
    }

    /// What it prints, unless that is more than `most` bytes; then it is stopped.
    pub fn at_most(mut self, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        let what = || format!("git {}", self.shown);
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.command.spawn().map_err(io(what()))?;
        let mut bytes = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(most + 1).read_to_end(&mut bytes).map_err(io(what()))?;
        }
        if bytes.len() as u64 > most {
            // It may have ended by itself in the meantime.
            let _ = child.kill();
            child.wait().map_err(io(what()))?;
            return Ok(None);
        }
        if child.wait().map_err(io(what()))?.success() {
            return Ok(Some(bytes));
        }
        Err(GitError::Failed { command: self.shown, why: "nothing that helps".to_owned() })
    }

    /// What it prints, as one line of text.
    pub fn line(self) -> Result<String, GitError> {
        let bytes = self.bytes()?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
    }

    /// The object id that it prints.
    pub fn id(self) -> Result<Oid, GitError> {
        let line = self.line()?;
        line.parse().map_err(|e| GitError::Unexpected(format!("this needs a SHA-1 repository: {e}")))
    }

    /// The list that it prints with `-z`.
    pub fn list(self) -> Result<Vec<String>, GitError> {
        let bytes = self.bytes()?;
        let parts = bytes.split(|&b| b == 0).filter(|part| !part.is_empty());
        Ok(parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect())
    }
}

/// A clone with a work tree.
pub struct Git {
    top: PathBuf,
}

impl Git {
    /// The clone that `here` is in.
    pub fn find(here: &Path) -> Result<Git, GitError> {
        let top = call_in(here, &["rev-parse", "--show-toplevel"]).line()?;
        let top = PathBuf::from(top).canonicalize().map_err(io("the top of the work tree"))?;
        Ok(Git { top })
    }

    /// The top of its work tree.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// A call of git at the top of the work tree.
    pub fn call(&self, args: &[&str]) -> Call<'static> {
        call_in(&self.top, args)
    }

    /// The tree of a revision.
    pub fn tree_of(&self, revision: &str) -> Result<Oid, GitError> {
        self.call(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{tree}}")]).id()
    }

    /// The work tree as a tree object, as `git add -A && git commit` would make it: untracked in, ignored out.
    pub fn snapshot(&self) -> Result<Oid, GitError> {
        let index = self.git_path("index")?;
        let git_dir = self.git_path("")?;
        // A directory of its own, since git makes a lock file beside the index.
        let scratch =
            tempfile::Builder::new().prefix("forge-run-").tempdir_in(&git_dir).map_err(io("a copy of the index"))?;
        let copy = scratch.path().join("index");
        match std::fs::metadata(&index) {
            Ok(meta) => {
                // A fresh index would be wrong in a sparse checkout. The copy keeps the index's own time: git compares
                // it with those of files to find the ones that changed within the index's last moment.
                std::fs::copy(&index, &copy).map_err(io("a copy of the index"))?;
                let file = std::fs::File::options().append(true).open(&copy).map_err(io("a copy of the index"))?;
                meta.modified().and_then(|time| file.set_modified(time)).map_err(io("the time of the index"))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("the index")(error)),
        }
        self.call(&["add", "-A", "."]).env("GIT_INDEX_FILE", &copy).bytes()?;
        self.call(&["write-tree"]).env("GIT_INDEX_FILE", &copy).id()
    }

    fn git_path(&self, name: &str) -> Result<PathBuf, GitError> {
        let args: &[&str] =
            if name.is_empty() { &["rev-parse", "--absolute-git-dir"] } else { &["rev-parse", "--git-path", name] };
        Ok(self.top.join(self.call(args).line()?))
    }

    /// Files that are neither tracked nor ignored.
    pub fn untracked(&self) -> Result<Vec<String>, GitError> {
        self.call(&["ls-files", "--others", "--exclude-standard", "-z"]).list()
    }

    /// Paths that differ between two trees.
    pub fn differing(&self, a: Oid, b: Oid) -> Result<Vec<String>, GitError> {
        self.call(&["diff-tree", "-r", "--name-only", "-z", &a.to_string(), &b.to_string()]).list()
    }

    /// The patch from one tree to another in the one form that is replayed; nothing where it has more than `most` bytes.
    pub fn patch(&self, from: Oid, to: Oid, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        let (from, to) = (from.to_string(), to.to_string());
        let mut call = self.call(&[hooks::patch::FORM, &[&from, &to]].concat());
        call.command.env_remove("GIT_DIFF_OPTS").env_remove("GIT_EXTERNAL_DIFF");
        // What a partial clone lacks is not fetched: this never talks to a server.
        call.command.env("GIT_NO_LAZY_FETCH", "1");
        call.shown = "diff-tree".to_owned();
        call.at_most(most)
    }

    /// What `start` put into the configuration.
    pub fn settings(&self) -> Result<Settings, GitError> {
        // Exit status 1 means that nothing matched.
        let entries = match self.call(&["config", "-z", "--get-regexp", r"^forge\."]).list() {
            Ok(entries) => entries,
            Err(GitError::Failed { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let pairs = entries.into_iter().filter_map(|entry| {
            let (key, value) = entry.split_once('\n')?;
            Some((key.to_owned(), value.trim().to_owned()))
        });
        Ok(Settings { values: pairs.filter(|(_, value)| !value.is_empty()).collect() })
    }
}

fn call_in(directory: &Path, args: &[&str]) -> Call<'static> {
    let mut command = Command::new("git");
    command.current_dir(directory).args(args).env("LC_ALL", "C");
    let shown = args.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    Call { command, shown, input: &[] }
}

/// The section `forge` of git's configuration.
pub struct Settings {
    values: HashMap<String, String>,
}

/// Whose run it is, and what for.
pub struct Identity {
    /// `forge.project`, or the project in `forge.issue`.
    pub project: ProjectName,
    /// `forge.issue`: `12`, `parser#12` or `parser/12`.
    pub issue: Option<u64>,
    /// `forge.agent`.
    pub agent: AgentName,
    /// `forge.nonce`, hexadecimal.
    pub nonce: Nonce,
    /// `forge.key`, where it is a fingerprint.
    pub key_fp: Option<String>,
    /// `forge.base`.
    pub base: Option<Oid>,
    /// `forge.subject`, which `challenge` sets in a clone of its own.
    pub subject: Option<String>,
}

impl Settings {
    fn get<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.values.get(key)?.parse().ok()
    }

    fn project(&self) -> Option<ProjectName> {
        self.get("forge.project").or_else(|| self.get::<ItemRef>("forge.issue").map(|item| item.project))
    }

    fn issue(&self) -> Option<u64> {
        let text = self.values.get("forge.issue")?;
        notes_schema::names::parse_number(text).or_else(|| Some(text.parse::<ItemRef>().ok()?.n))
    }

    /// All that a record needs, or nothing.
    pub fn identity(&self) -> Option<Identity> {
        Some(Identity {
            project: self.project()?,
            issue: self.issue(),
            agent: self.get("forge.agent")?,
            nonce: self.get("forge.nonce")?,
            key_fp: self.values.get("forge.key").filter(|key| key.starts_with("SHA256:") && key.len() <= 64).cloned(),
            base: self.get("forge.base"),
            subject: self.get("forge.subject"),
        })
    }

    /// Names of the settings that are missing or misspelled.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.get::<AgentName>("forge.agent").is_none() {
            missing.push("forge.agent");
        }
        if self.project().is_none() {
            missing.push("forge.project");
        }
        if self.get::<Nonce>("forge.nonce").is_none() {
            missing.push("forge.nonce");
        }
        missing
    }

    /// The command whose answer sets what is missing.
    pub fn start_command(&self) -> String {
        match (self.project(), self.issue()) {
            (Some(project), Some(n)) => format!("ssh forge start {project}/{n}"),
            (_, None) | (None, _) => "ssh forge feed".to_owned(),
        }
    }
}
