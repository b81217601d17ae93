//! Who wrote each line of a file: the author once for all lines next to each other that one commit brought.

use askama::Template;
use serde::Deserialize;

use crate::code::{self, Place, branches};
use crate::{Frame, Unreadable, filters};

#[derive(Deserialize)]
struct Blame {
    project: String,
    path: String,
    rev: String,
    from: u64,
    total: u64,
    lines: Vec<Line>,
    #[serde(default)]
    cut: bool,
    partial: bool,
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    commit: String,
    path: String,
    author: String,
    time: u64,
    subject: String,
    before: Option<String>,
    settled: bool,
    text: String,
}

/// Lines next to each other that one commit brought.
struct Hunk<'a> {
    of: &'a Line,
    /// From 0, the newest, to 5, the oldest of the page.
    age: u64,
    lines: Vec<(u64, String)>,
}

impl Hunk<'_> {
    fn author(&self) -> &str {
        code::name(&self.of.author)
    }
}

#[derive(Template)]
#[template(path = "blame.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    place: Place<'a>,
    blame: &'a Blame,
    hunks: Vec<Hunk<'a>>,
}

impl Page<'_> {
    fn earlier(&self) -> Option<String> {
        let from = self.blame.from.saturating_sub(1000).max(1);
        (self.blame.from > 1).then(|| self.frame.with("from", &from.to_string()))
    }

    fn later(&self) -> Option<String> {
        let next = self.blame.lines.last()?.line + 1;
        (next <= self.blame.total).then(|| self.frame.with("from", &next.to_string()))
    }
}

fn hunks(blame: &Blame) -> Vec<Hunk<'_>> {
    let times = || blame.lines.iter().map(|line| line.time);
    let (oldest, newest) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let text: String = blame.lines.iter().map(|line| line.text.clone() + "\n").collect();
    let mut hunks: Vec<Hunk<'_>> = Vec::new();
    for (line, html) in blame.lines.iter().zip(code::coloured(&blame.path, &text)) {
        match hunks.last_mut().filter(|last| last.of.commit == line.commit && last.of.path == line.path) {
            Some(last) => last.lines.push((line.line, html)),
            None => {
                let age = (newest - line.time).saturating_mul(5).checked_div(newest - oldest).unwrap_or(0);
                hunks.push(Hunk { of: line, age, lines: vec![(line.line, html)] });
            }
        }
    }
    hunks
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `blame`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let blame: Blame = crate::answer(answers, 0)?;
    let place = Place {
        project: &blame.project,
        path: &blame.path,
        rev: &blame.rev,
        view: "blame",
        branches: branches(answers, 1),
    };
    Ok(Page { frame, place, hunks: hunks(&blame), blame: &blame }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_stands_once_for_lines_next_to_each_other() {
        let line = |n: u64, commit: char, time: u64| {
            let id = commit.to_string().repeat(40);
            format!(
                r#"{{"line":{n},"commit":"{id}","original_line":{n},"path":"old <b>","author":"A <a@b>","time":{time},
                "subject":"<script>","before":"{}","settled":true,"text":"<i>{n}"}}"#,
                "f".repeat(40)
            )
        };
        let lines = [line(1, 'a', 100), line(2, 'a', 100), line(3, 'b', 200), line(4, 'a', 100)].join(",");
        let answer = format!(
            r#"{{"project":"parser","path":"x","rev":"v1","commit":"c","from":1,"total":9,"lines":[{lines}],"partial":false,"next":""}}"#
        );
        let frame = Frame {
            path: "/parser/blame/x",
            query: "at=v1",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[&answer, "null"]).unwrap();
        assert_eq!(out.matches("<tr class=\"age").count(), 3, "{out}");
        assert!(out.contains("age5") && out.contains("age0") && out.contains("&lt;i&gt;2"), "{out}");
        assert!(out.contains(&format!("/parser/blame/old%20%3Cb%3E?at={}", "f".repeat(40))), "{out}");
        assert!(out.contains("href=\"/parser/blame/x?at=v1&amp;from=5\"") && out.matches("<script").count() == 1);
    }
}
