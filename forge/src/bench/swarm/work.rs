//! What an agent makes: a commit with one new file on the base that `start` named, a record of a run on its tree, and the
//! push that brings both, as git sends it.
//!
//! Invariant: made in this process, from objects that any clone of the project has.

use git::object::{Kind, Mode, NewCommit, Object, Signature, TreeEntry, tree};
use git::pack::write::Builder;
use git::store::{Objects as _, Store};
use git::wire::pktline;
use notes_schema::Oid;

use crate::bench::error::{BenchError, unusable};
use crate::bench::record;

/// No object, on the wire.
const NOTHING: &str = "0000000000000000000000000000000000000000";
/// Directories that files are spread over, so that none grows with the number of agents.
const DIRECTORIES: usize = 64;
/// When everything was written, seconds since 1970; the server keeps its own time.
const THEN: u64 = 1_700_000_000;

/// A push that is ready to be sent.
#[derive(Debug)]
pub(in crate::bench) struct Push {
    /// Each ref with what it is set to.
    pub refs: Vec<(String, Oid)>,
    /// Commands and pack.
    pub body: Vec<u8>,
}

/// A task that an agent began.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Task {
    pub project: String,
    pub issue: u64,
    pub agent: String,
    pub nonce: String,
    /// As in `refs/heads/…`.
    pub branch: String,
    pub base: Oid,
    /// Of the agent's tasks, which this is.
    pub round: u64,
}

/// The first push of a project: one file on `main`.
pub(in crate::bench) fn first(project: &str) -> Result<Push, BenchError> {
    let mut objects = Builder::default();
    let readme = add(&mut objects, Object::new(Kind::Blob, format!("# {project}\n").into_bytes()))?;
    let entry = TreeEntry { mode: Mode::File, name: b"README.md".to_vec(), id: readme };
    let tree = add(&mut objects, tree(vec![entry]))?;
    let tip = commit(&mut objects, tree, vec![], project, "Begin\n")?;
    Ok(push(vec![("refs/heads/main".to_owned(), tip)], objects))
}

/// The push that answers `task`.
pub(in crate::bench) fn answer(store: &Store, task: &Task) -> Result<Push, BenchError> {
    answer_with(store, task, &["cargo", "test"], None)
}

/// The same with a record of another command, and perhaps one more file at the top: its name and what it holds.
pub(in crate::bench) fn answer_with(
    store: &Store,
    task: &Task,
    argv: &[&str],
    more: Option<(&str, &str)>,
) -> Result<Push, BenchError> {
    let Task { project, issue, agent, nonce, branch, base, round } = task;
    let mut objects = Builder::default();
    let place = agent.bytes().fold(0, |sum, b| (sum * 31 + usize::from(b)) % DIRECTORIES);
    let text = format!("fn answer() -> u64 {{\n    {round} // of {agent} to {project}#{issue}\n}}\n");
    let file = add(&mut objects, Object::new(Kind::Blob, text.into_bytes()))?;
    let root = store.commit(*base).map_err(|e| unusable("the base", e))?.tree;
    let path = ["src".to_owned(), format!("part-{place}"), format!("{agent}-{round}.rs")];
    let beside = match more {
        Some((name, text)) => {
            let id = add(&mut objects, Object::new(Kind::Blob, text.as_bytes().to_vec()))?;
            vec![TreeEntry { mode: Mode::File, name: name.as_bytes().to_vec(), id }]
        }
        None => Vec::new(),
    };
    let root = with_file(store, &mut objects, Some(root), &path, file, beside)?;
    let tip = commit(&mut objects, root, vec![*base], agent, &format!("Answer {project}#{issue}\n"))?;
    let (id, root) = (format!("{agent}-{round}"), root.to_string());
    let of = record::Of { id: &id, project, issue: *issue, agent, nonce, tree: &root };
    let record = record::passing_of(&of, argv, 12, 1)?;
    let held = hold(&mut objects, agent, &id, record)?;
    let branch = format!("refs/heads/{}", branch.strip_prefix("refs/heads/").unwrap_or(branch));
    Ok(push(vec![(branch, tip), held], objects))
}

/// The push of a record and nothing else.
pub(in crate::bench) fn record_alone(agent: &str, id: &str, record: Vec<u8>) -> Result<Push, BenchError> {
    let mut objects = Builder::default();
    let held = hold(&mut objects, agent, id, record)?;
    Ok(push(vec![held], objects))
}

/// A commit that holds a record, and the ref that brings it.
fn hold(objects: &mut Builder, agent: &str, id: &str, record: Vec<u8>) -> Result<(String, Oid), BenchError> {
    let record = add(objects, Object::new(Kind::Blob, record))?;
    let entry = TreeEntry { mode: Mode::File, name: b"record".to_vec(), id: record };
    let held = add(objects, tree(vec![entry]))?;
    let held = commit(objects, held, vec![], agent, "Record\n")?;
    Ok((format!("refs/notes/forge/in/{agent}/{id}"), held))
}

fn add(objects: &mut Builder, object: Object) -> Result<Oid, BenchError> {
    let id = object.id().map_err(|e| unusable("an object", e))?;
    objects.add(id, &object);
    Ok(id)
}

/// The tree `of` with `file` at `path`, and new entries `beside` the first part of that; new trees go into `objects`.
fn with_file(
    store: &Store,
    objects: &mut Builder,
    of: Option<Oid>,
    path: &[String],
    file: Oid,
    beside: Vec<TreeEntry>,
) -> Result<Oid, BenchError> {
    let Some((name, below)) = path.split_first() else { return Ok(file) };
    let entries = of.map(|id| store.tree(id)).transpose().map_err(|e| unusable("the base's tree", e))?;
    let mut entries = entries.unwrap_or_default();
    let there = entries.iter().position(|entry| entry.name == name.as_bytes());
    let there = there.map(|at| entries.remove(at).id);
    let (mode, id) = match below.is_empty() {
        true => (Mode::File, file),
        false => (Mode::Tree, with_file(store, objects, there, below, file, Vec::new())?),
    };
    entries.push(TreeEntry { mode, name: name.clone().into_bytes(), id });
    entries.extend(beside);
    add(objects, tree(entries))
}

fn commit(objects: &mut Builder, tree: Oid, parents: Vec<Oid>, who: &str, message: &str) -> Result<Oid, BenchError> {
    let who = Signature { name: who.to_owned(), email: format!("{who}@example.org"), seconds: THEN };
    let commit = NewCommit { tree, parents, author: who.clone(), committer: who, message: message.to_owned() };
    add(objects, commit.encode(None))
}

fn push(refs: Vec<(String, Oid)>, objects: Builder) -> Push {
    let mut body = Vec::new();
    for (at, (name, id)) in refs.iter().enumerate() {
        let asked = if at == 0 { "\0report-status side-band-64k atomic agent=git/2.39.5" } else { "" };
        pktline::data(&mut body, format!("{NOTHING} {id} {name}{asked}").as_bytes());
    }
    body.extend_from_slice(pktline::FLUSH);
    body.extend_from_slice(&objects.finish().pack);
    Push { refs, body }
}
