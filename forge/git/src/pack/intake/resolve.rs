//! Turning deltas into objects, without recursion and within a budget of memory.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use notes_schema::Oid;

use super::delta::{self, BadDelta};
use super::stream::{Inflater, entry_header};
use super::{Base, Intake, PackError};
use crate::object::{Kind, Object};
use crate::store::{Objects as _, ReadError};

/// How often a pack may surprise by holding what was first taken from the store.
/// Limit: rounds of resolving a pack whose objects stand in for those of the store | {}
const ATTEMPTS: usize = 8;
/// Bytes of bases held while their deltas are applied, before they go to a scratch file.
/// Limit: bases held in memory while their deltas are applied | {:bytes}; more lie in a scratch file
const LEAST_HELD: u64 = 64 << 20;
const REPORT_EVERY: usize = 20_000;

/// Names every delta; answers with the bases that had to come from the store, in the order in which
/// [`Base::Entry`] counts them after the pack's own entries.
pub(super) fn resolve(intake: &mut Intake<'_>, progress: &mut dyn FnMut(&str)) -> Result<Vec<Oid>, PackError> {
    let children = Children::of(intake);
    let mut inside = HashSet::new();
    for _ in 0..ATTEMPTS {
        let mut attempt = Attempt {
            intake,
            children: &children,
            inflater: Inflater::default(),
            thin: Vec::new(),
            taken: HashSet::new(),
            surprises: HashSet::new(),
            scratch: None,
            done: 0,
        };
        attempt.run(&inside, progress)?;
        let (thin, surprises) = (attempt.thin, attempt.surprises);
        if surprises.is_empty() {
            return Ok(thin);
        }
        // A base taken from the store is in the pack as well, as a delta that was not resolved yet. Kept twice it would
        // spoil the finished pack, so begin again and wait for the pack's own.
        inside.extend(surprises);
        children.forget(intake);
    }
    Err(PackError::BadEntry { at: 0, why: "its deltas are entangled" })
}

/// Which entries rest on which.
struct Children {
    /// (base's number, delta's number), sorted.
    by_entry: Vec<(u32, u32)>,
    /// (base's name, delta's number), sorted.
    by_name: Vec<(Oid, u32)>,
}

impl Children {
    fn of(intake: &Intake<'_>) -> Self {
        let (mut by_entry, mut by_name) = (Vec::new(), Vec::new());
        for (number, entry) in intake.entries.iter().enumerate() {
            match entry.base {
                Base::Whole => {}
                Base::Entry(base) => by_entry.push((base, number as u32)),
                Base::Named(base) => by_name.push((base, number as u32)),
            }
        }
        by_entry.sort_unstable();
        by_name.sort_unstable();
        Children { by_entry, by_name }
    }

    /// As before anything was resolved.
    fn forget(&self, intake: &mut Intake<'_>) {
        for &(_, number) in &self.by_entry {
            intake.entries[number as usize].kind = None;
        }
        for &(base, number) in &self.by_name {
            let entry = &mut intake.entries[number as usize];
            (entry.kind, entry.base) = (None, Base::Named(base));
        }
    }

    /// A frame for everything that rests on this object, when anything does.
    fn frame(&self, number: u32, id: Oid, object: &Object, depth: u32) -> Option<Frame> {
        let start = self.by_entry.partition_point(|(base, _)| *base < number);
        let end = self.by_entry.partition_point(|(base, _)| *base <= number);
        let named_start = self.by_name.partition_point(|(base, _)| *base < id);
        let named_end = self.by_name.partition_point(|(base, _)| *base <= id);
        let frame = Frame {
            number,
            kind: object.kind,
            data: Held::Memory(object.data.clone()),
            depth,
            by_entry: (start, end),
            by_name: (named_start, named_end),
        };
        (!frame.is_spent()).then_some(frame)
    }
}

enum Held {
    Memory(Bytes),
    Scratch { at: u64, len: usize },
}

/// A resolved object and the deltas on it that wait for their turn.
struct Frame {
    number: u32,
    kind: Kind,
    data: Held,
    depth: u32,
    by_entry: (usize, usize),
    by_name: (usize, usize),
}

impl Frame {
    fn is_spent(&self) -> bool {
        self.by_entry.0 == self.by_entry.1 && self.by_name.0 == self.by_name.1
    }

    fn next(&mut self, children: &Children) -> Option<u32> {
        let (list, range) = match self.by_entry {
            (start, end) if start < end => (None, &mut self.by_entry),
            _ => (Some(&children.by_name), &mut self.by_name),
        };
        if range.0 == range.1 {
            return None;
        }
        range.0 += 1;
        Some(match list {
            None => children.by_entry[range.0 - 1].1,
            Some(named) => named[range.0 - 1].1,
        })
    }

    fn held(&self) -> u64 {
        match &self.data {
            Held::Memory(data) => data.len() as u64,
            Held::Scratch { .. } => 0,
        }
    }
}

struct Attempt<'i, 'a> {
    intake: &'i mut Intake<'a>,
    children: &'i Children,
    inflater: Inflater,
    thin: Vec<Oid>,
    /// The same as `thin`, to look up.
    taken: HashSet<Oid>,
    surprises: HashSet<Oid>,
    scratch: Option<(File, u64)>,
    done: usize,
}

impl Attempt<'_, '_> {
    fn run(&mut self, inside: &HashSet<Oid>, progress: &mut dyn FnMut(&str)) -> Result<(), PackError> {
        for number in 0..self.intake.entries.len() {
            if self.intake.entries[number].base == Base::Whole {
                self.whole(number as u32, progress)?;
            }
        }
        let mut at = 0;
        while let Some(&(base, first)) = self.children.by_name.get(at) {
            let group = self.children.by_name[at..].partition_point(|(other, _)| *other == base);
            let open = |&(_, number): &(Oid, u32)| self.intake.entries[number as usize].kind.is_none();
            if !inside.contains(&base) && self.children.by_name[at..at + group].iter().any(open) {
                self.thin(base, first, progress)?;
            }
            at += group;
        }
        self.nothing_left()
    }

    /// Resolves everything that rests on the whole object of that number.
    fn whole(&mut self, number: u32, progress: &mut dyn FnMut(&str)) -> Result<(), PackError> {
        let entry = &self.intake.entries[number as usize];
        let (id, kind) = (entry.id, entry.kind.expect("invariant: whole objects were named while they came"));
        let nothing = Object::new(kind, Bytes::new());
        let Some(mut frame) = self.children.frame(number, id, &nothing, 0) else {
            return Ok(());
        };
        let kept = self.intake.kept.as_ref().and_then(|kept| kept[number as usize].clone());
        frame.data = Held::Memory(match kept {
            Some(object) => object.data,
            None => {
                let data = self.inflate(number)?;
                self.intake.charge(data.len() as u64)?;
                data
            }
        });
        self.descend(frame, progress)
    }

    /// Resolves everything that rests on `base`, which only the store has.
    fn thin(&mut self, base: Oid, child: u32, progress: &mut dyn FnMut(&str)) -> Result<(), PackError> {
        let object = self.intake.store.get(base).map_err(|e| match e {
            ReadError::Missing(base) => self.missing(child, base),
            other => PackError::Store(other),
        })?;
        self.intake.charge(object.data.len() as u64)?;
        let number = (self.intake.entries.len() + self.thin.len()) as u32;
        self.thin.push(base);
        self.taken.insert(base);
        match self.children.frame(number, base, &object, 0) {
            Some(frame) => self.descend(frame, progress),
            None => Ok(()),
        }
    }

    fn missing(&self, child: u32, base: Oid) -> PackError {
        PackError::MissingBase { at: self.intake.entries[child as usize].offset, base }
    }

    /// Whoever is still open waits for a base that neither side has, or for itself.
    fn nothing_left(&self) -> Result<(), PackError> {
        let open = |number: &u32| self.intake.entries[*number as usize].kind.is_none();
        match self.children.by_name.iter().find(|(_, number)| open(number)) {
            Some(&(base, number)) => Err(self.missing(number, base)),
            None => Ok(()),
        }
    }

    fn descend(&mut self, root: Frame, progress: &mut dyn FnMut(&str)) -> Result<(), PackError> {
        let most = self.intake.limits.memory_bytes.max(LEAST_HELD);
        let mut held = root.held();
        let mut stack = vec![root];
        while let Some(top) = stack.last_mut() {
            let Some(child) = top.next(self.children) else {
                held -= top.held();
                stack.pop();
                continue;
            };
            if self.intake.entries[child as usize].kind.is_some() {
                continue;
            }
            held -= top.held();
            let base = self.load(top)?;
            held += top.held();
            let (number, kind, depth) = (top.number, top.kind, top.depth + 1);
            if top.is_spent() {
                held -= top.held();
                stack.pop();
            }
            let object = self.child(child, number, kind, &base, depth)?;
            self.done += 1;
            if self.done.is_multiple_of(REPORT_EVERY) {
                progress(&format!("resolved {} deltas", self.done));
            }
            let id = self.intake.entries[child as usize].id;
            if let Some(frame) = self.children.frame(child, id, &object, depth) {
                held += frame.held();
                stack.push(frame);
                held = self.unload(&mut stack, held, most)?;
            }
        }
        self.scratch = self.scratch.take().map(|(file, _)| (file, 0));
        Ok(())
    }

    /// Applies one delta and names the result.
    fn child(&mut self, child: u32, base: u32, kind: Kind, data: &[u8], depth: u32) -> Result<Object, PackError> {
        let at = self.intake.entries[child as usize].offset;
        let limits = self.intake.limits;
        if depth > limits.delta_depth {
            return Err(PackError::TooDeep { at, limit: limits.delta_depth });
        }
        let instructions = self.inflate(child)?;
        let made = delta::apply(data, &instructions, limits.object_bytes).map_err(|e| match e {
            BadDelta::TooLarge(size) => PackError::ObjectTooLarge { at, size, limit: limits.object_bytes },
            BadDelta::Damaged(why) => PackError::BadEntry { at, why },
        })?;
        self.intake.charge(made.len() as u64)?;
        let object = Object::new(kind, made);
        let id = self.intake.name(child as usize, &object)?;
        self.intake.entries[child as usize].base = Base::Entry(base);
        if self.taken.contains(&id) {
            self.surprises.insert(id);
        }
        Ok(object)
    }

    fn inflate(&mut self, number: u32) -> Result<Bytes, PackError> {
        let at = self.intake.entries[number as usize].offset;
        let mut reader = self.intake.spool.reader(at);
        let header = entry_header(&mut reader, at, self.intake.limits)?;
        self.inflater.inflate(&mut reader, header.size, at)?;
        Ok(Bytes::from(std::mem::take(&mut self.inflater.out)))
    }

    /// A frame's data, brought back into memory where it had to leave.
    fn load(&mut self, frame: &mut Frame) -> Result<Bytes, PackError> {
        let (at, len) = match frame.data {
            Held::Memory(ref data) => return Ok(data.clone()),
            Held::Scratch { at, len } => (at, len),
        };
        let (file, _) = self.scratch.as_ref().expect("invariant: data leaves memory for this file alone");
        let mut data = vec![0; len];
        file.read_exact_at(&mut data, at).map_err(PackError::Disk)?;
        self.intake.charge(len as u64)?;
        let data = Bytes::from(data);
        frame.data = Held::Memory(data.clone());
        Ok(data)
    }

    /// Moves the data of the lowest frames to a scratch file until the rest fits.
    fn unload(&mut self, stack: &mut [Frame], mut held: u64, most: u64) -> Result<u64, PackError> {
        let Some((_, below)) = stack.split_last_mut() else {
            return Ok(held);
        };
        for frame in below.iter_mut() {
            if held <= most {
                break;
            }
            let Held::Memory(data) = &frame.data else { continue };
            if self.scratch.is_none() {
                self.scratch = self.intake.spool.scratch().map_err(PackError::Disk)?.map(|file| (file, 0));
            }
            // Without a file the whole pack fits into memory, and so do its bases.
            let Some((file, end)) = &mut self.scratch else { break };
            file.write_all_at(data, *end).map_err(PackError::Disk)?;
            let (at, len) = (*end, data.len());
            *end += len as u64;
            held -= len as u64;
            frame.data = Held::Scratch { at, len };
        }
        Ok(held)
    }
}
