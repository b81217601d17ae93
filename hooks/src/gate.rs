//! Judges work that is submitted or about to land, and lists what is still missing.

use notes_schema::event::{self, Level, Proof};
use notes_schema::trace::{Attempt, Record};
use notes_schema::{AgentName, ItemRef, Oid, RefName, Sha256};
use serde::Serialize;

use crate::command::{quote, reference};
use crate::policy::{Demands, Policy, PolicyError, Risk, Strategy};
use crate::reruns;
use crate::rules::{
    agreement, approval, base, checks, files, landed, level, mergeable, merger, no_changes_requested, proof,
    sound_policy, tests_passed, tests_touched,
};
use crate::{Changed, Refusal, Repo, Undecided};

/// One review, as its event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub agent: AgentName,
    /// What they say.
    pub verdict: event::Verdict,
    /// Of which head.
    pub head: Oid,
}

/// Whether the head could be merged into its target right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mergeability {
    /// It could.
    Clean,
    /// These paths conflict.
    Conflicts(Vec<String>),
    /// There is nothing to merge: it has landed or was closed.
    Done,
    /// It could not be found out.
    Unknown(String),
}

/// What an external check said of a tree, posted by an agent that may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, as the policy asks for it.
    pub name: String,
    /// The tree it is about.
    pub tree: Oid,
    /// How it stands.
    pub state: event::CheckState,
    /// Who says so.
    pub by: AgentName,
}

/// What the target would hold after the merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The tree.
    pub tree: Oid,
    /// Why the policy in it cannot be read, where it is another than the target's.
    pub broken_policy: Option<PolicyError>,
}

/// Who is about to merge, and how.
#[derive(Debug, Clone, Copy)]
pub struct Merging<'a> {
    /// Who.
    pub by: &'a AgentName,
    /// How.
    pub strategy: Strategy,
}

/// An accepted record, or one that is about to be.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What it says.
    pub record: Record,
    /// Its identity.
    pub digest: Sha256,
    /// What it shows: P1 for having arrived, more or less where it is signed, confirmed or refuted.
    pub level: Level,
}

/// Work that wants to land.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Its pull request; absent while it is being submitted for the first time.
    pub pull: Option<&'a ItemRef>,
    /// Where its commits are pushed.
    pub branch: &'a RefName,
    /// Who made it.
    pub author: &'a AgentName,
    /// Number of the issue that it answers.
    pub issue: Option<u64>,
    /// Its tip.
    pub head: Oid,
    /// The tip's tree.
    pub tree: Oid,
    /// Accepted records of this project that may be about it, in the order of arrival. Only the author's count.
    pub records: &'a [Accepted],
    /// All reviews of its pull request, oldest first.
    pub reviews: &'a [Review],
    /// Whether it would merge.
    pub mergeable: &'a Mergeability,
    /// Where it is to land.
    pub target: &'a RefName,
    /// The best common ancestor of head and target.
    pub base: Oid,
    /// What it changes between the two; looked at where the policy or a flag asks.
    pub changed: &'a Result<Vec<Changed>, Undecided>,
    /// What external checks said, oldest first. What its author says of its own work does not count.
    pub checks: &'a [Check],
    /// What would land, where it was computed.
    pub landing: Option<&'a Landing>,
    /// The merge that is about to happen; absent where the gate is only shown.
    pub merging: Option<Merging<'a>>,
}

impl<'a> Candidate<'a> {
    /// The record that speaks for this head: the author's newest of a command that counts on the tip's tree; or else its
    /// newest on that tree, or of all.
    pub fn record(&self, policy: &Policy) -> Option<&'a Record> {
        let on_tip = self.record_on(self.tree, policy);
        on_tip.or_else(|| self.mine().find(|record| record.last().tree == self.tree)).or_else(|| self.mine().next())
    }

    /// The author's newest record of a command that counts on `tree`.
    pub(crate) fn record_on(&self, tree: Oid, policy: &Policy) -> Option<&'a Record> {
        self.accepted_on(tree, policy).map(|accepted| &accepted.record)
    }

    fn accepted_on(&self, tree: Oid, policy: &Policy) -> Option<&'a Accepted> {
        let counts = |run: &Attempt| run.tree == tree && tests_passed::counts(policy, run);
        self.accepted().find(|accepted| counts(accepted.record.last()))
    }

    /// For which other issue the author ran the tip's tree, where it did.
    pub(crate) fn issue_of_run(&self) -> Option<u64> {
        let all = self.records.iter().rev().map(|accepted| &accepted.record);
        let theirs = all.filter(|record| record.agent == *self.author && record.subject.is_none());
        let on_tip = theirs.filter(|record| record.last().tree == self.tree);
        on_tip.filter_map(|record| record.issue).find(|issue| Some(*issue) != self.issue)
    }

    /// Records of the author's that may be about this work, newest first.
    pub(crate) fn mine(&self) -> impl Iterator<Item = &'a Record> {
        self.accepted().map(|accepted| &accepted.record)
    }

    fn accepted(&self) -> impl Iterator<Item = &'a Accepted> {
        let (author, issue) = (self.author, self.issue);
        let counts = move |accepted: &&Accepted| {
            let record = &accepted.record;
            // What names a subject is about somebody else's work.
            record.agent == *author
                && record.subject.is_none()
                && (record.issue.is_none() || issue.is_none() || record.issue == issue)
        };
        self.records.iter().rev().filter(counts)
    }

    /// What it changes.
    pub(crate) fn changed(&self) -> Result<&'a [Changed], Undecided> {
        self.changed.as_deref().map_err(Clone::clone)
    }

    /// How much it can break, and the path that says so. Without any demand that hangs on it, nothing is looked at.
    pub fn risk(&self, policy: &Policy) -> Result<(Risk, Option<&'a str>), Undecided> {
        if policy.medium_paths.is_empty() && policy.high_paths.is_empty() {
            return Ok((Risk::Low, None));
        }
        Ok(policy.risk(self.changed()?.iter().map(|changed| changed.path.as_str())))
    }

    /// What the policy demands of it.
    pub(crate) fn demands(&self, policy: &Policy) -> Result<Demands, Undecided> {
        Ok(policy.demands(self.target, self.risk(policy)?.0))
    }

    /// Each reviewer's newest approval or request for changes on this very head. The author's own do not count.
    pub fn live_reviews(&self) -> Vec<&'a Review> {
        let mut live: Vec<&Review> = Vec::new();
        for review in self.reviews {
            let decides = match review.verdict {
                event::Verdict::Approve | event::Verdict::RequestChanges => true,
                event::Verdict::Comment => false,
            };
            if decides && review.head == self.head && review.agent != *self.author {
                live.retain(|other| other.agent != review.agent);
                live.push(review);
            }
        }
        live
    }

    /// The command that shows it.
    pub(crate) fn show(&self) -> String {
        match self.pull {
            Some(pull) => format!("ssh forge pr {}", reference(pull)),
            None => format!("ssh forge submit {}", quote(self.branch.short())),
        }
    }
}

/// What a rule of the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Satisfied, and by what.
    Satisfied(String),
    /// There is nothing to demand, and why.
    NotApplicable(String),
    /// Something is missing.
    Missing {
        /// `E08`, or the rule's word.
        code: &'static str,
        /// What.
        why: String,
        /// The command that helps.
        next: String,
    },
}

/// One rule of the gate.
pub struct GateRule {
    /// Its word in `gate[]`.
    pub word: &'static str,
    /// What it demands, in one line.
    pub demands: &'static str,
    /// Whether it is demanded at `submit` already, and not only at `merge`.
    pub at_submit: bool,
    /// Whether people are told of it only when it refuses.
    pub quiet: bool,
    /// Looks.
    pub look: fn(&dyn Repo, &Candidate<'_>) -> Result<Finding, Undecided>,
}

/// The rules of the gate, in the order in which they are shown and asked.
pub const RULES: &[GateRule] = &[
    sound_policy::AT_GATE,
    files::AT_GATE,
    proof::RULE,
    base::RULE,
    tests_passed::RULE,
    agreement::AT_GATE,
    level::RULE,
    tests_touched::RULE,
    checks::RULE,
    approval::RULE,
    no_changes_requested::RULE,
    merger::RULE,
    mergeable::RULE,
    landed::RULE,
];

/// How a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Fulfilled.
    Satisfied,
    /// Not fulfilled.
    Unsatisfied,
    /// Nothing to fulfil here.
    NotApplicable,
    /// Not fulfilled, and set aside by somebody who may.
    Overridden,
    /// Could not be decided: counts as not fulfilled.
    Error,
}

/// One line of `gate[]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateLine {
    /// The rule's word.
    pub rule: &'static str,
    /// How it stands.
    pub state: State,
    /// Whether it lets the work pass.
    pub ok: bool,
    /// By what it is fulfilled, or what is missing.
    pub why: String,
    /// The command that helps; one that shows the work where nothing is missing.
    pub next: String,
    /// Whether people need not be told: nothing to fulfil, or a matter of course that is in order.
    #[serde(skip)]
    pub quiet: bool,
}

/// The whole gate, every rule in order, whatever the others say.
pub fn gate(repo: &dyn Repo, candidate: &Candidate<'_>) -> Vec<GateLine> {
    RULES.iter().map(|rule| line(rule, repo, candidate)).collect()
}

fn line(rule: &GateRule, repo: &dyn Repo, candidate: &Candidate<'_>) -> GateLine {
    let (state, why, next) = match (rule.look)(repo, candidate) {
        Ok(Finding::Satisfied(why)) => (State::Satisfied, why, candidate.show()),
        Ok(Finding::NotApplicable(why)) => (State::NotApplicable, why, candidate.show()),
        Ok(Finding::Missing { code, why, next }) if code == rule.word => (State::Unsatisfied, why, next),
        Ok(Finding::Missing { code, why, next }) => (State::Unsatisfied, format!("{code}: {why}"), next),
        Err(undecided) => (State::Error, undecided.to_string(), candidate.show()),
    };
    let ok = match state {
        State::Satisfied | State::NotApplicable | State::Overridden => true,
        State::Unsatisfied | State::Error => false,
    };
    // The same cleaning of control characters as in any refusal.
    let clean = Refusal::new(rule.word, "", why, next);
    let quiet = ok && (rule.quiet || state == State::NotApplicable);
    GateLine { rule: rule.word, state, ok, why: clean.why, next: clean.next, quiet }
}

/// Whether `candidate` may become a pull request, or a new round of one; answers its proof.
pub fn check_submit(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Proof, Refusal> {
    check(repo, candidate, &format!("submit {}", candidate.branch.short()), |rule| rule.at_submit)
}

/// Whether `candidate` may land; answers its proof.
pub fn check_merge(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Proof, Refusal> {
    let what = candidate.pull.map_or(candidate.branch.short().to_owned(), ItemRef::to_string);
    check(repo, candidate, &format!("merge {what}"), |_| true)
}

fn check(
    repo: &dyn Repo,
    candidate: &Candidate<'_>,
    what: &str,
    asked: impl Fn(&GateRule) -> bool,
) -> Result<Proof, Refusal> {
    for rule in RULES.iter().filter(|rule| asked(rule)) {
        match (rule.look)(repo, candidate) {
            Ok(Finding::Satisfied(_) | Finding::NotApplicable(_)) => {}
            Ok(Finding::Missing { code, why, next }) => return Err(Refusal::new(code, what, why, next)),
            Err(undecided) => return Err(Refusal::new(rule.word, what, undecided.to_string(), candidate.show())),
        }
    }
    proof_of(repo, candidate).map_err(|undecided| Refusal::new("proof", what, undecided.to_string(), candidate.show()))
}

/// What is known of the proof of `candidate`'s tip: P1 when its author recorded a passing run of a command that counts on
/// exactly its tree, and another level where more is known of that record.
pub fn proof_of(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Proof, Undecided> {
    Ok(proof_on(&repo.policy()?.policy, candidate, candidate.tree))
}

/// The same for another tree: the one that landed.
pub fn proof_of_landed(repo: &dyn Repo, candidate: &Candidate<'_>, tree: Oid) -> Result<Proof, Undecided> {
    Ok(proof_on(&repo.policy()?.policy, candidate, tree))
}

pub(crate) fn proof_on(policy: &Policy, candidate: &Candidate<'_>, tree: Oid) -> Proof {
    let Some(accepted) = candidate.accepted_on(tree, policy) else {
        return Proof::none();
    };
    let last = accepted.record.last();
    if !reruns::in_full(last) || tests_passed::complaint(last).is_some() {
        return Proof::none();
    }
    Proof {
        level: accepted.level,
        record: Some(accepted.digest),
        command: last.command(),
        tests: last.tests.as_ref().map(|tests| tests.counts()),
    }
}

#[cfg(test)]
mod tests;
