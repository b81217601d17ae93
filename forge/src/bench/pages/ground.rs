//! What is looked at: a server with a large project, an issue that was talked about, a pull request with a record and
//! reviews; and stock's copy of the same history, packed and with a commit-graph as well as git can.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git::store::Objects as _;
use notes_schema::Oid;

use super::history::{self, Size};
use crate::bench::capture;
use crate::bench::error::{BenchError, io, unusable};
use crate::bench::ours::{Agent, Ours};
use crate::bench::record;
use crate::bench::repository;
use crate::bench::stock::{self, git};

/// The project.
pub(super) const PROJECT: &str = "large";
/// Files of these sizes are looked at, in bytes.
const SIZES: std::ops::RangeInclusive<u64> = 200..=512 << 10;
/// Of so many of the newest commits it is counted which files they change.
const COUNTED: &str = "3000";
/// What is said on the issue and on the open pull request.
const SAID: usize = 20;
/// Files that a pull request changes, and how many places of each.
const CHANGED: usize = 4;
const PLACES: usize = 3;
/// How long the server gets to write a commit-graph of so much history.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What is looked at.
pub(super) struct Ground {
    pub ours: Ours,
    /// Stock's copy.
    pub source: PathBuf,
    /// What the default branch names on both sides.
    pub tip: String,
    /// Pages with their paths.
    pub pages: Vec<(&'static str, String)>,
    pub targets: Targets,
}

/// What the measured pages are about, one for each round and one to warm up with.
pub(super) struct Targets {
    /// Files that change most.
    pub hot: Vec<String>,
    /// Files from all over the tree.
    pub some: Vec<String>,
    pub commits: Vec<String>,
    /// What is compared with what.
    pub ranges: Vec<(String, String)>,
    /// Words that stand in few files.
    pub texts: Vec<String>,
}

/// A file of the default branch.
#[derive(Debug, Clone)]
struct File {
    mode: String,
    path: String,
}

impl Ground {
    /// Makes it all in `dir`, from the repository `taken` or from one of `size`, with targets for `rounds`.
    pub fn prepare(dir: &Path, taken: Option<&Path>, size: Size, rounds: usize) -> Result<Ground, BenchError> {
        let (source, empty) = (dir.join("source.git"), dir.join("empty.git"));
        git(dir, &["init", "-q", "--bare", "-b", "main", &empty.to_string_lossy()])?;
        match taken {
            Some(taken) => {
                git(dir, &["clone", "-q", "--bare", &taken.to_string_lossy(), &source.to_string_lossy()])?;
                git(&source, &["update-ref", "refs/heads/main", "HEAD"])?;
            }
            None => {
                git(dir, &["init", "-q", "--bare", "-b", "main", &source.to_string_lossy()])?;
                history::make(&source, size).map_err(io("git fast-import"))?;
            }
        }
        let advertised = capture::advertisement(&source)?;
        let ours = Ours::start(&dir.join("data"))?;
        let (alpha, beta) = (ours.register("alpha", None)?, ours.register("beta", None)?);
        ours.project(&alpha, PROJECT, &source, &empty)?;
        let first = git(&source, &["rev-parse", "refs/heads/main"])?;
        let files = files(&source, &first)?;
        let mut work = Work { ours: &ours, source: &source, advertised, author: &alpha, judge: &beta, files: &files };
        let (landed, _) = work.pull(0)?;
        ours.act(&beta, &format!("merge {landed}"))?;
        let (open, head) = work.pull(1)?;
        for n in 0..SAID {
            let who = if n % 2 == 0 { &alpha } else { &beta };
            ours.act(
                who,
                &format!("reply {open} The reader *looks* at `node {n}`, and `leaf {n}` waits: see {landed}."),
            )?;
        }
        let (_, issue) = (&landed, format!("{PROJECT}/1"));
        for n in 0..SAID {
            let who = if n % 2 == 0 { &beta } else { &alpha };
            ours.act(who, &format!("reply {issue} It was seen {n} times, with `--threads {n}` and *without*."))?;
        }
        let url = format!("http://{}/{PROJECT}", ours.http);
        git(&source, &["fetch", "-q", &url, "+refs/heads/main:refs/heads/main"])?;
        git(&source, &["repack", "-a", "-d", "-q"])?;
        git(&source, &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"])?;
        let tip = git(&source, &["rev-parse", "refs/heads/main"])?;
        let targets = Targets::of(&source, &tip, &files, rounds + 1)?;
        settled(&ours, &tip)?;
        let numbers = (number(&open), head);
        let pages = pages(&targets, &numbers.0, &numbers.1);
        Ok(Ground { ours, source, tip, pages, targets })
    }
}

/// The number of an item.
fn number(reference: &str) -> String {
    reference.rsplit(['#', '/']).next().unwrap_or("").to_owned()
}

fn pages(targets: &Targets, pull: &str, head: &str) -> Vec<(&'static str, String)> {
    let (hot, some) = (&targets.hot[0], &targets.some[0]);
    let dir = some.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("/{dir}"));
    let (old, new) = &targets.ranges[0];
    vec![
        ("today", "/".to_owned()),
        ("project", format!("/{PROJECT}")),
        ("tree", format!("/{PROJECT}/tree{dir}")),
        ("blob", format!("/{PROJECT}/blob/{some}")),
        ("blame", format!("/{PROJECT}/blame/{hot}")),
        ("log", format!("/{PROJECT}/log")),
        ("log of a path", format!("/{PROJECT}/log/{hot}")),
        ("commit", format!("/{PROJECT}/commit/{}", targets.commits[0])),
        ("compare", format!("/{PROJECT}/compare/{old}...{new}")),
        ("issue", format!("/{PROJECT}/issues/1")),
        ("pull", format!("/{PROJECT}/pulls/{pull}")),
        ("trace", format!("/{PROJECT}/trace/{head}")),
        ("agent", "/agents/alpha".to_owned()),
        ("search", "/search?q=leaks".to_owned()),
        ("find", format!("/{PROJECT}/find?q={}", targets.texts[0])),
    ]
}

/// Waits until refs on disk and the commit-graph have followed, as they do a moment after a push.
fn settled(ours: &Ours, tip: &str) -> Result<(), BenchError> {
    let repository = ours.repository(PROJECT)?;
    repository.maintain().map_err(io("flushing refs"))?;
    let tip: Oid = tip.parse().map_err(|e| unusable("the tip", e))?;
    let began = Instant::now();
    while !repository.store().graph().is_some_and(|graph| graph.contains(tip)) {
        if began.elapsed() > PATIENCE {
            return Err(unusable("the commit-graph", "nothing for half an hour"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Plain files whose paths need no quotes anywhere.
fn files(source: &Path, tip: &str) -> Result<Vec<File>, BenchError> {
    let listed = git(source, &["ls-tree", "-r", "-l", tip])?;
    let plain = |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let found = listed.lines().filter_map(|line| {
        let (head, path) = line.split_once('\t')?;
        let mut words = head.split_whitespace();
        let (mode, size) = (words.next()?, words.nth(2)?.parse::<u64>().ok()?);
        (mode.starts_with("100") && SIZES.contains(&size) && plain(path))
            .then(|| File { mode: mode.to_owned(), path: path.to_owned() })
    });
    let found: Vec<File> = found.collect();
    match found.len() {
        0..=9 => Err(unusable("the repository", format!("{} plain files of a usual size: too few", found.len()))),
        _ => Ok(found),
    }
}

/// `n` of `all`, from everywhere.
fn spread<T: Clone>(all: &[T], n: usize) -> Vec<T> {
    (0..n).map(|at| all[(at * all.len() / n + all.len() / (2 * n)) % all.len()].clone()).collect()
}

impl Targets {
    fn of(source: &Path, tip: &str, files: &[File], n: usize) -> Result<Targets, BenchError> {
        let changed = git(source, &["log", "-n", COUNTED, "--no-merges", "--format=", "--name-only", tip])?;
        let mut times: HashMap<&str, usize> = HashMap::new();
        changed.lines().for_each(|path| *times.entry(path).or_default() += 1);
        let mut hot: Vec<&File> = files.iter().collect();
        hot.sort_by_key(|file| std::cmp::Reverse(times.get(file.path.as_str()).copied().unwrap_or(0)));
        let hot: Vec<String> = hot.iter().cycle().take(n).map(|file| file.path.clone()).collect();
        let some: Vec<String> = spread(files, n).into_iter().map(|file| file.path).collect();
        let listed = git(source, &["log", "-n", COUNTED, "--no-merges", "--format=%H", tip])?;
        let all: Vec<String> = listed.lines().map(str::to_owned).collect();
        let commits = spread(&all, n);
        let ranges = (0..n).map(|at| {
            let new = at * all.len() / (2 * n);
            (all[(new + 15).min(all.len() - 1)].clone(), all[new].clone())
        });
        let ranges = ranges.collect();
        let mut texts = Vec::new();
        for path in &some {
            let text = git(source, &["cat-file", "blob", &format!("{tip}:{path}")])?;
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.len() <= 40);
            texts.push(words.max_by_key(|word| word.len()).unwrap_or("x").to_owned());
        }
        Ok(Targets { hot, some, commits, ranges, texts })
    }
}

/// Pull requests, from the issue to the review.
struct Work<'g> {
    ours: &'g Ours,
    source: &'g Path,
    advertised: Vec<u8>,
    author: &'g Agent,
    judge: &'g Agent,
    files: &'g [File],
}

impl Work<'_> {
    /// The `n`th: its reference as commands take it, and its head.
    fn pull(&mut self, n: usize) -> Result<(String, String), BenchError> {
        let (ours, author) = (self.ours, self.author);
        let title = "It leaks a node for each leaf that the reader drops";
        let issue = self.said(self.judge, &format!("issue new {PROJECT} --title '{title} ({n})'"), "ref")?;
        let number = number(&issue);
        let issue = format!("{PROJECT}/{number}");
        let started = ours.act(author, &format!("start {issue}"))?;
        let word = |key: &str| started[key].as_str().map(str::to_owned).ok_or_else(|| unusable("start", &started));
        let (nonce, branch, base) = (word("nonce")?, word("branch")?, word("base")?);
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
        let made = format!("refs/heads/w/{n}");
        self.change(&made, &base, n)?;
        let head = git(self.source, &["rev-parse", &made])?;
        let tree = git(self.source, &["rev-parse", &format!("{made}^{{tree}}")])?;
        let id = format!("pages-{n:05}");
        let number: u64 = number.parse().map_err(|e| unusable("issue new", e))?;
        let of =
            record::Of { id: &id, project: PROJECT, issue: number, agent: &author.name, nonce: &nonce, tree: &tree };
        let held = format!("refs/notes/forge/out/{id}");
        repository::single_file(self.source, &held, "record", &record::passing(&of, 12, 3)?)
            .map_err(io("git fast-import"))?;
        let refs =
            [(made, format!("refs/heads/{branch}")), (held, format!("refs/notes/forge/in/{}/{id}", author.name))];
        let push = capture::push_all(self.source, &self.advertised, &refs)?;
        ours.push(&mut ours.connect()?, author, PROJECT, &push)?;
        let pull = self.said(author, &format!("submit {branch} --project {PROJECT} --issue {issue}"), "ref")?;
        let pull = pull.replace('#', "/");
        ours.act(self.judge, &format!("review approve {pull} It reads well, and the leak is gone."))?;
        Ok((pull, head))
    }

    /// One word of what a command answers.
    fn said(&self, by: &Agent, line: &str, key: &str) -> Result<String, BenchError> {
        let answer = self.ours.act(by, line)?;
        answer[key].as_str().map(str::to_owned).ok_or_else(|| unusable(line, &answer))
    }

    /// A commit on `base` that writes some lines of some files anew.
    fn change(&self, name: &str, base: &str, n: usize) -> Result<(), BenchError> {
        let mut changed = Vec::new();
        for file in spread(self.files, 2 * CHANGED).into_iter().skip(n).step_by(2).take(CHANGED) {
            let text = stock::replay(
                stock::command(self.source, &["cat-file", "blob", &format!("{base}:{}", file.path)]),
                b"",
            )?;
            let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
            let step = (lines.len() / PLACES).max(1);
            let mut new = Vec::new();
            for (at, line) in lines.iter().enumerate() {
                match at % step {
                    0..=7 => writeln!(new, "    reader.drop(leaf, {at}); // line {at} of {n}").map_err(io("memory"))?,
                    _ => new.extend_from_slice(line),
                }
            }
            changed.push((file, new));
        }
        repository::import(self.source, |out| {
            let message = "Drop the node with its leaf\n\nThe reader kept one for each.\n";
            writeln!(out, "commit {name}\ncommitter Alpha <alpha@example.org> 1790000000 +0000")?;
            writeln!(out, "data {}\n{message}from {base}", message.len())?;
            for (file, new) in &changed {
                write!(out, "M {} inline {}\ndata {}\n", file.mode, file.path, new.len())?;
                out.write_all(new)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
        .map_err(io("git fast-import"))
    }
}
