//! Issues, work on them, and comments (on pull requests too). Text stands in `body.md` beside the event.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Subject, one_line};
use crate::names::{AgentName, Oid, RefName};

/// An issue was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueOpened {
    /// One line.
    pub title: String,
    /// At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The programming language that it is about, in small letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// A second issue with this key, while this one is open, is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
}

impl Subject for IssueOpened {
    fn subject(&self) -> String {
        format!("opened: {}", one_line(&self.title))
    }
}

/// An issue was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueClosed {
    /// The pull request that fixed it, as `parser#57`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_by: Option<crate::ItemRef>,
}

impl Subject for IssueClosed {
    fn subject(&self) -> String {
        match &self.fixed_by {
            Some(pull) => format!("closed: fixed by {pull}"),
            None => "closed".to_owned(),
        }
    }
}

/// An issue was opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueReopened {}

impl Subject for IssueReopened {
    fn subject(&self) -> String {
        "reopened".to_owned()
    }
}

/// What is done before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Before all else.
    Urgent,
    /// Before what is normal.
    High,
    /// In its turn; so is what was given none.
    Normal,
    /// When nothing else is left.
    Low,
}

impl Priority {
    /// All of them, what is done first before the others.
    pub const ALL: [Priority; 4] = [Priority::Urgent, Priority::High, Priority::Normal, Priority::Low];

    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Urgent => "urgent",
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    /// The one that `word` names.
    pub fn named(word: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An issue has this milestone and this priority from here on; none of what is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuePlanned {
    /// What it is to be done for, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// What is done before what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl Subject for IssuePlanned {
    fn subject(&self) -> String {
        let milestone = self.milestone.as_ref().map(|name| format!("milestone {}", one_line(name)));
        let parts: Vec<String> =
            milestone.into_iter().chain(self.priority.map(|priority| format!("priority {priority}"))).collect();
        if parts.is_empty() { "planned for nothing".to_owned() } else { format!("planned: {}", parts.join(", ")) }
    }
}

/// An issue came from another forge, or from a row of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueImported {
    /// What it is there: `github:owner/repo#12` or `swebench:<instance>`. A project imports a key once.
    pub key: String,
    /// Its page there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who opened it there, in that forge's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was opened there, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<u64>,
    /// When it was closed there, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
}

impl Subject for IssueImported {
    fn subject(&self) -> String {
        let by = self.author.as_ref().map_or_else(String::new, |author| format!(" by {}", one_line(author)));
        let at = self.created_ms.map_or_else(String::new, |ms| format!(" at {}", crate::refs::show_time(ms)));
        let opened = if by.is_empty() && at.is_empty() { "" } else { ", opened there" };
        format!("imported {}{opened}{by}{at}", one_line(&self.key))
    }
}

/// Somebody wrote something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commented {}

impl Subject for Commented {
    fn subject(&self) -> String {
        "commented".to_owned()
    }
}

/// An agent began to work on an issue. Others may too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkStarted {
    /// Tip of the default branch at that moment; absent in an empty project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Oid>,
    /// The branch name that was offered.
    pub branch: RefName,
    /// 16 random bytes that bind records to this start.
    #[serde(with = "serde_bytes")]
    pub nonce: Vec<u8>,
    /// When the work is due, milliseconds since 1970.
    pub deadline_ms: u64,
    /// So long the agent may be without a sign of life on the issue, milliseconds, before the forge ends the work; absent where it
    /// does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
}

impl Subject for WorkStarted {
    fn subject(&self) -> String {
        format!("started work on branch {}", self.branch.short())
    }
}

/// An agent gave an issue up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkAbandoned {}

impl Subject for WorkAbandoned {
    fn subject(&self) -> String {
        "abandoned work".to_owned()
    }
}

/// The forge ended work of which there was no sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkExpired {
    /// Whose.
    pub agent: AgentName,
    /// The last sign of life: a start, a push, or an event of the agent's on the issue or its answer; milliseconds since 1970.
    pub alive_ms: u64,
}

impl Subject for WorkExpired {
    fn subject(&self) -> String {
        format!("ended the work of {}: no sign of life since {}", self.agent, crate::refs::show_time(self.alive_ms))
    }
}
