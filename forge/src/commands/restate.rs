//! One tree, one level: what others found of a tree is stated of every pull request whose proof is of it.
//!
//! Invariant: what is stated is what counting gives; a rating follows where a proof that landed turns.

use std::collections::HashSet;

use notes_schema::event::{Level, Proof, PullRound};
use notes_schema::{EntityId, Oid, Sha256};

use crate::answer::Refusal;
use crate::gate;
use crate::ledger::{Author, Draft, Recorded, Snapshot};
use crate::state::{PullState, PullStatus};
use git::store::Objects;

/// The pull requests, not closed, whose proof is of one of `trees`. Looks through all, so it is asked outside the committer.
pub(super) fn proven_by(snapshot: &Snapshot, trees: &HashSet<Oid>) -> Vec<u64> {
    let of = |pull: &PullState| Some(snapshot.records.get(&pull.proof.record?)?.tree);
    let live = snapshot.fold.pulls().filter(|(_, pull)| pull.status != PullStatus::Closed);
    live.filter(|(_, pull)| of(pull).is_some_and(|tree| trees.contains(&tree))).map(|(n, _)| n).collect()
}

/// States the level that follows by now of each of `pulls`, where it is another.
pub(super) fn restate(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    by: &Author,
    pulls: &[u64],
    because: &[Sha256],
) -> Result<(), Refusal> {
    for n in pulls {
        let snapshot = draft.snapshot().clone();
        let Some((pull, level)) = level_now(&snapshot, root, objects, *n) else { continue };
        if level == pull.proof.level {
            continue;
        }
        let by = Author { intent: None, ..by.clone() };
        let proof = Proof { level, ..pull.proof.clone() };
        let round = PullRound { round: pull.round, head: pull.head, base: pull.base, proof };
        let event = draft.event(&by, &EntityId::Pull(*n), round, None, because)?;
        settle_later(draft, pull, level, &event);
    }
    Ok(())
}

/// A pull request, and the level of its proof by what is known now.
fn level_now<'a>(
    snapshot: &'a Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    n: u64,
) -> Option<(&'a PullState, Level)> {
    let pull = snapshot.fold.pull(n).filter(|pull| pull.status != PullStatus::Closed)?;
    let known = snapshot.records.get(&pull.proof.record?)?;
    let record = gate::read_record(objects, known)?;
    Some((pull, gate::level_of(snapshot, root, known, &record)))
}

/// What landed is rated by its proof: where that turns to `level`, or turns back, the rating follows.
pub(super) fn settle_later(draft: &mut Draft, pull: &PullState, level: Level, event: &Recorded) {
    let turned = (pull.proof.level == Level::PX) != (level == Level::PX);
    if turned && pull.status == PullStatus::Merged && pull.issue.is_some() {
        draft.outbox(event);
    }
    draft.outbox_of_judged(event);
}
