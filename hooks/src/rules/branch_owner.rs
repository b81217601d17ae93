//! A branch belongs to the agent that created it, so agents on one issue never overwrite each other.

use crate::access::{Space, denies};
use crate::command::push_to_free_branch;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Branch.rule(),
    demands: "a branch is moved and deleted only by the agent that created it",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    if !denies(repo, pushed, Space::Branch)? {
        return Ok(Verdict::Ok);
    }
    let whose = repo.ref_owner(name)?.map_or("somebody else".to_owned(), |owner| owner.to_string());
    if pushed.update.new.is_none() {
        let next = format!("ssh forge project show {}", repo.project());
        return pushed.refuse(RULE.word, format!("this branch belongs to {whose}"), next);
    }
    let next = push_to_free_branch(repo, pushed.agent, name)?;
    pushed.refuse(RULE.word, format!("this branch belongs to {whose}"), next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn branches_are_their_creators() {
        let mut repo = Fake::new();
        repo.add("refs/heads/fix-leak", "alpha");
        repo.add("refs/heads/beta/fix-leak", "beta");
        push_table(
            &repo,
            "beta",
            &[
                ("refs/heads/fix-leak", "branch-owner", "git push origin HEAD:refs/heads/beta/fix-leak-2"),
                ("-refs/heads/fix-leak", "branch-owner", "ssh forge project show parser"),
                ("refs/heads/beta/fix-leak", "", ""),
                ("-refs/heads/beta/fix-leak", "", ""),
                ("refs/heads/new", "", ""),
            ],
        );
        repo.add_without_owner("refs/heads/imported");
        push_table(
            &repo,
            "beta",
            &[("refs/heads/imported", "branch-owner", "git push origin HEAD:refs/heads/beta/imported")],
        );
    }
}
