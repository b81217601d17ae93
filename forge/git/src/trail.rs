//! What stands at one path in many trees: a directory that did not change is not looked into again.
//!
//! Invariant: reads only.

use notes_schema::Oid;

use super::object::{Kind, Malformed, Mode, find_in_tree};
use super::store::{Objects, ReadError};

/// A file, directory, link or submodule.
pub type Standing = Option<(Mode, Oid)>;

/// What stands at each directory of a path, and at last at the path itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail(Vec<Standing>);

impl Trail {
    /// In `tree`, at `path` (names joined by slashes); `near` is the trail of the same path in a similar tree.
    pub fn walk<O: Objects + ?Sized>(
        objects: &O,
        tree: Oid,
        path: &[u8],
        near: Option<&Trail>,
    ) -> Result<Trail, ReadError> {
        let mut steps: Vec<Standing> = vec![Some((Mode::Tree, tree))];
        for name in path.split(|&byte| byte == b'/').filter(|_| !path.is_empty()) {
            let here = steps.last().copied().flatten();
            if let Some(near) = near.filter(|near| near.0.get(steps.len() - 1) == Some(&here)) {
                steps.extend_from_slice(&near.0[steps.len()..]);
                break;
            }
            let Some((Mode::Tree, id)) = here else {
                steps.push(None);
                continue;
            };
            let data = objects.get_kind(id, Kind::Tree)?.data;
            let found: Result<Standing, Malformed> = find_in_tree(&data, name);
            steps.push(found.map_err(|source| ReadError::Malformed { id, source })?);
        }
        Ok(Trail(steps))
    }

    /// What stands at the path.
    pub fn end(&self) -> Standing {
        self.0.last().copied().flatten()
    }
}
