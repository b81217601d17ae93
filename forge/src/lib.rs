//! The forge: a git server whose only database is git.
//!
//! Doors ([`ssh`], [`web`]) translate; [`commands`] say what can be asked; [`state`] folds what is written; [`ledger`]
//! writes it; [`git`] (a crate of its own, below `forge/git`) holds objects, packs and the wire protocol. `docs/architecture.md` walks through the rooms.

pub mod answer;
pub(crate) mod arrivals;
pub mod authority;
pub mod away;
pub mod backup;
pub mod bench;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod forge;
pub mod gate;
pub mod hosts;
pub mod import;
pub mod ledger;
pub mod mirror;
pub mod recorder;
pub mod roles;
pub(crate) mod seal;
pub mod secrets;
pub mod sessions;
pub mod socket;
pub mod ssh;
pub mod state;
pub mod token;
pub mod transfers;
pub mod web;
