//! Whether a push is complete: nothing that it brings may refer to what is neither in it nor in the repository.
//!
//! What each new object refers to was noted when it was checked, so nothing is read again here. The search stops at what
//! the store has: pruning is ours alone, so what is there is complete.
//!
//! Invariant: reads only.

use std::collections::HashSet;

use notes_schema::Oid;

use super::object::{self, Kind};
use super::pack::intake::{Link, Quarantine};
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

/// Like [`check`] for a pusher whose history ends at `cut`: parents of those commits may be missing. Gives the new commits
/// whose parents are.
pub fn check_cut(
    tips: &[Oid],
    quarantine: &Quarantine,
    store: &Store,
    cut: &HashSet<Oid>,
) -> Result<Vec<Oid>, Disconnected> {
    if cut.is_empty() {
        return check(tips, quarantine, store).map(|()| Vec::new());
    }
    let mut missing = HashSet::new();
    present(tips, quarantine, store)?;
    for link in quarantine.outside() {
        match follow(link, store) {
            Err(Disconnected::Missing { id, kind: Kind::Commit, by }) if cut.contains(&by) => drop(missing.insert(id)),
            followed => followed?,
        }
    }
    let mut roots = Vec::new();
    if missing.is_empty() {
        return Ok(roots);
    }
    // A link knows only one of those that name its end.
    for id in quarantine.ids().filter(|id| quarantine.kind(*id) == Some(Kind::Commit)) {
        let Some(commit) = quarantine.get(id) else { continue };
        let commit = object::read_commit(&commit.data).map_err(|source| ReadError::Malformed { id, source })?;
        match commit.parents.iter().find(|parent| missing.contains(parent)) {
            Some(_) if cut.contains(&id) => roots.push(id),
            Some(&parent) => return Err(Disconnected::Missing { id: parent, kind: Kind::Commit, by: id }),
            None => {}
        }
    }
    Ok(roots)
}

/// Whether refs may point at `tips` once `quarantine` has landed in `store`.
///
/// As strict as `git index-pack --strict`: objects in the pack that no tip reaches have to be complete too.
pub fn check(tips: &[Oid], quarantine: &Quarantine, store: &Store) -> Result<(), Disconnected> {
    present(tips, quarantine, store)?;
    quarantine.outside().iter().try_for_each(|link| follow(link, store))
}

fn present(tips: &[Oid], quarantine: &Quarantine, store: &Store) -> Result<(), Disconnected> {
    let absent = |tip: &&Oid| !quarantine.contains(**tip) && !store.contains(**tip);
    tips.iter().find(absent).map_or(Ok(()), |tip| Err(Disconnected::Tip(*tip)))
}

fn follow(link: &Link, store: &Store) -> Result<(), Disconnected> {
    match store.kind(link.id)? {
        Some(found) if found == link.kind => Ok(()),
        Some(found) => Err(Disconnected::WrongKind { id: link.id, wanted: link.kind, found, by: link.by }),
        None => Err(Disconnected::Missing { id: link.id, kind: link.kind, by: link.by }),
    }
}
