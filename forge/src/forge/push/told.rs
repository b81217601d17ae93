//! What a pusher is told of its work: what is proven of it, the first thing that `submit` would refuse, and what comes next.
//!
//! Invariant: decides nothing, and promises nothing that the rules of `submit` refuse.

use hooks::command::quote;
use hooks::record::Taken;
use notes_schema::event::{Level, Proof};
use notes_schema::{Oid, RefName};

use super::effects::{door, merge_base, missing_record, shown, started_issue};
use crate::answer::{Code, Refusal};
use crate::authority::AgentActor;
use crate::gate::{self, View, Work};
use crate::ledger::Snapshot;
use git::history;
use git::store::Objects;

/// Most bytes that are inflated, read and hashed to name what differs between the tip and what a run was on.
/// Limit: bytes read to say what differs between a tip and the run of a push | {:bytes}
pub(super) const CHEAP: u64 = 1 << 20;
/// Most branches whose tips are asked for the tree of a record.
/// Limit: tips of the pusher's that are asked for the tree of a record | {}
const LOOKED_AT: usize = 256;

/// A branch and its tip.
pub(super) type Tip<'a> = (&'a RefName, Oid);

/// What is known of the proof of a tip, and whether `submit` would take it; that is not asked where no record is known.
pub(super) fn judged(
    view: &View,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    tip: Tip<'_>,
    issue: Option<u64>,
    came: bool,
) -> Result<(Proof, Option<Result<(), Refusal>>), Refusal> {
    gate::clock::timed(|| {
        let work = work(view, agent, tip, issue)?;
        if !came && !work.has_records() {
            return Ok((work.proof(view)?, None));
        }
        submitted(view, snapshot, objects, work, tip.1, true)
    })
}

/// The work whose tip is given, with what is known of that tree.
pub(super) fn work(
    view: &View,
    agent: &AgentActor,
    (branch, head): Tip<'_>,
    issue: Option<u64>,
) -> Result<Work, Refusal> {
    let work = Work::new(view, branch, &agent.name, issue, head);
    work.map_err(|e| Refusal::new(Code::TryLater, branch.as_str(), e.to_string(), "git push"))
}

/// No verdict where history cannot be read: what is told of a push refuses none.
fn submitted(
    view: &View,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    work: Work,
    head: Oid,
    known: bool,
) -> Result<(Proof, Option<Result<(), Refusal>>), Refusal> {
    let proof = work.proof(view)?;
    let Ok(base) = merge_base(objects, snapshot.default_tip(), head) else { return Ok((proof, None)) };
    // Each push asks, and the author's other records may be long. They are read to say why one of the tree proves nothing:
    // not where one does, and not to name a command where there is none.
    let why = known && proof.level == Level::P0;
    let work = if why { work.submitted(view, base) } else { work.since(view, base) };
    Ok((proof, Some(work.check_submit(view).map(drop))))
}

/// What is said of a branch that is no pull request.
pub(super) fn of_branch(
    view: &View,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    tip: Tip<'_>,
    came: bool,
) -> Result<Vec<String>, Refusal> {
    let (branch, head) = tip;
    let (known, (proof, verdict)) = gate::clock::timed(|| {
        let work = work(view, agent, tip, started_issue(snapshot, agent, branch))?;
        let known = came || work.has_records();
        Ok::<_, Refusal>((known, submitted(view, snapshot, objects, work, head, known)?))
    })?;
    let mut lines = vec![format!("{} is at {}, proof {}", branch.short(), head.short(), shown(&proof))];
    let landed = |target: Oid| history::is_ancestor(objects, head, target).unwrap_or(false);
    match verdict {
        Some(Err(refusal)) => {
            match known {
                true => lines.push(format!("`submit` would refuse it so far: {}: {}", refusal.rule, refusal.why)),
                false => lines.extend(missing_record(&proof)),
            }
            let next = refusal.next.strip_prefix("ssh forge ").map(|command| format!("{}{command}", door(agent)));
            lines.push(format!("next: {}", next.unwrap_or(refusal.next)));
        }
        Some(Ok(())) if snapshot.default_tip().is_some_and(landed) => {
            lines.push("the default branch has all of it already: commit something first".to_owned());
            lines.push("next: git status".to_owned());
        }
        Some(Ok(())) | None => lines.push(format!("next: {}submit {}", door(agent), quote(branch.short()))),
    }
    Ok(lines)
}

/// What leads on from the one branch that the agent works on and that is no pull request yet, where it is one.
pub(super) fn unsubmitted(
    view: &View,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
) -> Option<String> {
    let onto = snapshot.default_tip()?;
    let waiting = |branch: &RefName| {
        let head = snapshot.ref_id(branch).filter(|_| snapshot.owners.get(branch) == Some(&agent.name))?;
        let nothing_new = history::is_ancestor(objects, head, onto).ok()?;
        (!nothing_new && gate::open_pull_of(snapshot, branch).is_none()).then(|| (branch.clone(), head))
    };
    let mut all = snapshot.fold.work_of(&agent.name).filter_map(|(_, work)| waiting(&work.worker.branch));
    let (Some((branch, head)), None) = (all.next(), all.next()) else { return None };
    // As where a record came: what the author ran besides is looked at.
    let lines = of_branch(view, snapshot, objects, agent, (&branch, head), true).ok()?;
    Some(lines.last()?.strip_prefix("next: ")?.to_owned())
}

/// What is said where records came and no branch moved: what the newest shows, and of what. `raised`: pull requests of which
/// it was said already that they are proven by more.
pub(super) fn of_records(
    view: &View,
    snapshot: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    fresh: &[&Taken],
    raised: &[u64],
) -> Result<Vec<String>, Refusal> {
    // What names a subject is about somebody else's work.
    let Some(newest) = fresh.iter().rev().find(|taken| taken.record.subject.is_none()) else { return Ok(Vec::new()) };
    let last = newest.record.last();
    let Some(tip) = tip_with(snapshot, objects, agent, last.tree) else {
        let command = crate::state::snippet(&last.command(), 60).replace('`', "'");
        let came = format!("a run of `{command}` came: {} on tree {}", last.ending(), last.tree.short());
        let lacks = "no branch of yours that is here has that tree: commit what was run, and push it".to_owned();
        return Ok(vec![came, lacks, "next: git status".to_owned()]);
    };
    let Some((n, pull)) = gate::open_pull_of(snapshot, tip.0) else {
        return of_branch(view, snapshot, objects, agent, tip, true);
    };
    let (proof, verdict) = judged(view, snapshot, objects, agent, tip, pull.issue, true)?;
    let mut lines = Vec::new();
    if !raised.contains(&n) {
        lines.push(format!("{}#{n} stays at proof {}", snapshot.project, shown(&pull.proof)));
    }
    match verdict {
        Some(Err(refusal)) => lines.push(at_merge(&refusal)),
        Some(Ok(())) | None if proof.level < pull.proof.level => {
            lines.push(format!("its newest run shows less, and is what `merge` asks: proof {}", shown(&proof)));
        }
        Some(Ok(())) | None => {}
    }
    lines.push(format!("next: {}pr {}/{n}", door(agent), snapshot.project));
    Ok(lines)
}

/// What `merge` asks again of what `submit` asked.
pub(super) fn at_merge(refusal: &Refusal) -> String {
    format!("`merge` would refuse it so far: {}: {}", refusal.rule, refusal.why)
}

/// The agent's branch whose tip has `tree`: one that waits as a pull request before any other.
fn tip_with<'a>(snapshot: &'a Snapshot, objects: &dyn Objects, agent: &AgentActor, tree: Oid) -> Option<Tip<'a>> {
    // Names of records are many, and sort behind those of branches; the first sign that a name may begin with is this.
    let from = "refs/heads/!".parse::<RefName>().ok()?;
    let branches = snapshot.owners.range(from..).take_while(|(name, _)| name.as_str().starts_with("refs/heads/"));
    let branches = branches.filter(|(_, owner)| **owner == agent.name).map(|(name, _)| name);
    let open = snapshot.fold.open_pulls.keys().filter(|name| snapshot.owners.get(*name) == Some(&agent.name));
    let tips = open.chain(branches).take(LOOKED_AT).filter_map(|name| Some((name, snapshot.ref_id(name)?)));
    let mut tips = tips.filter(|(_, head)| objects.commit(*head).is_ok_and(|commit| commit.tree == tree));
    tips.next()
}
