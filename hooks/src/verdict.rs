//! What a rule answers: fine, or a refusal that says what, why and what next; or that it could not decide.

use std::fmt;

use crate::command::one_line;

/// Why something may not land, in words for one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule's code or word: `E08`, `branch-owner`.
    pub rule: String,
    /// What was refused.
    pub what: String,
    /// Why.
    pub why: String,
    /// A command that can be run as it stands. Never built from text that somebody else wrote. Empty where a ref is refused
    /// only for another of the same push, whose command mends both.
    pub next: String,
    /// What else there is to say, a line each.
    pub details: Vec<String>,
}

impl Refusal {
    /// A refusal; line breaks and other control characters become spaces, and in the command they are spelled.
    pub fn new(rule: &str, what: impl AsRef<str>, why: impl AsRef<str>, next: impl AsRef<str>) -> Self {
        Refusal {
            rule: rule.to_owned(),
            what: plain(what.as_ref()),
            why: plain(why.as_ref()),
            next: one_line(next.as_ref()),
            details: Vec::new(),
        }
    }

    /// The same, with more to say.
    pub fn with_details(self, details: impl IntoIterator<Item = String>) -> Self {
        Refusal { details: details.into_iter().map(|line| plain(&line)).collect(), ..self }
    }

    /// The one line that git shows beside a refused ref.
    pub fn line(&self) -> String {
        if self.next.is_empty() { self.to_string() } else { format!("{self}; next: {}", self.next) }
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `E08 submit fix-leak: the last run was on another tree`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.rule, self.what, self.why)
    }
}

impl std::error::Error for Refusal {}

/// What a rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Ok,
    /// It may not land.
    Refused(Refusal),
}

/// A rule could not decide: something it must know could not be read. The change is refused for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not decide: {0}")]
pub struct Undecided(pub String);

/// A verdict, or no decision, which refuses too.
pub type Judgement = Result<Verdict, Undecided>;

/// `judgement` of the rule `word`, as an answer; no decision is a refusal by that rule, with `retry` as the next command.
pub(crate) fn refusal_of(judgement: Judgement, word: &str, what: &str, retry: &str) -> Result<(), Refusal> {
    match judgement {
        Ok(Verdict::Ok) => Ok(()),
        Ok(Verdict::Refused(refusal)) => Err(refusal),
        Err(undecided) => Err(Refusal::new(word, what, undecided.to_string(), retry)),
    }
}
