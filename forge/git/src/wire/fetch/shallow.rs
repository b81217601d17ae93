//! Where a client's history is cut before a fetch, and where after it.
//!
//! Invariant: a client that says it is cut at a commit is shown nothing below that unless a shown ref reaches it.

use notes_schema::Oid;

use super::request::{Deepen, INFINITE};
use super::{Asked, admit};
use crate::object::Kind;
use crate::select::Named;
use crate::select::commits::{Commits, INSIDE, Node, STOP_NEW, STOP_OLD};
use crate::select::ids::IdSet;
use crate::store::ReadError;
use crate::wire::WireError;

/// What changes for the client.
#[derive(Debug, Default)]
pub struct Cut {
    /// Commits whose parents it will lack.
    pub shallow: Vec<Oid>,
    /// Commits whose parents it lacked and gets.
    pub unshallow: Vec<Oid>,
    /// Those again.
    pub deepened: Vec<Node>,
    /// Their parents, which are wanted though no want may reach them.
    pub wanted: Vec<Node>,
}

/// Computes the cut, and marks it on `commits`. `whole` says what a client is told that asks for no depth while this
/// repository is cut itself (v2).
pub fn cut(asked: &Asked, commits: &mut Commits, wants: &Named, whole: bool) -> Result<Cut, WireError> {
    let request = &asked.request;
    let mut theirs: Vec<Node> = Vec::new();
    let mut known = IdSet::default();
    for &id in request.shallow.iter().filter(|&&id| known.insert(id)) {
        match commits.store().kind(id).map_err(WireError::read)? {
            Some(Kind::Commit) => theirs.push(commits.node(id)),
            Some(_) => return Err(WireError::Refused(format!("invalid shallow object {id}"))),
            None => {}
        }
    }
    commits.unmark_all(INSIDE | STOP_NEW | STOP_OLD);
    let Deepen { depth, relative, .. } = request.deepen;
    let edge = match depth {
        Some(INFINITE) if commits.grafts().is_empty() => {
            for node in visible(asked, commits, &theirs)? {
                commits.mark(node, INSIDE);
            }
            Vec::new()
        }
        Some(depth) if relative => {
            let from = visible(asked, commits, &theirs)?;
            below(asked, commits, &from, depth.saturating_add(1))?
        }
        Some(depth) => below(asked, commits, &wants.commits, depth)?,
        None if request.deepen.by_date_or_ref() => by_date_or_ref(asked, commits, &wants.commits)?,
        None if whole && !commits.grafts().is_empty() => below(asked, commits, &wants.commits, INFINITE)?,
        None => Vec::new(),
    };
    theirs.iter().for_each(|&node| commits.mark(node, STOP_OLD));
    let mut cut = Cut::default();
    for node in edge {
        if !commits.is(node, STOP_OLD) {
            cut.shallow.push(commits.id(node));
        }
        commits.mark(node, STOP_NEW);
    }
    for node in theirs {
        if !commits.is(node, INSIDE) {
            commits.mark(node, STOP_NEW);
            continue;
        }
        commits.need(node).map_err(WireError::read)?;
        cut.unshallow.push(commits.id(node));
        cut.deepened.push(node);
        cut.wanted.extend_from_slice(commits.parents(node));
    }
    Ok(cut)
}

/// Those of the commits where the client is cut that it may see.
fn visible(asked: &Asked, commits: &Commits, theirs: &[Node]) -> Result<Vec<Node>, WireError> {
    let ids: IdSet = theirs.iter().map(|&node| commits.id(node)).collect();
    let found = admit::visible(asked, &ids)?;
    Ok(theirs.iter().copied().filter(|&node| found.contains(&commits.id(node))).collect())
}

/// The commits `depth` below `heads`, which count as 1, and those where this repository is cut. All above are marked.
fn below(asked: &Asked, commits: &mut Commits, heads: &[Node], depth: u32) -> Result<Vec<Node>, WireError> {
    let (mut level, mut edge) = (heads.to_vec(), Vec::new());
    let mut at = 1;
    asked.watched(|watch| {
        while !level.is_empty() {
            let mut next = Vec::new();
            for node in level {
                watch.tick(0)?;
                commits.need(node)?;
                if commits.is(node, INSIDE) {
                    continue;
                }
                if at == depth && depth != INFINITE || commits.grafts().contains(&commits.id(node)) {
                    edge.push(node);
                } else {
                    commits.mark(node, INSIDE);
                    next.extend_from_slice(commits.parents(node));
                }
            }
            level = next;
            at += 1;
            if at > depth {
                break;
            }
        }
        Ok(())
    })?;
    distinct(commits, &mut edge);
    Ok(edge)
}

/// Keeps of `edge` what did not turn out to lie inside, each once.
fn distinct(commits: &Commits, edge: &mut Vec<Node>) {
    let mut known = std::collections::HashSet::new();
    edge.retain(|&node| !commits.is(node, INSIDE) && known.insert(node));
}

/// The last commits that are young enough and that no excluded ref reaches. All above are marked.
fn by_date_or_ref(asked: &Asked, commits: &mut Commits, wants: &[Node]) -> Result<Vec<Node>, WireError> {
    let Deepen { since, not, .. } = &asked.request.deepen;
    let mut excluded = Named::default();
    for name in not {
        let ambiguous = || WireError::Refused(format!("upload-pack: ambiguous deepen-not: deepen-not {name}"));
        let id = admit::by_short_name(&*asked.host, name).ok_or_else(ambiguous)?;
        excluded.add(commits, id).map_err(WireError::read)?;
    }
    let too_old = |date: i64| since.is_some_and(|since| date < since);
    let inside = asked.watched(|watch| commits.range(wants, &excluded.commits, too_old, watch))?;
    if inside.is_empty() {
        return Err(WireError::Refused("no commits selected for shallow requests".to_owned()));
    }
    inside.iter().for_each(|&node| commits.mark(node, INSIDE));
    let mut edge = inside;
    edge.retain(|&node| commits.parents(node).iter().any(|&parent| !commits.is(parent, INSIDE)));
    edge.iter().for_each(|&node| commits.unmark(node, INSIDE));
    Ok(edge)
}

impl WireError {
    /// An object that must be there cannot be read.
    pub fn read(error: ReadError) -> WireError {
        WireError::inside(error)
    }
}
