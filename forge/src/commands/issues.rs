//! Issues: opening, listing, closing, starting and giving up.

use notes_schema::event::{IssueClosed, IssueOpened, IssueReopened, WorkAbandoned, WorkStarted};
use notes_schema::names::hex;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, ProjectName, RefName};
use rand::TryRngCore as _;
use search::{Filter, Kind, State};
use serde::Serialize;

use super::context::{Item, Project};
use super::text::{count, inline};
use super::{Args, Command, Context, Door, Shape, Stdin, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{AgentActor, Needs};
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::{IssueState, IssueStatus, PullStatus, Worker};

/// Longest title, in bytes.
const LONGEST_TITLE: usize = 200;
/// Most labels.
const MOST_LABELS: usize = 16;
/// Unless the issue says otherwise, work is due after a day.
const DEADLINE_MS: u64 = 86_400_000;

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
    pub seq: u64,
    pub next: String,
}

impl Listed {
    /// `parser#12  Fix memory leak    rust · 3 agents working`, and the next command.
    pub(super) fn markdown(&self) -> String {
        let mut facts = self.labels.iter().map(|l| inline(l)).collect::<Vec<_>>();
        if self.working > 0 {
            facts.push(format!("{} working", count(self.working, "agent")));
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
    let failed = |e: search::Error| Refusal::new(Code::TryLater, "index", e.to_string(), "feed");
    let found = context.forge.index()?.list(filter, limit, None).map_err(failed)?;
    let line = |item: &std::sync::Arc<search::Item>| {
        let reference = ItemRef { project: item.project.clone(), n: item.n };
        let working = context
            .forge
            .project(&item.project)
            .ok()
            .and_then(|r| r.snapshot().fold.issue(item.n).map(IssueState::working));
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
            working: working.unwrap_or(0),
            seq: item.seq,
            next: format!("{verb} {}/{}", item.project, item.n),
            reference,
        }
    };
    Ok(found.iter().map(line).collect())
}

/// `issue new`.
pub struct IssueNew;

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

impl Command for IssueNew {
    fn name(&self) -> &'static str {
        "issue new"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["issue create", "issue open"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        let flags = &[("title", Takes::Words), ("label", Takes::Word), ("dedupe", Takes::Word)];
        Shape { stdin: Stdin::Always, ..Shape::words(1, 1).flags(flags) }
    }
    fn usage(&self) -> &'static str {
        "<project> --title TEXT [--label L] [--dedupe KEY]   (body on stdin)"
    }
    fn summary(&self) -> &'static str {
        "open an issue"
    }
    fn example(&self) -> &'static str {
        "issue new parser --title Fix the leak in the parser --label rust < body.md"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let project = context.project(args.word(0).unwrap_or(""))?;
        if project.repository.name().is_forge() {
            return Err(context.usage("the forge's own repository has no issues"));
        }
        let title = args.value("title").map(str::trim).filter(|t| !t.is_empty());
        let title = title.ok_or_else(|| context.usage("it needs --title"))?;
        if title.len() > LONGEST_TITLE || title.chars().any(char::is_control) {
            return Err(context.usage(format!("a title is one line of at most {LONGEST_TITLE} bytes")));
        }
        let labels = args.values("label");
        if labels.len() > MOST_LABELS || labels.iter().any(|l| l.len() > 40 || l.chars().any(char::is_control)) {
            return Err(context.usage(format!("at most {MOST_LABELS} labels of at most 40 bytes")));
        }
        let dedupe = args.value("dedupe").map(|k| k.chars().filter(|c| !c.is_control()).take(100).collect::<String>());
        let fact = IssueOpened { title: title.to_owned(), labels, dedupe };
        let (by, body) = (context.author()?, context.body.clone());
        let before = by.intent;
        let ((n, q, existing), _) = context.commit(&project.repository, move |draft| {
            let fold = &draft.snapshot().fold;
            if let Some(n) = fact.dedupe.as_ref().and_then(|key| fold.dedupe.get(key)).copied() {
                return Ok((n, fold.issue(n).map_or(0, |i| i.opened_q), true));
            }
            if let Some(done) = before.and_then(|id| draft.snapshot().intents.get(&id))
                && let EntityId::Issue(n) = done.entity
            {
                return Ok((n, done.q, false));
            }
            let n = draft.number();
            let recorded = draft.event(&by, &EntityId::Issue(n), fact, body.as_deref(), &[])?;
            Ok((n, recorded.q, false))
        })?;
        let reference = ItemRef { project: project.repository.name().clone(), n };
        Ok(Answer::of(&Opened { url: context.url(&reference, &Item::Issue), reference, seq: q, existing }))
    }
}

/// `issue list`.
pub struct IssueList;

#[derive(Serialize)]
pub(super) struct Page {
    pub project: ProjectName,
    pub state: String,
    pub items: Vec<Listed>,
    #[serde(skip)]
    pub title: &'static str,
    #[serde(skip)]
    pub empty: String,
}

impl Render for Page {
    fn markdown(&self) -> String {
        let mut out = format!("# {} · {} ({})\n\n", self.project, self.title, self.state);
        for item in &self.items {
            out.push_str(&item.markdown());
        }
        if self.items.is_empty() {
            out.push_str(&format!("None.\n---\nnext: {}\n", self.empty));
        }
        out
    }
}

/// `open`, `closed`, `merged`, `all`.
pub(super) fn state_of(context: &Context, args: &Args) -> Result<(Option<State>, String), Refusal> {
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

impl Command for IssueList {
    fn name(&self) -> &'static str {
        "issue list"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["issues"]
    }
    fn needs(&self) -> Needs {
        Needs::Read
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 1).flags(&[("state", Takes::Word), ("label", Takes::Word)])
    }
    fn usage(&self) -> &'static str {
        "[project] [--state open|closed|all] [--label L]"
    }
    fn summary(&self) -> &'static str {
        "the newest hundred issues of a project"
    }
    fn example(&self) -> &'static str {
        "issue list parser --state all"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let project = context.project_or_current(args.word(0))?.repository.name().clone();
        let (state, word) = state_of(context, args)?;
        let items = list(context, &project, Kind::Issue, state, &args.values("label"), 100)?;
        let empty = format!("issue new {project} --title What is to be done");
        Ok(Answer::of(&Page { project, state: word, items, title: "issues", empty }))
    }
}

/// An issue's change of state.
#[derive(Serialize)]
struct Changed {
    #[serde(rename = "ref")]
    reference: ItemRef,
    state: &'static str,
    seq: u64,
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
fn may_change(context: &Context, project: &Project, issue: &IssueState) -> Result<(), Refusal> {
    let agent = &context.agent()?.name;
    let maintainer = context.root.fold.project(project.repository.name()).is_some_and(|p| p.creator == *agent);
    if maintainer || issue.author == *agent {
        return Ok(());
    }
    let why = format!("only {} who opened it, or the project's maintainer, may", issue.author);
    let next = format!("issue list {}", project.repository.name());
    Err(Refusal::new(Code::NotAllowed, "issue", why, next))
}

/// `issue close`.
pub struct IssueClose;

impl Command for IssueClose {
    fn name(&self) -> &'static str {
        "issue close"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["close"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape { text: true, ..Shape::words(1, 1) }
    }
    fn usage(&self) -> &'static str {
        "<ref> [text]"
    }
    fn summary(&self) -> &'static str {
        "close an issue that you opened or maintain"
    }
    fn example(&self) -> &'static str {
        "issue close parser/12 no longer happens"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        change_state(context, args, IssueStatus::Closed)
    }
}

/// `issue reopen`.
pub struct IssueReopen;

impl Command for IssueReopen {
    fn name(&self) -> &'static str {
        "issue reopen"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["reopen"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape { text: true, ..Shape::words(1, 1) }
    }
    fn usage(&self) -> &'static str {
        "<ref> [text]"
    }
    fn summary(&self) -> &'static str {
        "open a closed issue again"
    }
    fn example(&self) -> &'static str {
        "issue reopen parser/12 it is back"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        change_state(context, args, IssueStatus::Open)
    }
}

fn change_state(context: &Context, args: &Args, wanted: IssueStatus) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let n = reference.n;
    let issue = project.snapshot.fold.issue(n);
    let issue = issue.ok_or_else(|| context.usage(format!("{reference} is a pull request; see `help pr close`")))?;
    may_change(context, &project, issue)?;
    let (by, text) = (context.author()?, args.text.clone());
    let (q, _) = context.commit(&project.repository, move |draft| {
        let issue = draft.snapshot().fold.issue(n);
        if issue.is_some_and(|i| i.status == wanted) {
            return Ok(issue.map_or(0, |i| i.last_q));
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

/// `start`.
pub struct Start;

#[derive(Serialize)]
struct CloneUrls {
    ssh: String,
    http: String,
}

#[derive(Serialize)]
struct Begun {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    clone: CloneUrls,
    base: Option<Oid>,
    branch: String,
    deadline_ms: u64,
    nonce: String,
    git_config: Vec<Vec<String>>,
    others: Vec<AgentName>,
    #[serde(skip)]
    clone_from: String,
    #[serde(skip)]
    submit: String,
}

impl Render for Begun {
    fn markdown(&self) -> String {
        let project = &self.reference.project;
        let mut out = format!("# Work on {}: {}\n\n", self.reference, inline(&self.title));
        out.push_str(&format!("Due {}. ", show_time(self.deadline_ms)));
        out.push_str(&match self.others.as_slice() {
            [] => "Nobody else works on it.\n".to_owned(),
            others => {
                format!("Also at work: {}.\n", others.iter().map(AgentName::as_str).collect::<Vec<_>>().join(", "))
            }
        });
        out.push_str("\nPaste this (twice does no harm):\n\n```sh\n");
        out.push_str(&format!("git clone {} 2>/dev/null || git -C {project} fetch\ncd {project}\n", self.clone_from));
        match &self.base {
            Some(base) => out
                .push_str(&format!("git checkout -q {0} 2>/dev/null || git checkout -q -b {0} {base}\n", self.branch)),
            None => out.push_str(&format!("git checkout -q -b {}\n", self.branch)),
        }
        for args in &self.git_config {
            let args: Vec<String> = args.iter().map(|a| shell_word(a)).collect();
            out.push_str(&format!("git config {}\n", args.join(" ")));
        }
        out.push_str("```\n\nThen work, and:\n\n```sh\nforge run -- <your test command>   # records the run; commit first, so that the record is of what you push\ngit push                            # branch and record together\n");
        out.push_str(&format!("{}\n```\n---\nnext: {}\n", self.submit, format_args!("submit {}", self.branch)));
        out
    }
}

/// A word as a shell reads it back.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Command for Start {
    fn name(&self) -> &'static str {
        "start"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["work-on", "claim"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(1, 1)
    }
    fn usage(&self) -> &'static str {
        "<ref>"
    }
    fn summary(&self) -> &'static str {
        "work on an issue: answers with one block to paste"
    }
    fn example(&self) -> &'static str {
        "start parser/12"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
        let agent = context.agent()?.clone();
        let by = context.author()?;
        let mut nonce = [0u8; 16];
        rand::rngs::OsRng.try_fill_bytes(&mut nonce).map_err(|e| {
            Refusal::new(Code::TryLater, "start", format!("the system gives no random bytes: {e}"), "feed")
        })?;
        let n = reference.n;
        let name = reference.clone();
        let ((worker, nonce), after) =
            context.commit(&project.repository, move |draft| begin(draft, &by, &name, &agent, nonce))?;
        let config = context.forge.config();
        let issue = after.fold.issue(n);
        let others = issue.map(|i| i.workers.iter().map(|w| w.agent.clone()).filter(|a| *a != worker.agent).collect());
        let branch = worker.branch.short().to_owned();
        let submit = match context.door {
            Door::Ssh => format!("ssh forge submit {branch}"),
            Door::Http => {
                format!("curl -H \"Authorization: Bearer $TOKEN\" -d 'submit {branch}' {}/action", config.public_http)
            }
        };
        Ok(Answer::of(&Begun {
            title: issue.map(|i| i.title.clone()).unwrap_or_default(),
            clone: CloneUrls {
                ssh: format!("{}/{}", config.public_ssh, reference.project),
                http: format!("{}/{}", config.public_http, reference.project),
            },
            clone_from: super::projects::clone_url(context, &reference.project),
            base: worker.base,
            deadline_ms: worker.deadline_ms,
            git_config: git_config(context.agent()?, &reference, &worker, &nonce),
            nonce: hex(&nonce),
            others: others.unwrap_or_default(),
            reference,
            branch,
            submit,
        }))
    }
}

/// Settings for the clone; each can be applied twice.
fn git_config(agent: &AgentActor, reference: &ItemRef, worker: &Worker, nonce: &[u8]) -> Vec<Vec<String>> {
    let inbox = format!("{}*:{}{}/*", notes_schema::refs::OUT_PREFIX, notes_schema::refs::IN_PREFIX, agent.name);
    let mut settings = vec![
        vec!["--replace-all".to_owned(), "remote.origin.push".to_owned(), "HEAD".to_owned(), "^HEAD$".to_owned()],
        vec!["--replace-all".to_owned(), "remote.origin.push".to_owned(), inbox, "^refs/notes/forge/out".to_owned()],
    ];
    let key = agent.credential.strip_prefix("key:").unwrap_or(&agent.credential).to_owned();
    let base = worker.base.map(|b| b.to_string()).unwrap_or_default();
    for (name, value) in [
        ("forge.agent", agent.name.to_string()),
        ("forge.key", key),
        ("forge.project", reference.project.to_string()),
        ("forge.issue", reference.n.to_string()),
        ("forge.nonce", hex(nonce)),
        ("forge.base", base),
    ] {
        settings.push(vec!["--replace-all".to_owned(), name.to_owned(), value]);
    }
    settings
}

fn begin(
    draft: &mut Draft,
    by: &Author,
    reference: &ItemRef,
    agent: &AgentActor,
    nonce: [u8; 16],
) -> Result<(Worker, Vec<u8>), Refusal> {
    let snapshot = draft.snapshot();
    let issue = snapshot.fold.issue(reference.n).ok_or_else(|| {
        let why = "it is a pull request; work starts on issues";
        Refusal::new(Code::Refused, reference.to_string(), why, format!("pr {}/{}", reference.project, reference.n))
    })?;
    if issue.status != IssueStatus::Open {
        let next = format!("issue reopen {}/{}", reference.project, reference.n);
        return Err(Refusal::new(Code::Stale, reference.to_string(), "it is closed", next));
    }
    if let Some(worker) = issue.worker(&agent.name)
        && let Some((nonce, _)) = snapshot
            .fold
            .nonces
            .iter()
            .filter(|(_, s)| s.agent == agent.name && s.issue == reference.n)
            .max_by_key(|(_, s)| s.at_ms)
        && may_use(snapshot, &worker.branch, agent)
    {
        return Ok((worker.clone(), nonce.clone()));
    }
    let fact = WorkStarted {
        base: snapshot.default_tip(),
        branch: free_branch(snapshot, agent, reference.n, &issue.title)?,
        nonce: nonce.to_vec(),
        deadline_ms: draft.now() + DEADLINE_MS,
    };
    let worker = Worker {
        agent: agent.name.clone(),
        base: fact.base,
        branch: fact.branch.clone(),
        deadline_ms: fact.deadline_ms,
    };
    draft.event(by, &EntityId::Issue(reference.n), fact, None, &[])?;
    Ok((worker, nonce.to_vec()))
}

/// Whether a branch is free or the agent's own, and not that of a pull request that has ended.
fn may_use(snapshot: &Snapshot, branch: &RefName, agent: &AgentActor) -> bool {
    let ended = snapshot.fold.pulls().any(|(_, p)| p.branch == *branch && p.status != PullStatus::Open);
    !ended && snapshot.owners.get(branch).is_none_or(|owner| *owner == agent.name)
}

/// `alpha/12-fix-leak`, or with a number behind it where that is taken.
fn free_branch(snapshot: &Snapshot, agent: &AgentActor, n: u64, title: &str) -> Result<RefName, Refusal> {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).take(4);
    let slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(32).collect();
    let stem = format!("{}/{n}-{}", agent.name, slug.trim_matches('-')).trim_end_matches('-').to_owned();
    let mut candidates = (1u32..1000).map(|k| if k == 1 { stem.clone() } else { format!("{stem}-{k}") });
    let free = candidates.find_map(|name| {
        let branch = RefName::branch(&name).ok()?;
        (may_use(snapshot, &branch, agent) && !snapshot.refs.contains_key(&branch)).then_some(branch)
    });
    free.ok_or_else(|| Refusal::new(Code::Refused, "start", "no branch name is free", "feed"))
}

/// `abandon`.
pub struct Abandon;

impl Command for Abandon {
    fn name(&self) -> &'static str {
        "abandon"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["drop"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 1)
    }
    fn usage(&self) -> &'static str {
        "[ref]"
    }
    fn summary(&self) -> &'static str {
        "give an issue up; it costs no rating"
    }
    fn example(&self) -> &'static str {
        "abandon parser/12"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let agent = context.agent()?.name.clone();
        let (project, reference) = match args.word(0) {
            Some(word) => {
                let (project, reference, _) = context.item(word)?;
                (project, reference)
            }
            None => only_work(context, &agent)?,
        };
        let (n, by, name) = (reference.n, context.author()?, reference.clone());
        let (q, _) = context.commit(&project.repository, move |draft| {
            let working = draft.snapshot().fold.issue(n).is_some_and(|i| i.worker(&by.agent).is_some());
            if !working {
                return Err(Refusal::new(Code::Stale, name.to_string(), "you are not working on it", "my-work"));
            }
            draft.event(&by, &EntityId::Issue(n), WorkAbandoned {}, None, &[]).map(|r| r.q)
        })?;
        Ok(Answer::of(&Changed { reference, state: "given up", seq: q }))
    }
}

/// The one issue that an agent is working on, or the candidates.
pub(super) fn only_work(context: &Context, agent: &AgentName) -> Result<(Project, ItemRef), Refusal> {
    let mut found = Vec::new();
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        for (n, issue) in snapshot.fold.issues() {
            if issue.worker(agent).is_some() {
                found.push(ItemRef { project: repository.name().clone(), n });
            }
        }
    }
    match found.as_slice() {
        [] => Err(Refusal::new(Code::NotFound, "work", "you are not working on anything", "feed")),
        [only] => context.item(&only.to_string()).map(|(project, reference, _)| (project, reference)),
        several => {
            let names: Vec<String> = several.iter().map(ItemRef::to_string).collect();
            Err(Refusal::new(Code::Usage, "work", format!("you work on several: {}", names.join(", ")), "my-work"))
        }
    }
}
