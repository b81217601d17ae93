//! Reading the refs of a repository that stock git writes as well: loose ones before packed ones, symbolic ones followed.
//!
//! Invariant: a ref is looked for below the git directory alone, and no link is followed on the way. What is no ref, or
//! names nothing, is not there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notes_schema::Oid;

use super::packed::{self, Packed, Stamp};
use crate::name::FullName;

/// How many symbolic refs may follow one another, as in git.
/// Limit: symbolic refs that follow one another | {}
const DEEPEST: usize = 5;
/// The largest loose ref that is read.
/// Limit: loose ref of a plain repository | {:bytes}
const LARGEST: u64 = 4096;

/// What a loose ref holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    Id(Oid),
    Symbolic(String),
    Broken,
}

/// The refs below one git directory.
pub(super) struct Refs {
    dir: PathBuf,
    packed: Mutex<Option<(Option<Stamp>, Arc<Packed>)>>,
}

impl Refs {
    pub(super) fn new(dir: PathBuf) -> Refs {
        Refs { dir, packed: Mutex::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The packed refs as of now, parsed again only when the file has changed.
    pub(super) fn packed(&self) -> io::Result<Arc<Packed>> {
        let mut cached = self.packed.lock().expect("invariant: no panic under this lock");
        let now = Stamp::at(&self.dir.join(packed::FILE))?;
        if let Some((stamp, packed)) = &*cached
            && *stamp == now
        {
            return Ok(packed.clone());
        }
        let (packed, stamp) = Packed::read(&self.dir)?;
        let packed = Arc::new(packed);
        *cached = stamp.is_none_or(|stamp| stamp.is_settled()).then(|| (stamp, packed.clone()));
        Ok(packed)
    }

    /// What the loose ref `name` (or `HEAD`) holds; `None` where there is no such file.
    pub(super) fn loose(&self, name: &str) -> io::Result<Option<Raw>> {
        let path = self.dir.join(name);
        let mut text = String::new();
        match super::open_file(&self.dir, name) {
            Ok(file) => match file.take(LARGEST).read_to_string(&mut text) {
                Ok(_) => Ok(Some(parse(&text))),
                Err(e) if e.kind() == io::ErrorKind::IsADirectory => Ok(None),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Some(Raw::Broken)),
                Err(e) => Err(e),
            },
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            // Old versions of git made HEAD a link; what it says is taken as text and never followed.
            Err(e) => match fs::read_link(&path) {
                Ok(target) => Ok(Some(linked(&target))),
                Err(_) => Err(e),
            },
        }
    }

    /// What `name` finally is and points at: a loose ref shadows a packed one, and symbolic ones are followed. The inner
    /// `None` is a ref that is not born yet.
    pub(super) fn resolve(&self, name: &str) -> io::Result<Option<(FullName, Option<Oid>)>> {
        let mut name = name.to_owned();
        for _ in 0..DEEPEST {
            match self.loose(&name)? {
                Some(Raw::Symbolic(target)) => name = target,
                Some(Raw::Broken) => return Ok(None),
                Some(Raw::Id(id)) => return Ok(name.parse().ok().map(|name| (name, Some(id)))),
                None => {
                    let id = self.packed()?.get(&name).map(|entry| entry.id);
                    return Ok(name.parse().ok().map(|name| (name, id)));
                }
            }
        }
        Ok(None)
    }

    /// The value of one ref that is no symbolic one.
    pub(super) fn value(&self, name: &FullName) -> io::Result<Option<Oid>> {
        match self.loose(name.as_str())? {
            Some(Raw::Id(id)) => Ok(Some(id)),
            Some(Raw::Symbolic(_) | Raw::Broken) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the ref is broken"))
            }
            None => Ok(self.packed()?.get(name.as_str()).map(|entry| entry.id)),
        }
    }

    /// The loose refs whose names begin with one of `prefixes`, visiting no directory that holds none of them.
    pub(super) fn loose_below(&self, prefixes: &[&str]) -> io::Result<BTreeMap<FullName, Raw>> {
        let mut found = BTreeMap::new();
        let mut open = vec!["refs".to_owned()];
        while let Some(dir) = open.pop() {
            let listed = match fs::read_dir(self.dir.join(&dir)) {
                Ok(listed) => listed,
                // Another process has removed the last ref in it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            for entry in listed {
                let entry = entry?;
                let Some(last) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let name = format!("{dir}/{last}");
                let kind = entry.file_type()?;
                if kind.is_dir() && prefixes.iter().any(|p| may_hold(&format!("{name}/"), p)) {
                    open.push(name);
                } else if kind.is_file()
                    && prefixes.iter().any(|p| name.starts_with(p))
                    && let Ok(full) = name.parse::<FullName>()
                    && let Some(raw) = self.loose(&name)?
                {
                    found.insert(full, raw);
                }
            }
        }
        Ok(found)
    }
}

/// All refs below a git directory as they stand on disk, `HEAD` not among them; `None` for one that names no object by
/// itself: a symbolic one, or a broken file.
pub fn on_disk(git_dir: &Path) -> io::Result<BTreeMap<FullName, Option<Oid>>> {
    let refs = Refs::new(git_dir.to_owned());
    let loose = refs.loose_below(&["refs/"])?;
    let packed = refs.packed()?;
    let mut all: BTreeMap<FullName, Option<Oid>> =
        packed.entries().iter().map(|entry| (entry.name.clone(), Some(entry.id))).collect();
    all.extend(loose.into_iter().map(|(name, raw)| match raw {
        Raw::Id(id) => (name, Some(id)),
        Raw::Symbolic(_) | Raw::Broken => (name, None),
    }));
    Ok(all)
}

/// Whether names below `dir` may begin with `prefix`.
fn may_hold(dir: &str, prefix: &str) -> bool {
    dir.starts_with(prefix) || prefix.starts_with(dir)
}

fn parse(text: &str) -> Raw {
    if let Some(target) = text.strip_prefix("ref:") {
        let target = target.trim();
        return if target.parse::<FullName>().is_ok() { Raw::Symbolic(target.to_owned()) } else { Raw::Broken };
    }
    // git takes what follows the id for nothing, if it is set off from it.
    match text.split(char::is_whitespace).next().unwrap_or("").parse() {
        Ok(id) if id != Oid::from_bytes([0; 20]) => Raw::Id(id),
        Ok(_) | Err(_) => Raw::Broken,
    }
}

fn linked(target: &Path) -> Raw {
    match target.to_str().filter(|target| target.parse::<FullName>().is_ok()) {
        Some(target) => Raw::Symbolic(target.to_owned()),
        None => Raw::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    #[test]
    fn loose_refs_shadow_packed_ones_and_links_lead_nowhere() {
        let repo = Repo::new();
        let old = repo.commit("one");
        repo.git(&["branch", "side"]);
        repo.git(&["pack-refs", "--all"]);
        let new = repo.commit("two");
        repo.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
        repo.git(&["symbolic-ref", "refs/heads/dangling", "refs/heads/none"]);
        let heads = repo.git_dir().join("refs/heads");
        std::fs::write(heads.join("broken"), "nonsense\n").unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), format!("{new}\n")).unwrap();
        std::os::unix::fs::symlink(outside.path(), heads.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), heads.join("file")).unwrap();

        let refs = Refs::new(repo.git_dir());
        let id = |name: &str| refs.resolve(name).unwrap().and_then(|(_, id)| id);
        assert_eq!((id("refs/heads/main"), id("refs/heads/side")), (Some(new), Some(old)));
        assert_eq!((id("HEAD"), id("refs/heads/alias")), (Some(new), Some(new)));
        for gone in ["refs/heads/dangling", "refs/heads/broken", "refs/heads/out/secret", "refs/heads/file"] {
            assert_eq!(id(gone), None, "{gone}");
        }
        let found: Vec<String> = refs.loose_below(&["refs/heads/"]).unwrap().keys().map(|n| n.to_string()).collect();
        assert_eq!(found, ["refs/heads/alias", "refs/heads/broken", "refs/heads/dangling", "refs/heads/main"]);
        assert!(refs.loose_below(&["refs/tags/", "refs/heads/s"]).unwrap().is_empty());
        let all: Vec<(String, Option<Oid>)> =
            on_disk(&repo.git_dir()).unwrap().into_iter().map(|(name, id)| (name.to_string(), id)).collect();
        let all: Vec<(&str, Option<Oid>)> = all.iter().map(|(name, id)| (name.as_str(), *id)).collect();
        let (main, side) = (("refs/heads/main", Some(new)), ("refs/heads/side", Some(old)));
        let nothing = ["alias", "broken", "dangling"].map(|name| format!("refs/heads/{name}"));
        assert_eq!(all, [(&*nothing[0], None), (&*nothing[1], None), (&*nothing[2], None), main, side]);
    }

    #[test]
    fn packed_refs_are_parsed_once_and_again_after_a_change() {
        let repo = Repo::new();
        repo.commit("one");
        repo.git(&["pack-refs", "--all"]);
        let refs = Refs::new(repo.git_dir());
        std::thread::sleep(std::time::Duration::from_millis(50));
        let first = refs.packed().unwrap();
        assert!(Arc::ptr_eq(&first, &refs.packed().unwrap()));
        repo.git(&["branch", "side"]);
        repo.git(&["pack-refs", "--all"]);
        assert_eq!(refs.packed().unwrap().len(), 2);
        std::fs::remove_file(repo.git_dir().join("packed-refs")).unwrap();
        assert_eq!(refs.packed().unwrap().len(), 0);
    }
}
