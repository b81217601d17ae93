//! A repository as those are that people and agents have worked in for years: many files, a few of which change all the time;
//! lines of different ages; side branches that were merged; files that were renamed.
//!
//! Invariant: the same size gives the same objects everywhere.

use std::io::{self, Write};
use std::path::Path;

use crate::bench::repository::{import, noise};

/// How much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Files of the default branch.
    pub files: u64,
    /// Commits, merges included.
    pub commits: u64,
}

/// Time of the first commit, seconds since 1970; each commit is some minutes later.
const BEGAN: u64 = 1_500_000_000;
/// One commit of so many is a merge, and one of so many renames a file.
const MERGE: u64 = 12;
const RENAME: u64 = 400;
/// Most lines that one edit of a file writes.
const EDIT: u64 = 5;

const WORDS: [&str; 32] = [
    "leaf", "node", "batch", "ledger", "parse", "token", "index", "branch", "merge", "proof", "score", "queue",
    "reader", "writer", "offset", "length", "buffer", "state", "event", "agent", "review", "object", "entry", "chain",
    "graph", "filter", "budget", "answer", "record", "window", "cursor", "digest",
];
const PEOPLE: [&str; 8] = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta"];

/// One file: where it is, and the number that each of its lines follows from.
struct File {
    path: String,
    lines: Vec<u64>,
}

impl File {
    fn first(n: u64, files: u64) -> File {
        // The hot ones are the long ones.
        let long = if n < files / 100 { 200 + noise(n + 7) % 600 } else { 20 + noise(n + 7) % 80 };
        File { path: path(n), lines: (0..long).map(|line| noise(n << 20 | line)).collect() }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| text_of(*line)).collect()
    }

    /// Writes a few lines next to each other anew, and now and then adds or drops some.
    fn edit(&mut self, chance: u64) {
        let at = (chance >> 8) as usize % self.lines.len();
        let many = (1 + chance % EDIT) as usize;
        let drop = many.min(self.lines.len() - at);
        let put = match chance >> 40 & 7 {
            0 => many + 2,
            1 if self.lines.len() > 30 => 0,
            _ => drop,
        };
        self.lines.splice(at..at + drop, (0..put as u64).map(|line| noise(chance ^ line << 3)));
    }
}

/// Where the `n`th file is at first.
fn path(n: u64) -> String {
    format!("crates/area-{:02}/src/module_{:03}/{}_{}.rs", n % 20, n / 20 % 125, word(noise(n)), n / 2500)
}

fn word(n: u64) -> &'static str {
    WORDS[(n >> 17) as usize % WORDS.len()]
}

/// The line that follows from a number.
fn text_of(n: u64) -> String {
    let (a, b, c) = (word(n), word(n >> 5), word(n >> 10));
    match n % 7 {
        0 => format!("    let {a}_{b} = {c}.{b}({})?;\n", n % 1000),
        1 => format!("    if {a}.len() > {} {{ return Err(Error::{b}(\"{c}\")); }}\n", n % 500),
        2 => format!("    // The {a} of a {b} is its {c}, whatever the {a}s before it were.\n"),
        3 => "}\n\n".to_owned(),
        4 => format!("fn {a}_{b}(&self, {c}: usize) -> Result<(), Error> {{\n"),
        5 => format!("    self.{a}.{b}({:#x}, &{c});\n", n % 0xffff),
        _ => format!("    assert_eq!({a}_{b}, \"{c} {:016x}\");\n", n),
    }
}

struct Stream<'w> {
    out: &'w mut dyn Write,
    files: Vec<File>,
    clock: u64,
}

impl Stream<'_> {
    fn commit(&mut self, name: &str, from: Option<&str>, message: &str) -> io::Result<()> {
        self.clock += 60 + noise(self.clock) % 3600;
        let who = PEOPLE[(noise(self.clock) >> 9) as usize % PEOPLE.len()];
        let when = BEGAN + self.clock;
        writeln!(self.out, "commit {name}\ncommitter {who} <{}@example.org> {when} +0000", who.to_lowercase())?;
        writeln!(self.out, "data {}\n{message}", message.len())?;
        from.map_or(Ok(()), |from| writeln!(self.out, "{from}"))
    }

    fn put(&mut self, n: u64) -> io::Result<()> {
        let file = &self.files[n as usize];
        let text = file.text();
        write!(self.out, "M 100644 inline {}\ndata {}\n{text}\n", file.path, text.len())
    }

    fn edit(&mut self, n: u64, chance: u64) -> io::Result<()> {
        self.files[n as usize].edit(chance);
        self.put(n)
    }

    fn rename(&mut self, n: u64, chance: u64) -> io::Result<()> {
        let file = &mut self.files[n as usize];
        let to = file.path.replace(".rs", "_next.rs");
        let from = std::mem::replace(&mut file.path, to);
        writeln!(self.out, "D {from}")?;
        self.edit(n, chance)
    }
}

/// Of many files the first ones are picked far more often than the others.
fn pick(chance: u64, files: u64) -> u64 {
    let part = (chance >> 11) as f64 / (1u64 << 53) as f64;
    ((files as f64 * part.powi(3)) as u64).min(files - 1)
}

/// Makes the branch `main` of the repository in `git_dir`.
pub(super) fn make(git_dir: &Path, size: Size) -> io::Result<()> {
    const MAIN: &str = "refs/heads/main";
    import(git_dir, |out| {
        let files: Vec<File> = (0..size.files).map(|n| File::first(n, size.files)).collect();
        let mut stream = Stream { out, files, clock: 0 };
        stream.commit(MAIN, None, "Begin\n")?;
        let readme = "# A large project\n\nMany files, a long history.\n\n- `crates/` holds the code\n";
        writeln!(stream.out, "M 100644 inline README.md\ndata {}\n{readme}", readme.len())?;
        for n in 0..size.files {
            stream.put(n)?;
        }
        let mut at = 1;
        while at < size.commits {
            let chance = noise(at);
            let n = pick(chance, size.files);
            let message = format!("Mend the {} of the {}\n\nIt was {at} by then.\n", word(chance), word(chance >> 7));
            if at % MERGE == 0 && at + 2 < size.commits {
                let other = pick(noise(chance), size.files);
                stream.commit("refs/heads/side", Some(&format!("from {MAIN}^0")), &message)?;
                stream.edit(other, noise(at + 1))?;
                stream.commit(MAIN, Some(&format!("from {MAIN}^0")), "Go on meanwhile\n")?;
                stream.edit(if n == other { (n + 1) % size.files } else { n }, chance)?;
                stream.commit(MAIN, Some("merge refs/heads/side^0"), &format!("Merge the {}\n", word(chance)))?;
                stream.put(other)?;
                at += 3;
                continue;
            }
            stream.commit(MAIN, None, &message)?;
            match at % RENAME {
                1 => stream.rename(n, chance)?,
                _ => stream.edit(n, chance)?,
            }
            for near in 1..=chance % 3 {
                stream.edit((n + near * 2500) % size.files, noise(chance + near))?;
            }
            at += 1;
        }
        writeln!(stream.out, "reset refs/heads/side\nfrom {}\n", "0".repeat(40))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stock::git;

    #[test]
    fn it_has_its_size_merges_and_renames_and_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "--bare", "-b", "main", "."]).unwrap();
        make(dir.path(), Size { files: 60, commits: 500 }).unwrap();
        let said = |args: &[&str]| git(dir.path(), args).unwrap();
        assert_eq!(said(&["rev-list", "--count", "main"]), "500");
        assert_eq!(said(&["ls-tree", "-r", "--name-only", "main"]).lines().count(), 61);
        assert!(said(&["rev-list", "--count", "--merges", "main"]).parse::<u64>().unwrap() > 30);
        assert!(said(&["log", "--format=", "--name-status", "-M", "main"]).lines().any(|line| line.starts_with('R')));
        assert_eq!(said(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
        assert_eq!(said(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    }
}
