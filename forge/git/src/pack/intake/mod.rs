//! Taking a foreign pack under budgets, into memory or into a directory by its size.
//!
//! Two passes. The first reads the stream once: it inflates every entry under its declared size, names whole objects and
//! spools the raw bytes. The second applies deltas without recursion, takes the bases that a thin pack left out from the
//! store, and names the rest. Every object is checked when it is named, as `git fsck --strict` would unless told otherwise.
//!
//! Invariant: nothing taken here can be seen by readers of the repository; dropping a [`Quarantine`] forgets it. No size
//! that the stream declares is allocated before it was compared with a budget.

pub(super) mod delta;
mod dotfiles;
mod fsck;
mod landing;
mod links;
mod quarantine;
mod resolve;
mod spool;
mod stream;

use std::io::Read;

use notes_schema::Oid;

use crate::object::{Kind, Object};
use crate::store::{Known, ReadError, Store};

pub use landing::{LandablePack, LandedPack};
pub use quarantine::{Kept, Overlay, Quarantine, remove_older, remove_stale};

pub(crate) use links::Link;
use links::Links;
use spool::Spool;

/// How much a foreign pack may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the pack as it is sent.
    pub pack_bytes: u64,
    /// Objects in it.
    pub objects: u32,
    /// Bytes of one object, inflated.
    pub object_bytes: u64,
    /// Bytes of all objects, inflated, and of whatever had to be read again to resolve deltas.
    pub inflated_bytes: u64,
    /// The same, as long as it is not more than [`Limits::inflated_per_byte`] for each byte that was sent: a few bytes may
    /// copy each other until much is made.
    pub inflated_free: u64,
    /// See [`Limits::inflated_free`].
    pub inflated_per_byte: u64,
    /// Deltas between an object and the whole object that it rests on.
    pub delta_depth: u32,
    /// Packs up to this size, raw and inflated, stay in memory.
    pub memory_bytes: u64,
    /// Whether every object is checked as `git fsck --strict` would; otherwise only what it refers to has to be readable.
    pub strict: bool,
}

/// Deltas between an object and a whole one.
/// Limit: deltas between an object of a push and a whole one | {}
const DEEPEST: u32 = 4096;

/// What a pack may cost where a host says nothing else.
/// Limit: what one pack unpacks to, bases read again included | {inflated_bytes:bytes}; {inflated_free:bytes} where
/// it is more than {inflated_per_byte} bytes for each byte sent
const DEFAULT: Limits = Limits {
    pack_bytes: 2 << 30,
    objects: 5_000_000,
    object_bytes: 100 << 20,
    inflated_bytes: 16 << 30,
    inflated_free: 2 << 30,
    inflated_per_byte: 4096,
    delta_depth: DEEPEST,
    memory_bytes: 16 << 20,
    strict: true,
};

impl Default for Limits {
    fn default() -> Self {
        DEFAULT
    }
}

/// Why a pack was not taken. Offsets count from the pack's first byte.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The connection failed.
    #[error("the pack could not be received: {0}")]
    Receive(#[source] std::io::Error),
    /// Our own disk failed.
    #[error("the pack could not be kept: {0}")]
    Disk(#[source] std::io::Error),
    /// The store failed while a base was looked up.
    #[error("the repository could not be read: {0}")]
    Store(#[from] ReadError),
    /// It does not begin like a pack.
    #[error("this is no pack: {0}")]
    NoPack(&'static str),
    /// The stream ended early.
    #[error("the pack ends early, after {at} bytes; push again")]
    Truncated {
        /// How much came.
        at: u64,
    },
    /// More came than the pack.
    #[error("{count} or more bytes follow the pack's checksum")]
    Trailing {
        /// How many were seen.
        count: usize,
    },
    /// The trailer is not the checksum of what came.
    #[error("the pack's checksum is {stated}, but what arrived has {computed}; push again")]
    Checksum {
        /// What the trailer says.
        stated: Oid,
        /// What arrived.
        computed: Oid,
    },
    /// It is larger than allowed.
    #[error("the pack is larger than {limit} bytes; push fewer commits at a time")]
    PackTooLarge {
        /// The budget.
        limit: u64,
    },
    /// It holds more objects than allowed.
    #[error("the pack holds {objects} objects, more than {limit}; push fewer commits at a time")]
    TooManyObjects {
        /// What its header declares.
        objects: u32,
        /// The budget.
        limit: u32,
    },
    /// One object is larger than allowed.
    #[error("the object at byte {at} has {size} bytes, more than {limit}; keep large files out of git")]
    ObjectTooLarge {
        /// Where it begins.
        at: u64,
        /// What it declares.
        size: u64,
        /// The budget.
        limit: u64,
    },
    /// All objects together are larger than allowed.
    #[error("the pack unpacks to more than {limit} bytes; push fewer commits at a time")]
    TooMuchInflated {
        /// The budget.
        limit: u64,
    },
    /// A chain of deltas is longer than allowed.
    #[error("the object at byte {at} rests on more than {limit} deltas; push with `-c pack.depth=50`")]
    TooDeep {
        /// Where it begins.
        at: u64,
        /// The budget.
        limit: u32,
    },
    /// One entry is damaged.
    #[error("the object at byte {at} is damaged: {why}")]
    BadEntry {
        /// Where it begins.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A delta's base is neither in the pack nor in the repository, or rests on the delta itself.
    #[error("the object at byte {at} is a delta against {base}, which neither the pack nor this repository can give")]
    MissingBase {
        /// The delta.
        at: u64,
        /// The base.
        base: Oid,
    },
    /// The same object twice.
    #[error("the pack holds object {0} twice")]
    Twice(Oid),
    /// Bytes built to collide under SHA-1.
    #[error("the pack holds bytes at {at} that are built to collide under SHA-1")]
    Collision {
        /// Where they begin.
        at: u64,
    },
    /// An object of that name is here, with another content.
    #[error("object {0} is in this repository already, with another content")]
    Differs(Oid),
    /// An object that `git fsck --strict` refuses.
    #[error("{} {id}: {rule}: {why}", kind.as_str())]
    Malformed {
        /// The object.
        id: Oid,
        /// Its kind.
        kind: Kind,
        /// git's own word for the fault, for example `treeNotSorted`.
        rule: &'static str,
        /// The fault in plain words.
        why: String,
    },
    /// One object is named as two kinds.
    #[error("object {id} is named as a {wanted} by {by}, but is a {found}", wanted = wanted.as_str(), found = found.as_str())]
    WrongKind {
        /// The object.
        id: Oid,
        /// Who names it.
        by: Oid,
        /// As what.
        wanted: Kind,
        /// What it is, or what another names it as.
        found: Kind,
    },
    /// More objects are named than can be followed.
    #[error("the pack's objects name more than {limit} others; push fewer commits at a time")]
    TooManyLinks {
        /// The budget.
        limit: usize,
    },
}

/// What an entry rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Nothing: it is whole.
    Whole,
    /// The entry of that number.
    Entry(u32),
    /// The object of that name, not found yet.
    Named(Oid),
}

/// One entry of the pack under way. Kept small: a pack may have millions.
#[derive(Debug, Clone)]
struct Entry {
    offset: u64,
    crc32: u32,
    base: Base,
    /// Unknown until its delta is resolved; `id` means nothing before.
    kind: Option<Kind>,
    id: Oid,
}

/// A pack under way.
struct Intake<'a> {
    store: &'a Store,
    known: Known,
    limits: &'a Limits,
    spool: Spool,
    entries: Vec<Entry>,
    /// Per entry its object, as long as everything fits into memory.
    kept: Option<Vec<Option<Object>>>,
    inflated: u64,
    links: Links,
    checksum: [u8; 20],
}

impl<'a> Intake<'a> {
    fn new(store: &'a Store, limits: &'a Limits) -> Self {
        Intake {
            store,
            known: store.known(),
            limits,
            spool: Spool::new(limits.memory_bytes),
            entries: Vec::new(),
            kept: Some(Vec::new()),
            inflated: 0,
            links: Links::new(limits.objects),
            checksum: [0; 20],
        }
    }

    /// Takes `bytes` off the budget, and leaves memory where they no longer fit.
    fn charge(&mut self, bytes: u64) -> Result<(), PackError> {
        self.inflated = self.inflated.saturating_add(bytes);
        let for_what_was_sent = self.spool.len().saturating_mul(self.limits.inflated_per_byte);
        let limit = self.limits.inflated_bytes.min(self.limits.inflated_free.max(for_what_was_sent));
        if self.inflated > limit {
            return Err(PackError::TooMuchInflated { limit });
        }
        if self.inflated > self.limits.memory_bytes {
            self.spool.spill(self.store.git_dir()).map_err(PackError::Disk)?;
        }
        if self.spool.is_file() {
            self.kept = None;
        }
        Ok(())
    }

    /// Names an object, checks it, and notes what it refers to.
    fn name(&mut self, index: usize, object: &Object) -> Result<Oid, PackError> {
        let at = self.entries[index].offset;
        let id = object.id().map_err(|_| PackError::Collision { at })?;
        if self.known.get(self.store, id).is_some_and(|mine| mine != *object) {
            return Err(PackError::Differs(id));
        }
        match self.limits.strict {
            true => fsck::check(id, object, &mut self.links)?,
            false => fsck::follow(id, object, &mut self.links)?,
        }
        let entry = &mut self.entries[index];
        (entry.kind, entry.id) = (Some(object.kind), id);
        if let Some(kept) = &mut self.kept {
            kept[index] = Some(object.clone());
        }
        Ok(id)
    }
}

/// Takes one pack off `reader`, no byte more than was already sent with its end; `progress` gets a line now and then.
///
/// A pack without objects is fine. Bytes after the pack are refused where they arrived together with its end.
pub fn take(
    reader: &mut impl Read,
    store: &Store,
    limits: &Limits,
    progress: &mut dyn FnMut(&str),
) -> Result<Quarantine, PackError> {
    let mut intake = Intake::new(store, limits);
    stream::receive(reader, &mut intake, progress)?;
    let thin = resolve::resolve(&mut intake, progress)?;
    no_duplicates(&intake.entries)?;
    Quarantine::settle(intake, &thin)
}

fn no_duplicates(entries: &[Entry]) -> Result<(), PackError> {
    let mut ids: Vec<Oid> = entries.iter().map(|e| e.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(PackError::Twice(pair[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
