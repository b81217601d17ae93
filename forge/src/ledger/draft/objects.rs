//! What a batch under construction adds to the repository.
//!
//! Invariant: an object is there once, and what a refused part added is gone with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use notes_schema::Oid;

use git::object::Object;
use git::store::Made;

/// The objects of a batch under construction, each once, in the order in which they were added.
#[derive(Default)]
pub(super) struct Objects {
    pub by_id: HashMap<Oid, Object>,
    pub order: Vec<Oid>,
    pub bytes: usize,
}

impl Objects {
    pub fn add(&mut self, id: Oid, object: Object) {
        let bytes = object.data.len();
        if self.by_id.insert(id, object).is_none() {
            self.order.push(id);
            self.bytes += bytes;
        }
    }

    pub fn truncate(&mut self, length: usize) {
        for id in self.order.drain(length..) {
            self.bytes -= self.by_id.remove(&id).map_or(0, |object| object.data.len());
        }
    }
}

/// What the parts of a batch so far bring: a later part is judged on it. See [`Draft::made`].
#[derive(Clone, Default)]
pub struct BatchObjects(pub(super) Rc<RefCell<Objects>>);

impl Made for BatchObjects {
    fn made(&self, id: Oid) -> Option<Object> {
        self.0.borrow().by_id.get(&id).cloned()
    }
}
