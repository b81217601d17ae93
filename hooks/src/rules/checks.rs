//! External checks that the policy names have passed on the head's tree: the newest word of each counts, and nobody's
//! word on their own work.

use notes_schema::event::CheckState;

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// A check that has not passed.
pub(super) struct Missing {
    /// What is wrong, with its name: "`ci` failed on tree 0505050, says robot".
    pub why: String,
    /// The command that helps.
    pub next: String,
}

/// The first of `names` that has not passed on the candidate's tree.
pub(super) fn first_missing(repo: &dyn Repo, candidate: &Candidate<'_>, names: &[String]) -> Option<Missing> {
    names.iter().find_map(|name| missing(repo, candidate, name))
}

fn missing(repo: &dyn Repo, candidate: &Candidate<'_>, name: &str) -> Option<Missing> {
    let said = || candidate.checks.iter().rev().filter(|check| check.name == name && check.tree == candidate.tree);
    let tree = candidate.tree.short();
    let Some(newest) = said().find(|check| check.by != *candidate.author) else {
        let but = match said().next() {
            Some(own) => format!(" by anybody but {}, whose work it is", own.by),
            None => String::new(),
        };
        let why = format!("`{name}` was not posted for tree {tree}{but}");
        return Some(Missing { why, next: format!("ssh forge check list {}", repo.project()) });
    };
    let (how, next) = match newest.state {
        CheckState::Success => return None,
        CheckState::Pending => ("is pending", "ssh forge feed --wait".to_owned()),
        CheckState::Failure => ("failed", candidate.show()),
        CheckState::Error => ("could not be run", candidate.show()),
    };
    Some(Missing { why: format!("`{name}` {how} on tree {tree}, says {}", newest.by), next })
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
    match first_missing(repo, candidate, &demands.checks) {
        None => Ok(Finding::Satisfied(format!("passed: {}", demands.checks.join(", ")))),
        Some(Missing { why, next }) => {
            let why = format!("{why}, and {} demands it", base.cited());
            Ok(Finding::Missing { code: RULE.word, why, next })
        }
    }
}
