//! Reads release tags and says which one is the newest.

mod order;
mod parse;

use std::fmt;

pub use parse::ParseError;

/// A version as [Semantic Versioning 2.0.0](https://semver.org) has it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Changes that break.
    pub major: u64,
    /// Changes that add.
    pub minor: u64,
    /// Changes that mend.
    pub patch: u64,
    /// What stands behind `-`, split at its dots. Empty for a final release.
    pub pre: Vec<String>,
    /// What stands behind `+`. Says nothing about order.
    pub build: Option<String>,
}

/// Which releases somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Final releases alone.
    Stable,
    /// Candidates too.
    Preview,
}

impl Version {
    /// Whether this is a candidate for a release, and not the release.
    pub fn is_preview(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.is_preview() {
            write!(f, "-{}", self.pre.join("."))?;
        }
        if let Some(build) = &self.build {
            write!(f, "+{build}")?;
        }
        Ok(())
    }
}

/// The newest version among tags, as a channel sees them. Tags that are no versions are passed over.
pub fn latest<'a>(tags: impl IntoIterator<Item = &'a str>, channel: Channel) -> Option<Version> {
    let versions = tags
        .into_iter()
        .filter_map(|tag| tag.parse::<Version>().ok());
    versions
        .filter(|version| channel == Channel::Preview || !version.is_preview())
        .max()
}

/// All versions among tags, oldest first.
pub fn sort<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<Version> {
    let mut versions: Vec<Version> = tags
        .into_iter()
        .filter_map(|tag| tag.parse().ok())
        .collect();
    versions.sort();
    versions
}
