//! The end of a batch: its records in their month, its blobs, its signed ledger commit, its pack.
//!
//! Invariant: the snapshot behind it is folded from what was encoded, as a reader of the ledger folds it.

use std::collections::{HashMap, HashSet};

use notes_schema::batch::{Batch, Cursor, RefLine};
use notes_schema::{AgentName, Oid, RefName, Sha256, envelope, refs};

use super::{Draft, signature_of, unreadable};
use crate::answer::Refusal;
use crate::ledger::replay::{ReadBatch, Trailers};
use crate::ledger::signer::Signer;
use crate::ledger::snapshot::Snapshot;
use crate::ledger::{fanout, message};
use git::object::{Kind, Mode, NewCommit, Object, TreeEntry, tree};
use git::pack::write::{Builder, Pack};

/// A batch ready to be appended.
pub(in crate::ledger) struct Built {
    pub pack: Pack,
    pub objects: HashMap<Oid, Object>,
    pub snapshot: Snapshot,
    pub batch: Batch,
    pub refs: Vec<RefLine>,
}

impl Draft<'_> {
    /// Closes the batch: its blobs, its signed ledger commit, its pack and the snapshot after it.
    pub(in crate::ledger) fn build(mut self, signer: &Signer, authority: Option<Oid>) -> Result<Built, Refusal> {
        self.fold_records()?;
        let batch = self.batch(authority);
        let batch_bytes = envelope::encode(&batch);
        let refs_bytes = notes_schema::batch::encode_refs(self.work.lines.values()).into_bytes();
        let digest = Sha256::of_parts(&[&batch_bytes, &refs_bytes]);
        let entries = vec![self.file("batch", batch_bytes)?, self.file("refs", refs_bytes)?];
        let root = self.object(tree(entries))?;
        let prev = self.before.tip.map(|_| self.before.tip_digest);
        let parents = self
            .before
            .tip
            .into_iter()
            .chain(self.work.chain_tips.values().copied())
            .chain(self.work.kept_tips.iter().copied());
        let mut seen = HashSet::new();
        let forge = signature_of(&AgentName::forge(), self.t);
        let lines = self.subject_lines();
        let commit = NewCommit {
            tree: root,
            parents: parents.filter(|p| seen.insert(*p)).collect(),
            author: forge.clone(),
            committer: forge,
            message: message::batch(batch.n, &lines, batch.epoch, prev, digest),
        };
        let armor = signer.sign(&commit.encode(None).data);
        let object = commit.encode(Some(&armor));
        let raw = object.data.clone();
        let id = self.object(object)?;
        let mut builder = Builder::default();
        let objects = self.objects.0.take();
        for id in &objects.order {
            builder.add(*id, &objects.by_id[id]);
        }
        let read = ReadBatch {
            commit: id,
            commit_digest: Sha256::of(&raw),
            raw,
            parents: Vec::new(),
            trailers: Trailers { prev, digest: Some(digest) },
            digest,
            batch: batch.clone(),
            refs: Vec::new(),
        };
        let refs = self.work.lines.values().cloned().collect();
        let mut snapshot = self.work.snapshot;
        snapshot.absorb(&read);
        Ok(Built { pack: builder.finish(), objects: objects.by_id, snapshot, batch, refs })
    }

    /// Folds the batch's records into their month: `<two digits>/<digest>` below one commit, a signature beside it as
    /// `<digest>.sig`.
    fn fold_records(&mut self) -> Result<(), Refusal> {
        if self.work.records.is_empty() {
            return Ok(());
        }
        let month = refs::trace_month(self.t);
        let before = self.work.snapshot.ref_id(&month);
        let records = std::mem::take(&mut self.work.records);
        let mut files: Vec<(String, Oid)> = records.iter().map(|r| (r.digest.to_string(), r.blob)).collect();
        files.extend(records.iter().filter_map(|r| Some((format!("{}.sig", r.digest), r.signature?))));
        let change = fanout::add(self.store, before, files).map_err(unreadable)?;
        for (id, object) in change.objects {
            self.known_object(id, object);
        }
        let lines: Vec<String> = records.iter().map(|r| format!("- {}\n", r.summary)).collect();
        let forge = signature_of(&AgentName::forge(), self.t);
        let commit = NewCommit {
            tree: change.tree,
            // The commits that brought the records stay reachable here when their refs go.
            parents: before.into_iter().chain(records.iter().map(|r| r.commit)).collect(),
            author: forge.clone(),
            committer: forge,
            message: format!("{} records\n\n{}", records.len(), lines.concat()),
        };
        let tip = self.object(commit.encode(None))?;
        self.set_ref(&month, before, Some(tip), None, None)
    }

    fn batch(&self, authority: Option<Oid>) -> Batch {
        let work = &self.work;
        Batch {
            v: work.format,
            project: self.before.project.clone(),
            n: self.n(),
            epoch: work.snapshot.epoch,
            t: self.t,
            next_number: work.snapshot.next_number,
            events: work.events.iter().cloned().collect(),
            packs: work.packs.iter().cloned().collect(),
            pushes: work.pushes.iter().cloned().collect(),
            outbox: work.outbox.iter().cloned().collect(),
            authority,
            cursors: work.cursors.iter().map(|(p, (n, c))| Cursor { project: p.clone(), n: *n, c: *c }).collect(),
            seq_reserved: work.seq_reserved,
            epoch_key: work.epoch_key.clone(),
        }
    }

    fn subject_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.work.subjects.iter().cloned().collect();
        for push in &self.work.pushes {
            let names: Vec<&str> = push
                .refs
                .iter()
                .filter(|r| r.as_str().starts_with("refs/heads/") || r.as_str().starts_with("refs/tags/"))
                .map(RefName::short)
                .collect();
            if !names.is_empty() {
                lines.push(format!("pushed {} — {}", names.join(", "), push.a));
            }
        }
        lines
    }

    pub(super) fn file(&mut self, name: &str, bytes: Vec<u8>) -> Result<TreeEntry, Refusal> {
        let id = self.object(Object::new(Kind::Blob, bytes))?;
        Ok(TreeEntry { mode: Mode::File, name: name.as_bytes().to_vec(), id })
    }
}
