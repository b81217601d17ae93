//! The lines that the pages of issues and pull requests ask, from their paths and the state of their views.
//!
//! Invariant: a value of a query is one word or stands in balanced quotes, so that it brings no flag with it.

use frontend::frame::value;
use notes_schema::ProjectName;
use notes_schema::names::parse_number;

use super::action::is_word;
use crate::commands::quoted;

/// Most characters of a filter.
/// Limit: text of a filter of a list | {} characters, the rest is not looked at
const FILTER: usize = 200;

/// `parser/7`.
pub(super) fn item(path: &[&str]) -> Option<String> {
    let project: ProjectName = path.first()?.parse().ok()?;
    Some(format!("{project}/{}", parse_number(path.get(2)?)?))
}

/// `parser --state all --label bug`: a list, its filters as the query says.
pub(super) fn list(path: &[&str], query: &str) -> Option<String> {
    let project: ProjectName = path.first()?.parse().ok()?;
    let mut line = project.to_string();
    // What a form leaves empty is not asked for.
    let given = |name: &str| value(query, name).filter(|value| !value.trim().is_empty());
    for flag in ["state", "after"] {
        let Some(word) = given(flag) else { continue };
        line.push_str(&format!(" --{flag} {}", Some(word).filter(|word| is_word(word))?));
    }
    for flag in ["label", "author", "text"] {
        let Some(words) = given(flag) else { continue };
        line.push_str(&format!(" --{flag} {}", cut(&words)));
    }
    Some(line)
}

/// `parser/47 --diff --since-round 1`: a pull request, and what of its changes the query asks for.
pub(super) fn pull(path: &[&str], query: &str) -> Option<String> {
    let mut line = format!("{} --diff", item(path)?);
    for (name, flag) in [("round", "round"), ("since", "since-round")] {
        if let Some(round) = value(query, name).filter(|round| !round.is_empty()) {
            line.push_str(&format!(" --{flag} {}", parse_number(&round)?));
        }
    }
    if value(query, "w").as_deref() == Some("1") {
        line.push_str(" --ignore-space");
    }
    Some(line)
}

/// A filter as one argument.
fn cut(text: &str) -> String {
    let text: String = text.trim().chars().take(FILTER).map(|c| if c.is_control() { ' ' } else { c }).collect();
    quoted(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_a_list_becomes_flags_and_brings_no_more() {
        let of = |query| list(&["parser", "issues"], query);
        assert_eq!(of("").as_deref(), Some("parser"));
        assert_eq!(
            of("state=all&label=good+first&author=&text=--json+it%27s&after=7.0123456789abcdef").as_deref(),
            Some("parser --state all --after 7.0123456789abcdef --label 'good first' --text \"--json it's\"")
        );
        assert_eq!(of("text=%27%22%0a--x").as_deref(), Some("parser --text ''\"'\"'\" --x'"));
        for bad in ["state=--json", "state=a%20b", "after=%22", "after=-h"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(list(&["../x", "issues"], ""), None);
    }

    #[test]
    fn a_view_of_changes_is_made_of_numbers() {
        let of = |query| pull(&["parser", "pulls", "47"], query);
        assert_eq!(of("").as_deref(), Some("parser/47 --diff"));
        assert_eq!(
            of("view=split&since=1&w=1&round=").as_deref(),
            Some("parser/47 --diff --since-round 1 --ignore-space")
        );
        assert_eq!(of("round=2").as_deref(), Some("parser/47 --diff --round 2"));
        for bad in ["round=--json", "round=0", "since=1%20--json", "round=01"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(pull(&["parser", "pulls", "047"], ""), None);
    }
}
