//! How something stands, as a word, a mark and a colour together; and where a reference leads.
//!
//! Invariant: the word is always there, so that neither the mark nor the colour must be understood.

use crate::escape;
use crate::filters::percent;

/// The mark and the colour of a word.
const KNOWN: &[(&str, char, &str)] = &[
    ("open", '●', "ok"),
    ("closed", '✗', "dim"),
    ("merged", '✓', "done"),
    ("ranked", '✓', "done"),
    ("success", '✓', "ok"),
    ("pending", '…', "warn"),
    ("failure", '✗', "bad"),
    ("error", '✗', "bad"),
    ("approve", '✓', "ok"),
    ("request-changes", '✗', "bad"),
    ("comment", '↳', "dim"),
    ("solved", '✓', "ok"),
    ("not solved", '✗', "bad"),
    ("done", '✓', "ok"),
    ("missing", '✗', "bad"),
    ("undecided", '…', "warn"),
    ("sealed", '●', "warn"),
    ("revealed", '✓', "ok"),
    ("clean", '✓', "ok"),
    ("conflicts", '✗', "bad"),
    ("sound", '✓', "ok"),
    ("not sound", '✗', "bad"),
    ("void", '…', "dim"),
];

/// `word` with its mark, in its colour.
pub fn html(word: &str) -> String {
    let (mark, colour) = KNOWN.iter().find(|(known, ..)| *known == word).map_or(('·', "dim"), |(_, m, c)| (*m, *c));
    format!("<span class=\"is {colour}\"><span aria-hidden=\"true\">{mark}</span> {}</span>", escape::text(word))
}

/// The page of `parser#12`, which is of that `kind`: `issues` or `pulls`.
pub fn place(reference: &str, kind: &str) -> String {
    let (project, n) = reference.split_once('#').unwrap_or((reference, ""));
    match n {
        "" => format!("/{}", percent(project, false)),
        n => format!("/{}/{kind}/{}", percent(project, false), percent(n, false)),
    }
}

/// The project of `parser#12`.
pub fn project(reference: &str) -> &str {
    reference.split_once('#').map_or(reference, |(project, _)| project)
}

/// The number in `parser#12`.
pub fn number(reference: &str) -> &str {
    reference.split_once('#').map_or("", |(_, n)| n)
}

/// A command as it is typed in a shell: the forge's own go through ssh.
pub fn typed(next: &str) -> String {
    let shells = ["git ", "forge ", "printf ", "ssh ", "curl ", "sh "];
    if next.is_empty() || shells.iter().any(|word| next.starts_with(word)) {
        next.to_owned()
    } else {
        format!("ssh forge {next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_readable_and_text() {
        assert_eq!(html("merged"), "<span class=\"is done\"><span aria-hidden=\"true\">✓</span> merged</span>");
        assert!(html("<b>").contains("· ") || html("<b>").contains("&lt;b&gt;"));
        assert!(!html("\"><script>").contains("<script"));
    }

    #[test]
    fn references_lead_to_pages() {
        assert_eq!(place("parser#12", "issues"), "/parser/issues/12");
        assert_eq!(place("parser", "issues"), "/parser");
        assert_eq!(place("a\"b#1<", "pulls"), "/a%22b/pulls/1%3C");
        assert_eq!(typed("merge parser/2"), "ssh forge merge parser/2");
        assert_eq!(typed("git push && ssh forge submit x"), "git push && ssh forge submit x");
        assert_eq!((project("parser#12"), number("parser#12"), number("parser")), ("parser", "12", ""));
    }
}
