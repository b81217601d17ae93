//! The forge-wide sequence: one growing number per event, across all repositories.
//!
//! Invariant: a number is used once, also over restarts, because numbers are reserved in `forge.git` before they are
//! taken. Readers are shown only what lies below the lowest number that is not yet durable.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::watch;

/// How many numbers one reservation covers.
pub const BLOCK: u64 = 10_000;

#[derive(Debug, Default)]
struct Inner {
    last_taken: u64,
    reserved: u64,
    in_flight: BTreeSet<u64>,
    last_durable: u64,
}

/// The shared counter.
#[derive(Debug, Default)]
pub struct Sequence {
    inner: Mutex<Inner>,
    shown: watch::Sender<u64>,
}

impl Sequence {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("invariant: no panic under this lock")
    }

    /// Goes on above everything that `forge.git` had reserved.
    pub fn resume(&self, reserved: u64) {
        let mut inner = self.lock();
        inner.last_taken = inner.last_taken.max(reserved);
        inner.reserved = inner.reserved.max(reserved);
    }

    /// An event with this number was found on disk.
    pub fn saw_durable(&self, q: u64) {
        let mut inner = self.lock();
        inner.last_durable = inner.last_durable.max(q);
        self.announce(&inner);
    }

    fn announce(&self, inner: &Inner) {
        let now = inner.shown();
        self.shown.send_if_modified(|seen| std::mem::replace(seen, now) != now);
    }

    /// Sees every change of [`Sequence::shown`].
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shown.subscribe()
    }

    /// Numbers up to here are reserved durably.
    pub fn extend(&self, reserved: u64) {
        let mut inner = self.lock();
        inner.reserved = inner.reserved.max(reserved);
    }

    /// The next number, in flight until [`Sequence::settle`]; `None` when a new block must be reserved first.
    pub fn take(&self) -> Option<u64> {
        let mut inner = self.lock();
        if inner.last_taken >= inner.reserved {
            return None;
        }
        Some(inner.hand_out())
    }

    /// For a batch of `forge.git`, which can carry the reservation of its own numbers: the next number, and the
    /// reservation that the batch must write if that number lies above all reserved ones.
    pub fn take_reserving(&self) -> (u64, Option<u64>) {
        let mut inner = self.lock();
        let needs_block = inner.last_taken >= inner.reserved;
        let q = inner.hand_out();
        (q, needs_block.then_some(q + BLOCK))
    }

    /// Gives back what was reserved and not taken, and says up to where numbers may be in use; `None` when nothing is
    /// left over. From here on a number needs a new reservation, which stands later in the ledger.
    pub fn give_back(&self) -> Option<u64> {
        let mut inner = self.lock();
        let left_over = inner.reserved > inner.last_taken;
        inner.reserved = inner.last_taken;
        left_over.then_some(inner.last_taken)
    }

    /// Whether fewer than half a block is left, so that a reservation is due.
    pub fn is_short(&self) -> bool {
        let inner = self.lock();
        inner.reserved.saturating_sub(inner.last_taken) < BLOCK / 2
    }

    /// Where a new reservation should end.
    pub fn next_block(&self) -> u64 {
        let inner = self.lock();
        inner.last_taken.max(inner.reserved) + BLOCK
    }

    /// Numbers that are durable now, or were given up.
    pub fn settle(&self, numbers: &[u64], durable: bool) {
        let mut inner = self.lock();
        for q in numbers {
            inner.in_flight.remove(q);
            if durable {
                inner.last_durable = inner.last_durable.max(*q);
            }
        }
        self.announce(&inner);
    }

    /// The newest number below which nothing is in flight: what cursors may show.
    pub fn shown(&self) -> u64 {
        self.lock().shown()
    }
}

impl Inner {
    fn shown(&self) -> u64 {
        match self.in_flight.first() {
            Some(lowest) => self.last_durable.min(lowest - 1),
            None => self.last_durable,
        }
    }

    fn hand_out(&mut self) -> u64 {
        self.last_taken += 1;
        self.in_flight.insert(self.last_taken);
        self.last_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_an_undurable_number_is_shown() {
        let sequence = Sequence::default();
        sequence.extend(100);
        let (a, b) = (sequence.take().unwrap(), sequence.take().unwrap());
        sequence.settle(&[b], true);
        assert_eq!(sequence.shown(), a - 1);
        sequence.settle(&[a], true);
        assert_eq!(sequence.shown(), b);
    }

    #[test]
    fn a_restart_goes_on_above_the_reserved_block() {
        let sequence = Sequence::default();
        assert_eq!(sequence.take(), None);
        let (q, reserve) = sequence.take_reserving();
        assert_eq!((q, reserve), (1, Some(1 + BLOCK)));
        let after = Sequence::default();
        after.resume(1 + BLOCK);
        after.saw_durable(1);
        assert_eq!(after.shown(), 1);
        assert_eq!(after.take(), None);
        after.extend(3 * BLOCK);
        assert_eq!(after.take(), Some(2 + BLOCK));
    }
}
