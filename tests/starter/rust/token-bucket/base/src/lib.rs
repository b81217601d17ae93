//! Limits how often something may happen, for each of many keys.

mod bucket;
mod limiter;

pub use bucket::{Bucket, Refused};
pub use limiter::Limiter;
