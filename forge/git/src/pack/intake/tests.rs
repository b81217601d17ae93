//! Packs taken in: what git packs, thin packs, cuts, budgets, and what a killed server left.

mod faults;
mod lies;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::connect::{self, Disconnected};
use crate::object::{Mode, NewCommit, Signature, TreeEntry, tree};
use crate::pack::write::{Builder, sha1};
use crate::store::Objects as _;
use crate::testing::Repo;

fn taken(pack: &[u8], store: &Store, limits: &Limits) -> Result<Quarantine, PackError> {
    take(&mut &pack[..], store, limits, &mut |_| {})
}

/// Everything goes through a directory.
fn on_disk() -> Limits {
    Limits { memory_bytes: 16, ..Limits::default() }
}

/// A history with files that make deltas, a tag, a directory, a link and an executable.
fn history() -> Repo {
    let repo = Repo::new();
    let mut lines: Vec<String> = (0..400).map(|n| format!("line {n} of a file that changes little")).collect();
    for round in 0..12 {
        lines[round * 30] = format!("round {round}");
        repo.write("src/long.txt", lines.join("\n"));
        repo.write(&format!("src/{round}/small.txt"), format!("{round}\n"));
        repo.write("README.md", format!("# Round {round}\n"));
        repo.commit(&format!("round {round}"));
    }
    std::os::unix::fs::symlink("README.md", repo.path().join("link")).expect("a link");
    repo.write("empty", "");
    repo.commit("link");
    repo.git(&["tag", "-a", "-m", "a tag", "v1"]);
    repo
}

fn assert_same(quarantine: &Quarantine, repo: &Repo) {
    let all = repo.all_objects();
    assert_eq!(quarantine.len(), all.len());
    assert_eq!(quarantine.ids().collect::<BTreeSet<_>>(), all.iter().map(|(id, ..)| *id).collect());
    for (id, kind, content) in all {
        let mine = quarantine.get(id).expect("taken");
        assert_eq!((mine.kind.as_str(), &mine.data[..]), (kind.as_str(), &content[..]), "{id}");
    }
}

/// Lands whatever was taken in `server`, under the ref `main`.
fn land(quarantine: Quarantine, server: &Repo, main: Oid) {
    let packs = server.git_dir().join("objects/pack");
    match quarantine.into_kept() {
        Kept::Memory(objects) => {
            let mut builder = Builder::default();
            objects.iter().for_each(|(id, object)| builder.add(*id, object));
            let pack = builder.finish();
            let name = format!("pack-b{}", &notes_schema::names::hex(&pack.checksum)[1..]);
            std::fs::write(packs.join(format!("{name}.pack")), pack.pack).expect("a pack");
            std::fs::write(packs.join(format!("{name}.idx")), pack.index).expect("an index");
        }
        Kept::Directory(pack) => {
            let landed = pack.land(&packs).expect("lands");
            assert!(landed.name.starts_with("pack-c") && landed.name.len() == 45);
            let bytes = std::fs::read(packs.join(format!("{}.pack", landed.name))).expect("a pack");
            assert_eq!(landed.sha256, notes_schema::Sha256::of(&bytes));
            assert_eq!((landed.bytes, &landed.checksum[..]), (bytes.len() as u64, &bytes[bytes.len() - 20..]));
            let index = format!("objects/pack/{}.idx", landed.name);
            server.git(&["verify-pack", &index]);
        }
    }
    server.git(&["update-ref", "refs/heads/main", &main.to_string()]);
    server.assert_clean();
}

fn leftovers(repo: &Repo) -> usize {
    let names = std::fs::read_dir(repo.git_dir()).expect("a directory").map(|e| e.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("quarantine-")).count()
}

#[test]
fn takes_what_git_packs() {
    let repo = history();
    for options in [&[][..], &["--delta-base-offset"], &["--delta-base-offset", "--window=0"], &["--depth=500"]] {
        let pack = repo.pack_all(options);
        for limits in [Limits::default(), on_disk()] {
            let server = Repo::bare();
            let quarantine = taken(&pack, &server.store(), &limits).expect("a good pack");
            assert_same(&quarantine, &repo);
            assert_eq!(quarantine.bytes(), pack.len() as u64);
            assert_eq!(leftovers(&server), usize::from(limits.memory_bytes == 16));
            connect::check(&[repo.id("HEAD"), repo.id("v1")], &quarantine, &server.store()).expect("complete");
            land(quarantine, &server, repo.id("main"));
            assert_eq!(leftovers(&server), 0);
        }
    }
}

#[test]
fn completes_thin_packs() {
    let repo = history();
    let base = repo.id("HEAD~4");
    for options in [&["--thin"][..], &["--thin", "--delta-base-offset"]] {
        for limits in [Limits::default(), on_disk()] {
            let server = Repo::bare();
            let first =
                taken(&repo.pack(&[], &format!("{base}\n")), &server.store(), &Limits::default()).expect("good");
            land(first, &server, base);
            let thin = repo.pack(options, &format!("main\n^{base}\n"));
            let empty = Repo::bare();
            let refused = taken(&thin, &empty.store(), &limits).err().expect("bases are missing");
            assert!(matches!(refused, PackError::MissingBase { .. }), "{refused}");
            let store = server.store();
            let quarantine = taken(&thin, &store, &limits).expect("good");
            let sent = repo.git(&["rev-list", "--objects", "--no-object-names", &format!("{base}..main")]);
            assert_eq!(quarantine.len(), sent.lines().count());
            for id in sent.lines() {
                let id: Oid = id.parse().expect("an id");
                let theirs = repo.store().get(id).expect("there");
                assert_eq!(quarantine.get(id), Some(theirs));
                assert!(!store.contains(id));
            }
            let tip = repo.id("main");
            connect::check(&[tip], &quarantine, &store).expect("complete");
            let overlay = Overlay { quarantine: &quarantine, store: &store };
            assert!(crate::history::is_ancestor(&overlay, base, tip).expect("readable"));
            land(quarantine, &server, tip);
            assert!(store.contains(tip) && store.commit(tip).is_ok());
        }
    }
}

#[test]
fn names_what_is_missing() {
    let repo = history();
    let tip = repo.id("main");
    let pack = repo.pack(&[], &format!("main\n^{tip}~1\n"));
    for limits in [Limits::default(), on_disk()] {
        let server = Repo::bare();
        let store = server.store();
        let quarantine = taken(&pack, &store, &limits).expect("good in itself");
        let hole = connect::check(&[tip], &quarantine, &store).expect_err("its parent is missing");
        assert!(matches!(hole, Disconnected::Missing { .. }), "{hole}");
        let nowhere =
            connect::check(&[Oid::from_bytes([7; 20])], &Quarantine::empty(), &store).expect_err("nothing there");
        assert!(matches!(nowhere, Disconnected::Tip(_)), "{nowhere}");
    }
}

#[test]
fn can_be_handed_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<Quarantine>();
    check::<Store>();
}

#[test]
fn takes_no_byte_that_was_not_sent() {
    // Whoever pushes over SSH may keep the connection open after the pack: reading on would wait for ever.
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            assert!(!self.0.is_empty(), "reads beyond the end");
            let some = self.0.len().min(into.len()).min(7);
            into[..some].copy_from_slice(&self.0[..some]);
            self.0 = &self.0[some..];
            Ok(some)
        }
    }
    let (repo, server) = (history(), Repo::bare());
    let pack = repo.pack_all(&["--delta-base-offset"]);
    let quarantine = take(&mut Slow(&pack), &server.store(), &Limits::default(), &mut |_| {}).expect("good");
    assert_same(&quarantine, &repo);
}

#[test]
fn takes_an_empty_pack() {
    let pack = Builder::default().finish().pack;
    let server = Repo::bare();
    let quarantine = taken(&pack, &server.store(), &Limits::default()).expect("nothing is fine");
    assert!(quarantine.is_empty());
    assert!(matches!(quarantine.into_kept(), Kept::Memory(objects) if objects.is_empty()));
}

#[test]
fn refuses_every_cut() {
    let repo = Repo::new();
    repo.write("a", "some content\n");
    repo.commit("one");
    let pack = repo.pack_all(&["--delta-base-offset"]);
    let server = Repo::bare();
    let store = server.store();
    for end in 0..pack.len() {
        let refused = taken(&pack[..end], &store, &Limits::default()).err().expect("cut");
        match refused {
            PackError::Truncated { at } => assert_eq!(at, end as u64),
            other => assert!(end == 0 && matches!(other, PackError::NoPack(_)), "{end}: {other}"),
        }
    }
    let refused = taken(&[&pack[..], b"x"].concat(), &store, &Limits::default()).err();
    assert!(matches!(refused, Some(PackError::Trailing { count: 1 })));
    let mut wrong = pack.clone();
    *wrong.last_mut().expect("a trailer") ^= 1;
    assert!(matches!(taken(&wrong, &store, &Limits::default()).err(), Some(PackError::Checksum { .. })));
}

#[test]
fn keeps_to_every_budget() {
    let repo = history();
    let pack = repo.pack_all(&["--depth=500", "--window=500"]);
    let server = Repo::bare();
    let refuse = |change: &dyn Fn(&mut Limits)| {
        let mut limits = on_disk();
        change(&mut limits);
        taken(&pack, &server.store(), &limits).err().expect("over budget")
    };
    assert!(matches!(refuse(&|l| l.pack_bytes = 1000), PackError::PackTooLarge { limit: 1000 }));
    assert!(matches!(refuse(&|l| l.objects = 10), PackError::TooManyObjects { limit: 10, .. }));
    assert!(matches!(refuse(&|l| l.object_bytes = 200), PackError::ObjectTooLarge { limit: 200, .. }));
    assert!(matches!(refuse(&|l| l.inflated_bytes = 5000), PackError::TooMuchInflated { limit: 5000 }));
    assert!(matches!(refuse(&|l| l.delta_depth = 1), PackError::TooDeep { limit: 1, .. }));
    assert_eq!(leftovers(&server), 0);
}

#[test]
fn removes_what_a_killed_server_left() {
    let server = Repo::bare();
    std::fs::create_dir(server.git_dir().join("quarantine-x1")).expect("a directory");
    std::fs::write(server.git_dir().join("quarantine-x1/pack"), b"PACK").expect("a file");
    remove_stale(&server.git_dir()).expect("removes");
    assert_eq!(leftovers(&server), 0);
    assert!(server.git_dir().join("objects").is_dir());
}

fn mutated(pack: &[u8], changes: &[(prop::sample::Index, u8)], resign: bool) -> Vec<u8> {
    let mut pack = pack.to_vec();
    for (at, byte) in changes {
        let at = at.index(pack.len());
        pack[at] = *byte;
    }
    if resign {
        let end = pack.len() - 20;
        let checksum = sha1(&pack[..end]);
        pack[end..].copy_from_slice(&checksum);
    }
    pack
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever becomes of a pack on its way, it is refused or whole, and never more than the budgets.
    #[test]
    fn no_bytes_break_the_intake(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        resign in any::<bool>(),
        on_disk in any::<bool>(),
        raw_deltas in any::<bool>(),
    ) {
        use std::sync::LazyLock;
        static PACKS: LazyLock<(Vec<u8>, Vec<u8>, Repo)> = LazyLock::new(|| {
            let repo = history();
            let compressed = repo.pack_all(&["--delta-base-offset"]);
            // Without compression changes reach the deltas and trees themselves.
            let plain = repo.git_bytes(
                &["-c", "pack.compression=0", "pack-objects", "-q", "--all", "--stdout", "--no-reuse-object"],
                b"",
            );
            (compressed, plain, Repo::bare())
        });
        let pack = mutated(if raw_deltas { &PACKS.1 } else { &PACKS.0 }, &changes, resign);
        let limits = Limits { memory_bytes: if on_disk { 1000 } else { 16 << 20 }, object_bytes: 1 << 20, ..Limits::default() };
        let store = PACKS.2.store();
        if let Ok(quarantine) = taken(&pack, &store, &limits) {
            for id in quarantine.ids() {
                prop_assert_eq!(quarantine.get(id).map(|o| o.id().ok()), Some(Some(id)));
            }
        }
    }

    /// Nor do bytes that never were a pack.
    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..200), objects in 0u32..5) {
        let mut pack = [b"PACK\0\0\0\x02", &objects.to_be_bytes()[..], &noise].concat();
        let checksum = sha1(&pack);
        pack.extend_from_slice(&checksum);
        let server = Repo::bare();
        let _ = taken(&pack, &server.store(), &on_disk());
    }
}
