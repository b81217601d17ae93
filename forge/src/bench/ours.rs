//! Our side of every comparison: a whole server in this process, on a data directory of its own, asked over real sockets.
//!
//! Invariant: what is measured goes through a door; only what a measurement stands on (a hundred thousand closed issues)
//! is written straight to the commit point, in the form in which the commands write it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notes_schema::event::{Commented, IssueClosed, IssueOpened, Proof, PullOpened};
use notes_schema::{AgentName, EntityId, ProjectName, RefName, refs};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::capture::{self, PushRequest};
use super::error::{BenchError, io, unusable};
use super::http::{Answer, Client};
use super::timing::milliseconds;
use crate::answer::{Code, Refusal};
use crate::config::{Config, Layer};
use crate::forge::Forge;
use crate::ledger::{Author, Repository};
use crate::roles::serve::Server;

/// A running server.
pub struct Ours {
    runtime: Runtime,
    server: Option<Server>,
    data: PathBuf,
    /// Its HTTP door.
    pub http: SocketAddr,
    /// Its SSH door.
    pub ssh: SocketAddr,
}

/// A registered agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// `Bearer …`.
    pub bearer: String,
}

fn refused(what: &str) -> impl FnOnce(Refusal) -> BenchError {
    move |refusal| BenchError::Answer { what: what.to_owned(), answer: refusal.to_string() }
}

impl Ours {
    /// Starts a server on the data directory `data`, which is made.
    pub fn start(data: &Path) -> Result<Ours, BenchError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("forge").build();
        let runtime = runtime.map_err(io("the runtime"))?;
        let server = serve(&runtime, data)?;
        let (http, ssh) = (server.config.http, server.config.ssh);
        Ok(Ours { runtime, server: Some(server), data: data.to_owned(), http, ssh })
    }

    /// Stops the server and starts another on the same data: milliseconds until that says what refs `project` has.
    pub fn restart(&mut self, project: &str) -> Result<f64, BenchError> {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop()).map_err(|e| unusable("forge serve", e))?;
        }
        let (took, ()) = milliseconds(|| {
            let server = serve(&self.runtime, &self.data)?;
            (self.http, self.ssh) = (server.config.http, server.config.ssh);
            self.server = Some(server);
            self.upload_pack(&mut self.connect()?, project, &capture::ls_refs(&["refs/heads/main"])).map(drop)
        })?;
        Ok(took)
    }

    /// Stops the server, and waits until nothing of it uses the data directory any more.
    pub fn end(mut self) -> Result<(), BenchError> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let forge = server.forge().map(Arc::downgrade);
        self.runtime.block_on(server.stop()).map_err(|e| unusable("forge serve", e))?;
        // Housekeeping may hold it for a moment.
        while forge.as_ref().is_some_and(|forge| forge.strong_count() > 0) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(())
    }

    /// A new connection to its HTTP door.
    pub fn connect(&self) -> Result<Client, BenchError> {
        Client::connect(self.http).map_err(io("connecting to the server"))
    }

    /// Registers an agent, with an SSH key where it has one.
    pub fn register(&self, name: &str, key: Option<&str>) -> Result<Agent, BenchError> {
        let body = match key {
            Some(key) => serde_json::json!({ "name": name, "ssh_key": key }),
            None => serde_json::json!({ "name": name }),
        };
        let headers = [("content-type", "application/json")];
        let answer = self.connect()?.post("/agents/register", &headers, body.to_string().as_bytes());
        let answer = json("register", answer.map_err(io("register"))?)?;
        let token = answer["token"].as_str().ok_or_else(|| unusable("register", &answer))?;
        Ok(Agent { name: name.to_owned(), bearer: format!("Bearer {token}") })
    }

    /// One command as `agent`: its JSON.
    pub fn act(&self, agent: &Agent, line: &str) -> Result<Value, BenchError> {
        let mut client = self.connect()?;
        json(line, act(&mut client, agent, line)?)
    }

    /// Makes a project whose default branch is `main` of the repository `source`.
    pub fn project(&self, agent: &Agent, name: &str, source: &Path, empty: &Path) -> Result<(), BenchError> {
        self.act(agent, &format!("project new {name}"))?;
        let advertised = capture::advertisement(empty)?;
        let push = capture::push(source, &advertised, "refs/heads/main", "refs/heads/main")?;
        self.push(&mut self.connect()?, agent, name, &push)
    }

    /// Sends a captured push, which must land.
    pub fn push(&self, to: &mut Client, by: &Agent, project: &str, push: &PushRequest) -> Result<(), BenchError> {
        let headers =
            [("authorization", by.bearer.as_str()), ("content-type", "application/x-git-receive-pack-request")];
        let answer = to.post(&format!("/{project}.git/git-receive-pack"), &headers, &push.body);
        let report = answer.map_err(io("a push"))?.body;
        std::iter::once(&push.name).chain(&push.others).try_for_each(|name| capture::landed(&report, name))
    }

    /// Sends a request of protocol v2 and returns the whole answer.
    pub fn upload_pack(&self, to: &mut Client, project: &str, request: &[u8]) -> Result<Vec<u8>, BenchError> {
        let headers = [("git-protocol", "version=2"), ("content-type", "application/x-git-upload-pack-request")];
        let answer = to.post(&format!("/{project}.git/git-upload-pack"), &headers, request);
        let answer = answer.map_err(io("a fetch"))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(unusable("a fetch", format!("{status} {}", String::from_utf8_lossy(&answer.body)))),
        }
    }

    fn forge(&self) -> &Arc<Forge> {
        let forge = self.server.as_ref().and_then(Server::forge);
        forge.expect("invariant: it was started on a data directory, and drop alone takes it")
    }

    /// Opens and closes `count` issues of `project`, and waits until index and refs on disk have followed.
    pub fn closed_issues(&self, project: &str, by: &Agent, count: u64) -> Result<(), BenchError> {
        let forge = self.forge();
        let repository = forge.project(&name(project)?).map_err(refused(project))?;
        let author = author(by)?;
        let mut done = 0;
        while done < count {
            let part = (count - done).min(50);
            let author = author.clone();
            let written = repository.commit(move |draft| {
                for _ in 0..part {
                    let n = draft.number();
                    let fact = IssueOpened { title: format!("Question {n}"), labels: vec![], lang: None, dedupe: None };
                    draft.event(&author, &EntityId::Issue(n), fact, Some("It was asked, and answered."), &[])?;
                    draft.event(&author, &EntityId::Issue(n), IssueClosed { fixed_by: None }, None, &[])?;
                }
                Ok(())
            });
            written.map_err(refused("closed issues"))?;
            done += part;
        }
        forge.index().map_err(refused("the index"))?;
        repository.maintain().map_err(io("flushing refs"))
    }

    /// Writes `count` events to issues of `project`, ten to each, and waits until refs on disk have followed.
    pub fn long_threads(&self, project: &str, by: &Agent, count: u64) -> Result<(), BenchError> {
        const EACH: u64 = 10;
        let repository = self.repository(project)?;
        let author = author(by)?;
        let mut left = count;
        while left > 0 {
            let part = left.min(100 * EACH);
            left -= part;
            let author = author.clone();
            let written = repository.commit(move |draft| {
                let mut n = 0;
                for at in 0..part {
                    if at % EACH == 0 {
                        n = draft.number();
                        let fact =
                            IssueOpened { title: format!("Question {n}"), labels: vec![], lang: None, dedupe: None };
                        draft.event(&author, &EntityId::Issue(n), fact, Some("It was asked."), &[])?;
                    } else {
                        draft.event(&author, &EntityId::Issue(n), Commented {}, Some("Looks right to me."), &[])?;
                    }
                }
                Ok(())
            });
            written.map_err(refused("many events"))?;
        }
        self.forge().index().map_err(refused("the index"))?;
        repository.maintain().map_err(io("flushing refs"))
    }

    /// Opens a pull request from `branch`, which was pushed; its ref.
    pub fn open_pull(&self, project: &str, by: &Agent, branch: &str) -> Result<String, BenchError> {
        let repository = self.forge().project(&name(project)?).map_err(refused(project))?;
        let author = author(by)?;
        let branch: RefName = branch.parse().map_err(|e| unusable(branch, e))?;
        let target = RefName::branch("main").map_err(|e| unusable("main", e))?;
        let opened = repository.commit(move |draft| {
            let gone = || Refusal::new(Code::Stale, "pull request", "its branch is gone", "feed");
            let head = draft.snapshot().ref_id(&branch).ok_or_else(gone)?;
            let base = draft.snapshot().ref_id(&target).ok_or_else(gone)?;
            let (n, title, proof) = (draft.number(), branch.short().to_owned(), Proof::none());
            let fact = PullOpened { title, branch, target, issue: None, head, base, proof };
            draft.event(&author, &EntityId::Pull(n), fact, None, &[])?;
            draft.set_ref(&refs::pull_head(n), None, Some(head), None, None)?;
            Ok(refs::pull_head(n).to_string())
        });
        opened.map(|(name, _)| name).map_err(refused("a pull request"))
    }

    /// A writer for events at the commit point, without a door in front: comments on issue `n` by `by`.
    pub fn commenter(
        &self,
        project: &str,
        by: &Agent,
        n: u64,
    ) -> Result<impl Fn(u64) -> Result<u64, BenchError> + Send + use<>, BenchError> {
        let forge = self.forge().clone();
        let repository = forge.project(&name(project)?).map_err(refused(project))?;
        let author = author(by)?;
        Ok(move |events: u64| {
            let author = author.clone();
            let written = repository.commit(move |draft| {
                for _ in 0..events {
                    draft.event(&author, &EntityId::Issue(n), Commented {}, Some("Looks right to me."), &[])?;
                }
                Ok(())
            });
            written.map(|((), after)| after.number).map_err(refused("a comment"))
        })
    }

    /// The repository of `project`.
    pub fn repository(&self, project: &str) -> Result<Arc<Repository>, BenchError> {
        self.forge().project(&name(project)?).map_err(refused(project))
    }

    /// Forgets what searches through code learned of files.
    pub fn forget_searches(&self) -> Result<(), BenchError> {
        match std::fs::remove_dir_all(self.data.join("trigrams")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("trigrams")(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Everything it wrote goes away with its directory, so a bad end changes nothing.
            drop(self.runtime.block_on(server.stop()));
        }
    }
}

fn serve(runtime: &Runtime, data: &Path) -> Result<Server, BenchError> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let layer = Layer { data: Some(data.to_owned()), ssh: Some(free), http: Some(free), ..Layer::default() };
    let mut config = Config::from_layers([layer]).map_err(|e| unusable("forge serve", e))?;
    // All that is measured comes from one address.
    config.limits.connections_each = 0;
    runtime.block_on(Server::start(config)).map_err(|e| unusable("forge serve", e))
}

/// One command over a connection that is kept.
pub fn act(client: &mut Client, agent: &Agent, line: &str) -> Result<Answer, BenchError> {
    let headers =
        [("authorization", agent.bearer.as_str()), ("accept", "application/json"), ("content-type", "text/plain")];
    let answer = client.post("/action", &headers, line.as_bytes()).map_err(io(line))?;
    match answer.status {
        200 => Ok(answer),
        status => Err(unusable(line, format!("{status} {}", String::from_utf8_lossy(&answer.body)))),
    }
}

fn json(what: &str, answer: Answer) -> Result<Value, BenchError> {
    let value = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200);
    value.ok_or_else(|| unusable(what, String::from_utf8_lossy(&answer.body)))
}

fn name(project: &str) -> Result<ProjectName, BenchError> {
    project.parse().map_err(|e| unusable(project, e))
}

fn author(agent: &Agent) -> Result<Author, BenchError> {
    let name: AgentName = agent.name.parse().map_err(|e| unusable(&agent.name, e))?;
    Ok(Author { agent: name, credential: "token:bench".to_owned(), intent: None })
}
