//! An agent as the forge meets it: a home directory, an SSH key, and the ordinary `git`, `ssh` and `curl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::out::{self, Out};
use crate::server::split_status;
use crate::{Forge, forge_bin};

/// Somebody with a key. Commands run in its home directory unless they name another one.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its name, registered or not.
    pub name: String,
    home: PathBuf,
    ssh_port: u16,
    http_port: u16,
    /// The file that says how slow its clock is; none: it is right.
    ahead: Option<PathBuf>,
}

impl Agent {
    pub(crate) fn new(forge: &Forge, name: &str) -> Agent {
        let home = forge.scratch().join("home").join(name);
        let (ssh_port, http_port) = (forge.ssh_port(), forge.http_port());
        let agent = Agent { name: name.to_owned(), home, ssh_port, http_port, ahead: None };
        agent.settle();
        agent
    }

    /// The same agent, with the same key, in front of another forge.
    pub fn at(&self, forge: &Forge) -> Agent {
        let agent = Agent { ssh_port: forge.ssh_port(), http_port: forge.http_port(), ..self.clone() };
        agent.write_ssh_config();
        agent
    }

    /// The same agent, whose recorder and commits go by the clock that the file `ahead` moves.
    pub fn by_clock(&self, ahead: &Path) -> Agent {
        Agent { ahead: Some(ahead.to_owned()), ..self.clone() }
    }

    fn settle(&self) {
        for below in [".ssh", "bin"] {
            fs::create_dir_all(self.home.join(below)).expect("a home directory");
        }
        let key = self.key_path();
        if !key.exists() {
            let mut keygen = out::limited("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", &self.name, "-f"]).arg(&key);
            out::run(&mut keygen, None).ok();
        }
        self.write_ssh_config();
        // OpenSSH looks for its configuration in the account's home directory whatever $HOME says, so `ssh` is a
        // script that names it. It is a file of ours and only linked: a file that was just written cannot be executed
        // while another thread's child still has it open.
        let ssh = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/harness/ssh.sh"));
        for (name, program) in [("ssh", ssh), ("forge", forge_bin())] {
            let link = self.home.join("bin").join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(program, link).expect("a link in bin");
            }
        }
        let Agent { name, .. } = self;
        let config = format!(
            "[user]\n\tname = {name}\n\temail = {name}@agents.example\n[init]\n\tdefaultBranch = main\n[advice]\n\t\
             detachedHead = false\n[protocol \"file\"]\n\tallow = always\n[gc]\n\tauto = 0\n"
        );
        fs::write(self.home.join(".gitconfig"), config).expect(".gitconfig");
    }

    fn write_ssh_config(&self) {
        let config = format!(
            "Host forge 127.0.0.1\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  BatchMode yes\n",
            self.ssh_port,
            self.key_path().display()
        );
        fs::write(self.ssh_config_path(), config).expect("an ssh configuration");
    }

    fn ssh_config_path(&self) -> PathBuf {
        self.home.join(".ssh").join(format!("config-{}", self.ssh_port))
    }

    /// The private key's file.
    pub fn key_path(&self) -> PathBuf {
        self.home.join(".ssh/forge")
    }

    /// The public key, one line as in `authorized_keys`.
    pub fn public_key(&self) -> String {
        fs::read_to_string(self.home.join(".ssh/forge.pub")).expect("a public key").trim().to_owned()
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A program as this agent runs it: own home, no configuration of the machine, nothing asked of a terminal.
    pub fn command(&self, program: &str) -> Command {
        let mut command = out::limited(program);
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.home.join("bin");
        let bin = bin.display();
        for inherited in
            ["SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_SSL_CAINFO"]
        {
            command.env_remove(inherited);
        }
        command
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("PATH", format!("{bin}:{path}"))
            .env("SSH_CONFIG", self.ssh_config_path())
            .env("SSH_URL", format!("ssh://127.0.0.1:{}", self.ssh_port))
            .env("HTTP_URL", format!("http://127.0.0.1:{}", self.http_port))
            .env("GIT_SSH_COMMAND", "ssh")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8");
        if let Some(ahead) = &self.ahead {
            let seconds = fs::read_to_string(ahead).ok().and_then(|text| text.trim().parse::<i64>().ok());
            let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let date = format!("@{} +0000", since.saturating_add_signed(seconds.unwrap_or_default()));
            command.env("FORGE_CLOCK_AHEAD", ahead).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", date);
        }
        command
    }

    /// `ssh forge <line>`, exactly as typed behind it.
    pub fn ssh(&self, line: &str) -> Out {
        out::run(self.command("ssh").args(["forge", line]), None)
    }

    /// The same with a body on stdin.
    pub fn ssh_with(&self, line: &str, body: &str) -> Out {
        out::run(self.command("ssh").args(["forge", line]), Some(body.as_bytes()))
    }

    /// `ssh forge <line>` with `--json` behind its first word (before it, ssh would take the flag for its own).
    pub fn ssh_json(&self, line: &str) -> Out {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.ssh(format!("{command} --json {rest}").trim_end())
    }

    /// `ssh forge <line>` with `--json`, which must succeed, as JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        self.ssh_json(line).ok().json()
    }

    /// `ssh forge <line>` with `--json`, which must be refused: exit code and the `error` object.
    #[track_caller]
    pub fn refusal(&self, line: &str) -> (i32, Value) {
        let out = self.ssh_json(line).fails();
        let error = out.json()["error"].clone();
        for key in ["code", "what", "why", "next"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "error.{key} should be text\n{out}");
        }
        (out.code, error)
    }

    /// `git` in `dir`.
    pub fn git(&self, dir: impl AsRef<Path>, args: &[&str]) -> Out {
        out::run(self.command("git").args(args).current_dir(dir), None)
    }

    /// `sh -c` in `dir`.
    pub fn sh(&self, dir: impl AsRef<Path>, script: &str) -> Out {
        out::run(self.command("sh").args(["-c", script]).current_dir(dir), None)
    }

    /// Clones `url` into a new directory of the home called `name`.
    #[track_caller]
    pub fn clone_into(&self, url: &str, name: &str, options: &[&str]) -> PathBuf {
        let mut args = vec!["clone", "-q"];
        args.extend(options);
        args.extend([url, name]);
        self.git(&self.home, &args).ok();
        self.home.join(name)
    }

    /// `ssh://127.0.0.1:<port>/<project>`.
    pub fn ssh_url(&self, project: &str) -> String {
        format!("ssh://127.0.0.1:{}/{project}", self.ssh_port)
    }

    /// A new token of this agent; `limits` are flags of `token`.
    #[track_caller]
    pub fn token(&self, limits: &str) -> String {
        let answer = self.json(&format!("token {limits}"));
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// `POST /action` with `token`: status and body.
    #[track_caller]
    pub fn action(&self, token: &str, line: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}/action", self.http_port);
        let bearer = format!("Authorization: Bearer {token}");
        let accept = "Accept: application/json";
        let args = ["-sS", "--max-time", "120", "-w", "\n%{http_code}", "-H", &bearer, "-H", accept];
        let mut command = self.command("curl");
        command.args(args).args(["-H", "Content-Type: text/plain", "--data-binary", line, &url]);
        split_status(&out::run(&mut command, None).ok())
    }
}

/// Text at `pointer` of a JSON answer.
#[track_caller]
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => panic!("{pointer} should be text in {value:#}"),
    }
}

/// A whole number at `pointer` of a JSON answer.
#[track_caller]
pub fn number(value: &Value, pointer: &str) -> i64 {
    match value.pointer(pointer).and_then(Value::as_i64) {
        Some(number) => number,
        None => panic!("{pointer} should be a whole number in {value:#}"),
    }
}

/// The list at `pointer` of a JSON answer.
#[track_caller]
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    match value.pointer(pointer).and_then(Value::as_array) {
        Some(list) => list,
        None => panic!("{pointer} should be a list in {value:#}"),
    }
}
