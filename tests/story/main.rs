//! Stories against the real program: `forge serve` in its own process, agents with stock git, ssh and curl.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod anyone;
mod authority;
mod backup;
mod bench;
mod boards;
mod browser;
mod cases;
mod checkpoints;
mod clients;
mod code_pages;
mod contests;
mod documents;
mod faults;
mod folded;
mod follow;
mod fulldisk;
mod gitview;
mod hostile;
mod import;
mod large;
mod matrix;
mod mirror;
mod owners;
mod people_pages;
mod plain;
mod redact;
mod reviews;
mod runs;
mod sealed;
mod sealed_tests;
mod server;
mod session;
mod signed;
mod space;
mod statuses;
mod tampered;
mod tls;
mod upgrade;
mod verifiers;
mod work_pages;
