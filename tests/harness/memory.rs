//! How much memory the server takes while something happens, as the system counts it.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What one story's server may hold at once, by the caps in `docs/limits.md`: the largest push, what is made of its patches,
/// one diff, one batch and what is remembered of others, the index's writer and what waits for it. How often each counts.
const HELD: &[(u64, &str)] = &[
    // The object, what it rests on, and the two together.
    (3, "one object of a push"),
    // Raw and inflated.
    (2, "pack that is taken and judged in memory, raw and inflated; a larger one on disk"),
    (1, "bases held in memory while their deltas are applied"),
    (1, "resolved objects kept to resolve their neighbours"),
    (1, "objects made by patches that are held for one push"),
    (1, "bytes of files compared for one diff"),
    (1, "bytes of objects after which a batch takes no more parts"),
    (1, "objects of batches that are remembered before refs are flushed"),
    (1, "memory of the index's writer"),
    (1, "bytes of items that wait to be indexed"),
];
/// The program itself with its threads and buffers of connections, in MiB: what no cap of a single thing bounds.
const ITSELF: u64 = 192;

/// The most memory that a story's server may take, in MiB.
pub fn ceiling() -> u64 {
    static CEILING: OnceLock<u64> = OnceLock::new();
    *CEILING.get_or_init(|| {
        let text = fs::read_to_string(crate::root().join("docs/limits.md")).expect("docs/limits.md");
        ITSELF + HELD.iter().map(|(times, what)| times * bytes_of(&text, what)).sum::<u64>() / (1 << 20)
    })
}

/// The amount in the row of `what`, in bytes.
#[track_caller]
fn bytes_of(limits: &str, what: &str) -> u64 {
    let row = limits.lines().find_map(|line| line.strip_prefix(&format!("| {what} | ")));
    let row = row.unwrap_or_else(|| panic!("docs/limits.md has no row for {what}"));
    let (number, unit) = row.split_once(' ').expect("an amount with its unit");
    let number: u64 = number.replace(',', "").parse().expect("a number");
    let unit: String = unit.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    match unit.as_str() {
        "bytes" => number,
        "KiB" => number << 10,
        "MiB" => number << 20,
        other => panic!("docs/limits.md: {what} in {other}"),
    }
}

/// The most that a process ever held, in MiB, mapped files included; `None` where it runs no more.
pub fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Bytes of all files below a directory, as far as they are there.
pub fn files_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => files_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

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
