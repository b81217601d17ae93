//! The ledger of one repository: batches of events and ref updates, appended durably, recovered, replayed, verified.
//!
//! Invariant: nobody is told yes before the batch pack's rename is durable, and what is published in memory equals what
//! a replay of the ledger gives. Refs and indexes on disk are caches of it.

mod checkpoint;
mod clock;
mod collect;
pub mod draft;
pub(crate) mod fanout;
pub mod fault;
mod follow;
#[cfg(test)]
mod load;
mod maintain;
mod message;
mod pushes;
mod recover;
pub(crate) mod redact;
mod replay;
mod repository;
mod rest;
mod sequence;
mod signed_record;
mod signer;
mod snapshot;
mod storage;
#[cfg(test)]
mod tests;
pub mod verify;

pub use checkpoint::Checkpoints;
pub use clock::{Clock, system_clock};
pub use collect::{Collected, Keeps, LIST as COLLECTING, NotCollected};
pub use draft::{Author, Draft, NewRecord, Recorded};
pub(crate) use follow::{FollowError, NewEpochs};
pub use pushes::UnderWay;
pub use recover::RecoverError;
pub use replay::{ReadBatch, ReadEvent, ReplayError, chain, read_batch, read_event};
pub(crate) use replay::{SEALED, first_parents, peel as peeled, texts};
pub(crate) use repository::Followed;
pub use repository::{Deps, Published, Repository, UNKNOWN};
pub use sequence::Sequence;
pub use signed_record::{
    FILE as SIGNATURE_FILE, NAMESPACE as SIGNATURE_NAMESPACE, check_signature, record_files, record_signer,
};
pub use signer::{NAMESPACE as GIT_NAMESPACE, Signer, signed_by};
pub use snapshot::{KnownRecord, Snapshot};
