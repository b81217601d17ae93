//! Any agent may create a tag; only its creator moves or deletes it.

use notes_schema::RefName;

use crate::access::{Space, denies};
use crate::command::quote;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Undecided, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Tag.rule(),
    demands: "a tag is moved and deleted only by the agent that created it",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    let Some(tag) = name.as_str().strip_prefix("refs/tags/") else {
        return Ok(Verdict::Ok);
    };
    if !denies(repo, pushed, Space::Tag)? {
        return Ok(Verdict::Ok);
    }
    let whose = repo.ref_owner(name)?.map_or("somebody else".to_owned(), |owner| owner.to_string());
    let next = if pushed.update.new.is_some() {
        let free = free_tag(repo, pushed, tag)?;
        format!("git push origin {}:{free}", quote(name.as_str()))
    } else {
        format!("ssh forge project show {}", repo.project())
    };
    pushed.refuse(RULE.word, format!("this tag belongs to {whose}"), next)
}

fn free_tag(repo: &dyn Repo, pushed: &PushedRef<'_>, tag: &str) -> Result<RefName, Undecided> {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.' { c } else { '-' }
    };
    let leaf: String = tag.chars().map(safe).take(60).collect();
    let leaf = leaf.trim_matches(['-', '.']).replace("..", "-");
    for n in 1..100u32 {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let Ok(name) = format!("refs/tags/{}-{leaf}{number}", pushed.agent).parse::<RefName>() else {
            break;
        };
        if !repo.ref_exists(&name)? && repo.conflicting_ref(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Undecided(format!("no free tag name for {} was found", pushed.agent)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn tags_are_created_by_anyone_and_kept_by_their_creator() {
        let mut repo = Fake::new();
        repo.add("refs/tags/v1", "alpha");
        push_table(
            &repo,
            "beta",
            &[
                ("refs/tags/v2", "", ""),
                ("refs/tags/v1", "tag-owner", "git push origin refs/tags/v1:refs/tags/beta-v1"),
                ("-refs/tags/v1", "tag-owner", "ssh forge project show parser"),
            ],
        );
        push_table(&repo, "alpha", &[("refs/tags/v1", "", ""), ("-refs/tags/v1", "", "")]);
    }
}
