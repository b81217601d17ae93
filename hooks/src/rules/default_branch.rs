//! The default branch moves through `merge`; only its first push, by the project's creator, comes from outside.

use crate::access::{Space, denies};
use crate::command::push_to_free_branch;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Default.rule(),
    demands: "the default branch moves only through merge; while it is unborn its creator may push it once",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    if !denies(repo, pushed, Space::Default)? {
        return Ok(Verdict::Ok);
    }
    let next = || match pushed.update.new {
        Some(_) => push_to_free_branch(repo, pushed.agent, name),
        None => Ok("ssh forge feed".to_owned()),
    };
    if repo.ref_exists(name)? {
        return pushed.refuse(RULE.word, "it is the default branch and moves only through `merge`", next()?);
    }
    let creator = repo.creator()?;
    pushed.refuse(RULE.word, format!("the project is empty, and {creator} pushes its first commits"), next()?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn it_moves_only_through_merge() {
        let next = "git push origin HEAD:refs/heads/maker/main";
        push_table(
            &Fake::new(),
            "maker",
            &[("refs/heads/main", "default-branch", next), ("-refs/heads/main", "default-branch", "ssh forge feed")],
        );
    }

    #[test]
    fn while_unborn_its_creator_may_push_it() {
        push_table(&Fake::unborn(), "maker", &[("refs/heads/main", "", ""), ("refs/tags/v1", "", "")]);
        let next = "git push origin HEAD:refs/heads/alpha/main";
        push_table(&Fake::unborn(), "alpha", &[("refs/heads/main", "default-branch", next)]);
    }
}
