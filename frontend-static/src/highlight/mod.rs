//! Source text as HTML with classes: one table of languages ([`languages`]), one lexer ([`lexer`]) that reads them all.
//!
//! Invariant: one pass, linear in the text whatever it is; what is not understood stays plain, and nothing is refused.
//! Invariant: a span never crosses a line, so that lines stand in a table by themselves; taken together and without its
//! tags, what comes out is the text, escaped.

mod languages;
mod lexer;
#[cfg(test)]
mod tests;

pub use lexer::Language;

use crate::escape;
use languages::LANGUAGES;
use lexer::{Class, Lexer};

/// Longest name of a file of which the language is looked up.
/// Limit: name of a file of which the language is looked up | {} bytes
const LONGEST_NAME: usize = 255;
/// Longest line that is coloured.
/// Limit: line that is coloured | {} bytes; a longer one stays plain
const LONGEST_LINE: usize = 4 << 10;

/// The language of the file at `path`, by its name alone.
pub fn language_of(path: &str) -> Option<&'static Language> {
    let name = path.rsplit('/').next().filter(|name| name.len() <= LONGEST_NAME)?.to_ascii_lowercase();
    let whole = LANGUAGES.iter().find(|language| language.files.contains(&name.as_str()));
    whole.or_else(|| {
        let (_, ending) = name.rsplit_once('.')?;
        LANGUAGES.iter().find(|language| language.endings.contains(&ending))
    })
}

/// The lines of `text` as HTML, without their line breaks; as many as [`str::lines`] gives. Classes: `k` keyword, `s`
/// string, `c` comment, `n` number, `t` type or key, `f` call. Without a language they are escaped and no more.
pub fn html_lines(language: Option<&Language>, text: &str) -> Vec<String> {
    let mut page = Page::over(text);
    match language {
        None => page.put(Class::Plain, text.len()),
        Some(language) => {
            let mut lexer = Lexer::new(language, text);
            while let Some((class, end)) = lexer.next() {
                page.put(class, end);
            }
        }
    }
    page.lines()
}

/// Lines as they are written.
struct Page<'a> {
    text: &'a str,
    /// Up to where it is written.
    at: usize,
    /// What is not written yet starts at `at` and has this class.
    pending: (Class, usize),
    done: Vec<String>,
    line: String,
    /// Whether the line is too long for colours.
    long: bool,
}

impl<'a> Page<'a> {
    fn over(text: &'a str) -> Self {
        let mut page =
            Page { text, at: 0, pending: (Class::Plain, 0), done: Vec::new(), line: String::new(), long: false };
        page.begin();
        page
    }

    fn begin(&mut self) {
        let rest = &self.text[self.at..];
        self.long = rest.find('\n').unwrap_or(rest.len()) > LONGEST_LINE;
    }

    /// Takes in that the text up to `end` has this class.
    fn put(&mut self, class: Class, end: usize) {
        if class != self.pending.0 {
            self.write();
            self.pending.0 = class;
        }
        self.pending.1 = end;
    }

    fn write(&mut self) {
        let (class, end) = self.pending;
        while self.at < end {
            let piece = &self.text[self.at..end];
            let stop = piece.find('\n').unwrap_or(piece.len());
            self.span(class, &piece[..stop]);
            self.at += stop;
            if stop < piece.len() {
                self.at += 1;
                self.done.push(std::mem::take(&mut self.line));
                self.begin();
            }
        }
    }

    fn span(&mut self, class: Class, piece: &str) {
        let tag = class.letter().filter(|_| !self.long && !piece.trim().is_empty());
        if let Some(letter) = tag {
            self.line.push_str("<i class=");
            self.line.push(letter);
            self.line.push('>');
        }
        // Writing to a String cannot fail.
        let _ = escape::write(&mut self.line, piece);
        if tag.is_some() {
            self.line.push_str("</i>");
        }
    }

    fn lines(mut self) -> Vec<String> {
        self.write();
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.done.push(self.line);
        }
        self.done
    }
}
