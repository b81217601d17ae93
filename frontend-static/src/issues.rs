//! The issues of a project, and the form for a new one.

use askama::Template;
use serde::Deserialize;

use crate::list::{self, Kind};
use crate::{Frame, Unreadable, answer, filters};

/// `/parser/issues`, of `issue list`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    list::view(frame, answers, Kind::Issues)
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "project")]
    name: String,
}

#[derive(Template)]
#[template(path = "issue_new.html")]
struct New<'a> {
    frame: &'a Frame<'a>,
    project: Project,
}

/// `/parser/issues/new`, of `project show`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn new(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    Ok(New { frame, project: answer(answers, 0)? }.render()?)
}
