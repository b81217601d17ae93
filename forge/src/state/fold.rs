//! The one fold: every event of a repository, in order, into what commands read.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use notes_schema::event::{ContestSettled, NoteKind, ProjectRedacted, RatingSettled, TokenIssued};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Event, Fact, Oid, ProjectName, RefName, Sha256};
use serde::{Deserialize, Serialize};

use super::{
    AgentState, Challenge, Checks, ChecksState, Contests, EloState, IssueState, KeySpan, LastComment, OwnerSpan,
    ProjectState, PullState, Ratings, Rerun, Reviews, State, TokenState, Votes, Work, Works,
};
use crate::state::{IssueStatus, PullStatus, Stage};

/// An event's circumstances, as folds need them.
pub struct Happened<'a> {
    /// Who did it.
    pub agent: &'a AgentName,
    /// Server time, milliseconds since 1970.
    pub t: u64,
    /// Forge-wide number.
    pub q: u64,
    /// What it said, if anything.
    pub text: Option<&'a str>,
}

/// An entity after its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Commit of its last event.
    pub tip: Oid,
    /// How many events it has.
    pub n: u64,
    /// Digest of its last event.
    pub last: Sha256,
    /// When that was, milliseconds since 1970.
    pub t: u64,
    /// What it is.
    pub state: State,
}

/// A `start`: what a nonce was issued for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// To whom.
    pub agent: AgentName,
    /// The issue, or the pull request that is challenged.
    pub issue: u64,
    /// The record that is challenged, where it is a challenge.
    pub challenges: Option<Sha256>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// Everything folded of one repository. Cloning is cheap: all maps share structure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Entities by id. They are most of it, and a checkpoint keeps them apart.
    #[serde(skip)]
    pub entities: OrdMap<EntityId, Arc<Entity>>,
    /// In `forge.git`: agent by key fingerprint.
    pub keys: OrdMap<String, AgentName>,
    /// In `forge.git`: when each key let whom in, for those who check what was signed.
    pub key_spans: OrdMap<String, Vector<KeySpan>>,
    /// In `forge.git`: agent and limits by token id.
    pub tokens: OrdMap<String, (AgentName, TokenState)>,
    /// In `forge.git`: who answers for each agent that somebody vouched for, the newest last.
    pub owners: OrdMap<AgentName, Vector<OwnerSpan>>,
    /// In `forge.git`: who joined what.
    pub members: OrdSet<(AgentName, ProjectName)>,
    /// In `forge.git`: the ratings.
    pub ratings: Ratings,
    /// In a project: what each nonce was issued for.
    pub nonces: OrdMap<Vec<u8>, Started>,
    /// In a project: open issues by dedupe key.
    pub dedupe: OrdMap<String, u64>,
    /// In a project: issues that came from elsewhere, by their key.
    pub imported: OrdMap<String, u64>,
    /// In a project: who works on what.
    pub works: Works,
    /// In a project: issues and pull requests by author.
    authored: OrdSet<(AgentName, u64)>,
    /// In a project: branches whose pull request has ended.
    pub ended_branches: OrdSet<RefName>,
    /// In a project: the open pull request of each branch.
    pub open_pulls: OrdMap<RefName, u64>,
    /// In a project: re-runs of proofs by the tree that they were on, oldest first.
    pub reruns: OrdMap<Oid, Vector<Rerun>>,
    /// In a project: each agent's challenge of each pull request.
    pub challenges: OrdMap<(AgentName, u64), Challenge>,
    /// In a project: the digest of the event by which each pull request landed, which is the key of its rating.
    pub landings: OrdMap<u64, Sha256>,
    /// In a project: the event of each agent's live note of each kind, by item.
    pub notes: OrdMap<(u64, NoteKind, AgentName), u64>,
    /// In `forge.git`: the project that each agent created or joined last, and when.
    pub placed: OrdMap<AgentName, (u64, ProjectName)>,
    /// In a project: each agent's last `start`.
    pub started: OrdMap<AgentName, u64>,
    /// In a project: external checks.
    pub checks: Checks,
    /// In `forge.git`: who offers to verify.
    pub verifiers: OrdSet<AgentName>,
    /// In a project: contests.
    pub contests: Contests,
    /// In a project: votes on pull requests, and which were accepted.
    pub votes: Votes,
    /// In a project: which verdicts of reviewers turned out right, or wrong.
    pub reviews: Reviews,
    /// In a project: the pull requests that answer each issue.
    answers: OrdMap<u64, OrdSet<u64>>,
    /// In a project: when the tip of each pull request's newest round arrived, milliseconds since 1970.
    arrived: OrdMap<u64, u64>,
    /// In `forge.git`: what was redacted of each project, oldest first.
    pub redactions: OrdMap<ProjectName, Vector<ProjectRedacted>>,
    /// In a project: the events that are redacted, with the digest of what they were.
    pub redacted: OrdMap<(EntityId, u64), Sha256>,
    /// Each agent's last event here.
    pub last_q: OrdMap<AgentName, u64>,
    /// The last event of all.
    pub max_q: u64,
    /// When that was, milliseconds since 1970.
    pub max_t: u64,
}

impl Fold {
    /// When the last event of an issue or pull request was, milliseconds since 1970; 0 where there is none of that number.
    pub fn updated_ms(&self, n: u64) -> u64 {
        let of = |id| self.entities.get(&id).map(|entity| entity.t);
        of(EntityId::Issue(n)).or_else(|| of(EntityId::Pull(n))).unwrap_or(0)
    }

    /// An issue's state.
    pub fn issue(&self, n: u64) -> Option<&IssueState> {
        match &self.entities.get(&EntityId::Issue(n))?.state {
            State::Issue(state) => Some(state),
            _ => None,
        }
    }

    /// In `forge.git`: what redacted event `n` of a project's entity, as far as the ledger declares it, and what the event was.
    pub fn redaction(&self, project: &ProjectName, id: &EntityId, n: u64) -> Option<(&ProjectRedacted, Sha256)> {
        let entity = id.to_string();
        self.redactions.get(project)?.iter().find_map(|redaction| {
            let event = redaction.events.iter().find(|event| event.n == n && event.e == entity)?;
            Some((redaction, event.h))
        })
    }

    /// A pull request's state.
    pub fn pull(&self, n: u64) -> Option<&PullState> {
        match &self.entities.get(&EntityId::Pull(n))?.state {
            State::Pull(state) => Some(state),
            _ => None,
        }
    }

    /// An agent's state.
    pub fn agent(&self, name: &AgentName) -> Option<&AgentState> {
        match &self.entities.get(&EntityId::Agent(name.clone()))?.state {
            State::Agent(state) => Some(state),
            _ => None,
        }
    }

    /// A project's registry entry.
    pub fn project(&self, name: &ProjectName) -> Option<&ProjectState> {
        match &self.entities.get(&EntityId::Project(name.clone()))?.state {
            State::Project(state) => Some(state),
            _ => None,
        }
    }

    /// All projects, by name.
    pub fn projects(&self) -> impl Iterator<Item = (&ProjectName, &ProjectState)> {
        self.entities.iter().filter_map(|(id, entity)| match (id, &entity.state) {
            (EntityId::Project(name), State::Project(state)) => Some((name, state)),
            _ => None,
        })
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentName, &AgentState)> {
        self.entities.iter().filter_map(|(id, entity)| match (id, &entity.state) {
            (EntityId::Agent(name), State::Agent(state)) => Some((name, state)),
            _ => None,
        })
    }

    /// All issues, by number.
    pub fn issues(&self) -> impl DoubleEndedIterator<Item = (u64, &IssueState)> {
        self.entities.iter().filter_map(|(id, entity)| match (id, &entity.state) {
            (EntityId::Issue(n), State::Issue(state)) => Some((*n, state)),
            _ => None,
        })
    }

    /// All pull requests, by number.
    pub fn pulls(&self) -> impl DoubleEndedIterator<Item = (u64, &PullState)> {
        self.entities.iter().filter_map(|(id, entity)| match (id, &entity.state) {
            (EntityId::Pull(n), State::Pull(state)) => Some((*n, state)),
            _ => None,
        })
    }

    /// Whether there is any pull request.
    pub fn has_pulls(&self) -> bool {
        self.entities.range(EntityId::Pull(0)..=EntityId::Pull(u64::MAX)).next().is_some()
    }

    /// Open issues that an agent works on, by number.
    pub fn work_of<'a>(&'a self, agent: &AgentName) -> impl Iterator<Item = (u64, &'a Work)> {
        self.works.of(agent)
    }

    fn works_on(&self, id: &EntityId, agent: &AgentName) -> bool {
        matches!(id, EntityId::Issue(n) if self.works.get(agent, *n).is_some())
    }

    /// An agent's work on one issue.
    pub fn work_on(&self, agent: &AgentName, issue: u64) -> Option<&Work> {
        self.works.get(agent, issue)
    }

    /// Whether an agent's answer to an issue waits for others: its work on that does not expire meanwhile.
    pub fn awaits(&self, agent: &AgentName, issue: u64) -> bool {
        self.answers(issue).any(|(_, pull)| pull.author == *agent && pull.status == PullStatus::Open)
    }

    /// The pull requests that answer an issue, by number.
    pub fn answers(&self, issue: u64) -> impl Iterator<Item = (u64, &PullState)> {
        let answers = self.answers.get(&issue).into_iter().flatten();
        answers.filter_map(|n| Some((*n, self.pull(*n)?)))
    }

    /// When the tip of a pull request's newest round arrived, milliseconds since 1970.
    pub fn arrived_ms(&self, pull: u64) -> u64 {
        self.arrived.get(&pull).copied().unwrap_or(0)
    }

    /// Numbers of the issues and pull requests that an agent opened.
    pub fn authored_by(&self, agent: &AgentName) -> impl Iterator<Item = u64> {
        self.authored.range((agent.clone(), 0)..=(agent.clone(), u64::MAX)).map(|(_, n)| *n)
    }

    /// The state of `id` after `fact`: a pure function of the state before. What does not fit (a verdict on an issue)
    /// changes nothing.
    pub fn next_state(&self, id: &EntityId, fact: &Fact, at: &Happened) -> State {
        let mut state = self.entities.get(id).map_or(State::Nothing, |e| e.state.clone());
        match &mut state {
            State::Issue(issue) => issue.touched(at),
            State::Pull(pull) => pull.touched(at),
            State::Agent(_) | State::Project(_) | State::Elo(_) | State::Checks(_) | State::Nothing => {}
        }
        match (fact, &mut state) {
            (Fact::IssueOpened(f), s @ State::Nothing) => *s = State::Issue(IssueState::opened(f, at)),
            (Fact::IssueClosed(f), State::Issue(s)) => s.closed(f),
            (Fact::IssueReopened(_), State::Issue(s)) => s.status = IssueStatus::Open,
            (Fact::IssueImported(f), State::Issue(s)) => s.imported(f),
            (Fact::IssuePlanned(f), State::Issue(s)) => s.planned(f),
            (Fact::Commented(_), State::Issue(s)) => s.commented(at),
            (Fact::Commented(_), State::Pull(s)) => s.commented(at),
            (Fact::WorkStarted(_), State::Issue(s)) => s.started(at, !self.works_on(id, at.agent)),
            (Fact::WorkAbandoned(_), State::Issue(s)) => s.stopped(at.agent, self.works_on(id, at.agent)),
            (Fact::WorkExpired(f), State::Issue(s)) => s.stopped(&f.agent, self.works_on(id, &f.agent)),
            (Fact::PullOpened(f), s @ State::Nothing) => *s = State::Pull(PullState::opened(f, at)),
            (Fact::PullRound(f), State::Pull(s)) => s.new_round(f),
            (Fact::Reviewed(f), State::Pull(s)) => s.reviewed(f, at),
            (Fact::PullMerged(f), State::Pull(s)) => s.merged(f, at),
            (Fact::PullClosed(_), State::Pull(s)) => s.closed(at),
            (Fact::PullChallenged(f), State::Pull(s)) => s.challenged(f, at),
            (Fact::NoteAdded(_), State::Pull(s)) => s.last_note = Some(LastComment::of(at)),
            (Fact::NoteAdded(_), State::Issue(s)) => s.last_note = Some(LastComment::of(at)),
            (Fact::AgentRegistered(f), s @ State::Nothing) => {
                *s = State::Agent(AgentState::registered(f.key.clone(), at))
            }
            (Fact::KeyAdded(f), State::Agent(s)) => s.key_added(f),
            (Fact::KeyRevoked(f), State::Agent(s)) => s.key_revoked(&f.fingerprint),
            (Fact::TokenIssued(f), State::Agent(s)) => drop(s.token_issued(f)),
            (Fact::TokenRevoked(f), State::Agent(s)) => s.token_revoked(&f.id),
            (Fact::ProjectCreated(f), s @ State::Nothing) => {
                *s = State::Project(ProjectState {
                    creator: at.agent.clone(),
                    default_branch: f.default_branch.clone(),
                    description: f.description.clone(),
                    created_ms: at.t,
                    members: 1,
                    created_q: at.q,
                });
            }
            (Fact::ProjectJoined(_), State::Project(s)) => {
                if let EntityId::Project(name) = id
                    && !self.members.contains(&(at.agent.clone(), name.clone()))
                {
                    s.members += 1;
                }
            }
            (Fact::RatingSettled(RatingSettled { key, .. }), s @ (State::Nothing | State::Elo(_)))
            | (Fact::ContestSettled(ContestSettled { key, .. }), s @ (State::Nothing | State::Elo(_))) => {
                let games = if let State::Elo(before) = s { before.games } else { 0 };
                *s = State::Elo(EloState { games: games + 1, last: *key });
            }
            (Fact::ReviewSettled(f), s @ (State::Nothing | State::Elo(_))) => {
                let games = if let State::Elo(before) = s { before.games } else { 0 };
                let new = u64::from(self.ratings.review(&f.key).is_none());
                *s = State::Elo(EloState { games: games + new, last: f.key });
            }
            (Fact::ContestCorrected(f), State::Elo(s)) => s.last = f.key,
            (Fact::ContestOpened(f), State::Issue(s)) => s.contest_opened(f),
            (Fact::ContestClosed(f), State::Issue(s)) => s.contest_closed(f),
            (Fact::ContestRanked(f), State::Issue(s)) => s.contest_ranked(f),
            (Fact::ContestSealed(f), State::Issue(s)) => s.contest_sealed(f),
            (Fact::ContestRevealed(f), State::Issue(s)) => s.contest_revealed(f),
            (Fact::CheckRegistered(f), s @ State::Nothing) => {
                *s = State::Checks(ChecksState { names: vec![f.name.clone()], words: 0 });
            }
            (Fact::CheckRegistered(f), State::Checks(s)) => s.registered(&f.name),
            (Fact::CheckDropped(f), State::Checks(s)) => s.dropped(&f.name),
            (Fact::CheckPosted(_), State::Checks(s)) => s.words += 1,
            (Fact::RatingCorrected(f), State::Elo(s)) => s.last = f.key,
            // No `_` on the left: a new fact must be decided above, or named here as one that does not fit. Then `index` is next.
            (
                Fact::IssueOpened(_)
                | Fact::IssueClosed(_)
                | Fact::IssueReopened(_)
                | Fact::Commented(_)
                | Fact::WorkStarted(_)
                | Fact::WorkAbandoned(_)
                | Fact::PullOpened(_)
                | Fact::PullRound(_)
                | Fact::Reviewed(_)
                | Fact::PullMerged(_)
                | Fact::PullClosed(_)
                | Fact::AgentRegistered(_)
                | Fact::AgentVouched(_)
                | Fact::KeyAdded(_)
                | Fact::KeyRevoked(_)
                | Fact::TokenIssued(_)
                | Fact::TokenRevoked(_)
                | Fact::ProjectCreated(_)
                | Fact::ProjectJoined(_)
                | Fact::RatingSettled(_)
                | Fact::CheckRegistered(_)
                | Fact::CheckDropped(_)
                | Fact::CheckPosted(_)
                | Fact::ChallengeStarted(_)
                | Fact::PullChallenged(_)
                | Fact::RatingCorrected(_)
                | Fact::NoteAdded(_)
                | Fact::ForgeFounded(_)
                | Fact::ProjectRedacted(_)
                | Fact::ContestOpened(_)
                | Fact::ContestClosed(_)
                | Fact::ContestRanked(_)
                | Fact::ContestSettled(_)
                | Fact::ContestCorrected(_)
                | Fact::VerifierOffered(_)
                | Fact::VerifierWithdrawn(_)
                | Fact::ContestDrawn(_)
                | Fact::VerdictCommitted(_)
                | Fact::VerdictRevealed(_)
                | Fact::ContestSealed(_)
                | Fact::ContestRevealed(_)
                | Fact::IssueImported(_)
                | Fact::PullVoted(_)
                | Fact::PullAccepted(_)
                | Fact::VerifiersJudged(_)
                | Fact::WorkExpired(_)
                | Fact::IssuePlanned(_)
                | Fact::ReviewSettled(_)
                | Fact::Unknown { .. },
                _,
            ) => {}
        }
        state
    }

    /// Takes one event in: its entity's new state and everything that is looked up by something else than an entity.
    pub fn apply(
        &mut self,
        id: &EntityId,
        event: &Event,
        fact: &Fact,
        text: Option<&str>,
        commit: Oid,
        digest: Sha256,
    ) {
        let at = Happened { agent: &event.a, t: event.t, q: event.q, text };
        let state = self.next_state(id, fact, &at);
        self.note_life(id, fact, &at);
        self.index(id, fact, &at);
        if let (Fact::PullMerged(_), EntityId::Pull(n)) = (fact, id) {
            self.landings.insert(*n, digest);
        }
        if let (EntityId::Pull(n), State::Pull(after)) = (id, &state) {
            self.note_verdict(*n, fact, after, (&event.a, digest));
        }
        if let EntityId::Issue(n) = id {
            self.note_contest(*n, fact, &at, (digest, commit, event.r.is_some()));
        }
        if event.r.is_some() {
            self.redacted.insert((id.clone(), event.n), digest);
        }
        self.note_key(id, fact, event.l);
        self.note_owner(id, fact, event.l);
        self.entities.insert(id.clone(), Arc::new(Entity { tip: commit, n: event.n, last: digest, t: event.t, state }));
        self.last_q.insert(event.a.clone(), event.q);
        self.max_q = self.max_q.max(event.q);
        self.max_t = self.max_t.max(event.t);
    }

    /// What an agent does on an issue that it works on, or on its answer to that, shows that it still does; and so does the end
    /// of such an answer, whoever ended it.
    fn note_life(&mut self, id: &EntityId, fact: &Fact, at: &Happened) {
        let pull = |n: u64| self.pull(n).map(|pull| (pull.author.clone(), pull.issue));
        let (agent, issue) = match (id, fact) {
            (EntityId::Issue(n), _) => (at.agent.clone(), Some(*n)),
            (EntityId::Pull(_), Fact::PullOpened(opened)) => (at.agent.clone(), opened.issue),
            (EntityId::Pull(n), Fact::PullMerged(_) | Fact::PullClosed(_)) => {
                pull(*n).unwrap_or((at.agent.clone(), None))
            }
            (EntityId::Pull(n), _) => match pull(*n) {
                Some((author, issue)) if author == *at.agent => (author, issue),
                Some(_) | None => return,
            },
            _ => return,
        };
        if let Some(issue) = issue {
            self.works.alive(&agent, issue, at.t);
        }
    }

    fn index(&mut self, id: &EntityId, fact: &Fact, at: &Happened) {
        match (fact, id) {
            (Fact::AgentRegistered(f), EntityId::Agent(name)) => {
                if let Some(key) = &f.key {
                    self.keys.insert(key.fingerprint.clone(), name.clone());
                }
            }
            (Fact::KeyAdded(f), EntityId::Agent(name)) => {
                self.keys.insert(f.key.fingerprint.clone(), name.clone());
            }
            (Fact::KeyRevoked(f), EntityId::Agent(_)) => {
                self.keys.remove(&f.fingerprint);
            }
            (Fact::TokenIssued(f), EntityId::Agent(name)) => self.index_token(name, f),
            (Fact::TokenRevoked(f), EntityId::Agent(_)) => {
                self.tokens.remove(&f.id);
            }
            (Fact::ProjectCreated(_) | Fact::ProjectJoined(_), EntityId::Project(name)) => {
                self.members.insert((at.agent.clone(), name.clone()));
                self.placed.insert(at.agent.clone(), (at.q, name.clone()));
            }
            (Fact::ProjectRedacted(f), EntityId::Project(name)) => {
                self.redactions.entry(name.clone()).or_default().push_back(f.clone());
            }
            (Fact::RatingSettled(f), EntityId::Elo(track)) => self.rate_merge(f, *track, at),
            (Fact::WorkStarted(f), EntityId::Issue(n)) => {
                self.started.insert(at.agent.clone(), at.q);
                self.works.started(*n, f, at);
                let contest = self.issue(*n).and_then(|issue| issue.contest.as_ref());
                if let Some(contest) = contest.filter(|contest| contest.closes_ms.is_none()) {
                    let closes_ms = at.t.saturating_add(contest.runs_ms);
                    self.contests.runs(*n, closes_ms);
                }
                self.give_nonce(&f.nonce, *n, None, at);
            }
            (Fact::ChallengeStarted(f), EntityId::Pull(n)) => {
                let challenge = Challenge { proof: f.proof, nonce: f.nonce.clone() };
                self.challenges.insert((at.agent.clone(), *n), challenge);
                self.give_nonce(&f.nonce, *n, Some(f.proof), at);
            }
            (Fact::PullChallenged(f), EntityId::Pull(n)) => self.run_again(*n, f, at),
            (Fact::RatingCorrected(f), EntityId::Elo(track)) => self.rate_corrected_merge(f, *track, at),
            (Fact::ReviewSettled(f), EntityId::Elo(Track::Review)) => self.rate_review(f, at),
            (Fact::NoteAdded(f), EntityId::Issue(n) | EntityId::Pull(n)) => {
                self.notes.insert((*n, f.kind, at.agent.clone()), at.q);
            }
            (Fact::ContestSettled(f), EntityId::Elo(Track::Simulator)) => self.rate_contest(f, at),
            (Fact::ContestCorrected(f), EntityId::Elo(Track::Simulator)) => self.rate_corrected_contest(f, at),
            (Fact::VerifierOffered(_), EntityId::Agent(name)) => {
                self.verifiers.insert(name.clone());
            }
            (Fact::VerifierWithdrawn(_), EntityId::Agent(name)) => {
                self.verifiers.remove(name);
            }
            (Fact::ContestDrawn(f), EntityId::Issue(n)) => self.contests.drawn(*n, f),
            (Fact::VerdictCommitted(f), EntityId::Issue(n)) => self.contests.committed(*n, at.agent, f),
            (Fact::VerdictRevealed(f), EntityId::Issue(n)) => self.contests.revealed(*n, at.agent, f),
            (Fact::VerifiersJudged(f), EntityId::Issue(n)) => self.contests.judged(*n, f),
            (Fact::ContestClosed(f), EntityId::Issue(n)) => {
                self.contests.closed(*n, f);
                self.forget_dedupe(*n);
                self.works.closed(*n, None, at);
            }
            (Fact::WorkExpired(f), EntityId::Issue(n)) => self.works.expired(*n, f, at),
            (Fact::WorkAbandoned(_), EntityId::Issue(n)) => {
                if self.issue(*n).is_some_and(|issue| issue.contest.is_some()) && self.works_on(id, at.agent) {
                    self.contests.abandoned(at.agent);
                }
                self.works.stopped(at.agent, *n);
            }
            (Fact::IssueOpened(f), EntityId::Issue(n)) => {
                self.authored.insert((at.agent.clone(), *n));
                if let Some(key) = &f.dedupe {
                    self.dedupe.insert(key.clone(), *n);
                }
            }
            (Fact::IssueImported(f), EntityId::Issue(n)) => {
                self.imported.entry(f.key.clone()).or_insert(*n);
            }
            (Fact::IssueClosed(f), EntityId::Issue(n)) => {
                let by = f.fixed_by.as_ref().and_then(|pull| self.pull(pull.n)).map(|pull| pull.author.clone());
                self.forget_dedupe(*n);
                self.works.closed(*n, by.as_ref(), at);
            }
            (Fact::PullOpened(f), EntityId::Pull(n)) => {
                self.open_pulls.insert(f.branch.clone(), *n);
                self.arrived.insert(*n, at.t);
                if let Some(issue) = f.issue {
                    self.answers.entry(issue).or_default().insert(*n);
                }
                self.authored.insert((at.agent.clone(), *n));
            }
            (Fact::PullRound(f), EntityId::Pull(n)) if self.pull(*n).is_some_and(|pull| pull.head != f.head) => {
                self.arrived.insert(*n, at.t);
            }
            (Fact::PullMerged(_) | Fact::PullClosed(_), EntityId::Pull(n)) => {
                if let Some(branch) = self.pull(*n).map(|p| p.branch.clone()) {
                    self.open_pulls.remove(&branch);
                    self.ended_branches.insert(branch);
                }
            }
            (Fact::PullVoted(f), EntityId::Pull(n)) if self.pull(*n).is_some() => {
                self.votes.voted(*n, at.agent, f.vote);
            }
            (Fact::PullAccepted(f), EntityId::Pull(n)) if self.pull(*n).is_some_and(|p| p.issue == Some(f.issue)) => {
                self.votes.accept(f.issue, *n, at);
            }
            (Fact::CheckRegistered(f), EntityId::Checks(agent)) => self.checks.register(&f.name, agent, at.q),
            (Fact::CheckDropped(f), EntityId::Checks(agent)) => self.checks.drop(&f.name, agent),
            (Fact::CheckPosted(f), EntityId::Checks(agent)) => self.checks.posted(f, agent, at),
            // Whether a new fact is looked up here is asked where it does not compile: in `next_state`.
            _ => {}
        }
    }

    /// What is kept of a contest's events beside what they say: their digests, and where a sealed part lies. One that was
    /// taken out lies nowhere.
    fn note_contest(&mut self, n: u64, fact: &Fact, at: &Happened, (digest, commit, is_redacted): (Sha256, Oid, bool)) {
        let before = self.issue(n).and_then(|issue| issue.contest.as_ref());
        let seals = before.is_some_and(|contest| contest.stage == Stage::Open && contest.sealed.is_none());
        match fact {
            Fact::ContestRanked(f) => self.contests.ranked_by(n, digest, f),
            Fact::ContestSealed(f) if seals => {
                self.contests.sealed_in(n, at.agent, f, (!is_redacted).then_some(commit))
            }
            Fact::ContestRevealed(f) => self.contests.unsealed(n, f),
            _ => {}
        }
    }

    fn index_token(&mut self, name: &AgentName, fact: &TokenIssued) {
        // The state names the newest tokens only; the one that gives way is void.
        if let Some(agent) = self.agent(name)
            && let Some(dropped) = agent.clone().token_issued(fact)
        {
            self.tokens.remove(&dropped.id);
        }
        let token = TokenState {
            id: fact.id.clone(),
            expires_ms: fact.expires_ms,
            project: fact.project.clone(),
            refs: fact.refs.clone(),
            verbs: fact.verbs.clone(),
        };
        self.tokens.insert(fact.id.clone(), (name.clone(), token));
    }

    fn forget_dedupe(&mut self, n: u64) {
        if let Some(key) = self.issue(n).and_then(|i| i.dedupe.clone())
            && self.dedupe.get(&key) == Some(&n)
        {
            self.dedupe.remove(&key);
        }
    }

    /// An agent's rating on one track, milli-Elo.
    pub fn rating(&self, agent: &AgentName, track: Track) -> i64 {
        self.ratings.of(agent, track)
    }
}
