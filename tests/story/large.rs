//! A large repository through a real server: pushed, cloned, fetched and pushed to again, while the server's memory is
//! watched. The short version is part of every test run; `make large` runs the long one.

use tests::memory::{self, Peak};
use tests::repository::{self, Shape};
use tests::{Forge, plumbing};

const SHORT: Shape = Shape { commits: 5_000, files: 2_000, blobs: 32, blob_bytes: 5 << 20 };
const LONG: Shape = Shape { commits: 100_000, files: 50_000, blobs: 200, blob_bytes: 5 << 20 };

/// Memory of its own that the server may take beyond what it has when it idles, in KiB. A push of this shape works in some
/// 50 MiB and a clone in 30; they run on other threads, and the system's allocator keeps what a thread freed in that thread's
/// arena, so both may stand beside each other, and which threads they meet changes from run to run. Well below the 160 MiB of
/// bodies that pass through, so that one that is collected would be seen.
const CEILING: u64 = 112 << 10;

struct Watched<'a> {
    forge: &'a Forge,
    idle: Peak,
    seen: Vec<(&'static str, Peak)>,
}

impl Watched<'_> {
    fn watch(&mut self, what: &'static str, work: impl FnOnce()) {
        let began = std::time::Instant::now();
        let (peak, ()) = memory::peak_during(self.forge.pid(), work);
        eprintln!(
            "large: {what}: peak {} MiB of its own, {} MiB resident; {:.1} s",
            peak.anonymous >> 10,
            peak.resident >> 10,
            began.elapsed().as_secs_f64()
        );
        self.seen.push((what, peak));
    }
}

/// Returns what was seen, and what the server had when it idled.
fn pass_through(shape: &Shape) -> (Vec<(&'static str, Peak)>, Peak) {
    let limits = [
        ("FORGE_LIMIT_PACK_BYTES", "8589934592"),
        // Pushes above this go to disk while they arrive.
        ("FORGE_LIMIT_MEMORY_BYTES", "1048576"),
    ];
    let forge = Forge::start_with(&limits);
    let alpha = forge.agent("alpha");
    alpha.json("project new large");
    let source = forge.scratch().join("source.git");
    alpha.git(forge.scratch(), &["init", "-q", "--bare", "-b", "main", "source.git"]).ok();
    repository::make(&source, shape).unwrap();
    let idle = memory::now(forge.pid());
    eprintln!("large: {} commits, {} files: idle {} MiB of its own", shape.commits, shape.files, idle.anonymous >> 10);
    let mut watched = Watched { forge: &forge, idle, seen: Vec::new() };
    let (ssh, http) = (alpha.ssh_url("large"), forge.http_url("/large"));
    let clone = |url: &str, name: &str| drop(alpha.clone_into(url, name, &["--bare"]));
    watched.watch("first push", || drop(alpha.git(&source, &["push", "-q", &ssh, "main"]).ok()));
    watched.watch("clone over HTTP", || clone(&http, "by-http.git"));
    watched.watch("clone over SSH", || clone(&ssh, "by-ssh.git"));
    repository::branches(&source, shape.files, "refs/heads/alpha/step-", 0..1, 20).unwrap();
    watched.watch("push of 20 commits", || drop(alpha.git(&source, &["push", "-q", &ssh, "alpha/step-0"]).ok()));
    let copy = alpha.home().join("by-http.git");
    let step = "refs/heads/alpha/step-0";
    watched.watch("fetch of them", || drop(alpha.git(&copy, &["fetch", "-q", &http, &format!("{step}:{step}")]).ok()));
    let tip = |dir| plumbing::git(dir, &["rev-parse", step]).ok().text().to_owned();
    assert_eq!(tip(&copy), tip(&source));
    let count = |dir| plumbing::git(dir, &["rev-list", "--count", "--all"]).ok().text().to_owned();
    assert_eq!(count(&copy), (shape.commits + 20).to_string());
    let size = |dir| plumbing::git(dir, &["cat-file", "-s", "main:data/blob-0.bin"]).ok().text().to_owned();
    assert_eq!(size(&alpha.home().join("by-ssh.git")), shape.blob_bytes.to_string());
    (watched.seen, watched.idle)
}

#[test]
fn bodies_of_a_large_repository_are_never_collected_in_memory() {
    let shape = if std::env::var_os("FORGE_LARGE").is_some() { LONG } else { SHORT };
    let (seen, idle) = pass_through(&shape);
    if shape == SHORT {
        for (what, peak) in seen {
            let more = peak.anonymous.saturating_sub(idle.anonymous);
            assert!(more < CEILING, "{what}: {more} KiB more than when it idles, above the ceiling of {CEILING}");
        }
    }
}
