//! `git blame`: which commit each line of a file comes from.
//!
//! Lines start out with the commit that is asked about. Each commit, the youngest first, hands the lines that a parent
//! has as well to that parent, and keeps the others. A file that a parent has under another name is found as `git blame`
//! finds it: a whole file that was renamed.
//!
//! Invariant: reads only, never recurses. When a budget is used up, what is not settled by then is said to be unsettled;
//! nothing is guessed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use gix::diff::blob::{Algorithm, InternedInput, diff_with_slider_heuristics};
use notes_schema::Oid;

use super::diff::{self, DiffError};
use super::graph::{Commits, Node, PathKeys};
use super::log::MOST_CHANGES;
use super::object::{Kind, Mode};
use super::select::ids::IdMap;
use super::store::Objects;
use super::trail::Trail;

/// How much may be spent on one answer.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Largest file, in bytes.
    pub bytes: usize,
    /// Most lines of it.
    pub lines: usize,
    /// Most commits that are looked at.
    pub commits: usize,
    /// Most bytes of files that are compared.
    pub compared: usize,
}

/// What one answer may take unless somebody asks for less.
/// Limit: blame | a file of {bytes:bytes} and {lines} lines, {commits} commits, {compared:bytes} compared; what is
/// not settled by then is marked
const BLAME: Budget = Budget { bytes: 8 << 20, lines: 200_000, commits: 200_000, compared: 512 << 20 };

impl Default for Budget {
    fn default() -> Self {
        BLAME
    }
}

/// Lines next to each other that come from one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The commit; for a span that is not settled the one at which the search ended.
    pub commit: Oid,
    /// The file's path in that commit.
    pub path: Vec<u8>,
    /// The first line in that commit, from 0.
    pub original: usize,
    /// The first line in the file that was asked about, from 0.
    pub first: usize,
    /// How many lines.
    pub count: usize,
    /// Whether the lines come from this very commit; otherwise from it or from one before.
    pub settled: bool,
}

/// Why a file is not blamed.
#[derive(Debug, thiserror::Error)]
pub enum BlameError {
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] DiffError),
    /// There is no such file.
    #[error("there is no file at this path")]
    NoFile,
    /// It is too large.
    #[error("the file has {0}, and {1} are blamed at most")]
    TooLarge(String, usize),
}

impl From<super::store::ReadError> for BlameError {
    fn from(error: super::store::ReadError) -> Self {
        BlameError::Read(error.into())
    }
}

/// A file, blamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// The file.
    pub content: Bytes,
    /// Every line, in order.
    pub spans: Vec<Span>,
    /// Whether a budget ended the search before every line was settled.
    pub partial: bool,
}

/// Lines that a commit may be guilty of: where they stand in its file, and in the one that was asked about.
#[derive(Debug, Clone, Copy)]
struct Piece {
    here: usize,
    first: usize,
    count: usize,
}

/// A file in a commit under suspicion.
struct Suspect {
    path: Arc<Vec<u8>>,
    blob: Oid,
    pieces: Vec<Piece>,
}

/// A file in a parent: its path and content there.
type Origin = (Arc<Vec<u8>>, Oid);

struct Search<'o, O: ?Sized> {
    commits: Commits<'o, O>,
    budget: Budget,
    /// The youngest first.
    queue: BinaryHeap<(i64, Reverse<u64>, Oid)>,
    met: u64,
    suspects: IdMap<Vec<Suspect>>,
    keys: HashMap<Arc<Vec<u8>>, Arc<PathKeys>>,
    /// The file and the trail that were read last: those of a parent are the next commit's own.
    read: Option<(Oid, Bytes)>,
    walked: Option<(Oid, Vec<u8>, Trail)>,
    spans: Vec<Span>,
}

/// Blames the file at `path` (names joined by slashes) in the commit `tip`.
pub fn blame<O: Objects + ?Sized>(objects: &O, tip: Oid, path: &[u8], budget: Budget) -> Result<Blamed, BlameError> {
    let mut search = Search {
        commits: Commits::new(objects),
        budget,
        queue: BinaryHeap::new(),
        met: 0,
        suspects: IdMap::default(),
        keys: HashMap::new(),
        read: None,
        walked: None,
        spans: Vec::new(),
    };
    let tree = search.commits.node(tip)?.tree;
    let blob = search.file(tree, path)?.ok_or(BlameError::NoFile)?;
    let content = objects.get_kind(blob, Kind::Blob)?.data;
    if content.len() > budget.bytes {
        return Err(BlameError::TooLarge(format!("{} bytes", content.len()), budget.bytes));
    }
    let count = lines(&content).len();
    if count > budget.lines {
        return Err(BlameError::TooLarge(format!("{count} lines"), budget.lines));
    }
    let whole = (count > 0).then_some(Piece { here: 0, first: 0, count });
    search.suspect(tip, Suspect { path: Arc::new(path.to_owned()), blob, pieces: whole.into_iter().collect() })?;
    search.run()?;
    let mut spans = search.spans;
    let partial = spans.iter().any(|span| !span.settled);
    spans.sort_by_key(|span| span.first);
    spans.dedup_by(|next, span| {
        let joins = span.commit == next.commit
            && span.path == next.path
            && span.settled == next.settled
            && span.first + span.count == next.first
            && span.original + span.count == next.original;
        span.count += if joins { next.count } else { 0 };
        joins
    });
    Ok(Blamed { content, spans, partial })
}

impl<O: Objects + ?Sized> Search<'_, O> {
    /// The regular file or link at a path.
    fn file(&mut self, tree: Oid, path: &[u8]) -> Result<Option<Oid>, BlameError> {
        Ok(self.standing(tree, path)?.map(|(_, id)| id))
    }

    fn standing(&mut self, tree: Oid, path: &[u8]) -> Result<Option<(Mode, Oid)>, BlameError> {
        let near = self.walked.take().filter(|(_, other, _)| other == path);
        let walked = match near {
            Some(same) if same.0 == tree => same,
            near => {
                let near = near.as_ref().map(|(_, _, trail)| trail);
                (tree, path.to_owned(), Trail::walk(self.commits.objects(), tree, path, near)?)
            }
        };
        let end = walked.2.end();
        self.walked = Some(walked);
        Ok(end.filter(|(mode, _)| matches!(mode, Mode::File | Mode::Executable | Mode::Link)))
    }

    fn content(&mut self, blob: Oid) -> Result<Bytes, BlameError> {
        if let Some((_, data)) = self.read.as_ref().filter(|(id, _)| *id == blob) {
            return Ok(data.clone());
        }
        Ok(self.commits.objects().get_kind(blob, Kind::Blob)?.data)
    }

    fn suspect(&mut self, commit: Oid, suspect: Suspect) -> Result<(), BlameError> {
        if suspect.pieces.is_empty() {
            return Ok(());
        }
        let seconds = self.commits.node(commit)?.seconds;
        let known = self.suspects.entry(commit).or_default();
        if known.is_empty() {
            self.queue.push((seconds, Reverse(self.met), commit));
            self.met += 1;
        }
        match known.iter_mut().find(|other| other.path == suspect.path) {
            Some(other) => other.pieces.extend(suspect.pieces),
            None => known.push(suspect),
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), BlameError> {
        while let Some((_, _, id)) = self.queue.pop() {
            let suspects = self.suspects.remove(&id).unwrap_or_default();
            if self.budget.commits == 0 || self.budget.compared == 0 {
                for suspect in suspects {
                    self.settle(id, suspect, false);
                }
                for (commit, suspects) in std::mem::take(&mut self.suspects) {
                    suspects.into_iter().for_each(|suspect| self.settle(commit, suspect, false));
                }
                return Ok(());
            }
            self.budget.commits -= 1;
            let node = self.commits.node(id)?;
            let alone = self.queue.is_empty() && suspects.len() == 1;
            for suspect in suspects {
                self.pass(id, &node, suspect, alone)?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, commit: Oid, suspect: Suspect, settled: bool) {
        for Piece { here, first, count } in suspect.pieces {
            let path = suspect.path.to_vec();
            self.spans.push(Span { commit, path, original: here, first, count, settled });
        }
    }

    /// Hands to the parents what they have as well; the commit is guilty of the rest. Where it is `alone` under suspicion,
    /// whoever surely did not touch the file is passed at once.
    fn pass(&mut self, id: Oid, node: &Node, mut suspect: Suspect, alone: bool) -> Result<(), BlameError> {
        let keys = self.keys(&suspect.path);
        if let Some(&first) = node.parents.first()
            && !self.commits.may_change(id, &keys)
        {
            let most = if alone { self.budget.commits } else { 0 };
            let (next, passed) = self.commits.pass(first, &keys, most);
            self.budget.commits -= passed;
            return self.suspect(next, suspect);
        }
        suspect.pieces.sort_by_key(|piece| piece.here);
        let Some(origins) = self.origins(node, &suspect)? else { return Ok(()) };
        let mut mine: Option<Bytes> = None;
        for (parent, (path, blob)) in origins {
            let new = match &mine {
                Some(data) => data.clone(),
                None => mine.insert(self.content(suspect.blob)?).clone(),
            };
            let old = self.content(blob)?;
            self.read = Some((blob, old.clone()));
            let room = self.budget.compared.checked_sub(old.len() + new.len());
            self.budget.compared = room.unwrap_or(0);
            if room.is_none() || old.len() > self.budget.bytes {
                self.settle(id, suspect, false);
                return Ok(());
            }
            let (passed, kept) = split(&old, &new, &suspect.pieces);
            self.suspect(parent, Suspect { path, blob, pieces: passed })?;
            suspect.pieces = kept;
            if suspect.pieces.is_empty() {
                break;
            }
        }
        self.settle(id, suspect, true);
        Ok(())
    }

    fn keys(&mut self, path: &Arc<Vec<u8>>) -> Arc<PathKeys> {
        self.keys.entry(path.clone()).or_insert_with(|| Arc::new(PathKeys::new([path.as_slice()]))).clone()
    }

    /// The file in each parent, by its name or else by a former one. `None` when a parent has the very same file: all
    /// lines were handed to it.
    fn origins(&mut self, node: &Node, suspect: &Suspect) -> Result<Option<Vec<(Oid, Origin)>>, BlameError> {
        let mode = self.standing(node.tree, &suspect.path)?.map(|(mode, _)| mode);
        let mut found: BTreeMap<usize, (Oid, Origin)> = BTreeMap::new();
        for renamed in [false, true] {
            for (at, &parent) in node.parents.iter().enumerate() {
                if found.contains_key(&at) {
                    continue;
                }
                let tree = self.commits.node(parent)?.tree;
                let origin = match renamed {
                    false => {
                        let there = self.standing(tree, &suspect.path)?;
                        let same_class =
                            |(other, _): &(Mode, Oid)| (*other == Mode::Link) == (mode == Some(Mode::Link));
                        there.filter(same_class).map(|(_, blob)| (suspect.path.clone(), blob))
                    }
                    true => self.former(tree, node.tree, &suspect.path)?,
                };
                let Some((path, blob)) = origin else { continue };
                if blob == suspect.blob {
                    self.suspect(parent, Suspect { path, blob, pieces: suspect.pieces.clone() })?;
                    return Ok(None);
                }
                found.insert(at, (parent, (path, blob)));
            }
        }
        Ok(Some(found.into_values().collect()))
    }

    fn former(&self, old: Oid, new: Oid, path: &[u8]) -> Result<Option<Origin>, BlameError> {
        let objects = self.commits.objects();
        let changes = diff::changed_paths(objects, Some(old), Some(new), MOST_CHANGES)?;
        let source = diff::source_of(objects, &changes, path)?;
        Ok(source.and_then(|source| Some((Arc::new(source.path.clone()), source.old?.1))))
    }
}

fn lines(data: &[u8]) -> Vec<&[u8]> {
    data.split_inclusive(|&byte| byte == b'\n').collect()
}

/// git compares without most of the end that two files share, in whole blocks up to a line.
fn without_common_end<'d>(old: &'d [u8], new: &'d [u8]) -> (&'d [u8], &'d [u8]) {
    const BLOCK: usize = 1024;
    let same = old.rchunks(BLOCK).zip(new.rchunks(BLOCK)).take_while(|(a, b)| a.len() == BLOCK && a == b).count();
    let trimmed = same * BLOCK;
    let end = &old[old.len() - trimmed..];
    let kept = end.iter().position(|&byte| byte == b'\n').map_or(trimmed, |at| at + 1);
    (&old[..old.len() - trimmed + kept], &new[..new.len() - trimmed + kept])
}

/// Which of the `pieces` (sorted) of `new` stand in `old` as well, and which do not.
fn split(old: &[u8], new: &[u8], pieces: &[Piece]) -> (Vec<Piece>, Vec<Piece>) {
    let (old_part, new_part) = without_common_end(old, new);
    let input = InternedInput::new(old_part, new_part);
    let diff = diff_with_slider_heuristics(Algorithm::Myers, &input);
    let mut hunks = diff.hunks().peekable();
    let (mut passed, mut kept) = (Vec::new(), Vec::new());
    // How far lines behind the hunks so far are shifted.
    let mut shift = 0i64;
    for &piece in pieces {
        let (mut at, end) = (piece.here, piece.here + piece.count);
        while at < end {
            while let Some(hunk) = hunks.next_if(|hunk| hunk.after.end as usize <= at) {
                shift = i64::from(hunk.before.end) - i64::from(hunk.after.end);
            }
            let (start, stop) = hunks.peek().map_or((end, end), |h| (h.after.start as usize, h.after.end as usize));
            let first = piece.first + (at - piece.here);
            if at >= start && at < stop {
                let upto = stop.min(end);
                kept.push(Piece { here: at, first, count: upto - at });
                at = upto;
            } else {
                let upto = if start > at { start.min(end) } else { end };
                passed.push(Piece { here: (at as i64 + shift) as usize, first, count: upto - at });
                at = upto;
            }
        }
    }
    (passed, kept)
}

#[cfg(test)]
mod tests;
