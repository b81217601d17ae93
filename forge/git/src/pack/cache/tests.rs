//! The cache under those who ask at once, leave early, come after a restart, or find it gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::pack::emit::tests::{busy, noise, select, take};
use crate::testing::Repo;

const ROOM: u64 = 1 << 30;

/// A repository, and clones of it through a cache.
struct Fixture {
    repo: Arc<Repo>,
    store: Arc<Store>,
    dir: tempfile::TempDir,
    /// For each selection made, how many tips were had.
    selected: Arc<Mutex<Vec<usize>>>,
}

impl Fixture {
    fn new(repo: Repo) -> Self {
        let store = Arc::new(repo.store());
        Fixture { repo: Arc::new(repo), store, dir: tempfile::tempdir().unwrap(), selected: Arc::default() }
    }

    fn clones(&self) -> PathBuf {
        self.dir.path().join("clones")
    }

    fn cache(&self, room: u64) -> Arc<PackCache> {
        PackCache::open(&self.clones(), room).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.clones()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn selected(&self) -> Vec<usize> {
        std::mem::take(&mut self.selected.lock().unwrap())
    }

    /// A clone of `tip`, which git itself enumerates.
    fn wish(&self, tip: &str, filter: &str) -> Wish {
        let id = self.repo.id(tip);
        let (repo, selected) = (self.repo.clone(), self.selected.clone());
        let reaching = self.repo.clone();
        Wish {
            key: Key::new("a", [id], filter, "", true),
            store: self.store.clone(),
            reaches: Arc::new(move |tips| {
                let reached = |had: &Oid| {
                    let (had, tip) = (had.to_string(), id.to_string());
                    reaching.try_git(&["merge-base", "--is-ancestor", &had, &tip], b"").0
                };
                Ok(tips.iter().all(reached))
            }),
            select: Arc::new(move |had| {
                selected.lock().unwrap().push(had.len());
                let not: Vec<String> = had.iter().map(|had| format!("^{had}")).collect();
                let mut revs: Vec<&str> = not.iter().map(String::as_str).collect();
                let tip = id.to_string();
                revs.push(&tip);
                Ok(select(&repo, &revs))
            }),
        }
    }

    /// Whether `pack` is a clone of `tip`.
    fn check(&self, pack: &[u8], written: &Written, tip: &str) {
        assert_eq!(written.bytes, pack.len() as u64);
        take(&self.repo, &Repo::bare(), pack, tip);
    }
}

fn send(cache: &Arc<PackCache>, wish: &Wish) -> Result<(Vec<u8>, Written), CacheError> {
    let mut pack = Vec::new();
    let written = cache.send(wish, &mut pack, &mut |_| {})?;
    Ok((pack, written))
}

/// Tells that something arrived, and takes more only when told so.
struct Gate {
    pack: Vec<u8>,
    arrived: Sender<()>,
    go: Option<Receiver<()>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pack.extend_from_slice(bytes);
        if let Some(go) = self.go.take() {
            self.arrived.send(()).unwrap();
            go.recv().unwrap();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Larger than what is read at once.
fn large() -> Repo {
    let repo = Repo::new();
    repo.write("noise", noise(3 << 20, 1));
    repo.commit("noise");
    repo
}

#[test]
fn many_at_once_are_served_by_one_builder() {
    let fixture = Fixture::new(busy(5));
    let cache = fixture.cache(ROOM);
    let wish = fixture.wish("main", "");
    let packs: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| send(&cache, &wish).unwrap())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    fixture.check(&packs[0].0, &packs[0].1, "main");
    assert!(packs.iter().all(|(pack, _)| *pack == packs[0].0));
    assert_eq!(fixture.selected(), [0]);
    assert_eq!(send(&cache, &wish).unwrap().0, packs[0].0);
    assert!(fixture.selected().is_empty());
    assert_eq!(fixture.files().len(), 1);
    assert_eq!(cache.bytes(), fs::metadata(&fixture.files()[0]).unwrap().len());
}

#[test]
fn a_slow_reader_holds_nobody() {
    let fixture = Fixture::new(large());
    let cache = fixture.cache(ROOM);
    let wish = fixture.wish("main", "");
    let ((arrived, is_slow), (go, may_go)) = (channel(), channel());
    std::thread::scope(|scope| {
        let mut slow = Gate { pack: Vec::new(), arrived, go: Some(may_go) };
        let slow = scope.spawn(|| {
            cache.send(&wish, &mut slow, &mut |_| {}).unwrap();
            slow.pack
        });
        is_slow.recv().unwrap();
        let (pack, written) = send(&cache, &wish).unwrap();
        fixture.check(&pack, &written, "main");
        go.send(()).unwrap();
        assert!(slow.join().unwrap() == pack);
    });
    assert_eq!(fixture.selected(), [0]);
}

#[test]
fn a_builder_that_dies_tells_those_who_follow() {
    let fixture = Fixture::new(large());
    let cache = fixture.cache(ROOM);
    let good = fixture.wish("main", "");
    let missing = Oid::from_bytes([7; 20]);
    let mut late = good.clone();
    let whole = good.select.clone();
    late.select = Arc::new(move |had| {
        let mut selection = whole(had)?;
        let kind = crate::object::Kind::Blob;
        selection.objects.push(crate::select::Selected { id: missing, kind, resembles: None });
        Ok(selection)
    });
    let mut early = good.clone();
    early.select = Arc::new(|_| panic!("as the test wants it"));
    for (bad, word) in [(late, missing.to_string()), (early, "without a word".to_owned())] {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| send(&cache, &bad).unwrap_err().to_string())).collect();
            for error in all {
                let error = error.join().unwrap();
                assert!(error.contains(&word), "{error}");
            }
        });
        assert_eq!(cache.bytes(), 0);
    }
    let (pack, written) = send(&cache, &good).unwrap();
    fixture.check(&pack, &written, "main");
    assert_eq!(fixture.files().len(), 1);
}

#[test]
fn what_is_evicted_is_read_to_its_end() {
    let fixture = Fixture::new(large());
    let first = fixture.wish("main", "");
    let room = {
        let cache = fixture.cache(ROOM);
        send(&cache, &first).unwrap();
        cache.bytes() + 1000
    };
    let cache = fixture.cache(room);
    let ((arrived, is_slow), (go, may_go)) = (channel(), channel());
    std::thread::scope(|scope| {
        let mut slow = Gate { pack: Vec::new(), arrived, go: Some(may_go) };
        let slow = scope.spawn(|| {
            let written = cache.send(&first, &mut slow, &mut |_| {}).unwrap();
            (slow.pack, written)
        });
        is_slow.recv().unwrap();
        let before = fixture.files();
        send(&cache, &fixture.wish("main", "another")).unwrap();
        assert_eq!(fixture.files().len(), 1);
        assert_ne!(fixture.files(), before);
        assert!(cache.bytes() <= room);
        go.send(()).unwrap();
        let (pack, written) = slow.join().unwrap();
        fixture.check(&pack, &written, "main");
    });
}

#[test]
fn what_does_not_fit_is_sent_and_not_kept() {
    let fixture = Fixture::new(large());
    let cache = fixture.cache(1000);
    for _ in 0..2 {
        let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
        fixture.check(&pack, &written, "main");
        assert_eq!((cache.bytes(), fixture.files().len()), (0, 0));
    }
}

#[test]
fn a_restart_believes_only_what_is_whole() {
    let fixture = Fixture::new(busy(3));
    let wish = fixture.wish("main", "");
    let (pack, _) = send(&fixture.cache(ROOM), &wish).unwrap();
    fixture.selected();
    let file = fixture.files().remove(0);
    let kept = fs::read(&file).unwrap();
    fs::write(fixture.clones().join("tmp_clone_left"), "half").unwrap();
    fs::write(fixture.clones().join("README"), "not ours").unwrap();
    let again = fixture.cache(ROOM);
    assert_eq!(fixture.files().len(), 2, "what was under construction is gone");
    assert_eq!(send(&again, &wish).unwrap().0, pack);
    assert!(fixture.selected().is_empty());
    let mut flipped = kept.clone();
    flipped[pack.len() / 2] ^= 1;
    let mut other = kept.clone();
    other[pack.len() + 30] ^= 1;
    let mut renamed = kept.clone();
    let tip = renamed.len() - 17;
    renamed[tip] ^= 1;
    for bad in [flipped, other, renamed, kept[..kept.len() - 1].to_vec(), pack[..pack.len() - 1].to_vec(), vec![]] {
        fs::write(&file, bad).unwrap();
        let (sent, written) = send(&fixture.cache(ROOM), &wish).unwrap();
        fixture.check(&sent, &written, "main");
        assert_eq!(fixture.selected(), [0]);
        assert_eq!(fs::read(&file).unwrap().len(), kept.len());
    }
}

#[test]
fn a_cache_may_vanish() {
    let fixture = Fixture::new(busy(3));
    let wish = fixture.wish("main", "");
    let cache = fixture.cache(ROOM);
    for _ in 0..3 {
        let (pack, written) = send(&cache, &wish).unwrap();
        fixture.check(&pack, &written, "main");
        assert_eq!(fixture.files().len(), 1);
        fs::remove_dir_all(fixture.clones()).unwrap();
    }
    // Where nothing can be written, clones go past the cache.
    fs::write(fixture.clones(), "a file").unwrap();
    let (pack, written) = send(&cache, &wish).unwrap();
    fixture.check(&pack, &written, "main");
}

#[test]
fn all_that_shapes_a_clone_is_in_its_name() {
    let [a, b] = [1, 2].map(|n| Oid::from_bytes([n; 20]));
    let keys = [
        Key::new("r", [a], "", "", true),
        Key::new("r", [a], "", "", false),
        Key::new("r", [a], "blob:none", "", true),
        Key::new("r", [a], "", "blob:none", true),
        Key::new("s", [a], "", "", true),
        Key::new("r", [b], "", "", true),
        Key::new("r", [a, b], "", "", true),
    ];
    let names: HashSet<String> = keys.iter().map(file::name).collect();
    assert_eq!(names.len(), keys.len());
    assert_eq!(Key::new("r", [b, a, b], "", "", true), keys[6]);
}

#[test]
fn a_filter_never_gets_another_filters_pack() {
    let fixture = Fixture::new(busy(3));
    let cache = fixture.cache(ROOM);
    let whole = fixture.wish("main", "");
    let mut filtered = fixture.wish("main", "blob:none");
    let everything = filtered.select.clone();
    filtered.select = Arc::new(move |had| {
        let mut selection = everything(had)?;
        selection.objects.retain(|object| object.kind != crate::object::Kind::Blob);
        Ok(selection)
    });
    let (a, b) = (send(&cache, &whole).unwrap(), send(&cache, &filtered).unwrap());
    assert!(b.1.objects < a.1.objects);
    fixture.repo.write("more", "more");
    fixture.repo.commit("more");
    let (again, written) = send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.check(&again, &written, "main");
}

#[test]
fn moved_tips_begin_with_what_is_cached() {
    let fixture = Fixture::new(busy(20));
    let cache = fixture.cache(ROOM);
    let (_, before) = send(&cache, &fixture.wish("main", "")).unwrap();
    assert_eq!(fixture.selected(), [0]);
    for n in 0..3 {
        fixture.repo.write("dir0/file0", format!("{n}\n").repeat(100));
        fixture.repo.commit("a little");
        let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
        fixture.check(&pack, &written, "main");
        let all: usize = fixture.repo.git(&["rev-list", "--objects", "main"]).lines().count();
        assert_eq!(written.objects, all);
        assert!(written.reused >= before.objects);
        assert_eq!(fixture.selected(), [1]);
        assert_eq!(fixture.files().len(), 1);
    }
    for n in 0..20 {
        fixture.repo.write(&format!("new{n}"), format!("{n}\n"));
        fixture.repo.commit("much");
    }
    let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.check(&pack, &written, "main");
    assert_eq!(fixture.selected(), [1]);
    assert_eq!(fixture.files().len(), 2, "that much becomes a file");
    assert_eq!(send(&cache, &fixture.wish("main", "")).unwrap().0, pack);
    assert!(fixture.selected().is_empty());
    fixture.repo.git(&["checkout", "-q", "--orphan", "other"]);
    fixture.repo.commit("nothing of that");
    let (pack, written) = send(&cache, &fixture.wish("other", "")).unwrap();
    fixture.check(&pack, &written, "other");
    assert_eq!(fixture.selected(), [0]);
}

#[test]
fn what_came_back_is_not_sent_twice() {
    let fixture = Fixture::new(busy(20));
    fixture.repo.write("file", "as it was\n".repeat(20));
    fixture.repo.commit("one");
    fixture.repo.write("file", "as it became\n".repeat(20));
    fixture.repo.commit("another");
    let cache = fixture.cache(ROOM);
    send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.repo.write("file", "as it was\n".repeat(20));
    fixture.repo.write("other", "as it was\n".repeat(20) + "and more\n");
    fixture.repo.commit("one again");
    let all = fixture.repo.git(&["rev-list", "--objects", "main"]).lines().count();
    let selected = (fixture.wish("main", "").select)(&[fixture.repo.id("main~1")]).unwrap();
    assert!(selected.objects.iter().any(|object| object.id == fixture.repo.id("main:file")));
    for file in [false, true] {
        if file {
            cache.state().ready.values_mut().for_each(|ready| ready.outgrown = true);
        }
        let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
        fixture.check(&pack, &written, "main");
        assert_eq!(written.objects, all);
    }
    fixture.repo.commit("nothing");
    let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.check(&pack, &written, "main");
    assert_eq!((written.objects, fixture.files().len()), (all + 1, 2));
}

#[test]
fn a_large_addition_becomes_a_file_the_next_time() {
    let fixture = Fixture::new(busy(20));
    let cache = fixture.cache(ROOM);
    send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.repo.write("noise", noise(1 << 20, 3));
    fixture.repo.commit("few objects, many bytes");
    for files in [1, 2, 2] {
        let (pack, written) = send(&cache, &fixture.wish("main", "")).unwrap();
        fixture.check(&pack, &written, "main");
        assert_eq!(fixture.files().len(), files);
    }
    assert_eq!(fixture.selected(), [0, 1, 1]);
}

#[test]
fn a_damaged_beginning_is_not_passed_on() {
    let fixture = Fixture::new(busy(20));
    let cache = fixture.cache(ROOM);
    let (pack, _) = send(&cache, &fixture.wish("main", "")).unwrap();
    fixture.repo.write("more", "more");
    fixture.repo.commit("more");
    let file = fixture.files().remove(0);
    let kept = fs::read(&file).unwrap();
    for at in [0, 11, 12, 1000, pack.len() - 1] {
        let mut bad = kept.clone();
        bad[at] ^= 1;
        fs::write(&file, bad).unwrap();
        let mut out = Vec::new();
        let error = cache.send(&fixture.wish("main", ""), &mut out, &mut |_| {}).unwrap_err();
        assert!(matches!(error, CacheError::Emit(EmitError::Before(_))), "{error}");
        assert!(fixture.files().is_empty() && cache.bytes() == 0);
        assert!(!Repo::bare().try_git(&["index-pack", "--stdin"], &out).0);
        send(&cache, &fixture.wish("main~1", "")).unwrap();
    }
}

#[test]
fn clones_are_right_while_others_push() {
    let fixture = Fixture::new(busy(10));
    let cache = fixture.cache(ROOM);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for n in 0..12 {
                fixture.repo.write("dir1/file1", format!("{n}\n").repeat(50));
                fixture.repo.commit("meanwhile");
                if n % 4 == 3 {
                    fixture.repo.git(&["repack", "-adq"]);
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        let cloning: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        let tip = fixture.repo.id("main").to_string();
                        let (pack, written) = send(&cache, &fixture.wish(&tip, "")).unwrap();
                        fixture.check(&pack, &written, &tip);
                    }
                })
            })
            .collect();
        pushing.join().unwrap();
        cloning.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn a_busy_cache_is_passed_by() {
    let fixture = Fixture::new(busy(3));
    let cache = fixture.cache(ROOM);
    let ((arrived, is_building), (go, may_go)) = (channel(), channel());
    let gate = Arc::new(Mutex::new(may_go));
    let held = |filter: &str| {
        let mut wish = fixture.wish("main", filter);
        let (select, arrived, gate) = (wish.select.clone(), arrived.clone(), gate.clone());
        wish.select = Arc::new(move |had| {
            arrived.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
            select(had)
        });
        wish
    };
    let wishes = [held("1"), held("2")];
    std::thread::scope(|scope| {
        let held: Vec<_> = wishes.iter().map(|wish| scope.spawn(|| send(&cache, wish).unwrap())).collect();
        is_building.recv().unwrap();
        is_building.recv().unwrap();
        let (pack, written) = send(&cache, &fixture.wish("main", "3")).unwrap();
        fixture.check(&pack, &written, "main");
        assert_eq!(cache.bytes(), 0);
        go.send(()).unwrap();
        go.send(()).unwrap();
        held.into_iter().for_each(|one| drop(one.join().unwrap()));
    });
    assert_eq!(fixture.files().len(), 2);
}

/// A clone as a fetch asks for it.
fn asked(fixture: &Fixture, wants: &[&str], filter: &str, follow: &[&str]) -> Wish {
    let id = |name: &&str| fixture.repo.id(name);
    let follow = follow.iter().map(|tag| (fixture.repo.id(tag), fixture.repo.id(&format!("{tag}^{{}}")))).collect();
    let filter = match filter {
        "" => crate::select::filter::Filter::default(),
        spec => crate::select::filter::Filter::parse(spec, |_| {}).unwrap(),
    };
    let asked = Asked { wants: wants.iter().map(id).collect(), filter, follow, ofs_delta: true };
    Wish::new("a", &fixture.store, asked).unwrap()
}

/// The ids in a pack that git made whole, sorted.
fn ids(pack: &[u8]) -> Vec<String> {
    let client = Repo::bare();
    std::fs::write(client.path().join("a.pack"), pack).unwrap();
    client.git(&["index-pack", "a.pack"]);
    let shown = client.git_bytes(&["show-index"], &std::fs::read(client.path().join("a.idx")).unwrap());
    let shown = String::from_utf8(shown).unwrap();
    shown.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_fetch_finds_what_its_clone_needs() {
    let fixture = Fixture::new(busy(20));
    let cache = fixture.cache(ROOM);
    let repo = &fixture.repo;
    repo.git(&["tag", "-am", "one", "one", "main~5"]);
    let listed = |revs: &[&str]| {
        let lines = repo.git(&[&["rev-list", "--objects", "--no-object-names"], revs].concat());
        let mut ids: Vec<String> = lines.lines().map(str::to_owned).collect();
        ids.sort();
        ids
    };
    let expect = |wish: Wish, revs: &[&str]| {
        let (pack, written) = send(&cache, &wish).unwrap();
        assert_eq!(ids(&pack), listed(revs), "{revs:?}");
        written
    };
    let files = || fixture.files().len();
    expect(asked(&fixture, &["main", "one"], "", &["one"]), &["main", "one"]);
    expect(asked(&fixture, &["main"], "", &["one"]), &["main", "one"]);
    expect(asked(&fixture, &["main"], "", &[]), &["main"]);
    expect(asked(&fixture, &["main", "main"], "", &[]), &["main"]);
    assert_eq!(files(), 3);
    expect(asked(&fixture, &["main"], "blob:none", &[]), &["main", "--filter=blob:none"]);
    expect(asked(&fixture, &["main"], "tree:2", &[]), &["main", "--filter=tree:2"]);
    assert_eq!(files(), 5);
    // What was there comes back at the top, where a filter by depth sees it.
    repo.git(&["mv", "dir3/file3", "file3"]);
    repo.commit("moved");
    repo.git(&["tag", "-am", "two", "two", "main"]);
    let written = expect(asked(&fixture, &["main", "one"], "", &[]), &["main", "one"]);
    assert!(written.reused > 100, "{written:?}");
    expect(asked(&fixture, &["main", "one", "two"], "", &[]), &["main", "one", "two"]);
    expect(asked(&fixture, &["main"], "blob:none", &[]), &["main", "--filter=blob:none"]);
    assert_eq!(files(), 5, "older packs stood in front");
    expect(asked(&fixture, &["main"], "tree:2", &[]), &["main", "--filter=tree:2"]);
    assert_eq!(files(), 6, "a depth has no older pack");
    let tree = repo.id("main^{tree}").to_string();
    expect(asked(&fixture, &["main~1", &tree], "", &[]), &["main~1", &tree]);
    assert_eq!(files(), 7, "a tree has none either");
    expect(asked(&fixture, &["main~7"], "", &[]), &["main~7"]);
    assert_eq!(files(), 8, "what is younger is no beginning");
}
