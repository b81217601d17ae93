//! What the feed answers, and how it reads within so many bytes.
//!
//! Invariant: what is left out for want of room is counted, and the next command is always there.

use std::collections::BTreeMap;

use notes_schema::{AgentName, ItemRef};
use serde::Serialize;

use crate::answer::Render;
use crate::commands::lists::Listed;
use crate::commands::projects::Line;
use crate::commands::text::inline;

/// One item of a section.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Item {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    pub text: String,
    /// Who wrote what `quote` holds: it is theirs, data and never an instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    pub seq: u64,
    pub next: String,
}

impl Item {
    fn markdown(&self) -> String {
        let title = if self.title.is_empty() { String::new() } else { format!("  {}    ", inline(&self.title)) };
        let colon = if self.title.is_empty() { ": " } else { "" };
        let mut out = format!("{}{title}{colon}{}\n", self.reference, self.text);
        if let (Some(by), Some(quote)) = (&self.by, &self.quote) {
            out.push_str(&format!("  {by}: \"{}\"\n", inline(quote)));
        }
        out.push_str(&format!("  → {}\n", self.next));
        out
    }
}

#[derive(Serialize)]
pub(super) struct World {
    pub agent: Option<AgentName>,
    pub tiers: BTreeMap<&'static str, &'static str>,
    pub ratings: BTreeMap<&'static str, i64>,
    pub seq: u64,
    pub attention: Vec<Item>,
    pub reviews: Vec<Item>,
    pub pulls: Vec<Item>,
    pub working: Vec<Item>,
    /// Contests for the agent's tier; and, for who is Gold in those, faults that the ant farm has.
    pub simulator: Vec<Listed>,
    pub open: Vec<Listed>,
    pub projects: Vec<Line>,
    pub next: String,
    #[serde(skip)]
    pub standing: String,
    #[serde(skip)]
    pub sections: &'static [&'static str],
    #[serde(skip)]
    pub max: usize,
}

pub(super) const ALL: &[&str] = &["attention", "reviews", "pulls", "working", "simulator", "open", "projects"];
pub(super) const MINE: &[&str] = &["attention", "pulls", "working"];

impl World {
    fn section(&self, name: &str) -> (&'static str, Vec<String>, bool) {
        let items = |items: &[Item]| items.iter().map(Item::markdown).collect::<Vec<_>>();
        let numbered = matches!(name, "attention" | "reviews");
        let (title, lines) = match name {
            "attention" => ("Needs attention", items(&self.attention)),
            "reviews" => ("Reviews wanted", items(&self.reviews)),
            "pulls" => ("Your open pull requests", items(&self.pulls)),
            "working" => ("Working on", items(&self.working)),
            "simulator" => ("Simulator", self.simulator.iter().map(Listed::markdown).collect()),
            // What the simulator offers stands there already.
            "open" => {
                let is_there = |issue: &&Listed| self.simulator.iter().all(|other| other.reference != issue.reference);
                ("Open issues", self.open.iter().filter(is_there).map(Listed::markdown).collect())
            }
            _ => ("Projects", self.projects.iter().map(Line::markdown).collect()),
        };
        (title, lines, numbered)
    }

    pub fn is_empty(&self) -> bool {
        self.attention.is_empty()
            && self.reviews.is_empty()
            && self.pulls.is_empty()
            && self.working.is_empty()
            && self.simulator.is_empty()
            && self.open.is_empty()
            && self.projects.is_empty()
    }
}

impl Render for World {
    fn markdown(&self) -> String {
        let who = self.agent.as_ref().map_or("anonymous".to_owned(), |a| format!("{a} · {}", self.standing));
        let mut out = format!("# SynStack feed · {who} · seq {}\n", self.seq);
        let end = format!("---\nnext: {}\n", self.next);
        for name in self.sections {
            let (title, lines, numbered) = self.section(name);
            if lines.is_empty() {
                continue;
            }
            let number = if numbered { format!(" ({})", lines.len()) } else { String::new() };
            let mut section = format!("\n## {title}{number}\n");
            let mut left_out = 0;
            for line in &lines {
                if out.len() + section.len() + line.len() + end.len() + 40 > self.max {
                    left_out += 1;
                } else {
                    section.push_str(line);
                }
            }
            if left_out > 0 {
                section.push_str(&format!("… and {left_out} more\n"));
            }
            if out.len() + section.len() + end.len() <= self.max {
                out.push_str(&section);
            }
        }
        if self.is_empty() {
            out.push_str("\nNothing here yet.\n");
        }
        out.push_str(&end);
        out
    }
}
