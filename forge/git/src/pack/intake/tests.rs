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

/// A pack of raw entries: first byte and size as git packs them, then `reference`, then `content` deflated.
struct Raw {
    body: Vec<u8>,
    count: u32,
}

impl Raw {
    fn new() -> Self {
        Raw { body: Vec::new(), count: 0 }
    }

    fn add(&mut self, code: u8, declared: usize, reference: &[u8], content: &[u8]) -> u64 {
        use std::io::Write as _;
        let at = 12 + self.body.len() as u64;
        let (mut byte, mut size) = (code << 4 | (declared & 15) as u8, declared >> 4);
        while size > 0 {
            self.body.push(byte | 0x80);
            (byte, size) = ((size & 0x7f) as u8, size >> 7);
        }
        self.body.push(byte);
        self.body.extend_from_slice(reference);
        let mut zlib = flate2::write::ZlibEncoder::new(&mut self.body, flate2::Compression::fast());
        zlib.write_all(content).and_then(|()| zlib.finish().map(drop)).expect("memory");
        self.count += 1;
        at
    }

    fn blob(&mut self, content: &[u8]) -> u64 {
        self.add(3, content.len(), &[], content)
    }

    fn on(&mut self, base: Oid, delta: &[u8]) {
        self.add(7, delta.len(), base.as_bytes(), delta);
    }

    fn pack(&self) -> Vec<u8> {
        let mut pack = [b"PACK\0\0\0\x02", &self.count.to_be_bytes()[..], &self.body].concat();
        let checksum = sha1(&pack);
        pack.extend_from_slice(&checksum);
        pack
    }
}

fn blob_id(content: &[u8]) -> Oid {
    Object::new(Kind::Blob, content.to_vec()).id().expect("no collision")
}

/// A delta that turns a base of `base` bytes into `result`.
fn replace(base: usize, result: &[u8]) -> Vec<u8> {
    assert!(base < 128 && result.len() < 128);
    [&[base as u8, result.len() as u8, result.len() as u8], result].concat()
}

fn refusal(raw: &Raw) -> PackError {
    let server = Repo::bare();
    let store = server.store();
    let refused = taken(&raw.pack(), &store, &Limits::default()).err().expect("refused");
    let on_disk = taken(&raw.pack(), &store, &on_disk()).err().expect("refused");
    assert_eq!(refused.to_string(), on_disk.to_string());
    refused
}

#[test]
fn refuses_bombs_and_lies_about_size() {
    let mut raw = Raw::new();
    raw.add(3, 10, &[], &[0; 1 << 20]);
    assert!(matches!(refusal(&raw), PackError::BadEntry { at: 12, why } if why.contains("more than it declares")));
    let mut raw = Raw::new();
    raw.add(3, 10, &[], b"short");
    assert!(matches!(refusal(&raw), PackError::BadEntry { at: 12, why } if why.contains("less than it declares")));
    let mut raw = Raw::new();
    raw.add(3, 1 << 40, &[], b"x");
    assert!(matches!(refusal(&raw), PackError::ObjectTooLarge { size, .. } if size == 1 << 40));
    let mut raw = Raw::new();
    raw.blob(b"base");
    raw.on(blob_id(b"base"), &[4, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 4]);
    assert!(matches!(refusal(&raw), PackError::ObjectTooLarge { .. }));
}

#[test]
fn a_few_bytes_do_not_make_much() {
    // Twenty times the same 64 KiB, each time one byte more.
    let mut raw = Raw::new();
    let seed = [b'x'; 0x10000];
    raw.blob(&seed);
    for n in 1..=20u8 {
        let mut delta = vec![0x80, 0x80, 4, 0x80 | n, 0x80, 0x40];
        delta.extend([0x80; 16]);
        delta.extend([&[0x90, n][..]].concat());
        raw.on(blob_id(&seed), &delta);
    }
    let (pack, server) = (raw.pack(), Repo::bare());
    assert!(pack.len() < 2000, "{} bytes", pack.len());
    let mut limits = Limits { inflated_free: 4 << 20, inflated_per_byte: 100, ..Limits::default() };
    for memory_bytes in [0, limits.memory_bytes] {
        limits.memory_bytes = memory_bytes;
        let refused = taken(&pack, &server.store(), &limits).err().expect("over budget");
        assert!(matches!(refused, PackError::TooMuchInflated { limit } if limit == 4 << 20), "{refused}");
    }
    assert_eq!(leftovers(&server), 0);
    // Where as much was sent for it, it may be made.
    let limits = Limits { inflated_per_byte: 1 << 20, ..limits };
    assert_eq!(taken(&pack, &server.store(), &limits).expect("within the budget").len(), 21);
}

#[test]
fn refuses_deltas_that_rest_on_nothing() {
    let missing = Oid::from_bytes([9; 20]);
    let mut raw = Raw::new();
    raw.on(missing, &replace(4, b"abcd"));
    assert!(matches!(refusal(&raw), PackError::MissingBase { at: 12, base } if base == missing));
    // Two that rest on each other.
    let mut raw = Raw::new();
    raw.on(blob_id(b"two"), &replace(3, b"one"));
    raw.on(blob_id(b"one"), &replace(3, b"two"));
    assert!(matches!(refusal(&raw), PackError::MissingBase { .. }));
    for distance in [&[0u8][..], &[5], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let mut raw = Raw::new();
        raw.blob(b"base");
        raw.add(6, 7, distance, &replace(4, b"abcd"));
        assert!(matches!(refusal(&raw), PackError::BadEntry { .. }), "{distance:?}");
    }
    let mut raw = Raw::new();
    raw.add(5, 1, &[], b"x");
    assert!(matches!(refusal(&raw), PackError::BadEntry { why: "its type is unknown", .. }));
}

#[test]
fn refuses_the_same_object_twice() {
    let mut raw = Raw::new();
    raw.blob(b"same");
    raw.blob(b"same");
    assert!(matches!(refusal(&raw), PackError::Twice(id) if id == blob_id(b"same")));
    let mut raw = Raw::new();
    raw.blob(b"same");
    raw.on(blob_id(b"same"), &replace(4, b"same"));
    assert!(matches!(refusal(&raw), PackError::Twice(_)));
}

#[test]
fn prefers_its_own_object_to_one_of_the_store() {
    // The server has `b` and `t`. The pack has `b` as a delta against `t`, and `c` against `b`: both orders of taking
    // bases from the store must end with a pack that holds `b` once.
    for (b, t) in [(b"bbb1", b"ttt1"), (b"bbb2", b"ttt2"), (b"bbb3", b"ttt3"), (b"bbb4", b"ttt4")] {
        let server = Repo::bare();
        for content in [b, t] {
            server.git_bytes(&["hash-object", "-w", "--stdin"], content);
        }
        let mut raw = Raw::new();
        raw.on(blob_id(b), &replace(4, b"cccc"));
        raw.on(blob_id(t), &replace(4, b));
        let quarantine = taken(&raw.pack(), &server.store(), &on_disk()).expect("good");
        assert_eq!(quarantine.len(), 2);
        let Kept::Directory(pack) = quarantine.into_kept() else { panic!("it was to be on disk") };
        assert_eq!(pack.objects(), 3);
        pack.land(&server.git_dir().join("objects/pack")).expect("lands");
        server.assert_clean();
    }
}

#[test]
fn resolves_long_chains_without_recursion() {
    let mut raw = Raw::new();
    let mut at = raw.blob(&[0, 0]);
    for n in 1u16..=4000 {
        let (here, delta) = (12 + raw.body.len() as u64, replace(2, &n.to_be_bytes()));
        let distance = here - at;
        let bytes = if distance < 128 { vec![distance as u8] } else { unreachable!("entries are small") };
        at = raw.add(6, delta.len(), &bytes, &delta);
    }
    for limits in [Limits::default(), on_disk()] {
        let server = Repo::bare();
        let quarantine = taken(&raw.pack(), &server.store(), &limits).expect("deep, but allowed");
        assert_eq!(quarantine.len(), 4001);
        let last = quarantine.get(blob_id(&4000u16.to_be_bytes())).expect("resolved");
        assert_eq!(&last.data[..], &4000u16.to_be_bytes());
        let refused = taken(&raw.pack(), &server.store(), &Limits { delta_depth: 3999, ..limits });
        assert!(matches!(refused.err(), Some(PackError::TooDeep { .. })));
    }
}

#[test]
fn spills_bases_that_memory_cannot_hold() {
    // A chain of large objects, each with a second child, so that every base has to wait for its turn.
    let mut raw = Raw::new();
    let size = 8 << 20;
    let mut base = vec![0u8; size];
    raw.blob(&base);
    let varint = [
        (size & 0x7f) as u8 | 0x80,
        (size >> 7 & 0x7f) as u8 | 0x80,
        (size >> 14 & 0x7f) as u8 | 0x80,
        (size >> 21) as u8,
    ];
    for n in 1..=24u8 {
        let id = blob_id(&base);
        let mut copy = Vec::new();
        let mut from = 2;
        while from < size {
            let length = (size - from).min(0xff_ffff);
            copy.extend_from_slice(&[0xff, from as u8, (from >> 8) as u8, (from >> 16) as u8, (from >> 24) as u8]);
            copy.extend_from_slice(&[length as u8, (length >> 8) as u8, (length >> 16) as u8]);
            from += length;
        }
        for side in [1, 0u8] {
            raw.on(id, &[&varint[..], &varint, &[2, n, side], &copy].concat());
        }
        (base[0], base[1]) = (n, 0);
    }
    let server = Repo::bare();
    let quarantine = taken(&raw.pack(), &server.store(), &on_disk()).expect("good");
    assert_eq!(quarantine.len(), 49);
    assert!(quarantine.contains(blob_id(&base)));
    let refused = taken(&raw.pack(), &server.store(), &Limits { inflated_bytes: 100 << 20, ..on_disk() });
    assert!(matches!(refused.err(), Some(PackError::TooMuchInflated { .. })));
}

#[test]
fn refuses_bytes_that_differ_from_what_is_here() {
    // Without a real collision at hand, the store is made to answer wrongly.
    let server = Repo::bare();
    let id = server.git_bytes(&["hash-object", "-w", "--stdin"], b"mine");
    let hex = String::from_utf8(id).expect("hex");
    let loose = server.git_dir().join("objects").join(&hex[..2]).join(hex[2..].trim());
    let other = server.git_bytes(&["hash-object", "-w", "--stdin"], b"else");
    let hex = String::from_utf8(other).expect("hex");
    std::fs::rename(server.git_dir().join("objects").join(&hex[..2]).join(hex[2..].trim()), loose).expect("a file");
    let mut raw = Raw::new();
    raw.blob(b"mine");
    let refused = taken(&raw.pack(), &server.store(), &Limits::default()).err();
    assert!(matches!(refused, Some(PackError::Differs(_))), "{refused:?}");
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

// ---- objects that git fsck refuses ----

const PERSON: &str = "alpha <alpha@example.org> 1700000000 +0000";
const SOME: &str = "1111111111111111111111111111111111111111";
const PARENT: &str = "2222222222222222222222222222222222222222";

fn raw_tree(entries: &[(&str, &[u8])]) -> Object {
    let mut data = Vec::new();
    for (mode, name) in entries {
        data.extend_from_slice(&[mode.as_bytes(), b" ", name, b"\0", &[0x11; 20]].concat());
    }
    Object::new(Kind::Tree, data)
}

fn rule_for(object: &Object) -> Option<&'static str> {
    let mut builder = Builder::default();
    builder.add(object.id().expect("no collision"), object);
    let server = Repo::bare();
    match taken(&builder.finish().pack, &server.store(), &Limits::default()) {
        Ok(_) => None,
        Err(PackError::Malformed { rule, .. }) => Some(rule),
        Err(other) => panic!("{other}"),
    }
}

/// What `git fsck --strict` calls a loose object, if it calls it an error.
fn rule_of_git(object: &Object) -> Option<String> {
    let repo = Repo::bare();
    repo.git_bytes(&["hash-object", "-w", "--literally", "-t", object.kind.as_str(), "--stdin"], &object.data);
    let (_, stdout, stderr) = repo.try_git(&["fsck", "--strict", "--no-dangling"], b"");
    let said = format!("{}{stderr}", String::from_utf8_lossy(&stdout));
    // The objects stand alone, so what they refer to is always missing.
    let mut errors = said.lines().filter(|line| line.starts_with("error") && !line.ends_with("broken links"));
    let error = errors.next()?;
    Some(match error.strip_prefix("error in ") {
        Some(error) => error.split(": ").nth(1).expect("a rule").to_owned(),
        None => UNPARSABLE.to_owned(),
    })
}

/// What git does not even parse it does not check by rules.
const UNPARSABLE: &str = "unparsable";

#[track_caller]
fn assert_rule(object: &Object, rule: &str) {
    assert_eq!(rule_for(object), Some(rule));
    let theirs = rule_of_git(object).expect("git refuses it");
    assert!(theirs == rule || theirs == UNPARSABLE, "git says {theirs}, not {rule}");
}

#[test]
fn refuses_trees_that_git_refuses() {
    for (entries, rule) in [
        (&[("100644", &b"b"[..]), ("100644", b"a")][..], "treeNotSorted"),
        (&[("40000", b"a"), ("100644", b"a.b")], "treeNotSorted"),
        (&[("100644", b"a"), ("100644", b"a")], "duplicateEntries"),
        (&[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")], "duplicateEntries"),
        (&[("100644", b"a/b")], "fullPathname"),
        (&[("100644", b".")], "hasDot"),
        (&[("40000", b"..")], "hasDotdot"),
        (&[("40000", b".git")], "hasDotgit"),
        (&[("40000", b".GiT. ")], "hasDotgit"),
        (&[("40000", b"git~1")], "hasDotgit"),
        (&[("40000", ".g\u{200c}it".as_bytes())], "hasDotgit"),
        (&[("040000", b"a")], "zeroPaddedFilemode"),
        (&[("120000", b".gitmodules")], "gitmodulesSymlink"),
    ] {
        assert_rule(&raw_tree(entries), rule);
    }
    for entries in [&[("100664", &b"a"[..])][..], &[("120000", b".gitignore")], &[("160000", b"sub")], &[]] {
        let object = raw_tree(entries);
        assert_eq!((rule_for(&object), rule_of_git(&object)), (None, None), "{entries:?}");
    }
    // git only warns of what it cannot check out as it stands; there is no honest use of it.
    assert_eq!(rule_for(&raw_tree(&[("100600", b"a")])), Some("badFilemode"));
    let mut null = raw_tree(&[("100644", b"a")]).data.to_vec();
    null.truncate(9);
    null.extend_from_slice(&[0; 20]);
    assert_rule(&Object::new(Kind::Tree, null), "nullSha1");
    assert_eq!(rule_for(&Object::new(Kind::Tree, &b"100644 a\0short"[..])), Some("badTree"));
}

#[test]
fn refuses_commits_that_git_refuses() {
    let good = format!("tree {SOME}\nparent {PARENT}\nauthor {PERSON}\ncommitter {PERSON}\n\nmessage\n");
    let with = |from: &str, to: &str| Object::new(Kind::Commit, good.replacen(from, to, 1).into_bytes());
    assert_eq!((rule_for(&with("", "")), rule_of_git(&with("", ""))), (None, None));
    for (from, to, rule) in [
        ("tree ", "tee ", "missingTree"),
        ("tree 1", "tree ", "badTreeSha1"),
        ("parent 2", "parent ", "badParentSha1"),
        ("author", "autor", "missingAuthor"),
        ("committer", "author", "multipleAuthors"),
        ("committer", "comitter", "missingCommitter"),
        ("alpha <", "<", "missingNameBeforeEmail"),
        ("alpha <", "al>pha <", "badName"),
        ("alpha <", "alpha<", "missingSpaceBeforeEmail"),
        ("<alpha@example.org>", "alpha", "missingEmail"),
        ("example.org>", "example.org", "badEmail"),
        ("org> 17", "org>17", "missingSpaceBeforeDate"),
        ("1700000000", "x", "badDate"),
        ("1700000000", "01700000000", "zeroPaddedDate"),
        ("1700000000", "17000000000000000000000000", "badDateOverflow"),
        ("+0000", "+000", "badTimezone"),
        ("+0000", "UTC", "badTimezone"),
        ("message", "mess\0age", "nulInCommit"),
        ("author", "auth\0or", "nulInHeader"),
    ] {
        assert_rule(&with(from, to), rule);
    }
    let cut =
        Object::new(Kind::Commit, good.trim_end().split("\n\n").next().expect("a header").to_owned().into_bytes());
    assert_rule(&cut, "unterminatedHeader");
}

#[test]
fn refuses_tags_that_git_refuses() {
    let good = format!("object {SOME}\ntype commit\ntag v1\ntagger {PERSON}\n\nmessage\n");
    let with = |from: &str, to: &str| Object::new(Kind::Tag, good.replacen(from, to, 1).into_bytes());
    assert_eq!((rule_for(&with("", "")), rule_of_git(&with("", ""))), (None, None));
    let old = with(&format!("tagger {PERSON}\n"), "");
    assert_eq!((rule_for(&old), rule_of_git(&old)), (None, None));
    for (from, to, rule) in [
        ("object ", "obect ", "missingObject"),
        ("object 1", "object ", "badObjectSha1"),
        ("type commit\n", "", "missingTypeEntry"),
        ("type commit", "type comit", "badType"),
        ("tag v1\n", "", "missingTagEntry"),
        ("+0000", "0000", "badTimezone"),
    ] {
        assert_rule(&with(from, to), rule);
    }
}

#[test]
fn refuses_links_to_the_wrong_kind() {
    let blob = Object::new(Kind::Blob, &b"x\n"[..]);
    let blob_id = blob.id().expect("no collision");
    let root = tree(vec![TreeEntry { mode: Mode::Tree, name: b"dir".to_vec(), id: blob_id }]);
    let root_id = root.id().expect("no collision");
    let mut both = Builder::default();
    both.add(blob_id, &blob);
    both.add(root_id, &root);
    let server = Repo::bare();
    let refused = taken(&both.finish().pack, &server.store(), &Limits::default()).err();
    assert!(matches!(refused, Some(PackError::WrongKind { .. })), "{refused:?}");
    server.git_bytes(&["hash-object", "-w", "--stdin"], b"x\n");
    let mut one = Builder::default();
    one.add(root_id, &root);
    let quarantine = taken(&one.finish().pack, &server.store(), &Limits::default()).expect("good in itself");
    let refused = connect::check(&[root_id], &quarantine, &server.store()).expect_err("the store has a blob there");
    assert!(matches!(refused, Disconnected::WrongKind { .. }), "{refused}");
}

#[test]
fn refuses_dangerous_gitmodules_wherever_the_blob_is() {
    let evil = Object::new(Kind::Blob, &b"[submodule \"a\"]\n\tpath = a\n\turl = --upload-pack=x\n"[..]);
    let evil_id = evil.id().expect("no collision");
    let root = tree(vec![TreeEntry { mode: Mode::File, name: b".gitmodules".to_vec(), id: evil_id }]);
    let server = Repo::bare();
    for in_store in [false, true] {
        let mut builder = Builder::default();
        builder.add(root.id().expect("no collision"), &root);
        if in_store {
            server.git_bytes(&["hash-object", "-w", "--stdin"], &evil.data);
        } else {
            builder.add(evil_id, &evil);
        }
        let refused = taken(&builder.finish().pack, &server.store(), &Limits::default()).err();
        assert!(matches!(refused, Some(PackError::Malformed { rule: "gitmodulesUrl", .. })), "{refused:?}");
    }
}

#[test]
fn own_commits_pass() {
    let alpha = Signature { name: "alpha".into(), email: "alpha@example.org".into(), seconds: 1_700_000_000 };
    let root = tree(Vec::new());
    let commit = NewCommit {
        tree: root.id().expect("no collision"),
        parents: Vec::new(),
        author: alpha.clone(),
        committer: alpha,
        message: "one\n".into(),
    };
    for armor in [None, Some("-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n")] {
        let object = commit.encode(armor);
        assert_eq!((rule_for(&object), rule_of_git(&object)), (None, None));
    }
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
