//! What the objects of a pack refer to, so that completeness can be told without reading anything twice.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;

use notes_schema::Oid;

use super::PackError;
use crate::object::Kind;

/// Objects named so far, and those whose content git checks by the name they stand under.
pub(super) struct Links {
    wanted: HashMap<Oid, (Kind, Oid)>,
    pub(super) modules: HashSet<Oid>,
    pub(super) attributes: HashSet<Oid>,
    limit: usize,
}

impl Links {
    /// Follows about twice as many links as a pack may have objects.
    pub(super) fn new(objects: u32) -> Self {
        Links {
            wanted: HashMap::new(),
            modules: HashSet::new(),
            attributes: HashSet::new(),
            limit: (objects as usize).saturating_mul(2).max(1000),
        }
    }

    /// `by` refers to `id` as a `kind`.
    pub(super) fn want(&mut self, id: Oid, kind: Kind, by: Oid) -> Result<(), PackError> {
        match self.wanted.entry(id) {
            Entry::Occupied(earlier) if earlier.get().0 != kind => {
                Err(PackError::WrongKind { id, by, wanted: kind, found: earlier.get().0 })
            }
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(free) => {
                free.insert((kind, by));
                if self.wanted.len() > self.limit {
                    return Err(PackError::TooManyLinks { limit: self.limit });
                }
                Ok(())
            }
        }
    }

    /// What `inside` does not answer, sorted; where it does, the kinds must agree.
    pub(super) fn outside(self, inside: impl Fn(Oid) -> Option<Kind>) -> Result<Vec<Link>, PackError> {
        let mut outside = Vec::new();
        for (id, (kind, by)) in self.wanted {
            match inside(id) {
                None => outside.push(Link { id, kind, by }),
                Some(found) if found == kind => {}
                Some(found) => {
                    return Err(PackError::WrongKind { id, by, wanted: kind, found });
                }
            }
        }
        outside.sort_unstable_by_key(|link| link.id);
        Ok(outside)
    }
}

/// A reference out of a quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// What is named.
    pub(crate) id: Oid,
    /// As what.
    pub(crate) kind: Kind,
    /// By which object of the quarantine.
    pub(crate) by: Oid,
}
