//! What was written and is not yet committed to Tantivy: layers that queries see above it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use notes_schema::ProjectName;

use crate::item::Prepared;

/// Changes in the order "drop all, drop projects, put items".
#[derive(Debug, Default, Clone)]
pub(crate) struct Overlay {
    /// Everything below is gone.
    pub cleared: bool,
    /// All items of these projects below are gone.
    pub dropped: HashSet<ProjectName>,
    /// Items by project and number; they replace what is below.
    pub items: HashMap<ProjectName, HashMap<u64, Arc<Prepared>>>,
    /// How many items, and about how many bytes.
    pub count: usize,
    /// See `count`.
    pub bytes: usize,
    /// Number of the last change in here; 0 where there is none.
    pub upto: u64,
}

impl Overlay {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.upto == 0
    }

    /// Whether it holds more than so many items (or dropped projects) or bytes.
    pub fn is_beyond(&self, items: usize, bytes: usize) -> bool {
        self.count > items || self.dropped.len() > items || self.bytes > bytes
    }

    /// Puts an item.
    pub fn put(&mut self, item: Arc<Prepared>) {
        let (weight, of_project) = (item.weight(), self.items.entry(item.item.project.clone()).or_default());
        self.bytes += weight;
        match of_project.insert(item.item.n, item) {
            Some(old) => self.bytes -= old.weight(),
            None => self.count += 1,
        }
    }

    /// Drops a project, here and below.
    pub fn drop_project(&mut self, project: &ProjectName) {
        for old in self.items.remove(project).unwrap_or_default().values() {
            self.bytes -= old.weight();
            self.count -= 1;
        }
        self.dropped.insert(project.clone());
    }

    /// Drops everything, here and below.
    pub fn clear(&mut self) {
        *self = Overlay { cleared: true, upto: self.upto, ..Overlay::default() };
    }

    /// Lays `newer` on top of this one.
    pub fn absorb(&mut self, newer: Overlay) {
        if newer.cleared {
            self.clear();
        }
        for project in &newer.dropped {
            self.drop_project(project);
        }
        for item in newer.items.into_values().flat_map(HashMap::into_values) {
            self.put(item);
        }
        self.upto = self.upto.max(newer.upto);
    }
}

/// All layers seen from above at one moment.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The items that are visible in the layers.
    pub items: Vec<Arc<Prepared>>,
    /// The same by tie: they hide what Tantivy has of them.
    pub hidden: HashSet<u64>,
    /// Projects whose items in Tantivy are gone.
    pub dropped: HashSet<ProjectName>,
    /// Everything in Tantivy is gone.
    pub cleared: bool,
}

impl View {
    /// Adds the next layer down.
    pub fn lower(&mut self, layer: &Overlay) {
        if self.cleared {
            return;
        }
        for (project, items) in &layer.items {
            if self.dropped.contains(project) {
                continue;
            }
            for item in items.values() {
                if self.hidden.insert(item.tie) {
                    self.items.push(item.clone());
                }
            }
        }
        self.dropped.extend(layer.dropped.iter().cloned());
        self.cleared = layer.cleared;
    }
}
