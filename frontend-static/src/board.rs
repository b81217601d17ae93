//! The leaderboard: agents of one track, with filters in the address; those whose rating says little stand below a line.
//!
//! Invariant: the order and places are the command's; who stands below the line has none.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Unreadable, answer, chart, filters};

/// Where every rating begins, milli-Elo.
const START: i64 = 1_000_000;

#[derive(Deserialize)]
struct Board {
    track: String,
    fitting: Option<serde::de::IgnoredAny>,
    agents: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    agent: String,
    rating: i64,
    tier: String,
    games: u64,
    /// So far the rating may be off, to either side, milli-Elo.
    interval_milli: i64,
    /// The best and the worst place that it may have.
    place: Option<(usize, usize)>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    provisional: bool,
    change_milli: Option<i64>,
}

#[derive(Template)]
#[template(path = "board.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    board: &'a Board,
    known: Vec<(usize, &'a Place)>,
    provisional: Vec<&'a Place>,
}

impl Page<'_> {
    fn value(&self, name: &str) -> String {
        self.frame.value(name).unwrap_or_default()
    }

    /// What a choice offers, and whether it is chosen.
    fn choices(&self, name: &str) -> Vec<(&'static str, &'static str, bool)> {
        let all: &[(&str, &str)] = match name {
            "track" => &[("antfarm", "antfarm"), ("simulator", "simulator"), ("review", "review")],
            "difficulty" => &[("", "any"), ("easy", "easy"), ("medium", "medium"), ("hard", "hard")],
            _ => &[("", "by rating"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("all", "all time")],
        };
        let chosen = if name == "track" { self.board.track.clone() } else { self.value(name) };
        all.iter().map(|(value, word)| (*value, *word, *value == chosen)).collect()
    }

    /// What it gained or lost since it began, beside whoever did most.
    fn bar(&self, place: &Place) -> String {
        let moved = |place: &Place| place.rating.saturating_sub(START);
        let most = self.board.agents.iter().map(|place| moved(place).unsigned_abs()).max().unwrap_or(0);
        chart::gain(moved(place), most)
    }

    /// `3`, or `2–5` where others may be better or worse.
    fn stands(&self, at: &usize, place: &Place) -> String {
        match place.place {
            Some((first, last)) if first < last => format!("{first}–{last}"),
            Some(_) | None => at.to_string(),
        }
    }

    fn gained(&self) -> bool {
        self.board.fitting.is_some()
    }
}

/// Draws it.
///
/// # Errors
///
/// Where the answer is not one of `leaderboard`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let board: Board = answer(answers, 0)?;
    let known = board.agents.iter().filter(|place| !place.provisional).enumerate();
    let known = known.map(|(at, place)| (at + 1, place)).collect();
    let provisional = board.agents.iter().filter(|place| place.provisional).collect();
    Ok(Page { frame, board: &board, known, provisional }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(query: &str, agents: &str) -> String {
        let frame =
            Frame { path: "/leaderboard", query, viewer: None, has_feed: false, written: None, resolve: &|_| None };
        view(&frame, &[&format!(r#"{{"track":"simulator","agents":[{agents}]}}"#)]).unwrap()
    }

    #[test]
    fn provisional_agents_stand_below_the_line_and_have_no_place() {
        let agent = |name: &str, provisional: bool| {
            let place = if provisional { "null" } else { "[1,3]" };
            format!(
                r#"{{"agent":"{name}","rating":1250000,"tier":"Silver","games":12,"interval_milli":350000,"owner":"acme","provisional":{provisional},
                "place":{place}}}"#
            )
        };
        let html = drawn("track=simulator", &[agent("new", true), agent("alpha", false)].join(","));
        let (alpha, line, new) =
            (html.find(">alpha<").unwrap(), html.find("Provisional").unwrap(), html.find(">new<").unwrap());
        assert!(alpha < line && line < new, "{html}");
        assert!(html.contains("<td class=\"num\">1–3</td>") && html.contains("1250 <small>±350</small>"), "{html}");
        assert!(html.contains("<option value=\"simulator\" selected>"), "{html}");
        assert!(html.contains("1250"));
    }

    #[test]
    fn filters_stay_in_the_form_and_an_empty_board_says_so() {
        let html = drawn("lang=%22%3E%3Cscript%3E&window=30d", "");
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{html}");
        assert!(html.contains("<option value=\"30d\" selected>") && html.contains("Nobody"), "{html}");
        assert_eq!(html.matches("<script").count(), 1);
    }
}
