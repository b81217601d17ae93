//! A project: what it is, where to clone it, what is open, and its code.

use askama::Template;
use serde::Deserialize;

use crate::tree::{Tree, listing};
use crate::{Frame, Unreadable, code, filters};

/// How many open issues and pull requests are shown.
const SHOWN: usize = 5;

#[derive(Deserialize)]
struct Shown {
    project: String,
    description: String,
    creator: String,
    created_ms: u64,
    default_branch: String,
    head: Option<String>,
    members: u64,
    http_url: String,
    open_issues: Vec<Open>,
    open_pulls: Vec<Open>,
    branches: u64,
    disk: Disk,
    read_only: Option<String>,
}

#[derive(Deserialize)]
struct Open {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    author: String,
}

#[derive(Deserialize)]
struct Disk {
    bytes: u64,
    budget: u64,
}

impl Open {
    fn number(&self) -> &str {
        self.reference.rsplit(['#', '/']).next().unwrap_or("")
    }
}

/// Open issues or pull requests, the first of them.
struct Group<'a> {
    word: &'static str,
    at: &'static str,
    open: &'a [Open],
}

impl Group<'_> {
    /// How many; a list ends at fifty.
    fn count(&self) -> String {
        if self.open.len() >= 50 { "50 or more".to_owned() } else { self.open.len().to_string() }
    }

    fn first(&self) -> &[Open] {
        &self.open[..self.open.len().min(SHOWN)]
    }
}

#[derive(Template)]
#[template(path = "project.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    shown: &'a Shown,
    groups: [Group<'a>; 2],
    /// Its files, once there are any.
    listing: Option<String>,
}

impl Page<'_> {
    fn disk(&self) -> String {
        let held = code::size(self.shown.disk.bytes);
        match self.shown.disk.budget {
            0 => held,
            budget => format!("{held} of {}", code::size(budget)),
        }
    }
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `project show`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let shown: Shown = crate::answer(answers, 0)?;
    let mut tree: Option<Tree> = crate::answer(answers, 1)?;
    if let Some(tree) = &mut tree {
        tree.directories_first();
    }
    let listing = tree.map(|tree| listing(frame, &tree)).transpose()?;
    let groups = [
        Group { word: "Issues", at: "issues", open: &shown.open_issues },
        Group { word: "Pull requests", at: "pulls", open: &shown.open_pulls },
    ];
    Ok(Page { frame, shown: &shown, groups, listing }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = r#"{"project":"parser","description":"A <b> parser","creator":"alpha","created_ms":1700000000000,
        "default_branch":"main","head":null,"members":2,"ssh_url":"ssh://h/parser","http_url":"http://h/parser",
        "open_issues":[{"ref":"parser#7","kind":"issue","title":"<script>x","state":"open","author":"beta","labels":[],"working":0,"seq":1,"next":""}],
        "open_pulls":[],"branches":1,"disk":{"bytes":2048,"budget":0,"owner":null,"owner_bytes":0,"owner_budget":0},"read_only":null}"#;

    #[test]
    fn an_empty_project_says_how_to_begin_and_a_full_one_shows_its_code() {
        let frame =
            Frame { path: "/parser", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let empty = view(&frame, &[SHOWN, "null", "null"]).unwrap();
        assert!(empty.contains("git clone http://h/parser") && empty.contains("git push origin HEAD:refs/heads/main"));
        assert!(empty.contains("<a href=\"/parser/issues/7\"><bdi>&lt;script&gt;x</bdi></a>"), "{empty}");
        assert!(empty.contains("A &lt;b&gt; parser") && empty.matches("<script").count() == 1);
        let full = view(&frame, &[SHOWN, crate::tree::tests::ANSWER, "null"]).unwrap();
        assert!(full.contains("class=\"ls\"") && !full.contains("git push origin"), "{full}");
        assert!(full.len() < 40 << 10, "{}", full.len());
    }
}
