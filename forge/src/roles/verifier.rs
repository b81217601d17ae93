//! `forge verifier`: does what its agent is drawn for: runs submissions again in a sandbox, binds itself to what it found, and
//! tells it when all of the panel are bound.
//!
//! It is an agent like others, with nothing but `ssh` and `git`; all it keeps is a directory with clones, salts and findings.
//!
//! Invariant: nothing of a submission is run but inside the command that it was given for that. A salt is on disk before the
//! forge is told its digest, so that who is stopped in between can still tell its verdict.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use hooks::benches::taken_us;
use hooks::sealed_tests::{self, Asked};
use notes_schema::event::{Finding, verdict_digest};
use notes_schema::names::hex;
use notes_schema::{ItemRef, refs};
use rand::TryRngCore as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most runs of one submission: two that agree, or the third that decides.
/// Limit: runs of one submission by `forge verifier` | {}, if the first two disagree
const MOST_RUNS: usize = 3;
/// Pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(30);

/// Who verifies, and in what.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "verifier")]
#[command(
    after_help = "Example: forge verifier -- bwrap --ro-bind / / --bind . . --dev /dev --tmpfs /tmp --unshare-all\n\n\
    The command is run in the clone, with the recorder and the submission's command behind it: it must run what follows it, and\n\
    let nothing out. `-- env` protects nothing. Offer to verify first: ssh forge verify --offer"
)]
pub struct Args {
    /// The forge, as `ssh` knows it.
    #[arg(long, value_name = "HOST", default_value = "forge")]
    host: String,
    /// Where clones and verdicts are kept.
    #[arg(long, value_name = "DIR", default_value = "./forge-verifier")]
    dir: PathBuf,
    /// Do what is to be done now, and end.
    #[arg(long)]
    once: bool,
    /// What runs a submission where it can do no harm.
    #[arg(value_name = "SANDBOX", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    sandbox: Vec<OsString>,
}

/// What was found, until it is told.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    finding: Finding,
    salt: String,
    say: String,
}

/// Verifies until it is stopped.
pub(super) fn run(args: &Args) -> ExitCode {
    if let Err(error) = fs::create_dir_all(&args.dir) {
        return super::fail(format_args!("{}: {error}", args.dir.display()));
    }
    loop {
        let done = ask(args, &["feed", "--json"]).and_then(|feed| {
            round(args)?;
            Ok(feed["seq"].as_u64().unwrap_or(0))
        });
        match done {
            Ok(_) if args.once => return ExitCode::SUCCESS,
            Err(why) if args.once => return super::fail(why),
            Ok(seq) => {
                let waited = ask(args, &["feed", "--json", "--since", &seq.to_string(), "--wait"]);
                waited.err().into_iter().for_each(|why| pause(&why));
            }
            Err(why) => pause(&why),
        }
    }
}

fn pause(why: &str) {
    eprintln!("forge: {why}");
    std::thread::sleep(PAUSE);
}

/// Everything that can be done now. What fails of one task leaves the others alone.
fn round(args: &Args) -> Result<(), String> {
    let tasks = ask(args, &["verify", "--json"])?;
    let mut failed = Vec::new();
    for task in tasks["tasks"].as_array().into_iter().flatten() {
        let Some(pull) = task["ref"].as_str().and_then(|text| text.parse::<ItemRef>().ok()) else { continue };
        let all_bound = task["bound"] == task["panel"];
        let done = match task["state"].as_str() {
            Some("to-run") => find_out(args, &pull),
            Some("bound") if all_bound => tell(args, &pull),
            _ => Ok(()),
        };
        failed.extend(done.err().map(|why| format!("{pull}: {why}")));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Runs a submission again, and binds itself to what came of it.
fn find_out(args: &Args, pull: &ItemRef) -> Result<(), String> {
    // Stopped between the two: what was found stands.
    let verdict = match kept(args, pull) {
        Ok(verdict) => verdict,
        Err(_) => {
            let (finding, say) = runs(args, pull)?;
            let mut salt = [0u8; 16];
            rand::rngs::OsRng.try_fill_bytes(&mut salt).map_err(|e| format!("no random bytes: {e}"))?;
            let verdict = Verdict { finding, salt: hex(&salt), say };
            let (name, bytes) = (file_of(pull), serde_json::to_vec(&verdict).map_err(|e| e.to_string())?);
            git::disk::replace_file(&args.dir, &name, &bytes).map_err(|e| format!("{name}: {e}"))?;
            verdict
        }
    };
    let digest = verdict_digest(verdict.finding, pull, &verdict.salt).to_string();
    ask(args, &["verify", "--json", &path(pull), "--commit", &digest])?;
    super::say(format_args!("{pull}: bound; {}", verdict.say));
    Ok(())
}

/// Where a verdict is kept until it is told.
fn file_of(pull: &ItemRef) -> String {
    format!("{}-{}.json", pull.project, pull.n)
}

fn kept(args: &Args, pull: &ItemRef) -> Result<Verdict, String> {
    let file = args.dir.join(file_of(pull));
    let of_file = |why: String| format!("{}: {why}", file.display());
    let bytes = fs::read(&file).map_err(|e| of_file(format!("{e}: without its salt nobody can tell it")))?;
    serde_json::from_slice(&bytes).map_err(|e| of_file(e.to_string()))
}

/// What a challenge says is to be run, and where.
struct Job<'a> {
    clone: &'a Path,
    cwd: String,
    command: Vec<&'a str>,
    /// Names of the tests that are sealed no longer and are in the commit: those that must pass now, and those that must still.
    sealed_tests: Option<(Vec<String>, Vec<String>)>,
}

/// What came of running it until two runs agree; and where it runs as it was submitted, before the change once.
fn runs(args: &Args, pull: &ItemRef) -> Result<(Finding, String), String> {
    let begun = ask(args, &["challenge", "--json", &path(pull)])?;
    let text = |key: &str| begun[key].as_str().map(str::to_owned).ok_or(format!("challenge says no {key}"));
    let (commit, cwd) = (text("commit")?, text("cwd")?);
    let contest = begun["sealed_tests_of"].as_str().and_then(|text| text.parse::<ItemRef>().ok());
    let sealed_tests = contest.as_ref().map(|contest| names(args, contest)).transpose()?;
    let clone = clone_of(args, pull);
    clone_anew(args, &clone, &begun)?;
    let name = contest.as_ref().map_or_else(|| refs::pull_head(pull.n), |contest| refs::sealed_runs(contest.n));
    tool(&clone, "git", ["fetch", "-q", "origin", name.as_str()])?;
    let command = begun["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let job = Job { clone: &clone, cwd, command, sealed_tests };
    let mut say = Vec::new();
    if let Some(bench) = begun["bench"].as_str() {
        job.check_out(&commit)?;
        let passed = job.run(args, bench.split_whitespace())?;
        let took = crate::recorder::newest(&clone).ok().and_then(|record| taken_us(record.last())).filter(|_| passed);
        say.push(took.map_or("it printed no benchmark".to_owned(), |us| format!("its benchmarks took {us} µs")));
    }
    if contest.is_none() {
        let base = ask(args, &["submission", "--json", &path(pull)])?["base"].as_str().unwrap_or("").to_owned();
        if job.check_out(&base).is_ok() && job.again(args)? == Finding::Confirm {
            say.push("it passes before the change as well".to_owned());
        }
        tool(&clone, "git", ["clean", "-qfdx"])?;
    }
    let mut found = Vec::new();
    while found.len() < MOST_RUNS && !agree(&found) {
        job.check_out(&commit)?;
        found.push(job.again(args)?);
    }
    let count = |finding| found.iter().filter(|one| **one == finding).count();
    let finding = [Finding::Confirm, Finding::Refute].into_iter().find(|finding| count(*finding) * 2 > found.len());
    let finding = finding.unwrap_or(Finding::Inconclusive);
    let with = if contest.is_some() { " with the sealed tests" } else { "" };
    say.insert(0, format!("{finding}: {} of {} runs passed{with}", count(Finding::Confirm), found.len()));
    Ok((finding, say.join("; ")))
}

/// The names of a contest's sealed tests, which it has revealed.
fn names(args: &Args, contest: &ItemRef) -> Result<(Vec<String>, Vec<String>), String> {
    let part = ask(args, &["issue", "sealed", "--json", &path(contest)])?;
    let names = |key: &str| {
        let all = part[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.map(str::to_owned).collect::<Vec<String>>()
    };
    Ok((names("fail_to_pass"), names("pass_to_pass")))
}

fn clone_anew(args: &Args, clone: &Path, begun: &Value) -> Result<(), String> {
    if clone.exists() {
        fs::remove_dir_all(clone).map_err(|e| format!("{}: {e}", clone.display()))?;
    }
    let url = begun["clone"]["ssh"].as_str().ok_or("challenge says no address to clone")?;
    // ssh knows the host by the name that was given, whatever the forge calls itself.
    let url = ssh_address(url, &args.host);
    let into = clone.file_name().unwrap_or_default();
    tool(&args.dir, "git", [OsStr::new("clone"), OsStr::new("-q"), OsStr::new(&url), into])?;
    for setting in begun["git_config"].as_array().into_iter().flatten() {
        let words = setting.as_array().into_iter().flatten().filter_map(Value::as_str);
        tool(clone, "git", std::iter::once("config").chain(words))?;
    }
    Ok(())
}

fn agree(found: &[Finding]) -> bool {
    found.len() >= 2 && found.iter().all(|one| *one == found[0])
}

impl Job<'_> {
    /// A commit in the work tree, and nothing that an earlier run left there and git does not ignore: a run is of a tree.
    fn check_out(&self, commit: &str) -> Result<(), String> {
        tool(self.clone, "git", ["checkout", "-q", "--detach", "--force", commit])?;
        tool(self.clone, "git", ["clean", "-qfd"]).map(drop)
    }

    /// Runs the command in the sandbox, recorded; what came of it.
    fn again(&self, args: &Args) -> Result<Finding, String> {
        let passed = self.run(args, self.command.iter().copied())?;
        match &self.sealed_tests {
            Some((now, still)) => {
                let record = crate::recorder::newest(self.clone)?;
                let said = sealed_tests::said(record.last(), Asked { now, still });
                Ok(said.map_or(Finding::Inconclusive, |said| said.finding))
            }
            None if passed => Ok(Finding::Confirm),
            None => Ok(Finding::Refute),
        }
    }

    /// Runs a command in the sandbox, recorded; whether it passed.
    fn run<'w>(&self, args: &Args, command: impl Iterator<Item = &'w str>) -> Result<bool, String> {
        let recorder = std::env::current_exe().map_err(|e| e.to_string())?;
        let Some((sandbox, more)) = args.sandbox.split_first() else { return Err("no sandbox".to_owned()) };
        let ran = Command::new(sandbox)
            .args(more)
            .arg(recorder)
            .args(["run", "--"])
            .args(command)
            .current_dir(self.clone.join(&self.cwd))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ran.map(|status| status.success()).map_err(|e| format!("{}: {e}", sandbox.to_string_lossy()))
    }
}

/// Sends the records, and tells the verdict.
fn tell(args: &Args, pull: &ItemRef) -> Result<(), String> {
    let verdict = kept(args, pull)?;
    let clone = clone_of(args, pull);
    // What `challenge` set sends HEAD too, which is detached.
    let records = tool(&clone, "git", ["config", "--get-all", "remote.origin.push"])?;
    let records = records.lines().find(|line| line.starts_with(refs::OUT_PREFIX)).unwrap_or("").to_owned();
    tool(&clone, "git", ["push", "-q", "origin", &records])?;
    let path = path(pull);
    let mut line = vec!["verify", "--json", &path, "--reveal", &verdict.salt];
    if verdict.finding == Finding::Inconclusive {
        line.push("--inconclusive");
    }
    ask(args, &line)?;
    super::say(format_args!("{pull}: told; {}", verdict.say));
    drop(fs::remove_dir_all(&clone));
    drop(fs::remove_file(args.dir.join(file_of(pull))));
    Ok(())
}

fn clone_of(args: &Args, pull: &ItemRef) -> PathBuf {
    args.dir.join(format!("{}-{}", pull.project, pull.n))
}

fn path(pull: &ItemRef) -> String {
    format!("{}/{}", pull.project, pull.n)
}

/// `ssh://127.0.0.1:2222/parser` at the host that was named: `ssh://forge/parser`.
fn ssh_address(url: &str, host: &str) -> String {
    let project = url.rsplit('/').next().unwrap_or("");
    format!("ssh://{host}/{project}")
}

/// A command of the forge, and its JSON.
fn ask(args: &Args, line: &[&str]) -> Result<Value, String> {
    let words: Vec<&str> = std::iter::once(args.host.as_str()).chain(line.iter().copied()).collect();
    let said = tool(&args.dir, "ssh", words)?;
    serde_json::from_str(&said).map_err(|e| format!("{}: an answer that is none: {e}", line.join(" ")))
}

/// Runs a tool, and gives what it prints.
fn tool<S: AsRef<OsStr>>(dir: &Path, name: &str, args: impl IntoIterator<Item = S>) -> Result<String, String> {
    let mut command = Command::new(name);
    let ran = command.args(args).current_dir(dir).stdin(Stdio::null()).output();
    let ran = ran.map_err(|e| format!("{name}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ran.status.success() {
        return Ok(text(&ran.stdout));
    }
    let refused: Option<Value> = serde_json::from_slice(&ran.stdout).ok();
    let why = refused.as_ref().and_then(|said| said["error"]["why"].as_str()).map(str::to_owned);
    Err(format!("{name}: {}", why.unwrap_or_else(|| text(&ran.stderr))))
}
