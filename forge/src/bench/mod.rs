//! `forge bench`: this server measured against stock git, side by side in one run on the same disk.
//!
//! Invariant: a ratio is turned so that higher is better, and nothing is compared that was not measured in this run.

mod capture;
mod error;
mod fate;
mod gate;
mod http;
mod machine;
mod ours;
mod record;
mod report;
pub mod repository;
mod sshd;
mod stock;
pub mod swarm;
mod timing;
mod wire;

pub use error::BenchError;
pub use gate::run as gate;
pub use machine::Machine;
pub use report::{Report, Row};
pub use wire::{Options, run as wire};
