//! A bounded cache whose entries live for a while.

mod recency;
mod stats;

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use recency::{Recency, Turn};
pub use stats::Stats;

/// A bounded cache whose entries live for a while. Time is an argument: what a clock that never goes back shows.
#[derive(Debug)]
pub struct Cache<K, V> {
    capacity: usize,
    lifetime: Duration,
    entries: HashMap<K, Entry<V>>,
    recency: Recency<K>,
    stats: Stats,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// The first moment at which it is no longer good.
    until: Duration,
    /// Its place in the order of use.
    turn: Turn,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// An empty cache for `capacity` entries, each good for `lifetime`.
    ///
    /// Panics without any capacity.
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        assert!(capacity > 0, "a cache without capacity holds nothing");
        Cache {
            capacity,
            lifetime,
            entries: HashMap::new(),
            recency: Recency::default(),
            stats: Stats::default(),
        }
    }

    /// Writes an entry, good from now on. Answers the value that stood there, if that was still good.
    pub fn insert(&mut self, now: Duration, key: K, value: V) -> Option<V> {
        if self.entries.len() == self.capacity {
            self.make_room();
        }
        let before = self.take(now, &key);
        let turn = self.recency.used(key.clone());
        self.entries.insert(
            key,
            Entry {
                value,
                until: now + self.lifetime,
                turn,
            },
        );
        before
    }

    /// Reads an entry, and counts that as use.
    pub fn get(&mut self, now: Duration, key: &K) -> Option<&V> {
        let good = self.entries.get(key).is_some_and(|entry| now < entry.until);
        self.stats.looked_up(good);
        if !good {
            self.take(now, key);
            return None;
        }
        let entry = self.entries.get_mut(key)?;
        self.recency.forget(entry.turn);
        entry.turn = self.recency.used(key.clone());
        Some(&entry.value)
    }

    /// Takes an entry out. Answers its value, if that was still good.
    pub fn take(&mut self, now: Duration, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.recency.forget(entry.turn);
        (now < entry.until).then_some(entry.value)
    }

    /// Drops whatever is no longer good, and answers how many that were.
    pub fn sweep(&mut self, now: Duration) -> usize {
        let before = self.entries.len();
        let recency = &mut self.recency;
        self.entries.retain(|_, entry| {
            let good = now < entry.until;
            if !good {
                recency.forget(entry.turn);
            }
            good
        });
        before - self.entries.len()
    }

    /// How many entries are kept, those among them that expired and were not looked at since.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Drops the least recently used entry.
    fn make_room(&mut self) {
        if let Some(key) = self.recency.pop_oldest() {
            self.entries.remove(&key);
            self.stats.evicted();
        }
    }
}
