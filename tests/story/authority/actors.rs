//! Everybody who may come to a door, and what there is for them to ask for.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use tests::flow::{self, Work};
use tests::out::{self, Out};
use tests::server::split_status;
use tests::{Agent, Forge};

/// Somebody at one door: a column of the table.
pub struct Who {
    pub column: &'static str,
    /// Whose home and key.
    pub agent: Agent,
    /// What is shown over HTTP: `None` over SSH, empty for nothing.
    pub token: Option<String>,
    /// For names of this one's own.
    pub word: &'static str,
    /// Another in the same place, for what makes somebody else of an actor: registering.
    pub twin: Option<Agent>,
}

impl Who {
    /// Whether the door is HTTP.
    pub fn over_http(&self) -> bool {
        self.token.is_some()
    }

    pub fn shown(&self) -> String {
        format!("{} over {}", self.column, if self.over_http() { "HTTP" } else { "SSH" })
    }
}

/// One connection for all commands of a key, as long as this lives.
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// All of them, in front of a forge with something to ask for.
pub struct Cast {
    pub everybody: Vec<Who>,
    /// Who has things of its own; those of gamma are nobody's own that asks.
    pub holders: Vec<Agent>,
    /// A token by which somebody agrees to be vouched for.
    pub consent: String,
    pub eve: Agent,
    /// The default branch's commit.
    pub head: String,
    /// A clone of the project, by the agent's name, with that commit checked out.
    pub clones: Vec<(String, PathBuf)>,
    /// Refs of records that have arrived.
    pub records: Vec<String>,
    http: String,
    masters: Vec<Master>,
}

/// Who has things of its own, in the order in which they were made.
const HOLDERS: [&str; 5] = ["alpha", "beta", "gamma", "vera", "olga"];

/// The issue that is a contest: the first number behind theirs.
pub const CONTEST: u64 = 1 + 2 * HOLDERS.len() as u64;

/// Issues and pull requests by their author.
pub fn numbers(agent: &str) -> (u64, u64) {
    let at = HOLDERS.iter().position(|name| *name == agent).unwrap() as u64;
    (1 + at, 1 + HOLDERS.len() as u64 + at)
}

/// Whose the things are that are `who`'s own: who is no agent has nothing.
pub fn me(who: &Who) -> &str {
    if HOLDERS.contains(&who.agent.name.as_str()) { &who.agent.name } else { "alpha" }
}

impl Cast {
    /// In front of a forge whose operator is olga, who is registered already.
    pub fn assemble(forge: &Forge) -> Cast {
        let [alpha, beta, gamma, vera, mallory] =
            ["alpha", "beta", "gamma", "vera", "mallory"].map(|name| forge.agent(name));
        let olga = forge.stranger("olga");
        olga.ssh("admin vouch vera --owner acme").ok();
        let consent = forge.agent("nina").token("--verbs vouch");
        let holders = vec![alpha.clone(), beta.clone(), gamma.clone(), vera.clone(), olga.clone()];
        let eve = forge.stranger("eve");
        let first = flow::found_project(&beta, "parser", &[("README.md", "parser\n"), ("src/lib.rs", "// parser\n")]);
        let head = beta.git(&first, &["rev-parse", "HEAD"]).ok().text().to_owned();
        for line in ["project new other", "project new unborn-ssh", "project new unborn-http"] {
            beta.ssh(line).ok();
        }
        for agent in &holders {
            flow::open_issue(agent, "parser", &format!("Leak of {}", agent.name));
        }
        let mut clones = Vec::new();
        for agent in &holders {
            let name = agent.name.as_str();
            let (issue, pull) = numbers(name);
            let work = Work::start(agent, &format!("parser/{issue}"));
            assert_eq!(work.deliver(&format!("{name}.txt"), "fixed\n"), format!("parser#{pull}"));
            work.git(&["push", "-q", "origin", &format!("{head}:refs/heads/{name}/ready")]).ok();
            beta.ssh(&format!("check register parser ci/{name} {name}")).ok();
            work.git(&["checkout", "-q", "--detach", &head]).ok();
            clones.push((name.to_owned(), work.dir.clone()));
        }
        let contest = "issue new parser --title Contest --difficulty easy --command true";
        assert_eq!(beta.json(contest)["ref"], format!("parser#{CONTEST}").as_str());
        // A throwaway key, for whoever adds one.
        let mut keygen = out::limited("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(forge.scratch().join("spare"));
        out::run(&mut keygen, None).ok();

        let void = alpha.token("");
        let id = alpha.json("key list")["tokens"][0]["id"].as_str().unwrap().to_owned();
        alpha.ssh(&format!("key revoke token:{id}")).ok();
        let trudy = forge.agent("trudy");
        for agent in [&mallory, &trudy] {
            agent.token("");
            let key = agent.json("key list")["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
            agent.ssh(&format!("key revoke {key}")).ok();
        }
        let over = |agent: &Agent, column, word, token: Option<String>| {
            let twin = match column {
                "stranger" => Some(forge.stranger("ivan")),
                "revoked key" => Some(trudy.clone()),
                _ => None,
            };
            Who { column, agent: agent.clone(), token, word, twin }
        };
        let limited = |limits: &str| Some(alpha.token(limits));
        let everybody = vec![
            over(&eve, "anonymous", "anonymous", Some(String::new())),
            over(&eve, "stranger", "stranger", None),
            over(&mallory, "revoked key", "revoked-key", None),
            over(&alpha, "agent", "by-key", None),
            over(&alpha, "agent", "by-token", limited("")),
            over(&alpha, "token for another project", "of-project", limited("--project other")),
            over(&alpha, "token for `refs/heads/alpha/*`", "of-refs", limited("--refs refs/heads/alpha/*")),
            over(&alpha, "token for `whoami`", "of-verb", limited("--verbs whoami")),
            over(&beta, "maintainer", "by-key", None),
            over(&beta, "maintainer", "by-token", Some(beta.token(""))),
            over(&vera, "vouched agent", "by-key", None),
            over(&olga, "operator", "by-key", None),
            over(&olga, "operator", "by-token", Some(olga.token(""))),
            over(&alpha, "revoked token", "void", Some(void)),
        ];
        let listed = gamma.git(gamma.home(), &["ls-remote", &gamma.ssh_url("parser"), "refs/notes/forge/in/*"]).ok();
        let records = listed.stdout.lines().filter_map(|line| line.split('\t').nth(1)).map(str::to_owned).collect();
        let http = forge.http_url("");
        let cast = Cast { everybody, holders, consent, eve, head, clones, records, http, masters: Vec::new() };
        cast.again(forge)
    }

    /// The same, in front of the forge as it was started last.
    pub fn again(mut self, forge: &Forge) -> Cast {
        self.masters.clear();
        for who in self.everybody.iter().filter(|who| !who.over_http()) {
            let path = socket(&who.agent);
            let mut ssh = who.agent.command("ssh");
            ssh.args(["-M", "-N", "-S"]).arg(&path).arg("forge");
            let master = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            self.masters.push(Master(master));
            for _ in 0..3000 {
                if path.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.http = forge.http_url("");
        self
    }

    /// `ssh forge <line>` over the connection that is there.
    pub fn ssh(&self, who: &Who, line: &str, stdin: &str) -> Out {
        let mut ssh = who.agent.command("ssh");
        ssh.arg("-S").arg(socket(&who.agent)).args(["forge", line]);
        out::run(&mut ssh, Some(stdin.as_bytes()))
    }

    /// A request with what `who` shows: status and body.
    pub fn curl(&self, who: &Who, path: &str, args: &[&str]) -> (u16, String) {
        let mut curl = who.agent.command("curl");
        curl.args(["-sS", "--max-time", "120", "-w", "\n%{http_code}", "--path-as-is"]).args(args);
        if let Some(token) = who.token.as_ref().filter(|token| !token.is_empty()) {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        split_status(&out::run(curl.arg(format!("{}{path}", self.http)), None).ok())
    }

    /// `git` in `dir` with `args` before and a repository's URL between them and the rest.
    pub fn git(&self, who: &Who, project: &str, before: &[&str], after: &[&str]) -> Out {
        let dir = self.clones.iter().find(|(name, _)| *name == who.agent.name).unwrap_or(&self.clones[0]);
        let mut git = who.agent.command("git");
        git.current_dir(&dir.1);
        // A clone of another's home is no harm to look at.
        git.args(["-c", "safe.directory=*"]);
        let url = match &who.token {
            None => {
                git.env("GIT_SSH_COMMAND", format!("ssh -S {}", socket(&who.agent).display()));
                who.agent.ssh_url(project)
            }
            Some(token) => {
                if !token.is_empty() {
                    git.args(["-c", &format!("http.extraHeader=Authorization: Bearer {token}")]);
                }
                format!("{}/{project}", self.http)
            }
        };
        out::run(git.args(before).arg(url).args(after), None)
    }

    /// Every ref of every repository.
    pub fn everything(&self) -> String {
        let agent = self.everybody.iter().find(|who| who.column == "agent").unwrap();
        let mut all = String::new();
        for project in ["forge", "parser", "other", "unborn-ssh", "unborn-http"] {
            let out = self.git(agent, project, &["ls-remote"], &[]).ok();
            let _ = writeln!(all, "{project}\n{}", out.stdout);
        }
        all
    }
}

fn socket(agent: &Agent) -> PathBuf {
    agent.home().join("s")
}
