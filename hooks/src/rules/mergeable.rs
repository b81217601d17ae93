//! The head merges into the default branch without conflicts.

use crate::command::quote;
use crate::gate::{Candidate, Finding, GateRule, Mergeability};
use crate::{Repo, Undecided};

/// See the module.
pub struct Mergeable;

impl GateRule for Mergeable {
    fn word(&self) -> &'static str {
        "mergeable"
    }

    fn demands(&self) -> &'static str {
        "the head merges into its target without conflicts"
    }

    fn at_submit(&self) -> bool {
        false
    }

    fn look(&self, repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
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
                    code: self.word(),
                    why: format!("conflicts with {} in {named}", target.short()),
                    next: format!("git pull --no-rebase --no-edit origin {}", quote(target.short())),
                })
            }
        }
    }
}
