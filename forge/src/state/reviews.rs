//! Which verdicts of reviewers turned out right, or wrong, as the events of a project show it.
//!
//! A request of changes was right once it was addressed: a later round brought another head than the one that it was about,
//! and then the same reviewer approved of another head, or one landed of which this reviewer asks no changes. An approval was
//! wrong while the proof of the head that it was about, and that landed, is refuted. Of every other verdict nothing is said.
//!
//! Invariant: each reviewer is right about a pull request once at most, however often it asks; what was submitted to a contest
//! is judged by that contest alone.

use imbl::OrdMap;
use notes_schema::event::{Level, Verdict};
use notes_schema::{AgentName, Fact, Oid, Sha256};
use serde::{Deserialize, Serialize};

use super::elo;
use super::fold::Fold;
use super::pull::{PullState, PullStatus};

/// A request of changes that may still be addressed, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    /// Digest of the first one.
    first: Sha256,
    /// The head that it was about.
    head: Oid,
    /// The head that the newest one was about.
    newest: Oid,
    addressed: bool,
}

/// A verdict that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Who gave it.
    pub reviewer: AgentName,
    /// What it scores, in ppm; `None` where it is judged no longer.
    pub score_ppm: Option<i64>,
    /// Digest of the event that judged it so.
    by: Sha256,
}

/// What reviewers said of one pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    /// While it is open.
    asked: OrdMap<AgentName, Asked>,
    /// The approvals that stand: digest, and the head that each is about.
    approved: OrdMap<AgentName, (Sha256, Oid)>,
    /// By the digest of the verdict.
    judged: OrdMap<Sha256, Judged>,
}

impl Said {
    fn judge(&mut self, verdict: Sha256, reviewer: &AgentName, score_ppm: Option<i64>, by: Sha256) {
        self.judged.insert(verdict, Judged { reviewer: reviewer.clone(), score_ppm, by });
    }

    fn ask(&mut self, reviewer: &AgentName, verdict: Sha256, head: Oid) {
        self.approved.remove(reviewer);
        let asked = Asked { first: verdict, head, newest: head, addressed: false };
        self.asked.entry(reviewer.clone()).or_insert(asked).newest = head;
    }

    fn approve(&mut self, reviewer: &AgentName, verdict: Sha256, head: Oid) {
        self.approved.insert(reviewer.clone(), (verdict, head));
        match self.asked.get(reviewer).filter(|asked| !asked.addressed).cloned() {
            // Taken back, rather than addressed.
            Some(asked) if asked.head == head => drop(self.asked.remove(reviewer)),
            Some(asked) => {
                self.judge(asked.first, reviewer, Some(elo::WIN), verdict);
                self.asked.insert(reviewer.clone(), Asked { addressed: true, ..asked });
            }
            None => {}
        }
    }

    fn land(&mut self, head: Oid, refuted: bool, by: Sha256) {
        for (reviewer, asked) in std::mem::take(&mut self.asked) {
            if !asked.addressed && asked.head != head && asked.newest != head {
                self.judge(asked.first, &reviewer, Some(elo::WIN), by);
            }
        }
        self.approved = std::mem::take(&mut self.approved).into_iter().filter(|(_, (_, of))| *of == head).collect();
        if refuted {
            self.turn(true, by);
        }
    }

    /// The proof of what landed is refuted, or is so no longer.
    fn turn(&mut self, refuted: bool, by: Sha256) {
        for (reviewer, (verdict, _)) in self.approved.clone() {
            if refuted || self.judged.contains_key(&verdict) {
                self.judge(verdict, &reviewer, refuted.then_some(elo::LOSS), by);
            }
        }
    }
}

/// What is looked up of verdicts in a project, by pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews(OrdMap<u64, Said>);

impl Reviews {
    /// How the verdict on a pull request with this digest was judged.
    pub fn judged(&self, pull: u64, verdict: &Sha256) -> Option<&Judged> {
        self.0.get(&pull)?.judged.get(verdict)
    }

    /// The verdicts on a pull request that the event with this digest judged, by their digests.
    pub fn judged_by(&self, pull: u64, event: &Sha256) -> impl Iterator<Item = (Sha256, &Judged)> {
        let (judged, event) = (self.0.get(&pull).map(|said| &said.judged), *event);
        let by_it = judged.into_iter().flatten().filter(move |(_, judged)| judged.by == event);
        by_it.map(|(verdict, judged)| (*verdict, judged))
    }
}

impl Fold {
    /// Notes what an event on pull request `n`, which is `after` it, says of verdicts.
    pub(super) fn note_verdict(
        &mut self,
        n: u64,
        fact: &Fact,
        after: &PullState,
        (agent, digest): (&AgentName, Sha256),
    ) {
        let Some(before) = self.pull(n) else { return };
        if before.issue.and_then(|issue| self.issue(issue)).is_some_and(|issue| issue.contest.is_some()) {
            return;
        }
        let (was_open, own) = (before.status == PullStatus::Open, before.author == *agent);
        let refuted = after.proof.level == Level::PX;
        let turned = before.status == PullStatus::Merged && (before.proof.level == Level::PX) != refuted;
        let mut said = self.reviews.0.get(&n).cloned().unwrap_or_default();
        match fact {
            Fact::Reviewed(f) if was_open && !own => match f.verdict {
                Verdict::RequestChanges => said.ask(agent, digest, f.head),
                Verdict::Approve => said.approve(agent, digest, f.head),
                Verdict::Comment => return,
            },
            Fact::PullMerged(f) if was_open => said.land(f.head, refuted, digest),
            Fact::PullClosed(_) => said = Said { judged: said.judged, ..Said::default() },
            _ if turned => said.turn(refuted, digest),
            _ => return,
        }
        if said != Said::default() {
            self.reviews.0.insert(n, said);
        }
    }
}

#[cfg(test)]
mod tests;
