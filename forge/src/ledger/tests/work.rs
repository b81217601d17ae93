//! Work that the forge ends: only what is due, and `forge verify` holds it against that.

use notes_schema::event::{IssueClosed, Proof, PullClosed, PullOpened, WorkExpired, WorkStarted};
use notes_schema::{Oid, RefName};

use super::sealed::has_fault;
use super::*;
use crate::state::EndedBy;

/// An issue on which alpha works, and may be without a sign of life for so long; and that sign.
fn work(idle_ms: Option<u64>) -> (World, Open, u64) {
    let world = World::new();
    let open = world.open();
    assert_eq!(open_issue(&open.parser, "leak"), 1);
    add(&open.parser, 1, WorkStarted { base: None, branch: branch("w"), nonce: vec![1; 16], deadline_ms: 5, idle_ms });
    let alive_ms = open.parser.snapshot().fold.work_on(&alpha().agent, 1).unwrap().alive_ms;
    (world, open, alive_ms)
}

fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

fn end(open: &Open, by: Author, alive_ms: u64) {
    let expired = WorkExpired { agent: alpha().agent, alive_ms };
    open.parser.commit(move |draft| draft.event(&by, &EntityId::Issue(1), expired, None, &[])).unwrap();
}

/// A pull request of alpha's that answers the issue.
fn answer(open: &Open) {
    let head = Oid::from_bytes([9; 20]);
    let title = "Mend".to_owned();
    let (target, proof) = (branch("main"), Proof::none());
    let opened = PullOpened { title, branch: branch("w"), target, issue: Some(1), head, base: head, proof };
    open.parser.commit(move |draft| draft.event(&alpha(), &EntityId::Pull(2), opened, None, &[])).unwrap();
}

#[test]
fn work_ends_once_and_what_is_done_on_it_moves_the_end() {
    let (world, open, began) = work(Some(0));
    let due = |open: &Open, now| open.parser.snapshot().fold.works.due(now).map(|(n, _)| n).collect::<Vec<_>>();
    assert_eq!((due(&open, began), due(&open, began - 1)), (vec![1], vec![]));
    std::thread::sleep(std::time::Duration::from_millis(5));
    add(&open.parser, 1, Commented {});
    let alive_ms = open.parser.snapshot().fold.work_on(&alpha().agent, 1).unwrap().alive_ms;
    assert!(alive_ms > began && due(&open, began).is_empty());
    end(&open, Author::forge(), alive_ms);
    let fold = open.parser.snapshot().fold.clone();
    assert!(fold.work_on(&alpha().agent, 1).is_none() && due(&open, u64::MAX).is_empty());
    assert_eq!((fold.issue(1).unwrap().working, fold.works.kept(&alpha().agent).expired), (0, 1));
    assert_eq!(
        fold.works.ended_of(&alpha().agent).map(|(n, ended)| (n, ended.by)).collect::<Vec<_>>(),
        [(1, EndedBy::Expiry { alive_ms })]
    );
    // What was ended is no longer closed by its agent.
    answer(&open);
    add(&open.parser, 1, IssueClosed { fixed_by: Some("parser#2".parse().unwrap()) });
    assert_eq!(open.parser.snapshot().fold.works.kept(&alpha().agent).delivered, 0);
    let before = open.parser.snapshot();
    open.parser.flush().unwrap();
    open.forge.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
    assert_eq!(&*world.open().parser.snapshot(), &*before);
}

#[test]
fn an_end_that_is_not_due_is_a_fault() {
    let why = "not due to end";
    let (world, open, alive_ms) = work(Some(60_000));
    end(&open, Author::forge(), alive_ms);
    has_fault(&world, open, why);
    let (world, open, alive_ms) = work(None);
    end(&open, Author::forge(), alive_ms);
    has_fault(&world, open, why);
    let (world, open, alive_ms) = work(Some(0));
    end(&open, alpha(), alive_ms);
    has_fault(&world, open, why);
    let (world, open, alive_ms) = work(Some(0));
    end(&open, Author::forge(), alive_ms - 1);
    has_fault(&world, open, why);
    // While an answer waits for others nothing ends.
    let (world, open, _) = work(Some(0));
    answer(&open);
    let alive = |open: &Open| open.parser.snapshot().fold.work_on(&alpha().agent, 1).unwrap().alive_ms;
    assert!(open.parser.snapshot().fold.awaits(&alpha().agent, 1));
    end(&open, Author::forge(), alive(&open));
    has_fault(&world, open, why);
    let (world, open, _) = work(Some(0));
    answer(&open);
    open.parser.commit(|draft| draft.event(&Author::forge(), &EntityId::Pull(2), PullClosed {}, None, &[])).unwrap();
    end(&open, Author::forge(), alive(&open));
    open.parser.flush().unwrap();
    open.forge.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}
