//! The recorder, `forge run -- <command>`: runs a command on the work tree as it is and records what happened, bound to
//! that tree. A tool for an agent's own clone; it uses stock `git` and never talks to a server.
//!
//! Invariant: it never keeps a command from running and never changes its exit status; whatever cannot be recorded is
//! said on stderr. Nothing is written that was not searched for secrets first, and nothing outside the object store and
//! one new ref below `refs/notes/forge/out/`.

mod capture;
mod child;
mod environment;
mod git;
mod patch;
mod sign;
mod store;
mod terminal;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooks::secrets::{self, Allowed, Redactor};
use hooks::{benches, reruns};
use notes_schema::trace::{Attempt, ObjectFormat, Record, Tool, limits};
use notes_schema::{Oid, refs};

use child::{Ending, Ran};
use git::{Git, GitError, Settings};

/// What `forge run` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// End the command after this many seconds; it counts as failed, with exit status 124.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// What you had in mind, kept with the run (at most 8 KiB; it becomes public).
    #[arg(long, value_name = "TEXT")]
    pub reasoning: Option<String>,
    /// Run the command of the newest record in this clone again, of those that anybody could run again.
    #[arg(long, conflicts_with = "command")]
    pub again: bool,
    /// The command and its arguments.
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "again"
    )]
    pub command: Vec<OsString>,
}

/// Where the command's output and the recorder's own words go.
#[derive(Clone)]
pub(crate) struct Streams {
    out: Arc<Mutex<dyn Write + Send>>,
    err: Arc<Mutex<dyn Write + Send>>,
    out_is_terminal: bool,
    err_is_terminal: bool,
}

impl Streams {
    fn standard() -> Self {
        Streams {
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            ..Streams::to(std::io::stdout(), std::io::stderr())
        }
    }

    fn to(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        let (out, err) = (Arc::new(Mutex::new(out)), Arc::new(Mutex::new(err)));
        Streams { out, err, out_is_terminal: false, err_is_terminal: false }
    }

    /// One line of the recorder's own.
    fn say(&self, text: &str) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut err = self.err.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Nobody may be listening; the run goes on all the same.
        let _ = writeln!(err, "forge: {line}").and_then(|()| err.flush());
    }
}

/// Runs and records; answers the command's own exit status.
pub fn run(args: RunArgs) -> ExitCode {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    ExitCode::from(run_in(&here, args, &Streams::standard()))
}

fn run_in(here: &Path, args: RunArgs, streams: &Streams) -> u8 {
    let clone = Workspace::find(here);
    let (command, here) = if args.again {
        match clone.as_ref().map_err(|e| e.to_string()).and_then(|clone| clone.last_run(streams)) {
            Ok(last) => last,
            Err(why) => {
                let next = clone.as_ref().map_or_else(|_| "git status".to_owned(), Workspace::first_run);
                streams.say(&format!("no run to repeat: {why}; next: {next}"));
                return 2;
            }
        }
    } else {
        (args.command.clone(), here.to_owned())
    };
    let before = clone.and_then(|clone| {
        let tree = clone.git.snapshot()?;
        Ok((clone, tree))
    });
    let allowed = before.as_ref().map_or_else(|_| Allowed::default(), |(clone, _)| clone.allowed());
    let ran = child::run(&command, &here, args.timeout.map(Duration::from_secs), streams, &allowed);
    let exit = ran.ending.exit_status();
    match before {
        Ok((clone, tree)) => clone.record(&command, &here, tree, ran, args.reasoning.as_deref(), streams),
        Err(error) => streams.say(&format!("not recorded: {error}; next: git status")),
    }
    exit
}

/// The newest record in the clone at `here`.
pub(crate) fn newest(here: &Path) -> Result<Record, String> {
    let records = Git::find(here).and_then(|git| store::newest(&git)).map_err(|e| e.to_string())?;
    records.into_iter().next().ok_or(format!("there is no record below {} here", refs::OUT_PREFIX))
}

/// The clone that the command runs in, and what `start` set in its configuration.
struct Workspace {
    git: Git,
    settings: Settings,
}

impl Workspace {
    fn find(here: &Path) -> Result<Workspace, GitError> {
        let git = Git::find(here)?;
        let settings = git.settings()?;
        Ok(Workspace { git, settings })
    }

    /// The fixtures that the default branch lists, as far as this clone knows it: the forge asks the same list.
    fn allowed(&self) -> Allowed {
        let base = self.settings.identity().and_then(|identity| identity.base);
        let places = [Some("refs/remotes/origin/HEAD".to_owned()), base.map(|base| base.to_string())];
        let list = places.into_iter().flatten().find_map(|place| {
            self.git.call(&["cat-file", "blob", &format!("{place}:{}", secrets::ALLOW_PATH)]).bytes().ok()
        });
        list.map_or_else(Allowed::default, |list| Allowed::parse(&String::from_utf8_lossy(&list)).0)
    }

    /// Command and directory of the newest run here that can be repeated.
    fn last_run(&self, streams: &Streams) -> Result<(Vec<OsString>, PathBuf), String> {
        let records = store::newest(&self.git).map_err(|e| e.to_string())?;
        if records.is_empty() {
            return Err(format!("there is no record below {} here", refs::OUT_PREFIX));
        }
        let found = records.iter().enumerate().find_map(|(newer, record)| Some((newer, self.repeat(record.last())?)));
        let (newer, run) = found.ok_or("no command was recorded in full, in a directory that is here")?;
        if newer > 0 {
            let command = records[newer].last().command();
            streams.say(&format!("again: `{command}`; what was recorded after it can be repeated by nobody"));
        }
        Ok(run)
    }

    /// Records a run in a clone where nothing was run yet: what git can tell of any change.
    fn first_run(&self) -> String {
        let base = self.settings.identity().and_then(|identity| identity.base);
        match base.filter(|base| self.git.tree_of(&base.to_string()).is_ok()) {
            Some(base) => format!("forge run -- git diff --check {base} HEAD"),
            None => "forge run -- git diff --check".to_owned(),
        }
    }

    /// Command and directory that repeat a run, where it stands in full and its directory is here.
    fn repeat(&self, run: &Attempt) -> Option<(Vec<OsString>, PathBuf)> {
        let directory = if run.cwd.is_empty() { self.git.top().to_owned() } else { self.git.top().join(&run.cwd) };
        if !reruns::in_full(run) || !directory.is_dir() {
            return None;
        }
        let words = run.argv.iter().map(OsString::from);
        if self.has_directory(run.tree, &run.cwd) {
            return Some((words.collect(), directory));
        }
        // What no commit takes in, others do not have: they enter it from the top, in words that say so.
        let enter = ["sh", "-c", "cd \"./$0\" && exec \"$@\"", &run.cwd];
        Some((enter.iter().map(OsString::from).chain(words).collect(), self.git.top().to_owned()))
    }

    fn has_directory(&self, tree: Oid, cwd: &str) -> bool {
        let kind = || self.git.call(&["cat-file", "-t", &format!("{tree}:{cwd}")]).line();
        cwd.is_empty() || kind().is_ok_and(|kind| kind == "tree")
    }

    fn record(
        &self,
        command: &[OsString],
        here: &Path,
        tree: Oid,
        ran: Ran,
        reasoning: Option<&str>,
        streams: &Streams,
    ) {
        self.warn(tree, streams);
        let Some(identity) = self.settings.identity() else {
            let missing = self.settings.missing().join(", ");
            let next = self.settings.start_command();
            streams.say(&format!("not recorded: git's configuration lacks {missing}; next: {next}"));
            return;
        };
        let sign = |bytes: &[u8]| {
            let made = self.settings.identity().map(|identity| sign::signature(&self.git, &identity, bytes));
            made.transpose().map(Option::flatten).unwrap_or_else(|why| {
                streams.say(&format!("not signed: {why}; next: git config forge.signingkey ~/.ssh/forge"));
                None
            })
        };
        let written = self.build(identity, command, here, tree, ran, reasoning).and_then(|record| {
            store::write(&self.git, &record, sign)?;
            Ok(record)
        });
        match written {
            Ok(record) => {
                let last = record.last();
                if let Some(why) = &last.patch_omitted_why {
                    streams.say(&format!("the patch to this tree is left out of the record: {why}"));
                }
                let tests = last
                    .tests
                    .as_ref()
                    .map_or(String::new(), |t| format!(", {} passed, {} failed", t.passed, t.failed));
                let took = benches::taken_us(last);
                let took = took.map_or(String::new(), |us| format!(", benchmarks {}.{:03} ms", us / 1000, us % 1000));
                if !reruns::in_full(last) {
                    streams.say(
                        "a word of the command was struck out or left out: nobody can run it again, so it proves nothing; \
                         keep secrets in the environment or a file",
                    );
                }
                let placed = self.has_directory(tree, &last.cwd);
                if !placed {
                    let cwd = &last.cwd;
                    streams.say(&format!("it ran in `{cwd}`, which no commit would hold; next: forge run --again"));
                }
                let committed = self.git.tree_of("HEAD").is_ok_and(|head| head == tree);
                let next = if record.subject.is_some() {
                    // Of another's work a failure says as much.
                    "git push"
                } else if !last.succeeded() || !placed {
                    "forge run --again"
                } else if committed {
                    "git push"
                } else {
                    "git add -A && git commit -q -m 'What the run was on' && git push"
                };
                streams.say(&format!(
                    "recorded {} on tree {} ({}{tests}{took}); next: {next}",
                    record.id,
                    tree.short(),
                    last.ending()
                ));
            }
            Err(error) => streams.say(&format!("not recorded: {error}; next: forge run --again")),
        }
    }

    /// Says at once what would make the record prove less than its maker thinks.
    fn warn(&self, tree: Oid, streams: &Streams) {
        if let Ok(untracked) = self.git.untracked()
            && !untracked.is_empty()
        {
            let names = name_some(&untracked);
            streams.say(&format!(
                "the tested tree holds untracked files that a commit would not: {names}; next: git add -A"
            ));
        }
        let Ok(after) = self.git.snapshot() else { return };
        if after != tree {
            let changed = self.git.differing(tree, after).unwrap_or_default();
            let names = name_some(&changed);
            streams.say(&format!("the run changed files of the tree it tested: {names}; next: git status"));
        }
    }

    fn build(
        &self,
        identity: git::Identity,
        command: &[OsString],
        here: &Path,
        tree: Oid,
        ran: Ran,
        reasoning: Option<&str>,
    ) -> Result<Record, GitError> {
        let allowed = self.allowed();
        let mut redactor = Redactor::allowing(allowed.clone());
        let argv = argv(command, &mut redactor);
        let reasoning = reasoning.map(|text| fit(text, limits::REASONING, &mut redactor, &allowed));
        let cwd = here.strip_prefix(self.git.top()).map_or(String::new(), |path| path.to_string_lossy().into_owned());
        let mut redactions = redactor.counts();
        for (rule, count) in ran.stdout.redactions.iter().chain(&ran.stderr.redactions) {
            match redactions.iter_mut().find(|(known, _)| known == rule) {
                Some((_, sum)) => *sum += count,
                None => redactions.push((rule.clone(), *count)),
            }
        }
        redactions.sort();
        let (exit, signal, timed_out) = match ran.ending {
            Ending::Exited(status) => (Some(i64::from(status)), None, false),
            Ending::Killed(signal) => (None, Some(u64::from(signal)), false),
            Ending::TimedOut { signal } => (signal.is_none().then_some(124), signal.map(u64::from), true),
        };
        let attempt = Attempt {
            seq: 1,
            started_ms: ran.started_ms,
            dur_ms: ran.dur_ms,
            argv,
            cwd,
            tree,
            patch: None,
            patch_omitted: false,
            patch_omitted_why: None,
            exit,
            signal,
            timed_out,
            tests: ran.stdout.tests.or(ran.stderr.tests),
            stdout: Some(ran.stdout.output),
            stderr: Some(ran.stderr.output),
            reasoning,
            cpu_ms: None,
            max_rss_kib: None,
        };
        let base_tree = identity.base.and_then(|base| self.git.tree_of(&base.to_string()).ok());
        let before = store::previous(&self.git, &identity)?;
        let mut record = Record {
            v: notes_schema::FORMAT_VERSION,
            id: ulid::Ulid::new().to_string(),
            prev: before.as_ref().map(Record::digest),
            project: identity.project,
            issue: identity.issue,
            mode: None,
            agent: identity.agent,
            key_fp: identity.key_fp,
            nonce: identity.nonce,
            object_format: ObjectFormat::Sha1,
            base_commit: identity.base,
            base_tree,
            head_tree: tree,
            subject: identity.subject,
            recorder: Some(Tool { name: "forge".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }),
            model: None,
            tokens: None,
            env: Some(environment::describe(self.git.top(), command)),
            redactions,
            trajectory_sha256: None,
            attempts: vec![attempt],
        };
        patch::add(&self.git, &mut record, before.as_ref(), &allowed);
        record.check().map_err(|e| GitError::Unexpected(e.to_string()))?;
        Ok(record)
    }
}

/// Stands where arguments were left out.
const OMITTED: &str = "[more arguments left out]";

/// The command as it is recorded: redacted, and short enough.
fn argv(command: &[OsString], redactor: &mut Redactor) -> Vec<String> {
    let mut argv: Vec<String> = Vec::new();
    let mut room = limits::ARGV - OMITTED.len();
    let mut secret_follows = false;
    for arg in command {
        let text = arg.to_string_lossy();
        let clean = if secret_follows {
            // `--token X` is two arguments, so that no pattern sees both: they are looked at together.
            let joined = format!("--token {text}");
            let clean = redactor.line(&joined);
            clean.strip_prefix("--token ").unwrap_or("[redacted:command-option]").to_owned()
        } else {
            redactor.line(&text)
        };
        if clean.len() > room || argv.len() + 1 == limits::ARGS {
            argv.push(OMITTED.to_owned());
            break;
        }
        secret_follows = names_a_secret(&text);
        room -= clean.len();
        argv.push(clean);
    }
    argv
}

/// Whether the argument after this one is a password or the like.
fn names_a_secret(option: &str) -> bool {
    let name = option.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    option.starts_with('-')
        && ["password", "passwd", "secret", "token", "api-key", "apikey", "access-key"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// `text`, redacted and cut to `limit` bytes.
fn fit(text: &str, limit: usize, redactor: &mut Redactor, allowed: &Allowed) -> String {
    let mut clean: String = text.split_inclusive('\n').map(|line| redactor.line(line)).collect();
    // A cut can make a new match of what was none, and a redaction lengthens: both shrink to nothing in few rounds.
    while clean.len() > limit || !secrets::find_except(&clean, allowed).is_empty() {
        let end = (0..=limit.min(clean.len())).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
        clean.truncate(end);
        clean = clean.rsplit_once(char::is_whitespace).map_or(String::new(), |(kept, _)| kept.to_owned());
    }
    clean
}

fn name_some(paths: &[String]) -> String {
    let shown: Vec<&str> = paths.iter().take(5).map(String::as_str).collect();
    let more = paths.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
