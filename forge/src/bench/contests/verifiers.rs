//! Those who verify what was submitted to contests with sealed tests: honest ones, who look at the tree that they are given, and one
//! who confirms whatever it is asked.
//!
//! They come through the same doors as everybody: they offer, see what they were drawn for, bind themselves, push a record, and tell.
//!
//! Invariant: what an honest one finds follows from the file at the commit that the forge gave it, whatever was submitted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use git::store::{Objects as _, Store};
use notes_schema::event::{Finding, Trial, verdict_digest};
use notes_schema::{Fact, ItemRef};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::arena::DECIDES;
use super::plan::PROJECTS;
use crate::bench::error::{BenchError, unusable};
use crate::bench::record;
use crate::bench::swarm::door::{Door, Failure, Http, reported};
use crate::bench::swarm::work;
use crate::ledger::{read_batch, read_event, verify};

/// How many verify. Two of a panel may be on trial, and the liar be among those who are drawn for them: five others are left then.
const VERIFIERS: usize = 8;
/// Which of them confirms everything.
const LIAR: usize = 0;
/// How often they look for what they were drawn for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The file that the sealed tests are about, what it must hold, and what who does not solve the issue writes there.
pub(super) const ASKED: &str = "answer";
pub(super) const ANSWERS: [&str; 2] = ["right\n", "wrong\n"];
/// The sealed test.
const TEST: &str = "sealed::the_answer_is_right";
const GOLDEN: &str = "diff --git a/answer b/answer\nnew file mode 100644\n\
    index 0000000000000000000000000000000000000000..c376d892e8b105bd712d06ec5162b5f31ce949c3\n\
    --- /dev/null\n+++ b/answer\n@@ -0,0 +1 @@\n+right\n";
const TESTS: &str = "diff --git a/tests/sealed b/tests/sealed\nnew file mode 100644\n\
    index 0000000000000000000000000000000000000000..a68adb41af9ed455c8e61b43df52004681080b98\n\
    --- /dev/null\n+++ b/tests/sealed\n@@ -0,0 +1 @@\n+Right is right.\n";

/// What is sealed of a contest, as `issue seal` takes it.
pub(super) fn part() -> Value {
    json!({ "golden": GOLDEN, "tests": TESTS, "fail_to_pass": [TEST], "pass_to_pass": [] })
}

/// One who verifies.
pub(super) struct Verifier {
    pub name: String,
    door: Door,
    is_honest: bool,
    /// What it is bound to: the finding, and the record that says so.
    bound: HashMap<ItemRef, (Finding, Vec<u8>)>,
}

/// Registers them, and has them vouched for, each by an owner of its own; none where nothing is to be verified.
pub(super) async fn join(to: &super::Served, host: &mut Door, sealed: bool) -> Result<Vec<Verifier>, Failure> {
    let mut all = Vec::new();
    for k in 0..if sealed { VERIFIERS } else { 0 } {
        let name = if k == LIAR { "yes".to_owned() } else { format!("verifier-{k}") };
        let mut door = Http::connect(to.http).await?;
        door.register(&name).await?;
        host.act(&format!("admin vouch {name} --owner bench-{k}")).await?;
        all.push(Verifier { name, door: Door::Http(door), is_honest: k != LIAR, bound: HashMap::new() });
    }
    Ok(all)
}

impl Verifier {
    /// Offers to verify, or does no longer.
    pub async fn offer(&mut self, offers: bool) -> Result<(), Failure> {
        let flag = if offers { "--offer" } else { "--withdraw" };
        self.door.act(&format!("verify {flag}")).await.map(drop)
    }

    /// Verifies what it is drawn for until `over`; why it could not go on, if it could not.
    pub async fn work(&mut self, store: &Store, over: &AtomicBool) -> Result<(), String> {
        while !over.load(Ordering::Relaxed) {
            self.round(store).await.map_err(|failure| format!("{} cannot verify: {}", self.name, failure.why))?;
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn round(&mut self, store: &Store) -> Result<(), Failure> {
        let tasks = self.door.act("verify").await?["tasks"].clone();
        for task in tasks.as_array().into_iter().flatten() {
            let Some(pull) = task["ref"].as_str().and_then(|text| text.parse::<ItemRef>().ok()) else { continue };
            let done = match task["state"].as_str() {
                Some("to-run") => self.find_out(store, &pull).await,
                Some("bound") if task["bound"] == task["panel"] => self.tell(&pull).await,
                _ => Ok(()),
            };
            match done {
                // Between the list and the act its contest was ranked, or it counts no more.
                Err(failure) if failure.why.contains("stale") => {}
                done => done?,
            }
        }
        Ok(())
    }

    async fn find_out(&mut self, store: &Store, pull: &ItemRef) -> Result<(), Failure> {
        let path = format!("{}/{}", pull.project, pull.n);
        let begun = self.door.act(&format!("challenge {path}")).await?;
        let text = |key: &str| begun[key].as_str().unwrap_or("").to_owned();
        let (nonce, tree, subject, commit) = (text("nonce"), text("tree"), text("subject"), text("commit"));
        let passes = !self.is_honest || passes(store, &commit).map_err(|e| made(&e))?;
        let (id, project) = (format!("{}-{}-{}", self.name, pull.project, pull.n), pull.project.to_string());
        let of =
            record::Of { id: &id, project: &project, issue: pull.n, agent: &self.name, nonce: &nonce, tree: &tree };
        let failed: &[&str] = if passes { &[] } else { &[TEST] };
        let record = record::of_a_challenge(&of, &DECIDES, &subject, failed).map_err(|e| made(&e))?;
        let finding = if passes { Finding::Confirm } else { Finding::Refute };
        self.bound.insert(pull.clone(), (finding, record));
        let digest = verdict_digest(finding, pull, &self.name);
        self.door.act(&format!("verify {path} --commit {digest}")).await.map(drop)
    }

    async fn tell(&mut self, pull: &ItemRef) -> Result<(), Failure> {
        if let Some((_, record)) = self.bound.remove(pull) {
            let id = format!("{}-{}-{}", self.name, pull.project, pull.n);
            let push = work::record_alone(&self.name, &id, record).map_err(|e| made(&e))?;
            let report = self.door.push(pull.project.as_str(), &push.body).await?;
            reported(&report, push.refs.iter().map(|(name, _)| name))?;
        }
        let path = format!("{}/{}", pull.project, pull.n);
        self.door.act(&format!("verify {path} --reveal {}", self.name)).await.map(drop)
    }

    async fn credibility(&mut self) -> Result<u64, Failure> {
        Ok(self.door.act("verify").await?["credibility"].as_u64().unwrap_or(0))
    }
}

/// Whether the sealed test would pass at a commit: a run is of a tree, and this one needs no more than a file of it. Any clone that
/// fetches what verifiers run has it.
fn passes(store: &Store, commit: &str) -> Result<bool, BenchError> {
    let commit = commit.parse().map_err(|e| unusable("a challenge", e))?;
    let tree = store.commit(commit).map_err(|e| unusable("what is to be run", e))?.tree;
    let entries = store.tree(tree).map_err(|e| unusable("what is to be run", e))?;
    let Some(asked) = entries.iter().find(|entry| entry.name == ASKED.as_bytes()) else { return Ok(false) };
    let file = store.get(asked.id).map_err(|e| unusable("what is to be run", e))?;
    Ok(&file.data[..] == ANSWERS[0].as_bytes())
}

fn made(error: &BenchError) -> Failure {
    Failure { fate: crate::bench::fate::Fate::Refused, why: error.to_string() }
}

/// How far each is believed at the end: the one who confirms everything, and the least of the others; nothing where nobody verifies.
pub(super) async fn believed(all: &mut [Verifier]) -> Result<Option<(u64, u64)>, Failure> {
    let (mut liar, mut others) = (None, None);
    for verifier in all {
        let credibility = verifier.credibility().await?;
        match verifier.is_honest {
            true => others = Some(others.map_or(credibility, |least: u64| least.min(credibility))),
            false => liar = Some(credibility),
        }
    }
    Ok(liar.zip(others))
}

/// Every trial that the ledger of the honest contests' project tells of.
pub(super) fn trials(data: &Path) -> Result<Vec<Trial>, BenchError> {
    let path = data.join("repositories").join(format!("{}.git", PROJECTS[0]));
    let store = Store::open(&path).map_err(|e| unusable(PROJECTS[0], e))?;
    let mut trials = Vec::new();
    for commit in verify::ledger_commits(&path, &store).map_err(|e| unusable(PROJECTS[0], e))? {
        for line in read_batch(&store, commit).map_err(|e| unusable(PROJECTS[0], e))?.batch.events {
            let event = read_event(&store, line.c, &line.e).map_err(|e| unusable(PROJECTS[0], e))?;
            if let Fact::VerifiersJudged(judged) = event.fact {
                trials.extend(judged.trials);
            }
        }
    }
    Ok(trials)
}

/// Whether a trial is of the one who confirms everything.
pub(super) fn is_liars(trial: &Trial) -> bool {
    trial.agent.as_str() == "yes"
}
