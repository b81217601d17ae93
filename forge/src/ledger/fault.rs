//! Named points of the write path at which a test may end the process, as a power cut would.
//!
//! `FORGE_FAILPOINT=<name>` or `<name>:<k>` aborts at the first or k-th passage; with `FORGE_POWER_LOSS=<seed>` what was
//! not synced is forgotten first. What else can go wrong with a disk is told to [`git::disk`].
//!
//! All of it is compiled into builds with debug assertions alone: in a release build a point is nothing, and a server that
//! is told to fail there does not start. A switch in the program that people run would be one more way to lose what they
//! were promised, whoever sets it.

/// Every point, in the order in which a write passes them.
pub const POINTS: &[&str] = &[
    "push-quarantined",
    "code-pack-landed",
    "batch-built",
    "batch-written",
    "batch-indexed",
    "batch-renamed",
    "batch-durable",
    "batch-published",
    "outbox-before-settling",
    "outbox-settled",
    "flush-before-refs",
    "flush-after-refs",
    "merge-before-rename",
    "merge-renamed",
    "merge-before-delete",
    "merge-after-delete",
    "collect-before-rename",
    "collect-renamed",
    "collect-listed",
    "collect-removed",
    "collect-durable",
    "checkpoint-before-rename",
    "checkpoint-renamed",
    "doubt-before-rewrite",
    "doubt-rewritten",
    "recovery-swept",
    "recovery-indexed",
    "recovery-synced",
    "redaction-built",
    "redaction-declared",
    "redaction-set-aside",
    "redaction-swapped",
    "redaction-ended",
];

/// What makes a debug build fail on purpose, or believe another time.
const VARIABLES: [&str; 4] = ["FORGE_FAILPOINT", "FORGE_DISK_FAULTS", "FORGE_POWER_LOSS", "FORGE_CLOCK_AHEAD"];

/// The variable that asks this process to fail on purpose, where it is a build that cannot.
pub fn asked_in_vain() -> Option<&'static str> {
    VARIABLES.into_iter().find(|name| !cfg!(debug_assertions) && std::env::var_os(name).is_some())
}

/// Passes the point called `name`; ends the process there when it is armed.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// Passes the point called `name`; ends the process there when it is armed.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Armed {
        name: String,
        passages_left: AtomicU64,
    }
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = || {
        let value = std::env::var("FORGE_FAILPOINT").ok()?;
        let (name, count) = value.split_once(':').unwrap_or((&value, "1"));
        Some(Armed { name: name.to_owned(), passages_left: AtomicU64::new(count.parse().unwrap_or(1)) })
    };
    assert!(POINTS.contains(&name), "{name} is not listed");
    if let Some(armed) = ARMED.get_or_init(armed)
        && armed.name == name
        && armed.passages_left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        git::disk::faults::cut();
    }
}
