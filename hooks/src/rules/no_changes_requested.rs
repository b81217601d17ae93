//! Nobody asks for changes of the current head.

use notes_schema::event::Verdict;

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "no-changes-requested",
    demands: "no reviewer's latest verdict on the current head asks for changes",
    at_submit: false,
    quiet: false,
    look,
};

fn look(_repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let live = candidate.live_reviews();
    let askers: Vec<&str> =
        live.iter().filter(|r| r.verdict == Verdict::RequestChanges).map(|r| r.agent.as_str()).collect();
    if askers.is_empty() {
        return Ok(Finding::Satisfied("no reviewer asks for changes of this head".to_owned()));
    }
    let why = format!("{} requested changes of this head; push a new one", askers.join(", "));
    Ok(Finding::Missing { code: RULE.word, why, next: candidate.show() })
}
