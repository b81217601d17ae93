//! One rule per file, a value: its word, what it demands, and the function that looks. The slices `push::RULES`,
//! `push::CONTENT_RULES`, `record::RULES` and `gate::RULES` name them in their order.

pub mod agreement;
pub mod approval;
pub mod base;
pub mod branch_owner;
pub mod checks;
pub mod conflict;
pub mod default_branch;
pub mod files;
pub mod inbox;
pub mod landed;
pub mod level;
pub mod magic;
pub mod mergeable;
pub mod merger;
pub mod namespace;
pub mod no_changes_requested;
pub mod no_secrets;
pub mod nonce;
pub mod open_pull;
pub mod patches;
pub mod proof;
pub mod pusher;
pub mod record_chain;
pub mod ref_permission;
pub mod rewrite;
pub mod secret;
pub mod server_owned;
pub mod sound_policy;
pub mod tag_owner;
pub mod tests_passed;
pub mod tests_touched;
pub mod times;
