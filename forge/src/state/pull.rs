//! Pull requests: rounds, verdicts, proof.

use notes_schema::event::{Outcome, Proof, PullChallenged, PullMerged, PullOpened, PullRound, Reviewed, Verdict};
use notes_schema::{AgentName, Oid, RefName};
use serde::{Deserialize, Serialize};

use super::fold::{Fold, Happened};
use super::issue::LastComment;

/// How many reviewers a state names.
/// Limit: reviewers that the state of a pull request names | {}, the newest
const REVIEWS: usize = 20;

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullStatus {
    /// May still land.
    Open,
    /// Landed.
    Merged,
    /// Given up.
    Closed,
}

impl PullStatus {
    /// As in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            PullStatus::Open => "open",
            PullStatus::Merged => "merged",
            PullStatus::Closed => "closed",
        }
    }
}

/// A reviewer's newest verdict. It is live while `head` is the pull request's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewState {
    /// Who.
    pub agent: AgentName,
    /// The verdict.
    pub verdict: Verdict,
    /// The head it is about.
    pub head: Oid,
    /// Its forge-wide number.
    pub q: u64,
}

/// The newest re-run of the newest proof that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRefute {
    /// Who ran it.
    pub by: AgentName,
    /// Its forge-wide number.
    pub q: u64,
}

/// A pull request after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullState {
    /// One line.
    pub title: String,
    /// Who opened it.
    pub author: AgentName,
    /// Where it stands.
    pub status: PullStatus,
    /// Where its commits are pushed.
    pub branch: RefName,
    /// Where it is to land.
    pub target: RefName,
    /// The issue that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<u64>,
    /// Number of its newest round, from 1.
    pub round: u64,
    /// Tip of the newest round.
    pub head: Oid,
    /// Merge base of that tip with the target when it arrived.
    pub base: Oid,
    /// Proof of that tip.
    pub proof: Proof,
    /// The newest verdict of each reviewer, the newest 20.
    pub reviews: Vec<ReviewState>,
    /// Comments so far.
    pub comments: u64,
    /// The newest comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_comment: Option<LastComment>,
    /// The newest community note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_note: Option<LastComment>,
    /// The newest re-run of the proof that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refute: Option<LastRefute>,
    /// What the target pointed at after it landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Oid>,
    /// Forge-wide number of the event that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_q: Option<u64>,
    /// When it was opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// Forge-wide number of its first event.
    pub opened_q: u64,
    /// Forge-wide number of its author's last event here.
    pub author_q: u64,
    /// Forge-wide number of its last event.
    pub last_q: u64,
}

impl PullState {
    pub(super) fn opened(fact: &PullOpened, at: &Happened) -> Self {
        PullState {
            title: fact.title.clone(),
            author: at.agent.clone(),
            status: PullStatus::Open,
            branch: fact.branch.clone(),
            target: fact.target.clone(),
            issue: fact.issue,
            round: 1,
            head: fact.head,
            base: fact.base,
            proof: fact.proof.clone(),
            reviews: Vec::new(),
            comments: 0,
            last_comment: None,
            last_note: None,
            last_refute: None,
            landed: None,
            ended_q: None,
            opened_ms: at.t,
            opened_q: at.q,
            author_q: at.q,
            last_q: at.q,
        }
    }

    pub(super) fn touched(&mut self, at: &Happened) {
        self.last_q = at.q;
        if *at.agent == self.author {
            self.author_q = at.q;
        }
    }

    pub(super) fn new_round(&mut self, fact: &PullRound) {
        if fact.head != self.head {
            self.last_refute = None;
        }
        self.round = fact.round;
        self.head = fact.head;
        self.base = fact.base;
        self.proof = fact.proof.clone();
    }

    pub(super) fn challenged(&mut self, fact: &PullChallenged, at: &Happened) {
        if fact.head != self.head {
            return;
        }
        self.proof.level = fact.level;
        if fact.outcome == Outcome::Refute {
            self.last_refute = Some(LastRefute { by: at.agent.clone(), q: at.q });
        }
    }

    pub(super) fn reviewed(&mut self, fact: &Reviewed, at: &Happened) {
        if fact.verdict == Verdict::Comment {
            return self.commented(at);
        }
        self.reviews.retain(|r| r.agent != *at.agent);
        if self.reviews.len() == REVIEWS {
            self.reviews.remove(0);
        }
        self.reviews.push(ReviewState { agent: at.agent.clone(), verdict: fact.verdict, head: fact.head, q: at.q });
    }

    pub(super) fn commented(&mut self, at: &Happened) {
        self.comments += 1;
        self.last_comment = Some(LastComment::of(at));
    }

    pub(super) fn merged(&mut self, fact: &PullMerged, at: &Happened) {
        self.status = PullStatus::Merged;
        self.landed = Some(fact.landed);
        self.ended_q = Some(at.q);
    }

    pub(super) fn closed(&mut self, at: &Happened) {
        self.status = PullStatus::Closed;
        self.ended_q = Some(at.q);
    }

    /// Verdicts on the current head.
    pub fn live_reviews(&self) -> impl Iterator<Item = &ReviewState> {
        self.reviews.iter().filter(|r| r.head == self.head)
    }

    /// Live verdicts of one kind.
    pub fn live(&self, verdict: Verdict) -> impl Iterator<Item = &ReviewState> {
        self.live_reviews().filter(move |r| r.verdict == verdict)
    }

    /// Who approves of its head.
    pub fn approvers(&self) -> Vec<AgentName> {
        self.live(Verdict::Approve).map(|review| review.agent.clone()).collect()
    }

    /// Whether its landing rates. Nobody is rated for a ticket of its own, nor on an approval of its own: owners, as
    /// `forge.git`'s fold `owners` knows them of its batch `batch`, which settles it, must differ.
    pub fn rates(&self, ticket_author: &AgentName, owners: &Fold, batch: u64) -> bool {
        let other = |agent| owners.owner_at(agent, batch) != owners.owner_at(&self.author, batch);
        other(ticket_author) && self.approvers().iter().any(other)
    }
}
