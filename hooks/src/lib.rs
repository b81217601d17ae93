//! May this land? Pure rules over a pushed or merged change, each a small file under `rules/`.
//!
//! The forge asks at three moments: [`push::judge`] for each ref update (and [`record::judge`] for the trace records
//! among them), [`gate::check_submit`] when work becomes a pull request, [`gate::check_merge`] when it is to land.
//!
//! Invariant: reads only what [`Repo`] looks up, knows no clock, disk or network, and writes nothing. A rule that cannot
//! decide says so, and that refuses.

pub mod access;
pub mod benches;
pub mod command;
pub mod counts;
pub mod gate;
mod next_run;
pub mod patch;
pub mod policy;
pub mod push;
pub mod record;
mod repo;
pub mod reruns;
mod rules;
pub mod sealed_tests;
pub mod secrets;
mod verdict;

#[cfg(test)]
mod testing;

pub use repo::{Bringing, Changed, Found, IssuedNonce, Patched, Repo, Sought};
pub use verdict::{Judgement, Refusal, Undecided, Verdict};
