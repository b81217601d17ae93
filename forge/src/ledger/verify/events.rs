//! Whether one event may follow on the state before it: its place in its chain, its fold, and the arithmetic of ratings.
//!
//! Invariant: reads only what is handed in.

use notes_schema::envelope::NO_EVENT;
use notes_schema::event::{
    ContestCorrected, ContestSettled, Placed, RatingCorrected, RatingSettled, ReviewSettled, Seat, verdict_digest,
};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Event, Fact, ItemRef, Oid, Sha256};

use crate::ledger::replay::{ReadEvent, ReplayError};
use crate::ledger::snapshot::Snapshot;
use crate::state::panel::Tested;
use crate::state::played::{Due, Fared, RULES};
use crate::state::{Contest, Fold, Merge, Ratings, Verdict, Work, contest, elo};

/// Holds `read`, batch `number`'s next event of `id`, against the snapshot before it.
pub(super) fn check_event(
    before: &Snapshot,
    id: &EntityId,
    commit: Oid,
    read: &ReadEvent,
    number: u64,
    genesis: Option<Oid>,
) -> Result<(), ReplayError> {
    let place = format!("{}: {id} event {} (commit {commit})", before.project, read.event.n);
    let fail = |why: &str| Err(ReplayError::broken(&place, why));
    let entity = before.fold.entities.get(id);
    let (n, last, tip) = entity.map_or((0, NO_EVENT, None), |e| (e.n, e.last, Some(e.tip)));
    let event = &read.event;
    if event.n != n + 1 {
        return fail("its number does not follow on the event before");
    }
    if event.p != last {
        return fail("`p` is not the digest of the event before");
    }
    if event.l != number {
        return fail("`l` is not the number of its batch");
    }
    if read.parents != Vec::from_iter(tip) {
        return fail("its commit does not follow on the entity's commit before");
    }
    if event.t < before.t {
        return fail("its time lies before the batch before");
    }
    if read.intent.forge != genesis.map(|id| id.as_bytes().to_vec()).unwrap_or_default() {
        return fail("its intent names another forge");
    }
    if read.intent.to.project != before.project || read.intent.to.entity.as_deref() != Some(&id.to_string()) {
        return fail("its intent is directed elsewhere");
    }
    if read.intent.text != read.text.as_ref().map(|t| Sha256::of(t.as_bytes())) {
        return fail("`body.md` is not the text that its intent names");
    }
    if let Some(why) = check_verification(before, id, event, &read.fact) {
        return fail(why);
    }
    if let Some(why) = check_work(&before.fold, id, event, &read.fact) {
        return fail(why);
    }
    if let Some(why) = check_rating(&before.fold, id, &read.fact, event.t) {
        return fail(why);
    }
    let at = crate::state::Happened { agent: &event.a, t: event.t, q: event.q, text: read.text.as_deref() };
    let folded = notes_schema::envelope::encode(&before.fold.next_state(id, &read.fact, &at));
    if read.state.as_deref() != Some(&folded[..]) {
        return fail("`state` is not what its events fold to");
    }
    Ok(())
}

/// What is wrong with a step of a contest's verification, if it is one.
fn check_verification(before: &Snapshot, id: &EntityId, event: &Event, fact: &Fact) -> Option<&'static str> {
    let EntityId::Issue(n) = id else { return None };
    let contest = || before.fold.contests.of(*n);
    let seat = |pull: u64| contest()?.seat(pull, &event.a);
    match fact {
        Fact::ContestDrawn(drawn) => {
            let sits = |seat: &Seat| contest().is_some_and(|contest| contest.candidates.contains(&seat.agent));
            // Behind a redacted event, ledger commits have other ids than they had.
            let is_next = before.tip == Some(drawn.beacon) || !before.fold.redacted.is_empty();
            let is_drawn = is_next && drawn.seats.iter().all(sits);
            (!is_drawn).then_some("it was not drawn from the candidates with the commit before it")
        }
        Fact::VerdictCommitted(verdict) => {
            seat(verdict.pull).is_none().then_some("its author was not drawn for that submission")
        }
        Fact::VerdictRevealed(verdict) => {
            let pull = ItemRef { project: before.project.clone(), n: verdict.pull };
            let digest = verdict_digest(verdict.finding, &pull, &verdict.salt);
            let is_bound = seat(verdict.pull).is_some_and(|seat| seat.bound == Some(digest));
            (!is_bound).then_some("it is not the verdict that its author was bound to")
        }
        Fact::VerifiersJudged(judged) => {
            let is_promised = |key: &Vec<u8>, contest: &Contest| {
                let is_it = contest.trials.is_some_and(|trials| trials.commitment == Sha256::of(key));
                is_it && [true, false].iter().any(|golden| contest.trials_by(key, *golden) == judged.trials)
            };
            let good = match &judged.key {
                Some(key) => contest().is_some_and(|of| of.is_to_judge(event.t) && is_promised(key, of)),
                None => judged.trials.is_empty(),
            };
            (!good).then_some("its trials are not what was promised when verifiers were drawn")
        }
        Fact::ContestRanked(ranked) => {
            let tested = |placed: &Placed| contest().and_then(|contest| contest.tested(placed.pull));
            let is_found = |placed: &Placed| match (tested(placed), placed.sealed_tests) {
                (Some(Tested::Passed(n)), Some(true)) => placed.regressions == n,
                (Some(Tested::Failed), Some(false)) => !placed.solved,
                (None, None) => true,
                (Some(_) | None, _) => false,
            };
            (!ranked.places.iter().all(is_found))
                .then_some("it ranks by sealed tests as its verifiers did not find them")
        }
        _ => None,
    }
}

/// What is wrong with an end of work by the forge, if it is one: it must be due by what the ledger has before it.
fn check_work(fold: &Fold, id: &EntityId, event: &Event, fact: &Fact) -> Option<&'static str> {
    let (EntityId::Issue(n), Fact::WorkExpired(expired)) = (id, fact) else { return None };
    let is_due = |work: &Work| work.alive_ms == expired.alive_ms && work.ends_ms().is_some_and(|ends| ends <= event.t);
    let good = event.a == AgentName::forge()
        && fold.work_on(&expired.agent, *n).is_some_and(is_due)
        && !fold.awaits(&expired.agent, *n);
    (!good).then_some("it ends work that was not due to end")
}

/// What is wrong with a rating event, if it is one: it carries its inputs, which must be what the ledger gave before it.
fn check_rating(fold: &Fold, id: &EntityId, fact: &Fact, t: u64) -> Option<&'static str> {
    match fact {
        Fact::RatingSettled(game) => check_settled(fold, id, game, t).err(),
        Fact::RatingCorrected(change) => check_corrected(&fold.ratings, id, change).err(),
        Fact::ReviewSettled(review) => check_review(fold, id, review, t).err(),
        Fact::ContestSettled(contest) => check_contest(fold, id, contest, t).err(),
        Fact::ContestCorrected(contest) => check_corrected_contest(fold, id, contest).err(),
        Fact::ContestRanked(ranked) if contest::in_order(ranked.places.clone()) != *ranked => {
            Some("its places are not what decides them gives")
        }
        _ => None,
    }
}

fn check_contest(fold: &Fold, id: &EntityId, contest: &ContestSettled, t: u64) -> Result<(), &'static str> {
    if *id != EntityId::Elo(Track::Simulator) {
        return Err("a contest outside of its rating ledger");
    }
    let played = &fold.ratings.played;
    if fold.ratings.has(&contest.key) || played.settlement(&contest.contest).is_some() {
        return Err("its contest was settled already");
    }
    if !(played.rules..=RULES).contains(&contest.rules) {
        return Err("its rules are not those of its time");
    }
    let ContestSettled { contest: item, author, difficulty, anchored, rules, .. } = contest;
    let due = Due { contest: item, author, difficulty: *difficulty, anchored: *anchored, t, rules: *rules };
    let fared: Vec<Fared> = contest.entrants.iter().map(Fared::of).collect();
    if fold.settle_contest(contest.key, &due, &fared) != *contest {
        return Err("its changes are not what the ledger before it gives");
    }
    Ok(())
}

fn check_corrected_contest(fold: &Fold, id: &EntityId, contest: &ContestCorrected) -> Result<(), &'static str> {
    if *id != EntityId::Elo(Track::Simulator) {
        return Err("a contest outside of its rating ledger");
    }
    let fared: Vec<Fared> = contest.entrants.iter().map(Fared::of).collect();
    let due = fold.correct_contest(contest.key, &contest.contest, &fared);
    if fold.ratings.has(&contest.key) || due.as_ref() != Some(contest) {
        return Err("its changes are not what the contest as it was settled gives");
    }
    Ok(())
}

fn check_settled(fold: &Fold, id: &EntityId, game: &RatingSettled, t: u64) -> Result<(), &'static str> {
    let EntityId::Elo(track) = id else { return Err("a rating outside of a rating ledger") };
    let ratings = &fold.ratings;
    let inputs = (ratings.of(&game.agent, *track), ratings.of_ticket(&game.ticket));
    if inputs != (game.agent_before, game.ticket_before) || ratings.has(&game.key) {
        return Err("its inputs are not the ratings before it, or its cause was settled already");
    }
    let due = match (&game.ticket_author, game.counts) {
        (Some(ticket_author), Some(_)) if *track == Track::Antfarm => {
            let RatingSettled { key, agent, ticket, pull, approvers, .. } = game;
            fold.settle_merge(&Merge { key: *key, agent, ticket, ticket_author, pull, approvers }, t)
        }
        // As it was before farms were bounded; nothing is settled so once something was settled otherwise.
        (None, None) if ratings.standings.on(*track).is_empty() => {
            let delta_milli = elo::game(inputs.0, inputs.1, game.score_ppm, game.k_milli);
            RatingSettled { delta_milli, ..game.clone() }
        }
        _ => return Err("it does not say how much of it counts"),
    };
    if due != *game {
        return Err("its change is not what its inputs give");
    }
    Ok(())
}

fn check_corrected(ratings: &Ratings, id: &EntityId, change: &RatingCorrected) -> Result<(), &'static str> {
    let EntityId::Elo(_) = id else { return Err("a rating outside of a rating ledger") };
    let game = ratings.game(&change.game).filter(|_| !ratings.has(&change.key));
    let game = game.ok_or("the game that it corrects is not there, or its cause was settled already")?;
    if game.correction(change.key, change.game, &change.pull, change.score_ppm).as_ref() != Some(change) {
        return Err("its change is not what the game as it was settled gives");
    }
    Ok(())
}

fn check_review(fold: &Fold, id: &EntityId, review: &ReviewSettled, t: u64) -> Result<(), &'static str> {
    if *id != EntityId::Elo(Track::Review) {
        return Err("a review outside of its rating ledger");
    }
    let ReviewSettled { key, reviewer, author, pull, score_ppm, .. } = review;
    let verdict = Verdict { key: *key, reviewer, author, pull, score_ppm: *score_ppm };
    if fold.settle_review(&verdict, t).as_ref() != Some(review) {
        return Err("its change is not what the ledger before it gives");
    }
    Ok(())
}
