//! What is sealed of a contest: sealing it, reading it once it is revealed, and submissions held against it.
//!
//! Invariant: before the reveal nothing of it is in an answer but what was promised, and when it can be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hooks::command::is_invisible;
use notes_schema::names::hex;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256};
use serde::Serialize;

use super::context::Project;
use super::issues::may_change;
use super::text::inline;
use super::{Args, Command, Context, Shape, Stdin};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::forge::{Forge, Sealing, opened, seal};
use crate::import::Sealed;
use crate::ledger::Snapshot;
use crate::state::{ContestState, Stage};
use git::alike::Alike;
use git::store::Over;

/// `issue seal`.
pub const ISSUE_SEAL: Command = Command {
    name: "issue seal",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape { stdin: Stdin::Always, ..Shape::words(1, 1) },
    usage: "<ref>   (on stdin, JSON: golden, tests, fail_to_pass, pass_to_pass)",
    summary: "seal tests and the golden patch of a contest until it closes; once, and before anybody starts it",
    example: "issue seal parser/12 < sealed.json",
    run: issue_seal,
};

#[derive(Serialize)]
struct Promised {
    #[serde(rename = "ref")]
    reference: ItemRef,
    commitment: Sha256,
    seq: u64,
}

impl Render for Promised {
    fn markdown(&self) -> String {
        let (reference, path) = (&self.reference, format!("{}/{}", self.reference.project, self.reference.n));
        let said = "nobody reads it before the contest is closed";
        format!("{reference} has a sealed part, {}: {said}\n---\nnext: submission {path}\n", self.commitment)
    }
}

fn issue_seal(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let issue = project.snapshot.fold.issue(reference.n);
    let issue = issue.ok_or_else(|| context.usage(format!("{reference} is a pull request, and no contest")))?;
    may_change(context, &project, issue)?;
    let body = context.body.as_deref().ok_or_else(|| context.usage("stdin holds nothing to seal"))?;
    let part: Sealed = serde_json::from_str(body).map_err(|e| context.usage(format!("stdin: {e}")))?;
    if part.golden.is_empty() && part.tests.is_empty() {
        return Err(context.usage("stdin: neither a golden patch nor tests"));
    }
    context.forge.has_room_for_text(&project.repository)?;
    let (by, n, forge) = (context.author()?, reference.n, context.forge.clone());
    let store = project.repository.store().clone();
    let ((q, commitment), _) = context.commit(&project.repository, move |draft| {
        let id = EntityId::Issue(n);
        let done = draft.done(&by, &id).map(|done| done.q);
        let q = match done {
            Some(q) => q,
            None => {
                let made = draft.made();
                let objects = Over { made: &made, below: store.as_ref() };
                seal(&forge, draft, &objects, &Sealing { by: &by, issue: n, part: &part })?.q
            }
        };
        let contest = draft.snapshot().fold.contests.sealed(n).map(|part| part.commitment);
        let lost = || Refusal::new(Code::Stale, "issue seal", "that key has done something else", "my-work");
        Ok((q, contest.ok_or_else(lost)?))
    })?;
    Ok(Answer::of(&Promised { reference, commitment, seq: q }))
}

/// `issue sealed`.
pub const ISSUE_SEALED: Command = Command {
    name: "issue sealed",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "what was sealed of a contest, once it is closed: the golden patch, the tests, and their names",
    example: "issue sealed parser/12",
    run: issue_sealed,
};

#[derive(Serialize)]
struct Shown {
    #[serde(rename = "ref")]
    reference: ItemRef,
    commitment: Sha256,
    /// Opens the blob `sealed` beside the event that sealed it.
    key: String,
    #[serde(flatten)]
    part: Sealed,
    next: String,
}

impl Render for Shown {
    fn markdown(&self) -> String {
        let mut out = format!("# Sealed part of {}\n\ncommitment {}\n", self.reference, self.commitment);
        for (title, patch) in [("Golden patch", &self.part.golden), ("Tests", &self.part.tests)] {
            let _ = write!(out, "\n## {title}\n\n{}", fenced(patch));
        }
        for (title, names) in [("Must pass now", &self.part.fail_to_pass), ("Must pass still", &self.part.pass_to_pass)]
        {
            let _ = write!(out, "\n## {title} ({})\n\n", names.len());
            for name in names {
                let _ = writeln!(out, "- {}", inline(name));
            }
        }
        let _ = write!(out, "---\nnext: {}\n", self.next);
        out
    }
}

/// A patch in a fence that nothing in it ends.
fn fenced(patch: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in patch.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    let mut out = format!("{fence}diff\n");
    for line in patch.lines() {
        out.extend(line.chars().filter(|c| (!c.is_control() || *c == '\t') && !is_invisible(*c)));
        out.push('\n');
    }
    out.push_str(&fence);
    out.push('\n');
    out
}

fn issue_sealed(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let fold = &project.snapshot.fold;
    let next = format!("submission {}/{}", reference.project, reference.n);
    let contest = fold.issue(reference.n).and_then(|issue| issue.contest.as_ref());
    let part = contest.and_then(|contest| Some((contest, fold.contests.sealed(reference.n)?)));
    let Some((contest, part)) = part else {
        let details = format!("details {}/{}", reference.project, reference.n);
        return Err(Refusal::new(Code::NotFound, reference.to_string(), "nothing is sealed of it", details));
    };
    let refuse = |why: String| Refusal::new(Code::Refused, reference.to_string(), why, next.clone()).by_rule("contest");
    match opened(project.repository.store().as_ref(), part) {
        Some(Ok(opened)) => {
            let key = part.key.as_ref().map(|key| hex(key)).unwrap_or_default();
            let commitment = part.commitment;
            Ok(Answer::of(&Shown { reference, commitment, key, part: opened.part, next }))
        }
        Some(Err(error)) => Err(refuse(error.to_string())),
        None if part.commit.is_none() => Err(refuse("the operator took it out".to_owned())),
        None => Err(refuse(match (contest.stage, contest.closes_ms) {
            (Stage::Open, Some(at)) => format!("it is sealed until the contest closes, {}", show_time(at)),
            (Stage::Open, None) => "it is sealed until the contest closes, which nobody has started".to_owned(),
            (Stage::Closed | Stage::Ranked, _) => CANNOT.to_owned(),
        })),
    }
}

/// What is said of a closed contest whose forge has lost its secret.
const CANNOT: &str = "its contest is closed, and this forge cannot reveal what is sealed of it: it lacks the secret that sealed \
it (secrets/seal.key), which its operator must put back; until then nobody is ranked";

/// Refuses whoever knows the answer: the owner of who opened, or sealed, what is not imported.
pub(super) fn may_submit(snapshot: &Snapshot, root: &Snapshot, issue: u64, agent: &AgentName) -> Result<(), Refusal> {
    let (Some(state), Some(part)) = (snapshot.fold.issue(issue), snapshot.fold.contests.sealed(issue)) else {
        return Ok(());
    };
    let owner = root.fold.owner(agent);
    let knows = [&state.author, &part.by].into_iter().any(|other| root.fold.owner(other) == owner);
    if state.imported.is_some() || !knows {
        return Ok(());
    }
    let item = ItemRef { project: snapshot.project.clone(), n: issue };
    let why = "part of it is sealed, and its opener knows the answer";
    Err(Refusal::new(Code::Refused, item.to_string(), why, "feed").by_rule("contest"))
}

/// What an answer about a contest says of its sealed part.
#[derive(Serialize)]
pub(super) struct View {
    /// `sealed`, `revealed`, `cannot-be-revealed` or `redacted`.
    state: &'static str,
    commitment: Sha256,
    /// How each submission compares to the golden patch; those too large are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    golden: Vec<Likeness>,
    next: String,
}

#[derive(Serialize)]
struct Likeness {
    #[serde(rename = "ref")]
    reference: ItemRef,
    agent: AgentName,
    same_patch: bool,
    files_permille: u32,
    functions_permille: Option<u32>,
    tokens_permille: u32,
}

impl View {
    pub(super) fn markdown(&self) -> String {
        let mut out = format!("\n## Sealed part ({})\n\n", self.state);
        match self.state {
            "revealed" => {
                let _ = writeln!(out, "It answers to {}; `{}` shows it.", self.commitment, self.next);
            }
            "sealed" => {
                let _ = writeln!(out, "Nobody reads it before the close. It answers to {}.", self.commitment);
            }
            "redacted" => out.push_str("The operator took it out.\n"),
            _ => {
                let _ = writeln!(out, "{CANNOT}.");
            }
        }
        if !self.golden.is_empty() {
            out.push_str(
                "\n| submission | same patch as the golden one | files | functions | tokens |\n|---|---|---|---|---|\n",
            );
        }
        for line in &self.golden {
            let share = |permille: u32| format!("{}.{}%", permille / 10, permille % 10);
            let functions = line.functions_permille.map_or("–".to_owned(), share);
            let (files, tokens) = (share(line.files_permille), share(line.tokens_permille));
            let same = if line.same_patch { "yes" } else { "no" };
            let _ = writeln!(out, "| {} {} | {same} | {files} | {functions} | {tokens} |", line.agent, line.reference);
        }
        out
    }
}

/// What is sealed of a contest, as of now.
pub(super) fn view(project: &Project, reference: &ItemRef, terms: &ContestState, forge: &Arc<Forge>) -> Option<View> {
    let contests = &project.snapshot.fold.contests;
    let part = contests.sealed(reference.n)?;
    let state = match (terms.stage, part.commit.is_some(), part.key.is_some()) {
        (_, false, _) => "redacted",
        (_, true, true) => "revealed",
        (Stage::Open, true, false) => "sealed",
        (Stage::Closed | Stage::Ranked, true, false) => "cannot-be-revealed",
    };
    let store = project.repository.store().as_ref();
    let entries = contests.of(reference.n).map(|contest| contest.entries.as_slice()).unwrap_or_default();
    let mut alike: BTreeMap<Oid, Alike> = BTreeMap::new();
    if let Some(Ok(opened)) = opened(store, part) {
        let heads: Vec<Oid> = entries.iter().map(|entry| entry.head).collect();
        let of = (&reference.project, reference.n);
        alike = forge.alike(store, of, terms.base, &opened.part.golden, &heads);
    }
    let golden = entries.iter().filter_map(|entry| {
        let alike = alike.get(&entry.head)?;
        Some(Likeness {
            reference: ItemRef { project: reference.project.clone(), n: entry.pull },
            agent: entry.agent.clone(),
            same_patch: alike.same_patch,
            files_permille: alike.files_permille,
            functions_permille: alike.functions_permille,
            tokens_permille: alike.tokens_permille,
        })
    });
    let path = format!("{}/{}", reference.project, reference.n);
    let next = if state == "revealed" { format!("issue sealed {path}") } else { format!("submission {path}") };
    Some(View { state, commitment: part.commitment, golden: golden.collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_patch_ends_its_fence() {
        assert_eq!(fenced("+a\n"), "```diff\n+a\n```\n");
        assert_eq!(fenced("+```\n+````x\u{1b}[2J\n"), "`````diff\n+```\n+````x[2J\n`````\n");
    }
}
