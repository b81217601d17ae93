//! The Tantivy index behind the feed's lists and `search`.
//!
//! Never truth: everything in here is copied from the ledger and says which moment of each project it reflects.
//! Delete it, or open one that is damaged or of another version, and it comes back empty: the caller sees in
//! [`Index::reflects`] what is missing and hands it in again with [`Index::rebuild`].
//!
//! # Own writes at once, without a commit each
//!
//! A Tantivy commit costs tens of milliseconds and syncs several files. So a write only lays its items over the index, in
//! memory, in microseconds; every query from then on sees them. One background thread commits what has gathered: two
//! seconds after the first write, or as soon as 256 items or 2 MiB wait. While it commits, queries see the layer that is
//! being committed above the old index; they never wait for it. Past 2,048 items or 16 MiB a write waits for the commit
//! under way, so memory is bounded (by one rebuild's own items where that is more).
//!
//! A query asks Tantivy, leaves out what the layers replace, and looks at each item in the layers with the same words and
//! conditions: microseconds per item without text; the first query with text also splits the item into words, once.
//! Nothing is lost in a crash that the ledger does not have: what was not committed, [`Index::reflects`] does not claim.
//!
//! # Order
//!
//! Lists are ordered by forge-wide numbers of events, newest first, and by a digest of the reference where two are
//! equal; `search` puts items whose title says it all before the others. There are no scores: those of Tantivy depend on
//! how documents lie in segments, and two forges on the same repositories must print the same bytes.
//!
//! # What people type
//!
//! Words (all must occur, in title or body; `foo_bar` is the phrase `foo bar`), `"phrases"`, `is:open|closed|merged`,
//! `is:issue|pr|project`, `label:x`, `author:x`, `project:x`, `lang:x`, values in quotes where they hold spaces, and
//! `parser#7`, which finds that item and those that mention it. An unknown qualifier is plain words. Beyond 1,024 bytes,
//! 24 conditions or 24 words in a phrase the rest is not looked at. Text that holds no word at all finds nothing.

mod item;
mod overlay;
mod query;
mod store;
mod text;
pub mod trigrams;
mod worker;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use notes_schema::ProjectName;

pub use item::{Cursor, CursorError, Item, Kind, MAX_BODY, State};
pub use query::{Filter, Sort, misread};
pub use store::Moment;

use item::{Prepared, list_order};
use overlay::View;
use query::Plan;
use store::{Hidden, Top};
use worker::Worker;

/// Longest list that is answered at once.
/// Limit: items of one list out of the index | {}; the answer goes on behind the last
pub const MAX_LIMIT: usize = 1000;
/// Longest title in a hit, in characters.
/// Limit: title in a hit | {} characters, then `…`
const MAX_HIT_TITLE: usize = 200;

/// Why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process, or another value in this one, writes to the directory.
    #[error("the search index is in use by another process; stop that one first")]
    Busy,
    /// What is on disk is not what was written. [`Index::open`] mends this.
    #[error("the search index is damaged: {0}; it is rebuilt at the next start")]
    Damaged(String),
    /// A write was not taken because commits fail and memory is full. Only [`Index::rebuild`] brings the project back.
    #[error("the search index could not keep up and no longer follows {0}; free disk space, then rebuild it")]
    Behind(ProjectName),
    /// Committing failed; what waits is kept and tried again.
    #[error("the search index could not be written: {0}; it is tried again")]
    Commit(String),
    /// The directory cannot be used.
    #[error("the search index's directory cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// Tantivy refused.
    #[error("the search index failed: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
}

/// One find.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Hit {
    /// The project.
    pub project: ProjectName,
    /// The number in it; 0 for the project itself.
    pub n: u64,
    /// What it is.
    pub kind: Kind,
    /// Its state.
    pub state: State,
    /// Its title on one line, without control characters.
    pub title: String,
    /// Plain text around the first word that was found: one line, bounded, without control characters. Written by agents.
    pub snippet: String,
}

/// An open index. All methods may be called from any thread; none blocks for long except [`Index::flush`], and
/// [`Index::update`] where more waits than memory should hold. Dropping it does not commit.
pub struct Index {
    worker: Worker,
}

impl Index {
    /// Opens the index in `dir`, a directory that is wholly its own, or makes one. Answers with the moment that it
    /// reflects of each project; one that is damaged or of another version is wiped, with a warning, and reflects nothing.
    pub fn open(dir: &Path) -> Result<(Index, HashMap<ProjectName, Moment>), Error> {
        let (worker, reflects) = Worker::start(dir)?;
        Ok((Index { worker }, reflects))
    }

    /// Puts items: each replaces the one with its project and number. `reflects` is the moment of `project` that
    /// the index then reflects; call in ledger order. Items of other projects than `project` are left out.
    pub fn update(&self, project: &ProjectName, reflects: Moment, items: Vec<Item>) -> Result<(), Error> {
        let items = prepare(project, items);
        self.worker.change(Some(project), false, |state| {
            items.into_iter().for_each(|item| state.fresh.put(item));
            state.reflects.insert(project.clone(), reflects);
        })
    }

    /// Replaces all of a project's items at once; no query sees a state between. Mends [`Error::Behind`].
    pub fn rebuild(&self, project: &ProjectName, reflects: Moment, items: Vec<Item>) -> Result<(), Error> {
        let items = prepare(project, items);
        self.worker.change(Some(project), true, |state| {
            state.fresh.drop_project(project);
            items.into_iter().for_each(|item| state.fresh.put(item));
            state.reflects.insert(project.clone(), reflects);
        })
    }

    /// Forgets a project.
    pub fn remove_project(&self, project: &ProjectName) -> Result<(), Error> {
        self.worker.change(Some(project), true, |state| {
            state.fresh.drop_project(project);
            state.reflects.remove(project);
        })
    }

    /// Forgets everything.
    pub fn clear(&self) -> Result<(), Error> {
        self.worker.change(None, true, |state| {
            state.fresh.clear();
            state.reflects.clear();
        })
    }

    /// The moment that queries reflect of each project, uncommitted writes included.
    pub fn reflects(&self) -> HashMap<ProjectName, Moment> {
        self.worker.lock().reflects.clone()
    }

    /// Commits everything written so far to disk.
    pub fn flush(&self) -> Result<(), Error> {
        self.worker.flush()
    }

    /// The first `limit` (at most [`MAX_LIMIT`]) items that match, after the item at `after`.
    pub fn list(&self, filter: &Filter, limit: usize, after: Option<Cursor>) -> Result<Vec<Arc<Item>>, Error> {
        Ok(self.ask(&Plan::of(filter), filter.sort, limit, after)?.1)
    }

    /// How many items match.
    pub fn count(&self, filter: &Filter) -> Result<u64, Error> {
        Ok(self.ask(&Plan::of(filter), filter.sort, 0, None)?.0)
    }

    /// The first `limit` finds: items whose title says it all, then the others, each by latest activity.
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<Hit>, Error> {
        let filter = Filter { text: text.to_owned(), sort: Sort::Active, ..Filter::default() };
        let mut plan = Plan::of(&filter);
        let mut found: Vec<Arc<Item>> = Vec::new();
        if plan.phrases().next().is_some() {
            plan.in_title = true;
            found = self.ask(&plan, filter.sort, limit, None)?.1;
            plan.in_title = false;
        }
        if found.len() < limit {
            // Those are all that match by title, so among the first `limit` of all stand enough others.
            let all = self.ask(&plan, filter.sort, limit, None)?.1;
            let by_title: HashSet<(ProjectName, u64)> = found.iter().map(|f| (f.project.clone(), f.n)).collect();
            found.extend(all.into_iter().filter(|item| !by_title.contains(&(item.project.clone(), item.n))));
            found.truncate(limit);
        }
        let needles: Vec<&str> = plan.phrases().flatten().map(String::as_str).collect();
        Ok(found.iter().map(|item| hit(item, &needles)).collect())
    }

    fn ask(
        &self,
        plan: &Plan,
        sort: Sort,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<(u64, Vec<Arc<Item>>), Error> {
        let limit = limit.min(MAX_LIMIT);
        let (searcher, view) = self.worker.view();
        let View { items, hidden, dropped, cleared } = view;
        let above: Vec<_> = items.into_iter().filter(|item| plan.matches(item)).collect();
        let mut count = above.len() as u64;
        let mut found: Vec<(Cursor, Find)> = above
            .into_iter()
            .map(|item| (item.cursor(sort), Find::Above(item)))
            .filter(|(cursor, _)| after.is_none_or(|after| *cursor < after))
            .collect();
        let store = &self.worker.shared.store;
        if !cleared {
            let projects = dropped.iter().map(|project| item::tie(project.as_str())).collect();
            let hidden = Arc::new(Hidden { items: hidden, projects });
            let (below, best) = store.top(&searcher, plan, Top { sort, after, limit, hidden })?;
            count += below;
            found.extend(best.into_iter().map(|(cursor, address)| (cursor, Find::Below(address))));
        }
        found.sort_by(|a, b| list_order(&a.0, &b.0));
        found.truncate(limit);
        let read = |find| match find {
            Find::Above(item) => Ok(item.item.clone()),
            Find::Below(address) => store.item(&searcher, address),
        };
        let items: Result<Vec<Arc<Item>>, Error> =
            found.into_iter().map(|(_, find)| read(find).map(Arc::new)).collect();
        Ok((count, items?))
    }
}

/// Where a match was found.
enum Find {
    Above(Arc<Prepared>),
    Below(tantivy::DocAddress),
}

fn prepare(project: &ProjectName, items: Vec<Item>) -> Vec<Arc<Prepared>> {
    items.into_iter().filter(|item| item.project == *project).map(|item| Arc::new(Prepared::of(item))).collect()
}

fn hit(item: &Item, needles: &[&str]) -> Hit {
    Hit {
        project: item.project.clone(),
        n: item.n,
        kind: item.kind,
        state: item.state,
        title: text::one_line(&item.title, MAX_HIT_TITLE),
        snippet: text::snippet(&item.body, needles),
    }
}
