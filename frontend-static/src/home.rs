//! The first page: one sentence about today, what needs a human, what goes on, and the projects; on an empty forge, how to
//! begin.
//!
//! Invariant: each number of the sentence is one that the answer holds.

use askama::Template;
use serde::Deserialize;

use crate::live::{Days, Rows, Today};
use crate::{Frame, Unreadable, answer, filters};

#[derive(Deserialize)]
struct List {
    projects: Vec<Project>,
    total: usize,
    /// Which of them the first one is, from 1.
    from: usize,
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
    list: &'a List,
    projects: &'a [Project],
    /// Without it the page does with the list of projects.
    today: Option<&'a Today>,
}

impl Page<'_> {
    fn rows<'a>(&self, today: &'a Today) -> Rows<'a> {
        Rows { today }
    }

    /// How many stand on later pages, and where the next one is.
    fn later(&self) -> Option<(usize, String)> {
        let upto = self.list.from - 1 + self.projects.len();
        let left = self.list.total.checked_sub(upto).filter(|left| *left > 0 && !self.projects.is_empty())?;
        Some((left, self.frame.with("from", &(upto + 1).to_string())))
    }

    /// How a project fares; none where it is not among those that were counted.
    fn days(&self, project: &Project) -> Option<&Days> {
        self.today?.days.iter().find(|days| days.project == project.project)
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
    Ok(Page { frame, list: &list, projects: &list.projects, today: today.as_ref() }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::tests::TODAY;

    fn frame<'a>() -> Frame<'a> {
        Frame { path: "/", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None }
    }

    const ONE: &str = r#"{"projects":[{"ref":"parser","project":"parser","title":"parser","description":"A <small> parser",
        "open_issues":3,"open_pulls":1,"members":2,"next":"x"}],"total":1,"from":1}"#;

    #[test]
    fn today_is_one_sentence_and_the_rest_is_below() {
        let html = view(&frame(), &[ONE, TODAY]).unwrap();
        for part in [
            "2 agents at work, 1 pull request open, 1 landed",
            "1 thing needs a human",
            "href=\"/drill/issues/3\"",
            "A &lt;small&gt; parser",
            "aria-label=\"2 landed in 3 days\"",
            "href=\"/parser/roadmap\">66.6 % done</a>",
            "href=\"/parser/health\">idle since",
            "approved &lt;/li&gt;",
            "1215",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn an_empty_forge_shows_how_to_begin_and_a_page_does_without_today() {
        let html = view(&frame(), &[r#"{"projects":[],"total":0,"from":1}"#, "null"]).unwrap();
        assert!(html.contains("ssh forge register") && html.contains("/skill.md"), "{html}");
        let one = view(&frame(), &[ONE, "null"]).unwrap();
        assert!(one.contains("href=\"/parser\"") && !one.contains("from="), "{one}");
        let many = ONE.replace("\"total\":1", "\"total\":250");
        let many = view(&frame(), &[&many, "null"]).unwrap();
        assert!(many.contains("href=\"/?from=2\">249 more"), "{many}");
    }
}
