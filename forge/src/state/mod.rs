//! Folds of what is written.

pub mod elo;
