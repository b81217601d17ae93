//! Questions about commits: who descends from whom, what came when, what stands at a path.
//!
//! One walk answers the first three: commits get marks, marks flow to parents, the youngest goes first. Dates only decide
//! in which order commits are looked at; a commit whose marks grow after it was looked at is looked at again, so wrong
//! dates cost time and not truth. Where the commit-graph knows generations, a search for an ancestor ends at its own.
//!
//! Invariant: reads only, and never recurses: histories may be as long as they like.

use std::collections::BinaryHeap;

use notes_schema::Oid;

use super::graph::{self, Commits};
use super::object::{Commit, Kind, Malformed, Mode, TreeEntry, tag_target};
use super::select::ids::IdMap;
use super::store::{Objects, ReadError};

/// Longest chain of tags on tags.
/// Limit: tags on tags, where a walk begins | {}
const DEEPEST_TAG: usize = 64;
/// How many commits a range looks at beyond the last that seemed to matter, in case dates lie.
pub(super) const SLOP: usize = 256;

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
/// Below a common ancestor: common as well, but not a best one.
const STALE: u8 = 4;

/// Whether `ancestor` is `of` or can be reached from it.
pub fn is_ancestor<O: Objects + ?Sized>(objects: &O, ancestor: Oid, of: Oid) -> Result<bool, ReadError> {
    if ancestor == of {
        return Ok(true);
    }
    let mut walk = Walk::towards(objects, ancestor)?;
    walk.start(of, RIGHT)?;
    walk.meets(ancestor)
}

/// Whether `id` is one of `tips` or can be reached from one; tips that are no commits reach none.
pub fn reaches<O: Objects + ?Sized>(objects: &O, id: Oid, tips: &[Oid]) -> Result<bool, ReadError> {
    if tips.contains(&id) {
        return Ok(true);
    }
    let mut walk = Walk::towards(objects, id)?;
    for &tip in tips {
        match walk.start(tip, RIGHT) {
            Ok(()) | Err(ReadError::Kind { .. } | ReadError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    walk.meets(id)
}

/// Which of `tips` are `id` or reach it, in one walk: that costs what the newest of them costs alone. Tips that are no
/// commits reach none.
pub fn which_reach<O: Objects + ?Sized>(objects: &O, id: Oid, tips: &[Oid]) -> Result<Vec<bool>, ReadError> {
    let commits = Commits::new(objects);
    let floor = commits.node(id)?.generation;
    let mut known: IdMap<bool> = IdMap::from_iter([(id, true)]);
    let mut nodes: IdMap<graph::Node> = IdMap::default();
    for &tip in tips {
        let mut path = vec![tip];
        while let Some(&at) = path.last() {
            if known.contains_key(&at) {
                path.pop();
                continue;
            }
            let node = match nodes.entry(at) {
                std::collections::hash_map::Entry::Occupied(met) => met.into_mut(),
                std::collections::hash_map::Entry::Vacant(free) => match commits.node(at) {
                    Ok(node) => free.insert(node),
                    Err(ReadError::Kind { .. } | ReadError::Missing(_)) if at == tip => {
                        known.insert(at, false);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            // Whoever descends from it has a higher generation.
            let below = node.generation <= floor && node.generation != graph::UNKNOWN;
            let open = node.parents.iter().find(|parent| !below && !known.contains_key(*parent)).copied();
            match open {
                Some(parent) => path.push(parent),
                None => {
                    let reaches = !below && node.parents.iter().any(|parent| known.get(parent) == Some(&true));
                    nodes.remove(&at);
                    known.insert(at, reaches);
                }
            }
        }
    }
    Ok(tips.iter().map(|tip| known.get(tip) == Some(&true)).collect())
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
///
/// Looks at all of them, whatever the limit. Exact unless more than a few hundred commits lie about their dates.
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
    let mut slop = SLOP;
    while slop > 0 {
        if !walk.pending(|marks| marks & RIGHT == 0) {
            slop -= 1;
        }
        let Some(id) = walk.step(|marks| marks)? else { break };
        if walk.marks(id) & RIGHT == 0 {
            order.push(id);
        }
    }
    order.retain(|id| walk.marks(*id) & RIGHT == 0);
    order.into_iter().take(limit).map(|id| Ok((id, objects.commit(id)?))).collect()
}

/// How many commits `a` has and `b` lacks, and the other way round; takes what it looks at from `most`, and answers `None`
/// where that is used up. Exact as [`range`] is.
pub fn apart<O: Objects + ?Sized>(
    objects: &O,
    a: Oid,
    b: Oid,
    most: &mut usize,
) -> Result<Option<(usize, usize)>, ReadError> {
    let mut walk = Walk::new(objects);
    walk.start(a, LEFT)?;
    walk.start(b, RIGHT)?;
    let (mut looked_at, mut slop) = (Vec::new(), SLOP);
    while slop > 0 {
        if !walk.pending(|marks| marks & (LEFT | RIGHT) != LEFT | RIGHT) {
            slop -= 1;
        }
        let Some(left) = most.checked_sub(1) else { return Ok(None) };
        *most = left;
        let Some(id) = walk.step(|marks| marks)? else { break };
        looked_at.push(id);
    }
    looked_at.sort_unstable();
    looked_at.dedup();
    let only = |side| looked_at.iter().filter(|id| walk.marks(**id) == side).count();
    Ok(Some((only(LEFT), only(RIGHT))))
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
        let Some(entry) = objects.tree(at)?.into_iter().find(|entry| entry.name == name) else {
            return Ok(None);
        };
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
    generation: u32,
    parents: Vec<Oid>,
    queued: bool,
}

/// The walk under way.
struct Walk<'o, O: ?Sized> {
    commits: Commits<'o, O>,
    /// Commits of a lower generation do not matter.
    floor: u32,
    nodes: IdMap<Node>,
    /// Youngest first; among those of one second the one met first.
    queue: BinaryHeap<(i64, std::cmp::Reverse<u64>, Oid)>,
    met: u64,
    /// How many queued commits have which marks.
    counts: [usize; 8],
}

impl<'o, O: Objects + ?Sized> Walk<'o, O> {
    fn new(objects: &'o O) -> Self {
        Walk {
            commits: Commits::new(objects),
            floor: 0,
            nodes: IdMap::default(),
            queue: BinaryHeap::new(),
            met: 0,
            counts: [0; 8],
        }
    }

    /// A walk that looks for `goal` alone.
    fn towards(objects: &'o O, goal: Oid) -> Result<Self, ReadError> {
        let mut walk = Walk::new(objects);
        walk.start(goal, LEFT)?;
        // Whoever descends from it has a higher generation; where it is in no graph, neither is whoever descends from it.
        walk.floor = walk.generation(goal);
        Ok(walk)
    }

    /// Whether a commit marked [`RIGHT`] leads to `goal`.
    fn meets(&mut self, goal: Oid) -> Result<bool, ReadError> {
        while self.pending(|marks| marks & STALE == 0) {
            self.step(below_common)?;
            if self.marks(goal) & RIGHT != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn start(&mut self, id: Oid, marks: u8) -> Result<(), ReadError> {
        self.mark(id, marks)
    }

    fn marks(&self, id: Oid) -> u8 {
        self.nodes.get(&id).map_or(0, |node| node.marks)
    }

    fn generation(&self, id: Oid) -> u32 {
        self.nodes.get(&id).map_or(graph::UNKNOWN, |node| node.generation)
    }

    /// Whether a commit with such marks still waits.
    fn pending(&self, such: impl Fn(u8) -> bool) -> bool {
        (0u8..8).any(|marks| self.counts[marks as usize] > 0 && such(marks))
    }

    fn mark(&mut self, id: Oid, marks: u8) -> Result<(), ReadError> {
        let node = match self.nodes.entry(id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let graph::Node { parents, seconds, generation, .. } = self.commits.node(id)?;
                free.insert(Node { marks: 0, date: seconds, generation, parents, queued: false })
            }
        };
        let before = node.marks;
        node.marks |= marks;
        if node.marks == before || node.generation < self.floor {
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
        let Some((_, _, id)) = self.queue.pop() else {
            return Ok(None);
        };
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::object::{NewCommit, Object, Signature};
    use crate::testing::Repo;

    struct Memory(HashMap<Oid, Object>);

    impl Objects for Memory {
        fn get(&self, id: Oid) -> Result<Object, ReadError> {
            self.0.get(&id).cloned().ok_or(ReadError::Missing(id))
        }

        fn contains(&self, id: Oid) -> bool {
            self.0.contains_key(&id)
        }
    }

    /// A history in which commit n has the given parents among the earlier ones, and whatever date.
    fn graph(shape: &[(Vec<prop::sample::Index>, u64)]) -> (Memory, Vec<Oid>, Vec<HashSet<usize>>) {
        let (mut memory, mut ids, mut reach) = (Memory(HashMap::new()), Vec::new(), Vec::<HashSet<usize>>::new());
        for (number, (parents, seconds)) in shape.iter().enumerate() {
            let parents: BTreeSet<usize> =
                parents.iter().filter(|_| number > 0).map(|at| number - 1 - at.index(number.min(6))).collect();
            let who = Signature { name: "alpha".into(), email: "a@example.org".into(), seconds: *seconds };
            let commit = NewCommit {
                tree: Oid::from_bytes([1; 20]),
                parents: parents.iter().map(|n| ids[*n]).collect(),
                author: who.clone(),
                committer: who,
                message: format!("{number}\n"),
            };
            let object = commit.encode(None);
            let id = object.id().expect("no collision");
            let mut below: HashSet<usize> = parents.iter().flat_map(|n| reach[*n].iter().copied()).collect();
            below.insert(number);
            memory.0.insert(id, object);
            ids.push(id);
            reach.push(below);
        }
        (memory, ids, reach)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// With whatever dates, answers are what the graph says.
        #[test]
        fn dates_never_decide(
            shape in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0u64..50), 2..40),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            let (memory, ids, reach) = graph(&shape);
            let (a, b) = (a.index(ids.len()), b.index(ids.len()));
            prop_assert_eq!(is_ancestor(&memory, ids[a], ids[b]).expect("readable"), reach[b].contains(&a));
            let common: HashSet<usize> = reach[a].intersection(&reach[b]).copied().collect();
            let best: HashSet<Oid> = common
                .iter()
                .filter(|c| !common.iter().any(|other| other != *c && reach[*other].contains(c)))
                .map(|c| ids[*c])
                .collect();
            match merge_base(&memory, ids[a], ids[b]).expect("readable") {
                Some(found) => prop_assert!(best.contains(&found)),
                None => prop_assert!(best.is_empty()),
            }
            let which = which_reach(&memory, ids[a], &ids).expect("readable");
            prop_assert_eq!(which, reach.iter().map(|below| below.contains(&a)).collect::<Vec<_>>());
            let listed = range(&memory, ids[a], &[ids[b]], 1000).expect("readable");
            let expected: HashSet<Oid> = reach[a].difference(&reach[b]).map(|n| ids[*n]).collect();
            prop_assert_eq!(listed.len(), expected.len());
            prop_assert_eq!(&listed.into_iter().map(|(id, _)| id).collect::<HashSet<_>>(), &expected);
            let counted = apart(&memory, ids[a], ids[b], &mut 10_000).expect("readable");
            prop_assert_eq!(counted, Some((expected.len(), reach[b].difference(&reach[a]).count())));
            prop_assert_eq!(apart(&memory, ids[a], ids[b], &mut 0).expect("readable"), None);
            let all = log(&memory, ids[a], 1000).expect("readable");
            prop_assert_eq!(all.len(), reach[a].len());
        }
    }

    #[test]
    fn agrees_with_git() {
        let repo = Repo::new();
        repo.write("dir/sub/a", "1\n");
        let first = repo.commit("first");
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("b", "1\n");
        let side = repo.commit("side");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("c", "1\n");
        let main = repo.commit("main");
        repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        repo.git(&["tag", "-a", "-m", "one", "v1"]);
        repo.git(&["tag", "-a", "-m", "two", "v2", "v1"]);
        let (store, tip) = (repo.store(), repo.id("main"));
        let listed = log(&store, tip, 3).expect("readable");
        let theirs = repo.git(&["log", "-3", "--format=%H %s"]);
        let mine: Vec<String> = listed.iter().map(|(id, commit)| format!("{id} {}", commit.subject())).collect();
        assert_eq!(mine.join("\n"), theirs);
        assert_eq!(merge_base(&store, side, main).expect("readable"), Some(first));
        assert_eq!(range(&store, tip, &[main], 1).expect("readable")[0].0, tip);
        assert_eq!(peel(&store, repo.id("v2")).expect("readable"), tip);
        assert_eq!(peel(&store, tip).expect("readable"), tip);
        let tree = store.commit(tip).expect("a commit").tree;
        let at = |path: &str| entry_at(&store, tree, path).expect("readable").map(|entry| entry.id);
        assert_eq!(at("dir/sub/a"), Some(repo.id("main:dir/sub/a")));
        assert_eq!(at("dir/sub"), Some(repo.id("main:dir/sub")));
        for nothing in ["", "/", "dir/", "dir//a", "b/c", "none", "../b"] {
            assert_eq!(at(nothing), None, "{nothing}");
        }
        let missing = Oid::from_bytes([9; 20]);
        assert!(matches!(is_ancestor(&store, missing, tip), Err(ReadError::Missing(id)) if id == missing));
    }
}
