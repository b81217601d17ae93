//! Which verdicts are judged, in words and in any order.

use notes_schema::event::{
    ContestOpened, Difficulty, IssueOpened, Proof, PullClosed, PullMerged, PullOpened, PullRound, Reviewed,
};
use notes_schema::{EntityId, Event, RefName};

use super::*;

const PULL: u64 = 2;

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn head(n: u8) -> Oid {
    Oid::from_bytes([n; 20])
}

fn proof(level: Level) -> Proof {
    Proof { level, record: Some(Sha256::of(b"proof")), command: "make check".into(), tests: None }
}

/// A project in which each event's digest is that of its number.
struct Project {
    fold: Fold,
    events: u64,
}

impl Project {
    /// Alpha's pull request for an issue, at head 1.
    fn new() -> Project {
        Project::of(None)
    }

    fn of(contest: Option<ContestOpened>) -> Project {
        let mut project = Project { fold: Fold::default(), events: 0 };
        let opened = IssueOpened { title: "Leak".into(), labels: Vec::new(), lang: None, dedupe: None };
        project.apply(EntityId::Issue(1), "beta", opened);
        if let Some(contest) = contest {
            project.apply(EntityId::Issue(1), "beta", contest);
        }
        let (branch, target) = (RefName::branch("alpha/1").unwrap(), RefName::branch("main").unwrap());
        let (title, proof) = ("Fix".into(), proof(Level::P1));
        let opened = PullOpened { title, branch, target, issue: Some(1), head: head(1), base: head(0), proof };
        project.apply(EntityId::Pull(PULL), "alpha", opened);
        project
    }

    fn apply(&mut self, id: EntityId, by: &str, fact: impl Into<Fact>) -> Sha256 {
        self.events += 1;
        let (n, digest) = (self.events, Sha256::of(&self.events.to_be_bytes()));
        let (i, k, p) = (Vec::new(), String::new(), Sha256::of(b""));
        let event = Event { v: 1, i, s: None, a: name(by), k, n, l: n, q: n, t: n, p, r: None };
        self.fold.apply(&id, &event, &fact.into(), None, head(7), digest);
        digest
    }

    /// One word of a story: `ask beta`, `approve beta`, `round 2`, `land 2`, `refute`, `confirm`, `close`.
    fn play(&mut self, word: &str) -> Sha256 {
        let (what, rest) = word.split_once(' ').unwrap_or((word, ""));
        let now = self.fold.pull(PULL).unwrap().clone();
        let review = |verdict| Reviewed { verdict, head: now.head, at: None };
        let round = |head, level| PullRound { round: now.round + 1, head, base: now.base, proof: proof(level) };
        let (id, of) = (EntityId::Pull(PULL), |n: &str| head(n.parse().unwrap()));
        match what {
            "ask" => self.apply(id, rest, review(Verdict::RequestChanges)),
            "approve" => self.apply(id, rest, review(Verdict::Approve)),
            "comment" => self.apply(id, rest, review(Verdict::Comment)),
            "round" => self.apply(id, "alpha", round(of(rest), Level::P1)),
            "refute" => self.apply(id, "gamma", round(now.head, Level::PX)),
            "confirm" => self.apply(id, "gamma", round(now.head, Level::P3)),
            "close" => self.apply(id, "alpha", PullClosed {}),
            "land" => {
                let (strategy, proof, policy) = ("merge".to_owned(), None, None);
                let (landed, onto, issue) = (head(9), head(0), Some(1));
                self.apply(id, "gamma", PullMerged { landed, onto, head: now.head, strategy, issue, proof, policy })
            }
            _ => panic!("{word}"),
        }
    }

    /// Plays a story, and says what each of its words judged: `who right|wrong|no longer`.
    fn story(&mut self, words: &str) -> Vec<String> {
        let mut found = Vec::new();
        for word in words.split(", ") {
            let digest = self.play(word);
            let judged = self.fold.reviews.judged_by(PULL, &digest).map(|(_, judged)| {
                let how = match judged.score_ppm {
                    Some(elo::WIN) => "right",
                    Some(_) => "wrong",
                    None => "no longer",
                };
                format!("{word}: {} {how}", judged.reviewer)
            });
            let mut judged: Vec<String> = judged.collect();
            judged.sort();
            found.extend(judged);
        }
        found
    }
}

#[test]
fn a_request_is_right_once_it_was_addressed() {
    for (story, judged) in [
        ("ask beta, round 2, approve beta, land", &["approve beta: beta right"][..]),
        ("ask beta, round 2, approve gamma, land", &["land: beta right"]),
        ("ask beta, ask delta, round 2, approve delta, land", &["approve delta: delta right", "land: beta right"]),
        // Without another head nothing was addressed.
        ("ask beta, approve beta, land", &[]),
        ("ask beta, approve gamma, land", &[]),
        ("ask beta, confirm, approve beta, land", &[]),
        ("ask beta, round 2, round 1, approve beta, land", &[]),
        // Who still asks for changes of what landed was passed over.
        ("ask beta, round 2, ask beta, land", &[]),
        ("ask beta, round 2, ask beta, round 3, land", &["land: beta right"]),
        // Asked again before it was addressed, it is one request; and one is all that a pull request has for a reviewer.
        ("ask beta, round 2, ask beta, round 3, approve beta, land", &["approve beta: beta right"]),
        ("ask beta, round 2, approve beta, ask beta, round 3, approve beta, land", &["approve beta: beta right"]),
        // Taken back, and asked anew.
        ("ask beta, approve beta, ask beta, round 2, approve beta", &["approve beta: beta right"]),
        // What is closed is not landed; what is said then is said of nothing.
        ("ask beta, round 2, close", &[]),
        ("ask beta, round 2, close, approve beta", &[]),
        ("land, ask beta, approve beta", &[]),
        // Nobody reviews itself, and a comment asks for nothing.
        ("ask alpha, round 2, approve alpha, land", &[]),
        ("comment beta, round 2, approve beta, land", &[]),
    ] {
        assert_eq!(Project::new().story(story), judged, "{story}");
    }
}

#[test]
fn an_approval_is_wrong_while_what_landed_is_refuted() {
    for (story, judged) in [
        ("approve beta, approve delta, land, refute", &["refute: beta wrong", "refute: delta wrong"][..]),
        ("approve beta, land, refute, confirm", &["refute: beta wrong", "confirm: beta no longer"]),
        (
            "approve beta, land, refute, confirm, refute",
            &["refute: beta wrong", "confirm: beta no longer", "refute: beta wrong"],
        ),
        // Refuted already when it landed.
        ("approve beta, refute, land", &["land: beta wrong"]),
        // Of another head than landed, or changed for a request, it approves of nothing.
        ("approve beta, round 2, approve delta, land, refute", &["refute: delta wrong"]),
        ("approve beta, ask beta, land, refute", &[]),
        // What did not land is nobody's mistake, and what only was confirmed neither.
        ("approve beta, refute, confirm", &[]),
        ("approve beta, refute, close", &[]),
        ("approve beta, land, confirm", &[]),
        // Both: the request was right, and the approval wrong.
        ("ask beta, round 2, approve beta, land, refute", &["approve beta: beta right", "refute: beta wrong"]),
    ] {
        assert_eq!(Project::new().story(story), judged, "{story}");
    }
}

#[test]
fn what_was_submitted_to_a_contest_is_judged_by_that_alone() {
    let (difficulty, command) = (Difficulty::Easy, "make check".to_owned());
    let contest = ContestOpened { difficulty, base: head(0), command, bench: None, runs_ms: 1, anchored: false };
    let story = "ask beta, round 2, approve beta, land, refute";
    assert!(Project::of(Some(contest)).story(story).is_empty());
}

#[test]
fn a_verdict_is_found_by_its_digest_and_what_judged_it() {
    let mut project = Project::new();
    let asked = project.play("ask beta");
    assert_eq!(project.fold.reviews.judged(PULL, &asked), None);
    project.play("round 2");
    let approval = project.play("approve beta");
    let judged = project.fold.reviews.judged(PULL, &asked).unwrap();
    assert_eq!((&judged.reviewer, judged.score_ppm), (&name("beta"), Some(elo::WIN)));
    let by: Vec<Sha256> = project.fold.reviews.judged_by(PULL, &approval).map(|(verdict, _)| verdict).collect();
    assert_eq!(by, [asked]);
    assert_eq!(project.fold.reviews.judged_by(PULL + 1, &approval).count(), 0);
    assert_eq!(project.fold.reviews.judged(PULL, &approval), None);
}
