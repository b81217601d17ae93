//! A branch stays while an open pull request takes its commits from it.

use crate::command::reference;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule =
    PushRule { word: "open-pull", demands: "a branch is not deleted while an open pull request uses it", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    if pushed.update.new.is_some() || pushed.update.name.branch_name().is_none() {
        return Ok(Verdict::Ok);
    }
    match repo.open_pull(&pushed.update.name)? {
        None => Ok(Verdict::Ok),
        Some(pull) => {
            let next = format!("ssh forge pr {}", reference(&pull));
            pushed.refuse(RULE.word, format!("open pull request {pull} uses this branch"), next)
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
