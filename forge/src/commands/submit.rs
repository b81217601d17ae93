//! `submit`: work becomes a pull request.

use notes_schema::event::PullOpened;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, RefName, refs};
use serde::Serialize;

use super::checks::{self, CheckLine};
use super::context::{Item, Project};
use super::gate::{GateLine, gate_markdown, gate_of, next_for};
use super::text::inline;
use super::{Args, Command, Context, Shape, Stdin, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::forge::merge_base;
use crate::gate::{self, View, Work};
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::{IssueStatus, PullStatus};
use git::history;
use git::store::{Objects as _, Over, Store};

#[derive(Serialize)]
struct Submitted {
    #[serde(rename = "ref")]
    reference: ItemRef,
    url: String,
    title: String,
    round: u64,
    head: Oid,
    proof: String,
    proof_means: &'static str,
    gate: Vec<GateLine>,
    checks: Vec<CheckLine>,
    seq: u64,
    next: String,
}

impl Render for Submitted {
    fn markdown(&self) -> String {
        format!(
            "# {}: {}\n\nround {} · head `{}` · proof {} ({}; `help proof`)\n{}\n\n## Gate\n\n{}{}---\nnext: {}\n",
            self.reference,
            inline(&self.title),
            self.round,
            self.head.short(),
            self.proof,
            self.proof_means,
            self.url,
            gate_markdown(&self.gate),
            checks::section(&self.checks),
            self.next
        )
    }
}

/// What is being submitted, found out from what was said.
struct Asked {
    branch: RefName,
    issue: Option<u64>,
    title: Option<String>,
    text: Option<String>,
}

/// `submit`.
pub const SUBMIT: Command = Command {
    name: "submit",
    aliases: &["pr create", "pr new"],
    needs: Needs::Agent,
    of: Of::Owner,
    shape: {
        let flags =
            &[("issue", Takes::Word), ("title", Takes::Words), ("body", Takes::Words), ("project", Takes::Word)];
        Shape { stdin: Stdin::Dash, ..Shape::words(0, 2).flags(flags) }
    },
    usage: "<branch> [--issue REF] [--title TEXT] [--project P]",
    summary: "open a pull request from a branch that you pushed",
    example: "submit alpha/12-fix-leak",
    run: submit,
};

fn submit(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, asked) = find(context, args)?;
    if let Some((issue, head)) = asked.issue.zip(project.snapshot.ref_id(&asked.branch)) {
        super::contest::may_be_laid(&project, issue, head)?;
    }
    let by = context.author()?;
    let root = context.root.clone();
    let store = project.repository.store().clone();
    let ((n, q), after) = context.commit(&project.repository, move |draft| open(draft, &root, &store, &by, &asked))?;
    let project = Project { repository: project.repository, snapshot: after };
    let reference = ItemRef { project: project.repository.name().clone(), n };
    let pull = project.snapshot.fold.pull(n);
    let pull = pull.ok_or_else(|| Refusal::new(Code::Stale, reference.to_string(), "it is gone", "feed"))?;
    let gate = gate_of(context, &project, n, pull)?.lines;
    Ok(Answer::of(&Submitted {
        url: context.url(&reference, &Item::Pull),
        title: pull.title.clone(),
        round: pull.round,
        head: pull.head,
        proof: pull.proof.level.to_string(),
        proof_means: gate::means(pull.proof.level),
        seq: q,
        next: next_for(context, reference.project.as_str(), n, pull, &gate, false),
        gate,
        checks: checks::of_pull(&project, pull),
        reference,
    }))
}

/// Longest title, in bytes.
/// Limit: title of a pull request | {:bytes}, then `…`
const TITLED: usize = 200;

/// Where the branch is, and for which issue.
fn find(context: &Context, args: &Args) -> Result<(Project, Asked), Refusal> {
    let agent = &context.agent()?.name;
    let issue = args.value("issue").map(|text| context.item(text)).transpose()?;
    let named = args.value("project").map(|name| context.project(name)).transpose()?;
    let (project, branch) = match args.word(0).filter(|w| *w != "-") {
        Some(word) => {
            let short = word.strip_prefix("refs/heads/").unwrap_or(word);
            let branch = RefName::branch(short).map_err(|e| context.usage(e.to_string()))?;
            let from_issue = issue
                .as_ref()
                .map(|(p, _, _)| Project { repository: p.repository.clone(), snapshot: p.snapshot.clone() });
            (locate(context, &branch, named.or(from_issue))?, branch)
        }
        None => only_branch(context, agent)?,
    };
    let started =
        || project.snapshot.fold.work_of(agent).find(|(_, work)| work.worker.branch == branch).map(|(n, _)| n);
    let issue = match issue {
        Some((other, reference, Item::Issue)) if other.repository.name() == project.repository.name() => {
            Some(reference.n)
        }
        Some((_, reference, _)) => {
            return Err(context.usage(format!("{reference} is no issue of {}", project.repository.name())));
        }
        None => started(),
    };
    let title = args.value("title").map(|t| crate::state::snippet(t, TITLED));
    let asked = Asked { branch, issue, title, text: args.value("body").map(str::to_owned) };
    Ok((project, asked))
}

/// The one branch of the agent's work for which no pull request of its own is open.
fn only_branch(context: &Context, agent: &AgentName) -> Result<(Project, RefName), Refusal> {
    let mut found = Vec::new();
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        let fold = &snapshot.fold;
        for (_, work) in fold.work_of(agent).filter(|(issue, _)| !fold.awaits(agent, *issue)) {
            let project = Project { repository: repository.clone(), snapshot: snapshot.clone() };
            found.push((project, work.worker.branch.clone()));
        }
    }
    let names: Vec<&str> = found.iter().map(|(_, branch)| branch.short()).collect();
    match names.as_slice() {
        [] => Err(Refusal::new(Code::NotFound, "submit", "you are at work on nothing that is not submitted", "feed")),
        [_] => Ok(found.remove(0)),
        [first, ..] => {
            let (why, next) = (format!("say which branch: {}", names.join(", ")), format!("submit {first}"));
            Err(Refusal::new(Code::Usage, "submit", why, next))
        }
    }
}

/// The project that has the branch: named, current, or the only one that has it.
fn locate(context: &Context, branch: &RefName, named: Option<Project>) -> Result<Project, Refusal> {
    let has = |project: &Project| project.snapshot.refs.contains_key(branch);
    let missing = |place: &str| {
        let why = format!("{place} no branch {}: push it first", branch.short());
        Refusal::new(Code::NotFound, branch.short(), why, "git push")
    };
    if let Some(project) = named {
        let place = format!("{} has", project.repository.name());
        return if has(&project) { Ok(project) } else { Err(missing(&place)) };
    }
    if let Some(current) = context.current_project().filter(|project| has(project)) {
        return Ok(current);
    }
    let mut having: Vec<Project> = Vec::new();
    for repository in context.forge.open_repositories() {
        let project = Project { snapshot: repository.snapshot(), repository };
        if has(&project) {
            having.push(project);
        }
    }
    match having.len() {
        0 => Err(missing("there is")),
        1 => Ok(having.remove(0)),
        _ => {
            let names: Vec<String> = having.iter().map(|p| p.repository.name().to_string()).collect();
            let next = format!("submit {} --project {}", branch.short(), names[0]);
            Err(Refusal::new(
                Code::Usage,
                branch.short(),
                format!("several projects have it: {}", names.join(", ")),
                next,
            ))
        }
    }
}

/// Opens the pull request, or finds the one that is open for the same head.
fn open(draft: &mut Draft, root: &Snapshot, store: &Store, by: &Author, asked: &Asked) -> Result<(u64, u64), Refusal> {
    let snapshot = draft.snapshot().clone();
    let branch = &asked.branch;
    let refuse = |why: &str, next: String| Refusal::new(Code::Refused, format!("submit {}", branch.short()), why, next);
    let head = snapshot.ref_id(branch).ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("submit {}", branch.short()), "the branch is not pushed yet", "git push")
    })?;
    let own = snapshot.owners.get(branch).is_none_or(|owner| *owner == by.agent);
    if !authority::stands(SUBMIT.of, Ties { own, ..Ties::default() }) {
        let next = format!(
            "git push origin HEAD:refs/heads/{}/{}",
            by.agent,
            branch.short().rsplit('/').next().unwrap_or("work")
        );
        return Err(Refusal::new(
            Code::NotAllowed,
            format!("submit {}", branch.short()),
            "the branch belongs to another agent",
            next,
        ));
    }
    if let Some((n, pull)) = gate::open_pull_of(&snapshot, branch) {
        return Ok((n, pull.last_q));
    }
    let target = snapshot.head.clone().unwrap_or_else(RefName::head);
    if *branch == target {
        return Err(refuse("it is the default branch itself", "feed".to_owned()));
    }
    let onto = snapshot.ref_id(&target);
    // The default branch may have moved in this very batch.
    let made = draft.made();
    let store = &Over { made: &made, below: store };
    let unreadable = |e: git::store::ReadError| refuse(&e.to_string(), "git push".to_owned());
    let onto = onto.ok_or_else(|| {
        refuse("the default branch does not exist yet", "git push origin HEAD:refs/heads/main".to_owned())
    })?;
    if history::is_ancestor(store, head, onto).map_err(unreadable)? {
        let why = format!("it has nothing that {} lacks: commit something first", target.short());
        return Err(refuse(&why, "git status".to_owned()).by_rule("empty"));
    }
    if let Some(issue) = asked.issue {
        super::contest::may_submit(&snapshot, root, issue, &by.agent)?;
    }
    let view = View::new(&snapshot, root, store, draft.now());
    let issue = asked.issue.filter(|n| snapshot.fold.issue(*n).is_some_and(|i| i.status == IssueStatus::Open));
    let base = merge_base(store, Some(onto), head)?;
    let work = Work::new(&view, branch, &by.agent, issue, head).map_err(unreadable)?.submitted(&view, base);
    let proof = work.check_submit(&view)?;
    let title = match &asked.title {
        Some(title) => title.clone(),
        None => crate::state::snippet(store.commit(head).map_err(unreadable)?.subject(), TITLED),
    };
    let n = draft.number();
    let fact = PullOpened { title, branch: branch.clone(), target, issue, head, base, proof };
    let recorded = draft.event(by, &EntityId::Pull(n), fact, asked.text.as_deref(), &[])?;
    draft.set_ref(&refs::pull_head(n), None, Some(head), None, None)?;
    debug_assert!(draft.snapshot().fold.pull(n).is_some_and(|p| p.status == PullStatus::Open));
    Ok((n, recorded.q))
}
