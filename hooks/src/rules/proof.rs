//! E00 and E08: the author recorded a run, and the last tested tree is the tip's tree.

use notes_schema::event::Level;

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided, next_run};

/// How many differing paths are named.
const NAMED: usize = 5;

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "proof",
    demands: "the author pushed a record whose last run was on exactly this tree",
    at_submit: true,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let Some(record) = candidate.record(&base.policy) else {
        if candidate.demands(&base.policy)?.level == Level::P0 {
            return Ok(Finding::NotApplicable("the policy demands no record".to_owned()));
        }
        if let Some(finding) = for_another_issue(repo, candidate, "E00") {
            return Ok(finding);
        }
        return Ok(Finding::Missing {
            code: "E00",
            why: format!(
                "the branch arrived, but no record of a run by {} did; `forge run -- <command>` makes one, and plain \
                 `git push` sends it",
                candidate.author
            ),
            next: next_run::required(&base.policy, None).unwrap_or("git push".to_owned()),
        });
    };
    let tested = record.last().tree;
    if tested != candidate.tree && candidate.demands(&base.policy)?.level == Level::P0 {
        return Ok(Finding::NotApplicable("the policy demands no record of this very tree".to_owned()));
    }
    if tested == candidate.tree {
        return Ok(Finding::Satisfied(format!("{} recorded a run on tree {}", record.agent, tested.short())));
    }
    if let Some(finding) = for_another_issue(repo, candidate, "E08") {
        return Ok(finding);
    }
    // The tested tree is often not here, since it was never committed: then its paths cannot be named.
    let differing = repo.differing_paths(tested, candidate.tree, NAMED + 1).unwrap_or_default();
    let mut paths = differing.iter().take(NAMED).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    if differing.len() > NAMED {
        paths += " and more";
    }
    let differ = if paths.is_empty() { String::new() } else { format!("; they differ in {paths}") };
    let (last, tip) = (tested.short(), candidate.tree.short());
    let why = format!("the last recorded run was on tree {last}, and the tip has tree {tip}{differ}");
    Ok(Finding::Missing { code: "E08", why, next: next_run::AGAIN.to_owned() })
}

/// A clone records for the issue that was started last in it; whoever goes back to an earlier branch has to say so.
fn for_another_issue(repo: &dyn Repo, candidate: &Candidate<'_>, code: &'static str) -> Option<Finding> {
    let (issue, other) = (candidate.issue?, candidate.issue_of_run()?);
    let why = format!("the run of this tree was recorded for issue {other}, and this branch answers issue {issue}");
    let next = format!("ssh forge start {}/{issue}", repo.project());
    Some(Finding::Missing { code, why, next })
}
