//! How long the rules of pushes take: `forge bench gate` takes it off a push to know what the same push costs without them.
//!
//! Invariant: two readings of a clock around a question, and nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds of this process so far.
static SPENT: AtomicU64 = AtomicU64::new(0);

/// Asks, and counts how long that took.
pub fn timed<T>(ask: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let answer = ask();
    SPENT.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    answer
}

/// How long this process has asked so far.
pub fn spent() -> Duration {
    Duration::from_nanos(SPENT.load(Ordering::Relaxed))
}
