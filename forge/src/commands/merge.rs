//! `merge`: a pull request lands, by one of three strategies, with its proof and its authors.

mod commits;

use notes_schema::event::{IssueClosed, Level, Proof, PullMerged, Verdict};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, ProjectName, Sha256, refs};
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use super::context::Project;
use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::forge::Forge;
use crate::gate::{self, CannotLand, Landing, View, Work};
use crate::ledger::{Author, Draft, Recorded, Snapshot};
use crate::state::elo::show_change;
use crate::state::{Fold, IssueStatus, PullState, PullStatus};
use git::store::{Over, Store};
use hooks::Repo as _;
use hooks::policy::Strategy;

#[derive(Serialize)]
struct Landed {
    #[serde(rename = "ref")]
    reference: ItemRef,
    landed: Oid,
    strategy: &'static str,
    proof: Level,
    proof_means: &'static str,
    ratings: Vec<Rated>,
    seq: u64,
}

/// What an agent gained on a track.
#[derive(Serialize)]
pub(super) struct Rated {
    agent: AgentName,
    track: Track,
    delta_milli: i64,
}

impl Rated {
    /// `alpha +4 antfarm`.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}\n", self.agent, show_change(self.delta_milli), self.track.as_str())
    }
}

impl Render for Landed {
    fn markdown(&self) -> String {
        let mut out = format!("{} landed as `{}` ({}).\n", self.reference, self.landed.short(), self.strategy);
        out.push_str(&format!("What landed has proof {}: {}.\n", self.proof, self.proof_means));
        self.ratings.iter().for_each(|rated| out.push_str(&rated.line()));
        if self.ratings.is_empty() {
            out.push_str("It rates nobody: that needs an issue, and an approval, by others than the author.\n");
        }
        out.push_str("---\nnext: feed\n");
        out
    }
}

/// How often a merge is tried again when the target moved meanwhile.
/// Limit: tries of one merge while its target moves | {}
const TRIES: usize = 8;

/// `merge`.
pub const MERGE: Command = Command {
    name: "merge",
    aliases: &["pr merge"],
    needs: Needs::Agent,
    of: Of::Project,
    shape: Shape::words(1, 1).flags(&[("strategy", Takes::Word)]),
    usage: "<ref> [--strategy merge|squash|rebase] [--if-match HEAD]",
    summary: "land a pull request whose gate is satisfied",
    example: "merge parser/47",
    run: merge,
};

/// The turn that a call waits for before it takes a thread. A hundred merges into one project at once would each be outrun by
/// another, again and again; and a thread for each that waits is dear.
pub(super) async fn turn(forge: &Forge, command: &Command, args: &Args) -> Option<OwnedMutexGuard<()>> {
    if command.name != MERGE.name {
        return None;
    }
    // Where there is none to wait for, the command says so.
    let repository = forge.project(&named(args)?).ok()?;
    Some(repository.turn().await)
}

/// The project that a call names.
fn named(args: &Args) -> Option<ProjectName> {
    args.word(0)?.trim_start_matches('#').parse::<ItemRef>().ok().map(|reference| reference.project)
}

fn merge(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let asked = match args.value("strategy") {
        Some(word) => {
            let strategy = Strategy::named(word);
            Some(strategy.ok_or_else(|| context.usage("--strategy is merge, squash or rebase"))?)
        }
        None => None,
    };
    let mut outcome = None;
    // Whoever named the project waited for its turn before; a bare number says which only now.
    let turn = named(args).is_none().then(|| project.repository.blocking_turn());
    for _ in 0..TRIES {
        let current = Project { snapshot: project.repository.snapshot(), repository: project.repository.clone() };
        match attempt(context, &current, &reference, asked) {
            Err(refusal) if refusal.rule == MOVED => {}
            other => {
                outcome = Some(other);
                break;
            }
        }
    }
    let busy = || {
        Err(Refusal::new(
            Code::TryLater,
            reference.to_string(),
            "its target keeps moving",
            format!("merge {}/{}", reference.project, reference.n),
        ))
    };
    drop(turn);
    let done = outcome.unwrap_or_else(busy)?;
    let landed = done.landed;
    context.forge.settle(&project.repository).map_err(|refusal| {
        let why = format!("it landed as {landed}, but its rating waits: {}", refusal.why);
        Refusal {
            what: format!("merge {reference}"),
            why,
            next: format!("pr {}/{}", reference.project, reference.n),
            ..refusal
        }
    })?;
    let root = context.forge.root();
    let after = project.repository.snapshot();
    let pull = after.fold.pull(reference.n);
    let ratings = pull.map_or(Vec::new(), |p| rated(&after.fold, &root.fold, (reference.n, p), &done.event.digest));
    Ok(Answer::of(&Landed {
        reference,
        landed,
        strategy: done.strategy.as_str(),
        proof: done.proof,
        proof_means: gate::means(done.proof),
        ratings,
        seq: done.event.q,
    }))
}

/// What the event with this digest gave the author of a pull request, and those whose verdicts it judged.
pub(super) fn rated(fold: &Fold, root: &Fold, (n, pull): (u64, &PullState), event: &Sha256) -> Vec<Rated> {
    let rated = |agent: &AgentName, key: &Sha256| {
        let change = root.ratings.change_for(agent, key)?;
        Some(Rated { agent: agent.clone(), track: change.track, delta_milli: change.delta_milli })
    };
    let mut all: Vec<Rated> = rated(&pull.author, event).into_iter().collect();
    for (verdict, judged) in fold.reviews.judged_by(n, event) {
        all.extend([&judged.reviewer, &pull.author].into_iter().filter_map(|agent| rated(agent, &verdict)));
    }
    all
}

/// The rule word by which an attempt says that the target moved under it.
const MOVED: &str = "moved";

/// What was done.
struct Done {
    landed: Oid,
    strategy: Strategy,
    proof: Level,
    event: Recorded,
}

/// Merges in memory outside the committer, and lands the result if nothing moved meanwhile.
fn attempt(
    context: &Context,
    project: &Project,
    reference: &ItemRef,
    asked: Option<Strategy>,
) -> Result<Done, Refusal> {
    let n = reference.n;
    let path = format!("{}/{n}", reference.project);
    let pull = project.snapshot.fold.pull(n).cloned();
    let pull = pull.ok_or_else(|| {
        Refusal::new(
            Code::NotFound,
            reference.to_string(),
            "it is an issue, not a pull request",
            format!("details {path}"),
        )
    })?;
    if pull.status != PullStatus::Open {
        return Err(Refusal::new(
            Code::Stale,
            reference.to_string(),
            format!("it is {} already", pull.status.as_str()),
            "feed",
        ));
    }
    super::gate::still_at(&pull, reference, context.if_match.as_slice())?;
    super::contest::may_merge(&project.snapshot, &pull, reference)?;
    let store = project.repository.store().clone();
    let onto = project.snapshot.ref_id(&pull.target);
    let onto = onto.ok_or_else(|| {
        Refusal::new(Code::Refused, reference.to_string(), "its target does not exist", format!("pr {path}"))
    })?;
    let later =
        |e: &dyn std::fmt::Display| Refusal::new(Code::TryLater, format!("merge {reference}"), e.to_string(), "feed");
    let by = context.author()?;
    let view = View::new(&project.snapshot, &context.root, store.as_ref(), context.forge.now());
    let strategy = match asked {
        Some(strategy) => strategy,
        None => view.policy().map_err(|e| later(&e))?.policy.strategy,
    };
    let landing = gate::compute_landing(&store, onto, &pull, strategy);
    let work = Work::landing(&view, n, &pull, onto, &landing).map_err(|e| later(&e))?.merged(&by.agent, strategy);
    if let Err(CannotLand::NoRebase(why)) = &landing {
        let next = format!("merge {path} --strategy squash");
        let what = format!("merge {reference} by rebase");
        return Err(Refusal::new(Code::Refused, what, why.as_str(), next).by_rule("strategy"));
    }
    work.check_merge(&view).map_err(|refusal| {
        if by.agent == pull.author {
            return Refusal { next: super::gate::own_next(&refusal.next, &path, &pull), ..refusal };
        }
        // Nobody approves twice: whoever did can only wait for others.
        let spoken = pull.live(Verdict::Approve).any(|review| review.agent == by.agent);
        let waits = spoken && refusal.next.starts_with("ssh forge review approve ");
        if waits {
            return Refusal { next: "feed --wait".to_owned(), ..refusal };
        }
        refusal
    })?;
    let landing = landing.map_err(|e| later(&e))?;
    let (root, name) = (context.root.clone(), reference.clone());
    let (done, _) = context.commit(&project.repository, move |draft| {
        land(draft, &store, &root, &by, &name, &Judged { pull: &pull, work: &work, landing: &landing })
    })?;
    Ok(done)
}

/// What was found out about a merge outside the committer.
struct Judged<'a> {
    pull: &'a PullState,
    work: &'a Work,
    landing: &'a Landing,
}

fn land(
    draft: &mut Draft,
    store: &Store,
    root: &Snapshot,
    by: &Author,
    reference: &ItemRef,
    judged: &Judged<'_>,
) -> Result<Done, Refusal> {
    let Judged { pull, work, landing } = judged;
    let snapshot = draft.snapshot().clone();
    let now = snapshot.fold.pull(reference.n);
    let unchanged = now.is_some_and(|p| {
        p.head == pull.head && p.status == pull.status && p.reviews == pull.reviews && p.proof == pull.proof
    });
    // The policy and the work's base hang on where the default branch is.
    if !unchanged || snapshot.ref_id(&pull.target) != Some(landing.onto) {
        return Err(Refusal::new(Code::Stale, reference.to_string(), "it moved", "feed").by_rule(MOVED));
    }
    let made = draft.made();
    let objects = Over { made: &made, below: store };
    let view = View::new(&snapshot, root, &objects, draft.now());
    work.check_merge(&view)?;
    let later = |e: &dyn std::fmt::Display| Refusal::new(Code::TryLater, reference.to_string(), e.to_string(), "feed");
    let policy = view.policy().map_err(|e| later(&e))?.blob;
    let proof = work.proof_of_landed(&view, landing.tree)?;
    for (id, object) in landing.objects.iter().cloned() {
        draft.known_object(id, object);
    }
    let message = message(reference, pull, by, landing, &proof);
    let landed = commits::write(draft, store, pull, landing, message).map_err(|e| later(&e))?;
    draft.set_ref(&pull.target, Some(landing.onto), Some(landed), None, None)?;
    draft.keep(pull.head);
    let fact = PullMerged {
        landed,
        onto: landing.onto,
        head: pull.head,
        strategy: landing.strategy.as_str().to_owned(),
        issue: pull.issue,
        proof: proof.record.is_some().then(|| proof.clone()),
        policy,
    };
    let event = draft.event(by, &EntityId::Pull(reference.n), fact, None, &[])?;
    if let Some(issue) = pull.issue {
        close_issue(draft, by, reference, issue, event.digest)?;
        draft.outbox(&event);
    }
    draft.outbox_of_judged(&event);
    drop_inbox(draft, pull)?;
    Ok(Done { landed, strategy: landing.strategy, proof: proof.level, event })
}

fn message(reference: &ItemRef, pull: &PullState, by: &Author, landing: &Landing, proof: &Proof) -> String {
    let issue = pull.issue.map_or(String::new(), |n| format!("Closes {}#{n}\n", reference.project));
    let approvals: Vec<String> = pull.live(Verdict::Approve).map(|r| format!("Approved-by: {}\n", r.agent)).collect();
    let title: String = pull.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let subject = match landing.strategy {
        Strategy::Merge | Strategy::Rebase => format!("Merge {reference}: {title}"),
        Strategy::Squash => format!("{title} ({reference})"),
    };
    // What was proven is the head's tree; where another landed, that is said.
    let shown = match proof.record {
        Some(_) => crate::forge::shown_proof(proof),
        None => format!("{}, of head {} alone", crate::forge::shown_proof(&pull.proof), pull.head.short()),
    };
    format!("{subject}\n\n{issue}Proof: {shown}\n{}Merged-by: {}\n", approvals.concat(), by.agent)
}

fn close_issue(draft: &mut Draft, by: &Author, pull: &ItemRef, issue: u64, because: Sha256) -> Result<(), Refusal> {
    if draft.snapshot().fold.issue(issue).is_none_or(|i| i.status == IssueStatus::Closed) {
        return Ok(());
    }
    let by = Author { intent: None, ..by.clone() };
    let fact = IssueClosed { fixed_by: Some(pull.clone()) };
    draft.event(&by, &EntityId::Issue(issue), fact, None, &[because]).map(drop)
}

/// The refs that brought an ended pull request's records go; the records stay in their months.
pub(super) fn drop_inbox(draft: &mut Draft, pull: &PullState) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let prefix = format!("{}{}/", refs::IN_PREFIX, pull.author);
    let theirs = snapshot.records_of(&pull.author).filter(|r| r.issue == pull.issue);
    for record in theirs.filter(|r| r.name.as_str().starts_with(&prefix)) {
        let old = snapshot.ref_id(&record.name);
        if old.is_some() {
            draft.set_ref(&record.name, old, None, None, None)?;
        }
    }
    Ok(())
}
