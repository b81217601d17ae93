//! Months of records that are older than the operator keeps them: dropped, the oldest first, in a batch that says so.
//!
//! Invariant: a month goes only when no open issue and no open pull request has a record in it; what is younger waits with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::{Oid, RefName, Sha256, refs};

use super::Forge;
use crate::ledger::{Draft, KnownRecord, Snapshot};
use crate::state::{IssueStatus, PullStatus};
use git::store::Objects;

impl Forge {
    /// Drops what is due in every project. Call it now and then.
    pub(super) fn drop_months(&self) {
        let keep = self.config.keep_trace_months;
        if keep == 0 {
            return;
        }
        let now = self.now();
        for repository in self.open_repositories().into_iter().filter(|one| !one.is_closed()) {
            let due = due(&repository.snapshot(), repository.store().as_ref(), now, keep);
            if due.is_empty() {
                continue;
            }
            let names: Vec<String> = due.iter().map(|(name, _)| name.to_string()).collect();
            let dropped = repository.commit(move |draft: &mut Draft| {
                for (name, id) in due {
                    draft.set_ref(&name, Some(id), None, None, None)?;
                    let month = name.as_str().trim_start_matches(refs::TRACES_PREFIX);
                    draft.remark(format!("dropped the records of {month}: {keep} months of them are kept"));
                }
                Ok(())
            });
            match dropped {
                Ok(_) => tracing::info!(project = %repository.name(), ?names, "months of records were dropped"),
                Err(refusal) => tracing::warn!(project = %repository.name(), why = %refusal, "months of records stay"),
            }
        }
    }
}

/// The months that go, and what their refs name.
fn due(snapshot: &Snapshot, objects: &dyn Objects, now_ms: u64, keep: u32) -> Vec<(RefName, Oid)> {
    let oldest_kept = oldest_kept(now_ms, keep);
    let mut due: Vec<(RefName, Oid)> = snapshot
        .refs
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(refs::TRACES_PREFIX) && **name < oldest_kept)
        .map(|(name, value)| (name.clone(), value.id))
        .collect();
    if due.is_empty() {
        return due;
    }
    // Names of months sort as they follow each other.
    let waits = needed(snapshot, objects).filter_map(|record| snapshot.month_of(record)).min();
    due.retain(|(name, _)| waits.is_none_or(|first| name < first));
    due
}

/// The first month that stays, of `keep` that end with the one of `now_ms`.
fn oldest_kept(now_ms: u64, keep: u32) -> RefName {
    let (mut month, day) = (now_ms, 86_400_000);
    for _ in 1..keep {
        let (.., day_of_month) = refs::civil_date((month / day) as i64);
        month = month.saturating_sub(u64::from(day_of_month) * day);
    }
    refs::trace_month(month)
}

/// Records that something open has: of its issue, or of the tree that a pull request offers.
fn needed<'a>(snapshot: &'a Snapshot, objects: &dyn Objects) -> impl Iterator<Item = &'a Arc<KnownRecord>> {
    let open: Vec<_> = snapshot.fold.pulls().filter(|(_, pull)| pull.status == PullStatus::Open).collect();
    let issues = snapshot.fold.issues().filter(|(_, issue)| issue.status == IssueStatus::Open).map(|(n, _)| n);
    let issues: BTreeSet<u64> = issues.chain(open.iter().filter_map(|(_, pull)| pull.issue)).collect();
    let proofs: BTreeSet<Sha256> = open.iter().filter_map(|(_, pull)| pull.proof.record).collect();
    let trees = open.iter().filter_map(|(_, pull)| objects.commit(pull.head).ok());
    let trees: BTreeSet<Oid> = trees.map(|commit| commit.tree).collect();
    snapshot.records.values().filter(move |record| {
        let of_issue = record.issue.is_some_and(|n| issues.contains(&n));
        of_issue || proofs.contains(&record.digest) || trees.contains(&record.tree)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use notes_schema::batch::{PushLine, RecordLine};
    use notes_schema::event::{IssueClosed, IssueOpened, ProjectCreated};
    use notes_schema::{EntityId, Fact, ProjectName};

    use super::*;
    use crate::config::Config;
    use crate::ledger::{Author, NewRecord, Repository, verify};
    use git::object::{Kind, NewCommit, Object, Signature, tree};

    const DAY: u64 = 86_400_000;

    fn told(repository: &Repository, id: EntityId, fact: impl Into<Fact> + Send + 'static) {
        repository.commit(move |draft| draft.event(&Author::forge(), &id, fact, None, &[])).unwrap();
    }

    /// A record for issue 1, of `content`; its digest, and the blob that holds it.
    fn record(repository: &Repository, content: &str) -> (Sha256, Oid) {
        let content = content.to_owned();
        let kept = move |draft: &mut Draft| {
            let digest = Sha256::of(content.as_bytes());
            let blob = draft.object(Object::new(Kind::Blob, content.into_bytes()))?;
            let root = draft.object(tree(Vec::new()))?;
            let by = Signature { name: "alpha".into(), email: "alpha@forge".into(), seconds: 0 };
            let commit =
                NewCommit { tree: root, parents: vec![], author: by.clone(), committer: by, message: "a run\n".into() };
            let commit = draft.object(commit.encode(None))?;
            draft.keep_record(NewRecord { digest, blob, signature: None, commit, summary: "a run".into() });
            let r = format!("refs/notes/forge/in/alpha/{}", blob.short()).parse().unwrap();
            let line = RecordLine { r, c: commit, h: digest, blob, tree: root, issue: Some(1), signed: None };
            let agent = "alpha".parse().unwrap();
            draft.push(PushLine { a: agent, k: "key:SHA256:x".into(), refs: vec![], records: vec![line] });
            Ok((digest, blob))
        };
        repository.commit(kept).unwrap().0
    }

    #[test]
    fn a_month_is_dropped_when_it_is_old_and_nothing_open_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        (config.data, config.keep_trace_months, config.limits.retired_seconds) = (dir.path().to_owned(), 2, 0);
        // 2026-01-15.
        let time = Arc::new(AtomicU64::new(1_768_435_200_000));
        let clock = {
            let time = time.clone();
            Arc::new(move || time.load(Ordering::SeqCst))
        };
        let forge = Forge::open_at(&config, clock.clone()).unwrap();
        let (name, main): (ProjectName, _) = ("parser".parse().unwrap(), RefName::branch("main").unwrap());
        let created = ProjectCreated { default_branch: main.clone(), description: String::new() };
        let (root, id) = (forge.root_repository().clone(), EntityId::Project(name.clone()));
        let register = || {
            told(&root, id, created);
            Ok(())
        };
        forge.create_project(&name, &main, register).unwrap();
        let parser = forge.project(&name).unwrap();
        told(
            &parser,
            EntityId::Issue(1),
            IssueOpened { title: "Fix it".into(), labels: vec![], lang: None, dedupe: None },
        );
        let (old, blob) = record(&parser, "January");
        time.fetch_add(31 * DAY, Ordering::SeqCst);
        let (young, _) = record(&parser, "February");
        let months = || {
            let names = parser.snapshot();
            let names = names.refs.keys().filter_map(|name| name.as_str().strip_prefix(refs::TRACES_PREFIX));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        forge.drop_months();
        assert_eq!(months(), ["2026-01", "2026-02"], "two are kept");
        time.fetch_add(20 * DAY, Ordering::SeqCst);
        forge.drop_months();
        assert_eq!(months(), ["2026-01", "2026-02"], "an open issue has a record in the old one");
        told(&parser, EntityId::Issue(1), IssueClosed { fixed_by: None });
        forge.drop_months();
        assert_eq!(months(), ["2026-02"]);
        let snapshot = parser.snapshot();
        let known = |digest| snapshot.records.get(&digest).unwrap().clone();
        assert!(snapshot.is_dropped(&known(old)) && !snapshot.is_dropped(&known(young)));
        assert_eq!(snapshot.month_of(&known(young)).map(RefName::as_str), Some("refs/forge/traces/2026-02"));
        assert!(parser.has_left_behind());
        let collected = forge.collect(&parser, true, &|| true).unwrap();
        assert!(collected.orphans > 0 && !parser.store().contains(blob));
        drop((parser, root));
        forge.close();
        assert_eq!(verify::verify(dir.path()).unwrap().faults, Vec::<String>::new());
        let mut ending = forge;
        while let Err(shared) = Arc::try_unwrap(ending) {
            ending = shared;
            std::thread::yield_now();
        }
        // A replay gives the same.
        std::fs::remove_dir_all(dir.path().join("checkpoints")).ok();
        let again = Forge::open_at(&config, clock).unwrap().project(&name).unwrap().snapshot();
        assert_eq!(*again, *snapshot);
    }

    #[test]
    fn so_many_months_are_kept_over_the_turn_of_a_year_too() {
        // 2026-01-31 23:59 and 2024-03-01 00:00, UTC.
        for (now, keep, first) in [
            (1_769_903_940_000, 1, "2026-01"),
            (1_769_903_940_000, 2, "2025-12"),
            (1_769_903_940_000, 14, "2024-12"),
            (1_709_251_200_000, 2, "2024-02"),
            (1_709_251_200_000, 3, "2024-01"),
            (0, 5, "1970-01"),
        ] {
            assert_eq!(oldest_kept(now, keep).as_str(), format!("refs/forge/traces/{first}"), "{keep} before {now}");
        }
    }
}
