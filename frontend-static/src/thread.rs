//! What was said and done on an issue or a pull request, event by event.
//!
//! Invariant: an agent's text is Markdown in a frame of its own, below its name; its headings stand below those of the page.

use serde::Deserialize;

use crate::Frame;

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
}

impl Event {
    /// What was said, as HTML. Notes stand in a section of their own.
    pub fn prose(&self, frame: &Frame<'_>) -> Option<String> {
        if self.kind == "note.added" {
            return None;
        }
        self.text.as_deref().filter(|text| !text.trim().is_empty()).map(|text| prose(frame, text))
    }

    /// What was done, where the thread need not say more than that something was said.
    pub fn did(&self) -> &str {
        match self.kind.as_str() {
            "comment.added" => "said",
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
    fn headings_of_a_text_stand_below_those_of_the_page() {
        let frame = Frame { path: "/p", query: "", viewer: None, resolve: &|_| None };
        let html = prose(&frame, "# One\n\n## Two\n\n### Three\n\n<h1>raw</h1>\n");
        assert!(html.contains("<h4>One</h4>") && html.contains("<h5>Two</h5>") && html.contains("<h6>Three</h6>"));
        assert!(!html.contains("<h1>") && html.contains("&lt;h1&gt;raw"), "{html}");
    }
}
