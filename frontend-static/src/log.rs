//! The commits that changed a project, or what stands at a path, with the graph of their descent.

use askama::Template;
use serde::Deserialize;

use crate::code::{self, Place, branches};
use crate::{Frame, Unreadable, filters, lanes};

#[derive(Deserialize)]
struct Log {
    project: String,
    path: String,
    rev: String,
    commits: Vec<Commit>,
    more: bool,
}

#[derive(Deserialize)]
struct Commit {
    commit: String,
    parents: Vec<String>,
    author: String,
    time: u64,
    subject: String,
    path: String,
    refs: Vec<String>,
}

impl Commit {
    fn author(&self) -> &str {
        code::name(&self.author)
    }
}

#[derive(Template)]
#[template(path = "log.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    place: Place<'a>,
    log: &'a Log,
    /// Of a whole project; commits of one path have parents that are not listed.
    graph: Option<(String, usize)>,
}

impl Page<'_> {
    fn older(&self) -> Option<String> {
        let last = self.log.commits.last().filter(|_| self.log.more)?;
        Some(self.frame.with("after", &last.commit))
    }

    fn newest(&self) -> Option<String> {
        self.frame.value("after").map(|_| self.frame.with("after", ""))
    }

    fn follows(&self) -> bool {
        self.frame.value("follow").is_some()
    }
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `log`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let log: Log = crate::answer(answers, 0)?;
    let place =
        Place { project: &log.project, path: &log.path, rev: &log.rev, view: "log", branches: branches(answers, 1) };
    let graph = (log.path.is_empty() && !log.commits.is_empty()).then(|| {
        let commits: Vec<(&str, Vec<&str>)> = log
            .commits
            .iter()
            .map(|commit| (commit.commit.as_str(), commit.parents.iter().map(String::as_str).collect()))
            .collect();
        lanes::svg(&commits)
    });
    Ok(Page { frame, place, log: &log, graph }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_behind_its_last_commit() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let answer = |path: &str| {
            format!(
                r#"{{"project":"parser","path":"{path}","rev":"","commits":[{{"commit":"{a}","parents":["{b}"],"author":"<b> <x@y>",
                "time":1700000000,"subject":"<script>\u202e","path":"old","refs":["main","<v1>"]}}],"more":true,"next":""}}"#
            )
        };
        let frame = Frame {
            path: "/parser/log",
            query: "at=main",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[&answer(""), "null"]).unwrap();
        assert!(out.contains(&format!("href=\"/parser/log?at=main&amp;after={a}\"")), "{out}");
        assert!(out.contains("<svg class=\"graph\"") && out.contains("&lt;v1&gt;") && out.contains("‹U+202E›"));
        assert_eq!(out.matches("<script").count(), 1);
        let one = view(&frame, &[&answer("new"), "null"]).unwrap();
        assert!(!one.contains("<svg class=\"graph\"") && one.contains("<bdi>old</bdi>"), "{one}");
    }
}
