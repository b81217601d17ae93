//! `tree`: what a directory holds.
//!
//! Invariant: one directory alone is read, however large the project is.

use notes_schema::refs::show_time;
use notes_schema::{Oid, ProjectName, RefName};
use serde::Serialize;

use super::{commit, line_number, missing, place, standing, unreadable};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::text::inline;
use crate::commands::{Args, Command, Context, Shape, Takes};
use git::object::{Kind, Mode, TreeEntry};
use git::store::{Objects as _, Store};

/// Most entries of one answer.
/// Limit: entries of one `tree` | {}, then `--from`
const MOST_ENTRIES: usize = 1000;
/// Longest text of a README that comes along.
/// Limit: README that comes along with a `tree` | {:bytes}; of a longer one the beginning
const README: usize = 64 << 10;
/// Longest target of a link that is shown.
const TARGET: u64 = 4096;

#[derive(Serialize)]
struct Entry {
    name: String,
    path: String,
    mode: &'static str,
    kind: &'static str,
    id: Oid,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// The commit whose tree it is.
#[derive(Serialize)]
struct Last {
    id: Oid,
    author: String,
    time: u64,
    subject: String,
}

#[derive(Serialize)]
struct Readme {
    path: String,
    text: String,
    cut: bool,
}

#[derive(Serialize)]
struct Tree {
    project: ProjectName,
    path: String,
    rev: String,
    default_branch: String,
    commit: Last,
    tree: Oid,
    from: usize,
    total: usize,
    entries: Vec<Entry>,
    left_out: usize,
    readme: Option<Readme>,
    next: String,
}

impl Render for Tree {
    fn markdown(&self) -> String {
        let place = if self.path.is_empty() { String::new() } else { format!(":{}", inline(&self.path)) };
        let entries = if self.total == 1 { "1 entry".to_owned() } else { format!("{} entries", self.total) };
        let mut out = format!("# Tree of {}{place} at {} ({entries})\n\n", self.project, self.commit.id.short());
        for entry in &self.entries {
            let size = entry.size.map_or("-".to_owned(), |size| size.to_string());
            let name = inline(&entry.name);
            let tail = match (entry.kind, &entry.target) {
                ("tree", _) => "/".to_owned(),
                (_, Some(target)) => format!(" -> {}", inline(target)),
                _ => String::new(),
            };
            out += &format!("    {} {} {size:>9} {name}{tail}\n", entry.mode, entry.id.short());
        }
        if self.left_out > 0 {
            out += &format!("\n{} more are left out.\n", self.left_out);
        }
        if let Some(readme) = &self.readme {
            out += &format!("\nThe README is `{}`.\n", inline(&readme.path));
        }
        out += &format!(
            "\n{} {} {}: {}\n",
            self.commit.id.short(),
            show_time(self.commit.time * 1000),
            inline(self.commit.author.split(" <").next().unwrap_or("")),
            inline(&self.commit.subject)
        );
        out + &format!("---\nnext: {}\n", self.next)
    }
}

/// `tree`.
pub const TREE: Command = Command {
    name: "tree",
    aliases: &["ls"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 2).flags(&[("from", Takes::Word)]),
    usage: "[project][:path] [branch|tag|id] [--from N]",
    summary: "what a directory holds, at any commit",
    example: "tree parser:src main",
    run: run_tree,
};

fn run_tree(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let rev = args.word(1).unwrap_or("");
    let (tip, from) = (commit(context, &project, rev)?, line_number(context, args, "from")?);
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let last = store.commit(tip).map_err(unreadable)?;
    let nothing = || missing(&name, &format!("{name}:{path}"), "there is nothing at this path");
    let there = standing(store, last.tree, path)?.ok_or_else(nothing)?;
    if there.mode != Mode::Tree {
        let mut refusal = missing(&name, &format!("{name}:{path}"), "it is no directory");
        refusal.next = format!("cat {}", args.words.join(" "));
        return Err(refusal);
    }
    let all = store.tree(there.id).map_err(unreadable)?;
    let shown = all.get(from - 1..).unwrap_or(&[]);
    let shown = &shown[..shown.len().min(MOST_ENTRIES)];
    let entries: Result<Vec<Entry>, Refusal> = shown.iter().map(|entry| described(store, path, entry)).collect();
    let left_out = all.len().saturating_sub(from - 1 + shown.len());
    let next = match left_out {
        0 => format!("log {}", args.words.join(" ")),
        _ => format!("tree {} --from {}", args.words.join(" "), from + shown.len()),
    };
    Ok(Answer::of(&Tree {
        path: path.to_owned(),
        rev: rev.to_owned(),
        default_branch: project.snapshot.head.as_ref().map_or("main", RefName::short).to_owned(),
        commit: Last {
            id: tip,
            time: u64::try_from(last.author_seconds).unwrap_or(0),
            subject: last.subject().to_owned(),
            author: last.author,
        },
        tree: there.id,
        from,
        total: all.len(),
        entries: entries?,
        left_out,
        readme: readme(store, path, &all)?,
        next: next.trim_end().to_owned(),
        project: name,
    }))
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn described(store: &Store, path: &str, entry: &TreeEntry) -> Result<Entry, Refusal> {
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    // The commit of a submodule is another project's.
    let size = match entry.mode {
        Mode::File | Mode::Executable | Mode::Link => store.header(entry.id).map_err(unreadable)?.map(|(_, size)| size),
        Mode::Tree | Mode::Submodule => None,
    };
    let target = match (entry.mode, size) {
        (Mode::Link, Some(size)) if size <= TARGET => {
            let data = store.get_kind(entry.id, Kind::Blob).map_err(unreadable)?.data;
            Some(String::from_utf8_lossy(&data).into_owned())
        }
        _ => None,
    };
    let kind = match entry.mode {
        Mode::Tree => "tree",
        Mode::File | Mode::Executable => "blob",
        Mode::Link => "link",
        Mode::Submodule => "commit",
    };
    Ok(Entry { path: below(path, &name), name, mode: entry.mode.as_str(), kind, id: entry.id, size, target })
}

/// The README of a directory: the one in Markdown where there are several.
fn readme(store: &Store, path: &str, entries: &[TreeEntry]) -> Result<Option<Readme>, Refusal> {
    let rank = |entry: &TreeEntry| {
        let name = String::from_utf8_lossy(&entry.name).to_ascii_lowercase();
        let at = ["readme.md", "readme.markdown", "readme", "readme.txt"].iter().position(|known| *known == name);
        at.filter(|_| matches!(entry.mode, Mode::File | Mode::Executable))
    };
    let best = entries.iter().filter_map(|entry| Some((rank(entry)?, entry))).min_by_key(|(rank, _)| *rank);
    let Some((_, entry)) = best else { return Ok(None) };
    let size = store.header(entry.id).map_err(unreadable)?.map_or(0, |(_, size)| size);
    if size > super::cat::MOST_READ {
        return Ok(None);
    }
    let data = store.get_kind(entry.id, Kind::Blob).map_err(unreadable)?.data;
    if super::cat::is_binary(&data) {
        return Ok(None);
    }
    let cut = data.len() > README;
    let data = if cut { &data[..README] } else { &data[..] };
    let path = below(path, &String::from_utf8_lossy(&entry.name));
    Ok(Some(Readme { path, text: String::from_utf8_lossy(data).into_owned(), cut }))
}
