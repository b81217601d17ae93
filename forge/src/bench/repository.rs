//! Realistic repositories, made fast: histories, branches and large files by `git fast-import`.
//!
//! Invariant: the same shape gives the same objects everywhere. Uses nothing but the standard library, because the test
//! harness includes this very file.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a repository's default branch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Commits, the first one included; each later one edits one file.
    pub commits: u64,
    /// Text files of about forty lines, a hundred to a directory.
    pub files: u64,
    /// Files that do not compress, in the first commit.
    pub blobs: u64,
    /// Bytes of each of those.
    pub blob_bytes: u64,
}

/// Lines of a text file.
const LINES: u64 = 40;
/// Time of the first commit, seconds since 1970; each commit is a minute later.
const BEGAN: u64 = 1_700_000_000;

/// Where the `n`th text file is.
pub fn path(n: u64) -> String {
    format!("src/part-{}/module-{}/file-{}.txt", n / 10_000, n / 100 % 100, n % 100)
}

/// Small deterministic noise.
pub fn noise(seed: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// Text file `n` after `edits` edits: each one wrote one line anew.
fn text(n: u64, edits: u64) -> String {
    let mut text = String::new();
    for line in 0..LINES {
        let newest = if edits > line { line + (edits - 1 - line) / LINES * LINES + 1 } else { 0 };
        let word = noise(n << 32 | line << 24 | newest);
        text.push_str(&format!("let value_{line} = compute({word:016x}, {newest}); // of file {n}\n"));
    }
    text
}

/// Bytes that do not compress, in pieces.
fn write_blob(out: &mut impl Write, n: u64, bytes: u64) -> io::Result<()> {
    let mut state = noise(n + 1);
    let mut left = bytes;
    let mut piece = Vec::with_capacity(64 << 10);
    while left > 0 {
        piece.clear();
        while piece.len() < 64 << 10 {
            state = noise(state);
            piece.extend_from_slice(&state.to_le_bytes());
        }
        let take = left.min(piece.len() as u64);
        out.write_all(&piece[..take as usize])?;
        left -= take;
    }
    Ok(())
}

/// A stream for `git fast-import`, remembering how often each file was edited.
struct Stream<W: Write> {
    out: W,
    edits: Vec<u64>,
    clock: u64,
}

impl<W: Write> Stream<W> {
    fn commit(&mut self, name: &str, from: Option<&str>, message: &str) -> io::Result<()> {
        self.clock += 1;
        let when = BEGAN + self.clock * 60;
        writeln!(self.out, "commit {name}\ncommitter Alpha <alpha@example.org> {when} +0000")?;
        writeln!(self.out, "data {}\n{message}", message.len())?;
        from.map_or(Ok(()), |from| writeln!(self.out, "from {from}"))
    }

    fn file(&mut self, n: u64) -> io::Result<()> {
        let text = text(n, self.edits[n as usize]);
        write!(self.out, "M 100644 inline {}\ndata {}\n{text}\n", path(n), text.len())
    }

    fn edit(&mut self, n: u64) -> io::Result<()> {
        self.edits[n as usize] += 1;
        self.file(n)
    }
}

/// Runs `git fast-import` in `git_dir` on what `write` writes.
pub fn import(git_dir: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet", "--force", "--done"])
        .current_dir(git_dir)
        .env("GIT_DIR", git_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut pipe = BufWriter::with_capacity(1 << 20, child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?);
    write(&mut pipe)?;
    pipe.write_all(b"done\n")?;
    drop(pipe.into_inner().map_err(io::IntoInnerError::into_error)?);
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("git fast-import: {status}"))) }
}

/// Makes the branch `main` of the repository in `git_dir` as `shape` says.
pub fn make(git_dir: &Path, shape: &Shape) -> io::Result<()> {
    import(git_dir, |out| {
        let mut stream = Stream { out, edits: vec![0; shape.files as usize], clock: 0 };
        stream.commit("refs/heads/main", None, "Begin\n")?;
        for n in 0..shape.files {
            stream.file(n)?;
        }
        for n in 0..shape.blobs {
            write!(stream.out, "M 100644 inline data/blob-{n}.bin\ndata {}\n", shape.blob_bytes)?;
            write_blob(&mut stream.out, n, shape.blob_bytes)?;
            stream.out.write_all(b"\n")?;
        }
        for at in 1..shape.commits {
            stream.commit("refs/heads/main", None, &format!("Change {at}\n\nWhat was wrong is right now.\n"))?;
            stream.edit(noise(at) % shape.files.max(1))?;
        }
        Ok(())
    })
}

/// Branches `<prefix><n>` for every `n` of `numbers`, each `length` commits on top of `main`, each of which edits one file.
pub fn branches(
    git_dir: &Path,
    files: u64,
    prefix: &str,
    numbers: std::ops::Range<u64>,
    length: u64,
) -> io::Result<()> {
    import(git_dir, |out| {
        for n in numbers {
            // A million edits on: no text that `main` has had.
            let mut stream =
                Stream { out: &mut *out, edits: vec![1_000_000 + n; files as usize], clock: 10_000_000 + n };
            for at in 0..length {
                let from = (at == 0).then_some("refs/heads/main^0");
                stream.commit(&format!("{prefix}{n}"), from, &format!("Step {at} of {n}\n"))?;
                stream.edit(noise(n << 20 | at) % files.max(1))?;
            }
        }
        Ok(())
    })
}

/// A commit without a parent that holds one file, under the ref `name`.
pub fn single_file(git_dir: &Path, name: &str, path: &str, bytes: &[u8]) -> io::Result<()> {
    import(git_dir, |out| {
        Stream { out: &mut *out, edits: Vec::new(), clock: 0 }.commit(name, None, "One file\n")?;
        write!(out, "M 100644 inline {path}\ndata {}\n", bytes.len())?;
        out.write_all(bytes)?;
        out.write_all(b"\n")
    })
}

/// `count` refs below `refs/meta/` that all name `main`'s newest commit, in `packed-refs`.
pub fn metadata_refs(git_dir: &Path, count: u64) -> io::Result<()> {
    let name = |n: u64| format!("refs/meta/{n}");
    let mut child = Command::new("git")
        .args(["update-ref", "--stdin"])
        .current_dir(git_dir)
        .env("GIT_DIR", git_dir)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut pipe = BufWriter::new(child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?);
    for n in 0..count {
        writeln!(pipe, "create {} refs/heads/main", name(n))?;
    }
    drop(pipe.into_inner().map_err(io::IntoInnerError::into_error)?);
    let status = child.wait()?;
    let packed =
        Command::new("git").args(["pack-refs", "--all"]).current_dir(git_dir).env("GIT_DIR", git_dir).status()?;
    if status.success() && packed.success() { Ok(()) } else { Err(io::Error::other("git update-ref failed")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let out = Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_repository_has_its_shape_and_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "--bare", "-b", "main", "."]);
        let shape = Shape { commits: 60, files: 120, blobs: 2, blob_bytes: 100_000 };
        make(dir.path(), &shape).unwrap();
        branches(dir.path(), shape.files, "refs/heads/alpha/step-", 3..5, 4).unwrap();
        metadata_refs(dir.path(), 50).unwrap();
        assert_eq!(git(dir.path(), &["rev-list", "--count", "main"]), "60");
        assert_eq!(git(dir.path(), &["ls-tree", "-r", "--name-only", "main"]).lines().count(), 122);
        assert_eq!(git(dir.path(), &["cat-file", "-s", "main:data/blob-1.bin"]), "100000");
        assert_eq!(git(dir.path(), &["rev-list", "--count", "main..alpha/step-4"]), "4");
        assert_eq!(git(dir.path(), &["for-each-ref", "refs/meta"]).lines().count(), 50);
        assert_eq!(git(dir.path(), &["fsck", "--full", "--strict", "--no-dangling"]), "");
        // Every commit changes something.
        assert_eq!(git(dir.path(), &["log", "--format=", "--name-only", "main~58..main"]).lines().count(), 58);
    }
}
