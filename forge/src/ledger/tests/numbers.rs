//! Numbers of the forge's sequence: dense, across restarts, never given twice.

use super::*;

#[test]
fn numbers_go_on_after_a_restart_without_reuse() {
    let world = World::new();
    let mut last = 0;
    for _ in 0..3 {
        let open = world.open();
        open_issue(&open.parser, "x");
        let q = open.parser.snapshot().fold.max_q;
        assert!(q > last, "{q} after {last}");
        last = q;
    }
}

#[test]
fn the_sequence_goes_past_many_blocks_in_all_repositories_without_reuse() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "one");
    // Numbers are used up fast by what is refused.
    let waste = |repository: &Repository, id: EntityId| {
        let refused = repository.commit(move |draft| -> Result<(), Refusal> {
            for _ in 0..120 {
                draft.event(&alpha(), &id, Commented {}, None, &[])?;
            }
            Err(Refusal::new(Code::Refused, "x", "y", "z"))
        });
        assert_eq!(refused.unwrap_err().what, "x");
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..40).for_each(|_| waste(&open.parser, EntityId::Issue(n))));
        }
        scope.spawn(|| (0..60).for_each(|_| waste(&open.forge, EntityId::Project("parser".parse().unwrap()))));
    });
    let last = open_issue(&open.parser, "after");
    let q = open.parser.snapshot().fold.issue(last).unwrap().opened_q;
    assert!(q > 25_000, "{q}");
    assert_eq!(open.sequence.shown(), q, "nothing is in flight");
    assert!(open.forge.snapshot().seq_reserved >= q);
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn numbers_given_back_at_a_polite_stop_are_used_next() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "x");
    let last = open.parser.snapshot().fold.max_q;
    let to = open.sequence.give_back().unwrap();
    assert_eq!(to, last);
    open.forge
        .commit(move |draft| {
            draft.release_sequence(to);
            Ok(())
        })
        .unwrap();
    // A writer that was still under way reserves again, later in the ledger, and stays unique.
    open_issue(&open.parser, "late");
    assert!(open.parser.snapshot().fold.max_q > last);
    let reserved = open.forge.snapshot().seq_reserved;
    assert!(reserved > last);
    drop(open);
    let open = world.open();
    open_issue(&open.parser, "next");
    assert_eq!(world.verify(), Vec::<String>::new());
}
