//! What lies beside events: taken as it was promised, and named where it was not.

use notes_schema::event::{
    ContestClosed, ContestDrawn, ContestOpened, ContestRanked, ContestRevealed, ContestSealed, Difficulty, Entry,
    Level, Placed, Proof, PullOpened, Seat, Trial, Trials, VerifiersJudged,
};
use notes_schema::{Oid, Sha256};

use super::*;
use crate::answer::Code;
use crate::import::Sealed;
use crate::ledger::SEALED;
use crate::seal::{self, Place};

const MARKER: &str = "the-golden-patch";

/// A contest in `parser`, and what is to be sealed of it: the fact, the blob and the key.
fn contest() -> (World, Open, ContestSealed, Vec<u8>, Vec<u8>) {
    let world = World::new();
    let open = world.open();
    let (n, fact, blob, key) = another(&open);
    assert_eq!(n, 1);
    (world, open, fact, blob, key)
}

/// A contest that is closed, whose sealed part is revealed, and that is not ranked.
pub(super) fn revealed(open: &Open) {
    let (n, fact, blob, key) = another(open);
    let id = fact.id.clone();
    open.parser
        .commit(move |draft| draft.event_with(&alpha(), &EntityId::Issue(n), fact, None, &[], Some((SEALED, blob))))
        .unwrap();
    add(&open.parser, n, one_submission(4));
    add(&open.parser, n, ContestRevealed { id, key, unlaid: vec![4] });
}

/// A close with one solved submission, and somebody who could verify it.
fn one_submission(pull: u64) -> ContestClosed {
    let (agent, record) = (alpha().agent, Some(Sha256::of(b"record")));
    let head = Oid::from_bytes([9; 20]);
    let entry = Entry { agent: agent.clone(), pull, head, record, took_ms: 5, bench: None };
    ContestClosed { entries: vec![entry], expired: vec![], candidates: vec![agent] }
}

fn another(open: &Open) -> (u64, ContestSealed, Vec<u8>, Vec<u8>) {
    let n = open_issue(&open.parser, "contest");
    let terms = ContestOpened {
        difficulty: Difficulty::Easy,
        base: Oid::from_bytes([8; 20]),
        command: "make".into(),
        runs_ms: 60_000,
        anchored: false,
        bench: None,
    };
    add(&open.parser, n, terms);
    let project = "parser".parse().unwrap();
    let id = vec![7; seal::ID];
    let place = Place { project: &project, genesis: open.forge.snapshot().genesis, id: &id };
    let part =
        Sealed { golden: MARKER.into(), tests: String::new(), fail_to_pass: vec!["a".into()], pass_to_pass: vec![] };
    let closed = seal::seal(&[1; 32], &place, [2; 32], &part).unwrap();
    let key = place.key(&[1; 32]).to_vec();
    let fact = ContestSealed {
        id: id.clone(),
        commitment: closed.commitment,
        sealed: Sha256::of(&closed.blob),
        bytes: closed.blob.len() as u64,
    };
    (n, fact, closed.blob, key)
}

fn add_with(open: &Open, fact: impl Into<Fact> + Send + 'static, blob: Option<Vec<u8>>) {
    let beside = blob.map(|blob| (SEALED, blob));
    open.parser.commit(move |draft| draft.event_with(&alpha(), &EntityId::Issue(1), fact, None, &[], beside)).unwrap();
}

fn close(open: &Open) {
    add(&open.parser, 1, ContestClosed { entries: vec![], expired: vec![], candidates: vec![] });
}

#[track_caller]
pub(super) fn has_fault(world: &World, open: Open, why: &str) {
    open.forge.flush().unwrap();
    open.parser.flush().unwrap();
    drop(open);
    let faults = world.verify();
    assert!(faults.iter().any(|fault| fault.contains(why)), "{why}: {faults:?}");
}

#[test]
fn what_was_sealed_is_revealed_and_holds_what_was_promised() {
    let (world, open, fact, blob, key) = contest();
    let id = fact.id.clone();
    add_with(&open, fact, Some(blob.clone()));
    assert!(open.parser.snapshot().fold.contests.waiting().next().is_none());
    close(&open);
    assert_eq!(open.parser.snapshot().fold.contests.waiting().collect::<Vec<_>>(), [1]);
    add(&open.parser, 1, ContestRevealed { id, key: key.clone(), unlaid: vec![] });
    add(&open.parser, 1, ContestRanked { places: vec![] });
    let snapshot = open.parser.snapshot();
    assert!(snapshot.fold.contests.waiting().next().is_none());
    let part = snapshot.fold.contests.sealed(1).unwrap();
    assert_eq!(part.key.as_ref(), Some(&key));
    let found = seal::blob(&**open.parser.store(), part.commit.unwrap()).unwrap();
    assert_eq!(found, blob);
    assert_eq!(seal::open(&key, &found).unwrap().part.golden, MARKER);
    open.parser.flush().unwrap();
    open.forge.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
    assert_eq!(&*world.open().parser.snapshot(), &*snapshot);
}

#[test]
fn a_blob_that_is_missing_another_or_out_of_place_is_a_fault() {
    let (world, open, fact, _, _) = contest();
    add_with(&open, fact, None);
    has_fault(&world, open, "is not beside it");
    let (world, open, fact, mut blob, _) = contest();
    *blob.last_mut().unwrap() ^= 1;
    add_with(&open, fact, Some(blob));
    has_fault(&world, open, "is not the one that it names");
    let (world, open, fact, blob, _) = contest();
    add_with(&open, ContestSealed { bytes: 7, ..fact }, Some(blob));
    has_fault(&world, open, "another length");
    let (world, open, fact, blob, _) = contest();
    add_with(&open, ContestSealed { id: vec![6; seal::ID], ..fact }, Some(blob));
    has_fault(&world, open, "sealed for another place");
    let (world, open, _, blob, _) = contest();
    add_with(&open, Commented {}, Some(blob));
    has_fault(&world, open, "it seals nothing");
}

#[test]
fn a_reveal_too_early_or_of_something_else_is_a_fault() {
    let (world, open, fact, blob, key) = contest();
    let id = fact.id.clone();
    add_with(&open, fact, Some(blob));
    add(&open.parser, 1, ContestRevealed { id, key, unlaid: vec![] });
    has_fault(&world, open, "that is not closed");
    let (world, open, fact, blob, _) = contest();
    let id = fact.id.clone();
    add_with(&open, fact, Some(blob));
    close(&open);
    add(&open.parser, 1, ContestRevealed { id, key: vec![9; 32], unlaid: vec![] });
    has_fault(&world, open, "the key does not open it");
    let (world, open, fact, blob, key) = contest();
    let id = fact.id.clone();
    add_with(&open, ContestSealed { commitment: Sha256::of(b"another"), ..fact }, Some(blob));
    close(&open);
    add(&open.parser, 1, ContestRevealed { id, key, unlaid: vec![] });
    has_fault(&world, open, "is not what was promised");
    let (world, open, _, _, key) = contest();
    close(&open);
    add(&open.parser, 1, ContestRevealed { id: vec![7; seal::ID], key, unlaid: vec![] });
    has_fault(&world, open, "never sealed");
    let (world, open, fact, blob, _) = contest();
    add_with(&open, fact, Some(blob));
    close(&open);
    add(&open.parser, 1, ContestRanked { places: vec![] });
    has_fault(&world, open, "was not revealed");
}

#[test]
fn a_ranking_by_sealed_tests_that_nobody_ran_is_a_fault() {
    let (world, open, ..) = contest();
    close(&open);
    let placed = Placed {
        agent: alpha().agent,
        pull: 4,
        place: 1,
        solved: true,
        level: Level::P3,
        sealed_tests: Some(true),
        regressions: 0,
        bench_us: None,
        alike_permille: None,
        took_ms: 5,
    };
    add(&open.parser, 1, ContestRanked { places: vec![placed] });
    has_fault(&world, open, "as its verifiers did not find them");
}

/// A contest whose sealed tests cannot be laid over `unlaid`, ranked with these words about them.
fn ranked_without_laying(unlaid: u64, sealed_tests: Option<bool>, solved: bool) -> (World, Open) {
    let (world, open, fact, blob, key) = contest();
    let id = fact.id.clone();
    add_with(&open, fact, Some(blob));
    add(&open.parser, 1, one_submission(4));
    add(&open.parser, 1, ContestRevealed { id, key, unlaid: vec![unlaid] });
    let (agent, level) = (alpha().agent, Level::P1);
    let placed = Placed {
        agent,
        pull: 4,
        place: 1,
        solved,
        level,
        sealed_tests,
        regressions: 0,
        bench_us: None,
        alike_permille: None,
        took_ms: 5,
    };
    add(&open.parser, 1, ContestRanked { places: vec![placed] });
    (world, open)
}

#[test]
fn what_sealed_tests_cannot_be_laid_over_has_failed_them_and_counts() {
    let (world, open) = ranked_without_laying(4, Some(false), false);
    let snapshot = open.parser.snapshot();
    let contest = snapshot.fold.contests.of(1).unwrap();
    assert_eq!(contest.tested(4), Some(crate::state::panel::Tested::Failed));
    assert_eq!(contest.to_verify().count(), 0, "nobody is drawn to run it");
    open.parser.flush().unwrap();
    open.forge.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
    assert_eq!(&*world.open().parser.snapshot(), &*snapshot);
    for (sealed_tests, solved) in [(None, true), (Some(true), true), (Some(false), true)] {
        let (world, open) = ranked_without_laying(4, sealed_tests, solved);
        has_fault(&world, open, "as its verifiers did not find them");
    }
    let (world, open) = ranked_without_laying(5, None, false);
    has_fault(&world, open, "what is not to be verified");
}

#[test]
fn trials_by_another_key_than_was_promised_or_before_their_time_are_a_fault() {
    let judged = |key: &[u8], due_ms: u64, right: Option<bool>| {
        let (world, open, ..) = contest();
        let agent = alpha().agent;
        add(&open.parser, 1, ContestClosed { entries: vec![], expired: vec![], candidates: vec![agent.clone()] });
        let trials = Trials { commitment: Sha256::of(b"key"), permille: 1000 };
        let seats = vec![Seat { pull: 4, agent: agent.clone() }];
        let draw = move |draft: &mut Draft| {
            let beacon = draft.snapshot().tip.unwrap();
            let drawn = ContestDrawn { beacon, seats, due_ms, trials: Some(trials) };
            draft.event(&alpha(), &EntityId::Issue(1), drawn, None, &[])
        };
        open.parser.commit(draw).unwrap();
        let ran = trials.of(key, 4, &agent).unwrap();
        let trial = Trial { pull: 4, agent, ran, right };
        add(&open.parser, 1, VerifiersJudged { key: Some(key.to_vec()), trials: vec![trial], discredited: vec![] });
        (world, open)
    };
    let why = "not what was promised";
    for (key, due_ms, right) in [(&b"other"[..], 0, None), (b"key", 0, Some(true)), (b"key", u64::MAX, None)] {
        let (world, open) = judged(key, due_ms, right);
        has_fault(&world, open, why);
    }
    let (world, open) = judged(b"key", 0, None);
    open.parser.flush().unwrap();
    open.forge.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn a_contest_whose_submission_cannot_be_read_does_not_close() {
    let (_world, open, ..) = contest();
    let branch = |name: &str| format!("refs/heads/{name}").parse().unwrap();
    let head = Oid::from_bytes([9; 20]);
    let (title, proof) = ("Mend".to_owned(), Proof::none());
    let (branch, target) = (branch("mend"), branch("main"));
    let opened = PullOpened { title, branch, target, issue: Some(1), head, base: head, proof };
    open.parser.commit(move |draft| draft.event(&alpha(), &EntityId::Pull(2), opened, None, &[])).unwrap();
    let snapshot = open.parser.snapshot();
    let state = snapshot.fold.issue(1).and_then(|issue| issue.contest.as_ref()).unwrap();
    let root = open.forge.snapshot();
    let why =
        crate::gate::contest::close(&snapshot, &root, open.parser.store().as_ref(), (1, state), &|_| true).unwrap_err();
    assert_eq!(why.code, Code::TryLater, "{why}");
    assert!(why.what.contains(&head.short()), "{why}");
}

#[test]
fn a_redacted_part_is_gone_and_its_contest_can_be_ranked() {
    let (world, open, fact, blob, _) = contest();
    add_with(&open, fact, Some(blob));
    close(&open);
    let open = super::redact::without(&world, open, 1, 3);
    let snapshot = open.parser.snapshot();
    assert_eq!(snapshot.fold.contests.sealed(1).unwrap().commit, None);
    assert_eq!(snapshot.fold.contests.waiting().collect::<Vec<_>>(), [1]);
    let ids = world.git("parser", &["rev-list", "--objects", "--all"]);
    assert!(!ids.lines().any(|line| line.ends_with(SEALED)), "{ids}");
    add(&open.parser, 1, ContestRanked { places: vec![] });
    open.parser.flush().unwrap();
    drop(open);
    assert_eq!(world.verify(), Vec::<String>::new());
}
