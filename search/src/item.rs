//! What is indexed.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use notes_schema::{ProjectName, Sha256};
use serde::{Deserialize, Serialize};

use crate::query::Sort;
use crate::text;

/// Longest body that is searched, in bytes; the rest is not looked at.
/// Limit: text of an item that is searched | {:bytes}; the rest is not looked at
pub const MAX_BODY: usize = 64 << 10;
/// Longest title, in bytes.
/// Limit: title that is searched | {:bytes}; the rest is not looked at
const MAX_TITLE: usize = 1024;
/// Longest label, language or author, in bytes.
/// Limit: label, language or author that is searched | {:bytes}; the rest is not looked at
const MAX_NAME: usize = 128;
/// Most labels.
/// Limit: labels of an item that are searched | {}; the rest is not looked at
const MAX_LABELS: usize = 32;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An issue.
    Issue,
    /// A pull request.
    Pull,
    /// A project's own entry, number 0.
    Project,
}

impl Kind {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Issue => "issue",
            Kind::Pull => "pull",
            Kind::Project => "project",
        }
    }
}

/// What state it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Open. A project is open.
    Open,
    /// Closed, not by landing.
    Closed,
    /// A pull request that landed.
    Merged,
}

impl State {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Closed => "closed",
            State::Merged => "merged",
        }
    }
}

/// One issue, pull request or project as it is listed and searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The project.
    pub project: ProjectName,
    /// The number in it; 0 for the project's own entry.
    pub n: u64,
    /// What it is.
    pub kind: Kind,
    /// Its state.
    pub state: State,
    /// Its title, or the project's name.
    pub title: String,
    /// The searched text: body and comments, or the project's description. Cut at [`MAX_BODY`].
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// Its labels. At most 32 are kept.
    pub labels: Vec<String>,
    /// The language it is about.
    pub lang: Option<String>,
    /// Forge-wide number of its last event.
    pub seq: u64,
    /// Forge-wide number of the event that opened it.
    pub opened_seq: u64,
}

impl Item {
    /// Where it stands in a list: pass the last item's to get the items after it.
    pub fn cursor(&self, sort: Sort) -> Cursor {
        Cursor { seq: self.sort_by(sort), tie: tie(&key(&self.project, self.n)) }
    }

    fn sort_by(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Newest => self.opened_seq,
            Sort::Active => self.seq,
        }
    }
}

/// A place in a list. Written `<seq>.<hex>`; ordered so that what comes first in a list is greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    pub(crate) seq: u64,
    /// Orders items of one `seq`, which only projects forked from one history could have.
    pub(crate) tie: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.seq, self.tie)
    }
}

/// Why text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is `<number>.<16 hexadecimal digits>`, as the list before printed it")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (seq, tie) = text.split_once('.').ok_or(CursorError)?;
        let plain = |t: &str, of: fn(&u8) -> bool| !t.is_empty() && t.as_bytes().iter().all(of);
        if !plain(seq, u8::is_ascii_digit) || !plain(tie, u8::is_ascii_hexdigit) || tie.len() != 16 {
            return Err(CursorError);
        }
        let seq = seq.parse().map_err(|_| CursorError)?;
        Ok(Cursor { seq, tie: u64::from_str_radix(tie, 16).map_err(|_| CursorError)? })
    }
}

/// `parser#7`: the identity of an item in the index.
pub(crate) fn key(project: &ProjectName, n: u64) -> String {
    format!("{project}#{n}")
}

/// 64 bits of a key's digest. It breaks ties and finds overlaid items quickly; two keys with one digest would at worst
/// hide one of them until the next commit.
pub(crate) fn tie(key: &str) -> u64 {
    let digest = Sha256::of(key.as_bytes()).to_string();
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}

/// Names are compared without case, and bounded.
pub(crate) fn fold_case(name: &str) -> String {
    text::cut(&text::cut(name, MAX_NAME).to_lowercase(), MAX_NAME).to_owned()
}

/// An item with what queries ask of it, computed once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub item: Item,
    pub key: String,
    pub tie: u64,
    pub labels: Vec<String>,
    pub lang: Option<String>,
    pub author: String,
    words: OnceLock<ItemWords>,
}

/// The words of an item.
#[derive(Debug)]
pub(crate) struct ItemWords {
    pub title: Vec<String>,
    pub body: Vec<String>,
}

impl Prepared {
    /// Bounds an item and prepares it.
    pub fn of(mut item: Item) -> Prepared {
        item.body.truncate(text::floor(&item.body, MAX_BODY));
        item.title.truncate(text::floor(&item.title, MAX_TITLE));
        item.author.truncate(text::floor(&item.author, MAX_NAME));
        if let Some(lang) = &mut item.lang {
            lang.truncate(text::floor(lang, MAX_NAME));
        }
        item.labels.truncate(MAX_LABELS);
        for label in &mut item.labels {
            label.truncate(text::floor(label, MAX_NAME));
        }
        let key = key(&item.project, item.n);
        Prepared {
            tie: tie(&key),
            labels: item.labels.iter().map(|l| fold_case(l)).collect(),
            lang: item.lang.as_deref().map(fold_case),
            author: fold_case(&item.author),
            key,
            item,
            words: OnceLock::new(),
        }
    }

    /// Its words; computed when first asked for, because most queries ask for none.
    pub fn words(&self) -> &ItemWords {
        self.words.get_or_init(|| ItemWords {
            title: text::words(&self.item.title, usize::MAX),
            body: text::words(&self.item.body, usize::MAX),
        })
    }

    /// About how much memory it holds, words not counted.
    pub fn weight(&self) -> usize {
        512 + self.item.body.len() + self.item.title.len()
    }

    /// The place in a list.
    pub fn cursor(&self, sort: Sort) -> Cursor {
        Cursor { seq: self.item.sort_by(sort), tie: self.tie }
    }
}

/// Whether `a` comes before `b` in a list.
pub(crate) fn list_order(a: &Cursor, b: &Cursor) -> Ordering {
    b.cmp(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_as_they_are_written() {
        let cursor = Cursor { seq: 8812, tie: 0x00ab_cdef_0123_4567 };
        assert_eq!(cursor.to_string(), "8812.00abcdef01234567");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            ".",
            "1.",
            ".0",
            "+1.0000000000000000",
            "1.000000000000000",
            "99999999999999999999.0000000000000000",
            "1.é000000000000000",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn items_are_bounded_between_characters() {
        let item = Item {
            project: "parser".parse().unwrap(),
            n: 1,
            kind: Kind::Issue,
            state: State::Open,
            title: "é".repeat(MAX_TITLE),
            body: format!("a{}", "é".repeat(MAX_BODY)),
            author: "alpha".into(),
            labels: vec!["İ".repeat(MAX_NAME); 50],
            lang: None,
            seq: 2,
            opened_seq: 1,
        };
        let prepared = Prepared::of(item);
        assert!(prepared.item.body.len() < MAX_BODY && prepared.item.title.len() == MAX_TITLE);
        assert!(prepared.labels.len() == MAX_LABELS && prepared.labels.iter().all(|l| l.len() <= MAX_NAME));
    }
}
