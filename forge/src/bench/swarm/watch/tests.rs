//! Histories that were doctored, and whether the watcher sees it.

use super::*;

fn oid(n: u64) -> Oid {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Oid::from_bytes(bytes)
}

/// A sound run: in two projects, act `n` is asked at `10 n`, answered at `10 n + 5`, written in batch `n + 1` with the
/// number `100 + n`; after each, the cursor is looked at.
struct Run {
    acts: Vec<Act>,
    looks: Vec<Look>,
    tips: Vec<(String, String, Oid)>,
    history: History,
}

const ACTS: u64 = 8;

impl Run {
    fn sound() -> Run {
        let mut run = Run { acts: vec![], looks: vec![], tips: vec![], history: History::default() };
        for n in 0..ACTS {
            let (repository, key, value) = (format!("p{}", n % 2), format!("act {n}"), format!("value {n}"));
            let (batch, seq) = (n + 1, Some(100 + n));
            run.acts.push(Act {
                key: key.clone(),
                repository: repository.clone(),
                began: 10 * n,
                ended: 10 * n + 5,
                fate: Fate::Done,
                seq,
                value: Some(value.clone()),
            });
            run.history.written.push(Written { key, repository: repository.clone(), batch, seq, value });
            run.history.batches.insert((repository.clone(), oid(batch)), batch);
            run.history.events.push((100 + n, repository.clone(), batch));
            run.looks.push(Look {
                began: 10 * n + 6,
                ended: 10 * n + 7,
                cursor: 100 + n,
                tips: vec![(repository, oid(batch))],
            });
        }
        run.tips.push(("p0".to_owned(), "refs/heads/x".to_owned(), oid(99)));
        run.history.refs.insert(("p0".to_owned(), "refs/heads/x".to_owned()), oid(99));
        run
    }

    /// What is found after `doctor`, by kind.
    fn found(doctor: impl FnOnce(&mut Run)) -> [usize; 5] {
        let mut run = Run::sound();
        doctor(&mut run);
        let found = judge(&run.acts, &run.looks, &run.tips, &run.history);
        [found.lost, found.duplicated, found.reordered, found.skipped, found.unasked].map(|found| found.len())
    }
}

#[test]
fn a_sound_history_is_sound() {
    assert_eq!(Run::found(|_| {}), [0; 5]);
}

#[test]
fn what_is_lost_is_found() {
    assert_eq!(Run::found(|run| drop(run.history.written.remove(3))), [1, 0, 0, 0, 0]);
    // There, though not as it was acknowledged.
    assert_eq!(Run::found(|run| run.history.written[3].value = "other".to_owned()), [1, 0, 0, 0, 0]);
    assert_eq!(Run::found(|run| run.history.written[3].repository = "p7".to_owned())[0], 1);
    assert_eq!(Run::found(|run| run.acts[3].seq = Some(102))[0], 1);
    // A branch that went back, one that is gone, and a ledger commit that was served and is none of the ledger's now.
    let branch = ("p0".to_owned(), "refs/heads/x".to_owned());
    let back = |run: &mut Run| {
        run.history.refs.insert(branch.clone(), oid(1));
    };
    assert_eq!(Run::found(back), [1, 0, 0, 0, 0]);
    let gone = |run: &mut Run| {
        run.history.refs.remove(&branch);
    };
    assert_eq!(Run::found(gone), [1, 0, 0, 0, 0]);
    let cut = |run: &mut Run| {
        run.history.batches.remove(&("p1".to_owned(), oid(2)));
    };
    assert_eq!(Run::found(cut), [1, 0, 0, 0, 0]);
}

#[test]
fn what_is_doubled_is_found() {
    let again = |run: &mut Run| {
        let again = Written { batch: 9, seq: Some(108), ..run.history.written[3].clone() };
        run.history.written.push(again);
    };
    assert_eq!(Run::found(again), [0, 1, 0, 0, 0]);
    // Once is no contradiction where the answer was lost; twice is one, even of what nobody remembers.
    assert_eq!(Run::found(|run| run.acts[3].fate = Fate::Lost), [0; 5]);
    let lost = |run: &mut Run| {
        run.acts[3].fate = Fate::Lost;
        again(run);
    };
    assert_eq!(Run::found(lost), [0, 1, 0, 0, 0]);
    let forgotten = |run: &mut Run| {
        again(run);
        run.acts.remove(3);
    };
    assert_eq!(Run::found(forgotten), [0, 1, 0, 0, 0]);
}

#[test]
fn what_is_reordered_is_found() {
    // Two of one project change their batches: the later one stands before what was acknowledged before it was asked.
    let swapped = |run: &mut Run| {
        (run.history.written[2].batch, run.history.written[4].batch) = (5, 3);
    };
    assert_eq!(Run::found(swapped), [0, 0, 1, 0, 0]);
    // One batch cannot hold both either.
    assert_eq!(Run::found(|run| run.history.written[4].batch = 3), [0, 0, 1, 0, 0]);
    // Of two projects the batches say nothing, and the forge-wide numbers do.
    let numbers = |run: &mut Run| {
        (run.acts[2].seq, run.acts[3].seq) = (Some(103), Some(102));
        (run.history.written[2].seq, run.history.written[3].seq) = (Some(103), Some(102));
        run.looks.clear();
    };
    assert_eq!(Run::found(numbers), [0, 0, 1, 0, 0]);
    // Asked before the other was answered, either order will do.
    let beside = |run: &mut Run| {
        swapped(run);
        (run.acts[4].began, run.acts[2].ended) = (20, 41);
    };
    assert_eq!(Run::found(beside), [0; 5]);
}

#[test]
fn what_a_cursor_passes_is_found() {
    // A cursor that had passed the number of what was asked only after it.
    assert_eq!(Run::found(|run| run.looks[2].cursor = 103), [0, 0, 0, 1, 0]);
    // One that goes back.
    assert_eq!(Run::found(|run| run.looks[6].cursor = 104), [0, 0, 0, 1, 0]);
    // One that passed what its ledger did not hold yet.
    assert_eq!(Run::found(|run| run.looks[6].tips[0].1 = oid(5)), [0, 0, 0, 1, 0]);
}

#[test]
fn what_was_refused_must_not_be_there() {
    assert_eq!(Run::found(|run| run.acts[3].fate = Fate::Refused), [0, 0, 0, 0, 1]);
}
