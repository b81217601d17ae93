//! Who merges may, and the way of merging is one that the policy allows.

use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule};
use crate::policy::{Strategy, listed};
use crate::{Repo, Undecided};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "merger",
    demands: "the agent that merges is among those of the policy, and so is the strategy",
    at_submit: false,
    quiet: true,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let policy = &base.policy;
    let may = format!("merged by {}", listed(&policy.merge_by));
    let Some(merging) = candidate.merging else { return Ok(Finding::Satisfied(may)) };
    let creator = repo.creator()?;
    if !policy.merge_by.iter().any(|who| who.is(merging.by, &creator, Some(candidate.author))) {
        let why = format!("you are {}, and pull requests are {may} only, says {}", merging.by, base.cited());
        return Ok(Finding::Missing { code: RULE.word, why, next: candidate.show() });
    }
    if !policy.strategies.contains(&merging.strategy) {
        let allowed: Vec<&str> = policy.strategies.iter().map(|strategy| strategy.as_str()).collect();
        let why =
            format!("strategy {} is not among {} of {}", merging.strategy.as_str(), allowed.join(", "), base.cited());
        return Ok(Finding::Missing { code: "strategy", why, next: next(candidate, policy.strategy) });
    }
    Ok(Finding::Satisfied(may))
}

fn next(candidate: &Candidate<'_>, strategy: Strategy) -> String {
    match candidate.pull {
        Some(pull) => format!("ssh forge merge {} --strategy {}", reference(pull), strategy.as_str()),
        None => candidate.show(),
    }
}
