//! Stock git, as the other side of every comparison: the machine's own `git`, free of the machine's configuration.
//!
//! Invariant: whatever is left to choose is chosen in stock's favour (no HTTP server in front, no hook that does work, no
//! flush, no checks of what is pushed, no collection of garbage after a push).

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{BenchError, io};

/// `git` in `dir`, without any configuration but the repository's.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = program(Path::new("git"), dir);
    command.args(args);
    command
}

/// A program of git's in the same surroundings.
fn program(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().stdin(Stdio::null());
    for kept in ["PATH", "TMPDIR", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs `git`, which must go well; its standard output as text.
pub fn git(dir: &Path, args: &[&str]) -> Result<String, BenchError> {
    let what = format!("git {}", args.join(" "));
    let out = command(dir, args).output().map_err(io(&what))?;
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        false => {
            Err(BenchError::Program { command: what, said: String::from_utf8_lossy(&out.stderr).trim().to_owned() })
        }
    }
}

/// Runs `command` on `input` and reads all that it says.
pub fn replay(mut command: Command, input: &[u8]) -> Result<Vec<u8>, BenchError> {
    let what = format!("{command:?}").chars().take(200).collect::<String>();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(io(&what))?;
    let stdin = child.stdin.take();
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        if let Some(mut stdin) = stdin {
            if input.len() <= 32 << 10 {
                // It fits into the pipe, so no thread is needed; a git that leaves early fails below.
                let _ = stdin.write_all(input);
            } else {
                scope.spawn(move || drop(stdin.write_all(input)));
            }
        }
        child.stdout.take().map_or(Ok(0), |mut out| out.read_to_end(&mut said))
    })
    .map_err(io(&what))?;
    let status = child.wait().map_err(io(&what))?;
    match status.success() {
        true => Ok(said),
        false => Err(BenchError::Program { command: what, said: status.to_string() }),
    }
}

/// A bare repository of stock git's, served by stock git's programs.
#[derive(Debug, Clone)]
pub struct Stock {
    /// Its directory.
    pub dir: PathBuf,
    backend: PathBuf,
}

impl Stock {
    /// A bare copy of `source` in `dir`, packed as well as `git gc` packs.
    pub fn copy(source: &Path, dir: &Path, branches: &[&str]) -> Result<Stock, BenchError> {
        let parent = dir.parent().unwrap_or(dir);
        git(parent, &["init", "-q", "--bare", "-b", "main", &dir.to_string_lossy()])?;
        let source = source.to_string_lossy();
        let refspecs: Vec<String> = branches.iter().map(|name| format!("{name}:{name}")).collect();
        let mut fetch = vec!["fetch", "-q", "--no-tags", &source];
        fetch.extend(refspecs.iter().map(String::as_str));
        git(dir, &fetch)?;
        git(dir, &["gc", "-q"])?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("receive.autogc", "false"),
            ("gc.auto", "0"),
            ("core.fsync", "none"),
            ("transfer.fsckObjects", "false"),
        ] {
            git(dir, &["config", key, value])?;
        }
        let hook = dir.join("hooks/pre-receive");
        fs::create_dir_all(dir.join("hooks")).map_err(io("hooks"))?;
        fs::write(&hook, "#!/bin/sh\nexit 0\n").map_err(io(hook.display()))?;
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).map_err(io(hook.display()))?;
        let backend = PathBuf::from(git(dir, &["--exec-path"])?).join("git-http-backend");
        Ok(Stock { dir: dir.to_owned(), backend })
    }

    /// One request to `git http-backend`, as a web server would hand it over.
    pub fn http_backend(&self, service: &str, body: &[u8]) -> Result<Vec<u8>, BenchError> {
        let mut command = program(&self.backend, &self.dir);
        command
            .env("REQUEST_METHOD", "POST")
            .env("GIT_PROJECT_ROOT", &self.dir)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", format!("/{service}"))
            .env("QUERY_STRING", "")
            .env("CONTENT_TYPE", format!("application/x-{service}-request"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("REMOTE_USER", "alpha")
            .env("REMOTE_ADDR", "127.0.0.1");
        replay(command, body)
    }

    /// One request of protocol v2 to `git upload-pack`.
    pub fn upload_pack(&self, request: &[u8]) -> Result<Vec<u8>, BenchError> {
        let mut command = command(&self.dir, &["upload-pack", "--stateless-rpc", "."]);
        command.env("GIT_PROTOCOL", "version=2");
        replay(command, request)
    }

    /// The same without the bitmaps that `git gc` made: slower clones, and deltas against what the client has.
    pub fn upload_pack_without_bitmaps(&self, request: &[u8]) -> Result<Vec<u8>, BenchError> {
        let mut command = command(&self.dir, &["-c", "pack.useBitmaps=false", "upload-pack", "--stateless-rpc", "."]);
        command.env("GIT_PROTOCOL", "version=2");
        replay(command, request)
    }

    /// Pushes one captured request, which must land.
    pub fn push(&self, body: &[u8], name: &str) -> Result<(), BenchError> {
        let said = self.http_backend("git-receive-pack", body)?;
        super::capture::landed(&said, name)
    }
}
