//! The one shape that every format becomes, and what each part of it may hold.
//!
//! Invariant: [`Item::check`] is asked where an item is made and again where it is taken in, so that neither has to
//! believe the other.

use hooks::command::is_invisible;
use notes_schema::Oid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fault, Read, fields};

/// Longest title, in bytes: that of any issue.
/// Limit: title of an imported issue | {:bytes}; a longer one is cut, and stands whole in the text
pub const LONGEST_TITLE: usize = 200;
/// Most labels: those of any issue.
/// Limit: labels of an imported issue | {}; the others are left out
pub const MOST_LABELS: usize = 16;
/// Longest label, in bytes: that of any issue.
/// Limit: one label of an imported issue | {:bytes}; a longer one is cut
pub const LONGEST_LABEL: usize = 40;
/// Most comments: the first ones.
/// Limit: comments of an imported issue | {}; the later ones are left out
pub const MOST_COMMENTS: usize = 100;
/// Longest text of an issue or a comment, in bytes.
/// Limit: text of an imported issue; of a comment on it | {:bytes} each
pub const LONGEST_TEXT: usize = 256 << 10;
/// Longest key, in bytes.
/// Limit: key of an imported issue | {:bytes}
pub const LONGEST_KEY: usize = 300;
/// Longest address, in bytes.
/// Limit: address of an imported issue, or of its fix | {:bytes}
pub const LONGEST_URL: usize = 512;
/// Longest name of an author elsewhere, in bytes.
/// Limit: name of an author elsewhere | {:bytes}; a longer one is cut
pub const LONGEST_AUTHOR: usize = 100;

/// An issue of elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is there, by which it is known again: `github:owner/repo#12`, `swebench:<instance>`.
    pub key: String,
    /// One line.
    pub title: String,
    /// What its reporter wrote.
    #[serde(default)]
    pub body: String,
    /// Words by which issues are found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Where it came from.
    #[serde(default)]
    pub source: Source,
    /// What mended it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// What was said before there was a fix, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// What makes it a contest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest: Option<Contest>,
}

/// Where an item came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its page there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who opened it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<u64>,
    /// When it was closed there, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
}

/// What mended an item where it came from. Never written while the issue is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Its page there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The commit that landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Oid>,
    /// When it was proposed, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_ms: Option<u64>,
    /// When it landed, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_ms: Option<u64>,
}

/// What somebody said there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// Who.
    pub author: String,
    /// When, milliseconds since 1970.
    pub created_ms: u64,
    /// What.
    pub text: String,
}

/// What makes an item a contest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contest {
    /// Language, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// `easy`, `medium` or `hard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<String>,
    /// The commit that it is about.
    pub base: Oid,
    /// What runs the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What nobody sees before it is over.
    pub sealed: Sealed,
}

/// The sealed part of a contest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The patch that mended it.
    pub golden: String,
    /// The patch that adds the tests.
    pub tests: String,
    /// Tests that fail before and pass after.
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_to_pass: Vec<String>,
}

/// One line of items, as they are.
pub(super) fn read(row: &Value) -> Result<Option<Read>, Fault> {
    // A list would be taken for the fields in order.
    if !row.is_object() {
        return Err(Fault::new("row", "it is no object"));
    }
    let item: Item = Item::deserialize(row).map_err(|e| fields::misshapen(&e))?;
    item.check()?;
    Ok(Some(item.into()))
}

impl Item {
    /// Reads and checks one line of items.
    pub fn parse(line: &str) -> Result<Item, Fault> {
        let row: Value = serde_json::from_str(line).map_err(|e| fields::misshapen(&e))?;
        read(&row)?.map(|read| read.item).ok_or_else(|| Fault::new("row", "it is no item"))
    }

    /// Whether every part holds what it may hold.
    pub fn check(&self) -> Result<(), Fault> {
        check_key(&self.key)?;
        one_line("title", &self.title, LONGEST_TITLE)?;
        if self.title.trim().is_empty() {
            return Err(Fault::new("title", "it is empty"));
        }
        check_text("body", &self.body)?;
        if self.labels.len() > MOST_LABELS {
            return Err(Fault::new("labels", format!("more than {MOST_LABELS}")));
        }
        for (at, label) in self.labels.iter().enumerate() {
            one_line(&format!("labels[{at}]"), label, LONGEST_LABEL)?;
        }
        check_place("source", self.source.url.as_deref(), self.source.author.as_deref())?;
        if let Some(fix) = &self.fix {
            check_place("fix", fix.url.as_deref(), fix.author.as_deref())?;
        }
        if self.comments.len() > MOST_COMMENTS {
            return Err(Fault::new("comments", format!("more than {MOST_COMMENTS}")));
        }
        for (at, comment) in self.comments.iter().enumerate() {
            one_line(&format!("comments[{at}].author"), &comment.author, LONGEST_AUTHOR)?;
            check_text(&format!("comments[{at}].text"), &comment.text)?;
        }
        self.contest.as_ref().map_or(Ok(()), Contest::check)
    }
}

impl Contest {
    fn check(&self) -> Result<(), Fault> {
        for (field, text) in [("lang", &self.lang), ("difficulty", &self.difficulty)] {
            if let Some(text) = text {
                one_line(&format!("contest.{field}"), text, LONGEST_LABEL)?;
            }
        }
        match self.sealed.fail_to_pass.is_empty() {
            true => Err(Fault::new("contest.sealed.fail_to_pass", "it names no test")),
            false => Ok(()),
        }
    }
}

fn check_key(key: &str) -> Result<(), Fault> {
    if key.len() > LONGEST_KEY || key.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)) {
        return Err(Fault::new("key", format!("one word of at most {LONGEST_KEY} bytes is wanted")));
    }
    match key.split_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(Fault::new("key", "it is not `<source>:<name>`")),
    }
}

fn check_place(of: &str, url: Option<&str>, author: Option<&str>) -> Result<(), Fault> {
    if let Some(url) = url {
        one_line(&format!("{of}.url"), url, LONGEST_URL)?;
        fields::web(&format!("{of}.url"), url)?;
    }
    author.map_or(Ok(()), |author| one_line(&format!("{of}.author"), author, LONGEST_AUTHOR))
}

fn one_line(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    match text.len() > most || text.chars().any(|c| c.is_control() || is_invisible(c)) {
        true => Err(Fault::new(field, format!("one line of at most {most} bytes is wanted"))),
        false => Ok(()),
    }
}

fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    match text.len() > LONGEST_TEXT {
        true => Err(Fault::new(field, format!("longer than {LONGEST_TEXT} bytes"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Value {
        serde_json::json!({ "key": "github:owner/repo#1", "title": "It leaks" })
    }

    fn fault(field: &str, value: Value) -> String {
        let mut item = bare();
        item[field] = value;
        Item::parse(&item.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_unknown_is_named() {
        let item = Item::parse(&bare().to_string()).unwrap();
        assert_eq!((item.body.as_str(), item.comments.len(), item.contest), ("", 0, None));
        assert!(fault("titel", "x".into()).contains("`titel`"));
        assert!(Item::parse("{").is_err() && Item::parse("[]").is_err());
        assert!(Item::parse(r#"{"key":"a:b"}"#).unwrap_err().to_string().contains("title"));
    }

    #[test]
    fn each_part_is_named_where_it_is_too_long_or_no_line() {
        for (field, value, said) in [
            ("key", "no-colon".into(), "key: it is not"),
            ("key", "a:b c".into(), "key: one word"),
            ("title", "a\nb".into(), "title: one line"),
            ("title", " ".into(), "title: it is empty"),
            ("title", "x".repeat(LONGEST_TITLE + 1).into(), "title: one line"),
            ("body", "x".repeat(LONGEST_TEXT + 1).into(), "body: longer"),
            ("labels", vec!["x"; MOST_LABELS + 1].into(), "labels: more than"),
            ("labels", vec!["ok".to_owned(), "x".repeat(41)].into(), "labels[1]: one line"),
            ("source", serde_json::json!({ "url": "javascript:alert(1)" }), "source.url: "),
            (
                "comments",
                serde_json::json!([{ "author": "a\u{202e}b", "created_ms": 1, "text": "" }]),
                "comments[0].author: one line",
            ),
        ] {
            assert!(fault(field, value).starts_with(said), "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".{0,200}") {
            let _ = Item::parse(&line);
        }
    }
}
