//! Packs: reading foreign ones under budgets, writing our own, and their indexes.

pub mod cache;
mod delta;
pub mod emit;
pub(crate) mod folders;
pub mod index;
pub mod intake;
pub mod merge;
mod paced;
pub mod probe;
pub(crate) mod reader;
pub mod rewrite;
pub mod scan;
pub mod without;
pub mod write;
