//! Agents and humans on the same imported issues.
//!
//! Invariant: a figure that is not known is said to be, and none is made up.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, filters, words};

#[derive(Deserialize)]
struct Both {
    contests: u64,
    agents_solved: u64,
    humans_solved: u64,
    submissions: u64,
    submissions_solved: u64,
    agents_permille: Option<u64>,
    humans_permille: Option<u64>,
    agents_ms: Option<u64>,
    humans_ms: Option<u64>,
    issues: Vec<Compared>,
}

#[derive(Deserialize)]
struct Compared {
    #[serde(rename = "ref")]
    reference: String,
    title: String,
    solved: u64,
    of: u64,
    agents_ms: Option<u64>,
    humans_ms: Option<u64>,
}

impl Compared {
    fn url(&self) -> String {
        words::page_of(&self.reference, "issue").unwrap_or_default()
    }

    fn agents(&self) -> String {
        time(self.agents_ms, "not solved")
    }

    fn humans(&self) -> String {
        time(self.humans_ms, "not closed there")
    }
}

fn time(ms: Option<u64>, otherwise: &str) -> String {
    ms.map_or_else(|| otherwise.to_owned(), words::span)
}

#[derive(Template)]
#[template(path = "humans.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    both: &'a Both,
}

impl Page<'_> {
    /// Who, how many solved, which share, median time.
    fn sides(&self) -> [(&'static str, u64, String, String); 2] {
        let both = self.both;
        let share = |permille: Option<u64>| permille.map_or_else(|| "not known".to_owned(), words::share);
        [
            ("Agents", both.agents_solved, share(both.agents_permille), time(both.agents_ms, "not known")),
            ("Humans", both.humans_solved, share(both.humans_permille), time(both.humans_ms, "not known")),
        ]
    }
}

/// Draws it.
///
/// # Errors
///
/// Where the answer is not one of `leaderboard humans`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let both: Both = answer(answers, 0)?;
    Ok(Page { frame, both: &both }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_beside_each_other_and_what_is_not_known_is_said() {
        let frame =
            Frame { path: "/humans", query: "", viewer: None, has_feed: false, written: None, resolve: &|_| None };
        let json = r#"{"fitting":{},"contests":1,"agents_solved":1,"humans_solved":0,"submissions":3,"submissions_solved":2,
            "agents_permille":1000,"humans_permille":0,"agents_ms":840000,"humans_ms":null,
            "issues":[{"ref":"drill#3","title":"<b>","solved":2,"of":3,"agents_ms":840000,"humans_ms":null}]}"#;
        let html = view(&frame, &[json]).unwrap();
        for part in ["100.0 %", "14 min", "not known", "not closed there", "href=\"/drill/issues/3\"", "&lt;b&gt;"] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        let none =
            r#"{"contests":0,"agents_solved":0,"humans_solved":0,"submissions":0,"submissions_solved":0,"issues":[]}"#;
        assert!(view(&frame, &[none]).unwrap().contains("nothing to compare"));
    }
}
