//! Questions about commits: who descends from whom, what came when, what stands at a path.
//!
//! One walk answers the first three: commits get marks, marks flow to parents, the youngest goes first. Dates only decide
//! in which order commits are looked at; a commit whose marks grow after it was looked at is looked at again, so wrong
//! dates cost time and not truth.
//!
//! Invariant: reads only, and never recurses: histories may be as long as they like.

use std::collections::{BinaryHeap, HashMap};

use notes_schema::Oid;

use super::object::{Commit, Kind, Malformed, Mode, TreeEntry, tag_target};
use super::store::{Objects, ReadError};

/// Longest chain of tags on tags.
const DEEPEST_TAG: usize = 64;
/// How many commits a range looks at beyond the last that seemed to matter, in case dates lie.
const SLOP: usize = 256;

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
/// Below a common ancestor: common as well, but not a best one.
const STALE: u8 = 4;

/// Whether `ancestor` is `of` or can be reached from it.
pub fn is_ancestor<O: Objects + ?Sized>(objects: &O, ancestor: Oid, of: Oid) -> Result<bool, ReadError> {
    if ancestor == of {
        return Ok(true);
    }
    let mut walk = Walk::new(objects);
    walk.start(ancestor, LEFT)?;
    walk.start(of, RIGHT)?;
    while walk.pending(|marks| marks & STALE == 0) {
        walk.step(below_common)?;
        if walk.marks(ancestor) & RIGHT != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The best common ancestor of two commits. Where there are several, the youngest, and among those the least id.
pub fn merge_base<O: Objects + ?Sized>(objects: &O, a: Oid, b: Oid) -> Result<Option<Oid>, ReadError> {
    let mut walk = Walk::new(objects);
    walk.start(a, LEFT)?;
    walk.start(b, RIGHT)?;
    while walk.pending(|marks| marks & STALE == 0) {
        walk.step(below_common)?;
    }
    let common = |node: &Node| node.marks & (LEFT | RIGHT | STALE) == LEFT | RIGHT;
    let mut found: Vec<(i64, Oid)> =
        walk.nodes.iter().filter(|(_, node)| common(node)).map(|(id, node)| (-node.date, *id)).collect();
    found.sort_unstable();
    // Wrong dates can leave a candidate that is an ancestor of another.
    let mut best: Option<Oid> = None;
    for (_, id) in found {
        match best {
            Some(current) if !is_ancestor(objects, current, id)? => {}
            _ => best = Some(id),
        }
    }
    Ok(best)
}

/// The newest `limit` commits that can be reached from `tip`, as `git log` orders them.
pub fn log<O: Objects + ?Sized>(objects: &O, tip: Oid, limit: usize) -> Result<Vec<(Oid, Commit)>, ReadError> {
    let mut walk = Walk::new(objects);
    walk.start(tip, LEFT)?;
    let mut listed = Vec::new();
    while listed.len() < limit {
        let Some(id) = walk.step(|marks| marks)? else { break };
        listed.push((id, objects.commit(id)?));
    }
    Ok(listed)
}

/// The newest `limit` commits that can be reached from `tip` and from none of `not`: `git log tip ^not`.
pub fn range<O: Objects + ?Sized>(
    objects: &O,
    tip: Oid,
    not: &[Oid],
    limit: usize,
) -> Result<Vec<(Oid, Commit)>, ReadError> {
    let mut walk = Walk::new(objects);
    walk.start(tip, LEFT)?;
    for &id in not {
        walk.start(id, RIGHT)?;
    }
    let mut order = Vec::new();
    let mut oldest = i64::MAX;
    let mut slop = SLOP;
    while walk.pending(|marks| marks & RIGHT == 0) || (slop > 0 && walk.youngest() >= Some(oldest)) {
        if !walk.pending(|marks| marks & RIGHT == 0) {
            slop -= 1;
        }
        let Some(id) = walk.step(|marks| marks)? else { break };
        if walk.marks(id) & RIGHT == 0 {
            oldest = oldest.min(walk.nodes[&id].date);
            order.push(id);
        }
    }
    order.retain(|id| walk.marks(*id) & RIGHT == 0);
    order.into_iter().take(limit).map(|id| Ok((id, objects.commit(id)?))).collect()
}

/// What stands at `path` (names joined by slashes) in `tree`.
pub fn entry_at<O: Objects + ?Sized>(
    objects: &O,
    tree: Oid,
    path: impl AsRef<[u8]>,
) -> Result<Option<TreeEntry>, ReadError> {
    let mut names = path.as_ref().split(|&b| b == b'/').peekable();
    let mut at = tree;
    while let Some(name) = names.next() {
        let Some(entry) = objects.tree(at)?.into_iter().find(|entry| entry.name == name) else { return Ok(None) };
        if names.peek().is_none() {
            return Ok(Some(entry));
        }
        if entry.mode != Mode::Tree {
            return Ok(None);
        }
        at = entry.id;
    }
    Ok(None)
}

/// What a tag finally points at; anything else is itself.
pub fn peel<O: Objects + ?Sized>(objects: &O, id: Oid) -> Result<Oid, ReadError> {
    let mut at = id;
    for _ in 0..DEEPEST_TAG {
        let object = objects.get(at)?;
        if object.kind != Kind::Tag {
            return Ok(at);
        }
        (at, _) = tag_target(&object.data).map_err(|source| ReadError::Malformed { id: at, source })?;
    }
    Err(ReadError::Malformed { id, source: Malformed { kind: "tag", why: "tags on tags without end" } })
}

/// Marks of a commit's parents, for the search for common ancestors.
fn below_common(marks: u8) -> u8 {
    if marks & (LEFT | RIGHT) == LEFT | RIGHT { marks | STALE } else { marks }
}

struct Node {
    marks: u8,
    date: i64,
    parents: Vec<Oid>,
    queued: bool,
}

/// The walk under way.
struct Walk<'o, O: ?Sized> {
    objects: &'o O,
    nodes: HashMap<Oid, Node>,
    /// Youngest first; among those of one second the one met first.
    queue: BinaryHeap<(i64, std::cmp::Reverse<u64>, Oid)>,
    met: u64,
    /// How many queued commits have which marks.
    counts: [usize; 8],
}

impl<'o, O: Objects + ?Sized> Walk<'o, O> {
    fn new(objects: &'o O) -> Self {
        Walk { objects, nodes: HashMap::new(), queue: BinaryHeap::new(), met: 0, counts: [0; 8] }
    }

    fn start(&mut self, id: Oid, marks: u8) -> Result<(), ReadError> {
        self.mark(id, marks)
    }

    fn marks(&self, id: Oid) -> u8 {
        self.nodes.get(&id).map_or(0, |node| node.marks)
    }

    /// Whether a commit with such marks still waits.
    fn pending(&self, such: impl Fn(u8) -> bool) -> bool {
        (0u8..8).any(|marks| self.counts[marks as usize] > 0 && such(marks))
    }

    /// The date of whoever is next.
    fn youngest(&self) -> Option<i64> {
        self.queue.peek().map(|(date, ..)| *date)
    }

    fn mark(&mut self, id: Oid, marks: u8) -> Result<(), ReadError> {
        let node = match self.nodes.entry(id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let commit = self.objects.commit(id)?;
                free.insert(Node { marks: 0, date: commit.committer_seconds, parents: commit.parents, queued: false })
            }
        };
        let before = node.marks;
        node.marks |= marks;
        if node.marks == before {
            return Ok(());
        }
        if node.queued {
            self.counts[before as usize] -= 1;
        } else {
            node.queued = true;
            self.queue.push((node.date, std::cmp::Reverse(self.met), id));
            self.met += 1;
        }
        self.counts[node.marks as usize] += 1;
        Ok(())
    }

    /// Takes the youngest commit and marks its parents.
    fn step(&mut self, hand_down: impl Fn(u8) -> u8) -> Result<Option<Oid>, ReadError> {
        let Some((_, _, id)) = self.queue.pop() else { return Ok(None) };
        let node = self.nodes.get_mut(&id).expect("invariant: whoever waits is known");
        node.queued = false;
        self.counts[node.marks as usize] -= 1;
        let marks = hand_down(node.marks);
        let parents = node.parents.clone();
        for parent in parents {
            self.mark(parent, marks)?;
        }
        Ok(Some(id))
    }
}
