//! The file `packed-refs`: one parse for as long as it stays the same, and the text of its next version.
//!
//! Invariant: a line that cannot be served (a name that is not UTF-8) is not shown, but is carried over unchanged when the
//! file is written again. A file that git would not understand is never written over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use notes_schema::Oid;

use crate::name::FullName;

pub(super) const FILE: &str = "packed-refs";
const HEADER: &str = "# pack-refs with:";
/// The largest file that is read: some ten million refs.
/// Limit: `packed-refs` of a plain repository | {:bytes}
const LARGEST: u64 = 1 << 30;
/// A file younger than this may change without its times showing it.
const RACY: Duration = Duration::from_millis(20);

/// By what a file is known to be the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64, u64),
    changed: [i64; 4],
}

impl Stamp {
    /// The stamp of what `metadata` describes.
    pub(super) fn of(metadata: &std::fs::Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino(), metadata.size()),
            changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        }
    }

    /// The stamp of the file at `path`, without following a link; `None` where there is none.
    pub(super) fn at(path: &Path) -> io::Result<Option<Stamp>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the file is old enough for its stamp to tell it from its next version.
    pub(super) fn is_settled(&self) -> bool {
        let nanos = u32::try_from(self.changed[3]).unwrap_or(0);
        let seconds = u64::try_from(self.changed[2]).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > RACY)
    }
}

/// What a tag peels to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peeled {
    /// It is no tag.
    Not,
    /// To this.
    To(Oid),
    /// The file does not say.
    Unsaid,
}

/// One packed ref.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: FullName,
    pub(super) id: Oid,
    pub(super) peeled: Peeled,
    /// Its object has been seen in the store.
    pub(super) seen: AtomicBool,
}

/// The file as of one moment, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Packed(Vec<Entry>);

impl Packed {
    /// Reads `git_dir/packed-refs`, with the stamp of the very file that was read.
    pub(super) fn read(git_dir: &Path) -> io::Result<(Packed, Option<Stamp>)> {
        match bytes(git_dir)? {
            Some((bytes, stamp)) => Ok((Packed::parse(&bytes)?, Some(stamp))),
            None => Ok((Packed::default(), None)),
        }
    }

    fn parse(bytes: &[u8]) -> io::Result<Packed> {
        let text = Text::parse(bytes)?;
        let mut entries = Vec::with_capacity(text.lines.len());
        for line in text.lines {
            let Some(name) = std::str::from_utf8(line.name).ok().and_then(|name| name.parse::<FullName>().ok()) else {
                continue;
            };
            let told = text.fully_peeled || (text.peeled && name.as_str().starts_with("refs/tags/"));
            let peeled = match line.peeled {
                Some(id) => Peeled::To(id),
                None if told => Peeled::Not,
                None => Peeled::Unsaid,
            };
            entries.push(Entry { name, id: line.id, peeled, seen: AtomicBool::new(false) });
        }
        Ok(Packed(entries))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The ref of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok().map(|at| &self.0[at])
    }

    /// The refs whose names begin with `prefix`.
    pub(super) fn below(&self, prefix: &str) -> &[Entry] {
        let from = self.0.partition_point(|entry| entry.name.as_str() < prefix);
        let there = self.0[from..].partition_point(|entry| entry.name.as_str().starts_with(prefix));
        &self.0[from..from + there]
    }
}

fn bytes(git_dir: &Path) -> io::Result<Option<(Vec<u8>, Stamp)>> {
    let file = match super::open_file(git_dir, FILE) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let metadata = file.metadata()?;
    if metadata.len() > LARGEST {
        return Err(damaged(format!("packed-refs is larger than {LARGEST} bytes")));
    }
    Ok(Some((read_whole(file, metadata.len())?, Stamp::of(&metadata))))
}

fn read_whole(mut file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn damaged(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

struct Line<'a> {
    name: &'a [u8],
    id: Oid,
    peeled: Option<Oid>,
}

/// The file's lines, sorted by name, and what its header promises.
struct Text<'a> {
    peeled: bool,
    fully_peeled: bool,
    lines: Vec<Line<'a>>,
}

impl<'a> Text<'a> {
    fn parse(bytes: &'a [u8]) -> io::Result<Text<'a>> {
        let mut text = Text { peeled: false, fully_peeled: false, lines: Vec::with_capacity(bytes.len() / 64) };
        for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let bad = || damaged(format!("line {} of packed-refs is not understood", number + 1));
            match line {
                [] => {}
                [b'#', ..] => {
                    let traits = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix(HEADER));
                    let has = |word| traits.is_some_and(|traits| traits.split(' ').any(|t| t == word));
                    text.peeled |= has("peeled");
                    text.fully_peeled |= has("fully-peeled");
                }
                [b'^', id @ ..] => {
                    text.lines.last_mut().ok_or_else(bad)?.peeled = Some(parse_id(id).ok_or_else(bad)?);
                }
                _ => {
                    let (id, name) = line.split_at_checked(40).ok_or_else(bad)?;
                    let name = name.strip_prefix(b" ").filter(|name| !name.is_empty()).ok_or_else(bad)?;
                    text.lines.push(Line { name, id: parse_id(id).ok_or_else(bad)?, peeled: None });
                }
            }
        }
        if !text.lines.is_sorted_by(|a, b| a.name < b.name) {
            text.lines.sort_by(|a, b| a.name.cmp(b.name));
        }
        Ok(text)
    }
}

fn parse_id(hex: &[u8]) -> Option<Oid> {
    std::str::from_utf8(hex).ok()?.parse().ok()
}

/// A ref to be packed: its object, and what that peels to where it is a tag.
pub(super) type Value = (Oid, Option<Oid>);

/// The text of `git_dir/packed-refs` after `changes`: `None` takes a ref out.
pub(super) fn changed(git_dir: &Path, changes: &BTreeMap<&str, Option<Value>>) -> io::Result<Vec<u8>> {
    let old = bytes(git_dir)?.map(|(bytes, _)| bytes);
    let text = Text::parse(old.as_deref().unwrap_or_default())?;
    let (peeled, fully) = if old.is_some() { (text.peeled, text.fully_peeled) } else { (true, true) };
    let mut out = Vec::with_capacity(old.as_ref().map_or(0, Vec::len) + changes.len() * 100 + 64);
    let words = [(" peeled", peeled), (" fully-peeled", fully), (" sorted", true)];
    out.extend_from_slice(HEADER.as_bytes());
    words.iter().filter(|(_, said)| *said).for_each(|(word, _)| out.extend_from_slice(word.as_bytes()));
    out.extend_from_slice(b" \n");
    let mut changes = changes.iter().map(|(name, value)| (name.as_bytes(), value)).peekable();
    for line in &text.lines {
        while let Some((name, value)) = changes.next_if(|(name, _)| *name < line.name) {
            put_change(&mut out, name, value);
        }
        match changes.next_if(|(name, _)| *name == line.name) {
            Some((name, value)) => put_change(&mut out, name, value),
            None => put(&mut out, line.name, line.id, line.peeled),
        }
    }
    changes.for_each(|(name, value)| put_change(&mut out, name, value));
    Ok(out)
}

fn put_change(out: &mut Vec<u8>, name: &[u8], value: &Option<Value>) {
    if let Some((id, peeled)) = value {
        put(out, name, *id, *peeled);
    }
}

fn put(out: &mut Vec<u8>, name: &[u8], id: Oid, peeled: Option<Oid>) {
    out.extend_from_slice(id.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(name);
    out.push(b'\n');
    if let Some(id) = peeled {
        out.extend_from_slice(format!("^{id}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    fn packed() -> Repo {
        let repo = Repo::new();
        repo.commit("one");
        repo.git(&["tag", "-a", "-m", "t", "v1"]);
        repo.git(&["branch", "side"]);
        repo.git(&["branch", "a/b"]);
        repo.git(&["pack-refs", "--all"]);
        repo
    }

    #[test]
    fn what_git_packs_is_read_with_what_it_peels_to() {
        let repo = packed();
        let (read, stamp) = Packed::read(&repo.git_dir()).unwrap();
        let (main, tag) = (repo.id("main"), repo.id("v1"));
        assert!(stamp.is_some());
        assert_eq!(read.len(), 4);
        let tagged = read.get("refs/tags/v1").unwrap();
        assert_eq!((tagged.id, tagged.peeled), (tag, Peeled::To(main)));
        assert_eq!(read.get("refs/heads/side").unwrap().peeled, Peeled::Not);
        let heads: Vec<&str> = read.below("refs/heads/").iter().map(|e| e.name.as_str()).collect();
        assert_eq!(heads, ["refs/heads/a/b", "refs/heads/main", "refs/heads/side"]);
        assert_eq!(read.below("refs/heads/s").len(), 1);
        assert!(read.below("refs/z").is_empty() && read.get("refs/heads").is_none());
    }

    #[test]
    fn a_new_version_is_read_by_git_and_keeps_what_is_not_served() {
        let repo = packed();
        let (main, tag) = (repo.id("main"), repo.id("v1"));
        let file = repo.git_dir().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        let odd = [format!("{main} refs/tags/").as_bytes(), b"\xff\n"].concat();
        bytes.extend_from_slice(&odd);
        std::fs::write(&file, &bytes).unwrap();
        let changes = BTreeMap::from([
            ("refs/heads/side", None),
            ("refs/heads/new", Some((main, None))),
            ("refs/tags/v2", Some((tag, Some(main)))),
            ("refs/absent/x", None),
        ]);
        let next = changed(&repo.git_dir(), &changes).unwrap();
        assert!(next.windows(odd.len()).any(|part| part == odd));
        std::fs::write(&file, next).unwrap();
        let listed = repo.git(&["for-each-ref", "--format=%(refname) %(*objectname)", "refs/heads", "refs/tags/v*"]);
        let want =
            format!("refs/heads/a/b \nrefs/heads/main \nrefs/heads/new \nrefs/tags/v1 {main}\nrefs/tags/v2 {main}");
        assert_eq!(listed, want);
    }

    #[test]
    fn a_file_that_git_does_not_understand_is_neither_read_nor_written() {
        let repo = packed();
        for text in ["hello\n", "^1111111111111111111111111111111111111111\n", "xyz refs/heads/x\n"] {
            std::fs::write(repo.git_dir().join(FILE), text).unwrap();
            assert!(Packed::read(&repo.git_dir()).is_err() && changed(&repo.git_dir(), &BTreeMap::new()).is_err());
        }
    }
}
