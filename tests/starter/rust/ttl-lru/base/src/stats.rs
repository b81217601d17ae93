//! What happened to a cache.

/// Counts since the cache was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries that were asked for and good.
    pub hits: u64,
    /// Entries that were asked for and not there, or no longer good.
    pub misses: u64,
    /// Good entries that had to make room.
    pub evicted: u64,
}

impl Stats {
    pub(crate) fn looked_up(&mut self, found: bool) {
        if found {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
    }

    pub(crate) fn evicted(&mut self) {
        self.evicted += 1;
    }
}
