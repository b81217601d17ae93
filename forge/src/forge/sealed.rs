//! Sealed parts of contests, as this forge makes and opens them, and how alike submissions are to what was in them.
//!
//! Invariant: the secret stays here. What leaves is the key of one part, in the batch that follows on the close of its contest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use notes_schema::event::ContestSealed;
use notes_schema::{EntityId, Oid, ProjectName};

use super::Forge;
use crate::answer::{Code, Refusal};
use crate::import::Sealed;
use crate::ledger::{Author, Draft, Recorded, SEALED, Snapshot};
use crate::seal::{self, Opened, Place, SealError};
use crate::secrets::{self, SecretError, Secrets};
use crate::state::{IssueStatus, SealedPart, Stage};
use git::alike::{Alike, Budget, Shape, compare, shape};
use git::apply::{self, Applied, ApplyError};
use git::object::Object;
use git::store::{Objects, Over};

/// Most bytes read and hashed to apply a patch that is sealed.
/// Limit: bytes read and hashed to apply a golden patch, or sealed tests | {:bytes}; one that takes more is refused where it is sealed
pub(super) const ROOM: u64 = 64 << 20;
/// Most measures that are kept; they can be made again.
/// Limit: measures of submissions against golden patches that are kept in memory | {}; the others are made again
const MOST_KEPT: usize = 4096;

/// What was looked at and need not be again.
#[derive(Default)]
pub(super) struct Looked {
    /// By project, issue and head; none where a change is too large.
    alike: Mutex<HashMap<(ProjectName, u64, Oid), Option<Alike>>>,
    /// Contests of which the log has been told why they wait.
    told: Mutex<BTreeSet<(ProjectName, u64)>>,
}

/// What is sealed, and by whom.
pub(crate) struct Sealing<'a> {
    pub by: &'a Author,
    pub issue: u64,
    pub part: &'a Sealed,
}

/// Seals what belongs to a contest that nobody has started.
pub(crate) fn seal(
    forge: &Forge,
    draft: &mut Draft,
    objects: &dyn Objects,
    sealing: &Sealing,
) -> Result<Recorded, Refusal> {
    let (project, n) = (draft.snapshot().project.clone(), sealing.issue);
    let refuse = |why: String| {
        let next = format!("submission {project}/{n}");
        Refusal::new(Code::Refused, format!("{project}#{n}"), why, next).by_rule("contest")
    };
    let fold = &draft.snapshot().fold;
    let issue = fold.issue(n).filter(|issue| issue.status == IssueStatus::Open);
    let contest = issue.and_then(|issue| issue.contest.as_ref()).filter(|contest| contest.stage == Stage::Open);
    let contest = contest.ok_or_else(|| refuse("it is no open contest".to_owned()))?;
    if contest.sealed.is_some() {
        return Err(refuse("something is sealed of it already, and that stands".to_owned()));
    }
    if contest.closes_ms.is_some() {
        return Err(refuse("somebody has started it: what is sealed is sealed before that".to_owned()));
    }
    for (what, patch) in [("its golden patch does", &sealing.part.golden), ("its tests do", &sealing.part.tests)] {
        if !patch.is_empty()
            && let Err(error) = applied(objects, contest.base, patch)
        {
            return Err(refuse(format!("{what} not apply to {}: {error}", contest.base.short())));
        }
    }
    let unmade = |e: SecretError| {
        tracing::error!(error = %e, "nothing can be sealed");
        Refusal::new(Code::TryLater, "issue seal", "the forge has no secret to seal with; its log says why", "help")
    };
    let secret = Secrets::open(&forge.data).and_then(|s| s.load_or_create_seal_key()).map_err(unmade)?;
    let (id, salt) = (secrets::random().map_err(unmade)?, secrets::random().map_err(unmade)?);
    let id = id[..seal::ID].to_vec();
    let place = Place { project: &project, genesis: forge.root().genesis, id: &id };
    let closed = seal::seal(&secret, &place, salt, sealing.part).map_err(|e| refuse(e.to_string()))?;
    let fact = ContestSealed {
        id,
        commitment: closed.commitment,
        sealed: notes_schema::Sha256::of(&closed.blob),
        bytes: closed.blob.len() as u64,
    };
    draft.event_with(sealing.by, &EntityId::Issue(n), fact, None, &[], Some((SEALED, closed.blob)))
}

/// What a sealed patch makes of the tree where all begin.
pub(super) fn applied(objects: &dyn Objects, base: Oid, patch: &str) -> Result<(Oid, Applied), ApplyError> {
    let tree = objects.commit(base)?.tree;
    Ok((tree, apply::apply_abbreviated(objects, tree, patch.as_bytes(), &mut ROOM.clone())?))
}

/// What was sealed and has been revealed; none before, or where it was redacted.
pub(crate) fn opened(objects: &dyn Objects, part: &SealedPart) -> Option<Result<Opened, SealError>> {
    let (commit, key) = (part.commit?, part.key.as_ref()?);
    Some(seal::blob(objects, commit).and_then(|blob| seal::open(key, &blob)))
}

impl Forge {
    /// The key of a part that waits, and what it opens. None where this forge lacks the secret that it was sealed with.
    pub(super) fn key_of(
        &self,
        snapshot: &Snapshot,
        objects: &dyn Objects,
        issue: u64,
        part: &SealedPart,
    ) -> Option<(Vec<u8>, Opened)> {
        match self.try_key(snapshot, objects, part) {
            Ok(found) => Some(found),
            Err(why) => {
                if self.is_news(&snapshot.project, issue) {
                    tracing::warn!(contest = %format!("{}#{issue}", snapshot.project), %why,
                        "cannot be revealed, and is not ranked until secrets/seal.key is the one that it was sealed with");
                }
                None
            }
        }
    }

    /// Whether the log has not been told yet why a contest waits: it is tried again every moment.
    pub(super) fn is_news(&self, project: &ProjectName, issue: u64) -> bool {
        self.sealed.told.lock().expect("invariant: no panic under this lock").insert((project.clone(), issue))
    }

    fn try_key(
        &self,
        snapshot: &Snapshot,
        objects: &dyn Objects,
        part: &SealedPart,
    ) -> Result<(Vec<u8>, Opened), String> {
        let commit = part.commit.ok_or("it was redacted")?;
        let key = match &part.key {
            Some(published) => published.clone(),
            None => self.derive(snapshot, part, |place, secret| place.key(secret))?,
        };
        let blob = seal::blob(objects, commit).map_err(|e| e.to_string())?;
        let opened = seal::open(&key, &blob).map_err(|e| e.to_string())?;
        match opened.commitment == part.commitment {
            true => Ok((key, opened)),
            false => Err("what is in it is not what was promised".to_owned()),
        }
    }

    /// What this forge's secret makes of the place of a part.
    pub(super) fn derive(
        &self,
        snapshot: &Snapshot,
        part: &SealedPart,
        derive: impl FnOnce(&Place<'_>, &[u8; 32]) -> [u8; 32],
    ) -> Result<Vec<u8>, String> {
        let secret = Secrets::open(&self.data).and_then(|secrets| secrets.seal_key()).map_err(|e| e.to_string())?;
        let secret = secret.ok_or("there is no secrets/seal.key")?;
        let place = Place { project: &snapshot.project, genesis: self.root().genesis, id: &part.id };
        Ok(derive(&place, &secret).to_vec())
    }

    /// Whether a contest that waits can be ranked now.
    pub(super) fn can_rank(&self, snapshot: &Snapshot, objects: &dyn Objects, issue: u64) -> bool {
        let part = snapshot.fold.contests.sealed(issue);
        part.is_none_or(|part| part.commit.is_none() || self.key_of(snapshot, objects, issue, part).is_some())
    }

    /// How alike changes from `base` to each of these heads are to the golden patch. Those too large to be measured are left
    /// out.
    pub(crate) fn alike(
        &self,
        objects: &dyn Objects,
        of: (&ProjectName, u64),
        base: Oid,
        patch: &str,
        heads: &[Oid],
    ) -> BTreeMap<Oid, Alike> {
        // Held while they are made: whoever asks for the same meanwhile gets them from here.
        let mut kept = self.sealed.alike.lock().expect("invariant: no panic under this lock");
        if kept.len() > MOST_KEPT {
            kept.clear();
        }
        let key = |head: &Oid| (of.0.clone(), of.1, *head);
        if heads.iter().any(|head| !kept.contains_key(&key(head))) {
            let made = shape_of_golden(objects, base, patch);
            for head in heads {
                let alike = || {
                    let (tree, golden) = made.as_ref()?;
                    let head = objects.commit(*head).ok()?.tree;
                    Some(compare(golden, &shape(objects, Some(*tree), Some(head), Budget::default()).ok()?))
                };
                kept.entry(key(head)).or_insert_with(alike);
            }
        }
        heads.iter().filter_map(|head| Some((*head, (*kept.get(&key(head))?)?))).collect()
    }
}

/// The tree where all begin, and the change that the golden patch makes of it.
fn shape_of_golden(objects: &dyn Objects, base: Oid, patch: &str) -> Option<(Oid, Shape)> {
    if patch.is_empty() {
        return None;
    }
    let (tree, applied) = applied(objects, base, patch).ok()?;
    let made: HashMap<Oid, Object> = applied.made.into_iter().collect();
    let over = Over { made: &made, below: objects };
    Some((tree, shape(&over, Some(tree), Some(applied.tree), Budget::default()).ok()?))
}
