//! Posting a check: `check post`, which the commit-status routes of the HTTP door call as well.
//!
//! Invariant: an agent posts a check only where it is registered for it, asked at the commit point; the same word again
//! writes nothing.

use std::collections::HashSet;

use notes_schema::event::{CheckPosted, CheckState};
use notes_schema::{AgentName, EntityId, Oid, ProjectName};
use serde::{Deserialize, Serialize};

use super::super::context::Project;
use super::super::text::inline;
use super::super::{Args, Command, Context, Shape, Stdin, code, restate};
use super::{CheckLine, lines, name_of, tree_of};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::ledger::{Author, Draft};
use crate::state::Checks;
use git::store::Over;

/// Most words of one agent about one check and one tree: pending and its end, fifty times over.
/// Limit: words of one agent about one check and one tree | {}; the same again is none
const MOST_WORDS: u64 = 100;
/// Longest description, in bytes.
/// Limit: description of a check | {:bytes}
const LONGEST_DESCRIPTION: usize = 1024;
/// Longest URL, in bytes.
/// Limit: URL of a check | {:bytes}
const LONGEST_URL: usize = 1024;

/// What is posted, as JSON on stdin.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Posting {
    name: String,
    state: CheckState,
    #[serde(default)]
    description: String,
    #[serde(default)]
    url: String,
}

#[derive(Serialize)]
struct Posted {
    project: ProjectName,
    #[serde(flatten)]
    line: CheckLine,
    /// Whether it was said before: then nothing was written.
    existing: bool,
}

impl Render for Posted {
    fn markdown(&self) -> String {
        let said = if self.existing { "said before" } else { "noted" };
        format!(
            "{} of tree {} in {}: {}, {said}.\n---\nnext: check show {} {}\n",
            inline(&self.line.name),
            self.line.tree.short(),
            self.project,
            self.line.state,
            self.project,
            self.line.commit
        )
    }
}

/// `check post`.
pub const CHECK_POST: Command = Command {
    name: "check post",
    aliases: &["check set"],
    needs: Needs::Agent,
    of: Of::Registered,
    shape: Shape { text: true, stdin: Stdin::Dash, ..Shape::words(3, 3) },
    usage: "<project> <commit | tree> <name> pending|success|failure|error [text]",
    summary: "say how a check stands on a commit's tree; `-` reads {name, state, description, url} from stdin",
    example: "check post parser 3f1c2ab0123456789012345678901234567890ab ci/test success 12 passed",
    run: check_post,
};

fn check_post(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    let posting = match (args.word(2), &context.body) {
        (Some("-"), Some(body)) => serde_json::from_str(body).map_err(|e| context.usage(e.to_string()))?,
        (Some("-"), None) => return Err(context.usage("stdin holds nothing")),
        (word, _) => {
            let words: Vec<&str> = word.into_iter().chain(args.text.as_deref()).collect();
            spelled(&words.join(" ")).ok_or_else(|| {
                context.usage("behind the name stands pending, success, failure or error, and then any text")
            })?
        }
    };
    let posting = checked(posting)?;
    let (commit, tree) = place(context, &project, args.word(1).unwrap_or(""))?;
    let (by, of) = (context.author()?, project.repository.name().clone());
    let agent = by.agent.clone();
    let fact = CheckPosted {
        name: posting.name.clone(),
        commit,
        tree,
        state: posting.state,
        description: posting.description,
        url: posting.url,
    };
    let name = of.clone();
    let (root, store) = (context.root.clone(), project.repository.store().clone());
    // The word of a registered CI counts as a re-run of the proofs on that tree.
    let pulls = restate::proven_by(&project.snapshot, &HashSet::from([tree]));
    let plan = move |draft: &mut Draft| {
        let existing = post(draft, &by, &name, fact)?;
        if !existing {
            let made = draft.made();
            restate::restate(draft, &root, &Over { made: &made, below: store.as_ref() }, &by, &pulls, &[])?;
        }
        Ok(existing)
    };
    let (existing, after) = context.commit(&project.repository, plan)?;
    context.forge.settle(&project.repository)?;
    let lines = lines(&after.fold.checks, tree, None);
    let line = lines.into_iter().find(|line| line.name == posting.name && line.by == agent);
    let line = line.ok_or_else(|| not_registered(&after.fold.checks, &of, &posting.name, &agent))?;
    Ok(Answer::of(&Posted { project: of, line, existing }))
}

/// Writes the word unless it was the last one already; answers whether it was.
fn post(draft: &mut Draft, by: &Author, project: &ProjectName, fact: CheckPosted) -> Result<bool, Refusal> {
    let checks = &draft.snapshot().fold.checks;
    let own = checks.may_post(&fact.name, &by.agent);
    if !authority::stands(CHECK_POST.of, Ties { own, ..Ties::default() }) {
        return Err(not_registered(checks, project, &fact.name, &by.agent));
    }
    if let Some(last) = checks.last(fact.tree, &fact.name, &by.agent) {
        if (last.state, &last.description, &last.url) == (fact.state, &fact.description, &fact.url) {
            return Ok(true);
        }
        if last.count >= MOST_WORDS {
            let why =
                format!("{} said {MOST_WORDS} things of this check and this tree: another tree is free", by.agent);
            let next = format!("check show {project} {}", fact.commit);
            return Err(Refusal::new(Code::Refused, format!("check {}", fact.name), why, next));
        }
    }
    draft.event(by, &EntityId::Checks(by.agent.clone()), fact, None, &[]).map(|_| false)
}

fn not_registered(checks: &Checks, project: &ProjectName, name: &str, agent: &AgentName) -> Refusal {
    let others: Vec<&str> =
        checks.registered().filter(|(known, _)| *known == name).map(|(_, other)| other.as_str()).collect();
    let who = match others.as_slice() {
        [] => format!("no check of {project} has that name; its maintainer registers one"),
        others => format!("{} may post it, and {agent} may not", others.join(", ")),
    };
    Refusal::new(Code::NotAllowed, format!("check {name}"), who, format!("check list {project}"))
}

/// `CI / test success 12 passed`: the name ends where a state begins, or with its quotes.
fn spelled(text: &str) -> Option<Posting> {
    let state = |word: &str| CheckState::ALL.into_iter().find(|state| state.as_str() == word);
    let text = text.trim();
    let quoted = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.split_once(quote));
    let (name, rest) = match quoted {
        Some((name, rest)) => (name, rest.trim_start()),
        None => {
            let starts = text.match_indices(char::is_whitespace).map(|(at, space)| at + space.len());
            let at = starts
                .into_iter()
                .find(|at| text[*at..].split_whitespace().next().is_some_and(|w| state(w).is_some()))?;
            (text[..at].trim(), text[at..].trim_start())
        }
    };
    let (word, description) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let description = description.trim().to_owned();
    Some(Posting { name: name.to_owned(), state: state(word)?, description, url: String::new() })
}

/// The same within its bounds, its description on one line.
fn checked(posting: Posting) -> Result<Posting, Refusal> {
    let refusal = |why: String| Refusal::new(Code::Refused, "check post", why, "help ci");
    let refuse = |why: String| Err(refusal(why));
    let name = name_of(&posting.name).map_err(refusal)?;
    let description: String = posting.description.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if description.len() > LONGEST_DESCRIPTION {
        return refuse(format!("its description is longer than {LONGEST_DESCRIPTION} bytes"));
    }
    if !posting.url.is_empty() && !is_url(&posting.url) {
        return refuse(format!("its URL is none of http or https with at most {LONGEST_URL} bytes and no password"));
    }
    Ok(Posting { description: description.trim().to_owned(), name, ..posting })
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let plain = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
    !host.is_empty() && !host.contains('@') && text.len() <= LONGEST_URL && text.bytes().all(plain)
}

/// The commit and the tree that are meant: a commit that a ref reaches, or the tree of an open pull request or of the
/// default branch.
fn place(context: &Context, project: &Project, word: &str) -> Result<(Oid, Oid), Refusal> {
    let refused = match code::commit(context, project, word) {
        Ok(commit) => return Ok((commit, tree_of(project, commit)?)),
        Err(refusal) => refusal,
    };
    let Ok(wanted) = word.parse::<Oid>() else { return Err(refused) };
    let fold = &project.snapshot.fold;
    let open = fold.open_pulls.values().filter_map(|n| Some(fold.pull(*n)?.head));
    for commit in open.chain(project.snapshot.default_tip()) {
        if tree_of(project, commit)? == wanted {
            return Ok((commit, wanted));
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_where_a_state_begins() {
        let read = |text: &str| spelled(text).map(|p| (p.name, p.state, p.description));
        let of = |name: &str, state, text: &str| Some((name.to_owned(), state, text.to_owned()));
        assert_eq!(read("ci success"), of("ci", CheckState::Success, ""));
        assert_eq!(
            read("CI / test (push) failure  3 failed "),
            of("CI / test (push)", CheckState::Failure, "3 failed")
        );
        assert_eq!(read("'no error' error it broke"), of("no error", CheckState::Error, "it broke"));
        assert_eq!(read("success pending success"), of("success", CheckState::Pending, "success"));
        for bad in ["", "ci", "success", "ci passed", "'ci' passed", "ci Success"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_url_is_one_that_a_reader_may_follow() {
        assert!(["https://ci.example.org/7?a=b#c", "http://127.0.0.1:8000"].into_iter().all(is_url));
        let long = format!("https://x/{}", "y".repeat(LONGEST_URL));
        for bad in
            ["javascript:alert(1)", "//x", "https://", "https:///x", "ftp://x", "http://a b", "http://u:p@x", &long]
        {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
