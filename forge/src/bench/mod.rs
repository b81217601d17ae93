//! `forge bench`: this server measured against stock git, side by side in one run on the same disk; and its own starts.
//!
//! Invariant: a ratio is turned so that higher is better, and nothing is compared that was not measured in this run.

mod capture;
pub mod contests;
mod error;
mod fate;
mod gate;
mod http;
mod machine;
mod ours;
mod pages;
mod record;
mod report;
pub mod repository;
mod sshd;
mod start;
mod stock;
pub mod swarm;
mod timing;
mod wire;

pub use error::BenchError;
pub use gate::run as gate;
pub use machine::Machine;
pub use pages::{Options as PagesOptions, run as pages};
pub use report::{Report, Row};
pub use start::{Options as StartOptions, run as start};
pub use wire::{Options, run as wire};
