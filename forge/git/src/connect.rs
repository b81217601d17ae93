//! Whether a push is complete: nothing that it brings may refer to what is neither in it nor in the repository.
//!
//! What each new object refers to was noted when it was checked, so nothing is read again here. The search stops at what
//! the store has: pruning is ours alone, so what is there is complete.
//!
//! Invariant: reads only.

use notes_schema::Oid;

use super::object::Kind;
use super::pack::intake::Quarantine;
use super::store::{Objects as _, ReadError, Store};

/// What is missing, or in the wrong place.
#[derive(Debug, thiserror::Error)]
pub enum Disconnected {
    /// A ref would point at nothing.
    #[error("object {0} is neither in the pack nor in this repository")]
    Tip(Oid),
    /// A new object refers to nothing.
    #[error("{by} needs the {} {id}, which is neither in the pack nor in this repository; push it as well", kind.as_str())]
    Missing {
        /// What is missing.
        id: Oid,
        /// What it should be.
        kind: Kind,
        /// Who needs it.
        by: Oid,
    },
    /// A new object refers to something as what it is not.
    #[error("{by} names {id} as a {}, but it is a {}", wanted.as_str(), found.as_str())]
    WrongKind {
        /// What is named.
        id: Oid,
        /// As what.
        wanted: Kind,
        /// What it is.
        found: Kind,
        /// By whom.
        by: Oid,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// Whether refs may point at `tips` once `quarantine` has landed in `store`.
///
/// As strict as `git index-pack --strict`: objects in the pack that no tip reaches have to be complete too.
pub fn check(tips: &[Oid], quarantine: &Quarantine, store: &Store) -> Result<(), Disconnected> {
    for &tip in tips {
        if !quarantine.contains(tip) && !store.contains(tip) {
            return Err(Disconnected::Tip(tip));
        }
    }
    for link in quarantine.outside() {
        match store.kind(link.id)? {
            Some(found) if found == link.kind => {}
            Some(found) => {
                return Err(Disconnected::WrongKind { id: link.id, wanted: link.kind, found, by: link.by });
            }
            None => {
                return Err(Disconnected::Missing { id: link.id, kind: link.kind, by: link.by });
            }
        }
    }
    Ok(())
}
