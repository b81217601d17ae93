//! Packs that stock git must take, made from repositories that stock git made.

use std::collections::HashMap;

use notes_schema::Oid;

use super::*;
use crate::select::{Resembles, Selected};
use crate::testing::Repo;

const WHOLE: Options = Options { thin: false, ofs_delta: true };
const REFS: Options = Options { thin: false, ofs_delta: false };
const THIN: Options = Options { thin: true, ofs_delta: true };

/// What `revs` name, as `git rev-list --objects` finds it; what stood at the same path before is what it resembles.
pub(crate) fn select(repo: &Repo, revs: &[&str]) -> Selection {
    let listed = repo.git(&[&["rev-list", "--objects", "--in-commit-order"], revs].concat());
    let held = |line: &&str| line.strip_prefix('^').map(str::to_owned);
    let haves: Vec<String> = revs.iter().filter_map(held).collect();
    let mut before: HashMap<String, Resembles> = HashMap::new();
    for have in &haves {
        for line in repo.git(&["ls-tree", "-r", "-t", "-z", have]).split('\0').filter(|line| !line.is_empty()) {
            let (fields, path) = line.split_once('\t').unwrap();
            let id = fields.split(' ').nth(2).unwrap().parse().unwrap();
            before.insert(path.to_owned(), Resembles { id, held: true });
        }
        let tree = repo.id(&format!("{have}^{{tree}}"));
        before.insert(String::new(), Resembles { id: tree, held: true });
    }
    let mut objects: Vec<Selected> = Vec::new();
    // Oldest first, so that what was before is known by then.
    let ids: String = listed.lines().map(|line| format!("{}\n", &line[..40])).collect();
    let kinds = repo.git_bytes(&["cat-file", "--batch-check=%(objecttype)"], ids.as_bytes());
    let kinds = String::from_utf8(kinds).unwrap();
    for (line, kind) in listed.lines().zip(kinds.lines()).collect::<Vec<_>>().into_iter().rev() {
        let (id, path) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match kind {
            "commit" => Kind::Commit,
            "tree" => Kind::Tree,
            "tag" => Kind::Tag,
            _ => Kind::Blob,
        };
        let id: Oid = id.parse().unwrap();
        let path = if kind == Kind::Commit { "a commit" } else { path };
        let resembles = before.get(path).copied().filter(|_| matches!(kind, Kind::Tree | Kind::Blob));
        before.insert(path.to_owned(), Resembles { id, held: false });
        objects.push(Selected { id, kind, resembles });
    }
    let rank =
        |object: &Selected| [Kind::Commit, Kind::Tag, Kind::Tree, Kind::Blob].iter().position(|&k| k == object.kind);
    objects.reverse();
    objects.sort_by_key(rank);
    of(objects)
}

pub(crate) fn emit(store: &Store, selection: &Selection, options: &Options) -> (Vec<u8>, Written) {
    let mut pack = Vec::new();
    let written = write(store, selection, options, &mut pack, &mut |_| {}).expect("a pack");
    assert_eq!(written.bytes, pack.len() as u64);
    assert_eq!(written.objects, selection.objects.len());
    assert_eq!(written.checksum, pack[pack.len() - 20..]);
    (pack, written)
}

/// Gives `pack` to `to`, which must then have all that `from` has at `tip`, and be whole.
pub(crate) fn take(from: &Repo, to: &Repo, pack: &[u8], tip: &str) {
    to.git_bytes(&["index-pack", "--stdin", "--fix-thin", "--strict"], pack);
    to.git(&["update-ref", "refs/heads/main", &from.id(tip).to_string()]);
    to.assert_clean();
    assert_eq!(to.git(&["log", "--format=%H %T", "-p", "main"]), from.git(&["log", "--format=%H %T", "-p", tip]));
}

/// Commits that change two files of a few directories a little each time.
pub(crate) fn busy(commits: u32) -> Repo {
    let repo = Repo::new();
    let text = |file: u32, version: u32| {
        let line = |n: u32| match n % 40 == version % 40 {
            true => format!("line {n} of {file} in version {version}\n"),
            false => format!("line {n} of {file}\n"),
        };
        (0..200).map(line).collect::<String>()
    };
    for file in 0..20 {
        repo.write(&format!("dir{}/file{file}", file % 4), text(file, 1000));
    }
    repo.commit("all");
    for version in 0..commits {
        for file in [version % 20, 0] {
            repo.write(&format!("dir{}/file{file}", file % 4), text(file, version));
        }
        repo.commit(&format!("version {version}"));
    }
    repo
}

/// Bytes that cannot be deflated, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    use rand::{RngCore as _, SeedableRng as _};
    let mut bytes = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

#[test]
fn a_clone_of_what_git_packed_is_copied() {
    let repo = busy(12);
    for ofs in ["true", "false"] {
        repo.git(&["-c", &format!("repack.useDeltaBaseOffset={ofs}"), "repack", "-adfq"]);
        let store = repo.store();
        let selection = select(&repo, &["main"]);
        for options in [WHOLE, REFS] {
            let (pack, written) = emit(&store, &selection, &options);
            assert_eq!(written.reused, written.objects);
            assert!(written.deltas > 10, "{written:?}");
            take(&repo, &Repo::bare(), &pack, "main");
        }
    }
}

#[test]
fn loose_objects_are_deflated_and_compared() {
    let repo = busy(12);
    let store = repo.store();
    let selection = select(&repo, &["main"]);
    let (pack, written) = emit(&store, &selection, &WHOLE);
    assert_eq!(written.reused, 0);
    assert!(written.deltas > 10, "{written:?}");
    take(&repo, &Repo::bare(), &pack, "main");
}

#[test]
fn a_thin_fetch_rests_on_what_the_client_has() {
    for packed in [false, true] {
        let repo = busy(30);
        if packed {
            repo.git(&["gc", "-q"]);
        }
        let client = Repo::bare();
        let store = repo.store();
        let (pack, _) = emit(&store, &select(&repo, &["main~20"]), &WHOLE);
        take(&repo, &client, &pack, "main~20");
        let selection = select(&repo, &["main", "^main~20"]);
        let (thin, written) = emit(&store, &selection, &THIN);
        let stock = repo.pack(&["--thin", "--delta-base-offset"], "main\n^main~20\n");
        assert!(thin.len() < stock.len() * 3 / 2, "ours {} git's {} {written:?}", thin.len(), stock.len());
        take(&repo, &client, &thin, "main");
        let (thick, _) = emit(&store, &selection, &WHOLE);
        repo.git_bytes(&["index-pack", "--stdin", "--strict"], &thick);
    }
}

/// The longest chain of deltas in a pack, as git counts it.
fn deepest(pack: &[u8]) -> usize {
    let repo = Repo::bare();
    std::fs::write(repo.path().join("a.pack"), pack).unwrap();
    repo.git(&["index-pack", "a.pack"]);
    let shown = repo.git(&["verify-pack", "-v", "a.idx"]);
    let chains = shown.lines().filter_map(|line| line.strip_prefix("chain length = "));
    chains.filter_map(|rest| rest.split(':').next()?.parse().ok()).max().unwrap_or(0)
}

#[test]
fn chains_are_broken_before_they_are_too_deep() {
    let repo = Repo::new();
    let lines: Vec<String> = (0..100).map(|n| format!("line {n} of the first version\n")).collect();
    for version in 0..130 {
        let mut text = lines.clone();
        text[version % 100] = format!("changed in {version}\n");
        repo.write("file", text.concat());
        repo.commit("again");
    }
    let (pack, written) = emit(&repo.store(), &select(&repo, &["main"]), &WHOLE);
    assert!(written.deltas > 100, "{written:?}");
    take(&repo, &Repo::bare(), &pack, "main");
    assert_eq!(deepest(&pack), usize::from(DEEPEST));
}

#[test]
fn chains_that_were_pushed_too_deep_are_broken() {
    let repo = Repo::bare();
    let data: Vec<Vec<u8>> = (0..130).map(|n| [noise(500, 1), noise(20, 10 + n)].concat()).collect();
    let ids: Vec<Oid> = data.iter().map(|data| Object::new(Kind::Blob, data.clone()).id().unwrap()).collect();
    let rest = (1..130).map(|n| entry(&data[n], Some((ids[n - 1], &data[n - 1]))));
    add_pack(&repo, &std::iter::once(entry(&data[0], None)).chain(rest).collect::<Vec<_>>());
    let objects = ids.iter().rev().map(|id| blob(*id, None)).collect();
    let (pack, written) = emit(&repo.store(), &of(objects), &WHOLE);
    assert_eq!((written.deltas, written.reused), (127, 128));
    assert_eq!(deepest(&pack), usize::from(DEEPEST));
    Repo::bare().git_bytes(&["index-pack", "--stdin", "--strict"], &pack);
}

fn of(objects: Vec<Selected>) -> Selection {
    Selection { objects, ..Selection::default() }
}

fn blob(id: Oid, resembles: Option<Resembles>) -> Selected {
    Selected { id, kind: Kind::Blob, resembles }
}

/// An entry of a pack: a whole blob, or what makes it of another.
fn entry(data: &[u8], base: Option<(Oid, &[u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sink = Sink::new(&mut out);
    let mut deflated = Vec::new();
    match base {
        None => {
            sink.header(3, data.len() as u64).unwrap();
            zlib::deflate(data, &mut deflated);
        }
        Some((id, base)) => {
            let mut encoder = delta::Encoder::default();
            assert!(encoder.encode(base, data, usize::MAX));
            sink.header(REF_DELTA, encoder.delta.len() as u64).unwrap();
            sink.write(id.as_bytes()).unwrap();
            zlib::deflate(&encoder.delta, &mut deflated);
        }
    }
    sink.write(&deflated).unwrap();
    sink.finish().unwrap();
    out.truncate(out.len() - 20);
    out
}

fn add_pack(repo: &Repo, entries: &[Vec<u8>]) {
    let mut out = Vec::new();
    let mut sink = Sink::new(&mut out);
    sink.write(b"PACK\0\0\0\x02").unwrap();
    sink.write(&(entries.len() as u32).to_be_bytes()).unwrap();
    entries.iter().for_each(|entry| sink.write(entry).unwrap());
    sink.finish().unwrap();
    repo.git_bytes(&["index-pack", "--stdin"], &out);
}

#[test]
fn a_cycle_over_two_packs_is_broken() {
    let repo = Repo::bare();
    let data: Vec<Vec<u8>> = (0..4).map(|n| [noise(500, 1), noise(20, 10 + n)].concat()).collect();
    let ids: Vec<Oid> = data.iter().map(|data| Object::new(Kind::Blob, data.clone()).id().unwrap()).collect();
    // Each of the last two rests on the other, in the pack where the first or the second of all is as well.
    add_pack(&repo, &[entry(&data[0], None), entry(&data[2], Some((ids[3], &data[3]))), entry(&data[3], None)]);
    add_pack(&repo, &[entry(&data[1], None), entry(&data[3], Some((ids[2], &data[2]))), entry(&data[2], None)]);
    for order in [[0, 2, 1, 3], [1, 3, 0, 2], [0, 3, 1, 2], [1, 2, 0, 3]] {
        let objects = order.map(|n| blob(ids[n], None)).to_vec();
        let (pack, written) = emit(&repo.store(), &of(objects), &WHOLE);
        assert!(written.deltas <= 1, "{written:?}");
        let client = Repo::bare();
        client.git_bytes(&["index-pack", "--stdin", "--strict"], &pack);
        assert_eq!(client.all_objects().len(), 4);
    }
    // What objects resemble can run in circles as well.
    let resembling = |n: usize, to: usize| blob(ids[n], Some(Resembles { id: ids[to], held: false }));
    let objects = vec![resembling(0, 1), resembling(1, 2), resembling(2, 3), resembling(3, 0)];
    let (pack, written) = emit(&repo.store(), &of(objects), &REFS);
    assert!((1..=3).contains(&written.deltas), "{written:?}");
    Repo::bare().git_bytes(&["index-pack", "--stdin", "--strict"], &pack);
}

#[test]
fn a_delta_that_lies_there_is_copied_when_the_client_has_its_base() {
    let repo = Repo::bare();
    let data = [noise(500, 1), [noise(500, 1), noise(20, 2)].concat()];
    let ids = data.each_ref().map(|data| Object::new(Kind::Blob, data.clone()).id().unwrap());
    add_pack(&repo, &[entry(&data[0], None), entry(&data[1], Some((ids[0], &data[0])))]);
    let held = Some(Resembles { id: ids[0], held: true });
    let thin = of(vec![blob(ids[1], held)]);
    for ofs_delta in [true, false] {
        let (pack, written) = emit(&repo.store(), &thin, &Options { thin: true, ofs_delta });
        assert_eq!((written.deltas, written.reused), (1, 1));
        assert!(!Repo::bare().try_git(&["index-pack", "--stdin"], &pack).0, "it is thin");
        let client = Repo::bare();
        client.git_bytes(&["hash-object", "-w", "--stdin"], &data[0]);
        client.git_bytes(&["index-pack", "--stdin", "--fix-thin", "--strict"], &pack);
        assert_eq!(client.git_bytes(&["cat-file", "blob", &ids[1].to_string()], b""), data[1]);
    }
    let unknown = of(vec![blob(ids[1], None)]);
    for (selection, options) in [(&thin, WHOLE), (&unknown, THIN)] {
        let (pack, written) = emit(&repo.store(), selection, &options);
        assert_eq!((written.deltas, written.reused), (0, 0));
        Repo::bare().git_bytes(&["index-pack", "--stdin", "--strict"], &pack);
    }
}

#[test]
fn the_same_object_in_several_packs_is_sent_once() {
    let repo = busy(10);
    repo.git(&["repack", "-dq"]);
    let pack = repo.pack(&["--delta-base-offset"], "main~3\n");
    repo.git_bytes(&["index-pack", "--stdin"], &pack);
    let pack = repo.pack(&[], "main\n^main~5\n");
    repo.git_bytes(&["index-pack", "--stdin"], &pack);
    assert_eq!(repo.store().packs().len(), 3);
    let (pack, _) = emit(&repo.store(), &select(&repo, &["main"]), &WHOLE);
    take(&repo, &Repo::bare(), &pack, "main");
}

#[test]
fn what_is_only_in_memory_is_sent() {
    let repo = busy(5);
    let store = Repo::bare().store();
    let id = |text: &str| text.parse::<Oid>().unwrap();
    let objects = repo.all_objects();
    let from = repo.store();
    store.remember(objects.iter().map(|(id, ..)| (*id, from.get(*id).unwrap())));
    let selection = select(&repo, &["main"]);
    let (pack, written) = emit(&store, &selection, &WHOLE);
    assert!(written.deltas > 5, "{written:?}");
    take(&repo, &Repo::bare(), &pack, "main");
    let missing = blob(id("0123456789012345678901234567890123456789"), None);
    let error = write(&store, &of(vec![missing]), &WHOLE, &mut Vec::new(), &mut |_| {});
    assert!(matches!(error, Err(EmitError::Read(ReadError::Missing(_)))), "{error:?}");
}

#[test]
fn borrowed_packs_are_copied_from() {
    let repo = busy(10);
    repo.git(&["gc", "-q"]);
    let borrower = Repo::bare();
    let alternates = borrower.git_dir().join("objects/info/alternates");
    let store = borrower.store();
    assert!(store.packs().is_empty());
    std::fs::write(alternates, format!("{}\n", repo.git_dir().join("objects").display())).unwrap();
    let store = borrower.store();
    let (pack, written) = emit(&store, &select(&repo, &["main"]), &WHOLE);
    assert_eq!(written.reused, written.objects);
    take(&repo, &Repo::bare(), &pack, "main");
}

/// Does something between the first piece and the second.
struct Interrupted<F: FnMut()> {
    pack: Vec<u8>,
    then: Option<F>,
}

impl<F: FnMut()> Write for Interrupted<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pack.extend_from_slice(bytes);
        if let Some(mut then) = self.then.take() {
            then();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn packs_that_vanish_meanwhile_are_read_to_the_end() {
    let repo = busy(10);
    for n in 0..10 {
        repo.write(&format!("noise{n}"), noise(40_000, n));
    }
    repo.commit("noise");
    repo.git(&["repack", "-adq"]);
    let store = repo.store();
    let selection = select(&repo, &["main"]);
    emit(&store, &selection, &WHOLE);
    let before = store.packs();
    let remove = || drop(repo.git(&["repack", "-adfq", "--window=3"]));
    let mut out = Interrupted { pack: Vec::new(), then: Some(remove) };
    let written = write(&store, &selection, &WHOLE, &mut out, &mut |_| {}).unwrap();
    assert_eq!(written.reused, written.objects);
    take(&repo, &Repo::bare(), &out.pack, "main");
    assert_eq!(before.len(), 1);
    assert!(!Arc::ptr_eq(&before[0], &store.packs()[0]));
    let (pack, written) = emit(&store, &selection, &WHOLE);
    assert_eq!(written.reused, written.objects);
    take(&repo, &Repo::bare(), &pack, "main");
}

#[test]
fn no_flipped_byte_is_sent() {
    let repo = busy(3);
    repo.git(&["repack", "-adfq"]);
    let selection = select(&repo, &["main"]);
    let (good, _) = emit(&repo.store(), &selection, &WHOLE);
    let path = repo.store().packs()[0].path().to_owned();
    let stored = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for at in (12..stored.len() - 20).step_by(11) {
        let mut bad = stored.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, bad).unwrap();
        let mut out = Vec::new();
        let error = write(&repo.store(), &selection, &WHOLE, &mut out, &mut |_| {});
        assert!(matches!(error, Err(EmitError::Damaged(_))), "byte {at}: {error:?}");
        assert!(out.len() < good.len());
    }
}

#[test]
fn a_huge_blob_is_passed_on_as_it_lies() {
    struct Pieces {
        longest: usize,
        index: std::process::ChildStdin,
    }
    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.longest = self.longest.max(bytes.len());
            self.index.write_all(bytes)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.index.flush()
        }
    }
    let repo = Repo::new();
    let huge = std::fs::File::create(repo.path().join("huge")).unwrap();
    huge.set_len(300 << 20).unwrap();
    repo.write("noise", noise(5 << 20, 1));
    repo.commit("huge");
    repo.git(&["-c", "core.bigFileThreshold=1m", "repack", "-adq"]);
    let store = repo.store();
    let huge = repo.id("HEAD:huge");
    let client = Repo::bare();
    let mut child = std::process::Command::new("git")
        .args(["index-pack", "--stdin"])
        .current_dir(client.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut pieces = Pieces { longest: 0, index: child.stdin.take().unwrap() };
    let selection = select(&repo, &["main"]);
    let written = write(&store, &selection, &WHOLE, &mut pieces, &mut |_| {}).unwrap();
    assert!(pieces.longest <= 64 << 10);
    drop(pieces);
    assert!(child.wait().unwrap().success());
    assert_eq!(written.reused, 4);
    assert_eq!(client.git(&["cat-file", "-s", &huge.to_string()]), (300u64 << 20).to_string());
}

#[test]
fn progress_is_told_of_much() {
    let repo = busy(300);
    repo.git(&["gc", "-q"]);
    let selection = select(&repo, &["main"]);
    assert!(selection.objects.len() > MANY);
    let mut lines = Vec::new();
    write(&repo.store(), &selection, &WHOLE, &mut io::sink(), &mut |line| lines.push(line.to_owned())).unwrap();
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines[0].starts_with("Packing objects: 10%") && lines[10].starts_with("Total "), "{lines:?}");
}
