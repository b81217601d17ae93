//! Real git for tests: repositories in temporary directories, free of the machine's configuration.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use notes_schema::Oid;
use tempfile::TempDir;

use super::store::Store;

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
