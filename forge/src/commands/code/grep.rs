//! `grep`: where a text stands in the files of a commit.
//!
//! What a search reads it leaves filters of (`search::trigrams`), by which the next one need not read most files.
//!
//! Invariant: it ends: after so many bytes, so many hits or so much time, and then says how far it came.
//! Invariant: what is known of files from before saves reading them, and changes no answer that comes to the last file.

use std::time::{Duration, Instant};

use notes_schema::{Oid, ProjectName};
use regex::bytes::{Regex, RegexBuilder};
use search::trigrams::{Content, Demand, Sieve, Verdict};
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
const LATE: &str = "after enough time";
/// How many files are gathered before they are read: few, as those may have hits enough; then more, and then as many as can be,
/// because bases of deltas that they share are inflated once.
/// Limit: files that a `grep` gathers before it reads them | {}
const MOST_AT_ONCE: usize = 64 << 10;
const AT_ONCE: [usize; 3] = [64, 1024, MOST_AT_ONCE];
/// Limit: paths of files that a `grep` gathers before it reads them | {:bytes}
const MOST_PATHS: usize = 16 << 20;
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
    /// Files that were looked into, now or by a search before; and those that were too large for it.
    looked_at: usize,
    /// How many of those that were looked into were not read now: of them it was known that there is no match in them.
    ruled_out: usize,
    too_large: usize,
    /// Directories that lie too deep to be entered.
    too_deep: usize,
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
            let again = if why == LATE { ", or ask again: what it learned is kept" } else { "" };
            out += &format!("The search ended {why}, at {}; name a directory{again}.\n", inline(at));
        }
        if self.too_large > 0 {
            out += &format!("{} files are too large to be looked into.\n", self.too_large);
        }
        if self.too_deep > 0 {
            out += &format!("{} directories lie too deep to be looked into; name one.\n", self.too_deep);
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
        Mode::Tree => {
            let demand = Demand::of(pattern.as_str(), args.has("ignore-case"));
            search.below(&there.path, there.id, || context.forge.trigrams().sieve(&name, &demand))?;
        }
        Mode::File | Mode::Executable => search.file(&there.path, there.id)?,
        Mode::Link | Mode::Submodule => {}
    }
    let next = match search.files.first() {
        Some(file) => format!("cat '{name}:{}' {rev}", file.path).trim_end().to_owned(),
        None => format!("tree {name}"),
    };
    Ok(Answer::of(&Grep {
        project: name.clone(),
        path: path.to_owned(),
        rev: rev.to_owned(),
        commit: tip,
        text,
        files: search.files,
        looked_at: search.passed.looked_at + search.read.looked_at,
        ruled_out: search.passed.ruled_out,
        too_large: search.passed.too_large + search.read.too_large,
        too_deep: search.passed.too_deep,
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

/// What was looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    looked_at: usize,
    ruled_out: usize,
    too_large: usize,
    too_deep: usize,
}

/// A file that must be read.
struct Waiting {
    path: Vec<u8>,
    id: Oid,
    /// What was counted before it without reading.
    passed: Counts,
}

/// What reading a file said.
#[derive(Clone, Copy)]
enum Look {
    Missing,
    TooLarge,
    Text { hit: bool },
}

/// A search under way.
struct Search<'a> {
    store: &'a Store,
    pattern: &'a Regex,
    files: Vec<FileHits>,
    /// What was counted without reading, and by reading.
    passed: Counts,
    read: Counts,
    bytes: u64,
    until: Instant,
    stopped: Option<(&'static str, String)>,
    /// What is known of files, once there are some.
    sieve: Option<Sieve<'a>>,
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, pattern: &'a Regex) -> Self {
        Search {
            store,
            pattern,
            files: Vec::new(),
            passed: Counts::default(),
            read: Counts::default(),
            bytes: 0,
            until: Instant::now() + LONGEST_TIME,
            stopped: None,
            sieve: None,
        }
    }

    /// What is known of files is asked for behind the first few, which are read anyway: it is that of the whole project.
    fn below(&mut self, path: &[u8], tree: Oid, sieve: impl FnOnce() -> Sieve<'a>) -> Result<(), Refusal> {
        let mut below = Below::new(self.store, path, tree);
        let mut at_once = AT_ONCE.into_iter();
        let mut most = at_once.next().unwrap_or(MOST_AT_ONCE);
        let (mut waiting, mut paths, mut sieve) = (Vec::new(), 0, Some(sieve));
        while let Some(found) = below.next() {
            self.passed.too_deep = below.too_deep();
            let (path, entry) = found.map_err(unreadable)?;
            // Directories without a file in them take time as well.
            let is_late = Instant::now() >= self.until;
            let verdict = self.sieve.as_ref().and_then(|sieve| sieve.verdict(entry.id));
            match verdict {
                _ if !matches!(entry.mode, Mode::File | Mode::Executable) => {}
                Some(Verdict::RuledOut) => {
                    self.passed.looked_at += 1;
                    self.passed.ruled_out += 1;
                }
                Some(Verdict::TooLarge) => self.passed.too_large += 1,
                Some(Verdict::MayMatch) | None => {
                    paths += path.len();
                    waiting.push(Waiting { path: path.clone(), id: entry.id, passed: self.passed });
                }
            }
            if waiting.len() < most && paths < MOST_PATHS && !is_late {
                continue;
            }
            paths = 0;
            self.look_into(&std::mem::take(&mut waiting))?;
            if is_late && self.stopped.is_none() {
                self.stopped = Some((LATE, String::from_utf8_lossy(&path).into_owned()));
            }
            if self.stopped.is_some() {
                return Ok(());
            }
            most = at_once.next().unwrap_or(MOST_AT_ONCE);
            self.sieve = self.sieve.take().or_else(|| Some(sieve.take()?()));
        }
        self.look_into(&waiting)
    }

    fn file(&mut self, path: &[u8], id: Oid) -> Result<(), Refusal> {
        self.look_into(&[Waiting { path: path.to_vec(), id, passed: self.passed }])
    }

    fn look_into(&mut self, files: &[Waiting]) -> Result<(), Refusal> {
        let mut order: Vec<usize> = (0..files.len()).collect();
        self.store.in_order(&mut order, |at| files[*at].id);
        let mut looks: Vec<Option<Look>> = vec![None; files.len()];
        for at in order {
            if self.is_enough().is_some() {
                break;
            }
            looks[at] = Some(self.look(files[at].id)?);
        }
        for (file, look) in files.iter().zip(looks) {
            let why = match look {
                None => self.is_enough(),
                Some(Look::Missing) => None,
                Some(Look::TooLarge) => {
                    self.read.too_large += 1;
                    None
                }
                Some(Look::Text { hit }) => {
                    self.read.looked_at += 1;
                    if hit { self.show(file)? } else { None }
                }
            };
            // What stands behind and was found already is shown.
            if let Some(why) = why.filter(|_| self.stopped.is_none()) {
                self.stopped = Some((why, String::from_utf8_lossy(&file.path).into_owned()));
                self.passed = file.passed;
            }
            if self.files.len() >= MOST_FILES {
                break;
            }
        }
        Ok(())
    }

    /// Why nothing more is read.
    fn is_enough(&self) -> Option<&'static str> {
        match () {
            () if self.bytes >= MOST_BYTES => Some("after enough bytes"),
            () if Instant::now() >= self.until => Some(LATE),
            () => None,
        }
    }

    fn look(&mut self, id: Oid) -> Result<Look, Refusal> {
        let Some((_, size)) = self.store.header(id).map_err(unreadable)? else { return Ok(Look::Missing) };
        let mut learn = |content| {
            if let Some(sieve) = &mut self.sieve {
                sieve.learn(id, content);
            }
        };
        if size > LARGEST {
            learn(Content::TooLarge);
            return Ok(Look::TooLarge);
        }
        let data = self.store.get_kind(id, Kind::Blob).map_err(unreadable)?.data;
        self.bytes += size;
        let is_binary = is_binary(&data);
        learn(if is_binary { Content::Binary } else { Content::Text(&data) });
        let has_hit = || lines(&data).any(|line| self.pattern.is_match(line));
        Ok(Look::Text { hit: !is_binary && self.pattern.is_match(&data) && has_hit() })
    }

    /// Shows the hits of a file; why there are no more files behind it, if so.
    fn show(&mut self, file: &Waiting) -> Result<Option<&'static str>, Refusal> {
        let data = self.store.get_kind(file.id, Kind::Blob).map_err(unreadable)?.data;
        let (lines, more) = hits(&data, self.pattern);
        self.files.push(FileHits { path: String::from_utf8_lossy(&file.path).into_owned(), lines, more });
        Ok((self.files.len() >= MOST_FILES).then_some("after enough files with hits"))
    }
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n')
}

/// The lines with a hit, each between its neighbours, and whether there are more.
fn hits(data: &[u8], pattern: &Regex) -> (Vec<Line>, bool) {
    let all: Vec<&[u8]> = lines(data).collect();
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
