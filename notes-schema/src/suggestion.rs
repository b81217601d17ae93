//! What a comment on lines of a change proposes to put in their place: a fenced block with the word `suggestion`.
//!
//! Invariant: pure. The first such block of a text counts; what stands in it is taken line by line, as it stands.

use std::ops::Range;

/// What a text proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion<'a> {
    /// Where the block stands in the text, its fences included.
    pub block: Range<usize>,
    /// The lines that it proposes, without line breaks; none where the lines are to go.
    pub lines: Vec<&'a str>,
}

/// The first block of `text` that is a suggestion. One that is not closed goes on to the end, as in Markdown.
pub fn suggestion(text: &str) -> Option<Suggestion<'_>> {
    let (mut at, mut inside): (usize, Option<Fence<'_>>) = (0, None);
    for line in text.split_inclusive('\n') {
        let (from, end) = (at, at + line.len());
        at = end;
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        match &mut inside {
            None => {
                inside = opened(bare).map(|(mark, long, is_one)| Fence { from, mark, long, is_one, lines: Vec::new() })
            }
            Some(fence) if closes(bare, fence) => {
                let fence = inside.take()?;
                if fence.is_one {
                    return Some(Suggestion { block: fence.from..end, lines: fence.lines });
                }
            }
            Some(fence) => fence.lines.push(bare),
        }
    }
    let fence = inside.filter(|fence| fence.is_one)?;
    Some(Suggestion { block: fence.from..text.len(), lines: fence.lines })
}

struct Fence<'a> {
    from: usize,
    mark: char,
    long: usize,
    /// Whether it is a suggestion, and no other block.
    is_one: bool,
    lines: Vec<&'a str>,
}

/// The mark of a fence at the beginning of a line, how long it is, and what stands behind it.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let behind = text.trim_start_matches(mark);
    let long = text.len() - behind.len();
    (long >= 3).then_some((mark, long, behind))
}

fn opened(line: &str) -> Option<(char, usize, bool)> {
    let (mark, long, behind) = fence(line)?;
    // Behind backticks stands none: that would be code within a line.
    (mark != '`' || !behind.contains('`')).then(|| (mark, long, behind.trim() == "suggestion"))
}

fn closes(line: &str, open: &Fence<'_>) -> bool {
    fence(line).is_some_and(|(mark, long, behind)| mark == open.mark && long >= open.long && behind.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_with_that_word_counts() {
        let of = |text| suggestion(text).map(|found| found.lines);
        assert_eq!(of("Why not:\n```suggestion\nlet a = 1;\n\n```\nor so"), Some(vec!["let a = 1;", ""]));
        assert_eq!(of("```suggestion\r\na\r\n```\r\n"), Some(vec!["a"]));
        assert_eq!(of("```suggestion\n```"), Some(vec![]), "the lines are to go");
        assert_eq!(of("~~~~ suggestion\n```\n~~~\n~~~~"), Some(vec!["```", "~~~"]));
        assert_eq!(of("```rust\n```suggestion\n```\n```suggestion\nb\n"), Some(vec!["b"]), "open to the end");
        for none in [
            "",
            "suggestion",
            "``suggestion\na\n``",
            "```suggestions\na\n```",
            "    ```suggestion\n```",
            "```suggestion`\n",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        let text = "é\n```suggestion\nx\n```\nrest";
        let found = suggestion(text).unwrap();
        assert_eq!(&text[found.block], "```suggestion\nx\n```\n");
    }
}
