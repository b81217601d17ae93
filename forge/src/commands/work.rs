//! Work on issues: starting it, and giving it up.

use hooks::command::quote;
use notes_schema::event::{WorkAbandoned, WorkStarted};
use notes_schema::names::hex;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, ProjectName, RefName};
use rand::TryRngCore as _;
use serde::Serialize;

use super::context::Project;
use super::issues::Changed;
use super::text::{count, inline};
use super::{Args, Command, Context, Door, Shape};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{AgentActor, Needs, Of};
use crate::gate::View;
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::{IssueStatus, Work};
use hooks::Repo as _;

/// Where the policy lets work never end, it is due after a day all the same.
/// Limit: time until work that was started is overdue, where the policy says that it never ends | {:ms}
const DEADLINE_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

#[derive(Serialize)]
pub(super) struct CloneUrls {
    ssh: String,
    http: String,
}

impl CloneUrls {
    pub(super) fn of(context: &Context, project: &ProjectName) -> CloneUrls {
        let config = context.forge.config();
        CloneUrls { ssh: format!("{}/{project}", config.public_ssh), http: format!("{}/{project}", config.public_http) }
    }
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
    /// So long it may be without a sign of life before the forge ends it; none where that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_ms: Option<u64>,
    nonce: String,
    git_config: Vec<Vec<String>>,
    others: Vec<AgentName>,
    /// The command that decides, where it is a contest.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// The command that measures, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    bench: Option<String>,
    #[serde(skip)]
    clone_from: String,
    #[serde(skip)]
    push: &'static str,
    #[serde(skip)]
    submit: String,
    #[serde(skip)]
    recorder: String,
}

impl Render for Begun {
    fn markdown(&self) -> String {
        let project = &self.reference.project;
        let mut out = format!("# Work on {}: {}\n\n", self.reference, inline(&self.title));
        let due = show_time(self.deadline_ms);
        out.push_str(&match self.idle_ms {
            Some(ms) => {
                format!("Due {due}: it expires {} after your last push or reply. ", count(ms / HOUR_MS, "hour"))
            }
            None => format!("Due {due}. "),
        });
        out.push_str(&match self.others.as_slice() {
            [] => "Nobody else works on it.\n".to_owned(),
            others => {
                format!("Also at work: {}.\n", others.iter().map(AgentName::as_str).collect::<Vec<_>>().join(", "))
            }
        });
        if let Some(command) = &self.command {
            let command = inline(command).replace('`', "'");
            out.push_str(&format!(
                "A contest: who passes `{command}` solves it, and your newest submission before then counts.\n"
            ));
        }
        out.push_str("\nPaste this (twice does no harm):\n\n```sh\n");
        let inside = format!("[ \"$(basename \"$(git config remote.origin.url)\" .git)\" = {project} ]");
        out.push_str(&format!("{inside} || [ -d {project} ] || git clone {}\n", self.clone_from));
        out.push_str(&format!("{inside} || cd {project}\ngit fetch -q\n"));
        match &self.base {
            Some(base) => out
                .push_str(&format!("git checkout -q {0} 2>/dev/null || git checkout -q -b {0} {base}\n", self.branch)),
            None => out.push_str(&format!("git checkout -q -b {}\n", self.branch)),
        }
        for args in &self.git_config {
            let args: Vec<String> = args.iter().map(|a| quote(a)).collect();
            out.push_str(&format!("git config {}\n", args.join(" ")));
        }
        out.push_str("```\n\nThen work, commit, and:\n\n```sh\n");
        let command = self.command.as_deref().unwrap_or("<your test command>");
        out.push_str(&format!(
            "forge run -- {command}   # records the run; without the program, once before it: see below\n",
        ));
        if let Some(bench) = &self.bench {
            out.push_str(&format!("forge run -- {bench}   # what it prints is what your solution is measured by\n"));
        }
        out.push_str(&format!("{:<34} # branch and record together\n", self.push));
        out.push_str(&format!(
            "{}\n```\n\nWithout the program `forge`, any directory of $PATH takes a script instead:\n\n",
            self.submit
        ));
        let get = &self.recorder;
        out.push_str(&format!("    {get} > ~/bin/forge && chmod +x ~/bin/forge && export PATH=~/bin:$PATH\n"));
        out.push_str("Runs signed with your key show more (P2): git config --global forge.signingkey ~/.ssh/forge\n");
        out.push_str(&format!("---\nnext: {} && {}\n", self.push, self.submit));
        out
    }
}

/// `start`.
pub const START: Command = Command {
    name: "start",
    aliases: &["work-on", "claim"],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "work on an issue: answers with one block to paste",
    example: "start parser/12",
    run: start,
};

fn start(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let agent = context.agent()?.clone();
    let by = context.author()?;
    let mut nonce = [0u8; 16];
    rand::rngs::OsRng
        .try_fill_bytes(&mut nonce)
        .map_err(|e| Refusal::new(Code::TryLater, "start", format!("the system gives no random bytes: {e}"), "feed"))?;
    let n = reference.n;
    let (name, root, idle_ms) = (reference.clone(), context.root.clone(), idle_ms(context, &project)?);
    let (work, after) =
        context.commit(&project.repository, move |draft| begin(draft, &root, &by, &name, &agent, (nonce, idle_ms)))?;
    let (deadline_ms, idle_ms, Work { worker, nonce, .. }) = (work.due_ms(), work.idle_ms, work);
    let config = context.forge.config();
    let issue = after.fold.issue(n);
    let others = issue.map(|i| i.workers.iter().filter(|a| **a != worker.agent).cloned().collect());
    let branch = worker.branch.short().to_owned();
    let push = match context.door {
        Door::Ssh => "git push",
        Door::Http => "git -c http.extraHeader=\"Authorization: Bearer $FORGE_TOKEN\" push",
    };
    let submit = match context.door {
        Door::Ssh => format!("ssh forge submit {branch}"),
        Door::Http => {
            format!("curl -H \"Authorization: Bearer $FORGE_TOKEN\" -d 'submit {branch}' {}/action", config.public_http)
        }
    };
    let recorder = match context.door {
        Door::Ssh => "mkdir -p ~/bin && ssh forge recorder".to_owned(),
        Door::Http => format!("mkdir -p ~/bin && curl -s {}/forge-run", config.public_http),
    };
    Ok(Answer::of(&Begun {
        recorder,
        title: issue.map(|i| i.title.clone()).unwrap_or_default(),
        command: issue.and_then(|i| i.contest.as_ref()).map(|contest| contest.command.clone()),
        bench: issue.and_then(|i| i.contest.as_ref()).and_then(|contest| contest.bench.clone()),
        clone: CloneUrls::of(context, &reference.project),
        clone_from: super::projects::clone_url(context, &reference.project),
        base: worker.base,
        deadline_ms,
        idle_ms,
        git_config: git_config(context.agent()?, &reference, worker.base, &nonce),
        nonce: hex(&nonce),
        others: others.unwrap_or_default(),
        reference,
        branch,
        push,
        submit,
    }))
}

/// Settings for the clone; each can be applied twice.
pub(super) fn git_config(agent: &AgentActor, reference: &ItemRef, base: Option<Oid>, nonce: &[u8]) -> Vec<Vec<String>> {
    let inbox = format!("{}*:{}{}/*", notes_schema::refs::OUT_PREFIX, notes_schema::refs::IN_PREFIX, agent.name);
    let mut settings = vec![
        vec!["--replace-all".to_owned(), "remote.origin.push".to_owned(), "HEAD".to_owned(), "^HEAD$".to_owned()],
        vec!["--replace-all".to_owned(), "remote.origin.push".to_owned(), inbox, "^refs/notes/forge/out".to_owned()],
    ];
    let key = agent.credential.strip_prefix("key:").unwrap_or(&agent.credential).to_owned();
    let base = base.map(|b| b.to_string()).unwrap_or_default();
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

/// So long work on an issue of the project may be without a sign of life, by the policy that holds now, milliseconds; `None` for
/// ever.
fn idle_ms(context: &Context, project: &Project) -> Result<Option<u64>, Refusal> {
    let store = project.repository.store().as_ref();
    let view = View::new(&project.snapshot, &context.root, store, context.forge.now());
    let policy = view.policy().map_err(|e| Refusal::new(Code::TryLater, "start", e.to_string(), "help policy"))?;
    Ok(Some(policy.policy.idle_hours.saturating_mul(HOUR_MS)).filter(|ms| *ms > 0))
}

/// Starts work with this nonce, which may be so long without a sign of life; or answers what was started before.
fn begin(
    draft: &mut Draft,
    root: &Snapshot,
    by: &Author,
    reference: &ItemRef,
    agent: &AgentActor,
    (nonce, idle_ms): ([u8; 16], Option<u64>),
) -> Result<Work, Refusal> {
    let snapshot = draft.snapshot();
    let issue = snapshot.fold.issue(reference.n).ok_or_else(|| {
        let why = "it is a pull request; work starts on issues";
        Refusal::new(Code::Refused, reference.to_string(), why, format!("pr {}/{}", reference.project, reference.n))
    })?;
    if issue.status != IssueStatus::Open {
        let verb = if issue.author == agent.name { "issue reopen" } else { "details" };
        let next = format!("{verb} {}/{}", reference.project, reference.n);
        return Err(Refusal::new(Code::Stale, reference.to_string(), "it is closed", next));
    }
    if let Some(work) = snapshot.fold.work_on(&agent.name, reference.n)
        && may_use(snapshot, &work.worker.branch, agent)
    {
        return Ok(work.clone());
    }
    let (base, deadline_ms, idle_ms) = match &issue.contest {
        Some(contest) => {
            super::contest::may_start(root, reference, contest, &agent.name)?;
            (Some(contest.base), contest.closes_ms.unwrap_or(draft.now().saturating_add(contest.runs_ms)), None)
        }
        None => {
            let due_ms = draft.now().saturating_add(idle_ms.unwrap_or(DEADLINE_MS));
            (snapshot.default_tip(), due_ms, idle_ms)
        }
    };
    let branch = free_branch(snapshot, agent, reference.n, &issue.title)?;
    let fact = WorkStarted { base, branch, nonce: nonce.to_vec(), deadline_ms, idle_ms };
    draft.event(by, &EntityId::Issue(reference.n), fact, None, &[])?;
    let begun = draft.snapshot().fold.work_on(&agent.name, reference.n).cloned();
    Ok(begun.expect("invariant: what was started a moment ago is folded"))
}

/// Whether a branch is free or the agent's own, and not that of a pull request that has ended.
fn may_use(snapshot: &Snapshot, branch: &RefName, agent: &AgentActor) -> bool {
    !snapshot.fold.ended_branches.contains(branch)
        && snapshot.owners.get(branch).is_none_or(|owner| *owner == agent.name)
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
pub const ABANDON: Command = Command {
    name: "abandon",
    aliases: &["drop"],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape::words(0, 1),
    usage: "[ref]",
    summary: "give an issue up; it costs no rating",
    example: "abandon parser/12",
    run: abandon,
};

fn abandon(context: &Context, args: &Args) -> Result<Answer, Refusal> {
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
        let working = draft.snapshot().fold.work_on(&by.agent, n).is_some();
        if !working {
            return Err(Refusal::new(Code::Stale, name.to_string(), "you are not working on it", "my-work"));
        }
        draft.event(&by, &EntityId::Issue(n), WorkAbandoned {}, None, &[]).map(|r| r.q)
    })?;
    Ok(Answer::of(&Changed { reference, state: "given up", seq: q }))
}

/// The one issue that an agent is working on, or the candidates.
pub(super) fn only_work(context: &Context, agent: &AgentName) -> Result<(Project, ItemRef), Refusal> {
    let mut found = Vec::new();
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        found.extend(snapshot.fold.work_of(agent).map(|(n, _)| ItemRef { project: repository.name().clone(), n }));
    }
    match found.as_slice() {
        [] => Err(Refusal::new(Code::NotFound, "work", "you are not working on anything", "feed")),
        [only] => context.item(&only.to_string()).map(|(project, reference, _)| (project, reference)),
        several => {
            let names: Vec<String> = several.iter().map(ItemRef::to_string).collect();
            let why = format!("you work on several: {}; say which", names.join(", "));
            Err(Refusal::new(Code::Usage, "work", why, "my-work"))
        }
    }
}
