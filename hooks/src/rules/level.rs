//! The proof of the head reaches the level that the policy demands of this change.

use notes_schema::event::Level;

use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule, proof_on};
use crate::policy::reaches;
use crate::{Repo, Undecided};

/// Signs with the key that every guide makes; `forge run` says so where it is another.
const SIGN: &str = "git config forge.signingkey ~/.ssh/forge && forge run --again && git push";

/// See the module. What was refuted is never enough, whatever is demanded.
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
    if level == Level::PX {
        let why = "others ran its proof again on the same tree, and it failed: the work itself has to change, no run of the same tree mends it".to_owned();
        return Ok(Finding::Missing { code: RULE.word, why, next: candidate.show() });
    }
    // What the author can mend alone is told by the rules for it.
    if reaches(level, least) || least <= Level::P1 {
        return Ok(Finding::Satisfied(format!("{level}, and {least} is demanded")));
    }
    let why = format!("its proof is {level}, and {} demands {least}", base.cited());
    Ok(Finding::Missing { code: RULE.word, why, next: raise(candidate, least) })
}

/// The command that helps a proof to a level: its author signs, or others run it again.
pub(crate) fn raise(candidate: &Candidate<'_>, to: Level) -> String {
    match (to, candidate.pull) {
        (Level::P0 | Level::P1, _) => crate::next_run::AGAIN.to_owned(),
        (Level::P2, _) => SIGN.to_owned(),
        (Level::P3 | Level::PX, Some(pull)) => format!("ssh forge challenge {}", reference(pull)),
        (Level::P3 | Level::PX, None) => candidate.show(),
    }
}
