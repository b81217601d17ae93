//! Lists of issues and pull requests, from the index.

use std::sync::Arc;

use notes_schema::event::{Difficulty, Level};
use notes_schema::refs::show_time;
use notes_schema::{ItemRef, ProjectName};
use search::{Cursor, Filter, Kind, State};
use serde::Serialize;

use super::context::Project;
use super::text::{count, inline};
use super::{Args, Context, Takes, quoted};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::state::Stage;
use crate::state::elo::Tier;

/// One issue or pull request in a list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Listed {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub kind: &'static str,
    pub title: String,
    pub state: &'static str,
    pub author: String,
    pub labels: Vec<String>,
    pub working: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// What it is as a contest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contest: Option<ContestLine>,
    pub seq: u64,
    pub next: String,
}

/// A contest in a list of issues.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ContestLine {
    pub difficulty: Difficulty,
    pub stage: Stage,
    /// The tier from which on it may be started.
    pub tier: Tier,
    pub closes_ms: Option<u64>,
}

impl Listed {
    /// `parser#12  Fix memory leak    rust · 3 agents working`, and the next command.
    pub(super) fn markdown(&self) -> String {
        let mut facts: Vec<String> = self.lang.iter().cloned().collect();
        if let Some(contest) = &self.contest {
            facts.push(contest.difficulty.to_string());
        }
        facts.extend(self.labels.iter().map(|l| inline(l)));
        if self.working > 0 {
            facts.push(format!("{} working", count(self.working, "agent")));
        }
        if let Some(at) = self.contest.as_ref().filter(|c| c.stage == Stage::Open).and_then(|c| c.closes_ms) {
            facts.push(format!("closes {}", show_time(at)));
        }
        if self.state != "open" {
            facts.push(self.state.to_owned());
        }
        facts.push(format!("by {}", self.author));
        format!("{}  {}    {}\n  → {}\n", self.reference, inline(&self.title), facts.join(" · "), self.next)
    }
}

/// Items of a project from the index, newest first.
pub(super) fn list(
    context: &Context,
    project: &ProjectName,
    kind: Kind,
    state: Option<State>,
    labels: &[String],
    limit: usize,
) -> Result<Vec<Listed>, Refusal> {
    let filter = Filter {
        project: Some(project.clone()),
        kind: Some(kind),
        state,
        labels: labels.to_vec(),
        ..Filter::default()
    };
    listed(context, &filter, limit)
}

/// Items that a filter finds, newest first.
pub(super) fn listed(context: &Context, filter: &Filter, limit: usize) -> Result<Vec<Listed>, Refusal> {
    Ok(found(context, filter, limit, None)?.iter().map(|item| line(context, item)).collect())
}

fn found(
    context: &Context,
    filter: &Filter,
    limit: usize,
    after: Option<Cursor>,
) -> Result<Vec<Arc<search::Item>>, Refusal> {
    let failed = |e: search::Error| Refusal::new(Code::TryLater, "index", e.to_string(), "feed");
    context.forge.index()?.list(filter, limit, after).map_err(failed)
}

fn line(context: &Context, item: &search::Item) -> Listed {
    let reference = ItemRef { project: item.project.clone(), n: item.n };
    let issue = context.forge.project(&item.project).ok().and_then(|r| r.snapshot().fold.issue(item.n).cloned());
    let contest = issue.as_ref().and_then(|issue| issue.contest.as_ref()).map(|contest| ContestLine {
        difficulty: contest.difficulty,
        stage: contest.stage,
        tier: super::contest::tier_of(&context.root, &reference, contest),
        closes_ms: contest.closes_ms,
    });
    let verb = match (item.kind, item.state) {
        (Kind::Issue, State::Open) => "start",
        (Kind::Pull, _) => "pr",
        (Kind::Issue | Kind::Project, _) => "details",
    };
    Listed {
        kind: item.kind.as_str(),
        title: item.title.clone(),
        state: item.state.as_str(),
        author: item.author.clone(),
        labels: item.labels.clone(),
        working: issue.as_ref().map_or(0, |issue| issue.working),
        lang: issue.and_then(|issue| issue.lang),
        contest,
        seq: item.seq,
        next: format!("{verb} {}/{}", item.project, item.n),
        reference,
    }
}

/// How many items a list holds, unless it goes on.
/// Limit: items of one `issue list` or `pr list` | {}, then `--after`
const LISTED: usize = 100;

/// Flags of a list.
pub(super) const FLAGS: [(&str, Takes); 5] = [
    ("state", Takes::Word),
    ("label", Takes::Word),
    ("author", Takes::Word),
    ("text", Takes::Words),
    ("after", Takes::Word),
];

/// An item as the list of its project shows it.
#[derive(Debug, Clone, Serialize)]
struct Row {
    #[serde(flatten)]
    listed: Listed,
    /// When it was opened, milliseconds since 1970.
    opened_ms: u64,
    /// When its last event was.
    updated_ms: u64,
    comments: u64,
    /// Of a pull request: its newest round.
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u64>,
    /// Of a pull request: the proof of that round.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Level>,
    /// Of a pull request: the issue that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<ItemRef>,
}

impl Row {
    fn of(project: &Project, listed: Listed) -> Row {
        let (fold, n) = (&project.snapshot.fold, listed.reference.n);
        let (issue, pull) = (fold.issue(n), fold.pull(n));
        let answered = pull.and_then(|pull| pull.issue);
        Row {
            opened_ms: issue.map(|issue| issue.opened_ms).or(pull.map(|pull| pull.opened_ms)).unwrap_or(0),
            updated_ms: fold.updated_ms(n),
            comments: issue.map(|issue| issue.comments).or(pull.map(|pull| pull.comments)).unwrap_or(0),
            round: pull.map(|pull| pull.round),
            proof: pull.map(|pull| pull.proof.level),
            issue: answered.map(|n| ItemRef { project: listed.reference.project.clone(), n }),
            listed,
        }
    }
}

#[derive(Serialize)]
struct Page {
    project: ProjectName,
    state: String,
    items: Vec<Row>,
    /// Where the list goes on; none at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    next: Option<String>,
}

impl Render for Page {
    fn markdown(&self) -> String {
        let mut out = format!("# {} · {} ({})\n\n", self.project, self.title, self.state);
        for item in &self.items {
            out.push_str(&item.listed.markdown());
        }
        if self.items.is_empty() {
            out.push_str("None.\n");
        }
        if let Some(next) = &self.next {
            out.push_str(&format!("---\nnext: {next}\n"));
        }
        out
    }
}

/// The issues or pull requests of a project that the flags ask for, the newest first; `empty` begins one where there is none.
pub(super) fn page(
    context: &Context,
    args: &Args,
    kind: Kind,
    empty: fn(&ProjectName) -> String,
) -> Result<Answer, Refusal> {
    let project = context.project_or_current(args.word(0))?;
    let name = project.repository.name().clone();
    let (state, word) = state_of(context, args)?;
    let filter = Filter {
        project: Some(name.clone()),
        kind: Some(kind),
        state,
        labels: args.values("label"),
        author: args.value("author").map(str::to_owned),
        text: args.value("text").unwrap_or("").to_owned(),
        ..Filter::default()
    };
    let after = args.value("after").map(str::parse::<Cursor>).transpose();
    let after = after.map_err(|e| context.usage(e.to_string()))?;
    // One more than is shown says whether there are more.
    let mut found = found(context, &filter, LISTED + 1, after)?;
    let more = found.len() > LISTED;
    found.truncate(LISTED);
    let after = found.last().filter(|_| more).map(|last| last.cursor(filter.sort).to_string());
    let items: Vec<Row> = found.iter().map(|item| Row::of(&project, line(context, item))).collect();
    let (command, title) = match kind {
        Kind::Pull => ("pr list", "pull requests"),
        Kind::Issue | Kind::Project => ("issue list", "issues"),
    };
    let next = match &after {
        Some(after) => Some(again(command, &name, args, after)),
        None => items.is_empty().then(|| empty(&name)),
    };
    Ok(Answer::of(&Page { project: name, state: word, items, after, title, next }))
}

/// The same list from where it ended.
fn again(command: &str, project: &ProjectName, args: &Args, after: &str) -> String {
    let mut line = format!("{command} {project}");
    for (flag, _) in FLAGS.iter().filter(|(flag, _)| *flag != "after") {
        if let Some(value) = args.value(flag) {
            let values = if *flag == "label" { args.values(flag).join(",") } else { value.to_owned() };
            let is_word = !values.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '"'));
            line.push_str(&format!(" --{flag} {}", if is_word { values } else { quoted(&values) }));
        }
    }
    format!("{line} --after {after}")
}

/// `open`, `closed`, `merged`, `all`.
fn state_of(context: &Context, args: &Args) -> Result<(Option<State>, String), Refusal> {
    let word = args.value("state").unwrap_or("open");
    let state = match word {
        "open" => Some(State::Open),
        "closed" => Some(State::Closed),
        "merged" => Some(State::Merged),
        "all" => None,
        _ => return Err(context.usage("--state is open, closed, merged or all")),
    };
    Ok((state, word.to_owned()))
}
