//! Real git for tests: repositories in temporary directories, free of the machine's configuration.

use std::collections::{BTreeSet, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use notes_schema::Oid;
use tempfile::TempDir;

use super::object::{Kind, Mode, tag_target};
use super::store::{Objects as _, Store};

/// A repository that goes with the value.
pub(crate) struct Repo {
    dir: TempDir,
    bare: bool,
}

impl Repo {
    /// With a work tree and the branch `main`.
    pub(crate) fn new() -> Self {
        let repo = Repo { dir: tempfile::tempdir().expect("a directory"), bare: false };
        repo.git(&["init", "-q", "-b", "main", "."]);
        repo
    }

    /// Without a work tree.
    pub(crate) fn bare() -> Self {
        let repo = Repo { dir: tempfile::tempdir().expect("a directory"), bare: true };
        repo.git(&["init", "-q", "--bare", "-b", "main", "."]);
        repo
    }

    /// This project's own history, where the sources stand in a clone of it.
    pub(crate) fn of_this_project() -> Option<Self> {
        let repo = Repo::bare();
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let (fetched, ..) = repo.try_git(&["fetch", "-q", sources, "+HEAD:refs/heads/main"], b"");
        fetched.then_some(repo)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        if self.bare { self.path().to_owned() } else { self.path().join(".git") }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.git_dir()).expect("a repository")
    }

    /// Runs git with `input`; whether it went well, what it said on stdout, and on stderr.
    pub(crate) fn try_git(&self, args: &[&str], input: &[u8]) -> (bool, Vec<u8>, String) {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "alpha"),
            ("GIT_AUTHOR_EMAIL", "alpha@example.org"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_NAME", "alpha"),
            ("GIT_COMMITTER_EMAIL", "alpha@example.org"),
            ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ] {
            command.env(name, value);
        }
        let mut child = command.spawn().expect("git runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let output = std::thread::scope(|scope| {
            // git may leave before it has read everything.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("git ends")
        });
        (output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs git, which must go well; its stdout.
    pub(crate) fn git_bytes(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let (ok, stdout, stderr) = self.try_git(args, input);
        assert!(ok, "git {args:?}: {stderr}");
        stdout
    }

    /// The same as trimmed text, without input.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        String::from_utf8(self.git_bytes(args, b"")).expect("text").trim_end().to_owned()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("within")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }

    /// Commits the whole work tree.
    pub(crate) fn commit(&self, message: &str) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.id("HEAD")
    }

    pub(crate) fn id(&self, name: &str) -> Oid {
        self.git(&["rev-parse", "--verify", name]).parse().expect("an id")
    }

    /// A pack of everything that refs reach.
    pub(crate) fn pack_all(&self, options: &[&str]) -> Vec<u8> {
        self.pack(&[&["--all"], options].concat(), "")
    }

    /// A pack of what `revs` (as for `git rev-list`) name.
    pub(crate) fn pack(&self, options: &[&str], revs: &str) -> Vec<u8> {
        let args = [&["pack-objects", "-q", "--revs", "--stdout"], options].concat();
        self.git_bytes(&args, revs.as_bytes())
    }

    /// All objects of the repository: id, kind, content.
    pub(crate) fn all_objects(&self) -> Vec<(Oid, String, Vec<u8>)> {
        let all = self.git_bytes(&["cat-file", "--batch", "--batch-all-objects"], b"");
        let mut rest = all.as_slice();
        let mut objects = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|&b| b == b'\n').expect("a line");
            let line = String::from_utf8(rest[..end].to_vec()).expect("text");
            let fields: Vec<&str> = line.split(' ').collect();
            let size: usize = fields[2].parse().expect("a size");
            objects.push((fields[0].parse().expect("an id"), fields[1].to_owned(), rest[end + 1..][..size].to_vec()));
            rest = &rest[end + 1 + size + 1..];
        }
        objects
    }

    /// `git fsck --full --strict` finds nothing.
    pub(crate) fn assert_clean(&self) {
        let (ok, stdout, stderr) = self.try_git(&["fsck", "--full", "--strict", "--no-dangling"], b"");
        assert!(ok && stdout.is_empty(), "{}{stderr}", String::from_utf8_lossy(&stdout));
    }
}

/// Shape of a generated history.
pub(crate) struct Shape {
    /// Names it; the same seed gives the same history.
    pub(crate) seed: u64,
    /// How many commits.
    pub(crate) commits: usize,
    /// How far back parents lie at most.
    pub(crate) reach: usize,
    /// Whether some dates lie.
    pub(crate) lies: bool,
}

/// Makes a history of merges, criss-crosses, several roots, and files that change, move and go, in the repository at
/// `dir`; on no branch. Gives the commits, parents first.
pub(crate) fn history(dir: &Path, shape: &Shape) -> Vec<Oid> {
    use rand::{Rng as _, SeedableRng as _};
    use std::fmt::Write as _;
    let mut random = rand::rngs::StdRng::seed_from_u64(shape.seed);
    let mut stream = String::new();
    let mut files: Vec<Vec<String>> = Vec::new();
    for n in 0..shape.commits {
        let mut parents: Vec<usize> = Vec::new();
        if n > 0 && !random.random_ratio(1, 40) {
            let many = [1, 1, 1, 2, 2, 3][random.random_range(0..6)];
            for _ in 0..many {
                let back = random.random_range(1..=shape.reach.min(n));
                if !parents.contains(&(n - back)) {
                    parents.push(n - back);
                }
            }
        }
        let lie = if shape.lies && random.random_ratio(1, 8) { random.random_range(-90_000..90_000) } else { 0 };
        let date = 1_700_000_000 + n as i64 * 60 + lie;
        let message = format!("commit {n} of {}\n", shape.seed);
        let _ = writeln!(stream, "reset refs/made");
        let _ = writeln!(stream, "commit refs/made\nmark :{}\ncommitter alpha <a@example.org> {date} +0000", n + 1);
        let _ = write!(stream, "data {}\n{message}", message.len());
        for (at, parent) in parents.iter().enumerate() {
            let _ = writeln!(stream, "{} :{}", if at == 0 { "from" } else { "merge" }, parent + 1);
        }
        let mut here = parents.first().map(|&p| files[p].clone()).unwrap_or_default();
        for _ in 0..random.random_range(0..4) {
            let path =
                format!("d{}/e{}/f{}", random.random_range(0..3), random.random_range(0..3), random.random_range(0..6));
            let at = here.iter().position(|known| *known == path);
            match (random.random_range(0..8), at) {
                (0, Some(at)) => {
                    let _ = writeln!(stream, "D {path}");
                    here.remove(at);
                }
                (1, Some(at)) if !here.contains(&format!("moved/{path}")) => {
                    let _ = writeln!(stream, "R {path} moved/{path}");
                    here[at] = format!("moved/{path}");
                }
                (_, at) => {
                    // Few contents, so that some come back elsewhere.
                    let content = format!("{}\n", random.random_range(0..200)).repeat(20);
                    let _ = writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len());
                    if at.is_none() {
                        here.push(path);
                    }
                }
            }
        }
        files.push(here);
    }
    stream.push_str("reset refs/made\nfrom 0000000000000000000000000000000000000000\n");
    let marks = dir.join("made-marks");
    let mut child = Command::new("git")
        .args(["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--force"])
        .arg(format!("--export-marks={}", marks.display()))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .spawn()
        .expect("git runs");
    child.stdin.take().expect("a pipe").write_all(stream.as_bytes()).expect("git reads");
    assert!(child.wait().expect("git ends").success());
    let text = std::fs::read_to_string(&marks).expect("marks");
    std::fs::remove_file(&marks).expect("a file");
    let mut numbered: Vec<(usize, Oid)> = text
        .lines()
        .map(|line| {
            let (mark, id) = line[1..].split_once(' ').expect("a mark");
            (mark.parse().expect("a number"), id.parse().expect("an id"))
        })
        .collect();
    numbered.sort_unstable();
    numbered.into_iter().map(|(_, id)| id).collect()
}

/// Everything that `tips` reach, `cut` commits taken as without parents; computed in the plainest way.
pub(crate) fn closure(store: &Store, tips: &[Oid], cut: &HashSet<Oid>) -> BTreeSet<Oid> {
    let (mut all, mut open) = (BTreeSet::new(), tips.to_vec());
    while let Some(id) = open.pop() {
        if !all.insert(id) {
            continue;
        }
        match store.kind(id).expect("readable").expect("there") {
            Kind::Commit => {
                let commit = store.commit(id).expect("a commit");
                open.push(commit.tree);
                if !cut.contains(&id) {
                    open.extend(commit.parents);
                }
            }
            Kind::Tree => {
                let entries = store.tree(id).expect("a tree");
                open.extend(entries.iter().filter(|e| e.mode != Mode::Submodule).map(|e| e.id));
            }
            Kind::Tag => open.push(tag_target(&store.get(id).expect("a tag").data).expect("a target").0),
            Kind::Blob => {}
        }
    }
    all
}
