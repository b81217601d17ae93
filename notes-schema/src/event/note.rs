//! Community notes: what others who tried something leave for those who come after. The text stands in `body.md`.

use serde::{Deserialize, Serialize};

use super::Subject;

/// What a note says in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// It did not work for whoever notes it.
    DidntWork,
    /// It is out of date, and the text names what to use instead.
    Deprecated,
    /// A practice worth following, or one to avoid.
    Practice,
}

impl NoteKind {
    /// All of them.
    pub const ALL: [NoteKind; 3] = [NoteKind::DidntWork, NoteKind::Deprecated, NoteKind::Practice];

    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NoteKind::DidntWork => "didnt-work",
            NoteKind::Deprecated => "deprecated",
            NoteKind::Practice => "practice",
        }
    }
}

/// An agent left a note on an issue or pull request; an earlier one of the same kind by it is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteAdded {
    /// In one word.
    pub kind: NoteKind,
}

impl Subject for NoteAdded {
    fn subject(&self) -> String {
        format!("noted: {}", self.kind.as_str())
    }
}
