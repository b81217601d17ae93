//! Judges the ref updates of a push.

use notes_schema::{AgentName, Oid, RefName};

use crate::rules::{
    branch_owner, conflict, default_branch, inbox, magic, namespace, open_pull, server_owned, tag_owner,
};
use crate::verdict::{Refusal, Rule, first_refusal};
use crate::{Judgement, Repo, Verdict};

/// One ref to be changed. `new: None` deletes it. What the client believed it pointed at is compared where it is
/// written, not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The ref.
    pub name: RefName,
    /// What it is to point at.
    pub new: Option<Oid>,
}

/// One update, by whom, among which others.
pub struct PushedRef<'a> {
    /// Who pushes, as authenticated.
    pub agent: &'a AgentName,
    /// The update.
    pub update: &'a RefUpdate,
    /// The updates before it in the same push.
    pub earlier: &'a [RefUpdate],
}

impl PushedRef<'_> {
    /// What is being done, for refusals.
    pub(crate) fn what(&self) -> String {
        let verb = if self.update.new.is_some() { "push" } else { "delete" };
        format!("{verb} {}", self.update.name)
    }

    pub(crate) fn refuse(&self, rule: &str, why: impl AsRef<str>, next: impl AsRef<str>) -> Judgement {
        Ok(Verdict::Refused(Refusal::new(rule, self.what(), why, next)))
    }
}

/// The rules for a ref update, in the order in which they are asked.
pub const RULES: &[&dyn for<'a> Rule<PushedRef<'a>>] = &[
    &server_owned::ServerOwned,
    &magic::MagicTarget,
    &namespace::Namespace,
    &inbox::Inbox,
    &conflict::Conflict,
    &default_branch::DefaultBranch,
    &branch_owner::BranchOwner,
    &tag_owner::TagOwner,
    &open_pull::OpenPull,
];

/// Judges one update; also good as an early word before a pack is read.
pub fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(), Refusal> {
    for rule in RULES {
        first_refusal(&[*rule], repo, pushed, &pushed.what(), "git push")?;
    }
    Ok(())
}
