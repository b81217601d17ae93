//! Which verifiers of a contest whose tests were sealed are tried: some get a tree of which is known what comes of it, in place of
//! the submission that they were drawn for.
//!
//! Invariant: nobody is told that a seat is a trial before all have told what they found. A key derived from the forge's secret
//! decides it, which is promised when they are drawn and published when they are judged.

use std::collections::{BTreeMap, BTreeSet};

use notes_schema::event::{Known, Trials, VerifiersJudged};
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256, refs};

use super::Forge;
use super::laid::Tests;
use super::sealed::opened;
use crate::answer::{Code, Refusal};
use crate::import::Sealed;
use crate::ledger::{Author, Draft, Snapshot};
use crate::state::Trust;
use git::store::Objects;

pub(super) fn unmade(contest: &ItemRef, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::TryLater, contest.to_string(), format!("{why}; what its verifiers run waits for it"), "feed")
}

/// What a verifier runs, in place of the submission that it was drawn for.
pub(crate) struct Run {
    /// The contest.
    pub contest: u64,
    /// The commit.
    pub commit: Oid,
    /// Its tree.
    pub tree: Oid,
    /// What was sealed.
    pub part: Sealed,
}

/// How it is decided, from here on, which of the first that are drawn for a contest are tried; none where its tests are not run, or
/// nobody is to be.
pub(super) fn promise(forge: &Forge, snapshot: &Snapshot, issue: u64) -> Result<Option<Trials>, Refusal> {
    let permille = forge.config().trial_permille.min(1000);
    if permille == 0 || snapshot.ref_id(&refs::sealed_runs(issue)).is_none() {
        return Ok(None);
    }
    let key = trial_key(forge, snapshot, issue)?;
    Ok(Some(Trials { commitment: Sha256::of(&key), permille }))
}

fn trial_key(forge: &Forge, snapshot: &Snapshot, issue: u64) -> Result<Vec<u8>, Refusal> {
    let item = || ItemRef { project: snapshot.project.clone(), n: issue };
    let part = snapshot.fold.contests.sealed(issue).ok_or_else(|| unmade(&item(), "nothing is sealed of it"))?;
    forge.derive(snapshot, part, |place, secret| place.trial_key(secret)).map_err(|why| unmade(&item(), why))
}

/// Says which seats of a contest were trials, once that can be said, and whose verdicts count nothing. False where there is nothing
/// to say.
pub(super) fn judge(draft: &mut Draft, forge: &Forge, objects: &dyn Objects, issue: u64) -> Result<bool, Refusal> {
    let snapshot = draft.snapshot().clone();
    let Some(contest) = snapshot.fold.contests.of(issue) else { return Ok(false) };
    let (mut key, mut trials) = (None, Vec::new());
    if contest.is_to_judge(draft.now()) {
        let found = trial_key(forge, &snapshot, issue)?;
        let part = snapshot.fold.contests.sealed(issue).and_then(|part| opened(objects, part));
        // Of one that was taken out meanwhile nobody can say that it had none.
        let has_golden = part.is_none_or(|part| part.map_or(true, |opened| !opened.part.golden.is_empty()));
        trials = contest.trials_by(&found, has_golden);
        key = Some(found);
    }
    let wrong = |agent: &AgentName| {
        let of = trials.iter().filter(|trial| trial.agent == *agent).filter_map(|trial| trial.right);
        of.fold(Trust::default(), |trust, right| trust.and(Trust { right: right.into(), wrong: (!right).into() }))
    };
    let fallen = |agent: &AgentName| forge.trust(agent).and(wrong(agent)).credibility() == 0;
    let discredited: Vec<AgentName> = contest.candidates.iter().filter(|agent| fallen(agent)).cloned().collect();
    if key.is_none() && discredited.is_empty() {
        return Ok(false);
    }
    let judged = VerifiersJudged { key, trials, discredited };
    draft.event(&Author::forge(), &EntityId::Issue(issue), judged, None, &[]).map(|_| true)
}

impl Forge {
    /// What a verifier said of what was known, in all projects.
    pub(crate) fn trust(&self, agent: &AgentName) -> Trust {
        let all = self.open_repositories();
        all.iter().fold(Trust::default(), |trust, of| trust.and(of.snapshot().fold.contests.trust(agent)))
    }

    /// Who is not believed any more, by what it said in all projects.
    pub(super) fn discredited(&self) -> BTreeSet<AgentName> {
        let mut all: BTreeMap<AgentName, Trust> = BTreeMap::new();
        for repository in self.open_repositories() {
            for (agent, trust) in repository.snapshot().fold.contests.trusts() {
                let sum = all.entry(agent.clone()).or_default();
                *sum = sum.and(trust);
            }
        }
        all.into_iter().filter(|(_, trust)| trust.credibility() == 0).map(|(agent, _)| agent).collect()
    }

    /// What `agent` runs who has a seat for `pull`; none where its contest has no tests that were laid over anything, or is ranked.
    pub(crate) fn run_of(
        &self,
        snapshot: &Snapshot,
        objects: &dyn Objects,
        pull: &ItemRef,
        agent: &AgentName,
    ) -> Result<Option<Run>, Refusal> {
        let fold = &snapshot.fold;
        let seat = || {
            let issue = fold.pull(pull.n)?.issue?;
            let contest = fold.contests.of(issue).filter(|contest| contest.rankings.is_empty())?;
            contest.seat(pull.n, agent)?;
            let entry = contest.entries.iter().find(|entry| entry.pull == pull.n)?;
            let base = fold.issue(issue)?.contest.as_ref()?.base;
            Some((issue, contest, entry.head, base, snapshot.ref_id(&refs::sealed_runs(issue))?))
        };
        let Some((issue, contest, head, base, kept)) = seat() else { return Ok(None) };
        let item = ItemRef { project: snapshot.project.clone(), n: issue };
        let part = match fold.contests.sealed(issue).and_then(|part| opened(objects, part)) {
            Some(opened) => opened.map_err(|error| unmade(&item, error))?.part,
            None => return Err(unmade(&item, "what was sealed of it is not there any more")),
        };
        let known = match contest.trials {
            Some(trials) => trials.of(&trial_key(self, snapshot, issue)?, pull.n, agent),
            None => None,
        };
        let known = known.filter(|known| *known == Known::Base || !part.golden.is_empty());
        let laid = Tests::of(objects, base, &part).and_then(|tests| match known {
            Some(known) => tests.known(known),
            None => tests.over(head),
        });
        let (tree, _) = laid.map_err(|error| unmade(&item, error))?;
        let runs = objects.commit(kept).map_err(|error| unmade(&item, error))?.parents;
        let is_it = |run: &Oid| objects.commit(*run).is_ok_and(|commit| commit.tree == tree);
        let commit = runs.into_iter().find(is_it).ok_or_else(|| unmade(&item, "its commit is not there"))?;
        Ok(Some(Run { contest: issue, commit, tree, part }))
    }
}
