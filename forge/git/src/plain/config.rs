//! A repository's own configuration file, as an ordered list of keys and values.
//!
//! Invariant: reads the one file that it is given. Nothing is included, looked up elsewhere or executed.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use gix::config::File;
use gix::config::file::Metadata;

/// The largest configuration that is read.
/// Limit: configuration of a plain repository | {:bytes}
const LARGEST: u64 = 1 << 20;

/// Keys (`section.subsection.name`, section and name in small letters) with their values, in the file's order. A key
/// without `=` has no value, which git takes for true.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(Vec<(String, Option<String>)>);

impl Values {
    /// The values in the file at `path`; none where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Values, String> {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() as u64 > LARGEST => return Err(format!("it is larger than {LARGEST} bytes")),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Values::default()),
            Err(e) => return Err(e.to_string()),
        }
        Values::parse(&bytes)
    }

    /// The values in `text`.
    pub(super) fn parse(text: &[u8]) -> Result<Values, String> {
        let file =
            File::from_bytes_no_includes(text, Metadata::api(), Default::default()).map_err(|e| e.to_string())?;
        let mut values = Vec::new();
        for section in file.sections() {
            let (header, body) = (section.header(), section.body());
            let mut prefix = header.name().to_string().to_ascii_lowercase();
            if let Some(sub) = header.subsection_name() {
                prefix = format!("{prefix}.{sub}");
            }
            let mut seen = Vec::new();
            for name in body.value_names().map(|name| name.to_ascii_lowercase()) {
                if seen.contains(&name) {
                    continue;
                }
                let key = format!("{prefix}.{name}");
                let mut given: Vec<_> = body.values(&name).into_iter().map(|value| Some(value.to_string())).collect();
                // Which counts is the last, and only of it is it told whether there was a `=`.
                if body.value_implicit(&name) == Some(None) {
                    given.pop();
                    given.push(None);
                }
                values.extend(given.into_iter().map(|value| (key.clone(), value)));
                seen.push(name);
            }
        }
        Ok(Values(values))
    }

    /// Adds what a later file says.
    pub(super) fn extend(&mut self, later: Values) {
        self.0.extend(later.0);
    }

    /// All keys with their values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// The value of `key` that counts, which is the last; the inner `None` is a key without `=`.
    pub(super) fn last(&self, key: &str) -> Option<Option<&str>> {
        self.0.iter().rev().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_deref())
    }

    /// A boolean as git reads it.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, String> {
        match self.last(key) {
            None => Ok(None),
            Some(value) => boolean(value).map(Some).ok_or_else(|| bad(key, value, "is no boolean")),
        }
    }

    /// A whole number as git reads it, with `k`, `m` or `g`.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, String> {
        match self.last(key) {
            None => Ok(None),
            Some(value) => value.and_then(integer).map(Some).ok_or_else(|| bad(key, value, "is no number that fits")),
        }
    }

    /// Text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.last(key).flatten()
    }
}

fn bad(key: &str, value: Option<&str>, why: &str) -> String {
    format!("{key}: `{}` {why}", value.unwrap_or_default().chars().take(80).collect::<String>())
}

/// `None` stands for true, as git has it.
pub(super) fn boolean(value: Option<&str>) -> Option<bool> {
    let Some(text) = value else { return Some(true) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        _ => integer(text).map(|n| n != 0),
    }
}

fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    const TEXT: &str = "[core]\n\tbare\n[transfer]\n\thideRefs = refs/a\n[receive]\n\thideRefs = !refs/a/b ; why\n\
                        \tdenyDeletes = On\n\tmaxInputSize = 2k\n[transfer]\n\thideRefs = \"refs/c d\"\n\
                        \thiderefs = refs/e\\\n/f\n[uploadpackfilter \"tree\"]\n\tmaxDepth = 3\n";

    #[test]
    fn values_are_read_as_git_reads_them() {
        let values = Values::parse(TEXT.as_bytes()).unwrap();
        let repo = Repo::bare();
        std::fs::write(repo.path().join("config"), TEXT).unwrap();
        let listed = repo.git(&["config", "--file", "config", "--list"]);
        let ours: Vec<String> =
            values.iter().map(|(key, value)| value.map_or(key.to_owned(), |v| format!("{key}={v}"))).collect();
        assert_eq!(ours, listed.lines().collect::<Vec<_>>());
        assert_eq!(values.boolean("core.bare"), Ok(Some(true)));
        assert_eq!(values.boolean("receive.denyDeletes"), Ok(Some(true)));
        assert_eq!(values.integer("receive.maxInputSize"), Ok(Some(2048)));
        assert_eq!(values.integer("uploadpackfilter.tree.maxdepth"), Ok(Some(3)));
        assert_eq!(values.boolean("receive.fsckObjects"), Ok(None));
        assert!(values.boolean("transfer.hiderefs").unwrap_err().contains("is no boolean"));
    }
}
