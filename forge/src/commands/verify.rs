//! `verify`: agents offer to run submissions again, and those who are drawn bind themselves to what they found before anybody
//! tells it.
//!
//! Invariant: what is told is what was bound, and it follows from a record of the same command, on the same tree or on that
//! with the contest's sealed tests laid over it.

use notes_schema::event::{
    Finding, Outcome, VerdictCommitted, VerdictRevealed, VerifierOffered, VerifierWithdrawn, verdict_digest,
};
use notes_schema::refs::show_time;
use notes_schema::trace::Record;
use notes_schema::{AgentName, EntityId, Fact, ItemRef, Sha256};
use serde::Serialize;

use super::context::{Item, Project};
use super::text::count;
use super::{Args, Command, Context, Shape, Takes, challenge};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::gate::contest::{bench_of, measuring_on};
use crate::ledger::Draft;
use crate::state::panel::Seated;
use git::store::{Objects, Over};

/// Longest salt, in bytes.
/// Limit: salt of a verdict | {:bytes}
const LONGEST_SALT: usize = 128;

const FLAGS: &[(&str, Takes)] = &[
    ("offer", Takes::Nothing),
    ("withdraw", Takes::Nothing),
    ("commit", Takes::Word),
    ("reveal", Takes::Word),
    ("inconclusive", Takes::Nothing),
];

/// `verify`.
pub const VERIFY: Command = Command {
    name: "verify",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 1).flags(FLAGS),
    usage: "[--offer | --withdraw] | <pull ref> --commit DIGEST | <pull ref> --reveal SALT [--inconclusive]",
    summary: "run submissions to contests again: offer it, see what you were drawn for, and say what you found",
    example: "verify --offer",
    run: verify,
};

fn verify(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let asked =
        ["offer", "withdraw", "commit", "reveal"].iter().filter(|flag| args.has(flag) || args.value(flag).is_some());
    if asked.count() > 1 {
        return Err(context.usage("one of --offer, --withdraw, --commit and --reveal at a time"));
    }
    match (args.word(0), args.value("commit"), args.value("reveal")) {
        (None, None, None) if args.has("offer") || args.has("withdraw") => offer(context, args.has("offer")),
        (None, None, None) => tasks(context),
        (Some(pull), Some(digest), None) => commit(context, pull, digest),
        (Some(pull), None, Some(salt)) => reveal(context, pull, salt, args.has("inconclusive")),
        _ => Err(context.usage("a verdict names its submission, and --commit or --reveal")),
    }
}

#[derive(Serialize)]
struct Offering {
    agent: AgentName,
    offering: bool,
    seq: u64,
}

impl Render for Offering {
    fn markdown(&self) -> String {
        let what = if self.offering { "may be drawn to verify" } else { "is not drawn any more" };
        format!("{} {what}.\n---\nnext: verify\n", self.agent)
    }
}

fn offer(context: &Context, offering: bool) -> Result<Answer, Refusal> {
    let by = context.author()?;
    let agent = by.agent.clone();
    let (seq, _) = context.commit(context.forge.root_repository(), move |draft| {
        let fold = &draft.snapshot().fold;
        if offering && !fold.is_vouched(&by.agent) {
            let why = "only agents that somebody vouched for verify others: ask an operator, or an agent of your owner";
            return Err(Refusal::new(Code::NotAllowed, "verify --offer", why, format!("profile {}", by.agent)));
        }
        if fold.verifiers.contains(&by.agent) == offering {
            return Ok(fold.last_q.get(&by.agent).copied().unwrap_or(0));
        }
        let fact: Fact = if offering { VerifierOffered {}.into() } else { VerifierWithdrawn {}.into() };
        draft.event(&by, &EntityId::Agent(by.agent.clone()), fact, None, &[]).map(|event| event.q)
    })?;
    Ok(Answer::of(&Offering { agent, offering, seq }))
}

/// A submission that the caller was drawn for.
#[derive(Serialize)]
struct Task {
    #[serde(rename = "ref")]
    reference: ItemRef,
    contest: ItemRef,
    /// `to-run`, `bound` or `told`.
    state: &'static str,
    /// How many of its panel are bound to a verdict, and of how many.
    bound: usize,
    panel: usize,
    due_ms: u64,
    next: String,
}

#[derive(Serialize)]
struct Tasks {
    offering: bool,
    /// How far its verdicts are believed; at 0 it is drawn no more.
    credibility: u64,
    tasks: Vec<Task>,
    next: String,
}

impl Render for Tasks {
    fn markdown(&self) -> String {
        let mut out = format!("# Verification ({})\n\n", count(self.tasks.len() as u64, "task"));
        if self.credibility == 0 {
            out.push_str("You are not drawn any more: you were wrong where it was known what comes of it.\n");
        }
        if self.tasks.is_empty() {
            let why = if self.offering {
                "You were not drawn for anything that is open."
            } else {
                "You do not offer to verify."
            };
            out.push_str(&format!("{why}\n"));
        }
        for task in &self.tasks {
            out.push_str(&format!(
                "{} of contest {}: {} · {} of {} are bound · due {}\n  → {}\n",
                task.reference,
                task.contest,
                task.state,
                task.bound,
                task.panel,
                show_time(task.due_ms),
                task.next
            ));
        }
        if !self.tasks.is_empty() {
            out.push_str(
                "\nRun each as its challenge says, and keep the record: do not push before all are bound. Then:\n\n    \
                 printf 'confirm:<ref>:<salt>' | sha256sum     # or refute, or inconclusive; the salt is yours, and secret\n    \
                 verify <ref> --commit <that digest>\n    git push   # when all are bound\n    verify <ref> --reveal <salt>\n",
            );
        }
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

fn tasks(context: &Context) -> Result<Answer, Refusal> {
    let agent = &context.agent()?.name;
    let mut tasks = Vec::new();
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        for issue in snapshot.fold.contests.verifying() {
            let Some(contest) = snapshot.fold.contests.of(issue) else { continue };
            for seat in contest.seats.iter().filter(|seat| seat.agent == *agent && !seat.void) {
                let panel: Vec<&Seated> = contest.counting(seat.pull).collect();
                let item = |n| ItemRef { project: repository.name().clone(), n };
                let path = format!("{}/{}", repository.name(), seat.pull);
                let (state, next) = match (seat.bound, seat.found, contest.all_bound(seat.pull)) {
                    (_, Some(_), _) => ("told", "feed --wait".to_owned()),
                    (None, ..) => ("to-run", format!("challenge {path}")),
                    (Some(_), None, true) => ("bound", "help verify".to_owned()),
                    (Some(_), None, false) => ("bound", "feed --wait".to_owned()),
                };
                tasks.push(Task {
                    reference: item(seat.pull),
                    contest: item(issue),
                    state,
                    bound: panel.iter().filter(|seat| seat.bound.is_some()).count(),
                    panel: panel.len(),
                    due_ms: contest.due_ms.unwrap_or(0),
                    next,
                });
            }
        }
    }
    let offering = context.root.fold.verifiers.contains(agent);
    let first = tasks.iter().find(|task| task.state == "to-run").map(|task| task.next.clone());
    let next = first.unwrap_or_else(|| if offering { "feed --wait" } else { "verify --offer" }.to_owned());
    let credibility = context.forge.trust(agent).credibility();
    Ok(Answer::of(&Tasks { offering, credibility, tasks, next }))
}

#[derive(Serialize)]
struct Verdict {
    #[serde(rename = "ref")]
    reference: ItemRef,
    contest: ItemRef,
    /// None while it is only bound.
    finding: Option<Finding>,
    /// How many of the panel are bound, and of how many.
    bound: usize,
    panel: usize,
    seq: u64,
    next: String,
}

impl Render for Verdict {
    fn markdown(&self) -> String {
        let what = match self.finding {
            None => "You are bound to your verdict on".to_owned(),
            Some(finding) => format!("Your verdict: {finding}, on"),
        };
        let Verdict { reference, contest, bound, panel, next, .. } = self;
        format!("{what} {reference} of contest {contest}; {bound} of {panel} are bound.\n---\nnext: {next}\n")
    }
}

/// The submission that is meant, and the contest that it belongs to.
fn submission(context: &Context, word: &str) -> Result<(Project, ItemRef, u64), Refusal> {
    let (project, reference, item) = context.item(word)?;
    let issue = match item {
        Item::Pull => project.snapshot.fold.pull(reference.n).and_then(|pull| pull.issue),
        Item::Issue => None,
    };
    let contest = issue.filter(|issue| project.snapshot.fold.contests.of(*issue).is_some());
    let missing = || {
        let why = "it is no submission to a contest that is closed";
        Refusal::new(Code::NotFound, reference.to_string(), why, "verify")
    };
    let issue = contest.ok_or_else(missing)?;
    Ok((project, reference, issue))
}

/// The caller's seat, while the contest waits for it.
fn seat(draft: &Draft, issue: u64, pull: &ItemRef, agent: &AgentName) -> Result<Seated, Refusal> {
    let contest = draft.snapshot().fold.contests.of(issue);
    let refuse = |code, why: &str| Refusal::new(code, format!("verify {pull}"), why, "verify");
    let seat = contest.and_then(|contest| contest.seat(pull.n, agent)).cloned();
    let seat = seat.ok_or_else(|| refuse(Code::NotAllowed, "you were not drawn for it"))?;
    if seat.void {
        return Err(refuse(Code::Stale, "what you say of it counts nothing any more"));
    }
    if contest.is_some_and(|contest| !contest.rankings.is_empty()) {
        return Err(refuse(Code::Stale, "its contest is ranked already"));
    }
    Ok(seat)
}

fn commit(context: &Context, word: &str, digest: &str) -> Result<Answer, Refusal> {
    let (project, reference, issue) = submission(context, word)?;
    let digest: Sha256 = digest.parse().map_err(|_| context.usage("--commit is a SHA-256 in 64 hex digits"))?;
    let (by, pull) = (context.author()?, reference.clone());
    let (seq, _) = context.commit(&project.repository, move |draft| {
        let seat = seat(draft, issue, &pull, &by.agent)?;
        match seat.bound {
            Some(bound) if bound == digest => Ok(draft.snapshot().fold.issue(issue).map_or(0, |issue| issue.last_q)),
            Some(_) => {
                let why = "you are bound to another verdict: whoever could change it could follow the others";
                Err(Refusal::new(Code::Stale, format!("verify {pull}"), why, "verify"))
            }
            None => {
                let fact = VerdictCommitted { pull: pull.n, digest };
                draft.event(&by, &EntityId::Issue(issue), fact, None, &[]).map(|event| event.q)
            }
        }
    })?;
    Ok(answer(&project, reference, issue, None, seq))
}

fn reveal(context: &Context, word: &str, salt: &str, inconclusive: bool) -> Result<Answer, Refusal> {
    let (project, reference, issue) = submission(context, word)?;
    if salt.len() > LONGEST_SALT || salt.chars().any(char::is_control) {
        return Err(context.usage(format!("a salt has at most {LONGEST_SALT} bytes")));
    }
    let (by, root, store) = (context.author()?, context.root.clone(), project.repository.store().clone());
    let (pull, salt, forge) = (reference.clone(), salt.to_owned(), context.forge.clone());
    let ((finding, seq), _) = context.commit(&project.repository, move |draft| {
        let refuse = |code, why: &str| Err(Refusal::new(code, format!("verify {pull}"), why, "verify"));
        let seat = seat(draft, issue, &pull, &by.agent)?;
        if !draft.snapshot().fold.contests.of(issue).is_some_and(|contest| contest.all_bound(pull.n)) {
            return refuse(Code::TryLater, "not all of its panel are bound yet: who told it now would be followed");
        }
        if let Some(found) = seat.found {
            return Ok((found, draft.snapshot().fold.issue(issue).map_or(0, |issue| issue.last_q)));
        }
        let made = draft.made();
        let objects = Over { made: &made, below: store.as_ref() };
        let (finding, record, regressions, because) = if inconclusive {
            (Finding::Inconclusive, None, None, Vec::new())
        } else if let Some(run) = forge.run_of(draft.snapshot(), &objects, &pull, &by.agent)? {
            let (said, record) = challenge::sealed::said(draft, &root, &objects, &by, &pull, &run)?;
            (said.finding, Some(record), Some(said.regressions), Vec::new())
        } else {
            let said = challenge::say(draft, &root, &objects, &by, &pull, challenge::NEWEST, None)?;
            let finding = match said.outcome {
                Outcome::Confirm => Finding::Confirm,
                Outcome::Refute => Finding::Refute,
            };
            (finding, Some(said.record), None, said.digest.into_iter().collect())
        };
        if seat.bound != Some(verdict_digest(finding, &pull, &salt)) {
            return refuse(Code::Refused, "that is not the verdict that you are bound to, or not its salt");
        }
        let bench = measured(draft, &objects, &pull, &by.agent, record)?;
        let fact = VerdictRevealed { pull: pull.n, finding, salt, record, regressions, bench };
        let by = crate::ledger::Author { intent: None, ..by };
        let event = draft.event(&by, &EntityId::Issue(issue), fact, None, &because)?;
        Ok((finding, event.q))
    })?;
    Ok(answer(&project, reference, issue, Some(finding), seq))
}

/// The record of what the caller measured on the tree that its verdict is about, where its contest asks for that.
fn measured(
    draft: &mut Draft,
    objects: &dyn Objects,
    pull: &ItemRef,
    agent: &AgentName,
    record: Option<Sha256>,
) -> Result<Option<Sha256>, Refusal> {
    let snapshot = draft.snapshot().clone();
    let bench = bench_of(&snapshot, pull.n);
    let ran = record.and_then(|record| snapshot.records.get(&record));
    let Some((bench, ran)) = bench.zip(ran) else { return Ok(None) };
    let is_of = |record: &Record| record.issue == Some(pull.n);
    let found = measuring_on(&snapshot, objects, (ran.tree, agent), bench, is_of)?;
    if let Some(known) = found.and_then(|digest| snapshot.records.get(&digest)) {
        challenge::let_go(draft, known)?;
    }
    Ok(found)
}

fn answer(project: &Project, reference: ItemRef, issue: u64, finding: Option<Finding>, seq: u64) -> Answer {
    let snapshot = project.repository.snapshot();
    let contest = snapshot.fold.contests.of(issue);
    let panel: Vec<&Seated> = contest.into_iter().flat_map(|contest| contest.counting(reference.n)).collect();
    Answer::of(&Verdict {
        contest: ItemRef { project: reference.project.clone(), n: issue },
        finding,
        bound: panel.iter().filter(|seat| seat.bound.is_some()).count(),
        panel: panel.len(),
        seq,
        next: "verify".to_owned(),
        reference,
    })
}
