//! Which objects a fetch needs, and what each of them probably resembles.
//!
//! Every commit to be sent is compared with one reference tree: its parent's, or that of the nearest commit which the
//! client has. What differs is what must be sent, and what stood at the same path before is the best base for a delta, so
//! one comparison answers both questions.
//!
//! Invariant: reads only, never recurses, and never selects what no want reaches.

use notes_schema::Oid;

use crate::object::Kind;

/// What an object may be sent as a delta against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resembles {
    /// An object of the same kind that stood at the same path.
    pub id: Oid,
    /// Whether the client has it; otherwise it is selected itself.
    pub held: bool,
}

/// One object to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// The object.
    pub id: Oid,
    /// What it is.
    pub kind: Kind,
    /// What it probably differs little from.
    pub resembles: Option<Resembles>,
}

/// All that a fetch needs, each object once: commits first (the newest first), then tags, trees and blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The objects.
    pub objects: Vec<Selected>,
}
