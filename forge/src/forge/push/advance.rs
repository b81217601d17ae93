//! A branch that a command moves for its owner.
//!
//! Invariant: it is a push without a pack: judged by the same rules, what it brings searched alike, with the same
//! consequences.

use std::collections::BTreeMap;

use notes_schema::{Oid, RefName};

use super::effects::consequences;
use super::{RefUpdate, expected, judge_content, judge_ref};
use crate::answer::Refusal;
use crate::authority::AgentActor;
use crate::gate::View;
use crate::ledger::{Draft, Snapshot};
use git::store::{Over, Store};

/// A branch, and where it goes. Its new objects are in the draft.
pub(crate) struct Moved<'a> {
    /// The branch.
    pub name: &'a RefName,
    /// What it points at.
    pub old: Oid,
    /// What it is to point at.
    pub new: Oid,
    /// The files among the new objects.
    pub files: Vec<Oid>,
}

/// Moves it on behalf of `agent`.
///
/// # Errors
///
/// What the rules of a push refuse.
pub(crate) fn advance(
    draft: &mut Draft,
    root: &Snapshot,
    store: &Store,
    agent: &AgentActor,
    moved: &Moved<'_>,
) -> Result<(), Refusal> {
    let made = draft.made();
    let objects = Over { made: &made, below: store };
    let update = RefUpdate { name: moved.name.clone(), old: Some(moved.old), new: Some(moved.new) };
    let snapshot = draft.snapshot().clone();
    let view = View::new(&snapshot, root, &objects, draft.now()).receiving(&moved.files);
    judge_ref(&view, agent, &update, &[])?;
    expected(&snapshot, &update)?;
    judge_content(&view, agent, &update, &[])?;
    draft.set_ref(&update.name, update.old, update.new, None, Some(&agent.name))?;
    // What a pusher is told, the command says in its own words.
    consequences(draft, root, &objects, agent, &[update], &BTreeMap::new(), &mut Vec::new())
}
