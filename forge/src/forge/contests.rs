//! Contests that are due: closed, verified by who is drawn for it, ranked, and ranked again where a proof turns.
//!
//! Invariant: what closes a contest is one batch. What was submitted before it counts, and nothing behind it.
//! Invariant: what takes long is made before the committer is asked, of what cannot change any more where it is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::event::{ContestDrawn, ContestRevealed, Seat};
use notes_schema::{AgentName, EntityId, Oid, Sha256};

use super::Forge;
use super::laid::Laid;
use super::trials::{judge, promise};
use crate::answer::Refusal;
use crate::gate::contest;
use crate::ledger::{Author, Draft, Repository, Snapshot};
use crate::state::panel::{FIRST_PANEL, Panel, WIDER_PANEL};
use crate::state::{Contest, Stage};
use git::store::{Objects, Over};

/// So long verifiers have; then the contest is ranked by what is known.
/// Limit: time from the draw of a contest's verifiers to its ranking, if they do not come to an end before | {:ms}
const VERIFIED_WITHIN_MS: u64 = 86_400_000;

/// One step of a contest, in one batch. Where it reveals what verifiers run, that was made before.
type StepOn = fn(&mut Draft, &Forge, &dyn Objects, u64, Option<Laid>) -> Result<(), Refusal>;

impl Forge {
    /// Closes what is due in a project, takes verification a step on, reveals and ranks what waited for that, and settles the
    /// ratings. Nothing happens where nothing is due. A contest that cannot go on holds up no other.
    pub(super) fn close_contests(self: &Arc<Self>, repository: &Arc<Repository>) -> Result<(), Refusal> {
        if self.deps.mirror.is_some() {
            return Ok(());
        }
        let mut went_on = false;
        for (issue, step) in self.due_steps(&repository.snapshot(), repository.store().as_ref()) {
            match self.step(repository, issue, step) {
                Ok(()) => went_on = true,
                Err(why) if self.is_news(repository.name(), issue) => {
                    tracing::warn!(contest = %format!("{}#{issue}", repository.name()), %why, "it waits, and is tried again");
                }
                Err(_) => {}
            }
        }
        if went_on { self.settle(repository) } else { Ok(()) }
    }

    /// The contests with which something can be done now, and what: those to close, those that wait for verifiers, and those to
    /// reveal.
    fn due_steps(&self, snapshot: &Snapshot, objects: &dyn Objects) -> Vec<(u64, StepOn)> {
        let (contests, root) = (&snapshot.fold.contests, self.root());
        let can_reveal = |issue: &u64| self.can_rank(snapshot, objects, *issue);
        let closing = contests.due(self.now()).map(|issue| (issue, close as StepOn));
        let verifying: BTreeSet<u64> = contests.verifying().collect();
        let discredited = if verifying.is_empty() { BTreeSet::new() } else { self.discredited() };
        let goes_on = |issue: &u64| {
            let acts = |contest: &Contest| {
                let step = next_step(snapshot, &root, contest, self.now());
                let is_to_judge = contest.is_to_judge(self.now())
                    || contest.candidates.iter().any(|agent| discredited.contains(agent));
                is_to_judge || !matches!(step, Step::Nothing)
            };
            // Who is drawn runs what is revealed.
            contests.of(*issue).is_some_and(acts) && can_reveal(issue)
        };
        let verified = verifying.iter().copied().filter(goes_on).map(|issue| (issue, verify as StepOn));
        let waiting = contests.waiting().filter(|issue| !verifying.contains(issue)).filter(can_reveal);
        closing.chain(verified).chain(waiting.map(|issue| (issue, rank_late as StepOn))).collect()
    }

    fn step(self: &Arc<Self>, repository: &Arc<Repository>, issue: u64, step: StepOn) -> Result<(), Refusal> {
        let (forge, store) = (self.clone(), repository.store().clone());
        // Measured and laid here, so that nobody who writes meanwhile waits for it; and while a push counts as under way, so that
        // nobody collects what was laid.
        let _under_way = repository.pushes().begin();
        let laid = self.lay(repository, issue)?;
        let is_landed = laid.as_ref().is_some_and(Laid::is_landed);
        self.measure(&repository.snapshot(), store.as_ref(), issue);
        let committed = repository.commit(move |draft| {
            let made = draft.made();
            let objects = Over { made: &made, below: store.as_ref() };
            step(draft, &forge, &objects, issue, laid)
        });
        if committed.is_err() && is_landed {
            repository.leaves_behind();
        }
        committed.map(drop)
    }

    /// Measures what is submitted as of now to a contest of which something is sealed.
    fn measure(&self, snapshot: &Snapshot, objects: &dyn Objects, issue: u64) {
        let Some(state) = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref()) else { return };
        let part = snapshot.fold.contests.sealed(issue).filter(|part| part.commit.is_some());
        let opened = part.and_then(|part| self.key_of(snapshot, objects, issue, part));
        let Some((_, opened)) = opened else { return };
        let entries = match snapshot.fold.contests.of(issue) {
            Some(contest) => contest.entries.clone(),
            None => match contest::close(snapshot, &self.root(), objects, (issue, state), &|_| true) {
                Ok(closed) => closed.entries,
                // The close says why.
                Err(_) => return,
            },
        };
        let heads: Vec<Oid> = entries.iter().map(|entry| entry.head).collect();
        self.alike(objects, (&snapshot.project, issue), state.base, &opened.part.golden, &heads);
    }
}

fn close(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    laid: Option<Laid>,
) -> Result<(), Refusal> {
    let (snapshot, root) = (draft.snapshot().clone(), forge.root());
    let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let Some(state) = state.filter(|contest| contest.stage == Stage::Open) else { return Ok(()) };
    let discredited = forge.discredited();
    let believed = |agent: &AgentName| !discredited.contains(agent);
    let closed = contest::close(&snapshot, &root, objects, (issue, state), &believed)?;
    let is_verified = !closed.candidates.is_empty();
    let event = draft.event(&Author::forge(), &EntityId::Issue(issue), closed, None, &[])?;
    if is_verified {
        // What verifiers run is made of what counts from here on, and who verifies is drawn with a commit that is not there yet.
        return Ok(());
    }
    let Some(opened) = reveal(draft, forge, objects, issue, (event.digest, laid))? else { return Ok(()) };
    rank(draft, forge, objects, issue, opened, &[event.digest])
}

/// What of a contest was sealed, or nothing, where nothing was.
type Golden = Option<String>;

/// The golden patch of a contest that is closed, which is revealed if it was not yet. `None` where it cannot be.
fn reveal(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    (because, laid): (Sha256, Option<Laid>),
) -> Result<Option<Golden>, Refusal> {
    let snapshot = draft.snapshot().clone();
    let part = snapshot.fold.contests.sealed(issue).filter(|part| part.commit.is_some());
    let Some(part) = part else { return Ok(Some(None)) };
    let Some((key, opened)) = forge.key_of(&snapshot, objects, issue, part) else { return Ok(None) };
    if part.key.is_none() {
        let laid = laid.unwrap_or_default();
        let unlaid = laid.unlaid(&snapshot, issue)?;
        let revealed = ContestRevealed { id: part.id.clone(), key, unlaid };
        draft.event(&Author::forge(), &EntityId::Issue(issue), revealed, None, &[because])?;
        laid.keep(draft, issue)?;
    }
    Ok(Some(Some(opened.part.golden)))
}

fn rank(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    golden: Golden,
    because: &[Sha256],
) -> Result<(), Refusal> {
    let (snapshot, root) = (draft.snapshot().clone(), forge.root());
    let Some(contest) = snapshot.fold.contests.of(issue) else { return Ok(()) };
    let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
    let alike = golden.zip(state).map(|(patch, state)| {
        let heads: Vec<Oid> = contest.entries.iter().map(|entry| entry.head).collect();
        forge.alike(objects, (&snapshot.project, issue), state.base, &patch, &heads)
    });
    let ranked = contest::rank(&snapshot, &root, objects, contest, &alike.unwrap_or_default())?;
    let anybody = !ranked.places.is_empty();
    let event = draft.event(&Author::forge(), &EntityId::Issue(issue), ranked, None, because)?;
    if anybody {
        draft.outbox(&event);
    }
    Ok(())
}

/// Ranks a contest that is closed, and reveals what is sealed of it, where that was not possible at the close.
fn rank_late(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    laid: Option<Laid>,
) -> Result<(), Refusal> {
    match reveal_late(draft, forge, objects, issue, laid)? {
        Some(golden) => rank(draft, forge, objects, issue, golden, &[]),
        None => Ok(()),
    }
}

/// [`reveal`] behind the close, of a contest that is not ranked.
fn reveal_late(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    laid: Option<Laid>,
) -> Result<Option<Golden>, Refusal> {
    let fold = &draft.snapshot().fold;
    let waits = fold.contests.of(issue).is_some_and(|contest| contest.rankings.is_empty());
    let because = fold.entities.get(&EntityId::Issue(issue)).map(|entity| entity.last);
    match because.filter(|_| waits) {
        Some(because) => reveal(draft, forge, objects, issue, (because, laid)),
        None => Ok(None),
    }
}

/// What is to be done about a contest that waits for verifiers.
enum Step {
    /// To wait.
    Nothing,
    /// These are to verify.
    Draw(Vec<Seat>),
    /// All is said, or the time is over.
    Rank,
}

fn next_step(snapshot: &Snapshot, root: &Snapshot, contest: &Contest, now: u64) -> Step {
    if contest.due_ms.is_some_and(|due| now >= due) {
        return Step::Rank;
    }
    let seats = |pull: u64| match contest.panel(pull) {
        _ if contest.due_ms.is_none() => FIRST_PANEL,
        Panel::Short => FIRST_PANEL,
        Panel::Split => WIDER_PANEL,
        Panel::Waits | Panel::Confirmed | Panel::Refuted | Panel::Open => 0,
    };
    // Who was on trial is said before others are drawn for them.
    let asks = contest.due_ms.is_none() || contest.trials.is_none();
    let drawn: Vec<Seat> = match snapshot.tip.filter(|_| asks) {
        Some(beacon) => {
            contest.to_verify().flat_map(|pull| contest::draw(root, contest, &beacon, pull, seats(pull))).collect()
        }
        None => Vec::new(),
    };
    match () {
        () if !drawn.is_empty() => Step::Draw(drawn),
        () if contest.trials.is_some() => Step::Nothing,
        () if contest.to_verify().any(|pull| contest.panel(pull) == Panel::Waits) => Step::Nothing,
        () => Step::Rank,
    }
}

fn verify(
    draft: &mut Draft,
    forge: &Forge,
    objects: &dyn Objects,
    issue: u64,
    laid: Option<Laid>,
) -> Result<(), Refusal> {
    let key = |draft: &Draft| draft.snapshot().fold.contests.sealed(issue).is_some_and(|part| part.key.is_some());
    let was_revealed = key(draft);
    let Some(golden) = reveal_late(draft, forge, objects, issue, laid)? else { return Ok(()) };
    if key(draft) != was_revealed {
        // A batch of its own: what holds up a draw does not have the tests laid again and again.
        return Ok(());
    }
    if judge(draft, forge, objects, issue)? {
        // Whoever is drawn for those who count no more is drawn with a commit that is not there yet.
        return Ok(());
    }
    let snapshot = draft.snapshot().clone();
    let Some(contest) = snapshot.fold.contests.of(issue) else { return Ok(()) };
    match next_step(&snapshot, &forge.root(), contest, draft.now()) {
        Step::Nothing => Ok(()),
        Step::Rank => rank(draft, forge, objects, issue, golden, &[]),
        Step::Draw(seats) => {
            let Some(beacon) = snapshot.tip else { return Ok(()) };
            let due_ms = contest.due_ms.unwrap_or_else(|| draft.now().saturating_add(VERIFIED_WITHIN_MS));
            let trials = if contest.due_ms.is_none() { promise(forge, &snapshot, issue)? } else { None };
            let drawn = ContestDrawn { beacon, seats, due_ms, trials };
            draft.event(&Author::forge(), &EntityId::Issue(issue), drawn, None, &[]).map(drop)
        }
    }
}

/// Ranks the contests again that any of these pull requests was submitted to, where something changes.
pub(crate) fn reconsider(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    pulls: impl IntoIterator<Item = u64>,
    because: &[Sha256],
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let issues: BTreeSet<u64> = pulls.into_iter().filter_map(|n| snapshot.fold.pull(n)?.issue).collect();
    for issue in issues {
        let Some(contest) = snapshot.fold.contests.of(issue) else { continue };
        let Some(ranked) = contest::rank_again(&snapshot, root, objects, contest)? else { continue };
        let event = draft.event(&Author::forge(), &EntityId::Issue(issue), ranked, None, because)?;
        draft.outbox(&event);
    }
    Ok(())
}
