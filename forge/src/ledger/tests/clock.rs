//! The ledger under a clock that jumps: order never hangs on it, and times never run backwards.

use super::*;

const HOUR: u64 = 3_600_000;

/// Times and forge-wide numbers of all events of an issue, oldest first, as they stand in git.
fn events(open: &Open, n: u64) -> Vec<(u64, u64, u64)> {
    let tip = open.parser.snapshot().fold.entities[&EntityId::Issue(n)].tip;
    let events = chain(open.parser.store().as_ref(), tip, 1000).unwrap();
    events.iter().map(|read| (read.event.t, read.event.n, read.event.q)).collect()
}

#[test]
fn a_clock_that_jumps_both_ways_leaves_times_growing_and_numbers_dense() {
    let world = World::new();
    let mut open = world.open();
    let start = 100 * 24 * HOUR;
    world.time.store(start, Ordering::SeqCst);
    let n = open_issue(&open.parser, "one");
    let by = Author { intent: Some(*uuid::Uuid::now_v7().as_bytes()), ..alpha() };
    let first = by.clone();
    open.parser.commit(move |d| d.event(&first, &EntityId::Issue(n), Commented {}, Some("once"), &[])).unwrap();
    // Forwards and back, by seconds and by most of a day, with and without a restart between.
    let jumps = [(0, 23), (5, 0), (0, 12), (20, 0), (0, 1), (0, 23), (300, 0), (0, 20)];
    let mut now = start;
    for (at, (forth, back)) in jumps.into_iter().enumerate() {
        now = now + forth * HOUR - back * HOUR;
        world.time.store(now, Ordering::SeqCst);
        if at % 2 == 1 {
            drop(open);
            open = world.open();
        }
        // Never more than a day behind what the ledger says.
        now = now.max(open.parser.snapshot().t - 23 * HOUR);
        world.time.store(now, Ordering::SeqCst);
        add(&open.parser, n, Commented {});
        open.forge
            .commit(|d| d.event(&alpha(), &EntityId::Project("parser".parse().unwrap()), Commented {}, None, &[]))
            .unwrap();
        if at == 2 {
            // What was asked once is known by its id, whatever the clock says since.
            let id = by.intent.unwrap();
            assert_eq!(open.parser.snapshot().intents.get(&by.agent, &id).unwrap().n, 2);
        }
    }
    let events = events(&open, n);
    assert_eq!(events.len(), jumps.len() + 2);
    for (before, after) in events.iter().zip(&events[1..]) {
        assert!(before.0 <= after.0, "time ran backwards: {events:?}");
        assert!(before.1 + 1 == after.1 && before.2 < after.2, "{events:?}");
    }
    open.parser.maintain().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn a_clock_that_fell_far_behind_is_refused_with_the_reason_and_reads_go_on() {
    let world = World::new();
    let open = world.open();
    world.time.store(1000 * HOUR, Ordering::SeqCst);
    let n = open_issue(&open.parser, "one");
    world.time.store(900 * HOUR, Ordering::SeqCst);
    let refused = open.parser.commit(|draft| Ok(draft.number())).unwrap_err();
    assert!(refused.code == Code::TryLater && refused.why.contains("clock"), "{refused}");
    assert!(open.parser.snapshot().fold.issue(n).is_some());
    // A restart changes nothing, but for somebody who says that it is right; once it is, writes go on.
    let deps = Deps { accept_clock: true, ..open.parser_deps() };
    drop(open);
    let told = Repository::open(&world.path("parser"), "parser".parse().unwrap(), deps).unwrap();
    let t = told.snapshot().t;
    add(&told, n, Commented {});
    assert_eq!(told.snapshot().t, t, "time does not run backwards");
    drop(told);
    let open = world.open();
    assert!(open.parser.commit(|draft| Ok(draft.number())).is_err());
    world.time.store(1001 * HOUR, Ordering::SeqCst);
    add(&open.parser, n, Commented {});
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}
