//! Reads the text of a patch into sections, one for each file.
//!
//! Invariant: a section's hunks are well-formed, so that [`Hunk::lines`] cannot go wrong; they are kept as the bytes they
//! are, since their lines may be many.

use std::borrow::Cow;

use notes_schema::Oid;

use super::{ApplyError, Entry, NOTHING};
use crate::object::Mode;

/// Longest path, in bytes.
/// Limit: path in a patch | {:bytes}
const LONGEST_PATH: usize = 4096;

/// Digits of a whole id, and the fewest that git abbreviates one to.
const WHOLE: usize = 40;
const SHORTEST: usize = 4;

/// What there is before and after; `None` where there is nothing.
type Sides<T> = (Option<T>, Option<T>);

/// What the patch says of one path.
#[derive(Debug)]
pub(super) struct Section<'p> {
    /// The path: parts that are not empty, joined by slashes.
    pub(super) path: Cow<'p, [u8]>,
    /// Modes. Both are given where there is a file on both sides.
    modes: Sides<Mode>,
    /// Id before and after, as the `index` line has them.
    ids: Option<(Id, Id)>,
    /// The hunks' bytes.
    pub(super) hunks: &'p [u8],
}

/// An id as an `index` line has it: whole, or its first digits and zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    id: Oid,
    digits: usize,
}

impl Id {
    /// Reads an id, or zeros for none; a part of one where `abbreviated`.
    fn read(text: &str, abbreviated: bool) -> Option<Id> {
        let digits = text.len();
        if digits > WHOLE || digits < if abbreviated { SHORTEST } else { WHOLE } {
            return None;
        }
        let id = if text.bytes().all(|b| b == b'0') { NOTHING } else { format!("{text:0<WHOLE$}").parse().ok()? };
        Some(Id { id, digits })
    }

    fn is_of(self, id: Oid) -> bool {
        let digits = |id: Oid| id.to_string().into_bytes().into_iter().take(self.digits);
        self.id == id || (self.digits < WHOLE && digits(self.id).eq(digits(id)))
    }
}

impl Section<'_> {
    /// The parts of the path.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.path.split(|byte| *byte == b'/')
    }

    /// The part of the path that begins at byte `at`.
    pub(super) fn name(&self, at: usize) -> &[u8] {
        let rest = self.path.get(at..).unwrap_or_default();
        &rest[..rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())]
    }

    /// Whether it takes the file away.
    pub(super) fn removes(&self) -> bool {
        self.modes.1.is_none()
    }

    /// What it says stands at the path before and after. A section without ids changes the mode of what is `there`.
    pub(super) fn sides(&self, there: Option<Entry>) -> Sides<Entry> {
        let there = there.map(|(_, id)| id);
        let (old, new) = match self.ids {
            None => (there.unwrap_or(NOTHING), there.unwrap_or(NOTHING)),
            Some((old, new)) => {
                let whole = there.filter(|id| old.is_of(*id)).unwrap_or(old.id);
                (whole, if new == old { whole } else { new.id })
            }
        };
        (self.modes.0.map(|mode| (mode, old)), self.modes.1.map(|mode| (mode, new)))
    }
}

impl Section<'_> {
    /// Whether `made` is what it says that it makes, where [`Section::sides`] says `after`.
    pub(super) fn says(&self, after: Entry, made: Oid) -> bool {
        self.ids.map_or(after.1 == made, |(_, new)| new.is_of(made))
    }
}

/// A run of lines that changes.
pub(super) struct Hunk<'p> {
    /// First line and number of lines before.
    pub(super) old: (u64, u64),
    /// The same after.
    pub(super) new: (u64, u64),
    body: &'p [u8],
}

/// A line with its end, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'p> {
    Kept(&'p [u8]),
    Removed(&'p [u8]),
    Added(&'p [u8]),
}

impl<'p> Hunk<'p> {
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'p>> + use<'p> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let (mark, text) = next_line(&mut rest)?.split_first()?;
            // A line that says so follows where there is no line break; the one that is here is the patch's own.
            let has_no_end = rest.starts_with(b"\\") && next_line(&mut rest).is_some();
            let text = if has_no_end { &text[..text.len() - 1] } else { text };
            Some(match mark {
                b' ' => Line::Kept(text),
                b'-' => Line::Removed(text),
                _ => Line::Added(text),
            })
        })
    }
}

/// What follows a line that has no end.
const NO_END: &[u8] = b"\\ No newline at end of file\n";

/// Takes a hunk from the front: `@@ -1,2 +1,3 @@`, whatever git adds to that, and as many lines as it says. Where that goes
/// wrong, what is left begins with the line that is wrong.
pub(super) fn take_hunk<'p>(rest: &mut &'p [u8]) -> Result<Hunk<'p>, &'static str> {
    let mut body = *rest;
    let head = next_line(&mut body).ok_or("ends where a hunk should stand")?;
    let (old, new) = ranges(head).ok_or("is no head of a hunk")?;
    *rest = body;
    let (mut olds, mut news, mut last) = (old.1, new.1, b'\\');
    while olds > 0 || news > 0 || rest.starts_with(b"\\") {
        let mut after = *rest;
        let line = next_line(&mut after).ok_or("ends in the midst of a hunk")?;
        let (in_old, in_new) = match line[0] {
            b' ' => (1, 1),
            b'-' => (1, 0),
            b'+' => (0, 1),
            b'\\' if line == NO_END && last != b'\\' => (0, 0),
            _ => return Err("is no line of a hunk"),
        };
        let too_many = "stands in a hunk that has as many lines already as it says";
        olds = olds.checked_sub(in_old).ok_or(too_many)?;
        news = news.checked_sub(in_new).ok_or(too_many)?;
        last = line[0];
        *rest = after;
    }
    Ok(Hunk { old, new, body: &body[..body.len() - rest.len()] })
}

/// The ranges before and after. What git puts behind them may be of any bytes.
fn ranges(head: &[u8]) -> Option<((u64, u64), (u64, u64))> {
    let text =
        std::str::from_utf8(&head[..head.len().min(100)]).or_else(|e| std::str::from_utf8(&head[..e.valid_up_to()]));
    let (old, rest) = text.ok()?.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| {
        let (first, count) = text.split_once(',').unwrap_or((text, "1"));
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
        Some((u64::from(number(first)?), u64::from(number(count)?)))
    };
    Some((range(old)?, range(new)?))
}

/// Takes a line with its end from the front; what has no end is no line of a patch.
fn next_line<'p>(rest: &mut &'p [u8]) -> Option<&'p [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(end + 1);
    *rest = after;
    Some(line)
}

struct Reader<'p> {
    all: &'p [u8],
    rest: &'p [u8],
}

impl<'p> Reader<'p> {
    fn wrong(&self, why: &'static str) -> ApplyError {
        let before = &self.all[..self.all.len() - self.rest.len()];
        ApplyError::Malformed { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, why }
    }

    /// Takes the next line if it begins with `start`; answers what follows that, without the line break.
    fn after(&mut self, start: &str) -> Option<&'p [u8]> {
        let mut rest = self.rest;
        let text = next_line(&mut rest)?.strip_prefix(start.as_bytes())?;
        self.rest = rest;
        Some(&text[..text.len() - 1])
    }
}

/// The sections of a patch, as they stand.
pub(super) fn sections(patch: &[u8], abbreviated: bool) -> Result<Vec<Section<'_>>, ApplyError> {
    let mut reader = Reader { all: patch, rest: patch };
    let mut sections = Vec::new();
    while !reader.rest.is_empty() {
        sections.push(section(&mut reader, abbreviated)?);
    }
    Ok(sections)
}

fn section<'p>(reader: &mut Reader<'p>, abbreviated: bool) -> Result<Section<'p>, ApplyError> {
    let start = Reader { all: reader.all, rest: reader.rest };
    let names = reader.after("diff --git ").ok_or_else(|| start.wrong("should begin with `diff --git`"))?;
    let (spelled, path) = names_of(names).ok_or_else(|| start.wrong("should name one path twice, as a/ and b/"))?;
    if path.len() > LONGEST_PATH || path.split(|b| *b == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
        return Err(start.wrong("names a path that no tree has"));
    }
    let stated = modes(reader)?;
    let mut ids = None;
    let mut both = None;
    if let Some(line) = reader.after("index ") {
        let (found, mode) =
            index(line, abbreviated).ok_or_else(|| start.wrong("is of a section whose `index` line is none"))?;
        (ids, both) = (Some(found), mode);
    }
    let modes = match (stated, both) {
        (Some(modes), None) => modes,
        (None, Some(mode)) => (Some(mode), Some(mode)),
        (Some(_), Some(_)) | (None, None) => return Err(start.wrong("is of a section without modes, or with too many")),
    };
    if modes.0.is_none() || modes.1.is_none() {
        let nothing = |side: Option<Mode>, id: Id| side.is_none() == (id.id == NOTHING);
        if !ids.is_some_and(|(old, new)| nothing(modes.0, old) && nothing(modes.1, new)) {
            return Err(start.wrong("is of a section whose ids are not those of a file that comes or goes"));
        }
    }
    let hunks = hunks(reader, spelled, modes)?;
    Ok(Section { path, modes, ids, hunks })
}

/// The lines between the names and the ids: what comes, goes or gets another mode.
fn modes(reader: &mut Reader<'_>) -> Result<Option<Sides<Mode>>, ApplyError> {
    let bad = |reader: &Reader<'_>| reader.wrong("is behind a line with an unknown mode");
    if let Some(mode) = reader.after("new file mode ") {
        return Ok(Some((None, Some(file_mode(mode).ok_or_else(|| bad(reader))?))));
    }
    if let Some(mode) = reader.after("deleted file mode ") {
        return Ok(Some((Some(file_mode(mode).ok_or_else(|| bad(reader))?), None)));
    }
    let Some(old) = reader.after("old mode ") else { return Ok(None) };
    let new = reader.after("new mode ").ok_or_else(|| reader.wrong("should tell the new mode"))?;
    match (file_mode(old), file_mode(new)) {
        (Some(old), Some(new)) => Ok(Some((Some(old), Some(new)))),
        _ => Err(bad(reader)),
    }
}

fn file_mode(digits: &[u8]) -> Option<Mode> {
    match digits {
        b"100644" => Some(Mode::File),
        b"100755" => Some(Mode::Executable),
        b"120000" => Some(Mode::Link),
        b"160000" => Some(Mode::Submodule),
        _ => None,
    }
}

/// `<old>..<new>`, and the mode where both sides have the same.
fn index(line: &[u8], abbreviated: bool) -> Option<((Id, Id), Option<Mode>)> {
    let line = std::str::from_utf8(line).ok()?;
    let (ids, mode) = line.split_once(' ').map_or((line, None), |(ids, mode)| (ids, Some(mode)));
    let (old, new) = ids.split_once("..")?;
    let mode = match mode {
        Some(mode) => Some(file_mode(mode.as_bytes())?),
        None => None,
    };
    Some(((Id::read(old, abbreviated)?, Id::read(new, abbreviated)?), mode))
}

/// The hunks of a section with the two lines before them, which name the sides.
fn hunks<'p>(reader: &mut Reader<'p>, (a, b): (&[u8], &[u8]), modes: Sides<Mode>) -> Result<&'p [u8], ApplyError> {
    for (start, side, name) in [("--- ", modes.0, a), ("+++ ", modes.1, b)] {
        let Some(named) = reader.after(start) else {
            // Without content on either side there is nothing to show.
            return if start == "--- " { Ok(&[]) } else { Err(reader.wrong("should name the new file")) };
        };
        let name = if side.is_some() { name } else { b"/dev/null" };
        if named.strip_suffix(b"\t").unwrap_or(named) != name {
            return Err(reader.wrong("is behind a line that names another file"));
        }
    }
    let all = reader.rest;
    while reader.rest.starts_with(b"@@") {
        let mut rest = reader.rest;
        take_hunk(&mut rest).map_err(|why| Reader { all: reader.all, rest }.wrong(why))?;
        reader.rest = rest;
    }
    let hunks = &all[..all.len() - reader.rest.len()];
    if hunks.is_empty() { Err(reader.wrong("should begin a hunk")) } else { Ok(hunks) }
}

/// Two names as they are spelled, and the path.
type Names<'p> = ((&'p [u8], &'p [u8]), Cow<'p, [u8]>);

/// The two names of a section as they are spelled, and the path, which must be the same in both.
fn names_of(line: &[u8]) -> Option<Names<'_>> {
    if !line.starts_with(b"\"") {
        // Equal names: the blank between them stands in the midst.
        let (a, b) = line.split_at_checked(line.len() / 2)?;
        let b = b.strip_prefix(b" ")?;
        let path = a.strip_prefix(b"a/")?;
        return (b.strip_prefix(b"b/")? == path).then_some(((a, b), Cow::Borrowed(path)));
    }
    let (a, rest) = unquote(line)?;
    let spelled = (&line[..line.len() - rest.len()], rest.strip_prefix(b" ")?);
    let (b, rest) = unquote(spelled.1)?;
    let path = a.strip_prefix(b"a/")?;
    (rest.is_empty() && b.strip_prefix(b"b/")? == path).then_some((spelled, Cow::Owned(path.to_vec())))
}

/// Takes a name in quotes, as C spells it, from the front; answers it and what follows.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((name, rest)),
            b'\\' if rest.first().is_some_and(u8::is_ascii_digit) => {
                let (digits, after) = rest.split_at_checked(3)?;
                name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok().filter(|byte| *byte != 0)?);
                rest = after;
            }
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                name.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escaped,
                    _ => return None,
                });
            }
            byte => name.push(byte),
        }
    }
}
