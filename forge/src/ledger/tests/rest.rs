//! Folded refs: not on disk and not listed, and for everybody who asks by name as before.

use notes_schema::batch::FOLDS_REFS;
use notes_schema::event::{Level, Proof, PullClosed, PullOpened};
use notes_schema::{Oid, refs};

use super::*;

const DAY: u64 = 86_400_000;

fn issue(n: u64) -> RefName {
    refs::entity(&EntityId::Issue(n))
}

/// A pull request whose head is a commit of its own, given up at once; its number.
fn ended_pull(parser: &Repository) -> u64 {
    let plan = |draft: &mut Draft| {
        let n = draft.number();
        let who = draft::signature_of(&alpha().agent, draft.now());
        let tree = draft.object(git::object::tree(Vec::new()))?;
        let parents = Vec::new();
        let commit =
            git::object::NewCommit { tree, parents, author: who.clone(), committer: who, message: format!("{n}\n") };
        let head = draft.object(commit.encode(None))?;
        let branch = RefName::branch("alpha/1").unwrap();
        let target = RefName::branch("main").unwrap();
        let proof = Proof { level: Level::P0, record: None, command: String::new(), tests: None };
        let opened = PullOpened { title: "Try".into(), branch, target, issue: None, head, base: head, proof };
        draft.event(&alpha(), &EntityId::Pull(n), opened, None, &[])?;
        draft.set_ref(&refs::pull_head(n), None, Some(head), None, None)?;
        draft.keep(head);
        draft.event(&alpha(), &EntityId::Pull(n), PullClosed {}, None, &[])?;
        Ok(n)
    };
    parser.commit(plan).unwrap().0
}

/// A world with an open issue, two closed ones and a pull request that was given up, a month later; and their numbers.
fn rested() -> (World, Open, [u64; 4]) {
    let world = World::new();
    let open = world.open();
    let [live, one, two] = ["live", "one", "two"].map(|title| open_issue(&open.parser, title));
    for n in [one, two] {
        add(&open.parser, n, IssueClosed { fixed_by: None });
    }
    let pull = ended_pull(&open.parser);
    world.time.fetch_add(30 * DAY, Ordering::SeqCst);
    (world, open, [live, one, two, pull])
}

/// The names that git finds in the repository on disk.
fn on_disk(world: &World) -> Vec<String> {
    world.git("parser", &["for-each-ref", "--format=%(refname)"]).lines().map(str::to_owned).collect()
}

fn format_of(open: &Open, commit: Oid) -> u32 {
    read_batch(open.parser.store().as_ref(), commit).unwrap().batch.v
}

#[test]
fn what_rests_is_folded_and_answered_by_name_with_and_without_a_checkpoint() {
    let (world, open, [live, one, two, pull]) = rested();
    add(&open.parser, two, Commented {});
    let before = open.parser.snapshot();
    assert!(!open.parser.fold_resting(DAY).unwrap());
    let after = open.parser.snapshot();
    assert_eq!(after.number, before.number + 1);
    let folded = [issue(one), refs::entity(&EntityId::Pull(pull)), refs::pull_head(pull)];
    assert_eq!(after.folded.keys().collect::<Vec<_>>(), folded.iter().collect::<Vec<_>>());
    for (name, value) in before.refs.iter().filter(|(name, _)| name.as_str() != refs::LEDGER) {
        assert_eq!((after.ref_id(name), after.is_tip(value.id)), (Some(value.id), true), "{name}");
    }
    assert_eq!((before.fold.clone(), before.next_number), (after.fold.clone(), after.next_number));
    assert_eq!((format_of(&open, after.tip.unwrap()), format_of(&open, before.tip.unwrap())), (FOLDS_REFS, 1));

    // What is folded stays as it is, and no batch says so again.
    assert!(!open.parser.fold_resting(DAY).unwrap());
    assert_eq!(open.parser.snapshot().number, after.number);
    open.parser.flush().unwrap();
    assert_eq!(on_disk(&world), ["refs/forge/issues/1", "refs/forge/issues/3", "refs/forge/ledger"]);
    assert_eq!((issue(live).as_str(), issue(two).as_str()), ("refs/forge/issues/1", "refs/forge/issues/3"));
    world.git("parser", &["fsck", "--full", "--strict", "--no-dangling"]);
    // The ledger reaches the head of what was given up.
    let head = after.folded[&refs::pull_head(pull)].id.to_string();
    world.git("parser", &["merge-base", "--is-ancestor", &head, refs::LEDGER]);

    assert_eq!(*world.replayed(&open).snapshot(), *after);
    open.parser.checkpoint_now().unwrap();
    drop(open);
    let open = world.open();
    assert_eq!(*open.parser.snapshot(), *after);
    drop(open);
    let report = verify::verify(world.dir.path()).unwrap();
    assert_eq!((report.faults, report.pending, report.folded), (vec![], vec![], 3));
}

#[test]
fn the_next_event_lists_what_was_folded_again_on_the_chain_as_it_was() {
    let (world, open, [_, one, _, pull]) = rested();
    open.parser.fold_resting(DAY).unwrap();
    let folded = open.parser.snapshot();
    add(&open.parser, one, IssueReopened {});
    open.parser.commit(move |d| d.event(&alpha(), &EntityId::Pull(pull), Commented {}, None, &[])).unwrap();
    let after = open.parser.snapshot();
    let chain = refs::entity(&EntityId::Pull(pull));
    assert!(after.refs.contains_key(&issue(one)) && after.refs.contains_key(&chain));
    assert!(!after.folded.contains_key(&issue(one)) && !after.folded.contains_key(&chain));
    assert!(after.folded.contains_key(&refs::pull_head(pull)), "it did not move");
    assert!(!after.is_tip(folded.ref_id(&issue(one)).unwrap()));
    let read = read_batch(open.parser.store().as_ref(), after.tip.unwrap()).unwrap();
    let line = read.refs.iter().find(|line| line.name == chain).unwrap();
    assert_eq!((line.old, read.batch.v), (folded.ref_id(&chain), 1));
    open.parser.flush().unwrap();
    assert_eq!(world.git("parser", &["log", "--format=%s", issue(one).as_str()]).lines().count(), 3);
    assert_eq!(*world.replayed(&open).snapshot(), *after);

    // A month later the pull request rests again; the issue is open.
    world.time.fetch_add(30 * DAY, Ordering::SeqCst);
    open.parser.fold_resting(DAY).unwrap();
    let again = open.parser.snapshot();
    assert!(again.folded.contains_key(&chain) && again.refs.contains_key(&issue(one)));
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn an_event_in_the_batch_that_would_fold_its_entity_keeps_it_listed() {
    let (world, open, [_, one, two, _]) = rested();
    let (parser, waiting) = (&open.parser, open.parser.waiting());
    let (began, has_begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // Both ride in the batch that waits for them: the event stands behind the fold, or before it.
        scope.spawn(move || {
            let until_two_wait = move |_: &mut Draft| {
                let _ = began.send(());
                while waiting() < 2 {
                    std::thread::yield_now();
                }
                Ok(())
            };
            parser.commit(until_two_wait).map(drop)
        });
        has_begun.recv().unwrap();
        scope.spawn(move || parser.fold_resting(DAY).unwrap());
        scope.spawn(move || add(parser, one, IssueReopened {}));
    });
    let after = open.parser.snapshot();
    assert!(after.refs.contains_key(&issue(one)) && !after.folded.contains_key(&issue(one)));
    assert!(after.folded.contains_key(&issue(two)));
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn refs_of_what_is_not_over_are_never_folded_and_a_ledger_that_says_so_is_at_fault() {
    let (world, open, [live, ..]) = rested();
    open.parser.fold_resting(0).unwrap();
    assert!(open.parser.snapshot().refs.contains_key(&issue(live)));
    let tip = open.parser.snapshot().ref_id(&issue(live));
    open.parser.commit(move |draft| draft.set_ref(&issue(live), tip, None, None, None)).unwrap();
    drop(open);
    let faults = world.verify();
    assert!(faults[0].contains("it folds refs/forge/issues/1, and issues/1 has not ended"), "{faults:?}");
}

#[test]
fn refs_on_disk_that_are_folded_since_are_pending_and_altered_ones_a_fault() {
    let (world, open, [live, one, ..]) = rested();
    open.parser.fold_resting(DAY).unwrap();
    open.parser.flush().unwrap();
    let folded = open.parser.snapshot().ref_id(&issue(one)).unwrap().to_string();
    let other = open.parser.snapshot().ref_id(&issue(live)).unwrap().to_string();
    drop(open);
    // As a fetch without pruning leaves it.
    world.git("parser", &["update-ref", issue(one).as_str(), &folded]);
    let report = verify::verify(world.dir.path()).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    let [pending] = &report.pending[..] else { panic!("{:?}", report.pending) };
    assert!(pending.contains("1 refs of what rests are still on disk") && pending.contains("--prune"), "{pending}");
    world.git("parser", &["update-ref", issue(one).as_str(), &other]);
    assert!(world.verify()[0].contains("refs/forge/issues/2 names"));
}

#[test]
fn what_is_folded_can_be_redacted_and_its_name_answers_with_what_is_left() {
    let (world, open, [_, one, ..]) = rested();
    assert_eq!(one, 2, "the issue that is redacted below");
    open.parser.fold_resting(30 * DAY).unwrap();
    let folded = open.parser.snapshot().folded.clone();
    assert!(folded.contains_key(&issue(one)));
    let open = super::redact::without(&world, open, one, 1);
    let after = open.parser.snapshot();
    assert_eq!(after.folded.keys().collect::<Vec<_>>(), folded.keys().collect::<Vec<_>>());
    assert_ne!(after.folded[&issue(one)], folded[&issue(one)]);
    assert_eq!(after.folded[&issue(one)].id, after.fold.entities[&EntityId::Issue(one)].tip);
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}
