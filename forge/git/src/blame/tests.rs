use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::store::Store;
use crate::testing::Repo;

/// One line per line of the file, as `git blame --porcelain` numbers them: commit, line there, line here, path there.
fn by_git(repo: &Repo, tip: Oid, path: &str) -> Vec<String> {
    let out = repo.git_bytes(&["blame", "--line-porcelain", &tip.to_string(), "--", path], b"");
    let (mut found, mut head) = (Vec::new(), String::new());
    for line in String::from_utf8_lossy(&out).lines() {
        if let Some(name) = line.strip_prefix("filename ") {
            found.push(format!("{head} {name}"));
        } else if !line.starts_with('\t') && line.split(' ').next().is_some_and(|id| id.len() == 40) {
            head = line.split(' ').take(3).collect::<Vec<_>>().join(" ");
        }
    }
    found
}

fn mine(store: &Store, tip: Oid, path: &str) -> Vec<String> {
    let blamed = blame(store, tip, path.as_bytes(), Budget::default()).expect("blamed");
    assert!(!blamed.partial);
    let mut found = Vec::new();
    for span in blamed.spans {
        assert!(span.settled && span.first == found.len());
        let path = String::from_utf8_lossy(&span.path).into_owned();
        found.extend(
            (0..span.count).map(|n| format!("{} {} {} {path}", span.commit, span.original + n + 1, span.first + n + 1)),
        );
    }
    found
}

fn edit(random: &mut rand::rngs::StdRng, lines: &mut Vec<String>, salt: usize) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=lines.len());
        match random.random_range(0..3) {
            0 if at < lines.len() => drop(lines.remove(at)),
            1 if at < lines.len() => lines[at] = format!("{}line {salt}\n", "  ".repeat(at % 3)),
            // Many lines are alike, so that it matters where exactly a change is said to be.
            _ => lines.insert(at, ["}\n", "\n", "same\n", "  new\n"][random.random_range(0..4)].to_owned()),
        }
    }
}

/// Branches that edit one file, are merged, rename it now and then.
fn random_history(seed: u64) -> (Repo, Oid, String) {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let repo = Repo::new();
    let mut path = "file".to_owned();
    let mut lines: Vec<String> = (0..30).map(|n| format!("{}line {n}\n", "  ".repeat(n % 3))).collect();
    repo.write(&path, lines.concat());
    repo.commit("0");
    for step in 1..14 {
        if random.random_range(0..4) == 0 {
            // The other side, then this one, then what somebody made of both.
            let tip = repo.id("HEAD");
            let mut other = lines.clone();
            edit(&mut random, &mut other, 1000 + step);
            repo.write(&path, other.concat());
            let side = repo.commit("side");
            repo.git(&["reset", "-q", "--hard", &tip.to_string()]);
            edit(&mut random, &mut lines, 2000 + step);
            repo.write(&path, lines.concat());
            let ours = repo.commit("ours");
            let half = lines.len() / 2;
            lines = lines[..half].iter().chain(&other[half.min(other.len())..]).cloned().collect();
            repo.write(&path, lines.concat());
            repo.git(&["add", "-A"]);
            let tree = repo.git(&["write-tree"]);
            let merged = repo.git(&["commit-tree", &tree, "-p", &ours.to_string(), "-p", &side.to_string(), "-m", "m"]);
            repo.git(&["reset", "-q", "--hard", &merged]);
            continue;
        }
        if random.random_range(0..5) == 0 {
            let to = format!("dir{step}/file");
            std::fs::remove_file(repo.path().join(&path)).expect("removed");
            path = to;
        }
        edit(&mut random, &mut lines, step);
        repo.write(&path, lines.concat());
        repo.commit(&step.to_string());
    }
    let tip = repo.id("HEAD");
    (repo, tip, path)
}

#[test]
fn blames_whom_git_blames() {
    for seed in 0..24 {
        let (repo, tip, path) = random_history(seed);
        let theirs = by_git(&repo, tip, &path);
        assert!(theirs.len() > 5);
        assert_eq!(mine(&repo.store(), tip, &path), theirs, "seed {seed}");
        repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
        assert_eq!(mine(&repo.store(), tip, &path), theirs, "seed {seed} with a graph");
    }
}

#[test]
fn odd_files() {
    let repo = Repo::new();
    repo.write("empty", "");
    repo.write("open", "a\nb");
    repo.write("binary", b"a\0b\nc\n");
    std::os::unix::fs::symlink("open", repo.path().join("link")).expect("a link");
    repo.write("was link", "open");
    let long: String = (0..3000).map(|n| format!("line {}\n", n % 7)).collect();
    repo.write("long", &long);
    repo.commit("one");
    repo.write("open", "a\nb\nc");
    std::fs::remove_file(repo.path().join("was link")).expect("removed");
    std::os::unix::fs::symlink("open", repo.path().join("was link")).expect("a link");
    repo.write("long", long.replacen("line 3\n", "line 3\nline 3\n", 1));
    let tip = repo.commit("two");
    let store = repo.store();
    for path in ["empty", "open", "binary", "link", "was link", "long"] {
        assert_eq!(mine(&store, tip, path), by_git(&repo, tip, path), "{path}");
    }
    for path in ["", "none", "open/none"] {
        assert!(matches!(blame(&store, tip, path.as_bytes(), Budget::default()), Err(BlameError::NoFile)), "{path}");
    }
}

#[test]
fn what_a_budget_leaves_is_unsettled() {
    let (repo, tip, path) = random_history(3);
    let store = repo.store();
    let whole = blame(&store, tip, path.as_bytes(), Budget::default()).expect("blamed");
    for budget in [
        Budget { commits: 4, ..Budget::default() },
        Budget { commits: 0, ..Budget::default() },
        Budget { compared: 2000, ..Budget::default() },
    ] {
        let part = blame(&store, tip, path.as_bytes(), budget).expect("blamed");
        assert!(part.partial && part.spans.iter().any(|span| !span.settled));
        assert_eq!(part.spans.iter().map(|span| span.count).sum::<usize>(), lines(&part.content).len());
        // What is settled is right.
        for span in part.spans.iter().filter(|span| span.settled) {
            let holds = |other: &Span| {
                other.commit == span.commit
                    && other.first <= span.first
                    && other.first + other.count >= span.first + span.count
            };
            assert!(whole.spans.iter().any(holds));
        }
    }
    for small in [Budget { bytes: 10, ..Budget::default() }, Budget { lines: 3, ..Budget::default() }] {
        assert!(matches!(blame(&store, tip, path.as_bytes(), small), Err(BlameError::TooLarge(..))));
    }
}

#[test]
fn blames_this_project_as_git_does() {
    let Some(repo) = Repo::of_this_project() else { return };
    repo.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
    let (store, tip) = (repo.store(), repo.id("main"));
    let files = repo.git(&["ls-tree", "-r", "--name-only", "main"]);
    for path in files.lines().filter(|path| !path.ends_with(".lock")).step_by(9) {
        assert_eq!(mine(&store, tip, path), by_git(&repo, tip, path), "{path}");
    }
}
