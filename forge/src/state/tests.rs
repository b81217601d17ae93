//! States stay small however crowded an item is: they are written with every event.

use notes_schema::event::{
    CheckRegistered, Commented, IssueOpened, Level, Proof, PullOpened, Reviewed, TestCounts, Verdict, WorkStarted,
};
use notes_schema::{AgentName, EntityId, Event, Fact, Oid, RefName, Sha256, envelope};

use super::{Fold, WRITTEN_NAMES};

/// Longest state that a crowd may cause, in bytes.
const MOST: usize = 4096;

fn agent(k: u64) -> AgentName {
    format!("{}{k:04}", "a".repeat(60)).parse().unwrap()
}

fn apply(fold: &mut Fold, id: &EntityId, by: u64, q: u64, fact: impl Into<Fact>, text: &str) -> usize {
    let fact = fact.into();
    let event = Event {
        v: 1,
        i: Vec::new(),
        s: None,
        a: agent(by),
        k: String::new(),
        n: q,
        l: q,
        q,
        t: u64::MAX / 4,
        p: Sha256::of(b""),
    };
    fold.apply(id, &event, &fact, Some(text), Oid::from_bytes([7; 20]), Sha256::of(b"x"));
    envelope::encode(&fold.entities[id].state).len()
}

#[test]
fn a_crowd_on_an_issue_or_pull_request_does_not_grow_its_state() {
    let mut fold = Fold::default();
    let branch = RefName::branch(&"b".repeat(200)).unwrap();
    let long = "word ".repeat(1000);
    let labels = (0..16).map(|k| format!("{k:040}")).collect();
    let issue = EntityId::Issue(1);
    let opened = IssueOpened { title: "t".repeat(200), labels, dedupe: Some("d".repeat(100)) };
    apply(&mut fold, &issue, 0, 1, opened, &long);
    for k in 1..100 {
        let started =
            WorkStarted { base: None, branch: branch.clone(), nonce: vec![k as u8; 16], deadline_ms: u64::MAX / 4 };
        apply(&mut fold, &issue, k, k, started, "");
        let size = apply(&mut fold, &issue, k, k, Commented {}, &long);
        assert!(size <= MOST, "{size} bytes with {k} workers");
    }
    assert_eq!(fold.issue(1).unwrap().working, 99);
    assert_eq!(fold.work_of(&agent(1)).count(), 1, "whoever is not named still works on it");
    let (pull, head) = (EntityId::Pull(2), Oid::from_bytes([9; 20]));
    let tests = Some(TestCounts { framework: "f".repeat(40), passed: u64::MAX, failed: u64::MAX, ignored: u64::MAX });
    let proof = Proof { level: Level::P1, record: Some(Sha256::of(b"r")), command: "c".repeat(200), tests };
    let opened = PullOpened {
        title: "t".repeat(200),
        branch: branch.clone(),
        target: branch,
        issue: Some(1),
        head,
        base: head,
        proof,
    };
    apply(&mut fold, &pull, 0, 1, opened, &long);
    for k in 1..100 {
        let size = apply(&mut fold, &pull, k, k, Reviewed { verdict: Verdict::RequestChanges, head }, &long);
        assert!(size <= MOST, "{size} bytes with {k} reviewers");
    }
}

#[test]
fn an_agent_with_all_the_checks_that_it_may_post_has_a_small_state() {
    let (mut fold, id) = (Fold::default(), EntityId::Checks(agent(0)));
    for k in 0..WRITTEN_NAMES as u64 {
        let size = apply(&mut fold, &id, 1, k + 1, CheckRegistered { name: format!("{k:0100}") }, "");
        assert!(size <= MOST, "{size} bytes with {} checks", k + 1);
    }
    assert_eq!(fold.checks.registered().count(), WRITTEN_NAMES);
}
