//! Loose values of git's object model: kinds, ids, and building or reading commits and trees.

use std::fmt::Write as _;

use bytes::Bytes;
use notes_schema::Oid;

/// The four kinds of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// As in an object's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }
}

impl From<Kind> for gix::object::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Commit => gix::object::Kind::Commit,
            Kind::Tree => gix::object::Kind::Tree,
            Kind::Blob => gix::object::Kind::Blob,
            Kind::Tag => gix::object::Kind::Tag,
        }
    }
}

impl From<gix::object::Kind> for Kind {
    fn from(kind: gix::object::Kind) -> Self {
        match kind {
            gix::object::Kind::Commit => Kind::Commit,
            gix::object::Kind::Tree => Kind::Tree,
            gix::object::Kind::Blob => Kind::Blob,
            gix::object::Kind::Tag => Kind::Tag,
        }
    }
}

/// An object's kind and its bytes without the header. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub data: Bytes,
}

impl Object {
    /// An object from its content.
    pub fn new(kind: Kind, data: impl Into<Bytes>) -> Self {
        Object { kind, data: data.into() }
    }

    /// Its id, computed with collision detection.
    pub fn id(&self) -> Result<Oid, Collision> {
        hash(self.kind, &self.data)
    }
}

/// The content is built to collide under SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the object is built to collide with another under SHA-1")]
pub struct Collision;

/// The id of an object, with collision detection.
pub fn hash(kind: Kind, data: &[u8]) -> Result<Oid, Collision> {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind.into(), data).map_err(|_| Collision)?;
    Ok(from_gix(&id))
}

/// Our id for gix's.
pub fn from_gix(id: &gix::hash::oid) -> Oid {
    Oid::from_slice(id.as_bytes()).expect("invariant: repositories are SHA-1")
}

/// gix's id for ours.
pub fn to_gix(id: Oid) -> gix::ObjectId {
    gix::ObjectId::from_bytes_or_panic(id.as_bytes())
}

/// Mode and kind of a tree entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A directory.
    Tree,
    /// A file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link.
    Link,
    /// A submodule's commit.
    Submodule,
}

impl Mode {
    /// The octal digits that a tree holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Tree => "40000",
            Mode::File => "100644",
            Mode::Executable => "100755",
            Mode::Link => "120000",
            Mode::Submodule => "160000",
        }
    }

    /// Reads the octal digits of a tree; spellings of old versions of git are known too.
    pub(crate) fn parse(digits: &[u8]) -> Option<Mode> {
        Some(match digits {
            b"40000" | b"040000" => Mode::Tree,
            b"100644" | b"100664" => Mode::File,
            b"100755" => Mode::Executable,
            b"120000" => Mode::Link,
            b"160000" => Mode::Submodule,
            _ => return None,
        })
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub mode: Mode,
    /// Its name, without slashes.
    pub name: Vec<u8>,
    /// The object.
    pub id: Oid,
}

/// Writes a tree, sorted as git wants it.
pub fn tree(mut entries: Vec<TreeEntry>) -> Object {
    entries.sort_by(|a, b| tree_order((&a.name, a.mode), (&b.name, b.mode)));
    let mut data = Vec::new();
    for entry in &entries {
        write_entry(&mut data, entry.mode, &entry.name, entry.id);
    }
    Object::new(Kind::Tree, data)
}

/// Which of two entries stands first in a tree: a directory as if its name ended with a slash.
pub(crate) fn tree_order(a: (&[u8], Mode), b: (&[u8], Mode)) -> std::cmp::Ordering {
    let slash = |mode| if mode == Mode::Tree { &b"/"[..] } else { b"" };
    a.0.iter().chain(slash(a.1)).cmp(b.0.iter().chain(slash(b.1)))
}

/// Adds one entry to a tree's bytes.
pub(crate) fn write_entry(data: &mut Vec<u8>, mode: Mode, name: &[u8], id: Oid) {
    data.extend_from_slice(mode.as_str().as_bytes());
    data.push(b' ');
    data.extend_from_slice(name);
    data.push(0);
    data.extend_from_slice(id.as_bytes());
}

/// Bytes that are not the object they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {kind}: {why}")]
pub struct Malformed {
    /// `commit`, `tree` or `tag`.
    pub kind: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

/// Reads a tree's entries.
pub fn read_tree(data: &[u8]) -> Result<Vec<TreeEntry>, Malformed> {
    let mut entries = Vec::new();
    let mut rest = data;
    while let Some((mode, name, id)) = next_entry(&mut rest)? {
        entries.push(TreeEntry { mode, name: name.to_vec(), id });
    }
    Ok(entries)
}

/// What a tree holds under `name`.
pub(crate) fn find_in_tree(data: &[u8], name: &[u8]) -> Result<Option<(Mode, Oid)>, Malformed> {
    let mut rest = data;
    while let Some((mode, found, id)) = next_entry(&mut rest)? {
        if found == name {
            return Ok(Some((mode, id)));
        }
    }
    Ok(None)
}

/// Mode, name and id, as they stand in a tree.
pub(crate) type Entry<'d> = (Mode, &'d [u8], Oid);

/// Takes the next entry from the front of a tree's bytes.
pub(crate) fn next_entry<'d>(rest: &mut &'d [u8]) -> Result<Option<Entry<'d>>, Malformed> {
    let bad = |why| Malformed { kind: "tree", why };
    if rest.is_empty() {
        return Ok(None);
    }
    let space = rest.iter().position(|&b| b == b' ').ok_or(bad("an entry without a mode"))?;
    let mode = Mode::parse(&rest[..space]).ok_or(bad("an entry with an unknown mode"))?;
    let after = &rest[space + 1..];
    let end = after.iter().position(|&b| b == 0).ok_or(bad("an entry without an end"))?;
    let id = after.get(end + 1..end + 21).and_then(Oid::from_slice).ok_or(bad("an entry without an id"))?;
    *rest = &after[end + 21..];
    Ok(Some((mode, &after[..end], id)))
}

/// Who wrote or committed, and when (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name; must hold no `<`, `>` or line break.
    pub name: String,
    /// Address; the same rule.
    pub email: String,
    /// Seconds since 1970.
    pub seconds: u64,
}

/// A commit about to be written.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// Its tree.
    pub tree: Oid,
    /// Its parents, in order.
    pub parents: Vec<Oid>,
    /// Author.
    pub author: Signature,
    /// Committer.
    pub committer: Signature,
    /// Message, ending with a line break.
    pub message: String,
}

impl NewCommit {
    /// The commit's bytes; `signature` (armored SSHSIG over the bytes without it) becomes the header `gpgsig`.
    pub fn encode(&self, signature: Option<&str>) -> Object {
        let mut text = format!("tree {}\n", self.tree);
        for parent in &self.parents {
            let _ = writeln!(text, "parent {parent}");
        }
        for (role, who) in [("author", &self.author), ("committer", &self.committer)] {
            let _ = writeln!(text, "{role} {} <{}> {} +0000", who.name, who.email, who.seconds);
        }
        if let Some(armor) = signature {
            let _ = writeln!(text, "gpgsig {}", armor.trim_end().replace('\n', "\n "));
        }
        text.push('\n');
        text.push_str(&self.message);
        Object::new(Kind::Commit, text.into_bytes())
    }
}

/// The parts of a commit that this forge reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: Oid,
    /// Its parents, in order.
    pub parents: Vec<Oid>,
    /// `Name <address>` of the author, lossily decoded.
    pub author: String,
    /// Author time, seconds since 1970.
    pub author_seconds: i64,
    /// Committer time, seconds since 1970.
    pub committer_seconds: i64,
    /// Armored signature, if it has one.
    pub signature: Option<String>,
    /// Message, lossily decoded.
    pub message: String,
}

impl Commit {
    /// First line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or("")
    }
}

/// Reads a commit.
pub fn read_commit(data: &[u8]) -> Result<Commit, Malformed> {
    let bad = |why| Malformed { kind: "commit", why };
    let split = data.windows(2).position(|w| w == b"\n\n").unwrap_or(data.len());
    let head = String::from_utf8_lossy(&data[..split]);
    let message = String::from_utf8_lossy(data.get(split + 2..).unwrap_or(b"")).into_owned();
    let mut commit = Commit {
        tree: Oid::from_bytes([0; 20]),
        parents: Vec::new(),
        author: String::new(),
        author_seconds: 0,
        committer_seconds: 0,
        signature: None,
        message,
    };
    let mut tree = None;
    let mut in_signature = false;
    for line in head.split('\n') {
        if let Some(more) = line.strip_prefix(' ') {
            if let (true, Some(armor)) = (in_signature, commit.signature.as_mut()) {
                armor.push('\n');
                armor.push_str(more);
            }
            continue;
        }
        in_signature = false;
        let (key, value) = line.split_once(' ').ok_or(bad("a header without a value"))?;
        match key {
            "tree" => tree = Some(value.parse().map_err(|_| bad("a tree that is no id"))?),
            "parent" => commit.parents.push(value.parse().map_err(|_| bad("a parent that is no id"))?),
            "author" => (commit.author, commit.author_seconds) = split_person(value),
            "committer" => (_, commit.committer_seconds) = split_person(value),
            "gpgsig" => {
                commit.signature = Some(value.to_owned());
                in_signature = true;
            }
            _ => {}
        }
    }
    commit.tree = tree.ok_or(bad("no tree"))?;
    Ok(commit)
}

/// Tree, parents and committer time of a commit, which is all that a walk reads of it.
pub(crate) fn read_links(data: &[u8]) -> Result<(Oid, Vec<Oid>, i64), Malformed> {
    let bad = |why| Malformed { kind: "commit", why };
    let id = |hex: &[u8], why| std::str::from_utf8(hex).ok().and_then(|hex| hex.parse::<Oid>().ok()).ok_or(bad(why));
    let (mut tree, mut parents, mut seconds) = (None, Vec::new(), 0);
    for line in data.split(|&b| b == b'\n').take_while(|line| !line.is_empty()) {
        if let Some(hex) = line.strip_prefix(b"tree ") {
            tree = Some(id(hex, "a tree that is no id")?);
        } else if let Some(hex) = line.strip_prefix(b"parent ") {
            parents.push(id(hex, "a parent that is no id")?);
        } else if let Some(who) = line.strip_prefix(b"committer ") {
            (_, seconds) = split_person(&String::from_utf8_lossy(who));
        }
    }
    Ok((tree.ok_or(bad("no tree"))?, parents, seconds))
}

fn split_person(value: &str) -> (String, i64) {
    let end = value.rfind('>').map_or(value.len(), |at| at + 1);
    let seconds = value[end..].split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or(0);
    (value[..end].to_owned(), seconds)
}

/// The bytes that a commit's signature covers: the commit without its `gpgsig` header.
pub fn unsigned_bytes(data: &[u8]) -> Vec<u8> {
    let split = data.windows(2).position(|w| w == b"\n\n").map_or(data.len(), |at| at + 1);
    let mut out = Vec::with_capacity(data.len());
    let mut skipping = false;
    for line in data[..split].split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b"gpgsig ") {
            skipping = true;
        } else if !(skipping && line.starts_with(b" ")) {
            skipping = false;
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&data[split..]);
    out
}

/// What an annotated tag points at.
pub fn tag_target(data: &[u8]) -> Result<(Oid, Kind), Malformed> {
    let bad = |why| Malformed { kind: "tag", why };
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let object = lines.next().and_then(|l| l.strip_prefix("object ")).ok_or(bad("no object"))?;
    let kind = match lines.next().and_then(|l| l.strip_prefix("type ")) {
        Some("commit") => Kind::Commit,
        Some("tree") => Kind::Tree,
        Some("blob") => Kind::Blob,
        Some("tag") => Kind::Tag,
        _ => return Err(bad("no type")),
    };
    Ok((object.parse().map_err(|_| bad("an object that is no id"))?, kind))
}
