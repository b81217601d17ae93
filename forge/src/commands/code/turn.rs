//! Turns for what looks through much: blame, logs of a path, comparisons, searches, archives.
//!
//! Invariant: of these at most as many run at once as leave half of the cores to everything else, and few wait: whoever
//! walks through all pages of a project waits behind themselves, and who comes then is told to come again.

use std::sync::{Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::answer::{Code, Refusal};

/// Most that wait for a turn.
/// Limit: searches through code that wait for others | {}; the next one is told to come again
const MOST_WAITING: usize = 32;
/// Longest wait for a turn.
/// Limit: how long a search through code waits for others | {}; then it is told to come again
const LONGEST: Duration = Duration::from_secs(5);

/// Those of this process.
static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Turns { most: (cores / 2).max(1), state: Mutex::default(), left: Condvar::new() }
});

struct Turns {
    most: usize,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
}

/// The right to look through much, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(&'static Turns);

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turns of {}", self.most)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state.lock().expect("invariant: no panic under this lock").running -= 1;
        self.0.left.notify_one();
    }
}

/// Waits for a turn. Blocks.
pub(super) fn take() -> Result<Turn, Refusal> {
    TURNS.take(LONGEST)
}

impl Turns {
    fn take(&'static self, longest: Duration) -> Result<Turn, Refusal> {
        let busy = || {
            let why = "too many searches through code are under way: come again in a moment";
            Refusal::new(Code::TryLater, "code", why, "project list")
        };
        let until = Instant::now() + longest;
        let mut state = self.state.lock().expect("invariant: no panic under this lock");
        if state.running >= self.most && state.waiting >= MOST_WAITING {
            return Err(busy());
        }
        state.waiting += 1;
        while state.running >= self.most {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting -= 1;
                return Err(busy());
            }
            state = self.left.wait_timeout(state, left).expect("invariant: no panic under this lock").0;
        }
        state.waiting -= 1;
        state.running += 1;
        Ok(Turn(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_while_all_turns_are_taken_waits_and_is_then_sent_away() {
        let turns: &'static Turns =
            Box::leak(Box::new(Turns { most: 1, state: Mutex::default(), left: Condvar::new() }));
        let first = turns.take(Duration::ZERO).unwrap();
        assert_eq!(turns.take(Duration::from_millis(20)).unwrap_err().code, Code::TryLater);
        let waiting = std::thread::spawn(|| turns.take(Duration::from_secs(60)).map(drop));
        while turns.state.lock().unwrap().waiting == 0 {
            std::thread::yield_now();
        }
        drop(first);
        waiting.join().unwrap().unwrap();
        let again = turns.take(Duration::ZERO).unwrap();
        turns.state.lock().unwrap().waiting = MOST_WAITING;
        let began = Instant::now();
        assert!(turns.take(Duration::from_secs(60)).is_err() && began.elapsed() < Duration::from_secs(30));
        drop(again);
    }
}
