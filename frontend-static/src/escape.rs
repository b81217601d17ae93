//! Text into HTML.
//!
//! Invariant: what comes out holds no `<`, no quote and no bare `&` of its input, and no character that nobody sees or that
//! turns the direction of writing: those are shown by name.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// The escaper of every template (`askama.toml`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut to: W, text: &str) -> fmt::Result {
        write(&mut to, text)
    }
}

/// `text` for HTML, in content and in quoted attributes; hidden characters by name.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    // Writing to a String cannot fail.
    let _ = write(&mut out, text);
    out
}

/// The same, to wherever it goes.
///
/// # Errors
///
/// Those of `to`.
pub fn write<W: Write + ?Sized>(to: &mut W, text: &str) -> fmt::Result {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let by = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\r' => "",
            c if c.is_ascii() && !c.is_ascii_control() || matches!(c, '\n' | '\t') => continue,
            c if is_hidden(c) => {
                to.write_str(&text[plain..at])?;
                write!(to, "‹U+{:04X}›", u32::from(c))?;
                plain = at + c.len_utf8();
                continue;
            }
            _ => continue,
        };
        to.write_str(&text[plain..at])?;
        to.write_str(by)?;
        plain = at + c.len_utf8();
    }
    to.write_str(&text[plain..])
}

/// Whether nobody sees a character, or it turns the direction of writing.
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        // No characters, and not allowed in XML.
        | '\u{fffe}'
        | '\u{ffff}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

/// `text` with hidden characters by name, not yet escaped. Line breaks are `\n`.
pub fn show_hidden(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => {}
            c if is_hidden(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "‹U+{:04X}›", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_means_something_to_a_browser_is_left() {
        assert_eq!(text("<a href=\"x\" id='y'>&\r\n"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;\n");
        assert_eq!(text("a\u{202e}b\u{0}é\u{200b}"), "a‹U+202E›b‹U+0000›é‹U+200B›");
        assert_eq!(text(""), "");
    }

    proptest! {
        #[test]
        fn whatever_comes_in(input in any::<String>()) {
            let out = text(&input);
            prop_assert!(!out.contains(['<', '>', '"', '\'', '\r']) && !out.chars().any(is_hidden));
            let back = out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
            prop_assert_eq!(back.replace("&amp;", "&"), show_hidden(&input));
        }
    }
}
