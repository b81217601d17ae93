//! States stay small however crowded an item is: they are written with every event. What challenges, notes, corrections
//! and keys fold to.

use notes_schema::event::{
    AgentRegistered, ChallengeStarted, CheckRegistered, Commented, IssueImported, IssueOpened, KeyAdded, KeyRevoked,
    Level, NoteAdded, NoteKind, Outcome, Proof, PublicKey, PullChallenged, PullOpened, PullRound, RatingCorrected,
    RatingSettled, Reviewed, TestCounts, Verdict, WorkStarted,
};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Event, Fact, Oid, RefName, Sha256, envelope};

use super::{Fold, State, WRITTEN_NAMES, elo};

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
        r: None,
    };
    fold.apply(id, &event, &fact, Some(text), Oid::from_bytes([7; 20]), Sha256::of(b"x"));
    envelope::encode(&fold.entities[id].state).len()
}

fn imported(key: &str) -> IssueImported {
    let ms = Some(u64::MAX / 4);
    let (url, author) = (Some("u".repeat(512)), Some("a".repeat(100)));
    IssueImported { key: key.to_owned(), url, author, created_ms: ms, closed_ms: ms }
}

#[test]
fn a_key_of_elsewhere_is_the_first_issues_that_had_it() {
    let mut fold = Fold::default();
    for n in [1, 2] {
        let opened = IssueOpened { title: "Leak".into(), labels: vec![], lang: None, dedupe: None };
        apply(&mut fold, &EntityId::Issue(n), 0, 2 * n, opened, "");
        apply(&mut fold, &EntityId::Issue(n), 0, 2 * n + 1, imported("github:owner/parser#12"), "");
    }
    assert_eq!(fold.imported.get("github:owner/parser#12"), Some(&1));
    assert_eq!(fold.issue(1).unwrap().imported.as_ref().unwrap().key, "github:owner/parser#12");
    // Of a pull request, or of nothing, it changes nothing.
    apply(&mut fold, &EntityId::Issue(9), 0, 9, imported("github:owner/parser#13"), "");
    assert!(fold.issue(9).is_none());
}

#[test]
fn a_crowd_on_an_issue_or_pull_request_does_not_grow_its_state() {
    let mut fold = Fold::default();
    let branch = RefName::branch(&"b".repeat(200)).unwrap();
    let long = "word ".repeat(1000);
    let labels = (0..16).map(|k| format!("{k:040}")).collect();
    let issue = EntityId::Issue(1);
    let opened = IssueOpened { title: "t".repeat(200), labels, lang: None, dedupe: Some("d".repeat(100)) };
    apply(&mut fold, &issue, 0, 1, opened, &long);
    apply(&mut fold, &issue, 0, 2, imported(&"k".repeat(300)), "");
    for k in 1..100 {
        let started = WorkStarted {
            base: None,
            branch: branch.clone(),
            nonce: vec![k as u8; 16],
            deadline_ms: u64::MAX / 4,
            idle_ms: Some(u64::MAX / 4),
        };
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
        let size = apply(&mut fold, &pull, k, k, Reviewed { verdict: Verdict::RequestChanges, head, at: None }, &long);
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

/// Alpha's pull request 2 for issue 1, which beta opened; its proof is record `proof`, stated as P1.
fn with_pull() -> (Fold, EntityId, Oid) {
    let mut fold = Fold::default();
    let (branch, head) = (RefName::branch("alpha/1").unwrap(), Oid::from_bytes([9; 20]));
    let opened = IssueOpened { title: "Leak".into(), labels: Vec::new(), lang: None, dedupe: None };
    apply(&mut fold, &EntityId::Issue(1), 1, 1, opened, "");
    let proof =
        Proof { level: Level::P1, record: Some(Sha256::of(b"proof")), command: "make check".into(), tests: None };
    let (title, target) = ("Fix".into(), RefName::branch("main").unwrap());
    let opened = PullOpened { title, branch, target, issue: Some(1), head, base: head, proof };
    apply(&mut fold, &EntityId::Pull(2), 0, 2, opened, "");
    (fold, EntityId::Pull(2), head)
}

fn challenged(head: Oid, outcome: Outcome, level: Level, record: &[u8]) -> PullChallenged {
    let (proof, run) = (Sha256::of(b"proof"), Sha256::of(b"make check"));
    PullChallenged { proof, record: Sha256::of(record), tree: Oid::from_bytes([5; 20]), run, head, outcome, level }
}

#[test]
fn a_challenge_sets_the_level_of_the_head_it_is_about_and_is_kept_by_its_tree() {
    let (mut fold, pull, head) = with_pull();
    apply(&mut fold, &pull, 2, 3, ChallengeStarted { proof: Sha256::of(b"proof"), nonce: vec![3; 16] }, "");
    let started = &fold.nonces[&vec![3; 16]];
    assert_eq!((started.issue, started.challenges), (2, Some(Sha256::of(b"proof"))));
    assert_eq!(fold.challenges[&(agent(2), 2)].nonce, vec![3; 16]);
    apply(&mut fold, &pull, 2, 4, challenged(head, Outcome::Refute, Level::P1, b"one"), "it hangs");
    let state = fold.pull(2).unwrap();
    assert_eq!((state.proof.level, state.last_refute.as_ref().map(|r| r.q)), (Level::P1, Some(4)));
    apply(&mut fold, &pull, 3, 5, challenged(head, Outcome::Refute, Level::PX, b"two"), "");
    assert_eq!(fold.pull(2).unwrap().proof.level, Level::PX);
    // What is said of an earlier head stays by its tree, and says nothing of the new one.
    let proof = Proof { record: Some(Sha256::of(b"next")), ..fold.pull(2).unwrap().proof.clone() };
    let next = Oid::from_bytes([8; 20]);
    let round = PullRound { round: 2, head: next, base: head, proof: Proof { level: Level::P1, ..proof } };
    apply(&mut fold, &pull, 0, 6, round, "");
    apply(&mut fold, &pull, 4, 7, challenged(head, Outcome::Refute, Level::PX, b"three"), "");
    let state = fold.pull(2).unwrap();
    assert_eq!((state.proof.level, &state.last_refute), (Level::P1, &None));
    let reruns = &fold.reruns[&Oid::from_bytes([5; 20])];
    let who: Vec<_> = reruns.iter().map(|rerun| (&rerun.agent, &rerun.of)).collect();
    assert_eq!(who, [(&agent(2), &agent(0)), (&agent(3), &agent(0)), (&agent(4), &agent(0))]);
}

#[test]
fn one_note_of_each_kind_by_each_agent_stands_and_a_crowd_of_them_does_not_grow_a_state() {
    let (mut fold, pull, _) = with_pull();
    let long = "word ".repeat(1000);
    for k in 1..60 {
        for kind in NoteKind::ALL {
            let size = apply(&mut fold, &pull, k, 10 + k, NoteAdded { kind }, &long);
            assert!(size <= MOST, "{size} bytes with {k} notes of each kind");
            apply(&mut fold, &EntityId::Issue(1), k, 10 + k, NoteAdded { kind }, &long);
        }
    }
    apply(&mut fold, &pull, 7, 100, NoteAdded { kind: NoteKind::Practice }, "better words");
    assert_eq!(fold.notes.len(), 59 * 3 * 2);
    assert_eq!(fold.notes[&(2, NoteKind::Practice, agent(7))], 100);
    assert_eq!(fold.notes[&(2, NoteKind::Deprecated, agent(7))], 17);
    assert_eq!(fold.pull(2).unwrap().last_note.as_ref().unwrap().snippet, "better words");
}

#[test]
fn a_rating_is_corrected_once_and_can_be_given_back() {
    let mut fold = Fold::default();
    let elo = EntityId::Elo(Track::Antfarm);
    let item = |text: &str| text.parse::<notes_schema::ItemRef>().unwrap();
    let delta = |score, given| elo::game(elo::START, elo::START, score, elo::K_MERGE) - given;
    let settled = RatingSettled {
        key: Sha256::of(b"merge"),
        agent: agent(0),
        ticket: item("parser#1"),
        pull: item("parser#2"),
        approvers: vec![agent(1)],
        score_ppm: elo::WIN,
        k_milli: elo::K_MERGE,
        agent_before: elo::START,
        ticket_before: elo::START,
        delta_milli: delta(elo::WIN, 0),
        ticket_author: None,
        counts: None,
    };
    let corrected = |key: &[u8], score_ppm, given_milli| RatingCorrected {
        key: Sha256::of(key),
        game: Sha256::of(b"merge"),
        agent: agent(0),
        ticket: item("parser#1"),
        pull: item("parser#2"),
        score_ppm,
        k_milli: elo::K_MERGE,
        agent_before: elo::START,
        ticket_before: elo::START,
        given_milli,
        delta_milli: delta(score_ppm, given_milli),
    };
    let ratings = |fold: &Fold| (fold.rating(&agent(0), Track::Antfarm), fold.ratings.of_ticket(&item("parser#1")));
    apply(&mut fold, &elo, 9, 1, settled, "");
    assert_eq!(ratings(&fold), (1_015_000, 985_000));
    apply(&mut fold, &elo, 9, 2, corrected(b"two refute", elo::LOSS, 15_000), "");
    apply(&mut fold, &elo, 9, 3, corrected(b"two refute", elo::LOSS, 15_000), "");
    // As if the game had been lost at once; what one side lost the other has.
    assert_eq!(ratings(&fold), (985_000, 1_015_000));
    apply(&mut fold, &elo, 9, 4, corrected(b"three confirm", elo::WIN, -15_000), "");
    assert_eq!(ratings(&fold), (1_015_000, 985_000));
    let history: Vec<(i64, bool)> =
        fold.ratings.history(&agent(0)).iter().map(|c| (c.delta_milli, c.corrects)).collect();
    assert_eq!(history, [(15_000, false), (-30_000, true), (30_000, true)]);
    let State::Elo(state) = &fold.entities[&elo].state else { panic!() };
    assert_eq!((state.games, state.last), (1, Sha256::of(b"three confirm")), "no game was played but the first");
}

#[test]
fn a_key_is_whose_it_was_at_that_time() {
    let mut fold = Fold::default();
    let key = |name: &str| PublicKey { openssh: format!("ssh-ed25519 {name}"), fingerprint: name.to_owned() };
    let of = |k| EntityId::Agent(agent(k));
    apply(&mut fold, &of(1), 1, 10, AgentRegistered { key: Some(key("a")) }, "");
    apply(&mut fold, &of(1), 1, 20, KeyAdded { key: key("b") }, "");
    apply(&mut fold, &of(1), 1, 30, KeyRevoked { fingerprint: "a".into() }, "");
    apply(&mut fold, &of(2), 2, 40, AgentRegistered { key: Some(key("a")) }, "");
    for (fingerprint, who, as_of, expected) in [
        ("a", 1, Some(9), false),
        ("a", 1, Some(10), true),
        ("a", 1, Some(30), true),
        ("a", 1, Some(31), false),
        ("a", 1, None, true),
        ("a", 2, Some(31), false),
        ("a", 2, Some(50), true),
        ("b", 1, Some(50), true),
        ("b", 2, None, false),
        ("c", 1, None, false),
    ] {
        assert_eq!(fold.let_in(fingerprint, &agent(who), as_of), expected, "{fingerprint} of {who} at {as_of:?}");
    }
}
