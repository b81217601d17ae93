//! What became of an act, as whoever asked for it remembers, and what a history may then hold of it.
//!
//! Invariant: uses nothing but the standard library, because the test harness includes this very file.

/// What became of one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged.
    Done,
    /// Refused.
    Refused,
    /// The forge itself said that it does not know.
    Unknown,
    /// The connection was lost.
    Lost,
}

/// How a history contradicts what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// It was acknowledged and is not there.
    Missing,
    /// It is there more than once.
    Repeated,
    /// It was refused and is there.
    Unasked,
}

impl Fate {
    /// What is wrong with an act of this fate that stands in a history `found` times.
    pub fn contradicted(self, found: usize) -> Option<Contradiction> {
        match (self, found) {
            (Fate::Done, 0) => Some(Contradiction::Missing),
            (Fate::Refused, 1..) => Some(Contradiction::Unasked),
            (Fate::Done | Fate::Unknown | Fate::Lost, 2..) => Some(Contradiction::Repeated),
            (Fate::Refused, 0) | (Fate::Done, 1) | (Fate::Unknown | Fate::Lost, 0 | 1) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_there_once_and_what_was_refused_is_not() {
        let of = |fate: Fate| [0, 1, 2].map(|found| fate.contradicted(found));
        assert_eq!(of(Fate::Done), [Some(Contradiction::Missing), None, Some(Contradiction::Repeated)]);
        assert_eq!(of(Fate::Refused), [None, Some(Contradiction::Unasked), Some(Contradiction::Unasked)]);
        assert_eq!(of(Fate::Unknown), [None, None, Some(Contradiction::Repeated)]);
        assert_eq!(of(Fate::Lost), of(Fate::Unknown));
    }
}
