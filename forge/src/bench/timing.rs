//! Clocks, medians, and many workers at once.

use std::sync::Barrier;
use std::time::Instant;

use super::error::BenchError;

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// How long `work` took, in milliseconds.
pub fn milliseconds<T>(work: impl FnOnce() -> Result<T, BenchError>) -> Result<(f64, T), BenchError> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed().as_secs_f64() * 1000.0, done))
}

/// Lets all workers begin at the same moment, each on its own state, and waits for the last: milliseconds.
pub fn together<S: Send>(
    workers: Vec<S>,
    work: impl Fn(usize, S) -> Result<(), BenchError> + Sync,
) -> Result<f64, BenchError> {
    let barrier = Barrier::new(workers.len() + 1);
    std::thread::scope(|scope| {
        let (barrier, work) = (&barrier, &work);
        let running: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(at, state)| {
                scope.spawn(move || {
                    barrier.wait();
                    work(at, state)
                })
            })
            .collect();
        barrier.wait();
        let began = Instant::now();
        for worker in running {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(began.elapsed().as_secs_f64() * 1000.0)
    })
}

/// Two things measured in turns: what one round of each gave.
#[derive(Debug, Default)]
pub struct Pair {
    ours: Vec<f64>,
    reference: Vec<f64>,
}

impl Pair {
    /// One round of each.
    pub fn add(&mut self, ours: f64, reference: f64) {
        self.ours.push(ours);
        self.reference.push(reference);
    }

    /// The medians.
    pub fn medians(self) -> (f64, f64) {
        (median(self.ours), median(self.reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn every_worker_works_and_a_failure_is_told() {
        let sum = std::sync::atomic::AtomicUsize::new(0);
        together(vec![1, 2, 3], |_, n| {
            sum.fetch_add(n, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 6);
        let failed = together(vec![(), ()], |at, ()| match at {
            0 => Ok(()),
            _ => Err(BenchError::Answer { what: "x".into(), answer: "y".into() }),
        });
        assert!(failed.is_err());
    }
}
