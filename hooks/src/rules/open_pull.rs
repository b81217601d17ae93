//! A branch stays while an open pull request takes its commits from it.

use crate::command::reference;
use crate::push::PushedRef;
use crate::{Judgement, Repo, Rule, Verdict};

/// See the module.
pub struct OpenPull;

impl Rule<PushedRef<'_>> for OpenPull {
    fn word(&self) -> &'static str {
        "open-pull"
    }

    fn demands(&self) -> &'static str {
        "a branch is not deleted while an open pull request uses it"
    }

    fn judge(&self, repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
        if pushed.update.new.is_some() || pushed.update.name.branch_name().is_none() {
            return Ok(Verdict::Ok);
        }
        match repo.open_pull(&pushed.update.name)? {
            None => Ok(Verdict::Ok),
            Some(pull) => {
                let next = format!("ssh forge pr {}", reference(&pull));
                pushed.refuse(self.word(), format!("open pull request {pull} uses this branch"), next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn a_branch_in_use_is_not_deleted_but_may_move() {
        let mut repo = Fake::new();
        repo.add("refs/heads/fix", "alpha");
        repo.pulls.insert("refs/heads/fix".parse().unwrap(), "parser#47".parse().unwrap());
        push_table(
            &repo,
            "alpha",
            &[("refs/heads/fix", "", ""), ("-refs/heads/fix", "open-pull", "ssh forge pr parser/47")],
        );
    }
}
