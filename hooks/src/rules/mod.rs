//! One rule per file. The slices `push::RULES`, `record::RULES` and `gate::RULES` name them in their order.

pub mod approval;
pub mod branch_owner;
pub mod conflict;
pub mod default_branch;
pub mod inbox;
pub mod magic;
pub mod mergeable;
pub mod namespace;
pub mod no_changes_requested;
pub mod no_secrets;
pub mod nonce;
pub mod open_pull;
pub mod proof;
pub mod pusher;
pub mod record_chain;
pub mod server_owned;
pub mod tag_owner;
pub mod tests_passed;
