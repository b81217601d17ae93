//! What was said and done on an issue or a pull request, event by event.
//!
//! Invariant: an agent's text is Markdown in a frame of its own, below its name; its headings stand below those of the page.

use notes_schema::suggestion;
use serde::Deserialize;

use crate::Frame;
use crate::filters::percent;

/// Most events that one page shows; the twins have all.
/// Limit: events of a thread on a page | {}, the newest; the page says how many are left out
pub const MOST: usize = 500;

/// One event.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// Its forge-wide number.
    pub seq: u64,
    /// What it is: `comment.added`.
    pub kind: String,
    /// Who.
    pub by: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// What happened, in a line.
    pub summary: String,
    /// What was said.
    #[serde(default)]
    pub text: Option<String>,
    /// The lines that it is about, where it is about some.
    #[serde(default)]
    pub on: Option<On>,
    /// What it suggests to put in place of those lines.
    #[serde(default)]
    pub suggests: Option<Suggests>,
}

/// Lines of a change.
#[derive(Debug, Deserialize)]
pub struct On {
    /// The head.
    pub head: String,
    /// The file.
    pub path: String,
    /// The first line's number.
    pub line: u64,
    /// The last one's, where there are several.
    #[serde(default)]
    pub to: Option<u64>,
    /// `new`, or `old` where it is a line that is gone.
    pub side: String,
    /// The commit that has them.
    pub commit: String,
}

impl On {
    /// Whether it is about a line that is gone.
    pub fn is_old(&self) -> bool {
        self.side == "old"
    }

    /// The line below which it stands.
    pub fn last(&self) -> u64 {
        self.to.unwrap_or(self.line)
    }

    /// `src/lib.rs:12`, as a reviewer names it.
    fn name(&self) -> String {
        let (minus, to) = (if self.is_old() { "-" } else { "" }, self.to.map(|to| format!("-{to}")));
        format!("{}:{minus}{}{}", self.path, self.line, to.unwrap_or_default())
    }
}

/// What a comment suggests to put in place of lines.
#[derive(Debug, Deserialize)]
pub struct Suggests {
    /// The lines as they were.
    pub was: String,
    /// The lines as they would be.
    pub becomes: String,
    /// Whether the head has those lines.
    pub applies: bool,
}

impl Suggests {
    /// `text` with its suggestion as a change: what is to go, and what is to come.
    fn shown(&self, text: &str) -> String {
        let Some(found) = suggestion(text) else { return text.to_owned() };
        let longest = |part: &str| part.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest(&self.was).max(longest(&self.becomes)).max(2) + 1);
        let side = |mark: char, part: &str| part.lines().map(|line| format!("{mark}{line}\n")).collect::<String>();
        let (before, after) = (&text[..found.block.start], &text[found.block.end..]);
        format!("{before}{fence}diff\n{}{}{fence}\n{after}", side('-', &self.was), side('+', &self.becomes))
    }
}

impl Event {
    /// What was said, as HTML. Notes stand in a section of their own.
    pub fn prose(&self, frame: &Frame<'_>) -> Option<String> {
        if self.kind == "note.added" {
            return None;
        }
        let text = self.text.as_deref().filter(|text| !text.trim().is_empty())?;
        Some(match &self.suggests {
            Some(suggests) => prose(frame, &suggests.shown(text)),
            None => prose(frame, text),
        })
    }

    /// The page of the line that it is about, and its name.
    pub fn place(&self, frame: &Frame<'_>) -> Option<(String, String)> {
        let (on, project) = (self.on.as_ref()?, frame.project()?);
        let (path, commit) = (percent(&on.path, true), percent(&on.commit, false));
        Some((format!("/{project}/blob/{path}?at={commit}#L{}", on.line), on.name()))
    }

    /// The number by which its suggestion is applied, where it is one and the head has the lines.
    pub fn applicable(&self) -> Option<u64> {
        self.suggests.as_ref().filter(|suggests| suggests.applies).map(|_| self.seq)
    }

    /// The mark of what was done, and its colour: a verdict and a landing are found at a glance.
    pub fn mark(&self) -> Option<(char, &'static str)> {
        let is = |words: &str| self.summary.starts_with(words);
        match self.kind.as_str() {
            "pull.reviewed" if is("approved") => Some(('✓', "ok")),
            "pull.reviewed" if is("requested changes") => Some(('✗', "bad")),
            "pull.merged" => Some(('●', "done")),
            _ => None,
        }
    }

    /// What was done, where the thread need not say more than that something was said.
    pub fn did(&self) -> &str {
        match (self.kind.as_str(), &self.on) {
            // Its title is the page's.
            ("issue.opened", _) => "opened it",
            ("comment.added", _) => "said",
            ("note.added", _) if self.summary == "noted: didnt-work" => "noted: it did not work for them",
            // Its lines stand behind it, as a link.
            (_, Some(on)) => self.summary.strip_suffix(&on.name()).map_or(&*self.summary, str::trim_end),
            _ => &self.summary,
        }
    }
}

/// A note that stands.
#[derive(Debug, Deserialize)]
pub struct Note {
    /// `didnt-work`, `deprecated` or `practice`.
    pub kind: String,
    /// Whose.
    pub agent: String,
    /// What it says.
    pub text: String,
    /// Its forge-wide number.
    pub seq: u64,
}

impl Note {
    /// Its kind in words.
    pub fn means(&self) -> &str {
        match self.kind.as_str() {
            "didnt-work" => "did not work",
            kind => kind,
        }
    }

    /// What it says, as HTML.
    pub fn prose(&self, frame: &Frame<'_>) -> String {
        prose(frame, &self.text)
    }
}

/// The events that a page shows, and how many stand before them.
pub fn newest(events: &[Event]) -> (u64, &[Event]) {
    let left = events.len().saturating_sub(MOST);
    (left as u64, &events[left..])
}

/// Somebody's Markdown below the headings of a page.
pub fn prose(frame: &Frame<'_>, text: &str) -> String {
    let mut html = frame.prose(text);
    // What comes out holds no `<` but those of our own elements.
    for (level, below) in [(6, 6), (5, 6), (4, 6), (3, 6), (2, 5), (1, 4)] {
        if level != below {
            html = html.replace(&format!("<h{level}>"), &format!("<h{below}>"));
            html = html.replace(&format!("</h{level}>"), &format!("</h{below}>"));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_shown_as_a_change() {
        let suggests = Suggests { was: "a <b>\n".to_owned(), becomes: "```\nc\n".to_owned(), applies: true };
        let shown = suggests.shown("Why not\n````suggestion\n```\nc\n````\nit?");
        assert_eq!(shown, "Why not\n````diff\n-a <b>\n+```\n+c\n````\nit?");
        let frame = Frame { path: "/p", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let html = prose(&frame, &shown);
        assert!(html.contains("<span class=\"del\">-a &lt;b&gt;</span>") && html.contains("<p>it?</p>"), "{html}");
        let unended = Suggests { was: "a".to_owned(), becomes: String::new(), applies: true };
        assert_eq!(unended.shown("```suggestion\n```"), "```diff\n-a\n```\n");
    }

    #[test]
    fn what_was_done_is_said_once_and_in_words() {
        let event = |json: &str| serde_json::from_str::<Event>(json).unwrap();
        let on = r#"{"seq":1,"kind":"pull.reviewed","by":"a","time_ms":1,"summary":"commented on src/parse.py:9",
                     "on":{"head":"h","path":"src/parse.py","line":9,"side":"new","commit":"c"}}"#;
        assert_eq!((event(on).did(), event(on).mark()), ("commented on", None));
        assert_eq!(event(&on.replace("commented", "approved")).mark(), Some(('✓', "ok")));
        let note = r#"{"seq":1,"kind":"note.added","by":"a","time_ms":1,"summary":"noted: didnt-work"}"#;
        assert_eq!(event(note).did(), "noted: it did not work for them");
    }

    #[test]
    fn headings_of_a_text_stand_below_those_of_the_page() {
        let frame = Frame { path: "/p", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let html = prose(&frame, "# One\n\n## Two\n\n### Three\n\n<h1>raw</h1>\n");
        assert!(html.contains("<h4>One</h4>") && html.contains("<h5>Two</h5>") && html.contains("<h6>Three</h6>"));
        assert!(!html.contains("<h1>") && html.contains("&lt;h1&gt;raw"), "{html}");
    }
}
