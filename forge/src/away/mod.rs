//! The forge's rules where no forge is: in a plain clone ([`verify`]), and in somebody else's bare repository
//! ([`pre_receive`]). Both read through stock git.
//!
//! Invariant: reads only, every object hashed again, and never a word of trust in what a repository says of itself
//! without naming what cannot be shown.

mod levels;
mod objects;
pub mod pre_receive;
pub mod verify;

pub use objects::{Stock, StockError};

use git::store::Objects;
use imbl::{OrdMap, Vector};
use notes_schema::{AgentName, FORGE_PROJECT};

use crate::gate::View;
use crate::ledger::Snapshot;
use crate::state::OwnerSpan;

/// Who answers for whom, as a fold of `forge.git` has it.
type Owners = OrdMap<AgentName, Vector<OwnerSpan>>;

/// How a clone gets what is needed here.
const FETCH: &str = "git fetch origin 'refs/forge/*:refs/forge/*' 'refs/notes/forge/*:refs/notes/forge/*'";

/// What the rules look up of a copy that stands alone: nothing of `forge.git` is known, but who answers for whom where a
/// clone of it says so.
struct Alone {
    root: Snapshot,
}

impl Alone {
    fn new() -> Self {
        Self::knowing(Default::default())
    }

    fn knowing(owners: Owners) -> Self {
        let mut root = Snapshot::empty(FORGE_PROJECT.parse().expect("invariant: a good name"));
        root.fold.owners = owners;
        Alone { root }
    }

    fn view<'a>(&'a self, snapshot: &'a Snapshot, objects: &'a dyn Objects, now_ms: u64) -> View<'a> {
        View::new(snapshot, &self.root, objects, now_ms).alone()
    }
}
