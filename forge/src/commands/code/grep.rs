//! `grep`: where a text stands in the files of a commit.
//!
//! Invariant: it ends: after so many bytes, so many hits or so much time, and then says how far it came.

use std::time::{Duration, Instant};

use notes_schema::{Oid, ProjectName};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;

use super::cat::is_binary;
use super::{commit, missing, place, standing, turn, unreadable};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::pulls::cleaned;
use crate::commands::text::inline;
use crate::commands::{Args, Command, Context, Shape, Takes};
use git::below::Below;
use git::object::{Kind, Mode};
use git::store::{Objects as _, Store};

/// Longest text that is looked for.
/// Limit: text that `grep` looks for | {} bytes
const LONGEST: usize = 256;
/// Most bytes that an expression may take when it is compiled.
/// Limit: compiled expression of a `grep` | {:bytes}
const COMPILED: usize = 1 << 20;
/// Largest file that is looked into.
/// Limit: file that `grep` looks into | {:bytes}; larger ones are counted
const LARGEST: u64 = 1 << 20;
/// Most bytes of files that one answer looks at.
/// Limit: files that one `grep` looks into | {:bytes} together; the answer says where it ended
const MOST_BYTES: u64 = 256 << 20;
/// Longest time of one answer.
/// Limit: time of one `grep` | {}; the answer says where it ended
const LONGEST_TIME: Duration = Duration::from_secs(5);
/// Most files with hits of one answer, and most hits that are shown of each.
/// Limit: files with hits of one `grep` | {}; the answer says where it ended
const MOST_FILES: usize = 50;
/// Limit: hits of one file that a `grep` shows | {}
const MOST_HITS: usize = 5;
/// Longest line that is shown.
/// Limit: line that a `grep` shows | {} bytes, the rest is cut off
const LONGEST_LINE: usize = 400;

#[derive(Serialize)]
struct Line {
    line: usize,
    hit: bool,
    text: String,
}

#[derive(Serialize)]
struct FileHits {
    path: String,
    lines: Vec<Line>,
    /// Whether it has more hits than are shown.
    more: bool,
}

#[derive(Serialize)]
struct Grep {
    project: ProjectName,
    path: String,
    rev: String,
    commit: Oid,
    text: String,
    files: Vec<FileHits>,
    /// Files that were looked into, and those that were too large for it.
    looked_at: usize,
    too_large: usize,
    /// Why it ended before the last file.
    stopped: Option<&'static str>,
    /// The file at which it ended.
    stopped_at: Option<String>,
    next: String,
}

impl Render for Grep {
    fn markdown(&self) -> String {
        let files = if self.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", self.files.len()) };
        let mut out = format!("# `{}` in {} ({files})\n\n", inline(&self.text).replace('`', "'"), self.project);
        for file in &self.files {
            let more = if file.more { " · and more" } else { "" };
            out += &format!("{}:{}{more}\n\n", self.project, inline(&file.path));
            for line in &file.lines {
                let mark = if line.hit { ':' } else { '-' };
                out += &format!("    {}{mark} {}\n", line.line, line.text);
            }
            out.push('\n');
        }
        if self.files.is_empty() {
            out += "Nothing was found.\n";
        }
        if let (Some(why), Some(at)) = (self.stopped, &self.stopped_at) {
            out += &format!("The search ended {why}, at {}; name a directory.\n", inline(at));
        }
        if self.too_large > 0 {
            out += &format!("{} files are too large to be looked into.\n", self.too_large);
        }
        out + &format!("---\nnext: {}\n", self.next)
    }
}

/// `grep`.
pub const GREP: Command = Command {
    name: "grep",
    aliases: &["find"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(2, 64).flags(&[
        ("at", Takes::Word),
        ("regex", Takes::Nothing),
        ("ignore-case", Takes::Nothing),
    ]),
    usage: "<project>[:path] <text> [--at branch|tag|id] [--regex] [--ignore-case]",
    summary: "where a text stands in the files of a project, three lines a hit",
    example: "grep parser:src fn parse --at main",
    run: run_grep,
};

fn run_grep(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let text = args.words[1..].join(" ");
    let rev = args.value("at").unwrap_or("");
    let pattern = pattern(context, args, &text)?;
    let tip = commit(context, &project, rev)?;
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let tree = store.commit(tip).map_err(unreadable)?.tree;
    let there = standing(store, tree, path)?;
    let there = there.ok_or_else(|| missing(&name, &format!("{name}:{path}"), "there is nothing at this path"))?;
    let _turn = turn::take(context)?;
    let mut search = Search::new(store, &pattern);
    match there.mode {
        // A form that nobody filled in.
        _ if text.is_empty() => {}
        Mode::Tree => search.below(&there.path, there.id)?,
        Mode::File | Mode::Executable => search.file(&there.path, there.id)?,
        Mode::Link | Mode::Submodule => {}
    }
    let next = match search.files.first() {
        Some(file) => format!("cat '{name}:{}' {rev}", file.path).trim_end().to_owned(),
        None => format!("tree {name}"),
    };
    Ok(Answer::of(&Grep {
        project: name,
        path: path.to_owned(),
        rev: rev.to_owned(),
        commit: tip,
        text,
        files: search.files,
        looked_at: search.looked_at,
        too_large: search.too_large,
        stopped: search.stopped.as_ref().map(|(why, _)| *why),
        stopped_at: search.stopped.map(|(_, at)| at),
        next,
    }))
}

fn pattern(context: &Context, args: &Args, text: &str) -> Result<Regex, Refusal> {
    if text.len() > LONGEST {
        return Err(context.usage(format!("it looks for a text of at most {LONGEST} bytes")));
    }
    let source = if args.has("regex") { text.to_owned() } else { regex::escape(text) };
    let built = RegexBuilder::new(&source)
        .multi_line(true)
        .case_insensitive(args.has("ignore-case"))
        .size_limit(COMPILED)
        .dfa_size_limit(COMPILED)
        .build();
    built.map_err(|error| {
        let why = error.to_string();
        context.usage(format!("the expression does not read: {}", why.lines().last().unwrap_or("")))
    })
}

/// A search under way.
struct Search<'a> {
    store: &'a Store,
    pattern: &'a Regex,
    files: Vec<FileHits>,
    looked_at: usize,
    too_large: usize,
    bytes: u64,
    until: Instant,
    stopped: Option<(&'static str, String)>,
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, pattern: &'a Regex) -> Self {
        Search {
            store,
            pattern,
            files: Vec::new(),
            looked_at: 0,
            too_large: 0,
            bytes: 0,
            until: Instant::now() + LONGEST_TIME,
            stopped: None,
        }
    }

    fn below(&mut self, path: &[u8], tree: Oid) -> Result<(), Refusal> {
        for found in Below::new(self.store, path, tree) {
            let (path, entry) = found.map_err(unreadable)?;
            if matches!(entry.mode, Mode::File | Mode::Executable) {
                self.file(&path, entry.id)?;
            }
            // Directories without a file in them take time as well.
            let why = match () {
                () if self.files.len() >= MOST_FILES => "after enough files with hits",
                () if self.bytes >= MOST_BYTES => "after enough bytes",
                () if Instant::now() >= self.until => "after enough time",
                () => continue,
            };
            self.stopped = Some((why, String::from_utf8_lossy(&path).into_owned()));
            break;
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8], id: Oid) -> Result<(), Refusal> {
        let Some((_, size)) = self.store.header(id).map_err(unreadable)? else { return Ok(()) };
        if size > LARGEST {
            self.too_large += 1;
            return Ok(());
        }
        let data = self.store.get_kind(id, Kind::Blob).map_err(unreadable)?.data;
        self.looked_at += 1;
        self.bytes += size;
        if is_binary(&data) || !self.pattern.is_match(&data) {
            return Ok(());
        }
        let (lines, more) = hits(&data, self.pattern);
        if !lines.is_empty() {
            self.files.push(FileHits { path: String::from_utf8_lossy(path).into_owned(), lines, more });
        }
        Ok(())
    }
}

/// The lines with a hit, each between its neighbours, and whether there are more.
fn hits(data: &[u8], pattern: &Regex) -> (Vec<Line>, bool) {
    let all: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    let mut found = all.iter().enumerate().filter(|(_, line)| pattern.is_match(line)).map(|(at, _)| at);
    let shown: Vec<usize> = found.by_ref().take(MOST_HITS).collect();
    let more = found.next().is_some();
    let mut lines: Vec<Line> = Vec::new();
    for &at in &shown {
        for near in at.saturating_sub(1)..=(at + 1).min(all.len() - 1) {
            let is_new = lines.last().is_none_or(|last| last.line < near + 1);
            // What ends with a line break has no line behind it.
            if is_new && !(near + 1 == all.len() && all[near].is_empty()) {
                let text = &all[near][..all[near].len().min(LONGEST_LINE)];
                lines.push(Line { line: near + 1, hit: pattern.is_match(all[near]), text: cleaned(text) });
            }
        }
    }
    (lines, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: &[u8], text: &str) -> (Vec<(usize, bool)>, bool) {
        let (lines, more) = hits(data, &Regex::new(text).unwrap());
        (lines.iter().map(|line| (line.line, line.hit)).collect(), more)
    }

    #[test]
    fn a_hit_stands_between_its_neighbours_once() {
        assert_eq!(found(b"a\nb\nc\nd\n", "b"), (vec![(1, false), (2, true), (3, false)], false));
        assert_eq!(found(b"x\nx\n", "x"), (vec![(1, true), (2, true)], false));
        assert_eq!(found(b"x", "x"), (vec![(1, true)], false));
        let (lines, more) = found(&b"x\n".repeat(9), "x");
        assert_eq!(
            (lines.iter().filter(|line| line.1).count(), more),
            (MOST_HITS + 1, true),
            "the neighbour of the last is a hit as well"
        );
    }
}
