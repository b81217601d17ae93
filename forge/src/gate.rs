//! The rules of `hooks`, asked about this forge's state: what they look up, and the work they are asked about.
//!
//! Invariant: reads only, and the same for a preview and at the commit point.

use std::sync::Arc;

use hooks::gate::{Candidate, GateLine, Mergeability, Review};
use hooks::secrets::Allowed;
use hooks::{IssuedNonce, Undecided};
use notes_schema::event::Proof;
use notes_schema::trace::{Nonce, Record};
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName, Sha256};

use crate::answer::{Code, Refusal};
use crate::ledger::{KnownRecord, Snapshot};
use crate::state::{PullState, PullStatus};
use git::object::{Kind, Mode};
use git::packed_refs::RefValue;
use git::store::{Objects, ReadError};
use git::{diff, history, merge};

/// A project at one moment, as the rules see it.
pub struct View<'a> {
    /// The project.
    pub snapshot: &'a Snapshot,
    /// `forge.git`.
    pub root: &'a Snapshot,
    /// Objects, those of a push under judgement included.
    pub objects: &'a dyn Objects,
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
            started_ms: started.at_ms,
        }))
    }

    fn record_maker(&self, digest: &Sha256) -> Result<Option<AgentName>, Undecided> {
        Ok(self.snapshot.records.get(digest).map(|r| r.agent.clone()))
    }

    fn allowed_secrets(&self) -> Result<Allowed, Undecided> {
        let Some(tip) = self.snapshot.default_tip() else { return Ok(Allowed::default()) };
        let tree = self.objects.commit(tip).map_err(|e| Undecided(e.to_string()))?.tree;
        let list = file_at(self.objects, tree, hooks::secrets::ALLOW_PATH).map_err(|e| Undecided(e.to_string()))?;
        Ok(list.map_or_else(Allowed::default, |bytes| Allowed::parse(&String::from_utf8_lossy(&bytes)).0))
    }

    fn differing_paths(&self, a: Oid, b: Oid, most: usize) -> Result<Vec<String>, Undecided> {
        let changes =
            diff::changed_paths(self.objects, Some(a), Some(b), most).map_err(|e| Undecided(e.to_string()))?;
        Ok(changes.into_iter().take(most).map(|c| String::from_utf8_lossy(&c.path).into_owned()).collect())
    }
}

/// The file at `path` in `tree`, if there is one.
pub(crate) fn file_at(objects: &dyn Objects, tree: Oid, path: &str) -> Result<Option<bytes::Bytes>, ReadError> {
    let (mut at, mut kind) = (tree, Kind::Tree);
    for part in path.split('/') {
        if kind != Kind::Tree {
            return Ok(None);
        }
        let entry = objects.tree(at)?.into_iter().find(|entry| entry.name == part.as_bytes());
        let Some(entry) = entry else { return Ok(None) };
        (at, kind) = match entry.mode {
            Mode::Tree => (entry.id, Kind::Tree),
            Mode::File | Mode::Executable => (entry.id, Kind::Blob),
            Mode::Link | Mode::Submodule => return Ok(None),
        };
    }
    Ok(if kind == Kind::Blob { Some(objects.get_kind(at, Kind::Blob)?.data) } else { None })
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
const LONGEST_COMMAND: usize = 200;
/// How many records of one agent are looked at for one head.
const CONSIDERED: usize = 32;

/// Records that may speak for a head with `tree`: the author's on that tree and its newest others, oldest first.
pub fn records(snapshot: &Snapshot, objects: &dyn Objects, author: &AgentName, tree: Oid) -> Vec<Record> {
    // Several records often come in one push, so only their place in the order tells which is the newest.
    let mine: Vec<(usize, &Arc<KnownRecord>)> = snapshot.records_of(author).enumerate().collect();
    let of = |same: bool| mine.iter().rev().filter(move |(_, r)| (r.tree == tree) == same).copied();
    let mut chosen: Vec<(usize, &Arc<KnownRecord>)> = of(true).take(CONSIDERED).chain(of(false).take(4)).collect();
    chosen.sort_by_key(|(at, _)| *at);
    chosen.into_iter().filter_map(|(_, known)| read_record(objects, known)).collect()
}

/// A record's content.
pub fn read_record(objects: &dyn Objects, known: &KnownRecord) -> Option<Record> {
    let blob = objects.get(known.blob).ok()?;
    Record::decode_msgpack(&blob.data).ok()
}

/// Whether `head` would merge into `target`, without writing anything.
pub fn mergeability(store: &git::store::Store, target: Option<Oid>, head: Oid) -> Mergeability {
    let Some(target) = target else { return Mergeability::Unknown("the target branch does not exist yet".to_owned()) };
    match history::is_ancestor(store, target, head) {
        Ok(true) => return Mergeability::Clean,
        Ok(false) => {}
        Err(error) => return Mergeability::Unknown(error.to_string()),
    }
    match merge::merge(store, target, head) {
        Ok(_) => Mergeability::Clean,
        Err(merge::MergeError::Conflicts { paths }) => Mergeability::Conflicts(paths),
        Err(error) => Mergeability::Unknown(error.to_string()),
    }
}

/// A pull request as the gate judges it. `records` and `mergeable` are gathered by the caller and live longer.
pub struct Work {
    pull: Option<ItemRef>,
    branch: RefName,
    author: AgentName,
    issue: Option<u64>,
    head: Oid,
    tree: Oid,
    records: Vec<Record>,
    reviews: Vec<Review>,
    mergeable: Mergeability,
}

impl Work {
    /// What is about to be submitted for the first time.
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
            records: records(view.snapshot, view.objects, author, tree),
            reviews: Vec::new(),
            mergeable: Mergeability::Unknown("it has not been submitted".to_owned()),
        })
    }

    /// Pull request `n`.
    pub fn of_pull(view: &View, store: &git::store::Store, n: u64, pull: &PullState) -> Result<Work, ReadError> {
        let mergeable = match pull.status {
            PullStatus::Open => mergeability(store, view.snapshot.ref_id(&pull.target), pull.head),
            PullStatus::Merged | PullStatus::Closed => Mergeability::Done,
        };
        Work::of_merged(view, n, pull, mergeable)
    }

    /// Pull request `n`, of which it is known already whether it merges: a merge is too slow for the committer.
    pub fn of_merged(view: &View, n: u64, pull: &PullState, mergeable: Mergeability) -> Result<Work, ReadError> {
        let mut work = Work::new(view, &pull.branch, &pull.author, pull.issue, pull.head)?;
        work.pull = Some(ItemRef { project: view.snapshot.project.clone(), n });
        work.reviews =
            pull.reviews.iter().map(|r| Review { agent: r.agent.clone(), verdict: r.verdict, head: r.head }).collect();
        work.mergeable = mergeable;
        Ok(work)
    }

    /// The tree of its head.
    pub fn tree(&self) -> Oid {
        self.tree
    }

    /// Adds records that arrive in the same push.
    pub fn with_records(mut self, more: impl IntoIterator<Item = Record>) -> Work {
        self.records.extend(more);
        self
    }

    fn candidate(&self) -> Candidate<'_> {
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
        }
    }

    /// What is known of its proof.
    pub fn proof(&self) -> Proof {
        written(hooks::gate::proof_of(&self.candidate()))
    }

    /// Every rule, in order.
    pub fn gate(&self, view: &View) -> Vec<GateLine> {
        hooks::gate::gate(view, &self.candidate())
    }

    /// Whether it may become a pull request.
    pub fn check_submit(&self, view: &View) -> Result<Proof, Refusal> {
        hooks::gate::check_submit(view, &self.candidate()).map(written).map_err(refused)
    }

    /// Whether it may land.
    pub fn check_merge(&self, view: &View) -> Result<Proof, Refusal> {
        hooks::gate::check_merge(view, &self.candidate()).map(written).map_err(refused)
    }
}

/// A proof as events carry it: a command may be as long as its record, and the record has it whole.
fn written(proof: Proof) -> Proof {
    Proof { command: crate::state::snippet(&proof.command, LONGEST_COMMAND), ..proof }
}

/// A rule's refusal as an answer.
pub fn refused(refusal: hooks::Refusal) -> Refusal {
    Refusal::new(Code::Refused, refusal.what, refusal.why, refusal.next).by_rule(refusal.rule)
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
