//! Named points of the write path at which a test may end the process, as a power cut would.
//!
//! `FORGE_FAILPOINT=<name>` or `<name>:<k>` aborts at the first or k-th passage; unset, a point costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
    "merge-before-delete",
    "merge-after-delete",
    "recovery-synced",
    "recovery-indexed",
];

struct Armed {
    name: String,
    passages_left: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED
        .get_or_init(|| {
            let value = std::env::var("FORGE_FAILPOINT").ok()?;
            let (name, count) = value.split_once(':').unwrap_or((&value, "1"));
            Some(Armed { name: name.to_owned(), passages_left: AtomicU64::new(count.parse().unwrap_or(1)) })
        })
        .as_ref()
}

/// Passes the point called `name`; ends the process there when it is armed.
pub fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not listed");
    if let Some(armed) = armed()
        && armed.name == name
        && armed.passages_left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}
