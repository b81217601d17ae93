//! What rules may look up of the repository that a change is for.

use notes_schema::trace::Nonce;
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName, Sha256};

use crate::Undecided;
use crate::secrets::Allowed;

/// To whom and for what `start` gave a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedNonce {
    /// The agent.
    pub agent: AgentName,
    /// Number of the issue in this project.
    pub issue: u64,
    /// Server time of the `start`, milliseconds since 1970.
    pub started_ms: u64,
}

/// Lookups in one project, all at one moment.
pub trait Repo {
    /// The project.
    fn project(&self) -> &ProjectName;
    /// Who created the project: its first maintainer.
    fn creator(&self) -> Result<AgentName, Undecided>;
    /// What `HEAD` names, whether or not it exists yet.
    fn default_branch(&self) -> RefName;
    /// Whether a ref exists.
    fn ref_exists(&self, name: &RefName) -> Result<bool, Undecided>;
    /// An existing ref that cannot exist beside `name`: one is a directory of the other.
    fn conflicting_ref(&self, name: &RefName) -> Result<Option<RefName>, Undecided>;
    /// The agent that created an existing branch or tag.
    fn ref_owner(&self, name: &RefName) -> Result<Option<AgentName>, Undecided>;
    /// An open pull request whose commits come from this branch.
    fn open_pull(&self, branch: &RefName) -> Result<Option<ItemRef>, Undecided>;
    /// What is known of a nonce of this project.
    fn nonce(&self, nonce: &Nonce) -> Result<Option<IssuedNonce>, Undecided>;
    /// The maker of a record that was accepted in this project before.
    fn record_maker(&self, digest: &Sha256) -> Result<Option<AgentName>, Undecided>;
    /// Values that the default branch lists as fixtures, though they look like secrets.
    fn allowed_secrets(&self) -> Result<Allowed, Undecided> {
        Ok(Allowed::default())
    }
    /// Up to `most` paths that differ between two trees, sorted; [`Undecided`] when a tree is not there.
    fn differing_paths(&self, a: Oid, b: Oid, most: usize) -> Result<Vec<String>, Undecided>;
}
