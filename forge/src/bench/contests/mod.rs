//! `forge bench contests`.

pub(crate) mod world;
