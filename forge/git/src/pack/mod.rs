//! Packs: reading foreign ones under budgets, writing our own, and their indexes.

pub mod index;
pub mod intake;
pub mod merge;
pub mod scan;
pub mod write;
