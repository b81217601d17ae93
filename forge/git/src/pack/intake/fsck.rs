//! The checks of `git fsck --strict`, for one object at a time, and what it refers to.
//!
//! What git merely notes (an old tag without a tagger, group-writable files, an odd tag name) passes here too: real
//! histories hold it.

use std::collections::HashSet;

use notes_schema::Oid;

use super::PackError;
use super::dotfiles;
use super::links::Links;
use crate::object::{Kind, Mode, Object};

/// Longest name of a tree entry.
/// Limit: name of a file or directory in a push | {:bytes}
const LONGEST_NAME: usize = 4096;
/// Largest commit or tag; both are text that people write.
/// Limit: one commit or tag of a push | {:bytes}
const LARGEST_TEXT: usize = 4 << 20;

/// git's word for a fault, and the fault in plain words.
pub(super) type Fault = (&'static str, String);

fn fault<T>(rule: &'static str, why: impl Into<String>) -> Result<T, Fault> {
    Err((rule, why.into()))
}

/// A reference that an object makes.
type Reference = (Oid, Kind);

/// Checks `object` and adds what it refers to to `links`.
pub(super) fn check(id: Oid, object: &Object, links: &mut Links) -> Result<(), PackError> {
    let kind = object.kind;
    let malformed = |(rule, why): Fault| PackError::Malformed { id, kind, rule, why };
    match kind {
        Kind::Blob => {}
        Kind::Tree => return tree(id, &object.data, links),
        Kind::Commit => {
            for (target, kind) in commit(&object.data).map_err(malformed)? {
                links.want(target, kind, id)?;
            }
        }
        Kind::Tag => {
            let (target, kind) = tag(&object.data).map_err(malformed)?;
            links.want(target, kind, id)?;
        }
    }
    Ok(())
}

/// Adds what `object` refers to to `links`, checking no more than that it can be read: what git takes into a repository
/// whose `receive.fsckObjects` is not set.
pub(super) fn follow(id: Oid, object: &Object, links: &mut Links) -> Result<(), PackError> {
    let kind = object.kind;
    let malformed = |(rule, why): Fault| PackError::Malformed { id, kind, rule, why };
    let mut rest: &[u8] = &object.data;
    match kind {
        Kind::Blob => {}
        Kind::Tree => {
            while !rest.is_empty() {
                let (target, kind) = loose_entry(&mut rest).map_err(malformed)?;
                if let Some(kind) = kind {
                    links.want(target, kind, id)?;
                }
            }
        }
        Kind::Commit => {
            let tree = id_line(&mut rest, "tree ", "missingTree", "badTreeSha1").map_err(malformed)?;
            links.want(tree, Kind::Tree, id)?;
            while rest.starts_with(b"parent ") {
                let parent = id_line(&mut rest, "parent ", "missingParent", "badParentSha1").map_err(malformed)?;
                links.want(parent, Kind::Commit, id)?;
            }
        }
        Kind::Tag => {
            let target = id_line(&mut rest, "object ", "missingObject", "badObjectSha1").map_err(malformed)?;
            let word = line(&mut rest, "type ").and_then(kind_named);
            let word = word.ok_or_else(|| malformed(("badType", "its type is unknown".to_owned())))?;
            links.want(target, word, id)?;
        }
    }
    Ok(())
}

/// An entry of a tree by its mode's type bits alone, as git reads it; `None` is a submodule.
fn loose_entry(rest: &mut &[u8]) -> Result<(Oid, Option<Kind>), Fault> {
    let bad = |why: &str| ("badTree", why.to_owned());
    let space = rest.iter().take(12).position(|&b| b == b' ').ok_or_else(|| bad("an entry has no mode"))?;
    let digit = |mode: u32, b: &u8| matches!(b, b'0'..=b'7').then(|| mode * 8 + u32::from(b - b'0'));
    let mode = rest[..space].iter().try_fold(0u32, digit).filter(|_| space > 0);
    let mode = mode.ok_or_else(|| bad("an entry's mode is no number"))?;
    let after = &rest[space + 1..];
    let end = after.iter().position(|&b| b == 0).filter(|end| *end > 0).ok_or_else(|| bad("an entry has no name"))?;
    let id = after.get(end + 1..end + 21).and_then(Oid::from_slice).ok_or_else(|| bad("an entry has no id"))?;
    *rest = &after[end + 21..];
    Ok((
        id,
        match mode & 0o170_000 {
            0o040_000 => Some(Kind::Tree),
            0o160_000 => None,
            _ => Some(Kind::Blob),
        },
    ))
}

fn kind_named(word: &[u8]) -> Option<Kind> {
    match word {
        b"commit" => Some(Kind::Commit),
        b"tree" => Some(Kind::Tree),
        b"blob" => Some(Kind::Blob),
        b"tag" => Some(Kind::Tag),
        _ => None,
    }
}

fn tree(id: Oid, data: &[u8], links: &mut Links) -> Result<(), PackError> {
    let malformed = |(rule, why): Fault| PackError::Malformed { id, kind: Kind::Tree, rule, why };
    let mut rest = data;
    let mut names = HashSet::new();
    let mut previous: Option<Raw<'_>> = None;
    while !rest.is_empty() {
        let entry = raw_entry(&mut rest).map_err(malformed)?;
        entry_name(entry.name).map_err(malformed)?;
        if !names.insert(entry.name) {
            return Err(malformed(("duplicateEntries", format!("it holds {} twice", shown(entry.name)))));
        }
        if previous.is_some_and(|before| !before.sorts_before(&entry)) {
            return Err(malformed(("treeNotSorted", format!("{} stands in the wrong place", shown(entry.name)))));
        }
        special(&entry, links).map_err(malformed)?;
        match entry.mode {
            Mode::Tree => links.want(entry.id, Kind::Tree, id)?,
            Mode::File | Mode::Executable | Mode::Link => links.want(entry.id, Kind::Blob, id)?,
            Mode::Submodule => {}
        }
        previous = Some(entry);
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Raw<'a> {
    mode: Mode,
    name: &'a [u8],
    id: Oid,
}

impl Raw<'_> {
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        self.name.iter().copied().chain((self.mode == Mode::Tree).then_some(b'/'))
    }

    fn sorts_before(&self, other: &Raw<'_>) -> bool {
        self.key().lt(other.key())
    }
}

fn raw_entry<'a>(rest: &mut &'a [u8]) -> Result<Raw<'a>, Fault> {
    let bad = |why: &str| ("badTree", why.to_owned());
    let space = rest.iter().take(8).position(|&b| b == b' ').ok_or_else(|| bad("an entry has no mode"))?;
    let digits = &rest[..space];
    if digits.first() == Some(&b'0') {
        return fault("zeroPaddedFilemode", "a mode begins with zero");
    }
    let mode = Mode::parse(digits).ok_or_else(|| ("badFilemode", format!("the mode {} is unknown", shown(digits))))?;
    let after = &rest[space + 1..];
    let end = after.iter().position(|&b| b == 0).ok_or_else(|| bad("an entry has no end"))?;
    let id = after.get(end + 1..end + 21).and_then(Oid::from_slice).ok_or_else(|| bad("an entry has no id"))?;
    if id.as_bytes() == &[0; 20] {
        return fault("nullSha1", format!("{} points at nothing", shown(&after[..end])));
    }
    *rest = &after[end + 21..];
    Ok(Raw { mode, name: &after[..end], id })
}

fn entry_name(name: &[u8]) -> Result<(), Fault> {
    match name {
        b"" => return fault("emptyName", "an entry has no name"),
        b"." => return fault("hasDot", "it holds `.`"),
        b".." => return fault("hasDotdot", "it holds `..`"),
        _ => {}
    }
    if name.contains(&b'/') {
        return fault("fullPathname", format!("the name {} holds a slash", shown(name)));
    }
    if name.len() > LONGEST_NAME {
        return fault("largePathname", format!("a name has {} bytes", name.len()));
    }
    if dotfiles::is_git(name) {
        return fault("hasDotgit", format!("{} would be taken for .git", shown(name)));
    }
    Ok(())
}

fn special(entry: &Raw<'_>, links: &mut Links) -> Result<(), Fault> {
    let link = entry.mode == Mode::Link;
    if dotfiles::is_gitmodules(entry.name) {
        if link {
            return fault("gitmodulesSymlink", ".gitmodules is a symbolic link");
        }
        if matches!(entry.mode, Mode::Tree | Mode::Submodule) {
            return fault("gitmodulesBlob", ".gitmodules is no file");
        }
        links.modules.insert(entry.id);
    }
    if dotfiles::is_gitattributes(entry.name) && !link {
        if matches!(entry.mode, Mode::Tree | Mode::Submodule) {
            return fault("gitattributesBlob", ".gitattributes is no file");
        }
        links.attributes.insert(entry.id);
    }
    Ok(())
}

fn commit(data: &[u8]) -> Result<Vec<Reference>, Fault> {
    headers(data)?;
    let mut rest = data;
    let mut references = vec![(id_line(&mut rest, "tree ", "missingTree", "badTreeSha1")?, Kind::Tree)];
    while rest.starts_with(b"parent ") {
        references.push((id_line(&mut rest, "parent ", "missingParent", "badParentSha1")?, Kind::Commit));
    }
    let Some(author) = line(&mut rest, "author ") else {
        return fault("missingAuthor", "there is no author line");
    };
    person(author)?;
    if rest.starts_with(b"author ") {
        return fault("multipleAuthors", "there is more than one author line");
    }
    let Some(committer) = line(&mut rest, "committer ") else {
        return fault("missingCommitter", "there is no committer line");
    };
    person(committer)?;
    if data.contains(&0) {
        return fault("nulInCommit", "it holds a zero byte");
    }
    Ok(references)
}

fn tag(data: &[u8]) -> Result<Reference, Fault> {
    headers(data)?;
    let mut rest = data;
    let target = id_line(&mut rest, "object ", "missingObject", "badObjectSha1")?;
    let Some(word) = line(&mut rest, "type ") else {
        return fault("missingTypeEntry", "there is no type line");
    };
    let Some(kind) = kind_named(word) else {
        return fault("badType", format!("the type {} is unknown", shown(word)));
    };
    if line(&mut rest, "tag ").is_none() {
        return fault("missingTagEntry", "there is no tag line");
    }
    if let Some(tagger) = line(&mut rest, "tagger ") {
        person(tagger)?;
    }
    Ok((target, kind))
}

/// Headers hold no zero byte and end with a line break, at least their own.
fn headers(data: &[u8]) -> Result<(), Fault> {
    if data.len() > LARGEST_TEXT {
        return fault("tooLarge", format!("it has {} bytes, more than {LARGEST_TEXT}", data.len()));
    }
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    if data[..end].contains(&0) {
        return fault("nulInHeader", "its header holds a zero byte");
    }
    if end == data.len() && data.last() != Some(&b'\n') {
        return fault("unterminatedHeader", "its header does not end");
    }
    Ok(())
}

/// The rest of the next line, when it begins with `key`.
fn line<'a>(rest: &mut &'a [u8], key: &str) -> Option<&'a [u8]> {
    let value = rest.strip_prefix(key.as_bytes())?;
    let end = value.iter().position(|&b| b == b'\n')?;
    *rest = &value[end + 1..];
    Some(&value[..end])
}

fn id_line(rest: &mut &[u8], key: &str, missing: &'static str, bad: &'static str) -> Result<Oid, Fault> {
    let Some(value) = line(rest, key) else {
        return fault(missing, format!("there is no {key}line"));
    };
    let id = std::str::from_utf8(value).ok().and_then(|hex| hex.parse().ok());
    id.ok_or_else(|| (bad, format!("`{key}{}` names no object", shown(value))))
}

/// `name <address> seconds zone`, as strictly as git wants it.
fn person(text: &[u8]) -> Result<(), Fault> {
    let at = |from: usize| text[from..].iter().position(|b| matches!(b, b'<' | b'>')).map_or(text.len(), |n| from + n);
    if text.first() == Some(&b'<') {
        return fault("missingNameBeforeEmail", "a person has no name");
    }
    let open = at(0);
    match text.get(open) {
        Some(b'<') => {}
        Some(_) => return fault("badName", "a person's name holds `>`"),
        None => return fault("missingEmail", "a person has no address"),
    }
    if open == 0 || text[open - 1] != b' ' {
        return fault("missingSpaceBeforeEmail", "no space stands before a person's address");
    }
    let close = at(open + 1);
    if text.get(close) != Some(&b'>') {
        return fault("badEmail", "a person's address does not end");
    }
    let Some(rest) = text[close + 1..].strip_prefix(b" ") else {
        return fault("missingSpaceBeforeDate", "no space stands before a person's date");
    };
    date(rest)
}

fn date(text: &[u8]) -> Result<(), Fault> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || text.get(digits) != Some(&b' ') {
        return fault("badDate", "a date is no number of seconds");
    }
    if digits > 1 && text[0] == b'0' {
        return fault("zeroPaddedDate", "a date begins with zero");
    }
    let seconds = std::str::from_utf8(&text[..digits]).ok().and_then(|d| d.parse::<u64>().ok());
    if seconds.is_none_or(|s| s > i64::MAX as u64) {
        return fault("badDateOverflow", "a date is absurdly large");
    }
    match &text[digits + 1..] {
        [b'+' | b'-', zone @ ..] if zone.len() == 4 && zone.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => fault("badTimezone", "a time zone is not of the form +hhmm"),
    }
}

/// Foreign bytes for a message: short and without control characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    format!("`{}`", text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>())
}
