//! The objects of one repository put into another without some: for what must be gone from the disk, and not only from refs.
//!
//! Invariant: the source is read alone. What a pack that is touched holds beside is written anew, whole; a pack that is not
//! touched is the same file under the same name.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use notes_schema::Oid;

use super::index;
use crate::child;
use crate::disk::sync_dir;

/// Puts loose objects and packs of the bare repository `from` into the bare repository `to`, without `dropped`. Answers the
/// packs of which parts are left for the caller: those that `is_whole` says hold whole objects only, to be merged without
/// `dropped`. `to` and its files are synced when this returns.
pub fn copy(
    from: &Path,
    to: &Path,
    dropped: &HashSet<Oid>,
    is_whole: &dyn Fn(&str) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let (source, target) = (from.join("objects/pack"), to.join("objects/pack"));
    let mut whole = Vec::new();
    for entry in fs::read_dir(&source)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("pack-") || !name.ends_with(".pack") {
            continue;
        }
        let entries = index::read(&path)?;
        let bad =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{}: its index cannot be read", path.display()));
        let ids: Vec<Oid> = entries.ok_or_else(bad)?.into_iter().map(|entry| entry.id).collect();
        let left: Vec<Oid> = ids.iter().filter(|id| !dropped.contains(id)).copied().collect();
        if left.len() == ids.len() {
            for path in [path.clone(), path.with_extension("idx")] {
                link(&path, &target.join(path.file_name().unwrap_or_default()))?;
            }
        } else if is_whole(&name) {
            whole.push(path);
        } else if !left.is_empty() {
            pack_anew(from, &target, &left)?;
        }
    }
    for name in fs::read_dir(from.join("objects"))? {
        let name = name?.file_name().to_string_lossy().into_owned();
        if name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            copy_loose(&from.join("objects").join(&name), &to.join("objects").join(&name), &name, dropped)?;
        }
    }
    sync_dir(&target)?;
    sync_dir(&to.join("objects"))?;
    Ok(whole)
}

fn copy_loose(from: &Path, to: &Path, prefix: &str, dropped: &HashSet<Oid>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let id = format!("{prefix}{}", name.to_string_lossy()).parse::<Oid>();
        if id.is_ok_and(|id| !dropped.contains(&id)) {
            link(&from.join(&name), &to.join(&name))?;
        }
    }
    sync_dir(to)
}

/// The same file under another name; a copy where the disk knows no second names.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Lets stock git write `ids` of `git_dir` to a pack of their own below `target`: they may stand as deltas against others.
fn pack_anew(git_dir: &Path, target: &Path, ids: &[Oid]) -> io::Result<()> {
    let mut command = child::git();
    command.args(["-c", "core.fsync=all", "--git-dir"]).arg(git_dir).args(["pack-objects", "-q"]);
    command.arg(target.join("pack"));
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let list: String = ids.iter().map(|id| format!("{id}\n")).collect();
    // Fed by a thread of its own, so that neither waits for the other.
    let feeding = std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(list.as_bytes())));
    let out = child.wait_with_output()?;
    let _ = feeding.join();
    if out.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("git pack-objects: {}", String::from_utf8_lossy(&out.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Objects as _;
    use crate::testing::Repo;

    #[test]
    fn what_is_dropped_is_in_no_pack_and_all_else_is_there_also_what_was_a_delta_of_it() {
        let repo = Repo::new();
        let text: String = (0..4000).map(|n| format!("line {n}\n")).collect();
        repo.write("a", &text);
        repo.commit("one");
        repo.write("a", format!("{text}secret\n"));
        repo.commit("two");
        repo.write("a", format!("{text}secret\nmore\n"));
        repo.commit("three");
        repo.git(&["repack", "-q", "-a", "-d", "-f"]);
        repo.write("loose", "loose\n");
        repo.commit("four");
        let blob = repo.id("HEAD~2:a");
        let loose = repo.id("HEAD:loose");
        let all: Vec<Oid> = repo.all_objects().into_iter().map(|(id, _, _)| id).collect();
        let bare = Repo::bare();
        let dropped = HashSet::from([blob, loose]);
        let whole = copy(&repo.git_dir(), &bare.git_dir(), &dropped, &|_| false).unwrap();
        assert!(whole.is_empty());
        let store = bare.store();
        for id in all {
            assert_eq!(store.contains(id), !dropped.contains(&id), "{id}");
            if !dropped.contains(&id) {
                assert_eq!(store.get(id).unwrap().id().unwrap(), id);
            }
        }
        assert_eq!(copy(&repo.git_dir(), &Repo::bare().git_dir(), &dropped, &|_| true).unwrap().len(), 1);
    }
}
