//! Issues and the work on them.

use notes_schema::event::{
    ContestClosed, ContestOpened, ContestRanked, ContestRevealed, ContestSealed, IssueClosed, IssueImported,
    IssueOpened, IssuePlanned, Priority,
};
use notes_schema::{AgentName, ItemRef, Oid, RefName};
use serde::{Deserialize, Serialize};

use super::contest::{ContestState, Seal, Stage};
use super::fold::Happened;
use super::snippet;

/// Longest comment shown in lists, in bytes.
/// Limit: comment shown in lists | {:bytes}, then `…`
const SNIPPET: usize = 160;
/// How many agents a state names; the rest is a number.
/// Limit: agents that the state of an issue or pull request names | {}; of the others their number
pub(super) const NAMED: usize = 32;

/// Whether an issue is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueStatus {
    /// To be done.
    Open,
    /// Done or given up.
    Closed,
}

/// The newest comment, or the newest note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastComment {
    /// Who wrote it.
    pub by: AgentName,
    /// Its forge-wide number.
    pub q: u64,
    /// Its beginning, one line.
    pub snippet: String,
}

impl LastComment {
    pub(super) fn of(at: &Happened) -> Self {
        LastComment { by: at.agent.clone(), q: at.q, snippet: snippet(at.text.unwrap_or(""), SNIPPET) }
    }
}

/// Where an issue came from, as far as lists and figures need it; its page and its author there stand in the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What it is there.
    pub key: String,
    /// When it was opened there, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<u64>,
    /// When it was closed there, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
}

/// An agent at work on an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Who.
    pub agent: AgentName,
    /// Tip of the default branch when it started.
    pub base: Option<Oid>,
    /// The branch name it was offered.
    pub branch: RefName,
    /// When it was due as of the start, milliseconds since 1970.
    pub deadline_ms: u64,
}

/// An issue after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueState {
    /// One line.
    pub title: String,
    /// Who opened it.
    pub author: AgentName,
    /// Open or closed.
    pub status: IssueStatus,
    /// At most 16.
    pub labels: Vec<String>,
    /// The programming language that it is about, in small letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// What it is to be done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// What is done before what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The contest that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest: Option<ContestState>,
    /// While it is open, a second issue with this key is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// At work now, the newest 32.
    pub workers: Vec<AgentName>,
    /// How many work on it in all.
    pub working: u64,
    /// Comments so far.
    pub comments: u64,
    /// The newest comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_comment: Option<LastComment>,
    /// The newest community note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_note: Option<LastComment>,
    /// The pull request that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_by: Option<ItemRef>,
    /// Where it came from, if from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// When it was opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// Forge-wide number of its first event.
    pub opened_q: u64,
    /// Forge-wide number of its author's last event here.
    pub author_q: u64,
    /// Forge-wide number of its last event.
    pub last_q: u64,
}

impl IssueState {
    pub(super) fn opened(fact: &IssueOpened, at: &Happened) -> Self {
        IssueState {
            title: fact.title.clone(),
            author: at.agent.clone(),
            status: IssueStatus::Open,
            labels: fact.labels.clone(),
            lang: fact.lang.clone(),
            milestone: None,
            priority: None,
            contest: None,
            dedupe: fact.dedupe.clone(),
            workers: Vec::new(),
            working: 0,
            comments: 0,
            last_comment: None,
            last_note: None,
            fixed_by: None,
            imported: None,
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

    pub(super) fn closed(&mut self, fact: &IssueClosed) {
        self.status = IssueStatus::Closed;
        self.fixed_by = fact.fixed_by.clone();
        self.workers.clear();
        self.working = 0;
    }

    pub(super) fn planned(&mut self, fact: &IssuePlanned) {
        self.milestone.clone_from(&fact.milestone);
        self.priority = fact.priority;
    }

    pub(super) fn contest_opened(&mut self, fact: &ContestOpened) {
        if self.contest.is_none() {
            self.contest = Some(ContestState::opened(fact));
        }
    }

    pub(super) fn contest_closed(&mut self, fact: &ContestClosed) {
        if let Some(contest) = &mut self.contest {
            contest.stage = Stage::Closed;
            contest.entries = fact.entries.len() as u64;
            self.closed(&IssueClosed { fixed_by: None });
        }
    }

    pub(super) fn contest_ranked(&mut self, _: &ContestRanked) {
        if let Some(contest) = &mut self.contest {
            contest.stage = Stage::Ranked;
        }
    }

    pub(super) fn contest_sealed(&mut self, fact: &ContestSealed) {
        if let Some(contest) = self.contest.as_mut().filter(|contest| contest.stage == Stage::Open) {
            contest.sealed.get_or_insert(Seal { commitment: fact.commitment, revealed: false });
        }
    }

    pub(super) fn contest_revealed(&mut self, _: &ContestRevealed) {
        if let Some(seal) = self.contest.as_mut().and_then(|contest| contest.sealed.as_mut()) {
            seal.revealed = true;
        }
    }

    pub(super) fn imported(&mut self, fact: &IssueImported) {
        let IssueImported { key, created_ms, closed_ms, .. } = fact.clone();
        self.imported = Some(Imported { key, created_ms, closed_ms });
    }

    pub(super) fn commented(&mut self, at: &Happened) {
        self.comments += 1;
        self.last_comment = Some(LastComment::of(at));
    }

    /// `is_new` unless the agent works on it already.
    pub(super) fn started(&mut self, at: &Happened, is_new: bool) {
        self.workers.retain(|agent| agent != at.agent);
        if self.workers.len() == NAMED {
            self.workers.remove(0);
        }
        self.workers.push(at.agent.clone());
        self.working += u64::from(is_new);
        if let Some(contest) = self.contest.as_mut().filter(|contest| contest.closes_ms.is_none()) {
            contest.closes_ms = Some(at.t.saturating_add(contest.runs_ms));
        }
    }

    /// `was_working` unless the agent did not work on it.
    pub(super) fn stopped(&mut self, who: &AgentName, was_working: bool) {
        self.workers.retain(|agent| agent != who);
        self.working -= u64::from(was_working).min(self.working);
    }
}
