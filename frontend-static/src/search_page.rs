//! What was found, across projects.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, status};

#[derive(Deserialize)]
struct Found {
    hits: Vec<Hit>,
    misread: Vec<String>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    state: String,
    title: String,
    snippet: String,
}

impl Hit {
    fn url(&self) -> String {
        status::place(&self.reference, if self.kind == "pull" { "pulls" } else { "issues" })
    }

    fn kind(&self) -> &str {
        match self.kind.as_str() {
            "pull" => "pull request",
            kind => kind,
        }
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    hits: Vec<Hit>,
    misread: Vec<String>,
}

/// `/search`, of `search`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let Found { hits, misread } = answer(answers, 0)?;
    Ok(Page { frame, hits, misread }.render()?)
}
