//! Importing: issues of elsewhere, as the items that `forge import` makes of them, become issues here.
//!
//! Invariant: all items of a call are written together or none is. An item whose key the project knows adds nothing, and of
//! a fix nothing is written while its issue is open.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use notes_schema::event::{Commented, ContestOpened, Difficulty, IssueClosed, IssueImported, IssueOpened};
use notes_schema::refs::show_time;
use notes_schema::{EntityId, ItemRef, ProjectName};
use serde::Serialize;

use super::text::{count, inline};
use super::{Args, Command, Context, Shape, Stdin, Takes, contest};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::forge::{Forge, Sealing, seal};
use crate::import::{Comment, Contest, Fault, Fix, Item};
use crate::ledger::{Author, Draft};
use git::history;
use git::store::{Over, Store};

/// Most items of one call: each is a chain of its own.
/// Limit: items of one `import` | {}
pub const MOST_ITEMS: usize = 100;
/// References that an answer shows as text; all of them stand in its JSON.
const SHOWN: usize = 10;

/// `import`.
pub const IMPORT: Command = Command {
    name: "import",
    aliases: &["issue import"],
    needs: Needs::Agent,
    of: Of::Maintainer,
    shape: {
        let flags = &[("with-contests", Takes::Nothing), ("close", Takes::Nothing)];
        Shape { stdin: Stdin::Always, ..Shape::words(1, 1).flags(flags) }
    },
    usage: "<project> [--close] [--with-contests]   (items on stdin, one JSON object a line)",
    summary: "make issues of what `forge import` read elsewhere; what was imported before adds nothing",
    example: "import parser < items.jsonl",
    run: import,
};

#[derive(Serialize)]
struct Imported {
    project: ProjectName,
    added: usize,
    existing: usize,
    /// Of each item, in order.
    refs: Vec<ItemRef>,
    /// Items whose contest was left out.
    contests_left_out: usize,
}

impl Render for Imported {
    fn markdown(&self) -> String {
        let (issues, project) = (count(self.added as u64, "issue"), &self.project);
        let mut out = format!("{issues} imported into {project}; {} there before.\n", self.existing);
        for reference in self.refs.iter().take(SHOWN) {
            let _ = writeln!(out, "- {reference}");
        }
        if self.refs.len() > SHOWN {
            let _ = writeln!(out, "- and {} more", self.refs.len() - SHOWN);
        }
        if self.contests_left_out > 0 {
            let _ = writeln!(out, "Contests left out: {} (see `help import`).", self.contests_left_out);
        }
        let _ = write!(out, "---\nnext: issue list {project}\n");
        out
    }
}

/// What the flags ask for, and where.
struct Wanted {
    contests: bool,
    close: bool,
    forge: Arc<Forge>,
    store: Arc<Store>,
}

fn import(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    let name = project.repository.name().clone();
    if name.is_forge() {
        return Err(context.usage("the forge's own repository has no issues"));
    }
    if !context.stands(&name, false) {
        let why = "only the project's maintainer imports into it";
        return Err(Refusal::new(Code::NotAllowed, "import", why, format!("project show {name}")));
    }
    let items = items(context)?;
    context.forge.has_room_for_text(&project.repository)?;
    let wanted = Wanted {
        contests: args.has("with-contests"),
        close: args.has("close"),
        forge: context.forge.clone(),
        store: project.repository.store().clone(),
    };
    // What makes a repetition do nothing is each item's key.
    let by = Author { intent: None, ..context.author()? };
    let contests_left_out = items.iter().filter(|item| item.contest.is_some() && !wanted.contests).count();
    let (numbers, _) = context.commit(&project.repository, move |draft| {
        let mut numbers = Vec::new();
        for item in &items {
            numbers.push(match draft.snapshot().fold.imported.get(&item.key) {
                Some(n) => (*n, false),
                None => (add(draft, &by, item, &wanted)?, true),
            });
        }
        Ok(numbers)
    })?;
    let added = numbers.iter().filter(|(_, is_new)| *is_new).count();
    let existing = numbers.len() - added;
    let refs = numbers.iter().map(|(n, _)| ItemRef { project: name.clone(), n: *n }).collect();
    Ok(Answer::of(&Imported { project: name, added, existing, refs, contests_left_out }))
}

/// The lines of the body. One that is malformed refuses them all.
fn items(context: &Context) -> Result<Vec<Item>, Refusal> {
    let body = context.body.as_deref().ok_or_else(|| context.usage("stdin holds no items"))?;
    let lines = body.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut items: Vec<Item> = Vec::new();
    let mut keys = BTreeSet::new();
    for (at, line) in lines {
        let refuse = |fault: Fault| context.usage(format!("line {}: {fault}; nothing was imported", at + 1));
        if items.len() == MOST_ITEMS {
            return Err(refuse(Fault::new("row", format!("one call takes {MOST_ITEMS} items"))));
        }
        let item = Item::parse(line).map_err(refuse)?;
        if !keys.insert(item.key.clone()) {
            return Err(refuse(Fault::new("key", "a line above has it too")));
        }
        items.push(item);
    }
    Ok(items)
}

/// One item, as the events of a new issue.
fn add(draft: &mut Draft, by: &Author, item: &Item, wanted: &Wanted) -> Result<u64, Refusal> {
    let n = draft.number();
    let id = EntityId::Issue(n);
    let contest = item.contest.as_ref().filter(|_| wanted.contests);
    let lang = contest.and_then(|contest| contest::as_lang(contest.lang.as_deref()?));
    let opened = IssueOpened { title: item.title.trim().to_owned(), labels: item.labels.clone(), lang, dedupe: None };
    draft.event(by, &id, opened, Some(&item.body), &[])?;
    let source = &item.source;
    let imported = IssueImported {
        key: item.key.clone(),
        url: source.url.clone(),
        author: source.author.clone(),
        created_ms: source.created_ms,
        closed_ms: source.closed_ms,
    };
    draft.event(by, &id, imported, None, &[])?;
    for comment in &item.comments {
        draft.event(by, &id, Commented {}, Some(&quoted(comment)), &[])?;
    }
    if let Some(contest) = contest {
        open_contest(draft, by, n, (&item.key, contest), wanted)?;
    } else if let Some(closed_ms) = source.closed_ms.filter(|_| wanted.close) {
        draft.event(by, &id, IssueClosed { fixed_by: None }, Some(&closing(closed_ms, item.fix.as_ref())), &[])?;
    }
    Ok(n)
}

/// Opens a contest on issue `n`, and seals what belongs to it.
fn open_contest(
    draft: &mut Draft,
    by: &Author,
    n: u64,
    (key, contest): (&str, &Contest),
    wanted: &Wanted,
) -> Result<(), Refusal> {
    let refuse = |why: String| {
        Refusal::new(Code::Refused, "import", format!("{key}: {why}; nothing was imported"), "help import")
    };
    let command = contest.command.as_deref().map(str::trim).filter(|command| !command.is_empty());
    let command = command.ok_or_else(|| refuse("its contest has no command that decides".to_owned()))?;
    if command.len() > contest::LONGEST_COMMAND || command.chars().any(char::is_control) {
        return Err(refuse(format!("its command is no line of at most {} bytes", contest::LONGEST_COMMAND)));
    }
    // A row that does not say how hard it is stands in the middle.
    let word = contest.difficulty.as_deref().unwrap_or(Difficulty::Medium.as_str());
    let difficulty = Difficulty::ALL.into_iter().find(|difficulty| difficulty.as_str() == word);
    let difficulty = difficulty.ok_or_else(|| refuse("its difficulty is none of easy, medium and hard".to_owned()))?;
    let made = draft.made();
    let objects = Over { made: &made, below: wanted.store.as_ref() };
    let tip = draft.snapshot().default_tip();
    let tip = tip.ok_or_else(|| refuse("the project has no commit to begin at".to_owned()))?;
    if !matches!(history::is_ancestor(&objects, contest.base, tip), Ok(true)) {
        return Err(refuse(format!("{} is no commit of the project's default branch", contest.base.short())));
    }
    let terms = ContestOpened {
        difficulty,
        base: contest.base,
        command: command.to_owned(),
        runs_ms: contest::RUNS_MS,
        anchored: true,
        bench: None,
    };
    draft.event(by, &EntityId::Issue(n), terms, None, &[])?;
    let sealing = Sealing { by, issue: n, part: &contest.sealed };
    seal(&wanted.forge, draft, &objects, &sealing).map_err(|refusal| refuse(refusal.why))?;
    Ok(())
}

/// A comment, under a line that says whose it is.
fn quoted(comment: &Comment) -> String {
    format!("> from {} at {}, imported\n\n{}", inline(&comment.author), show_time(comment.created_ms), comment.text)
}

/// What is said where an issue is closed that was closed at its source: by then its fix is no secret.
fn closing(closed_ms: u64, fix: Option<&Fix>) -> String {
    let mut text = format!("Closed where it came from at {}.", show_time(closed_ms));
    let Some(fix) = fix else { return text };
    let author = fix.author.as_ref().map(|author| format!(" by {}", inline(author)));
    let commit = fix.commit.map(|id| format!(", commit {id}"));
    let (author, commit) = (author.unwrap_or_default(), commit.unwrap_or_default());
    let _ = write!(text, "\nFixed there{author}: {}{commit}", fix.url.as_deref().unwrap_or("no page"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_elsewhere_cannot_pose_as_a_line_of_ours() {
        let comment = Comment { author: "a\n> from `b` [c](d)".to_owned(), created_ms: 0, text: "hi".to_owned() };
        let said = quoted(&comment);
        assert_eq!(said, "> from a > from \\`b\\` \\[c\\](d) at 1970-01-01 00:00Z, imported\n\nhi");
    }

    #[test]
    fn a_fix_is_told_as_far_as_it_is_known() {
        assert_eq!(closing(0, None), "Closed where it came from at 1970-01-01 00:00Z.");
        let fix =
            Fix { url: Some("https://x.example/1".to_owned()), author: Some("dev-1".to_owned()), ..Fix::default() };
        assert!(closing(0, Some(&fix)).ends_with("\nFixed there by dev-1: https://x.example/1"));
    }
}
