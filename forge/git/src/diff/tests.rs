use proptest::prelude::*;

use super::*;
use crate::store::Store;
use crate::testing::Repo;

fn tree_of(store: &Store, commit: Oid) -> Option<Oid> {
    Some(store.commit(commit).expect("a commit").tree)
}

fn between(repo: &Repo, old: Oid, new: Oid) -> (Vec<Change>, Patch) {
    let store = repo.store();
    let changes = changed_paths(&store, tree_of(&store, old), tree_of(&store, new), usize::MAX).expect("readable");
    let patch = unified(&store, &changes, usize::MAX).expect("readable");
    (changes, patch)
}

fn by_git(repo: &Repo, options: &[&str], old: Oid, new: Oid) -> String {
    let (old, new) = (old.to_string(), new.to_string());
    let args =
        [&["diff", "--histogram", "--no-renames", "--abbrev=10"], options, &[old.as_str(), new.as_str()]].concat();
    String::from_utf8_lossy(&repo.git_bytes(&args, b"")).into_owned()
}

fn source(functions: usize, change: &[(usize, &str)]) -> String {
    let mut text = String::new();
    for n in 0..functions {
        let body = change.iter().find(|(at, _)| *at == n).map_or("same", |(_, body)| body);
        text.push_str(&format!(
            "fn number_{n}() {{\n    let a = {n};\n    let b = a;\n    {body}\n    let c = b;\n    c\n}}\n\n"
        ));
    }
    text
}

fn two_commits() -> (Repo, Oid, Oid) {
    let repo = Repo::new();
    let write = |path: &str, content: &str| repo.write(path, content);
    write("src/lib.rs", &source(9, &[]));
    write("src/gone/a", "1\n2\n");
    write("mode", "1\n");
    write("mode and content", "1\n2\n");
    write("no newline", "a\nb");
    write("gets newline", "a\nb");
    write("was file", "target");
    write("was file now directory", "1\n");
    write("emptied", "1\n");
    write("was empty", "");
    repo.write("binary", b"a\0b");
    write("odd \"name\"\t\u{e9}", "1\n");
    write("same", "1\n");
    let old = repo.commit("old");
    write("src/lib.rs", &source(9, &[(1, "changed"), (2, "changed"), (8, "changed\n    twice")]));
    repo.git(&["rm", "-q", "-r", "src/gone"]);
    write("mode and content", "1\n3\n");
    write("no newline", "a\nc");
    write("gets newline", "a\nb\n");
    std::fs::remove_file(repo.path().join("was file")).expect("removed");
    std::os::unix::fs::symlink("target", repo.path().join("was file")).expect("a link");
    std::fs::remove_file(repo.path().join("was file now directory")).expect("removed");
    write("was file now directory/a", "1\n");
    write("emptied", "");
    write("was empty", "1\n");
    write("new empty", "");
    write("new/deep/file", "x\n");
    repo.write("binary", b"a\0c");
    repo.write("latin", b"\xe9t\xe9\n");
    write("odd \"name\"\t\u{e9}", "2\n");
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--chmod=+x", "mode", "mode and content"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{old},sub")]);
    repo.git(&["commit", "-q", "-m", "new"]);
    let new = repo.id("HEAD");
    (repo, old, new)
}

#[test]
fn prints_what_git_prints() {
    let (repo, old, new) = two_commits();
    for (old, new) in [(old, new), (new, old)] {
        let (changes, patch) = between(&repo, old, new);
        assert_eq!(String::from_utf8_lossy(&patch.text), by_git(&repo, &[], old, new));
        let names: Vec<String> = changes.iter().map(Change::shown).collect();
        let theirs = by_git(&repo, &["--name-only", "-z"], old, new);
        assert_eq!(names.join("\0") + "\0", theirs);
        let (mut added, mut removed) = (0, 0);
        for line in by_git(&repo, &["--numstat"], old, new).lines() {
            let mut fields = line.split('\t').map(|field| field.parse::<u64>().unwrap_or(0));
            added += fields.next().unwrap_or(0);
            removed += fields.next().unwrap_or(0);
            // git compares what a link names with what the file held; its patch removes one and adds the other.
            if line.ends_with("\twas file") {
                (added, removed) = (added + 1, removed + 1);
            }
        }
        assert_eq!((patch.added, patch.removed), (added, removed));
        let totals = numstat(&repo.store(), &changes).expect("readable");
        assert_eq!(totals, Totals { files: changes.len(), added, removed });
    }
}

#[test]
fn ignores_blanks_as_git_does() {
    let repo = Repo::new();
    repo.write("code", source(6, &[]));
    repo.write("indented", "a\nb\n");
    repo.write("last", "a\nb\n  ");
    repo.write("exec", "a\n");
    let old = repo.commit("old");
    repo.write("code", source(6, &[(1, "   changed"), (4, "same\n")]).replace("let b", "\tlet  b"));
    repo.write("indented", "    a\n\tb \n");
    repo.write("last", "a\nc\n");
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--chmod=+x", "exec"]);
    repo.git(&["commit", "-q", "-m", "new"]);
    let new = repo.id("HEAD");
    let store = repo.store();
    let changes = changed_paths(&store, tree_of(&store, old), tree_of(&store, new), 9).expect("readable");
    let patch = unified_where(&store, &changes, usize::MAX, Blanks::Ignored).expect("readable");
    let ours = String::from_utf8_lossy(&patch.text).into_owned();
    let cut = |text: &str| text.split("diff --git a/last").next().expect("there").to_owned();
    assert!(!ours.contains("indented") && ours.contains("diff --git a/last"), "{ours}");
    assert_eq!(cut(&ours), cut(&by_git(&repo, &["-w"], old, new)));
}

#[test]
fn changes_below_a_path_are_those_of_git() {
    let (repo, old, new) = two_commits();
    let store = repo.store();
    let tree = |id| tree_of(&store, id).expect("a tree");
    for path in ["src", "src/lib.rs", "src/gone", "new/deep", "was file now directory", "same", "none", "mode/none"] {
        for (old, new) in [(old, new), (new, old)] {
            let changes = changed_below(&store, tree(old), tree(new), path.as_bytes(), 100).expect("readable");
            let patch = unified(&store, &changes, usize::MAX).expect("readable");
            let (old, new) = (old.to_string(), new.to_string());
            let options = ["diff", "--histogram", "--no-renames", "--abbrev=10", &old, &new, "--", path];
            assert_eq!(patch.text, repo.git_bytes(&options, b""), "{path}");
        }
    }
}

#[test]
fn a_first_commit_is_all_new() {
    let (repo, old, _) = two_commits();
    let store = repo.store();
    let changes = changed_paths(&store, None, tree_of(&store, old), usize::MAX).expect("readable");
    assert_eq!(changes.len(), repo.git(&["ls-tree", "-r", "--name-only", &old.to_string()]).lines().count());
    assert!(changes.iter().all(|change| change.old.is_none() && change.new.is_some()));
    assert!(changed_paths(&store, tree_of(&store, old), tree_of(&store, old), 10).expect("readable").is_empty());
}

/// A random shuffle of files between paths, each edited more or less.
#[test]
fn finds_the_renames_that_git_finds() {
    use rand::{Rng as _, SeedableRng as _};
    for seed in 0..40u64 {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let repo = Repo::new();
        let mut files: Vec<(String, Vec<String>)> = Vec::new();
        for n in 0..8 {
            let name = ["a", "b b", "c"][n % 3].repeat(n / 3 + 1);
            let count = random.random_range(0..30);
            let lines = (0..count).map(|l| format!("{} of {n}\n", l * random.random_range(1..3))).collect();
            files.push((format!("dir{}/{name}", random.random_range(0..3)), lines));
        }
        files.iter().for_each(|(path, lines)| repo.write(path, lines.concat()));
        let old = repo.commit("old");
        for (path, lines) in &files {
            let mut lines = lines.clone();
            for _ in 0..random.random_range(0..lines.len() + 1) / random.random_range(1..4) {
                let at = random.random_range(0..lines.len());
                lines[at] = format!("edited {}\n", random.random_range(0..9));
            }
            let to = match random.random_range(0..3) {
                0 => path.clone(),
                1 => format!("moved/{}", path.replace('/', "-")),
                _ => format!("moved/{path}"),
            };
            let _ = std::fs::remove_file(repo.path().join(path));
            repo.write(&to, lines.concat());
        }
        let new = repo.commit("new");
        let store = repo.store();
        let changes = changed_paths(&store, tree_of(&store, old), tree_of(&store, new), usize::MAX).expect("readable");
        let changes = with_renames(&store, changes).expect("readable");
        let patch = unified(&store, &changes, usize::MAX).expect("readable");
        let (old, new) = (old.to_string(), new.to_string());
        let theirs = repo.git_bytes(&["diff", "-M", "--histogram", "--abbrev=10", &old, &new], b"");
        assert_eq!(String::from_utf8_lossy(&patch.text), String::from_utf8_lossy(&theirs), "seed {seed}");
    }
}

#[test]
fn keeps_to_its_limits() {
    let (repo, old, new) = two_commits();
    let store = repo.store();
    let (changes, patch) = between(&repo, old, new);
    let few = changed_paths(&store, tree_of(&store, old), tree_of(&store, new), 3).expect("readable");
    assert_eq!(few, changes[..3]);
    for most in [0, 1, 100, 500, patch.text.len() - 1] {
        let cut = unified(&store, &changes, most).expect("readable");
        assert!(cut.truncated && cut.text.len() <= most && patch.text.starts_with(&cut.text));
        assert!(cut.text.is_empty() || cut.text.ends_with(b"\n"));
        assert_eq!((cut.added, cut.removed), (patch.added, patch.removed));
    }
    assert!(!unified(&store, &changes, patch.text.len()).expect("readable").truncated);
}

#[test]
fn refuses_endless_directories() {
    let repo = Repo::new();
    let mut tree = crate::object::tree(Vec::new());
    let mut builder = crate::pack::write::Builder::default();
    for _ in 0..DEEPEST + 2 {
        let id = tree.id().expect("no collision");
        builder.add(id, &tree);
        tree = crate::object::tree(vec![TreeEntry { mode: Mode::Tree, name: b"d".to_vec(), id }]);
    }
    let top = tree.id().expect("no collision");
    builder.add(top, &tree);
    repo.git_bytes(&["index-pack", "--stdin"], &builder.finish().pack);
    let refused = changed_paths(&repo.store(), None, Some(top), 10).expect_err("too deep");
    assert!(matches!(refused, DiffError::TooDeep));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever changed, `git apply` makes the new tree of the old one.
    #[test]
    fn git_applies_every_patch(
        files in prop::collection::vec(("[a-c]{1,2}", prop::collection::vec(0u8..6, 0..40), prop::collection::vec(0u8..6, 0..40), any::<(bool, bool)>()), 1..4),
    ) {
        let repo = Repo::new();
        let text = |lines: &[u8], end: bool| {
            let mut text: String = lines.iter().map(|n| format!("line {n}\n")).collect();
            if !end {
                text.pop();
            }
            text
        };
        for (name, old, _, (end, _)) in &files {
            if !old.is_empty() {
                repo.write(&format!("dir/{name}.txt"), text(old, *end));
            }
        }
        let old = repo.commit("old");
        for (name, _, new, (_, end)) in &files {
            let path = format!("dir/{name}.txt");
            match new.is_empty() {
                true => drop(std::fs::remove_file(repo.path().join(path))),
                false => repo.write(&path, text(new, *end)),
            }
        }
        let new = repo.commit("new");
        let (_, patch) = between(&repo, old, new);
        repo.git(&["checkout", "-q", &old.to_string()]);
        if !patch.text.is_empty() {
            repo.git_bytes(&["apply", "--index", "--whitespace=nowarn", "-"], &patch.text);
        }
        prop_assert_eq!(repo.git(&["write-tree"]), repo.git(&["rev-parse", &format!("{new}^{{tree}}")]));
    }
}
