//! Changes as a patch, as `git diff --abbrev=10 --histogram` prints them, with or without renames.

use std::ops::Range;

use gix::diff::blob::{Algorithm, Diff, Hunk, InternedInput, diff_with_slider_heuristics};
use notes_schema::Oid;

use super::{Change, DiffError};
use crate::object::{Kind, Mode};
use crate::store::Objects;

/// Unchanged lines shown around a change.
const CONTEXT: u32 = 3;
/// Where git looks for a zero byte to tell binary from text.
const SNIFF: usize = 8000;
/// Larger files are treated as binary.
/// Limit: file that is shown line by line in a diff | {:bytes}; a larger one is shown as binary
const LARGEST_TEXT: usize = 8 << 20;
/// Bytes of files compared for one patch; what comes after is counted as binary.
/// Limit: bytes of files compared for one diff | {:bytes}; what comes after is shown as binary
const MOST_COMPARED: usize = 64 << 20;
/// Longest function name behind a hunk's header.
/// Limit: name of a function behind a hunk | {} characters, the rest is cut off
const LONGEST_NAME: usize = 80;
const ABBREVIATED: usize = 10;

/// Changes as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The patch. Files may hold any bytes, and so may this.
    pub text: Vec<u8>,
    /// Whether something was left out because there was too much; the text then ends after a whole line.
    pub truncated: bool,
    /// Lines added, in everything, left out or not.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// How much changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: usize,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// How many lines changed; binary files count as files without lines.
pub fn numstat<O: Objects + ?Sized>(objects: &O, changes: &[Change]) -> Result<Totals, DiffError> {
    let patch = unified(objects, changes, 0)?;
    Ok(Totals { files: changes.len(), added: patch.added, removed: patch.removed })
}

/// Whether a line whose blanks alone are others is another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blanks {
    /// It is.
    #[default]
    Matter,
    /// It is not: `git diff -w`.
    Ignored,
}

/// The changes as text of at most `max_bytes`. Untruncated text without binary files is what `git apply` takes.
pub fn unified<O: Objects + ?Sized>(objects: &O, changes: &[Change], max_bytes: usize) -> Result<Patch, DiffError> {
    unified_where(objects, changes, max_bytes, Blanks::Matter)
}

/// [`unified`], where `blanks` matter or not. A file of which nothing but blanks changed is left out where they do not.
pub fn unified_where<O: Objects + ?Sized>(
    objects: &O,
    changes: &[Change],
    max_bytes: usize,
    blanks: Blanks,
) -> Result<Patch, DiffError> {
    let mut patch = Patch::default();
    let mut budget = MOST_COMPARED;
    for change in changes {
        for half in sections(change) {
            let text = file(objects, &half, blanks, &mut budget, &mut patch)?;
            append(&mut patch, &text, max_bytes);
        }
    }
    Ok(patch)
}

/// What a patch says of one change: a file that became something else entirely is removed and made anew.
pub(crate) fn sections(change: &Change) -> impl Iterator<Item = Change> {
    let retyped = matches!((change.old, change.new), (Some((old, _)), Some((new, _))) if class(old) != class(new));
    let halves = match retyped {
        true => [Some(Change { new: None, ..change.clone() }), Some(Change { old: None, ..change.clone() })],
        false => [Some(change.clone()), None],
    };
    halves.into_iter().flatten()
}

/// Adds `text`, or as many whole lines of it as still fit.
fn append(patch: &mut Patch, text: &[u8], max_bytes: usize) {
    if patch.truncated {
        return;
    }
    let room = max_bytes.saturating_sub(patch.text.len());
    if text.len() <= room {
        patch.text.extend_from_slice(text);
        return;
    }
    patch.truncated = true;
    let whole = text[..room].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    patch.text.extend_from_slice(&text[..whole]);
}

fn class(mode: Mode) -> u8 {
    match mode {
        Mode::File | Mode::Executable => 0,
        Mode::Link => 1,
        Mode::Submodule => 2,
        Mode::Tree => 3,
    }
}

fn file<O: Objects + ?Sized>(
    objects: &O,
    change: &Change,
    blanks: Blanks,
    budget: &mut usize,
    patch: &mut Patch,
) -> Result<Vec<u8>, DiffError> {
    let mut text = header(change, ABBREVIATED);
    if change.old.map(|(_, id)| id) == change.new.map(|(_, id)| id) {
        return Ok(text);
    }
    let old = content(objects, change.old)?;
    let new = content(objects, change.new)?;
    let compared = old.len() + new.len();
    if is_binary(&old) || is_binary(&new) || compared > *budget {
        let (before, after) = names(change);
        text.extend_from_slice(&[b"Binary files ", before.as_slice(), b" and ", &after, b" differ\n"].concat());
        return Ok(text);
    }
    *budget -= compared;
    let input = InternedInput::new(old.as_slice(), new.as_slice());
    let diff = match blanks {
        Blanks::Matter => diff_with_slider_heuristics(Algorithm::Histogram, &input),
        Blanks::Ignored => without_blanks(&old, &new),
    };
    let lines = diff.count_additions() + diff.count_removals();
    let same_mode = change.old.map(|(mode, _)| mode) == change.new.map(|(mode, _)| mode);
    if blanks == Blanks::Ignored && lines == 0 && same_mode && change.from.is_none() {
        return Ok(Vec::new());
    }
    patch.added += u64::from(diff.count_additions());
    patch.removed += u64::from(diff.count_removals());
    body(&mut text, change, &input, &diff);
    Ok(text)
}

/// Which lines differ in more than their blanks. Line breaks stay, so that lines keep their numbers.
fn without_blanks(old: &[u8], new: &[u8]) -> Diff {
    let kept = |side: &[u8]| -> Vec<u8> {
        side.iter().copied().filter(|b| *b == b'\n' || !(b.is_ascii_whitespace() || *b == 0x0b)).collect()
    };
    let (old, new) = (kept(old), kept(new));
    let input = InternedInput::new(old.as_slice(), new.as_slice());
    diff_with_slider_heuristics(Algorithm::Histogram, &input)
}

/// Both names as the lines above the hunks hold them.
fn names(change: &Change) -> (Vec<u8>, Vec<u8>) {
    let nothing = || b"/dev/null".to_vec();
    (
        change.old.map_or_else(nothing, |_| quoted(b"a/", old_path(change))),
        change.new.map_or_else(nothing, |_| quoted(b"b/", &change.path)),
    )
}

/// Writes what stands below the header of a file that is text: both names and the hunks.
pub(crate) fn body(text: &mut Vec<u8>, change: &Change, input: &InternedInput<&[u8]>, diff: &Diff) {
    if !input.before.is_empty() || !input.after.is_empty() {
        let (before, after) = names(change);
        // A name that holds blanks is followed by a tab, so that patch(1) finds its end.
        let sides = [("--- ", before, change.old, old_path(change)), ("+++ ", after, change.new, &change.path)];
        for (mark, name, there, path) in sides {
            let tab = if there.is_some() && path.contains(&b' ') { "\t" } else { "" };
            text.extend_from_slice(mark.as_bytes());
            text.extend_from_slice(&name);
            text.extend_from_slice(tab.as_bytes());
            text.push(b'\n');
        }
    }
    hunks(text, input, diff);
}

fn old_path(change: &Change) -> &[u8] {
    change.from.as_ref().map_or(&change.path, |source| &source.path)
}

/// What stands above a file's hunks, ids cut to `digits`.
pub(crate) fn header(change: &Change, digits: usize) -> Vec<u8> {
    let mut text =
        [b"diff --git ".as_slice(), &quoted(b"a/", old_path(change)), b" ", &quoted(b"b/", &change.path), b"\n"]
            .concat();
    let octal = |mode: Mode| format!("{:0>6}", mode.as_str());
    let mut mode_behind = String::new();
    let lines = match (change.old, change.new) {
        (None, Some((mode, _))) => format!("new file mode {}\n", octal(mode)),
        (Some((mode, _)), None) => format!("deleted file mode {}\n", octal(mode)),
        (Some((old, _)), Some((new, _))) if old != new => format!("old mode {}\nnew mode {}\n", octal(old), octal(new)),
        (Some((mode, _)), Some(_)) => {
            mode_behind = format!(" {}", octal(mode));
            String::new()
        }
        (None, None) => String::new(),
    };
    text.extend_from_slice(lines.as_bytes());
    if let Some(source) = &change.from {
        text.extend_from_slice(format!("similarity index {}%\nrename from ", source.percent).as_bytes());
        text.extend_from_slice(
            &[&quoted(b"", &source.path), b"\nrename to ".as_slice(), &quoted(b"", &change.path), b"\n"].concat(),
        );
    }
    let (old, new) = (change.old.map(|(_, id)| id), change.new.map(|(_, id)| id));
    if old != new {
        let short = |id: Option<Oid>| id.map_or("0".repeat(digits), |id| id.to_string()[..digits].to_owned());
        text.extend_from_slice(format!("index {}..{}{mode_behind}\n", short(old), short(new)).as_bytes());
    }
    text
}

/// What git compares of one side: nothing, a line about a submodule, or a blob's bytes.
pub(crate) fn content<O: Objects + ?Sized>(objects: &O, side: Option<(Mode, Oid)>) -> Result<Vec<u8>, DiffError> {
    Ok(match side {
        None => Vec::new(),
        Some((Mode::Submodule, id)) => format!("Subproject commit {id}\n").into_bytes(),
        Some((Mode::File | Mode::Executable | Mode::Link | Mode::Tree, id)) => {
            objects.get_kind(id, Kind::Blob)?.data.to_vec()
        }
    })
}

fn is_binary(data: &[u8]) -> bool {
    data.len() > LARGEST_TEXT || looks_binary(data)
}

/// Whether git takes it for binary by its first bytes.
pub(crate) fn looks_binary(data: &[u8]) -> bool {
    data[..data.len().min(SNIFF)].contains(&0)
}

/// Writes changes with their surroundings; changes whose surroundings touch share a hunk.
fn hunks(text: &mut Vec<u8>, input: &InternedInput<&[u8]>, diff: &Diff) {
    let mut group: Vec<Hunk> = Vec::new();
    let mut heading = Heading::default();
    for hunk in diff.hunks() {
        if group.last().is_some_and(|last| hunk.before.start - last.before.end > 2 * CONTEXT) {
            one_hunk(text, input, &group, &mut heading);
            group.clear();
        }
        group.push(hunk);
    }
    if !group.is_empty() {
        one_hunk(text, input, &group, &mut heading);
    }
}

fn one_hunk<'a>(text: &mut Vec<u8>, input: &InternedInput<&'a [u8]>, group: &[Hunk], heading: &mut Heading<'a>) {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let lead = first.before.start.min(CONTEXT);
    // Where blanks are ignored, a last line of nothing else is a line on one side alone.
    let below = (input.before.len() as u32 - last.before.end).min(input.after.len() as u32 - last.after.end);
    let trail = below.min(CONTEXT);
    let old = first.before.start - lead..last.before.end + trail;
    let new = first.after.start - lead..last.after.end + trail;
    text.extend_from_slice(format!("@@ -{} +{} @@", range(&old), range(&new)).as_bytes());
    if let Some(name) = heading.above(input, old.start) {
        text.push(b' ');
        text.extend_from_slice(name);
    }
    text.push(b'\n');
    // What is the same but for its blanks is shown as it is now.
    let mut at = new.start;
    for hunk in group {
        lines(text, b' ', input, &input.after, at..hunk.after.start);
        lines(text, b'-', input, &input.before, hunk.before.clone());
        lines(text, b'+', input, &input.after, hunk.after.clone());
        at = hunk.after.end;
    }
    lines(text, b' ', input, &input.after, at..new.end);
}

/// The function that a hunk lies in: the nearest line above that looks like the head of one.
#[derive(Default)]
struct Heading<'a> {
    name: Option<&'a [u8]>,
    searched: u32,
}

impl<'a> Heading<'a> {
    fn above(&mut self, input: &InternedInput<&'a [u8]>, line: u32) -> Option<&'a [u8]> {
        let heads = |line: &&[u8]| line.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$'));
        let unseen = &input.before[self.searched.min(line) as usize..line as usize];
        if let Some(line) = unseen.iter().rev().map(|token| input.interner[*token]).find(heads) {
            self.name = Some(line[..line.len().min(LONGEST_NAME)].trim_ascii_end());
        }
        self.searched = line;
        self.name
    }
}

fn range(lines: &Range<u32>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}

fn lines(
    text: &mut Vec<u8>,
    mark: u8,
    input: &InternedInput<&[u8]>,
    tokens: &[gix::diff::blob::Token],
    range: Range<u32>,
) {
    for token in &tokens[range.start as usize..range.end as usize] {
        let line = input.interner[*token];
        text.push(mark);
        text.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            text.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

/// A path as git's headers hold it: in quotes where it holds anything odd.
fn quoted(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let odd = |b: &u8| *b < 0x20 || *b >= 0x7f || matches!(b, b'"' | b'\\');
    if !path.iter().any(odd) {
        return [prefix, path].concat();
    }
    let mut out = vec![b'"'];
    out.extend_from_slice(prefix);
    for &byte in path {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            11 => out.extend_from_slice(b"\\v"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ if odd(&byte) => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}
