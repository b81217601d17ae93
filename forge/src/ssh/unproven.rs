//! Connections that have not proven a key yet: anybody can open those, so they are few.
//!
//! Invariant: whoever only holds connections open cannot keep those out who have a key: where too many wait, the oldest
//! makes room once it had time enough.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a connection is left alone, so that a crowd that arrives at once does not throw itself out.
/// Limit: time until a connection without a proven key may be cut for a newer one, when all places are taken | {}
const GRACE: Duration = Duration::from_secs(2);

/// Those that wait.
pub(super) struct Waiting {
    most: usize,
    grace: Duration,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// Number, since when, and what cuts it; oldest first.
    waiting: VecDeque<(u64, Instant, CancellationToken)>,
    next: u64,
}

/// Held while a connection has not proven a key.
pub(super) struct Unproven {
    of: Arc<Waiting>,
    number: u64,
}

impl Waiting {
    /// Nobody yet; at most `most`.
    pub(super) fn new(most: usize) -> Arc<Waiting> {
        Arc::new(Waiting { most, grace: GRACE, list: Mutex::default() })
    }

    /// Lets one more wait, which `cut` ends. `None`: all places are taken by those who came a moment ago.
    pub(super) fn enter(self: &Arc<Self>, cut: &CancellationToken) -> Option<Unproven> {
        let now = Instant::now();
        let mut list = self.list.lock().expect("invariant: no panic under this lock");
        if list.waiting.len() >= self.most {
            let (_, since, _) = list.waiting.front()?;
            if now.duration_since(*since) < self.grace {
                return None;
            }
            if let Some((_, _, oldest)) = list.waiting.pop_front() {
                oldest.cancel();
            }
        }
        let number = list.next;
        list.next += 1;
        list.waiting.push_back((number, now, cut.clone()));
        Some(Unproven { of: self.clone(), number })
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let mut list = self.of.list.lock().expect("invariant: no panic under this lock");
        if let Ok(at) = list.waiting.binary_search_by_key(&self.number, |(number, _, _)| *number) {
            list.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_once_it_had_its_time() {
        let with = |grace| Arc::new(Waiting { most: 2, grace, list: Mutex::default() });
        let waiting = with(Duration::from_secs(600));
        let held = [(); 2].map(|()| waiting.enter(&CancellationToken::new()).unwrap());
        assert!(waiting.enter(&CancellationToken::new()).is_none(), "they have only just come");
        drop(held);

        let waiting = with(Duration::ZERO);
        let cuts = [(); 4].map(|()| CancellationToken::new());
        let _first = waiting.enter(&cuts[0]).unwrap();
        let second = waiting.enter(&cuts[1]).unwrap();
        let _third = waiting.enter(&cuts[2]).unwrap();
        assert!(cuts[0].is_cancelled() && !cuts[1].is_cancelled());
        drop(second);
        assert!(waiting.enter(&cuts[3]).is_some(), "who has proven a key waits no longer");
        assert!(!cuts[1].is_cancelled() && !cuts[2].is_cancelled());
    }
}
