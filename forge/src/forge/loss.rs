//! Repositories that were copied at different moments: found at the start, and served only where an operator accepts what
//! is lost by it.
//!
//! Invariant: a forge that only crashed is never found here: whatever a repository cites of another is durable before.

use std::fs;
use std::sync::Arc;

use notes_schema::{Oid, ProjectName};

use super::{Forge, OpenError};
use crate::ledger::Repository;
use git::store::Objects as _;

/// Numbers of issues and pull requests that are left out where a project lost some.
const SKIPPED: u64 = 1000;
/// Numbers of the forge-wide sequence that are left out, beyond the highest that is known.
const SKIPPED_SEQUENCE: u64 = 1_000_000;

impl Forge {
    /// What repositories cite of each other and is not here: copies of different moments.
    pub fn is_not_closed(&self) -> Vec<String> {
        self.open_ends().into_iter().map(|(_, why)| why).collect()
    }

    fn open_ends(&self) -> Vec<(ProjectName, String)> {
        let root = self.root();
        let mut open = Vec::new();
        for repository in self.sound() {
            let (name, snapshot) = (repository.name(), repository.snapshot());
            if let Some(cited) = snapshot.cited.filter(|cited| !self.root.store().contains(*cited)) {
                open.push((name.clone(), format!("{name} cites {cited} of forge.git, which ends before it")));
            }
            if let Some((n, _)) = root.cursors.get(name).filter(|(n, _)| *n > snapshot.number) {
                let why = format!("forge.git settled batch {n} of {name}, which ends at {}", snapshot.number);
                open.push((name.clone(), why));
            }
        }
        open
    }

    /// Repositories that are whole; a damaged one ends early for another reason, and says so itself.
    fn sound(&self) -> impl Iterator<Item = Arc<Repository>> {
        self.open_repositories().into_iter().filter(|repository| repository.read_only().is_none())
    }

    /// Repositories with a history that `forge.git` knows nothing of.
    fn strangers(&self) -> Vec<ProjectName> {
        let root = self.root();
        let entries = fs::read_dir(self.data.join("repositories")).into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".git")?.parse::<ProjectName>().ok());
        let unknown = names.filter(|name| !name.is_forge() && root.fold.project(name).is_none());
        let has_history = |name: &ProjectName| {
            let opened = Repository::open(&self.git_dir(name), name.clone(), self.deps.clone());
            // A creation that never became durable in forge.git leaves the first batch and no more.
            opened.is_ok_and(|repository| repository.snapshot().number > 1)
        };
        unknown.filter(has_history).collect()
    }
}

/// A loss that an operator accepts.
#[derive(Clone)]
pub(super) struct Lost {
    /// Projects that end before what was settled of them, with where they end.
    pub behind: Vec<(ProjectName, u64, Oid)>,
    /// All projects that are not of one moment with `forge.git`.
    pub touched: Vec<ProjectName>,
}

/// Refuses copies of different moments, unless their loss is accepted; then what is lost, if anything.
pub(super) fn check(forge: &Arc<Forge>) -> Result<Option<Lost>, OpenError> {
    let mut why: Vec<String> = forge.open_ends().into_iter().map(|(_, why)| why).collect();
    let strangers = forge.strangers();
    why.extend(strangers.iter().map(|name| format!("{name} is here, and forge.git ends before it was made")));
    if why.is_empty() {
        return Ok(None);
    }
    if !forge.config.accept_loss {
        return Err(OpenError::NotClosed { data: forge.data.clone(), why });
    }
    for why in &why {
        tracing::warn!(why, "accepted as lost");
    }
    for name in strangers {
        let (from, to) = (forge.git_dir(&name), forge.git_dir(&name).with_extension("git.lost"));
        fs::rename(&from, to).map_err(|source| OpenError::Io { path: from, source })?;
    }
    let root = forge.root();
    let known = forge.sound().map(|repository| repository.snapshot().fold.max_q).max().unwrap_or(0);
    forge.sequence.resume(known.max(root.seq_reserved) + SKIPPED_SEQUENCE);
    let mut touched: Vec<ProjectName> = forge.open_ends().into_iter().map(|(name, _)| name).collect();
    touched.dedup();
    let mut behind = Vec::new();
    for repository in forge.sound() {
        let snapshot = repository.snapshot();
        let is_behind = root.cursors.get(repository.name()).is_some_and(|(n, _)| *n > snapshot.number);
        if let Some(tip) = snapshot.tip.filter(|_| is_behind) {
            behind.push((repository.name().clone(), snapshot.number, tip));
        }
    }
    Ok(Some(Lost { behind, touched }))
}

/// Leaves numbers out in projects that may have lost some; each then ends in the epoch that accepts the loss. Call it when
/// that is open.
pub(super) fn skip(forge: &Arc<Forge>, lost: &Lost) -> Result<(), OpenError> {
    for repository in forge.sound().filter(|repository| lost.touched.contains(repository.name())) {
        let skipped = repository.commit(|draft| {
            draft.skip_numbers(SKIPPED);
            Ok(())
        });
        skipped.map_err(OpenError::Write)?;
    }
    Ok(())
}
