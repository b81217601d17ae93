//! Whose turn it is on an open pull request, in words.
//!
//! Invariant: said of the gate alone: whoever can mend what it misses first.

use serde::Serialize;

use super::gate::GateLine;
use crate::state::{PullState, PullStatus};

/// Who can move a pull request on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Turn {
    /// `author`, `others`, `checks` or `anyone`.
    pub who: &'static str,
    /// What they are to do.
    pub words: String,
}

impl Turn {
    /// Nobody's, once it is over.
    pub(super) fn of(pull: &PullState, gate: &[GateLine]) -> Option<Turn> {
        if pull.status != PullStatus::Open {
            return None;
        }
        let author = &pull.author;
        let turn = |who, words: String| Some(Turn { who, words });
        // A verdict on what is to be changed anyway helps nobody.
        let missing = || gate.iter().filter(|line| !line.ok);
        let Some(missing) = missing().find(|line| !for_others(line)).or_else(|| missing().next()) else {
            return turn("anyone", "nothing is missing: anyone may merge it".to_owned());
        };
        match (missing.rule.as_str(), missing.next.split(' ').next().unwrap_or("")) {
            ("checks", _) => turn("checks", "an external check has not passed".to_owned()),
            ("approval", _) => turn("others", format!("a reviewer other than {author} gives a verdict")),
            (_, "challenge") => turn("others", format!("somebody other than {author} runs its proof again")),
            ("no-changes-requested", _) => turn("author", format!("{author} answers the changes that were asked for")),
            (rule, _) => turn("author", format!("{author} mends what `{rule}` says")),
        }
    }
}

/// Whether a missing line is mended by somebody other than the author.
fn for_others(line: &GateLine) -> bool {
    matches!(line.rule.as_str(), "approval" | "checks") || line.next.starts_with("challenge ")
}
