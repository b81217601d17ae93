use super::*;
use crate::testing::{Fake, agent, name, oid, record};

use event::Verdict::{Approve, Comment, RequestChanges};

/// The parts of a candidate by alpha, branch `alpha/fix`, pull request 47, head 4 with tree 5.
struct Parts {
    repo: Fake,
    records: Vec<Record>,
    reviews: Vec<Review>,
    mergeable: Mergeability,
}

fn parts() -> Parts {
    let reviews = vec![review("beta", Approve, 4)];
    Parts { repo: Fake::new(), records: vec![record()], reviews, mergeable: Mergeability::Clean }
}

fn review(who: &str, verdict: event::Verdict, head: u8) -> Review {
    Review { agent: agent(who), verdict, head: oid(head) }
}

impl Parts {
    fn with<T>(&self, look: impl FnOnce(&Fake, &Candidate<'_>) -> T) -> T {
        let (branch, author, pull) = (name("refs/heads/alpha/fix"), agent("alpha"), "parser#47".parse().unwrap());
        let candidate = Candidate {
            pull: Some(&pull),
            branch: &branch,
            author: &author,
            issue: Some(12),
            head: oid(4),
            tree: oid(5),
            records: &self.records,
            reviews: &self.reviews,
            mergeable: &self.mergeable,
        };
        look(&self.repo, &candidate)
    }

    fn merge(&self) -> Result<Proof, Refusal> {
        self.with(|repo, candidate| check_merge(repo, candidate))
    }

    fn submit(&self) -> Result<Proof, Refusal> {
        self.with(|repo, candidate| check_submit(repo, candidate))
    }

    fn state(&self, rule: &str) -> State {
        let lines = self.with(|repo, candidate| gate(repo, candidate));
        lines.into_iter().find(|line| line.rule == rule).unwrap().state
    }
}

/// A record of alpha's whose one attempt was changed.
fn run(change: impl FnOnce(&mut notes_schema::trace::Attempt)) -> Record {
    let mut record = record();
    change(&mut record.attempts[0]);
    record.head_tree = record.last().tree;
    record.check().unwrap();
    record
}

fn tests(passed: u64, failed: u64) -> Option<notes_schema::trace::Tests> {
    Some(notes_schema::trace::Tests { framework: "tap".into(), passed, failed, ..Default::default() })
}

#[test]
fn what_is_complete_lands_and_carries_its_proof() {
    let parts = Parts { records: vec![run(|a| a.tests = tests(3, 0))], ..parts() };
    let proof = parts.merge().unwrap();
    assert_eq!(proof, parts.submit().unwrap());
    assert_eq!((proof.level, proof.command.as_str()), (Level::P1, "cargo test"));
    assert_eq!(proof.record, Some(parts.records[0].digest()));
    assert_eq!(proof.tests.unwrap().passed, 3);
    let lines = parts.with(|repo, candidate| gate(repo, candidate));
    assert_eq!(
        lines.iter().map(|l| l.rule).collect::<Vec<_>>(),
        ["proof", "tests", "approval", "no-changes-requested", "mergeable"]
    );
    assert!(lines.iter().all(|line| line.ok && !line.why.is_empty() && !line.next.is_empty()));
}

#[test]
fn records_that_prove_nothing_are_refused_at_both_moments() {
    let again = "forge run --again && git push";
    let other_tree = || run(|a| a.tree = oid(9));
    let by_beta = || {
        let mut record = record();
        record.agent = agent("beta");
        record
    };
    let for_another_issue = || {
        let mut record = record();
        record.issue = Some(13);
        record
    };
    let cases: Vec<(&str, Vec<Record>, &str, &str)> = vec![
        ("none", vec![], "E00", "git push"),
        ("only beta's", vec![by_beta()], "E00", "git push"),
        ("for another issue", vec![for_another_issue()], "E00", "git push"),
        ("on another tree", vec![other_tree()], "E08", again),
        ("exit 101", vec![run(|a| a.exit = Some(101))], "E09", again),
        ("killed", vec![run(|a| (a.exit, a.signal) = (None, Some(9)))], "E09", again),
        ("timed out", vec![run(|a| a.timed_out = true)], "E09", again),
        ("no test ran", vec![run(|a| a.tests = tests(0, 0))], "E09", again),
        ("failures hidden by the exit status", vec![run(|a| a.tests = tests(5, 1))], "E09", again),
        ("passed, then failed on the same tree", vec![record(), run(|a| a.exit = Some(1))], "E09", again),
    ];
    for (which, records, code, next) in cases {
        let parts = Parts { records, ..parts() };
        for refusal in [parts.submit().unwrap_err(), parts.merge().unwrap_err()] {
            assert_eq!((refusal.rule.as_str(), refusal.next.as_str()), (code, next), "{which}");
        }
        assert_eq!(parts.with(|_, candidate| proof_of(candidate)), Proof::none(), "{which}");
    }
}

#[test]
fn a_run_on_the_tips_tree_counts_whatever_ran_on_other_trees_later() {
    for records in
        [vec![run(|a| a.exit = Some(1)), record()], vec![record(), run(|a| (a.tree, a.exit) = (oid(9), Some(1)))]]
    {
        assert!(Parts { records, ..parts() }.submit().is_ok());
    }
}

#[test]
fn the_differing_paths_are_named_and_cleaned() {
    let mut parts = Parts { records: vec![run(|a| a.tree = oid(9))], ..parts() };
    parts.repo.paths = Ok((1..=9).map(|n| format!("src/{n}\n.rs")).collect());
    let why = parts.submit().unwrap_err().why;
    assert!(
        why.ends_with("they differ in `src/1 .rs`, `src/2 .rs`, `src/3 .rs`, `src/4 .rs`, `src/5 .rs` and more"),
        "{why}"
    );
    parts.repo.paths = Err(Undecided("the tested tree is not here".into()));
    assert_eq!(parts.submit().unwrap_err().rule, "E08", "that it differs is certain all the same");
}

#[test]
fn reviews_count_only_when_live() {
    type Case<'a> = (&'a str, Vec<Review>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("none", vec![], "approval"),
        ("another's", vec![review("beta", Approve, 4)], ""),
        ("one's own", vec![review("alpha", Approve, 4)], "approval"),
        ("of an earlier head", vec![review("beta", Approve, 3)], "approval"),
        ("a comment", vec![review("beta", Comment, 4)], "approval"),
        ("a comment after approving", vec![review("beta", Approve, 4), review("beta", Comment, 4)], ""),
        ("taken back", vec![review("beta", Approve, 4), review("beta", RequestChanges, 4)], "approval"),
        ("against", vec![review("beta", Approve, 4), review("gamma", RequestChanges, 4)], "no-changes-requested"),
        ("settled", vec![review("beta", RequestChanges, 4), review("beta", Approve, 4)], ""),
        ("against an earlier head", vec![review("gamma", RequestChanges, 3), review("beta", Approve, 4)], ""),
    ];
    for (which, reviews, rule) in cases {
        let parts = Parts { reviews, ..parts() };
        assert_eq!(parts.merge().err().map_or(String::new(), |r| r.rule), rule, "{which}");
        assert!(parts.submit().is_ok(), "reviews come after submit: {which}");
    }
}

#[test]
fn conflicts_block_the_merge_and_unknown_is_no_yes() {
    let conflicts = Parts { mergeable: Mergeability::Conflicts(vec!["src/lib.rs".into()]), ..parts() };
    let refusal = conflicts.merge().unwrap_err();
    assert_eq!(
        refusal.line(),
        "mergeable merge parser#47: conflicts with main in `src/lib.rs`; next: git pull --no-rebase --no-edit origin main"
    );
    let unknown = Parts { mergeable: Mergeability::Unknown("an object is missing".into()), ..parts() };
    assert_eq!(unknown.merge().unwrap_err().why, "could not decide: an object is missing");
    assert_eq!(unknown.state("mergeable"), State::Error);
    let done = Parts { mergeable: Mergeability::Done, ..parts() };
    assert_eq!(done.state("mergeable"), State::NotApplicable);
}
