//! Pushes under way, counted: what they rest on must not go before they were answered.
//!
//! Invariant: while [`Held`] lives no push is under way and none begins; who holds waits a bounded time for those that are,
//! and no longer than that does any push wait for one that is slow.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The pushes of one repository.
#[derive(Debug, Default)]
pub struct Pushes {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    held: bool,
}

/// A push that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Pushes>);

/// No push is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<Pushes>);

impl Pushes {
    /// A push begins: it has read nothing yet. Waits while they are held.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        let state = self.state.lock().expect("invariant: no panic under this lock");
        let mut state =
            self.changed.wait_while(state, |state| state.held).expect("invariant: no panic under this lock");
        state.under_way += 1;
        UnderWay(self.clone())
    }

    /// Holds them back, once those under way have ended. `None` where they have not within `patience`.
    pub(super) fn hold(self: &Arc<Self>, patience: Duration) -> Option<Held> {
        let mut state = self.state.lock().expect("invariant: no panic under this lock");
        if std::mem::replace(&mut state.held, true) {
            return None;
        }
        let held = Held(self.clone());
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.under_way > 0);
        let (state, waited) = waited.expect("invariant: no panic under this lock");
        drop(state);
        (!waited.timed_out()).then_some(held)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state.lock().expect("invariant: no panic under this lock").under_way -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().expect("invariant: no panic under this lock").held = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn who_holds_waits_for_those_under_way_and_keeps_the_others_out() {
        let pushes = Arc::new(Pushes::default());
        let first = pushes.begin();
        assert!(pushes.hold(Duration::ZERO).is_none(), "one is under way");
        let second = pushes.begin();
        drop((first, second));
        let held = pushes.hold(Duration::ZERO).expect("none is under way");
        assert!(pushes.hold(Duration::ZERO).is_none(), "one holds");
        let let_go = Arc::new(AtomicBool::new(false));
        let begun = {
            let (pushes, let_go) = (pushes.clone(), let_go.clone());
            std::thread::spawn(move || {
                let push = pushes.begin();
                (let_go.load(Ordering::SeqCst), push)
            })
        };
        std::thread::sleep(Duration::from_millis(20));
        let_go.store(true, Ordering::SeqCst);
        drop(held);
        let (waited, push) = begun.join().unwrap();
        assert!(waited, "it began while they were held");
        drop(push);
    }
}
