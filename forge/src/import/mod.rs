//! Issues of elsewhere, read into items of one shape, whatever format they came in.
//!
//! Invariant: a converter is pure, from values to an item, and says of what it refuses where it stands and which field it
//! is. Nothing that names a fix, or was said once it was there, is in the public part of an item.

mod fields;
mod github;
mod item;
mod leak;
mod pages;
mod rest;
mod rows;
mod swebench;
mod time;

pub mod http;

pub use item::{Comment, Contest, Fix, Item, Sealed, Source};
pub use pages::{Pages, PagesError};
pub use rows::{RowsError, each};

use serde_json::Value;

/// What is wrong with a value: the field, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Fault {
    /// Where in the row, for example `comments[3].createdAt`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Fault {
    /// What is wrong with `field`.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Fault {
        Fault { field: field.into(), why: why.into() }
    }

    /// The same, of a field inside of `outer`.
    fn inside(mut self, outer: &str) -> Fault {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

/// What one row becomes: an item, and where the code is that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The item.
    pub item: Item,
    /// The file with the code that it is about, beside the rows.
    pub bundle: Option<String>,
}

impl From<Item> for Read {
    fn from(item: Item) -> Read {
        Read { item, bundle: None }
    }
}

/// How rows are laid out in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One JSON value a line.
    Lines,
    /// One JSON list.
    List,
    /// Pages of an API, which are asked for.
    Pages,
}

/// A format that issues come in.
pub struct Format {
    /// As on the command line.
    pub name: &'static str,
    /// How its rows are laid out.
    pub layout: Layout,
    /// What one row becomes; `None` where it is no issue.
    pub read: fn(&Value) -> Result<Option<Read>, Fault>,
}

/// Every format, in the order in which help lists them.
pub const FORMATS: &[Format] = &[
    Format { name: "github", layout: Layout::List, read: github::read },
    Format { name: "github-rest", layout: Layout::Pages, read: rest::read },
    Format { name: "swebench", layout: Layout::Lines, read: swebench::read },
    Format { name: "items", layout: Layout::Lines, read: item::read },
];

/// The format of that name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// For fuzzing: `bytes` as a file in every format and layout.
///
/// # Panics
/// Where what was read may not be sent, or does not read back as what it is.
pub fn probe(bytes: &[u8]) {
    for format in FORMATS {
        for layout in [Layout::Lines, Layout::List] {
            let mut take = |_: &str, row: Value| {
                if let Some(read) = (format.read)(&row)? {
                    let line = serde_json::to_string(&read.item).expect("invariant: an item is JSON");
                    assert_eq!(Item::parse(&line).as_ref(), Ok(&read.item));
                }
                Ok(())
            };
            // What is refused is no news.
            let _ = each(layout, "probe", bytes, &mut take);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    /// Values with the names that converters look for.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            Just(json!("2026-08-01T10:00:00Z")),
            Just(json!("https://github.com/owner/parser/issues/12")),
            Just(json!("3f1c2ab0123456789012345678901234567890ab")),
            Just(json!("diff --git a/a b/a")),
            Just(json!("[\"a\"]")),
            Just(json!("owner/parser-12")),
            Just(json!(12)),
        ];
        let names = prop::sample::select(vec![
            "key",
            "title",
            "body",
            "labels",
            "source",
            "fix",
            "comments",
            "contest",
            "number",
            "url",
            "author",
            "login",
            "createdAt",
            "closedAt",
            "closedByPullRequestsReferences",
            "mergeCommit",
            "oid",
            "name",
            "issue",
            "timeline",
            "html_url",
            "created_at",
            "closed_at",
            "user",
            "event",
            "commit_id",
            "pull_request",
            "merged_at",
            "instance_id",
            "repo",
            "org",
            "base_commit",
            "base",
            "sha",
            "problem_statement",
            "resolved_issues",
            "patch",
            "test_patch",
            "FAIL_TO_PASS",
            "PASS_TO_PASS",
            "difficulty",
            "language",
            "bundle",
            "created_ms",
            "text",
        ]);
        leaf.prop_recursive(4, 64, 12, move |inner| {
            let pairs = prop::collection::vec((names.clone(), inner.clone()), 0..12);
            let object = pairs.prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
            });
            prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::from), object]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_row_holds_it_is_an_item_that_may_be_sent_or_a_named_fault(row in value()) {
            for format in FORMATS {
                match (format.read)(&row) {
                    Ok(Some(read)) => prop_assert_eq!(read.item.check(), Ok(())),
                    Ok(None) => {}
                    Err(fault) => prop_assert!(!fault.field.is_empty() && !fault.why.is_empty()),
                }
            }
        }
    }

    #[test]
    fn formats_have_names_of_their_own() {
        for (at, format) in FORMATS.iter().enumerate() {
            assert!(FORMATS.iter().skip(at + 1).all(|other| other.name != format.name));
        }
    }
}
