//! What a push brings, searched for secrets: its new files, and the commits that bring the ones in which something was
//! found.
//!
//! Invariant: reads only. Files are read once for all refs of a push, and no history is walked unless something was found.

use std::collections::BTreeSet;

use hooks::secrets::{Allowed, Searched};
use hooks::{Bringing, Sought, Undecided};
use notes_schema::Oid;

use super::{changes, undecided};
use git::diff::{self, Change};
use git::history;
use git::object::{Kind, Mode};
use git::pack::intake::Overlay;
use git::store::Objects;

/// Most commits through which a file is looked for.
/// Limit: commits through which the path of a found secret is looked for | {}; beyond, the refusal names the blob
const MOST_COMMITS: usize = 20_000;
/// Most changed paths of one commit that are looked at.
/// Limit: changed paths of each of them | {}; beyond, the refusal names the blob
const MOST_PATHS: usize = 1_000_000;
/// Most places where the files were found that are kept.
/// Limit: places where found secrets stand that are kept | {}
const MOST_FOUND: usize = 10_000;

/// The objects that come with a push.
pub trait Arrived {
    /// The files among them.
    fn files(&self) -> Result<Vec<Oid>, Undecided>;
}

impl Arrived for Vec<Oid> {
    fn files(&self) -> Result<Vec<Oid>, Undecided> {
        Ok(self.clone())
    }
}

impl Arrived for Overlay<'_> {
    fn files(&self) -> Result<Vec<Oid>, Undecided> {
        Ok(self.quarantine.ids().filter(|id| self.quarantine.kind(*id) == Some(Kind::Blob)).collect())
    }
}

/// Searches the files of a push for what is not listed as a fixture.
pub(super) fn search(objects: &dyn Objects, arrived: &dyn Arrived, listed: Allowed) -> Result<Searched, Undecided> {
    let mut searched = Searched::allowing(listed);
    for id in arrived.files()? {
        searched.file(id, &objects.get_kind(id, Kind::Blob).map_err(undecided)?.data);
    }
    Ok(searched)
}

/// Where `new` has any of what is sought in what it brings; `held` is what the ref holds, `default` the tip of the default branch.
/// `None` where that is too far to walk.
pub(super) fn bringing(
    objects: &dyn Objects,
    new: Oid,
    held: Option<Oid>,
    default: Option<Oid>,
    sought: &Sought<'_>,
) -> Result<Option<Bringing>, Undecided> {
    let target = history::peel(objects, new).map_err(undecided)?;
    let paths = match objects.get(target).map_err(undecided)?.kind {
        Kind::Commit => return in_commits(objects, target, held, default, sought),
        Kind::Tree => {
            let changes = diff::changed_paths(objects, None, Some(target), MOST_PATHS).map_err(undecided)?;
            among(&changes, sought).take(MOST_FOUND).collect()
        }
        Kind::Blob | Kind::Tag => {
            let is_sought = matches!(sought, Sought::Blobs(blobs) if blobs.contains(&target));
            is_sought.then(|| (target, String::new())).into_iter().collect()
        }
    };
    Ok(Some(Bringing { paths, ..NOWHERE }))
}

const NOWHERE: Bringing =
    Bringing { paths: Vec::new(), known: Vec::new(), before: None, is_root: false, forced: false };

fn in_commits(
    objects: &dyn Objects,
    tip: Oid,
    held: Option<Oid>,
    default: Option<Oid>,
    sought: &Sought<'_>,
) -> Result<Option<Bringing>, Undecided> {
    let not: Vec<Oid> = default.into_iter().chain(held).collect();
    let mut commits = history::range(objects, tip, &not, MOST_COMMITS + 1).map_err(undecided)?;
    if commits.len() > MOST_COMMITS {
        return Ok(None);
    }
    commits.reverse();
    let (mut paths, mut first) = (Vec::new(), None);
    for (id, commit) in &commits {
        let changes = changes::changes_of(objects, commit.tree, &commit.parents, MOST_PATHS)?;
        let (so_far, room) = (paths.len(), MOST_FOUND.saturating_sub(paths.len()));
        paths.extend(among(&changes, sought).take(room));
        if first.is_none() && paths.len() > so_far {
            first = Some((*id, commit.parents.first().copied()));
        }
    }
    let Some((first, parent)) = first else { return Ok(Some(NOWHERE)) };
    let stands_on = |below: Oid, above: Oid| history::is_ancestor(objects, below, above).map_err(undecided);
    let forced = held.map_or(Ok(false), |held| stands_on(held, tip).map(|stands| !stands))?;
    let before = match (held.filter(|_| !forced), parent) {
        // A side line may have begun before what the ref holds, which stays below what is pushed.
        (Some(held), Some(parent)) if stands_on(held, parent)? => Some(parent),
        (Some(held), _) => Some(held),
        (None, parent) => parent,
    };
    let known = known(objects, &paths, [Some(tip), before].into_iter().flatten())?;
    Ok(Some(Bringing { paths, known, before, is_root: first == tip && parent.is_none(), forced }))
}

/// Those of `paths` at which something stands in one of `commits`.
fn known(
    objects: &dyn Objects,
    paths: &[(Oid, String)],
    commits: impl Iterator<Item = Oid>,
) -> Result<Vec<String>, Undecided> {
    let mut known = BTreeSet::new();
    for commit in commits {
        let tree = objects.commit(commit).map_err(undecided)?.tree;
        for (_, path) in paths {
            if !known.contains(path) && history::entry_at(objects, tree, path).map_err(undecided)?.is_some() {
                known.insert(path.clone());
            }
        }
    }
    Ok(known.into_iter().collect())
}

/// The changes that do what is sought, and where.
fn among<'c>(changes: &'c [Change], sought: &'c Sought<'c>) -> impl Iterator<Item = (Oid, String)> + 'c {
    changes.iter().filter_map(move |change| match sought {
        Sought::Blobs(blobs) => {
            let (mode, id) = change.new?;
            let is_file = matches!(mode, Mode::File | Mode::Executable | Mode::Link);
            (is_file && blobs.contains(&id)).then(|| (id, change.shown()))
        }
        Sought::Paths(paths) => {
            let (_, id) = change.new.or(change.old)?;
            Some((id, change.shown())).filter(|(_, path)| paths.contains(path))
        }
    })
}
