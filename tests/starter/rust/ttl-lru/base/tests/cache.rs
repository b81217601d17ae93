use std::time::Duration;

use ttl_lru::Cache;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn an_entry_lives_exactly_for_its_lifetime() {
    let mut cache = Cache::new(4, secs(60));
    cache.insert(secs(10), "a", 1);
    assert_eq!(cache.get(secs(69), &"a"), Some(&1));
    assert_eq!(cache.get(secs(70), &"a"), None);
}

#[test]
fn reading_does_not_prolong_and_writing_does() {
    let mut cache = Cache::new(4, secs(60));
    cache.insert(secs(0), "read", 1);
    cache.insert(secs(0), "written", 1);
    cache.get(secs(50), &"read");
    assert_eq!(cache.insert(secs(50), "written", 2), Some(1));
    assert_eq!(cache.get(secs(100), &"read"), None);
    assert_eq!(cache.get(secs(100), &"written"), Some(&2));
}

#[test]
fn the_least_recently_used_one_makes_room() {
    let mut cache = Cache::new(2, secs(60));
    cache.insert(secs(0), "a", 1);
    cache.insert(secs(1), "b", 2);
    cache.get(secs(2), &"a");
    cache.insert(secs(3), "c", 3);
    assert_eq!(cache.get(secs(4), &"b"), None);
    assert_eq!(cache.get(secs(4), &"a"), Some(&1));
    assert_eq!(cache.stats().evicted, 1);
}

#[test]
fn a_sweep_drops_what_expired() {
    let mut cache = Cache::new(3, secs(60));
    cache.insert(secs(0), "a", 1);
    cache.insert(secs(30), "b", 2);
    assert_eq!(cache.sweep(secs(60)), 1);
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.stats().evicted, 0);
}

#[test]
fn what_was_taken_is_gone() {
    let mut cache = Cache::new(3, secs(60));
    cache.insert(secs(0), "a", 1);
    assert_eq!(cache.take(secs(1), &"a"), Some(1));
    assert_eq!(cache.take(secs(1), &"a"), None);
    assert!(cache.is_empty());
}

#[test]
fn looking_up_is_counted() {
    let mut cache = Cache::new(3, secs(60));
    cache.insert(secs(0), "a", 1);
    cache.get(secs(1), &"a");
    cache.get(secs(1), &"b");
    cache.get(secs(61), &"a");
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 2));
}
