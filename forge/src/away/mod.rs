//! The forge's rules where no forge is: in a plain clone ([`verify`]), and in somebody else's bare repository
//! ([`pre_receive`]). Both read through stock git.
//!
//! Invariant: reads only, every object hashed again, and never a word of trust in what a repository says of itself
//! without naming what cannot be shown.

mod objects;
pub mod pre_receive;
pub mod verify;

pub use objects::{Stock, StockError};
