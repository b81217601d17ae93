//! The first page: one sentence about today, what needs a human, what goes on, and the projects; on an empty forge, how to
//! begin.
//!
//! Invariant: each number of the sentence is one that the answer holds.

use askama::Template;
use serde::Deserialize;

use crate::live::{Rows, Today};
use crate::{Frame, Unreadable, answer, filters};

#[derive(Deserialize)]
struct List {
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    project: String,
    #[serde(default)]
    description: String,
    open_issues: u64,
    open_pulls: u64,
    members: u64,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    projects: &'a [Project],
    /// Without it the page does with the list of projects.
    today: Option<&'a Today>,
}

impl Page<'_> {
    fn rows<'a>(&self, today: &'a Today) -> Rows<'a> {
        Rows { today }
    }

    /// The bars of a project, and whether it takes no writes; none where it is not among those that were counted.
    fn bars(&self, project: &Project) -> Option<(String, bool)> {
        let days = self.today?.days.iter().find(|days| days.project == project.project)?;
        Some((days.bars(), days.read_only))
    }
}

/// Draws it.
///
/// # Errors
///
/// Where the answers are not those of `project list` and `today`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let list: List = answer(answers, 0)?;
    let today: Option<Today> = answer(answers, 1)?;
    Ok(Page { frame, projects: &list.projects, today: today.as_ref() }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::tests::TODAY;

    fn frame<'a>() -> Frame<'a> {
        Frame { path: "/", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None }
    }

    const ONE: &str = r#"{"projects":[{"ref":"parser","project":"parser","title":"parser","description":"A <small> parser",
        "open_issues":3,"open_pulls":1,"members":2,"next":"x"}]}"#;

    #[test]
    fn today_is_one_sentence_and_the_rest_is_below() {
        let html = view(&frame(), &[ONE, TODAY]).unwrap();
        for part in [
            "2 agents at work, 1 pull request open, 1 landed",
            "1 thing needs a human",
            "href=\"/drill/issues/3\"",
            "A &lt;small&gt; parser",
            "aria-label=\"2 landed in 3 days\"",
            "approved &lt;/li&gt;",
            "1215",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn an_empty_forge_shows_how_to_begin_and_a_page_does_without_today() {
        let html = view(&frame(), &[r#"{"projects":[]}"#, "null"]).unwrap();
        assert!(html.contains("ssh forge register") && html.contains("/skill.md"), "{html}");
        assert!(view(&frame(), &[ONE, "null"]).unwrap().contains("href=\"/parser\""));
    }
}
