//! `log`: the commits that changed a project, or what stands at a path.
//!
//! Invariant: it is the log that git prints, in pages.

use std::collections::BTreeMap;

use notes_schema::refs::show_time;
use notes_schema::{Oid, ProjectName};
use serde::Serialize;

use super::names::{Kind, of_kind};
use super::{commit, path_bytes, place, range, turn, unreadable};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::context::Project;
use crate::commands::text::inline;
use crate::commands::{Args, Command, Context, Shape, Takes};
use git::log;
use git::object::Commit;
use git::store::Objects as _;

/// Most commits of one answer, and how many without being asked.
/// Limit: commits that one `log` lists | {}; the answer says where it ended
const MOST_LISTED: usize = 1000;
const LISTED: usize = 30;
/// Most commits that one answer looks at.
/// Limit: commits that one `log` looks at | {}; the answer says where it ended
const MOST_LOOKED_AT: usize = 500_000;
/// Most branches and tags among which the names of listed commits are looked for.
/// Limit: branches and tags whose names a `log` may show | {} of each, the first by name
const MOST_NAMES: usize = 5_000;

#[derive(Serialize)]
struct LogLine {
    commit: Oid,
    parents: Vec<Oid>,
    author: String,
    time: u64,
    subject: String,
    path: String,
    /// Branches and tags that name it.
    refs: Vec<String>,
}

#[derive(Serialize)]
struct Log {
    project: ProjectName,
    path: String,
    rev: String,
    commits: Vec<LogLine>,
    more: bool,
    #[serde(skip)]
    note: &'static str,
    next: String,
}

impl Render for Log {
    fn markdown(&self) -> String {
        let place = if self.path.is_empty() { String::new() } else { format!(":{}", inline(&self.path)) };
        let mut out = format!("# Log of {}{place} ({})\n\n", self.project, self.commits.len());
        for line in &self.commits {
            let renamed =
                if line.path == self.path { String::new() } else { format!(" · then {}", inline(&line.path)) };
            let when = show_time(line.time * 1000);
            let who = inline(line.author.split(" <").next().unwrap_or(""));
            out += &format!("{} {when} {who}: {}{renamed}\n", line.commit.short(), inline(&line.subject));
        }
        out + self.note + &format!("---\nnext: {}\n", self.next)
    }
}

/// `log`.
pub const LOG: Command = Command {
    name: "log",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 2).flags(&[("follow", Takes::Nothing), ("limit", Takes::Word), ("after", Takes::Word)]),
    usage: "[project][:path] [branch|tag|id|A..B] [--follow] [--limit 30] [--after ID]",
    summary: "the commits that changed a project, or what stands at a path",
    example: "log parser:src/lib.rs --follow",
    run: run_log,
};

fn run_log(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let revision = args.word(1).unwrap_or("");
    let (old, new) = match range(revision) {
        Some((old, new, false)) => (Some(commit(context, &project, old)?), commit(context, &project, new)?),
        Some((_, _, true)) => return Err(context.usage("a log takes A..B: what B has and A has not")),
        None => (None, commit(context, &project, revision)?),
    };
    let limit = match args.value("limit").map(str::parse::<usize>) {
        None => LISTED,
        Some(Ok(n)) if (1..=MOST_LISTED).contains(&n) => n,
        Some(_) => return Err(context.usage(format!("--limit takes a number from 1 to {MOST_LISTED}"))),
    };
    let after = args.value("after").map(str::parse).transpose();
    let after = after.map_err(|_| context.usage("--after takes the whole id of a commit"))?;
    let store = project.repository.store().as_ref();
    let tree = store.commit(new).map_err(unreadable)?.tree;
    let bytes = path_bytes(store, tree, path)?;
    let _turn = if path.is_empty() && old.is_none() { None } else { Some(turn::take(context)?) };
    let query = log::Query {
        tip: new,
        not: old.as_slice(),
        path: &bytes,
        follow: args.has("follow"),
        after,
        limit,
        most: MOST_LOOKED_AT,
    };
    let listed = log::log(store, &query).map_err(unreadable)?;
    let mut names = names_of(&project, &listed.lines);
    let mut commits = Vec::new();
    for line in &listed.lines {
        let read = store.commit(line.id).map_err(unreadable)?;
        let subject = read.subject().to_owned();
        let Commit { author, author_seconds, parents, .. } = read;
        commits.push(LogLine {
            commit: line.id,
            parents,
            author,
            time: u64::try_from(author_seconds).unwrap_or(0),
            subject,
            path: if line.path == bytes { path.to_owned() } else { String::from_utf8_lossy(&line.path).into_owned() },
            refs: names.remove(&line.id).unwrap_or_default(),
        });
    }
    let name = project.repository.name().clone();
    let again = args.words.join(" ");
    let next = match (commits.last(), listed.more) {
        (Some(last), true) if !listed.exhausted => {
            let follow = if query.follow { " --follow" } else { "" };
            format!("log {again}{follow} --limit {limit} --after {}", last.commit)
        }
        _ if path.is_empty() => format!("project show {name}"),
        _ => format!("log {name}"),
    };
    let note = match (commits.is_empty(), listed.exhausted) {
        (_, true) => "The search ended after 500,000 commits; older ones were not looked at.\n",
        (true, false) => "No commit changed it.\n",
        (false, false) => "",
    };
    Ok(Answer::of(&Log {
        project: name,
        path: path.to_owned(),
        rev: revision.to_owned(),
        commits,
        more: listed.more,
        note,
        next,
    }))
}

/// The branches and tags that name listed commits.
fn names_of(project: &Project, lines: &[log::Line]) -> BTreeMap<Oid, Vec<String>> {
    let mut names: BTreeMap<Oid, Vec<String>> = lines.iter().map(|line| (line.id, Vec::new())).collect();
    for kind in [Kind::Branch, Kind::Tag] {
        for (name, value) in of_kind(&project.snapshot, kind).take(MOST_NAMES) {
            if let Some(there) = names.get_mut(&value.peeled.unwrap_or(value.id)) {
                there.push(name.short().to_owned());
            }
        }
    }
    names
}
