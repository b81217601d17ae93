//! How much memory the server takes while something happens, as the system counts it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Highest values seen, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// Memory of its own: what only giving it back frees.
    pub anonymous: u64,
    /// All that is resident, pages of mapped packs included: the system takes those back when it needs them.
    pub resident: u64,
}

/// The process's memory now.
#[track_caller]
pub fn now(pid: u32) -> Peak {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process, on Linux");
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Peak { anonymous: value("RssAnon"), resident: value("VmRSS") }
}

/// Does `work`, and looks at the process's memory every few milliseconds meanwhile.
#[track_caller]
pub fn peak_during<T>(pid: u32, work: impl FnOnce() -> T) -> (Peak, T) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = Peak::default();
            while !done.load(Ordering::Acquire) {
                let seen = now(pid);
                peak.anonymous = peak.anonymous.max(seen.anonymous);
                peak.resident = peak.resident.max(seen.resident);
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        // Whatever becomes of the work, the watcher ends, or the scope would wait for it for ever.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Release);
        let peak = watching.join().expect("the process is there while it is watched");
        (peak, worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
