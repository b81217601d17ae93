//! What a forge writes into git: names, the envelope around every event, the events themselves, the trace record and
//! the namespace of refs.
//!
//! This crate is a leaf: no I/O, no clock, no randomness. Whoever can read these types can read a clone of a forge.

pub mod batch;
pub mod budget;
pub mod envelope;
pub mod event;
pub mod names;
pub mod refs;
mod suggestion;
pub mod trace;

pub use envelope::{Event, Intent, Target};
pub use event::Fact;
pub use names::{AgentName, EntityId, ItemRef, NameError, Oid, ProjectName, RefName, Sha256};
pub use suggestion::{Suggestion, suggestion};

/// Version of everything this crate defines. It stands in the first event of `forge.git`; a newer one is refused, an
/// older one is upcast on read.
pub const FORMAT_VERSION: u32 = 1;

/// The name of the forge's own repository: agents, the project registry and the rating ledgers live there.
pub const FORGE_PROJECT: &str = "forge";
