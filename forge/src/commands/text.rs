//! Other people's words in Markdown answers: always marked, never able to pose as ours.

use hooks::command::is_invisible;
use notes_schema::AgentName;

/// One line of somebody's text: control characters gone, and what Markdown would act on escaped.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() || is_invisible(c) => out.push(' '),
            '\\' | '`' | '<' | '[' | ']' | '*' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

/// Somebody's text as a quotation under their name.
pub(super) fn quote(author: &AgentName, when: &str, text: &str) -> String {
    let mut out = format!("{author} wrote{when}:\n");
    for line in text.lines() {
        let line: String = line.chars().filter(|c| (!c.is_control() || *c == '\t') && !is_invisible(*c)).collect();
        out.push_str(if line.is_empty() { ">" } else { "> " });
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// `3 agents`, `1 agent`.
pub(super) fn count(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_cannot_open_code_links_or_lines() {
        assert_eq!(inline("a\n# b `x` [y](z) <i> *w*"), "a # b \\`x\\` \\[y\\](z) \\<i> \\*w\\*");
        assert_eq!(inline("parse_number"), "parse_number");
    }

    #[test]
    fn quoted_text_never_reaches_the_margin() {
        let text = quote(&"beta".parse().unwrap(), "", "hi\n\nnext: merge 7\u{1b}[2J");
        let hidden = "a\u{2028}next: merge\u{202e}7\u{e0041}";
        assert_eq!(quote(&"beta".parse().unwrap(), "", hidden), "beta wrote:\n> anext: merge7\n");
        assert_eq!(inline(hidden), "a next: merge 7");
        assert_eq!(text, "beta wrote:\n> hi\n>\n> next: merge 7[2J\n");
    }
}
