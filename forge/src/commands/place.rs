//! Lines of a change: how a reviewer names them, which they are, and what stands there.
//!
//! Invariant: a place is looked up before it is written: what the head has, or for what the change removes, the base.

use bytes::Bytes;
use notes_schema::event::{Place, Reviewed};
use notes_schema::names::parse_number;
use notes_schema::{Fact, Oid};
use serde::Serialize;

use super::Context;
use super::context::Project;
use super::rounds::Round;
use crate::answer::{Code, Refusal};
use git::history;
use git::object::{Kind, Mode};
use git::store::{Objects, ReadError};

/// Largest file of which a line is looked up, in bytes.
/// Limit: file of which a reviewer names a line | {:bytes}
const LARGEST: u64 = 8 << 20;
/// Most lines that one comment is about.
/// Limit: lines that one comment of a review is about | {}
const MOST_LINES: u64 = 500;

/// On which side of a change a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The base, which has what the change removes.
    Old,
    /// The head.
    New,
}

/// Lines that were commented on, as commands show them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct On {
    /// The head that was looked at.
    pub head: Oid,
    pub path: String,
    /// The first line, from 1.
    pub line: u64,
    /// The last one, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    pub side: Side,
    /// The commit that has those lines: the head, or the base of its round.
    pub commit: Oid,
}

impl On {
    /// What a fact is about.
    pub(super) fn of(fact: &Fact) -> Option<On> {
        let Fact::Reviewed(Reviewed { head, at: Some(at), .. }) = fact else { return None };
        let side = if at.old { Side::Old } else { Side::New };
        Some(On { head: *head, path: at.path.clone(), line: at.line, to: at.to, side, commit: *head })
    }

    /// The same, among the rounds of its pull request.
    pub(super) fn among(&mut self, rounds: &[Round]) {
        if let (Side::Old, Some(round)) = (self.side, rounds.iter().rev().find(|round| round.head == self.head)) {
            self.commit = round.base;
        }
    }

    /// First and last line.
    pub(super) fn lines(&self) -> (u64, u64) {
        (self.line, self.to.unwrap_or(self.line))
    }
}

/// `src/lib.rs:12`, `src/lib.rs:12-14` or, of what is removed, `src/lib.rs:-9`.
fn parse(word: &str) -> Option<Place> {
    let (path, lines) = word.rsplit_once(':')?;
    let place = |line: &str, to, old| Some(Place { path: path.to_owned(), line: parse_number(line)?, to, old });
    match lines.split_once('-') {
        None => place(lines, None, false),
        Some(("", line)) => place(line, None, true),
        Some((from, to)) => {
            let to = parse_number(to)?;
            place(from, Some(to), false).filter(|place| place.line < to)
        }
    }
}

/// The lines that `--at` names in pull request `n`, which must have them.
pub(super) fn named(context: &Context, project: &Project, n: u64, word: &str) -> Result<Place, Refusal> {
    let name = project.repository.name();
    let next = format!("pr {name}/{n} --diff");
    let refuse = |why: String| Refusal::new(Code::Usage, format!("--at {word}"), why, &next);
    let how = "--at is a file and a line of it: src/lib.rs:12, src/lib.rs:12-14 for several, src/lib.rs:-9 for one that is \
               removed";
    let place = parse(word).ok_or_else(|| context.usage(how))?;
    if place.to.is_some_and(|to| to - place.line >= MOST_LINES) {
        return Err(refuse(format!("a comment is about at most {MOST_LINES} lines")));
    }
    let Some(pull) = project.snapshot.fold.pull(n) else { return Err(refuse("it is no pull request".to_owned())) };
    let commit = if place.old { pull.base } else { pull.head };
    let unread = |e: ReadError| Refusal::new(Code::TryLater, "review", e.to_string(), &next);
    let found = file(project.repository.store().as_ref(), commit, &place.path, LARGEST).map_err(unread)?;
    let content = match found {
        Found::Content(content) => content,
        Found::Nothing => return Err(refuse(format!("{} has no such file", commit.short()))),
        Found::TooLarge => return Err(refuse(format!("the file is larger than {LARGEST} bytes"))),
    };
    let lines = lines(&content).len() as u64;
    if place.to.unwrap_or(place.line) > lines {
        return Err(refuse(format!("the file has {lines} lines")));
    }
    Ok(place)
}

/// What stands at a path.
pub(super) enum Found {
    /// No file.
    Nothing,
    /// One that is larger than was asked for.
    TooLarge,
    /// A file.
    Content(Bytes),
}

/// The file at `path` of a commit, where it is at most `most` bytes.
pub(super) fn file<O: Objects + ?Sized>(objects: &O, commit: Oid, path: &str, most: u64) -> Result<Found, ReadError> {
    let tree = objects.commit(commit)?.tree;
    let entry = history::entry_at(objects, tree, path)?;
    let Some(entry) = entry.filter(|entry| matches!(entry.mode, Mode::File | Mode::Executable)) else {
        return Ok(Found::Nothing);
    };
    if objects.size(entry.id)? > most {
        return Ok(Found::TooLarge);
    }
    Ok(Found::Content(objects.get_kind(entry.id, Kind::Blob)?.data))
}

/// The lines of a file, their breaks included.
pub(super) fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_shown_alike() {
        for word in ["src/lib.rs:12", "src/lib.rs:12-14", "a:b:-9"] {
            assert_eq!(parse(word).unwrap().to_string(), word);
        }
        for bad in ["x", "x:", "x:0", "x:-0", "x:3-3", "x:3-2", "x:-3-4", "x:1-", "x:a", "x:+1", "x:01"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
