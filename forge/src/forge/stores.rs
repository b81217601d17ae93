//! Packs of many repositories: few hold theirs open at once.
//!
//! Invariant: a pack that is open takes two of the 65,530 maps that a process may have; what is let go is opened again by the
//! next read, and no answer changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Forge;
use crate::ledger::Repository;

impl Forge {
    /// Closes the packs of the repositories that were not read for longest, where more have theirs open than may. Call it now
    /// and then.
    pub(super) fn keep_stores(&self) {
        static ROUND: AtomicU64 = AtomicU64::new(1);
        let round = ROUND.fetch_add(1, Ordering::Relaxed);
        let open = |repository: Arc<Repository>| Some((repository.store().last_read(round)?, repository));
        let mut open: Vec<_> = self.all_repositories().into_iter().filter_map(open).collect();
        let beyond = open.len().saturating_sub(self.config.limits.open_stores);
        open.sort_by_key(|(last, _)| *last);
        open.iter().take(beyond).for_each(|(_, repository)| repository.store().let_go());
    }

    /// Closes the packs of one that is through with a start, where there are more repositories than may have theirs open.
    pub(super) fn spare(&self, repository: &Repository) {
        // Agents count as well, which closes some packs for nothing; counting projects for each of them would be dearer.
        if self.root().fold.entities.len() > self.config.limits.open_stores {
            repository.store().let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use notes_schema::{Fact, ProjectName, RefName, event};

    use super::*;
    use crate::config::Config;
    use crate::ledger::{Author, Draft};
    use git::store::Objects as _;

    /// Projects of which this process has a file mapped.
    fn mapped(data: &Path) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let of_projects =
            maps.lines().filter_map(|line| line.rsplit_once(&*data.to_string_lossy())?.1.split_once(".git/"));
        of_projects
            .map(|(name, _)| name)
            .filter(|name| name.contains("small"))
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }

    #[test]
    fn of_many_repositories_few_have_their_packs_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        (config.data, config.limits.open_stores) = (dir.path().to_owned(), 3);
        let names: Vec<ProjectName> = (0..8).map(|n| format!("small-{n}").parse().unwrap()).collect();
        let forge = Forge::open(&config).unwrap();
        let main = RefName::branch("main").unwrap();
        for name in &names {
            let created = event::ProjectCreated { default_branch: main.clone(), description: String::new() };
            let (root, id) = (forge.root_repository().clone(), notes_schema::EntityId::Project(name.clone()));
            let register = || {
                let write = move |draft: &mut Draft| draft.event(&Author::forge(), &id, Fact::from(created), None, &[]);
                root.commit(write)
            };
            forge.create_project(name, &main, register).unwrap();
        }
        forge.close();
        let mut ending = forge;
        while let Err(shared) = Arc::try_unwrap(ending) {
            ending = shared;
            std::thread::yield_now();
        }
        let forge = Forge::open(&config).unwrap();
        let tip = |name: &ProjectName| forge.project(name).unwrap().snapshot().tip.unwrap();
        let read = |name: &ProjectName| forge.project(name).unwrap().store().get(tip(name)).is_ok();
        assert_eq!(mapped(dir.path()), 0, "a start leaves none open that it does not need");
        assert!(names.iter().all(read));
        assert_eq!(mapped(dir.path()), names.len());
        forge.keep_stores();
        assert!(names[6..].iter().all(read));
        forge.keep_stores();
        assert!(mapped(dir.path()) <= 3, "{} are open", mapped(dir.path()));
        assert!(names.iter().all(read), "what was let go is opened again");
    }
}
