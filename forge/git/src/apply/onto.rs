//! Lays some paths of one tree over another.

use notes_schema::Oid;

use super::{Applied, ApplyError, DEEPEST, Entry, Work, each_entry, rewrite};
use crate::object::{Kind, Mode, Object};
use crate::store::Objects;

/// The tree `onto` with what stands in `from` at each of `paths`: a file, a directory, or nothing. All else of `onto` stays, but
/// for what would be a file and a directory at once, where `from` says which. `room` as for [`super::apply`].
pub fn lay_over<O: Objects + ?Sized>(
    objects: &O,
    onto: Oid,
    from: Oid,
    paths: &[Vec<u8>],
    room: &mut u64,
) -> Result<Applied, ApplyError> {
    let mut paths = paths.to_vec();
    // By their parts, so that what is below one directory stands together.
    paths.sort_by(|a, b| a.split(is_slash).cmp(b.split(is_slash)));
    paths.dedup();
    let mut work = Work { objects, room, made: Vec::new() };
    let tree = match paths.is_empty() {
        true => Some(onto),
        false => work.lay(Some(onto), Some(from), &paths, 0, 0)?,
    };
    let tree = match tree {
        Some(tree) => tree,
        None => work.keep(Object::new(Kind::Tree, Vec::new()))?,
    };
    Ok(Applied { tree, paths, made: work.made })
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

/// The part of a path that begins at byte `at`.
fn name(path: &[u8], at: usize) -> &[u8] {
    path.get(at..).unwrap_or_default().split(is_slash).next().unwrap_or_default()
}

fn directory(entry: Option<Entry>) -> Option<Oid> {
    entry.filter(|(mode, _)| *mode == Mode::Tree).map(|(_, id)| id)
}

impl<O: Objects + ?Sized> Work<'_, O> {
    /// The directory `onto` after that. Names in it begin at byte `at` of the paths. `None` when it is empty.
    fn lay(
        &mut self,
        onto: Option<Oid>,
        from: Option<Oid>,
        paths: &[Vec<u8>],
        at: usize,
        depth: usize,
    ) -> Result<Option<Oid>, ApplyError> {
        if depth > DEEPEST {
            let path = String::from_utf8_lossy(&paths[0]).into_owned();
            return Err(ApplyError::Unfit { path, why: format!("it lies below more than {DEEPEST} directories") });
        }
        let groups: Vec<&[Vec<u8>]> = paths.chunk_by(|a, b| name(a, at) == name(b, at)).collect();
        let (data, ours) = self.entries(onto, &groups, at)?;
        let (_, theirs) = self.entries(from, &groups, at)?;
        let mut changed = Vec::with_capacity(groups.len());
        for ((group, ours), theirs) in groups.iter().zip(ours).zip(theirs) {
            let here = name(&group[0], at);
            let ends_here = group.iter().any(|path| path.len() == at + here.len());
            let new = match (ends_here, directory(ours), directory(theirs)) {
                (true, ..) => theirs,
                // Neither has anything below it: what stands there stays.
                (false, None, None) => ours,
                (false, onto, from) => {
                    let below = self.lay(onto, from, group, at + here.len() + 1, depth + 1)?;
                    // A file of ours gives way to what is laid below it.
                    below.map(|id| (Mode::Tree, id)).or(ours.filter(|_| onto.is_none()))
                }
            };
            changed.push((here, new));
        }
        let new = rewrite(&data, onto, changed)?;
        if new.is_empty() { Ok(None) } else { self.keep(Object::new(Kind::Tree, new)).map(Some) }
    }

    /// A directory's bytes, and what stands in it under the name of each group.
    fn entries(
        &mut self,
        of: Option<Oid>,
        groups: &[&[Vec<u8>]],
        at: usize,
    ) -> Result<(bytes::Bytes, Vec<Option<Entry>>), ApplyError> {
        let data = of.map(|id| self.read(id, Kind::Tree)).transpose()?.unwrap_or_default();
        let mut there = vec![None; groups.len()];
        each_entry(&data, of, |_, mode, found, id| {
            if let Ok(group) = groups.binary_search_by(|group| name(&group[0], at).cmp(found)) {
                there[group] = Some((mode, id));
            }
        })?;
        Ok((data, there))
    }
}
