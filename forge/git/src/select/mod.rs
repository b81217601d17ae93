//! Which objects a fetch needs, and what each of them probably resembles.
//!
//! Every commit to be sent is compared with one reference tree: its parent's, or that of the nearest commit which the
//! client has. What differs is what must be sent, and what stood at the same path before is the best base for a delta, so
//! one comparison answers both questions.
//!
//! Invariant: reads only, never recurses, and never selects what no want reaches.

pub mod commits;
pub mod filter;
pub mod ids;
pub mod reach;
#[cfg(test)]
mod tests;
pub mod trees;

use std::collections::HashSet;

use bytes::Bytes;
use notes_schema::Oid;

use crate::object::{Kind, Malformed, tag_target};
use crate::store::{Objects as _, ReadError, Store};
use commits::{Commits, HAVE, Node, STOP_NEW};
use filter::Filter;
use ids::{IdMap, IdSet, IdState};
use trees::{Trees, beside, entries};

/// Longest chain of tags on tags.
/// Limit: tags on tags, in a fetch | {}
const DEEPEST_TAG: usize = 64;
/// The most pairs of trees that are looked at only to learn what a client has. Beyond, it may be sent what it has.
/// Limit: pairs of trees looked at only to learn what a client has | {}; beyond, it may be sent what it has
const MOST_PAIRS: usize = 1 << 20;
/// How often the nearest commit that a client has is looked for; from then on any will do.
/// Limit: searches for the nearest commit that a client has | {}; beyond, any will do
const MOST_SEARCHES: usize = 1000;

/// What an object may be sent as a delta against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resembles {
    /// An object of the same kind that stood at the same path.
    pub id: Oid,
    /// Whether the client has it; otherwise it is selected itself.
    pub held: bool,
}

/// One object to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// The object.
    pub id: Oid,
    /// What it is.
    pub kind: Kind,
    /// What it probably differs little from. No chain of these comes back to where it began.
    pub resembles: Option<Resembles>,
}

/// All that a fetch needs, each object once: commits first (the newest first), then tags, trees and blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The objects.
    pub objects: Vec<Selected>,
    /// Trees that were read to find them, as they came: whoever needs one has it without reading it again.
    pub trees: IdMap<Bytes>,
}

/// Why nothing was selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// An object that should be sent cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The repository cannot be read.
    #[error("{0}")]
    Store(String),
    /// Whoever asked is gone.
    #[error("nobody waits for the answer")]
    Stopped,
}

impl From<Malformed> for SelectError {
    fn from(source: Malformed) -> Self {
        SelectError::Read(ReadError::Malformed { id: Oid::from_bytes([0; 20]), source })
    }
}

impl SelectError {
    /// Says in which tree it went wrong, where that is not said yet.
    fn in_tree(self, id: Oid) -> SelectError {
        match self {
            SelectError::Read(ReadError::Malformed { source, .. }) => ReadError::Malformed { id, source }.into(),
            other => other,
        }
    }
}

/// Told now and then how many objects were found; once it says no, the work stops.
pub struct Watch<'w> {
    told: &'w mut dyn FnMut(usize) -> bool,
    ticks: u32,
}

impl<'w> Watch<'w> {
    /// Tells `told`.
    pub fn new(told: &'w mut dyn FnMut(usize) -> bool) -> Self {
        Watch { told, ticks: 0 }
    }

    /// One step of work; `found` objects were found so far.
    pub fn tick(&mut self, found: usize) -> Result<(), SelectError> {
        self.ticks += 1;
        if !self.ticks.is_multiple_of(256) || (self.told)(found) { Ok(()) } else { Err(SelectError::Stopped) }
    }
}

/// Objects of any kind, sorted by what they are.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Commits, and what tags finally point at where that is a commit.
    pub commits: Vec<Node>,
    /// Tags, tags on tags and so on.
    pub tags: Vec<Oid>,
    /// Trees.
    pub trees: Vec<Oid>,
    /// Blobs.
    pub blobs: Vec<Oid>,
}

impl Named {
    /// Adds `id`, and what it points at where it is a tag.
    pub fn add(&mut self, commits: &mut Commits, id: Oid) -> Result<(), ReadError> {
        let (mut id, store) = (id, commits.store().clone());
        for _ in 0..DEEPEST_TAG {
            match store.kind(id)?.ok_or(ReadError::Missing(id))? {
                Kind::Commit => {
                    let node = commits.node(id);
                    self.commits.push(node);
                    return commits.need(node);
                }
                Kind::Tree => {
                    self.trees.push(id);
                    return Ok(());
                }
                Kind::Blob => {
                    self.blobs.push(id);
                    return Ok(());
                }
                Kind::Tag => {
                    self.tags.push(id);
                    id = target(&store, id)?;
                }
            }
        }
        Err(ReadError::Malformed { id, source: Malformed { kind: "tag", why: "tags on tags without end" } })
    }
}

fn target(store: &Store, tag: Oid) -> Result<Oid, ReadError> {
    let object = store.get_kind(tag, Kind::Tag)?;
    let (id, _) = tag_target(&object.data).map_err(|source| ReadError::Malformed { id: tag, source })?;
    Ok(id)
}

/// What is asked for. Where the client's history is cut is marked on the commits ([`commits::STOP_NEW`],
/// [`commits::STOP_OLD`]).
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// What the client wants.
    pub wants: Named,
    /// What it has.
    pub haves: Named,
    /// What it wants left out.
    pub filter: Filter,
    /// Annotated tags that it wants too where what they finally point at is sent.
    pub follow: Vec<(Oid, Oid)>,
}

/// Selects what `ask` asks for.
pub fn select(commits: &mut Commits, ask: &Ask, watch: &mut Watch<'_>) -> Result<Selection, SelectError> {
    let order = commits.range(&ask.wants.commits, &ask.haves.commits, |_| false, watch)?;
    let mut work = Work::new(commits, ask, &order);
    if ask.filter.looks_into_trees() {
        if !ask.haves.commits.is_empty() {
            work.learn_what_is_held(commits, &order, watch)?;
        }
        for node in bases_first(commits, &order) {
            let reference = work.reference(commits, node)?;
            work.tree(reference, commits.tree(node), watch)?;
        }
    }
    work.explicit(ask, watch)?;
    work.finish(commits, ask, &order)
}

/// The oldest first, and each behind the one that it is compared with: what stood at a path before was decided on before.
fn bases_first(commits: &Commits, order: &[Node]) -> Vec<Node> {
    let mut left: HashSet<Node> = order.iter().copied().collect();
    let (mut sorted, mut chain) = (Vec::with_capacity(order.len()), Vec::new());
    for &node in order.iter().rev() {
        let mut next = Some(node);
        while let Some(node) = next.filter(|node| left.remove(node)) {
            chain.push(node);
            next = commits.parents(node).first().copied().filter(|_| !commits.is(node, STOP_NEW));
        }
        sorted.extend(chain.drain(..).rev());
    }
    sorted
}

/// A selection under way.
struct Work<'a> {
    filter: &'a Filter,
    trees: Trees,
    /// What the client has of trees and blobs, as far as it was met.
    held: IdSet,
    /// Pairs of trees that were looked at to learn that.
    pairs: HashSet<(Oid, Oid), IdState>,
    /// Trees and blobs that were decided on, and at which depth.
    seen: IdMap<u64>,
    /// Those of them that are not sent.
    left_out: IdSet,
    found: Vec<Selected>,
    /// The commit to compare with where there is no better one.
    last_resort: Option<Node>,
    /// How often a better one was looked for.
    searches: usize,
    commits: usize,
}

impl<'a> Work<'a> {
    fn new(commits: &Commits, ask: &'a Ask, order: &[Node]) -> Work<'a> {
        let newest = ask.haves.commits.iter().copied().max_by_key(|&node| commits.date(node));
        Work {
            filter: &ask.filter,
            trees: Trees::new(commits.store().clone()),
            held: ask.haves.trees.iter().chain(&ask.haves.blobs).copied().collect(),
            pairs: HashSet::default(),
            seen: IdMap::default(),
            left_out: IdSet::default(),
            found: Vec::new(),
            last_resort: newest,
            searches: 0,
            commits: order.len(),
        }
    }

    /// The tree that a commit is compared with. The client has it, or gets it.
    fn reference(&mut self, commits: &mut Commits, node: Node) -> Result<Option<Oid>, ReadError> {
        let reference = match commits.parents(node).first() {
            Some(&parent) if !commits.is(node, STOP_NEW) => Some(parent),
            _ if self.last_resort.is_none() || self.searches == MOST_SEARCHES => self.last_resort,
            _ => {
                self.searches += 1;
                commits.nearest_held(node)?.or(self.last_resort)
            }
        };
        match reference {
            Some(node) if commits.load(node)? => Ok(Some(commits.tree(node))),
            _ => Ok(None),
        }
    }

    /// Goes along the edge between what is sent and what is had: a file that only moved, or that came by a merge from
    /// where the client has it, is not sent again.
    fn learn_what_is_held(
        &mut self,
        commits: &mut Commits,
        order: &[Node],
        watch: &mut Watch<'_>,
    ) -> Result<(), SelectError> {
        for &node in order {
            let had = commits.parents(node).iter().filter(|&&parent| commits.is(parent, HAVE));
            let mut edge: Vec<Oid> = had.map(|&parent| commits.tree(parent)).collect();
            if edge.is_empty() && (commits.is(node, STOP_NEW) || commits.parents(node).is_empty()) {
                edge.extend(self.reference(commits, node)?);
            }
            for old in edge {
                self.hold(old, commits.tree(node), watch)?;
            }
        }
        self.pairs = HashSet::default();
        Ok(())
    }

    fn hold(&mut self, old: Oid, new: Oid, watch: &mut Watch<'_>) -> Result<(), SelectError> {
        let mut open = vec![(old, new)];
        while let Some((old, new)) = open.pop() {
            self.held.insert(old);
            watch.tick(self.commits)?;
            if old == new || self.pairs.len() == MOST_PAIRS || !self.pairs.insert((old, new)) {
                continue;
            }
            // What a client has and we lack is its own affair.
            let Some(before) = self.trees.find(old) else { continue };
            let after = self.trees.get(new)?;
            let had = entries(&before).map_while(Result::ok).filter(|entry| entry.kind.is_some());
            self.held.extend(had.map(|entry| entry.id));
            beside(Some(&before), &after, |entry, same| {
                if let (Some(Kind::Tree), Some(same)) = (entry.kind, same)
                    && same != entry.id
                {
                    open.push((same, entry.id));
                }
                Ok::<_, Malformed>(())
            })
            .map_err(|source| ReadError::Malformed { id: new, source })?;
        }
        Ok(())
    }

    /// Selects what `tree` has and `reference` has not.
    fn tree(&mut self, reference: Option<Oid>, tree: Oid, watch: &mut Watch<'_>) -> Result<(), SelectError> {
        if reference == Some(tree) {
            return Ok(());
        }
        let mut open = Vec::new();
        if self.choose(Kind::Tree, tree, reference, 0)? {
            open.push((reference, tree, 1));
        }
        self.below(open, watch)
    }

    /// Selects what lies below trees: each with what stood in its place, and the depth of its entries.
    fn below(&mut self, mut open: Vec<(Option<Oid>, Oid, u64)>, watch: &mut Watch<'_>) -> Result<(), SelectError> {
        while let Some((old, new, depth)) = open.pop() {
            watch.tick(self.commits + self.found.len())?;
            if !self.filter.reaches(depth) {
                continue;
            }
            let before = old.and_then(|old| self.trees.find(old));
            let after = self.trees.get(new)?;
            beside(before.as_deref(), &after, |entry, same| {
                let Some(kind) = entry.kind.filter(|_| same != Some(entry.id)) else { return Ok(()) };
                if self.choose(kind, entry.id, same, depth)? {
                    open.push((same, entry.id, depth + 1));
                }
                Ok::<_, SelectError>(())
            })
            .map_err(|error| error.in_tree(new))?;
        }
        Ok(())
    }

    /// Decides on an object at `depth`, where `old` stood before; true for a tree that is to be looked into.
    fn choose(&mut self, kind: Kind, id: Oid, old: Option<Oid>, depth: u64) -> Result<bool, SelectError> {
        if self.held.contains(&id) {
            return Ok(false);
        }
        let known = self.seen.get(&id).copied();
        if known.is_some_and(|before| kind == Kind::Blob || self.filter.tree_depth.is_none() || before <= depth) {
            return Ok(false);
        }
        let resembles = self.resembles(old);
        self.seen.insert(id, depth);
        let left_out = !self.filter.sends(kind) || kind == Kind::Blob && self.is_too_large(id)?;
        match (left_out, known) {
            (true, _) => drop(self.left_out.insert(id)),
            (false, None) => self.found.push(Selected { id, kind, resembles }),
            (false, Some(_)) => {}
        }
        Ok(kind == Kind::Tree)
    }

    fn is_too_large(&self, id: Oid) -> Result<bool, SelectError> {
        match self.filter.blobs_below {
            None => Ok(false),
            Some(0) => Ok(true),
            Some(limit) => {
                let header = self.trees.store().header(id)?.ok_or(ReadError::Missing(id))?;
                Ok(header.1 >= limit)
            }
        }
    }

    /// What was selected earlier may be referred to; what was not may yet be, so it is looked at again in the end.
    fn resembles(&self, old: Option<Oid>) -> Option<Resembles> {
        let id = old?;
        let sent = self.seen.contains_key(&id);
        if self.left_out.contains(&id) { None } else { Some(Resembles { id, held: !sent }) }
    }

    fn is_sent(&self, id: Oid) -> bool {
        self.seen.contains_key(&id) && !self.left_out.contains(&id)
    }

    /// What was asked for by its id is sent whatever the filter says, and whatever it seems that the client has.
    fn explicit(&mut self, ask: &Ask, watch: &mut Watch<'_>) -> Result<(), SelectError> {
        let trees = ask.wants.trees.iter().map(|&id| (Kind::Tree, id));
        for (kind, id) in trees.chain(ask.wants.blobs.iter().map(|&id| (Kind::Blob, id))) {
            if !self.is_sent(id) {
                self.left_out.remove(&id);
                self.seen.insert(id, 0);
                self.found.push(Selected { id, kind, resembles: None });
            } else if !self.filter.is_active() {
                continue;
            }
            if kind == Kind::Tree {
                self.below(vec![(None, id, 0)], watch)?;
            }
        }
        Ok(())
    }

    fn finish(self, commits: &mut Commits, ask: &Ask, order: &[Node]) -> Result<Selection, SelectError> {
        let whole = |kind| move |id| Selected { id, kind, resembles: None };
        let named: HashSet<Node> = ask.wants.commits.iter().copied().collect();
        let sent = order.iter().filter(|&node| ask.filter.sends(Kind::Commit) || named.contains(node));
        let sent: Vec<Oid> = sent.map(|&node| commits.id(node)).collect();
        let tags = self.tags(commits, ask, &sent)?;
        let mut objects: Vec<Selected> = sent.into_iter().map(whole(Kind::Commit)).collect();
        objects.extend(tags.into_iter().map(whole(Kind::Tag)));
        for kind in [Kind::Tree, Kind::Blob] {
            let found = self.found.iter().rev().filter(|one| one.kind == kind);
            objects.extend(found.map(|one| Selected { resembles: self.settled(one), ..*one }));
        }
        Ok(Selection { objects, trees: self.trees.into_read() })
    }

    /// What stood in the place of something sent was sent too, or the client has it: unless a filter kept it from both,
    /// or it was selected so late that there could be a circle.
    fn settled(&self, one: &Selected) -> Option<Resembles> {
        let resembles = one.resembles?;
        let lacks = match one.kind {
            Kind::Blob => self.filter.is_active(),
            _ => self.filter.tree_depth.is_some() || !self.filter.sends(Kind::Tree),
        };
        let unsure = self.seen.contains_key(&resembles.id) || lacks;
        if resembles.held && unsure { None } else { Some(resembles) }
    }

    /// The tags asked for, and those that follow what is sent.
    fn tags(&self, commits: &Commits, ask: &Ask, sent: &[Oid]) -> Result<Vec<Oid>, SelectError> {
        let mut known: IdSet = ask.haves.tags.iter().copied().collect();
        let mut tags: Vec<Oid> = ask.wants.tags.iter().copied().filter(|&id| known.insert(id)).collect();
        if ask.follow.is_empty() {
            return Ok(tags);
        }
        let sent: IdSet = sent.iter().copied().collect();
        for &(tag, peeled) in &ask.follow {
            let mut at = tag;
            // The chain ends: it was followed to what it finally points at when it came in.
            while (sent.contains(&peeled) || self.is_sent(peeled)) && at != peeled && known.insert(at) {
                tags.push(at);
                at = target(commits.store(), at)?;
            }
        }
        Ok(tags)
    }
}
