//! What differs between two commits, and the form that chooses them.

use askama::Template;
use serde::Deserialize;

use crate::code::{Branches, branches};
use crate::commit::Changed;
use crate::filters;
use crate::frame::decoded;
use crate::{Frame, Unreadable};

#[derive(Deserialize)]
struct Diff {
    project: String,
    path: String,
    old: String,
    new: String,
    #[serde(flatten)]
    changed: Changed,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    diff: &'a Diff,
    changed: &'a Changed,
    patch: String,
    /// What the form holds: the two ends as they were named.
    from: String,
    to: String,
    branches: Branches,
}

/// The two ends, from the path or from the form.
fn ends(frame: &Frame<'_>) -> (String, String) {
    let field = |name| frame.value(name).unwrap_or_default();
    match frame.path.split_once("/compare/") {
        None => (field("from"), field("to")),
        Some((_, range)) => {
            let range = decoded(&range.replace('+', "%2B"));
            let (from, to) = range.split_once("..").unwrap_or((&range, ""));
            (from.to_owned(), to.trim_start_matches('.').to_owned())
        }
    }
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `diff`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let diff: Diff = crate::answer(answers, 0)?;
    let patch = diff.changed.html(frame, &diff.project, &diff.new);
    let (from, to) = ends(frame);
    let branches = branches(answers, 1);
    Ok(Page { frame, diff: &diff, changed: &diff.changed, patch, from, to, branches }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_stay_in_the_form() {
        let id = "a".repeat(40);
        let answer = format!(
            r#"{{"project":"parser","path":"","old":"{id}","new":"{id}","files":[],"more_files":false,"added":0,"removed":0,
            "diff":"","diff_truncated":false,"next":""}}"#
        );
        for (path, query) in [("/parser/compare/v%221...a%2Fb", ""), ("/parser/compare", "from=v%221&to=a%2Fb")] {
            let frame = Frame { path, query, viewer: None, has_feed: false, written: None, resolve: &|_| None };
            let out = view(&frame, &[&answer, r#"{"names":[{"name":"main"}]}"#]).unwrap();
            assert!(out.contains("value=\"v&quot;1\"") && out.contains("value=\"a/b\""), "{out}");
            assert!(out.contains("Nothing differs"), "{out}");
        }
    }
}
