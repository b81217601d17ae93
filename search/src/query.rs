//! From what was asked to conditions, and from conditions to an answer about one item or to a Tantivy query.
//!
//! Invariant: the two readings of a condition ([`Plan::matches`] and [`crate::store`]'s query) agree on every item; a
//! property test compares them. Tantivy's own query parser is never used: it panics on `- *` and has no depth cap. There
//! is nothing to recurse into here: a query is a flat list, all of which must hold.

use notes_schema::{ItemRef, ProjectName};

use crate::item::{Kind, Prepared, State, fold_case, key};
use crate::text;

/// Longest text of a query that is looked at, in bytes.
/// Limit: a query | {:bytes}; the rest is not looked at
pub(crate) const MAX_QUERY: usize = 1024;
/// Most conditions of a query.
/// Limit: conditions of a query | {}; the rest is not looked at
const MAX_CONDITIONS: usize = 24;
/// Most words of one phrase.
/// Limit: words of one phrase of a query | {}; the rest is not looked at
const MAX_PHRASE: usize = 24;

/// In which order a list comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// What was opened last comes first.
    #[default]
    Newest,
    /// Where something happened last comes first.
    Active,
}

/// What a list shall hold. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this project's items.
    pub project: Option<ProjectName>,
    /// Only items of this kind.
    pub kind: Option<Kind>,
    /// Only items in this state.
    pub state: Option<State>,
    /// Only items with all of these labels.
    pub labels: Vec<String>,
    /// Only items in this language.
    pub lang: Option<String>,
    /// Only items by this author.
    pub author: Option<String>,
    /// Words, phrases and qualifiers as people type them; see the crate's documentation.
    pub text: String,
    /// The order.
    pub sort: Sort,
}

/// One thing that must hold of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It belongs to this project.
    Project(String),
    /// It is of this kind.
    Kind(Kind),
    /// It is in this state.
    State(State),
    /// It bears this label, case folded.
    Label(String),
    /// It is in this language, case folded.
    Lang(String),
    /// It is by this author.
    Author(String),
    /// These words stand in this order, in its title or in its body.
    Phrase(Vec<String>),
    /// It is the item with this key, or names it by these words.
    Ref(String, Vec<String>),
}

/// A query, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// Text was given that holds no word: nothing can match it.
    pub nothing: bool,
    /// Only what matches by title alone.
    pub in_title: bool,
}

impl Plan {
    /// The plan of a filter.
    pub fn of(filter: &Filter) -> Plan {
        let mut conditions = Vec::new();
        conditions.extend(filter.project.as_ref().map(|p| Condition::Project(p.to_string())));
        conditions.extend(filter.kind.map(Condition::Kind));
        conditions.extend(filter.state.map(Condition::State));
        conditions.extend(filter.labels.iter().take(MAX_CONDITIONS).map(|l| Condition::Label(fold_case(l))));
        conditions.extend(filter.lang.as_deref().map(|l| Condition::Lang(fold_case(l))));
        conditions.extend(filter.author.as_deref().map(|a| Condition::Author(fold_case(a))));
        let fixed = conditions.len();
        let mut rest = text::cut(&filter.text, MAX_QUERY);
        while let Some((condition, after)) = next(rest) {
            rest = after;
            conditions.extend(condition);
            if conditions.len() >= fixed + MAX_CONDITIONS {
                break;
            }
        }
        let nothing = conditions.len() == fixed && !filter.text.trim().is_empty();
        Plan { conditions, nothing, in_title: false }
    }

    /// The phrases, for titles and snippets.
    pub fn phrases(&self) -> impl Iterator<Item = &[String]> {
        self.conditions.iter().filter_map(|c| match c {
            Condition::Phrase(words) | Condition::Ref(_, words) => Some(words.as_slice()),
            Condition::Project(_)
            | Condition::Kind(_)
            | Condition::State(_)
            | Condition::Label(_)
            | Condition::Lang(_)
            | Condition::Author(_) => None,
        })
    }

    /// Whether an item belongs to the answer.
    pub fn matches(&self, item: &Prepared) -> bool {
        !self.nothing
            && self.conditions.iter().all(|c| holds(c, item))
            && (!self.in_title || self.stands_in_title(item))
    }

    fn stands_in_title(&self, item: &Prepared) -> bool {
        self.phrases().all(|words| stands_in(words, &item.words().title))
    }
}

fn holds(condition: &Condition, item: &Prepared) -> bool {
    let said = |words: &[String]| stands_in(words, &item.words().title) || stands_in(words, &item.words().body);
    match condition {
        Condition::Project(name) => item.item.project.as_str() == name,
        Condition::Kind(kind) => item.item.kind == *kind,
        Condition::State(state) => item.item.state == *state,
        Condition::Label(label) => item.labels.contains(label),
        Condition::Lang(lang) => item.lang.as_ref() == Some(lang),
        Condition::Author(author) => item.author == *author,
        Condition::Phrase(words) => said(words),
        Condition::Ref(key, words) => item.key == *key || said(words),
    }
}

fn stands_in(phrase: &[String], text: &[String]) -> bool {
    match phrase {
        [] => false,
        [word] => text.contains(word),
        _ => text.windows(phrase.len()).any(|window| window == phrase),
    }
}

/// The next condition of `rest` (none where a piece holds no word), and what follows it.
fn next(rest: &str) -> Option<(Option<Condition>, &str)> {
    let rest = rest.trim_start();
    if rest.is_empty() {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (inside, after) = quoted.split_once('"').unwrap_or((quoted, ""));
        return Some((phrase(inside), after));
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let word = &rest[..end];
    if let Some((name, value)) = word.split_once(':') {
        let (value, after) = match value.strip_prefix('"') {
            None => (value, &rest[end..]),
            Some(_) => {
                let quoted = &rest[name.len() + 2..];
                quoted.split_once('"').unwrap_or((quoted, ""))
            }
        };
        if let Some(condition) = qualifier(name, value) {
            return Some((Some(condition), after));
        }
    }
    let condition = match word.parse::<ItemRef>() {
        Ok(item) => Some(Condition::Ref(key(&item.project, item.n), text::words(word, MAX_PHRASE))),
        Err(_) => phrase(word),
    };
    Some((condition, &rest[end..]))
}

fn phrase(text: &str) -> Option<Condition> {
    let words = text::words(text, MAX_PHRASE);
    (!words.is_empty()).then_some(Condition::Phrase(words))
}

/// The words of a query that begin like a qualifier and have a value that is none of its: they are looked for as text.
pub fn misread(query: &str) -> Vec<&str> {
    let mut rest = text::cut(query, MAX_QUERY).trim_start();
    let mut words = Vec::new();
    while let Some((_, after)) = next(rest) {
        let word = rest.split_whitespace().next().unwrap_or(rest);
        if let Some((name @ ("is" | "label" | "author" | "project" | "lang"), value)) = word.split_once(':')
            && !value.starts_with('"')
            && qualifier(name, value).is_none()
        {
            words.push(word);
        }
        rest = after.trim_start();
    }
    words
}

/// A known qualifier with a value it knows; everything else is plain words.
fn qualifier(name: &str, value: &str) -> Option<Condition> {
    if value.is_empty() {
        return None;
    }
    let folded = fold_case(value);
    match name {
        "is" => match folded.as_str() {
            "open" => Some(Condition::State(State::Open)),
            "closed" => Some(Condition::State(State::Closed)),
            "merged" => Some(Condition::State(State::Merged)),
            "issue" => Some(Condition::Kind(Kind::Issue)),
            "pr" | "pull" => Some(Condition::Kind(Kind::Pull)),
            "project" => Some(Condition::Kind(Kind::Project)),
            _ => None,
        },
        "label" => Some(Condition::Label(folded)),
        "author" => Some(Condition::Author(folded)),
        "project" => Some(Condition::Project(folded)),
        "lang" => Some(Condition::Lang(folded)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::of(&Filter { text: text.to_owned(), ..Filter::default() })
    }

    fn words(list: &[&str]) -> Condition {
        Condition::Phrase(list.iter().map(|w| w.to_string()).collect())
    }

    #[test]
    fn the_language_is_read_as_written() {
        assert_eq!(
            plan("memory \"in parser\" is:open label:Bug label:\"good first\" author:alpha foo_bar").conditions,
            [
                words(&["memori"]),
                words(&["in", "parser"]),
                Condition::State(State::Open),
                Condition::Label("bug".into()),
                Condition::Label("good first".into()),
                Condition::Author("alpha".into()),
                words(&["foo", "bar"]),
            ]
        );
        assert_eq!(
            plan("is:strange std::mem label:").conditions,
            [words(&["is", "strang"]), words(&["std", "mem"]), words(&["label"])]
        );
        assert_eq!(misread("a is:strange \"is:quoted\" is:open std::mem label: label:\"b\""), ["is:strange", "label:"]);
        assert_eq!(plan("parser#7").conditions, [Condition::Ref("parser#7".into(), vec!["parser".into(), "7".into()])]);
        assert_eq!(plan("\"never closed").conditions, [words(&["never", "close"])]);
    }

    #[test]
    fn text_without_a_word_matches_nothing_and_no_text_matches_all() {
        assert!(plan("- *").nothing);
        assert!(plan("\"\"").nothing);
        assert!(!plan("  ").nothing);
        assert!(plan("").conditions.is_empty());
    }

    #[test]
    fn a_query_is_bounded() {
        assert_eq!(plan(&"a ".repeat(5000)).conditions.len(), MAX_CONDITIONS);
        let Condition::Phrase(long) = &plan(&format!("\"{}", "a ".repeat(5000))).conditions[0] else { panic!() };
        assert_eq!(long.len(), MAX_PHRASE);
        assert!(!plan(&"é".repeat(5000)).nothing);
    }
}
