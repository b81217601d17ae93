//! E09: the last recorded run was of a command that counts, stands there in full and ended by itself with status 0; where
//! test counts were read, tests ran and none failed.

use notes_schema::event::Level;
use notes_schema::trace::Attempt;

use crate::gate::{Candidate, Finding, GateRule};
use crate::next_run::{self, AGAIN};
use crate::policy::Policy;
use crate::{Repo, Undecided, reruns};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "tests",
    demands: "the last recorded run was of a command that counts and exited with 0; where test counts are read, more than \
         zero ran and none failed",
    at_submit: true,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let policy = &base.policy;
    let demands = candidate.demands(policy)?;
    let missing = |code, why: String, next: String| Ok(Finding::Missing { code, why, next });
    let record = candidate.record(policy);
    if demands.level == Level::P0 && record.is_none_or(|record| record.last().tree != candidate.tree) {
        return Ok(Finding::NotApplicable("the policy demands no run".to_owned()));
    }
    let Some(record) = record else {
        let next = next_run::another(repo, candidate, policy, None)?;
        return missing("E00", "no recorded run has arrived".to_owned(), next);
    };
    let last = record.last();
    if last.tree != candidate.tree {
        return missing("E09", "no recorded run on this tree yet".to_owned(), AGAIN.to_owned());
    }
    if !counts(policy, last) {
        let named: Vec<String> = policy.commands.iter().map(|command| format!("`{command}`")).collect();
        let place = if last.cwd.is_empty() { "" } else { " below the top of the work tree" };
        let why = format!(
            "the recorded run was of `{}`{place}; what counts is {}, at the top, says {}",
            last.command(),
            named.join(" or "),
            base.cited()
        );
        return missing("E09", why, next_run::required(policy, Some(last)).unwrap_or(AGAIN.to_owned()));
    }
    if !reruns::in_full(last) {
        let why = "a run of a command that was redacted or cut can be repeated by nobody, and proves nothing; keep \
                   secrets out of its words, in the environment or a file"
            .to_owned();
        return missing("E09", why, next_run::another(repo, candidate, policy, Some(last))?);
    }
    if let Some(why) = complaint(last) {
        return missing("E09", why, AGAIN.to_owned());
    }
    if demands.counts && last.tests.is_none() {
        let why = format!("no test counts were read of the recorded run, and {} demands them", base.cited());
        return missing("E09", why, next_run::required(policy, None).unwrap_or(AGAIN.to_owned()));
    }
    Ok(Finding::Satisfied(match &last.tests {
        Some(tests) => format!("{} passed, {} ignored ({})", tests.passed, tests.ignored, tests.framework),
        None => "exit 0; no test counts were read".to_owned(),
    }))
}

/// Whether a run is of a command that counts as proof.
pub fn counts(policy: &Policy, run: &Attempt) -> bool {
    let named = |run: &Attempt| run.cwd.is_empty() && policy.commands.iter().any(|command| command.is(&run.argv));
    policy.commands.is_empty() || named(run)
}

/// What speaks against a run as proof.
pub fn complaint(last: &Attempt) -> Option<String> {
    if !last.succeeded() {
        return Some(format!("the last recorded run failed: {}", last.ending()));
    }
    let tests = last.tests.as_ref()?;
    if tests.ran() == 0 {
        return Some("the last recorded run exited with 0, but ran no test".to_owned());
    }
    if tests.failed > 0 {
        return Some(format!("the last recorded run exited with 0, but {} tests failed", tests.failed));
    }
    None
}
