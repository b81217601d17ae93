//! One agent of the swarm: its connection, its diary, and the loop that it walks again and again.
//!
//! Invariant: whatever is acknowledged goes into the diary as it was answered, before anything else is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git::store::Store;
use notes_schema::Oid;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::door::{Door, Failure, Http, Ssh, reported};
use super::served::Served;
use super::watch::{Act, Look, Moment, keys};
use super::work::{self, Push, Task};
use crate::bench::error::BenchError;
use crate::bench::fate::Fate;

/// Most examples of errors that are kept by one agent.
const EXAMPLES: usize = 4;

/// One agent.
pub(super) struct Agent {
    pub name: String,
    /// The project that it works on.
    pub project: usize,
    /// Its connection; others borrow it to let this agent open an issue or review.
    pub door: Mutex<Door>,
}

/// What one agent remembers.
#[derive(Default)]
pub(super) struct Diary {
    pub acts: Vec<Act>,
    /// What its feeds said.
    pub looks: Vec<Look>,
    /// Branches as the last acknowledged push left them.
    pub tips: Vec<(String, String, Oid)>,
    /// Milliseconds that each act of a kind took, whatever came of it.
    pub took: BTreeMap<&'static str, Vec<f64>>,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Some of them in full.
    pub examples: Vec<String>,
    pub merges: u64,
    /// How often those who wait were told something.
    pub woken: u64,
}

impl Diary {
    pub fn absorb(&mut self, other: Diary) {
        self.acts.extend(other.acts);
        self.looks.extend(other.looks);
        self.tips.extend(other.tips);
        other.took.into_iter().for_each(|(what, took)| self.took.entry(what).or_default().extend(took));
        other.errors.into_iter().for_each(|(kind, n)| *self.errors.entry(kind).or_default() += n);
        self.examples.extend(other.examples);
        self.merges += other.merges;
        self.woken += other.woken;
    }

    /// Remembers an error of `what`.
    pub fn failed(&mut self, what: &str, who: &str, failure: &Failure) {
        let line = format!("{what}: {:?}: {}", failure.fate, failure.why);
        // One kind, whichever number, id or name it is about.
        let kind: Vec<&str> = line
            .split_whitespace()
            .map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "…" } else { word })
            .collect();
        *self.errors.entry(kind.join(" ")).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{who}: {line}"));
        }
    }
}

/// What every agent shares.
pub(super) struct Swarm {
    pub agents: Vec<Agent>,
    pub projects: Vec<String>,
    /// The projects' repositories: what a clone would hold.
    pub stores: Vec<Store>,
    /// When it began.
    pub clock: Instant,
    /// No loop begins after it.
    pub until: Duration,
}

/// What is told of an act beside its time and fate.
struct Told {
    key: String,
    repository: String,
    seq: Option<u64>,
    value: Option<String>,
}

impl Swarm {
    /// Since the run began.
    pub fn now(&self) -> Moment {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Whoever stands next in the same project: asks, and reviews.
    fn peer(&self, at: usize) -> &Agent {
        &self.agents[(at + self.projects.len()) % self.agents.len()]
    }

    /// Walks the loop until time is over, at least once.
    pub async fn work(self: Arc<Self>, at: usize) -> Diary {
        let mut diary = Diary::default();
        for round in 0.. {
            // The reason stands in the diary; another issue may go better.
            if self.round(at, round, &mut diary).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if self.clock.elapsed() >= self.until {
                break;
            }
        }
        diary
    }

    /// One command by `who`, remembered as what `told` makes of its answer.
    async fn act(
        &self,
        diary: &mut Diary,
        (what, who, project): (&'static str, &Agent, &str),
        line: &str,
        key: String,
        told: impl Fn(&Value) -> (Option<u64>, Option<String>),
    ) -> Result<Value, ()> {
        let mut door = who.door.lock().await;
        let began = self.now();
        let answer = door.act(line).await;
        let ended = self.now();
        drop(door);
        let repository = project.to_owned();
        let (fate, (seq, value)) = match &answer {
            Ok(answer) => (Fate::Done, told(answer)),
            Err(failure) => (failure.fate, (None, None)),
        };
        self.remember(
            diary,
            (what, &who.name),
            (began, ended),
            answer.as_ref().err(),
            fate,
            vec![Told { key, repository, seq, value }],
        );
        answer.map_err(drop)
    }

    fn remember(
        &self,
        diary: &mut Diary,
        (what, who): (&'static str, &str),
        (began, ended): (Moment, Moment),
        failure: Option<&Failure>,
        fate: Fate,
        told: Vec<Told>,
    ) {
        diary.took.entry(what).or_default().push((ended - began) as f64 / 1000.0);
        if let Some(failure) = failure {
            diary.failed(what, who, failure);
        }
        for Told { key, repository, seq, value } in told {
            diary.acts.push(Act { key, repository, began, ended, fate, seq, value });
        }
    }

    /// Feed, issue, start, push with its record, submit, review, merge.
    async fn round(&self, at: usize, round: u64, diary: &mut Diary) -> Result<(), ()> {
        let (me, peer) = (&self.agents[at], self.peer(at));
        let project = self.projects[me.project].as_str();
        self.feed(diary, me).await?;
        let title = format!("Swarm {} {round}", me.name);
        let (line, key) = (format!("issue new {project} --title {title}"), keys::issue(project, &title));
        let opened = self.act(diary, ("issue", peer, project), &line, key, seq_and("ref")).await?;
        let issue = number(&opened["ref"])?;
        let key = keys::start(project, issue, &me.name);
        let nonce = |answer: &Value| (None, answer["nonce"].as_str().map(str::to_owned));
        let started = self.act(diary, ("start", me, project), &format!("start {project}/{issue}"), key, nonce).await?;
        let task = task(&started, project, issue, &me.name, round)?;
        let branch = format!("refs/heads/{}", task.branch.strip_prefix("refs/heads/").unwrap_or(&task.branch));
        let push = work::answer(&self.stores[me.project], &task);
        let push =
            push.map_err(|e| diary.failed("work", &me.name, &Failure { fate: Fate::Lost, why: e.to_string() }))?;
        self.push(diary, me, project, &push).await?;
        let line = format!("submit {} --project {project} --issue {project}/{issue}", task.branch);
        let submitted =
            self.act(diary, ("submit", me, project), &line, keys::submit(project, &branch), seq_and("ref")).await?;
        let pull = number(&submitted["ref"])?;
        let line = format!("review approve {project}/{pull} reads well");
        self.act(diary, ("review", peer, project), &line, keys::review(project, pull, &peer.name), seq_and("head"))
            .await?;
        let line = format!("merge {project}/{pull}");
        let merged =
            self.act(diary, ("merge", me, project), &line, keys::merge(project, pull), seq_and("landed")).await?;
        diary.merges += 1;
        self.landed(diary, project, pull, &me.name, &merged);
        Ok(())
    }

    async fn feed(&self, diary: &mut Diary, me: &Agent) -> Result<(), ()> {
        let mut door = me.door.lock().await;
        let began = self.now();
        let answer = door.act("feed").await;
        let ended = self.now();
        drop(door);
        let fate = answer.as_ref().map_or_else(|failure| failure.fate, |_| Fate::Done);
        self.remember(diary, ("feed", &me.name), (began, ended), answer.as_ref().err(), fate, vec![]);
        let cursor = answer.map_err(drop)?["seq"].as_u64().ok_or(())?;
        diary.looks.push(Look { began, ended, cursor, tips: vec![] });
        Ok(())
    }

    async fn push(&self, diary: &mut Diary, me: &Agent, project: &str, push: &Push) -> Result<(), ()> {
        let mut door = me.door.lock().await;
        let began = self.now();
        let report = door.push(project, &push.body).await;
        let ended = self.now();
        drop(door);
        let landed = report.and_then(|report| reported(&report, push.refs.iter().map(|(name, _)| name)));
        let fate = landed.as_ref().map_or_else(|failure| failure.fate, |()| Fate::Done);
        let told = push.refs.iter().map(|(name, id)| Told {
            key: keys::push(project, name),
            repository: project.to_owned(),
            seq: None,
            value: Some(id.to_string()),
        });
        self.remember(diary, ("push", &me.name), (began, ended), landed.as_ref().err(), fate, told.collect());
        landed.map_err(drop)?;
        let (branch, tip) = &push.refs[0];
        diary.tips.push((project.to_owned(), branch.clone(), *tip));
        Ok(())
    }

    /// What else a merge acknowledges: the default branch has it, and it was rated.
    fn landed(&self, diary: &mut Diary, project: &str, pull: u64, author: &str, merged: &Value) {
        let Some(last) = diary.acts.last().cloned() else { return };
        let landed = merged["landed"].as_str().unwrap_or("none").to_owned();
        let key = keys::landing(project, &landed);
        diary.acts.push(Act { key, seq: None, value: Some(landed), ..last.clone() });
        if merged["ratings"].as_array().is_some_and(|rated| !rated.is_empty()) {
            let (key, repository) = (keys::rating(project, pull), notes_schema::FORGE_PROJECT.to_owned());
            diary.acts.push(Act { key, repository, seq: None, value: Some(author.to_owned()), ..last });
        }
    }
}

/// Waits for news again and again until it is `enough`, as an agent without work does; what it is told are looks.
pub(super) async fn wait_on(swarm: Arc<Swarm>, name: String, mut door: Door, enough: CancellationToken) -> Diary {
    let mut diary = Diary::default();
    let mut line = "feed".to_owned();
    loop {
        let began = swarm.now();
        let answer = tokio::select! {
            answer = door.act(&line) => answer,
            () = enough.cancelled() => return diary,
        };
        match answer {
            Ok(answer) => {
                let cursor = answer["seq"].as_u64().unwrap_or(0);
                line = format!("feed --since {cursor} --wait");
                diary.looks.push(Look { began, ended: swarm.now(), cursor, tips: vec![] });
                diary.woken += 1;
            }
            Err(failure) => {
                diary.failed("wait", &name, &failure);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What an answer says of its number, and of `name`.
fn seq_and(name: &'static str) -> impl Fn(&Value) -> (Option<u64>, Option<String>) {
    move |answer| (answer["seq"].as_u64(), answer[name].as_str().map(str::to_owned))
}

/// The number of a reference.
fn number(reference: &Value) -> Result<u64, ()> {
    reference.as_str().and_then(|text| text.rsplit_once('#')).and_then(|(_, n)| n.parse().ok()).ok_or(())
}

fn task(started: &Value, project: &str, issue: u64, agent: &str, round: u64) -> Result<Task, ()> {
    let text = |key: &str| started[key].as_str().map(str::to_owned).ok_or(());
    let (nonce, branch, base) = (text("nonce")?, text("branch")?, text("base")?.parse().map_err(drop)?);
    Ok(Task { project: project.to_owned(), issue, agent: agent.to_owned(), nonce, branch, base, round })
}

/// Connects and registers agent `at`: over SSH with a key of its own, or over HTTP with a token.
pub(super) async fn join(
    served: &Served,
    name: &str,
    ssh: bool,
    clock: Instant,
) -> Result<(Door, Vec<Act>), BenchError> {
    let failed =
        |what: &str, failure: Failure| crate::bench::error::unusable(what, format!("{} ({name})", failure.why));
    let (http, over_ssh) = (served.http, served.ssh);
    let mut door = match ssh {
        true => Door::Ssh(Ssh::connect(over_ssh).await.map_err(|e| failed("connecting over SSH", e))?),
        false => Door::Http(Http::connect(http).await.map_err(|e| failed("connecting over HTTP", e))?),
    };
    let began = clock.elapsed();
    let answer = match &mut door {
        Door::Ssh(_) => door.act(&format!("register {name}")).await,
        Door::Http(http) => http.register(name).await,
    };
    let answer = answer.map_err(|e| failed("register", e))?;
    let micros = |at: Duration| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    let registered = Act {
        key: keys::agent(name),
        repository: notes_schema::FORGE_PROJECT.to_owned(),
        began: micros(began),
        ended: micros(clock.elapsed()),
        fate: Fate::Done,
        seq: answer["seq"].as_u64(),
        value: Some(name.to_owned()),
    };
    // Over HTTP a token is given behind the registration, and its number is what the answer names.
    let given = (!ssh).then(|| Act { key: keys::token(name), ..registered.clone() });
    let registered = Act { seq: registered.seq.filter(|_| ssh), ..registered };
    Ok((door, std::iter::once(registered).chain(given).collect()))
}
