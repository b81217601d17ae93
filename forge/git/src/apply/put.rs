//! Puts another content into one file of a tree.

use notes_schema::Oid;

use super::{Applied, ApplyError, DEEPEST, Work, each_entry, rewrite};
use crate::object::{Kind, Mode, Object};
use crate::store::Objects;

/// The tree with `content` in the file at `path`, which must be there and keeps its mode. `room` as for [`super::apply`].
pub fn put<O: Objects + ?Sized>(
    objects: &O,
    tree: Oid,
    path: &[u8],
    content: Vec<u8>,
    room: &mut u64,
) -> Result<Applied, ApplyError> {
    let mut work = Work { objects, room, made: Vec::new() };
    let blob = work.keep(Object::new(Kind::Blob, content))?;
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let no_file =
        |why: &str| ApplyError::Unfit { path: String::from_utf8_lossy(path).into_owned(), why: why.to_owned() };
    if names.len() > DEEPEST {
        return Err(no_file("it lies too deep"));
    }
    // Down to the file, and then up again with what changed.
    let (mut at, mut trees) = (tree, Vec::with_capacity(names.len()));
    let mut mode = None;
    for (depth, name) in names.iter().enumerate() {
        let data = work.read(at, Kind::Tree)?;
        let mut found = None;
        each_entry(&data, Some(at), |_, mode, other, id| {
            if other == *name {
                found = Some((mode, id));
            }
        })?;
        trees.push((at, data));
        match found {
            Some((Mode::Tree, id)) if depth + 1 < names.len() => at = id,
            Some((found @ (Mode::File | Mode::Executable), _)) if depth + 1 == names.len() => mode = Some(found),
            _ => return Err(no_file("there is no such file")),
        }
    }
    let mut entry = (mode.ok_or_else(|| no_file("there is no such file"))?, blob);
    for (name, (id, data)) in names.iter().zip(trees).rev() {
        let new = rewrite(&data, Some(id), vec![(name, Some(entry))])?;
        entry = (Mode::Tree, work.keep(Object::new(Kind::Tree, new))?);
    }
    Ok(Applied { tree: entry.1, paths: vec![path.to_vec()], made: work.made })
}
