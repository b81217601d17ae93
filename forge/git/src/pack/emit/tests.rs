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
    Selection { objects }
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
