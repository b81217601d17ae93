//! `branch list` and `tag list`: what there is to name a commit by.
//!
//! Invariant: the default branch comes first; a count of commits is exact, or it is left out.

use std::ops::Bound;

use notes_schema::refs::show_time;
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName};
use serde::Serialize;

use super::{place, unreadable};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::context::Project;
use crate::commands::text::inline;
use crate::commands::{Args, Command, Context, Shape, Takes};
use crate::ledger::Snapshot;
use git::graph::Commits;
use git::history;
use git::packed_refs::RefValue;
use git::store::{Objects as _, Store};

/// Most names of one answer, and how many without being asked.
/// Limit: branches or tags of one list | {}; the answer says how many there are
const MOST_LISTED: usize = 1000;
const LISTED: usize = 100;
/// Most whose times are looked at to put the youngest first.
/// Limit: branches or tags that a list sorts by time | {}; what is beyond, by name, comes behind
const MOST_SORTED: usize = 10_000;
/// Most commits that are walked to count how far branches are apart.
/// Limit: commits that one list of branches walks to count how far they are apart | {}; then counts are left out
const MOST_WALKED: usize = 20_000;

/// Which names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Branch,
    Tag,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Kind::Branch => "refs/heads/",
            Kind::Tag => "refs/tags/",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Kind::Branch => "branch",
            Kind::Tag => "tag",
        }
    }
}

/// All names of a kind that are listed.
pub(super) fn of_kind(snapshot: &Snapshot, kind: Kind) -> impl Iterator<Item = (&RefName, &RefValue)> {
    let from = snapshot.refs.range::<_, str>((Bound::Included(kind.prefix()), Bound::Unbounded));
    from.take_while(move |(name, _)| name.as_str().starts_with(kind.prefix()))
}

#[derive(Serialize)]
struct Named {
    name: String,
    /// What it names: a commit, or the tag that has a message.
    id: Oid,
    commit: Oid,
    default: bool,
    owner: Option<AgentName>,
    time: u64,
    author: String,
    subject: String,
    /// Commits that it has and the default branch lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<usize>,
    /// The open pull request of that branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull: Option<ItemRef>,
}

#[derive(Serialize)]
struct Names {
    project: ProjectName,
    kind: &'static str,
    names: Vec<Named>,
    total: usize,
    next: String,
}

impl Render for Names {
    fn markdown(&self) -> String {
        let title = if self.kind == "branch" { "Branches" } else { "Tags" };
        let mut out = format!("# {title} of {} ({})\n\n", self.project, self.total);
        for named in &self.names {
            let apart = match (named.default, named.ahead, named.behind) {
                (true, ..) => " · default".to_owned(),
                (false, Some(ahead), Some(behind)) => format!(" · {ahead} ahead, {behind} behind"),
                _ => String::new(),
            };
            let owner = named.owner.as_ref().map(|owner| format!(" · of {owner}")).unwrap_or_default();
            out += &format!("{}  {}{apart}{owner}\n", inline(&named.name), named.commit.short());
            let (when, who) = (show_time(named.time * 1000), inline(named.author.split(" <").next().unwrap_or("")));
            out += &format!("  {when} {who}: {}\n", inline(&named.subject));
        }
        if self.names.len() < self.total {
            out += &format!("\n{} more are left out: name what they hold.\n", self.total - self.names.len());
        }
        out + &format!("---\nnext: {}\n", self.next)
    }
}

const FLAGS: &[(&str, Takes)] = &[("match", Takes::Word), ("limit", Takes::Word), ("names", Takes::Nothing)];

/// `branch list`.
pub const BRANCH_LIST: Command = Command {
    name: "branch list",
    aliases: &["branches"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1).flags(FLAGS),
    usage: "[project] [--match TEXT] [--limit 100] [--names]",
    summary: "a project's branches, the default one first, the others by their age",
    example: "branch list parser --match fix",
    run: |context, args| run_list(context, args, Kind::Branch),
};

/// `tag list`.
pub const TAG_LIST: Command = Command {
    name: "tag list",
    aliases: &["tags"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1).flags(FLAGS),
    usage: "[project] [--match TEXT] [--limit 100] [--names]",
    summary: "a project's tags, the youngest first",
    example: "tag list parser",
    run: |context, args| run_list(context, args, Kind::Tag),
};

fn run_list(context: &Context, args: &Args, kind: Kind) -> Result<Answer, Refusal> {
    let (project, _) = place(context, args.word(0))?;
    let limit = match args.value("limit").map(str::parse::<usize>) {
        None => LISTED,
        Some(Ok(n)) if (1..=MOST_LISTED).contains(&n) => n,
        Some(_) => return Err(context.usage(format!("--limit takes a number from 1 to {MOST_LISTED}"))),
    };
    let wanted = args.value("match").unwrap_or("");
    let names = of_kind(&project.snapshot, kind).filter(|(name, _)| name.short().contains(wanted));
    let mut names: Vec<(&RefName, &RefValue)> = names.collect();
    let total = names.len();
    let default = project.snapshot.head.as_ref();
    youngest_first(project.repository.store().as_ref(), default, &mut names);
    names.truncate(limit);
    let name = project.repository.name().clone();
    let next = match kind {
        Kind::Branch => format!("log {name}"),
        Kind::Tag => format!("branch list {name}"),
    };
    let names = described(&project, &names, !args.has("names"))?;
    Ok(Answer::of(&Names { project: name, kind: kind.word(), names, total, next }))
}

fn youngest_first(store: &Store, default: Option<&RefName>, names: &mut [(&RefName, &RefValue)]) {
    let commits = Commits::new(store);
    let sorted = names.len().min(MOST_SORTED);
    names[..sorted].sort_by_cached_key(|(name, value)| {
        let seconds = commits.node(value.peeled.unwrap_or(value.id)).map_or(0, |node| node.seconds);
        (Some(*name) != default, std::cmp::Reverse(seconds), (*name).clone())
    });
}

/// The names with what they name; with `apart`, how far each is from the default branch.
fn described(project: &Project, names: &[(&RefName, &RefValue)], apart: bool) -> Result<Vec<Named>, Refusal> {
    let (snapshot, store) = (&project.snapshot, project.repository.store().as_ref());
    let (default, mut walked) = (snapshot.default_tip(), MOST_WALKED);
    let mut out = Vec::with_capacity(names.len());
    for (name, value) in names {
        let commit = value.peeled.unwrap_or(value.id);
        // A tag may name anything.
        let read = store.commit(commit).ok();
        let is_default = snapshot.head.as_ref() == Some(*name);
        let counted = match default {
            Some(default) if apart && !is_default && read.is_some() && name.branch_name().is_some() => {
                history::apart(store, commit, default, &mut walked).map_err(unreadable)?
            }
            _ => None,
        };
        out.push(Named {
            name: name.short().to_owned(),
            id: value.id,
            commit,
            default: is_default,
            owner: snapshot.owners.get(*name).cloned(),
            time: read.as_ref().map_or(0, |read| u64::try_from(read.committer_seconds).unwrap_or(0)),
            subject: read.as_ref().map_or_else(String::new, |read| read.subject().to_owned()),
            author: read.map(|read| read.author).unwrap_or_default(),
            ahead: counted.map(|(ahead, _)| ahead),
            behind: counted.map(|(_, behind)| behind),
            pull: snapshot.fold.open_pulls.get(*name).map(|n| ItemRef { project: snapshot.project.clone(), n: *n }),
        });
    }
    Ok(out)
}
