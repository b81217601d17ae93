//! One tree, one level: what others found of a tree is stated of every pull request whose proof is of it.

use notes_schema::event::{Level, Proof, PullRound};
use notes_schema::{EntityId, Sha256};

use super::settle_later;
use crate::answer::Refusal;
use crate::gate;
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::{PullState, PullStatus};
use git::store::Objects;

/// The other pull requests, not closed, whose proof is of the same tree as that of `n`. Looks through all, so it is asked
/// outside the committer.
pub(super) fn alike(snapshot: &Snapshot, n: u64) -> Vec<u64> {
    let tree = |pull: &PullState| Some(snapshot.records.get(&pull.proof.record?)?.tree);
    let Some(wanted) = snapshot.fold.pull(n).and_then(tree) else { return Vec::new() };
    let others = snapshot.fold.pulls().filter(|(m, pull)| *m != n && pull.status != PullStatus::Closed);
    others.filter(|(_, pull)| tree(pull) == Some(wanted)).map(|(m, _)| m).collect()
}

/// States the level that follows by now, where it is another.
pub(super) fn restate(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    pulls: &[u64],
    because: Sha256,
) -> Result<(), Refusal> {
    for n in pulls {
        let snapshot = draft.snapshot().clone();
        let Some((pull, level)) = now(&snapshot, root, objects, *n) else { continue };
        if level == pull.proof.level {
            continue;
        }
        let proof = Proof { level, ..pull.proof.clone() };
        let round = PullRound { round: pull.round, head: pull.head, base: pull.base, proof };
        let event = draft.event(&Author::forge(), &EntityId::Pull(*n), round, None, &[because])?;
        settle_later(draft, pull, level, &event);
    }
    Ok(())
}

/// A pull request, and the level of its proof by what is known now.
fn now<'a>(snapshot: &'a Snapshot, root: &Snapshot, objects: &dyn Objects, n: u64) -> Option<(&'a PullState, Level)> {
    let pull = snapshot.fold.pull(n).filter(|pull| pull.status != PullStatus::Closed)?;
    let known = snapshot.records.get(&pull.proof.record?)?;
    let record = gate::read_record(objects, known)?;
    Some((pull, gate::level_of(snapshot, root, known, &record)))
}
