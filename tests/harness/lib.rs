//! Runs the real thing: `forge serve` in a process of its own, and agents with nothing but `git`, `ssh` and `curl`.
//!
//! Invariant: nothing in here reaches into the server; whatever a test learns, it learns as an agent, a mirror or an
//! operator would.

pub mod agent;
#[path = "../../forge/src/bench/fate.rs"]
pub mod fate;
pub mod flow;
pub mod load;
pub mod memory;
pub mod out;
pub mod plumbing;
pub mod raw;
#[path = "../../forge/src/bench/repository.rs"]
pub mod repository;
pub mod server;

pub use agent::Agent;
pub use out::Out;
pub use server::Forge;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The `forge` program built from this tree. Built again first when the test runs under cargo, so that it is never a
/// stale one; `FORGE_BIN` names another.
pub fn forge_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(named) = std::env::var_os("FORGE_BIN") {
            return PathBuf::from(named);
        }
        let test = std::env::current_exe().expect("the test program has a path");
        let profile = test.parent().and_then(Path::parent).expect("tests are built in target/<profile>/deps");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--locked", "-p", "forge"]).current_dir(root());
            if profile.file_name().is_some_and(|name| name == "release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo runs").success(), "forge does not build");
        }
        let bin = profile.join("forge");
        assert!(bin.exists(), "{} is missing: cargo build -p forge", bin.display());
        bin
    })
}

/// The top of this project's checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// A `forge` command that is no server: `verify`, `ratings replay`, `fault-points`.
pub fn tool(args: &[&str]) -> Out {
    let mut command = out::limited(forge_bin());
    command.args(args).env_remove("FORGE_FAILPOINT");
    out::run(&mut command, None)
}

/// Waits for what a server does by itself.
///
/// # Panics
/// Where it does not come about within two minutes.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(120), "it did not come about: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Small deterministic randomness for loads and kill times (xorshift64*): a failing run names its seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice from a seed; the same seed rolls the same numbers.
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The seed in `FORGE_SEED`, or one from the clock. A test prints it, so that its run can be repeated.
    pub fn seed() -> u64 {
        std::env::var("FORGE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
        })
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}
