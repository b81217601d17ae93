//! Agents push branches, tags and their own records; nothing else is stored.

use crate::access::{Space, denies};
use crate::command::push_to_free_branch;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Other.rule(),
    demands: "only refs/heads, refs/tags and one's own records are stored",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    if !denies(repo, pushed, Space::Other)? {
        return Ok(Verdict::Ok);
    }
    let why = "only branches, tags and an agent's own records are stored here";
    pushed.refuse(RULE.word, why, push_to_free_branch(repo, pushed.agent, name)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn only_known_namespaces_are_stored() {
        push_table(
            &Fake::new(),
            "alpha",
            &[
                ("refs/heads/fix", "", ""),
                ("refs/tags/v1", "", ""),
                ("refs/notes/forge/in/alpha/01J", "", ""),
                ("refs/notes/commits", "namespace", "git push origin HEAD:refs/heads/alpha/commits"),
                ("refs/stash/x", "namespace", "git push origin HEAD:refs/heads/alpha/x"),
                ("refs/remotes/origin/main", "namespace", "git push origin HEAD:refs/heads/alpha/main"),
            ],
        );
    }
}
