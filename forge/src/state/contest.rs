//! Contests as the issues that they are: what was agreed, what counts, who placed where, and who keeps what it starts.
//!
//! Invariant: the close is an event. What is read never compares a deadline with a clock.

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::event::{
    ContestClosed, ContestDrawn, ContestOpened, ContestRanked, ContestRevealed, ContestSealed, Difficulty, Entry,
    Finding, Level, Placed, Seat, VerdictCommitted, VerdictRevealed,
};
use notes_schema::{AgentName, Oid, Sha256};
use serde::{Deserialize, Serialize};

use super::Shared;
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

/// A verifier's seat, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seated {
    /// The submission.
    pub pull: u64,
    /// Who.
    pub agent: AgentName,
    /// The verdict that it is bound to.
    pub bound: Option<Sha256>,
    /// The verdict, once it is told.
    pub found: Option<Finding>,
    /// How many tests its run broke, where the sealed tests were in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressions: Option<u32>,
}

/// What those who were drawn found who ran a submission with the contest's sealed tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// Those that must pass now do, and so many that must pass still do not.
    Passed(u32),
    /// They do not.
    Failed,
}

/// How a submission's verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// Not all of its verifiers have told what they found.
    Waits,
    /// They disagree, and no more were asked yet.
    Split,
    /// More confirm than refute, two at least.
    Confirmed,
    /// More refute than confirm, two at least.
    Refuted,
    /// Nothing follows from what they say.
    Open,
}

/// So many verifiers a submission has at first.
pub const FIRST_PANEL: usize = 2;
/// So many where the first disagree.
pub const WIDER_PANEL: usize = 5;

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
    /// Rankings by the digest of their event, the newest last.
    pub rankings: Vector<(Sha256, Vec<Placed>)>,
}

impl Contest {
    /// How the verification of a submission stands.
    pub fn panel(&self, pull: u64) -> Panel {
        let of: Vec<&Seated> = self.seats.iter().filter(|seat| seat.pull == pull).collect();
        let count = |finding| of.iter().filter(|seat| seat.found == Some(finding)).count();
        let (confirm, refute) = (count(Finding::Confirm), count(Finding::Refute));
        match () {
            () if of.iter().any(|seat| seat.found.is_none()) => Panel::Waits,
            () if confirm > refute && confirm >= FIRST_PANEL => Panel::Confirmed,
            () if refute > confirm && refute >= FIRST_PANEL => Panel::Refuted,
            () if of.len() <= FIRST_PANEL && !of.is_empty() => Panel::Split,
            () => Panel::Open,
        }
    }

    /// What a submission's panel found of the sealed tests; nothing where they were not run, or nothing follows. Those who
    /// confirm may have seen other tests fail: of their counts the one in the middle counts, the lower one of two.
    pub fn tested(&self, pull: u64) -> Option<Tested> {
        let of = self.seats.iter().filter(|seat| seat.pull == pull);
        let mut broken: Vec<u32> =
            of.filter(|seat| seat.found == Some(Finding::Confirm)).filter_map(|seat| seat.regressions).collect();
        broken.sort_unstable();
        match self.panel(pull) {
            _ if !self.ran_sealed_tests(pull) => None,
            Panel::Confirmed => broken.get(broken.len().saturating_sub(1) / 2).copied().map(Tested::Passed),
            Panel::Refuted => Some(Tested::Failed),
            Panel::Waits | Panel::Split | Panel::Open => None,
        }
    }

    fn ran_sealed_tests(&self, pull: u64) -> bool {
        self.seats.iter().any(|seat| seat.pull == pull && seat.regressions.is_some())
    }

    /// The seat of a verifier.
    pub fn seat(&self, pull: u64, agent: &AgentName) -> Option<&Seated> {
        self.seats.iter().find(|seat| seat.pull == pull && seat.agent == *agent)
    }

    /// Whether all of a submission's panel are bound to a verdict.
    pub fn all_bound(&self, pull: u64) -> bool {
        self.seats.iter().filter(|seat| seat.pull == pull).all(|seat| seat.bound.is_some())
    }

    /// Candidates for a submission in the order of the draw: by the digests of `beacon`, its number and their names.
    pub fn order(&self, beacon: &Oid, pull: u64) -> Vec<&AgentName> {
        let digest =
            |agent: &AgentName| Sha256::of_parts(&[beacon.as_bytes(), &pull.to_be_bytes(), agent.as_str().as_bytes()]);
        let mut order: Vec<&AgentName> = self.candidates.iter().collect();
        order.sort_by_key(|agent| digest(agent));
        order
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
    /// Contests for which it submitted something in time.
    pub delivered: u64,
    /// Contests that it gave up.
    pub abandoned: u64,
    /// Contests that closed without a word from it.
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
            let seated = |seat: &Seat| Seated {
                pull: seat.pull,
                agent: seat.agent.clone(),
                bound: None,
                found: None,
                regressions: None,
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
                (seat.found, seat.regressions) = (Some(fact.finding), fact.regressions);
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `+`, `-` and `?` are verdicts, a number behind one what the sealed tests broke.
    fn panel(words: &str) -> Contest {
        let seat = |(at, word): (usize, &str)| Seated {
            pull: 1,
            agent: format!("v{at}").parse().unwrap(),
            bound: None,
            found: match &word[..1] {
                "+" => Some(Finding::Confirm),
                "-" => Some(Finding::Refute),
                "?" => Some(Finding::Inconclusive),
                _ => None,
            },
            regressions: word[1..].parse().ok(),
        };
        Contest { seats: words.split_whitespace().enumerate().map(seat).collect(), ..Contest::default() }
    }

    #[test]
    fn two_of_a_panel_decide_what_the_sealed_tests_say() {
        for (words, tested) in [
            ("+0 +0", Some(Tested::Passed(0))),
            ("+3 +1", Some(Tested::Passed(1))),
            ("+3 +1 +2 -0", Some(Tested::Passed(2))),
            ("-0 -4", Some(Tested::Failed)),
            ("-0 -0 +0 ?", Some(Tested::Failed)),
            ("+0 -0", None),
            ("+0 ?", None),
            ("? ?", None),
            ("+0 .", None),
            ("+ +", None),
            ("- -", None),
            ("", None),
        ] {
            assert_eq!(panel(words).tested(1), tested, "{words}");
        }
        assert_eq!(panel("+0 +0").tested(2), None);
    }
}
