//! A form that was refused: why, in the words of its page, and what was written into it.
//!
//! Invariant: nothing that was written is lost, and every field is text, whatever it holds.

use crate::{escape, status};

/// A field that forms know: its name, what people call it, and how it is shown.
pub struct Known {
    /// Its name in a form, and of the command's flag.
    pub name: &'static str,
    /// What it is called on a page.
    pub label: &'static str,
    /// How.
    pub control: Control,
}

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// One line.
    Line,
    /// Several lines.
    Text,
    /// One of these: value and word.
    OneOf(&'static [(&'static str, &'static str)]),
    /// Not at all: it goes along.
    Hidden,
}

/// Verdicts, and their words.
pub const VERDICTS: &[(&str, &str)] =
    &[("comment", "Comment"), ("approve", "Approve"), ("request-changes", "Request changes")];

const KNOWN: &[Known] = &[
    Known { name: "verdict", label: "Verdict", control: Control::OneOf(VERDICTS) },
    Known { name: "title", label: "Title", control: Control::Line },
    Known { name: "text", label: "Text", control: Control::Text },
    Known { name: "label", label: "Label", control: Control::Line },
    Known { name: "lang", label: "Language", control: Control::Line },
    Known { name: "at", label: "On lines", control: Control::Line },
    Known { name: "head", label: "Head", control: Control::Hidden },
    Known { name: "vote", label: "Vote", control: Control::Hidden },
    Known { name: "comment", label: "Comment", control: Control::Hidden },
];

/// A form that was refused, with what was written into it.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The status that says why: 409 where something moved.
    pub status: u16,
    /// `what: why`, and a line `next: command`.
    pub lines: &'a str,
    /// Where it was sent: `/parser/pulls/7/review`.
    pub action: &'a str,
    /// Its fields, as they came.
    pub fields: &'a [(String, String)],
    /// Whether it is because nobody is signed in.
    pub signed_out: bool,
}

impl Written<'_> {
    /// The last part of the address it was sent to.
    pub fn verb(&self) -> &str {
        self.action.rsplit('/').next().unwrap_or("")
    }

    /// A field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What happened, as a heading.
    pub fn title(&self) -> &'static str {
        match self.status {
            _ if self.signed_out => "You are signed out",
            400 => "Something is missing, or does not read",
            403 => "That is not yours to do",
            404 => "It is not there",
            409 => "It moved meanwhile",
            422 => "A rule stands against it",
            429 | 503 => "Not just now",
            _ => "It was not done",
        }
    }

    /// What and why, with flags called as the page calls their fields.
    pub fn why(&self) -> String {
        let why = self.lines.lines().next().unwrap_or("");
        let named =
            |why: String, known: &Known| why.replace(&format!("--{}", known.name), &format!("“{}”", known.label));
        KNOWN.iter().fold(why.strip_prefix("forge: ").unwrap_or(why).to_owned(), named)
    }

    /// The next command, where it says more than to read up on this one.
    pub fn next(&self) -> Option<String> {
        let next = self.lines.lines().find_map(|line| line.strip_prefix("next: "))?;
        (!next.starts_with("help")).then(|| status::typed(next))
    }

    /// Whether something was written that one would not like to write again.
    pub fn is_worth_keeping(&self) -> bool {
        ["text", "title"].iter().any(|name| self.field(name).is_some_and(|value| !value.trim().is_empty()))
    }

    /// Whether `page` shows the form, or need not.
    pub fn stands_in(&self, page: &str) -> bool {
        !self.is_worth_keeping() || page.contains(&format!("action=\"{}\"", escape::text(self.action)))
    }

    /// Its fields: how each is called and shown, and what it holds.
    pub fn controls(&self) -> Vec<(&str, &str, Control, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| {
                let known = KNOWN.iter().find(|known| known.name == name);
                let (label, control) = known.map_or((name.as_str(), Control::Line), |k| (k.label, k.control));
                (name.as_str(), label, control, value.as_str())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<'a>(fields: &'a [(String, String)], lines: &'a str) -> Written<'a> {
        Written { status: 409, lines, action: "/parser/pulls/7/review", fields, signed_out: false }
    }

    #[test]
    fn a_refusal_speaks_of_fields_and_not_of_flags() {
        let said = written(&[], "issue new: it needs --title\nnext: help issue new\n");
        assert_eq!((said.why().as_str(), said.next()), ("issue new: it needs “Title”", None));
        let said = written(&[], "parser#7: round 2 came meanwhile\nnext: pr parser/7 --diff\n");
        assert_eq!(said.next().as_deref(), Some("ssh forge pr parser/7 --diff"));
    }

    #[test]
    fn what_was_written_is_not_lost_with_its_form() {
        let fields = [("verdict".to_owned(), "approve".to_owned()), ("text".to_owned(), "Well".to_owned())];
        let kept = written(&fields, "");
        assert!(kept.stands_in("<form action=\"/parser/pulls/7/review\">"));
        assert!(!kept.stands_in("<form action=\"/parser/pulls/7/reply\">") && written(&fields[..1], "").stands_in(""));
        assert_eq!(kept.controls()[0].2, Control::OneOf(VERDICTS));
    }
}
