//! E13: whoever changes the tests changes what a proof means: it is flagged, and the policy may ask for more.

use notes_schema::event::{Level, Verdict};

use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule, proof_on};
use crate::policy::reaches;
use crate::{Repo, Undecided, next_run};

/// How many paths are named.
const NAMED: usize = 3;

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "tests-touched",
    demands: "a change of tests or build configuration is flagged, and fulfils `[require.tests]` of the policy",
    at_submit: false,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let demands = &base.policy.tests;
    let changed = match candidate.changed() {
        Ok(changed) => changed,
        // A flag alone is no reason to refuse.
        Err(undecided) if demands.is_none() => return Ok(Finding::NotApplicable(undecided.to_string())),
        Err(undecided) => return Err(undecided),
    };
    let touched: Vec<&str> =
        changed.iter().map(|c| c.path.as_str()).filter(|path| base.policy.is_test_path(path)).collect();
    if touched.is_empty() {
        return Ok(Finding::NotApplicable("neither tests nor build configuration are touched".to_owned()));
    }
    let mut named = touched.iter().take(NAMED).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    if touched.len() > NAMED {
        named += &format!(" and {} more", touched.len() - NAMED);
    }
    let flag = format!("tests or build configuration are touched: {named}");
    let missing = |what: String, next: String| {
        let why = format!("{flag}; {} then demands {what}", base.cited());
        Ok(Finding::Missing { code: "E13", why, next })
    };
    let level = proof_on(&base.policy, candidate, candidate.tree).level;
    if demands.level > Level::P0 && !reaches(level, demands.level) {
        let next = super::level::raise(candidate, demands.level);
        return missing(format!("level {}, and it has {level}", demands.level), next);
    }
    let last = candidate.record_on(candidate.tree, &base.policy).map(notes_schema::trace::Record::last);
    if demands.counts && last.is_none_or(|last| last.tests.is_none()) {
        let next = next_run::required(&base.policy, None).unwrap_or(next_run::AGAIN.to_owned());
        return missing("test counts".to_owned(), next);
    }
    if let Some(check) = super::checks::first_missing(repo, candidate, &demands.checks) {
        return missing(format!("{}, and {}", demands.checks.join(", "), check.why), check.next);
    }
    let live = candidate.live_reviews();
    let approvers = live.iter().filter(|review| review.verdict == Verdict::Approve);
    let weight: u64 = approvers.clone().map(|review| base.policy.weight(repo.standing(&review.agent))).sum();
    let count = approvers.count() as u64;
    if count < demands.approvals || weight < demands.weight {
        let next =
            candidate.pull.map_or(candidate.show(), |pull| format!("ssh forge review approve {}", reference(pull)));
        let weigh = if demands.weight > 0 { format!(" of weight {}", demands.weight) } else { String::new() };
        return missing(
            format!("{} approvals{weigh}, and it has {count} of weight {weight}", demands.approvals.max(1)),
            next,
        );
    }
    Ok(Finding::Satisfied(format!("E13, flagged: {flag}")))
}
