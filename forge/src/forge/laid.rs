//! What verifiers of a contest run: its sealed tests laid over each submission, and over trees of which is known what comes of it.
//!
//! Invariant: it is made beside the committer, of a contest that is closed, so that nobody who writes waits for it; the committer
//! takes it if it is of what counts. Each submission is decided by itself: one that the tests cannot be laid over has failed them,
//! and costs nobody else anything.

use std::collections::{BTreeSet, HashMap};

use notes_schema::batch::PackLine;
use notes_schema::event::Known;
use notes_schema::{AgentName, ItemRef, Oid, refs};

use super::Forge;
use super::sealed::{ROOM, applied};
use super::trials::unmade;
use crate::answer::Refusal;
use crate::import::Sealed;
use crate::ledger::draft::signature_of;
use crate::ledger::{Draft, Repository, Snapshot, fault};
use crate::state::{Contest, SealedPart};
use git::apply::{self, ApplyError};
use git::object::{NewCommit, Object, tree};
use git::pack::write::Builder;
use git::store::{Objects, Over, ReadError};

/// By so many bytes the directories of a submission may be larger than those where its contest begins.
/// Limit: bytes by which the directories of a submission to a contest may be larger than where that begins | {:bytes}; one that takes more is refused, or has failed the sealed tests
pub(crate) const MOST_WIDER: u64 = 256 << 10;
/// So many bytes of what is laid are packed in memory.
/// Limit: bytes of packed trees with sealed tests in them that are held in memory | {:bytes}; then they are written
const MOST_PACKED: usize = 8 << 20;

/// A tree with the sealed tests in it, and what had to be made for it.
type Made = (Oid, Vec<(Oid, Object)>);

/// Lays the sealed tests of a contest that begins at `base` over other trees: their files are as they are there with the tests in,
/// whatever else was made of those.
pub(super) struct Tests<'a> {
    objects: &'a dyn Objects,
    base: Oid,
    part: &'a Sealed,
    tests: apply::Applied,
    /// Bytes that may be read and hashed for one submission: enough for each that is not refused as too wide.
    room: u64,
}

impl<'a> Tests<'a> {
    pub(super) fn of(objects: &'a dyn Objects, base: Oid, part: &'a Sealed) -> Result<Tests<'a>, ApplyError> {
        let (tree, tests) = applied(objects, base, &part.tests)?;
        let mut tests = Tests { objects, base, part, tests, room: ROOM };
        let mut left = ROOM;
        tests.lay(tree, Vec::new(), &mut left)?;
        // A directory is read, and written with the tests in it.
        tests.room = 2 * (ROOM - left) + 2 * MOST_WIDER;
        Ok(tests)
    }

    pub(super) fn over(&self, head: Oid) -> Result<Made, ApplyError> {
        self.lay(self.objects.commit(head)?.tree, Vec::new(), &mut self.room.clone())
    }

    pub(super) fn known(&self, known: Known) -> Result<Made, ApplyError> {
        match known {
            Known::Base => Ok((self.tests.tree, self.tests.made.clone())),
            Known::Golden => {
                let (_, golden) = applied(self.objects, self.base, &self.part.golden)?;
                self.lay(golden.tree, golden.made, &mut ROOM.clone())
            }
        }
    }

    fn lay(&self, onto: Oid, mut made: Vec<(Oid, Object)>, room: &mut u64) -> Result<Made, ApplyError> {
        made.extend(self.tests.made.iter().cloned());
        let new: HashMap<Oid, Object> = made.iter().cloned().collect();
        let over = Over { made: &new, below: self.objects };
        let laid = apply::lay_over(&over, onto, self.tests.tree, &self.tests.paths, room)?;
        made.extend(laid.made);
        Ok((laid.tree, made))
    }
}

/// Whether an error is of this disk and moment, so that nothing is decided by it. All else is what was submitted.
fn is_of_the_disk(error: &ApplyError) -> bool {
    matches!(error, ApplyError::Read(ReadError::Missing(_) | ReadError::Store { .. }))
}

/// What is run of one contest, made and durable; nothing names it yet.
#[derive(Default)]
pub(super) struct Laid {
    /// The submissions that it was made of, and their heads.
    of: Vec<(u64, Oid)>,
    /// The trees that are run, by looks alike and in no order that says anything. None where nobody runs them.
    trees: BTreeSet<Oid>,
    /// Where they lie.
    packs: Vec<PackLine>,
    /// The submissions that the tests cannot be laid over.
    unlaid: Vec<u64>,
}

/// What verifiers would run of a contest; nothing where nobody can be drawn.
fn to_run(contest: Option<&Contest>) -> Vec<(u64, Oid)> {
    let contest = contest.filter(|contest| !contest.candidates.is_empty());
    let proved = contest.into_iter().flat_map(|contest| &contest.entries).filter(|entry| entry.record.is_some());
    proved.map(|entry| (entry.pull, entry.head)).collect()
}

impl Laid {
    /// Whether something of it is on disk.
    pub(super) fn is_landed(&self) -> bool {
        !self.packs.is_empty()
    }

    /// What it says of submissions, if it is of what counts.
    pub(super) fn unlaid(&self, snapshot: &Snapshot, issue: u64) -> Result<Vec<u64>, Refusal> {
        if self.of == to_run(snapshot.fold.contests.of(issue)) {
            return Ok(self.unlaid.clone());
        }
        let item = ItemRef { project: snapshot.project.clone(), n: issue };
        Err(unmade(&item, "what counts is not what its sealed tests were laid over"))
    }

    /// Makes a commit of each tree, and keeps them as [`refs::sealed_runs`].
    pub(super) fn keep(self, draft: &mut Draft, issue: u64) -> Result<(), Refusal> {
        let snapshot = draft.snapshot().clone();
        let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
        let Some(state) = state.filter(|_| !self.trees.is_empty()) else { return Ok(()) };
        for pack in self.packs {
            draft.depends_on(pack);
        }
        let forge = signature_of(&AgentName::forge(), draft.now());
        let commit = |tree, parents, message: String| NewCommit {
            tree,
            parents,
            author: forge.clone(),
            committer: forge.clone(),
            message,
        };
        let mut runs = BTreeSet::new();
        for tree in self.trees {
            let run = commit(tree, vec![state.base], format!("To be run by verifiers of #{issue}\n"));
            runs.insert(draft.object(run.encode(None))?);
        }
        let empty = draft.object(tree(Vec::new()))?;
        let kept = commit(empty, runs.into_iter().collect(), format!("What verifiers of #{issue} run\n"));
        let kept = draft.object(kept.encode(None))?;
        draft.set_ref(&refs::sealed_runs(issue), None, Some(kept), None, None)
    }

    /// Lays the tests over one tree after the other.
    fn make(&mut self, repository: &Repository, base: Oid, part: &Sealed) -> Result<(), Stop> {
        let mut packs = Packs { repository, builder: Builder::default(), landed: &mut self.packs };
        let objects = repository.store().as_ref();
        let tests = Tests::of(objects, base, part)?;
        let golden = (!part.golden.is_empty()).then_some(Known::Golden);
        for known in [Some(Known::Base), golden].into_iter().flatten() {
            self.trees.insert(packs.add(tests.known(known)?)?);
        }
        for (pull, head) in &self.of {
            match tests.over(*head) {
                Ok(made) => drop(self.trees.insert(packs.add(made)?)),
                Err(error) if is_of_the_disk(&error) => return Err(error.into()),
                Err(error) => {
                    tracing::info!(project = %repository.name(), pull, %error, "it has failed the sealed tests");
                    self.unlaid.push(*pull);
                }
            }
        }
        packs.land()
    }
}

/// Why nothing is made.
enum Stop {
    /// The tests, or the golden patch, are not what can be run.
    Laying(ApplyError),
    /// The disk takes no writes.
    Disk(std::io::Error),
}

impl From<ApplyError> for Stop {
    fn from(error: ApplyError) -> Stop {
        Stop::Laying(error)
    }
}

/// Packs that are written as they are made.
struct Packs<'a> {
    repository: &'a Repository,
    builder: Builder,
    landed: &'a mut Vec<PackLine>,
}

impl Packs<'_> {
    fn add(&mut self, (tree, made): Made) -> Result<Oid, Stop> {
        for (id, object) in made {
            self.builder.add(id, &object);
        }
        if self.builder.bytes() > MOST_PACKED {
            self.land()?;
        }
        Ok(tree)
    }

    fn land(&mut self) -> Result<(), Stop> {
        if !self.builder.is_empty() {
            let pack = std::mem::take(&mut self.builder).finish();
            self.landed.push(self.repository.land(&pack).map_err(Stop::Disk)?);
            fault::point("code-pack-landed");
        }
        Ok(())
    }
}

impl Forge {
    /// Makes what verifiers of a contest run, where that is still to be done: it is closed, and what is sealed of it is not revealed.
    /// Call it while a push is under way, so that what is made stays until it is committed.
    pub(super) fn lay(&self, repository: &Repository, issue: u64) -> Result<Option<Laid>, Refusal> {
        let (snapshot, objects) = (repository.snapshot(), repository.store().as_ref());
        let waits = |part: &&SealedPart| part.commit.is_some() && part.key.is_none();
        let part = snapshot.fold.contests.sealed(issue).filter(waits);
        let state = snapshot.fold.issue(issue).and_then(|issue| issue.contest.as_ref());
        let of = to_run(snapshot.fold.contests.of(issue));
        let Some((part, state)) = part.zip(state).filter(|_| !of.is_empty()) else { return Ok(None) };
        let Some((_, opened)) = self.key_of(&snapshot, objects, issue, part) else { return Ok(None) };
        let mut laid = Laid { of, ..Laid::default() };
        if opened.part.tests.is_empty() {
            return Ok(Some(laid));
        }
        let item = ItemRef { project: snapshot.project.clone(), n: issue };
        let made = laid.make(repository, state.base, &opened.part);
        if made.is_err() && laid.is_landed() {
            repository.leaves_behind();
        }
        match made {
            Ok(()) => Ok(Some(laid)),
            Err(Stop::Disk(error)) => Err(unmade(&item, format!("the disk takes no writes: {error}"))),
            Err(Stop::Laying(error)) if is_of_the_disk(&error) => Err(unmade(&item, error)),
            Err(Stop::Laying(error)) => {
                tracing::warn!(contest = %item, %error, "its sealed tests are none that can be run: nobody runs them");
                Ok(Some(Laid { of: laid.of, ..Laid::default() }))
            }
        }
    }
}
