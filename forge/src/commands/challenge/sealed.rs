//! What the record of a verifier says who was drawn for a contest with sealed tests.
//!
//! Invariant: as for any challenge, what is said follows from a record of the same command; the tree is the one with the tests in
//! it that the forge gave it to run. A trial is judged like all others.

use hooks::reruns;
use hooks::sealed_tests::{self, Asked, Said};
use notes_schema::{ItemRef, Sha256};

use super::{NEWEST, challenged, own_record, path};
use crate::answer::{Code, Refusal};
use crate::forge::Run;
use crate::gate;
use crate::ledger::{Author, Draft, Snapshot};
use git::store::Objects;

/// What the newest record that `by` made for this challenge says of the sealed tests, and which record that is.
pub(in crate::commands) fn said(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    by: &Author,
    reference: &ItemRef,
    run: &Run,
) -> Result<(Said, Sha256), Refusal> {
    let snapshot = draft.snapshot().clone();
    let proof = challenged(&snapshot, root, objects, reference, &by.agent)?;
    let (what, how) = (format!("verify {reference}"), format!("challenge {}", path(reference)));
    let known = own_record(&snapshot, objects, &by.agent, reference, NEWEST)?;
    let refuse = |why: String| Refusal::new(Code::Refused, &what, why, &how);
    let record = gate::read_record(objects, &known).ok_or_else(|| refuse("your record cannot be read".to_owned()))?;
    if known.tree != run.tree {
        let (yours, theirs) = (known.tree.short(), run.tree.short());
        return Err(refuse(format!("your run was on tree {yours}, and with the sealed tests it is tree {theirs}")));
    }
    if reruns::run_of(record.last()) != reruns::run_of(proof.record.last()) {
        let (yours, theirs) = (record.last().command(), proof.record.last().command());
        return Err(refuse(format!("you ran `{yours}`, and the proof is of `{theirs}` in the same directory")));
    }
    let asked = Asked { now: &run.part.fail_to_pass, still: &run.part.pass_to_pass };
    let said = sealed_tests::said(record.last(), asked);
    let said = said.map_err(|why| refuse(format!("your run says nothing: {why}; tell it with --inconclusive")))?;
    super::let_go(draft, &known)?;
    Ok((said, known.digest))
}
