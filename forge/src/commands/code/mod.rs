//! Reading code without a clone: what stands in a tree and in a file, who changed a path, who wrote a line, what differs
//! between two commits, where a text stands, and what branches and tags there are.
//!
//! Invariant: a commit is named by a ref, or by an id that a ref reaches: what a refused push left behind is not shown.
//! Invariant: whatever a repository holds, an answer has a size and a search has an end; what is left out is said.

mod archive;
mod blame;
mod cat;
mod diff;
mod grep;
mod log;
mod names;
mod tree;
mod turn;

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Mutex;

use notes_schema::{Oid, ProjectName, RefName};

use super::Context;
use super::context::Project;
use crate::answer::{Code, Refusal};
use git::history;
use git::object::{Kind, Mode};
use git::store::{Objects as _, Store};
use git::trail::Trail;

pub use archive::ARCHIVE;
pub use blame::BLAME;
pub use cat::CAT;
pub use diff::{DIFF, SHOW};
pub use grep::GREP;
pub use log::LOG;
pub use names::{BRANCH_LIST, TAG_LIST};
pub use tree::TREE;

/// Fewest digits of an id that is not whole.
const FEWEST_DIGITS: usize = 7;
/// Most commits that may begin with the same digits; with more, nobody meant one.
/// Limit: commits that begin with the digits of a short id | {}; with more it names none
const MOST_ALIKE: usize = 8;

/// `parser:src/lib.rs`, or `parser` alone.
fn place<'a>(context: &Context, word: Option<&'a str>) -> Result<(Project, &'a str), Refusal> {
    let (name, path) =
        word.map_or((None, ""), |word| word.split_once(':').map_or((Some(word), ""), |(n, p)| (Some(n), p)));
    Ok((context.project_or_current(name.filter(|name| !name.is_empty()))?, path.trim_matches('/')))
}

fn missing(project: &ProjectName, name: &str, why: &str) -> Refusal {
    let shown: String = name.chars().take(100).collect();
    Refusal::new(Code::NotFound, shown, why, format!("log {project}"))
}

fn unreadable(error: impl ToString) -> Refusal {
    Refusal::new(Code::TryLater, "code", error.to_string(), "project list")
}

/// The commit that people mean by `name`: a branch, a tag, any ref, or an id, whole or its first digits. Nothing is the
/// default branch.
pub(super) fn commit(context: &Context, project: &Project, name: &str) -> Result<Oid, Refusal> {
    let (snapshot, store) = (&project.snapshot, project.repository.store().as_ref());
    if name.is_empty() || name == "HEAD" {
        let empty = || missing(&snapshot.project, "HEAD", "nothing was pushed to the default branch yet");
        return snapshot.default_tip().ok_or_else(empty);
    }
    let named = ["refs/heads/", "refs/tags/", "refs/", ""].iter().find_map(|prefix| {
        let full: RefName = format!("{prefix}{name}").parse().ok()?;
        snapshot.ref_value(&full).map(|value| value.peeled.unwrap_or(value.id))
    });
    let found = match (named, name.parse::<Oid>()) {
        (Some(id), _) => id,
        (None, Ok(id)) if is_reached(context, project, id)? => id,
        (None, Ok(_)) => return Err(missing(&snapshot.project, name, NO_COMMIT)),
        (None, Err(_)) => beginning(context, project, name)?,
    };
    match store.kind(found).map_err(unreadable)? {
        Some(Kind::Commit) => Ok(found),
        _ => Err(missing(&snapshot.project, name, "it is no commit")),
    }
}

const NO_COMMIT: &str = "it is no branch, no tag, and no id of a commit that one of them reaches";

/// The one commit that begins with these digits, among those that a reader may see.
fn beginning(context: &Context, project: &Project, digits: &str) -> Result<Oid, Refusal> {
    let nothing = || missing(&project.snapshot.project, digits, NO_COMMIT);
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if !(FEWEST_DIGITS..40).contains(&digits.len()) || !digits.bytes().all(hex) {
        return Err(nothing());
    }
    let all = project.repository.store().commits_beginning(digits);
    let mut seen = Vec::new();
    for id in all.into_iter().take(MOST_ALIKE) {
        if is_reached(context, project, id)? {
            seen.push(id);
        }
    }
    match seen[..] {
        [] => Err(nothing()),
        [only] => Ok(only),
        [first, ..] => {
            let ids: Vec<String> = seen.iter().map(Oid::to_string).collect();
            let why = format!("{} commits begin with it: {}", ids.len(), ids.join(", "));
            let next = format!("show {} {first}", project.snapshot.project);
            Err(Refusal::new(Code::Usage, digits, why, next))
        }
    }
}

fn is_reached(context: &Context, project: &Project, id: Oid) -> Result<bool, Refusal> {
    let (snapshot, store) = (&project.snapshot, project.repository.store().as_ref());
    if !matches!(store.kind(id), Ok(Some(Kind::Commit))) {
        return Ok(false);
    }
    // Most ids that are asked for stand in the history of the default branch.
    let default = snapshot.default_tip();
    if default.is_some_and(|tip| is_known(id, tip)) {
        return Ok(true);
    }
    let _turn = turn::take(context)?;
    if let Some(tip) = default
        && history::is_ancestor(store, id, tip).map_err(unreadable)?
    {
        remember(id, tip);
        return Ok(true);
    }
    // What the server keeps in refs of its own the ledger reaches as well.
    let code = ["refs/heads/", "refs/tags/", "refs/pull/", notes_schema::refs::LEDGER];
    let mut tips = Vec::new();
    for prefix in code {
        let from = snapshot.refs.range::<_, str>((Bound::Included(prefix), Bound::Unbounded));
        let there = from.take_while(|(name, _)| name.as_str().starts_with(prefix));
        tips.extend(there.map(|(_, value)| value.peeled.unwrap_or(value.id)));
    }
    history::reaches(store, id, &tips).map_err(unreadable)
}

/// Most commits that are remembered to be ancestors of others.
/// Limit: commits that are remembered to stand in the history of a default branch | {}
const MOST_REMEMBERED: usize = 4096;

/// Commits and whose ancestors they are: that never changes, and whoever follows a permalink asks it with every page.
static ANCESTORS: Mutex<VecDeque<(Oid, Oid)>> = Mutex::new(VecDeque::new());

fn is_known(id: Oid, tip: Oid) -> bool {
    id == tip || ANCESTORS.lock().expect("invariant: no panic under this lock").contains(&(id, tip))
}

fn remember(id: Oid, tip: Oid) {
    let mut known = ANCESTORS.lock().expect("invariant: no panic under this lock");
    known.push_front((id, tip));
    known.truncate(MOST_REMEMBERED);
}

/// `A..B`, where an end that is left out is the default branch.
fn range(word: &str) -> Option<(&str, &str, bool)> {
    let (old, new) = word.split_once("..")?;
    Some(new.strip_prefix('.').map_or((old, new, false), |new| (old, new, true)))
}

/// What stands at a path: its bytes, which need not be what was written of it, and the object.
struct Standing {
    path: Vec<u8>,
    mode: Mode,
    id: Oid,
}

/// What stands at `path` in `tree`. A name that is no UTF-8 is found by what is shown of it.
fn standing(store: &Store, tree: Oid, path: &str) -> Result<Option<Standing>, Refusal> {
    if !path.contains('\u{fffd}') {
        let end = Trail::walk(store, tree, path.as_bytes(), None).map_err(unreadable)?.end();
        return Ok(end.map(|(mode, id)| Standing { path: path.as_bytes().to_vec(), mode, id }));
    }
    let mut at = Standing { path: Vec::new(), mode: Mode::Tree, id: tree };
    for name in path.split('/') {
        if at.mode != Mode::Tree {
            return Ok(None);
        }
        let entries = store.tree(at.id).map_err(unreadable)?;
        let exact = entries.iter().find(|entry| entry.name == name.as_bytes());
        let Some(entry) = exact.or_else(|| entries.iter().find(|entry| String::from_utf8_lossy(&entry.name) == name))
        else {
            return Ok(None);
        };
        let slash: &[u8] = if at.path.is_empty() { b"" } else { b"/" };
        at = Standing { path: [&at.path, slash, &entry.name].concat(), mode: entry.mode, id: entry.id };
    }
    Ok(Some(at))
}

/// The bytes of a path that people write, in `tree`; as they wrote it where nothing stands there.
fn path_bytes(store: &Store, tree: Oid, path: &str) -> Result<Vec<u8>, Refusal> {
    if !path.contains('\u{fffd}') {
        return Ok(path.as_bytes().to_vec());
    }
    Ok(standing(store, tree, path)?.map_or_else(|| path.as_bytes().to_vec(), |standing| standing.path))
}

/// The value of a flag that takes the number of a line.
fn line_number(context: &Context, args: &super::Args, flag: &str) -> Result<usize, Refusal> {
    match args.value(flag).map(str::parse::<usize>) {
        None => Ok(1),
        Some(Ok(n)) if n > 0 => Ok(n),
        Some(_) => Err(context.usage(format!("--{flag} takes a number from 1"))),
    }
}
