//! Whether a pull request merges with its target now.
//!
//! Invariant: it is what the gate found; nothing is merged for it once more.

use hooks::gate::Mergeability;
use serde::Serialize;

use super::text::inline;

/// Whether a head merges with its target as that is now.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum Merges {
    /// It does.
    Clean,
    /// It does not: both changed these files.
    Conflicts { paths: Vec<String> },
    /// That could not be found out.
    Unknown { why: String },
    /// There is nothing left to merge.
    Done,
}

impl Merges {
    pub(super) fn of(mergeable: &Mergeability) -> Merges {
        match mergeable {
            Mergeability::Clean => Merges::Clean,
            Mergeability::Conflicts(paths) => Merges::Conflicts { paths: paths.clone() },
            Mergeability::Unknown(why) => Merges::Unknown { why: why.clone() },
            Mergeability::Done => Merges::Done,
        }
    }

    /// `merges cleanly with main`, or which files conflict; nothing once it is over.
    pub(super) fn line(&self, target: &str) -> String {
        match self {
            Merges::Clean => format!("merges cleanly with `{target}`\n"),
            Merges::Conflicts { paths } => format!("conflicts with `{target}` in {}\n", inline(&paths.join(", "))),
            Merges::Unknown { why } => format!("whether it merges with `{target}` is not known: {}\n", inline(why)),
            Merges::Done => String::new(),
        }
    }
}
