//! How much larger the directories of one tree are than those of another: what it may cost to lay something over it.

use std::collections::BTreeMap;

use notes_schema::Oid;

use super::{ApplyError, each_entry};
use crate::object::{Kind, Mode};
use crate::store::Objects;

/// Most directories that are compared.
/// Limit: directories in which a submission to a contest may differ from where that begins | {}
const MOST_COMPARED: u64 = 65_536;

/// [`ApplyError::TooMuch`] where the directories of the tree `to`, each held against the one of `from` at its path, are together
/// more than `by` bytes larger, or more of them differ than are compared. Sizes come first: what is too large is not read.
pub fn is_wider<O: Objects + ?Sized>(objects: &O, from: Oid, to: Oid, by: u64) -> Result<(), ApplyError> {
    let (mut room, mut left) = (by, MOST_COMPARED);
    let mut pairs = vec![(Some(from), to)];
    while let Some((from, to)) = pairs.pop() {
        if from == Some(to) {
            continue;
        }
        left = left.checked_sub(1).ok_or(ApplyError::TooMuch)?;
        let before = from.map_or(Ok(0), |id| objects.size(id))?;
        let more = objects.size(to)?.saturating_sub(before);
        room = room.checked_sub(more).ok_or(ApplyError::TooMuch)?;
        let mut there: BTreeMap<Vec<u8>, Oid> = BTreeMap::new();
        if let Some(id) = from {
            each_entry(&objects.get_kind(id, Kind::Tree)?.data, from, |_, mode, name, id| {
                if mode == Mode::Tree {
                    there.insert(name.to_vec(), id);
                }
            })?;
        }
        each_entry(&objects.get_kind(to, Kind::Tree)?.data, Some(to), |_, mode, name, id| {
            if mode == Mode::Tree {
                pairs.push((there.get(name).copied(), id));
            }
        })?;
    }
    Ok(())
}
