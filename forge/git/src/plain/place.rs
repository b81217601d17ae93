//! From the path in a URL to a git directory below the one that is served.
//!
//! Invariant: what is found lies below the served directory, links resolved, and so do its objects and what they borrow
//! from. A path with `..` or a NUL in it is nowhere.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::Refused;

/// What may follow the path of a URL, in the order in which git's own server tries it.
const SUFFIXES: [&str; 4] = ["/.git", "", ".git/.git", ".git"];
/// The largest `.git` file and the largest list of alternates.
/// Limit: `.git` file and list of alternates of a plain repository | {:bytes} each
const LARGEST: u64 = 64 << 10;
/// How many repositories may borrow one from another in a row, as in git.
/// Limit: plain repositories that borrow from one another in a row | {}
const BORROWED: usize = 5;
/// The longest path of a URL.
/// Limit: path of a plain repository's URL | {:bytes}
const LONGEST: usize = 4096;

/// The git directory that `asked` stands for below `root`, which is canonical.
pub(super) fn find(root: &Path, asked: &str) -> Result<PathBuf, Refused> {
    let parts: Vec<&str> = asked.split('/').filter(|part| !part.is_empty()).collect();
    let odd = |part: &&str| matches!(*part, "." | "..") || part.contains('\0');
    if asked.len() > LONGEST || parts.iter().any(odd) {
        return Err(Refused::NotFound);
    }
    let path = parts.join("/");
    for suffix in SUFFIXES {
        // The directory itself has no name to be extended.
        if path.is_empty() && suffix.starts_with(".git") {
            continue;
        }
        let candidate = format!("{path}{suffix}");
        let candidate = root.join(candidate.trim_start_matches('/'));
        let Ok(found) = fs::canonicalize(&candidate) else { continue };
        let found = if found.is_file() { linked(&found) } else { Some(found) };
        if let Some(found) = found.filter(|found| found.starts_with(root) && is_git_directory(found)) {
            holds_together(root, &found)?;
            return Ok(found);
        }
    }
    Err(Refused::NotFound)
}

fn is_git_directory(dir: &Path) -> bool {
    dir.join("objects").is_dir() && dir.join("refs").is_dir() && fs::symlink_metadata(dir.join("HEAD")).is_ok()
}

/// The directory that a `.git` file names.
fn linked(file: &Path) -> Option<PathBuf> {
    let text = small(file).ok()?;
    let target = text.strip_prefix("gitdir:")?.trim();
    fs::canonicalize(file.parent()?.join(target)).ok()
}

fn small(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    fs::read_to_string(path)
}

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Unusable(why.into()))
}

/// Whether nothing of the repository is elsewhere.
fn holds_together(root: &Path, dir: &Path) -> Result<(), Refused> {
    if dir.join("commondir").exists() {
        return refused("it is a work tree of another repository: use that one");
    }
    for own in ["refs", "packed-refs", "config", "logs"] {
        if fs::symlink_metadata(dir.join(own)).is_ok_and(|found| found.is_symlink()) {
            return refused(format!("its `{own}` is a symbolic link, which is not followed"));
        }
    }
    for part in ["objects", "objects/pack", "objects/info"] {
        let part = dir.join(part);
        let leaves = || fs::canonicalize(&part).is_ok_and(|to| !to.starts_with(root));
        if fs::symlink_metadata(&part).is_ok_and(|found| found.is_symlink()) && leaves() {
            return refused("its objects lie behind a symbolic link that leaves the served directory");
        }
    }
    borrows_inside(root, &dir.join("objects"))
}

/// Alternates are followed as far as git does; each has to be below `root`.
fn borrows_inside(root: &Path, objects: &Path) -> Result<(), Refused> {
    let mut open = vec![(objects.to_owned(), 0)];
    while let Some((objects, depth)) = open.pop() {
        let list = match small(&objects.join("info/alternates")) {
            Ok(list) => list,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(_) => return refused("its list of alternates cannot be read"),
        };
        for line in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let absolute = Path::new(line).components().next() == Some(Component::RootDir);
            let at = if absolute { PathBuf::from(line) } else { objects.join(line) };
            match fs::canonicalize(&at) {
                Ok(at) if at.starts_with(root) && depth < BORROWED => open.push((at, depth + 1)),
                Ok(_) => return refused("it borrows objects from outside of the served directory"),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;
    use std::os::unix::fs::symlink;

    /// A directory with a work tree, a bare repository, both below a directory, and one outside.
    fn served() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap().join("root");
        let repo = Repo::bare();
        for place in ["root/tree", "root/deep/er/bare.git", "outside/x.git", "root/both", "root/both.git"] {
            let at = temp.path().join(place);
            let at = at.to_str().unwrap();
            let bare = if place.ends_with(".git") { "--bare" } else { "--no-bare" };
            repo.git(&["init", "-q", bare, at]);
        }
        (temp, root)
    }

    fn found(root: &Path, asked: &str) -> String {
        match find(root, asked) {
            Ok(dir) => dir.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
            Err(Refused::NotFound) => "nowhere".to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_path_finds_what_gits_own_server_would_enter() {
        let (_temp, root) = served();
        for (asked, dir) in [
            ("/tree", "tree/.git"),
            ("tree/.git", "tree/.git"),
            ("/deep/er/bare", "deep/er/bare.git"),
            ("/deep//er/bare.git/", "deep/er/bare.git"),
            ("/both", "both/.git"),
            ("/both.git", "both.git"),
            ("/deep", "nowhere"),
            ("/", "nowhere"),
            ("/deep/er/bare.git/objects", "nowhere"),
            ("/deep/../tree", "nowhere"),
            ("/../outside/x.git", "nowhere"),
            ("/tree\0", "nowhere"),
        ] {
            assert_eq!(found(&root, asked), dir, "{asked:?}");
        }
        let itself = find(&root.join("deep/er/bare.git"), "/").unwrap();
        assert_eq!(itself, root.join("deep/er/bare.git"));
    }

    #[test]
    fn nothing_leads_out() {
        let (temp, root) = served();
        let outside = temp.path().join("outside/x.git").canonicalize().unwrap();
        symlink(&outside, root.join("link.git")).unwrap();
        symlink(outside.parent().unwrap(), root.join("dir")).unwrap();
        symlink(root.join("both.git"), root.join("inside.git")).unwrap();
        fs::create_dir(root.join("file")).unwrap();
        fs::write(root.join("file/.git"), format!("gitdir: {}\n", outside.display())).unwrap();
        for asked in ["/link.git", "/link", "/dir/x", "/file"] {
            assert_eq!(found(&root, asked), "nowhere", "{asked}");
        }
        assert_eq!(found(&root, "/inside"), "both.git");
        fs::write(root.join("file/.git"), "gitdir: ../both.git\n").unwrap();
        assert_eq!(found(&root, "/file"), "both.git");

        fs::write(root.join("both.git/objects/info/alternates"), format!("{}\n", outside.join("objects").display()))
            .unwrap();
        assert!(found(&root, "/both.git").contains("borrows objects from outside"));
        fs::write(root.join("both.git/objects/info/alternates"), "../../tree/.git/objects\n").unwrap();
        assert_eq!(found(&root, "/both.git"), "both.git");
        fs::write(root.join("tree/.git/objects/info/alternates"), format!("{}\n", outside.join("objects").display()))
            .unwrap();
        assert!(found(&root, "/both.git").contains("borrows objects from outside"));

        let bare = root.join("deep/er/bare.git");
        fs::remove_dir_all(bare.join("objects/pack")).unwrap();
        symlink(outside.join("objects/pack"), bare.join("objects/pack")).unwrap();
        assert!(found(&root, "/deep/er/bare").contains("leaves the served directory"));
    }
}
