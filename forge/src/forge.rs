//! The running forge: its repositories, folded state, index and clock.

use std::sync::Arc;

use notes_schema::event::PublicKey;

use crate::answer::Refusal;
use crate::authority::Actor;
use crate::config::Config;
use crate::git::wire::{Host, Service};

/// A running forge.
pub struct Forge {}

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another forge runs on it.
    #[error("{0} is in use by another running forge")]
    InUse(String),
}

impl Forge {
    /// Opens or founds the forge in the configured data directory. Blocks.
    pub fn open(_config: &Config) -> Result<Arc<Forge>, OpenError> {
        Ok(Arc::new(Forge {}))
    }

    /// Who a proven SSH key is. Never blocks on disk.
    pub fn actor_for_key(&self, key: &PublicKey) -> Actor {
        Actor::Stranger(key.clone())
    }

    /// Who a token is; a void one is refused, never anonymous.
    pub fn actor_for_token(&self, _token: &str) -> Result<Actor, Refusal> {
        Ok(Actor::Anonymous)
    }

    /// The repository called `project` (as in a URL: with or without leading slash and `.git`) for git's wire protocol.
    pub fn host(self: &Arc<Self>, _project: &str, _actor: &Actor, _service: Service) -> Result<Arc<dyn Host>, Refusal> {
        Err(Refusal::new(crate::answer::Code::NotFound, "x", "y", "z"))
    }

    /// Finishes what is under way and writes caches; after it nothing may be asked. Blocks.
    pub fn close(&self) {}
}
