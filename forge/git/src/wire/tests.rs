//! The wire against real `git`, over a two-way stream (`git://`, which differs from SSH in its first line alone) and
//! over smart HTTP, in every protocol version.

mod against_stock;
mod fetch;
mod fetch_raw;
pub(crate) mod harness;
mod measure;
mod push;
mod raw;
