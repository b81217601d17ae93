//! Clones as a fetch asks for them: how they are named, and how what they need is found.
//!
//! Invariant: a pack is the beginning of another only where what it holds follows from its tips alone.

use std::sync::Arc;

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

use super::{Key, Wish};
use crate::select::commits::{Commits, grafts};
use crate::select::filter::Filter;
use crate::select::{Ask, Named, SelectError, Selection, Watch, select};
use crate::store::Store;

/// A fetch by a client that has nothing and whose history is nowhere cut.
#[derive(Clone)]
pub struct Asked {
    /// What it wants, admitted.
    pub wants: Vec<Oid>,
    /// What it wants left out; never by path.
    pub filter: Filter,
    /// Annotated tags that it wants too where what they finally point at is sent, as in [`Ask::follow`].
    pub follow: Vec<(Oid, Oid)>,
    /// Whether deltas may name their base by its distance.
    pub ofs_delta: bool,
}

impl Wish {
    /// A clone of the repository that is called `repository` and whose objects are in `store`.
    pub fn new(repository: &str, store: &Arc<Store>, mut asked: Asked) -> Result<Wish, SelectError> {
        asked.follow.retain(|(tag, _)| !asked.wants.contains(tag));
        asked.follow.sort_unstable();
        // Where the repository itself is cut shapes a pack as well.
        let mut cuts: Vec<Oid> = grafts(store)?.into_iter().collect();
        cuts.sort_unstable();
        let mut features = Sha1::new();
        let followed = asked.follow.iter().flat_map(|(tag, target)| [*tag, *target]);
        followed.chain(cuts).for_each(|id| features.update(id.as_bytes()));
        let features = notes_schema::names::hex(&features.finalize());
        let filter = format!("{:?}", asked.filter);
        let key = Key::new(repository, asked.wants.iter().copied(), &filter, &features, asked.ofs_delta);
        let (for_reach, for_select) = ((store.clone(), asked.clone()), (store.clone(), asked));
        Ok(Wish {
            key,
            store: store.clone(),
            reaches: Arc::new(move |tips| reaches(&for_reach.0, &for_reach.1, tips)),
            select: Arc::new(move |tips| selection(&for_select.0, &for_select.1, tips)),
        })
    }
}

fn named(commits: &mut Commits, ids: &[Oid]) -> Result<Named, SelectError> {
    let mut named = Named::default();
    for &id in ids {
        named.add(commits, id)?;
    }
    Ok(named)
}

fn reaches(store: &Arc<Store>, asked: &Asked, tips: &[Oid]) -> Result<bool, SelectError> {
    let mut commits = Commits::new(store.clone())?;
    let wants = named(&mut commits, &asked.wants)?;
    // What an older clone began with may have been pruned since.
    let Ok(had) = named(&mut commits, tips) else { return Ok(false) };
    // At another depth something may be sent that was left out before; and what is wanted by itself is sent in any case.
    let follows =
        asked.filter.tree_depth.is_none() && [&wants, &had].iter().all(|n| n.trees.is_empty() && n.blobs.is_empty());
    if !follows || !had.tags.iter().all(|tag| wants.tags.contains(tag)) {
        return Ok(false);
    }
    let beyond = commits.range(&had.commits, &wants.commits, |_| false, &mut Watch::new(&mut |_| true));
    Ok(beyond.is_ok_and(|beyond| beyond.is_empty()))
}

fn selection(store: &Arc<Store>, asked: &Asked, tips: &[Oid]) -> Result<Selection, SelectError> {
    let mut commits = Commits::new(store.clone())?;
    let (wants, haves) = (named(&mut commits, &asked.wants)?, named(&mut commits, tips)?);
    let ask = Ask { wants, haves, filter: asked.filter, follow: asked.follow.clone() };
    select(&mut commits, &ask, &mut Watch::new(&mut |_| true))
}
