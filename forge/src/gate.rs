//! The rules of `hooks`, asked about this forge's state: what they look up, and the work they are asked about.
//!
//! Invariant: reads only, and the same for a preview and at the commit point.

mod arrived;
mod changes;
pub(crate) mod clock;
pub mod contest;
mod landing;
mod levels;
mod patches;

use std::cell::OnceCell;
use std::sync::Arc;

use hooks::gate::{Accepted, Candidate, Check, GateLine, Mergeability, Merging, Review};
use hooks::policy::{self, Standing, Strategy};
use hooks::secrets::{Allowed, Searched};
use hooks::{Bringing, Changed, Found, IssuedNonce, Patched, Repo as _, Sought, Undecided};
use notes_schema::event::{Level, Proof, challenge_of};
use notes_schema::names::Track;
use notes_schema::trace::{Nonce, Record};
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName, Sha256};

use crate::answer::{Beside, Code, Refusal};
use crate::ledger::{KnownRecord, Snapshot};
use crate::state::checks::Said;
use crate::state::elo::Tier;
use crate::state::{PullState, PullStatus};
use git::object::{Kind, Mode};
use git::packed_refs::RefValue;
use git::store::{Objects, ReadError, Store};
use git::{diff, history};
use patches::Bench;

pub use arrived::Arrived;
pub use landing::{CannotLand, Landing};
pub use levels::{best_on, challengers, counted, level_of, own_level, reruns_of};
pub use patches::OF_ONE_PUSH;

/// A project at one moment, as the rules see it.
pub struct View<'a> {
    snapshot: &'a Snapshot,
    root: &'a Snapshot,
    objects: &'a dyn Objects,
    now_ms: u64,
    policy: OnceCell<Arc<policy::Base>>,
    arrived: Option<&'a dyn Arrived>,
    searched: OnceCell<Arc<Searched>>,
    alone: bool,
    bench: Bench,
}

impl<'a> View<'a> {
    /// A project and `forge.git` at one moment, with objects that may include those of a push under judgement.
    pub fn new(snapshot: &'a Snapshot, root: &'a Snapshot, objects: &'a dyn Objects, now_ms: u64) -> Self {
        let (policy, searched) = (OnceCell::new(), OnceCell::new());
        let bench = Bench::within(u64::MAX);
        View { snapshot, root, objects, now_ms, policy, arrived: None, searched, alone: false, bench }
    }

    /// The same with what a push brings, which is searched when a rule asks.
    pub fn receiving(self, arrived: &'a dyn Arrived) -> Self {
        View { arrived: Some(arrived), ..self }
    }

    /// The same, where what the push brings was searched before.
    pub fn after_search(self, searched: Option<&Arc<Searched>>) -> Self {
        match searched {
            Some(searched) => View { searched: OnceCell::from(searched.clone()), ..self },
            None => self,
        }
    }

    /// What [`View::after_search`] takes.
    pub fn search(&self) -> Option<Arc<Searched>> {
        self.searched.get().cloned()
    }

    /// The same where nothing of `forge.git` is known: who the maintainer is cannot be said, so scopes are not asked for.
    pub fn alone(self) -> Self {
        View { alone: true, ..self }
    }

    /// The same, where at most `bytes` are inflated, read and hashed to search and replay patches.
    pub fn replaying(self, bytes: u64) -> Self {
        View { bench: Bench::within(bytes), ..self }
    }

    /// The same, where the default branch is as it was for `other`: a policy is not read for each ref of a push.
    pub fn after(self, other: Option<&(Option<Oid>, Arc<policy::Base>)>) -> Self {
        match other.filter(|(tip, _)| *tip == self.snapshot.default_tip()) {
            Some((_, base)) => View { policy: OnceCell::from(base.clone()), ..self },
            None => self,
        }
    }

    /// What [`View::after`] takes.
    pub fn known(&self) -> Option<(Option<Oid>, Arc<policy::Base>)> {
        Some((self.snapshot.default_tip(), self.policy.get()?.clone()))
    }

    /// A refusal by a rule of this project's gate, as an answer.
    pub fn refused(&self, refusal: hooks::Refusal) -> Refusal {
        refused(&self.snapshot.project, refusal)
    }

    /// What external checks said of `tree`, oldest first.
    fn checks(&self, tree: Oid) -> Vec<Check> {
        let check =
            |said: &Said<'_>| Check { name: said.name.to_owned(), tree, state: said.word.state, by: said.by.clone() };
        self.snapshot.fold.checks.on(tree).iter().map(check).collect()
    }

    fn read_policy(&self) -> Result<policy::Base, Undecided> {
        let file = match self.snapshot.default_tip() {
            Some(tip) => self.policy_in(tip)?,
            None => None,
        };
        let mut base = policy::Base::of(file.as_ref().map(|(blob, bytes)| (*blob, bytes.as_slice())));
        if self.alone {
            base.policy.scopes.clear();
        }
        Ok(base)
    }
}

fn undecided(error: impl std::fmt::Display) -> Undecided {
    Undecided(error.to_string())
}

impl hooks::Repo for View<'_> {
    fn project(&self) -> &ProjectName {
        &self.snapshot.project
    }

    fn creator(&self) -> Result<AgentName, Undecided> {
        let entry = self.root.fold.project(&self.snapshot.project);
        entry.map(|p| p.creator.clone()).ok_or_else(|| Undecided("the project is not registered".to_owned()))
    }

    fn default_branch(&self) -> RefName {
        self.snapshot.head.clone().unwrap_or_else(RefName::head)
    }

    fn ref_exists(&self, name: &RefName) -> Result<bool, Undecided> {
        Ok(self.snapshot.refs.contains_key(name))
    }

    fn conflicting_ref(&self, name: &RefName) -> Result<Option<RefName>, Undecided> {
        Ok(conflicting(&self.snapshot.refs, name))
    }

    fn ref_owner(&self, name: &RefName) -> Result<Option<AgentName>, Undecided> {
        Ok(self.snapshot.owners.get(name).cloned())
    }

    fn open_pull(&self, branch: &RefName) -> Result<Option<ItemRef>, Undecided> {
        let found = open_pull_of(self.snapshot, branch);
        Ok(found.map(|(n, _)| ItemRef { project: self.snapshot.project.clone(), n }))
    }

    fn nonce(&self, nonce: &Nonce) -> Result<Option<IssuedNonce>, Undecided> {
        Ok(self.snapshot.fold.nonces.get(nonce.as_bytes().as_slice()).map(|started| IssuedNonce {
            agent: started.agent.clone(),
            issue: started.issue,
            subject: started.challenges.as_ref().map(challenge_of),
            started_ms: started.at_ms,
        }))
    }

    fn record_maker(&self, digest: &Sha256) -> Result<Option<AgentName>, Undecided> {
        Ok(self.snapshot.records.get(digest).map(|r| r.agent.clone()))
    }

    fn record(&self, digest: &Sha256) -> Result<Option<Record>, Undecided> {
        let Some(known) = self.snapshot.records.get(digest) else { return Ok(None) };
        let read = read_record(self.objects, known);
        read.map(Some).ok_or_else(|| Undecided(format!("record {digest} is known and cannot be read")))
    }

    fn has_tree(&self, tree: Oid) -> Result<bool, Undecided> {
        Ok(self.objects.contains(tree))
    }

    fn spend(&self, bytes: u64) -> Result<(), Undecided> {
        self.bench.spend(bytes)
    }

    fn patched(&self, tree: Oid, patch: &[u8], room: &mut u64) -> Result<Patched, Undecided> {
        self.bench.patched(self.objects, tree, patch, room)
    }

    fn allowed_secrets(&self) -> Result<Allowed, Undecided> {
        self.snapshot.default_tip().map_or(Ok(Allowed::default()), |tip| self.allowed_secrets_in(tip))
    }

    fn allowed_secrets_in(&self, commit: Oid) -> Result<Allowed, Undecided> {
        let tree = self.objects.commit(commit).map_err(undecided)?.tree;
        let entry = history::entry_at(self.objects, tree, hooks::secrets::ALLOW_PATH).map_err(undecided)?;
        let file = entry.filter(|entry| matches!(entry.mode, Mode::File | Mode::Executable));
        let Some(file) = file else { return Ok(Allowed::default()) };
        let list = self.objects.get_kind(file.id, Kind::Blob).map_err(undecided)?.data;
        Ok(Allowed::parse(&String::from_utf8_lossy(&list)).0)
    }

    fn searched(&self) -> Result<Arc<Searched>, Undecided> {
        if let Some(known) = self.searched.get() {
            return Ok(known.clone());
        }
        let arrived = self.arrived.ok_or_else(|| Undecided("what the push brings was not searched".to_owned()))?;
        let found = Arc::new(arrived::search(self.objects, arrived, self.allowed_secrets()?)?);
        Ok(self.searched.get_or_init(|| found).clone())
    }

    fn bringing(&self, name: &RefName, new: Oid, sought: &Sought<'_>) -> Result<Option<Bringing>, Undecided> {
        arrived::bringing(self.objects, new, self.snapshot.ref_id(name), self.snapshot.default_tip(), sought)
    }

    fn differing_paths(&self, a: Oid, b: Oid, most: usize) -> Result<Vec<String>, Undecided> {
        let changes = self.bench.over(self.objects, |over| diff::changed_paths(over, Some(a), Some(b), most));
        let changes = changes.map_err(|e| Undecided(e.to_string()))?;
        Ok(changes.into_iter().take(most).map(|c| String::from_utf8_lossy(&c.path).into_owned()).collect())
    }

    fn policy(&self) -> Result<Arc<policy::Base>, Undecided> {
        if let Some(known) = self.policy.get() {
            return Ok(known.clone());
        }
        let read = Arc::new(self.read_policy()?);
        Ok(self.policy.get_or_init(|| read).clone())
    }

    fn policy_in(&self, commit: Oid) -> Result<Option<(Oid, Vec<u8>)>, Undecided> {
        let tree = self.objects.commit(commit).map_err(undecided)?.tree;
        let file = landing::policy_file(self.objects, tree).map_err(undecided)?;
        Ok(file.map(|(blob, bytes)| (blob, bytes.to_vec())))
    }

    fn brought(&self, name: &RefName, new: Oid) -> Result<Vec<Changed>, Undecided> {
        let not: Vec<Oid> = self.snapshot.default_tip().into_iter().chain(self.snapshot.ref_id(name)).collect();
        changes::of_push(self.objects, &self.policy()?.policy, new, &not)
    }

    fn is_ancestor(&self, ancestor: Oid, of: Oid) -> Result<bool, Undecided> {
        history::is_ancestor(self.objects, ancestor, of).map_err(undecided)
    }

    fn tree_of(&self, commit: Oid) -> Result<Option<Oid>, Undecided> {
        match self.objects.commit(commit) {
            Ok(commit) => Ok(Some(commit.tree)),
            Err(ReadError::Missing(_) | ReadError::Kind { .. }) => Ok(None),
            Err(error) => Err(undecided(error)),
        }
    }

    fn found_at(&self, tree: Oid, path: &str) -> Result<Option<Found>, Undecided> {
        let path = path.trim_end_matches('/').trim_start_matches("./");
        let Some(entry) = history::entry_at(self.objects, tree, path).map_err(undecided)? else { return Ok(None) };
        Ok(Some(match entry.mode {
            Mode::Tree => Found::Directory,
            Mode::Submodule => Found::Other,
            Mode::File | Mode::Executable | Mode::Link => {
                Found::File(Sha256::of(&self.objects.get_kind(entry.id, Kind::Blob).map_err(undecided)?.data))
            }
        }))
    }

    fn stands_at(&self, tree: Oid, path: &str) -> Result<bool, Undecided> {
        Ok(history::entry_at(self.objects, tree, path).map_err(undecided)?.is_some())
    }

    fn standing(&self, agent: &AgentName) -> Standing {
        match Tier::of(self.root.fold.rating(agent, Track::Antfarm)) {
            Tier::Bronze => Standing::Bronze,
            Tier::Silver => Standing::Silver,
            Tier::Gold => Standing::Gold,
        }
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// A ref that cannot exist beside `name`: one of its parents, or the first ref below it. Refs below `a` do not follow `a`
/// at once: `a-b` sorts between `a` and `a/b`.
fn conflicting(refs: &imbl::OrdMap<RefName, RefValue>, name: &RefName) -> Option<RefName> {
    let text = name.as_str();
    let above = text.match_indices('/').filter_map(|(at, _)| text[..at].parse::<RefName>().ok());
    if let Some(parent) = above.into_iter().find(|parent| refs.contains_key(parent)) {
        return Some(parent);
    }
    let with_prefix = refs.range(name.clone()..).map(|(other, _)| other).take_while(|o| o.as_str().starts_with(text));
    let past_below = |other: &&RefName| other.as_str().as_bytes().get(text.len()).is_none_or(|b| *b <= b'/');
    with_prefix.take_while(past_below).find(|other| name.conflicts_with(other)).cloned()
}

/// The open pull request whose commits come from `branch`.
pub fn open_pull_of<'a>(snapshot: &'a Snapshot, branch: &RefName) -> Option<(u64, &'a PullState)> {
    snapshot.fold.open_pulls.get(branch).and_then(|n| Some((*n, snapshot.fold.pull(*n)?)))
}

/// Longest command that an event repeats from a record, in bytes.
/// Limit: command that an event repeats from a record | {:bytes}, the rest is cut off
const LONGEST_COMMAND: usize = 200;
/// How many records of one agent on one tree are read, and how many of its others.
/// Limit: records of one agent on one tree that are read for its proof | {}, the newest
const CONSIDERED: usize = 32;
/// Limit: records of the same agent on other trees that are read for it | {}, the newest
const OTHERS: usize = 4;

/// The author's records on `tree`, oldest first.
fn records_on(view: &View, author: &AgentName, tree: Oid) -> Vec<Accepted> {
    let on_tree = view.snapshot.records_on(tree).rev().filter(|known| known.agent == *author);
    oldest_first(view, on_tree.take(CONSIDERED))
}

/// The author's newest records on other trees, oldest first: what was run last says why nothing proves the head, and a
/// merge may land another tree than the head's.
fn newest_others(view: &View, author: &AgentName, tree: Oid) -> Vec<Accepted> {
    oldest_first(view, view.snapshot.records_of(author).rev().filter(|known| known.tree != tree).take(OTHERS))
}

fn oldest_first<'a>(view: &View, newest: impl Iterator<Item = &'a Arc<KnownRecord>>) -> Vec<Accepted> {
    let read = |known: &Arc<KnownRecord>| {
        let record = read_record(view.objects, known)?;
        let level = level_of(view.snapshot, view.root, known, &record);
        Some(Accepted { record, digest: known.digest, level })
    };
    let mut read: Vec<Accepted> = newest.filter_map(read).collect();
    read.reverse();
    read
}

/// A record's content. A forge keeps the canonical form; where there is none, a record stands as it was pushed.
pub fn read_record(objects: &dyn Objects, known: &KnownRecord) -> Option<Record> {
    let blob = objects.get(known.blob).ok()?;
    Record::decode_msgpack(&blob.data).or_else(|_| Record::decode_json(&blob.data)).ok()
}

/// A pull request as the gate judges it. `records` and `mergeable` are gathered by the caller and live longer.
pub struct Work {
    pull: Option<ItemRef>,
    branch: RefName,
    author: AgentName,
    issue: Option<u64>,
    head: Oid,
    tree: Oid,
    records: Vec<Accepted>,
    reviews: Vec<Review>,
    mergeable: Mergeability,
    target: RefName,
    base: Oid,
    changed: Result<Vec<Changed>, Undecided>,
    landing: Option<hooks::gate::Landing>,
    merging: Option<(AgentName, Strategy)>,
}

impl Work {
    /// Whether it merges with its target as that is now.
    pub fn mergeable(&self) -> &Mergeability {
        &self.mergeable
    }

    /// A branch, of which only the proof is asked: records on its tree are read and no others, for each push asks.
    pub fn new(
        view: &View,
        branch: &RefName,
        author: &AgentName,
        issue: Option<u64>,
        head: Oid,
    ) -> Result<Work, ReadError> {
        let tree = view.objects.commit(head)?.tree;
        Ok(Work {
            pull: None,
            branch: branch.clone(),
            author: author.clone(),
            issue,
            head,
            tree,
            records: records_on(view, author, tree),
            reviews: Vec::new(),
            mergeable: Mergeability::Unknown("it has not been submitted".to_owned()),
            target: view.default_branch(),
            base: head,
            changed: Err(Undecided("its changes were not looked at".to_owned())),
            landing: None,
            merging: None,
        })
    }

    /// The same, about to be submitted for the first time: what it changes since `base` is looked at, and what its author
    /// ran besides.
    pub fn submitted(self, view: &View, base: Oid) -> Work {
        let mut work = self.since(view, base);
        work.records.splice(0..0, newest_others(view, &work.author, work.tree));
        work
    }

    /// The same without a look at what its author ran besides.
    pub fn since(self, view: &View, base: Oid) -> Work {
        let changed = view.policy().and_then(|policy| changes::of_pull(view.objects, &policy.policy, base, self.head));
        Work { base, changed, ..self }
    }

    /// Pull request `n`, as it is shown.
    pub fn of_pull(view: &View, store: &Store, n: u64, pull: &PullState) -> Result<Work, ReadError> {
        if pull.status != PullStatus::Open {
            return Work::as_it_was(view, n, pull);
        }
        let Some(onto) = view.snapshot.ref_id(&pull.target) else {
            let mergeable = Mergeability::Unknown("the target branch does not exist yet".to_owned());
            return Ok(Work { mergeable, ..Work::about(view, n, pull, pull.base)? });
        };
        let strategy = view.policy().map_or(Strategy::Merge, |base| base.policy.strategy);
        // Whether a rebase goes is found out when one is asked for; the tree is nearly always the same.
        let strategy = if strategy == Strategy::Rebase { Strategy::Merge } else { strategy };
        let landing = landing::land(store, onto, pull.head, strategy);
        Work::landing(view, n, pull, onto, &landing)
    }

    /// Pull request `n` as it was when its newest round came: nothing is to be merged.
    pub fn as_it_was(view: &View, n: u64, pull: &PullState) -> Result<Work, ReadError> {
        let work = Work::about(view, n, pull, pull.base)?;
        Ok(Work { mergeable: Mergeability::Done, ..work })
    }

    /// Pull request `n`, about to land as was computed: that is too slow for the committer.
    pub fn landing(
        view: &View,
        n: u64,
        pull: &PullState,
        onto: Oid,
        landing: &Result<Landing, CannotLand>,
    ) -> Result<Work, ReadError> {
        let base = history::merge_base(view.objects, onto, pull.head)?.unwrap_or(pull.base);
        let mut work = Work::about(view, n, pull, base)?;
        work.mergeable = landing::mergeability(landing);
        if let (Ok(landing), Ok(policy)) = (landing, view.policy()) {
            work.landing = Some(landing.judged(view.objects, &policy)?);
        }
        Ok(work)
    }

    fn about(view: &View, n: u64, pull: &PullState, base: Oid) -> Result<Work, ReadError> {
        let mut work = Work::new(view, &pull.branch, &pull.author, pull.issue, pull.head)?.submitted(view, base);
        work.pull = Some(ItemRef { project: view.snapshot.project.clone(), n });
        work.target = pull.target.clone();
        work.reviews =
            pull.reviews.iter().map(|r| Review { agent: r.agent.clone(), verdict: r.verdict, head: r.head }).collect();
        Ok(work)
    }

    /// The same, about to be merged by somebody in some way.
    pub fn merged(self, by: &AgentName, strategy: Strategy) -> Work {
        Work { merging: Some((by.clone(), strategy)), ..self }
    }

    /// The tree of its head.
    pub fn tree(&self) -> Oid {
        self.tree
    }

    /// Whether any record of its author on its tree is known, whatever it says.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Adds records, by their digests, that are not among the accepted ones; what they show is P1.
    pub fn with_records(mut self, more: impl IntoIterator<Item = (Sha256, Record)>) -> Work {
        for (digest, record) in more {
            // What is in the batch already is known by what it shows.
            if !self.records.iter().any(|accepted| accepted.digest == digest) {
                self.records.push(Accepted { record, digest, level: Level::P1 });
            }
        }
        self
    }

    /// As the rules see it. What checks said is looked up at each moment: it changes while the work stays as it is.
    fn candidate<'a>(&'a self, checks: &'a [Check]) -> Candidate<'a> {
        Candidate {
            pull: self.pull.as_ref(),
            branch: &self.branch,
            author: &self.author,
            issue: self.issue,
            head: self.head,
            tree: self.tree,
            records: &self.records,
            reviews: &self.reviews,
            mergeable: &self.mergeable,
            target: &self.target,
            base: self.base,
            changed: &self.changed,
            checks,
            landing: self.landing.as_ref(),
            merging: self.merging.as_ref().map(|(by, strategy)| Merging { by, strategy: *strategy }),
        }
    }

    /// What is known of its proof.
    pub fn proof(&self, view: &View) -> Result<Proof, Refusal> {
        let proof = self.asked(view, |candidate| hooks::gate::proof_of(view, candidate));
        proof.map(written).map_err(|undecided| self.later(&undecided))
    }

    /// What is known of the proof of `tree`, which landed for it.
    pub fn proof_of_landed(&self, view: &View, tree: Oid) -> Result<Proof, Refusal> {
        let proof = self.asked(view, |candidate| hooks::gate::proof_of_landed(view, candidate, tree));
        proof.map(written).map_err(|undecided| self.later(&undecided))
    }

    fn asked<R>(&self, view: &View, ask: impl FnOnce(&Candidate<'_>) -> R) -> R {
        ask(&self.candidate(&view.checks(self.tree)))
    }

    fn later(&self, undecided: &Undecided) -> Refusal {
        Refusal::new(Code::TryLater, self.branch.short(), undecided.to_string(), "git push")
    }

    /// Every rule, in order.
    pub fn gate(&self, view: &View) -> Vec<GateLine> {
        self.asked(view, |candidate| hooks::gate::gate(view, candidate))
    }

    /// How much it can break.
    pub fn risk(&self, view: &View) -> Option<policy::Risk> {
        let base = view.policy().ok()?;
        self.asked(view, |candidate| candidate.risk(&base.policy).ok().map(|(risk, _)| risk))
    }

    /// Whether it may become a pull request.
    pub fn check_submit(&self, view: &View) -> Result<Proof, Refusal> {
        self.asked(view, |candidate| hooks::gate::check_submit(view, candidate))
            .map(written)
            .map_err(|refusal| view.refused(refusal))
    }

    /// Whether it may land.
    pub fn check_merge(&self, view: &View) -> Result<Proof, Refusal> {
        self.asked(view, |candidate| hooks::gate::check_merge(view, candidate))
            .map(written)
            .map_err(|refusal| view.refused(refusal))
    }
}

/// What would land of `pull` upon `onto`. Reads only; blocks for as long as a merge takes.
pub fn compute_landing(store: &Store, onto: Oid, pull: &PullState, strategy: Strategy) -> Result<Landing, CannotLand> {
    landing::land(store, onto, pull.head, strategy)
}

/// What each level of a proof shows, in a few words.
pub fn means(level: Level) -> &'static str {
    match level {
        Level::P0 => "no passing run recorded",
        Level::P1 => "recorded, not re-run",
        Level::P2 => "recorded and signed, not re-run",
        Level::P3 => "confirmed by re-runs",
        Level::PX => "refuted by re-runs",
    }
}

/// A proof as events carry it: a command may be as long as its record, and the record has it whole.
fn written(proof: Proof) -> Proof {
    Proof { command: crate::state::snippet(&proof.command, LONGEST_COMMAND), ..proof }
}

/// A refusal by a rule of `project`'s gate, as an answer.
pub fn refused(project: &ProjectName, refusal: hooks::Refusal) -> Refusal {
    let beside = Beside { details: refusal.details, gate: Some(project.clone()) };
    Refusal {
        beside: Some(Box::new(beside)),
        ..Refusal::new(Code::Refused, refusal.what, refusal.why, refusal.next).by_rule(refusal.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_below_are_found_behind_names_that_sort_between() {
        let name = |text: &str| text.parse::<RefName>().unwrap();
        let value = RefValue { id: Oid::from_bytes([1; 20]), peeled: None };
        let known = ["refs/heads/a-b", "refs/heads/a.c", "refs/heads/a/x", "refs/heads/ab"];
        let refs: imbl::OrdMap<RefName, RefValue> = known.iter().map(|n| (name(n), value)).collect();
        let found = |text: &str| conflicting(&refs, &name(text)).map(|n| n.to_string());
        assert_eq!(found("refs/heads/a").as_deref(), Some("refs/heads/a/x"));
        assert_eq!(found("refs/heads/ab/c").as_deref(), Some("refs/heads/ab"));
        assert_eq!(found("refs/heads/a-"), None);
        assert_eq!(found("refs/heads/b"), None);
    }
}
