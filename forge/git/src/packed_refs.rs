//! Refs on disk: one sorted, peeled `packed-refs` file and `HEAD`, replaced whole.
//!
//! Invariant: after [`write`] returns the file is durable and no loose ref shadows it. Refs on disk are a cache of what
//! the ledger says; they always equal one moment of it.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use notes_schema::{Oid, RefName};

use super::disk::{self, replace_file, sync_dir};

/// A ref and, where it names an annotated tag, the object that the tag finally names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefValue {
    /// The object it names.
    pub id: Oid,
    /// What an annotated tag peels to.
    pub peeled: Option<Oid>,
}

const FILE: &str = "packed-refs";
const HEADER: &str = "# pack-refs with: peeled fully-peeled sorted \n";

/// Replaces all refs on disk by `refs` (sorted by name) and `HEAD` by `head`.
pub fn write<'a>(
    git_dir: &Path,
    refs: impl IntoIterator<Item = (&'a RefName, &'a RefValue)>,
    head: Option<&RefName>,
) -> io::Result<()> {
    let mut text = String::from(HEADER);
    for (name, value) in refs {
        text.push_str(&format!("{} {name}\n", value.id));
        if let Some(peeled) = value.peeled {
            text.push_str(&format!("^{peeled}\n"));
        }
    }
    replace_file(git_dir, FILE, text.as_bytes())?;
    if let Some(head) = head {
        let wanted = format!("ref: {head}\n");
        if fs::read_to_string(git_dir.join("HEAD")).ok().as_deref() != Some(&wanted) {
            replace_file(git_dir, "HEAD", wanted.as_bytes())?;
        }
    }
    remove_loose(&git_dir.join("refs"))
}

/// Removes loose refs, which `git fetch` leaves in a mirror and which would shadow the packed ones. Keeps the directory
/// `refs`, by which git recognises a repository.
fn remove_loose(refs: &Path) -> io::Result<()> {
    let mut removed = false;
    for entry in fs::read_dir(refs)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
        removed = true;
    }
    if removed { sync_dir(refs) } else { Ok(()) }
}

/// The value of one ref on disk, loose before packed, as git reads it.
pub fn read_one(git_dir: &Path, name: &str) -> io::Result<Option<Oid>> {
    read_one_of(git_dir, name, &read(git_dir)?)
}

/// The same, given the packed ones.
pub fn read_one_of(git_dir: &Path, name: &str, packed: &[(RefName, RefValue)]) -> io::Result<Option<Oid>> {
    match fs::read_to_string(git_dir.join(name)) {
        Ok(text) => return Ok(text.trim().parse().ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory => {}
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => {}
        Err(e) => return Err(e),
    }
    Ok(packed.iter().find(|(n, _)| n.as_str() == name).map(|(_, value)| value.id))
}

/// The value of one ref on disk, given the packed ones: a loose ref shadows them.
pub fn read_one_in(git_dir: &Path, name: &RefName, packed: &std::collections::BTreeMap<RefName, Oid>) -> Option<Oid> {
    let loose = fs::read_to_string(git_dir.join(name.as_str())).ok().and_then(|text| text.trim().parse().ok());
    loose.or_else(|| packed.get(name).copied())
}

/// All refs of the file `packed-refs`; none when there is no such file.
pub fn read(git_dir: &Path) -> io::Result<Vec<(RefName, RefValue)>> {
    let text = match fs::read_to_string(git_dir.join(FILE)) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut refs: Vec<(RefName, RefValue)> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("packed-refs holds the line `{line}`"));
        if let Some(peeled) = line.strip_prefix('^') {
            refs.last_mut().ok_or_else(bad)?.1.peeled = Some(peeled.parse().map_err(|_| bad())?);
            continue;
        }
        let (id, name) = line.split_once(' ').ok_or_else(bad)?;
        // A ref that this forge could not have written (a mirror may hold some) is left out, not an error.
        if let Ok(name) = name.parse() {
            refs.push((name, RefValue { id: id.parse().map_err(|_| bad())?, peeled: None }));
        }
    }
    Ok(refs)
}

/// Makes an empty bare repository in `git_dir`, which must not exist, durably.
pub fn init_bare(git_dir: &Path, head: &RefName) -> io::Result<()> {
    fs::create_dir(git_dir)?;
    for below in ["objects", "objects/pack", "objects/info", "refs"] {
        fs::create_dir(git_dir.join(below))?;
    }
    let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
    for (name, text) in [("config", config.to_owned()), ("HEAD", format!("ref: {head}\n"))] {
        let path = git_dir.join(name);
        let mut file = disk::create(&path)?;
        disk::write(&path, || file.write_all(text.as_bytes()))?;
        disk::sync(&file, &path)?;
    }
    sync_dir(&git_dir.join("objects"))?;
    sync_dir(git_dir)?;
    sync_dir(git_dir.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn git_reads_what_is_written_and_loose_refs_do_not_shadow_it() {
        let dir = tempfile::tempdir().unwrap();
        let git_dir = dir.path().join("x.git");
        let main = RefName::branch("main").unwrap();
        init_bare(&git_dir, &main).unwrap();
        let git = |args: &[&str]| {
            let out = Command::new("git").arg("-C").arg(&git_dir).args(args).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        let tree = git(&["mktree"]);
        let commit = git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-m", "x", &tree]);
        git(&["update-ref", "refs/heads/stray", &commit]);
        let value = RefValue { id: commit.parse().unwrap(), peeled: None };
        write(&git_dir, [(&main, &value)], Some(&main)).unwrap();
        assert_eq!(git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
        assert_eq!(git(&["rev-parse", "HEAD"]), commit);
        assert_eq!(read(&git_dir).unwrap(), vec![(main, value)]);
        assert_eq!(read_one(&git_dir, "refs/heads/main").unwrap(), Some(value.id));
        assert_eq!(read_one(&git_dir, "refs/heads").unwrap(), None);
    }
}
