//! `roadmap`: the issues of a project by milestone and priority, and how much of each milestone is done.
//!
//! Invariant: counted from what is folded, issue by issue; an issue stands under one milestone, or under none.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use notes_schema::event::Priority;
use notes_schema::{AgentName, ItemRef, ProjectName};
use serde::Serialize;

use super::text::{count, inline};
use super::{Args, Command, Context, Shape};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::{IssueState, IssueStatus};

/// Most issues that are listed of one milestone.
/// Limit: issues of one milestone that `roadmap` lists | {}, open ones first; all are counted
const MOST: usize = 200;
/// Most milestones.
/// Limit: milestones that `roadmap` lists | {}, the first by name; all are counted
const MOST_MILESTONES: usize = 100;

/// An issue.
#[derive(Debug, Serialize)]
struct Step {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    author: AgentName,
    labels: Vec<String>,
    working: u64,
    /// The pull request that closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_by: Option<ItemRef>,
    next: String,
}

/// A milestone, or what is in none.
#[derive(Debug, Serialize)]
struct Milestone {
    milestone: Option<String>,
    open: u64,
    closed: u64,
    /// How much of it is closed.
    permille: u64,
    /// Open ones by priority, and then closed ones, the newest first.
    issues: Vec<Step>,
}

#[derive(Serialize)]
struct Roadmap {
    project: ProjectName,
    open: u64,
    closed: u64,
    permille: u64,
    /// By name, numbers in them by their size; what is in none comes last.
    milestones: Vec<Milestone>,
    next: String,
}

impl Render for Roadmap {
    fn markdown(&self) -> String {
        let mut out = format!("# {} · roadmap · {}\n", self.project, done(self.open, self.closed));
        if self.milestones.is_empty() {
            out.push_str("\nNo issue is here yet.\n");
        }
        for milestone in &self.milestones {
            let name = milestone.milestone.as_deref().map_or("no milestone".to_owned(), inline);
            out.push_str(&format!("\n## {name} · {}\n\n", done(milestone.open, milestone.closed)));
            for step in &milestone.issues {
                let mark = if step.state == "closed" { 'x' } else { ' ' };
                let priority = step.priority.map_or(String::new(), |priority| format!("    {priority}"));
                out.push_str(&format!("- [{mark}] {}  {}{priority}\n", step.reference, inline(&step.title)));
            }
            let left = milestone.open + milestone.closed - milestone.issues.len() as u64;
            if left > 0 {
                out.push_str(&format!("- and {}\n", count(left, "more issue")));
            }
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

/// `3 of 4 done (75.0 %)`.
fn done(open: u64, closed: u64) -> String {
    let permille = permille(open, closed);
    format!("{closed} of {} done ({}.{} %)", open + closed, permille / 10, permille % 10)
}

/// How much of it is closed; of nothing, nothing.
pub(super) fn permille(open: u64, closed: u64) -> u64 {
    (closed * 1000).checked_div(open + closed).unwrap_or(0)
}

/// `roadmap`.
pub const ROADMAP: Command = Command {
    name: "roadmap",
    aliases: &["project roadmap"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1),
    usage: "[project]",
    summary: "the issues of a project by milestone and priority, and how much of each is done",
    example: "roadmap parser",
    run: roadmap,
};

fn roadmap(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project_or_current(args.word(0))?;
    let name = project.repository.name().clone();
    // What is in none sorts behind every name.
    let mut by_name: BTreeMap<Place<'_>, Vec<(u64, &IssueState)>> = BTreeMap::new();
    for (n, issue) in project.snapshot.fold.issues() {
        let milestone = issue.milestone.as_deref();
        by_name.entry((milestone.is_none(), parts(milestone.unwrap_or("")), milestone)).or_default().push((n, issue));
    }
    let mut milestones: Vec<Milestone> =
        by_name.into_iter().map(|((_, _, milestone), issues)| of(&name, milestone, issues)).collect();
    let sum = |of: fn(&Milestone) -> u64| milestones.iter().map(of).sum::<u64>();
    let (open, closed) = (sum(|one| one.open), sum(|one| one.closed));
    milestones.truncate(MOST_MILESTONES);
    let next = format!("issue edit {name}/<n> --milestone v1 --priority high");
    let first = milestones.iter().flat_map(|one| &one.issues).find(|step| step.state == "open");
    let next = first.map_or(next, |step| step.next.clone());
    Ok(Answer::of(&Roadmap { open, closed, permille: permille(open, closed), milestones, next, project: name }))
}

fn of(project: &ProjectName, milestone: Option<&str>, mut issues: Vec<(u64, &IssueState)>) -> Milestone {
    let is_closed = |issue: &IssueState| issue.status == IssueStatus::Closed;
    let closed = issues.iter().filter(|(_, issue)| is_closed(issue)).count() as u64;
    let open = issues.len() as u64 - closed;
    let newest_closed = |issue: &IssueState| Reverse(if is_closed(issue) { issue.last_q } else { 0 });
    issues.sort_by_key(|(n, issue)| (is_closed(issue), newest_closed(issue), rank(issue.priority), *n));
    let step = |(n, issue): (u64, &IssueState)| Step {
        title: issue.title.clone(),
        state: if is_closed(issue) { "closed" } else { "open" },
        priority: issue.priority,
        author: issue.author.clone(),
        labels: issue.labels.clone(),
        working: issue.working,
        fixed_by: issue.fixed_by.clone(),
        next: format!("{} {project}/{n}", if is_closed(issue) { "details" } else { "start" }),
        reference: ItemRef { project: project.clone(), n },
    };
    let issues = issues.into_iter().take(MOST).map(step).collect();
    Milestone { milestone: milestone.map(str::to_owned), open, closed, permille: permille(open, closed), issues }
}

/// What was given no priority stands among what is normal.
fn rank(priority: Option<Priority>) -> Priority {
    priority.unwrap_or(Priority::Normal)
}

/// Where a milestone stands: whether it is none, what sorts its name, and the name.
type Place<'a> = (bool, Vec<Part>, Option<&'a str>);

/// A part of a name: text, or a number, which sorts by its size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

/// `v10` behind `v2`.
fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) if digits => Part::Number(number),
            _ => Part::Text(part.to_lowercase()),
        });
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_the_numbers_in_them() {
        let mut names = ["v10", "v2", "V1.10", "v1.9", "2026-11", "alpha", "99999999999999999999999"];
        names.sort_by_key(|name| parts(name));
        assert_eq!(names, ["2026-11", "99999999999999999999999", "alpha", "v1.9", "V1.10", "v2", "v10"]);
    }

    #[test]
    fn nothing_is_none_done() {
        assert_eq!((permille(0, 0), permille(1, 2), permille(0, 3)), (0, 666, 1000));
        assert_eq!(done(1, 3), "3 of 4 done (75.0 %)");
    }
}
