//! Folds of what is written: pure functions from events to what commands read.
//!
//! Invariant: no I/O, no clock. The same events give the same state on every machine; that is what makes a mirror
//! answer like its origin.

mod agent;
pub mod checks;
pub mod contest;
pub mod elo;
mod evidence;
mod fold;
mod games;
mod interval;
mod issue;
mod owners;
pub mod panel;
pub mod played;
mod pull;
pub mod rank;
mod ratings;
mod reviews;
pub mod standing;
mod votes;
mod work;

pub use agent::{AgentState, ProjectState, TokenState, WRITTEN_NAMES};
pub use checks::{Checks, ChecksState};
pub use contest::{Contest, ContestState, Contests, Kept, Seal, SealedPart, Stage};
pub use evidence::{Challenge, KeySpan, Rerun};
pub use fold::{Entity, Fold, Happened, Started};
pub use games::{Game, Merge, ReviewGame, Verdict};
pub use interval::interval_milli;
pub use issue::{Imported, IssueState, IssueStatus, LastComment, Worker};
pub use owners::OwnerSpan;
pub use panel::{Panel, Trust};
pub use pull::{LastRefute, PullState, PullStatus, ReviewState};
pub use ratings::{Change, EloState, Ratings};
pub use reviews::{Judged, Reviews};
pub use votes::{Accepted, Tally, Votes};
pub use work::{EndedBy, Work, Works};

#[cfg(test)]
mod lab;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that snapshots share; written as what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Shared(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Shared::new)
    }
}

/// What an entity is after its last event; the blob `state` of each event's commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// An issue.
    Issue(IssueState),
    /// A pull request.
    Pull(PullState),
    /// An agent.
    Agent(AgentState),
    /// A project's registry entry.
    Project(ProjectState),
    /// A rating ledger.
    Elo(EloState),
    /// What an agent posts of external checks.
    Checks(ChecksState),
    /// Only kinds that this version does not know so far.
    Nothing,
}

/// The beginning of a text as one line of at most `limit` bytes, for lists.
pub fn snippet(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + word.len() + 1 > limit {
            if line.is_empty() {
                line.extend(word.chars().take(limit / 4));
            }
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
