//! The new repository on disk, beside the old one.
//!
//! Invariant: the old one is read alone; what [`Rewritten::build`] made is whole, durable and checked when it returns.

use std::fs;
use std::path::Path;

use notes_schema::RefName;

use super::{RedactError, Rewritten};
use crate::ledger::replay;
use crate::ledger::snapshot::Snapshot;
use crate::ledger::verify::take_batch;
use crate::ledger::{Signer, maintain, recover, storage};
use git::pack::write::Builder;
use git::store::{Objects as _, ReadError, Store};
use git::{disk, packed_refs};

impl Rewritten {
    /// Makes the repository `to` of `from`: everything that is there but what only the old ledger reached, and the ledger
    /// written anew. Whole and durable when this returns. What is at `to` goes first.
    pub(crate) fn build(
        &self,
        from: &Path,
        to: &Path,
        authority: &Snapshot,
        signer: &Signer,
    ) -> Result<(), RedactError> {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        let head = self.snapshot.head.clone().unwrap_or_else(RefName::head);
        packed_refs::init_bare(to, &head)?;
        let is_whole = |name: &str| name.starts_with("pack-b") || name.starts_with(maintain::MERGED);
        let touched = git::pack::without::copy(from, to, &self.dropped, &is_whole)?;
        if !touched.is_empty() {
            maintain::write_merged(to, &touched, &self.dropped)?;
        }
        let mut builder = Builder::default();
        for (id, object) in &self.made {
            builder.add(*id, object);
        }
        maintain::write_pack(to, &builder.finish())?;
        disk::sync_dir(&storage::pack_dir(to))?;
        packed_refs::write(to, &self.snapshot.refs, self.snapshot.head.as_ref())?;
        disk::replace_file(to, "config", &fs::read(from.join("config"))?)?;
        self.check(to, authority, signer)
    }

    /// Replays what was built, from its first batch on, and looks for what must be gone.
    fn check(&self, built: &Path, authority: &Snapshot, signer: &Signer) -> Result<(), RedactError> {
        let store = Store::open(built)?;
        let mut then = authority.clone();
        then.epochs.insert(authority.epoch + 1, signer.public_openssh());
        then.fold.redactions.entry(self.snapshot.project.clone()).or_default().push_back(self.fact.clone());
        let mut snapshot = Snapshot::empty(self.snapshot.project.clone());
        for commit in replay::first_parents(&store, self.fact.new, None)?.0 {
            take_batch(&mut snapshot, &store, &replay::read_batch(&store, commit)?, Some(&then), &mut |_, _| {})?;
        }
        recover::drop_refs_without_objects(&mut snapshot, &store);
        if snapshot != self.snapshot {
            return Err(RedactError::Differs("what was built of it"));
        }
        if let Some(id) = self.dropped.iter().find(|id| store.contains(**id)) {
            return Err(ReadError::Store { id: *id, why: "it is still in what was built".to_owned() }.into());
        }
        match self.kept.iter().find(|id| !store.contains(**id)) {
            Some(id) => Err(ReadError::Missing(*id).into()),
            None => Ok(()),
        }
    }
}
