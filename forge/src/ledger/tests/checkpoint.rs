//! Checkpoints: what is read equals what a replay gives, and whatever is wrong with one changes no answer.

use notes_schema::batch::{PushLine, RecordLine, RecordSignature};
use notes_schema::event::{
    AgentRegistered, AgentVouched, ChallengeStarted, CheckPosted, CheckRegistered, CheckState, ContestClosed,
    ContestDrawn, ContestOpened, ContestRanked, ContestSettled, Counts, Difficulty, Entrant, Entry, Finding,
    IssueImported, KeyAdded, KeyRevoked, Known, Level, NoteAdded, NoteKind, Outcome, Placed, ProjectJoined, Proof,
    PublicKey, PullAccepted, PullChallenged, PullMerged, PullOpened, PullRound, PullVoted, RatingCorrected,
    RatingSettled, ReviewSettled, Reviewed, Seat, TestCounts, TokenIssued, Trial, Trials, Verdict, VerdictCommitted,
    VerdictRevealed, VerifierOffered, VerifiersJudged, Vote, WorkExpired, WorkStarted, verdict_digest,
};
use notes_schema::names::Track;
use notes_schema::{Oid, Sha256};

use super::*;
use crate::ledger::recover;

const PARSER: &str = "parser";

impl World {
    fn checkpoint(&self, name: &str) -> PathBuf {
        self.dir.path().join("checkpoints").join(name)
    }

    /// `parser` beside `open`, replayed from its first batch.
    pub(super) fn replayed(&self, open: &Open) -> Repository {
        let deps = Deps { checkpoints: None, ..open.parser_deps() };
        Repository::open(&self.path(PARSER), PARSER.parse().unwrap(), deps).unwrap()
    }

    /// The number of the checkpoint that a start would begin with, and what it would serve.
    fn begins_with(&self, open: &Open) -> (u64, Snapshot) {
        let deps = open.parser_deps();
        let authority = open.forge.snapshot();
        let checkpoints = deps.checkpoints.as_deref();
        let name = PARSER.parse().unwrap();
        let recovered = recover::recover(&self.path(PARSER), &name, Some(&authority), checkpoints).unwrap();
        (recovered.checkpoint, recovered.snapshot)
    }
}

fn oid(digit: u8) -> Oid {
    Oid::from_bytes([digit; 20])
}

fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

fn key(name: &str) -> PublicKey {
    PublicKey { openssh: format!("ssh-ed25519 {name}"), fingerprint: format!("SHA256:{name}") }
}

type Story = Vec<(EntityId, Fact)>;

/// Events of each kind that the fold of a project keeps something of.
fn of_a_project() -> Story {
    let issue = |n| EntityId::Issue(n);
    let (pull, gone) = (EntityId::Pull(4), EntityId::Pull(5));
    let tests = Some(TestCounts { framework: "cargo".into(), passed: 3, failed: 0, ignored: 1 });
    let proof = Proof { level: Level::P1, record: Some(Sha256::of(b"proof")), command: "make".into(), tests };
    let opened = |name: &str| PullOpened {
        title: "Fix".into(),
        branch: branch(name),
        target: branch("main"),
        issue: Some(1),
        head: oid(9),
        base: oid(8),
        proof: proof.clone(),
    };
    let work = |k| WorkStarted {
        base: Some(oid(8)),
        branch: branch("w"),
        nonce: vec![k; 16],
        deadline_ms: 5,
        idle_ms: Some(60_000),
    };
    let challenged = PullChallenged {
        proof: Sha256::of(b"proof"),
        record: Sha256::of(b"again"),
        tree: oid(5),
        run: Sha256::of(b"make"),
        head: oid(9),
        outcome: Outcome::Refute,
        level: Level::PX,
    };
    let round = PullRound { round: 2, head: oid(10), base: oid(8), proof: proof.clone() };
    let merged = PullMerged {
        landed: oid(10),
        onto: oid(8),
        head: oid(10),
        strategy: "merge".into(),
        issue: Some(1),
        proof: Some(proof.clone()),
        policy: None,
    };
    let reviewed = |verdict, head| Reviewed { verdict, head: oid(head), at: None };
    let posted = |tree, url: &str| CheckPosted {
        name: "ci".into(),
        commit: oid(9),
        tree: oid(tree),
        state: CheckState::Success,
        description: String::new(),
        url: url.into(),
    };
    let contest = || ContestOpened {
        difficulty: Difficulty::Easy,
        base: oid(8),
        command: "make".into(),
        runs_ms: 60_000,
        anchored: true,
        bench: Some("make bench".into()),
    };
    let entry = Entry {
        agent: alpha().agent,
        pull: 4,
        head: oid(9),
        record: Some(Sha256::of(b"proof")),
        bench: Some(Sha256::of(b"bench")),
        took_ms: 5,
    };
    let closed = ContestClosed { entries: vec![entry], expired: vec!["beta".parse().unwrap()], candidates: Vec::new() };
    let verified = ContestClosed { candidates: vec![alpha().agent], ..closed.clone() };
    let trials = Trials { commitment: Sha256::of(b"key"), permille: 1000 };
    let drawn = ContestDrawn {
        beacon: oid(8),
        seats: vec![Seat { pull: 4, agent: alpha().agent }],
        due_ms: 9,
        trials: Some(trials),
    };
    let ran = trials.of(b"key", 4, &alpha().agent).unwrap();
    let trial = Trial { pull: 4, agent: alpha().agent, ran, right: (ran == Known::Golden).then_some(true) };
    let judged = VerifiersJudged { key: Some(b"key".to_vec()), trials: vec![trial], discredited: Vec::new() };
    let verdict = verdict_digest(Finding::Confirm, &"parser#4".parse().unwrap(), "salt");
    let bound = VerdictCommitted { pull: 4, digest: verdict };
    let told = VerdictRevealed {
        pull: 4,
        finding: Finding::Confirm,
        salt: "salt".into(),
        record: None,
        regressions: None,
        bench: Some(Sha256::of(b"bench")),
    };
    let placed = Placed {
        agent: alpha().agent,
        pull: 4,
        place: 1,
        solved: true,
        level: Level::P1,
        sealed_tests: None,
        regressions: 0,
        bench_us: None,
        alike_permille: None,
        took_ms: 5,
    };
    let ranked = ContestRanked { places: vec![placed] };
    let checks = || EntityId::Checks(alpha().agent);
    let key = "github:owner/parser#12".to_owned();
    let imported = IssueImported { key, url: None, author: None, created_ms: Some(7), closed_ms: None };
    let title = |n: u64, dedupe: Option<&str>| IssueOpened {
        title: format!("issue {n}"),
        labels: vec!["bug".into()],
        lang: None,
        dedupe: dedupe.map(str::to_owned),
    };
    vec![
        (issue(1), title(1, Some("one")).into()),
        (issue(2), title(2, None).into()),
        (issue(3), title(3, Some("three")).into()),
        (issue(1), Commented {}.into()),
        (issue(1), work(1).into()),
        (issue(2), work(2).into()),
        (issue(9), title(9, None).into()),
        (issue(9), WorkStarted { idle_ms: Some(0), ..work(9) }.into()),
        (issue(9), WorkExpired { agent: alpha().agent, alive_ms: 5 }.into()),
        (issue(2), NoteAdded { kind: NoteKind::Practice }.into()),
        (issue(2), imported.into()),
        (pull.clone(), opened("alpha/1").into()),
        (gone.clone(), opened("alpha/2").into()),
        (pull.clone(), ChallengeStarted { proof: Sha256::of(b"proof"), nonce: vec![3; 16] }.into()),
        (pull.clone(), challenged.into()),
        (pull, reviewed(Verdict::RequestChanges, 9).into()),
        (gone.clone(), PullVoted { vote: Vote::Up }.into()),
        (gone.clone(), PullAccepted { issue: 1 }.into()),
        (gone.clone(), reviewed(Verdict::RequestChanges, 9).into()),
        (gone.clone(), round.into()),
        (gone.clone(), reviewed(Verdict::Approve, 10).into()),
        (gone, merged.into()),
        (issue(3), IssueClosed { fixed_by: Some("parser#5".parse().unwrap()) }.into()),
        (checks(), CheckRegistered { name: "ci".into() }.into()),
        (checks(), posted(5, "https://ci.example/1").into()),
        (checks(), posted(6, "").into()),
        (issue(6), title(6, None).into()),
        (issue(6), contest().into()),
        (issue(6), work(6).into()),
        (issue(7), title(7, None).into()),
        (issue(7), contest().into()),
        (issue(7), work(7).into()),
        (issue(7), closed.into()),
        (issue(7), ranked.into()),
        (issue(8), title(8, None).into()),
        (issue(8), contest().into()),
        (issue(8), work(8).into()),
        (issue(8), verified.into()),
        (issue(8), drawn.into()),
        (issue(8), bound.into()),
        (issue(8), told.into()),
        (issue(8), judged.into()),
    ]
}

/// The same of `forge.git`.
fn of_the_root() -> Story {
    let name = alpha().agent;
    let agent = || EntityId::Agent(name.clone());
    let token = |id: &str| TokenIssued {
        id: id.into(),
        hash: Sha256::of(id.as_bytes()),
        expires_ms: 7,
        project: Some(PARSER.parse().unwrap()),
        refs: None,
        verbs: vec!["feed".into()],
    };
    let settled = RatingSettled {
        key: Sha256::of(b"landed"),
        agent: name.clone(),
        ticket: "parser#1".parse().unwrap(),
        pull: "parser#5".parse().unwrap(),
        approvers: vec![],
        score_ppm: 1_000_000,
        k_milli: 32_000,
        agent_before: 1_200_000,
        ticket_before: 1_200_000,
        delta_milli: 16_000,
        ticket_author: None,
        counts: None,
    };
    let entrant = |name: &str, pull, place| Entrant {
        agent: name.parse().unwrap(),
        pull,
        place,
        solved: true,
        before: 1_000_000,
        issue_k: 0,
        delta_milli: 0,
    };
    let contest = ContestSettled {
        key: Sha256::of(b"ranked"),
        contest: "parser#7".parse().unwrap(),
        author: name.clone(),
        difficulty: Difficulty::Easy,
        anchored: false,
        issue_before: 900_000,
        issue_delta_milli: 0,
        rules: 1,
        entrants: vec![entrant("alpha", 8, 1), entrant("beta", 9, 2)],
    };
    let corrected = RatingCorrected {
        key: Sha256::of(b"refuted"),
        game: settled.key,
        agent: name.clone(),
        ticket: settled.ticket.clone(),
        pull: settled.pull.clone(),
        score_ppm: 0,
        k_milli: 32_000,
        agent_before: 1_200_000,
        ticket_before: 1_200_000,
        given_milli: 16_000,
        delta_milli: -32_000,
    };
    let judged = ReviewSettled {
        key: Sha256::of(b"asked"),
        reviewer: "beta".parse().unwrap(),
        author: name.clone(),
        pull: settled.pull.clone(),
        score_ppm: Some(1_000_000),
        k_milli: 8_000,
        reviewer_before: 1_000_000,
        author_before: 1_000_000,
        counts: Counts { weight_permille: 250, room_milli: 8_000 },
        given_milli: 0,
        delta_milli: 1_000,
    };
    let mut story: Story = vec![
        (agent(), AgentRegistered { key: Some(key("a")) }.into()),
        (agent(), KeyAdded { key: key("b") }.into()),
        (agent(), VerifierOffered {}.into()),
        (agent(), KeyRevoked { fingerprint: "SHA256:a".into() }.into()),
        (agent(), token("t1").into()),
        (agent(), token("t2").into()),
        (agent(), AgentVouched { owner: "acme".parse().unwrap() }.into()),
        (EntityId::Project(PARSER.parse().unwrap()), ProjectJoined {}.into()),
        (EntityId::Elo(Track::Antfarm), settled.into()),
        (EntityId::Elo(Track::Antfarm), corrected.into()),
        (EntityId::Elo(Track::Review), judged.into()),
    ];
    // Who has played so often, and is vouched for, is established: alpha has met it.
    let beta = EntityId::Agent("beta".parse().unwrap());
    story.push((beta.clone(), AgentRegistered { key: None }.into()));
    story.push((beta, AgentVouched { owner: "bolt".parse().unwrap() }.into()));
    story.extend((0..12u64).map(|k| {
        let of = |contest: ContestSettled| ContestSettled {
            key: Sha256::of(&k.to_be_bytes()),
            contest: format!("parser#{}", 100 + k).parse().unwrap(),
            ..contest
        };
        (EntityId::Elo(Track::Simulator), of(contest.clone()).into())
    }));
    story
}

fn tell(repository: &Repository, story: Story) {
    for (id, fact) in story {
        let write = move |draft: &mut Draft| {
            if matches!(fact, Fact::IssueOpened(_) | Fact::PullOpened(_)) {
                draft.number();
            }
            let fact = match fact.clone() {
                // The parts that depend on where they are written.
                Fact::WorkExpired(expired) => {
                    let work = draft.snapshot().fold.work_on(&expired.agent, 9).unwrap();
                    WorkExpired { alive_ms: work.alive_ms, ..expired }.into()
                }
                Fact::ContestDrawn(drawn) => ContestDrawn { beacon: draft.snapshot().tip.unwrap(), ..drawn }.into(),
                other => other,
            };
            // Nobody reviews its own work.
            let by = match fact {
                Fact::WorkExpired(_) => Author::forge(),
                Fact::Reviewed(_) => Author { agent: "beta".parse().unwrap(), ..alpha() },
                _ => alpha(),
            };
            let recorded = draft.event(&by, &id, fact.clone(), Some("in words"), &[])?;
            if matches!(fact, Fact::PullMerged(_)) {
                draft.outbox(&recorded);
            }
            Ok(())
        };
        repository.commit(write).unwrap();
    }
}

/// A push of two branches and two records; one of them signed, and both on one tree.
fn push(repository: &Repository) {
    let tip = repository.snapshot().tip;
    let line = |n: u8, signed: Option<RecordSignature>| RecordLine {
        r: format!("refs/notes/forge/in/alpha/r{n}").parse().unwrap(),
        c: oid(n),
        h: Sha256::of(&[n]),
        blob: oid(n + 1),
        tree: oid(5),
        issue: (n == 1).then_some(1),
        signed,
    };
    let signed = RecordSignature { key: "SHA256:a".into(), blob: oid(7), push: true };
    let records = vec![line(2, None), line(1, Some(signed))];
    repository
        .commit(move |draft| {
            let alpha = alpha().agent;
            for name in ["alpha/1", "alpha/2"] {
                draft.set_ref(&branch(name), None, tip, None, Some(&alpha))?;
            }
            let refs = vec![branch("alpha/1"), branch("alpha/2")];
            draft.push(PushLine { a: alpha, k: "key:SHA256:x".into(), refs, records });
            for name in ["2026-09", "2026-10"] {
                draft.set_ref(&month(name), None, tip, None, None)?;
            }
            Ok(())
        })
        .unwrap();
    repository.commit(move |draft| draft.set_ref(&month("2026-09"), tip, None, None, None)).unwrap();
}

fn month(name: &str) -> RefName {
    format!("refs/forge/traces/{name}").parse().unwrap()
}

/// A world in which no part of a snapshot is empty that either repository can have, and a checkpoint of each.
fn rich() -> (World, Open) {
    let world = World::new();
    let open = world.open();
    tell(&open.forge, of_the_root());
    open.forge
        .commit(|draft| {
            draft.cursor(&PARSER.parse().unwrap(), 1, oid(1));
            Ok(())
        })
        .unwrap();
    tell(&open.parser, of_a_project());
    super::sealed::revealed(&open);
    let open = super::redact::without(&world, open, 1, 1);
    push(&open.parser);
    open.parser.fold_resting(0).unwrap();
    open.parser.checkpoint_now().unwrap();
    open.forge.checkpoint_now().unwrap();
    (world, open)
}

/// The lines of what is `shown` that say that a part is empty. What is absent always is: else no checkpoint is written.
fn empty_parts(shown: &str) -> Vec<&str> {
    let is_empty = |line: &&str| line.ends_with(": {},") || line.ends_with(": [],");
    shown.lines().map(str::trim).filter(is_empty).filter(|line| !line.starts_with("absent: ")).collect()
}

#[test]
fn a_checkpoint_holds_every_part_of_what_is_served() {
    let (world, open) = rich();
    let both = format!("{:#?}\n{:#?}", open.forge.snapshot(), open.parser.snapshot());
    let empty = empty_parts(&both);
    let filled = |part: &&&str| {
        let name = part.split(':').next().unwrap();
        !both.lines().any(|line| line.trim().starts_with(&format!("{name}: ")) && !empty.contains(&line.trim()))
    };
    assert_eq!(empty.iter().filter(filled).collect::<Vec<_>>(), Vec::<&&str>::new(), "nothing would be shown of these");
    let checkpoints = open.parser_deps().checkpoints.unwrap();
    for repository in [&open.parser, &open.forge] {
        let kept = checkpoints.find(repository.name()).unwrap().read(repository.name()).unwrap();
        assert_eq!(&kept, &*repository.snapshot());
    }
    let root = open.forge.snapshot();
    assert_eq!(world.begins_with(&open), (open.parser.snapshot().number, Snapshot::clone(&open.parser.snapshot())));
    assert_eq!(&*world.replayed(&open).snapshot(), &*open.parser.snapshot());
    drop(open);
    assert_eq!(&*world.open().forge.snapshot(), &*root);
}

#[test]
fn a_start_replays_only_what_came_after_and_checks_all_of_the_tail() {
    let (world, open) = rich();
    let at = open.parser.snapshot().number;
    open_issue(&open.parser, "flushed");
    open.parser.flush().unwrap();
    open_issue(&open.parser, "in the tail");
    assert_eq!(world.begins_with(&open), (at, Snapshot::clone(&open.parser.snapshot())));
    assert_eq!(&*world.replayed(&open).snapshot(), &*open.parser.snapshot());
    let before = open.parser.snapshot();
    open_issue(&open.parser, "damaged");
    let newest = batch_files(&world.path(PARSER)).pop().unwrap();
    let good = fs::read(&newest).unwrap();
    drop(open);
    for at in [20, good.len() / 2, good.len() - 30] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&newest, bad).unwrap();
        let _ = fs::remove_file(newest.with_extension("idx"));
        let open = world.open();
        assert!(open.parser.read_only().is_some(), "byte {at}");
        assert_eq!(open.parser.snapshot().number, before.number);
        open.parser.keep_checkpoint(true).unwrap();
        assert_eq!(world.begins_with(&open).1, *before);
    }
}

#[test]
fn a_checkpoint_with_a_byte_changed_or_its_end_cut_off_is_as_if_there_were_none() {
    let (world, open) = rich();
    let path = world.checkpoint(PARSER);
    let good = fs::read(&path).unwrap();
    let (checkpoints, name) = (open.parser_deps().checkpoints.unwrap(), PARSER.parse().unwrap());
    let served = Snapshot::clone(&open.parser.snapshot());
    let is_ignored = |bytes: &[u8], how: &str, starts: bool| {
        fs::write(&path, bytes).unwrap();
        assert!(checkpoints.find(&name).is_none_or(|kept| kept.read(&name).is_err()), "{how}");
        if starts {
            assert_eq!(world.begins_with(&open), (0, served.clone()), "{how}");
        }
    };
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        is_ignored(&bad, &format!("byte {at}"), at < 60 || at.is_multiple_of(211));
        is_ignored(&good[..at], &format!("{at} bytes"), at.is_multiple_of(211));
    }
    is_ignored(&[&good[..], b"x"].concat(), "a byte more", true);
    fs::write(&path, &good).unwrap();
    assert_eq!(world.begins_with(&open), (served.number, served.clone()));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(world.begins_with(&open), (0, served));
}

#[test]
fn a_checkpoint_of_another_ledger_moment_project_or_forge_is_as_if_there_were_none() {
    let (world, open) = rich();
    let (path, packed) = (world.checkpoint(PARSER), world.path(PARSER).join("packed-refs"));
    let (old, old_refs) = (fs::read(&path).unwrap(), fs::read(&packed).unwrap());
    open_issue(&open.parser, "later");
    open.parser.checkpoint_now().unwrap();
    let served = Snapshot::clone(&open.parser.snapshot());
    assert_eq!(world.begins_with(&open), (served.number, served.clone()));
    // Refs on disk that are older: what lies above them is checked like any tail.
    let new_refs = fs::read(&packed).unwrap();
    fs::write(&packed, &old_refs).unwrap();
    assert_eq!(world.begins_with(&open), (0, served.clone()));
    fs::write(&packed, &new_refs).unwrap();
    // A stale one is where the replay begins.
    fs::write(&path, &old).unwrap();
    assert_eq!(world.begins_with(&open), (served.number - 1, served.clone()));
    // Of another project, under this one's name.
    fs::copy(world.checkpoint("forge"), &path).unwrap();
    assert_eq!(world.begins_with(&open), (0, served.clone()));
    // By the same forge, of another history of the same length.
    let (elsewhere, there) = rich();
    fs::copy(elsewhere.checkpoint(PARSER), &path).unwrap();
    assert_eq!(world.begins_with(&open), (0, served.clone()));
    drop(there);
    // Of this very ledger, sealed by who does not hold the signing key.
    let stranger = russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519);
    let stranger = Checkpoints::new(world.dir.path().join("checkpoints"), &Signer::new(stranger.unwrap()));
    stranger.write(&served, &Sha256::of(b"packs")).unwrap();
    assert_eq!(world.begins_with(&open), (0, served));
}

#[test]
fn no_checkpoint_is_written_of_what_a_replay_would_not_give() {
    let world = World::new();
    let open = world.open();
    for k in 0..20 {
        open_issue(&open.parser, &k.to_string());
    }
    open.parser.maintain().unwrap();
    let elsewhere = oid(3);
    open.parser.commit(move |draft| draft.set_ref(&branch("lost"), None, Some(elsewhere), None, None)).unwrap();
    open.parser.flush().unwrap();
    drop(open);
    let open = world.open();
    assert_eq!(open.parser.snapshot().ref_id(&branch("lost")), None);
    open.parser.keep_checkpoint(true).unwrap();
    assert!(!world.checkpoint(PARSER).exists());
}

#[test]
fn a_long_replay_that_cannot_go_on_ends_and_a_checkpoint_does_not_need_what_is_gone() {
    let world = World::new();
    let open = world.open();
    for k in 0..60 {
        open_issue(&open.parser, &k.to_string());
    }
    open.parser.checkpoint_now().unwrap();
    let deps = open.parser_deps();
    let gone = &batch_files(&world.path(PARSER))[30];
    fs::remove_file(gone.with_extension("idx")).unwrap();
    fs::remove_file(gone).unwrap();
    let start = |deps: Deps| Repository::open(&world.path(PARSER), PARSER.parse().unwrap(), deps);
    let said = start(Deps { checkpoints: None, ..deps.clone() }).map(drop).unwrap_err().to_string();
    assert!(said.starts_with("damaged: ledger commit") && said.ends_with("is missing"), "{said}");
    let served = start(deps).unwrap().snapshot();
    assert_eq!((served.number, served.fold.issues().count()), (61, 60));
    assert_eq!(served.ref_id(&"refs/forge/issues/30".parse().unwrap()), None, "its object is gone");
    assert!(world.verify().iter().any(|fault| fault.contains("missing")));
}

#[test]
fn a_start_that_finds_everything_in_a_checkpoint_opens_no_pack_and_the_first_read_does() {
    let (world, open) = rich();
    let deps = open.parser_deps();
    let start = || Repository::open(&world.path(PARSER), PARSER.parse().unwrap(), deps.clone()).unwrap();
    let again = start();
    assert_eq!((&*again.snapshot(), again.store().last_read(1)), (&*open.parser.snapshot(), None));
    assert!(again.store().contains(again.snapshot().tip.unwrap()));
    assert_eq!(again.store().last_read(2), Some(2));
    // A pack more or less may mean that an object is gone: each is looked for.
    let pack = &batch_files(&world.path(PARSER))[0];
    for kind in ["pack", "idx"] {
        let copy = pack.with_file_name(format!("pack-c{}", "0".repeat(39))).with_extension(kind);
        fs::copy(pack.with_extension(kind), copy).unwrap();
    }
    assert_eq!(start().store().last_read(1), Some(1));
}

#[test]
fn one_is_written_when_enough_came_and_the_repository_rests() {
    let world = World::new();
    let open = world.open();
    for k in 0..20 {
        open_issue(&open.parser, &k.to_string());
    }
    open.parser.keep_checkpoint(false).unwrap();
    assert!(!world.checkpoint(PARSER).exists(), "it was not seen to rest");
    open.parser.keep_checkpoint(false).unwrap();
    let served = Snapshot::clone(&open.parser.snapshot());
    assert_eq!(world.begins_with(&open), (21, served));
    open_issue(&open.parser, "one more");
    open.parser.keep_checkpoint(true).unwrap();
    assert_eq!(world.begins_with(&open).0, 22, "of a small repository each batch is worth one");
    while open.parser.snapshot().number <= 256 {
        open_issue(&open.parser, "and more");
    }
    open.parser.keep_checkpoint(true).unwrap();
    let large = world.begins_with(&open).0;
    open_issue(&open.parser, "one more");
    open.parser.keep_checkpoint(true).unwrap();
    assert_eq!(world.begins_with(&open).0, large, "of a large one it is not");
}

#[cfg(debug_assertions)]
#[test]
fn a_disk_that_fails_while_one_is_written_leaves_the_one_before_or_none_that_is_believed() {
    for how in ["EIO", "ENOSPC", "after", "torn"] {
        for at in 1.. {
            let (world, open) = rich();
            let before = open.parser.snapshot().number;
            open_issue(&open.parser, "later");
            open.parser.flush().unwrap();
            let faults = git::disk::faults::inject(&world.dir.path().join("checkpoints"), &format!("any {at} {how}"));
            let told = open.parser.checkpoint_now();
            let fired = faults.fired();
            drop(faults);
            let (began, served) = world.begins_with(&open);
            assert_eq!(served, *open.parser.snapshot(), "{how} at {at}");
            assert!(began == before || began == before + 1, "{how} at {at}: {began}");
            assert!(told.is_err() || began == before + 1, "{how} at {at}");
            open.parser.checkpoint_now().unwrap();
            assert_eq!(world.begins_with(&open).0, before + 1);
            if !fired {
                assert!(at > 3, "{how}: nothing was written through the seam");
                break;
            }
        }
    }
}
