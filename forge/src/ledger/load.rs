//! How long a small write takes when a repository is large, and while its packs are merged. Measurements, not tests:
//! `cargo test -p forge ledger::load -- --ignored --nocapture`; `LOAD_ISSUES` says how many issues (default 100,000).

use std::time::{Duration, Instant};

use super::tests::{World, alpha, open_issue};
use notes_schema::event::IssueOpened;
use notes_schema::{EntityId, Oid};

use super::Repository;
use git::store::Objects as _;

fn fill(repository: &Repository, upto: u64) {
    while repository.snapshot().next_number <= upto {
        let count = 100.min(upto + 1 - repository.snapshot().next_number);
        let plan = move |draft: &mut super::Draft| {
            for _ in 0..count {
                let n = draft.number();
                let fact = IssueOpened { title: format!("issue {n}"), labels: vec![], lang: None, dedupe: None };
                draft.event(&alpha(), &EntityId::Issue(n), fact, Some("in words"), &[])?;
            }
            Ok(())
        };
        repository.commit(plan).unwrap();
        if repository.snapshot().number.is_multiple_of(64) {
            repository.maintain().unwrap();
        }
    }
    repository.maintain().unwrap();
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what}: n {} p50 {:?} p95 {:?} p99 {:?} max {:?}", times.len(), at(50), at(95), at(99), at(100));
}

fn timed<R>(count: usize, mut what: impl FnMut(usize) -> R) -> Vec<Duration> {
    let one = |n| {
        let start = Instant::now();
        let _ = what(n);
        start.elapsed()
    };
    (0..count).map(one).collect()
}

#[test]
#[ignore = "a measurement: cargo test -p forge ledger::load -- --ignored --nocapture"]
fn cost_of_one_write_as_issues_grow() {
    let most: u64 = std::env::var("LOAD_ISSUES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let world = World::new();
    let open = world.open();
    for size in [1000, most] {
        fill(&open.parser, size);
        show(&format!("{size} issues: write"), timed(100, |n| open_issue(&open.parser, &n.to_string())));
        show(
            &format!("{size} issues: flush alone"),
            timed(5, |n| {
                open_issue(&open.parser, &n.to_string());
                open.parser.flush().unwrap();
            }),
        );
        let snapshot = open.parser.snapshot();
        show(
            &format!("{size} issues: is_tip"),
            timed(100, |n| assert!(!snapshot.is_tip(Oid::from_bytes([n as u8; 20])))),
        );
        show(&format!("{size} issues: clone"), timed(100, |_| drop(super::Snapshot::clone(&snapshot))));
        show(
            &format!("{size} issues: a miss"),
            timed(100, |n| {
                assert!(!open.parser.store().contains(Oid::from_bytes([n as u8; 20])));
            }),
        );
        show(
            &format!("{size} issues: graph"),
            timed(1, |_| {
                open.parser.keep_graph(&|| true).unwrap();
                open.parser.keep_graph(&|| true).unwrap();
            }),
        );
    }
}

const WRITES: usize = 2000;

#[test]
#[ignore = "a measurement: cargo test -p forge ledger::load -- --ignored --nocapture"]
fn writes_while_packs_are_merged() {
    let world = World::new();
    let open = world.open();
    let most: u64 = std::env::var("LOAD_ISSUES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    fill(&open.parser, most / 2);
    let write = |n: usize| open_issue(&open.parser, &n.to_string());
    show("quiet", timed(WRITES, write));
    for merging in [false, true] {
        let done = std::sync::atomic::AtomicBool::new(false);
        let (writes, merges) = std::thread::scope(|scope| {
            let keeper = scope.spawn(|| {
                let mut merges = vec![Duration::ZERO];
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    open.parser.flush().unwrap();
                    if merging {
                        merges.extend(timed(1, |_| open.parser.merge_packs().unwrap()));
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
                merges
            });
            let writes = timed(WRITES, write);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            (writes, keeper.join().unwrap())
        });
        show(if merging { "with flushes and merges" } else { "with flushes" }, writes);
        show("merges", merges);
    }
}
