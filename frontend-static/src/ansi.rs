//! What a terminal was sent, as lines of HTML: 16 colours, bold, dim and underline become classes; `\r` and erasing rewrite
//! the line; everything else that a terminal can be told is dropped.
//!
//! Invariant: no inline style, no address, and nothing of the input but its text, escaped; bounded in bytes, lines and columns.

use vte::{Params, Parser, Perform};

use crate::escape;

/// Limit: output of a run that a page shows | {} bytes, the last
const LONGEST: usize = 256 << 10;
/// Limit: lines of output that a page shows of one run | {}, the last
const MOST_LINES: usize = 2000;
/// Limit: columns of a line of output that a page shows | {}, the rest is left out
const WIDEST: usize = 2000;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As HTML. Classes: `a0` to `a15` the colours, `ab` bold, `ad` dim, `au` underlined.
    pub html: String,
    /// As text, without colours.
    pub text: String,
}

/// The lines of `output`: the last ones, where there are too many.
pub fn lines(output: &str) -> Vec<Line> {
    let mut from = output.len().saturating_sub(LONGEST);
    while !output.is_char_boundary(from) {
        from += 1;
    }
    let mut screen = Screen::default();
    Parser::new().advance(&mut screen, &output.as_bytes()[from..]);
    if !screen.cells.is_empty() {
        screen.feed();
    }
    screen.done
}

/// The first line that reads like a failure: what test runners, compilers and shells say where something is wrong.
pub fn first_failure(lines: &[Line]) -> Option<usize> {
    const SAYS: &[&str] = &[
        "... FAILED",
        "panicked at",
        "FAILED ",
        "--- FAIL",
        "FAIL:",
        "not ok ",
        "Traceback (most recent",
        "AssertionError",
        "error[",
        "error:",
        "Error:",
        "ERROR:",
        "fatal:",
        "FAIL\t",
        "✗",
        "✕",
        "command not found",
        "Segmentation fault",
    ];
    lines.iter().position(|line| SAYS.iter().any(|words| line.text.contains(words)))
}

/// How a character looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    colour: Option<u8>,
    bold: bool,
    dim: bool,
    underlined: bool,
}

impl Look {
    fn classes(self) -> String {
        let colour = self.colour.map(|n| format!("a{n}"));
        let bits = [(self.bold, "ab"), (self.dim, "ad"), (self.underlined, "au")];
        let bits = bits.into_iter().filter(|(on, _)| *on).map(|(_, class)| class.to_owned());
        colour.into_iter().chain(bits).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Default)]
struct Screen {
    done: Vec<Line>,
    cells: Vec<(char, Look)>,
    column: usize,
    look: Look,
}

impl Screen {
    /// The line is done.
    fn feed(&mut self) {
        if self.done.len() == MOST_LINES {
            self.done.remove(0);
        }
        let line = drawn(&self.cells);
        self.done.push(line);
        self.cells.clear();
        self.column = 0;
    }

    /// What `ESC [ … m` says.
    fn dress(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(param) = params.next() {
            match param.first().copied().unwrap_or(0) {
                0 => self.look = Look::default(),
                1 => self.look.bold = true,
                2 => self.look.dim = true,
                4 => self.look.underlined = param.get(1) != Some(&0),
                22 => (self.look.bold, self.look.dim) = (false, false),
                24 => self.look.underlined = false,
                n @ 30..=37 => self.look.colour = u8::try_from(n - 30).ok(),
                n @ 90..=97 => self.look.colour = u8::try_from(n - 82).ok(),
                39 => self.look.colour = None,
                // A colour of 256 or of millions, of letters or behind them: its numbers are no colours of ours.
                which @ (38 | 48) if param.len() == 1 => {
                    let colour = match params.next().and_then(|form| form.first().copied()) {
                        Some(5) => params.next().and_then(|n| n.first().copied()),
                        Some(2) => params.by_ref().take(3).last().and(None),
                        _ => None,
                    };
                    if which == 38 {
                        self.look.colour = colour.and_then(|n| u8::try_from(n).ok()).filter(|n| *n < 16);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        if self.column < WIDEST {
            let cell = (c, self.look);
            match self.cells.get_mut(self.column) {
                Some(old) => *old = cell,
                None => self.cells.push(cell),
            }
            self.column += 1;
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.feed(),
            b'\r' => self.column = 0,
            b'\t' => self.print('\t'),
            8 => self.column = self.column.saturating_sub(1),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        match (action, first, intermediates) {
            ('m', _, []) => self.dress(params),
            ('K', 0, []) => self.cells.truncate(self.column),
            ('K', 2, []) => (self.cells, self.column) = (Vec::new(), 0),
            _ => {}
        }
    }
}

fn drawn(cells: &[(char, Look)]) -> Line {
    let text: String = cells.iter().map(|(c, _)| *c).collect();
    let mut html = String::with_capacity(text.len());
    for run in cells.chunk_by(|a, b| a.1 == b.1) {
        let piece = escape::text(&run.iter().map(|(c, _)| *c).collect::<String>());
        let classes = run[0].1.classes();
        if classes.is_empty() {
            html.push_str(&piece);
        } else {
            html.push_str(&format!("<span class=\"{classes}\">{piece}</span>"));
        }
    }
    Line { html, text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(output: &str) -> String {
        lines(output).into_iter().map(|line| line.html).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(html("\x1b[1;31merror\x1b[0m: <b>"), "<span class=\"a1 ab\">error</span>: &lt;b&gt;");
        assert_eq!(
            html("\x1b[92mok\x1b[39m \x1b[4mu\x1b[24m"),
            "<span class=\"a10\">ok</span> <span class=\"au\">u</span>"
        );
        assert_eq!(html("\x1b[38;5;9mr\x1b[38;2;1;2;3mt\x1b[38;5;200mx"), "<span class=\"a9\">r</span>tx");
        assert_eq!(html("\x1b[48;5;1mx\x1b[38:5:1my"), "xy");
        assert_eq!(
            html("\x1b[2mdim\nnext\x1b[m end"),
            "<span class=\"ad\">dim</span>\n<span class=\"ad\">next</span> end"
        );
    }

    #[test]
    fn a_line_is_written_again_and_what_else_a_terminal_does_is_not_done() {
        assert_eq!(html("10%\r20%\r100%\n"), "100%");
        assert_eq!(html("downloading\r\x1b[Kdone\r\n"), "done");
        assert_eq!(html("ab\x08c"), "ac");
        assert_eq!(html("a\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x1b]0;title\x07b"), "alinkb");
        assert_eq!(html("\x1b[2J\x1b[10;10Hx\x1b(0y\x1bPq#0\x1b\\z"), "xyz");
        assert_eq!(html("\u{202e}x\u{200b}"), "‹U+202E›x‹U+200B›");
    }

    #[test]
    fn what_is_shown_is_bounded() {
        assert_eq!(lines(&"x\n".repeat(10_000)).len(), MOST_LINES);
        assert_eq!(lines(&"x".repeat(10_000))[0].text.len(), WIDEST);
        assert!(
            lines(&"é\x1b[1m\x1b[0m".repeat(LONGEST)).iter().map(|line| line.html.len()).sum::<usize>() < 4 * LONGEST
        );
        assert!(lines("").is_empty());
    }

    #[test]
    fn the_first_line_that_reads_like_a_failure_is_found() {
        let failed = lines("running 2 tests\ntest a ... ok\n\x1b[31mtest b ... FAILED\x1b[0m\nerror: test failed");
        assert_eq!(first_failure(&failed), Some(2));
        assert_eq!(first_failure(&lines("test a ... ok\n0 failed")), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_stays_text(output in "(\\PC|\x1b|\\[|;|[0-9]|m|K|\r|\n|<|\"|\x07){0,200}") {
            for line in lines(&output) {
                let bare = line.html.replace("</span>", "");
                let mut rest = bare.as_str();
                while let Some(at) = rest.find('<') {
                    prop_assert!(rest[at..].starts_with("<span class=\"a"));
                    rest = &rest[at + 1..];
                }
                prop_assert!(!line.html.chars().any(|c| escape::is_hidden(c) && c != '\t'));
            }
        }
    }
}
