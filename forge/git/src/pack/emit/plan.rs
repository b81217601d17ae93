//! What each object is sent as, decided before the first byte: where it lies, and what it rests on.
//!
//! Invariant: no object rests on itself by any way, so bases can be sent first.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use notes_schema::Oid;

use crate::pack::reader::{Damaged, Form, Pack};
use crate::select::{Resembles, Selection};

/// How far what an object resembles is followed until something is found that it may rest on.
const HOPS: usize = 64;

/// An entry in one of the packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pack: u32,
    pub(super) position: u32,
}

/// What an object rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    None,
    /// Another object of the selection, by its number.
    Selected(u32),
    /// Something that the client has.
    Held(Oid),
}

/// How one object is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Where it lies; nowhere when it is in memory, loose or in a pack that came a moment ago.
    pub(super) place: Option<Place>,
    pub(super) base: Base,
    /// Whether that delta lies there already, or is yet to be made if it can be.
    pub(super) stored: bool,
}

/// The steps, one for each selected object.
pub(super) struct Plan<'a> {
    pub(super) selection: &'a Selection,
    packs: &'a [Arc<Pack>],
    /// The pack that had what was looked for last.
    last: Cell<usize>,
    numbers: HashMap<Oid, u32>,
    pub(super) steps: Vec<Step>,
    /// For each object one that it rests on by some way; itself when it rests on none.
    roots: Vec<u32>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(packs: &'a [Arc<Pack>], selection: &'a Selection, thin: bool) -> Result<Self, Damaged> {
        let count = selection.objects.len();
        let numbers = selection.objects.iter().zip(0..).map(|(object, number)| (object.id, number)).collect();
        let (steps, roots) = (Vec::with_capacity(count), (0..count as u32).collect());
        let mut plan = Plan { selection, packs, last: Cell::new(0), numbers, steps, roots };
        for number in 0..count as u32 {
            let step = plan.stored(number, thin)?;
            plan.steps.push(step);
        }
        let held = |object: &crate::select::Selected| object.resembles.is_some_and(|base| base.held);
        let hops = if thin && selection.objects.iter().any(held) { HOPS } else { 1 };
        for number in 0..count as u32 {
            if plan.steps[number as usize].base == Base::None {
                plan.steps[number as usize].base = plan.search(number, thin, hops)?;
            }
        }
        Ok(plan)
    }

    /// How many objects are sent.
    pub(super) fn count(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn id(&self, number: u32) -> Oid {
        self.selection.objects[number as usize].id
    }

    /// Where `id` lies. Neighbours often lie together, so the pack that was right last is asked first.
    pub(super) fn locate(&self, id: Oid) -> Option<Place> {
        let last = self.last.get();
        let others = (0..self.packs.len()).filter(|&pack| pack != last);
        for pack in (last < self.packs.len()).then_some(last).into_iter().chain(others) {
            if let Some(position) = self.packs[pack].lookup(id) {
                self.last.set(pack);
                return Some(Place { pack: pack as u32, position });
            }
        }
        None
    }

    /// What lies in a pack and can be copied.
    fn stored(&mut self, number: u32, thin: bool) -> Result<Step, Damaged> {
        let object = &self.selection.objects[number as usize];
        let place = self.locate(object.id);
        let whole = Step { place, base: Base::None, stored: false };
        let Some(at) = place else { return Ok(whole) };
        let Form::Delta(base) = self.packs[at.pack as usize].raw(at.position)?.form else {
            return Ok(whole);
        };
        let selected = self.numbers.get(&base).copied();
        if let Some(base) = selected.filter(|&base| self.rest(number, base)) {
            return Ok(Step { place, base: Base::Selected(base), stored: true });
        }
        if thin && object.resembles == Some(Resembles { id: base, held: true }) {
            return Ok(Step { place, base: Base::Held(base), stored: true });
        }
        Ok(whole)
    }

    /// What to compare an object with that rests on nothing yet.
    fn search(&mut self, number: u32, thin: bool, hops: usize) -> Result<Base, Damaged> {
        let mut next = self.selection.objects[number as usize].resembles;
        for _ in 0..hops {
            match next {
                None => return Ok(Base::None),
                Some(Resembles { id, held: true }) => return Ok(if thin { Base::Held(id) } else { Base::None }),
                Some(Resembles { id, held: false }) => {
                    let Some(&base) = self.numbers.get(&id) else { return Ok(Base::None) };
                    if !self.was_compared(number, base)? && self.rest(number, base) {
                        return Ok(Base::Selected(base));
                    }
                    next = self.selection.objects[base as usize].resembles;
                }
            }
        }
        Ok(Base::None)
    }

    /// Whether who made the pack has seen both and preferred to keep this one whole.
    fn was_compared(&self, number: u32, base: u32) -> Result<bool, Damaged> {
        let (Some(a), Some(b)) = (self.steps[number as usize].place, self.steps[base as usize].place) else {
            return Ok(false);
        };
        let pack = &self.packs[a.pack as usize];
        Ok(a.pack == b.pack && pack.has_deltas() && matches!(pack.raw(a.position)?.form, Form::Whole(_)))
    }

    /// Lets `number` rest on `base`, unless `base` rests on it already.
    fn rest(&mut self, number: u32, base: u32) -> bool {
        let root = self.root(base);
        if root == number {
            return false;
        }
        self.roots[number as usize] = root;
        true
    }

    fn root(&mut self, number: u32) -> u32 {
        let mut at = number;
        while self.roots[at as usize] != at {
            // Halves the way for the next time.
            let above = self.roots[self.roots[at as usize] as usize];
            self.roots[at as usize] = above;
            at = above;
        }
        at
    }
}
