//! Checking repositories without a server: every object that matters is read and hashed again, every rule of the format
//! is held against what is there, and faults are named by entity.
//!
//! What it cannot show is printed with the result: see [`CANNOT_SHOW`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use notes_schema::batch::RefTarget;
use notes_schema::envelope::NO_EVENT;
use notes_schema::event::{RatingCorrected, RatingSettled};
use notes_schema::{EntityId, FORGE_PROJECT, Fact, Oid, ProjectName, RefName, Sha256, refs};

use super::recover::{check_digests, check_link};
use super::replay::{self, ReadEvent, ReplayError};
use super::signed_record::check_signature;
use super::signer;
use super::snapshot::Snapshot;
use super::storage;
use crate::state::{Game, Ratings, elo};
use git::object::{self, Kind, Object};
use git::pack::index;
use git::packed_refs;
use git::store::{Objects, ReadError, Store};

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
    /// Events whose chains hold.
    pub events: u64,
    /// Objects read and hashed.
    pub objects: u64,
    /// Faults, each naming its repository and entity, ref or pack.
    pub faults: Vec<String>,
    /// What is merely unfinished: a copy taken between two repositories, or a forge that was killed between them.
    pub pending: Vec<String>,
}

/// Checks every repository below `dir` (a data directory, a directory of bare repositories, or one of them).
pub fn verify(dir: &Path) -> std::io::Result<Report> {
    let mut report = Report::default();
    let found = repositories(dir)?;
    let forge = found.iter().find(|(name, _)| name.is_forge());
    let mut authority = None;
    match forge {
        Some((name, path)) => authority = verify_one(&mut report, name, path, None),
        None => report
            .faults
            .push(format!("{FORGE_PROJECT}: forge.git is not below {}, so no signature can be checked", dir.display())),
    }
    for (name, path) in found.iter().filter(|(name, _)| !name.is_forge()) {
        if let Some(authority) = &authority {
            if authority.fold.project(name).is_none() {
                if is_unfinished(path) {
                    report.pending.push(format!("{name}: its making was cut short; `project new {name}` begins anew"));
                    continue;
                }
                report.faults.push(format!("{name}: forge.git knows no such project"));
            }
            let snapshot = verify_one(&mut report, name, path, Some(authority));
            if let Some(snapshot) = snapshot {
                check_outbox(&mut report, &snapshot, authority);
            }
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

fn repositories(dir: &Path) -> std::io::Result<Vec<(ProjectName, PathBuf)>> {
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
    let objects = Hashing { store: &store, read: std::cell::Cell::new(0) };
    let mut report = Report::default();
    let snapshot = check_ledger(&mut report, name, path, &objects, None);
    snapshot.ok_or_else(|| report.faults.join("; "))
}

/// Reads through a store and hashes whatever it reads, so that a flipped byte is found where it matters.
struct Hashing<'a> {
    store: &'a Store,
    read: std::cell::Cell<u64>,
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

fn verify_one(report: &mut Report, name: &ProjectName, path: &Path, authority: Option<&Snapshot>) -> Option<Snapshot> {
    report.repositories += 1;
    let store = match Store::open(path) {
        Ok(store) => store,
        Err(error) => {
            report.faults.push(format!("{name}: {error}"));
            return None;
        }
    };
    let damaged = check_packs(report, name, path);
    let objects = Hashing { store: &store, read: std::cell::Cell::new(0) };
    let snapshot = check_ledger(report, name, path, &objects, authority);
    if let Some(snapshot) = &snapshot {
        check_refs(report, snapshot, path, &objects);
        name_damaged(report, snapshot, &objects, damaged);
    }
    report.objects += objects.read.get();
    snapshot
}

/// Every pack's own checksum: it finds damage in objects that nothing below reads.
fn check_packs(report: &mut Report, name: &ProjectName, path: &Path) -> BTreeSet<Oid> {
    let mut damaged = BTreeSet::new();
    let dir = storage::pack_dir(path);
    let entries = fs::read_dir(&dir).map(|d| d.filter_map(Result::ok).map(|e| e.path()).collect::<Vec<_>>());
    for file in entries.unwrap_or_default() {
        let is_checked = matches!(file.extension().and_then(|e| e.to_str()), Some("pack" | "idx"));
        let shown = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A kill between a batch's index and its pack leaves an index that git ignores, possibly torn.
        if !is_checked || shown.starts_with("tmp_") || !file.with_extension("pack").exists() {
            continue;
        }
        match index::has_good_trailer(&file) {
            Ok(true) => {}
            Ok(false) => {
                report.faults.push(format!("{name}: {shown}: its checksum does not match its content"));
                damaged.extend(index::damaged(&file.with_extension("pack")).unwrap_or_default());
            }
            Err(error) => report.faults.push(format!("{name}: {shown}: {error}")),
        }
    }
    damaged
}

/// Names the entity, ledger commit or ref that each damaged object belongs to, where the checks before did not: damage
/// can stand where reading does not stumble over it.
fn name_damaged(report: &mut Report, snapshot: &Snapshot, objects: &Hashing, damaged: BTreeSet<Oid>) {
    let known = |faults: &[String], id: &Oid| faults.iter().any(|f| f.contains(&id.to_string()));
    let unnamed: BTreeSet<Oid> = damaged.into_iter().filter(|id| !known(&report.faults, id)).collect();
    if unnamed.is_empty() {
        return;
    }
    let mut name =
        |place: String, id: &Oid| report.faults.push(format!("{}: {place}: object {id} is damaged", snapshot.project));
    for (entity, state) in &snapshot.fold.entities {
        for id in chain_objects(objects, state.tip).intersection(&unnamed) {
            name(entity.to_string(), id);
        }
    }
    let is_code = |name: &RefName| !name.as_str().starts_with(refs::FORGE_PREFIX);
    for (reference, value) in snapshot.refs.iter().filter(|(name, _)| is_code(name)) {
        let mut reached = BTreeSet::new();
        // What cannot be read was named by the walk before.
        let _ = walk(objects, value.id, &mut reached);
        for id in reached.intersection(&unnamed) {
            name(reference.to_string(), id);
        }
    }
}

/// The objects of an entity's chain: commits, trees and blobs, as far as they can be read.
fn chain_objects(objects: &Hashing, tip: Oid) -> BTreeSet<Oid> {
    let mut found = BTreeSet::new();
    let mut at = Some(tip);
    while let Some(commit) = at {
        found.insert(commit);
        let Ok(read) = objects.commit(commit) else { break };
        found.insert(read.tree);
        found.extend(objects.tree(read.tree).unwrap_or_default().into_iter().map(|e| e.id));
        at = read.parents.first().copied();
    }
    found
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

/// Whether batch `n` is at or below the ledger commit `tip`.
fn is_below(path: &Path, n: u64, tip: Oid) -> bool {
    let Ok(store) = Store::open(path) else { return false };
    replay::read_batch(&store, tip).is_ok_and(|read| n <= read.batch.n)
}

fn check_ledger(
    report: &mut Report,
    name: &ProjectName,
    path: &Path,
    objects: &Hashing,
    authority: Option<&Snapshot>,
) -> Option<Snapshot> {
    let mut snapshot = Snapshot::empty(name.clone());
    let tip = match ledger_tip(path) {
        Ok(Some(tip)) => tip,
        Ok(None) => {
            report.faults.push(format!("{name}: it has no {}", refs::LEDGER));
            return None;
        }
        Err(error) => {
            report.faults.push(format!("{name}: {error}"));
            return None;
        }
    };
    let chain = match replay::first_parents(objects, tip) {
        Ok(chain) => chain,
        Err(error) => {
            report.faults.push(format!("{name}: {error}"));
            return None;
        }
    };
    for commit in chain {
        if let Err(error) = check_batch(report, &mut snapshot, objects, commit, authority) {
            report.faults.push(format!("{name}: {error}"));
            // What follows builds on what is broken here; naming it again would only hide the place.
            return None;
        }
    }
    Some(snapshot)
}

fn check_batch(
    report: &mut Report,
    snapshot: &mut Snapshot,
    objects: &Hashing,
    commit: Oid,
    authority: Option<&Snapshot>,
) -> Result<(), ReplayError> {
    let read = replay::read_batch(objects, commit)?;
    let place = format!("ledger commit {commit} (batch {})", read.batch.n);
    check_link(snapshot, &read, authority).map_err(|why| ReplayError::broken(&place, why))?;
    let mut events = 0;
    let number = read.batch.n;
    replay::apply_batch(snapshot, objects, &read, &mut |before, id, line, event| {
        events += 1;
        check_event(before, id, line.c, event, number, authority.unwrap_or(before).genesis)
    })?;
    for line in &read.batch.events {
        check_chain_line(&read, line.e.as_str(), &place)?;
    }
    if let Some(authority) = authority {
        check_signed_records(objects, &read, authority).map_err(|why| ReplayError::broken(&place, why))?;
    }
    report.batches += 1;
    report.events += events;
    Ok(())
}

/// What the ledger says was signed: by a key that let the record's maker in, over the record or the push that brought it.
fn check_signed_records(objects: &dyn Objects, read: &replay::ReadBatch, authority: &Snapshot) -> Result<(), String> {
    for push in &read.batch.pushes {
        for (line, signed) in push.records.iter().filter_map(|line| Some((line, line.signed.as_ref()?))) {
            if !objects.contains(line.blob) {
                // A month may be dropped, and its signatures with it.
                continue;
            }
            let named = |why: String| format!("record {} of {}: {why}", line.h, push.a);
            if !authority.fold.let_in(&signed.key, &push.a, None) {
                return Err(named(format!("{} signed it, which was never a key of its maker", signed.key)));
            }
            check_signature(objects, signed, line.c, &line.r, &line.h).map_err(named)?;
        }
    }
    Ok(())
}

/// An entity's new tip must stand among the ledger commit's parents and its ref lines.
fn check_chain_line(read: &replay::ReadBatch, entity: &str, place: &str) -> Result<(), ReplayError> {
    let last = read.batch.events.iter().rev().find(|l| l.e == entity).map(|l| l.c);
    let id: EntityId = entity.parse().map_err(|_| ReplayError::broken(place, "an entity that is none"))?;
    let name = replay::entity_ref(&id);
    let in_refs = read.refs.iter().find(|l| l.name == name).map(|l| l.new.clone());
    if last.is_none_or(|tip| !read.parents.contains(&tip) || in_refs != Some(RefTarget::Object(tip))) {
        return Err(ReplayError::broken(
            place,
            format!("the new tip of {entity} is not a parent and a ref line of it"),
        ));
    }
    Ok(())
}

fn check_event(
    before: &Snapshot,
    id: &EntityId,
    commit: Oid,
    read: &ReadEvent,
    number: u64,
    genesis: Option<Oid>,
) -> Result<(), ReplayError> {
    let place = format!("{}: {id} event {} (commit {commit})", before.project, read.event.n);
    let fail = |why: &str| Err(ReplayError::broken(&place, why));
    let entity = before.fold.entities.get(id);
    let (n, last, tip) = entity.map_or((0, NO_EVENT, None), |e| (e.n, e.last, Some(e.tip)));
    let event = &read.event;
    if event.n != n + 1 {
        return fail("its number does not follow on the event before");
    }
    if event.p != last {
        return fail("`p` is not the digest of the event before");
    }
    if event.l != number {
        return fail("`l` is not the number of its batch");
    }
    if read.parents != Vec::from_iter(tip) {
        return fail("its commit does not follow on the entity's commit before");
    }
    if event.t < before.t {
        return fail("its time lies before the batch before");
    }
    if read.intent.forge != genesis.map(|id| id.as_bytes().to_vec()).unwrap_or_default() {
        return fail("its intent names another forge");
    }
    if read.intent.to.project != before.project || read.intent.to.entity.as_deref() != Some(&id.to_string()) {
        return fail("its intent is directed elsewhere");
    }
    if read.intent.text != read.text.as_ref().map(|t| Sha256::of(t.as_bytes())) {
        return fail("`body.md` is not the text that its intent names");
    }
    if let Some(why) = check_rating(&before.fold.ratings, id, &read.fact) {
        return fail(why);
    }
    let at = crate::state::Happened { agent: &event.a, t: event.t, q: event.q, text: read.text.as_deref() };
    let folded = notes_schema::envelope::encode(&before.fold.next_state(id, &read.fact, &at));
    if read.state.as_deref() != Some(&folded[..]) {
        return fail("`state` is not what its events fold to");
    }
    Ok(())
}

/// What is wrong with a rating event, if it is one: it carries its inputs, which must be what the ledger gave before it.
fn check_rating(ratings: &Ratings, id: &EntityId, fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::RatingSettled(game) => check_settled(ratings, id, game).err(),
        Fact::RatingCorrected(change) => check_corrected(ratings, id, change).err(),
        _ => None,
    }
}

fn check_settled(ratings: &Ratings, id: &EntityId, game: &RatingSettled) -> Result<(), &'static str> {
    let EntityId::Elo(track) = id else { return Err("a rating outside of a rating ledger") };
    let inputs = (ratings.of(&game.agent, *track), ratings.of_ticket(&game.ticket));
    if inputs != (game.agent_before, game.ticket_before) || ratings.has(&game.key) {
        return Err("its inputs are not the ratings before it, or its cause was settled already");
    }
    if elo::game(inputs.0, inputs.1, game.score_ppm, game.k_milli) != game.delta_milli {
        return Err("its change is not what its inputs give");
    }
    Ok(())
}

fn check_corrected(ratings: &Ratings, id: &EntityId, change: &RatingCorrected) -> Result<(), &'static str> {
    let EntityId::Elo(_) = id else { return Err("a rating outside of a rating ledger") };
    let stated = Game {
        agent: change.agent.clone(),
        ticket: change.ticket.clone(),
        k_milli: change.k_milli,
        agent_before: change.agent_before,
        ticket_before: change.ticket_before,
        given_milli: change.given_milli,
    };
    if ratings.game(&change.game) != Some(&stated) || ratings.has(&change.key) {
        return Err("the game that it corrects is not as it was settled, or its cause was settled already");
    }
    let due = elo::game(stated.agent_before, stated.ticket_before, change.score_ppm, stated.k_milli);
    if due.checked_sub(stated.given_milli) != Some(change.delta_milli) {
        return Err("its change is not what its inputs give");
    }
    Ok(())
}

/// Refs on disk against the ledger's last line for each, and every served ref's objects.
fn check_refs(report: &mut Report, snapshot: &Snapshot, path: &Path, objects: &Hashing) {
    let name = &snapshot.project;
    match packed_refs::read_one(path, refs::LEDGER) {
        // Refs on disk lag behind a running forge; then the ledger's own ref says so.
        Ok(tip) if tip == snapshot.tip => {}
        Ok(_) => return walk_tips(report, snapshot, objects),
        Err(error) => return report.faults.push(format!("{name}: {error}")),
    }
    let packed: BTreeMap<RefName, Oid> =
        packed_refs::read(path).unwrap_or_default().into_iter().map(|(n, v)| (n, v.id)).collect();
    for (reference, value) in &snapshot.refs {
        let on_disk = packed_refs::read_one_in(path, reference, &packed);
        if on_disk.is_some_and(|id| id != value.id) {
            report.faults.push(format!("{name}: {reference} on disk is not what the ledger says"));
        }
    }
    walk_tips(report, snapshot, objects);
}

/// Reads everything that code refs reach, naming the ref at which something is damaged.
fn walk_tips(report: &mut Report, snapshot: &Snapshot, objects: &Hashing) {
    let mut seen = BTreeSet::new();
    for (reference, value) in &snapshot.refs {
        let is_code =
            !reference.as_str().starts_with(refs::FORGE_PREFIX) || reference.as_str().starts_with(refs::TRACES_PREFIX);
        if !is_code || !objects.contains(value.id) {
            continue;
        }
        if let Err(error) = walk(objects, value.id, &mut seen) {
            report.faults.push(format!("{}: {reference}: {error}", snapshot.project));
        }
    }
}

fn walk(objects: &Hashing, tip: Oid, seen: &mut BTreeSet<Oid>) -> Result<(), ReadError> {
    let mut todo = vec![tip];
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let object = objects.get(id)?;
        let malformed = |source| ReadError::Malformed { id, source };
        match object.kind {
            Kind::Blob => {}
            Kind::Commit => {
                let commit = object::read_commit(&object.data).map_err(malformed)?;
                todo.push(commit.tree);
                todo.extend(commit.parents);
            }
            Kind::Tree => {
                let entries = object::read_tree(&object.data).map_err(malformed)?;
                todo.extend(entries.iter().filter(|e| e.mode != object::Mode::Submodule).map(|e| e.id));
            }
            Kind::Tag => todo.push(object::tag_target(&object.data).map_err(malformed)?.0),
        }
    }
    Ok(())
}

/// What a project asked of `forge.git` and what, as its cursor says, has not happened there yet.
fn check_outbox(report: &mut Report, project: &Snapshot, authority: &Snapshot) {
    let done = authority.cursors.get(&project.project).map_or(0, |(n, _)| *n);
    for (n, _, line) in &project.outbox {
        if *n > done {
            // No fault: what `forge.git` says of this project ends earlier, and says nothing else.
            let why =
                "its rating has not been settled in this copy of forge.git (fetch again, or start the forge once)";
            report.pending.push(format!("{}: {} (batch {n}): {why}", project.project, line.e));
        }
    }
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
    for commit in replay::first_parents(objects, tip)? {
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
            check_event(before, id, line.c, event, read.batch.n, genesis)
        })?;
        for line in &read.batch.events {
            check_chain_line(&read, line.e.as_str(), &place)?;
        }
    }
    Ok(snapshot.expect("invariant: a chain holds its tip at least"))
}
