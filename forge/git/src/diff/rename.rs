//! Files that only have another path: the same content first, then whatever is similar enough, as git finds them.
//!
//! Invariant: work is bounded. A file is compared with others only while [`MOST_PAIRS`] and [`MOST_READ`] last, and what
//! is left over is a removal and an addition.

use std::collections::{HashMap, HashSet};

use notes_schema::Oid;

use super::{Change, DiffError, Source};
use crate::object::{Kind, Mode};
use crate::store::Objects;

/// Most pairs of a removed and an added file that are compared (git's `diff.renameLimit`, squared).
/// Limit: renames looked for in one diff | {} pairs; the rest are removals and additions
const MOST_PAIRS: usize = 1_000_000;
/// Most bytes of files that are read for it.
/// Limit: bytes of files read for that | {:bytes}
const MOST_READ: usize = 64 << 20;
/// Larger files are renamed only with the very same content.
/// Limit: file that is compared for that | {:bytes}; a larger one is renamed with the same content alone
const LARGEST: usize = 8 << 20;
/// What git counts similarity in, and how much of it a rename has at least; without a doubt when names are the same.
const WHOLE: u64 = 60_000;
const SIMILAR: u64 = WHOLE / 2;
const SIMILAR_AND_NAMED: u64 = WHOLE * 3 / 4;
/// Best sources that are kept for each target.
const CANDIDATES: usize = 4;

/// How much of a text there is of each piece: pieces end with a line, or after 64 bytes.
struct Pieces {
    size: u64,
    counts: HashMap<u32, u64>,
}

impl Pieces {
    fn of(data: &[u8]) -> Pieces {
        let is_text = !data[..data.len().min(8000)].contains(&0);
        let mut counts = HashMap::new();
        let (mut length, mut high, mut low) = (0u64, 0u32, 0u32);
        let mut end = |length: &mut u64, high: &mut u32, low: &mut u32| {
            let hash = high.wrapping_add(low.wrapping_mul(0x61)) % 107_927;
            *counts.entry(hash).or_insert(0) += std::mem::take(length);
            (*high, *low) = (0, 0);
        };
        for (at, &byte) in data.iter().enumerate() {
            if is_text && byte == b'\r' && data.get(at + 1) == Some(&b'\n') {
                continue;
            }
            let before = high;
            high = (high << 7) ^ (low >> 25);
            low = (low << 7) ^ (before >> 25);
            high = high.wrapping_add(u32::from(byte));
            length += 1;
            if length >= 64 || byte == b'\n' {
                end(&mut length, &mut high, &mut low);
            }
        }
        if length > 0 {
            end(&mut length, &mut high, &mut low);
        }
        Pieces { size: data.len() as u64, counts }
    }

    /// How much of the larger one stems from the smaller.
    fn similarity(&self, to: &Pieces) -> u64 {
        let largest = self.size.max(to.size);
        if largest == 0 {
            return 0;
        }
        let shared: u64 = self.counts.iter().map(|(piece, count)| *count.min(to.counts.get(piece).unwrap_or(&0))).sum();
        (shared * WHOLE / largest).min(WHOLE)
    }
}

/// Reads each file once, as long as the budget lasts.
struct Reader<'o, O: ?Sized> {
    objects: &'o O,
    left: usize,
    known: HashMap<Oid, Option<Pieces>>,
}

impl<O: Objects + ?Sized> Reader<'_, O> {
    fn read(&mut self, id: Oid) -> Result<(), DiffError> {
        if self.known.contains_key(&id) {
            return Ok(());
        }
        let data = self.objects.get_kind(id, Kind::Blob)?.data;
        let fits = data.len() <= LARGEST && data.len() <= self.left;
        self.left = self.left.saturating_sub(data.len());
        self.known.insert(id, fits.then(|| Pieces::of(&data)));
        Ok(())
    }

    fn similarity(&mut self, old: Oid, new: Oid) -> Result<u64, DiffError> {
        self.read(old)?;
        self.read(new)?;
        Ok(match (self.known.get(&old), self.known.get(&new)) {
            (Some(Some(old)), Some(Some(new))) => old.similarity(new),
            _ => 0,
        })
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn is_file(side: Option<(Mode, Oid)>) -> Option<(Mode, Oid)> {
    side.filter(|(mode, _)| matches!(mode, Mode::File | Mode::Executable | Mode::Link))
}

/// Whether one may have become the other: links stay links.
fn alike(old: Mode, new: Mode) -> bool {
    (old == Mode::Link) == (new == Mode::Link)
}

/// A removed and an added file among the changes: where, and what stood or stands there.
struct End<'c> {
    at: usize,
    path: &'c [u8],
    mode: Mode,
    id: Oid,
}

/// `changes`, in which a file that was removed at one path and added at another is one change. Order is that of the new
/// paths.
pub fn with_renames<O: Objects + ?Sized>(objects: &O, changes: Vec<Change>) -> Result<Vec<Change>, DiffError> {
    let pairs = pairs(objects, &changes, None)?;
    let gone: HashSet<usize> = pairs.iter().map(|pair| pair.old).collect();
    let mut sources: HashMap<usize, (Source, Option<(Mode, Oid)>)> = pairs
        .iter()
        .map(|pair| {
            let source = Source { path: changes[pair.old].path.clone(), percent: (pair.score * 100 / WHOLE) as u8 };
            (pair.new, (source, changes[pair.old].old))
        })
        .collect();
    let renamed = changes.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(at, mut change)| {
        if let Some((source, old)) = sources.remove(&at) {
            (change.from, change.old) = (Some(source), old);
        }
        change
    });
    Ok(renamed.collect())
}

/// The removed file among `changes` that became the one added at `path`, if there is one.
pub fn source_of<'c, O: Objects + ?Sized>(
    objects: &O,
    changes: &'c [Change],
    path: &[u8],
) -> Result<Option<&'c Change>, DiffError> {
    Ok(pairs(objects, changes, Some(path))?.first().map(|pair| &changes[pair.old]))
}

struct Pair {
    old: usize,
    new: usize,
    score: u64,
}

fn pairs<O: Objects + ?Sized>(objects: &O, changes: &[Change], only: Option<&[u8]>) -> Result<Vec<Pair>, DiffError> {
    let mut olds = Vec::new();
    let mut news = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        match (is_file(change.old), is_file(change.new)) {
            (Some((mode, id)), None) if change.new.is_none() => olds.push(End { at, path: &change.path, mode, id }),
            (None, Some((mode, id))) if change.old.is_none() && only.is_none_or(|path| path == change.path) => {
                news.push(End { at, path: &change.path, mode, id });
            }
            _ => {}
        }
    }
    let mut found = Found { pairs: Vec::new(), used: HashSet::new(), named: HashSet::new() };
    exact(&olds, &news, &mut found);
    let mut reader = Reader { objects, left: MOST_READ, known: HashMap::new() };
    same_name(&mut reader, &olds, &news, &mut found)?;
    similar(&mut reader, &olds, &news, &mut found)?;
    Ok(found.pairs)
}

struct Found {
    pairs: Vec<Pair>,
    /// Removed files that were used, and added ones whose source is known.
    used: HashSet<usize>,
    named: HashSet<usize>,
}

impl Found {
    fn take(&mut self, old: &End, new: &End, score: u64) {
        self.pairs.push(Pair { old: old.at, new: new.at, score });
        self.used.insert(old.at);
        self.named.insert(new.at);
    }

    fn is_open(&self, old: &End, new: &End) -> bool {
        alike(old.mode, new.mode) && !self.used.contains(&old.at) && !self.named.contains(&new.at)
    }
}

/// The same content; of several the one with the same name, else the first.
fn exact(olds: &[End], news: &[End], found: &mut Found) {
    let mut by_id: HashMap<Oid, Vec<&End>> = HashMap::new();
    for old in olds {
        by_id.entry(old.id).or_default().push(old);
    }
    for new in news {
        let same = by_id.get(&new.id).map_or(&[][..], Vec::as_slice);
        let mut open = same.iter().filter(|old| found.is_open(old, new));
        let first = open.next().copied();
        let named = |old: &&&End| base_name(old.path) == base_name(new.path);
        let best = first.into_iter().find(|old| named(&old)).or_else(|| open.find(named).copied()).or(first);
        if let Some(old) = best {
            found.take(old, new, WHOLE);
        }
    }
}

/// A name that one removed and one added file have, and no others, needs no search.
fn same_name<O: Objects + ?Sized>(
    reader: &mut Reader<'_, O>,
    olds: &[End],
    news: &[End],
    found: &mut Found,
) -> Result<(), DiffError> {
    let once = |ends: &[End], taken: &HashSet<usize>| {
        let mut names: HashMap<Vec<u8>, Option<usize>> = HashMap::new();
        for (n, end) in ends.iter().enumerate().filter(|(_, end)| !taken.contains(&end.at)) {
            names.entry(base_name(end.path).to_vec()).and_modify(|n| *n = None).or_insert(Some(n));
        }
        names
    };
    let (of_old, of_new) = (once(olds, &found.used), once(news, &found.named));
    for new in news {
        let name = base_name(new.path);
        let (Some(Some(n)), Some(Some(_))) = (of_old.get(name), of_new.get(name)) else { continue };
        let old = &olds[*n];
        if found.is_open(old, new) && old.mode != Mode::Link {
            let score = reader.similarity(old.id, new.id)?;
            if score >= SIMILAR_AND_NAMED {
                found.take(old, new, score);
            }
        }
    }
    Ok(())
}

/// Everything left with everything left, the most similar first.
fn similar<O: Objects + ?Sized>(
    reader: &mut Reader<'_, O>,
    olds: &[End],
    news: &[End],
    found: &mut Found,
) -> Result<(), DiffError> {
    let olds: Vec<&End> = olds.iter().filter(|old| !found.used.contains(&old.at) && old.mode != Mode::Link).collect();
    let news: Vec<&End> = news.iter().filter(|new| !found.named.contains(&new.at) && new.mode != Mode::Link).collect();
    if olds.len().saturating_mul(news.len()) > MOST_PAIRS {
        return Ok(());
    }
    let mut candidates: Vec<(u64, bool, &End, &End)> = Vec::new();
    for new in news {
        let mut best: Vec<(u64, bool, &End, &End)> = Vec::new();
        for old in &olds {
            let score = reader.similarity(old.id, new.id)?;
            if score < SIMILAR {
                continue;
            }
            best.push((score, base_name(old.path) == base_name(new.path), old, new));
            best.sort_by_key(|(score, named, ..)| std::cmp::Reverse((*score, *named)));
            best.truncate(CANDIDATES);
        }
        candidates.append(&mut best);
    }
    candidates.sort_by_key(|(score, named, ..)| std::cmp::Reverse((*score, *named)));
    for (score, _, old, new) in candidates {
        if found.is_open(old, new) {
            found.take(old, new, score);
        }
    }
    Ok(())
}
