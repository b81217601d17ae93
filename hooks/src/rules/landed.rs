//! The tree that lands is proven, where the policy demands it: when the target moved, it is not the tree that was tested.

use notes_schema::event::Level;

use crate::command::quote;
use crate::gate::{Candidate, Finding, GateRule, proof_on};
use crate::policy::reaches;
use crate::{Repo, Undecided};

/// See the module. A proof is of a tree: however it lands, an equal tree keeps it.
pub const RULE: GateRule = GateRule {
    word: "landed",
    demands: "the tree that lands is the proven one, or has a proof of its own, where the policy demands it",
    at_submit: false,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let least = base.policy.landed;
    let Some(landing) = candidate.landing else {
        return Ok(Finding::NotApplicable("what would land is not known yet".to_owned()));
    };
    let (level, tree) = (proof_on(&base.policy, candidate, landing.tree).level, landing.tree.short());
    if landing.tree == candidate.tree && least <= Level::P1 {
        return Ok(Finding::NotApplicable(format!("the tree that lands is the head's, {tree}")));
    }
    let moved = format!("the target moved, so tree {tree} lands, and its proof is {level}");
    if reaches(level, least) {
        return Ok(Finding::Satisfied(moved));
    }
    let target = quote(candidate.target.short());
    let why = format!("{moved}; {} demands {least} of what lands: run it on both together", base.cited());
    let next = format!("git pull --no-rebase --no-edit origin {target} && forge run --again && git push");
    Ok(Finding::Missing { code: "E08", why, next })
}
