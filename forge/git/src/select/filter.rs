//! What a partial clone leaves out: git's filter specifications.
//!
//! Every filter narrows, and `combine:` is their intersection; so whatever a client combines is one value here.
//!
//! Invariant: what comes from a client is bounded in depth and number, and never descended by recursion.

use crate::object::Kind;

/// The deepest nesting of `combine:` in `combine:`, and the most filters in all.
/// Limit: nesting of `combine:` in `combine:` | {}
const DEEPEST: usize = 10;
/// Limit: filters combined in one | {}
const MOST: usize = 64;

/// Which objects are left out. The default leaves out none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only blobs of fewer bytes are sent; 0 for `blob:none`.
    pub blobs_below: Option<u64>,
    /// Only what lies less deep is sent; a commit's own tree lies at 0.
    pub tree_depth: Option<u64>,
    /// Kinds that are not sent.
    left_out: u8,
    /// Whether a path decides, which is read in a blob (`sparse:oid`).
    pub sparse: bool,
}

/// One filter of a specification, for whoever decides which are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As configured: `blob:none`, `blob:limit`, `tree`, `object:type`, `sparse:oid`, `combine`.
    pub name: &'static str,
    /// The depth, of a `tree`.
    pub depth: Option<u64>,
    /// What names the blob, of a `sparse:oid`.
    pub blob: Option<String>,
}

/// A specification that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Unknown, or a number that is none.
    #[error("invalid filter-spec '{0}'")]
    Invalid(String),
    /// Beyond what is read.
    #[error("a filter may combine at most {MOST} filters, nested at most {DEEPEST} deep")]
    Large,
}

fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 4,
        Kind::Tag => 8,
    }
}

impl Filter {
    /// Reads a specification; what it is made of goes to `part`.
    pub fn parse(spec: &str, mut part: impl FnMut(Part)) -> Result<Filter, FilterError> {
        let mut filter = Filter::default();
        let mut open = vec![(spec.to_owned(), 0)];
        let mut count = 0;
        while let Some((spec, depth)) = open.pop() {
            count += 1;
            if count > MOST || depth > DEEPEST {
                return Err(FilterError::Large);
            }
            let invalid = || FilterError::Invalid(spec.clone());
            let Some(inner) = spec.strip_prefix("combine:") else {
                part(filter.narrow(&spec).ok_or_else(invalid)?);
                continue;
            };
            part(Part { name: "combine", depth: None, blob: None });
            for piece in inner.split('+').rev().take(MOST + 1) {
                open.push((decode(piece).ok_or_else(invalid)?, depth + 1));
            }
        }
        Ok(filter)
    }

    fn narrow(&mut self, spec: &str) -> Option<Part> {
        let part = |name| Part { name, depth: None, blob: None };
        if spec == "blob:none" {
            self.blobs_below = Some(0);
            return Some(part("blob:none"));
        }
        if let Some(limit) = spec.strip_prefix("blob:limit=") {
            let limit = number(limit)?;
            self.blobs_below = Some(self.blobs_below.map_or(limit, |l| l.min(limit)));
            return Some(part("blob:limit"));
        }
        if let Some(depth) = spec.strip_prefix("tree:") {
            let depth = number(depth)?;
            self.tree_depth = Some(self.tree_depth.map_or(depth, |d| d.min(depth)));
            return Some(Part { depth: Some(depth), ..part("tree") });
        }
        if let Some(kind) = spec.strip_prefix("object:type=") {
            let all = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
            let only = *all.iter().find(|k| k.as_str() == kind)?;
            self.left_out |= !bit(only);
            return Some(part("object:type"));
        }
        let path = spec.strip_prefix("sparse:oid=")?;
        self.sparse = true;
        (!path.is_empty()).then(|| Part { blob: Some(path.to_owned()), ..part("sparse:oid") })
    }

    /// Whether it leaves out anything.
    pub fn is_active(&self) -> bool {
        *self != Filter::default()
    }

    /// Whether objects of `kind` may be sent at all.
    pub fn sends(&self, kind: Kind) -> bool {
        self.left_out & bit(kind) == 0
    }

    /// Whether anything below a commit may be sent, so that it is worth looking.
    pub fn looks_into_trees(&self) -> bool {
        (self.sends(Kind::Tree) || self.sends(Kind::Blob)) && self.tree_depth != Some(0)
    }

    /// Whether what lies at `depth` may be sent.
    pub fn reaches(&self, depth: u64) -> bool {
        self.tree_depth.is_none_or(|deepest| depth < deepest)
    }
}

/// A number as git reads one: with `k`, `m` or `g`, and in hexadecimal behind `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1u64),
    };
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = match digits.strip_prefix("0x") {
        Some(hex) if plain(hex) => u64::from_str_radix(hex, 16),
        None if plain(digits) => digits.parse(),
        _ => return None,
    };
    value.ok()?.checked_mul(unit)
}

/// Undoes URL-encoding. What had to be encoded and was not is no filter.
fn decode(text: &str) -> Option<String> {
    const RESERVED: &str = "~`!@#$^&*()[]{}\\;'\",<>?";
    if text.is_empty() {
        return None;
    }
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte <= b' ' || RESERVED.as_bytes().contains(&byte) {
            return None;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        plain.push(if byte == b'%' { (digit()? * 16 + digit()?) as u8 } else { byte });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &str) -> Result<(Filter, Vec<&'static str>), FilterError> {
        let mut names = Vec::new();
        let filter = Filter::parse(spec, |part| names.push(part.name))?;
        Ok((filter, names))
    }

    #[test]
    fn what_git_writes_is_read() {
        let blobs = |below| Filter { blobs_below: Some(below), ..Filter::default() };
        assert_eq!(read("blob:none").unwrap().0, blobs(0));
        assert_eq!(read("blob:limit=0x10").unwrap().0, blobs(16));
        assert_eq!(read("blob:limit=2K").unwrap().0, blobs(2048));
        assert_eq!(read("blob:limit=3g").unwrap().0, blobs(3 << 30));
        assert_eq!(read("tree:7").unwrap().0.tree_depth, Some(7));
        let (filter, names) = read("combine:tree:3+combine:blob%3Alimit=9%2btree%3a1+object:type=tree").unwrap();
        assert_eq!((filter.tree_depth, filter.blobs_below), (Some(1), Some(9)));
        assert!(filter.sends(Kind::Tree) && !filter.sends(Kind::Blob) && !filter.sends(Kind::Commit));
        assert_eq!(names, ["combine", "tree", "combine", "blob:limit", "tree", "object:type"]);
        assert!(read("sparse:oid=main:spec").unwrap().0.sparse);
        assert!(!Filter::default().is_active() && blobs(0).is_active());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for spec in [
            "",
            "blob:",
            "blob:limit=",
            "blob:limit=-1",
            "blob:limit=1x",
            "blob:limit=+1",
            "blob:limit=99999999999g",
            "tree:",
            "tree:x",
            "object:type=",
            "object:type=blobs",
            "sparse:oid=",
            "sparse:path=x",
            "combine:",
            "combine:tree:1+",
            "combine:tree:1+blob:none!",
            "combine:tree%3",
            "combine:%zz",
            "none",
        ] {
            assert!(matches!(read(spec), Err(FilterError::Invalid(_))), "{spec}");
        }
        let many = format!("combine:{}", vec!["tree:1"; 1000].join("+"));
        assert_eq!(read(&many), Err(FilterError::Large));
        let deeper = |spec: String, _| format!("combine:{}", spec.replace('%', "%25"));
        let nested = (0..100).fold("combine:tree:1".to_owned(), deeper);
        assert_eq!(read(&nested), Err(FilterError::Large));
        assert!(read(&(0..9).fold("combine:tree:1".to_owned(), deeper)).is_ok());
    }
}
