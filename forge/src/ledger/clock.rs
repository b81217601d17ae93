//! Time, as the forge is told it.
//!
//! In builds with debug assertions alone, `FORGE_CLOCK_AHEAD` names a file with a number of seconds by which the machine's
//! clock is taken to be slow, or fast where it is negative; it is read each time, so a test lets a day pass by writing it.

use std::sync::Arc;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| d.as_millis() as u64).saturating_add_signed(ahead_ms())
    })
}

#[cfg(not(debug_assertions))]
fn ahead_ms() -> i64 {
    0
}

#[cfg(debug_assertions)]
fn ahead_ms() -> i64 {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("FORGE_CLOCK_AHEAD"));
    let told = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    told.and_then(|seconds| seconds.trim().parse::<i64>().ok()).map_or(0, |seconds| seconds.saturating_mul(1000))
}
