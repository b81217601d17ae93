//! Pushes while small packs are merged without a pause, against pushes while none are.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::capture::PushRequest;
use super::super::error::{BenchError, io};
use super::super::report::Row;
use super::super::timing::milliseconds;
use super::ground::{Ground, MANY};

/// A push may take half as long again while packs are merged; the longest no more than twice the longest without.
const P99: f64 = 1.0 / 1.5;
const LONGEST: f64 = 0.5;

/// The time below which 99 of 100 pushes were answered, and the longest.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    ground.seed()?;
    let count = ground.sizes.alone * 10;
    let (mut quiet, mut merging) = (Vec::new(), Vec::new());
    for _ in 0..ground.sizes.rounds {
        let pushes = ground.pushes(count)?;
        let repository = ground.ours.repository(MANY)?;
        let held = repository.hold_merging();
        quiet.extend(times(ground, &pushes)?);
        drop(held);
        let pushes = ground.pushes(count)?;
        let done = AtomicBool::new(false);
        merging.extend(std::thread::scope(|scope| {
            let merger = scope.spawn(|| {
                let mut merged = Ok(());
                while merged.is_ok() && !done.load(Ordering::Relaxed) {
                    merged = repository.maintain();
                }
                merged
            });
            let times = times(ground, &pushes);
            done.store(true, Ordering::Relaxed);
            merger.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(io("merging packs"))?;
            times
        })?);
    }
    let at = |times: &mut Vec<f64>, share: usize| {
        times.sort_by(f64::total_cmp);
        times[(times.len() * share / 100).min(times.len() - 1)]
    };
    let of = |what: &str| format!("push while packs are merged, {what} of {}", merging.len());
    let (p99, longest) = (of("99th percent"), of("longest"));
    let against = "itself while none are merged";
    Ok(vec![
        Row::cost(&p99, "ms", (at(&mut merging, 99), at(&mut quiet, 99)), against, P99),
        Row::cost(&longest, "ms", (at(&mut merging, 100), at(&mut quiet, 100)), against, LONGEST),
    ])
}

/// Milliseconds of each push, one after the other.
fn times(ground: &Ground, pushes: &[PushRequest]) -> Result<Vec<f64>, BenchError> {
    let mut client = ground.ours.connect()?;
    let one = |(n, push)| milliseconds(|| ground.ours.push(&mut client, ground.pusher(n), MANY, push));
    pushes.iter().enumerate().map(one).map(|timed| Ok(timed?.0)).collect()
}
