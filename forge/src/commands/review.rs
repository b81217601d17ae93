//! Verdicts and merging.

use std::sync::Arc;

use notes_schema::event::{IssueClosed, PullMerged, Reviewed, Verdict};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256, refs};
use serde::Serialize;

use super::context::Project;
use super::text::inline;
use super::{Args, Command, Context, Shape, Stdin};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::Needs;
use crate::gate::{View, Work};
use crate::ledger::{Author, Draft, Recorded, Snapshot};
use crate::state::elo::show_change;
use crate::state::{IssueStatus, PullState, PullStatus};
use git::merge::{self, MergeError};
use git::object::{NewCommit, Object};
use git::store::{Objects as _, Store};
use hooks::gate::Mergeability;

#[derive(Serialize)]
struct Given {
    #[serde(rename = "ref")]
    reference: ItemRef,
    verdict: &'static str,
    head: Oid,
    seq: u64,
    next: String,
}

impl Render for Given {
    fn markdown(&self) -> String {
        format!("{} on {} at {}.\n---\nnext: {}\n", self.verdict, self.reference, self.head.short(), self.next)
    }
}

fn verdict(word: &str) -> Option<Verdict> {
    Some(match word {
        "approve" | "approved" | "lgtm" => Verdict::Approve,
        "request-changes" | "reject" | "changes" => Verdict::RequestChanges,
        "comment" => Verdict::Comment,
        _ => return None,
    })
}

/// `review`.
pub const REVIEW: Command = Command {
    name: "review",
    aliases: &["lgtm", "approve"],
    needs: Needs::Agent,
    shape: {
        // `review approve 7` and `review 7 approve`; in `lgtm 7 nice` the second word begins the text.
        Shape { text: true, stdin: Stdin::Dash, ..Shape::words(1, 2) }
    },
    usage: "approve|request-changes|comment <ref> [text]",
    summary: "give a verdict on a pull request's head",
    example: "review approve parser/47 reads well",
    run: review,
};

fn review(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (verdict, word, text) = spelled(context, args)?;
    let (project, reference, _) = context.item(&word)?;
    let n = reference.n;
    let by = context.author()?;
    let text = text.or_else(|| context.body.clone()).filter(|t| !t.trim().is_empty());
    if verdict != Verdict::Approve && text.is_none() {
        return Err(context.usage(format!("{} needs words that say why", verdict.as_str())));
    }
    let expected = context.if_match.clone();
    let name = reference.clone();
    let (head, q) = context
        .commit(&project.repository, move |draft| {
            give(draft, &by, &name, verdict, text.as_deref(), expected.as_deref())
        })?
        .0;
    let path = format!("{}/{n}", reference.project);
    let next = if verdict == Verdict::Approve { format!("merge {path}") } else { "feed --wait".to_owned() };
    Ok(Answer::of(&Given { reference, verdict: verdict.as_str(), head, seq: q, next }))
}

/// Verdict, reference and text, in whichever order they came.
fn spelled(context: &Context, args: &Args) -> Result<(Verdict, String, Option<String>), Refusal> {
    let (first, second) = (args.word(0).unwrap_or(""), args.word(1));
    if context.named_as(&["lgtm", "approve"]) {
        let words: Vec<&str> = second.into_iter().chain(args.text.as_deref()).collect();
        return Ok((Verdict::Approve, first.to_owned(), Some(words.join(" "))));
    }
    match (verdict(first), second.and_then(verdict), second) {
        (Some(found), _, Some(reference)) => Ok((found, reference.to_owned(), args.text.clone())),
        (Some(_), _, None) => Err(context.usage("it needs the pull request, for example parser/47")),
        (None, Some(found), _) => Ok((found, first.to_owned(), args.text.clone())),
        (None, None, _) => Err(context.usage("a verdict is approve, request-changes or comment")),
    }
}

fn give(
    draft: &mut Draft,
    by: &Author,
    reference: &ItemRef,
    verdict: Verdict,
    text: Option<&str>,
    expected: Option<&str>,
) -> Result<(Oid, u64), Refusal> {
    let (path, shown) = (format!("{}/{}", reference.project, reference.n), reference.to_string());
    let pull = draft.snapshot().fold.pull(reference.n);
    let pull = pull.ok_or_else(|| Refusal::new(Code::NotFound, &shown, "it is an issue", format!("details {path}")))?;
    if pull.status != PullStatus::Open {
        return Err(Refusal::new(Code::Stale, shown, format!("it is {} already", pull.status.as_str()), "feed"));
    }
    if pull.author == by.agent && verdict != Verdict::Comment {
        let why = "nobody reviews their own work; another agent must";
        return Err(Refusal::new(Code::NotAllowed, format!("review {shown}"), why, "feed --wait"));
    }
    let head = pull.head;
    if expected.is_some_and(|e| e.len() < 7 || !head.to_string().starts_with(e)) {
        let why = format!("its head is {} now", head.short());
        return Err(Refusal::new(Code::Stale, shown, why, format!("pr {path} --diff")));
    }
    if let Some(done) = draft.done(by, &EntityId::Pull(reference.n)) {
        return Ok((head, done.q));
    }
    let recorded = draft.event(by, &EntityId::Pull(reference.n), Reviewed { verdict, head }, text, &[])?;
    Ok((head, recorded.q))
}

#[derive(Serialize)]
struct Landed {
    #[serde(rename = "ref")]
    reference: ItemRef,
    landed: Oid,
    strategy: String,
    ratings: Vec<Rated>,
    seq: u64,
}

#[derive(Serialize)]
struct Rated {
    agent: AgentName,
    track: Track,
    delta_milli: i64,
}

impl Render for Landed {
    fn markdown(&self) -> String {
        let mut out = format!("{} landed as `{}` ({}).\n", self.reference, self.landed.short(), inline(&self.strategy));
        for rated in &self.ratings {
            out.push_str(&format!("{} {} {}\n", rated.agent, show_change(rated.delta_milli), rated.track.as_str()));
        }
        if self.ratings.is_empty() {
            out.push_str("It rates nobody: that needs an issue, and an approval, by others than the author.\n");
        }
        out.push_str("---\nnext: feed\n");
        out
    }
}

/// How often a merge is tried again when the target moved meanwhile.
const TRIES: usize = 8;

/// `merge`.
pub const MERGE: Command = Command {
    name: "merge",
    aliases: &["pr merge"],
    needs: Needs::Agent,
    shape: Shape::words(1, 1),
    usage: "<ref>",
    summary: "land a pull request whose gate is satisfied",
    example: "merge parser/47",
    run: merge,
};

fn merge(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let mut outcome = None;
    for _ in 0..TRIES {
        let current = Project { snapshot: project.repository.snapshot(), repository: project.repository.clone() };
        match attempt(context, &current, &reference) {
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
    let (landed, strategy, merged, author) = outcome.unwrap_or_else(busy)?;
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
    let change = root.fold.ratings.change_for(&author, &merged.digest);
    let ratings: Vec<Rated> =
        change.iter().map(|c| Rated { agent: author.clone(), track: c.track, delta_milli: c.delta_milli }).collect();
    Ok(Answer::of(&Landed { reference, landed, strategy, ratings, seq: merged.q }))
}

/// The rule word by which an attempt says that the target moved under it.
const MOVED: &str = "moved";

type Attempt = (Oid, String, Recorded, AgentName);

/// Merges in memory outside the committer, and lands the result if nothing moved meanwhile.
fn attempt(context: &Context, project: &Project, reference: &ItemRef) -> Result<Attempt, Refusal> {
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
    let store = project.repository.store().clone();
    check_gate(&project.snapshot, &context.root, &store, n, &pull).map_err(|refusal| {
        // Nobody approves their own work: its author can only wait.
        let waits = refusal.rule == "approval" && context.actor.agent().is_some_and(|a| a.name == pull.author);
        if waits { Refusal { next: "feed --wait".to_owned(), ..refusal } } else { refusal }
    })?;
    let onto = project.snapshot.ref_id(&pull.target);
    let onto = onto.ok_or_else(|| {
        Refusal::new(Code::Refused, reference.to_string(), "its target does not exist", format!("pr {path}"))
    })?;
    let (tree, objects) = merged_tree(&store, onto, pull.head, reference)?;
    let (by, root, name) = (context.author()?, context.root.clone(), reference.clone());
    let author = pull.author.clone();
    let ((landed, strategy, recorded), _) = context.commit(&project.repository, move |draft| {
        land(draft, &store, &root, &by, &name, &pull, Ready { onto, tree, objects })
    })?;
    Ok((landed, strategy, recorded, author))
}

fn check_gate(
    snapshot: &Snapshot,
    root: &Arc<Snapshot>,
    store: &Store,
    n: u64,
    pull: &PullState,
) -> Result<(), Refusal> {
    let view = View { snapshot, root, objects: store };
    let work = Work::of_pull(&view, store, n, pull);
    let work = work.map_err(|e| Refusal::new(Code::TryLater, format!("merge {n}"), e.to_string(), "feed"))?;
    work.check_merge(&view).map(drop)
}

fn merged_tree(store: &Store, onto: Oid, head: Oid, reference: &ItemRef) -> Result<(Oid, Vec<(Oid, Object)>), Refusal> {
    let failed = |e: String| Refusal::new(Code::TryLater, format!("merge {reference}"), e, "feed");
    if git::history::is_ancestor(store, onto, head).map_err(|e| failed(e.to_string()))? {
        return Ok((store.commit(head).map_err(|e| failed(e.to_string()))?.tree, Vec::new()));
    }
    match merge::merge(store, onto, head) {
        Ok(merged) => Ok((merged.tree, merged.objects)),
        Err(error @ (MergeError::Unrelated { .. } | MergeError::Failed { .. })) => Err(failed(error.to_string())),
        Err(MergeError::Conflicts { paths }) => {
            let why = format!(
                "it conflicts with its target in {}",
                paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
            );
            let next = "git fetch origin && git merge origin/HEAD";
            Err(Refusal::new(Code::Stale, format!("merge {reference}"), why, next).by_rule("mergeable"))
        }
    }
}

/// A merge that was computed outside the committer.
struct Ready {
    onto: Oid,
    tree: Oid,
    objects: Vec<(Oid, Object)>,
}

fn land(
    draft: &mut Draft,
    store: &Arc<Store>,
    root: &Arc<Snapshot>,
    by: &Author,
    reference: &ItemRef,
    judged: &PullState,
    ready: Ready,
) -> Result<(Oid, String, Recorded), Refusal> {
    let snapshot = draft.snapshot().clone();
    let pull = snapshot.fold.pull(reference.n);
    let unchanged =
        pull.is_some_and(|p| p.head == judged.head && p.status == judged.status && p.reviews == judged.reviews);
    if !unchanged || snapshot.ref_id(&judged.target) != Some(ready.onto) {
        return Err(Refusal::new(Code::Stale, reference.to_string(), "it moved", "feed").by_rule(MOVED));
    }
    // The same head onto the same target merged a moment ago, outside of the committer.
    let view = View { snapshot: &snapshot, root, objects: store.as_ref() };
    let work = Work::of_merged(&view, reference.n, judged, Mergeability::Clean);
    let unreadable =
        |e: git::store::ReadError| Refusal::new(Code::TryLater, reference.to_string(), e.to_string(), "feed");
    work.map_err(unreadable)?.check_merge(&view)?;
    let seconds = draft.now() / 1000;
    let mut forge = crate::ledger::draft::signature_of(&AgentName::forge(), draft.now());
    forge.seconds = seconds;
    let commit = NewCommit {
        tree: ready.tree,
        parents: vec![ready.onto, judged.head],
        author: crate::ledger::draft::signature_of(&judged.author, draft.now()),
        committer: forge,
        message: message(reference, judged, by),
    };
    for (id, object) in ready.objects {
        draft.known_object(id, object);
    }
    let landed = draft.object(commit.encode(None))?;
    draft.set_ref(&judged.target, Some(ready.onto), Some(landed), None, None)?;
    draft.keep(judged.head);
    let strategy = "merge".to_owned();
    let fact =
        PullMerged { landed, onto: ready.onto, head: judged.head, strategy: strategy.clone(), issue: judged.issue };
    let merged = draft.event(by, &EntityId::Pull(reference.n), fact, None, &[])?;
    if let Some(issue) = judged.issue {
        close_issue(draft, by, reference, issue, merged.digest)?;
        draft.outbox(&merged);
    }
    drop_inbox(draft, judged)?;
    Ok((landed, strategy, merged))
}

fn message(reference: &ItemRef, pull: &PullState, by: &Author) -> String {
    let issue = pull.issue.map_or(String::new(), |n| format!("Closes {}#{n}\n", reference.project));
    let approvals: Vec<String> = pull.live(Verdict::Approve).map(|r| format!("Approved-by: {}\n", r.agent)).collect();
    let proof = crate::forge::shown_proof(&pull.proof);
    let title: String = pull.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("Merge {reference}: {title}\n\n{issue}Proof: {proof}\n{}Merged-by: {}\n", approvals.concat(), by.agent)
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
