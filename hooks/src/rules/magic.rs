//! Magic targets (`refs/for/…`) are not stored, and not yet understood.

use crate::access::{Space, denies};
use crate::command::{free_branch, quote};
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Magic.rule(),
    demands: "a pull request is made by pushing a branch and submitting it",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    if !denies(repo, pushed, Space::Magic)? {
        return Ok(Verdict::Ok);
    }
    let work = notes_schema::RefName::branch("work").expect("invariant: a plain name");
    let branch = free_branch(repo, pushed.agent, &work)?;
    let short = quote(branch.short());
    let next = format!("git push origin HEAD:{branch} && ssh forge submit {short}");
    pushed.refuse(RULE.word, "this forge does not take magic targets: push a branch and submit it", next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn a_magic_target_is_answered_with_two_commands() {
        let next = "git push origin HEAD:refs/heads/alpha/work && ssh forge submit alpha/work";
        push_table(
            &Fake::new(),
            "alpha",
            &[("refs/for/main", "refs-for", next), ("refs/for/issues/7", "refs-for", next)],
        );
    }
}
