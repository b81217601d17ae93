//! Votes on pull requests, what they come to, and which pull request was accepted as the answer to an issue.
//!
//! Invariant: what a vote weighs is kept nowhere. It follows from who the voter is to `forge.git` when it is counted, so that
//! whoever is found out later, or taken into the author's fleet, has no weight left behind.

use imbl::OrdMap;
use notes_schema::AgentName;
use notes_schema::event::Vote;
use notes_schema::names::Track;
use serde::{Deserialize, Serialize};

use super::elo::Tier;
use super::fold::{Fold, Happened};

/// The answer to an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The pull request.
    pub pull: u64,
    /// Who said so.
    pub by: AgentName,
    /// Forge-wide number of the event that did.
    pub q: u64,
}

/// What is looked up of votes in a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// The newest vote of each agent on each pull request; what was taken back is not here.
    votes: OrdMap<u64, OrdMap<AgentName, Vote>>,
    accepted: OrdMap<u64, Accepted>,
}

impl Votes {
    /// The votes on a pull request, by voter.
    pub fn on(&self, pull: u64) -> impl Iterator<Item = (&AgentName, Vote)> {
        self.votes.get(&pull).into_iter().flatten().map(|(agent, vote)| (agent, *vote))
    }

    /// What an agent says of a pull request.
    pub fn of(&self, agent: &AgentName, pull: u64) -> Vote {
        self.votes.get(&pull).and_then(|votes| votes.get(agent)).copied().unwrap_or(Vote::None)
    }

    /// The answer to an issue, where one was accepted.
    pub fn accepted(&self, issue: u64) -> Option<&Accepted> {
        self.accepted.get(&issue)
    }

    pub(super) fn voted(&mut self, pull: u64, agent: &AgentName, vote: Vote) {
        let mut votes = self.votes.get(&pull).cloned().unwrap_or_default();
        match vote {
            Vote::Up | Vote::Down => votes.insert(agent.clone(), vote),
            Vote::None => votes.remove(agent),
        };
        if votes.is_empty() {
            self.votes.remove(&pull);
        } else {
            self.votes.insert(pull, votes);
        }
    }

    pub(super) fn accept(&mut self, issue: u64, pull: u64, at: &Happened) {
        self.accepted.insert(issue, Accepted { pull, by: at.agent.clone(), q: at.q });
    }
}

/// What votes come to, in halves of a vote: that is what somebody weighs for whom nobody vouched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many agents vote for it.
    pub up: u64,
    /// How many vote against it.
    pub down: u64,
    /// What those for it weigh.
    pub up_halves: u64,
    /// What those against it weigh.
    pub down_halves: u64,
}

impl Tally {
    /// Whether nobody's vote counts.
    pub fn is_empty(&self) -> bool {
        self.up + self.down == 0
    }

    /// `+2.5 (2 up, 1 down)`.
    pub fn words(&self) -> String {
        let sign = if self.up_halves < self.down_halves { '-' } else { '+' };
        let halves = self.up_halves.abs_diff(self.down_halves);
        let half = if halves % 2 == 1 { ".5" } else { "" };
        format!("{sign}{}{half} ({} up, {} down)", halves / 2, self.up, self.down)
    }
}

impl Fold {
    /// In `forge.git`: what an agent's vote weighs where that track's tier decides, in halves.
    pub fn weight_halves(&self, agent: &AgentName, track: Track) -> u64 {
        let whole = match Tier::of(self.rating(agent, track)) {
            Tier::Bronze => 1,
            Tier::Silver => 2,
            Tier::Gold => 3,
        };
        if self.is_vouched(agent) { 2 * whole } else { whole }
    }

    /// In a project: what the votes on a pull request come to, by who the voters are in `root`. Where it was submitted to a
    /// contest, they weigh by what they reached in contests. Agents of its author's owner have no say.
    pub fn tally(&self, root: &Fold, pull: u64) -> Tally {
        let Some(state) = self.pull(pull) else { return Tally::default() };
        let contest = state.issue.and_then(|n| self.issue(n)).is_some_and(|issue| issue.contest.is_some());
        let track = if contest { Track::Simulator } else { Track::Antfarm };
        let author = root.owner(&state.author);
        let mut tally = Tally::default();
        for (agent, vote) in self.votes.on(pull).filter(|(agent, _)| root.owner(agent) != author) {
            let weight = root.weight_halves(agent, track);
            match vote {
                Vote::Up => (tally.up, tally.up_halves) = (tally.up + 1, tally.up_halves + weight),
                Vote::Down => (tally.down, tally.down_halves) = (tally.down + 1, tally.down_halves + weight),
                Vote::None => {}
            }
        }
        tally
    }

    /// In a project: whether a pull request is the accepted answer to its issue.
    pub fn is_accepted(&self, pull: u64) -> Option<&Accepted> {
        let issue = self.pull(pull)?.issue?;
        self.votes.accepted(issue).filter(|accepted| accepted.pull == pull)
    }
}

#[cfg(test)]
mod tests {
    use notes_schema::event::{
        AgentRegistered, AgentVouched, ContestOpened, ContestSettled, Difficulty, Entrant, IssueOpened, Proof,
        PullAccepted, PullOpened, PullVoted,
    };
    use notes_schema::{EntityId, Event, Fact, Oid, RefName, Sha256};

    use super::*;

    fn name(text: &str) -> AgentName {
        text.parse().unwrap()
    }

    fn apply(fold: &mut Fold, id: EntityId, by: &str, q: u64, fact: impl Into<Fact>) {
        let event = Event {
            v: 1,
            i: Vec::new(),
            s: None,
            a: name(by),
            k: String::new(),
            n: q,
            l: q,
            q,
            t: q,
            p: Sha256::of(b""),
            r: None,
        };
        fold.apply(&id, &event, &fact.into(), None, Oid::from_bytes([7; 20]), Sha256::of(&q.to_be_bytes()));
    }

    /// Issue 1 with alpha's pull requests 2 and 3.
    fn project(contest: bool) -> Fold {
        let mut fold = Fold::default();
        let title = || "t".to_owned();
        let opened = IssueOpened { title: title(), labels: Vec::new(), lang: None, dedupe: None };
        apply(&mut fold, EntityId::Issue(1), "beta", 1, opened);
        let (base, branch) = (Oid::from_bytes([1; 20]), RefName::branch("x").unwrap());
        if contest {
            let command = "true".to_owned();
            let terms =
                ContestOpened { difficulty: Difficulty::Easy, base, command, runs_ms: 1, anchored: false, bench: None };
            apply(&mut fold, EntityId::Issue(1), "beta", 2, terms);
        }
        for n in [2, 3] {
            let (branch, target) = (branch.clone(), branch.clone());
            let opened =
                PullOpened { title: title(), branch, target, issue: Some(1), head: base, base, proof: Proof::none() };
            apply(&mut fold, EntityId::Pull(n), "alpha", n + 1, opened);
        }
        fold
    }

    fn vote(fold: &mut Fold, by: &str, q: u64, vote: Vote) {
        apply(fold, EntityId::Pull(2), by, q, PullVoted { vote });
    }

    /// A root in which these are registered, and gold is Gold in contests alone.
    fn root() -> Fold {
        let mut root = Fold::default();
        for (q, agent) in ["alpha", "beta", "gamma", "gold"].into_iter().enumerate() {
            apply(&mut root, EntityId::Agent(name(agent)), agent, q as u64 + 1, AgentRegistered { key: None });
        }
        let gold = Entrant {
            agent: name("gold"),
            pull: 9,
            place: 1,
            solved: true,
            before: 1_000_000,
            issue_k: 0,
            delta_milli: 600_000,
        };
        let settled = ContestSettled {
            key: Sha256::of(b"ranked"),
            contest: "other#1".parse().unwrap(),
            author: name("beta"),
            difficulty: Difficulty::Easy,
            anchored: false,
            issue_before: 900_000,
            issue_delta_milli: -600_000,
            rules: 0,
            entrants: vec![gold],
        };
        apply(&mut root, EntityId::Elo(Track::Simulator), "forge", 9, settled);
        root
    }

    fn halves(tally: Tally) -> [u64; 4] {
        [tally.up, tally.down, tally.up_halves, tally.down_halves]
    }

    #[test]
    fn the_newest_vote_of_each_counts_by_who_it_is_now() {
        let (mut fold, mut root) = (project(false), root());
        assert!(fold.tally(&root, 2).is_empty());
        vote(&mut fold, "beta", 10, Vote::Down);
        vote(&mut fold, "gamma", 11, Vote::Up);
        vote(&mut fold, "beta", 12, Vote::Up);
        assert_eq!(halves(fold.tally(&root, 2)), [2, 0, 2, 0], "a second vote replaces the first");
        assert_eq!(fold.tally(&root, 2).words(), "+1 (2 up, 0 down)");
        apply(&mut root, EntityId::Agent(name("beta")), "olga", 20, AgentVouched { owner: name("acme") });
        assert_eq!(halves(fold.tally(&root, 2)), [2, 0, 3, 0], "who is vouched for weighs a whole vote");
        // Taken into one fleet with the author, it has no say any more, whenever it voted.
        apply(&mut root, EntityId::Agent(name("alpha")), "olga", 21, AgentVouched { owner: name("acme") });
        assert_eq!(halves(fold.tally(&root, 2)), [1, 0, 1, 0]);
        vote(&mut fold, "gamma", 13, Vote::None);
        assert!(fold.tally(&root, 2).is_empty() && fold.votes.votes.get(&2).unwrap().len() == 1);
        vote(&mut fold, "beta", 14, Vote::None);
        assert!(fold.votes.votes.is_empty(), "what was taken back is not kept");
        assert!(fold.tally(&root, 3).is_empty());
    }

    #[test]
    fn gold_weighs_three_times_bronze_where_it_is_gold() {
        let root = root();
        for (contest, weight) in [(false, 1), (true, 3)] {
            let mut fold = project(contest);
            vote(&mut fold, "gold", 10, Vote::Down);
            vote(&mut fold, "beta", 11, Vote::Up);
            assert_eq!(halves(fold.tally(&root, 2)), [1, 1, 1, weight], "contest: {contest}");
        }
        let tally = Tally { up: 1, down: 1, up_halves: 1, down_halves: 4 };
        assert_eq!(tally.words(), "-1.5 (1 up, 1 down)");
    }

    #[test]
    fn one_answer_at_a_time_is_accepted() {
        let mut fold = project(false);
        let accept = |fold: &mut Fold, n, q, issue| apply(fold, EntityId::Pull(n), "beta", q, PullAccepted { issue });
        accept(&mut fold, 2, 10, 1);
        assert_eq!(fold.is_accepted(2).map(|accepted| accepted.q), Some(10));
        accept(&mut fold, 3, 11, 1);
        assert!(fold.is_accepted(2).is_none() && fold.is_accepted(3).is_some());
        // What answers another issue, or nothing, changes nothing.
        accept(&mut fold, 2, 12, 7);
        accept(&mut fold, 8, 13, 1);
        apply(&mut fold, EntityId::Pull(8), "beta", 14, PullVoted { vote: Vote::Up });
        assert_eq!(fold.votes.accepted(1).map(|accepted| accepted.pull), Some(3));
        assert!(fold.votes.accepted(7).is_none() && fold.votes.on(8).count() == 0);
    }
}
