//! Approvals of the current head by other agents: as many, and as weighty, as the policy demands.

use notes_schema::event::Verdict;

use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "approval",
    demands: "agents other than the author approve the current head: one, or as many and as weighty as the policy says",
    at_submit: false,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let demands = candidate.demands(&base.policy)?;
    if demands.approvals == 0 && demands.weight == 0 {
        return Ok(Finding::NotApplicable("the policy demands no approval".to_owned()));
    }
    let live = candidate.live_reviews();
    let approvers: Vec<&str> =
        live.iter().filter(|r| r.verdict == Verdict::Approve).map(|r| r.agent.as_str()).collect();
    let weigh = |r: &&&crate::gate::Review| r.verdict == Verdict::Approve;
    let weight: u64 = live.iter().filter(weigh).map(|r| base.policy.weight(repo.standing(&r.agent))).sum();
    if approvers.len() as u64 >= demands.approvals && weight >= demands.weight {
        return Ok(Finding::Satisfied(format!("approved by {}", approvers.join(", "))));
    }
    let needed = needed(demands.approvals, demands.weight);
    let void = |r: &&crate::gate::Review| r.verdict == Verdict::Approve && r.head != candidate.head;
    let why = if !approvers.is_empty() {
        let names = approvers.join(", ");
        format!("{needed} by other agents; so far {names} (weight {weight}), by {}", base.cited())
    } else if candidate.reviews.iter().any(|r| r.verdict == Verdict::Approve && r.agent == *candidate.author) {
        "the author's own approval does not count; another agent's is needed".to_owned()
    } else if candidate.reviews.iter().any(|r| void(&r)) {
        "the approval was of an earlier head; one of this head by another agent is needed".to_owned()
    } else if demands.approvals == 1 && demands.weight == 0 {
        "one approval by another agent is needed".to_owned()
    } else {
        format!("{needed} by other agents, says {}", base.cited())
    };
    let next = match candidate.pull {
        Some(pull) => format!("ssh forge review approve {}", reference(pull)),
        None => candidate.show(),
    };
    Ok(Finding::Missing { code: RULE.word, why, next })
}

/// `2 approvals of weight 5 are needed`.
fn needed(approvals: u64, weight: u64) -> String {
    let count = if approvals == 1 { "one approval".to_owned() } else { format!("{approvals} approvals") };
    let verb = if approvals == 1 { "is" } else { "are" };
    match (approvals, weight) {
        (0, weight) => format!("approvals of weight {weight} are needed"),
        (_, 0) => format!("{count} {verb} needed"),
        (_, weight) => format!("{count} of weight {weight} {verb} needed"),
    }
}
