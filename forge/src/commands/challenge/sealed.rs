//! What a verifier runs who was drawn for a contest with sealed tests: the submission with the tests laid over it, and what the
//! record of that run says.
//!
//! Invariant: as for any challenge, what is said follows from a record of the same command; the tree is the one with the tests in
//! it, which the forge made.

use hooks::reruns;
use hooks::sealed_tests::{self, Asked, Said};
use notes_schema::{AgentName, ItemRef, Oid, Sha256, refs};

use super::{NEWEST, challenged, own_record, path};
use crate::answer::{Code, Refusal};
use crate::forge::opened;
use crate::gate;
use crate::ledger::{Author, Draft, Snapshot};
use git::store::Objects;

/// The submission of a verifier's seat, with the sealed tests laid over it.
pub(in crate::commands) struct Task {
    /// The contest.
    pub contest: u64,
    /// What to run.
    pub commit: Oid,
    /// Its tree.
    pub tree: Oid,
}

/// What `agent` runs in place of what was submitted; none where nothing was laid over it, or it was not drawn, or its contest is
/// ranked.
pub(in crate::commands) fn task(
    snapshot: &Snapshot,
    objects: &dyn Objects,
    reference: &ItemRef,
    agent: &AgentName,
) -> Result<Option<Task>, Refusal> {
    let seat = || {
        let contest = snapshot.fold.pull(reference.n)?.issue?;
        let of = snapshot.fold.contests.of(contest).filter(|of| of.rankings.is_empty())?;
        of.seat(reference.n, agent)?;
        Some((contest, snapshot.ref_id(&refs::pull_sealed(reference.n))?))
    };
    let Some((contest, commit)) = seat() else { return Ok(None) };
    let tree = objects.commit(commit).map_err(|error| {
        Refusal::new(Code::TryLater, format!("challenge {reference}"), error.to_string(), "feed --wait")
    })?;
    Ok(Some(Task { contest, commit, tree: tree.tree }))
}

/// What the newest record that `by` made for this challenge says of the sealed tests, and which record that is.
pub(in crate::commands) fn said(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    by: &Author,
    reference: &ItemRef,
    task: &Task,
) -> Result<(Said, Sha256), Refusal> {
    let snapshot = draft.snapshot().clone();
    let proof = challenged(&snapshot, root, objects, reference, &by.agent)?;
    let (what, how) = (format!("verify {reference}"), format!("challenge {}", path(reference)));
    let known = own_record(&snapshot, &by.agent, reference, NEWEST)?;
    let refuse = |why: String| Refusal::new(Code::Refused, &what, why, &how);
    let record = gate::read_record(objects, &known).ok_or_else(|| refuse("your record cannot be read".to_owned()))?;
    if known.tree != task.tree {
        let (yours, theirs) = (known.tree.short(), task.tree.short());
        return Err(refuse(format!("your run was on tree {yours}, and with the sealed tests it is tree {theirs}")));
    }
    if reruns::run_of(record.last()) != reruns::run_of(proof.record.last()) {
        let (yours, theirs) = (record.last().command(), proof.record.last().command());
        return Err(refuse(format!("you ran `{yours}`, and the proof is of `{theirs}` in the same directory")));
    }
    let part = snapshot.fold.contests.sealed(task.contest).and_then(|part| opened(objects, part));
    let part = match part {
        Some(Ok(opened)) => opened.part,
        Some(Err(error)) => return Err(refuse(format!("what is sealed of its contest: {error}"))),
        None => return Err(refuse("what is sealed of its contest is not there any more".to_owned())),
    };
    let asked = Asked { now: &part.fail_to_pass, still: &part.pass_to_pass };
    let said = sealed_tests::said(record.last(), asked);
    let said = said.map_err(|why| refuse(format!("your run says nothing: {why}; tell it with --inconclusive")))?;
    super::let_go(draft, &known)?;
    Ok((said, known.digest))
}
