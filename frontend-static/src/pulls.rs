//! The pull requests of a project.

use crate::list::{self, Kind};
use crate::{Frame, Unreadable};

/// `/parser/pulls`, of `pr list`.
///
/// # Errors
///
/// Where the answer does not read.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    list::view(frame, answers, Kind::Pulls)
}
