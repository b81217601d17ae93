//! The order in which keys were used.

use std::collections::BTreeMap;

/// A moment in the order of use. Later ones are greater.
pub(crate) type Turn = u64;

/// Keys by the turn at which each was used last.
#[derive(Debug)]
pub(crate) struct Recency<K> {
    next: Turn,
    keys: BTreeMap<Turn, K>,
}

impl<K> Default for Recency<K> {
    fn default() -> Self {
        Recency {
            next: 0,
            keys: BTreeMap::new(),
        }
    }
}

impl<K> Recency<K> {
    /// Notes a key as the one used last. Whoever notes it again forgets its former turn first.
    pub(crate) fn used(&mut self, key: K) -> Turn {
        let turn = self.next;
        self.next += 1;
        self.keys.insert(turn, key);
        turn
    }

    /// Strikes out a turn.
    pub(crate) fn forget(&mut self, turn: Turn) {
        self.keys.remove(&turn);
    }

    /// Takes out the key that was not used for longest.
    pub(crate) fn pop_oldest(&mut self) -> Option<K> {
        self.keys.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_and_what_was_forgotten_never() {
        let mut recency = Recency::default();
        let first = recency.used('a');
        recency.used('b');
        recency.forget(first);
        recency.used('a');
        assert_eq!(recency.pop_oldest(), Some('b'));
        assert_eq!(recency.pop_oldest(), Some('a'));
        assert_eq!(recency.pop_oldest(), None);
    }
}
