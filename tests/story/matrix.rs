//! Every git client that is to be had, against a real server, through both doors: what it says it did is looked up with
//! stock git, and what it cannot do stands in `docs/clients.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::agent::Agent;
use tests::flow;
use tests::out::{self, Out};
use tests::plumbing::{assert_clean, git, remote_ref};
use tests::{Forge, root};

const PROJECT: &str = "parser";
/// What is asked of every client, in this order.
const WHAT: [&str; 7] = ["clone", "fetch", "push", "shallow", "partial", "tags", "delete"];

/// A client: its row in `docs/clients.md`, and how it is started.
struct Client {
    name: &'static str,
    program: PathBuf,
    env: &'static [(&'static str, &'static str)],
}

fn script(name: &'static str, file: &str, env: &'static [(&'static str, &'static str)]) -> Client {
    Client { name, program: root().join("tests/clients").join(file), env }
}

/// Where this test's own build puts things.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

/// gix's client, built from a package of its own; or why not.
fn gix() -> Result<Client, String> {
    let package = root().join("tests/clients/gix");
    let cargo = std::env::var_os("CARGO").ok_or("this test was not started by cargo")?;
    let run = |words: &[&str]| {
        let mut command = Command::new(&cargo);
        command.args(words).arg("--target-dir").arg(target()).current_dir(&package);
        command.env_remove("CARGO_TARGET_DIR").output().unwrap()
    };
    let mut fetch = Command::new(&cargo);
    let fetched = fetch.args(["fetch", "--quiet", "--locked"]).current_dir(&package).output().unwrap();
    if !fetched.status.success() {
        return Err(format!("its crates cannot be fetched: {}", String::from_utf8_lossy(&fetched.stderr).trim()));
    }
    let built = run(&["build", "--quiet", "--locked", "--offline"]);
    assert!(built.status.success(), "tests/clients/gix: {}", String::from_utf8_lossy(&built.stderr));
    Ok(Client { name: "gix", program: target().join("debug/gix-client"), env: &[] })
}

/// The program of the Go package `tests/clients/<name>`, built; or why not.
pub fn go_program(name: &str) -> Result<PathBuf, String> {
    let package = root().join("tests/clients").join(name);
    let go = |words: &[&str]| {
        let mut command = Command::new("go");
        command.args(words).current_dir(&package).env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly").output()
    };
    let fetched = go(&["mod", "download"]).map_err(|e| format!("there is no `go`: {e}"))?;
    if !fetched.status.success() {
        return Err(format!("its modules cannot be fetched: {}", String::from_utf8_lossy(&fetched.stderr).trim()));
    }
    let program = target().join(format!("{name}-client"));
    let built = go(&["build", "-o", program.to_str().unwrap(), "."]).unwrap();
    assert!(built.status.success(), "tests/clients/{name}: {}", String::from_utf8_lossy(&built.stderr));
    Ok(program)
}

fn python(name: &'static str, file: &str, module: &str) -> Result<Client, String> {
    let import = Command::new("/usr/bin/python3").args(["-c", &format!("import {module}")]).output();
    match import {
        Ok(out) if out.status.success() => Ok(script(name, file, &[])),
        Ok(_) | Err(_) => Err(format!("/usr/bin/python3 has no {module}; sh tests/setup.sh installs it on Debian")),
    }
}

/// A project with history, an annotated tag, and another agent's branch that moves between clone and fetch.
fn prepared(forge: &Forge) -> (Agent, PathBuf) {
    let alpha = forge.agent("alpha");
    let dir = flow::found_project(&alpha, PROJECT, &[("README.md", "parser\n"), ("src/lib.rs", "fn parse() {}\n")]);
    for n in 1..=3 {
        flow::write(&dir, "src/lib.rs", &format!("fn parse() {{}} // {n}\n").repeat(200));
        alpha.git(&dir, &["add", "-A"]).ok();
        alpha.git(&dir, &["commit", "-q", "-m", &format!("Change {n}")]).ok();
        alpha.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/alpha/moving"]).ok();
    }
    alpha.git(&dir, &["tag", "-a", "v1", "-m", "Version 1"]).ok();
    alpha.git(&dir, &["push", "-q", "origin", "v1"]).ok();
    (alpha, dir)
}

/// One client at one door, in a directory of its own.
struct Run<'a> {
    client: &'a Client,
    agent: &'a Agent,
    url: String,
    token: Option<String>,
    dir: PathBuf,
    /// Part of the names of its branches.
    label: String,
}

impl Run<'_> {
    /// What the client did. go-git closes its side of an SSH channel last and calls it an error where the server, which has said
    /// all, was quicker: what it made until then is thrown away, and it is asked again.
    fn client(&self, what: &str, dir: &Path, words: &[&str]) -> Out {
        let was_there = dir.exists();
        let out = self.client_once(what, dir, words);
        if out.is_ok() || was_there || !out.stderr.contains("closing input: EOF") {
            return out;
        }
        drop(std::fs::remove_dir_all(dir));
        self.client_once(what, dir, words)
    }

    fn client_once(&self, what: &str, dir: &Path, words: &[&str]) -> Out {
        let mut command = self.agent.command(self.client.program.to_str().unwrap());
        command.arg(what).arg(&self.url).arg(dir).args(words).envs(self.client.env.iter().copied());
        match &self.token {
            Some(token) => command.env("FORGE_TOKEN", token),
            None => command.env("FORGE_KEY", self.agent.key_path()),
        };
        out::run(&mut command, None)
    }

    /// `yes` when stock git finds that it was done; the client's own reason where it says that it cannot.
    fn outcome(&self, what: &str, dir: &Path, words: &[&str], check: impl FnOnce()) -> String {
        let out = self.client(what, dir, words);
        if out.code == 77 {
            return out.text().strip_prefix("cannot: ").unwrap().to_owned();
        }
        assert!(out.is_ok(), "{} should {what} from {}\n{out}", self.client.name, self.url);
        check();
        "yes".to_owned()
    }

    fn all(&self, work: &Path) -> Vec<String> {
        let clone = self.dir.join("clone.git");
        let says = |dir: &Path, args: &[&str]| git(dir, args).ok().text().to_owned();
        let served = |name: &str| remote_ref(self.agent, PROJECT, name);
        let branch = format!("refs/heads/alpha/{}", self.label);
        let tag = format!("refs/tags/alpha-{}", self.label);
        WHAT.iter()
            .map(|what| match *what {
                "clone" => self.outcome(what, &clone, &[], || {
                    assert_clean(&clone);
                    assert_eq!(says(&clone, &["symbolic-ref", "HEAD"]), "refs/heads/main");
                    assert_eq!(Some(says(&clone, &["rev-parse", "HEAD"])), served("refs/heads/main"));
                }),
                "fetch" if !clone.exists() => self.outcome(what, &clone, &[], || unreachable!("it cannot clone")),
                "fetch" => {
                    flow::write(work, "moving.txt", &self.label);
                    self.agent.git(work, &["add", "-A"]).ok();
                    self.agent.git(work, &["commit", "-q", "-m", &self.label]).ok();
                    self.agent.git(work, &["push", "-q", "origin", "HEAD:refs/heads/alpha/moving"]).ok();
                    let tip = self.agent.git(work, &["rev-parse", "HEAD"]).ok().text().to_owned();
                    self.outcome(what, &clone, &[], || {
                        assert_eq!(says(&clone, &["rev-parse", "refs/remotes/origin/alpha/moving"]), tip);
                        assert_clean(&clone);
                    })
                }
                "push" => {
                    let made = clone.exists().then(|| make_commit(&clone));
                    self.outcome(what, &clone, &["refs/heads/made", &branch], || {
                        assert_eq!(served(&branch), made);
                        let out = self.client("push", &clone, &["refs/heads/made", "refs/heads/main"]);
                        assert!(!out.is_ok(), "the default branch moves through merge alone\n{out}");
                    })
                }
                "shallow" => {
                    let shallow = self.dir.join("shallow.git");
                    self.outcome(what, &shallow, &[], || {
                        assert_eq!(says(&shallow, &["rev-list", "--count", "HEAD"]), "1");
                        assert!(says(&shallow, &["ls-tree", "-r", "HEAD"]).contains("README.md"));
                    })
                }
                "partial" => {
                    let partial = self.dir.join("partial.git");
                    self.outcome(what, &partial, &[], || {
                        let missing = says(&partial, &["rev-list", "--objects", "--missing=print", "HEAD"]);
                        assert!(missing.lines().any(|line| line.starts_with('?')), "no blob should be here");
                    })
                }
                "tags" => {
                    let fetched = self.outcome(what, &clone, &[], || {
                        assert_eq!(says(&clone, &["cat-file", "-t", "refs/tags/v1"]), "tag");
                        assert_eq!(says(&clone, &["rev-parse", "v1^{}"]), says(work, &["rev-parse", "v1^{}"]));
                    });
                    if fetched == "yes" {
                        git(&clone, &["tag", "-f", "mine", "v1^{}"]).ok();
                        // A client that cannot push has said so under `push`.
                        self.outcome("push", &clone, &["refs/tags/mine", &tag], || assert!(served(&tag).is_some()));
                    }
                    fetched
                }
                _ => self.outcome(what, &clone, &[&branch], || assert_eq!(served(&branch), None)),
            })
            .collect()
    }
}

/// A commit on top of a bare clone's `HEAD`, named `refs/heads/made`.
fn make_commit(dir: &Path) -> String {
    let who = ["-c", "user.name=Alpha", "-c", "user.email=alpha@example.org"];
    let made = git(dir, &[&who[..], &["commit-tree", "-p", "HEAD", "-m", "Made", "HEAD^{tree}"]].concat());
    let made = made.ok().text().to_owned();
    git(dir, &["update-ref", "refs/heads/made", &made]).ok();
    made
}

/// The row of one client at one door, as it stands in the document.
fn row(name: &str, door: &str, outcomes: &[String]) -> String {
    format!("| {name} | {door} | {} |", outcomes.join(" | "))
}

#[track_caller]
fn check(client: Result<Client, String>) {
    let client = match client {
        Ok(client) => client,
        Err(why) => {
            eprintln!("SKIPPED: a client of the matrix was not tested: {why}");
            return;
        }
    };
    let forge = Forge::start();
    let (alpha, work) = prepared(&forge);
    let document = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let mut rows = Vec::new();
    for door in ["SSH", "HTTP"] {
        let (url, token) = match door {
            "SSH" => (format!("ssh://any@127.0.0.1:{}/{PROJECT}", forge.ssh_port()), None),
            _ => (forge.http_url(&format!("/{PROJECT}")), Some(alpha.token(""))),
        };
        let label = format!("by-{}", door.to_lowercase());
        let dir = forge.scratch().join(&label);
        fs::create_dir_all(&dir).unwrap();
        let run = Run { client: &client, agent: &alpha, url, token, dir, label };
        rows.push(row(client.name, door, &run.all(&work)));
    }
    assert!(rows.iter().all(|row| document.contains(row)), "docs/clients.md should have\n{}", rows.join("\n"));
}

#[test]
fn stock_git_under_protocol_0() {
    check(Ok(script("git, protocol v0", "git.sh", &[("GIT_VERSION", "0")])));
}

#[test]
fn stock_git_under_protocol_1() {
    check(Ok(script("git, protocol v1", "git.sh", &[("GIT_VERSION", "1")])));
}

#[test]
fn stock_git_under_protocol_2() {
    check(Ok(script("git, protocol v2", "git.sh", &[("GIT_VERSION", "2")])));
}

#[test]
fn libgit2() {
    check(python("libgit2 (pygit2)", "libgit2.py", "pygit2"));
}

#[test]
fn dulwich() {
    check(python("dulwich", "dulwich_client.py", "dulwich"));
}

#[test]
fn gix_client() {
    check(gix());
}

#[test]
fn go_git() {
    check(go_program("gogit").map(|program| Client { name: "go-git", program, env: &[] }));
}

#[test]
fn every_row_of_the_matrix_belongs_to_a_test() {
    let document = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let known =
        ["git, protocol v0", "git, protocol v1", "git, protocol v2", "libgit2 (pygit2)", "dulwich", "gix", "go-git"];
    let rows: Vec<&str> = document.lines().filter(|l| l.contains("| SSH |") || l.contains("| HTTP |")).collect();
    assert_eq!(rows.len(), known.len() * 2);
    for row in rows {
        assert!(known.iter().any(|name| row.starts_with(&format!("| {name} |"))), "{row}");
        assert_eq!(row.matches(" | ").count(), WHAT.len() + 1, "{row}");
    }
}
