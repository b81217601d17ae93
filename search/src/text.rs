//! Words and snippets: the one tokenizer that the index, the overlay and queries share.
//!
//! Words are runs of letters and digits, lower-cased, stemmed as English, at most 64 bytes. Scripts written without
//! spaces give one word per character, so that a query in them becomes a phrase.

use std::ops::Range;

use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer};

/// Longest word, in bytes; the rest of a longer one is not looked at.
/// Limit: one word, in a query and in what is searched | {:bytes}; the rest is not looked at
const MAX_WORD: usize = 64;
/// How much of a snippet stands before the word that was found, in bytes.
const LEAD: usize = 48;
/// Longest snippet, in characters.
/// Limit: snippet in a hit | {} characters, then `…`
const MAX_SNIPPET: usize = 200;

/// Splits text into words; see the module.
#[derive(Clone, Default)]
pub(crate) struct Words {
    token: Token,
}

/// Words of one text.
pub(crate) struct WordStream<'a> {
    text: &'a str,
    at: usize,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, at: 0, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(skip) = rest.find(char::is_alphanumeric) else {
            self.at = self.text.len();
            return false;
        };
        let rest = &rest[skip..];
        let first = rest.chars().next().unwrap_or_default();
        let length = if stands_alone(first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| !c.is_alphanumeric() || stands_alone(c)).unwrap_or(rest.len())
        };
        let from = self.at + skip;
        self.at = from + length;
        self.token.offset_from = from;
        self.token.offset_to = self.at;
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        for c in rest[..length].chars().flat_map(char::to_lowercase) {
            if self.token.text.len() + c.len_utf8() > MAX_WORD {
                break;
            }
            self.token.text.push(c);
        }
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Whether a character is a word of its own: ideographs, kana, hangul, Thai, Lao, Khmer and Burmese.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The analyzer under which text is indexed.
pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Words::default()).filter(Stemmer::new(Language::English)).build()
}

/// Calls `f` with each word and where it stands, until `f` says no.
fn each_word(text: &str, mut f: impl FnMut(&str, Range<usize>) -> bool) {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        let token = stream.token();
        if !f(&token.text, token.offset_from..token.offset_to) {
            break;
        }
    }
}

/// All words of `text`, at most `limit`.
pub(crate) fn words(text: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    if limit > 0 {
        each_word(text, |word, _| {
            found.push(word.to_owned());
            found.len() < limit
        });
    }
    found
}

/// The longest beginning of `text` that has at most `bytes` bytes and ends between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..floor(text, bytes)]
}

/// The last character boundary of `text` that is not after `at`.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// A piece of `body` around the first of `needles`, or its beginning: plain text on one line.
pub(crate) fn snippet(body: &str, needles: &[&str]) -> String {
    let mut at = 0;
    if !needles.is_empty() {
        each_word(body, |word, range| {
            if needles.contains(&word) {
                at = range.start;
                return false;
            }
            true
        });
    }
    let mut start = floor(body, at.saturating_sub(LEAD));
    if start > 0 {
        // Begin with a whole word where one begins before the word that was found.
        start += body[start..at].find(char::is_whitespace).unwrap_or(0);
    }
    let mut out = if start > 0 { String::from("… ") } else { String::new() };
    out.push_str(&one_line(&body[start..], MAX_SNIPPET));
    out
}

/// `text` as one line of at most `limit` characters: white space and control characters become single spaces, characters
/// that cannot be seen or that turn the direction of writing are dropped, and `…` marks what was cut.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if length + usize::from(gap) >= limit {
            out.push('…');
            return out;
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
            length += 1;
        }
        out.push(c);
        length += 1;
    }
    out
}

/// Characters that a reader does not see but a terminal, a browser or a model does.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_found_where_they_stand() {
        assert_eq!(words("Fixes leaks in foo_bar::Baz42!", 99), ["fix", "leak", "in", "foo", "bar", "baz42"]);
        assert_eq!(words("漏れ fix", 99), ["漏", "れ", "fix"]);
        assert_eq!(words("- * \" ( :", 99), Vec::<String>::new());
        assert_eq!(words(&"é".repeat(100), 99)[0].len(), 64);
        assert_eq!(words("a b c", 2), ["a", "b"]);
        assert_eq!(words("a b c", 0), Vec::<String>::new());
    }

    #[test]
    fn snippets_are_plain_and_around_the_find() {
        let body = format!("{} the\tmemory\u{1b}[31m \u{202e}leaks here {}", "x ".repeat(200), "y ".repeat(400));
        let shown = snippet(&body, &["leak"]);
        assert!(shown.starts_with("… x x"), "{shown}");
        assert!(shown.contains("the memory [31m leaks here y"), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() <= MAX_SNIPPET + 3, "{shown}");
        assert_eq!(snippet("short\n\ntext", &["none"]), "short text");
        assert_eq!(snippet("", &[]), "");
    }

    proptest! {
        #[test]
        fn no_text_panics_or_escapes(text in ".*", needle in "\\PC{0,5}") {
            let found = words(&text, usize::MAX);
            prop_assert!(found.iter().all(|w| w.len() <= 2 * MAX_WORD));
            let shown = snippet(&text, &[&needle]);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(shown.chars().count() <= MAX_SNIPPET + 3);
        }
    }
}
