//! Who may push a ref, where the policy's `[[ref]]` says.

use crate::command::push_to_free_branch;
use crate::policy::listed;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module. It only ever forbids: what belongs to another agent stays theirs.
pub const RULE: PushRule = PushRule {
    word: "ref-permission",
    demands: "a ref that the policy reserves is pushed only by whom it names",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    let base = repo.policy()?;
    let Some(entry) = base.policy.reserved(name) else { return Ok(Verdict::Ok) };
    let creator = repo.creator()?;
    if entry.push.iter().any(|who| who.is(pushed.agent, &creator, None)) {
        return Ok(Verdict::Ok);
    }
    let next = match pushed.update.new {
        Some(_) => push_to_free_branch(repo, pushed.agent, name)?,
        None => format!("ssh forge project show {}", repo.project()),
    };
    let why = format!("`{}` is pushed by {} only, says {}", entry.name, listed(&entry.push), base.cited());
    pushed.refuse(RULE.word, why, next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn reserved_refs_are_pushed_by_those_named() {
        let mut repo = Fake::new();
        repo.says("[[ref]]\nname = \"refs/heads/release/*\"\npush = [\"@maintainer\", \"gamma\"]\n[[ref]]\nname = \"refs/tags/v*\"\npush = [\"gamma\"]\n[[ref]]\nname = \"refs/heads/*\"\napprovals = 2");
        for (who, word) in [("maker", ""), ("gamma", ""), ("alpha", "ref-permission")] {
            let next = if word.is_empty() { "" } else { "git push origin HEAD:refs/heads/alpha/1.0" };
            push_table(&repo, who, &[("refs/heads/release/1.0", word, next)]);
        }
        let next = "git push origin HEAD:refs/heads/alpha/v1";
        push_table(
            &repo,
            "alpha",
            &[
                ("refs/tags/v1", "ref-permission", next),
                ("refs/tags/nightly", "", ""),
                ("refs/heads/fix", "", ""),
                ("-refs/tags/v1", "ref-permission", "ssh forge project show parser"),
            ],
        );
    }

    #[test]
    fn a_free_branch_is_one_that_may_be_pushed() {
        let mut repo = Fake::new();
        repo.says("[[ref]]\nname = \"refs/heads/alpha/*\"\npush = [\"gamma\"]\n[[ref]]\nname = \"refs/heads/fix\"\npush = [\"gamma\"]");
        push_table(
            &repo,
            "alpha",
            &[("refs/heads/fix", "ref-permission", "git push origin HEAD:refs/heads/alpha-fix")],
        );
        repo.says("[[ref]]\nname = \"refs/heads/**\"\npush = [\"gamma\"]");
        push_table(&repo, "alpha", &[("refs/heads/fix", "ref-permission", "git push")]);
    }
}
