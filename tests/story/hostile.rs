//! Bad input at both doors of a running server: what each is answered, that nothing of it stays, and that nobody else pays.
//!
//! Invariant: every refusal is stated whole, as its client reads it. The tests of one process share a server while any of
//! them runs; an innocent agent reads the feed and pushes meanwhile, and its waits are printed when the server goes.

mod doors;
mod framing;
mod names;
mod objects;
mod packs;
mod plain;
mod records;
mod stalls;
mod wants;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::raw::Raw;
use tests::{Agent, Forge, flow, memory, plumbing};

/// A server under attack, and an innocent agent who has to live with it.
struct Siege {
    forge: Forge,
    mallory: Agent,
    projects: AtomicU64,
    over: Arc<AtomicBool>,
    innocent: Option<JoinHandle<Waits>>,
}

/// How long an innocent agent waited.
#[derive(Default)]
struct Waits {
    feeds: Vec<Duration>,
    pushes: Vec<Duration>,
}

/// The server of those tests that run at this moment.
fn siege() -> Arc<Siege> {
    static SHARED: Mutex<Weak<Siege>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let siege = shared.upgrade().unwrap_or_else(|| Arc::new(Siege::lay(&[])));
    *shared = Arc::downgrade(&siege);
    siege
}

impl Siege {
    fn lay(env: &[(&str, &str)]) -> Siege {
        let forge = Forge::start_with(env);
        let (mallory, innocent) = (forge.agent("mallory"), forge.agent("innocent"));
        let dir = flow::found_project(&innocent, "innocent", &[("README.md", "innocent\n")]);
        let (token, feed, over) = (innocent.token(""), forge.http_url("/feed"), Arc::new(AtomicBool::new(false)));
        let done = over.clone();
        let living = move || {
            let mut waits = Waits::default();
            while !done.load(Ordering::Relaxed) {
                waits.feeds.push(timed(|| {
                    let bearer = format!("Authorization: Bearer {token}");
                    let mut curl = innocent.command("curl");
                    curl.args(["-sSf", "--max-time", "120", "-o", "/dev/null", "-H", &bearer, &feed]);
                    tests::out::run(&mut curl, None).ok();
                }));
                let branch = format!("HEAD:refs/heads/innocent/{}", waits.pushes.len());
                innocent.git(&dir, &["commit", "-q", "--allow-empty", "-m", "Small"]).ok();
                waits.pushes.push(timed(|| drop(innocent.git(&dir, &["push", "-q", "origin", &branch]).ok())));
                std::thread::sleep(Duration::from_millis(200));
            }
            waits
        };
        let innocent = Some(std::thread::spawn(living));
        Siege { forge, mallory, projects: AtomicU64::new(0), over, innocent }
    }

    /// A project of mallory's own with one commit on `main`, its clone, and mallory at its doors.
    #[track_caller]
    fn project(&self) -> Target<'_> {
        let name = format!("target{}", self.projects.fetch_add(1, Ordering::Relaxed));
        let dir = flow::found_project(&self.mallory, &name, &[("README.md", "target\n")]);
        let main = self.mallory.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
        Target { raw: Raw::new(&self.forge, &self.mallory, &name), siege: self, name, dir, main }
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let waits = self.innocent.take().and_then(|thread| thread.join().ok());
        if std::thread::panicking() {
            return;
        }
        let waits = waits.expect("the innocent agent was served all the time");
        // Past the test's own capture, so that it can be read.
        let _ = writeln!(
            std::io::stderr(),
            "an innocent agent meanwhile: {} feeds ({}), {} pushes ({}); the server held {} MiB at most",
            waits.feeds.len(),
            spread(waits.feeds),
            waits.pushes.len(),
            spread(waits.pushes),
            self.forge.peak_memory(),
        );
    }
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn spread(mut waits: Vec<Duration>) -> String {
    waits.sort();
    match (waits.get(waits.len() / 2), waits.last()) {
        (Some(median), Some(most)) => format!("median {} ms, most {} ms", median.as_millis(), most.as_millis()),
        _ => "none".to_owned(),
    }
}

/// A repository that is attacked.
struct Target<'a> {
    siege: &'a Siege,
    raw: Raw<'a>,
    name: String,
    /// Mallory's clone.
    dir: std::path::PathBuf,
    /// The commit of the default branch.
    main: String,
}

/// What is in a repository, as a client and as an operator see it.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    refs: String,
    objects: u64,
    strangers: Vec<String>,
}

impl Target<'_> {
    /// What is there now.
    #[track_caller]
    fn inventory(&self) -> Inventory {
        let agent = &self.siege.mallory;
        let refs = agent.git(agent.home(), &["ls-remote", &agent.ssh_url(&self.name)]).ok().stdout;
        let repository = self.siege.forge.repository(&self.name);
        // The forge's own maintenance writes beside; what stays is what counts.
        let deadline = Instant::now() + Duration::from_secs(60);
        let look = || (strangers(&repository), plumbing::git(&repository, &["count-objects", "-v"]).ok().stdout);
        let (mut stayed, mut counted) = look();
        while (!stayed.is_empty() || !counted.contains("garbage: 0\n")) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            (stayed, counted) = look();
        }
        let count = |key: &str| {
            let line = counted.lines().find_map(|line| line.strip_prefix(key)).expect("git counts it");
            line.trim().parse::<u64>().expect("a number")
        };
        assert_eq!(count("garbage:"), 0, "{counted}");
        Inventory { refs, objects: count("count:") + count("in-pack:"), strangers: stayed }
    }

    /// Runs `attack`, after which everything must be as it was, and the server alive within its memory.
    #[track_caller]
    fn survives(&self, attack: impl FnOnce()) {
        let before = self.inventory();
        attack();
        let after = self.inventory();
        assert_eq!(after, before);
        assert_eq!(after.strangers, Vec::<String>::new());
        self.siege.forge_is_well();
    }
}

impl Siege {
    /// The server answers, and its memory stayed under the ceiling.
    #[track_caller]
    fn forge_is_well(&self) {
        assert_eq!(self.forge.get("/healthz").0, 200);
        let peak = self.forge.peak_memory();
        let ceiling = memory::ceiling();
        assert!(peak < ceiling, "the server held {peak} MiB, more than {ceiling}");
    }
}

/// What a push under way, or one that was given up, leaves behind.
fn strangers(repository: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for below in ["", "objects", "objects/pack"] {
        for entry in fs::read_dir(repository.join(below)).expect("a directory") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if ["tmp", "quarantine", "incoming"].iter().any(|prefix| name.starts_with(prefix)) {
                found.push(name);
            }
        }
    }
    found
}
