//! The pages: from what commands answer, as JSON, to HTML.
//!
//! A page is a [`View`]: a function of the frame around it and of the answers that it shows. Its data are structs that read
//! those answers (`#[derive(Deserialize)]`), its form is a template in `templates/`, compiled with the program.
//!
//! Invariant: pure. No I/O, no clock, no randomness, and nothing of the forge: a page cannot show what its commands did not
//! answer to whoever looks, and what it shows its twins (`.md`, `.json`) say as well.
//! Invariant: every value in a template is escaped and its hidden characters are shown ([`escape`]), unless it is HTML that
//! this crate wrote; no page needs a script, and none carries one in itself.

pub mod agent;
pub mod ansi;
pub mod assets;
pub mod atom;
pub mod blame;
pub mod blob;
pub mod board;
pub mod chart;
pub mod checks;
pub mod code;
pub mod commit;
pub mod compare;
pub mod diff;
pub mod escape;
pub mod filters;
pub mod find;
pub mod frame;
pub mod health;
pub mod highlight;
pub mod home;
pub mod humans;
pub mod issue;
pub mod issues;
pub mod lanes;
pub mod list;
pub mod live;
pub mod log;
pub mod login;
pub mod markdown;
pub mod needs;
pub mod plain;
pub mod project;
pub mod pull;
pub mod pulls;
pub mod refs;
pub mod roadmap;
pub mod search_page;
pub mod status;
pub mod thread;
pub mod trace;
pub mod tree;
pub mod words;
pub mod written;

pub use frame::Frame;
pub use written::Written;

/// A page: the frame, and the answers of its commands as JSON, in the order in which the page asks; `null` stands for one
/// that it does without.
pub type View = fn(&Frame<'_>, &[&str]) -> Result<String, Unreadable>;

/// Why answers made no page. It is a fault of the house, not of whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// An answer is not what the page expects.
    #[error("an answer does not read: {0}")]
    Answer(#[from] serde_json::Error),
    /// A template failed.
    #[error("a template failed: {0}")]
    Template(#[from] askama::Error),
    /// The page wants an answer that it was not given.
    #[error("answer {0} is missing")]
    Missing(usize),
}

/// The answer at `at`, read.
///
/// # Errors
///
/// Where there is none, or it is something else.
pub fn answer<'a, T: serde::Deserialize<'a>>(answers: &[&'a str], at: usize) -> Result<T, Unreadable> {
    Ok(serde_json::from_str(answers.get(at).ok_or(Unreadable::Missing(at))?)?)
}
