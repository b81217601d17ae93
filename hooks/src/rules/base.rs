//! E06: the work began where its record says, and the tip stands on that.

use crate::command::quote;
use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "base",
    demands: "the commit that a record names as its base is an ancestor of the tip, with the tree that the record names",
    at_submit: true,
    quiet: true,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let policy = repo.policy()?;
    let record = candidate.record_on(candidate.tree, &policy.policy);
    let Some((record, base)) = record.and_then(|record| Some((record, record.base_commit?))) else {
        return Ok(Finding::NotApplicable("no record of this tree names a base".to_owned()));
    };
    // The recorder takes the base from there, where `start` put it.
    let next = format!(
        "git config forge.base \"$(git merge-base HEAD origin/{})\" && forge run --again && git push",
        quote(candidate.target.short())
    );
    let missing = |why: String| Ok(Finding::Missing { code: "E06", why, next });
    let short = base.short();
    match repo.tree_of(base)? {
        None => missing(format!("its base {short} is no commit that is here")),
        Some(tree) if record.base_tree.is_some_and(|named| named != tree) => {
            missing(format!("its base {short} has tree {}, and the record names another", tree.short()))
        }
        Some(_) if !repo.is_ancestor(base, candidate.head)? => {
            missing(format!("its base {short} is no ancestor of the tip {}", candidate.head.short()))
        }
        Some(_) => Ok(Finding::Satisfied(format!("begun at {short}"))),
    }
}
