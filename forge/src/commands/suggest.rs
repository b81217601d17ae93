//! What reviewers propose to put in place of lines: read from their comments, and carried to the head as it is now.
//!
//! Invariant: reads only. Lines are carried over what changed above or below them; where they changed themselves, or what
//! changed cannot be told apart from them, the proposal does not apply.

use std::collections::HashMap;

use bytes::Bytes;
use notes_schema::{EntityId, Oid, suggestion};
use serde::Serialize;

use super::context::Project;
use super::items::Shown;
use super::place::{Found, On, Side, file, lines};
use crate::state::PullStatus;
use git::store::{Objects, ReadError};

/// Largest file of which lines are replaced.
/// Limit: file in which a suggestion replaces lines | {:bytes}
pub(super) const LARGEST: u64 = 1 << 20;
/// Most suggestions of one thread that are compared with the head.
/// Limit: suggestions of one thread that are shown with what they replace | {}, the newest
const MOST: usize = 64;
/// Most bytes of lines that are shown with what replaces them.
/// Limit: replaced lines that are shown with a suggestion | {:bytes}
const MOST_SHOWN: usize = 64 << 10;

/// What a comment proposes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Suggests {
    /// The lines as they were when it was said.
    was: String,
    /// The lines as they would be; none where they are to go.
    becomes: String,
    /// Whether the head has those lines now.
    pub applies: bool,
    /// What applies it.
    pub next: String,
}

/// Says of each comment of a pull request's thread what it suggests. Of what cannot be read nothing is said.
pub(super) fn fill(project: &Project, id: &EntityId, thread: &mut [Shown]) {
    let EntityId::Pull(n) = id else { return };
    let Some(pull) = project.snapshot.fold.pull(*n) else { return };
    let head = (pull.status == PullStatus::Open).then_some(pull.head);
    let mut files = Files { objects: project.repository.store().as_ref(), known: HashMap::new() };
    let path = format!("{}/{n}", project.repository.name());
    let said = thread.iter_mut().rev().filter(|event| event.text.is_some());
    let proposals = said.filter_map(|event| {
        let on = event.on.clone().filter(|on| on.side == Side::New)?;
        suggestion(event.text.as_deref()?).is_some().then_some((event, on))
    });
    for (event, on) in proposals.take(MOST) {
        event.suggests = of(&mut files, &on, event.text.as_deref().unwrap_or(""), head, &path, event.seq);
    }
}

fn of(files: &mut Files<'_>, on: &On, text: &str, head: Option<Oid>, path: &str, seq: u64) -> Option<Suggests> {
    let found = suggestion(text)?;
    let content = files.content(on.commit, &on.path)?;
    let old = lines(&content);
    let was = old.get(span(on.lines())?)?.concat();
    if was.len() > MOST_SHOWN {
        return None;
    }
    let becomes: String = found.lines.iter().map(|line| format!("{line}\n")).collect();
    let now = head.and_then(|head| files.content(head, &on.path));
    let applies = now.is_some_and(|now| {
        let now = lines(&now);
        carried(&old, &now, on.lines()).is_some_and(|place| replaced(&now, place, &found.lines).is_some())
    });
    let next = format!("apply {path} {seq}");
    Some(Suggests { was: String::from_utf8_lossy(&was).into_owned(), becomes, applies, next })
}

/// Files of commits, each read once.
struct Files<'a> {
    objects: &'a dyn Objects,
    known: HashMap<(Oid, String), Option<Bytes>>,
}

impl Files<'_> {
    fn content(&mut self, commit: Oid, path: &str) -> Option<Bytes> {
        let objects = self.objects;
        let read = || match file(objects, commit, path, LARGEST) {
            Ok(Found::Content(content)) => Some(content),
            Ok(Found::Nothing | Found::TooLarge) | Err(_) => None,
        };
        self.known.entry((commit, path.to_owned())).or_insert_with(read).clone()
    }
}

/// Why a proposal is not for the head.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// A commit that it rests on cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file is gone, or was never there.
    #[error("{0} has no such file")]
    NoFile(String),
    /// It is too large.
    #[error("the file is larger than {LARGEST} bytes")]
    TooLarge,
    /// The lines are others now.
    #[error("the lines changed since")]
    Changed,
    /// Nothing would change.
    #[error("those lines are as it suggests already")]
    Same,
}

/// The file at `on` in `head` with `proposed` in place of its lines.
pub(super) fn applied(objects: &dyn Objects, on: &On, head: Oid, proposed: &[&str]) -> Result<Vec<u8>, Unfit> {
    let read = |commit: Oid| match file(objects, commit, &on.path, LARGEST)? {
        Found::Content(content) => Ok(content),
        Found::Nothing => Err(Unfit::NoFile(commit.short())),
        Found::TooLarge => Err(Unfit::TooLarge),
    };
    let (old, now) = (read(on.commit)?, read(head)?);
    let now = lines(&now);
    let place = carried(&lines(&old), &now, on.lines()).ok_or(Unfit::Changed)?;
    replaced(&now, place, proposed).ok_or(Unfit::Same)
}

/// First and last line, from 1, as a range of a list of lines.
fn span((from, to): (u64, u64)) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(from.checked_sub(1)?).ok()?..usize::try_from(to).ok()?)
}

/// Where lines of `old` stand in `now`, which has other lines above or below them.
fn carried(old: &[&[u8]], now: &[&[u8]], (from, to): (u64, u64)) -> Option<(u64, u64)> {
    let shared = old.iter().zip(now).take_while(|(a, b)| a == b).count();
    if to <= shared as u64 {
        return Some((from, to));
    }
    let most = old.len().min(now.len()) - shared;
    let tail = old.iter().rev().zip(now.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (begins, by) = ((old.len() - tail) as u64, (now.len() as i64) - (old.len() as i64));
    (from > begins && to <= old.len() as u64)
        .then(|| Some((from.checked_add_signed(by)?, to.checked_add_signed(by)?)))
        .flatten()
}

/// The file with `proposed` in place of those lines, which end as they did; none where that changes nothing.
fn replaced(now: &[&[u8]], place: (u64, u64), proposed: &[&str]) -> Option<Vec<u8>> {
    let span = span(place)?;
    let gone = now.get(span.clone())?;
    let ends: &[u8] = if gone.first()?.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    let mut came: Vec<u8> = proposed.iter().flat_map(|line| [line.as_bytes(), ends]).flatten().copied().collect();
    let unended = gone.last().is_some_and(|last| !last.ends_with(b"\n"));
    if unended && came.ends_with(ends) {
        came.truncate(came.len() - ends.len());
    }
    let new = [now[..span.start].concat(), came, now[span.end..].concat()].concat();
    (new != now.concat()).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(old: &str, now: &str, place: (u64, u64)) -> Option<(u64, u64)> {
        carried(&lines(old.as_bytes()), &lines(now.as_bytes()), place)
    }

    #[test]
    fn lines_are_found_again_where_they_did_not_change() {
        let old = "a\nb\nc\nd\n";
        assert_eq!(moved(old, old, (2, 3)), Some((2, 3)));
        assert_eq!(moved(old, "a\nb\nc\nD\n", (2, 3)), Some((2, 3)), "changed below");
        assert_eq!(moved(old, "x\ny\na\nb\nc\nd\n", (2, 3)), Some((4, 5)), "changed above");
        assert_eq!(moved(old, "c\nd\n", (3, 4)), Some((1, 2)));
        for now in ["a\nB\nc\nd\n", "a\nb\nx\nc\nd\n", "a\nd\n", "", "A\nb\nc\nD\n"] {
            assert_eq!(moved(old, now, (2, 3)), None, "{now}");
        }
        assert_eq!(moved("}\n}\n}\n", "}\n}\n", (2, 2)), Some((2, 2)), "as good as any of them");
        assert_eq!(moved(old, old, (4, 9)), None);
    }

    #[test]
    fn what_replaces_lines_ends_as_they_did() {
        let of = |now: &str, place, proposed: &[&str]| {
            replaced(&lines(now.as_bytes()), place, proposed).map(|new| String::from_utf8(new).unwrap())
        };
        assert_eq!(of("a\nb\nc\n", (2, 2), &["x", "y"]).as_deref(), Some("a\nx\ny\nc\n"));
        assert_eq!(of("a\r\nb\r\n", (1, 2), &["x"]).as_deref(), Some("x\r\n"));
        assert_eq!(of("a\nb", (2, 2), &["x"]).as_deref(), Some("a\nx"));
        assert_eq!(of("a\nb", (2, 2), &[]).as_deref(), Some("a\n"));
        assert_eq!(of("a\nb\n", (2, 2), &["b"]), None);
        assert_eq!(of("a\n", (2, 2), &["b"]), None);
    }
}
