//! External checks that the policy names have passed on the head's tree.

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// The first of `names` that has not passed on the candidate's tree: its newest word counts.
pub(super) fn first_missing<'n>(candidate: &Candidate<'_>, names: &'n [String]) -> Option<&'n str> {
    let newest = |name: &&String| {
        candidate.checks.iter().rev().find(|check| check.name == **name && check.tree == candidate.tree)
    };
    names.iter().find(|name| newest(name).is_none_or(|check| !check.passed)).map(String::as_str)
}

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "checks",
    demands: "the external checks that the policy names have passed on the head's tree",
    at_submit: false,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let demands = candidate.demands(&base.policy)?;
    if demands.checks.is_empty() {
        return Ok(Finding::NotApplicable("the policy names no checks".to_owned()));
    }
    match first_missing(candidate, &demands.checks) {
        None => Ok(Finding::Satisfied(format!("passed: {}", demands.checks.join(", ")))),
        Some(name) => {
            let tree = candidate.tree.short();
            let why = format!("`{name}` has not passed on tree {tree}, and {} demands it", base.cited());
            Ok(Finding::Missing { code: RULE.word, why, next: "ssh forge help policy".to_owned() })
        }
    }
}
