//! A plain repository behind git's wire protocol: shown as its configuration has it, pushed to under stock git's rules.
//!
//! Invariant: a push is refused for the reasons and in the words of stock `git receive-pack` without hooks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use notes_schema::Oid;

use super::packed::{Entry, Peeled};
use super::reflog::Log;
use super::refs::Raw;
use super::settings::{Deny, Settings};
use super::transaction::{Change, Fault, Transaction};
use super::{Repository, complete, objects, shallow};
use crate::history;
use crate::name::FullName;
use crate::object::Kind;
use crate::pack::cache::PackCache;
use crate::pack::intake::{Limits, Overlay, Quarantine};
use crate::store::{Objects as _, ReadError, Store};
use crate::wire::{
    AdvertisedRef, Advertisement, FetchOffer, Head, Host, Push, PushOffer, PushOutcome, RefUpdate, Service,
};

/// How long a look at the refs answers for what was not in it.
const FRESH: Duration = Duration::from_millis(200);

/// How many of a push's own refs are asked first whether they reach what it rests on.
const NEAR: usize = 8;

const CURRENT: &str = "\
By default, updating the current branch in a non-bare repository
is denied, because it will make the index and work tree inconsistent
with what you pushed, and will require 'git reset --hard' to match
the work tree to HEAD.

You can set the 'receive.denyCurrentBranch' configuration variable
to 'ignore' or 'warn' in the remote repository to allow pushing into
its current branch; however, this is not recommended unless you
arranged to update its work tree to match what you pushed in some
other way.

To squelch this message and still keep the default behaviour, set
'receive.denyCurrentBranch' configuration variable to 'refuse'.";

const DELETE_CURRENT: &str = "\
By default, deleting the current branch is denied, because the next
'git clone' won't result in any file checked out, causing confusion.

You can set 'receive.denyDeleteCurrent' configuration variable to
'warn' or 'ignore' in the remote repository to allow deleting the
current branch, with or without a warning message.

To squelch this message, you can set it to 'refuse'.";

/// The repository on behalf of one client.
pub(super) struct PlainHost {
    repository: Arc<Repository>,
    settings: Arc<Settings>,
    limits: Limits,
    clones: Option<Arc<PackCache>>,
    tips: Mutex<Option<(Instant, Arc<HashSet<Oid>>)>>,
    checked_out: OnceLock<Vec<FullName>>,
}

impl PlainHost {
    pub(super) fn new(
        repository: Arc<Repository>,
        settings: Arc<Settings>,
        limits: Limits,
        clones: Option<Arc<PackCache>>,
    ) -> PlainHost {
        PlainHost { repository, settings, limits, clones, tips: Mutex::default(), checked_out: OnceLock::new() }
    }

    fn listed(&self, service: Service, prefixes: &[String]) -> std::io::Result<Advertisement> {
        let refs = &self.repository.refs;
        let mut asked: Vec<&str> =
            if prefixes.is_empty() { vec![""] } else { prefixes.iter().map(String::as_str).collect() };
        asked.sort_unstable();
        asked.dedup_by(|later, earlier| later.starts_with(*earlier));
        let hidden = self.settings.hidden(service);
        // Loose ones first: what is packed meanwhile is found in the file that is read after.
        let loose = refs.loose_below(&asked)?;
        let packed = refs.packed()?;
        let mut shown = Advertisement::default();
        let ranges: Vec<&[Entry]> = asked.iter().map(|prefix| packed.below(prefix)).collect();
        shown.refs.reserve(ranges.iter().map(|range| range.len()).sum::<usize>() + loose.len());
        let visible = |name: &str| hidden.is_empty() || !hidden.hides(name);
        let mut loose_tips = Vec::new();
        let mut place = |name: &FullName, raw: &Raw| {
            let (id, target) = match raw {
                Raw::Id(id) => (*id, None),
                Raw::Symbolic(_) => match refs.resolve(name.as_str()) {
                    Ok(Some((target, Some(id)))) => (id, Some(target)),
                    Ok(_) | Err(_) => return None,
                },
                Raw::Broken => return None,
            };
            let peeled = self.repository.peel(id)?;
            loose_tips.push(id);
            if let Some(target) = target {
                shown.symrefs.push((name.clone(), target));
            }
            Some(AdvertisedRef { name: name.clone(), id, peeled })
        };
        let mut rest = loose.iter().peekable();
        for entry in ranges.into_iter().flatten() {
            while let Some((name, raw)) = rest.next_if(|(name, _)| **name < entry.name) {
                shown.refs.extend(visible(name.as_str()).then(|| place(name, raw)).flatten());
            }
            if let Some((name, raw)) = rest.next_if(|(name, _)| **name == entry.name) {
                shown.refs.extend(visible(name.as_str()).then(|| place(name, raw)).flatten());
            } else if visible(entry.name.as_str()) {
                shown.refs.extend(self.packed_ref(entry));
            }
        }
        for (name, raw) in rest {
            shown.refs.extend(visible(name.as_str()).then(|| place(name, raw)).flatten());
        }
        shown.head = self.head().filter(|_| visible("HEAD"));
        shown.shallow = shallow::read(refs.dir())?.into_iter().collect();
        if service == Service::UploadPack {
            let head = shown.head.iter().filter_map(|head| head.id);
            self.repository.seen.note(&packed, loose_tips.into_iter().chain(head), Instant::now());
        }
        Ok(shown)
    }

    /// A packed ref whose object is there; looked for once.
    fn packed_ref(&self, entry: &Entry) -> Option<AdvertisedRef> {
        let peeled = match entry.peeled {
            Peeled::Unsaid => self.repository.peel(entry.id)?,
            Peeled::Not => None,
            Peeled::To(id) => Some(id),
        };
        if !entry.seen.load(Ordering::Relaxed) {
            if !self.repository.store().contains(entry.id) {
                return None;
            }
            entry.seen.store(true, Ordering::Relaxed);
        }
        Some(AdvertisedRef { name: entry.name.clone(), id: entry.id, peeled })
    }

    fn head(&self) -> Option<Head> {
        let refs = &self.repository.refs;
        let there = |id: Oid| self.repository.peel(id).map(|_| id);
        match refs.loose("HEAD").ok()?? {
            Raw::Id(id) => Some(Head { target: None, id: there(id) }),
            Raw::Symbolic(_) => {
                let (target, id) = refs.resolve("HEAD").ok()??;
                Some(Head { target: Some(target), id: id.and_then(there) })
            }
            Raw::Broken => None,
        }
    }

    /// All that may be wanted because it is a tip.
    fn tips(&self, fresh: bool) -> Arc<HashSet<Oid>> {
        let mut known = self.tips.lock().expect("invariant: no panic under this lock");
        if let Some((since, tips)) = &*known
            && (!fresh || since.elapsed() < FRESH)
        {
            return tips.clone();
        }
        let mut tips = HashSet::new();
        if let Ok(shown) = self.listed(Service::UploadPack, &[]) {
            tips.extend(shown.refs.iter().flat_map(|r| [Some(r.id), r.peeled]).flatten());
            tips.extend(shown.head.and_then(|head| head.id));
        }
        if self.settings.hidden_tips {
            tips.extend(self.all_tips());
        }
        let tips = Arc::new(tips);
        *known = Some((Instant::now(), tips.clone()));
        tips
    }

    /// The tips of all refs, shown or not.
    fn all_tips(&self) -> Vec<Oid> {
        let refs = &self.repository.refs;
        let loose = refs.loose_below(&[""]).unwrap_or_default();
        let mut tips: Vec<Oid> =
            loose.values().filter_map(|raw| if let Raw::Id(id) = raw { Some(*id) } else { None }).collect();
        if let Ok(packed) = refs.packed() {
            tips.extend(packed.entries().iter().map(|entry| entry.id));
        }
        tips
    }

    /// Branches that stand in a work tree.
    fn checked_out(&self) -> &[FullName] {
        self.checked_out.get_or_init(|| {
            let refs = &self.repository.refs;
            let mut heads = Vec::new();
            if !self.settings.bare {
                heads.extend(symbolic(refs.loose("HEAD").ok().flatten()));
            }
            let linked = std::fs::read_dir(refs.dir().join("worktrees")).into_iter().flatten().flatten();
            for tree in linked.filter_map(|tree| tree.file_name().into_string().ok()) {
                heads.extend(symbolic(refs.loose(&format!("worktrees/{tree}/HEAD")).ok().flatten()));
            }
            heads
        })
    }

    /// What can be said against `update` without its objects.
    fn judge(&self, update: &RefUpdate) -> Result<Vec<String>, String> {
        let (name, mut warnings) = (update.name.as_str(), Vec::new());
        if self.settings.hidden(Service::ReceivePack).hides(name) {
            let verb = if update.new.is_none() { "deleting" } else { "updating" };
            return Err(format!("deny {verb} a hidden ref"));
        }
        let here = self.checked_out().contains(&update.name);
        if here {
            match self.settings.deny_current {
                Deny::Ignore => {}
                Deny::Warn => warnings.push("warning: updating the current branch".to_owned()),
                deny @ (Deny::Refuse | Deny::Unset) => {
                    let advice = if deny == Deny::Unset { format!("\nerror: {CURRENT}") } else { String::new() };
                    return Err(format!(
                        "branch is currently checked out\nerror: refusing to update checked out branch: {name}{advice}"
                    ));
                }
            }
        }
        if update.new.is_some() {
            return Ok(warnings);
        }
        if self.settings.deny_deletes && name.starts_with("refs/heads/") {
            return Err(format!("deletion prohibited\nerror: denying ref deletion for {name}"));
        }
        let is_head = || self.head().and_then(|head| head.target).as_ref() == Some(&update.name);
        if here || is_head() {
            match self.settings.deny_delete_current {
                Deny::Ignore => {}
                Deny::Warn => warnings.push("warning: deleting the current branch".to_owned()),
                deny @ (Deny::Refuse | Deny::Unset) => {
                    let advice = if deny == Deny::Unset { format!("\nerror: {DELETE_CURRENT}") } else { String::new() };
                    return Err(format!(
                        "deletion of the current branch prohibited{advice}\n\
                         error: refusing to delete the current branch: {name}"
                    ));
                }
            }
        }
        Ok(warnings)
    }

    /// What can be said against `update` once its objects are known.
    fn judge_objects(&self, update: &RefUpdate, objects: &Overlay<'_>) -> Result<(), String> {
        let Some(new) = update.new else { return Ok(()) };
        let name = update.name.as_str();
        let is_branch = name.starts_with("refs/heads/");
        let is_commit = |id| objects.get_kind(id, Kind::Commit).is_ok();
        if let (true, true, Some(old)) = (self.settings.deny_non_fast_forwards, is_branch, update.old) {
            if !is_commit(old) || !is_commit(new) {
                return Err(format!("bad ref\nerror: Bad sha1 objects for {name}"));
            }
            if !history::is_ancestor(objects, old, new).unwrap_or(false) {
                return Err(format!(
                    "non-fast-forward\nerror: denying non-fast-forward {name} (you should pull first)"
                ));
            }
        }
        if is_branch && !is_commit(new) {
            let why = format!("trying to write non-commit object {new} to branch '{name}'");
            return Err(format!("failed to update ref\nerror: cannot update ref '{name}': {why}"));
        }
        Ok(())
    }

    /// Whether nothing is missing below what a push rests on. Where history is cut off, that is not to be told.
    fn is_whole(
        &self,
        updates: &[RefUpdate],
        quarantine: &Quarantine,
        store: &Store,
        cut: bool,
    ) -> Result<(), ReadError> {
        if cut || !shallow::read(self.repository.dir()).unwrap_or_default().is_empty() {
            return Ok(());
        }
        let new: Vec<Oid> = updates.iter().filter_map(|update| update.new).collect();
        let head = self.head().and_then(|head| head.id);
        let is_commit = |id: &Oid| store.kind(*id).is_ok_and(|kind| kind == Some(Kind::Commit));
        let current = |update: &RefUpdate| self.repository.refs.value(&update.name).ok().flatten();
        let near = updates.iter().take(NEAR).filter_map(current).chain(head).filter(is_commit);
        complete::check(quarantine, store, &new, &near.collect::<Vec<_>>(), &|| self.all_tips())
    }

    /// The refs that the updates finally change, or why not: a symbolic one passes its update on.
    fn changes(&self, updates: &[RefUpdate]) -> Vec<Result<Change, String>> {
        let refs = &self.repository.refs;
        let mut changes: Vec<Result<Change, String>> = updates
            .iter()
            .map(|update| {
                let (old, new) = (update.old, update.new);
                let change = |name: FullName, through| Change { name, through, old, new };
                match refs.loose(update.name.as_str()) {
                    Ok(Some(Raw::Symbolic(_))) => match refs.resolve(update.name.as_str()) {
                        Ok(Some((target, _))) => Ok(change(target, Some(update.name.clone()))),
                        Ok(None) | Err(_) => {
                            Err(format!("broken symref\nerror: refusing update to broken symref '{}'", update.name))
                        }
                    },
                    Ok(_) | Err(_) => Ok(change(update.name.clone(), None)),
                }
            })
            .collect();
        let mut times: HashMap<FullName, usize> = HashMap::new();
        changes.iter().flatten().for_each(|change| *times.entry(change.name.clone()).or_default() += 1);
        for change in &mut changes {
            if change.as_ref().is_ok_and(|c| times.get(&c.name).is_some_and(|&n| n > 1)) {
                let other = |c: &Change| updates.iter().find(|u| u.name == c.name).map(|target| aliased(c, target));
                let said = change.as_ref().ok().and_then(|c| c.through.as_ref().and_then(|_| other(c)));
                *change = Err(format!("inconsistent aliased update{}", said.unwrap_or_default()));
            }
        }
        changes
    }

    /// Applies what is left of a push; one answer per update.
    fn apply(&self, updates: &[RefUpdate], atomic: bool) -> Vec<Result<(), String>> {
        let changes = self.changes(updates);
        if atomic && changes.iter().any(Result::is_err) {
            return changes.into_iter().map(|c| Err(c.err().unwrap_or_else(|| "atomic push failure".into()))).collect();
        }
        let ready: Vec<Change> = changes.iter().flatten().cloned().collect();
        let log =
            Log { kept: self.settings.logged, who: &self.settings.who, head: self.head().and_then(|head| head.target) };
        let peel = |id| self.repository.peel(id).flatten();
        let transaction = Transaction { refs: &self.repository.refs, peel: &peel, log };
        let mut done = transaction.run(&ready, atomic).into_iter();
        let told = |fault: Fault| {
            let what = if atomic { "atomic transaction failed" } else { "failed to update ref" };
            format!("{what}\nerror: {}", fault.why)
        };
        let answer = |change: Result<Change, String>| match change {
            Ok(_) => done.next().unwrap_or(Ok(())).map_err(told),
            Err(why) => Err(why),
        };
        changes.into_iter().map(answer).collect()
    }
}

/// In git's words: a symbolic ref and what it names were both to be changed.
fn aliased(change: &Change, target: &RefUpdate) -> String {
    let short = |id: Option<Oid>| id.map_or_else(|| "0".repeat(7), |id| id.short());
    let of = |old, new| format!("{}..{}", short(old), short(new));
    let through = change.through.as_ref().map_or_else(String::new, |name| name.to_string());
    format!(
        "\nerror: refusing inconsistent update between symref '{through}' ({}) and its target '{}' ({})",
        of(change.old, change.new),
        target.name,
        of(target.old, target.new)
    )
}

fn symbolic(raw: Option<Raw>) -> Option<FullName> {
    match raw {
        Some(Raw::Symbolic(target)) => target.parse().ok(),
        _ => None,
    }
}

impl Host for PlainHost {
    fn advertise(&self, service: Service, prefixes: &[String]) -> Advertisement {
        self.listed(service, prefixes).unwrap_or_else(|e| {
            tracing::error!("{}: refs: {e}", self.repository.dir().display());
            Advertisement::default()
        })
    }

    fn fetch_offer(&self) -> FetchOffer {
        self.settings.fetch.clone()
    }

    fn push_offer(&self) -> PushOffer {
        self.settings.push.clone()
    }

    fn may_want(&self, id: Oid) -> bool {
        let hidden = self.settings.hidden(Service::UploadPack);
        self.tips(false).contains(&id)
            || self.tips(true).contains(&id)
            || self.repository.seen.holds(id, Instant::now(), |name| !hidden.hides(name))
    }

    fn store(&self) -> Arc<Store> {
        self.repository.store()
    }

    fn git_dir(&self) -> &Path {
        self.repository.dir()
    }

    fn clones(&self) -> Option<Arc<PackCache>> {
        self.clones.clone()
    }

    fn flush_refs(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn precheck(&self, update: &RefUpdate) -> Result<(), String> {
        self.judge(update).map(drop)
    }

    fn receive(&self, push: Push) -> PushOutcome {
        let Push { updates, atomic, quarantine, shallow, .. } = push;
        let mut messages = Vec::new();
        let mut refused: BTreeMap<usize, String> = BTreeMap::new();
        {
            let store = self.repository.store();
            let objects = Overlay { quarantine: &quarantine, store: &store };
            let whole = self.is_whole(&updates, &quarantine, &store, !shallow.is_empty());
            for (number, update) in updates.iter().enumerate() {
                if let (Err(e), Some(_)) = (&whole, update.new) {
                    refused.insert(number, format!("missing necessary objects\nerror: {e}"));
                    continue;
                }
                match self.judge(update).and_then(|said| self.judge_objects(update, &objects).map(|()| said)) {
                    Ok(said) => messages.extend(said),
                    Err(why) => drop(refused.insert(number, why)),
                }
            }
        }
        let all = |why: &str| PushOutcome {
            results: updates
                .iter()
                .enumerate()
                .map(|(n, u)| (u.name.clone(), Err(refused.get(&n).cloned().unwrap_or_else(|| why.to_owned()))))
                .collect(),
            messages: Vec::new(),
        };
        if refused.len() == updates.len() || (atomic && !refused.is_empty()) {
            return all("atomic push failure");
        }
        let kept = objects::land(quarantine, self.repository.dir(), self.settings.unpack_limit)
            .and_then(|()| shallow::add(self.repository.dir(), &shallow));
        if let Err(e) = kept {
            tracing::error!("{}: a push cannot be kept: {e}", self.repository.dir().display());
            return all("unable to migrate objects to permanent storage");
        }
        let open: Vec<RefUpdate> =
            updates.iter().enumerate().filter(|(n, _)| !refused.contains_key(n)).map(|(_, u)| u.clone()).collect();
        let mut done = self.apply(&open, atomic).into_iter();
        let results = updates.into_iter().enumerate().map(|(number, update)| {
            let result = match refused.remove(&number) {
                Some(why) => Err(why),
                None => done.next().unwrap_or_else(|| Err("failed to update ref".to_owned())),
            };
            (update.name, result)
        });
        PushOutcome { results: results.collect(), messages }
    }
}
