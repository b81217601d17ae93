//! Where a text stands in the files of a project.

use askama::Template;
use serde::Deserialize;

use crate::code::{Place, branches};
use crate::{Frame, Unreadable, filters};

#[derive(Deserialize)]
struct Grep {
    project: String,
    path: String,
    rev: String,
    text: String,
    files: Vec<FileHits>,
    looked_at: u64,
    too_large: u64,
    #[serde(default)]
    too_deep: u64,
    stopped: Option<String>,
    stopped_at: Option<String>,
}

#[derive(Deserialize)]
struct FileHits {
    path: String,
    lines: Vec<Line>,
    more: bool,
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    hit: bool,
    text: String,
    /// Whether lines are left out before it.
    #[serde(skip)]
    gap: bool,
}

impl Line {
    fn class(&self) -> &'static str {
        match (self.hit, self.gap) {
            (true, true) => "hit gap",
            (true, false) => "hit",
            (false, true) => "gap",
            (false, false) => "",
        }
    }
}

#[derive(Template)]
#[template(path = "find.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    project: String,
    found: Option<&'a Grep>,
    place: Option<Place<'a>>,
}

impl Page<'_> {
    fn value(&self, name: &str) -> String {
        self.frame.value(name).unwrap_or_default()
    }

    fn on(&self, name: &str) -> bool {
        !self.value(name).is_empty()
    }

    fn url(&self, path: &str) -> String {
        self.place.as_ref().map(|place| place.url("blob", path)).unwrap_or_default()
    }
}

/// The page; before anything is looked for, the form alone.
///
/// # Errors
///
/// Where an answer is none of `grep`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let mut found: Grep = crate::answer(answers, 0)?;
    for file in &mut found.files {
        for at in 1..file.lines.len() {
            file.lines[at].gap = file.lines[at].line > file.lines[at - 1].line + 1;
        }
    }
    let project = found.project.clone();
    let found = Some(found).filter(|found| !found.text.is_empty());
    let place = found.as_ref().map(|found| Place {
        project: &found.project,
        path: &found.path,
        rev: &found.rev,
        view: "tree",
        branches: branches(answers, 1),
    });
    Ok(Page { frame, project, found: found.as_ref(), place }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_lead_to_their_lines() {
        let answer = r#"{"project":"parser","path":"","rev":"v1","commit":"c","text":"<b>","looked_at":3,"too_large":1,
            "stopped":"after enough time","stopped_at":"z","next":"","files":[{"path":"a b.rs","more":true,
            "lines":[{"line":6,"hit":false,"text":"x"},{"line":7,"hit":true,"text":"<b>\u202e"}]}]}"#;
        let frame = Frame {
            path: "/parser/find",
            query: "q=%3Cb%3E&at=v1&regex=1",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[answer, "null"]).unwrap();
        assert!(out.contains("href=\"/parser/blob/a%20b.rs?at=v1#L7\"") && out.contains("&lt;b&gt;‹U+202E›"), "{out}");
        assert!(out.contains("after enough time") && out.contains("checked") && !out.contains("<b>"), "{out}");
        let empty = Frame { query: "", ..frame };
        let nothing = answer.replace("\"text\":\"<b>\",\"looked", "\"text\":\"\",\"looked");
        assert!(view(&empty, &[&nothing, "null"]).unwrap().contains("action=\"/parser/find\""));
    }
}
