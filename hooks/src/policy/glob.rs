//! Globs over names joined by slashes: paths of files, and refs.
//!
//! `*` stands for any run of characters within one segment, `?` for one of them, a segment `**` for any number of
//! segments, and a slash at the end for all that is below. A glob is anchored at both ends.
//!
//! Invariant: matching costs at most the product of both lengths, and never recurses.

use std::fmt;

/// Longest glob, in bytes.
/// Limit: one glob of a policy | {:bytes}
pub const LONGEST: usize = 200;

/// A glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    segments: Vec<String>,
}

impl Glob {
    /// Reads a glob, or says why it is none.
    pub fn parse(text: &str) -> Result<Glob, &'static str> {
        if text.is_empty() || text.len() > LONGEST {
            return Err("a glob has 1 to 200 bytes");
        }
        if text.starts_with('/') || text.contains("//") || text.chars().any(char::is_control) {
            return Err("a glob begins with no slash, and holds no two in a row and no control character");
        }
        let whole = if text.ends_with('/') { format!("{text}**") } else { text.to_owned() };
        if whole.split('/').any(|segment| segment.contains("**") && segment != "**") {
            return Err("`**` stands alone between slashes");
        }
        Ok(Glob { text: text.to_owned(), segments: whole.split('/').map(str::to_owned).collect() })
    }

    /// Whether it matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        let wild = |c: char| c == '*' || c == '?';
        let (start, end) = (self.text.split(wild).next(), self.text.rsplit(['*', '?', '/']).next());
        // Most names differ where the glob is plain text.
        if !name.starts_with(start.unwrap_or("")) || !name.ends_with(end.unwrap_or("")) {
            return false;
        }
        let names: Vec<&str> = name.split('/').collect();
        // reach[j]: the segments so far match exactly the first j names.
        let mut reach = vec![false; names.len() + 1];
        reach[0] = true;
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter().enumerate() {
            let mut next = vec![false; names.len() + 1];
            if segment == "**" {
                let mut any = false;
                for (j, slot) in next.iter_mut().enumerate() {
                    // `dir/**` is about what is below, which `dir` itself is not.
                    *slot = any || (reach[j] && at < last);
                    any |= reach[j];
                }
            } else {
                for (j, name) in names.iter().enumerate() {
                    next[j + 1] = reach[j] && segment_matches(segment.as_bytes(), name.as_bytes());
                }
            }
            reach = next;
        }
        reach[names.len()]
    }
}

/// `*` and `?` within one segment; on a mismatch only the last star takes more.
fn segment_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let cases = [
            ("Cargo.toml", "Cargo.toml", true),
            ("Cargo.toml", "a/Cargo.toml", false),
            ("**/Cargo.toml", "Cargo.toml", true),
            ("**/Cargo.toml", "a/b/Cargo.toml", true),
            ("src/*", "src/a.rs", true),
            ("src/*", "src/a/b.rs", false),
            ("src/", "src/a/b.rs", true),
            ("src/**", "src/a", true),
            ("src/**", "src", false),
            ("**/tests/**", "tests/a.rs", true),
            ("**/tests/**", "a/tests/b/c", true),
            ("**/tests/**", "tests", false),
            ("src/**/x", "src/x", true),
            ("src/**/x", "src/a/b/x", true),
            ("**", "anything/at/all", true),
            ("*.rs", "a.rs", true),
            ("*.rs", "a/b.rs", false),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXcYYb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("refs/heads/*", "refs/heads/main", true),
            ("refs/heads/*", "refs/heads/alpha/x", false),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(Glob::parse(glob).unwrap().matches(name), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused_and_stars_never_explode() {
        for bad in ["", "/a", "a//b", "a**", "a\nb", &"x".repeat(201)] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
        let stars = Glob::parse(&"*a".repeat(99)).unwrap();
        assert!(!stars.matches(&"a".repeat(4000).replace("aa", "ab")));
        let deep = Glob::parse(&vec!["**"; 40].join("/x/")).unwrap();
        assert!(!deep.matches(&"y/".repeat(2000)));
    }
}
