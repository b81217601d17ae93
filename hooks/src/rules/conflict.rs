//! Two refs of which one is a directory of the other cannot both exist.

use notes_schema::{RefName, refs};

use crate::command::push_to_free_branch;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule =
    PushRule { word: "ref-conflict", demands: "no ref is created below or above an existing one", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    if pushed.update.new.is_none() {
        return Ok(Verdict::Ok);
    }
    // An existing ref counts even when the same push deletes it: without `--atomic` the deletion may yet be refused.
    let sibling = || {
        let created = pushed.earlier.iter().filter(|other| other.new.is_some());
        created.map(|other| &other.name).find(|other| other.conflicts_with(name)).cloned()
    };
    // A branch must also leave room for the default branch that is still to come.
    let head = repo.default_branch();
    let unborn = || name.conflicts_with(&head).then_some(head.clone());
    let Some(other) = repo.conflicting_ref(name)?.or_else(sibling).or_else(unborn) else {
        return Ok(Verdict::Ok);
    };
    let why = format!("{other} is there, and git cannot keep one ref below another");
    pushed.refuse(RULE.word, why, next(repo, pushed, name)?)
}

fn next(repo: &dyn Repo, pushed: &PushedRef<'_>, name: &RefName) -> Result<String, crate::Undecided> {
    if refs::incoming_record(name).is_some() {
        return Ok("git push".to_owned());
    }
    push_to_free_branch(repo, pushed.agent, name)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table, refused};

    #[test]
    fn names_below_and_above_existing_refs_are_refused() {
        let mut repo = Fake::new();
        repo.add("refs/heads/fix", "beta");
        repo.add("refs/heads/deep/er", "beta");
        push_table(
            &repo,
            "alpha",
            &[
                ("refs/heads/fix/it", "ref-conflict", "git push origin HEAD:refs/heads/alpha/it"),
                ("refs/heads/deep", "ref-conflict", "git push origin HEAD:refs/heads/alpha/deep"),
                ("refs/heads/fixes", "", ""),
                ("refs/heads/deep/down", "", ""),
                ("refs/tags/fix/it", "", ""),
            ],
        );
    }

    #[test]
    fn the_unborn_default_branch_keeps_its_place() {
        push_table(
            &Fake::unborn(),
            "alpha",
            &[("refs/heads/main/x", "ref-conflict", "git push origin HEAD:refs/heads/alpha/x")],
        );
    }

    #[test]
    fn two_names_of_one_push_conflict_too() {
        let refusal = refused(&Fake::new(), "alpha", &["refs/heads/a", "refs/heads/a/b"]);
        assert_eq!(refusal.map(|r| r.rule), Some("ref-conflict".to_owned()));
        assert_eq!(refused(&Fake::new(), "alpha", &["refs/heads/a", "refs/heads/ab"]), None);
    }
}
