//! What a change may do to single files: forbidden paths, write scopes, sizes.

use std::collections::BTreeSet;

use crate::command::{pathspecs, quote};
use crate::gate::{Candidate, Finding, GateRule};
use crate::policy::{Base, listed};
use crate::push::{PushRule, PushedRef};
use crate::rules::rewrite::{self, Left};
use crate::{Changed, Judgement, Repo, Sought, Undecided, Verdict};

/// Why a change may not be: the rule's word, and why.
type Complaint = (&'static str, String);

fn complaint(
    repo: &dyn Repo,
    base: &Base,
    agent: &notes_schema::AgentName,
    changed: &Changed,
) -> Result<Option<Complaint>, Undecided> {
    let (path, policy) = (&changed.path, &base.policy);
    if let Some(glob) = policy.forbidden.iter().find(|glob| glob.matches(path)) {
        return Ok(Some((
            "forbidden-path",
            format!("`{path}` may not be changed: `{glob}` is forbidden by {}", base.cited()),
        )));
    }
    if policy.largest_file > 0 && changed.size > policy.largest_file {
        let (size, most) = (changed.size, policy.largest_file);
        return Ok(Some(("size-cap", format!("`{path}` has {size} bytes, and may have {most} by {}", base.cited()))));
    }
    for scope in policy.scopes.iter().filter(|scope| scope.paths.iter().any(|glob| glob.matches(path))) {
        let creator = repo.creator()?;
        if !scope.agents.iter().any(|who| who.is(agent, &creator, None)) {
            let may = listed(&scope.agents);
            return Ok(Some(("write-scope", format!("`{path}` is changed by {may} only, says {}", base.cited()))));
        }
    }
    Ok(None)
}

/// See the module. Asked of each pushed commit, and again of the whole of a pull request, by the policy of that moment.
pub const AT_PUSH: PushRule = PushRule {
    word: "files",
    demands: "no pushed commit touches a forbidden path, another's scope, or brings a file that is too large",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let base = repo.policy()?;
    let Some(new) = pushed.branch_tip().filter(|_| base.policy.asks_about_files()) else { return Ok(Verdict::Ok) };
    let name = &pushed.update.name;
    let (mut first, mut paths) = (None, BTreeSet::new());
    for changed in repo.brought(name, new)? {
        if let Some(found) = complaint(repo, &base, pushed.agent, &changed)? {
            first.get_or_insert(found);
            paths.insert(changed.path);
        }
    }
    let Some((word, why)) = first else { return Ok(Verdict::Ok) };
    // One command puts back all of them: each alone would be refused for the others.
    let next = match repo.bringing(name, new, &Sought::Paths(&paths))? {
        Some(found) => rewrite::without(repo, name, new, &found, Left::Restored)?,
        None => format!("git log --oneline {new} -- {}", pathspecs(paths.iter().map(String::as_str).take(1))),
    };
    pushed.refuse(word, why, next)
}

/// See the module.
pub const AT_GATE: GateRule = GateRule {
    word: "files",
    demands: "no forbidden path, no other agent's scope, no file and no change that is too large",
    at_submit: true,
    quiet: true,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    if !base.policy.asks_about_files() && base.policy.most_files == 0 {
        return Ok(Finding::NotApplicable("the policy says nothing of single files".to_owned()));
    }
    let all = candidate.changed()?;
    for changed in all {
        if let Some((code, why)) = complaint(repo, &base, candidate.author, changed)? {
            let path = pathspecs([changed.path.as_str()].into_iter());
            // The head may have been reviewed: it is not rewritten, a commit on top undoes it.
            let before = changed.before.unwrap_or(candidate.base);
            let next = format!(
                "git restore --staged --worktree --source={before} -- {path} && git commit -q -m {} -- {path} && git push",
                quote(&format!("Without {}", changed.path))
            );
            return Ok(Finding::Missing { code, why, next });
        }
    }
    let (files, most) = (all.len() as u64, base.policy.most_files);
    if most > 0 && files > most {
        let why = format!("it changes {files} files, and may change {most} by {}", base.cited());
        let next = format!("git diff --stat {}", candidate.base);
        return Ok(Finding::Missing { code: "size-cap", why, next });
    }
    Ok(Finding::Satisfied(format!("{files} files, all within what {} allows", base.cited())))
}

#[cfg(test)]
mod tests {
    use crate::Changed;
    use crate::testing::{Fake, oid, pushes};

    fn changed(path: &str, size: u64) -> Changed {
        Changed { path: path.into(), size, before: Some(oid(3)) }
    }

    #[test]
    fn each_cap_refuses_under_its_word_with_a_way_back() {
        let mut repo = Fake::new();
        repo.says("[files]\nforbidden = [\"**/*.pem\"]\nlargest = 100\n[[scope]]\npaths = [\"docs/\"]\nagents = [\"gamma\", \"@maintainer\"]");
        let cases = [
            ("alpha", changed("src/a.rs", 100), ""),
            ("alpha", changed("src/a.rs", 101), "size-cap"),
            ("alpha", changed("keys/it's.pem", 1), "forbidden-path"),
            ("maker", changed("keys/a.pem", 1), "forbidden-path"),
            ("alpha", changed("docs/a.md", 1), "write-scope"),
            ("gamma", changed("docs/a.md", 1), ""),
            ("maker", changed("docs/a.md", 1), ""),
        ];
        for (who, change, word) in cases {
            repo.brought = vec![changed("fine", 1), change.clone()];
            let got = pushes(&repo, who, &format!("refs/heads/{who}/fix")).err();
            assert_eq!(got.as_ref().map_or("", |r| r.rule.as_str()), word, "{who} {change:?}");
            if let Some(refusal) = got {
                assert!(refusal.next.contains("git push origin \"$c:\"refs/heads/"));
                assert!(refusal.why.contains(".forge/policy.toml"), "{refusal}");
            }
        }
        repo.brought = vec![changed("keys/it's.pem", 1)];
        let next = pushes(&repo, "alpha", "refs/heads/alpha/fix").unwrap_err().next;
        assert!(next.contains(r"git reset -q -- ':(top,literal)keys/it'\''s.pem' && printf"), "{next}");
        // What stood there before is put back, unless it was changed since.
        let before = oid(0xbe);
        repo.trees.insert(before, oid(7));
        repo.found.insert("keys/it's.pem".into(), crate::Found::Other);
        repo.brought.push(changed("docs/a.md", 1));
        let next = pushes(&repo, "alpha", "refs/heads/alpha/fix").unwrap_err().next;
        let path = r"':(top,literal)keys/it'\''s.pem'";
        let restored =
            format!("{{ ! git diff --quiet {} -- {path} || git restore -q -- {path} 2>/dev/null || :; }} &&", oid(1));
        assert!(next.contains(&restored) && next.contains("printf '%s\\n' /docs/a.md >>"), "{next}");
    }

    #[test]
    fn without_a_policy_nothing_is_looked_through() {
        let mut repo = Fake::new();
        repo.unreadable = true;
        assert!(pushes(&repo, "alpha", "refs/heads/alpha/fix").is_ok());
        repo.says("[files]\nlargest = 1");
        assert_eq!(
            pushes(&repo, "alpha", "refs/heads/alpha/fix").unwrap_err().rule,
            "files",
            "no decision is a refusal"
        );
    }
}
