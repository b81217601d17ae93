//! What a project asks of `forge.git`: the rating of a merge, of a verdict that was judged, or of a contest, settled exactly
//! once; and what a challenge does that turns the proof of what was rated: those ratings, corrected.
//!
//! Invariant: a project's outbox is worked off in order, and the cursor moves in the same batch as the rating, so a crash
//! anywhere repeats nothing and skips nothing.

use std::sync::Arc;

use notes_schema::event::{Difficulty, Level};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, ProjectName, Sha256};

use super::Forge;
use crate::answer::Refusal;
use crate::ledger::{Author, Draft, Repository, Snapshot, fault};
use crate::state::played::{self, Fared};
use crate::state::{Merge, PullState, Verdict, elo};

/// After this many entries one batch of `forge.git` takes no more.
/// Limit: entries of outboxes that one batch settles | {}; the others are for the next
const SETTLED_AT_ONCE: usize = 256;

/// One entry of an outbox: what to settle, and where the cursor stands after it.
struct Due {
    n: u64,
    commit: Oid,
    asks: Option<Asks>,
}

/// What an outbox line asks for.
enum Asks {
    /// The rating of a merge, or its correction.
    Game(Box<Game>),
    /// The rating of a verdict, or its correction.
    Review(Box<Review>),
    /// The ratings of a contest, or their correction.
    Contest(Contest),
}

/// A contest that was ranked.
struct Contest {
    /// Digest of the ranking.
    key: Sha256,
    contest: ItemRef,
    author: AgentName,
    difficulty: Difficulty,
    anchored: bool,
    fared: Vec<Fared>,
}

/// A verdict that was judged.
struct Review {
    /// Digest of the verdict.
    key: Sha256,
    reviewer: AgentName,
    author: AgentName,
    pull: ItemRef,
    score_ppm: Option<i64>,
}

/// A merge that may rate, an agent against a ticket; or a challenge of one that did.
struct Game {
    /// Digest of the event.
    key: Sha256,
    /// Digest of the event by which the pull request landed: the same, unless it is a challenge.
    landing: Sha256,
    pull: ItemRef,
    ticket: ItemRef,
    state: PullState,
    ticket_author: AgentName,
}

impl Forge {
    /// Settles everything that `project` has asked for and that is not settled yet; durable when it returns.
    pub(crate) fn settle(self: &Arc<Self>, project: &Arc<Repository>) -> Result<(), Refusal> {
        let _one_at_a_time = self.settling.lock().expect("invariant: no panic under this lock");
        while self.settle_some(project)? {}
        Ok(())
    }

    /// Settles what a merge could not because `forge.git` took no writes then, or because the merge was written after its
    /// outcome had been unknown.
    pub(super) fn settle_what_waits(self: &Arc<Self>, project: &Arc<Repository>) -> Result<(), Refusal> {
        let newest = project.snapshot().outbox.last().map_or(0, |(n, _, _)| *n);
        let done = self.root().cursors.get(project.name()).map_or(0, |(n, _)| *n);
        if newest > done { self.settle(project) } else { Ok(()) }
    }

    /// Settles what fits into one batch; whether there may be more.
    fn settle_some(&self, project: &Arc<Repository>) -> Result<bool, Refusal> {
        let snapshot = project.snapshot();
        let done = self.root().cursors.get(project.name()).map_or(0, |(n, _)| *n);
        // What is due stands at the end of a list that only grows.
        let settled = snapshot.outbox.len() - snapshot.outbox.iter().rev().take_while(|(n, _, _)| *n > done).count();
        let mut due: Vec<Due> = Vec::new();
        for (n, commit, line) in snapshot.outbox.iter().skip(settled) {
            // The cursor stands between batches, so a batch is never split.
            if due.len() >= SETTLED_AT_ONCE && due.last().is_some_and(|last| last.n != *n) {
                break;
            }
            due.push(Due { n: *n, commit: *commit, asks: asks(project.name(), &snapshot, line) });
        }
        let Some(last) = due.last() else { return Ok(false) };
        fault::point("outbox-before-settling");
        let (name, end) = (project.name().clone(), (last.n, last.commit));
        self.root.commit(move |draft| settle_all(draft, &name, due, end))?;
        fault::point("outbox-settled");
        Ok(true)
    }
}

fn settle_all(draft: &mut Draft, project: &ProjectName, due: Vec<Due>, end: (u64, Oid)) -> Result<(), Refusal> {
    let done = draft.snapshot().cursors.get(project).map_or(0, |(n, _)| *n);
    for due in due.into_iter().filter(|due| due.n > done) {
        match due.asks {
            Some(Asks::Game(game)) if game.key == game.landing => rate(draft, &game)?,
            Some(Asks::Game(game)) => correct(draft, &game)?,
            Some(Asks::Review(review)) => rate_review(draft, &review)?,
            Some(Asks::Contest(contest)) => rate_contest(draft, &contest)?,
            None => {}
        }
    }
    draft.remark(format!("settled {project} up to batch {}", end.0));
    draft.cursor(project, end.0, end.1);
    Ok(())
}

/// What an outbox line asks for; `None` where it does not rate.
fn asks(project: &ProjectName, snapshot: &Snapshot, line: &notes_schema::batch::OutboxLine) -> Option<Asks> {
    match line.e.parse() {
        Ok(EntityId::Issue(n)) => contest(project, snapshot, n, line.h).map(Asks::Contest),
        Ok(EntityId::Pull(n)) => match review(project, snapshot, n, line.h) {
            Some(review) => Some(Asks::Review(Box::new(review))),
            None => game(project, snapshot, n, line.h).map(Box::new).map(Asks::Game),
        },
        _ => None,
    }
}

/// The verdict that an outbox line asks for, if it is one.
fn review(project: &ProjectName, snapshot: &Snapshot, n: u64, key: Sha256) -> Option<Review> {
    let judged = snapshot.fold.reviews.judged(n, &key)?;
    Some(Review {
        key,
        reviewer: judged.reviewer.clone(),
        author: snapshot.fold.pull(n)?.author.clone(),
        pull: ItemRef { project: project.clone(), n },
        score_ppm: judged.score_ppm,
    })
}

/// Rates a verdict, or corrects its rating. Between agents of one owner a rating is at most taken back.
fn rate_review(draft: &mut Draft, review: &Review) -> Result<(), Refusal> {
    let Review { key, reviewer, author, pull, score_ppm } = review;
    let fold = &draft.snapshot().fold;
    let same = fold.owner_at(reviewer, draft.n()) == fold.owner_at(author, draft.n());
    if same && score_ppm.is_some() {
        return Ok(());
    }
    let verdict = Verdict { key: *key, reviewer, author, pull, score_ppm: *score_ppm };
    let Some(fact) = fold.settle_review(&verdict, draft.now()) else { return Ok(()) };
    draft.event(&Author::forge(), &EntityId::Elo(Track::Review), fact, None, &[*key]).map(drop)
}

fn contest(project: &ProjectName, snapshot: &Snapshot, n: u64, key: Sha256) -> Option<Contest> {
    let issue = snapshot.fold.issue(n)?;
    let terms = issue.contest.as_ref()?;
    Some(Contest {
        key,
        contest: ItemRef { project: project.clone(), n },
        author: issue.author.clone(),
        difficulty: terms.difficulty,
        anchored: terms.anchored,
        fared: snapshot.fold.contests.of(n)?.fared(&key)?,
    })
}

/// Rates a contest, or corrects its ratings where it was rated before.
fn rate_contest(draft: &mut Draft, contest: &Contest) -> Result<(), Refusal> {
    let fold = &draft.snapshot().fold;
    if fold.ratings.has(&contest.key) {
        return Ok(());
    }
    let fact = if fold.ratings.played.settlement(&contest.contest).is_some() {
        fold.correct_contest(contest.key, &contest.contest, &contest.fared).map(notes_schema::Fact::from)
    } else {
        let Contest { contest: item, author, difficulty, anchored, .. } = contest;
        let (t, rules) = (draft.now(), played::RULES);
        let due = played::Due { contest: item, author, difficulty: *difficulty, anchored: *anchored, t, rules };
        Some(fold.settle_contest(contest.key, &due, &contest.fared).into())
    };
    let Some(fact) = fact else { return Ok(()) };
    draft.event(&Author::forge(), &EntityId::Elo(Track::Simulator), fact, None, &[contest.key]).map(drop)
}

/// The game that an outbox line asks for; `None` where the merge does not rate.
fn game(project: &ProjectName, snapshot: &Snapshot, n: u64, key: Sha256) -> Option<Game> {
    let state = snapshot.fold.pull(n)?.clone();
    let issue = state.issue?;
    // What was submitted to a contest is rated by that contest.
    let ticket_author = snapshot.fold.issue(issue).filter(|ticket| ticket.contest.is_none())?.author.clone();
    let item = |n| ItemRef { project: project.clone(), n };
    let landing = *snapshot.fold.landings.get(&n)?;
    Some(Game { key, landing, pull: item(n), ticket: item(issue), state, ticket_author })
}

/// Rates one merge, where it rates.
fn rate(draft: &mut Draft, game: &Game) -> Result<(), Refusal> {
    let Game { key, pull, ticket, state, ticket_author, .. } = game;
    let fold = &draft.snapshot().fold;
    if !state.rates(ticket_author, fold, draft.n()) || fold.ratings.has(key) {
        return Ok(());
    }
    let approvers = &state.approvers();
    let merge = Merge { key: *key, agent: &state.author, ticket, ticket_author, pull, approvers };
    let fact = fold.settle_merge(&merge, draft.now());
    draft.event(&Author::forge(), &EntityId::Elo(Track::Antfarm), fact, None, &[*key]).map(drop)
}

/// Corrects the rating of a merge whose proof was refuted, or is refuted no longer: the game is lost, or won as at first.
/// What it rested on stays that of the merge; a merge that did not rate, or stands as it should, is left alone.
fn correct(draft: &mut Draft, game: &Game) -> Result<(), Refusal> {
    let ratings = &draft.snapshot().fold.ratings;
    let Some(settled) = ratings.game(&game.landing).filter(|_| !ratings.has(&game.key)) else { return Ok(()) };
    let score_ppm = if game.state.proof.level == Level::PX { elo::LOSS } else { elo::WIN };
    let Some(fact) = settled.correction(game.key, game.landing, &game.pull, score_ppm) else { return Ok(()) };
    draft.event(&Author::forge(), &EntityId::Elo(Track::Antfarm), fact, None, &[game.key]).map(drop)
}
