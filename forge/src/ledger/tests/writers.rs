//! Many who write at once: shared batches, whose plan fails alone, and what would make a batch that nobody can read.

use super::*;

#[test]
fn a_refused_part_leaves_nothing_and_its_neighbours_stand() {
    let world = World::new();
    let open = world.open();
    let refused = open.parser.commit(|draft| {
        let n = draft.number();
        let fact = IssueOpened { title: "x".into(), labels: vec![], lang: None, dedupe: None };
        draft.event(&alpha(), &EntityId::Issue(n), fact, None, &[])?;
        Err::<(), _>(Refusal::new(Code::Refused, "x", "y", "z"))
    });
    assert_eq!(refused.unwrap_err().what, "x");
    assert_eq!(open.parser.snapshot().number, 1);
    assert_eq!(open_issue(&open.parser, "y"), 1);
    assert_eq!(open.parser.snapshot().fold.issues().count(), 1);
}

#[test]
fn writers_that_wait_together_share_batches_and_all_are_answered() {
    let world = World::new();
    let open = world.open();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let parser = &open.parser;
            scope.spawn(move || {
                for k in 0..10 {
                    open_issue(parser, &format!("{writer}-{k}"));
                }
            });
        }
    });
    let snapshot = open.parser.snapshot();
    assert_eq!(snapshot.fold.issues().count(), 160);
    assert!(snapshot.number <= 161);
    let mut seqs: Vec<u64> = snapshot.fold.issues().map(|(_, i)| i.opened_q).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 160);
    drop(open);
    assert_eq!(world.open().parser.snapshot().fold.issues().count(), 160);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn whoever_is_answered_goes_on_while_another_leads() {
    let world = World::new();
    let open = world.open();
    let parser = &open.parser;
    let n = open_issue(parser, "Talk here");
    for _ in 0..20 {
        let (home, came_home) = std::sync::mpsc::channel();
        let (began, has_begun) = std::sync::mpsc::channel();
        let waiting = parser.waiting();
        let until_two_wait = move |_: &mut Draft| {
            let _ = began.send(());
            while waiting() < 2 {
                std::thread::yield_now();
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            scope.spawn(move || parser.commit(until_two_wait).map(drop));
            has_begun.recv().unwrap();
            // Both ride in the batch that waits for them.
            scope.spawn(move || {
                add(parser, n, Commented {});
                home.send(()).unwrap();
            });
            scope.spawn(move || {
                add(parser, n, Commented {});
                // Leads the next until the other one is home.
                let patience = std::time::Duration::from_secs(30);
                let home = parser.commit(move |_| Ok(came_home.recv_timeout(patience).is_ok()));
                assert!(home.unwrap().0, "a writer that was answered waits for the next batch");
            });
        });
    }
}

#[test]
fn a_part_reads_what_earlier_parts_of_its_batch_made_and_nothing_that_was_refused() {
    let world = World::new();
    let open = world.open();
    let parser = &open.parser;
    let made = |text: &str| Object::new(git::object::Kind::Blob, text.as_bytes().to_vec());
    let (refused, kept) = (made("refused").id().unwrap(), made("kept").id().unwrap());
    let waiting = parser.waiting();
    let (began, has_begun) = std::sync::mpsc::channel();
    let until = |count: usize| {
        while waiting() < count {
            std::thread::yield_now();
        }
    };
    let until_three_wait = {
        let waiting = parser.waiting();
        move |_: &mut Draft| {
            began.send(()).unwrap();
            while waiting() < 3 {
                std::thread::yield_now();
            }
            Ok(())
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(move || parser.commit(until_three_wait).map(drop));
        has_begun.recv().unwrap();
        scope.spawn(|| {
            let outcome = parser.commit(move |draft| {
                // Added in a part that stands, it stays; in one that falls, it falls.
                draft.object(made("kept"))?;
                draft.object(made("refused"))?;
                Err::<(), _>(Refusal::new(Code::Refused, "x", "y", "z"))
            });
            assert_eq!(outcome.unwrap_err().what, "x");
        });
        until(1);
        scope.spawn(|| parser.commit(move |draft| draft.object(made("kept"))).unwrap());
        until(2);
        scope.spawn(move || {
            let seen = parser.commit(move |draft| Ok([refused, kept].map(|id| draft.made().made(id).is_some())));
            assert_eq!(seen.unwrap().0, [false, true]);
        });
    });
}

#[test]
fn a_panic_in_one_writers_plan_costs_that_writer_alone() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "before");
    let shown = open.sequence.shown();
    let panicked = open.parser.commit(|draft| -> Result<(), Refusal> {
        let n = draft.number();
        let fact = IssueOpened { title: "half".into(), labels: vec![], lang: None, dedupe: None };
        draft.event(&alpha(), &EntityId::Issue(n), fact, None, &[])?;
        panic!("in a plan");
    });
    assert_eq!(panicked.unwrap_err().code, Code::TryLater);
    assert_eq!(open_issue(&open.parser, "after"), 2, "what it took is free again");
    assert!(open.sequence.shown() > shown, "no cursor waits for it");
    open.parser.on_publish(|_| panic!("in a listener"));
    assert_eq!(open_issue(&open.parser, "heard by nobody"), 3);
    assert_eq!(open_issue(&open.parser, "and on"), 4);
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn what_could_not_be_read_back_is_never_written() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "one");
    let labels = vec!["x".to_owned(); notes_schema::budget::EVENT.elements + 1];
    let too_many = IssueOpened { title: "two".into(), labels, lang: None, dedupe: None };
    let refused = open.parser.commit(move |d| d.event(&alpha(), &EntityId::Issue(2), too_many, None, &[]));
    assert_eq!(refused.unwrap_err().code, Code::Refused);
    let crowd = |from: u64, count: u64| {
        move |draft: &mut Draft| {
            for n in from..from + count {
                let fact = IssueOpened { title: "x".into(), labels: vec![], lang: None, dedupe: None };
                draft.event(&alpha(), &EntityId::Issue(n), fact, None, &[])?;
            }
            Ok(())
        }
    };
    assert_eq!(open.parser.commit(crowd(10, 200)).unwrap_err().code, Code::Refused, "too many parents");
    open.parser.commit(crowd(10, 100)).unwrap();
    drop(open);
    assert!(world.open().parser.snapshot().fold.issue(n).is_some());
    assert_eq!(world.verify(), Vec::<String>::new());
}

/// A push of many long names, as one agent may send several at once.
fn wide_push(at: usize, count: usize) -> impl FnOnce(&mut Draft) -> Result<(), Refusal> + Send + 'static {
    move |draft| {
        let name = |k: usize| format!("refs/heads/{at}/{k:0>220}").parse::<RefName>().unwrap();
        let refs: Vec<RefName> = (0..count).map(name).collect();
        let tip = draft.snapshot().tip;
        for name in &refs {
            draft.set_ref(name, None, tip, None, Some(&"alpha".parse().unwrap()))?;
        }
        let k = "key:SHA256:x".to_owned();
        draft.push(notes_schema::batch::PushLine { a: "alpha".parse().unwrap(), k, refs, records: vec![] });
        Ok(())
    }
}

#[test]
fn wide_pushes_of_one_moment_do_not_make_a_batch_that_cannot_be_read() {
    let world = World::new();
    let open = world.open();
    assert_eq!(open.parser.commit(wide_push(0, 10_000)).unwrap_err().code, Code::Refused);
    std::thread::scope(|scope| {
        for at in 1..6 {
            let parser = &open.parser;
            scope.spawn(move || parser.commit(wide_push(at, 6_000)).unwrap());
        }
    });
    let refs = open.parser.snapshot().refs.len();
    drop(open);
    assert_eq!(world.open().parser.snapshot().refs.len(), refs);
}
