//! E07: the patches of a record, replayed on trees, make the trees that it names.
//!
//! A tree of uncommitted work stands in no commit: it can only be made, by the patches of the record and of those before
//! it, from a tree that is here. Where a patch was left out, or what it starts from is not here, nothing is claimed.

use std::borrow::Cow;

use notes_schema::trace::{Attempt, Record};
use notes_schema::{Oid, Sha256};

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Patched, Repo, Undecided, Verdict, patch};

/// Most bytes that are read and hashed for the patches of one record, and as many for the records before it.
/// Limit: bytes read and hashed to replay the patches of one record, and as many for earlier ones that lead to its
/// start | {:bytes}
const ROOM: u64 = 128 << 20;
/// How many patches back a tree is looked for from which what a record starts from can be made.
/// Limit: patches of earlier records that are replayed to make the tree that one starts from | {}; beyond, nothing
/// is claimed
const FAR: usize = 256;
/// The same where whoever reads a page asks for it.
/// Limit: patches that are replayed to name the paths of a run (E08) | {}
const NEAR: usize = 16;
/// Limit: bytes read and hashed to name the paths of a run on a tree that no commit holds (E08) | {:bytes}
const LITTLE_ROOM: u64 = 8 << 20;
/// How many differing paths are named.
const NAMED: usize = 5;

/// What replaying the patches of a record showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// So many make the trees that it names; of the first of the others, why nothing is claimed.
    Holds(usize, Option<String>),
    /// One does not.
    Refuted(String),
}

/// See the module.
pub const RULE: RecordRule = RecordRule {
    word: "E07",
    demands: "the patches of a record, replayed from the tree before, make the trees that it names",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let known = |digest: &Sha256| match pushed.arrived.get(digest) {
        Some(record) => Ok(Some(Cow::Borrowed(record))),
        None => Ok(repo.record(digest)?.map(Cow::Owned)),
    };
    match replay(repo, pushed.record, &known)? {
        Replayed::Holds(..) => Ok(Verdict::Ok),
        Replayed::Refuted(why) => pushed.refuse(RULE.word, why, drop_it(pushed.name)),
    }
}

/// How a record is found by its digest.
type Known<'k, 'r> = &'k dyn Fn(&Sha256) -> Result<Option<Cow<'r, Record>>, Undecided>;

/// What replaying one patch showed.
enum Found {
    /// It makes the tree that the record names.
    Makes,
    /// It does not.
    Lies(String),
    /// That cannot be said, and why.
    Unclaimed(String),
}

/// Replays the patches of `record`; `known` has the records before it.
pub fn replay<'r>(repo: &dyn Repo, record: &Record, known: Known<'_, 'r>) -> Result<Replayed, Undecided> {
    let carries = record.attempts.first().is_some_and(|attempt| attempt.patch.is_some());
    let before = if carries { before(record, known)? } else { None };
    let mut from = record.starts_from(before.as_deref());
    let (mut count, mut unclaimed, mut room) = (0, None, ROOM);
    for (i, attempt) in record.attempts.iter().enumerate() {
        let make_start = || if i == 0 { make_again(repo, before.clone(), known, FAR, ROOM) } else { Ok(()) };
        match look(repo, attempt, from.replace(attempt.tree), make_start, &mut room)? {
            Found::Makes => count += 1,
            Found::Lies(why) => return Ok(Replayed::Refuted(format!("attempts[{i}]: {why}"))),
            Found::Unclaimed(why) => unclaimed = unclaimed.or(Some(format!("attempts[{i}]: {why}"))),
        }
    }
    Ok(Replayed::Holds(count, unclaimed))
}

fn look(
    repo: &dyn Repo,
    attempt: &Attempt,
    start: Option<Oid>,
    make_start: impl Fn() -> Result<(), Undecided>,
    room: &mut u64,
) -> Result<Found, Undecided> {
    let Some(frame) = &attempt.patch else {
        return Ok(Found::Unclaimed(match &attempt.patch_omitted_why {
            Some(why) => format!("its patch was left out ({why})"),
            None => "it carries no patch".to_owned(),
        }));
    };
    let text = match patch::unpack(repo, frame)? {
        Ok(text) => text,
        Err(error) => return Ok(Found::Lies(format!("its patch {error}"))),
    };
    let Some(start) = start else { return Ok(Found::Unclaimed("it names no tree to start from".to_owned())) };
    let mut patched = repo.patched(start, &text, room)?;
    if let Patched::Missing(_) = patched {
        make_start()?;
        patched = repo.patched(start, &text, room)?;
    }
    Ok(match patched {
        Patched::Tree(tree, _) if tree == attempt.tree => Found::Makes,
        Patched::Tree(tree, touched) => Found::Lies(other_tree(repo, attempt, start, tree, touched)),
        Patched::Unfit(why) => Found::Lies(format!("its patch is none of tree {}: {why}", start.short())),
        Patched::Missing(why) => Found::Unclaimed(why),
        Patched::TooMuch => Found::Lies(format!("its patches take more than {} MiB to be read and hashed", ROOM >> 20)),
    })
}

/// That a patch makes `tree` and not the one that is named, and where they differ.
fn other_tree(repo: &dyn Repo, attempt: &Attempt, start: Oid, tree: Oid, touched: Vec<String>) -> String {
    // The tree that it names may be nowhere: then the paths that the patch changes are all there is to name.
    let (paths, word) = match repo.differing_paths(tree, attempt.tree, NAMED + 1) {
        Ok(paths) if !paths.is_empty() => (paths, "they differ in"),
        Ok(_) | Err(_) => (touched, "the patch changes"),
    };
    let shown: Vec<String> = paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
    let more = if paths.len() > NAMED { " and more" } else { "" };
    let named = if shown.is_empty() { String::new() } else { format!("; {word} {}{more}", shown.join(", ")) };
    let [tree, start, stated] = [tree, start, attempt.tree].map(|id| id.short());
    format!("its patch makes tree {tree} of {start}, and it names {stated}{named}")
}

fn before<'r>(record: &Record, known: Known<'_, 'r>) -> Result<Option<Cow<'r, Record>>, Undecided> {
    record.prev.map_or(Ok(None), |digest| known(&digest))
}

/// Makes the tree that `record` ends at, so that its paths can be named: where few patches and little work do it.
pub(crate) fn make_tested(repo: &dyn Repo, record: &Record) -> Result<(), Undecided> {
    let known = |digest: &Sha256| Ok(repo.record(digest)?.map(Cow::Owned));
    make_again(repo, Some(Cow::Borrowed(record)), &known, NEAR, LITTLE_ROOM)
}

/// Makes the tree that `record` ends at from the nearest one before it that is here, at most `far` patches back. What cannot
/// be done is left undone.
fn make_again<'r>(
    repo: &dyn Repo,
    mut record: Option<Cow<'r, Record>>,
    known: Known<'_, 'r>,
    far: usize,
    room: u64,
) -> Result<(), Undecided> {
    let mut steps: Vec<(Oid, Vec<u8>)> = Vec::new();
    while let Some(this) = record {
        let earlier = before(&this, known)?;
        for (i, attempt) in this.attempts.iter().enumerate().rev() {
            let from = match i {
                0 => this.starts_from(earlier.as_deref()),
                _ => Some(this.attempts[i - 1].tree),
            };
            let (Some(from), Some(frame)) = (from, &attempt.patch) else { return Ok(()) };
            steps.push((from, frame.clone()));
            if repo.has_tree(from)? {
                return forward(repo, steps, room);
            }
            if steps.len() == far {
                return Ok(());
            }
        }
        record = earlier;
    }
    Ok(())
}

fn forward(repo: &dyn Repo, steps: Vec<(Oid, Vec<u8>)>, mut room: u64) -> Result<(), Undecided> {
    for (from, frame) in steps.into_iter().rev() {
        let Ok(text) = patch::unpack(repo, &frame)? else { return Ok(()) };
        room = room.saturating_sub(text.len() as u64);
        match repo.patched(from, &text, &mut room)? {
            Patched::Tree(..) => {}
            Patched::Unfit(_) | Patched::Missing(_) | Patched::TooMuch => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use notes_schema::trace::Record;

    use super::*;
    use crate::testing::{Fake, judge_records, nonce, oid, record};

    /// A record `id` whose attempts ran on these trees, with these patches (none: left out), from base tree 1.
    fn chain(id: &str, prev: Option<&Record>, attempts: &[(u8, Option<&str>)]) -> Record {
        let mut made = record();
        (made.id, made.base_tree, made.prev) = (id.to_owned(), Some(oid(1)), prev.map(Record::digest));
        let attempt = made.attempts.remove(0);
        made.attempts.extend(attempts.iter().zip(1..).map(|((tree, text), seq)| Attempt {
            seq,
            tree: oid(*tree),
            patch: text.map(|text| patch::deflate(text.as_bytes())),
            patch_omitted: text.is_none(),
            ..attempt.clone()
        }));
        made.head_tree = made.last().tree;
        made
    }

    /// Tree 1 is here; `1>2` makes 2 of it, and so on.
    fn repo() -> Fake {
        let repo = Fake::new();
        repo.here.borrow_mut().insert(oid(1));
        repo
    }

    /// What E07 says of the last of these records, which arrive together.
    fn said(repo: &Fake, records: &[&Record]) -> Option<String> {
        let refusal = judge_records(repo, records).pop().unwrap()?;
        assert_eq!(refusal.rule, "E07", "{refusal}");
        let id = &records.last().unwrap().id;
        assert_eq!(refusal.next, format!("git update-ref -d refs/notes/forge/out/{id} && git push"));
        Some(refusal.why)
    }

    #[test]
    fn what_a_patch_makes_is_what_the_record_names() {
        let one = |attempts: &[(u8, Option<&str>)]| chain("r1", None, attempts);
        let cases: Vec<(&str, Record, Option<&str>)> = vec![
            ("one patch", one(&[(2, Some("1>2"))]), None),
            ("three patches", one(&[(2, Some("1>2")), (3, Some("2>3")), (3, Some(""))]), None),
            ("left out", one(&[(2, None)]), None),
            ("left out, and one that cannot be replayed", one(&[(2, None), (3, Some("2>3"))]), None),
            ("left out, and one from a tree that is here", one(&[(1, None), (2, Some("1>2"))]), None),
            (
                "left out, and a lie from a tree that is here",
                one(&[(1, None), (3, Some("1>2"))]),
                Some(
                    "attempts[1]: its patch makes tree 0202020 of 0101010, and it names 0303030; the patch changes `f2`",
                ),
            ),
            (
                "an edited tree",
                one(&[(2, Some("1>2")), (4, Some("2>3"))]),
                Some(
                    "attempts[1]: its patch makes tree 0303030 of 0202020, and it names 0404040; the patch changes `f3`",
                ),
            ),
            (
                "a patch that changes nothing between two trees",
                one(&[(2, Some(""))]),
                Some("attempts[0]: its patch makes tree 0101010 of 0101010, and it names 0202020"),
            ),
            (
                "an edited patch",
                one(&[(2, Some("9>2"))]),
                Some("attempts[0]: its patch is none of tree 0101010: at `f` it is of 9"),
            ),
            (
                "one that takes too much",
                one(&[(2, Some("much"))]),
                Some("attempts[0]: its patches take more than 128 MiB to be read and hashed"),
            ),
        ];
        for (which, record, expected) in cases {
            assert_eq!(said(&repo(), &[&record]).as_deref(), expected, "{which}");
        }
    }

    #[test]
    fn a_frame_must_hold_a_patch_even_where_it_cannot_be_replayed() {
        let mut broken = chain("r1", None, &[(2, Some("1>2"))]);
        broken.base_tree = None;
        assert_eq!(said(&repo(), &[&broken]), None, "it names no tree to start from, and nothing is claimed");
        broken.attempts[0].patch = Some(b"1>2".to_vec());
        let why = said(&repo(), &[&broken]).unwrap();
        assert!(why.starts_with("attempts[0]: its patch is no single zstd frame"), "{why}");
    }

    #[test]
    fn records_follow_each_other_in_one_push_and_over_many() {
        let first = chain("r1", None, &[(2, Some("1>2"))]);
        let second = chain("r2", Some(&first), &[(3, Some("2>3")), (4, Some("3>4"))]);
        let third = chain("r3", Some(&second), &[(5, Some("4>5"))]);
        let lie = chain("r3", Some(&second), &[(6, Some("4>5"))]);
        assert_eq!(said(&repo(), &[&first, &second, &third]), None);
        assert!(said(&repo(), &[&first, &second, &lie]).unwrap().contains("makes tree 0505050 of 0404040"));
        // In a push of its own: tree 4 is nowhere, and is made again.
        let mut later = repo();
        later.accept(&[&first, &second]);
        assert_eq!(said(&later, &[&third]), None);
        assert!(said(&later, &[&lie]).unwrap().contains("makes tree 0505050 of 0404040"));
        // Where even the first tree is not here, nothing is claimed.
        later.here.borrow_mut().clear();
        assert_eq!(said(&later, &[&lie]), None);
    }

    #[test]
    fn a_chain_that_was_broken_begins_at_the_base() {
        let broken = chain("r1", None, &[(2, None)]);
        let after = chain("r2", Some(&broken), &[(3, Some("1>3"))]);
        assert_eq!(said(&repo(), &[&broken, &after]), None);
        let wrong = chain("r2", Some(&broken), &[(3, Some("2>3"))]);
        assert!(said(&repo(), &[&broken, &wrong]).unwrap().contains("none of tree 0101010"));
        let whole = chain("r1", None, &[(2, Some("1>2"))]);
        let mut of_other_start = chain("r2", Some(&whole), &[(3, Some("1>3"))]);
        of_other_start.nonce = nonce(4);
        assert_eq!(said(&repo(), &[&whole, &of_other_start]), None);
    }

    #[test]
    fn what_is_not_claimed_is_said() {
        let known = |_: &Sha256| Ok(None);
        let found = |record: &Record| replay(&repo(), record, &known).unwrap();
        assert_eq!(found(&chain("r1", None, &[(2, Some("1>2"))])), Replayed::Holds(1, None));
        let mut part = chain("r1", None, &[(2, Some("1>2")), (3, None)]);
        let why = |why: &str| Some(format!("attempts[1]: {why}"));
        assert_eq!(found(&part), Replayed::Holds(1, why("it carries no patch")));
        part.attempts[1].patch_omitted_why = Some("too large".into());
        assert_eq!(found(&part), Replayed::Holds(1, why("its patch was left out (too large)")));
        let mut nowhere = chain("r1", None, &[(2, Some("1>2"))]);
        nowhere.base_tree = Some(oid(9));
        assert_eq!(found(&nowhere), Replayed::Holds(0, Some("attempts[0]: tree 0909090 is not here".into())));
    }
}
