//! What was shown lately: a client under HTTP asks for it in another request, when the refs may have moved on.
//!
//! Invariant: what is remembered is bounded, and for no longer than five minutes anything of it counts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notes_schema::Oid;

use super::packed::{Entry, Packed, Peeled};

/// How long a tip that was shown may still be asked for.
/// Limit: time for which a tip that a plain repository showed may still be fetched | {}
const REMEMBERED: Duration = Duration::from_secs(300);
/// Most loose tips that are remembered, and most versions of `packed-refs`.
/// Limit: loose tips of a plain repository that may be asked for after they moved | {}
const MOST_LOOSE: usize = 100_000;
/// Limit: versions of a plain repository's `packed-refs` that are remembered for that | {}
const MOST_PACKED: usize = 3;

fn is_recent(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < REMEMBERED
}

/// What was shown lately.
#[derive(Default)]
pub(super) struct Seen {
    loose: Mutex<HashMap<Oid, Instant>>,
    /// Versions of the file, each with when it was shown last.
    packed: Mutex<VecDeque<(Arc<Packed>, Instant)>>,
}

impl Seen {
    /// These refs were shown just now.
    pub(super) fn note(&self, packed: &Arc<Packed>, loose: impl Iterator<Item = Oid>, now: Instant) {
        let mut versions = self.packed.lock().expect("invariant: no panic under this lock");
        match versions.back_mut() {
            Some((newest, shown)) if Arc::ptr_eq(newest, packed) => *shown = now,
            _ => versions.push_back((packed.clone(), now)),
        }
        if versions.len() > MOST_PACKED {
            versions.pop_front();
        }
        drop(versions);
        let mut tips = self.loose.lock().expect("invariant: no panic under this lock");
        if tips.len() > MOST_LOOSE {
            tips.retain(|_, since| is_recent(*since, now));
        }
        if tips.len() <= MOST_LOOSE {
            tips.extend(loose.map(|id| (id, now)));
        }
    }

    /// Whether `id` was shown lately, by a ref of which `is_shown` says that it still may be.
    pub(super) fn holds(&self, id: Oid, now: Instant, is_shown: impl Fn(&str) -> bool) -> bool {
        let recent = |since: &Instant| is_recent(*since, now);
        let loose = self.loose.lock().expect("invariant: no panic under this lock").get(&id).is_some_and(recent);
        let versions = || self.packed.lock().expect("invariant: no panic under this lock").clone();
        let names = |packed: &Arc<Packed>| {
            let tip = |e: &&Entry| e.id == id || e.peeled == Peeled::To(id);
            packed.entries().iter().filter(tip).any(|e| is_shown(e.name.as_str()))
        };
        loose || versions().iter().any(|(packed, shown)| recent(shown) && names(packed))
    }

    /// Forgets all: what was shown under other settings may be hidden now.
    pub(super) fn forget(&self) {
        self.loose.lock().expect("invariant: no panic under this lock").clear();
        self.packed.lock().expect("invariant: no panic under this lock").clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    #[test]
    fn what_only_a_deleted_packed_ref_named_ages_out() {
        let repo = Repo::new();
        repo.write("file", "content");
        repo.commit("one");
        repo.git(&["branch", "gone"]);
        repo.write("file", "other content");
        repo.commit("two");
        repo.git(&["pack-refs", "--all"]);
        let tip = |name: &str| -> Oid { repo.git(&["rev-parse", name]).trim().parse().unwrap() };
        let (gone, main) = (tip("gone"), tip("HEAD"));
        let packed = || Arc::new(Packed::read(&repo.git_dir()).unwrap().0);
        let (seen, start, none) = (Seen::default(), Instant::now(), std::iter::empty);
        let at = |seconds| start + Duration::from_secs(seconds);
        seen.note(&packed(), none(), at(0));
        repo.git(&["branch", "-D", "gone"]);
        let without = packed();
        seen.note(&without, none(), at(10));

        let is_held = |id, seconds| seen.holds(id, at(seconds), |_| true);
        assert!(is_held(gone, 299) && is_held(main, 299), "shown a moment ago");
        assert!(!is_held(gone, 300), "its ref is gone for longer than a client may take");
        assert!(is_held(main, 309) && !is_held(main, 310));
        seen.note(&without, none(), at(400));
        assert!(is_held(main, 410) && !is_held(gone, 410), "shown again, without what was deleted");
        assert!(!seen.holds(main, at(410), |_| false), "hidden since");
        seen.forget();
        assert!(!is_held(main, 410));
    }
}
