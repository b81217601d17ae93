//! Objects, packs, refs, merge, diff and git's wire protocol. Only here does gix appear.
//!
//! Invariant: nothing in here knows what an issue or a rating is.

pub mod alike;
pub mod apply;
pub mod below;
pub mod blame;
pub(crate) mod child;
pub mod connect;
pub mod diff;
pub mod disk;
pub mod graph;
pub mod history;
pub mod log;
pub mod mark;
pub mod merge;
pub mod name;
pub mod object;
pub mod pack;
pub mod packed_refs;
pub mod plain;
pub mod select;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod trail;
pub mod wire;
pub(crate) mod zlib;
