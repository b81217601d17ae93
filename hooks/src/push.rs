//! Judges the ref updates of a push.

use notes_schema::{AgentName, Oid, RefName, refs};

use crate::rules::{
    branch_owner, conflict, default_branch, files, inbox, magic, namespace, open_pull, ref_permission, secret,
    server_owned, sound_policy, tag_owner,
};
use crate::verdict::refusal_of;
use crate::{Judgement, Refusal, Repo, Verdict};

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
    /// The updates before it in the same push; where content is judged, those that nothing spoke against.
    pub earlier: &'a [RefUpdate],
}

impl PushedRef<'_> {
    /// What is being done, for refusals.
    pub(crate) fn what(&self) -> String {
        let verb = if self.update.new.is_some() { "push" } else { "delete" };
        format!("{verb} {}", self.update.name)
    }

    /// The commit that a branch is to point at.
    pub(crate) fn branch_tip(&self) -> Option<Oid> {
        self.update.new.filter(|_| self.update.name.branch_name().is_some())
    }

    pub(crate) fn refuse(&self, rule: &str, why: impl AsRef<str>, next: impl AsRef<str>) -> Judgement {
        Ok(Verdict::Refused(Refusal::new(rule, self.what(), why, next)))
    }
}

/// One rule for a ref update.
pub struct PushRule {
    /// Its code or word, as refusals carry it.
    pub word: &'static str,
    /// What it demands, in one line, for the list of rules.
    pub demands: &'static str,
    /// Judges one update.
    pub judge: fn(&dyn Repo, &PushedRef<'_>) -> Judgement,
}

/// The rules for a ref update, in the order in which they are asked.
pub const RULES: &[PushRule] = &[
    server_owned::RULE,
    magic::RULE,
    namespace::RULE,
    inbox::RULE,
    conflict::RULE,
    default_branch::RULE,
    branch_owner::RULE,
    tag_owner::RULE,
    ref_permission::RULE,
    open_pull::RULE,
];

/// The rules for what a branch or tag brings, asked once its objects are there.
pub const CONTENT_RULES: &[PushRule] = &[sound_policy::AT_PUSH, files::AT_PUSH, secret::RULE];

/// Judges one update by what it is called; also good as an early word before a pack is read.
pub fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(), Refusal> {
    ask(RULES, repo, pushed)
}

/// Judges what one update brings; its objects must be there.
pub fn judge_content(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(), Refusal> {
    ask(content_rules(pushed.update), repo, pushed)
}

/// What `other` is told where a refusal by `rule` means that nothing of their push may be kept.
pub fn beside(rule: &str, other: &PushedRef<'_>) -> Option<Refusal> {
    (rule == secret::RULE.word).then(|| secret::beside(other))
}

/// Those of [`CONTENT_RULES`] that an update is asked.
pub fn content_rules(update: &RefUpdate) -> &'static [PushRule] {
    // What a record says is judged by rules of its own.
    if update.new.is_none() || refs::incoming_record(&update.name).is_some() { &[] } else { CONTENT_RULES }
}

fn ask(rules: &[PushRule], repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(), Refusal> {
    rules.iter().try_for_each(|rule| refusal_of((rule.judge)(repo, pushed), rule.word, &pushed.what(), "git push"))
}
