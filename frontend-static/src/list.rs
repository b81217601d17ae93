//! The issues or the pull requests of a project.
//!
//! Invariant: the whole view stands in its address, so that it can be sent on.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, status};

/// What `issue list` and `pr list` answer.
#[derive(Debug, Deserialize)]
struct Listed {
    project: String,
    state: String,
    items: Vec<Item>,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    state: String,
    author: String,
    labels: Vec<String>,
    working: u64,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    milestone: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    contest: Option<Contest>,
    opened_ms: u64,
    comments: u64,
    #[serde(default)]
    round: Option<u64>,
    #[serde(default)]
    proof: Option<String>,
    #[serde(default)]
    issue: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Contest {
    difficulty: String,
    stage: String,
    #[serde(default)]
    closes_ms: Option<u64>,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Issues.
    Issues,
    /// Pull requests.
    Pulls,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Issues => "issues",
            Kind::Pulls => "pulls",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Kind::Issues => "Issues",
            Kind::Pulls => "Pull requests",
        }
    }

    fn states(self) -> &'static [&'static str] {
        match self {
            Kind::Issues => &["open", "closed", "all"],
            Kind::Pulls => &["open", "merged", "closed", "all"],
        }
    }
}

#[derive(Template)]
#[template(path = "list.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    kind: Kind,
    list: Listed,
}

impl Page<'_> {
    /// A value of the view, for its form.
    fn value(&self, name: &str) -> String {
        self.frame.value(name).unwrap_or_default()
    }

    /// Whether the view asks for less than all in that state.
    fn is_filtered(&self) -> bool {
        ["label", "author", "text", "after"].iter().any(|name| !self.value(name).is_empty())
    }

    /// The same view of another state, from its beginning.
    fn state(&self, state: &str) -> String {
        let keep = ["label", "author", "text"].into_iter().map(|name| (name, self.value(name)));
        let mut url = format!("{}?state={state}", self.frame.path);
        for (name, value) in keep.filter(|(_, value)| !value.is_empty()) {
            url.push_str(&format!("&{name}={}", filters::percent(&value, false)));
        }
        url
    }

    /// Where a label leads.
    fn labelled(&self, label: &str) -> String {
        format!("{}?label={}", self.frame.path, filters::percent(label, false))
    }
}

/// The list of that kind.
///
/// # Errors
///
/// Where the answer does not read.
pub(crate) fn view(frame: &Frame<'_>, answers: &[&str], kind: Kind) -> Result<String, Unreadable> {
    Ok(Page { frame, kind, list: answer(answers, 0)? }.render()?)
}
