//! Which objects a client may have: what the shown refs are, or reach, as far as the host offers that.
//!
//! Invariant: an object that no shown ref reaches is answered like one that never existed, in every version of the
//! protocol.

use std::sync::Arc;

use notes_schema::Oid;

use super::Asked;
use crate::history;
use crate::select::ids::IdSet;
use crate::select::{SelectError, reach};
use crate::wire::{AdvertisedRef, Host, Service, Wants, WireError};

/// What git tries, in this order, where a person names a ref.
const RULES: [(&str, &str); 6] = [
    ("", ""),
    ("refs/", ""),
    ("refs/tags/", ""),
    ("refs/heads/", ""),
    ("refs/remotes/", ""),
    ("refs/remotes/", "/HEAD"),
];

/// Refuses ids that may not be wanted.
pub fn wants(asked: &Asked, wants: &[Oid]) -> Result<(), WireError> {
    let host = &*asked.host;
    let others: Vec<Oid> = wants.iter().copied().filter(|&id| !host.may_want(id)).collect();
    let hidden = match asked.wants {
        _ if others.is_empty() => None,
        Wants::Advertised | Wants::Tips => others.first().copied(),
        Wants::Any => others.into_iter().find(|&id| !matches!(host.store().kind(id), Ok(Some(_)))),
        Wants::Reachable => {
            let found = visible(asked, &others.iter().copied().collect())?;
            others.into_iter().find(|id| !found.contains(id))
        }
    };
    match hidden {
        Some(id) => Err(WireError::Refused(format!("upload-pack: not our ref {id}"))),
        None => Ok(()),
    }
}

/// Those of `ids` that a shown ref reaches.
pub fn visible(asked: &Asked, ids: &IdSet) -> Result<IdSet, WireError> {
    if ids.is_empty() {
        return Ok(IdSet::default());
    }
    let shown = asked.host.advertise(Service::UploadPack, &[]);
    let is_branch = |item: &&AdvertisedRef| item.name.as_str().starts_with("refs/heads/");
    let branches = shown.refs.iter().filter(is_branch).chain(shown.refs.iter().filter(|item| !is_branch(item)));
    let head = shown.head.iter().filter_map(|head| head.id);
    let tips: Vec<Oid> = head.chain(branches.map(|item| item.id)).collect();
    asked.watched(|watch| reach::reached(&asked.host.store(), &tips, ids, reach::BUDGET, watch))
}

/// The refs of `names`, as shown.
pub fn refs(host: &dyn Host, names: &[String]) -> Result<Vec<(Oid, String)>, WireError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let shown = host.advertise(Service::UploadPack, names);
    let find = |name: &String| {
        let listed = shown.refs.binary_search_by(|item| item.name.as_str().cmp(name)).ok();
        match (listed, &shown.head) {
            (Some(at), _) => Some(shown.refs[at].id),
            (None, Some(head)) if name == "HEAD" => head.id,
            (None, _) => None,
        }
    };
    let named = |name: &String| match find(name) {
        Some(id) => Ok((id, name.clone())),
        None => Err(WireError::Refused(format!("unknown ref {name}"))),
    };
    names.iter().map(named).collect()
}

/// What a person's `name` of a ref stands for, if that is one shown ref.
pub fn by_short_name(host: &dyn Host, name: &str) -> Option<Oid> {
    let full = RULES.map(|(before, after)| format!("{before}{name}{after}"));
    let shown = host.advertise(Service::UploadPack, &full);
    let head = shown.head.and_then(|head| head.id).filter(|_| name == "HEAD");
    let matching = shown.refs.into_iter().filter(|item| full.iter().any(|full| full == item.name.as_str()));
    let mut found = head.into_iter().chain(matching.map(|item| item.id));
    match (found.next(), found.next()) {
        (Some(id), None) => Some(id),
        _ => None,
    }
}

/// The blob behind the `name` (an id, or `<ref>:<path>`) of a sparse filter.
pub fn blob(asked: &Asked, name: &str) -> Result<Option<Oid>, WireError> {
    let store = asked.host.store();
    let found = match name.split_once(':') {
        None => name.parse().ok(),
        Some((tip, path)) => {
            let within = |tip| {
                let commit = history::peel(&*store, tip).ok()?;
                let tree = crate::store::Objects::commit(&*store, commit).ok()?.tree;
                history::entry_at(&*store, tree, path).ok()?
            };
            by_short_name(&*asked.host, tip).and_then(within).map(|entry| entry.id)
        }
    };
    let Some(id) = found else { return Ok(None) };
    Ok(visible(asked, &std::iter::once(id).collect())?.contains(&id).then_some(id))
}

impl Asked {
    /// Runs `work` until it is done or the client is gone.
    pub fn watched<T>(
        &self,
        work: impl FnOnce(&mut crate::select::Watch<'_>) -> Result<T, SelectError>,
    ) -> Result<T, WireError> {
        let gone = Arc::clone(&self.gone);
        let mut told = move |_| !gone.load(std::sync::atomic::Ordering::Relaxed);
        work(&mut crate::select::Watch::new(&mut told)).map_err(WireError::from)
    }
}
