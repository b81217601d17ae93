//! Which functions changed lines lie in, in Rust, Go, TypeScript and JavaScript, and Python.
//!
//! By lines alone: a definition is a line that looks like one (`definition`), and encloses what follows it and is indented more,
//! up to the next line that is not. Brackets that close what it opened may stand as far left as itself. A definition that
//! changed is touched itself. Functions within functions are told apart; names are joined to those of what they stand in
//! (`impl`, `trait`, `mod`, `class`, `namespace`, a function).
//!
//! Not seen: code that is not indented as its formatter would; what follows text in a string of several lines that stands
//! further left than the code around it; attributes, decorators and comments above a definition, which count to what is
//! around it; changed blank lines; functions without a name of their own (closures, callbacks, properties of an object); a
//! method of TypeScript whose parameters take several lines; macros that make functions. Text that looks like a definition is
//! taken for one.
//!
//! Invariant: any bytes give an answer, in time that grows with the lines, and names are bounded.

use super::tokens::in_word;

mod definition;

/// Deepest nesting of definitions that is told apart; what is deeper counts to the last.
/// Limit: definitions within each other that are told apart to measure how alike changes are | {}; deeper ones count as the last
const DEEPEST: usize = 16;
/// Longest part of a name.
/// Limit: name of a function by which changes are compared, and of each that it is in | {:bytes}, the rest is cut off
const LONGEST_NAME: usize = 128;
/// How far a tab goes.
const TAB: usize = 8;

/// A language whose definitions are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Go,
    /// JavaScript too.
    TypeScript,
    Python,
}

impl Language {
    /// By the end of a file's name.
    pub(super) fn of(path: &[u8]) -> Option<Language> {
        let name = path.rsplit(|&b| b == b'/').next()?;
        let dot = name.iter().rposition(|&b| b == b'.')?;
        Some(match &name[dot + 1..] {
            b"rs" => Language::Rust,
            b"go" => Language::Go,
            b"ts" | b"tsx" | b"mts" | b"cts" | b"js" | b"jsx" | b"mjs" | b"cjs" => Language::TypeScript,
            b"py" | b"pyi" => Language::Python,
            _ => return None,
        })
    }

    /// Whether a line may stand further left than what it is in: comments, and the labels of Go.
    fn is_aside(self, text: &[u8]) -> bool {
        let label = || text.strip_suffix(b":").is_some_and(|name| name.iter().all(|&b| in_word(b)));
        match self {
            Language::Python => text.starts_with(b"#"),
            Language::Go if label() => true,
            _ => [b"//".as_slice(), b"/*", b"* ", b"*/"].iter().any(|mark| text.starts_with(mark)) || text == b"*",
        }
    }
}

/// What a line defines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Defined {
    name: Vec<u8>,
    /// Or something that functions stand in.
    function: bool,
}

/// A definition that is open.
struct Open {
    indent: usize,
    defined: Defined,
    /// Whether it was shown.
    seen: bool,
}

/// Shows the names of the functions that marked lines lie in, each at least once.
pub(super) fn touched<'l, E>(
    language: Language,
    lines: impl Iterator<Item = (&'l [u8], bool)>,
    see: &mut impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut open: Vec<Open> = Vec::new();
    for (line, changed) in lines {
        let (indent, text) = indented(line);
        if text.is_empty() {
            continue;
        }
        // How far left what encloses this line may stand.
        let mut within = indent;
        if !language.is_aside(text) {
            if closes(text) {
                within += 1;
            }
            while open.last().is_some_and(|last| last.indent >= within) {
                open.pop();
            }
            if open.len() < DEEPEST
                && let Some(defined) = definition::of(language, text)
            {
                open.push(Open { indent, defined, seen: false });
                within = indent + 1;
            }
        }
        if changed {
            show(&mut open, within, see)?;
        }
    }
    Ok(())
}

/// Shows the innermost function that stands further left than `within`.
fn show<E>(open: &mut [Open], within: usize, see: &mut impl FnMut(Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let Some(at) = open.iter().rposition(|one| one.indent < within && one.defined.function) else {
        return Ok(());
    };
    if std::mem::replace(&mut open[at].seen, true) {
        return Ok(());
    }
    let parts: Vec<&[u8]> = open[..=at].iter().map(|one| one.defined.name.as_slice()).collect();
    see(parts.join(b"::".as_slice()))
}

/// How far a line is indented, and what it says.
fn indented(line: &[u8]) -> (usize, &[u8]) {
    let blank = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let indent = line[..blank].iter().fold(0, |at, &b| if b == b'\t' { at / TAB * TAB + TAB } else { at + 1 });
    (indent, line[blank..].trim_ascii())
}

/// Whether a line goes on with what began as far left as it stands.
fn closes(text: &[u8]) -> bool {
    matches!(text[0], b'}' | b')' | b']') || text == b"{" || definition::keyword(text, b"where").is_some()
}

#[cfg(test)]
mod tests;
