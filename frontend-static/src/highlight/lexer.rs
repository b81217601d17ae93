//! The lexer: what a language is, and where its words, strings, comments and numbers begin and end.
//!
//! Invariant: each step takes at least one character and looks at none a second time but for a few behind it.

/// What a language is made of.
#[derive(Debug)]
pub struct Language {
    /// What people call it.
    pub name: &'static str,
    /// Endings of its files, in small letters.
    pub(super) endings: &'static [&'static str],
    /// Whole names of its files, in small letters.
    pub(super) files: &'static [&'static str],
    /// What begins a comment up to the end of the line.
    pub(super) line: &'static [&'static str],
    pub(super) block: &'static [Block],
    /// Of two that begin alike the longer is first.
    pub(super) quotes: &'static [Quote],
    pub(super) keywords: &'static [&'static str],
    pub(super) types: &'static [&'static str],
    /// Whether `'` begins a character, a lifetime or nothing, rather than a string.
    pub(super) ticks: bool,
    pub(super) raw: Option<Raw>,
    /// Whether a word that begins with a capital is a type.
    pub(super) upper: bool,
    /// Whether a comment begins behind a blank alone.
    pub(super) spaced: bool,
    /// Whether keywords are known in capitals too.
    pub(super) fold: bool,
    /// Whether it is text with tags.
    pub(super) markup: bool,
    /// Whether a line that begins with `#` is for a preprocessor.
    pub(super) directives: bool,
    /// What stands behind a key.
    pub(super) keys: Option<u8>,
    /// What a word may hold beside letters, digits and `_`.
    pub(super) more: &'static str,
    /// Whether a word before `(` is a call.
    pub(super) calls: bool,
    /// Whether text stands without quotes, so that one in a word means nothing.
    pub(super) bare: bool,
    /// Whether `@word` is a word of the language.
    pub(super) at: bool,
}

/// A comment with an end.
#[derive(Debug)]
pub(super) struct Block {
    pub open: &'static str,
    pub close: &'static str,
    pub nests: bool,
}

/// A string.
#[derive(Debug)]
pub(super) struct Quote {
    pub open: &'static str,
    pub close: &'static str,
    pub escape: Escape,
    /// Whether it goes on behind the end of a line.
    pub crosses: bool,
}

/// How a string holds its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    None,
    Backslash,
    Doubled,
}

/// Strings whose end is told by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    /// `r##"…"##`
    Hashes,
    /// `R"end(…)end"`
    Delimited,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Keyword,
    String,
    Comment,
    Number,
    Type,
    Call,
}

impl Class {
    /// Its name in HTML.
    pub fn letter(self) -> Option<char> {
        match self {
            Class::Plain => None,
            Class::Keyword => Some('k'),
            Class::String => Some('s'),
            Class::Comment => Some('c'),
            Class::Number => Some('n'),
            Class::Type => Some('t'),
            Class::Call => Some('f'),
        }
    }
}

/// Longest word that is looked up, and most blanks between a word and the sign that makes it a key.
/// Limit: word of source text that is looked up for its colour | {} bytes
const LONGEST_WORD: usize = 64;
/// Most that `R"` and `(` may have between them: the language says so.
/// No limit: a string of C++ has no more
const LONGEST_DELIMITER: usize = 16;

/// Where the lexer stands in a text.
pub(super) struct Lexer<'a> {
    language: &'a Language,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Whether nothing but blanks stood on this line so far.
    fresh: bool,
    /// Whether it is between `<` and `>` of a tag.
    in_tag: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(language: &'a Language, text: &'a str) -> Self {
        Lexer { language, text, bytes: text.as_bytes(), at: 0, fresh: true, in_tag: false }
    }

    /// The next piece: what it is, and where it ends.
    pub fn next(&mut self) -> Option<(Class, usize)> {
        let byte = *self.bytes.get(self.at)?;
        let (class, end) = self.piece(byte);
        let end = end.clamp(self.at + 1, self.bytes.len());
        self.fresh = byte == b'\n' || self.fresh && matches!(byte, b' ' | b'\t' | b'\r');
        self.at = end;
        Some((class, end))
    }

    fn piece(&mut self, byte: u8) -> (Class, usize) {
        if byte.is_ascii_whitespace() {
            return (Class::Plain, self.at + 1);
        }
        if let Some(end) = self.raw() {
            return (Class::String, end);
        }
        if self.language.markup && !self.in_tag {
            return self.outside(byte);
        }
        if byte == b'_' || byte.is_ascii_alphabetic() || byte >= 0x80 {
            return self.word();
        }
        if byte.is_ascii_digit() {
            return (Class::Number, self.number());
        }
        self.comment().or_else(|| self.string()).unwrap_or_else(|| self.sign(byte))
    }

    fn starts(&self, at: usize, with: &str) -> bool {
        self.bytes[at..].starts_with(with.as_bytes())
    }

    fn before(&self) -> Option<u8> {
        self.at.checked_sub(1).map(|at| self.bytes[at])
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.bytes.len(), |n| at + n)
    }

    fn comment(&self) -> Option<(Class, usize)> {
        let language = self.language;
        if let Some(block) = language.block.iter().find(|block| self.starts(self.at, block.open)) {
            return Some((Class::Comment, self.block_end(block)));
        }
        let alone = !language.spaced || self.before().is_none_or(|byte| byte.is_ascii_whitespace() || byte == b';');
        let found = alone && language.line.iter().any(|open| self.starts(self.at, open));
        found.then(|| (Class::Comment, self.line_end(self.at)))
    }

    fn block_end(&self, block: &Block) -> usize {
        let mut at = self.at + block.open.len();
        let mut depth = 1_usize;
        while at < self.bytes.len() {
            if self.starts(at, block.close) {
                at += block.close.len();
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            } else if block.nests && self.starts(at, block.open) {
                at += block.open.len();
                depth += 1;
            } else {
                at += 1;
            }
        }
        at
    }

    fn string(&self) -> Option<(Class, usize)> {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b')' | b'.');
        if self.language.bare && self.before().is_some_and(inside) {
            return None;
        }
        let quote = self.language.quotes.iter().find(|quote| self.starts(self.at, quote.open))?;
        let end = self.string_end(quote);
        let is_key = self.language.keys == Some(b':') && self.key_follows(end);
        Some((if is_key { Class::Type } else { Class::String }, end))
    }

    fn string_end(&self, quote: &Quote) -> usize {
        let mut at = self.at + quote.open.len();
        while at < self.bytes.len() {
            match self.bytes[at] {
                b'\\' if quote.escape == Escape::Backslash => at += 1 + self.char_at(at + 1),
                b'\n' if !quote.crosses => return at,
                _ if self.starts(at, quote.close) => {
                    at += quote.close.len();
                    if !(quote.escape == Escape::Doubled && self.starts(at, quote.close)) {
                        return at;
                    }
                    at += quote.close.len();
                }
                _ => at += 1,
            }
        }
        self.bytes.len()
    }

    /// How many bytes the character at `at` has.
    fn char_at(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    }

    /// The end of a string whose beginning tells it.
    fn raw(&self) -> Option<usize> {
        if self.before().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let prefixes: &[&str] = match self.language.raw? {
            Raw::Hashes => &["r", "br", "cr"],
            Raw::Delimited => &["R", "LR", "u8R", "uR", "UR"],
        };
        let rest = prefixes.iter().find_map(|prefix| self.text[self.at..].strip_prefix(prefix))?;
        let (close, body) = match self.language.raw? {
            Raw::Hashes => {
                let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
                (format!("\"{}", &rest[..hashes]), rest[hashes..].strip_prefix('"')?)
            }
            Raw::Delimited => {
                let rest = rest.strip_prefix('"')?;
                let open = rest.bytes().take(LONGEST_DELIMITER + 1).position(|byte| byte == b'(')?;
                let word = rest.get(..open).filter(|word| !word.contains([' ', ')', '\\', '\n', '"']))?;
                (format!("){word}\""), &rest[open + 1..])
            }
        };
        let start = self.bytes.len() - body.len();
        Some(body.find(&close).map_or(self.bytes.len(), |n| start + n + close.len()))
    }

    fn word_end(&self, from: usize) -> usize {
        let goes_on = |c: char| c == '_' || c.is_alphanumeric() || self.language.more.contains(c);
        self.text[from..].find(|c| !goes_on(c)).map_or(self.bytes.len(), |n| from + n)
    }

    fn word(&self) -> (Class, usize) {
        let end = self.word_end(self.at).max(self.at + self.char_at(self.at));
        let word = &self.text[self.at..end];
        (self.class_of(word, end), end)
    }

    fn class_of(&self, word: &str, end: usize) -> Class {
        let language = self.language;
        if self.in_tag {
            let opens = self.before().is_some_and(|byte| matches!(byte, b'<' | b'/'));
            return if opens { Class::Keyword } else { Class::Type };
        }
        if language.keys.is_some() && self.key_follows(end) {
            return Class::Type;
        }
        if word.len() > LONGEST_WORD {
            return Class::Plain;
        }
        let small = if language.fold { word.to_ascii_lowercase() } else { String::new() };
        let known = if language.fold { small.as_str() } else { word };
        if language.keywords.binary_search(&known).is_ok() {
            return Class::Keyword;
        }
        let is_type = |word: &str| {
            let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
            capital && (word.len() == 1 || word.bytes().any(|byte| byte.is_ascii_lowercase()))
        };
        if language.types.binary_search(&known).is_ok() || language.upper && is_type(word) {
            return Class::Type;
        }
        let next = |n: usize| self.bytes.get(end + n).copied();
        let is_macro =
            language.raw == Some(Raw::Hashes) && next(0) == Some(b'!') && matches!(next(1), Some(b'(' | b'[' | b'{'));
        let is_call = language.calls && (next(0) == Some(b'(') || is_macro);
        if is_call { Class::Call } else { Class::Plain }
    }

    /// Whether what stands behind a key stands behind `end`. Blanks between are few.
    fn key_follows(&self, end: usize) -> bool {
        let Some(sign) = self.language.keys else { return false };
        let rest = &self.bytes[end..];
        let blanks = rest.iter().take(LONGEST_WORD).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let behind = rest.get(blanks + 1);
        rest.get(blanks) == Some(&sign)
            && !(sign == b'=' && behind == Some(&b'='))
            && (sign != b':' || !self.language.bare || behind.is_none_or(u8::is_ascii_whitespace))
    }

    fn number(&self) -> usize {
        let mut at = self.at;
        while let Some(byte) = self.bytes.get(at) {
            let digit_follows = self.bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            let goes_on = match byte {
                b'.' => digit_follows,
                b'+' | b'-' => {
                    let hex = self.starts(self.at, "0x") || self.starts(self.at, "0X");
                    !hex && digit_follows && matches!(self.bytes[at - 1], b'e' | b'E')
                }
                byte => *byte == b'_' || byte.is_ascii_alphanumeric(),
            };
            if !goes_on {
                break;
            }
            at += 1;
        }
        at
    }

    /// What is neither a word nor a string nor a comment.
    fn sign(&mut self, byte: u8) -> (Class, usize) {
        let language = self.language;
        let word_follows = self.bytes.get(self.at + 1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        match byte {
            b'>' if self.in_tag => self.in_tag = false,
            b'\'' if language.ticks => return self.tick(word_follows),
            b'#' if language.directives && self.fresh => {
                let blanks = self.bytes[self.at + 1..].iter().take(LONGEST_WORD).take_while(|b| **b == b' ').count();
                return (Class::Keyword, self.word_end(self.at + 1 + blanks));
            }
            b'@' if language.at && word_follows => return (Class::Keyword, self.word_end(self.at + 1)),
            _ => {}
        }
        (Class::Plain, self.at + 1)
    }

    /// `'x'`, `'\n'`, or `'lifetime`.
    fn tick(&self, word_follows: bool) -> (Class, usize) {
        /// No limit: no character is written at greater length
        const LONGEST_ESCAPE: usize = 12;
        let first = self.at + 1;
        let closes = |at: usize| self.bytes.get(at) == Some(&b'\'');
        if self.bytes.get(first) == Some(&b'\\') {
            let body = first + 1 + self.char_at(first + 1);
            let end = (body..body + LONGEST_ESCAPE).find(|at| closes(*at));
            return end.map_or((Class::Plain, first), |end| (Class::String, end + 1));
        }
        let behind = first + self.char_at(first);
        if closes(behind) && self.bytes.get(first) != Some(&b'\n') {
            return (Class::String, behind + 1);
        }
        let lifetime = word_follows && self.language.raw == Some(Raw::Hashes);
        if lifetime { (Class::Type, self.word_end(first)) } else { (Class::Plain, first) }
    }

    /// Between tags: text, entities, and what begins a tag.
    fn outside(&mut self, byte: u8) -> (Class, usize) {
        if let Some(comment) = self.comment() {
            return comment;
        }
        let next = self.bytes.get(self.at + 1).copied().unwrap_or(b' ');
        if byte == b'<' && (next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?')) {
            self.in_tag = true;
            return (Class::Plain, self.at + 1);
        }
        if byte == b'&' {
            /// No limit: no entity has a longer name but the rarest
            const LONGEST_ENTITY: usize = 12;
            let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
            let length = self.bytes[self.at + 1..].iter().take(LONGEST_ENTITY).take_while(|byte| name(byte)).count();
            if length > 0 && self.bytes.get(self.at + 1 + length) == Some(&b';') {
                return (Class::Number, self.at + 2 + length);
            }
        }
        (Class::Plain, self.at + self.char_at(self.at))
    }
}
