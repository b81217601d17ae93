//! Ref names as git itself takes them.
//!
//! A [`RefName`](notes_schema::RefName) is narrower: what a forge lets into its own repositories. On the wire, and in a
//! repository that stock git writes as well, every name that git accepts has to do.
//!
//! Invariant: a [`FullName`] passes `git check-ref-format`, begins with `refs/` and is UTF-8, so as a path below a git
//! directory it stays below it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use notes_schema::RefName;

/// A full ref name by git's own rules: `refs/…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullName(Arc<str>);

/// A text that git takes for no ref name; the words are git's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("funny refname")]
pub struct Funny;

impl FullName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a client may create: git wants two levels below `refs/` there.
    pub fn pushed(text: &str) -> Result<FullName, Funny> {
        let name: FullName = text.parse()?;
        if text["refs/".len()..].contains('/') { Ok(name) } else { Err(Funny) }
    }
}

impl FromStr for FullName {
    type Err = Funny;

    fn from_str(text: &str) -> Result<Self, Funny> {
        let rest = text.strip_prefix("refs/").ok_or(Funny)?;
        let forbidden = |b: u8| b <= b' ' || b == 0x7f || b"~^:?*[\\".contains(&b);
        if rest.bytes().any(forbidden) || text.contains("..") || text.contains("@{") || text.ends_with('.') {
            return Err(Funny);
        }
        let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        if rest.split('/').any(bad) { Err(Funny) } else { Ok(FullName(text.into())) }
    }
}

impl From<RefName> for FullName {
    fn from(name: RefName) -> Self {
        FullName(name.into())
    }
}

impl From<&RefName> for FullName {
    fn from(name: &RefName) -> Self {
        name.clone().into()
    }
}

impl std::borrow::Borrow<str> for FullName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Repo;

    #[test]
    fn what_git_accepts_is_accepted_and_nothing_else() {
        let repo = Repo::bare();
        let hex = "a".repeat(40);
        for name in [
            "refs/heads/main",
            "refs/stash",
            "refs/heads/-h",
            &format!("refs/heads/{hex}"),
            "refs/heads/HEAD",
            "refs/heads/ü",
            "refs/heads/@",
            "refs/heads/a@b",
            "refs/heads/{x}",
            "refs/heads/a.b",
            "refs/",
            "refs",
            "refs//x",
            "refs/heads/",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x.lock/y",
            "refs/heads/a..b",
            "refs/heads/a.",
            "refs/heads/a b",
            "refs/heads/a~",
            "refs/heads/a^b",
            "refs/heads/a:b",
            "refs/heads/a?",
            "refs/heads/a*",
            "refs/heads/a[",
            "refs/heads/a\\b",
            "refs/heads/@{u}",
            "refs/heads/a\u{7f}",
            "refs/x\ty",
        ] {
            let accepted = repo.try_git(&["check-ref-format", name], b"").0;
            assert_eq!(name.parse::<FullName>().is_ok(), accepted, "{name}");
        }
        for outside in ["HEAD", "main", "heads/main", "/refs/heads/x", "../refs/heads/x"] {
            assert!(outside.parse::<FullName>().is_err(), "{outside}");
        }
        assert!(FullName::pushed("refs/stash").is_err() && FullName::pushed("refs/heads/x").is_ok());
    }
}
