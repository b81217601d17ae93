//! How a proof is run again: one block to paste, and a nonce for whoever pastes it.

use hooks::command::{one_line, quote};
use notes_schema::event::{ChallengeStarted, challenge_of};
use notes_schema::names::hex;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256, refs};
use rand::TryRngCore as _;
use serde::Serialize;

use super::{Challenged, Standing, challenged, path};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::AgentActor;
use crate::commands::context::Project;
use crate::commands::text::inline;
use crate::commands::work::{CloneUrls, git_config};
use crate::commands::{Context, Door, projects};
use crate::gate;
use crate::ledger::{Author, Draft, Snapshot};
use git::store::Objects;

#[derive(Serialize)]
struct Begun {
    #[serde(rename = "ref")]
    reference: ItemRef,
    author: AgentName,
    proof: Sha256,
    level: &'static str,
    level_means: &'static str,
    command: Vec<String>,
    cwd: String,
    /// The command that measures, for whoever was drawn to verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    bench: Option<String>,
    tree: Oid,
    commit: Oid,
    /// The contest whose sealed tests are in that commit, for whoever was drawn to run them.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_tests_of: Option<ItemRef>,
    clone: CloneUrls,
    directory: String,
    nonce: String,
    subject: String,
    git_config: Vec<Vec<String>>,
    #[serde(flatten)]
    standing: Standing,
    next: String,
    #[serde(skip)]
    clone_from: String,
    #[serde(skip)]
    push: &'static str,
    #[serde(skip)]
    finish: String,
}

impl Render for Begun {
    fn markdown(&self) -> String {
        let command: Vec<String> = self.command.iter().map(|word| quote(word)).collect();
        let mut out = format!(
            "# Run the proof of {} again\n\n{} says that `{}` passes on tree {}. Proof {}: {}; `help proof`.\n",
            self.reference,
            self.author,
            inline(&crate::state::snippet(&self.command.join(" "), 120)),
            self.tree.short(),
            self.level,
            self.level_means,
        );
        if !self.standing.is_empty() {
            out.push_str(&format!("So far: {}.\n", self.standing.words()));
        }
        let dir = &self.directory;
        out.push_str("\nIt is another agent's code: run it where it can do no harm. Paste this:\n\n```sh\n");
        out.push_str(&format!("[ -d {dir} ] || git clone -q {} {dir}\ncd {dir}\n", self.clone_from));
        let fetched = match &self.sealed_tests_of {
            Some(contest) => refs::sealed_runs(contest.n),
            None => refs::pull_head(self.reference.n),
        };
        out.push_str(&format!("git fetch -q origin {fetched}\n"));
        out.push_str(&format!("git checkout -q --detach {}\n", self.commit));
        for args in &self.git_config {
            let args: Vec<String> = args.iter().map(|word| quote(word)).collect();
            out.push_str(&format!("git config {}\n", args.join(" ")));
        }
        if let Some(bench) = &self.bench {
            out.push_str(&format!("forge run -- {bench}   # what it prints is what the submission is measured by\n"));
        }
        let run = format!("forge run -- {}", command.join(" "));
        let run = match self.cwd.as_str() {
            "" => run,
            cwd => format!("(cd {} && {run})", quote(&format!("./{cwd}"))),
        };
        out.push_str(&format!("{}\n", one_line(&run)));
        match &self.sealed_tests_of {
            Some(contest) => out.push_str(&format!(
                "```\n\nYou were drawn to run it with the sealed tests of {contest}, which are in that commit. Keep the record: `verify` \
                 says when to push it.\nIt confirms where all pass that must pass now (`issue sealed {}` names them). \
                 Of those that must pass still, failures are counted.\n",
                path(contest)
            )),
            None => {
                out.push_str(&format!("{}\n{}\n```\n\nExit 0 confirms, anything else refutes. ", self.push, self.finish));
                out.push_str("Without the program `forge`: `ssh forge recorder`.\n");
            }
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// Gives the caller what it needs to run the proof again; repeatable.
pub(super) fn begin(context: &Context, project: &Project, reference: &ItemRef) -> Result<Answer, Refusal> {
    let mut nonce = [0u8; 16];
    rand::rngs::OsRng.try_fill_bytes(&mut nonce).map_err(|e| {
        Refusal::new(Code::TryLater, "challenge", format!("the system gives no random bytes: {e}"), "feed")
    })?;
    let (by, agent, root) = (context.author()?, context.agent()?.clone(), context.root.clone());
    let (store, name) = (project.repository.store().clone(), reference.clone());
    let forge = context.forge.clone();
    let ((proof, nonce, run), after) = context.commit(&project.repository, move |draft| {
        let made = draft.made();
        let objects = git::store::Over { made: &made, below: store.as_ref() };
        let run = forge.run_of(draft.snapshot(), &objects, &name, &by.agent)?;
        let (proof, nonce) = give_out(draft, &root, &objects, &by, &name, nonce)?;
        Ok((proof, nonce, run))
    })?;
    let last = proof.record.last();
    if !hooks::reruns::in_full(last) {
        let why = "its command was not recorded in full, so nobody can run it again";
        return Err(Refusal::new(
            Code::Refused,
            format!("challenge {reference}"),
            why,
            format!("pr {}", path(reference)),
        ));
    }
    let config = context.forge.config();
    let subject = challenge_of(&proof.known.digest);
    let command = match run {
        Some(_) => "verify".to_owned(),
        None => format!("challenge {} --record newest", path(reference)),
    };
    let bearer = "\"Authorization: Bearer $FORGE_TOKEN\"";
    let (push, finish) = match context.door {
        Door::Ssh => ("git push", format!("ssh forge {command}")),
        Door::Http => (
            "git -c http.extraHeader=\"Authorization: Bearer $FORGE_TOKEN\" push",
            format!("curl -H {bearer} -d '{command}' {}/action", config.public_http),
        ),
    };
    let sits = || {
        let contest = after.fold.contests.of(proof.pull.issue?)?;
        contest.seat(reference.n, &agent.name).filter(|seat| !seat.void && contest.rankings.is_empty())
    };
    Ok(Answer::of(&Begun {
        bench: sits().and_then(|_| gate::contest::bench_of(&after, reference.n)).map(str::to_owned),
        author: proof.pull.author.clone(),
        proof: proof.known.digest,
        level: proof.pull.proof.level.as_str(),
        level_means: gate::means(proof.pull.proof.level),
        command: last.argv.clone(),
        cwd: last.cwd.clone(),
        tree: run.as_ref().map_or(proof.known.tree, |run| run.tree),
        commit: run.as_ref().map_or(proof.head, |run| run.commit),
        sealed_tests_of: run.map(|run| ItemRef { project: reference.project.clone(), n: run.contest }),
        clone: CloneUrls::of(context, &reference.project),
        directory: format!("{}-{}", reference.project, reference.n),
        nonce: hex(&nonce),
        git_config: settings(&agent, reference, &nonce, &subject),
        subject,
        standing: Standing::of(&after, project.repository.store().as_ref(), &proof.pull),
        next: command,
        clone_from: projects::clone_url(context, &reference.project),
        push,
        finish,
        reference: reference.clone(),
    }))
}

/// Those of `start`, without the branch, and what the record is about.
fn settings(agent: &AgentActor, reference: &ItemRef, nonce: &[u8], subject: &str) -> Vec<Vec<String>> {
    let mut settings = git_config(agent, reference, None, nonce);
    settings.retain(|setting| setting.get(2).is_none_or(|value| value != "HEAD"));
    settings.push(vec!["--replace-all".to_owned(), "forge.subject".to_owned(), subject.to_owned()]);
    settings
}

fn give_out(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    by: &Author,
    reference: &ItemRef,
    nonce: [u8; 16],
) -> Result<(Challenged, Vec<u8>), Refusal> {
    let snapshot = draft.snapshot().clone();
    let proof = challenged(&snapshot, root, objects, reference, &by.agent)?;
    let begun = snapshot.fold.challenges.get(&(by.agent.clone(), reference.n));
    if let Some(begun) = begun.filter(|begun| begun.proof == proof.known.digest) {
        return Ok((proof, begun.nonce.clone()));
    }
    let fact = ChallengeStarted { proof: proof.known.digest, nonce: nonce.to_vec() };
    draft.event(by, &EntityId::Pull(reference.n), fact, None, &[])?;
    Ok((proof, nonce.to_vec()))
}
