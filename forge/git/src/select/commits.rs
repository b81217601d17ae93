//! The commits that a fetch looks at: parents, trees and dates, each read once, and marks that flow to parents.
//!
//! Here, in [`Commits::load`], is the one place that asks for a commit's parents, tree and date: the commit-graph where
//! there is one, else the commit.
//!
//! Invariant: dates decide in which order commits are looked at. That one lies may cost objects sent twice, and never an
//! object that is missing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use notes_schema::Oid;

use super::ids::{IdMap, IdSet};
use super::{SelectError, Watch};
use crate::graph::{self, Graph};
use crate::object::Kind;
use crate::store::{Objects as _, ReadError, Store};

/// The client will have it after this fetch.
pub const WANT: u16 = 1;
/// The client had it before.
pub const HAVE: u16 = 1 << 1;
/// The client said that it has it, or has its child.
pub const THEIRS: u16 = 1 << 2;
/// It reaches one of those.
const REACHES: u16 = 1 << 3;
/// The client will have none of its parents: it is shallow after this fetch.
pub const STOP_NEW: u16 = 1 << 4;
/// The client had none of its parents: it was shallow before.
pub const STOP_OLD: u16 = 1 << 5;
/// For whoever computes where a history is cut.
pub const INSIDE: u16 = 1 << 6;
const QUEUED: u16 = 1 << 7;
const LISTED: u16 = 1 << 8;
const LOADED: u16 = 1 << 9;
const ABSENT: u16 = 1 << 10;
/// It stood in the commit-graph.
const GRAPHED: u16 = 1 << 11;

/// How many commits a walk looks at beyond the last that seemed to matter, in case dates lie. One that must be read itself
/// counts as eight: without a commit-graph, looking further would cost more than all the rest of a small fetch.
/// Limit: commits looked at beyond the oldest that is sent, in case dates lie | {}; beyond, objects may be sent twice
const SLOP: usize = 512;
/// Limit: for how many of them one counts that is in no commit-graph | {}
const SLOP_READ: usize = 8;
/// The most commits that this repository itself may be cut at.
/// Limit: file of the commits that a repository itself is cut at | {:bytes}
const MOST_GRAFTS: u64 = 41 * 1_000_000;

/// A commit among those looked at.
pub type Node = u32;

struct Facts {
    id: Oid,
    tree: Oid,
    date: i64,
    first: u32,
    parents: u32,
    marks: u16,
    /// In which search it was found to reach nothing.
    barren: u32,
}

/// Commits looked at so far.
pub struct Commits {
    store: Arc<Store>,
    graph: Option<Arc<Graph>>,
    index: IdMap<Node>,
    facts: Vec<Facts>,
    parents: Vec<Node>,
    grafts: IdSet,
    search: u32,
    met: u64,
}

type Queue = BinaryHeap<(i64, Reverse<u64>, Node)>;

impl Commits {
    /// Of the repository behind `store`, which may be cut itself.
    pub fn new(store: Arc<Store>) -> Result<Commits, SelectError> {
        let grafts = grafts(&store)?;
        let (index, facts, parents) = Default::default();
        let graph = store.graph();
        Ok(Commits { store, graph, index, facts, parents, grafts, search: 0, met: 0 })
    }

    /// The objects that these commits are among.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Commits whose parents this repository itself lacks.
    pub fn grafts(&self) -> &IdSet {
        &self.grafts
    }

    /// The node of `id`, whatever it is.
    pub fn node(&mut self, id: Oid) -> Node {
        if let Some(&node) = self.index.get(&id) {
            return node;
        }
        let node = self.facts.len() as Node;
        self.index.insert(id, node);
        let tree = Oid::from_bytes([0; 20]);
        self.facts.push(Facts { id, tree, date: 0, first: 0, parents: 0, marks: 0, barren: 0 });
        node
    }

    /// The node of `id`, if it was looked at.
    pub fn known(&self, id: Oid) -> Option<Node> {
        self.index.get(&id).copied()
    }

    /// Reads what `node` is; false when it is missing.
    pub fn load(&mut self, node: Node) -> Result<bool, ReadError> {
        let facts = &self.facts[node as usize];
        if facts.marks & (LOADED | ABSENT) != 0 {
            return Ok(facts.marks & LOADED != 0);
        }
        let id = facts.id;
        let known = self.graph.as_ref().and_then(|graph| graph.node(id));
        let graphed = if known.is_some() { GRAPHED } else { 0 };
        let Some(read) = known.map_or_else(|| self.read(id), |known| Ok(Some(known)))? else {
            self.facts[node as usize].marks |= ABSENT;
            return Ok(false);
        };
        let nodes: Vec<Node> = match self.grafts.contains(&id) {
            true => Vec::new(),
            false => read.parents.iter().map(|&parent| self.node(parent)).collect(),
        };
        let (tree, date) = (read.tree, read.seconds);
        let first = self.parents.len() as u32;
        self.parents.extend(nodes);
        let parents = self.parents.len() as u32 - first;
        let facts = &mut self.facts[node as usize];
        (facts.tree, facts.date, facts.first, facts.parents) = (tree, date, first, parents);
        facts.marks |= LOADED | graphed;
        Ok(true)
    }

    fn read(&self, id: Oid) -> Result<Option<graph::Node>, ReadError> {
        match self.store.get_kind(id, Kind::Commit) {
            Ok(object) => match graph::read_node(&object.data) {
                Ok(read) => Ok(Some(read)),
                Err(source) => Err(ReadError::Malformed { id, source }),
            },
            Err(ReadError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads what `node` is.
    pub fn need(&mut self, node: Node) -> Result<(), ReadError> {
        if self.load(node)? { Ok(()) } else { Err(ReadError::Missing(self.id(node))) }
    }

    /// The commit's id.
    pub fn id(&self, node: Node) -> Oid {
        self.facts[node as usize].id
    }

    /// The commit's tree; only of what was loaded.
    pub fn tree(&self, node: Node) -> Oid {
        self.facts[node as usize].tree
    }

    /// The committer's time; only of what was loaded.
    pub fn date(&self, node: Node) -> i64 {
        self.facts[node as usize].date
    }

    /// The commit's parents; only of what was loaded.
    pub fn parents(&self, node: Node) -> &[Node] {
        let facts = &self.facts[node as usize];
        &self.parents[facts.first as usize..(facts.first + facts.parents) as usize]
    }

    /// Whether it has all of these marks.
    pub fn is(&self, node: Node, marks: u16) -> bool {
        self.facts[node as usize].marks & marks == marks
    }

    /// Puts marks on it.
    pub fn mark(&mut self, node: Node, marks: u16) {
        self.facts[node as usize].marks |= marks;
    }

    /// Takes marks from it.
    pub fn unmark(&mut self, node: Node, marks: u16) {
        self.facts[node as usize].marks &= !marks;
    }

    /// Takes marks from all.
    pub fn unmark_all(&mut self, marks: u16) {
        self.facts.iter_mut().for_each(|facts| facts.marks &= !marks);
    }

    fn push(&mut self, queue: &mut Queue, node: Node) {
        queue.push((self.date(node), Reverse(self.met), node));
        self.met += 1;
    }

    /// The commits that `wants` reach and `haves` do not, the newest first. `too_old` takes a commit, and all that it
    /// reaches, out as well.
    pub fn range(
        &mut self,
        wants: &[Node],
        haves: &[Node],
        too_old: impl Fn(i64) -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Node>, SelectError> {
        self.unmark_all(WANT | HAVE | LISTED);
        let mut walk = Walk { queue: Queue::new(), open: 0, oldest: i64::MAX, listed: Vec::new() };
        for (&node, mark) in wants.iter().map(|n| (n, WANT)).chain(haves.iter().map(|n| (n, HAVE))) {
            self.reach(&mut walk, node, mark)?;
        }
        let mut slop = SLOP;
        while let Some(&(date, _, node)) = walk.queue.peek() {
            if walk.open == 0 {
                if walk.listed.is_empty() {
                    break;
                }
                if date < walk.oldest {
                    slop = slop.saturating_sub(if self.is(node, GRAPHED) { 1 } else { SLOP_READ });
                    if slop == 0 {
                        break;
                    }
                }
            }
            self.step(&mut walk, &too_old)?;
            watch.tick(walk.listed.len())?;
        }
        for (_, _, node) in walk.queue {
            self.unmark(node, QUEUED);
        }
        let mut listed = walk.listed;
        listed.retain(|&node| !self.is(node, HAVE));
        Ok(listed)
    }

    fn step(&mut self, walk: &mut Walk, too_old: &impl Fn(i64) -> bool) -> Result<(), SelectError> {
        let Some((date, _, node)) = walk.queue.pop() else { return Ok(()) };
        self.unmark(node, QUEUED);
        walk.open -= usize::from(self.is_open(node));
        if too_old(date) {
            self.mark(node, HAVE);
        }
        if self.is_open(node) && !self.is(node, LISTED) {
            self.mark(node, LISTED);
            walk.listed.push(node);
            walk.oldest = walk.oldest.min(date);
        }
        let has = self.is(node, HAVE) && !self.is(node, STOP_OLD);
        let wants = self.is(node, WANT) && !self.is(node, STOP_NEW) && !has;
        let hand_down = if has { HAVE } else { 0 } | if wants { WANT } else { 0 };
        for at in 0..self.parents(node).len() {
            let parent = self.parents(node)[at];
            self.reach(walk, parent, hand_down)?;
        }
        Ok(())
    }

    fn is_open(&self, node: Node) -> bool {
        self.is(node, WANT) && !self.is(node, HAVE)
    }

    fn reach(&mut self, walk: &mut Walk, node: Node, marks: u16) -> Result<(), SelectError> {
        if marks == 0 || self.is(node, marks) {
            return Ok(());
        }
        if !self.load(node)? {
            // What a client has and we lack is its own affair.
            return if marks & WANT != 0 { Err(ReadError::Missing(self.id(node)).into()) } else { Ok(()) };
        }
        let queued = self.is(node, QUEUED);
        walk.open -= usize::from(queued && self.is_open(node));
        self.mark(node, marks | QUEUED);
        walk.open += usize::from(self.is_open(node));
        if !queued {
            self.push(&mut walk.queue, node);
        }
        Ok(())
    }

    /// Shows all that `roots` reach to `each`, the newest first, until that says no.
    pub fn newest_first(
        &mut self,
        roots: &[Node],
        mut each: impl FnMut(&mut Commits, Node) -> Result<bool, SelectError>,
    ) -> Result<(), SelectError> {
        self.unmark_all(LISTED);
        let mut queue = Queue::new();
        let mut met = roots.to_vec();
        loop {
            for node in met.drain(..) {
                if !self.is(node, LISTED) && self.load(node)? {
                    self.mark(node, LISTED);
                    self.push(&mut queue, node);
                }
            }
            let Some((_, _, node)) = queue.pop() else { return Ok(()) };
            if !each(self, node)? {
                return Ok(());
            }
            met.extend_from_slice(self.parents(node));
        }
    }

    /// Whether each of `wants` reaches a commit marked [`THEIRS`], as far as can be told without going below `oldest`.
    /// Spends `budget`, and says no once that is gone.
    pub fn all_reach_theirs(&mut self, wants: &[Node], oldest: i64, budget: &mut u64) -> Result<bool, ReadError> {
        self.search += 1;
        for &want in wants {
            if !self.reaches_theirs(want, oldest, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn reaches_theirs(&mut self, want: Node, oldest: i64, budget: &mut u64) -> Result<bool, ReadError> {
        let search = self.search;
        let mut path: Vec<(Node, usize)> = vec![(want, 0)];
        while let Some(&mut (node, ref mut next)) = path.last_mut() {
            let at = *next;
            *next += 1;
            if at == 0 {
                if self.facts[node as usize].marks & (THEIRS | REACHES) != 0 {
                    for (node, _) in path {
                        self.mark(node, REACHES);
                    }
                    return Ok(true);
                }
                if *budget == 0 {
                    return Ok(false);
                }
                *budget -= 1;
                let seen = self.facts[node as usize].barren == search;
                if seen || !self.load(node)? || self.is(node, STOP_NEW) || self.date(node) < oldest {
                    self.facts[node as usize].barren = search;
                    path.pop();
                    continue;
                }
                // Histories have no circles, so whoever comes here again while it is on the path is not lost.
                self.facts[node as usize].barren = search;
            }
            match self.parents(node).get(at) {
                Some(&parent) => path.push((parent, 0)),
                None => drop(path.pop()),
            }
        }
        Ok(false)
    }

    /// A commit marked [`HAVE`] that is near to `node`, if one is.
    pub fn nearest_held(&mut self, node: Node) -> Result<Option<Node>, ReadError> {
        const NEAR: usize = 256;
        let mut met = vec![node];
        let mut at = 0;
        while at < met.len() && at < NEAR {
            let here = met[at];
            at += 1;
            if !self.load(here)? {
                continue;
            }
            if self.is(here, HAVE) {
                return Ok(Some(here));
            }
            for n in 0..self.parents(here).len() {
                let parent = self.parents(here)[n];
                if met.len() < 2 * NEAR && !met.contains(&parent) {
                    met.push(parent);
                }
            }
        }
        Ok(None)
    }
}

/// A walk under way.
struct Walk {
    /// Youngest first; among those of one second the one met first.
    queue: Queue,
    /// How many queued commits are wanted and not had.
    open: usize,
    oldest: i64,
    listed: Vec<Node>,
}

/// Where this repository itself is cut: git's file `shallow`.
pub fn grafts(store: &Store) -> Result<IdSet, SelectError> {
    let path = store.git_dir().join("shallow");
    let text = match std::fs::metadata(&path) {
        Err(_) => return Ok(IdSet::default()),
        Ok(there) if there.len() > MOST_GRAFTS => {
            return Err(SelectError::Store(format!("{} is too large", path.display())));
        }
        Ok(_) => std::fs::read_to_string(&path).map_err(|e| SelectError::Store(format!("{}: {e}", path.display())))?,
    };
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}
