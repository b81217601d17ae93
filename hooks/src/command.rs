//! Commands in answers: spelled so that they can be pasted into a shell as they stand.
//!
//! Invariant: what somebody else wrote never becomes part of a command unquoted.

use notes_schema::{AgentName, ItemRef, RefName};

use crate::{Repo, Undecided};

/// `text` as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `parser/12`: how a reference is written in a shell, where `#` might begin a comment.
pub fn reference(item: &ItemRef) -> String {
    format!("{}/{}", item.project, item.n)
}

/// A branch of `agent` that does not exist yet and could: made from the last part of the name that was wanted.
pub fn free_branch(repo: &dyn Repo, agent: &AgentName, wanted: &RefName) -> Result<RefName, Undecided> {
    let (base, creator) = (repo.policy()?, repo.creator()?);
    let reserved = |name: &RefName| {
        base.policy.reserved(name).is_some_and(|entry| !entry.push.iter().any(|who| who.is(agent, &creator, None)))
    };
    let last = wanted.as_str().rsplit('/').next().unwrap_or("");
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.' { c } else { '-' }
    };
    let leaf: String = last.chars().map(safe).take(60).collect();
    let leaf = leaf.trim_matches(['-', '.']).trim_end_matches(".lock").replace("..", "-");
    let leaf = if leaf.is_empty() { "work" } else { &leaf };
    // A branch named like the agent leaves no room below it: then the names stand beside it.
    for joint in ['/', '-'] {
        for n in 1..100u32 {
            let number = if n == 1 { String::new() } else { format!("-{n}") };
            let Ok(name) = RefName::branch(&format!("{agent}{joint}{leaf}{number}")) else {
                break;
            };
            if repo.conflicting_ref(&name)?.is_some() {
                if joint == '/' { break } else { continue }
            }
            if !repo.ref_exists(&name)? && name != repo.default_branch() && !reserved(&name) {
                return Ok(name);
            }
        }
    }
    Err(Undecided(format!("no free branch name for {agent} was found")))
}

/// The push that puts the current commit on a free branch of `agent`.
pub(crate) fn push_to_free_branch(repo: &dyn Repo, agent: &AgentName, wanted: &RefName) -> Result<String, Undecided> {
    Ok(format!("git push origin HEAD:{}", free_branch(repo, agent, wanted)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, agent, name};

    #[test]
    fn words_survive_a_shell() {
        for text in ["fix-leak", "a b", "", "$(date)", "it's", "`x`;rm", "-h", "a\\b"] {
            let out = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(text))]).output();
            let out = out.unwrap();
            if text == "-h" {
                continue; // printf itself reads it; quoting cannot help there
            }
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_free_name_is_free_and_plain() {
        let free = |repo: &Fake, wanted: &str| free_branch(repo, &agent("beta"), &name(wanted)).unwrap().to_string();
        let mut repo = Fake::new();
        assert_eq!(free(&repo, "refs/heads/fix-leak"), "refs/heads/beta/fix-leak");
        assert_eq!(free(&repo, "refs/heads/alpha/fix-leak"), "refs/heads/beta/fix-leak");
        assert_eq!(free(&repo, "refs/heads/$(touch;x)"), "refs/heads/beta/touch-x");
        assert_eq!(free(&repo, "refs/heads/é"), "refs/heads/beta/work");
        repo.add("refs/heads/beta/fix-leak", "beta");
        repo.add("refs/heads/beta/fix-leak-2", "beta");
        assert_eq!(free(&repo, "refs/heads/fix-leak"), "refs/heads/beta/fix-leak-3");
        repo.add("refs/heads/beta/deep/er", "beta");
        assert_eq!(free(&repo, "refs/heads/deep"), "refs/heads/beta-deep");
        let mut repo = Fake::new();
        repo.add("refs/heads/beta", "mallory");
        assert_eq!(free(&repo, "refs/heads/fix"), "refs/heads/beta-fix");
    }
}
