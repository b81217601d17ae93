//! Issues: opening, listing, closing, reopening.

use notes_schema::event::{IssueClosed, IssueOpened, IssuePlanned, IssueReopened};
use notes_schema::{EntityId, ItemRef};
use search::Kind;
use serde::Serialize;

use super::context::{Item, Project};
use super::lists;
use super::{Args, Command, Context, Shape, Stdin, Takes, contest, plan};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::ledger::Author;
use crate::state::{IssueState, IssueStatus};

/// Longest title, in bytes.
/// Limit: title of an issue | {:bytes}
const LONGEST_TITLE: usize = 200;
/// Most labels.
/// Limit: labels of an issue | {}
const MOST_LABELS: usize = 16;
/// Most characters of a key by which the same issue is not opened twice.
/// Limit: key of `--dedupe` | {} characters, the rest is not looked at
const DEDUPED: usize = 100;
/// Longest label, in bytes.
/// Limit: one label of an issue | {:bytes}
const LONGEST_LABEL: usize = 40;
#[derive(Serialize)]
struct Opened {
    #[serde(rename = "ref")]
    reference: ItemRef,
    url: String,
    seq: u64,
    existing: bool,
}

impl Render for Opened {
    fn markdown(&self) -> String {
        let what = if self.existing { "is open already under that key" } else { "is open" };
        format!(
            "{} {what}: {}\n---\nnext: details {}/{}\n",
            self.reference, self.url, self.reference.project, self.reference.n
        )
    }
}

/// `issue new`.
pub const ISSUE_NEW: Command = Command {
    name: "issue new",
    aliases: &["issue create", "issue open"],
    needs: Needs::Agent,
    of: Of::Project,
    shape: {
        let flags = &[
            ("title", Takes::Words),
            ("label", Takes::Word),
            ("lang", Takes::Word),
            ("dedupe", Takes::Word),
            contest::DIFFICULTY,
            contest::COMMAND,
            contest::BENCH,
            contest::DEADLINE,
            contest::BASE,
            plan::MILESTONE,
            plan::PRIORITY,
        ];
        Shape { stdin: Stdin::Always, ..Shape::words(1, 1).flags(flags) }
    },
    usage: "<project> --title TEXT [--label L] [--lang L] [--dedupe KEY] [--milestone M] [--priority urgent|high|normal|low] \
            [--difficulty easy|medium|hard --command CMD [--bench CMD] [--deadline 24h] [--base COMMIT]]   (body on stdin)",
    summary: "open an issue; with --difficulty and --command, a contest that many solve and --deadline closes",
    example: "issue new parser --title Fix the leak in the parser --label rust < body.md",
    run: issue_new,
};

fn issue_new(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let project = context.project(args.word(0).unwrap_or(""))?;
    if project.repository.name().is_forge() {
        return Err(context.usage("the forge's own repository has no issues"));
    }
    context.forge.has_room_for_text(&project.repository)?;
    let title = args.value("title").map(str::trim).filter(|t| !t.is_empty());
    let title = title.ok_or_else(|| context.usage("it needs --title"))?;
    if title.len() > LONGEST_TITLE || title.chars().any(char::is_control) {
        return Err(context.usage(format!("a title is one line of at most {LONGEST_TITLE} bytes")));
    }
    let labels = args.values("label");
    if labels.len() > MOST_LABELS || labels.iter().any(|l| l.len() > LONGEST_LABEL || l.chars().any(char::is_control)) {
        return Err(context.usage(format!("at most {MOST_LABELS} labels of at most {LONGEST_LABEL} bytes")));
    }
    let dedupe = args.value("dedupe").map(|k| k.chars().filter(|c| !c.is_control()).take(DEDUPED).collect::<String>());
    let fact = IssueOpened { title: title.to_owned(), labels, lang: contest::lang(context, args)?, dedupe };
    let terms = contest::terms(context, args, &project)?;
    let plan = plan::Change::asked(context, args)?.of(IssuePlanned { milestone: None, priority: None });
    let (by, body) = (context.author()?, context.body.clone());
    let ((n, q, existing), _) = context.commit(&project.repository, move |draft| {
        let fold = &draft.snapshot().fold;
        if let Some(n) = fact.dedupe.as_ref().and_then(|key| fold.dedupe.get(key)).copied() {
            return Ok((n, fold.issue(n).map_or(0, |i| i.opened_q), true));
        }
        let done = by.intent.and_then(|id| draft.snapshot().intents.get(&by.agent, &id));
        if let Some(done) = done
            && let (EntityId::Issue(n), 1) = (&done.entity, done.n)
        {
            return Ok((*n, done.q, false));
        }
        let n = draft.number();
        let id = EntityId::Issue(n);
        let mut recorded = draft.event(&by, &id, fact, body.as_deref(), &[])?;
        if let Some(terms) = terms {
            recorded = draft.event(&Author { intent: None, ..by.clone() }, &id, terms, None, &[])?;
        }
        if let Some(plan) = plan {
            recorded = draft.event(&Author { intent: None, ..by }, &id, plan, None, &[])?;
        }
        Ok((n, recorded.q, false))
    })?;
    let reference = ItemRef { project: project.repository.name().clone(), n };
    Ok(Answer::of(&Opened { url: context.url(&reference, &Item::Issue), reference, seq: q, existing }))
}

/// `issue list`.
pub const ISSUE_LIST: Command = Command {
    name: "issue list",
    aliases: &["issues"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1).flags(&lists::FLAGS),
    usage: "[project] [--state open|closed|all] [--label L] [--author A] [--text WORDS] [--after CURSOR]",
    summary: "the newest hundred issues of a project, or those behind a cursor",
    example: "issue list parser --state all",
    run: issue_list,
};

fn issue_list(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    lists::page(context, args, Kind::Issue, |project| format!("issue new {project} --title What is to be done"))
}

/// An issue's change of state.
#[derive(Serialize)]
pub(super) struct Changed {
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    pub state: &'static str,
    pub seq: u64,
}

impl Render for Changed {
    fn markdown(&self) -> String {
        format!(
            "{} is {}.\n---\nnext: details {}/{}\n",
            self.reference, self.state, self.reference.project, self.reference.n
        )
    }
}

/// Who may close or reopen: whoever opened it, and the project's maintainer.
pub(super) fn may_change(context: &Context, project: &Project, issue: &IssueState) -> Result<(), Refusal> {
    let agent = &context.agent()?.name;
    if context.stands(project.repository.name(), issue.author == *agent) {
        return Ok(());
    }
    let why = format!("only {} who opened it, or the project's maintainer, may", issue.author);
    let next = format!("issue list {}", project.repository.name());
    Err(Refusal::new(Code::NotAllowed, "issue", why, next))
}

/// `issue close`.
pub const ISSUE_CLOSE: Command = Command {
    name: "issue close",
    aliases: &["close"],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape { text: true, ..Shape::words(1, 1) },
    usage: "<ref> [text]",
    summary: "close an issue that you opened or maintain",
    example: "issue close parser/12 no longer happens",
    run: issue_close,
};

fn issue_close(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    change_state(context, args, IssueStatus::Closed)
}

/// `issue reopen`.
pub const ISSUE_REOPEN: Command = Command {
    name: "issue reopen",
    aliases: &["reopen"],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape { text: true, ..Shape::words(1, 1) },
    usage: "<ref> [text]",
    summary: "open a closed issue again",
    example: "issue reopen parser/12 it is back",
    run: issue_reopen,
};

fn issue_reopen(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    change_state(context, args, IssueStatus::Open)
}

fn change_state(context: &Context, args: &Args, wanted: IssueStatus) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let n = reference.n;
    let issue = project.snapshot.fold.issue(n);
    let issue = issue.ok_or_else(|| context.usage(format!("{reference} is a pull request; see `help pr close`")))?;
    may_change(context, &project, issue)?;
    let (by, text, name) = (context.author()?, context.text(args), reference.clone());
    let (q, _) = context.commit(&project.repository, move |draft| {
        let issue = draft.snapshot().fold.issue(n);
        if issue.is_some_and(|i| i.status == wanted) {
            return Ok(issue.map_or(0, |i| i.last_q));
        }
        if issue.and_then(|i| i.contest.as_ref()).is_some_and(|c| c.closes_ms.is_some()) {
            let why = "it is a contest that somebody has started: it closes by itself, once";
            return Err(Refusal::new(Code::Refused, name.to_string(), why, format!("submission {}/{n}", name.project)));
        }
        let fact = match wanted {
            IssueStatus::Closed => notes_schema::Fact::from(IssueClosed { fixed_by: None }),
            IssueStatus::Open => IssueReopened {}.into(),
        };
        draft.event(&by, &EntityId::Issue(n), fact, text.as_deref(), &[]).map(|r| r.q)
    })?;
    let state = match wanted {
        IssueStatus::Open => "open",
        IssueStatus::Closed => "closed",
    };
    Ok(Answer::of(&Changed { reference, state, seq: q }))
}
