//! What repositories of one forge say of each other: a project cites `forge.git` for who signed, and `forge.git` settles
//! what projects ask for.
//!
//! Copies are cut per repository, so one may be ahead of what it cites: that is pending. What contradicts the other
//! repository is a fault.
//!
//! Invariant: reads only what was checked before.

use std::collections::{HashMap, HashSet};

use notes_schema::event::{Entrant, ReviewSettled};
use notes_schema::{EntityId, ItemRef, Oid, Sha256};

use super::{Checked, Cited, Rated, Rating, Report, redaction};
use crate::state::played::Fared;
use crate::state::{Fold, PullState, elo};

/// Holds a project against `forge.git`, both of whose ledgers hold.
pub(super) fn check(report: &mut Report, project: &Checked, authority: &Checked) {
    let name = &project.snapshot.project;
    let is_known = authority.snapshot.fold.project(name).is_some();
    let older = check_cited(report, project, authority);
    match (is_known, older) {
        (true, _) => {}
        (false, true) => report.pending.push(format!("{name}: this copy of forge.git is from before the project")),
        // Its creation never became durable in forge.git.
        (false, false) if project.snapshot.number <= 1 => {
            report.pending.push(format!("{name}: forge.git knows no such project, and there is nothing in it"));
        }
        (false, false) => report.faults.push(format!("{name}: forge.git knows no such project")),
    }
    let settled = check_cursor(report, project, authority);
    if let Some(settled) = settled {
        check_ratings(report, project, authority, settled);
    }
    check_outbox(report, project, authority);
    redaction::check_all(report, project, authority);
}

/// Every commit of `forge.git` that the project cites must be in its ledger, in order; the newest may be missing where the
/// copy of `forge.git` is older. Whether it is.
fn check_cited(report: &mut Report, project: &Checked, authority: &Checked) -> bool {
    let name = &project.snapshot.project;
    let at: HashMap<Oid, usize> = authority.chain.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut unknown: Option<&Cited> = None;
    let mut last = 0;
    for cited in &project.cited {
        match (at.get(&cited.commit), unknown) {
            (None, before) => unknown = before.or(Some(cited)),
            (Some(at), Some(lost)) if cited.epoch > lost.epoch => {
                let Cited { n, commit, .. } = lost;
                let why = format!("batch {n} cites {commit} of forge.git, which is lost: epoch {}", cited.epoch);
                report.pending.push(format!("{name}: {why} went on without it"));
                (unknown, last) = (None, *at);
            }
            (Some(_), Some(Cited { n, commit, .. })) => {
                let why =
                    format!("batch {n} cites {commit} of forge.git, which is not in its ledger, as later batches are");
                report.faults.push(format!("{name}: {why}: forge.git was rewritten"));
                return false;
            }
            (Some(at), None) if *at < last => {
                let why = format!("batch {} cites an earlier commit of forge.git than those before", cited.n);
                report.faults.push(format!("{name}: {why}"));
                return false;
            }
            (Some(at), None) => last = *at,
        }
    }
    if let Some(Cited { n, commit, .. }) = unknown {
        report.open_ends += 1;
        let why = format!("batch {n} cites {commit} of forge.git, which is not in this copy of it");
        report.pending.push(format!("{name}: {why} (an older copy, or another history: fetch forge.git again)"));
    }
    unknown.is_some()
}

/// What `forge.git` settled must be what stands here. How far it settled, where this copy reaches so far.
fn check_cursor(report: &mut Report, project: &Checked, authority: &Checked) -> Option<u64> {
    let name = &project.snapshot.project;
    let Some((n, commit)) = authority.snapshot.cursors.get(name) else { return Some(0) };
    let here = usize::try_from(*n).ok().and_then(|n| project.chain.get(n.checked_sub(1)?));
    match here {
        Some(here) if here == commit => Some(*n),
        Some(here) => {
            let why = format!("batch {n} is {here}, and forge.git settled {commit} under that number");
            report.faults.push(format!("{name}: {why}: its ledger was rewritten"));
            None
        }
        None => {
            report.open_ends += 1;
            let why = format!("forge.git settled its batch {n}, and this copy ends at {}", project.snapshot.number);
            report.pending.push(format!("{name}: {why} (an older copy, or one that was cut short: fetch it again)"));
            None
        }
    }
}

/// Every rating was asked for by a merge or a challenge of one, and every merge that rates was rated, up to batch
/// `settled`.
fn check_ratings(report: &mut Report, project: &Checked, authority: &Checked, settled: u64) {
    let (name, fold) = (&project.snapshot.project, &project.snapshot.fold);
    let asked: HashMap<Sha256, (u64, &str)> = (project.snapshot.outbox.iter())
        .filter(|(n, _, _)| *n <= settled)
        .map(|(n, _, line)| (line.h, (*n, line.e.as_str())))
        .collect();
    let owners = &authority.snapshot.fold;
    let none = Vec::new();
    let rated = authority.rated.get(name).unwrap_or(&none);
    let set_back = authority.set_back.get(name).copied().unwrap_or(0);
    for Rating { place, n, fact } in rated {
        match contradicts(fact, &asked, fold, (owners, *n)) {
            Some(_) if *n < set_back && !asked.contains_key(&key(fact)) => {
                let why = format!("what asked for it is lost, which batch {set_back} of forge.git accepts");
                report.pending.push(format!("forge: {place}: {why}"));
            }
            Some(why) => report.faults.push(format!("forge: {place}: {why}")),
            None => {}
        }
    }
    check_judged(report, project, owners, rated, settled);
    let ticket = |pull: &PullState| pull.issue.and_then(|n| fold.issue(n)).filter(|ticket| ticket.contest.is_none());
    let author = |pull: &PullState| ticket(pull).map(|ticket| ticket.author.clone());
    let rates = |pull: &&PullState, batch: u64| author(pull).is_some_and(|author| pull.rates(&author, owners, batch));
    let cursors = authority.settled.get(name).map_or(&[][..], Vec::as_slice);
    let given: HashSet<Sha256> = rated.iter().map(|rating| key(&rating.fact)).collect();
    for (key, (asking, entity)) in asked.iter().filter(|(key, _)| !given.contains(key)) {
        if let Ok(EntityId::Issue(n)) = entity.parse()
            && let Some(contest) = fold.contests.of(n)
            && contest.rankings.front().is_some_and(|(first, _)| first == key)
        {
            report
                .faults
                .push(format!("{name}: {entity}: its contest is owed ratings, and forge.git settled it without"));
        }
        // Who answered for whom is asked of the batch that passed it by.
        if let Ok(EntityId::Pull(n)) = entity.parse()
            && let Some(judged) = fold.reviews.judged(n, key).filter(|judged| judged.score_ppm.is_some())
            && let Some(batch) = settled_by(cursors, *asking)
            && let Some(pull) = fold.pull(n)
            && owners.owner_at(&judged.reviewer, batch) != owners.owner_at(&pull.author, batch)
        {
            let why = format!("{} is owed a rating for its verdict, and forge.git settled it without", judged.reviewer);
            report.faults.push(format!("{name}: {entity}: {why}"));
        }
        if let Ok(EntityId::Pull(n)) = entity.parse()
            && fold.landings.get(&n) == Some(key)
            && let Some(batch) = settled_by(cursors, *asking)
            && let Some(pull) = fold.pull(n).filter(|pull| rates(pull, batch))
        {
            let why = format!("{} is owed a rating for this merge, and forge.git settled it without one", pull.author);
            report.faults.push(format!("{name}: {entity}: {why}"));
        }
    }
}

/// Which batch of `forge.git` settled what batch `n` of a project asked for, by those that moved the project's cursor, each
/// with where to. One that was set back passes some batches twice; what counts is the last time.
fn settled_by(cursors: &[(u64, u64)], n: u64) -> Option<u64> {
    let at = cursors.iter().rposition(|(_, upto)| *upto < n).map_or(0, |before| before + 1);
    cursors.get(at).map(|(batch, _)| *batch)
}

fn key(fact: &Rated) -> Sha256 {
    match fact {
        Rated::Settled(fact) => fact.key,
        Rated::Corrected(fact) => fact.key,
        Rated::Review(fact) => fact.key,
        Rated::Contest(fact) => fact.key,
        Rated::CorrectedContest(fact) => fact.key,
    }
}

/// In what the ratings of a contest contradict the project whose contest it is said to be.
fn contest_contradicts(
    key: Sha256,
    contest: &ItemRef,
    entrants: &[Entrant],
    asked: &HashMap<Sha256, (u64, &str)>,
    fold: &Fold,
) -> Option<String> {
    let entity = EntityId::Issue(contest.n).to_string();
    let ranked = fold.contests.of(contest.n).and_then(|contest| contest.fared(&key));
    let Some(mut ranked) = ranked.filter(|_| asked.get(&key).is_some_and(|(_, by)| *by == entity)) else {
        return Some(format!("{contest} never asked for these ratings"));
    };
    let mut rated: Vec<Fared> = entrants.iter().map(Fared::of).collect();
    // A correction keeps the order of the settlement.
    ranked.sort_by_key(|fared| fared.pull);
    rated.sort_by_key(|fared| fared.pull);
    (ranked != rated).then(|| format!("its entrants did not fare so in {contest}"))
}

/// In what a rating contradicts the project that is said to have asked for it. It stands in the batch of `forge.git` that
/// comes with that one's fold.
fn contradicts(
    fact: &Rated,
    asked: &HashMap<Sha256, (u64, &str)>,
    fold: &Fold,
    (owners, batch): (&Fold, u64),
) -> Option<String> {
    let (agent, pull, ticket) = match fact {
        Rated::Settled(fact) => (&fact.agent, &fact.pull, &fact.ticket),
        Rated::Corrected(fact) => (&fact.agent, &fact.pull, &fact.ticket),
        Rated::Review(fact) => return review_contradicts(fact, asked, fold, (owners, batch)),
        Rated::Contest(fact) => {
            let issue = fold.issue(fact.contest.n).filter(|issue| issue.author == fact.author);
            let terms = issue.and_then(|issue| issue.contest.as_ref());
            if terms.is_none_or(|terms| (terms.difficulty, terms.anchored) != (fact.difficulty, fact.anchored)) {
                return Some(format!("its terms are not those of {}", fact.contest));
            }
            return contest_contradicts(fact.key, &fact.contest, &fact.entrants, asked, fold);
        }
        Rated::CorrectedContest(fact) => {
            return contest_contradicts(fact.key, &fact.contest, &fact.entrants, asked, fold);
        }
    };
    let entity = EntityId::Pull(pull.n).to_string();
    let state = fold.pull(pull.n).filter(|_| asked.get(&key(fact)).is_some_and(|(_, by)| *by == entity));
    let Some(state) = state else { return Some(format!("{pull} never asked for this rating")) };
    let item = |n| ItemRef { project: pull.project.clone(), n };
    if state.author != *agent || state.issue.map(item).as_ref() != Some(ticket) {
        return Some(format!(
            "it rates {agent} on {ticket}, and {pull} is by {} on another ticket or agent",
            state.author
        ));
    }
    let Some(author) = fold.issue(ticket.n).map(|ticket| &ticket.author) else {
        return Some("its ticket is no issue".to_owned());
    };
    match fact {
        Rated::Settled(fact) if fold.landings.get(&pull.n) != Some(&fact.key) => {
            Some(format!("{pull} did not land by the event that it names"))
        }
        Rated::Settled(fact) if (fact.score_ppm, fact.k_milli) != (elo::WIN, elo::K_MERGE) => {
            Some("a merge is a win with the usual K".to_owned())
        }
        Rated::Settled(fact) if !state.rates(author, owners, batch) || fact.approvers != state.approvers() => {
            Some(format!("its approvals are not those of {pull}, or do not rate"))
        }
        Rated::Settled(fact) if fact.ticket_author.as_ref().is_some_and(|said| said != author) => {
            Some(format!("its ticket was opened by {author}"))
        }
        Rated::Corrected(fact) if fold.landings.get(&pull.n) != Some(&fact.game) => {
            Some(format!("{pull} did not land by the event whose game it corrects"))
        }
        Rated::Settled(_) | Rated::Corrected(_) | Rated::Review(_) | Rated::Contest(_) | Rated::CorrectedContest(_) => {
            None
        }
    }
}

/// In what the rating of a verdict contradicts the project in which it was given.
fn review_contradicts(
    fact: &ReviewSettled,
    asked: &HashMap<Sha256, (u64, &str)>,
    fold: &Fold,
    (owners, batch): (&Fold, u64),
) -> Option<String> {
    let (pull, entity) = (&fact.pull, EntityId::Pull(fact.pull.n).to_string());
    let judged = fold.reviews.judged(pull.n, &fact.key);
    let judged = judged.filter(|_| asked.get(&fact.key).is_some_and(|(_, by)| *by == entity));
    let (Some(judged), Some(state)) = (judged, fold.pull(pull.n)) else {
        return Some(format!("{pull} never asked for this rating"));
    };
    if (&judged.reviewer, &state.author) != (&fact.reviewer, &fact.author) {
        return Some(format!("that verdict is {}'s on work of {}", judged.reviewer, state.author));
    }
    // Whoever answers for them later, what was settled may be taken back.
    if fact.score_ppm.is_some() && is_one_owners(owners, fact, batch) {
        return Some("one owner answers for both".to_owned());
    }
    // An approval is wrong, or judged no longer; it is never right.
    let is_request = judged.score_ppm == Some(elo::WIN);
    (is_request != (fact.score_ppm == Some(elo::WIN))).then(|| "it was not judged so".to_owned())
}

fn is_one_owners(owners: &Fold, review: &ReviewSettled, batch: u64) -> bool {
    owners.owner_at(&review.reviewer, batch) == owners.owner_at(&review.author, batch)
}

/// Where everything that was asked of a verdict is settled, it stands in `forge.git` as it is judged in the project.
fn check_judged(report: &mut Report, project: &Checked, owners: &Fold, rated: &[Rating], settled: u64) {
    let waiting: HashSet<Sha256> =
        project.snapshot.outbox.iter().filter(|(n, _, _)| *n > settled).map(|(_, _, line)| line.h).collect();
    let newest: HashMap<Sha256, (&str, &ReviewSettled, u64)> = rated
        .iter()
        .filter_map(|Rating { place, n, fact }| match fact {
            Rated::Review(review) => Some((review.key, (place.as_str(), review, *n))),
            Rated::Settled(_) | Rated::Corrected(_) | Rated::Contest(_) | Rated::CorrectedContest(_) => None,
        })
        .collect();
    for (place, review, batch) in newest.into_values().filter(|(_, review, _)| !waiting.contains(&review.key)) {
        let judged = project.snapshot.fold.reviews.judged(review.pull.n, &review.key);
        let is_so = judged.is_none_or(|judged| judged.score_ppm == review.score_ppm);
        if !is_so && !is_one_owners(owners, review, batch) {
            let why = format!("{} judges this verdict otherwise by now, and its rating was not corrected", review.pull);
            report.faults.push(format!("forge: {place}: {why}"));
        }
    }
}

/// What a project asked of `forge.git` and what, as its cursor says, has not happened there yet.
fn check_outbox(report: &mut Report, project: &Checked, authority: &Checked) {
    let project = &project.snapshot;
    let done = authority.snapshot.cursors.get(&project.project).map_or(0, |(n, _)| *n);
    for (n, _, line) in project.outbox.iter().filter(|(n, _, _)| *n > done) {
        // No fault: what `forge.git` says of this project ends earlier, and says nothing else.
        let why = "its rating has not been settled in this copy of forge.git (fetch again, or start the forge once)";
        report.pending.push(format!("{}: {} (batch {n}): {why}", project.project, line.e));
    }
}

#[cfg(test)]
mod tests {
    use super::settled_by;

    #[test]
    fn the_batch_that_settled_is_the_first_whose_cursor_reached_it() {
        let cursors = [(10, 2), (12, 5), (15, 6)];
        for (n, batch) in [(1, Some(10)), (2, Some(10)), (3, Some(12)), (5, Some(12)), (6, Some(15)), (7, None)] {
            assert_eq!(settled_by(&cursors, n), batch, "{n}");
        }
        assert_eq!(settled_by(&[], 1), None);
        // Set back to 2, for the project lost what came after: batches 3 to 6 are others now.
        let again = [(10, 2), (12, 5), (15, 6), (20, 2), (22, 4), (23, 7)];
        for (n, batch) in [(2, Some(10)), (3, Some(22)), (4, Some(22)), (5, Some(23)), (7, Some(23))] {
            assert_eq!(settled_by(&again, n), batch, "{n}");
        }
    }
}
