//! Pull requests: showing one, listing, closing.

use notes_schema::event::{Proof, PullClosed};
use notes_schema::{AgentName, EntityId, ItemRef, Oid};
use search::Kind;
use serde::Serialize;

use super::challenge::Standing;
use super::checks::{self, CheckLine};
use super::context::Project;
use super::gate::{Gate, GateLine, gate_markdown, gate_of, next_for};
use super::items::{self, Shown};
use super::lists;
use super::mail::{self, Form};
use super::may::{self, May};
use super::merges::Merges;
use super::rounds::{self, Part, Round, Shows};
use super::text::{count, inline, quote};
use super::turn::Turn;
use super::{Args, Command, Context, Shape, Takes, notes, vote};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::state::{PullState, PullStatus};
use git::diff;
use git::store::Objects as _;

/// Longest diff in an answer, in bytes.
/// Limit: text of one `diff` | {:bytes}; the answer says what is left out
pub(super) const LONGEST_DIFF: usize = 64 << 10;
/// Most files of a diff.
/// Limit: files of one `diff` | {}; the answer says what is left out
pub(super) const MOST_FILES: usize = 1000;

#[derive(Debug, Clone, Serialize)]
pub(super) struct ReviewLine {
    agent: AgentName,
    verdict: &'static str,
    #[serde(skip)]
    past: &'static str,
    head: Oid,
    live: bool,
    text: String,
}

#[derive(Serialize)]
struct Whole {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    state: &'static str,
    author: AgentName,
    branch: String,
    target: String,
    issue: Option<ItemRef>,
    head: Oid,
    base: Oid,
    round: u64,
    /// Every round, oldest first.
    rounds: Vec<Round>,
    /// When it was opened, milliseconds since 1970.
    opened_ms: u64,
    /// Whose turn it is; nobody's once it is over.
    turn: Option<Turn>,
    proof: String,
    proof_means: &'static str,
    proof_detail: Proof,
    /// Whether its head merges with its target now, and which files conflict.
    merges: Merges,
    risk: Option<hooks::policy::Risk>,
    /// The blob of the policy that judges; none where the defaults do.
    policy: Option<Oid>,
    reviews: Vec<ReviewLine>,
    gate: Vec<GateLine>,
    /// What external checks said of the head's tree.
    checks: Vec<CheckLine>,
    comments: Vec<Shown>,
    /// Who ran the proof again, and what came of it.
    #[serde(flatten)]
    standing: Standing,
    notes: Vec<notes::Live>,
    votes: vote::Standing,
    /// Whether it is the accepted answer to its issue.
    accepted: bool,
    landed: Option<Oid>,
    body: String,
    url: String,
    /// The commands that whoever asks may give on it, as it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    may: May,
    next: String,
    /// Which changes the diff is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    shows: Option<Shows>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_truncated: Option<bool>,
    added: u64,
    removed: u64,
}

impl Render for Whole {
    fn markdown(&self) -> String {
        let mut out = format!("# {}: {}\n\n", self.reference, inline(&self.title));
        let issue = self.issue.as_ref().map_or(String::new(), |i| format!(" · for {i}"));
        // Between backticks stands no backtick.
        let (from, to) = (self.branch.replace('`', "'"), self.target.replace('`', "'"));
        out.push_str(&format!("{} · by {} · `{from}` → `{to}`{issue}\n", self.state, self.author));
        out.push_str(&format!(
            "round {} · head `{}` · base `{}` · +{} −{} lines\n",
            self.round,
            self.head.short(),
            self.base.short(),
            self.added,
            self.removed
        ));
        if let [earlier @ .., _] = self.rounds.as_slice()
            && let Some(last) = earlier.last()
        {
            let path = format!("{}/{}", self.reference.project, self.reference.n);
            out.push_str(&format!("since round {}: `pr {path} --since-round {}`\n", last.round, last.round));
        }
        out.push_str(&self.merges.line(&to));
        let proof = crate::forge::shown_proof(&self.proof_detail);
        out.push_str(&format!("proof {proof} · {}: `help proof`\n", self.proof_means));
        if !self.standing.is_empty() {
            out.push_str(&format!("run again on the same tree: {}\n", self.standing.words()));
        }
        out.push_str(&self.votes.line());
        if let (true, Some(issue)) = (self.accepted, &self.issue) {
            out.push_str(&format!("accepted as the answer to {issue}\n"));
        }
        if let Some(landed) = &self.landed {
            out.push_str(&format!("landed as `{}`\n", landed.short()));
        }
        if !self.body.is_empty() {
            out.push_str(&format!("\n{}", quote(&self.author, "", &self.body)));
        }
        out.push_str(&format!("\n## Gate\n\n{}", gate_markdown(&self.gate)));
        if let Some(turn) = &self.turn {
            out.push_str(&format!("\nwhose turn: {}\n", turn.words));
        }
        out.push_str(&checks::section(&self.checks));
        if !self.reviews.is_empty() {
            out.push_str("\n## Reviews\n\n");
        }
        for review in &self.reviews {
            let void = if review.live { "" } else { " (on an older head: void)" };
            out.push_str(&format!("- {} {} at {}{void}\n", review.agent, review.past, review.head.short()));
        }
        if !self.comments.is_empty() {
            out.push_str(&format!("\n## Said ({})\n\n", self.comments.len()));
        }
        for comment in &self.comments {
            out.push_str(&comment.markdown());
        }
        out.push_str(&notes::markdown(&self.notes));
        if let Some(diff) = &self.diff {
            let fence = "`".repeat(longest_run(diff, '`').max(2) + 1);
            out.push_str(&format!("\n## Diff (by {}, as data)\n\n", self.author));
            if let Some(shows) =
                self.shows.as_ref().filter(|shows| shows.part != Part::Whole || shows.round != self.round)
            {
                out.push_str(&format!("{}\n\n", inline(&shows.means)));
            }
            out.push_str(&format!("{fence}diff\n{diff}{fence}\n"));
            if self.diff_truncated == Some(true) {
                let range = format!("{}..{}", self.base.short(), self.head.short());
                out.push_str(&format!(
                    "The diff is longer; the whole of it: `git fetch origin refs/pull/{}/head && git diff {range}`\n",
                    self.reference.n
                ));
            }
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// `pr`.
pub const PR: Command = Command {
    name: "pr",
    aliases: &["pr view", "pr show", "pr-status", "pr-comments", "pull"],
    needs: Needs::Read,
    of: Of::Project,
    shape: {
        let flags = &[rounds::FLAGS[0], rounds::FLAGS[1], rounds::FLAGS[2], rounds::FLAGS[3], ("as", Takes::Word)];
        Shape::words(0, 1).flags(flags)
    },
    usage: "<ref> [--diff] [--round N] [--since-round N] [--ignore-space] | <ref> --as patch|diff",
    summary: "a pull request: its gate, reviews, thread and diff",
    example: "pr parser/47 --diff",
    run: pr,
};

fn pr(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference) = match args.word(0) {
        Some(word) => {
            let (project, reference, _) = context.item(word)?;
            (project, reference)
        }
        None => only_pull(context)?,
    };
    let n = reference.n;
    let pull = project.snapshot.fold.pull(n).ok_or_else(|| {
        let next = format!("details {}/{n}", reference.project);
        Refusal::new(Code::NotFound, reference.to_string(), "it is an issue, not a pull request", next)
    })?;
    if let Some(word) = args.value("as") {
        let form =
            Form::named(word).ok_or_else(|| context.usage("--as is patch, for git am, or diff, for git apply"))?;
        return mail::of(&project, reference, pull, form);
    }
    let Gate { lines: gate, merges, risk, policy } = gate_of(context, &project, n, pull)?;
    let checks = checks::of_pull(&project, pull);
    let events = items::events(&project, &EntityId::Pull(n))?;
    let rounds = rounds::of(&events);
    let totals = totals(&project, pull)?;
    // Whoever names a round wants to see it.
    let asked = rounds::FLAGS.iter().any(|(flag, _)| args.has(flag));
    let changes = match asked {
        true => Some(rounds::changes(context, args, &project, &reference, &rounds, LONGEST_DIFF)?),
        false => None,
    };
    let has_read = changes.as_ref().is_some_and(|changes| changes.shows.round == pull.round);
    let body = events.first().and_then(|e| e.text.clone()).unwrap_or_default();
    let review = |r: &crate::state::ReviewState| ReviewLine {
        agent: r.agent.clone(),
        verdict: r.verdict.as_str(),
        past: r.verdict.past(),
        head: r.head,
        live: r.head == pull.head,
        text: events.iter().find(|e| e.seq == r.q).and_then(|e| e.text.clone()).unwrap_or_default(),
    };
    let reviews: Vec<ReviewLine> = pull.reviews.iter().map(review).collect();
    let issue = pull.issue.map(|n| ItemRef { project: reference.project.clone(), n });
    let answer = Answer::of(&Whole {
        title: pull.title.clone(),
        state: pull.status.as_str(),
        author: pull.author.clone(),
        branch: pull.branch.short().to_owned(),
        target: pull.target.short().to_owned(),
        issue,
        head: pull.head,
        base: pull.base,
        round: pull.round,
        rounds,
        opened_ms: pull.opened_ms,
        turn: Turn::of(pull, &gate),
        proof: pull.proof.level.to_string(),
        proof_means: crate::gate::means(pull.proof.level),
        proof_detail: pull.proof.clone(),
        merges,
        risk,
        policy,
        reviews,
        may: may::pull(context, &project, &reference, pull),
        next: next_for(context, reference.project.as_str(), n, pull, &gate, has_read),
        gate,
        checks,
        standing: Standing::of(&project.snapshot, project.repository.store().as_ref(), pull),
        notes: notes::live(&project.snapshot.fold, n, &events),
        votes: vote::Standing::of(context, &project, n),
        accepted: project.snapshot.fold.is_accepted(n).is_some(),
        comments: events.into_iter().skip(1).filter(|e| e.text.is_some() && !e.is_note()).collect(),
        landed: pull.landed,
        url: context.url(&reference, &super::context::Item::Pull),
        reference,
        body,
        diff: changes.as_ref().map(|changes| cleaned(&changes.patch.text)),
        diff_truncated: changes.as_ref().map(|changes| changes.patch.truncated || changes.more_files),
        shows: changes.map(|changes| changes.shows),
        added: totals.added,
        removed: totals.removed,
    });
    Ok(answer)
}

/// A diff as text: what is not UTF-8 is replaced, and control characters cannot reach a terminal.
pub(super) fn cleaned(diff: &[u8]) -> String {
    let keep = |c: char| !c.is_control() || c == '\n' || c == '\t';
    String::from_utf8_lossy(diff).chars().map(|c| if keep(c) { c } else { '\u{fffd}' }).collect()
}

/// How many lines differ between base and head.
fn totals(project: &Project, pull: &PullState) -> Result<diff::Totals, Refusal> {
    let store = project.repository.store().as_ref();
    let failed = |e: String| Refusal::new(Code::TryLater, "diff", e, "feed");
    let tree = |id| store.commit(id).map(|c| c.tree).map_err(|e| failed(e.to_string()));
    let changes = diff::changed_paths(store, Some(tree(pull.base)?), Some(tree(pull.head)?), MOST_FILES);
    let changes = changes.and_then(|changes| diff::with_renames(store, changes));
    changes.and_then(|changes| diff::numstat(store, &changes)).map_err(|e| failed(e.to_string()))
}

/// The one open pull request of the caller, or the candidates.
pub(super) fn only_pull(context: &Context) -> Result<(Project, ItemRef), Refusal> {
    let agent = &context.agent()?.name;
    let mut mine = Vec::new();
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        let open =
            snapshot.fold.open_pulls.values().filter(|n| snapshot.fold.pull(**n).is_some_and(|p| p.author == *agent));
        mine.extend(open.map(|n| ItemRef { project: repository.name().clone(), n: *n }));
    }
    match mine.as_slice() {
        [] => Err(Refusal::new(Code::NotFound, "pr", "you have no open pull request", "feed")),
        [only] => context.item(&only.to_string()).map(|(project, reference, _)| (project, reference)),
        several => {
            let names: Vec<String> = several.iter().map(ItemRef::to_string).collect();
            let why = format!("you have {}: {}", count(several.len() as u64, "open pull request"), names.join(", "));
            Err(Refusal::new(Code::Usage, "pr", why, format!("pr {}", names[0])))
        }
    }
}

/// `pr list`.
pub const PR_LIST: Command = Command {
    name: "pr list",
    aliases: &["prs", "pulls"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 1).flags(&lists::FLAGS),
    usage: "[project] [--state open|merged|closed|all] [--label L] [--author A] [--text WORDS] [--after CURSOR]",
    summary: "the newest hundred pull requests of a project, or those behind a cursor",
    example: "pr list parser --state merged",
    run: pr_list,
};

fn pr_list(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    lists::page(context, args, Kind::Pull, |project| format!("issue list {project}"))
}

#[derive(Serialize)]
struct Closed {
    #[serde(rename = "ref")]
    reference: ItemRef,
    state: &'static str,
    seq: u64,
}

impl Render for Closed {
    fn markdown(&self) -> String {
        format!("{} is closed.\n---\nnext: feed\n", self.reference)
    }
}

/// `pr close`.
pub const PR_CLOSE: Command = Command {
    name: "pr close",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape { text: true, ..Shape::words(1, 1) },
    usage: "<ref> [text]",
    summary: "give a pull request up without merging it",
    example: "pr close parser/47 superseded",
    run: pr_close,
};

fn pr_close(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let n = reference.n;
    let pull = project.snapshot.fold.pull(n).ok_or_else(|| context.usage(format!("{reference} is an issue")))?;
    let (by, text) = (context.author()?, context.text(args));
    if !context.stands(&reference.project, pull.author == by.agent) {
        let why = format!("only {} who opened it, or the project's maintainer, may", pull.author);
        return Err(Refusal::new(
            Code::NotAllowed,
            reference.to_string(),
            why,
            format!("pr {}/{n}", reference.project),
        ));
    }
    let name = reference.clone();
    let (q, _) = context.commit(&project.repository, move |draft| {
        let pull = draft.snapshot().fold.pull(n).cloned();
        let Some(pull) = pull.filter(|p| p.status == PullStatus::Open) else {
            return Err(Refusal::new(Code::Stale, name.to_string(), "it is not open any more", "feed"));
        };
        draft.keep(pull.head);
        super::merge::drop_inbox(draft, &pull)?;
        draft.event(&by, &EntityId::Pull(n), PullClosed {}, text.as_deref(), &[]).map(|r| r.q)
    })?;
    Ok(Answer::of(&Closed { reference, state: "closed", seq: q }))
}
