//! What a push causes: records kept, rounds opened, proofs raised, and what the pusher is told.
//!
//! Invariant: written into the push's own part of a batch, or nothing of that part is.

use std::collections::BTreeMap;

use hooks::record::{self, Taken};
use notes_schema::batch::{PushLine, RecordLine};
use notes_schema::event::{Level, Proof, PullRound};
use notes_schema::{EntityId, Oid, RefName, refs};

use super::super::signature::Signature;
use super::{RefUpdate, told};
use crate::answer::{Code, Refusal};
use crate::authority::AgentActor;
use crate::gate::{self, View};
use crate::ledger::{Author, Draft, NewRecord, Snapshot};
use crate::state::PullStatus;
use git::history;
use git::object::{Kind, Object};
use git::store::Objects;

/// Records kept, rounds opened, and what the pusher is told.
pub(super) fn consequences(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    moved: &[RefUpdate],
    records: &BTreeMap<RefName, (Box<Taken>, Option<Signature>)>,
    messages: &mut Vec<String>,
) -> Result<(), Refusal> {
    let landed: Vec<(&RefName, &Taken, Option<&Signature>)> = records
        .iter()
        .filter(|(name, _)| moved.iter().any(|u| u.name == **name))
        .map(|(name, (taken, signed))| (name, taken.as_ref(), signed.as_ref()))
        .collect();
    let mut lines = Vec::new();
    for (name, taken, signed) in &landed {
        let commit = moved.iter().find(|u| u.name == **name).and_then(|u| u.new);
        let deleted = || record::misshapen(name, "it was deleted in the same push");
        let commit = commit.ok_or_else(|| gate::refused(&draft.snapshot().project, deleted()))?;
        lines.push(keep_record(draft, agent, name, taken, *signed, commit)?);
    }
    draft.push(PushLine {
        a: agent.name.clone(),
        k: agent.credential.clone(),
        refs: moved.iter().map(|u| u.name.clone()).collect(),
        records: lines,
    });
    // From here on the state knows the records, with what is signed of them.
    let fresh: Vec<&Taken> = landed.iter().map(|(_, taken, _)| *taken).collect();
    for update in moved.iter().filter(|u| u.name.branch_name().is_some()) {
        match update.new {
            Some(head) => branch_moved(draft, root, objects, agent, (&update.name, head), !fresh.is_empty(), messages)?,
            None => messages.push(format!("{} is deleted", update.name.short())),
        }
    }
    if !fresh.is_empty() {
        let raised = proof_arrived(draft, root, objects, agent, moved, messages)?;
        if !moved.iter().any(|u| u.name.branch_name().is_some()) {
            let snapshot = draft.snapshot().clone();
            let view = View::new(&snapshot, root, objects, draft.now()).replaying(told::CHEAP);
            messages.extend(told::of_records(&view, &snapshot, objects, agent, &fresh, &raised)?);
        }
        messages.extend(fresh.iter().filter_map(|taken| of_challenge(draft.snapshot(), agent, taken)));
    }
    Ok(())
}

/// What to say next to whoever sends the record of a challenge.
fn of_challenge(snapshot: &Snapshot, agent: &AgentActor, taken: &Taken) -> Option<String> {
    let started = snapshot.fold.nonces.get(taken.record.nonce.as_bytes().as_slice())?;
    started.challenges?;
    let (project, n, id) = (&snapshot.project, started.issue, &taken.record.id);
    Some(format!("next: {}challenge {project}/{n} --record {id}", door(agent)))
}

/// What stands before a command: whoever came with a token may have no ssh, and sends it to `POST /action` as it stands.
pub(super) fn door(agent: &AgentActor) -> &'static str {
    if agent.credential.starts_with("token:") { "" } else { "ssh forge " }
}

fn keep_record(
    draft: &mut Draft,
    agent: &AgentActor,
    name: &RefName,
    taken: &Taken,
    signed: Option<&Signature>,
    commit: Oid,
) -> Result<RecordLine, Refusal> {
    let blob = draft.object(Object::new(Kind::Blob, taken.canonical.clone()))?;
    let last = taken.record.last();
    // A hand-made record need not name its issue; the nonce, which was checked, does.
    let started = draft.snapshot().fold.nonces.get(taken.record.nonce.as_bytes().as_slice());
    let issue = started.map(|s| s.issue).or(taken.record.issue);
    let shown_issue = issue.map_or(String::new(), |n| format!(" for #{n}"));
    let command = crate::state::snippet(&last.command(), 80);
    let summary = format!("{} ran `{command}`{shown_issue}: {}", agent.name, last.ending());
    let signed = match signed {
        Some(signature) => Some(signature.line(draft.object(signature.object())?)),
        None => None,
    };
    let signature = signed.as_ref().map(|signed| signed.blob);
    draft.keep_record(NewRecord { digest: taken.digest, blob, signature, commit, summary });
    Ok(RecordLine { r: name.clone(), c: commit, h: taken.digest, blob, tree: last.tree, issue, signed })
}

fn branch_moved(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    (branch, head): told::Tip<'_>,
    came: bool,
    messages: &mut Vec<String>,
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let project = &snapshot.project;
    let view = View::new(&snapshot, root, objects, draft.now()).replaying(told::CHEAP);
    let short = branch.short();
    let door = door(agent);
    if Some(branch) == snapshot.head.as_ref() {
        messages.push(format!("{short} is born at {}; from here on it moves through merge", head.short()));
        messages.push(format!("next: {door}issue new {project} --title 'What is to be done'"));
        return Ok(());
    }
    let Some((n, pull)) = gate::open_pull_of(&snapshot, branch) else {
        messages.extend(told::of_branch(&view, &snapshot, objects, agent, (branch, head), came)?);
        return Ok(());
    };
    let (proof, verdict) = told::judged(&view, &snapshot, objects, agent, (branch, head), pull.issue, came)?;
    let base = merge_base(objects, snapshot.ref_id(&pull.target), head)?;
    let round = PullRound { round: pull.round + 1, head, base, proof: proof.clone() };
    let number = round.round;
    draft.event(&author(agent), &EntityId::Pull(n), round, None, &[])?;
    draft.set_ref(&refs::pull_head(n), snapshot.ref_id(&refs::pull_head(n)), Some(head), None, None)?;
    messages.push(format!("{project}#{n} round {number}, proof {}: {{http}}/{project}/pulls/{n}", shown(&proof)));
    messages.extend(match verdict {
        Some(verdict) => verdict.err().map(|refusal| told::at_merge(&refusal)),
        None => missing_record(&proof),
    });
    messages.push(format!("next: {door}pr {project}/{n}"));
    Ok(())
}

/// A record that proves the head of an open pull request, pushed after that head. Answers the pull requests that it raised.
fn proof_arrived(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    moved: &[RefUpdate],
    messages: &mut Vec<String>,
) -> Result<Vec<u64>, Refusal> {
    let snapshot = draft.snapshot().clone();
    let view = View::new(&snapshot, root, objects, draft.now());
    let mut raised = Vec::new();
    let waiting: Vec<u64> = snapshot.fold.open_pulls.values().copied().collect();
    for n in waiting {
        let Some(pull) = snapshot.fold.pull(n) else { continue };
        let just_pushed = moved.iter().any(|u| u.name == pull.branch);
        // A run that is signed may say more than the one before; what others found is no matter of new records.
        let may_rise = pull.proof.level == Level::P0 || pull.proof.level == Level::P1;
        if pull.status != PullStatus::Open || pull.author != agent.name || !may_rise || just_pushed {
            continue;
        }
        let proof = proof_now(&view, &pull.branch, agent, pull.issue, pull.head)?;
        if proof.level <= pull.proof.level {
            continue;
        }
        let more = match (pull.proof.level, proof.level) {
            (_, Level::PX) => "of a tree that others found wanting",
            (Level::P0, _) => "proven now",
            (Level::P1 | Level::P2 | Level::P3 | Level::PX, _) => "now proven by more than before",
        };
        messages.push(format!("{}#{n} is {more}, proof {}", snapshot.project, shown(&proof)));
        let round = PullRound { round: pull.round, head: pull.head, base: pull.base, proof };
        draft.event(&author(agent), &EntityId::Pull(n), round, None, &[])?;
        raised.push(n);
    }
    Ok(raised)
}

/// What is known of the proof of `head`, the records of this very push among it.
fn proof_now(
    view: &View,
    branch: &RefName,
    agent: &AgentActor,
    issue: Option<u64>,
    head: Oid,
) -> Result<Proof, Refusal> {
    gate::clock::timed(|| told::work(view, agent, (branch, head), issue)?.proof(view))
}

/// The issue for which `start` offered this branch.
pub(super) fn started_issue(snapshot: &Snapshot, agent: &AgentActor, branch: &RefName) -> Option<u64> {
    snapshot.fold.work_of(&agent.name).find(|(_, work)| work.worker.branch == *branch).map(|(n, _)| n)
}

/// The best common ancestor of a head with its target; the head itself where there is none.
pub(crate) fn merge_base(objects: &dyn Objects, target: Option<Oid>, head: Oid) -> Result<Oid, Refusal> {
    let failed = |e: git::store::ReadError| Refusal::new(Code::TryLater, "merge base", e.to_string(), "git fetch");
    match target {
        None => Ok(head),
        Some(target) => Ok(history::merge_base(objects, target, head).map_err(failed)?.unwrap_or(head)),
    }
}

fn author(agent: &AgentActor) -> Author {
    Author { agent: agent.name.clone(), credential: agent.credential.clone(), intent: None }
}

/// `P1 (cargo test: 12 passed)`.
pub(crate) fn shown(proof: &Proof) -> String {
    if proof.command.is_empty() {
        return proof.level.to_string();
    }
    let tests = proof.tests.as_ref().map_or(String::new(), |t| format!(": {} passed, {} failed", t.passed, t.failed));
    // In Markdown it stands between backticks, so it holds none.
    format!("{} (`{}`{tests})", proof.level, crate::state::snippet(&proof.command, 60).replace('`', "'"))
}

pub(super) fn missing_record(proof: &Proof) -> Option<String> {
    (proof.level == Level::P0).then(|| {
        "no passing record of this very tree yet: commit, then `forge run -- <your tests>`, then `git push`".to_owned()
    })
}
