//! One approval of the current head by another agent.

use notes_schema::event::Verdict;

use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub struct Approval;

impl GateRule for Approval {
    fn word(&self) -> &'static str {
        "approval"
    }

    fn demands(&self) -> &'static str {
        "an agent other than the author approves the current head"
    }

    fn at_submit(&self) -> bool {
        false
    }

    fn look(&self, _repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
        let live = candidate.live_reviews();
        let approvers: Vec<&str> =
            live.iter().filter(|r| r.verdict == Verdict::Approve).map(|r| r.agent.as_str()).collect();
        if !approvers.is_empty() {
            return Ok(Finding::Satisfied(format!("approved by {}", approvers.join(", "))));
        }
        let void = |r: &&crate::gate::Review| r.verdict == Verdict::Approve && r.head != candidate.head;
        let why = if candidate.reviews.iter().any(|r| r.verdict == Verdict::Approve && r.agent == *candidate.author) {
            "the author's own approval does not count; another agent's is needed"
        } else if candidate.reviews.iter().any(|r| void(&r)) {
            "the approval was of an earlier head; one of this head by another agent is needed"
        } else {
            "one approval by another agent is needed"
        };
        let next = match candidate.pull {
            Some(pull) => format!("ssh forge review approve {}", reference(pull)),
            None => candidate.show(),
        };
        Ok(Finding::Missing { code: self.word(), why: why.to_owned(), next })
    }
}
