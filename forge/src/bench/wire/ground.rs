//! What all rows stand on: a source of commits, a server of ours with projects, and stock's copies of the same history.

use std::path::{Path, PathBuf};

use super::super::capture::{self, PushRequest};
use super::super::error::{BenchError, io};
use super::super::ours::{Agent, Ours};
use super::super::repository::{self, Shape};
use super::super::stock::{self, Stock};
use super::Sizes;

/// The project that is cloned and pushed to, without any metadata.
pub const PLAIN: &str = "plain";
/// The project with few closed issues.
pub const FEW: &str = "few";
/// The project with many.
pub const MANY: &str = "many";

/// What all rows stand on.
pub struct Ground {
    /// How much of everything.
    pub sizes: Sizes,
    /// The directory of it all.
    pub dir: PathBuf,
    /// Where commits are made.
    pub source: PathBuf,
    /// Our server.
    pub ours: Ours,
    /// One agent per pusher and writer.
    pub agents: Vec<Agent>,
    /// Stock's copy.
    pub stock: Stock,
    /// An empty repository of stock's, for its advertisement.
    pub empty: PathBuf,
    /// Another with as many refs as [`MANY`] has closed issues; made when it is first needed.
    stock_many: Option<Stock>,
    seeded: bool,
    next: u64,
}

impl Ground {
    /// Makes the repositories and starts the server.
    pub fn prepare(dir: &Path, sizes: Sizes) -> Result<Ground, BenchError> {
        let (source, empty) = (dir.join("source.git"), dir.join("empty.git"));
        for bare in [&source, &empty] {
            stock::git(dir, &["init", "-q", "--bare", "-b", "main", &bare.to_string_lossy()])?;
        }
        let shape = Shape { commits: sizes.commits, files: sizes.files, blobs: 0, blob_bytes: 0 };
        repository::make(&source, &shape).map_err(io("git fast-import"))?;
        // As people's clones are packed, so that pushes find deltas as cheaply as theirs do.
        stock::git(&source, &["gc", "-q"])?;
        let stock = Stock::copy(&source, &dir.join("stock.git"), &["refs/heads/main"])?;
        let ours = Ours::start(&dir.join("data"))?;
        let agents: Result<Vec<Agent>, BenchError> =
            (0..sizes.pushers).map(|n| ours.register(&format!("agent-{n}"), None)).collect();
        let agents = agents?;
        ours.project(&agents[0], PLAIN, &source, &empty)?;
        Ok(Ground {
            sizes,
            dir: dir.to_owned(),
            source,
            ours,
            agents,
            stock,
            empty,
            stock_many: None,
            seeded: false,
            next: 0,
        })
    }

    /// Makes the projects with closed issues, once.
    pub fn seed(&mut self) -> Result<(), BenchError> {
        if std::mem::replace(&mut self.seeded, true) {
            return Ok(());
        }
        for (project, count) in [(FEW, self.sizes.few), (MANY, self.sizes.many)] {
            self.ours.project(&self.agents[0], project, &self.source, &self.empty)?;
            self.ours.closed_issues(project, &self.agents[0], count)?;
        }
        Ok(())
    }

    /// Stock's copy with many refs, once.
    pub fn stock_many(&mut self) -> Result<Stock, BenchError> {
        if let Some(made) = &self.stock_many {
            return Ok(made.clone());
        }
        let made = Stock::copy(&self.source, &self.dir.join("stock-many.git"), &["refs/heads/main"])?;
        repository::metadata_refs(&made.dir, self.sizes.many).map_err(io("many refs"))?;
        Ok(self.stock_many.insert(made).clone())
    }

    /// Pushes of one new commit each, from `main`, to new branches: push `n` is by agent `n % pushers`.
    pub fn pushes(&mut self, count: usize) -> Result<Vec<PushRequest>, BenchError> {
        let first = self.next;
        self.next += count as u64;
        repository::branches(&self.source, self.sizes.files, "refs/heads/p/", first..self.next, 1)
            .map_err(io("git fast-import"))?;
        let advertised = capture::advertisement(&self.stock.dir)?;
        let make = |n: usize| {
            let number = first + n as u64;
            let name = format!("refs/heads/{}/step-{number}", self.pusher(n).name);
            capture::push(&self.source, &advertised, &format!("refs/heads/p/{number}"), &name)
        };
        // Two at a time: most of the waiting is for processes.
        let (left, right) = std::thread::scope(|scope| {
            let odd = scope.spawn(|| (1..count).step_by(2).map(make).collect::<Result<Vec<_>, _>>());
            let even = (0..count).step_by(2).map(make).collect::<Result<Vec<_>, _>>();
            (even, odd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (mut even, mut odd) = (left?.into_iter(), right?.into_iter());
        Ok((0..count).filter_map(|n| if n % 2 == 0 { even.next() } else { odd.next() }).collect())
    }

    /// Who makes push `n` of [`Ground::pushes`].
    pub fn pusher(&self, n: usize) -> &Agent {
        &self.agents[n % self.agents.len()]
    }

    /// Lands a small push on both sides, so that neither serves what it prepared earlier.
    pub fn change_both(&mut self) -> Result<(), BenchError> {
        for push in self.pushes(1)? {
            self.ours.push(&mut self.ours.connect()?, &self.agents[0], PLAIN, &push)?;
            self.stock.push(&push.body, &push.name)?;
        }
        Ok(())
    }
}
