use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::testing::Repo;

fn tree(repo: &Repo, name: &str) -> Oid {
    repo.id(&format!("{name}^{{tree}}"))
}

fn read(repo: &Repo, base: Oid, head: Oid, budget: Budget) -> Result<Shape, ShapeError> {
    shape(&repo.store(), Some(base), Some(head), budget)
}

fn whole(repo: &Repo, base: Oid, head: Oid) -> Shape {
    read(repo, base, head, Budget { files: usize::MAX, bytes: u64::MAX, lines: usize::MAX }).expect("readable")
}

/// What git says of the same change, given `options` for the diff.
fn by_git(repo: &Repo, base: Oid, head: Oid, options: &[&str]) -> Option<String> {
    let (base, head) = (base.to_string(), head.to_string());
    let diff = repo.git_bytes(&[&["diff", "--no-renames"], options, &[&base, &head]].concat(), b"");
    let said = String::from_utf8(repo.git_bytes(&["patch-id", "--stable"], &diff)).expect("text");
    said.split(' ').next().filter(|id| !id.is_empty()).map(str::to_owned)
}

fn assert_as_git(repo: &Repo, base: Oid, head: Oid, what: &str) {
    let ours = whole(repo, base, head).patch.map(|id| id.to_string());
    let theirs = by_git(repo, base, head, &["--full-index"]);
    assert_eq!(ours, theirs, "{what}: git diff {base} {head}");
}

/// A path, and what it holds before and after.
type File<'f> = (&'f str, Option<&'f [u8]>, Option<&'f [u8]>);

/// The trees before and after.
fn two(files: &[File]) -> (Repo, Oid, Oid) {
    let repo = Repo::new();
    for (path, old, _) in files {
        old.iter().for_each(|old| repo.write(path, old));
    }
    repo.commit("old");
    let base = tree(&repo, "HEAD");
    for (path, old, new) in files {
        match new {
            Some(new) => repo.write(path, new),
            None => old.iter().for_each(|_| std::fs::remove_file(repo.path().join(path)).expect("removed")),
        }
    }
    repo.commit("new");
    let head = tree(&repo, "HEAD");
    (repo, base, head)
}

#[test]
fn patch_ids_of_odd_changes_are_as_git_says() {
    let binary: Option<&[u8]> = Some(b"a\0b");
    let cases: &[(&str, &[File])] = &[
        ("nothing", &[("a", Some(b"1\n"), Some(b"1\n"))]),
        ("a line", &[("a", Some(b"1\n2\n"), Some(b"1\n3\n"))]),
        ("new", &[("a", None, Some(b"1\n"))]),
        ("deleted", &[("a", Some(b"1\n"), None)]),
        ("new and empty", &[("a", None, Some(b"")), ("b", None, Some(b"1\n"))]),
        ("new and empty, last", &[("a", None, Some(b"1\n")), ("b", None, Some(b""))]),
        ("emptied and filled", &[("a", Some(b"1\n"), Some(b"")), ("b", Some(b""), Some(b"1\n"))]),
        ("no newline at the end", &[("a", Some(b"1\n2"), Some(b"1\n3")), ("b", Some(b"1\n"), Some(b"1\n2"))]),
        ("gets a newline", &[("a", Some(b"1"), Some(b"1\n")), ("b", Some(b"1\n"), Some(b"1"))]),
        ("whitespace", &[("a b", Some(b"if a\t{\r\n"), Some(b" if  a {\n")), ("c", None, Some(b"\x0b \x0c\n"))]),
        ("binary", &[("a", binary, Some(b"a\0c"))]),
        ("new binary", &[("a", None, binary), ("b", None, binary), ("c", None, Some(b"1\n"))]),
        ("binary first", &[("a", binary, None), ("b", Some(b"1\n"), Some(b"2\n")), ("c", None, Some(b"1\n"))]),
        ("binary last", &[("a", None, Some(b"1\n")), ("b", binary, Some(b"text now\n"))]),
        ("empty, then binary", &[("a", None, Some(b"")), ("b", None, binary), ("c", None, Some(b""))]),
        ("a file that moved", &[("a", Some(b"1\n2\n3\n"), None), ("b", None, Some(b"1\n2\n3\n"))]),
        ("lines like headers", &[("a", Some(b"-- b\n++ c\n"), Some(b"++ c\n-- d\n@@ -1 +1 @@\n\\ No\ndiff --git\n"))]),
        ("an odd name", &[("\u{e9} \"\t\n", Some(b"1\n"), Some(b"2\n"))]),
    ];
    for (what, files) in cases {
        let (repo, base, head) = two(files);
        assert_as_git(&repo, base, head, what);
        assert_as_git(&repo, head, base, what);
    }
}

#[test]
fn patch_ids_of_late_zero_bytes_and_long_files_are_as_git_says() {
    let lines = |from: u32, to: u32| (from..to).map(|n| format!("line {}\n", n % 700)).collect::<String>().into_bytes();
    // Behind where git looks for them; to `patch-id` the line ends there.
    let late = [lines(0, 2000).as_slice(), b"a\0b\n"].concat();
    let other = [lines(0, 2000).as_slice(), b"a\0c\nd\0\n"].concat();
    let moved = [lines(900, 2000), lines(0, 900)].concat();
    let (repo, base, head) =
        two(&[("a", Some(&late), Some(&other)), ("b", Some(&lines(0, 2000)), Some(&moved)), ("c", None, Some(&late))]);
    assert_as_git(&repo, base, head, "late");
    assert_as_git(&repo, head, base, "late");
}

#[test]
fn patch_ids_of_modes_links_and_submodules_are_as_git_says() {
    let repo = Repo::new();
    for name in ["a mode", "mode and content", "to link", "was dir/a", "z"] {
        repo.write(name, "1\n");
    }
    std::os::unix::fs::symlink("there", repo.path().join("link")).expect("a link");
    let old = repo.commit("old");
    for name in ["mode and content", "z"] {
        repo.write(name, "2\n");
    }
    for name in ["link", "to link", "was dir/a"] {
        std::fs::remove_file(repo.path().join(name)).expect("removed");
    }
    std::fs::remove_dir(repo.path().join("was dir")).expect("removed");
    std::os::unix::fs::symlink("elsewhere", repo.path().join("link")).expect("a link");
    std::os::unix::fs::symlink("1\n", repo.path().join("to link")).expect("a link");
    repo.write("was dir", "1\n");
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--chmod=+x", "a mode", "mode and content"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{old},sub")]);
    repo.git(&["commit", "-q", "-m", "new"]);
    let (base, head) = (tree(&repo, &old.to_string()), tree(&repo, "HEAD"));
    assert_as_git(&repo, base, head, "modes");
    assert_as_git(&repo, head, base, "modes");
    assert!(whole(&repo, base, head).paths.contains(b"to link".as_slice()));
}

#[test]
fn generated_patch_ids_are_as_git_says() {
    let seed = 20_261_130;
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let repo = Repo::new();
    let mut trees = Vec::new();
    for round in 0..60 {
        for _ in 0..random.random_range(1..4) {
            let path = format!("d{}/f{}", random.random_range(0..2), random.random_range(0..4));
            let file = repo.path().join(&path);
            let old = std::fs::read(&file).unwrap_or_default();
            let mut lines: Vec<Vec<u8>> = old.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..=lines.len());
                // Few kinds of line, so that what belongs to what is often open.
                let kinds = [&b"{\n"[..], b"}\n", b"\n", b"    a\n", b"  b  c\n", b"fn d\n", b"\te\r\n"];
                match random.random_range(0..4) {
                    0 if at < lines.len() => drop(lines.remove(at)),
                    1 if at < lines.len() => lines[at] = kinds[random.random_range(0..kinds.len())].to_vec(),
                    _ => (0..random.random_range(1..8))
                        .for_each(|_| lines.insert(at, kinds[random.random_range(0..kinds.len())].to_vec())),
                }
            }
            let mut new = lines.concat();
            match random.random_range(0..14) {
                0 => drop(std::fs::remove_file(&file)),
                1 => repo.write(&path, [b"\0", new.as_slice()].concat()),
                2 => drop(new.pop().map(|_| repo.write(&path, &new))),
                3 => repo.write(&path, b""),
                _ => repo.write(&path, &new),
            }
            if random.random_ratio(1, 6) && file.exists() {
                let mode = if random.random_ratio(1, 2) { 0o755 } else { 0o644 };
                let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
                std::fs::set_permissions(&file, mode).expect("a mode");
            }
        }
        repo.git(&["add", "-A"]);
        trees.push(repo.git(&["write-tree"]).parse::<Oid>().expect("an id"));
        let head = trees[round];
        for base in [trees[round.saturating_sub(1)], trees[random.random_range(0..trees.len())]] {
            assert_as_git(&repo, base, head, &format!("seed {seed}, round {round}"));
            assert_as_git(&repo, head, base, &format!("seed {seed}, round {round}, backwards"));
        }
    }
}

#[test]
fn patch_ids_of_this_project_are_as_git_says() {
    let Some(repo) = Repo::of_this_project() else { return };
    let commits = repo.git(&["rev-list", "--max-count=60", "main"]);
    let commits: Vec<Oid> = commits.lines().map(|id| tree(&repo, id)).collect();
    for far in [1, 7, 30] {
        for pair in commits.windows(far + 1).step_by(far) {
            let (head, base) = (pair[0], pair[far]);
            let ours = whole(&repo, base, head);
            assert_eq!(ours.patch.map(|id| id.to_string()), by_git(&repo, base, head, &["--full-index"]));
            // Ids in headers matter for binary files alone.
            let said = repo.git(&["diff", "--no-renames", "--numstat", &base.to_string(), &head.to_string()]);
            if !said.lines().any(|line| line.starts_with('-')) {
                assert_eq!(ours.patch.map(|id| id.to_string()), by_git(&repo, base, head, &[]));
            }
        }
    }
}

/// The base of the contest below, and one change of it for each text.
fn changes(base: &[(&str, &str)], heads: &[&[(&str, &str)]]) -> Vec<Shape> {
    let repo = Repo::new();
    base.iter().for_each(|(path, text)| repo.write(path, text));
    let old = repo.commit("base");
    let base = tree(&repo, "HEAD");
    let read = |files: &&[(&str, &str)]| {
        repo.git(&["checkout", "-q", "-f", &old.to_string()]);
        files.iter().for_each(|(path, text)| repo.write(path, text));
        repo.commit("head");
        whole(&repo, base, tree(&repo, "HEAD"))
    };
    heads.iter().map(read).collect()
}

const SOURCE: &str = "fn one() {\n    a();\n}\n\nfn two() {\n    b();\n    c();\n}\n";

#[test]
fn what_a_change_touches() {
    let shapes = changes(
        &[("src/a.rs", SOURCE), ("README", "text\n")],
        &[
            &[("src/a.rs", &SOURCE.replace("b();", "b(1);"))],
            &[("src/a.rs", &SOURCE.replace("two", "three")), ("README", "other text\n")],
            &[("README", "text\nmore\n"), ("empty.rs", "")],
        ],
    );
    let function = |name: &str| Function { path: b"src/a.rs".to_vec(), name: name.as_bytes().to_vec() };
    let tokens =
        |list: &[(&str, u32)]| list.iter().map(|(token, n)| (token.as_bytes().to_vec(), *n)).collect::<Tokens>();
    assert_eq!(shapes[0].paths, BTreeSet::from([b"src/a.rs".to_vec()]));
    assert_eq!(shapes[0].functions, Some(BTreeSet::from([function("two")])));
    assert_eq!(shapes[0].removed, tokens(&[("b", 1), ("(", 1), (")", 1), (";", 1)]));
    assert_eq!(shapes[0].added, tokens(&[("b", 1), ("(", 1), ("1", 1), (")", 1), (";", 1)]));
    assert_eq!(shapes[1].paths.len(), 2);
    assert_eq!(shapes[1].functions, Some(BTreeSet::from([function("two"), function("three")])));
    assert_eq!(shapes[2].functions, Some(BTreeSet::new()), "an empty file is source, and touches no function");
    assert_eq!((shapes[2].removed.len(), shapes[2].added.len()), (0, 1));

    let alike = compare(&shapes[0], &shapes[1]);
    // Removed: `b ( ) ;` against `fn two ( ) { text`; added: `b ( 1 ) ;` against `fn three ( ) { other text`.
    let tokens = (2 + 2) * 1000 / ((4 + 6 - 2) + (5 + 7 - 2));
    assert_eq!(
        alike,
        Alike { same_patch: false, files_permille: 500, functions_permille: Some(500), tokens_permille: tokens }
    );
}

#[test]
fn measures_stand_apart() {
    let one = SOURCE.replace("    b();", "    b(x, 1);");
    let spaced = SOURCE.replace("    b();", "      b( x,1 ) ;");
    let renamed = SOURCE.replace("    b();", "    b(y, 1);");
    let below = format!("// License\n\n{one}");
    let a: Vec<Shape> = changes(
        &[("a.rs", SOURCE), ("b.txt", "1\n")],
        &[
            &[("a.rs", &one)],
            &[("a.rs", &spaced)],
            &[("a.rs", &renamed)],
            &[("b.txt", "2\n")],
            &[],
            &[("a.rs", &below)],
        ],
    );
    let all = |other: usize| compare(&a[0], &a[other]);
    let same = Alike { same_patch: true, files_permille: 1000, functions_permille: Some(1000), tokens_permille: 1000 };
    assert_eq!(all(0), same);
    assert_eq!(all(1), same, "whitespace is nothing");
    // Removed alike; of seven added tokens six.
    assert_eq!(all(2), Alike { same_patch: false, tokens_permille: (4 + 6) * 1000 / (4 + 8), ..same });
    let other = Alike { same_patch: false, files_permille: 0, functions_permille: Some(0), tokens_permille: 0 };
    assert_eq!(all(3), other);
    assert_eq!(all(4), other);
    assert_eq!(all(5), Alike { same_patch: false, tokens_permille: (4 + 7) * 1000 / (4 + 9), ..same });
    // Where neither has anything, that is the same; where no source changed, nothing is said about functions.
    assert_eq!(compare(&a[4], &a[4]), Alike { functions_permille: None, ..same });
    assert_eq!(compare(&a[3], &a[4]), Alike { functions_permille: None, ..other });
}

#[test]
fn too_large_is_said_and_never_guessed() {
    let (repo, base, head) =
        two(&[("a", Some(b"1234\n"), Some(b"123456789\n")), ("b", None, Some(b"\0")), ("c", Some(b"1\n"), None)]);
    let read = |files, bytes, lines| read(&repo, base, head, Budget { files, bytes, lines });
    let enough = read(3, 18, 3).expect("just enough");
    assert_eq!(enough, whole(&repo, base, head));
    for (files, bytes, lines) in [(2, u64::MAX, 3), (3, 17, 3), (3, 18, 2), (0, 0, 0)] {
        assert!(matches!(read(files, bytes, lines), Err(ShapeError::TooLarge(_))), "{files} {bytes} {lines}");
    }
    // A mode alone reads nothing.
    repo.git(&["update-index", "--chmod=+x", "a"]);
    let with_mode = repo.git(&["write-tree"]).parse().expect("an id");
    assert!(super::shape(&repo.store(), Some(head), Some(with_mode), Budget { files: 1, bytes: 0, lines: 0 }).is_ok());
    let missing = Oid::from_bytes([7; 20]);
    assert!(matches!(super::shape(&repo.store(), Some(missing), None, Budget::default()), Err(ShapeError::Diff(_))));
}

#[test]
fn too_much_to_keep_is_too_large() {
    let words: String = (0..150_000).map(|n| format!("w{n:x} ")).collect();
    let (repo, base, head) = two(&[("a", None, Some(words.as_bytes()))]);
    let read = read(&repo, base, head, Budget::default());
    assert!(matches!(read, Err(ShapeError::TooLarge(why)) if why.contains("keep")));
}

fn some_shape() -> impl Strategy<Value = Shape> {
    let names = || prop::collection::btree_set("[a-d]", 0..4);
    let tokens = || prop::collection::btree_map("[a-d]".prop_map(String::into_bytes), 1u32..5, 0..4);
    (names(), prop::option::of(names()), tokens(), tokens()).prop_map(|(paths, functions, added, removed)| Shape {
        patch: None,
        paths: paths.into_iter().map(String::into_bytes).collect(),
        functions: functions.map(|names| {
            names.into_iter().map(|name| Function { path: b"a.rs".to_vec(), name: name.into_bytes() }).collect()
        }),
        added,
        removed,
    })
}

proptest! {
    #[test]
    fn likeness_has_no_direction_and_equals_have_all_of_it(a in some_shape(), b in some_shape()) {
        let alike = compare(&a, &b);
        prop_assert_eq!(alike, compare(&b, &a));
        prop_assert_eq!(alike.files_permille == 1000, a.paths == b.paths);
        prop_assert_eq!(alike.tokens_permille == 1000, (&a.added, &a.removed) == (&b.added, &b.removed));
        prop_assert!(alike.files_permille <= 1000 && alike.tokens_permille <= 1000);
        let functions = [&a, &b].map(|shape| shape.functions.clone());
        prop_assert_eq!(alike.functions_permille.is_none(), functions == [None, None]);
        if let Some(permille) = alike.functions_permille {
            let [one, other] = functions.map(Option::unwrap_or_default);
            prop_assert_eq!(permille == 1000, one == other);
        }
    }
}
