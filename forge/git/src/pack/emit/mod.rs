//! Writing a pack for a client: what a [`Selection`] names, as a stream, with as little work as it takes.
//!
//! What lies in a pack already is copied as it lies there. A delta is copied when the client will have its base; an object
//! that lies whole is compared with what it resembles and with nothing else. What is only in memory or loose is deflated.
//!
//! Invariant: one object at a time is in memory, beside a cache of bounded size, and a large one that lies whole in a pack
//! is not even that. Bytes that do not match their checksum are an error and never sent.

mod plan;
mod sink;
#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use notes_schema::Oid;
use sha1::{Digest as _, Sha1};

use self::plan::{Base, Place, Plan};
use self::sink::Sink;
use super::delta;
use super::reader::{Damaged, Form, Pack};
use crate::object::{Kind, Object};
use crate::select::Selection;
use crate::store::{Objects as _, ReadError, Store};
use crate::zlib;

/// What the client can read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Deltas may rest on objects that the client has.
    pub thin: bool,
    /// Deltas may name their base by its distance.
    pub ofs_delta: bool,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// How many objects.
    pub objects: usize,
    /// How many of them as deltas.
    pub deltas: usize,
    /// How many of them as they lay in a pack.
    pub reused: usize,
    /// The pack's size, header and trailer included.
    pub bytes: u64,
    /// Its trailer.
    pub checksum: [u8; 20],
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Total {} (delta {}), reused {}", self.objects, self.deltas, self.reused)
    }
}

/// Why a pack could not be sent in full.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// An object could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An object is damaged in its pack.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The receiving side does not take more.
    #[error("the pack could not be passed on: {0}")]
    Out(#[from] io::Error),
    /// The entries to be sent in front are not what they were.
    #[error("a pack kept for clones cannot be read: {0}; it may be deleted")]
    Before(io::Error),
    /// A pack counts its objects in 32 bits.
    #[error("{0} objects are more than a pack can hold")]
    TooMany(usize),
}

/// Entries that stand in front of those selected: the body of a pack without its header and trailer.
pub(super) struct Before<'a> {
    pub(super) objects: usize,
    pub(super) deltas: usize,
    pub(super) body: &'a mut dyn io::Read,
}

/// Longest chain of deltas, not counting what lies on the client's side.
/// Limit: chain of deltas in a pack that is sent | {}; beyond, an object goes whole
const DEEPEST: u8 = 50;
/// Smaller objects are not worth a delta.
const LEAST: usize = 50;
/// Bytes of objects kept because the next ones may rest on them.
/// Limit: memory for what the next objects of a pack may rest on | {:bytes}
const KEPT: usize = 16 << 20;
/// Types of entries.
const OFS_DELTA: u8 = 6;
const REF_DELTA: u8 = 7;
/// From so many objects on, progress is told.
const MANY: usize = 1000;

/// Writes `selection` to `out` as a pack: header, entries, trailer. `progress` hears lines for people.
pub fn write(
    store: &Store,
    selection: &Selection,
    options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<Written, EmitError> {
    write_after(None, store, selection, options, out, progress)
}

/// Writes `selection` as [`write`] does, for a file; and where each of its objects begins there, in its order.
pub(super) fn write_listed(
    store: &Store,
    selection: &Selection,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(Written, Vec<u64>), EmitError> {
    let (written, emitted) = write_all(None, store, selection, options, out, &mut |_| {})?;
    Ok((written, emitted.into_iter().map(|one| one.at).collect()))
}

/// The same as [`write`] with entries in front, which none of the selected may repeat.
pub(super) fn write_after(
    before: Option<Before<'_>>,
    store: &Store,
    selection: &Selection,
    options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<Written, EmitError> {
    write_all(before, store, selection, options, out, progress).map(|(written, _)| written)
}

fn write_all(
    before: Option<Before<'_>>,
    store: &Store,
    selection: &Selection,
    options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<(Written, Vec<Emitted>), EmitError> {
    let packs = store.packs();
    let plan = Plan::new(&packs, selection, options.thin)?;
    let objects = plan.count() + before.as_ref().map_or(0, |before| before.objects);
    let count = u32::try_from(objects).map_err(|_| EmitError::TooMany(objects))?;
    let mut sink = Sink::new(out);
    sink.write(b"PACK\0\0\0\x02")?;
    sink.write(&count.to_be_bytes())?;
    let deltas_before = before.as_ref().map_or(0, |before| before.deltas);
    let reused_before = count as usize - plan.count();
    if let Some(before) = before {
        sink.copy(before.body)?;
    }
    let emitted = vec![Emitted::default(); plan.steps.len()];
    let (kept, encoder, deflated) = Default::default();
    let mut emit = Emit { store, packs: &packs, plan, options, sink, emitted, kept, encoder, deflated };
    let (deltas, reused) = emit.all(progress)?;
    let Emit { sink, emitted, .. } = emit;
    let (bytes, checksum) = sink.finish()?;
    let (deltas, reused) = (deltas + deltas_before, reused + reused_before);
    let written = Written { objects, deltas, reused, bytes, checksum };
    progress(&written.to_string());
    Ok((written, emitted))
}

struct Emit<'a, 'o> {
    store: &'a Store,
    packs: &'a [Arc<Pack>],
    plan: Plan<'a>,
    options: &'a Options,
    sink: Sink<'o>,
    emitted: Vec<Emitted>,
    kept: Kept,
    encoder: delta::Encoder,
    /// What was deflated last.
    deflated: Vec<u8>,
}

/// Where an entry begins in what is sent (zero: nowhere yet), and how many deltas lead to it.
#[derive(Clone, Copy, Default)]
struct Emitted {
    at: u64,
    depth: u8,
}

/// How an object was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Copied,
    CopiedDelta,
    Made,
    MadeDelta,
}

/// Objects read a moment ago.
#[derive(Default)]
struct Kept {
    objects: HashMap<Oid, Object>,
    bytes: usize,
}

impl Emit<'_, '_> {
    /// Every object, bases first. Plans are free of cycles, so each chain of bases ends.
    fn all(&mut self, progress: &mut dyn FnMut(&str)) -> Result<(usize, usize), EmitError> {
        let (mut deltas, mut reused, mut done) = (0, 0, 0);
        let mut chain = Vec::new();
        let total = self.plan.count();
        for first in 0..self.plan.steps.len() as u32 {
            let mut next = Some(first);
            while let Some(number) = next.filter(|&number| self.emitted[number as usize].at == 0) {
                chain.push(number);
                next = match self.plan.steps[number as usize].base {
                    Base::Selected(base) => Some(base),
                    Base::Held(_) | Base::None => None,
                };
            }
            while let Some(number) = chain.pop() {
                let how = self.one(number)?;
                deltas += usize::from(matches!(how, How::CopiedDelta | How::MadeDelta));
                reused += usize::from(matches!(how, How::Copied | How::CopiedDelta));
                done += 1;
                if total >= MANY && done * 10 / total > (done - 1) * 10 / total {
                    progress(&format!("Packing objects: {}% ({done}/{total})", done * 100 / total));
                }
            }
        }
        Ok((deltas, reused))
    }

    fn one(&mut self, number: u32) -> Result<How, EmitError> {
        let step = self.plan.steps[number as usize];
        let depth = match step.base {
            Base::None => 0,
            Base::Held(_) => 1,
            Base::Selected(base) => self.emitted[base as usize].depth.saturating_add(1),
        };
        self.emitted[number as usize] = Emitted { at: self.sink.at(), depth: 0 };
        if step.base == Base::None || depth > DEEPEST {
            return self.whole(number, None);
        }
        let how = if step.stored { self.stored_delta(number)? } else { self.delta(number)? };
        if matches!(how, How::CopiedDelta | How::MadeDelta) {
            self.emitted[number as usize].depth = depth;
        }
        Ok(how)
    }

    /// The delta as it lies in its pack, under a new header.
    fn stored_delta(&mut self, number: u32) -> Result<How, EmitError> {
        let Some(place) = self.plan.steps[number as usize].place else {
            return self.whole(number, None);
        };
        let packs = self.packs;
        let raw = packs[place.pack as usize].checked(place.position)?;
        self.delta_header(number, raw.size)?;
        self.sink.write(raw.stream)?;
        Ok(How::CopiedDelta)
    }

    /// A delta of our own, where that is smaller than the whole object.
    fn delta(&mut self, number: u32) -> Result<How, EmitError> {
        let step = self.plan.steps[number as usize];
        let (base_id, base_place) = match step.base {
            Base::Selected(base) => (self.plan.id(base), self.plan.steps[base as usize].place),
            Base::Held(id) => (id, self.plan.locate(id)),
            Base::None => return self.whole(number, None),
        };
        if self.too_large(base_place) || self.too_large(step.place) {
            return self.whole(number, None);
        }
        let object = self.object(self.plan.id(number), step.place)?;
        let target = &object.data;
        if target.len() < LEAST {
            return self.whole(number, Some(object));
        }
        let base = self.object(base_id, base_place)?.data;
        if target.len() < base.len() / 32 || !self.encoder.encode(&base, target, target.len() / 2) {
            return self.whole(number, Some(object));
        }
        self.deflated.clear();
        zlib::deflate(&self.encoder.delta, &mut self.deflated);
        let deflated = self.deflated.len();
        let most = match self.whole_size(step.place)? {
            Some(size) => size,
            None if deflated <= target.len() / 8 => usize::MAX,
            None => {
                let mut whole = Vec::new();
                zlib::deflate(target, &mut whole);
                whole.len()
            }
        };
        // A base is named in a few bytes, or in twenty.
        if deflated + 20 >= most {
            return self.whole(number, Some(object));
        }
        self.delta_header(number, self.encoder.delta.len() as u64)?;
        self.sink.write(&self.deflated)?;
        Ok(How::MadeDelta)
    }

    fn delta_header(&mut self, number: u32, size: u64) -> io::Result<()> {
        let at = self.emitted[number as usize].at;
        let id = match self.plan.steps[number as usize].base {
            Base::Selected(base) if self.options.ofs_delta => {
                self.sink.header(OFS_DELTA, size)?;
                return self.sink.distance(at - self.emitted[base as usize].at);
            }
            Base::Selected(base) => self.plan.id(base),
            Base::Held(id) => id,
            Base::None => return Err(io::Error::other("a delta without a base")),
        };
        self.sink.header(REF_DELTA, size)?;
        self.sink.write(id.as_bytes())
    }

    /// The object itself: as it lies in its pack, or deflated.
    fn whole(&mut self, number: u32, read: Option<Object>) -> Result<How, EmitError> {
        let place = self.plan.steps[number as usize].place;
        let packs = self.packs;
        if let Some(place) = place {
            let pack = &packs[place.pack as usize];
            if let Form::Whole(_) = pack.raw(place.position)?.form {
                self.sink.write(pack.checked(place.position)?.entry)?;
                return Ok(How::Copied);
            }
        }
        let object = match read {
            Some(object) => object,
            None => self.object(self.plan.id(number), place)?,
        };
        self.sink.header(kind_code(object.kind), object.data.len() as u64)?;
        self.deflated.clear();
        zlib::deflate_in_pieces(&object.data, &mut self.deflated, |out| {
            self.sink.write(out)?;
            out.clear();
            Ok(())
        })?;
        Ok(How::Made)
    }

    /// What a whole object takes where it lies.
    fn whole_size(&self, place: Option<Place>) -> Result<Option<usize>, Damaged> {
        let Some(place) = place else { return Ok(None) };
        let raw = self.packs[place.pack as usize].raw(place.position)?;
        Ok(matches!(raw.form, Form::Whole(_)).then_some(raw.stream.len()))
    }

    /// Whether an object is known to be too large to be compared, before it is read.
    fn too_large(&self, place: Option<Place>) -> bool {
        let raw = place.and_then(|place| self.packs[place.pack as usize].raw(place.position).ok());
        raw.is_some_and(|raw| raw.size > delta::LARGEST as u64)
    }

    fn object(&mut self, id: Oid, place: Option<Place>) -> Result<Object, EmitError> {
        if let Some(object) = self.kept.objects.get(&id) {
            return Ok(object.clone());
        }
        let object = match self.in_memory(id) {
            Some(object) => checked(id, object)?,
            None => match self.inflate(place)? {
                Some(object) => object,
                None => checked(id, self.store.get(id)?)?,
            },
        };
        self.kept.put(id, &object);
        Ok(object)
    }

    /// What was written or read a moment ago.
    fn in_memory(&self, id: Oid) -> Option<Object> {
        let tree = self.plan.selection.trees.get(&id).map(|data| Object::new(Kind::Tree, data.clone()));
        tree.or_else(|| self.store.recent(id))
    }

    /// What lies whole in a pack, without asking who else may have it.
    fn inflate(&mut self, place: Option<Place>) -> Result<Option<Object>, Damaged> {
        let Some(place) = place else { return Ok(None) };
        let packs = self.packs;
        let pack = &packs[place.pack as usize];
        let raw = pack.raw(place.position)?;
        let Form::Whole(kind) = raw.form else { return Ok(None) };
        if raw.size > delta::LARGEST as u64 {
            return Ok(None);
        }
        let raw = pack.checked(place.position)?;
        let data = zlib::inflate(raw.stream, raw.size as usize);
        let bad = || pack.damaged(place.position, "it does not inflate to its size");
        data.map(|(data, _)| Some(Object::new(kind, data))).ok_or_else(bad)
    }
}

/// The object that was read by another way than by a pack's entry, if that is what it should be.
fn checked(id: Oid, object: Object) -> Result<Object, ReadError> {
    let mut hasher = Sha1::new_with_prefix(format!("{} {}\0", object.kind.as_str(), object.data.len()));
    hasher.update(&object.data);
    if hasher.finalize()[..] == id.as_bytes()[..] {
        return Ok(object);
    }
    Err(ReadError::Store { id, why: "its content has another id; see `git fsck`".to_owned() })
}

impl Kept {
    fn put(&mut self, id: Oid, object: &Object) {
        let size = object.data.len();
        if size > KEPT / 4 {
            return;
        }
        if self.bytes + size > KEPT {
            *self = Kept::default();
        }
        if self.objects.insert(id, object.clone()).is_none() {
            self.bytes += size;
        }
    }
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}
