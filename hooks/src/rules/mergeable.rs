//! The head merges into the default branch without conflicts.

use crate::command::quote;
use crate::gate::{Candidate, Finding, GateRule, Mergeability};
use crate::{Repo, Undecided};

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "mergeable",
    demands: "the head merges into its target without conflicts",
    at_submit: false,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    match candidate.mergeable {
        Mergeability::Clean => Ok(Finding::Satisfied("merges without conflicts".to_owned())),
        Mergeability::Done => Ok(Finding::NotApplicable("there is nothing left to merge".to_owned())),
        Mergeability::Unknown(why) => Err(Undecided(why.clone())),
        Mergeability::Conflicts(paths) => {
            let mut named = paths.iter().take(5).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
            if paths.len() > 5 {
                named += " and more";
            }
            let target = repo.default_branch();
            Ok(Finding::Missing {
                code: RULE.word,
                why: format!("conflicts with {} in {named}", target.short()),
                next: format!("git pull --no-rebase --no-edit origin {}", quote(target.short())),
            })
        }
    }
}
