//! `git log` of one path: which commits changed what stands there.
//!
//! History is simplified as git simplifies it: where a commit has at the path what one of its parents has, only that
//! parent is followed, and the commit is not shown. With the commit-graph and its filters most commits are passed without
//! a look at their trees.
//!
//! In a range a parent that is left out brings in nothing when it is known to be left out, and else it counts. Git knows by
//! the moment at which it looks, the youngest commit first, so the same walk is made here: what is hidden spreads while
//! the rest is looked at, and what turns out to be hidden later is struck out at the end.
//!
//! Invariant: reads only, never recurses, and looks at no more commits than it is allowed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use notes_schema::Oid;

use super::diff::{self, DiffError};
use super::graph::{Commits, Node, PathKeys};
use super::history::SLOP;
use super::object::Mode;
use super::select::ids::{IdMap, IdSet};
use super::store::{Objects, ReadError};
use super::trail::{Standing, Trail};

/// Most changed files among which the former name of a file is looked for.
/// Limit: changed files among which a former name is looked for | {}
pub(crate) const MOST_CHANGES: usize = 20_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Where to begin.
    pub tip: Oid,
    /// Whatever these reach is left out.
    pub not: &'a [Oid],
    /// The path, names joined by slashes; the empty one is everything, and then every commit is listed.
    pub path: &'a [u8],
    /// Follow a file to the names that it had before.
    pub follow: bool,
    /// Go on behind this commit, the last of an earlier answer to the same question.
    pub after: Option<Oid>,
    /// Most commits of the answer.
    pub limit: usize,
    /// Most commits that are looked at.
    pub most: usize,
}

/// One commit that changed what stands at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The commit.
    pub id: Oid,
    /// The path in that commit; another one than asked for where a rename was followed.
    pub path: Vec<u8>,
}

/// Commits, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The commits.
    pub lines: Vec<Line>,
    /// Whether there may be more behind the last one.
    pub more: bool,
    /// Whether the search ended because it had looked at as many commits as it may.
    pub exhausted: bool,
}

/// A path that is followed, hashed once.
struct Followed {
    path: Vec<u8>,
    keys: PathKeys,
}

impl Followed {
    fn new(path: &[u8]) -> Arc<Followed> {
        Arc::new(Followed { path: path.to_owned(), keys: PathKeys::new([path]) })
    }
}

/// A commit that waits, with the path to look for in it and what stands there, where that is known already.
struct Waiting {
    node: Node,
    followed: Arc<Followed>,
    trail: Option<Arc<Trail>>,
}

/// The part of the list that was asked for.
struct Page {
    listed: Listed,
    after: Option<Oid>,
    limit: usize,
}

impl Page {
    /// Takes the next commit; answers whether the page is full, and the commit behind it.
    fn add(&mut self, line: Line) -> bool {
        if let Some(after) = self.after {
            self.after = (line.id != after).then_some(after);
        } else if self.listed.lines.len() < self.limit {
            self.listed.lines.push(line);
        } else {
            self.listed.more = true;
        }
        self.listed.more
    }
}

struct Walk<'o, O: ?Sized> {
    commits: Commits<'o, O>,
    /// The youngest first; among those of one second the one met first.
    queue: BinaryHeap<(i64, Reverse<u64>, Oid)>,
    /// What waits for each commit; `None` once it was looked at.
    met: IdMap<Option<Waiting>>,
    /// How many of those that wait are not known to be hidden.
    open: usize,
    /// The parents of every commit that was read, as far as a range needs them.
    read: IdMap<Vec<Oid>>,
    /// What is known to be reached from where the range begins, so far.
    hidden: IdSet,
    /// The commits at which a range begins: they are not listed, but who has what they have changed nothing.
    bottom: IdSet,
    follow: bool,
    /// How many more commits may be looked at.
    left: usize,
}

/// Answers a query.
pub fn log<O: Objects + ?Sized>(objects: &O, query: &Query) -> Result<Listed, DiffError> {
    let mut walk = Walk {
        commits: Commits::new(objects),
        queue: BinaryHeap::new(),
        met: IdMap::default(),
        open: 0,
        read: IdMap::default(),
        hidden: query.not.iter().copied().collect(),
        bottom: query.not.iter().copied().collect(),
        follow: query.follow,
        left: query.most,
    };
    let mut page = Page { listed: Listed::default(), after: query.after, limit: query.limit };
    let followed = Followed::new(query.path);
    for &id in query.not {
        walk.meet(id, &followed, None)?;
        walk.hide_parents(id);
    }
    walk.meet(query.tip, &followed, None)?;
    // Of a range nothing is certain before its end: a commit may still turn out to be hidden.
    let mut of_range = Vec::new();
    let mut slop = SLOP;
    while slop > 0 {
        slop -= usize::from(walk.open == 0);
        let Some((id, waiting)) = walk.next() else { break };
        if walk.hidden.contains(&id) {
            walk.spread(id, waiting)?;
            continue;
        }
        if walk.left == 0 {
            page.listed.exhausted = true;
            if query.not.is_empty() {
                break;
            }
            walk.pass(waiting)?;
            continue;
        }
        walk.left -= 1;
        let path = waiting.followed.path.clone();
        if !walk.look(id, waiting)? {
            continue;
        }
        let line = Line { id, path };
        if !query.not.is_empty() {
            of_range.push(line);
        } else if page.add(line) {
            break;
        }
    }
    of_range.retain(|line| !walk.hidden.contains(&line.id));
    of_range.into_iter().any(|line| page.add(line));
    page.listed.more |= page.listed.exhausted;
    Ok(page.listed)
}

impl<O: Objects + ?Sized> Walk<'_, O> {
    /// Whether a parent counts when it is asked what a commit changed.
    fn is_relevant(&self, id: Oid) -> bool {
        !self.hidden.contains(&id) || self.bottom.contains(&id)
    }

    /// Reads a commit. Whoever is hidden hides the parents of every commit that was read.
    fn node(&mut self, id: Oid) -> Result<Node, ReadError> {
        let node = self.commits.node(id)?;
        if !self.bottom.is_empty() {
            self.read.entry(id).or_insert_with(|| node.parents.clone());
        }
        Ok(node)
    }

    /// Lets a commit wait, unless it did before: whoever came first says under which name the file is looked for.
    fn meet(&mut self, id: Oid, followed: &Arc<Followed>, trail: Option<Arc<Trail>>) -> Result<(), ReadError> {
        if self.met.contains_key(&id) {
            return Ok(());
        }
        let node = self.node(id)?;
        self.queue.push((node.seconds, Reverse(self.met.len() as u64), id));
        self.open += usize::from(!self.hidden.contains(&id));
        self.met.insert(id, Some(Waiting { node, followed: followed.clone(), trail }));
        Ok(())
    }

    fn next(&mut self) -> Option<(Oid, Waiting)> {
        let (_, _, id) = self.queue.pop()?;
        self.open -= usize::from(!self.hidden.contains(&id));
        let waiting = self.met.get_mut(&id)?.take()?;
        Some((id, waiting))
    }

    /// Hides a commit; answers whether it was not hidden before.
    fn hide(&mut self, id: Oid) -> bool {
        let newly = self.hidden.insert(id);
        self.open -= usize::from(newly && matches!(self.met.get(&id), Some(Some(_))));
        newly
    }

    /// Hides what a hidden commit is known to reach.
    fn hide_parents(&mut self, id: Oid) {
        let mut from = vec![id];
        while let Some(id) = from.pop() {
            for parent in self.read.get(&id).cloned().unwrap_or_default() {
                if self.hide(parent) {
                    from.push(parent);
                }
            }
        }
    }

    /// Goes on behind a hidden commit.
    fn spread(&mut self, id: Oid, waiting: Waiting) -> Result<(), ReadError> {
        for &parent in &waiting.node.parents {
            self.hide(parent);
            self.meet(parent, &waiting.followed, None)?;
            self.hide_parents(parent);
        }
        self.hide_parents(id);
        Ok(())
    }

    /// Goes on behind a commit that is not looked at.
    fn pass(&mut self, waiting: Waiting) -> Result<(), ReadError> {
        waiting.node.parents.into_iter().try_for_each(|parent| self.meet(parent, &waiting.followed, None))
    }

    /// Whether the commit changed what stands at the path; its parents wait from here on, as far as they matter.
    fn look(&mut self, id: Oid, waiting: Waiting) -> Result<bool, DiffError> {
        let Waiting { node, followed, trail } = waiting;
        if followed.path.is_empty() {
            self.pass(Waiting { node, followed, trail })?;
            return Ok(true);
        }
        let first_is_same = !self.commits.may_change(id, &followed.keys);
        if let (true, Some(&first)) = (first_is_same, node.parents.first())
            && self.is_relevant(first)
        {
            // Nobody else waits, so nothing is listed before what comes next on this line.
            let alone = self.queue.is_empty() && self.bottom.is_empty();
            let most = if alone { self.left } else { 0 };
            let (next, passed) = self.commits.pass(first, &followed.keys, most);
            self.left -= passed;
            self.meet(next, &followed, trail)?;
            return Ok(false);
        }
        let mine = match trail {
            Some(trail) => trail,
            None => Arc::new(self.trail(node.tree, &followed, None)?),
        };
        let (mut relevant, mut others, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for &parent in &node.parents {
            let tree = self.node(parent)?.tree;
            let theirs = Arc::new(self.trail(tree, &followed, Some(&mine))?);
            let same = theirs.end() == mine.end();
            if same && self.is_relevant(parent) {
                self.meet(parent, &followed, Some(theirs))?;
                return Ok(false);
            }
            if self.is_relevant(parent) {
                relevant.push(same)
            } else {
                others.push(same)
            }
            changed.push((parent, tree, theirs));
        }
        for (parent, tree, theirs) in changed {
            let was = match self.follow && is_file(mine.end()) && theirs.end().is_none() {
                true => self.former_name(tree, node.tree, &followed)?,
                false => None,
            };
            match was {
                Some(path) => self.meet(parent, &Followed::new(&path), None)?,
                None => self.meet(parent, &followed, Some(theirs))?,
            }
        }
        let counted = if relevant.is_empty() { others } else { relevant };
        // A first commit is compared with nothing.
        Ok(if node.parents.is_empty() { mine.end().is_some() } else { counted.contains(&false) })
    }

    fn trail(&self, tree: Oid, followed: &Followed, near: Option<&Trail>) -> Result<Trail, ReadError> {
        Trail::walk(self.commits.objects(), tree, &followed.path, near)
    }

    fn former_name(&self, old: Oid, new: Oid, followed: &Followed) -> Result<Option<Vec<u8>>, DiffError> {
        let changes = diff::changed_paths(self.commits.objects(), Some(old), Some(new), MOST_CHANGES)?;
        Ok(diff::source_of(self.commits.objects(), &changes, &followed.path)?.map(|source| source.path.clone()))
    }
}

fn is_file(standing: Standing) -> bool {
    matches!(standing, Some((Mode::File | Mode::Executable | Mode::Link, _)))
}

#[cfg(test)]
mod tests;
