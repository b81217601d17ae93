//! How alike two changes are: measures that stand side by side.
//!
//! [`shape`] reads one change (the tree before, the tree after) into something small; [`compare`] holds two shapes against
//! each other. Renames are not looked for: a moved file is one that went and one that came.
//!
//! Each measure sees something else, and each is blind to something:
//! - the same patch: `git patch-id --stable`, which ignores whitespace and where lines stand, and nothing else. A renamed
//!   variable makes another patch; another indentation, in Python too, does not;
//! - files: which paths changed, not how;
//! - functions: which functions changed lines lie in, for four languages, found by lines that look like definitions (the
//!   module `functions` says what that misses);
//! - tokens: the words and operators of added and removed lines, counted, in no order. Text in comments and strings counts like code.
//!
//! Edit distances between syntax trees are not measured: that needs a parser for each language.
//!
//! Invariant: the measures are never combined into one number.
//!
//! Invariant: reads only, and bounded. What goes past the budget is [`ShapeError::TooLarge`], never a number made from a part.

mod functions;
mod patch_id;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use gix::diff::blob::{Algorithm, Diff, InternedInput, diff_with_slider_heuristics};
use notes_schema::Oid;

use super::diff::{Change, DiffError, changed_paths, patch};
use super::object::Mode;
use super::store::{Objects, ReadError};

use functions::Language;
use patch_id::Sum;

pub use patch_id::PatchId;

/// Most files that one change may touch.
/// Limit: files of a change that is held against others | {}; a larger one is not measured, and said to be too large
const MOST_FILES: usize = 2_000;
/// Most bytes of files read for one change, before and after together.
/// Limit: bytes of files compared to measure how alike changes are, for each | {:bytes}; a larger one is not measured
const MOST_BYTES: u64 = 8 << 20;
/// Most lines of files compared for one change, before and after together: lines of few kinds in no order take time that grows
/// faster than they do.
/// Limit: lines compared to measure how alike changes are, for each | {}; a change of files with more is not measured
const MOST_LINES: usize = 200_000;
/// Most bytes that a shape holds: names of files and functions, and each token once.
/// Limit: what is kept of a change that is held against others | {:bytes}; one with more to keep is not measured
const MOST_KEPT: usize = 8 << 20;
/// What an entry takes beside its bytes, roughly.
const ENTRY: usize = 64;

/// How much of one change is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Files that it touches.
    pub files: usize,
    /// Bytes of those files, before and after together.
    pub bytes: u64,
    /// Lines of those that are text, likewise.
    pub lines: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { files: MOST_FILES, bytes: MOST_BYTES, lines: MOST_LINES }
    }
}

/// Why a change has no shape.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// It is past the budget.
    #[error("the change is too large to be measured: {0}")]
    TooLarge(&'static str),
    /// Something could not be read.
    #[error(transparent)]
    Diff(#[from] DiffError),
}

impl From<ReadError> for ShapeError {
    fn from(error: ReadError) -> Self {
        ShapeError::Diff(error.into())
    }
}

/// A function that a change touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// The file that it is in.
    pub path: Vec<u8>,
    /// Its name, behind the names of what it is in: `Cache::get`.
    pub name: Vec<u8>,
}

/// How often each token occurs.
pub type Tokens = BTreeMap<Vec<u8>, u32>;

/// One change, as far as it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// What `git diff --full-index --no-renames <base> <head> | git patch-id --stable` says; `None` where nothing changed.
    /// Whole ids matter for binary files alone, whose ids are all that there is to compare.
    pub patch: Option<PatchId>,
    /// The paths that differ.
    pub paths: BTreeSet<Vec<u8>>,
    /// The functions that changed lines lie in, before or after; `None` where no line changed in a file of a language whose
    /// functions are known.
    pub functions: Option<BTreeSet<Function>>,
    /// Tokens of added lines.
    pub added: Tokens,
    /// Tokens of removed lines.
    pub removed: Tokens,
}

/// How alike two changes are. Shares are of what either has (Jaccard), in permille, rounded down: only equals have 1000.
/// Where neither has anything, that is the same: 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alike {
    /// Whether both are the same patch, whitespace and places aside.
    pub same_patch: bool,
    /// How much of the paths that either touches both touch.
    pub files_permille: u32,
    /// How much of the functions that either touches both touch; `None` where no line of either lies in a file of a language
    /// whose functions are known.
    pub functions_permille: Option<u32>,
    /// How much of the tokens on lines that either adds or removes is on lines that both add or both remove.
    pub tokens_permille: u32,
}

/// Holds two changes of the same base against each other; the order of the two does not matter.
pub fn compare(a: &Shape, b: &Shape) -> Alike {
    let none = BTreeSet::new();
    let functions = (a.functions.is_some() || b.functions.is_some())
        .then(|| of_sets(a.functions.as_ref().unwrap_or(&none), b.functions.as_ref().unwrap_or(&none)));
    let (both_add, either_adds) = of_tokens(&a.added, &b.added);
    let (both_remove, either_removes) = of_tokens(&a.removed, &b.removed);
    Alike {
        same_patch: a.patch == b.patch,
        files_permille: of_sets(&a.paths, &b.paths),
        functions_permille: functions,
        tokens_permille: permille(both_add + both_remove, either_adds + either_removes),
    }
}

fn of_sets<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> u32 {
    let both = a.intersection(b).count() as u64;
    permille(both, a.len() as u64 + b.len() as u64 - both)
}

/// How many tokens both have, and how many either has.
fn of_tokens(a: &Tokens, b: &Tokens) -> (u64, u64) {
    let count = |tokens: &Tokens| tokens.values().map(|&count| u64::from(count)).sum::<u64>();
    let both = a.iter().map(|(token, &count)| u64::from(count.min(b.get(token).copied().unwrap_or(0)))).sum::<u64>();
    (both, count(a) + count(b) - both)
}

fn permille(both: u64, either: u64) -> u32 {
    (both * 1000).checked_div(either).unwrap_or(1000) as u32
}

/// Reads the change from the tree `base` to the tree `head`; `None` is the empty tree.
pub fn shape<O: Objects + ?Sized>(
    objects: &O,
    base: Option<Oid>,
    head: Option<Oid>,
    budget: Budget,
) -> Result<Shape, ShapeError> {
    let changes = changed_paths(objects, base, head, budget.files.saturating_add(1))?;
    if changes.len() > budget.files {
        return Err(ShapeError::TooLarge("it touches too many files"));
    }
    let mut work = Work { objects, left: budget, kept: MOST_KEPT, sum: Sum::default(), shape: Shape::default() };
    for change in &changes {
        for section in patch::sections(change) {
            work.section(&section)?;
        }
        keep(&mut work.kept, change.path.len())?;
        work.shape.paths.insert(change.path.clone());
    }
    work.shape.patch = work.sum.finish();
    Ok(work.shape)
}

/// Takes the room of one more entry.
fn keep(kept: &mut usize, bytes: usize) -> Result<(), ShapeError> {
    let room = kept.checked_sub(bytes.saturating_add(ENTRY));
    *kept = room.ok_or(ShapeError::TooLarge("there is too much to keep of it"))?;
    Ok(())
}

struct Work<'w, O: ?Sized> {
    objects: &'w O,
    /// What may still be read.
    left: Budget,
    /// Bytes that may still be kept.
    kept: usize,
    sum: Sum,
    shape: Shape,
}

impl<O: Objects + ?Sized> Work<'_, O> {
    fn read(&mut self, side: Option<(Mode, Oid)>) -> Result<Vec<u8>, ShapeError> {
        if let Some((Mode::File | Mode::Executable | Mode::Link | Mode::Tree, id)) = side {
            // The size first: it meets the budget before anything is allocated.
            let left = self.left.bytes.checked_sub(self.objects.size(id)?);
            self.left.bytes = left.ok_or(ShapeError::TooLarge("its files are too large"))?;
        }
        Ok(patch::content(self.objects, side)?)
    }

    fn section(&mut self, change: &Change) -> Result<(), ShapeError> {
        let ids = [change.old, change.new].map(|side| side.map(|(_, id)| id));
        self.sum.header(&patch::header(change, patch_id::DIGITS));
        if ids[0] == ids[1] {
            return Ok(());
        }
        let (old, new) = (self.read(change.old)?, self.read(change.new)?);
        if patch::looks_binary(&old) || patch::looks_binary(&new) {
            self.sum.binary(ids);
            return Ok(());
        }
        let input = InternedInput::new(old.as_slice(), new.as_slice());
        let left = self.left.lines.checked_sub(input.before.len() + input.after.len());
        self.left.lines = left.ok_or(ShapeError::TooLarge("its files have too many lines"))?;
        // Not the algorithm that pages show, but the one of a plain `git diff`.
        let diff = diff_with_slider_heuristics(Algorithm::Myers, &input);
        let mut text = Vec::new();
        patch::body(&mut text, change, &input, &diff);
        self.sum.body(&text);
        self.tokens(&input, &diff)?;
        let file = |side: Option<(Mode, Oid)>| matches!(side, None | Some((Mode::File | Mode::Executable, _)));
        match Language::of(&change.path) {
            Some(language) if file(change.old) && file(change.new) => {
                self.functions(&change.path, language, &input, &diff)
            }
            _ => Ok(()),
        }
    }

    fn tokens(&mut self, input: &InternedInput<&[u8]>, diff: &Diff) -> Result<(), ShapeError> {
        let Work { kept, shape, .. } = self;
        for hunk in diff.hunks() {
            let sides = [
                (&mut shape.removed, &input.before[hunk.before.start as usize..hunk.before.end as usize]),
                (&mut shape.added, &input.after[hunk.after.start as usize..hunk.after.end as usize]),
            ];
            for (counts, lines) in sides {
                for token in lines.iter().flat_map(|line| tokens::of(input.interner[*line])) {
                    match counts.get_mut(token) {
                        Some(count) => *count = count.saturating_add(1),
                        None => {
                            keep(kept, token.len())?;
                            counts.insert(token.to_vec(), 1);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn functions(
        &mut self,
        path: &[u8],
        language: Language,
        input: &InternedInput<&[u8]>,
        diff: &Diff,
    ) -> Result<(), ShapeError> {
        let Work { kept, shape, .. } = self;
        let known = shape.functions.get_or_insert_default();
        let mut see = |name: Vec<u8>| {
            let function = Function { path: path.to_vec(), name };
            if !known.contains(&function) {
                keep(kept, function.path.len() + function.name.len())?;
                known.insert(function);
            }
            Ok(())
        };
        let line = |token: &gix::diff::blob::Token| input.interner[*token];
        let before = (0u32..).zip(&input.before).map(|(at, token)| (line(token), diff.is_removed(at)));
        functions::touched(language, before, &mut see)?;
        let after = (0u32..).zip(&input.after).map(|(at, token)| (line(token), diff.is_added(at)));
        functions::touched(language, after, &mut see)
    }
}
