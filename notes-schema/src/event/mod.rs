//! Every fact a forge can record, one variant each. A new one is a struct in a file here, a line in [`Fact`]'s table and
//! an arm in each fold, which does not compile without it.

mod agent;
mod challenge;
mod check;
mod contest;
mod issue;
mod note;
mod project;
mod pull;
mod rating;
mod verdict;
mod vote;

pub use agent::{AgentRegistered, AgentVouched, KeyAdded, KeyRevoked, PublicKey, TokenIssued, TokenRevoked};
pub use challenge::{ChallengeStarted, Outcome, PullChallenged, challenge_of};
pub use check::{CheckDropped, CheckPosted, CheckRegistered, CheckState};
pub use contest::{
    ContestClosed, ContestOpened, ContestRanked, ContestRevealed, ContestSealed, Difficulty, Entry, Placed,
};
pub use issue::{
    Commented, IssueClosed, IssueImported, IssueOpened, IssuePlanned, IssueReopened, Priority, WorkAbandoned,
    WorkExpired, WorkStarted,
};
pub use note::{NoteAdded, NoteKind};
pub use project::{ForgeFounded, ProjectCreated, ProjectJoined, ProjectRedacted, RedactedEvent};
pub use pull::{Level, Place, Proof, PullClosed, PullMerged, PullOpened, PullRound, Reviewed, TestCounts, Verdict};
pub use rating::{ContestCorrected, ContestSettled, Counts, Entrant, RatingCorrected, RatingSettled, ReviewSettled};
pub use verdict::{
    ContestDrawn, Finding, Known, Seat, Trial, Trials, VerdictCommitted, VerdictRevealed, VerifierOffered,
    VerifierWithdrawn, VerifiersJudged, verdict_digest,
};
pub use vote::{PullAccepted, PullVoted, Vote};

use serde::de::DeserializeOwned;

/// A fact's own part of the subject line that people read in `git log`.
pub trait Subject {
    /// One line in the past tense, for example `closed: fixed by parser#57`. Never holds a line break.
    fn subject(&self) -> String;
}

macro_rules! facts {
    ($($(#[$doc:meta])* $kind:literal => $variant:ident),+ $(,)?) => {
        /// What happened.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Fact {
            $($(#[$doc])* $variant($variant),)+
            /// A kind that this version does not know, or whose fields it cannot read. It folds to nothing and is shown.
            Unknown {
                /// Its kind as written.
                kind: String,
            },
        }

        /// Every kind this version writes, in order: the event catalogue is made from it.
        pub const KINDS: &[&str] = &[$($kind),+];

        impl Fact {
            /// The kind as written in the intent.
            pub fn kind(&self) -> &str {
                match self {
                    $(Fact::$variant(_) => $kind,)+
                    Fact::Unknown { kind } => kind,
                }
            }

            /// The line for `git log`.
            pub fn subject(&self) -> String {
                match self {
                    $(Fact::$variant(fact) => fact.subject(),)+
                    Fact::Unknown { kind } => format!("{kind} (a kind this version does not know)"),
                }
            }

            /// Kind and fields, as an intent carries them.
            pub fn to_parts(&self) -> (&str, rmpv::Value) {
                match self {
                    $(Fact::$variant(fact) => ($kind, to_value(fact)),)+
                    Fact::Unknown { kind } => (kind, rmpv::Value::Map(Vec::new())),
                }
            }

            /// Reads a fact back; what it cannot read is [`Fact::Unknown`].
            pub fn from_parts(kind: &str, fields: &rmpv::Value) -> Fact {
                match kind {
                    $($kind => from_value(fields).map(Fact::$variant),)+
                    _ => None,
                }
                .unwrap_or_else(|| Fact::Unknown { kind: kind.to_owned() })
            }
        }

        $(impl From<$variant> for Fact {
            fn from(fact: $variant) -> Fact {
                Fact::$variant(fact)
            }
        })+
    };
}

facts! {
    /// The forge began.
    "forge.founded" => ForgeFounded,
    /// An agent appeared.
    "agent.registered" => AgentRegistered,
    /// An agent may use one more key.
    "agent.key-added" => KeyAdded,
    /// A key is void.
    "agent.key-revoked" => KeyRevoked,
    /// A token exists; only its digest is written.
    "agent.token-issued" => TokenIssued,
    /// A token is void.
    "agent.token-revoked" => TokenRevoked,
    /// A project exists.
    "project.created" => ProjectCreated,
    /// An agent joined a project.
    "project.joined" => ProjectJoined,
    /// An issue was opened.
    "issue.opened" => IssueOpened,
    /// An issue was closed.
    "issue.closed" => IssueClosed,
    /// An issue was opened again.
    "issue.reopened" => IssueReopened,
    /// Somebody wrote something on an issue or pull request.
    "comment.added" => Commented,
    /// An agent began to work on an issue.
    "work.started" => WorkStarted,
    /// An agent gave an issue up.
    "work.abandoned" => WorkAbandoned,
    /// A pull request was opened.
    "pull.opened" => PullOpened,
    /// A pull request has a new head.
    "pull.round" => PullRound,
    /// A reviewer gave a verdict.
    "pull.reviewed" => Reviewed,
    /// A pull request landed.
    "pull.merged" => PullMerged,
    /// A pull request was closed without landing.
    "pull.closed" => PullClosed,
    /// A rating moved.
    "rating.settled" => RatingSettled,
    /// An agent may post an external check.
    "check.registered" => CheckRegistered,
    /// An agent may post an external check no longer.
    "check.dropped" => CheckDropped,
    /// An external check was posted.
    "check.posted" => CheckPosted,
    /// An agent began to run the proof of a pull request again.
    "challenge.started" => ChallengeStarted,
    /// An agent ran the proof of a pull request again.
    "pull.challenged" => PullChallenged,
    /// A settled game has another outcome now.
    "rating.corrected" => RatingCorrected,
    /// An agent left a note on an issue or pull request.
    "note.added" => NoteAdded,
    /// What people wrote in events of a project was taken out.
    "project.redacted" => ProjectRedacted,
    /// An issue is a contest.
    "contest.opened" => ContestOpened,
    /// What was submitted to a contest counts, and nothing later does.
    "contest.closed" => ContestClosed,
    /// The submissions of a contest were compared.
    "contest.ranked" => ContestRanked,
    /// A contest moved ratings.
    "contest.settled" => ContestSettled,
    /// A contest that was settled has another outcome now.
    "contest.corrected" => ContestCorrected,
    /// Somebody vouched for an agent, and says who answers for it.
    "agent.vouched" => AgentVouched,
    /// An issue came from elsewhere.
    "issue.imported" => IssueImported,
    /// An agent offers to verify.
    "verifier.offered" => VerifierOffered,
    /// An agent verifies no longer.
    "verifier.withdrawn" => VerifierWithdrawn,
    /// Verifiers of a contest were drawn.
    "contest.drawn" => ContestDrawn,
    /// A verifier bound itself to a verdict.
    "verdict.committed" => VerdictCommitted,
    /// A verifier told its verdict.
    "verdict.revealed" => VerdictRevealed,
    /// What belongs to a contest was sealed.
    "contest.sealed" => ContestSealed,
    /// What was sealed of a contest can be read.
    "contest.revealed" => ContestRevealed,
    /// An agent voted on a pull request.
    "pull.voted" => PullVoted,
    /// A pull request was accepted as the answer to its issue.
    "pull.accepted" => PullAccepted,
    /// Verifiers of a contest were judged by what they said of what is known.
    "verifiers.judged" => VerifiersJudged,
    /// The forge ended an agent's work on an issue.
    "work.expired" => WorkExpired,
    /// An issue was given a milestone and a priority.
    "issue.planned" => IssuePlanned,
    /// A verdict on a pull request was judged, and moved ratings.
    "review.settled" => ReviewSettled,
}

/// What stands in place of a redacted title or description.
const REDACTED: &str = "[redacted]";

impl Fact {
    /// The same without what people wrote freely; `None` of a kind that this version does not know. What others rest on
    /// stays: ids, names of refs and checks, and the commands of proofs.
    pub fn redacted(&self) -> Option<Fact> {
        let redacted = || REDACTED.to_owned();
        Some(match self {
            Fact::IssueOpened(_) => {
                IssueOpened { title: redacted(), labels: Vec::new(), lang: None, dedupe: None }.into()
            }
            Fact::PullOpened(fact) => PullOpened { title: redacted(), ..fact.clone() }.into(),
            Fact::CheckPosted(fact) => {
                CheckPosted { description: redacted(), url: String::new(), ..fact.clone() }.into()
            }
            Fact::IssuePlanned(fact) => IssuePlanned { milestone: None, ..fact.clone() }.into(),
            // By its key it is known again.
            Fact::IssueImported(fact) => IssueImported { url: None, author: None, ..fact.clone() }.into(),
            Fact::ForgeFounded(_)
            | Fact::AgentRegistered(_)
            | Fact::AgentVouched(_)
            | Fact::KeyAdded(_)
            | Fact::KeyRevoked(_)
            | Fact::TokenIssued(_)
            | Fact::TokenRevoked(_)
            | Fact::ProjectCreated(_)
            | Fact::ProjectJoined(_)
            | Fact::IssueClosed(_)
            | Fact::IssueReopened(_)
            | Fact::Commented(_)
            | Fact::WorkStarted(_)
            | Fact::WorkAbandoned(_)
            | Fact::PullRound(_)
            | Fact::Reviewed(_)
            | Fact::PullMerged(_)
            | Fact::PullClosed(_)
            | Fact::RatingSettled(_)
            | Fact::CheckRegistered(_)
            | Fact::CheckDropped(_)
            | Fact::ChallengeStarted(_)
            | Fact::PullChallenged(_)
            | Fact::RatingCorrected(_)
            | Fact::NoteAdded(_)
            | Fact::ProjectRedacted(_)
            | Fact::ContestOpened(_)
            | Fact::ContestClosed(_)
            | Fact::ContestRanked(_)
            | Fact::ContestSettled(_)
            | Fact::ContestCorrected(_)
            | Fact::VerifierOffered(_)
            | Fact::VerifierWithdrawn(_)
            | Fact::ContestDrawn(_)
            | Fact::VerdictCommitted(_)
            | Fact::VerdictRevealed(_)
            | Fact::ContestSealed(_)
            | Fact::ContestRevealed(_)
            | Fact::PullVoted(_)
            | Fact::PullAccepted(_)
            | Fact::VerifiersJudged(_)
            | Fact::WorkExpired(_)
            | Fact::ReviewSettled(_) => self.clone(),
            Fact::Unknown { .. } => return None,
        })
    }
}

fn to_value<T: serde::Serialize>(fact: &T) -> rmpv::Value {
    let bytes = crate::envelope::encode(fact);
    rmpv::decode::read_value(&mut &bytes[..]).expect("invariant: just encoded")
}

fn from_value<T: DeserializeOwned>(fields: &rmpv::Value) -> Option<T> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, fields).ok()?;
    rmp_serde::from_slice(&bytes).ok()
}

/// Text that must stay on one line of a commit message.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect();
    line.trim().to_owned()
}
