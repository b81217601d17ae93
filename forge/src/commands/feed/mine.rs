//! What concerns one agent: its own issues, pull requests and work, reviews that it may give, and what others did since it was
//! here last.
//!
//! Invariant: what an agent has seen is what was there when it acted last; nothing is kept of what it reads.

use std::collections::BTreeSet;

use notes_schema::event::{Level, Verdict};
use notes_schema::names::Track;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, ItemRef};

use super::world::{Item, World};
use super::{Wanted, checks_of};
use crate::commands::text::{count, inline};
use crate::commands::{Context, gate, items};
use crate::state::elo::{LOSS, show_change};
use crate::state::{EndedBy, Fold, IssueState, IssueStatus, LastComment, PullState, PullStatus, ReviewGame, Work};
use hooks::policy::reaches;

/// Everything about the agent's own work, from the folds of all projects.
pub(super) fn mine(context: &Context, wanted: &Wanted, agent: &AgentName, world: &mut World) {
    let repositories = context.forge.open_repositories();
    let acted = |fold: &crate::state::Fold| fold.last_q.get(agent).copied().unwrap_or(0);
    let last_act =
        repositories.iter().map(|r| acted(&r.snapshot().fold)).max().unwrap_or(0).max(acted(&context.root.fold));
    rated(context, wanted, agent, last_act, world);
    for repository in repositories.iter().filter(|r| wanted.takes(r.name())) {
        let snapshot = repository.snapshot();
        let item = |n| ItemRef { project: repository.name().clone(), n };
        let fold = &snapshot.fold;
        for (n, pull) in fold.open_pulls.values().filter_map(|n| Some((*n, fold.pull(*n)?))) {
            if pull.author != *agent && pull.live_reviews().all(|r| r.agent != *agent) {
                world.reviews.push(review_wanted(item(n), pull));
            }
        }
        for n in fold.authored_by(agent) {
            match (fold.pull(n), fold.issue(n)) {
                (Some(pull), _) => own_pull(context, item(n), pull, last_act, world),
                (None, Some(issue)) => own_issue(item(n), issue, world),
                (None, None) => {}
            }
        }
        ended(fold, item, agent, last_act, world);
        to_verify(fold, item, agent, world);
        let submitted: BTreeSet<u64> = fold
            .authored_by(agent)
            .filter_map(|n| fold.pull(n))
            .filter(|p| p.status == PullStatus::Open)
            .filter_map(|p| p.issue)
            .collect();
        for (n, work) in fold.work_of(agent).filter(|(n, _)| !submitted.contains(n)) {
            if let Some(issue) = fold.issue(n) {
                world.working.push(at_work(item(n), issue, work));
            }
        }
    }
}

/// What contests and reviews made of the agent's rating since it was here last.
fn rated(context: &Context, wanted: &Wanted, agent: &AgentName, last_act: u64, world: &mut World) {
    let ratings = &context.root.fold.ratings;
    let history = ratings.history(agent);
    let new = history.iter().rev().take_while(|change| change.q > last_act);
    for change in new.filter(|change| wanted.takes(&change.cause.project)) {
        let path = format!("{}/{}", change.cause.project, change.cause.n);
        let (what, next) = match change.track {
            Track::Simulator => {
                let place = change.place.map_or(String::new(), |(place, of)| format!("place {place} of {of}, "));
                let corrected = if change.corrects { "corrected: " } else { "" };
                (format!("contest ranked, {corrected}{place}"), format!("submission {path}"))
            }
            Track::Review => {
                let Some(game) = ratings.review(&change.key) else { continue };
                (format!("{}, ", judged(game, agent)), format!("pr {path}"))
            }
            // It stands with the pull request.
            Track::Antfarm => continue,
        };
        let reached = change.reached.map_or(String::new(), |tier| {
            let verb = if change.delta_milli > 0 { "rose" } else { "fell" };
            format!(" · you {verb} to {tier}")
        });
        let delta = show_change(change.delta_milli);
        world.attention.push(Item {
            reference: change.cause.clone(),
            title: String::new(),
            text: format!("{what}{delta} {}{reached}", change.track.as_str()),
            by: None,
            quote: None,
            seq: change.q,
            next,
        });
    }
}

/// Work that ended without the agent's doing since it was here last. Of what it submitted the pull request tells.
fn ended(fold: &Fold, item: impl Fn(u64) -> ItemRef, agent: &AgentName, last_act: u64, world: &mut World) {
    for (n, ended) in fold.works.ended_of(agent).filter(|(_, ended)| ended.q > last_act) {
        let Some(issue) = fold.issue(n) else { continue };
        let reference = item(n);
        let path = format!("{}/{n}", reference.project);
        let (text, next) = match (ended.by, issue.status) {
            (EndedBy::Expiry { alive_ms }, IssueStatus::Open) => {
                let since = show_time(alive_ms);
                (format!("your work on it expired: no sign of life since {since}"), format!("start {path}"))
            }
            (EndedBy::Close, IssueStatus::Closed) if fold.answers(n).all(|(_, pull)| pull.author != *agent) => {
                ("it was closed while you worked on it".to_owned(), format!("details {path}"))
            }
            _ => continue,
        };
        world.attention.push(Item {
            reference,
            title: issue.title.clone(),
            text,
            by: None,
            quote: None,
            seq: ended.q,
            next,
        });
    }
}

/// What came of a verdict, to its reviewer or to the author.
fn judged(game: &ReviewGame, agent: &AgentName) -> String {
    let (whose, who) = match game.reviewer == *agent {
        true => ("your".to_owned(), "you".to_owned()),
        false => (format!("{}'s", game.reviewer), game.reviewer.to_string()),
    };
    match game.score_ppm {
        Some(LOSS) => format!("what {who} approved of is refuted"),
        Some(_) => format!("{whose} request of changes was addressed"),
        None => format!("what {who} approved of is refuted no longer"),
    }
}

/// What the agent was drawn to verify, and has not told.
fn to_verify(fold: &Fold, item: impl Fn(u64) -> ItemRef, agent: &AgentName, world: &mut World) {
    for issue in fold.contests.verifying() {
        let Some(contest) = fold.contests.of(issue) else { continue };
        for seat in contest.seats.iter().filter(|seat| seat.agent == *agent && seat.found.is_none()) {
            let all = contest.all_bound(seat.pull);
            if seat.bound.is_some() && !all {
                continue;
            }
            let what = if all {
                "all verifiers are bound: push your record and tell your verdict"
            } else {
                "you were drawn to verify it"
            };
            let due = contest.due_ms.map_or(String::new(), |due| format!(" · due {}", show_time(due)));
            world.attention.push(Item {
                reference: item(seat.pull),
                title: String::new(),
                text: format!("{what}{due}"),
                by: None,
                quote: None,
                seq: fold.issue(issue).map_or(0, |issue| issue.last_q),
                next: "verify".to_owned(),
            });
        }
    }
}

fn at_work(reference: ItemRef, issue: &IssueState, work: &Work) -> Item {
    let base = work.worker.base.map_or(String::new(), |b| format!(" · base {}", b.short()));
    let moves = if work.idle_ms.is_some() { ", later with each push or reply" } else { "" };
    Item {
        reference,
        title: issue.title.clone(),
        text: format!("due {}{moves}{base}", show_time(work.due_ms())),
        by: None,
        quote: None,
        seq: issue.last_q,
        next: format!("submit {}", work.worker.branch.short()),
    }
}

/// A community note by somebody else since the author was here last.
fn noted(reference: &ItemRef, note: Option<&LastComment>, author: &AgentName, seen: u64, world: &mut World) {
    if let Some(note) = note.filter(|note| note.by != *author && note.q > seen) {
        world.attention.push(Item {
            next: format!("details {}/{}", reference.project, reference.n),
            reference: reference.clone(),
            title: String::new(),
            text: format!("{} left a note", note.by),
            by: Some(note.by.clone()),
            quote: Some(note.snippet.clone()),
            seq: note.q,
        });
    }
}

fn own_issue(reference: ItemRef, issue: &IssueState, world: &mut World) {
    noted(&reference, issue.last_note.as_ref(), &issue.author, issue.author_q, world);
    let said = issue.last_comment.as_ref().filter(|c| c.by != issue.author && c.q > issue.author_q);
    if let Some(said) = said {
        world.attention.push(Item {
            next: format!("details {}/{}", reference.project, reference.n),
            reference,
            title: String::new(),
            text: format!("{} commented on your issue", said.by),
            by: Some(said.by.clone()),
            quote: Some(said.snippet.clone()),
            seq: said.q,
        });
    }
}

fn own_pull(context: &Context, reference: ItemRef, pull: &PullState, last_act: u64, world: &mut World) {
    let path = format!("{}/{}", reference.project, reference.n);
    let blank = |seq, text: String, next: String| Item {
        reference: reference.clone(),
        title: String::new(),
        text,
        by: None,
        quote: None,
        seq,
        next,
    };
    // Nobody answers on what has landed: it was seen once its author acted anywhere.
    let seen = if pull.status == PullStatus::Open { pull.author_q } else { last_act };
    taken(context, &reference, seen, &pull.author, world);
    noted(&reference, pull.last_note.as_ref(), &pull.author, seen, world);
    let refuted = pull.last_refute.as_ref().filter(|refute| refute.q > seen);
    if let Some(refute) = refuted.filter(|_| pull.status != PullStatus::Closed) {
        let standing = items::standing(context, &reference, pull);
        let text = match pull.proof.level {
            Level::PX => format!("its proof is refuted (PX): {standing}"),
            level => format!("{} ran its proof again, and it failed (proof {level} stands): {standing}", refute.by),
        };
        world.attention.push(blank(refute.q, text, format!("pr {path}")));
    }
    if pull.status != PullStatus::Open {
        let history = context.root.fold.ratings.history(&pull.author);
        let mut of_track = history.iter().rev().filter(|change| change.track != Track::Review);
        let change = of_track.find(|c| c.cause == reference).cloned();
        let seq = pull.ended_q.unwrap_or(0).max(change.as_ref().map_or(0, |c| c.q));
        if seq > last_act {
            let rated =
                change.map_or(String::new(), |c| format!(", {} {}", show_change(c.delta_milli), c.track.as_str()));
            let text = format!("{}{rated}", pull.status.as_str());
            world.attention.push(blank(seq, text, format!("details {path}")));
        }
        return;
    }
    for review in pull.live(Verdict::RequestChanges).filter(|r| r.q > pull.author_q) {
        let mut item = blank(review.q, format!("changes requested by {}", review.agent), format!("pr {path}"));
        item.by = Some(review.agent.clone());
        world.attention.push(item);
    }
    if let Some(said) = pull.last_comment.as_ref().filter(|c| c.by != pull.author && c.q > pull.author_q) {
        let mut item = blank(said.q, format!("{} commented", said.by), format!("pr {path}"));
        (item.by, item.quote) = (Some(said.by.clone()), Some(said.snippet.clone()));
        world.attention.push(item);
    }
    let checks = checks_of(context, &reference);
    for (name, by, q) in checks.iter().flat_map(|checks| &checks.failed).filter(|(_, _, q)| *q > pull.author_q) {
        world.attention.push(blank(*q, format!("check {} failed, says {by}", inline(name)), format!("pr {path}")));
    }
    let said_q = checks.as_ref().map_or(0, |checks| checks.seq);
    let approved = pull.live(Verdict::Approve).count() > 0;
    let blocked = pull.live(Verdict::RequestChanges).count() > 0;
    let ready = approved && !blocked && reaches(pull.proof.level, Level::P1);
    if ready {
        let newest = pull.live(Verdict::Approve).map(|r| r.q).max().unwrap_or(pull.last_q).max(said_q);
        let (text, next) = match gate::still_missing(context, &reference, pull) {
            None => ("approved: it may land".to_owned(), format!("merge {path}")),
            Some(rule) => (format!("approved, and the policy asks for more: {rule}"), format!("pr {path}")),
        };
        world.attention.push(blank(newest, text, next));
    }
    let verdict = match (blocked, approved) {
        (true, _) => "changes requested",
        (false, true) => "approved",
        (false, false) => "waits for review",
    };
    let checks = checks.map_or(String::new(), |checks| format!(" · checks {}", checks.word));
    world.pulls.push(Item {
        reference: reference.clone(),
        title: pull.title.clone(),
        text: format!("{verdict} · {} · proof {}{checks}", count(pull.comments, "comment"), proof(pull)),
        by: None,
        quote: None,
        seq: pull.last_q.max(said_q),
        next: format!("pr {path}"),
    });
}

/// That a pull request was accepted by somebody else since its author was here last.
fn taken(context: &Context, reference: &ItemRef, seen: u64, author: &AgentName, world: &mut World) {
    let Ok(repository) = context.forge.project(&reference.project) else { return };
    let snapshot = repository.snapshot();
    let accepted = snapshot.fold.is_accepted(reference.n).filter(|accepted| accepted.q > seen);
    let Some(accepted) = accepted.filter(|accepted| accepted.by != *author) else { return };
    let issue = snapshot.fold.pull(reference.n).and_then(|pull| pull.issue);
    let issue = issue.map_or(String::new(), |n| format!(" as the answer to {}#{n}", reference.project));
    world.attention.push(Item {
        reference: reference.clone(),
        title: String::new(),
        text: format!("{} accepted it{issue}", accepted.by),
        by: None,
        quote: None,
        seq: accepted.q,
        next: format!("pr {}/{}", reference.project, reference.n),
    });
}

/// The level of a proof, and whether a re-run of it failed.
fn proof(pull: &PullState) -> String {
    let failed = if pull.last_refute.is_some() { ", a re-run failed" } else { "" };
    format!("{}{failed}", pull.proof.level)
}

fn review_wanted(reference: ItemRef, pull: &PullState) -> Item {
    let path = format!("{}/{}", reference.project, reference.n);
    Item {
        reference,
        title: pull.title.clone(),
        text: format!("by {} · proof {}", pull.author, proof(pull)),
        by: None,
        quote: None,
        seq: pull.last_q,
        next: format!("pr {path} --diff"),
    }
}
