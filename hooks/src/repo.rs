//! What rules may look up of the repository that a change is for.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::trace::{Nonce, Record};
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName, Sha256};

use crate::Undecided;
use crate::policy::{Base, Standing};
use crate::secrets::{Allowed, Searched};

/// To whom and for what `start` gave a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedNonce {
    /// The agent.
    pub agent: AgentName,
    /// Number of the issue in this project, or of the pull request that is challenged.
    pub issue: u64,
    /// What a record with it must name as its subject, where it was given for a challenge.
    pub subject: Option<String>,
    /// Server time of the `start`, milliseconds since 1970.
    pub started_ms: u64,
}

/// A path that a change adds or changes, or takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Bytes of the file that stands there now, where somebody asks; 0 where none does.
    pub size: u64,
    /// Where it stood as it was before: the commit to restore it from.
    pub before: Option<Oid>,
}

/// What is looked for among what a push brings.
#[derive(Debug, Clone, Copy)]
pub enum Sought<'a> {
    /// Files with one of these contents.
    Blobs(&'a BTreeSet<Oid>),
    /// Whatever is done at these paths.
    Paths(&'a BTreeSet<String>),
}

/// Where something stands that a push brings, and how to go back to before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bringing {
    /// What was found and the paths, oldest first; an empty path is the pushed object itself.
    pub paths: Vec<(Oid, String)>,
    /// Those of the paths that git knows at the tip, or before.
    pub known: Vec<String>,
    /// The newest commit that has none of them and upon which what is pushed stands; absent where the first one has them.
    pub before: Option<Oid>,
    /// Whether the first commit of all is the one that is pushed.
    pub is_root: bool,
    /// Whether what is pushed does not stand upon what the ref holds.
    pub forced: bool,
}

/// What stands at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A directory.
    Directory,
    /// A file or link, with the digest of its content.
    File(Sha256),
    /// A submodule.
    Other,
}

/// What a patch makes of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// This tree; and the paths that the patch names.
    Tree(Oid, Vec<String>),
    /// None: it is no patch, or none of this tree. Why, as the end of a sentence about the patch.
    Unfit(String),
    /// It cannot be found out, for something that it rests on is not here.
    Missing(String),
    /// None within the room for it.
    TooMuch,
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
    /// A record that was accepted in this project before.
    fn record(&self, digest: &Sha256) -> Result<Option<Record>, Undecided>;
    /// Whether a tree is here.
    fn has_tree(&self, tree: Oid) -> Result<bool, Undecided>;
    /// Asks for the work of inflating and searching so many bytes; [`Undecided`] where a push has asked for too much.
    fn spend(&self, _bytes: u64) -> Result<(), Undecided> {
        Ok(())
    }
    /// What a patch makes of a tree that is here, or was made by a patch that was asked about before. At most `room` bytes may be read and hashed for it; what it took is taken
    /// off.
    fn patched(&self, tree: Oid, patch: &[u8], room: &mut u64) -> Result<Patched, Undecided>;
    /// Values that the default branch lists as fixtures, though they look like secrets.
    fn allowed_secrets(&self) -> Result<Allowed, Undecided>;
    /// Values that the list in `commit` names, while no default branch has one.
    fn allowed_secrets_in(&self, commit: Oid) -> Result<Allowed, Undecided>;
    /// What was found in the files that the push brings and that nothing here had before.
    fn searched(&self) -> Result<Arc<Searched>, Undecided>;
    /// Where what `new` brings to `name` has any of what is sought; `None` where that is too far to walk.
    fn bringing(&self, name: &RefName, new: Oid, sought: &Sought<'_>) -> Result<Option<Bringing>, Undecided>;
    /// Up to `most` paths that differ between two trees, sorted; [`Undecided`] when a tree is not there.
    fn differing_paths(&self, a: Oid, b: Oid, most: usize) -> Result<Vec<String>, Undecided>;
    /// The policy that judges: the default branch's as it is, so that no change lowers its own bar.
    fn policy(&self) -> Result<Arc<Base>, Undecided>;
    /// The policy that a commit brings: the blob at [`crate::policy::PATH`] in its tree, and its bytes.
    fn policy_in(&self, commit: Oid) -> Result<Option<(Oid, Vec<u8>)>, Undecided>;
    /// What the commits of `new` change that neither the default branch nor `name` as it is has. A merge changes what
    /// differs from all its parents.
    fn brought(&self, name: &RefName, new: Oid) -> Result<Vec<Changed>, Undecided>;
    /// Whether `ancestor` is `of`, or can be reached from it.
    fn is_ancestor(&self, ancestor: Oid, of: Oid) -> Result<bool, Undecided>;
    /// The tree of a commit; `None` where there is no such commit.
    fn tree_of(&self, commit: Oid) -> Result<Option<Oid>, Undecided>;
    /// What stands at `path` in `tree`.
    fn found_at(&self, tree: Oid, path: &str) -> Result<Option<Found>, Undecided>;
    /// Whether anything stands at `path` in `tree`.
    fn stands_at(&self, tree: Oid, path: &str) -> Result<bool, Undecided> {
        Ok(self.found_at(tree, path)?.is_some())
    }
    /// How well an agent is proven: what its approvals weigh hangs on it.
    fn standing(&self, agent: &AgentName) -> Standing;
    /// The time of the judgement, milliseconds since 1970.
    fn now_ms(&self) -> u64;
}
