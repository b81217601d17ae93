//! `diff` and `show`: what differs between two commits, and what one commit says and changes.
//!
//! Invariant: a diff ends after a whole line, and says so where it ends early.

use notes_schema::refs::show_time;
use notes_schema::{Oid, ProjectName};
use serde::Serialize;

use super::{commit, missing, path_bytes, place, range, turn, unreadable};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::pulls::{LONGEST_DIFF, MOST_FILES, cleaned};
use crate::commands::text::{count, inline};
use crate::commands::trace::pull_of;
use crate::commands::{Args, Command, Context, Shape};
use git::store::{Objects as _, Store};
use git::{diff, history};

#[derive(Serialize)]
struct DiffFile {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

#[derive(Serialize)]
struct Diff {
    project: ProjectName,
    path: String,
    old: Oid,
    new: Oid,
    #[serde(flatten)]
    changed: Changed,
    next: String,
}

/// What changed.
#[derive(Serialize)]
struct Changed {
    files: Vec<DiffFile>,
    more_files: bool,
    added: u64,
    removed: u64,
    diff: String,
    diff_truncated: bool,
}

impl Changed {
    /// Below a heading of whoever shows it.
    fn markdown(&self, heading: &str) -> String {
        let (files, more) = (count(self.files.len() as u64, "file"), if self.more_files { " and more" } else { "" });
        let mut out = format!("{heading} ({files}{more}, +{} -{})\n\n", self.added, self.removed);
        for line in self.diff.lines() {
            out += &format!("    {line}\n");
        }
        if self.diff_truncated || self.more_files {
            out += "\nThe rest is left out: it is too long. Name a path, or fetch both commits.\n";
        }
        out
    }
}

impl Render for Diff {
    fn markdown(&self) -> String {
        self.changed.markdown(&format!("# Diff of {}", self.project)) + &format!("---\nnext: {}\n", self.next)
    }
}

/// `diff`.
pub const DIFF: Command = Command {
    name: "diff",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(2, 2),
    usage: "<project>[:path] <A..B|A...B>",
    summary: "what differs between two commits; with three dots, what B changed since it left A",
    example: "diff parser main...fix-leak",
    run: run_diff,
};

fn run_diff(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let word = args.word(1).unwrap_or("");
    let (old, new, from_base) = range(word).ok_or_else(|| context.usage("it takes two commits: A..B"))?;
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let (mut old, new) = (commit(context, &project, old)?, commit(context, &project, new)?);
    if from_base {
        let base = history::merge_base(store, old, new).map_err(unreadable)?;
        old = base.ok_or_else(|| missing(&name, word, "the two have no commit in common; use two dots"))?;
    }
    let tree = |id| store.commit(id).map(|commit| commit.tree).map_err(unreadable);
    let (old_tree, new_tree) = (tree(old)?, tree(new)?);
    let bytes = path_bytes(store, new_tree, path)?;
    let _turn = turn::take(context)?;
    let changed = changed(store, Some(old_tree), new_tree, &bytes)?;
    Ok(Answer::of(&Diff {
        next: format!("log {name} {word}").replace("...", ".."),
        project: name,
        path: path.to_owned(),
        old,
        new,
        changed,
    }))
}

/// The changes between two trees, at or below a path, as an answer has room for them.
fn changed(store: &Store, old: Option<Oid>, new: Oid, path: &[u8]) -> Result<Changed, Refusal> {
    let changes = match old {
        Some(old) if !path.is_empty() => diff::changed_below(store, old, new, path, MOST_FILES + 1),
        _ => diff::changed_paths(store, old, Some(new), MOST_FILES + 1),
    };
    let mut changes = changes.map_err(unreadable)?;
    let more_files = changes.len() > MOST_FILES;
    changes.truncate(MOST_FILES);
    let changes = diff::with_renames(store, changes).map_err(unreadable)?;
    let patch = diff::unified(store, &changes, LONGEST_DIFF).map_err(unreadable)?;
    let files = changes.iter().map(|change| DiffFile {
        path: change.shown(),
        from: change.from.as_ref().map(|source| String::from_utf8_lossy(&source.path).into_owned()),
    });
    Ok(Changed {
        files: files.collect(),
        more_files,
        added: patch.added,
        removed: patch.removed,
        diff: cleaned(&patch.text),
        diff_truncated: patch.truncated,
    })
}

#[derive(Serialize)]
struct Shown {
    project: ProjectName,
    commit: Oid,
    tree: Oid,
    parents: Vec<Oid>,
    author: String,
    time: u64,
    committed: u64,
    signed: bool,
    subject: String,
    message: String,
    /// The pull request that brought it.
    pull: Option<u64>,
    #[serde(flatten)]
    changed: Changed,
    next: String,
}

impl Render for Shown {
    fn markdown(&self) -> String {
        let mut out = format!("# Commit {} of {}\n\n", self.commit.short(), self.project);
        out += &format!("commit: {}\n", self.commit);
        for parent in &self.parents {
            out += &format!("parent: {parent}\n");
        }
        out += &format!("author: {} · {}\n", inline(&self.author), show_time(self.time * 1000));
        if let Some(n) = self.pull {
            out += &format!("pull request: {}#{n}\n", self.project);
        }
        out.push('\n');
        // Four blanks: code, in which nothing means anything to Markdown.
        for line in cleaned(self.message.as_bytes()).lines() {
            out += format!("    {line}").trim_end();
            out.push('\n');
        }
        out.push('\n');
        let since = if self.parents.len() > 1 { "## Changes since its first parent" } else { "## Changes" };
        out + &self.changed.markdown(since) + &format!("---\nnext: {}\n", self.next)
    }
}

/// `show`.
pub const SHOW: Command = Command {
    name: "show",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 2),
    usage: "<project>[:path] [branch|tag|id]",
    summary: "a commit: what it says, and what it changed since its first parent",
    example: "show parser main",
    run: run_show,
};

fn run_show(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let id = commit(context, &project, args.word(1).unwrap_or(""))?;
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let read = store.commit(id).map_err(unreadable)?;
    let parent = read.parents.first().map(|parent| store.commit(*parent)).transpose().map_err(unreadable)?;
    let bytes = path_bytes(store, read.tree, path)?;
    let _turn = turn::take(context)?;
    let changed = changed(store, parent.map(|parent| parent.tree), read.tree, &bytes)?;
    let next = match read.parents.first() {
        Some(parent) => format!("show {name} {parent}"),
        None => format!("log {name}"),
    };
    let seconds = |at: i64| u64::try_from(at).unwrap_or(0);
    Ok(Answer::of(&Shown {
        pull: pull_of(&project.snapshot, store, id).map(|(n, _)| n),
        commit: id,
        tree: read.tree,
        time: seconds(read.author_seconds),
        committed: seconds(read.committer_seconds),
        signed: read.signature.is_some(),
        subject: read.subject().to_owned(),
        parents: read.parents,
        author: read.author,
        message: read.message,
        changed,
        next,
        project: name,
    }))
}
