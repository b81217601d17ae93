use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::*;
use crate::testing::{Repo, Shape, history};

const ROOM: u64 = 64 << 20;

/// What git says of two trees, in the one form that is read.
fn diff(repo: &Repo, from: &str, to: &str) -> Vec<u8> {
    let form = ["diff-tree", "-r", "-p", "--text", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"];
    repo.git_bytes(&[&form[..], &["--no-color", from, to]].concat(), b"")
}

fn tree_of(repo: &Repo, name: &str) -> Oid {
    repo.id(&format!("{name}^{{tree}}"))
}

/// Two trees that differ in everything that a patch can say.
fn everything() -> (Repo, Oid, Oid) {
    let repo = Repo::new();
    repo.write("text", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n");
    repo.write("crlf", "one\r\ntwo\r\n");
    repo.write("no end", "a\nb");
    repo.write("binary", b"\0\x01\xff\nsecond\0\nthird");
    repo.write("deep/er/and/deeper", "x\n");
    repo.write("deep/stays", "x\n");
    repo.write("goes/away", "x\n");
    repo.write("file-to-directory", "x\n");
    repo.write("directory-to-file/a", "x\n");
    repo.write("directory-to-file-", "sorts between\n");
    repo.write("becomes executable", "x\n");
    repo.write("was empty", "");
    repo.write("goes empty", "");
    symlink("text", repo.path().join("link")).unwrap();
    symlink("text", repo.path().join("link-to-file")).unwrap();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},module", "1".repeat(40))]);
    repo.git(&["add", "."]);
    let from = repo.git(&["write-tree"]).parse().unwrap();

    repo.write("text", "zero\none\nthree\nfour\nfive\nsix\nseven\neight\nnine\n10");
    repo.write("crlf", "one\r\ntwo\n");
    repo.write("no end", "a\nb\n");
    repo.write("binary", b"\0\x01\xfe\nsecond\0\n\0third");
    repo.write("deep/er/and/deeper", "y\n");
    repo.write("deep/er/new", "y\n");
    std::fs::remove_dir_all(repo.path().join("goes")).unwrap();
    std::fs::remove_file(repo.path().join("file-to-directory")).unwrap();
    repo.write("file-to-directory/a/b", "x\n");
    std::fs::remove_dir_all(repo.path().join("directory-to-file")).unwrap();
    repo.write("directory-to-file", "x\n");
    std::fs::set_permissions(repo.path().join("becomes executable"), std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.write("was empty", "no more\n");
    std::fs::remove_file(repo.path().join("goes empty")).unwrap();
    repo.write("comes empty", "");
    std::fs::remove_file(repo.path().join("link")).unwrap();
    symlink("crlf", repo.path().join("link")).unwrap();
    std::fs::remove_file(repo.path().join("link-to-file")).unwrap();
    repo.write("link-to-file", "x\n");
    repo.write("quo\"ted\\\t\u{e4}\n\x07", "odd\n");
    repo.write("sp ace/a b", "odd\n");
    repo.git(&["add", "."]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},module", "2".repeat(40))]);
    let to = repo.git(&["write-tree"]).parse().unwrap();
    (repo, from, to)
}

#[test]
fn what_git_writes_makes_the_tree_that_git_has_both_ways() {
    let (repo, from, to) = everything();
    let store = repo.store();
    let empty = repo.git(&["mktree"]).parse().unwrap();
    for (from, to) in [(from, to), (to, from), (from, empty), (empty, to), (from, from)] {
        let patch = diff(&repo, &from.to_string(), &to.to_string());
        let mut room = ROOM;
        let applied = apply(&store, from, &patch, &mut room).unwrap();
        assert_eq!(applied.tree, to, "{}", String::from_utf8_lossy(&patch));
        assert_eq!(applied.paths.is_empty(), from == to);
        // Every object that it made is the one that git has.
        for (id, object) in &applied.made {
            assert_eq!(&store.get(*id).unwrap(), object);
        }
        if from != to {
            let short = apply(&store, from, &patch, &mut (ROOM - room - 1));
            assert!(matches!(short, Err(ApplyError::TooMuch)), "{short:?}");
        }
    }
}

#[test]
fn generated_histories_are_made_again_commit_by_commit() {
    let repo = Repo::new();
    let commits = history(repo.path(), &Shape { seed: 7, commits: 60, reach: 10, lies: false });
    let store = repo.store();
    for pair in commits.windows(2) {
        let (from, to) = (tree_of(&repo, &pair[0].to_string()), tree_of(&repo, &pair[1].to_string()));
        let patch = diff(&repo, &from.to_string(), &to.to_string());
        assert_eq!(apply(&store, from, &patch, &mut ROOM.clone()).unwrap().tree, to);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let repo = Repo::new();
    repo.write("dir/a", "one\ntwo\nthree\n");
    repo.commit("one");
    let from = tree_of(&repo, "HEAD");
    repo.write("dir/a", "one\n2\nthree\n");
    repo.commit("two");
    let patch = String::from_utf8(diff(&repo, "HEAD~", "HEAD")).unwrap();
    let (old, new) = (repo.id("HEAD~:dir/a").to_string(), repo.id("HEAD:dir/a").to_string());
    let said = |patch: &str| apply(&repo.store(), from, patch.as_bytes(), &mut ROOM.clone()).unwrap_err().to_string();
    let wrong = |what: &str, with: &str| {
        let changed = patch.replace(what, with);
        assert_ne!(changed, patch, "{what}");
        said(&changed)
    };
    let cases = [
        ("+2\n", "+3\n", "at `dir/a` its lines make "),
        ("-two\n", "-zwo\n", "at `dir/a` line 2 is another"),
        (" one\n", " 1\n", "at `dir/a` line 1 is another"),
        (&old, &new, "at `dir/a` the tree has 100644 "),
        (&new, &old, "at `dir/a` its lines make "),
        (" 100644\n", " 100755\n", "at `dir/a` the tree has 100644 "),
        ("dir/a", "dir/b", "at `dir/b` the tree has nothing, and it is of 100644 "),
        ("dir/a", "dir/a/b", "at `dir/a/b` the tree has nothing"),
        ("@@ -1,3 +1,3 @@", "@@ -2,3 +2,3 @@", "at `dir/a` line 2 is another"),
        ("@@ -1,3 +1,3 @@", "@@ -1,3 +2,3 @@", "at `dir/a` the hunk of line 1 belongs elsewhere"),
        ("@@ -1,3 +1,3 @@", "@@ -9,3 +9,3 @@", "at `dir/a` it has no line "),
        ("@@ -1,3 +1,3 @@", "@@ -1,2 +1,3 @@", "line 9 of it stands in a hunk that has as many lines"),
        ("@@ -1,3 +1,3 @@", "@@ -1,4 +1,4 @@", "line 10 of it ends in the midst of a hunk"),
        ("@@ -1,3 +1,3 @@", "@@ 1 @@", "line 5 of it is no head of a hunk"),
        ("--- a/dir/a", "--- a/dir/c", "line 4 of it is behind a line that names another file"),
        ("b/dir/a\nindex", "b/dir/c\nindex", "line 1 of it should name one path twice"),
        ("dir/a", "dir//a", "line 1 of it names a path that no tree has"),
        ("dir/a", "../a", "line 1 of it names a path that no tree has"),
        ("index ", "index x", "line 1 of it is of a section whose `index` line is none"),
        ("index ", "Index ", "line 1 of it is of a section without modes"),
        ("diff --git", "diff --cc", "line 1 of it should begin with `diff --git`"),
    ];
    for (what, with, expected) in cases {
        let found = wrong(what, with);
        assert!(found.starts_with(expected), "{what:?} → {with:?}: {found}");
    }
    assert!(said(&format!("{patch}{patch}")).starts_with("at `dir/a` it stands there more than once"));
    let beside = patch.replace("dir/a", "dir/a/b").replace(&format!("{old}.."), &format!("{}..", "0".repeat(40)));
    let beside = beside.replace(" 100644\n", "\n").replace("\nindex", "\nnew file mode 100644\nindex");
    let beside =
        format!("{}@@ -0,0 +1 @@\n+x\n", beside.split("@@").next().unwrap().replace("--- a/dir/a/b", "--- /dev/null"));
    let beside = beside.replace(&new, "587be6b4c3f93f93c489c0111bba5596147a26cb");
    assert!(said(&beside).starts_with("at `dir/a/b` it would be a file and a directory"), "{}", said(&beside));
    let deep = patch.replace("dir/a", &"d/".repeat(300).replace("d/d/d/", "dir/d/d/"));
    assert!(said(&deep).contains("no tree has"), "{}", said(&deep));
    let missing = apply(&repo.store(), Oid::from_bytes([7; 20]), patch.as_bytes(), &mut ROOM.clone());
    assert!(matches!(missing, Err(ApplyError::Read(ReadError::Missing(_)))), "{missing:?}");
    let no_tree = apply(&repo.store(), repo.id("HEAD"), patch.as_bytes(), &mut ROOM.clone());
    assert!(matches!(no_tree, Err(ApplyError::Read(ReadError::Kind { .. }))), "{no_tree:?}");
}

#[test]
fn nesting_is_capped() {
    let repo = Repo::new();
    let empty: Oid = repo.git(&["mktree"]).parse().unwrap();
    let blob = object::hash(Kind::Blob, b"x\n").unwrap();
    let new_file = |depth: usize| {
        let path = format!("{}f", "d/".repeat(depth));
        let zeros = "0".repeat(40);
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\nindex {zeros}..{blob}\n--- /dev/null\n+++ b/{path}\n\
             @@ -0,0 +1 @@\n+x\n"
        )
    };
    let made = |depth| apply(&repo.store(), empty, new_file(depth).as_bytes(), &mut ROOM.clone());
    assert!(made(DEEPEST).is_ok());
    assert!(made(DEEPEST + 1).unwrap_err().to_string().contains("below more than 256 directories"));
}

/// Objects in memory: no test of many cases opens a repository for each.
struct Loaded(std::collections::HashMap<Oid, Object>);

impl Objects for Loaded {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        self.0.get(&id).cloned().ok_or(ReadError::Missing(id))
    }
    fn contains(&self, id: Oid) -> bool {
        self.0.contains_key(&id)
    }
}

static EVERYTHING: std::sync::LazyLock<(Loaded, Oid, Oid, Vec<u8>)> = std::sync::LazyLock::new(|| {
    let (repo, from, to) = everything();
    let kinds = [Kind::Blob, Kind::Tree, Kind::Commit, Kind::Tag];
    let object = |(id, kind, data): (Oid, String, Vec<u8>)| {
        let kind = kinds.into_iter().find(|k| k.as_str() == kind).unwrap();
        (id, Object::new(kind, data))
    };
    let patch = diff(&repo, &from.to_string(), &to.to_string());
    (Loaded(repo.all_objects().into_iter().map(object).collect()), from, to, patch)
});

proptest! {
    #[test]
    fn a_changed_byte_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), byte: u8) {
        let (objects, from, to, patch) = &*EVERYTHING;
        let mut changed = patch.clone();
        let at = at.index(patch.len());
        changed[at] = byte;
        if let Ok(applied) = apply(objects, *from, &changed, &mut ROOM.clone()) {
            // Behind the second `@@` stands what git thinks a reader may like, and a zero more before a number is none.
            prop_assert_eq!(applied.tree, *to, "byte {} of {}", at, String::from_utf8_lossy(&changed));
        }
    }

    #[test]
    fn no_patch_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), cut: bool) {
        let (objects, from, _, patch) = &*EVERYTHING;
        let at = at.index(patch.len());
        let end = if cut { patch.len() } else { at };
        let mixed = [&patch[..at], &bytes, &patch[end..]].concat();
        let _ = apply(objects, *from, &mixed, &mut ROOM.clone());
        let _ = apply(objects, *from, &bytes, &mut ROOM.clone());
    }
}

#[test]
fn abbreviated_ids_are_held_against_what_there_is_and_taken_only_where_that_is_asked_for() {
    let repo = Repo::new();
    repo.write("dir/text", "one\ntwo\nthree\n");
    repo.write("goes", "x\n");
    repo.write("runs", "x\n");
    repo.commit("one");
    let from = tree_of(&repo, "HEAD");
    repo.write("dir/text", "one\n2\nthree\n");
    repo.write("new/empty", "");
    repo.write("new/text", "y\n");
    std::fs::remove_file(repo.path().join("goes")).unwrap();
    std::fs::set_permissions(repo.path().join("runs"), std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.commit("two");
    let to = tree_of(&repo, "HEAD");
    let store = repo.store();
    let patch = repo.git_bytes(&["diff", "--no-renames", "--no-color", "HEAD~", "HEAD"], b"");
    let text = String::from_utf8(patch.clone()).unwrap();
    assert_eq!(apply_abbreviated(&store, from, &patch, &mut ROOM.clone()).unwrap().tree, to, "{text}");
    assert!(matches!(apply(&store, from, &patch, &mut ROOM.clone()), Err(ApplyError::Malformed { .. })));
    let whole = diff(&repo, &from.to_string(), &to.to_string());
    assert_eq!(apply_abbreviated(&store, from, &whole, &mut ROOM.clone()).unwrap().tree, to);
    let line = text.lines().find(|line| line.starts_with("index ") && line.ends_with(" 100644")).unwrap();
    let (old, new) = line[6..].split(' ').next().unwrap().split_once("..").unwrap();
    for (was, is, why) in [(old, "1234567", "the tree has"), (new, "1234567", "its lines make"), (old, "123", "index")]
    {
        let bad = text.replacen(was, is, 1);
        let error = apply_abbreviated(&store, from, bad.as_bytes(), &mut ROOM.clone()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// What git makes of it: the paths out of one tree, the rest out of the other.
#[test]
fn paths_of_one_tree_are_laid_over_another_whatever_stands_there() {
    let (repo, from, to) = everything();
    let store = repo.store();
    let all = |paths: &[&str]| -> Vec<Vec<u8>> { paths.iter().map(|path| path.as_bytes().to_vec()).collect() };
    let applied = apply(&store, from, &diff(&repo, &from.to_string(), &to.to_string()), &mut ROOM.clone()).unwrap();
    for (onto, over) in [(from, to), (to, from)] {
        let laid = lay_over(&store, onto, over, &applied.paths, &mut ROOM.clone()).unwrap();
        assert_eq!(laid.tree, over, "every path that differs was laid over it");
    }
    assert_eq!(lay_over(&store, from, to, &[], &mut ROOM.clone()).unwrap().tree, from);
    for paths in [
        all(&["text"]),
        all(&["deep/er/new", "text"]),
        all(&["goes/away"]),
        all(&["directory-to-file"]),
        all(&["file-to-directory/a/b", "file-to-directory"]),
        all(&["nowhere/at/all", "comes empty"]),
    ] {
        let laid = lay_over(&store, from, to, &paths, &mut ROOM.clone()).unwrap();
        repo.git(&["read-tree", &from.to_string()]);
        let names: Vec<&str> = paths.iter().map(|path| std::str::from_utf8(path).unwrap()).collect();
        repo.git(&[&["rm", "-r", "-f", "-q", "--cached", "--ignore-unmatch"], &names[..]].concat());
        for line in repo.git(&[&["ls-tree", "-r", &to.to_string()], &names[..]].concat()).lines() {
            let (entry, name) = line.split_once('\t').unwrap();
            let words: Vec<&str> = entry.split(' ').collect();
            repo.git(&["update-index", "--add", "--cacheinfo", words[0], words[2], name]);
        }
        assert_eq!(laid.tree.to_string(), repo.git(&["write-tree"]), "{paths:?}");
    }
    let short = lay_over(&store, from, to, &applied.paths, &mut 8);
    assert!(matches!(short, Err(ApplyError::TooMuch)), "{short:?}");
}

#[test]
fn a_file_gets_another_content_and_all_else_stays() {
    let (repo, from, _) = everything();
    for path in ["text", "deep/er/and/deeper", "directory-to-file-"] {
        let made = put(&repo.store(), from, path.as_bytes(), b"other\n".to_vec(), &mut { ROOM }).unwrap();
        let blob = repo.git_bytes(&["hash-object", "-w", "--stdin"], b"other\n");
        let blob = String::from_utf8(blob).unwrap().trim().to_owned();
        repo.git(&["read-tree", &from.to_string()]);
        repo.git(&["update-index", "--cacheinfo", &format!("100644,{blob},{path}")]);
        assert_eq!(made.tree.to_string(), repo.git(&["write-tree"]).trim(), "{path}");
        assert!(made.made.iter().any(|(id, _)| *id == made.tree));
    }
    for path in ["link", "module", "deep", "deep/er", "nothing", "text/x", "deep/nothing", "", "/text"] {
        let refused = put(&repo.store(), from, path.as_bytes(), Vec::new(), &mut { ROOM });
        assert!(matches!(refused, Err(ApplyError::Unfit { .. })), "{path}: {refused:?}");
    }
    assert!(matches!(put(&repo.store(), from, b"text", vec![0; 100], &mut 50), Err(ApplyError::TooMuch)));
}
