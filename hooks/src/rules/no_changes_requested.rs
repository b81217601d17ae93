//! Nobody asks for changes of the current head.

use notes_schema::event::Verdict;

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub struct NoChangesRequested;

impl GateRule for NoChangesRequested {
    fn word(&self) -> &'static str {
        "no-changes-requested"
    }

    fn demands(&self) -> &'static str {
        "no reviewer's latest verdict on the current head asks for changes"
    }

    fn at_submit(&self) -> bool {
        false
    }

    fn look(&self, _repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
        let live = candidate.live_reviews();
        let askers: Vec<&str> =
            live.iter().filter(|r| r.verdict == Verdict::RequestChanges).map(|r| r.agent.as_str()).collect();
        if askers.is_empty() {
            return Ok(Finding::Satisfied("no reviewer asks for changes of this head".to_owned()));
        }
        let why = format!("{} requested changes of this head; push a new one", askers.join(", "));
        Ok(Finding::Missing { code: self.word(), why, next: candidate.show() })
    }
}
