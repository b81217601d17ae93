//! Contests as the issues that they are: what was agreed, what counts, who placed where, and who keeps what it starts.
//!
//! Invariant: the close is an event. What is read never compares a deadline with a clock.

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::event::{
    ContestClosed, ContestDrawn, ContestOpened, ContestRanked, ContestRevealed, ContestSealed, Difficulty, Entry,
    Level, Placed, Seat, Trial, Trials, VerdictCommitted, VerdictRevealed, VerifiersJudged,
};
use notes_schema::{AgentName, Oid, Sha256};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::panel::{Seated, Trust};
use super::played::Fared;
use super::rank::{Standing, places};

/// How far a contest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// What is submitted counts.
    Open,
    /// What was submitted counts.
    Closed,
    /// It is decided.
    Ranked,
}

impl Stage {
    /// As in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Open => "open",
            Stage::Closed => "closed",
            Stage::Ranked => "ranked",
        }
    }
}

/// What an issue says of the contest that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestState {
    /// How hard it was said to be.
    pub difficulty: Difficulty,
    /// Where all begin.
    pub base: Oid,
    /// The command that decides.
    pub command: String,
    /// The command that measures, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<String>,
    /// From the first start to the close, milliseconds.
    pub runs_ms: u64,
    /// Whether it was imported from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchored: bool,
    /// How far it is.
    pub stage: Stage,
    /// When it is due to close, milliseconds since 1970: from the first start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_ms: Option<u64>,
    /// How many submissions count, once it is closed.
    pub entries: u64,
    /// What is sealed until the close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Seal>,
}

/// What an issue says of its sealed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// What was promised of it.
    pub commitment: Sha256,
    /// Whether it can be read.
    pub revealed: bool,
}

impl ContestState {
    pub(super) fn opened(fact: &ContestOpened) -> ContestState {
        ContestState {
            difficulty: fact.difficulty,
            base: fact.base,
            command: fact.command.clone(),
            bench: fact.bench.clone(),
            runs_ms: fact.runs_ms,
            anchored: fact.anchored,
            stage: Stage::Open,
            closes_ms: None,
            entries: 0,
            sealed: None,
        }
    }
}

/// A sealed part: what was promised, where it lies, and how it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPart {
    /// Who sealed it.
    pub by: AgentName,
    /// From what its key is derived.
    pub id: Vec<u8>,
    /// Digest of what is in it.
    pub commitment: Sha256,
    /// Digest of the blob.
    pub sealed: Sha256,
    /// The commit of the event that it lies beside; none once it was redacted.
    pub commit: Option<Oid>,
    /// Its key, once the contest is closed.
    pub key: Option<Vec<u8>>,
}

/// A contest's submissions, once it is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contest {
    /// What counts, by agent.
    pub entries: Vec<Entry>,
    /// Who may be drawn to verify, by name.
    pub candidates: Vec<AgentName>,
    /// Who was drawn.
    pub seats: Vec<Seated>,
    /// When it is ranked by what is known then, once verifiers were drawn; milliseconds since 1970.
    pub due_ms: Option<u64>,
    /// How it is decided who of the first that were drawn is tried, until that is known.
    pub trials: Option<Trials>,
    /// Pull requests that its sealed tests cannot be laid over: they failed them, and nobody is drawn to run them.
    pub unlaid: Vec<u64>,
    /// Rankings by the digest of their event, the newest last.
    pub rankings: Vector<(Sha256, Vec<Placed>)>,
}

impl Contest {
    /// Candidates for a submission in the order of the draw: by the digests of `beacon`, its number and their names.
    pub fn order(&self, beacon: &Oid, pull: u64) -> Vec<&AgentName> {
        let digest =
            |agent: &AgentName| Sha256::of_parts(&[beacon.as_bytes(), &pull.to_be_bytes(), agent.as_str().as_bytes()]);
        let mut order: Vec<&AgentName> = self.candidates.iter().collect();
        order.sort_by_key(|agent| digest(agent));
        order
    }

    /// What others are to run again: what its maker proved, and something can be run of.
    pub fn to_verify(&self) -> impl Iterator<Item = u64> {
        let proved = self.entries.iter().filter(|entry| entry.record.is_some()).map(|entry| entry.pull);
        proved.filter(|pull| !self.unlaid.contains(pull))
    }

    /// The places as they are now; none before it is ranked.
    pub fn places(&self) -> &[Placed] {
        self.rankings.last().map_or(&[], |(_, places)| places)
    }

    /// How the entrants fared by the ranking with this digest.
    pub fn fared(&self, ranking: &Sha256) -> Option<Vec<Fared>> {
        let (_, places) = self.rankings.iter().find(|(digest, _)| digest == ranking)?;
        Some(places.iter().map(fared).collect())
    }
}

fn fared(placed: &Placed) -> Fared {
    Fared { agent: placed.agent.clone(), pull: placed.pull, place: placed.place, solved: placed.solved }
}

/// Whether an agent keeps what it starts. It never touches a rating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Contests for which it submitted something in time; issues that it started and closed by what landed.
    pub delivered: u64,
    /// Contests that it gave up. To give up an issue that is none costs nothing.
    pub abandoned: u64,
    /// Contests that closed, and issues on which the forge ended its work, without a word from it.
    pub expired: u64,
}

impl Kept {
    /// Both together.
    pub fn and(self, other: Kept) -> Kept {
        Kept {
            delivered: self.delivered + other.delivered,
            abandoned: self.abandoned + other.abandoned,
            expired: self.expired + other.expired,
        }
    }

    /// How much of what it started it delivered, permille; `None` where nothing it started is over.
    pub fn permille(self) -> Option<u64> {
        let all = self.delivered + self.abandoned + self.expired;
        (self.delivered * 1000).checked_div(all)
    }
}

/// What is looked up of the contests of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contests {
    by_issue: OrdMap<u64, Shared<Contest>>,
    /// When each that runs is due to close.
    closing: OrdSet<(u64, u64)>,
    kept: OrdMap<AgentName, Kept>,
    sealed: OrdMap<u64, Shared<SealedPart>>,
    /// Closed, with something sealed, and not ranked.
    waiting: OrdSet<u64>,
    /// Contests that are closed and wait for verifiers.
    verifying: OrdSet<u64>,
    trust: OrdMap<AgentName, Trust>,
}

impl Contests {
    /// Contests that are closed and wait for verifiers.
    pub fn verifying(&self) -> impl Iterator<Item = u64> {
        self.verifying.iter().copied()
    }

    fn change(&mut self, issue: u64, change: impl FnOnce(&mut Contest)) {
        let mut contest = self.by_issue.get(&issue).map(|contest| Contest::clone(contest)).unwrap_or_default();
        change(&mut contest);
        self.by_issue.insert(issue, Shared::new(contest));
    }

    pub(super) fn drawn(&mut self, issue: u64, fact: &ContestDrawn) {
        self.change(issue, |contest| {
            contest.due_ms = Some(fact.due_ms);
            contest.trials = contest.trials.or(fact.trials);
            let seated = |seat: &Seat| Seated {
                pull: seat.pull,
                agent: seat.agent.clone(),
                bound: None,
                found: None,
                regressions: None,
                bench: None,
                void: false,
            };
            contest.seats.extend(fact.seats.iter().map(seated));
        });
    }

    pub(super) fn committed(&mut self, issue: u64, agent: &AgentName, fact: &VerdictCommitted) {
        self.change(issue, |contest| {
            let seat = contest.seats.iter_mut().find(|seat| seat.pull == fact.pull && seat.agent == *agent);
            if let Some(seat) = seat {
                seat.bound = Some(fact.digest);
            }
        });
    }

    pub(super) fn revealed(&mut self, issue: u64, agent: &AgentName, fact: &VerdictRevealed) {
        self.change(issue, |contest| {
            let seat = contest.seats.iter_mut().find(|seat| seat.pull == fact.pull && seat.agent == *agent);
            if let Some(seat) = seat {
                (seat.found, seat.regressions, seat.bench) = (Some(fact.finding), fact.regressions, fact.bench);
            }
        });
    }

    pub(super) fn judged(&mut self, issue: u64, fact: &VerifiersJudged) {
        for Trial { agent, right, .. } in &fact.trials {
            let trust = self.trust.entry(agent.clone()).or_default();
            match right {
                Some(true) => trust.right += 1,
                Some(false) => trust.wrong += 1,
                None => {}
            }
        }
        self.change(issue, |contest| {
            if fact.key.is_some() {
                contest.trials = None;
            }
            contest.candidates.retain(|agent| !fact.discredited.contains(agent));
            for seat in &mut contest.seats {
                let was_trial = fact.trials.iter().any(|trial| trial.pull == seat.pull && trial.agent == seat.agent);
                seat.void |= was_trial || fact.discredited.contains(&seat.agent);
            }
        });
    }

    /// What a verifier said here of what was known.
    pub fn trust(&self, agent: &AgentName) -> Trust {
        self.trust.get(agent).copied().unwrap_or_default()
    }

    /// All that is known here of verifiers.
    pub fn trusts(&self) -> impl Iterator<Item = (&AgentName, Trust)> {
        self.trust.iter().map(|(agent, trust)| (agent, *trust))
    }

    /// What was submitted to a contest that is closed.
    pub fn of(&self, issue: u64) -> Option<&Contest> {
        self.by_issue.get(&issue).map(|contest| &**contest)
    }

    /// Contests that are due to close by `now`, the longest overdue first.
    pub fn due(&self, now: u64) -> impl Iterator<Item = u64> {
        self.closing.iter().take_while(move |(at, _)| *at <= now).map(|(_, issue)| *issue)
    }

    /// Whether an agent keeps what it starts here.
    pub fn kept(&self, agent: &AgentName) -> Kept {
        self.kept.get(agent).copied().unwrap_or_default()
    }

    /// All contests that were ranked.
    pub fn ranked(&self) -> impl Iterator<Item = (u64, &Contest)> {
        self.by_issue.iter().map(|(n, contest)| (*n, &**contest)).filter(|(_, contest)| !contest.rankings.is_empty())
    }

    /// The sealed part of a contest.
    pub fn sealed(&self, issue: u64) -> Option<&SealedPart> {
        self.sealed.get(&issue).map(|part| &**part)
    }

    /// Contests that are closed, and are ranked once what is sealed of them is revealed.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().copied()
    }

    pub(super) fn sealed_in(&mut self, issue: u64, by: &AgentName, fact: &ContestSealed, commit: Option<Oid>) {
        let ContestSealed { id, commitment, sealed, .. } = fact.clone();
        let part = SealedPart { by: by.clone(), id, commitment, sealed, commit, key: None };
        self.sealed.insert(issue, Shared::new(part));
    }

    pub(super) fn unsealed(&mut self, issue: u64, fact: &ContestRevealed) {
        if let Some(part) = self.sealed.get(&issue).filter(|part| part.id == fact.id && part.key.is_none()) {
            let part = SealedPart { key: Some(fact.key.clone()), ..SealedPart::clone(part) };
            self.sealed.insert(issue, Shared::new(part));
            if !fact.unlaid.is_empty() {
                self.change(issue, |contest| contest.unlaid.clone_from(&fact.unlaid));
            }
        }
    }

    pub(super) fn runs(&mut self, issue: u64, closes_ms: u64) {
        self.closing.insert((closes_ms, issue));
    }

    pub(super) fn abandoned(&mut self, agent: &AgentName) {
        self.kept.entry(agent.clone()).or_default().abandoned += 1;
    }

    pub(super) fn closed(&mut self, issue: u64, fact: &ContestClosed) {
        if let Some(runs) = self.closing.iter().find(|(_, other)| *other == issue).copied() {
            self.closing.remove(&runs);
        }
        for entry in &fact.entries {
            self.kept.entry(entry.agent.clone()).or_default().delivered += 1;
        }
        for agent in &fact.expired {
            self.kept.entry(agent.clone()).or_default().expired += 1;
        }
        if !fact.candidates.is_empty() {
            self.verifying.insert(issue);
        }
        let (entries, candidates) = (fact.entries.clone(), fact.candidates.clone());
        self.by_issue.insert(issue, Shared::new(Contest { entries, candidates, ..Contest::default() }));
        if self.sealed.contains_key(&issue) {
            self.waiting.insert(issue);
        }
    }

    pub(super) fn ranked_by(&mut self, issue: u64, digest: Sha256, fact: &ContestRanked) {
        self.verifying.remove(&issue);
        self.waiting.remove(&issue);
        self.change(issue, |contest| contest.rankings.push_back((digest, fact.places.clone())));
    }
}

/// Sets the places, and orders by them.
pub fn in_order(mut placed: Vec<Placed>) -> ContestRanked {
    let standings: Vec<Standing> = placed.iter().map(standing).collect();
    for (placed, place) in placed.iter_mut().zip(places(&standings)) {
        placed.place = place;
    }
    placed.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.agent.cmp(&b.agent)));
    ContestRanked { places: placed }
}

/// What decides the place of a submission.
pub fn standing(placed: &Placed) -> Standing {
    Standing {
        refuted: placed.level == Level::PX,
        solved: placed.solved,
        level: placed.level,
        regressions: placed.regressions,
        bench_us: placed.bench_us,
        alike_permille: placed.alike_permille,
        took_ms: placed.took_ms,
    }
}
