//! The ledger without a socket: append, reopen, damage, verify; with real git reading what was written.

mod checkpoint;
mod clock;
mod collect;
mod damage;
#[cfg(debug_assertions)]
mod disk;
mod numbers;
mod redact;
mod rest;
mod sealed;
mod work;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notes_schema::event::{Commented, ForgeFounded, IssueClosed, IssueOpened, IssueReopened};
use notes_schema::{AgentName, EntityId, Fact, ProjectName, RefName};
use proptest::prelude::*;

use super::*;
use crate::answer::{Code, Refusal};
use git::object::Object;
use git::packed_refs;
use git::store::{Made as _, Objects as _};

pub(super) struct World {
    dir: tempfile::TempDir,
    time: Arc<AtomicU64>,
    key: russh::keys::PrivateKey,
}

pub(super) struct Open {
    sequence: Arc<Sequence>,
    forge: Arc<Repository>,
    pub(super) parser: Repository,
}

impl World {
    pub(super) fn new() -> World {
        let key = russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519)
            .unwrap();
        let world = World { dir: tempfile::tempdir().unwrap(), time: Arc::new(AtomicU64::new(1_000_000)), key };
        fs::create_dir(world.dir.path().join("repositories")).unwrap();
        for name in ["forge", "parser"] {
            packed_refs::init_bare(&world.path(name), &RefName::branch("main").unwrap()).unwrap();
        }
        let open = world.open();
        let main = RefName::branch("main").unwrap();
        open.forge.begin(&main).unwrap();
        open.parser.begin(&main).unwrap();
        let founded = ForgeFounded { format: 1, object_format: "sha1".into() };
        open.forge
            .commit(|draft| draft.event(&Author::forge(), &EntityId::Project(ProjectName::forge()), founded, None, &[]))
            .unwrap();
        let created = notes_schema::event::ProjectCreated {
            default_branch: RefName::branch("main").unwrap(),
            description: String::new(),
        };
        open.forge
            .commit(move |draft| {
                draft.event(&alpha(), &EntityId::Project("parser".parse().unwrap()), created, None, &[])
            })
            .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("repositories").join(format!("{name}.git"))
    }

    pub(super) fn open(&self) -> Open {
        let time = self.time.clone();
        let sequence = Arc::new(Sequence::default());
        let signer = Arc::new(Signer::new(self.key.clone()));
        let deps = Deps {
            clock: Arc::new(move || time.fetch_add(1000, Ordering::SeqCst)),
            accept_clock: false,
            sequence: sequence.clone(),
            signer: signer.clone(),
            authority: None,
            checkpoints: Some(Arc::new(Checkpoints::new(self.dir.path().join("checkpoints"), &signer))),
            mirror: None,
        };
        let forge = Arc::new(Repository::open(&self.path("forge"), ProjectName::forge(), deps.clone()).unwrap());
        sequence.resume(forge.snapshot().seq_reserved);
        let deps = Deps { authority: Some(forge.clone()), ..deps };
        let parser = Repository::open(&self.path("parser"), "parser".parse().unwrap(), deps).unwrap();
        Open { sequence, forge, parser }
    }

    fn git(&self, repository: &str, args: &[&str]) -> String {
        let out = Command::new("git").arg("-C").arg(self.path(repository)).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn verify(&self) -> Vec<String> {
        verify::verify(self.dir.path()).unwrap().faults
    }
}

impl Open {
    /// What `parser` was opened with.
    fn parser_deps(&self) -> Deps {
        self.parser.deps().clone()
    }
}

pub(super) fn alpha() -> Author {
    Author { agent: "alpha".parse().unwrap(), credential: "key:SHA256:x".into(), intent: None }
}

pub(super) fn open_issue(repository: &Repository, title: &str) -> u64 {
    let fact = IssueOpened { title: title.to_owned(), labels: vec![], lang: None, dedupe: None };
    let body = format!("{title} in words");
    repository
        .commit(move |draft| {
            let n = draft.number();
            draft.event(&alpha(), &EntityId::Issue(n), fact, Some(&body), &[])?;
            Ok(n)
        })
        .unwrap()
        .0
}

fn add(repository: &Repository, n: u64, fact: impl Into<Fact> + Send + 'static) {
    repository.commit(move |draft| draft.event(&alpha(), &EntityId::Issue(n), fact, None, &[])).unwrap();
}

#[test]
fn what_was_answered_is_there_after_a_restart_without_any_cache() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "Fix leak");
    add(&open.parser, n, Commented {});
    let before = open.parser.snapshot();
    drop(open);
    // Nothing was flushed: neither refs nor index may be needed.
    for entry in fs::read_dir(world.path("parser").join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "idx") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(world.path("parser").join("objects/pack/tmp_torn.pack"), b"PACK").unwrap();
    let after = world.open().parser.snapshot();
    assert_eq!(after.number, before.number);
    assert_eq!(after.fold.issue(n), before.fold.issue(n));
    assert_eq!(after.next_number, before.next_number);
    assert!(!world.path("parser").join("objects/pack/tmp_torn.pack").exists());
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn git_reads_every_fact() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "Fix leak");
    add(&open.parser, n, IssueClosed { fixed_by: Some("parser#9".parse().unwrap()) });
    open.parser.maintain().unwrap();
    open.forge.maintain().unwrap();
    let log = world.git("parser", &["log", "--format=%an: %s%n%b", "refs/forge/issues/1"]);
    assert!(log.starts_with("alpha: closed: fixed by parser#9\n"), "{log}");
    assert!(log.contains("alpha: opened: Fix leak\nFix leak in words\n"), "{log}");
    let ledger = world.git("parser", &["log", "--first-parent", "--format=%s", "refs/forge/ledger"]);
    assert_eq!(
        ledger,
        "#3 issues/1: closed: fixed by parser#9 — alpha\n#2 issues/1: opened: Fix leak — alpha\n#1 the ledger begins\n"
    );
    world.git("parser", &["fsck", "--full", "--strict"]);
    world.git("forge", &["fsck", "--full", "--strict"]);
    let signers = world.dir.path().join("signers");
    fs::write(&signers, format!("forge@forge {}\n", Signer::new(world.key.clone()).public_openssh())).unwrap();
    let config = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    world.git("parser", &["-c", &config, "verify-commit", "refs/forge/ledger"]);
}

#[test]
fn merging_small_packs_keeps_every_object_and_the_tail() {
    let world = World::new();
    let open = world.open();
    for round in 0..3 {
        for k in 0..20 {
            open_issue(&open.parser, &format!("{round}-{k}"));
        }
        open.parser.maintain().unwrap();
    }
    open_issue(&open.parser, "tail");
    let packs = fs::read_dir(world.path("parser").join("objects/pack")).unwrap().count();
    assert!(packs < 40, "{packs} files");
    drop(open);
    assert_eq!(world.open().parser.snapshot().fold.issues().count(), 61);
    assert_eq!(world.verify(), Vec::<String>::new());
    world.git("parser", &["fsck", "--full", "--strict"]);
}

#[test]
fn nobody_waits_for_a_merge_and_every_pack_is_read_meanwhile() {
    let world = World::new();
    let open = world.open();
    let merging = open.parser.hold_merging();
    // More packs than a store is opened for, while one merge never ends. Flushes drop what is served from memory.
    for n in 0..1100 {
        open_issue(&open.parser, &n.to_string());
        if n % 256 == 255 {
            open.parser.flush().unwrap();
        }
    }
    open.parser.flush().unwrap();
    open.parser.flush().unwrap();
    assert!(batch_files(&world.path("parser")).len() > 1100);
    let (store, snapshot) = (open.parser.store(), open.parser.snapshot());
    assert!(snapshot.fold.entities.values().all(|entity| store.contains(entity.tip)));
    drop(merging);
    open.parser.maintain().unwrap();
    assert!(batch_files(&world.path("parser")).len() < 16);
    assert!(snapshot.fold.entities.values().all(|entity| store.contains(entity.tip)));
}

fn batch_files(repository: &Path) -> Vec<PathBuf> {
    storage::batches(repository).unwrap().into_iter().map(|b| b.path).collect()
}

#[test]
fn the_commit_graph_follows_the_ledger() {
    let world = World::new();
    let open = world.open();
    let keep = |open: &Open| {
        // It is written once the repository has come to rest.
        for _ in 0..2 {
            open.parser.keep_graph(&|| true).unwrap();
        }
        open.parser.store().graph()
    };
    for k in 0..20 {
        open_issue(&open.parser, &k.to_string());
    }
    let graph = keep(&open).expect("a graph");
    let tip = open.parser.snapshot().tip.unwrap();
    // Refs on disk lag behind; the graph does not.
    assert!(packed_refs::read(&world.path("parser")).unwrap().is_empty() && graph.contains(tip));
    open.parser.maintain().unwrap();
    world.git("parser", &["commit-graph", "verify"]);
    world.git("parser", &["fsck", "--full", "--strict"]);
    // What a killed git left goes at the next start, and the graph grows on.
    drop(open);
    let layers = world.path("parser").join("objects/info/commit-graphs");
    for name in ["tmp_graph_torn", "commit-graph-chain.lock"] {
        fs::write(layers.join(name), "half").unwrap();
    }
    let open = world.open();
    assert_eq!(fs::read_dir(&layers).unwrap().count(), 2);
    open_issue(&open.parser, "more");
    assert!(keep(&open).unwrap().contains(open.parser.snapshot().tip.unwrap()));
    open.parser.maintain().unwrap();
    world.git("parser", &["commit-graph", "verify"]);
    assert_eq!(world.verify(), Vec::<String>::new());
    open_issue(&open.parser, "last");
    drop(open);
    // A batch that is damaged may be one whose commits the graph names.
    let newest = batch_files(&world.path("parser")).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[40] ^= 1;
    fs::write(&newest, bytes).unwrap();
    fs::remove_file(newest.with_extension("idx")).unwrap();
    let open = world.open();
    assert!(open.parser.read_only().is_some() && open.parser.store().graph().is_none());
}

#[test]
fn tips_are_those_of_the_refs() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "one");
    let name = notes_schema::refs::entity(&EntityId::Issue(n));
    let first = open.parser.snapshot().ref_id(&name).unwrap();
    let twice: RefName = "refs/tags/one".parse().unwrap();
    let tag = twice.clone();
    open.parser.commit(move |draft| draft.set_ref(&tag, None, Some(first), None, None)).unwrap();
    assert!(open.parser.snapshot().is_tip(first));
    add(&open.parser, n, Commented {});
    assert!(open.parser.snapshot().is_tip(first), "the tag still names it");
    open.parser.commit(move |draft| draft.set_ref(&twice, Some(first), None, None, None)).unwrap();
    let snapshot = open.parser.snapshot();
    assert!(!snapshot.is_tip(first) && snapshot.refs.values().all(|value| snapshot.is_tip(value.id)));
    drop(open);
    let again = world.open().parser.snapshot();
    assert!(!again.is_tip(first) && again.refs.values().all(|value| again.is_tip(value.id)));
}

#[test]
fn the_same_intent_twice_is_known() {
    let world = World::new();
    let open = world.open();
    let by = Author { intent: Some(*uuid::Uuid::now_v7().as_bytes()), ..alpha() };
    let n = open_issue(&open.parser, "one");
    let first = by.clone();
    open.parser.commit(move |d| d.event(&first, &EntityId::Issue(n), Commented {}, Some("hi"), &[])).unwrap();
    let id = by.intent.unwrap();
    assert_eq!(open.parser.snapshot().intents.get(&by.agent, &id).unwrap().n, 2);
    drop(open);
    assert_eq!(world.open().parser.snapshot().intents.get(&by.agent, &id).unwrap().n, 2);
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Comment(u64),
    Close(u64),
    Reopen(u64),
    Maintain,
    Checkpoint,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Open),
        4 => (1..6u64).prop_map(Step::Comment),
        1 => (1..6u64).prop_map(Step::Close),
        1 => (1..6u64).prop_map(Step::Reopen),
        1 => Just(Step::Maintain),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn replay_gives_what_was_served(steps in steps()) {
        let world = World::new();
        let mut open = world.open();
        for step in steps {
            let known = open.parser.snapshot().next_number;
            match step {
                Step::Open => drop(open_issue(&open.parser, "issue")),
                Step::Comment(n) if n < known => add(&open.parser, n, Commented {}),
                Step::Close(n) if n < known => add(&open.parser, n, IssueClosed { fixed_by: None }),
                Step::Reopen(n) if n < known => add(&open.parser, n, IssueReopened {}),
                Step::Maintain => open.parser.maintain().unwrap(),
                Step::Checkpoint => open.parser.checkpoint_now().unwrap(),
                Step::Restart => {
                    let before = open.parser.snapshot();
                    drop(open);
                    open = world.open();
                    let after = open.parser.snapshot();
                    prop_assert_eq!(&before, &after);
                    prop_assert_eq!(&before, &world.replayed(&open).snapshot());
                    prop_assert_eq!(open.parser.read_only(), None);
                }
                Step::Comment(_) | Step::Close(_) | Step::Reopen(_) => {}
            }
        }
        drop(open);
        prop_assert_eq!(world.verify(), Vec::<String>::new());
    }
}

#[test]
fn an_agents_name_is_no_email_of_its_own() {
    let who = draft::signature_of(&"alpha".parse::<AgentName>().unwrap(), 5000);
    assert_eq!((who.email.as_str(), who.seconds), ("alpha@forge", 5));
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "x");
    let tip = open.parser.snapshot().fold.entities[&EntityId::Issue(1)].tip;
    assert_eq!(open.parser.store().commit(tip).unwrap().author, "alpha <alpha@forge>");
}

#[test]
fn an_idempotency_key_means_nothing_from_anyone_else_and_does_one_thing() {
    let world = World::new();
    let open = world.open();
    let n = open_issue(&open.parser, "one");
    let by = Author { intent: Some(*uuid::Uuid::now_v7().as_bytes()), ..alpha() };
    let other = Author { agent: "beta".parse().unwrap(), ..by.clone() };
    let say = |by: Author, n: u64| {
        open.parser.commit(move |d| {
            assert!(d.done(&by, &EntityId::Issue(n)).is_none());
            d.event(&by, &EntityId::Issue(n), Commented {}, Some("hi"), &[])
        })
    };
    say(by.clone(), n).unwrap();
    say(other, n).unwrap();
    open_issue(&open.parser, "two");
    assert_eq!(say(by, 2).unwrap_err().code, Code::Stale);
    assert_eq!(open.parser.snapshot().fold.issue(n).unwrap().comments, 2);
}

#[test]
fn a_ref_deleted_and_made_again_in_one_batch_has_one_owner_everywhere() {
    let world = World::new();
    let open = world.open();
    let name = RefName::branch("x").unwrap();
    let set = |agent: &'static str, old: bool, new: bool| {
        let name = name.clone();
        move |draft: &mut Draft| {
            let tip = draft.snapshot().tip;
            let agent: AgentName = agent.parse().unwrap();
            draft.set_ref(&name, tip.filter(|_| old), tip.filter(|_| new), None, Some(&agent))?;
            let (k, refs) = ("key:x".to_owned(), vec![name]);
            draft.push(notes_schema::batch::PushLine { a: agent, k, refs, records: vec![] });
            Ok(())
        }
    };
    let both = set("alpha", false, true);
    open.parser.commit(both).unwrap();
    let known = open.parser.snapshot().ref_id(&name);
    let (remove, make) = (name.clone(), set("beta", false, true));
    let together = open.parser.commit(move |draft| {
        draft.set_ref(&remove, known, None, None, Some(&"alpha".parse().unwrap()))?;
        make(draft)
    });
    assert_eq!(together.unwrap_err().code, Code::TryLater);
    let owners = open.parser.snapshot().owners.clone();
    drop(open);
    assert_eq!(world.open().parser.snapshot().owners, owners);
}
