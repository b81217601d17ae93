//! Checking repositories without a server: every object that matters is read and hashed again, every rule of the format
//! is held against what is there, and faults are named by entity.
//!
//! What it cannot show is printed with the result: see [`CANNOT_SHOW`].

mod across;
mod batch;
mod events;
mod on_disk;
mod packs;
pub(crate) mod redaction;
mod sealed;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use notes_schema::event::{ContestCorrected, ContestSettled, RatingCorrected, RatingSettled, ReviewSettled};
use notes_schema::{FORGE_PROJECT, Fact, Oid, ProjectName, refs};

use super::recover::check_digests;
use super::replay::{self, ReplayError};
use super::signer;
use super::snapshot::Snapshot;
use super::storage;
use batch::check_chain_line;
pub(super) use batch::take_batch;
use events::check_event;
use git::name::FullName;
use git::object::{self, Object};
use git::store::{Objects, ReadError, Store};
use git::{packed_refs, plain};

/// What no check of a copy can tell, in words.
pub const CANNOT_SHOW: &str = "Not shown by this: whether the operator invented unsigned events, their times or order; \
whether something that nobody copied was dropped; whether another mirror was told something else. Compare ledger heads.";

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// Repositories checked.
    pub repositories: u64,
    /// Ledger commits whose digests and signatures hold.
    pub batches: u64,
    /// Keys that signed them, one per epoch.
    pub epochs: u64,
    /// Events whose chains hold.
    pub events: u64,
    /// Ratings computed again.
    pub ratings: u64,
    /// Records whose makers' signatures hold.
    pub signed: u64,
    /// Events that an operator redacted, each with its repository, entity and number, what it was, and why.
    pub redacted: Vec<String>,
    /// Refs on disk that are what the ledger says.
    pub refs: u64,
    /// Refs that the ledger has folded.
    pub folded: u64,
    /// Notes and months of records that were not copied.
    pub absent: u64,
    /// Objects read and hashed.
    pub objects: u64,
    /// Files of packs and their indexes whose checksums hold.
    pub packs: u64,
    /// The newest ledger commit of each repository whose ledger holds, with its number: what two mirrors compare.
    pub heads: Vec<(ProjectName, u64, Oid)>,
    /// Faults, each naming its repository and entity, ref or pack.
    pub faults: Vec<String>,
    /// Places at which a repository ends before what another cites of it: copies of different moments.
    pub open_ends: u64,
    /// What is merely unfinished: a copy taken between two repositories, or a forge that was killed between them.
    pub pending: Vec<String>,
}

/// A repository whose ledger holds.
struct Checked {
    snapshot: Snapshot,
    /// Its ledger commits, the first one first.
    chain: Vec<Oid>,
    /// The moment that refs on disk reflect; `None` where their ledger ref is not in the chain.
    on_disk: Option<Snapshot>,
    /// What its batches cite of `forge.git`, where that is another commit than before.
    cited: Vec<Cited>,
    /// In `forge.git`: ratings by the project that asked for them.
    rated: BTreeMap<ProjectName, Vec<Rating>>,
    /// In `forge.git`: by project, its batches that moved the project's cursor, each with where to.
    settled: BTreeMap<ProjectName, Vec<(u64, u64)>>,
    /// In `forge.git`: the newest batch that set a project's cursor back, because the project lost batches (`--accept-loss`).
    set_back: BTreeMap<ProjectName, u64>,
}

/// A citation of `forge.git`.
struct Cited {
    /// The citing batch.
    n: u64,
    /// Its epoch.
    epoch: u32,
    /// The ledger commit of `forge.git`.
    commit: Oid,
}

/// A rating, and where it stands.
struct Rating {
    /// Its event, in words.
    place: String,
    /// The batch.
    n: u64,
    fact: Rated,
}

/// A rating event.
enum Rated {
    Settled(RatingSettled),
    Corrected(RatingCorrected),
    Review(ReviewSettled),
    Contest(ContestSettled),
    CorrectedContest(ContestCorrected),
}

/// Checks every repository below `dir` (a data directory, a directory of bare repositories, or one of them).
pub fn verify(dir: &Path) -> std::io::Result<Report> {
    let mut report = Report::default();
    let found = repositories(dir)?;
    let forge = found.iter().find(|(name, _)| name.is_forge());
    let authority = match forge {
        Some((name, path)) => verify_one(&mut report, name, path, None),
        None => {
            let why = format!("forge.git is not below {}, so no signature can be checked", dir.display());
            report.faults.push(format!("{FORGE_PROJECT}: {why}"));
            None
        }
    };
    let projects = found.iter().filter(|(name, _)| !name.is_forge());
    let Some(authority) = authority else {
        let not_checked = projects.map(|(name, _)| format!("{name}: not checked, for want of a sound forge.git"));
        report.pending.extend(not_checked);
        return Ok(report);
    };
    report.epochs = authority.snapshot.epochs.len() as u64;
    for (name, _) in authority.snapshot.fold.projects().filter(|(name, _)| !name.is_forge()) {
        if found.iter().all(|(there, _)| there != name) {
            report.pending.push(format!("{name}: forge.git knows this project, and it is not here to be checked"));
        }
    }
    for (name, path) in projects {
        if authority.snapshot.fold.project(name).is_none() && is_unfinished(path) {
            report.pending.push(format!("{name}: its making was cut short; `project new {name}` begins anew"));
            continue;
        }
        if let Some(project) = verify_one(&mut report, name, path, Some(&authority.snapshot)) {
            across::check(&mut report, &project, &authority);
        }
    }
    Ok(report)
}

/// Reads every pack below `dir` against its checksum, and nothing else: what a disk has damaged, whatever it means.
pub fn scrub(dir: &Path) -> std::io::Result<Report> {
    let mut report = Report::default();
    for (name, path) in repositories(dir)? {
        report.repositories += 1;
        for id in packs::check_packs(&mut report, &name, &path) {
            report.faults.push(format!("{name}: object {id} is damaged"));
        }
    }
    Ok(report)
}

/// Whether a repository is as a creation leaves it that was cut short before `forge.git` knew of it: nothing but at most
/// the first batch, which has no events.
fn is_unfinished(path: &Path) -> bool {
    let on_disk = packed_refs::read(path).unwrap_or_default();
    on_disk.iter().all(|(name, _)| name.as_str() == refs::LEDGER)
        && match storage::batches(path) {
            Ok(batches) => batches.iter().all(|batch| batch.n <= 1),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
}

/// The bare repositories below `dir`, by name.
pub(crate) fn repositories(dir: &Path) -> std::io::Result<Vec<(ProjectName, PathBuf)>> {
    let below = [dir.join("repositories"), dir.to_owned()].into_iter().find(|d| d.is_dir());
    let mut found = Vec::new();
    for entry in fs::read_dir(below.as_deref().unwrap_or(dir))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".git"));
        if let Some(name) = name.and_then(|n| n.parse().ok())
            && path.join("objects").is_dir()
        {
            found.push((name, path));
        }
    }
    if found.is_empty() {
        let why = "no bare repository is in it, nor in a `repositories` below it";
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, why));
    }
    found.sort();
    Ok(found)
}

/// `forge.git` below `dir`, replayed from its first batch with every check, ratings included. Writes nothing.
pub fn replay_root(dir: &Path) -> Result<Snapshot, String> {
    let found = repositories(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let (name, path) = found.iter().find(|(name, _)| name.is_forge()).ok_or("forge.git is not there")?;
    let store = Store::open(path).map_err(|e| e.to_string())?;
    let objects = Hashing::of(&store);
    let mut report = Report::default();
    let disk = plain::on_disk(path).map_err(|e| e.to_string())?;
    let checked = check_ledger(&mut report, name, path, &disk, &objects, None);
    checked.map(|checked| checked.snapshot).ok_or_else(|| report.faults.join("; "))
}

/// Reads through a store and hashes whatever it reads, so that a flipped byte is found where it matters.
struct Hashing<'a> {
    store: &'a Store,
    read: Cell<u64>,
}

impl Hashing<'_> {
    fn of(store: &Store) -> Hashing<'_> {
        Hashing { store, read: Cell::new(0) }
    }
}

impl Objects for Hashing<'_> {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        let object = self.store.get(id)?;
        self.read.set(self.read.get() + 1);
        match object.id() {
            Ok(found) if found == id => Ok(object),
            _ => Err(ReadError::Store { id, why: "its content does not match its id".to_owned() }),
        }
    }

    fn contains(&self, id: Oid) -> bool {
        self.store.contains(id)
    }
}

fn verify_one(report: &mut Report, name: &ProjectName, path: &Path, authority: Option<&Snapshot>) -> Option<Checked> {
    report.repositories += 1;
    // Refs first: whatever they name is in the packs that are opened after them.
    let disk = plain::on_disk(path).map_err(|error| report.faults.push(format!("{name}: {error}"))).ok()?;
    let store = Store::open(path).map_err(|error| report.faults.push(format!("{name}: {error}"))).ok()?;
    let damaged = packs::check_packs(report, name, path);
    let objects = Hashing::of(&store);
    let checked = check_ledger(report, name, path, &disk, &objects, authority);
    if let Some(checked) = &checked {
        report.heads.extend(checked.snapshot.tip.map(|tip| (name.clone(), checked.snapshot.number, tip)));
        report.folded += checked.snapshot.folded.len() as u64;
        on_disk::check_refs(report, checked, &disk, &objects);
        on_disk::walk_tips(report, &checked.snapshot, &objects);
        packs::name_damaged(report, &checked.snapshot, &objects, damaged);
    }
    report.objects += objects.read.get();
    checked
}

/// The newest ledger commit: the ref's, or the newest batch pack's that a server has not flushed yet.
fn ledger_tip(path: &Path) -> std::io::Result<Option<Oid>> {
    if let Some(batch) = storage::batches(path)?.last()
        && let Ok(objects) = git::pack::scan::scan(&fs::read(&batch.path)?)
        && let Some(last) = objects.last()
    {
        let flushed = packed_refs::read_one(path, refs::LEDGER)?;
        // Batches at or below the flushed number wait for a merge; the ref is then the newer of the two.
        let parents = object::read_commit(&last.object.data).map(|c| c.parents).unwrap_or_default();
        let is_tail = flushed
            .is_none_or(|tip| tip != last.id && (parents.first() == Some(&tip) || !is_below(path, batch.n, tip)));
        return Ok(if is_tail { Some(last.id) } else { flushed });
    }
    packed_refs::read_one(path, refs::LEDGER)
}

/// The ledger commits of the repository at `path`, oldest first; nothing about them is checked.
pub(crate) fn ledger_commits(path: &Path, objects: &dyn Objects) -> Result<Vec<Oid>, ReplayError> {
    let tip = ledger_tip(path).map_err(|error| ReplayError::broken(path.display().to_string(), error.to_string()))?;
    tip.map_or(Ok(Vec::new()), |tip| Ok(replay::first_parents(objects, tip, None)?.0))
}

/// Whether batch `n` is at or below the ledger commit `tip`.
fn is_below(path: &Path, n: u64, tip: Oid) -> bool {
    let Ok(store) = Store::open(path) else { return false };
    replay::read_batch(&store, tip).is_ok_and(|read| n <= read.batch.n)
}

fn check_ledger(
    report: &mut Report,
    name: &ProjectName,
    path: &Path,
    disk: &on_disk::OnDisk,
    objects: &Hashing,
    authority: Option<&Snapshot>,
) -> Option<Checked> {
    let snapshot = Snapshot::empty(name.clone());
    let ledger = disk.get(&FullName::from(refs::ledger()));
    let named = ledger.copied().flatten();
    // A forge that was never flushed has no refs on disk; then they reflect the moment before its first batch.
    let on_disk = disk.is_empty().then(|| snapshot.clone());
    let (cited, rated, settled, set_back) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut checked = Checked { snapshot, chain: Vec::new(), on_disk, cited, rated, settled, set_back };
    let mut fault = |why: String| report.faults.push(format!("{name}: {why}"));
    let tip = match ledger_tip(path) {
        Ok(Some(tip)) => tip,
        Ok(None) => {
            fault(format!("it has no {}", refs::LEDGER));
            return None;
        }
        Err(error) => {
            fault(error.to_string());
            return None;
        }
    };
    checked.chain = replay::first_parents(objects, tip, None).map_err(|error| fault(error.to_string())).ok()?.0;
    for commit in checked.chain.clone() {
        if let Err(error) = check_batch(report, &mut checked, objects, commit, authority) {
            // Places of events name the repository already.
            let (text, prefix) = (error.to_string(), format!("{name}: "));
            report.faults.push(prefix.clone() + text.strip_prefix(&prefix).unwrap_or(&text));
            // What follows builds on what is broken here; naming it again would only hide the place.
            return None;
        }
        if named == Some(commit) {
            checked.on_disk = Some(checked.snapshot.clone());
        }
    }
    Some(checked)
}

fn check_batch(
    report: &mut Report,
    checked: &mut Checked,
    objects: &Hashing,
    commit: Oid,
    authority: Option<&Snapshot>,
) -> Result<(), ReplayError> {
    let read = replay::read_batch(objects, commit)?;
    let n = read.batch.n;
    for cursor in &read.batch.cursors {
        if checked.snapshot.cursors.get(&cursor.project).is_some_and(|(before, _)| cursor.n < *before) {
            checked.set_back.insert(cursor.project.clone(), n);
        }
        checked.settled.entry(cursor.project.clone()).or_default().push((n, cursor.n));
    }
    let rated = &mut checked.rated;
    take_batch(&mut checked.snapshot, objects, &read, authority, &mut |place, fact| {
        report.events += 1;
        let (project, fact) = match fact {
            Fact::RatingSettled(fact) => (&fact.pull.project, Rated::Settled(fact.clone())),
            Fact::RatingCorrected(fact) => (&fact.pull.project, Rated::Corrected(fact.clone())),
            Fact::ReviewSettled(fact) => (&fact.pull.project, Rated::Review(fact.clone())),
            Fact::ContestSettled(fact) => (&fact.contest.project, Rated::Contest(fact.clone())),
            Fact::ContestCorrected(fact) => (&fact.contest.project, Rated::CorrectedContest(fact.clone())),
            _ => return,
        };
        report.ratings += 1;
        rated.entry(project.clone()).or_default().push(Rating { place, n, fact });
    })?;
    if let Some(cited) = read.batch.authority.filter(|id| checked.cited.last().is_none_or(|last| last.commit != *id)) {
        checked.cited.push(Cited { n, epoch: read.batch.epoch, commit: cited });
    }
    let records = read.batch.pushes.iter().flat_map(|push| &push.records);
    report.signed += records.filter(|r| r.signed.is_some() && objects.contains(r.blob)).count() as u64;
    report.batches += 1;
    Ok(())
}

/// Replays the ledger of a copy that stands alone, from its first batch to `tip`: digests, chains and folds are held
/// against each other as in [`verify`], and signatures against `keys` (OpenSSH form) where any are given. `before` sees
/// each batch with the state before it.
pub fn replay_copy(
    objects: &dyn Objects,
    tip: Oid,
    keys: &[String],
    before: &mut dyn FnMut(&Snapshot, &replay::ReadBatch),
) -> Result<Snapshot, ReplayError> {
    let mut snapshot: Option<Snapshot> = None;
    let mut genesis = None;
    for commit in replay::first_parents(objects, tip, None)?.0 {
        let read = replay::read_batch(objects, commit)?;
        let place = format!("ledger commit {commit} (batch {})", read.batch.n);
        let snapshot = snapshot.get_or_insert_with(|| Snapshot::empty(read.batch.project.clone()));
        check_digests(snapshot, &read).map_err(|why| ReplayError::broken(&place, why))?;
        if !keys.is_empty() && !keys.iter().any(|key| signer::is_signed_by(&read.raw, key)) {
            return Err(ReplayError::broken(&place, "its signature is by none of the keys that were given"));
        }
        before(snapshot, &read);
        replay::apply_batch(snapshot, objects, &read, &mut |before, id, line, event| {
            // Without `forge.git` the first event says which forge this is; all others must agree.
            genesis = genesis.or(Oid::from_slice(&event.intent.forge));
            check_event(before, id, line.c, event, read.batch.n, genesis)?;
            sealed::check(objects, before, id, event, genesis)
        })?;
        for line in &read.batch.events {
            check_chain_line(&read, line.e.as_str(), &place)?;
        }
    }
    Ok(snapshot.expect("invariant: a chain holds its tip at least"))
}
