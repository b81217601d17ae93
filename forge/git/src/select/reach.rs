//! Which of some objects the shown refs reach: a partial clone asks for the blobs and trees that it left out, and people
//! ask for a commit by its id.
//!
//! A commit is sought among commits, the newest first, and not far below the oldest that is sought. A tree or a blob is
//! sought in the trees of the tips first, where what a checkout lacks nearly always is, and then in what each commit
//! changed.
//!
//! Invariant: an object is as visible as the refs that reach it, and not more. What only a hidden, replaced or refused
//! push left in the store is not found here. One search visits no more than its budget; what it has not found by then
//! counts as not reached.

use std::sync::Arc;

use notes_schema::Oid;

use super::commits::{Commits, Node};
use super::ids::IdSet;
use super::trees::{Trees, beside};
use super::{Named, SelectError, Watch};
use crate::object::Kind;
use crate::store::{ReadError, Store};

/// The most commits and trees that one search reads.
/// Limit: commits and trees read to find out whether a want is reachable | {}; beyond, it counts as not reached
pub const BUDGET: u64 = 10_000_000;
/// How many ids of trees are remembered, twice, so as not to look into a tree again.
/// Limit: trees that such a search remembers, twice | {}
const REMEMBERED: usize = 1 << 19;

/// How many tips have their trees searched before all tips were even looked at.
const FIRST_TIPS: usize = 4;
/// How many commits older than all that are sought are looked at, in case dates lie.
/// Limit: commits older than all that are sought that such a search looks at, in case dates lie | {}
const SLOP: usize = 10_000;

/// Those of `ids` that `tips` reach. The tips are looked at in this order.
pub fn reached(
    store: &Arc<Store>,
    tips: &[Oid],
    ids: &IdSet,
    budget: u64,
    watch: &mut Watch<'_>,
) -> Result<IdSet, SelectError> {
    let mut graph = Commits::new(store.clone())?;
    let (mut sought, mut commits, mut other) = (IdSet::default(), Vec::new(), false);
    for &id in ids {
        // What is not there, or cannot be read, is not reached either.
        match store.kind(id) {
            Ok(Some(Kind::Commit)) => commits.push(graph.node(id)),
            Ok(Some(_)) => other = true,
            Ok(None) | Err(_) => continue,
        }
        sought.insert(id);
    }
    let (young, old, trees) = (IdSet::default(), IdSet::default(), Trees::new(store.clone()));
    let mut search = Search { sought, found: IdSet::default(), budget, trees, young, old };
    let mut roots = Vec::new();
    for (count, &tip) in tips.iter().enumerate() {
        let mut named = Named::default();
        // A ref onto what is not there reaches nothing.
        let _ = named.add(&mut graph, tip);
        named.tags.iter().chain(&named.blobs).for_each(|&id| search.meet(id));
        for &node in &named.commits {
            search.meet(graph.id(node));
            if other && count < FIRST_TIPS {
                search.tree(None, graph.tree(node), watch)?;
            }
        }
        for &tree in &named.trees {
            search.tree(None, tree, watch)?;
        }
        if search.is_over() {
            return Ok(search.found);
        }
        roots.extend(named.commits);
    }
    commits.retain(|&node| search.sought.contains(&graph.id(node)));
    if !commits.is_empty() {
        search.commits(&mut graph, &roots, &commits, watch)?;
    }
    if other && !search.is_over() {
        search.history(&mut graph, &roots, watch)?;
    }
    Ok(search.found)
}

struct Search {
    sought: IdSet,
    found: IdSet,
    budget: u64,
    trees: Trees,
    /// Trees looked into lately.
    young: IdSet,
    old: IdSet,
}

impl Search {
    fn meet(&mut self, id: Oid) {
        if self.sought.remove(&id) {
            self.found.insert(id);
        }
    }

    fn is_over(&self) -> bool {
        self.sought.is_empty() || self.budget == 0
    }

    fn commits(
        &mut self,
        graph: &mut Commits,
        roots: &[Node],
        commits: &[Node],
        watch: &mut Watch<'_>,
    ) -> Result<(), SelectError> {
        let mut oldest = i64::MAX;
        for &node in commits {
            graph.need(node)?;
            oldest = oldest.min(graph.date(node));
        }
        let (mut left, mut slop) = (commits.len(), SLOP);
        graph.newest_first(roots, |graph, node| {
            watch.tick(0)?;
            let id = graph.id(node);
            if self.sought.contains(&id) {
                self.meet(id);
                left -= 1;
            }
            slop -= usize::from(graph.date(node) < oldest);
            self.budget = self.budget.saturating_sub(1);
            Ok(left > 0 && self.budget > 0 && slop > 0)
        })
    }

    /// Trees and blobs, in all that `roots` reach.
    fn history(&mut self, graph: &mut Commits, roots: &[Node], watch: &mut Watch<'_>) -> Result<(), SelectError> {
        for &node in roots {
            self.tree(None, graph.tree(node), watch)?;
            if self.is_over() {
                return Ok(());
            }
        }
        graph.newest_first(roots, |graph, node| {
            let parent = match graph.parents(node).first().copied() {
                Some(parent) if graph.load(parent)? => Some(graph.tree(parent)),
                _ => None,
            };
            // What it shares with its parent is looked at with that.
            self.tree(parent, graph.tree(node), watch)?;
            self.budget = self.budget.saturating_sub(1);
            Ok(!self.is_over())
        })
    }

    fn tree(&mut self, old: Option<Oid>, new: Oid, watch: &mut Watch<'_>) -> Result<(), SelectError> {
        let mut open = vec![(old, new)];
        while let Some((old, new)) = open.pop() {
            self.meet(new);
            if old == Some(new) || self.is_over() || !self.is_new(old, new) {
                continue;
            }
            self.budget -= 1;
            watch.tick(0)?;
            let before = old.and_then(|old| self.trees.find(old));
            let after = match self.trees.get(new) {
                Ok(after) => after,
                Err(ReadError::Missing(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            beside(before.as_deref(), &after, |entry, same| {
                match entry.kind.filter(|_| same != Some(entry.id)) {
                    Some(Kind::Tree) => open.push((same, entry.id)),
                    Some(_) => self.meet(entry.id),
                    None => {}
                }
                Ok::<_, SelectError>(())
            })
            .map_err(|error| error.in_tree(new))?;
        }
        Ok(())
    }

    /// Whether `new` was not looked into lately: in full, or beside `old`.
    fn is_new(&mut self, old: Option<Oid>, new: Oid) -> bool {
        let known = |key: &Oid| self.young.contains(key) || self.old.contains(key);
        // Two ids laid over each other are a third that nothing else has.
        let pair = |old: Oid| {
            let mut bytes = *new.as_bytes();
            bytes.iter_mut().zip(old.as_bytes()).for_each(|(a, b)| *a = a.rotate_left(1) ^ b);
            Oid::from_bytes(bytes)
        };
        let key = old.map_or(new, pair);
        if known(&new) || known(&key) {
            return false;
        }
        self.young.insert(key);
        if self.young.len() > REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}
