//! Stand-in until the real one is merged.

use notes_schema::Oid;

use super::pack::intake::Quarantine;
use super::store::{Objects as _, Store};

/// Stand-in.
#[derive(Debug, thiserror::Error)]
#[error("object {0} is missing")]
pub struct Disconnected(Oid);

/// Stand-in.
pub fn check(tips: &[Oid], _quarantine: &Quarantine, store: &Store) -> Result<(), Disconnected> {
    tips.iter().find(|&&id| !store.contains(id)).map_or(Ok(()), |&id| Err(Disconnected(id)))
}
