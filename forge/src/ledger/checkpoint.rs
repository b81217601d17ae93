//! What a replay of a ledger gives, kept between two runs: a start reads it, and replays only what came after.
//!
//! Invariant: never truth. It is believed only as this forge wrote it, with the same code, and only where the ledger commit
//! that it reflects leads to the one that refs on disk name. Anything else is as if it were not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use notes_schema::batch::OutboxLine;
use notes_schema::{AgentName, EntityId, Oid, ProjectName, RefName, Sha256};
use serde::de::DeserializeOwned;
use serde::ser::{Serialize, Serializer as _};
use serde::{Deserialize, Serialize as SerializeFields};
use serde_bytes::{ByteBuf, Bytes};
use sha2::Digest as _;

use super::draft::Recorded;
use super::snapshot::{Intents, KnownRecord, Snapshot};
use super::{Signer, fault};
use crate::state::{Entity, Fold};
use git::disk::NewFile;
use git::packed_refs::RefValue;

/// How a checkpoint begins. Change it with the form of the file; what is in it follows the code by itself.
const MAGIC: &[u8; 16] = b"forge snapshot 2";
/// Which code folded: another one might fold the same events into something else.
const FOLDS: &str = env!("FORGE_FOLDS");
/// Bytes before the sections: form, code, the ledger commit that it reflects, and [`Kept::packs`].
const HEAD: usize = MAGIC.len() + FOLDS.len() + 20 + 32;
/// What it is made of, in this order: refs, entities, intents, and everything else.
const SECTIONS: usize = 4;
/// Bytes after the sections: how long each is, and the seal.
const TAIL: usize = SECTIONS * 8 + 32;
/// A larger one is neither written nor read.
/// Limit: checkpoint of a repository | {:bytes}; a larger one is neither written nor read
const LARGEST: u64 = 2 << 30;
/// Above this many bytes sections are read by a thread each.
const LARGE: usize = 1 << 20;

/// Where the checkpoints of a data directory are.
#[derive(Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    /// What they are sealed with: who can write to the directory alone cannot make one.
    key: [u8; 32],
}

/// A checkpoint of which no more than the beginning was read.
pub(super) struct Kept<'a> {
    of: &'a Checkpoints,
    file: File,
    len: u64,
    /// The ledger commit that it reflects, as it says.
    pub tip: Oid,
    /// The digest of the names of the packs that held every object that its refs name, as it says: see
    /// [`storage::digest`](super::storage::digest).
    pub packs: Sha256,
}

/// What is neither refs nor entities nor intents.
#[derive(SerializeFields, Deserialize)]
struct Rest {
    project: ProjectName,
    number: u64,
    genesis: Option<Oid>,
    tip: Option<Oid>,
    tip_digest: Sha256,
    t: u64,
    next_number: u64,
    epoch: u32,
    cited: Option<Oid>,
    head: Option<RefName>,
    owners: OrdMap<RefName, AgentName>,
    records: Vec<KnownRecord>,
    records_of: OrdMap<AgentName, Vec<Sha256>>,
    records_on: OrdMap<Oid, Vec<Sha256>>,
    months: OrdMap<RefName, u64>,
    dropped: u64,
    outbox: Vector<(u64, Oid, OutboxLine)>,
    cursors: OrdMap<ProjectName, (u64, Oid)>,
    seq_reserved: u64,
    epochs: OrdMap<u32, String>,
    fold: Fold,
}

/// The last says whether it is folded.
type RefEntry = (RefName, Oid, Option<Oid>, bool);
type IntentEntry = (u64, ByteBuf, Option<(EntityId, u64, u64, Sha256)>);

impl Checkpoints {
    /// Those in `dir`, which is made when the first is written, sealed by the forge that signs with `signer`.
    pub fn new(dir: PathBuf, signer: &Signer) -> Checkpoints {
        Checkpoints { dir, key: signer.secret("forge.checkpoint.v1") }
    }

    /// The newest checkpoint of a project, if there is one of this form and code.
    pub(super) fn find(&self, project: &ProjectName) -> Option<Kept<'_>> {
        let mut file = match File::open(self.dir.join(project.as_str())) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%project, %error, "a checkpoint cannot be read");
                }
                return None;
            }
        };
        let mut head = [0; HEAD];
        let read = file.read_exact(&mut head).and_then(|()| file.metadata());
        let (form, rest) = head.split_at(HEAD - 52);
        let (tip, packs) = rest.split_at(20);
        let len = read.as_ref().map_or(0, fs::Metadata::len);
        if form != [&MAGIC[..], FOLDS.as_bytes()].concat() || len < (HEAD + TAIL) as u64 || len > LARGEST {
            tracing::info!(%project, "a checkpoint of another version, or of none, is not used");
            return None;
        }
        let (mut id, mut digest) = ([0; 20], [0; 32]);
        id.copy_from_slice(tip);
        digest.copy_from_slice(packs);
        Some(Kept { of: self, file, len, tip: Oid::from_bytes(id), packs: Sha256::from_bytes(digest) })
    }

    /// Writes a checkpoint in place of the one before. A power cut may tear it, and then it is not believed. `packs` is
    /// [`Kept::packs`].
    pub(super) fn write(&self, snapshot: &Snapshot, packs: &Sha256) -> io::Result<()> {
        let Some(tip) = snapshot.tip else { return Ok(()) };
        fs::create_dir_all(&self.dir)?;
        let name = snapshot.project.as_str();
        let file = NewFile::create(self.dir.join(format!("tmp_{name}")))?;
        let mut to = BufWriter::with_capacity(1 << 18, Sealing { to: file, digest: sha2::Sha256::new(), len: 0 });
        to.write_all(MAGIC)?;
        to.write_all(FOLDS.as_bytes())?;
        to.write_all(tip.as_bytes())?;
        to.write_all(packs.as_bytes())?;
        let mut lengths = Vec::with_capacity(SECTIONS * 8);
        let mut before = HEAD as u64;
        for section in [write_refs, write_entities, write_intents, write_rest] {
            section(snapshot, &mut to).map_err(io::Error::other)?;
            to.flush()?;
            let upto = to.get_ref().len;
            lengths.extend((upto - before).to_le_bytes());
            before = upto;
        }
        to.write_all(&lengths)?;
        to.flush()?;
        let Sealing { to: mut file, digest, len } = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        if len + 32 > LARGEST {
            return Err(io::Error::other("the checkpoint would be larger than any that is read"));
        }
        file.write_all(self.seal(digest).as_bytes())?;
        fault::point("checkpoint-before-rename");
        file.replace(&self.dir.join(name))?;
        fault::point("checkpoint-renamed");
        Ok(())
    }

    fn seal(&self, digest: sha2::Sha256) -> Sha256 {
        Sha256::of_parts(&[&self.key, &digest.finalize()])
    }
}

impl Kept<'_> {
    /// The repository as of its ledger commit, or why it is not believed.
    pub(super) fn read(mut self, project: &ProjectName) -> Result<Snapshot, String> {
        let rest = usize::try_from(self.len).map_err(|e| e.to_string())? - HEAD;
        let mut bytes = Vec::with_capacity(HEAD + rest);
        bytes.extend([&MAGIC[..], FOLDS.as_bytes(), self.tip.as_bytes(), self.packs.as_bytes()].concat());
        (&mut self.file).take(rest as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let sealed_at = bytes.len().checked_sub(32).filter(|at| *at >= HEAD + SECTIONS * 8).ok_or("it is cut short")?;
        let (sealed, seal) = bytes.split_at(sealed_at);
        if self.of.seal(sha2::Sha256::new_with_prefix(sealed)).as_bytes() != seal {
            return Err("it is damaged, or another forge wrote it".to_owned());
        }
        let snapshot = decode(sealed).map_err(|e| e.to_string())?;
        if snapshot.project != *project || snapshot.tip != Some(self.tip) {
            return Err("it is of another repository".to_owned());
        }
        Ok(snapshot)
    }
}

/// Counts and digests what is written through it.
struct Sealing<W> {
    to: W,
    digest: sha2::Sha256,
    len: u64,
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

type To<'a> = &'a mut dyn Write;
type Written = Result<(), rmp_serde::encode::Error>;

/// With names of fields: some types leave out what is empty.
fn all<T: Serialize>(values: impl IntoIterator<Item = T>, to: To) -> Written {
    rmp_serde::Serializer::new(to).with_struct_map().collect_seq(values)
}

fn write_refs(snapshot: &Snapshot, mut to: &mut Buffered) -> Written {
    let entry = |is_folded| move |(name, value): (_, &RefValue)| (name, value.id, value.peeled, is_folded);
    all(snapshot.refs.iter().map(entry(false)).chain(snapshot.folded.iter().map(entry(true))), &mut to)
}

fn write_entities(snapshot: &Snapshot, mut to: &mut Buffered) -> Written {
    all(snapshot.fold.entities.iter().map(|(id, entity)| (id, &**entity)), &mut to)
}

fn write_intents(snapshot: &Snapshot, mut to: &mut Buffered) -> Written {
    let Intents { by_id, order } = &snapshot.intents;
    let recorded = |id| by_id.get(id).map(|r: &Recorded| (&r.entity, r.n, r.q, r.digest));
    all(order.iter().map(|(t, id)| (t, Bytes::new(id), recorded(id))), &mut to)
}

fn write_rest(snapshot: &Snapshot, to: &mut Buffered) -> Written {
    // No `..`: what a snapshot has must be kept, or be made again from what is kept.
    let Snapshot {
        project,
        number,
        genesis,
        tip,
        tip_digest,
        t,
        next_number,
        epoch,
        cited,
        head,
        refs: _,
        folded: _,
        // Where there are any, no checkpoint is written.
        absent: _,
        tips: _,
        owners,
        held: _,
        records,
        records_of,
        records_on,
        months,
        dropped,
        outbox,
        cursors,
        seq_reserved,
        epochs,
        intents: _,
        fold,
    } = snapshot.clone();
    let digests = |records: &Vector<Arc<KnownRecord>>| records.iter().map(|record| record.digest).collect::<Vec<_>>();
    let rest = Rest {
        project,
        number,
        genesis,
        tip,
        tip_digest,
        t,
        next_number,
        epoch,
        cited,
        head,
        owners,
        records: records.values().map(|record| KnownRecord::clone(record)).collect(),
        records_of: records_of.iter().map(|(agent, records)| (agent.clone(), digests(records))).collect(),
        records_on: records_on.iter().map(|(tree, records)| (*tree, digests(records))).collect(),
        months,
        dropped,
        outbox,
        cursors,
        seq_reserved,
        epochs,
        fold,
    };
    rest.serialize(&mut rmp_serde::Serializer::new(to).with_struct_map())
}

type Buffered = BufWriter<Sealing<NewFile>>;
type Decoded<T> = Result<T, rmp_serde::decode::Error>;

fn decode(sealed: &[u8]) -> Decoded<Snapshot> {
    let bad = || rmp_serde::decode::Error::Syntax("its sections are not where it says".to_owned());
    let (body, lengths) = sealed.split_at(sealed.len() - SECTIONS * 8);
    let mut sections = [&body[..0]; SECTIONS];
    let mut left = &body[HEAD..];
    for (section, length) in sections.iter_mut().zip(lengths.chunks_exact(8)) {
        let length = length.iter().rev().fold(0, |n: u64, byte| n << 8 | u64::from(*byte));
        let (taken, rest) = usize::try_from(length).ok().and_then(|n| left.split_at_checked(n)).ok_or_else(bad)?;
        (*section, left) = (taken, rest);
    }
    let [refs, entities, intents, rest] = sections;
    if body.len() < LARGE {
        return Ok(join(read_rest(rest)?, read_refs(refs)?, read_entities(entities)?, read_intents(intents)?));
    }
    std::thread::scope(|scope| {
        let refs = scope.spawn(|| read_refs(refs));
        let entities = scope.spawn(|| read_entities(entities));
        let rest = scope.spawn(|| read_rest(rest));
        let intents = read_intents(intents)?;
        let panicked = |_| rmp_serde::decode::Error::Syntax("reading it panicked".to_owned());
        let rest = rest.join().map_err(panicked)??;
        Ok(join(rest, refs.join().map_err(panicked)??, entities.join().map_err(panicked)??, intents))
    })
}

fn list<T: DeserializeOwned>(section: &[u8]) -> Decoded<Vec<T>> {
    rmp_serde::from_slice(section)
}

/// Listed refs, folded ones, and how many name each object.
type Refs = (OrdMap<RefName, RefValue>, OrdMap<RefName, RefValue>, OrdMap<Oid, u32>);

fn read_refs(section: &[u8]) -> Decoded<Refs> {
    let (mut refs, mut folded, mut tips) = (OrdMap::new(), OrdMap::new(), OrdMap::new());
    for (name, id, peeled, is_folded) in list::<RefEntry>(section)? {
        *tips.entry(id).or_insert(0) += 1;
        if is_folded { &mut folded } else { &mut refs }.insert(name, RefValue { id, peeled });
    }
    Ok((refs, folded, tips))
}

fn read_entities(section: &[u8]) -> Decoded<OrdMap<EntityId, Arc<Entity>>> {
    Ok(list::<(EntityId, Entity)>(section)?.into_iter().map(|(id, entity)| (id, Arc::new(entity))).collect())
}

fn read_intents(section: &[u8]) -> Decoded<Intents> {
    let mut intents = Intents::default();
    for (t, id, recorded) in list::<IntentEntry>(section)? {
        let id = id.into_vec();
        if let Some((entity, n, q, digest)) = recorded {
            intents.by_id.insert(id.clone(), Recorded { entity, n, q, digest });
        }
        intents.order.push_back((t, id));
    }
    Ok(intents)
}

/// The rest, its records shared again among those who look them up.
type Shared = (Rest, OrdMap<Sha256, Arc<KnownRecord>>);

fn read_rest(section: &[u8]) -> Decoded<Shared> {
    let mut rest: Rest = rmp_serde::from_slice(section)?;
    let records = std::mem::take(&mut rest.records).into_iter();
    Ok((rest, records.map(|record| (record.digest, Arc::new(record))).collect()))
}

fn join(
    (rest, records): Shared,
    (refs, folded, tips): Refs,
    entities: OrdMap<EntityId, Arc<Entity>>,
    intents: Intents,
) -> Snapshot {
    let mut fold = rest.fold;
    fold.entities = entities;
    let mut held = OrdMap::new();
    rest.owners.values().for_each(|agent| *held.entry(agent.clone()).or_default() += 1);
    let known = |digests: &Vec<Sha256>| digests.iter().filter_map(|d| records.get(d).cloned()).collect::<Vector<_>>();
    Snapshot {
        project: rest.project,
        number: rest.number,
        genesis: rest.genesis,
        tip: rest.tip,
        tip_digest: rest.tip_digest,
        t: rest.t,
        next_number: rest.next_number,
        epoch: rest.epoch,
        cited: rest.cited,
        head: rest.head,
        refs,
        folded,
        absent: OrdMap::new(),
        tips,
        owners: rest.owners,
        held,
        records_of: rest.records_of.iter().map(|(agent, digests)| (agent.clone(), known(digests))).collect(),
        records_on: rest.records_on.iter().map(|(tree, digests)| (*tree, known(digests))).collect(),
        records: records.clone(),
        months: rest.months,
        dropped: rest.dropped,
        outbox: rest.outbox,
        cursors: rest.cursors,
        seq_reserved: rest.seq_reserved,
        epochs: rest.epochs,
        intents,
        fold,
    }
}
