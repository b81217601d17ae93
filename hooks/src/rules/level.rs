//! The proof of the head reaches the level that the policy demands of this change.

use notes_schema::event::Level;

use crate::gate::{Candidate, Finding, GateRule, proof_on};
use crate::policy::reaches;
use crate::{Repo, Undecided};

/// See the module. Asked at `submit` for what the author can give alone, and at `merge` for all of it.
pub const RULE: GateRule = GateRule {
    word: "level",
    demands: "the proof of the head reaches the level that the policy demands of this change",
    at_submit: false,
    quiet: true,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let least = candidate.demands(&base.policy)?.level;
    let level = proof_on(&base.policy, candidate, candidate.tree).level;
    // What the author can mend alone is told by the rules for it.
    if reaches(level, least) || least <= Level::P1 {
        return Ok(Finding::Satisfied(format!("{level}, and {least} is demanded")));
    }
    let why = format!("its proof is {level}, and {} demands {least}", base.cited());
    Ok(Finding::Missing { code: RULE.word, why, next: "ssh forge help proof".to_owned() })
}
