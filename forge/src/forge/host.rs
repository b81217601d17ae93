//! A repository behind git's wire protocol, on behalf of one actor: what it is shown, and where its pushes go.
//!
//! Invariant: what an actor may fetch is what refs reach, and for some minutes what they reached.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use notes_schema::{AgentName, Oid, ProjectName, RefName, refs};

use super::push::{RefUpdate, has_room, is_done, judge_ref, line, receive};
use super::{Forge, certificate};
use crate::answer::{Code, Refusal};
use crate::authority::{self, Actor, AgentActor};
use crate::gate::View;
use crate::ledger::{KnownRecord, Published, Repository, Snapshot, UnderWay, fault};
use git::name::FullName;
use git::pack::cache::PackCache;
use git::pack::intake::Limits;
use git::packed_refs::RefValue;
use git::store::Store;
use git::wire::{
    self, AdvertisedRef, Advertisement, FetchOffer, Filters, Head, Host, Push, PushOffer, PushOutcome, Service, Wants,
};

/// Most retired tips that are remembered.
/// Limit: tips that are remembered for that | {}
const MOST_RETIRED: usize = 100_000;

/// Which tips may be fetched besides those of now: those of the last minutes.
pub(super) struct Visible {
    /// How long a tip that was advertised may still be asked for.
    kept: Duration,
    retired: Mutex<HashMap<Oid, Instant>>,
}

impl Visible {
    fn new(kept: Duration) -> Visible {
        Visible { kept, retired: Mutex::default() }
    }

    fn may_want(&self, snapshot: &Snapshot, id: Oid) -> bool {
        let retired = || self.retired.lock().expect("invariant: no panic under this lock").get(&id).copied();
        snapshot.is_tip(id) || retired().is_some_and(|since| since.elapsed() < self.kept)
    }

    /// Tips of the last minutes.
    pub(super) fn still_fetchable(&self) -> Vec<Oid> {
        let retired = self.retired.lock().expect("invariant: no panic under this lock");
        retired.iter().filter(|(_, since)| since.elapsed() < self.kept).map(|(id, _)| *id).collect()
    }

    fn retire(&self, published: &Published) {
        let mut retired = self.retired.lock().expect("invariant: no panic under this lock");
        let now = Instant::now();
        retired.extend(published.refs.iter().filter_map(|line| line.old).map(|id| (id, now)));
        // The ledger's own tip moves with every batch but stands in no line of it.
        retired.extend(published.before.map(|id| (id, now)));
        if retired.len() > MOST_RETIRED {
            retired.retain(|_, since| since.elapsed() < self.kept / 5);
        }
    }
}

impl Forge {
    pub(super) fn visible(&self, project: &ProjectName) -> Arc<Visible> {
        let mut caches = self.push_caches.lock().expect("invariant: no panic under this lock");
        let kept = self.config.limits.retired();
        caches.entry(project.clone()).or_insert_with(|| Arc::new(Visible::new(kept))).clone()
    }

    pub(super) fn retire_tips(&self, published: &Published) {
        self.visible(&published.snapshot.project).retire(published);
    }
}

/// Opens the repository at `path` for `service`, if `actor` may.
pub(super) fn host(forge: &Arc<Forge>, path: &str, actor: &Actor, service: Service) -> Result<Arc<dyn Host>, Refusal> {
    let name = path.trim_start_matches('/').trim_end_matches('/');
    let name = name.strip_suffix(".git").unwrap_or(name);
    let project: ProjectName =
        name.parse().map_err(|e| Refusal::new(Code::NotFound, "repository", format!("{e}"), "project list"))?;
    let operation = authority::git(service, &project);
    authority::permit(actor, forge.rank(actor), operation, Some(&project), forge.config().read)?;
    if service == Service::ReceivePack {
        forge.writable()?;
    }
    let repository = forge.project(&project)?;
    let visible = forge.visible(&project);
    let (actor, push) = (actor.clone(), OnceLock::new());
    Ok(Arc::new(RepositoryHost { forge: forge.clone(), repository, actor, visible, push }))
}

struct RepositoryHost {
    forge: Arc<Forge>,
    repository: Arc<Repository>,
    actor: Actor,
    visible: Arc<Visible>,
    /// From a push's first question until nobody works on it any more: nothing that it rests on may go meanwhile.
    push: OnceLock<UnderWay>,
}

impl Host for RepositoryHost {
    fn advertise(&self, service: Service, prefixes: &[String]) -> Advertisement {
        let snapshot = self.repository.snapshot();
        let mut shown = match (service, prefixes) {
            (Service::ReceivePack, _) => shown_to_pusher(&snapshot, self.actor.agent()),
            (Service::UploadPack, []) => below(&snapshot, &[String::new()]),
            (Service::UploadPack, prefixes) => below(&snapshot, prefixes),
        };
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let id = snapshot.default_tip();
        Advertisement {
            refs: shown,
            head: Some(Head { target: snapshot.head.as_ref().map(FullName::from), id }),
            ..Advertisement::default()
        }
    }

    fn fetch_offer(&self) -> FetchOffer {
        FetchOffer {
            wants: Wants::Reachable,
            filters: Filters { served: true, ..Filters::default() },
            // Who is offered this asks by name, and gets some refs of the moment of the fetch beside others of the moment of
            // the list: a copy that the ledger contradicts. By id all are of one moment; tips that moved meanwhile are kept.
            want_ref: false,
            sideband_all: true,
            object_info: true,
            unborn: true,
        }
    }

    fn push_offer(&self) -> PushOffer {
        let certificates = Some(self.forge.nonces.clone());
        PushOffer { atomic: true, options: true, certificates, ..PushOffer::default() }
    }

    fn may_want(&self, id: Oid) -> bool {
        self.visible.may_want(&self.repository.snapshot(), id)
    }

    fn store(&self) -> Arc<Store> {
        self.repository.store().clone()
    }

    fn git_dir(&self) -> &Path {
        self.repository.git_dir()
    }

    fn clones(&self) -> Option<Arc<PackCache>> {
        self.forge.clones.clone()
    }

    fn flush_refs(&self) -> std::io::Result<()> {
        self.repository.flush()
    }

    fn limits(&self) -> Limits {
        let limits = self.forge.config().limits.of_packs();
        Limits { pack_bytes: limits.pack_bytes.min(self.forge.pack_room(&self.repository)), ..limits }
    }

    fn too_large(&self) -> Option<String> {
        // Where it is no budget of disk, the one for a single push is what it is.
        let (agent, beyond) = (self.actor.agent()?, self.forge.config().limits.pack_bytes);
        self.forge.has_room_for_pack(&self.repository, agent, beyond).err().map(|refusal| line(&refusal))
    }

    fn precheck(&self, update: &wire::RefUpdate) -> Result<(), String> {
        self.push.get_or_init(|| self.repository.pushes().begin());
        let update = &RefUpdate::of(update).map_err(|e| e.to_string())?;
        let agent = self.actor.agent().ok_or("only a registered agent may push")?;
        let (snapshot, root) = (self.repository.snapshot(), self.forge.root());
        let view = View::new(&snapshot, &root, self.repository.store().as_ref(), self.forge.now());
        if is_done(&snapshot, agent, update) {
            return Ok(());
        }
        let judged = judge_ref(&view, agent, update, &[]);
        let most = self.forge.config().limits.refs_each;
        judged.and_then(|()| has_room(&snapshot, agent, update, most)).map_err(|refusal| {
            self.forge.note_refusal(&agent.name, &refusal);
            line(&refusal)
        })
    }

    fn receive(&self, push: Push) -> PushOutcome {
        fault::point("push-quarantined");
        let names: Vec<FullName> = push.updates.iter().map(|u| u.name.clone()).collect();
        let refuse_all = |refusal: &Refusal| PushOutcome {
            results: names.iter().map(|name| (name.clone(), Err(line(refusal)))).collect(),
            messages: Vec::new(),
        };
        let Some(agent) = self.actor.agent() else {
            return refuse_all(&Refusal::new(
                Code::NotAllowed,
                "push",
                "only a registered agent may",
                "ssh forge help register",
            ));
        };
        let certificate = push.certificate.as_ref();
        let signed = certificate.map(|certificate| certificate::check(&self.forge.root(), &agent.name, certificate));
        match signed.transpose().and_then(|signed| receive(&self.forge, &self.repository, agent, push, signed)) {
            Ok(outcome) => outcome,
            Err(refusal) => refuse_all(&refusal),
        }
    }
}

/// Heads, tags, and what the pusher itself brought: all that a push can rest on.
fn shown_to_pusher(snapshot: &Snapshot, agent: Option<&AgentActor>) -> Vec<AdvertisedRef> {
    let own = agent.map(|agent| format!("{}{}/", refs::IN_PREFIX, agent.name));
    let prefixes: Vec<String> = ["refs/heads/", "refs/tags/"].map(str::to_owned).into_iter().chain(own).collect();
    let mut shown = below(snapshot, &prefixes);
    shown.extend(agent.into_iter().flat_map(|agent| folded_records(snapshot, &agent.name)));
    shown
}

/// The refs whose names begin with one of `prefixes`, each once, and of those that are folded the ones that are named whole;
/// costs by what it finds.
fn below(snapshot: &Snapshot, prefixes: &[String]) -> Vec<AdvertisedRef> {
    let mut found = Vec::new();
    let mut asked: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    asked.sort_unstable();
    asked.dedup();
    let mut listed: Option<&str> = None;
    for prefix in asked {
        let mut show = |(name, value): (&RefName, &RefValue)| {
            found.push(AdvertisedRef { name: name.into(), id: value.id, peeled: value.peeled });
        };
        snapshot.folded.get_key_value(prefix).into_iter().for_each(&mut show);
        if listed.is_some_and(|outer| prefix.starts_with(outer)) {
            continue;
        }
        listed = Some(prefix);
        let from = snapshot.refs.range::<_, str>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(name, _)| name.as_str().starts_with(prefix)).for_each(show);
    }
    found
}

/// Most folded records that a pusher is shown.
/// Limit: records whose refs are gone that a pusher is shown | {}; of the others it sends again, and is told ok
const MOST_FOLDED: usize = 4096;

/// Records of the pusher whose refs are gone: shown as if they were there, or git would send them all with each push.
fn folded_records<'a>(snapshot: &'a Snapshot, agent: &'a AgentName) -> impl Iterator<Item = AdvertisedRef> + 'a {
    let newest = snapshot.records_of(agent).rev().take(MOST_FOLDED);
    // Those that went with their month are not there to rest on.
    let is_there = |record: &&Arc<KnownRecord>| !snapshot.is_dropped(record);
    newest.filter(is_there).filter(|record| !snapshot.refs.contains_key(&record.name)).map(|record| AdvertisedRef {
        name: (&record.name).into(),
        id: record.commit,
        peeled: None,
    })
}

/// Commits of the records that are shown to those who pushed them though their refs are gone.
pub(super) fn records_shown(snapshot: &Snapshot) -> impl Iterator<Item = Oid> + '_ {
    snapshot.recorders().flat_map(|agent| folded_records(snapshot, agent)).map(|shown| shown.id)
}
