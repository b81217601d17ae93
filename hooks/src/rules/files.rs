//! What a change may do to single files: forbidden paths, write scopes, sizes.

use crate::command::{pathspecs, quote};
use crate::gate::{Candidate, Finding, GateRule};
use crate::policy::{Base, listed};
use crate::push::{PushRule, PushedRef};
use crate::{Changed, Judgement, Repo, Undecided, Verdict};

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

/// Puts the file back as it was, in one commit that replaces all from the one on that touched it.
fn put_back(changed: &Changed) -> String {
    let path = pathspecs([changed.path.as_str()].into_iter());
    let message = quote(&format!("Without {}", changed.path));
    let commit = format!("git commit -q --allow-empty -m {message} && git push");
    match changed.before {
        Some(before) if changed.known => format!(
            "git reset -q --soft {before} && git restore --staged --worktree --source={before} -- {path} && {commit}"
        ),
        Some(before) => format!("git reset -q --soft {before} && {commit}"),
        None => format!("git rm -q --cached -- {path} && git commit -q --amend --allow-empty --no-edit && git push"),
    }
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
    for changed in repo.brought(&pushed.update.name, new)? {
        if let Some((word, why)) = complaint(repo, &base, pushed.agent, &changed)? {
            return pushed.refuse(word, why, put_back(&changed));
        }
    }
    Ok(Verdict::Ok)
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
            let next = match changed.before {
                Some(before) => format!(
                    "git restore --staged --worktree --source={before} -- {path} && git commit -q -m {} && git push",
                    quote(&format!("Without {}", changed.path))
                ),
                None => put_back(changed),
            };
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
        Changed { path: path.into(), size, known: true, before: Some(oid(3)) }
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
                assert!(refusal.next.starts_with("git reset -q --soft 0303") && refusal.next.ends_with("&& git push"));
                assert!(refusal.why.contains(".forge/policy.toml"), "{refusal}");
            }
        }
        repo.brought = vec![changed("keys/it's.pem", 1)];
        let next = pushes(&repo, "alpha", "refs/heads/alpha/fix").unwrap_err().next;
        assert!(next.contains(r"-- ':(top,literal)keys/it'\''s.pem' &&"), "{next}");
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
