//! A ledger written anew: what it keeps, what it must not claim, and what a mirror makes of it.

use std::collections::BTreeSet;

use notes_schema::event::ProjectRedacted;
use notes_schema::{Oid, Sha256};

use super::*;
use crate::ledger::follow::{self, NewEpochs};
use crate::ledger::redact::{RedactError, Rewritten, plan, rewrite};
use git::store::Store;

const SECRET: &str = "horse-battery-9431";

/// Two issues, the first with the secret in title and text, and a comment on each.
fn told() -> (World, Open) {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, SECRET);
    open_issue(&open.parser, "other");
    add(&open.parser, 1, Commented {});
    add(&open.parser, 2, Commented {});
    (world, open)
}

fn wanted(n: u64) -> BTreeSet<(EntityId, u64)> {
    BTreeSet::from([(EntityId::Issue(1), n)])
}

fn written(open: &Open, n: u64) -> Result<Rewritten, RedactError> {
    written_without(open, &wanted(n))
}

fn written_without(open: &Open, wanted: &BTreeSet<(EntityId, u64)>) -> Result<Rewritten, RedactError> {
    let (snapshot, store, root) = (open.parser.snapshot(), open.parser.store(), open.forge.snapshot());
    let plan = plan(&snapshot, store, &root, wanted)?;
    rewrite(&plan, store, &root, &open.parser_deps().signer, "a password", &|_, _| None)
}

/// Opens the epoch in `forge.git`, and declares what is given.
fn declare(open: &Open, fact: Option<ProjectRedacted>) {
    let key = open.parser_deps().signer.public_openssh();
    let declare = move |draft: &mut Draft| {
        draft.open_epoch(key);
        match fact {
            Some(fact) => {
                draft.event(&Author::forge(), &EntityId::Project("parser".parse().unwrap()), fact, None, &[]).map(drop)
            }
            None => Ok(()),
        }
    };
    open.forge.commit(declare).unwrap();
    open.forge.flush().unwrap();
}

/// Puts what was written in place of the old repository.
fn put(world: &World, open: &Open, rewritten: &Rewritten) {
    let beside = world.dir.path().join("beside.git");
    rewritten.build(&world.path("parser"), &beside, &open.forge.snapshot(), &open.parser_deps().signer).unwrap();
    fs::remove_dir_all(world.path("parser")).unwrap();
    fs::rename(beside, world.path("parser")).unwrap();
}

/// The world after event `n` of an issue was redacted.
pub(super) fn without(world: &World, open: Open, issue: u64, n: u64) -> Open {
    open.parser.flush().unwrap();
    let rewritten = written_without(&open, &BTreeSet::from([(EntityId::Issue(issue), n)])).unwrap();
    put(world, &open, &rewritten);
    declare(&open, Some(rewritten.fact));
    drop(open);
    world.open()
}

/// Whether any object on disk holds `what`, be it reached or not.
fn holds(world: &World, what: &str) -> bool {
    let store = Store::open(&world.path("parser")).unwrap();
    let ids = world.git("parser", &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
    let mut objects = ids.lines().map(|id| store.get(id.parse().unwrap()).unwrap());
    objects.any(|object| object.data.windows(what.len()).any(|window| window == what.as_bytes()))
}

#[test]
fn kept_events_are_the_same_bytes_and_the_redacted_one_keeps_its_place() {
    let (world, open) = told();
    open.parser.flush().unwrap();
    let before = open.parser.snapshot();
    let tip = |of: &Snapshot, n| of.fold.entities[&EntityId::Issue(n)].tip;
    let root = open.forge.snapshot();
    assert!(holds(&world, SECRET));
    let rewritten = written(&open, 1).unwrap();
    let kept = digest(&open, tip(&before, 1));
    put(&world, &open, &rewritten);
    assert_eq!(*root, *open.forge.snapshot(), "what is built declares nothing");
    declare(&open, Some(rewritten.fact.clone()));
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
    let open = world.open();
    let after = open.parser.snapshot();
    assert_eq!(*after, rewritten.snapshot);
    assert_eq!((after.number, after.next_number, after.t), (before.number, before.next_number, before.t));
    assert_eq!(tip(&after, 2), tip(&before, 2), "a chain that nothing was taken out of has the same commits");
    assert_ne!(tip(&after, 1), tip(&before, 1));
    assert_eq!(digest(&open, tip(&after, 1)), kept);
    assert_eq!(after.fold.entities[&EntityId::Issue(1)].last, before.fold.entities[&EntityId::Issue(1)].last);
    assert_eq!(after.fold.issue(1).unwrap().title, "[redacted]");
    assert_eq!(after.fold.issue(2), before.fold.issue(2));
    assert!(!holds(&world, SECRET));
    world.git("parser", &["fsck", "--full", "--strict"]);
    // It goes on, and can be done again to the same ledger, further up and further down.
    add(&open.parser, 1, IssueClosed { fixed_by: None });
    open.parser.maintain().unwrap();
    assert_eq!(world.verify(), Vec::<String>::new());
    assert!(matches!(written(&open, 1), Err(RedactError::Redacted(_, 1))));
    assert!(matches!(written(&open, 9), Err(RedactError::NoEvent(_, 9))));
    let again = written(&open, 2).unwrap();
    put(&world, &open, &again);
    declare(&open, Some(again.fact));
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
    assert_eq!(world.open().parser.snapshot().fold.redacted.len(), 2);
    assert_eq!(verify::verify(world.dir.path()).unwrap().redacted.len(), 2);
}

fn digest(open: &Open, commit: Oid) -> Sha256 {
    read_event(open.parser.store().as_ref(), commit, "it").unwrap().digest
}

#[test]
fn what_is_not_declared_or_declared_otherwise_is_a_fault() {
    type Forge<'a> = &'a dyn Fn(ProjectRedacted) -> Option<ProjectRedacted>;
    let with = |change: fn(&mut ProjectRedacted)| {
        move |mut fact: ProjectRedacted| {
            change(&mut fact);
            Some(fact)
        }
    };
    let otherwise = with(|fact| fact.events[0].h = Sha256::of(b"another"));
    let elsewhere = with(|fact| fact.events[0].n = 2);
    let for_another_reason = with(|fact| fact.because = "another".to_owned());
    let in_another_place = with(|fact| fact.new = fact.old);
    let none = |_: ProjectRedacted| None;
    let cases: [(Forge, &str); 5] = [
        (&none, "forge.git declares no redaction of it"),
        (&otherwise, "was redacted"),
        (&elsewhere, "forge.git declares no redaction of it"),
        (&for_another_reason, "says something else than why"),
        (&in_another_place, "when it was redacted: its ledger was rewritten"),
    ];
    for (forge, why) in cases {
        let (world, open) = told();
        let rewritten = written(&open, 1).unwrap();
        put(&world, &open, &rewritten);
        declare(&open, forge(rewritten.fact.clone()));
        drop(open);
        let faults = world.verify();
        assert!(faults.iter().any(|fault| fault.contains("parser: ") && fault.contains(why)), "{why}: {faults:?}");
    }
    // Declared, and not done.
    let (world, open) = told();
    let rewritten = written(&open, 1).unwrap();
    declare(&open, Some(rewritten.fact.clone()));
    drop(open);
    let faults = world.verify();
    assert!(faults[0].contains("issues/1 event 1: forge.git declares it redacted, and it stands here"), "{faults:?}");
}

#[test]
fn a_mirror_takes_the_ledger_only_as_far_as_it_says_what_it_said() {
    let (world, open) = told();
    let before = open.parser.snapshot();
    let rewritten = written(&open, 1).unwrap();
    // As a fetch would bring it: beside what was seen.
    let beside = world.dir.path().join("beside.git");
    rewritten.build(&world.path("parser"), &beside, &open.forge.snapshot(), &open.parser_deps().signer).unwrap();
    for entry in fs::read_dir(beside.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        let _ = fs::hard_link(&path, world.path("parser").join("objects/pack").join(path.file_name().unwrap()));
    }
    let store = Store::open(&world.path("parser")).unwrap();
    let take = |before: &Snapshot, authority: &Snapshot| {
        follow::take(before, &store, Some(authority), rewritten.fact.new, NewEpochs::Refused)
    };
    let undeclared = take(&before, &open.forge.snapshot()).map(drop).unwrap_err();
    assert!(matches!(undeclared, FollowError::Rewritten { .. }), "{undeclared}");
    declare(&open, Some(rewritten.fact.clone()));
    let authority = open.forge.snapshot();
    let taken = take(&before, &authority).unwrap();
    assert!(taken.is_rewritten && taken.batches.is_empty());
    assert_eq!(taken.after, rewritten.snapshot);
    // A mirror that had seen something else of it is not led on: here a comment is another one than before.
    let (other, elsewhere) = told();
    add(&elsewhere.parser, 1, IssueReopened {});
    drop(elsewhere);
    for entry in fs::read_dir(other.path("parser").join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        let _ = fs::hard_link(&path, world.path("parser").join("objects/pack").join(path.file_name().unwrap()));
    }
    let seen = other.open().parser.snapshot();
    let store = Store::open(&world.path("parser")).unwrap();
    let led = follow::take(&seen, &store, Some(&authority), rewritten.fact.new, NewEpochs::Refused);
    assert!(led.is_err());
}
