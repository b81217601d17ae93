//! `forge bench pages`: what a first look at each page costs, and how long pages of code take beside plain git.
//!
//! Invariant: a page over its budget of requests or bytes is a fault, and the run then ends with an error.

mod ground;
mod history;
mod look;
mod rows;

use std::fs::File;
use std::path::PathBuf;

use serde::Serialize;

use super::error::{BenchError, io};
use super::machine;
use super::report::{Report, columns, show};
use super::timing::{median, milliseconds};
use ground::Ground;
use history::Size;
use look::Look;

/// Most requests of a first look, at whichever page.
const MOST_REQUESTS: usize = 2;
/// Most bytes of a first look at an issue or a pull request.
const MOST_BYTES: usize = 30 << 10;
/// The pages that this is asked of.
const LIGHT: [&str; 2] = ["issue", "pull"];

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// Of how many rounds a number is the median.
    pub rounds: usize,
    /// The repository that is served; made where none is named.
    pub repository: Option<PathBuf>,
    /// Files of the one that is made.
    pub files: u64,
    /// Commits of it.
    pub commits: u64,
    /// Tiny sizes, for tests of the measurement itself.
    pub quick: bool,
    /// Where it works.
    pub dir: PathBuf,
}

/// A first look, and what the next ones took.
#[derive(Debug, Serialize)]
struct Looked {
    #[serde(flatten)]
    look: Look,
    /// Milliseconds, asked again by somebody who has nothing.
    again_ms: f64,
    /// Milliseconds, asked by a browser that has it, which is told so.
    unchanged_ms: f64,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct PagesReport {
    /// First looks, one for each page.
    looks: Vec<Looked>,
    /// What is over its budget.
    faults: Vec<String>,
    #[serde(flatten)]
    report: Report,
}

/// Measures. `log` gets a file for what the server logs meanwhile, `say` a line now and then.
pub fn run(options: &Options, log: &dyn Fn(File), say: &dyn Fn(&str)) -> Result<PagesReport, BenchError> {
    let scratch = tempfile::Builder::new().prefix("forge-bench-").tempdir_in(&options.dir);
    let scratch = scratch.map_err(io(options.dir.display()))?;
    log(File::create(scratch.path().join("server.log")).map_err(io("a log file"))?);
    let machine = machine::describe(scratch.path());
    say("making a repository and a server");
    let size = Size { files: options.files, commits: options.commits };
    let ground = Ground::prepare(scratch.path(), options.repository.as_deref(), size, options.rounds)?;
    say("first looks");
    let looks = ground.pages.iter().map(|(page, path)| looked(&ground, page, path, options.rounds));
    let looks: Vec<Looked> = looks.collect::<Result<_, _>>()?;
    let rows = rows::rows(&ground, options.rounds, say)?;
    let report = Report { rows, machine, rounds: options.rounds, quick: options.quick };
    Ok(PagesReport { faults: looks.iter().flat_map(|looked| faults(&looked.look)).collect(), looks, report })
}

fn looked(ground: &Ground, page: &str, path: &str, rounds: usize) -> Result<Looked, BenchError> {
    let mut client = ground.ours.connect()?;
    let look = look::look(&mut client, page, path)?;
    let (mut again, mut unchanged) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, answer) = milliseconds(|| look::get(&mut client, path))?;
        again.push(took);
        unchanged.push(look::known(&mut client, path, answer.tag.as_deref().unwrap_or(""))?);
    }
    Ok(Looked { look, again_ms: median(again), unchanged_ms: median(unchanged) })
}

fn faults(look: &Look) -> Vec<String> {
    let mut faults = Vec::new();
    if look.requests > MOST_REQUESTS {
        faults.push(format!("{}: {} requests, more than {MOST_REQUESTS}", look.page, look.requests));
    }
    if LIGHT.contains(&look.page.as_str()) && look.bytes > MOST_BYTES {
        faults.push(format!("{}: {} bytes, more than {MOST_BYTES}", look.page, look.bytes));
    }
    faults
}

impl PagesReport {
    /// Whether every page keeps to its budget.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// The tables, for people.
    pub fn table(&self) -> String {
        let head = ["page", "requests", "transfer", "text", "first", "again", "unchanged"].map(str::to_owned).to_vec();
        let kib = |bytes: usize| format!("{:.1} KiB", bytes as f64 / 1024.0);
        let ms = |took: f64| format!("{} ms", show(took));
        let rows = self.looks.iter().map(|Looked { look, again_ms, unchanged_ms }| {
            let (first, again, unchanged) = (ms(look.first_ms), ms(*again_ms), ms(*unchanged_ms));
            let (bytes, text) = (kib(look.bytes), kib(look.text));
            vec![look.page.clone(), look.requests.to_string(), bytes, text, first, again, unchanged]
        });
        let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let mut text = columns(&all, &[0]) + "\n" + &self.report.table();
        for fault in &self.faults {
            text.push_str(&format!("over its budget: {fault}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(page: &str, requests: usize, bytes: usize) -> Look {
        Look { page: page.to_owned(), path: "/".to_owned(), requests, bytes, text: bytes, first_ms: 1.0 }
    }

    #[test]
    fn a_page_over_its_budget_is_a_fault() {
        assert!(faults(&look("issue", 2, MOST_BYTES)).is_empty());
        assert_eq!(faults(&look("issue", 3, MOST_BYTES + 1)).len(), 2);
        assert!(faults(&look("blame", 2, MOST_BYTES * 10)).is_empty());
        assert_eq!(faults(&look("blame", 3, 1)), ["blame: 3 requests, more than 2"]);
    }
}
