//! A policy that cannot be understood lands nowhere: it is refused with the line and the key.

use notes_schema::Oid;

use crate::gate::{Candidate, Finding, GateRule};
use crate::policy::{PATH, Policy, PolicyError};
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Undecided, Verdict};

const WORD: &str = "policy";
const NEXT: &str = "ssh forge help policy";

/// What is wrong with the policy that `commit` brings. One that the default branch has already is not its fault.
fn complaint(repo: &dyn Repo, commit: Oid) -> Result<Option<PolicyError>, Undecided> {
    let Some((blob, bytes)) = repo.policy_in(commit)? else { return Ok(None) };
    if repo.policy()?.blob == Some(blob) {
        return Ok(None);
    }
    Ok(Policy::parse(&bytes).err())
}

/// See the module. At the gate, it also says which policy judges.
pub const AT_PUSH: PushRule =
    PushRule { word: WORD, demands: "the policy file of a pushed branch is understood whole", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let Some(new) = pushed.branch_tip() else { return Ok(Verdict::Ok) };
    match complaint(repo, new)? {
        Some(error) => pushed.refuse(WORD, format!("`{PATH}` {error}"), NEXT),
        None => Ok(Verdict::Ok),
    }
}

/// See the module.
pub const AT_GATE: GateRule = GateRule {
    word: WORD,
    demands: "the policy of the default branch judges, and what would land holds one that is understood whole",
    at_submit: true,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let error = match candidate.landing {
        Some(landing) => landing.broken_policy.clone(),
        None => complaint(repo, candidate.head)?,
    };
    if let Some(error) = error {
        let why = format!("`{PATH}` {error}");
        return Ok(Finding::Missing { code: WORD, why, next: NEXT.to_owned() });
    }
    let base = repo.policy()?;
    if let Some(error) = &base.broken {
        let why = format!("{} is broken ({error}): until it is mended only the maintainer merges", base.cited());
        return Ok(Finding::Satisfied(why));
    }
    if base.blob.is_none() {
        return Ok(Finding::NotApplicable(format!("judged by {}", base.cited())));
    }
    let risk = match candidate.risk(&base.policy)? {
        (risk, Some(path)) => format!("{risk} because of `{path}`"),
        (risk, None) => risk.to_string(),
    };
    Ok(Finding::Satisfied(format!("judged by {}; risk {risk}", base.cited())))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, oid, pushes};

    #[test]
    fn a_broken_policy_is_refused_at_the_push_with_line_and_key() {
        let mut repo = Fake::new();
        repo.brings = Some((oid(9), b"[require]\nlevle = \"P1\"\n".to_vec()));
        let refusal = pushes(&repo, "alpha", "refs/heads/alpha/fix").unwrap_err();
        assert_eq!(
            refusal.line(),
            "policy push refs/heads/alpha/fix: `.forge/policy.toml` line 2, key `require.levle`: there is no such key; \
             here stand level, counts, checks, approvals, weight, commands; next: ssh forge help policy"
        );
        assert!(pushes(&repo, "alpha", "refs/tags/v1").is_ok(), "a tag lands nowhere");
        repo.brings = Some((oid(9), b"[require]\nlevel = \"P1\"\n".to_vec()));
        assert!(pushes(&repo, "alpha", "refs/heads/alpha/fix").is_ok());
    }

    #[test]
    fn a_broken_policy_of_the_default_branch_is_not_the_pushers_fault() {
        let mut repo = Fake::new();
        repo.says("[broken]");
        repo.brings = Some((repo.base.blob.unwrap(), b"[broken]".to_vec()));
        assert!(pushes(&repo, "alpha", "refs/heads/alpha/fix").is_ok());
    }
}
