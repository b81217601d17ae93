//! Reading code without a clone: who changed a path, who wrote a line, what differs between two commits.
//!
//! Invariant: a commit is named by a ref, or by an id that a ref reaches: what a refused push left behind is not shown.

use std::ops::Bound;

use notes_schema::refs::show_time;
use notes_schema::{Oid, ProjectName, RefName};
use serde::Serialize;

use super::context::Project;
use super::pulls::{LONGEST_DIFF, MOST_FILES, cleaned};
use super::text::{count, inline};
use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use git::blame::{self, BlameError};
use git::object::{Commit, Kind};
use git::store::{Objects, Store};
use git::{diff, history, log};

/// Most commits of one answer, and how many without being asked.
/// Limit: commits that one `log` lists | {}; the answer says where it ended
const MOST_LISTED: usize = 1000;
const LISTED: usize = 30;
/// Most commits that one answer looks at.
/// Limit: commits that one `log` looks at | {}; the answer says where it ended
const MOST_LOOKED_AT: usize = 500_000;
/// Most lines of one blame.
/// Limit: lines of one `blame` | {}, then `--from`
const MOST_LINES: usize = 1000;

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

/// The commit that people mean by `name`: a branch, a tag, any ref, or a whole id. Nothing is the default branch.
pub(super) fn commit(project: &Project, name: &str) -> Result<Oid, Refusal> {
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
        (None, Ok(id)) if is_reached(project, id)? => id,
        (None, _) => {
            let why = "it is no branch, no tag, and no whole id of a commit that one of them reaches";
            return Err(missing(&snapshot.project, name, why));
        }
    };
    match store.kind(found).map_err(unreadable)? {
        Some(Kind::Commit) => Ok(found),
        _ => Err(missing(&snapshot.project, name, "it is no commit")),
    }
}

fn is_reached(project: &Project, id: Oid) -> Result<bool, Refusal> {
    let (refs, store) = (&project.snapshot.refs, project.repository.store().as_ref());
    if !matches!(store.kind(id), Ok(Some(Kind::Commit))) {
        return Ok(false);
    }
    // What the server keeps in refs of its own the ledger reaches as well.
    let code = ["refs/heads/", "refs/tags/", "refs/pull/", notes_schema::refs::LEDGER];
    let mut tips = Vec::new();
    for prefix in code {
        let from = refs.range::<_, str>((Bound::Included(prefix), Bound::Unbounded));
        let there = from.take_while(|(name, _)| name.as_str().starts_with(prefix));
        tips.extend(there.map(|(_, value)| value.peeled.unwrap_or(value.id)));
    }
    history::reaches(store, id, &tips).map_err(unreadable)
}

/// `A..B`, where an end that is left out is the default branch.
fn range(word: &str) -> Option<(&str, &str, bool)> {
    let (old, new) = word.split_once("..")?;
    Some(new.strip_prefix('.').map_or((old, new, false), |new| (old, new, true)))
}

#[derive(Serialize)]
struct LogLine {
    commit: Oid,
    parents: Vec<Oid>,
    author: String,
    time: u64,
    subject: String,
    path: String,
}

#[derive(Serialize)]
struct Log {
    project: ProjectName,
    path: String,
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
        Some((old, new, false)) => (Some(commit(&project, old)?), commit(&project, new)?),
        Some((_, _, true)) => return Err(context.usage("a log takes A..B: what B has and A has not")),
        None => (None, commit(&project, revision)?),
    };
    let limit = match args.value("limit").map(str::parse::<usize>) {
        None => LISTED,
        Some(Ok(n)) if (1..=MOST_LISTED).contains(&n) => n,
        Some(_) => return Err(context.usage(format!("--limit takes a number from 1 to {MOST_LISTED}"))),
    };
    let after = args.value("after").map(str::parse).transpose();
    let after = after.map_err(|_| context.usage("--after takes the whole id of a commit"))?;
    let store = project.repository.store().as_ref();
    let query = log::Query {
        tip: new,
        not: old.as_slice(),
        path: path.as_bytes(),
        follow: args.has("follow"),
        after,
        limit,
        most: MOST_LOOKED_AT,
    };
    let listed = log::log(store, &query).map_err(unreadable)?;
    let mut commits = Vec::new();
    for line in &listed.lines {
        let Commit { author, author_seconds, parents, .. } = &store.commit(line.id).map_err(unreadable)?;
        commits.push(LogLine {
            commit: line.id,
            parents: parents.clone(),
            author: author.clone(),
            time: u64::try_from(*author_seconds).unwrap_or(0),
            subject: store.commit(line.id).map_err(unreadable)?.subject().to_owned(),
            path: String::from_utf8_lossy(&line.path).into_owned(),
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
    Ok(Answer::of(&Log { project: name, path: path.to_owned(), commits, more: listed.more, note, next }))
}

#[derive(Serialize)]
struct BlameLine {
    line: usize,
    commit: Oid,
    original_line: usize,
    path: String,
    author: String,
    time: u64,
    settled: bool,
    text: String,
}

#[derive(Serialize)]
struct Blame {
    project: ProjectName,
    path: String,
    commit: Oid,
    total: usize,
    lines: Vec<BlameLine>,
    partial: bool,
    next: String,
}

impl Render for Blame {
    fn markdown(&self) -> String {
        let mut out =
            format!("# Blame of {}:{} ({})\n\n", self.project, inline(&self.path), count(self.total as u64, "line"));
        if self.partial {
            out += "The search ended early: lines marked with ^ are from that commit or an older one.\n\n";
        }
        for line in &self.lines {
            let mark = if line.settled { ' ' } else { '^' };
            let day: String = show_time(line.time * 1000).chars().take(10).collect();
            let who: String = line.author.split(" <").next().unwrap_or("").chars().take(16).collect();
            // Four blanks: code, in which nothing means anything to Markdown.
            out += &format!(
                "    {mark}{} {day} {:16} {:5}) {}\n",
                line.commit.short(),
                cleaned(who.as_bytes()),
                line.line,
                line.text
            );
        }
        out + &format!("---\nnext: {}\n", self.next)
    }
}

/// `blame`.
pub const BLAME: Command = Command {
    name: "blame",
    aliases: &["annotate"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 2).flags(&[("from", Takes::Word)]),
    usage: "<project>:<path> [branch|tag|id] [--from LINE]",
    summary: "which commit each line of a file comes from",
    example: "blame parser:src/lib.rs --from 100",
    run: run_blame,
};

fn run_blame(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let tip = commit(&project, args.word(1).unwrap_or(""))?;
    let first = match args.value("from").map(str::parse::<usize>) {
        None => 1,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => return Err(context.usage("--from takes the number of a line, from 1")),
    };
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let blamed = blame::blame(store, tip, path.as_bytes(), blame::Budget::default()).map_err(|error| match error {
        BlameError::NoFile => missing(&name, &format!("{name}:{path}"), "there is no file at this path"),
        BlameError::TooLarge(..) => Refusal::new(Code::Refused, path, error.to_string(), format!("log {name}:{path}")),
        BlameError::Read(error) => unreadable(error),
    })?;
    let texts: Vec<&[u8]> = blamed.content.split_inclusive(|&byte| byte == b'\n').collect();
    let mut lines = Vec::new();
    for span in &blamed.spans {
        let range = span.first.max(first - 1)..(span.first + span.count).min(first - 1 + MOST_LINES);
        if range.is_empty() {
            continue;
        }
        let by = store.commit(span.commit).map_err(unreadable)?;
        for at in range {
            lines.push(BlameLine {
                line: at + 1,
                commit: span.commit,
                original_line: span.original + (at - span.first) + 1,
                path: String::from_utf8_lossy(&span.path).into_owned(),
                author: by.author.clone(),
                time: u64::try_from(by.author_seconds).unwrap_or(0),
                settled: span.settled,
                text: cleaned(texts.get(at).map_or(b"", |text| text.strip_suffix(b"\n").unwrap_or(text))),
            });
        }
    }
    let upto = first - 1 + lines.len();
    let next = match upto < texts.len() && !lines.is_empty() {
        true => format!("blame {} --from {}", args.words.join(" "), upto + 1),
        false => format!("log {name}:{path}"),
    };
    let (total, path) = (texts.len(), path.to_owned());
    Ok(Answer::of(&Blame { project: name, path, commit: tip, total, lines, partial: blamed.partial, next }))
}

#[derive(Serialize)]
struct DiffFile {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

#[derive(Serialize)]
struct Diff {
    project: ProjectName,
    old: Oid,
    new: Oid,
    files: Vec<DiffFile>,
    more_files: bool,
    added: u64,
    removed: u64,
    diff: String,
    diff_truncated: bool,
    next: String,
}

impl Render for Diff {
    fn markdown(&self) -> String {
        let (files, more) = (count(self.files.len() as u64, "file"), if self.more_files { " and more" } else { "" });
        let mut out = format!("# Diff of {} ({files}{more}, +{} -{})\n\n", self.project, self.added, self.removed);
        for line in self.diff.lines() {
            out += &format!("    {line}\n");
        }
        if self.diff_truncated || self.more_files {
            out += "\nThe rest is left out: it is too long. Name a path, or fetch both commits.\n";
        }
        out + &format!("---\nnext: {}\n", self.next)
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
    let (mut old, new) = (commit(&project, old)?, commit(&project, new)?);
    if from_base {
        let base = history::merge_base(store, old, new).map_err(unreadable)?;
        old = base.ok_or_else(|| missing(&name, word, "the two have no commit in common; use two dots"))?;
    }
    let mut changes = changes(store, old, new, path)?;
    let more_files = changes.len() > MOST_FILES;
    changes.truncate(MOST_FILES);
    let changes = diff::with_renames(store, changes).map_err(unreadable)?;
    let patch = diff::unified(store, &changes, LONGEST_DIFF).map_err(unreadable)?;
    let files = changes.iter().map(|change| DiffFile {
        path: change.shown(),
        from: change.from.as_ref().map(|source| String::from_utf8_lossy(&source.path).into_owned()),
    });
    Ok(Answer::of(&Diff {
        next: format!("log {name} {word}").replace("...", ".."),
        project: name,
        old,
        new,
        files: files.collect(),
        more_files,
        added: patch.added,
        removed: patch.removed,
        diff: cleaned(&patch.text),
        diff_truncated: patch.truncated,
    }))
}

/// What differs at or below `path`; one more than may be shown, where there are more.
fn changes(store: &Store, old: Oid, new: Oid, path: &str) -> Result<Vec<diff::Change>, Refusal> {
    let tree = |id| store.commit(id).map(|commit| commit.tree).map_err(unreadable);
    let (old, new) = (tree(old)?, tree(new)?);
    if path.is_empty() {
        return diff::changed_paths(store, Some(old), Some(new), MOST_FILES + 1).map_err(unreadable);
    }
    diff::changed_below(store, old, new, path.as_bytes(), MOST_FILES + 1).map_err(unreadable)
}
