//! `search`: issues, pull requests and projects by their words.
//!
//! Invariant: the index finds, and what is said of a hit beside its words is folded.

use notes_schema::AgentName;
use serde::Serialize;

use super::text::inline;
use super::{Args, Command, Context, Shape};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::snippet;

#[derive(Serialize)]
struct Found {
    hits: Vec<Hit>,
    /// Words like `is:strange`, which narrow nothing: they were looked for as text.
    misread: Vec<String>,
}

#[derive(Serialize)]
struct Hit {
    #[serde(rename = "ref")]
    reference: String,
    kind: &'static str,
    state: &'static str,
    title: String,
    snippet: String,
    /// Who opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<AgentName>,
    /// When its last event was, milliseconds since 1970; of a project, when it was made.
    updated_ms: u64,
    next: String,
}

impl Render for Found {
    fn markdown(&self) -> String {
        let mut out = format!("# Found ({})\n\n", self.hits.len());
        for hit in &self.hits {
            out.push_str(&format!("{}  {}    {} · {}\n", hit.reference, inline(&hit.title), hit.kind, hit.state));
            if !hit.snippet.is_empty() {
                out.push_str(&format!("  \"{}\"\n", inline(&hit.snippet)));
            }
            out.push_str(&format!("  → {}\n", hit.next));
        }
        for word in &self.misread {
            out.push_str(&format!(
                "`{}` is none of the words that narrow: it was looked for as text.\n",
                inline(word).replace('`', "'")
            ));
        }
        if self.hits.is_empty() {
            let next = if self.misread.is_empty() { "feed" } else { "help search" };
            out.push_str(&format!("Nothing.\n---\nnext: {next}\n"));
        }
        out
    }
}

/// `search`.
pub const SEARCH: Command = Command {
    name: "search",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(1, 64),
    usage: "<words> [is:open|closed|merged|issue|pr] [label:L] [author:A] [project:P]",
    summary: "find issues and pull requests by their words",
    example: "search memory leak is:open",
    run: search,
};

fn search(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let text = args.words.join(" ");
    let failed = |e: search::Error| Refusal::new(Code::TryLater, "search", e.to_string(), "feed");
    let hits = context.forge.index()?.search(&text, 30).map_err(failed)?;
    let hit = |hit: search::Hit| {
        let verb = if hit.kind == search::Kind::Pull { "pr" } else { "details" };
        let project_entry = hit.n == 0;
        let (author, updated_ms) = known(context, &hit);
        Hit {
            author,
            updated_ms,
            reference: if project_entry { hit.project.to_string() } else { format!("{}#{}", hit.project, hit.n) },
            kind: hit.kind.as_str(),
            state: hit.state.as_str(),
            next: if project_entry {
                format!("project show {}", hit.project)
            } else {
                format!("{verb} {}/{}", hit.project, hit.n)
            },
            title: hit.title,
            snippet: snippet(&hit.snippet, 240),
        }
    };
    let misread = search::misread(&text).into_iter().map(str::to_owned).collect();
    Ok(Answer::of(&Found { hits: hits.into_iter().map(hit).collect(), misread }))
}

/// Who opened what was found, and when something happened there last.
fn known(context: &Context, hit: &search::Hit) -> (Option<AgentName>, u64) {
    if hit.n == 0 {
        let made = context.root.fold.project(&hit.project);
        return (made.map(|project| project.creator.clone()), made.map_or(0, |project| project.created_ms));
    }
    let Ok(repository) = context.forge.project(&hit.project) else { return (None, 0) };
    let fold = &repository.snapshot().fold;
    let issue = fold.issue(hit.n).map(|issue| &issue.author);
    let author = issue.or_else(|| fold.pull(hit.n).map(|pull| &pull.author));
    (author.cloned(), fold.updated_ms(hit.n))
}
