//! A repository behind git's wire protocol, on behalf of one actor: what it is shown, and what becomes of its pushes.
//!
//! Invariant: a push is judged by `hooks` on the very state it is written onto, and everything it causes (branch, round,
//! records) rides in one batch.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hooks::push::{self as rules, PushedRef};
use hooks::record::{self, Incoming, RecordVerdict, Taken};
use hooks::secrets::Searched;
use notes_schema::batch::{PackLine, PushLine, RecordLine};
use notes_schema::event::{Level, Proof, PullRound};
use notes_schema::{EntityId, NameError, Oid, ProjectName, RefName, refs};

use super::signature::{self, Signature};
use super::{Forge, certificate};
use crate::answer::{Code, Refusal};
use crate::authority::{self, Actor, AgentActor, Needs};
use crate::gate::{self, View, Work};
use crate::ledger::{Author, Draft, NewRecord, Published, Repository, Snapshot, fault, record_files};
use crate::state::PullStatus;
use git::history;
use git::name::FullName;
use git::object::Kind;
use git::pack::cache::PackCache;
use git::pack::intake::{Kept, Limits, Overlay, Quarantine};
use git::store::{Objects, Over, Store};
use git::wire::{
    self, AdvertisedRef, Advertisement, FetchOffer, Filters, Head, Host, Push, PushOffer, PushOutcome, Service, Wants,
};

/// How long a tip that was advertised may still be asked for.
const RETIRED: Duration = Duration::from_secs(300);
/// Most retired tips that are remembered.
const MOST_RETIRED: usize = 100_000;

/// Which tips may be fetched besides those of now: those of the last minutes.
#[derive(Default)]
pub(super) struct Visible {
    retired: Mutex<HashMap<Oid, Instant>>,
}

impl Visible {
    fn may_want(&self, snapshot: &Snapshot, id: Oid) -> bool {
        let retired = || self.retired.lock().expect("invariant: no panic under this lock").get(&id).copied();
        snapshot.is_tip(id) || retired().is_some_and(|since| since.elapsed() < RETIRED)
    }

    fn retire(&self, published: &Published) {
        let mut retired = self.retired.lock().expect("invariant: no panic under this lock");
        let now = Instant::now();
        retired.extend(published.refs.iter().filter_map(|line| line.old).map(|id| (id, now)));
        // The ledger's own tip moves with every batch but stands in no line of it.
        retired.extend(published.before.map(|id| (id, now)));
        if retired.len() > MOST_RETIRED {
            retired.retain(|_, since| since.elapsed() < RETIRED / 5);
        }
    }
}

impl Forge {
    pub(super) fn visible(&self, project: &ProjectName) -> Arc<Visible> {
        let mut caches = self.push_caches.lock().expect("invariant: no panic under this lock");
        caches.entry(project.clone()).or_default().clone()
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
    let (needs, verb) = match service {
        Service::UploadPack => (Needs::Read, "fetch"),
        Service::ReceivePack => (Needs::Agent, "push"),
    };
    authority::permit(actor, needs, verb, Some(&project), forge.config().read)?;
    if project.is_forge() && service == Service::ReceivePack {
        return Err(Refusal::new(Code::NotAllowed, "push forge", "only the forge itself writes it", "help"));
    }
    let repository = forge.project(&project)?;
    let visible = forge.visible(&project);
    Ok(Arc::new(RepositoryHost { forge: forge.clone(), repository, actor: actor.clone(), visible }))
}

/// One command of a push under a name that this forge stores.
#[derive(Clone)]
struct RefUpdate {
    name: RefName,
    old: Option<Oid>,
    new: Option<Oid>,
}

impl RefUpdate {
    fn of(update: &wire::RefUpdate) -> Result<RefUpdate, NameError> {
        Ok(RefUpdate { name: update.name.as_str().parse()?, old: update.old, new: update.new })
    }
}

struct RepositoryHost {
    forge: Arc<Forge>,
    repository: Arc<Repository>,
    actor: Actor,
    visible: Arc<Visible>,
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
            want_ref: true,
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
        self.forge.config().limits.of_packs()
    }

    fn precheck(&self, update: &wire::RefUpdate) -> Result<(), String> {
        let update = &RefUpdate::of(update).map_err(|e| e.to_string())?;
        let agent = self.actor.agent().ok_or("only a registered agent may push")?;
        let (snapshot, root) = (self.repository.snapshot(), self.forge.root());
        let view = View::new(&snapshot, &root, self.repository.store().as_ref(), self.forge.now());
        if is_done(&snapshot, agent, update) {
            return Ok(());
        }
        judge_ref(&view, agent, update, &[]).map_err(|r| line(&r))
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
    shown.extend(agent.into_iter().flat_map(|agent| folded_records(snapshot, agent)));
    shown
}

/// The refs whose names begin with one of `prefixes`, none of which begins with another; costs by what it finds.
fn below(snapshot: &Snapshot, prefixes: &[String]) -> Vec<AdvertisedRef> {
    let mut found = Vec::new();
    for prefix in prefixes {
        let from = snapshot.refs.range::<_, str>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        let there = from.take_while(|(name, _)| name.as_str().starts_with(prefix.as_str()));
        found.extend(there.map(|(name, value)| AdvertisedRef {
            name: name.into(),
            id: value.id,
            peeled: value.peeled,
        }));
    }
    found
}

/// Most folded records that a pusher is shown.
const MOST_FOLDED: usize = 4096;

/// Records of the pusher whose refs are gone: shown as if they were there, or git would send them all with each push.
fn folded_records<'a>(snapshot: &'a Snapshot, agent: &'a AgentActor) -> impl Iterator<Item = AdvertisedRef> + 'a {
    let newest = snapshot.records_of(&agent.name).rev().take(MOST_FOLDED);
    newest.filter(|record| !snapshot.refs.contains_key(&record.name)).map(|record| AdvertisedRef {
        name: (&record.name).into(),
        id: record.commit,
        peeled: None,
    })
}

/// A refusal as git shows it: why, beside the ref, and details and the next command as `remote:` lines that can be copied
/// whole.
fn line(refusal: &Refusal) -> String {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let details: String = refusal.details.iter().map(|line| format!("\n{}", plain(line))).collect();
    format!("{}: {}{details}\nnext: {}", plain(&refusal.rule), plain(&refusal.why), plain(&refusal.next))
}

fn judge_ref(view: &View, agent: &AgentActor, update: &RefUpdate, earlier: &[rules::RefUpdate]) -> Result<(), Refusal> {
    authority::permit_ref(agent, update.name.as_str())?;
    let update = rules::RefUpdate { name: update.name.clone(), new: update.new };
    rules::judge(view, &PushedRef { agent: &agent.name, update: &update, earlier }).map_err(gate::refused)
}

/// Judges what a branch or tag brings, once its objects are there; `good` are the updates that nothing spoke against.
fn judge_content(
    view: &View,
    agent: &AgentActor,
    update: &RefUpdate,
    good: &[rules::RefUpdate],
) -> Result<(), Refusal> {
    let update = rules::RefUpdate { name: update.name.clone(), new: update.new };
    let pushed = PushedRef { agent: &agent.name, update: &update, earlier: good };
    rules::judge_content(view, &pushed).map_err(gate::refused)
}

/// What a push brings, sorted out before the committer sees it.
struct Sorted {
    /// Updates with what was found against them so far.
    updates: Vec<(RefUpdate, Result<(), Refusal>)>,
    /// Records that are new, by the ref that brings them, and what is signed of them.
    records: BTreeMap<RefName, (Box<Taken>, Option<Signature>)>,
    /// Refs whose record is known: they answer ok and change nothing.
    known: HashSet<RefName>,
    atomic: bool,
    /// The default branch whose policy judged what branches bring.
    judged_at: Option<Oid>,
    /// What was found in the files that the push brings.
    searched: Option<Arc<Searched>>,
}

fn receive(
    forge: &Arc<Forge>,
    repository: &Arc<Repository>,
    agent: &AgentActor,
    push: Push,
    signed: Option<Signature>,
) -> Result<PushOutcome, Refusal> {
    let sorted = sort_out(forge, repository, agent, &push, signed.as_ref());
    if sorted.updates.iter().all(|(_, result)| result.is_err()) || (sorted.atomic && sorted.any_refused()) {
        return Ok(sorted.refused());
    }
    let (objects, pack) = land(repository, push.quarantine)?;
    let shared = Arc::new(Mutex::new(PushOutcome::default()));
    let (answer, forge_for_plan, store, by) =
        (shared.clone(), forge.clone(), repository.store().clone(), agent.clone());
    let outcome = forge.commit(repository, agent, move |draft| {
        let brought: HashMap<Oid, _> = objects.iter().cloned().collect();
        let made = draft.made();
        let so_far = Over { made: &made, below: store.as_ref() };
        let view_objects = Over { made: &brought, below: &so_far };
        let planned = plan(draft, &forge_for_plan.root(), &view_objects, &by, sorted);
        let changed = planned.changed;
        *answer.lock().expect("invariant: no panic under this lock") = planned.outcome;
        if !changed {
            // Nothing of it lands, so nothing of it is written either.
            return Err(Refusal::new(Code::Refused, "push", "every ref was refused or is unchanged", "git fetch"));
        }
        if let Some(pack) = pack {
            draft.depends_on(pack);
        }
        for (id, object) in objects {
            draft.known_object(id, object);
        }
        Ok(())
    });
    let answered = std::mem::take(&mut *shared.lock().expect("invariant: no panic under this lock"));
    match outcome {
        Err(refusal) if answered.results.is_empty() || refusal.what != "push" => Err(refusal),
        Ok(_) | Err(_) => Ok(with_urls(forge, answered)),
    }
}

fn with_urls(forge: &Forge, mut outcome: PushOutcome) -> PushOutcome {
    for message in &mut outcome.messages {
        *message = message.replace("{http}", &forge.config().public_http);
    }
    outcome
}

impl Sorted {
    fn any_refused(&self) -> bool {
        self.updates.iter().any(|(_, result)| result.is_err())
    }

    fn refused(&self) -> PushOutcome {
        let atomic = Refusal::new(Code::Refused, "push", "another ref of this atomic push was refused", "git push");
        let results = self
            .updates
            .iter()
            .map(|(update, result)| ((&update.name).into(), Err(line(result.as_ref().err().unwrap_or(&atomic)))));
        PushOutcome { results: results.collect(), messages: Vec::new() }
    }
}

/// Objects of a small pack, to ride in the batch.
type NewObjects = Vec<(Oid, git::object::Object)>;

/// Large packs become durable on their own, before the batch that names them; small ones ride in it.
fn land(repository: &Repository, quarantine: Quarantine) -> Result<(NewObjects, Option<PackLine>), Refusal> {
    match quarantine.into_kept() {
        Kept::Memory(objects) => Ok((objects, None)),
        Kept::Directory(pack) => {
            let dir = repository.git_dir().join("objects/pack");
            let landed = pack.land(&dir).map_err(|e| {
                Refusal::new(Code::TryLater, "push", format!("the disk takes no writes: {e}"), "git push")
            })?;
            fault::point("code-pack-landed");
            Ok((Vec::new(), Some(PackLine { name: landed.name, h: landed.sha256 })))
        }
    }
}

fn sort_out(
    forge: &Forge,
    repository: &Repository,
    agent: &AgentActor,
    push: &Push,
    signed: Option<&Signature>,
) -> Sorted {
    let (snapshot, root) = (repository.snapshot(), forge.root());
    let overlay = Overlay { quarantine: &push.quarantine, store: repository.store() };
    let view = View::new(&snapshot, &root, &overlay, forge.now()).receiving(&overlay);
    let mut sorted = Sorted {
        updates: Vec::new(),
        records: BTreeMap::new(),
        known: HashSet::new(),
        atomic: push.atomic,
        judged_at: snapshot.default_tip(),
        searched: None,
    };
    let (mut earlier, mut good) = (Vec::new(), Vec::new());
    let mut blobs = Vec::new();
    // Names that this forge does not store were refused before the pack was read.
    let mut updates: Vec<RefUpdate> = push.updates.iter().filter_map(|update| RefUpdate::of(update).ok()).collect();
    if let (None, Some(head)) = (snapshot.default_tip(), &snapshot.head) {
        // What the default branch brings judges the others.
        updates.sort_by_key(|update| update.name != *head);
    }
    for update in &updates {
        let mut result = match is_done(&snapshot, agent, update) {
            true => Ok(()),
            false => judge_ref(&view, agent, update, &earlier)
                .and_then(|()| check_kind(&overlay, update))
                .and_then(|()| expected(&snapshot, update))
                .and_then(|()| judge_content(&view, agent, update, &good)),
        };
        let judged = rules::RefUpdate { name: update.name.clone(), new: update.new };
        good.extend(result.is_ok().then(|| judged.clone()));
        earlier.push(judged);
        if let (Ok(()), Some(_), Some(commit)) = (&result, refs::incoming_record(&update.name), update.new) {
            match record_files(&overlay, commit) {
                Ok((form, bytes, armor)) => blobs.push((update.name.clone(), form, bytes, armor)),
                Err(why) => result = Err(bad_record(&update.name, why)),
            }
        }
        sorted.updates.push((update.clone(), result));
    }
    let incoming: Vec<Incoming> =
        blobs.iter().map(|(name, form, bytes, _)| Incoming { name, form: *form, bytes }).collect();
    for (verdict, (name, _, bytes, armor)) in record::judge(&view, &agent.name, &incoming).into_iter().zip(&blobs) {
        let refusal = match verdict {
            RecordVerdict::New(taken) => {
                let own = armor.as_ref().map(|armor| signature::check(&root, &agent.name, name, bytes, armor));
                match own.transpose() {
                    Ok(own) => {
                        sorted.records.insert(name.clone(), (taken, own.or_else(|| signed.cloned())));
                        continue;
                    }
                    Err(refusal) => refusal,
                }
            }
            RecordVerdict::AlreadyKnown(_) => {
                sorted.known.insert(name.clone());
                continue;
            }
            RecordVerdict::Refused(refusal) => refusal,
        };
        let entry = sorted.updates.iter_mut().find(|(update, _)| update.name == *name);
        if let Some((_, result)) = entry {
            *result = Err(gate::refused(refusal));
        }
    }
    sorted.searched = view.search();
    sorted
}

fn bad_record(name: &RefName, why: String) -> Refusal {
    Refusal::new(Code::Refused, name.as_str(), why, "ssh forge help record").by_rule("E02")
}

/// Whether a ref still is what the pusher takes it for: asked before a large pack is made durable for nothing, and again
/// at the commit point.
fn expected(snapshot: &Snapshot, update: &RefUpdate) -> Result<(), Refusal> {
    let found = snapshot.ref_id(&update.name);
    // A record that is known answers ok, whatever its ref is now.
    if found == update.old || refs::incoming_record(&update.name).is_some() {
        return Ok(());
    }
    let show = |id: Option<Oid>| id.map_or("nothing".to_owned(), |id| id.short());
    let why = format!("it names {}, not {} as you expect", show(found), show(update.old));
    Err(Refusal::new(Code::Stale, update.name.as_str(), why, "git fetch"))
}

/// Branches and records point at commits; a tag may point at anything.
fn check_kind(objects: &dyn Objects, update: &RefUpdate) -> Result<(), Refusal> {
    let Some(new) = update.new else { return Ok(()) };
    let refuse = |why: String| Err(Refusal::new(Code::Refused, update.name.as_str(), why, "git push"));
    match objects.get(new) {
        Err(error) => refuse(error.to_string()),
        Ok(object) if object.kind != Kind::Commit && !update.name.as_str().starts_with("refs/tags/") => {
            refuse(format!("it must point at a commit, and {} is a {}", new.short(), object.kind.as_str()))
        }
        Ok(_) => Ok(()),
    }
}

struct Planned {
    outcome: PushOutcome,
    changed: bool,
}

/// Builds a push's part of a batch: judged again on the state it is written onto.
fn plan(draft: &mut Draft, root: &Snapshot, objects: &dyn Objects, agent: &AgentActor, sorted: Sorted) -> Planned {
    let mut results: Vec<(RefName, Result<(), Refusal>)> = Vec::new();
    let mut moved: Vec<RefUpdate> = Vec::new();
    let mut earlier = Vec::new();
    let mut policy = None;
    for (update, found) in &sorted.updates {
        let result = found.clone().and_then(|()| {
            let snapshot = draft.snapshot().clone();
            if sorted.known.contains(&update.name) || is_done(&snapshot, agent, update) {
                return Ok(());
            }
            let view = View::new(&snapshot, root, objects, draft.now())
                .after(policy.as_ref())
                .after_search(sorted.searched.as_ref());
            let judged = judge_ref(&view, agent, update, &earlier);
            policy = view.known();
            judged?;
            if snapshot.default_tip() != sorted.judged_at {
                // Another policy may hold by now.
                judge_content(&view, agent, update, &earlier)?;
            }
            let peeled = update.new.and_then(|id| crate::ledger::peeled(objects, id));
            draft.set_ref(&update.name, update.old, update.new, peeled, Some(&agent.name))?;
            moved.push(update.clone());
            Ok(())
        });
        earlier.push(rules::RefUpdate { name: update.name.clone(), new: update.new });
        results.push((update.name.clone(), result));
    }
    if sorted.atomic && results.iter().any(|(_, result)| result.is_err()) {
        let refused = Sorted {
            updates: sorted.updates.iter().zip(results).map(|((u, _), (_, r))| (u.clone(), r)).collect(),
            ..sorted
        };
        return Planned { outcome: refused.refused(), changed: false };
    }
    let mut messages: Vec<String> = sorted.searched.as_ref().and_then(|searched| searched.gap()).into_iter().collect();
    let changed = !moved.is_empty();
    if changed && let Err(refusal) = consequences(draft, root, objects, agent, &moved, &sorted.records, &mut messages) {
        let results = results.into_iter().map(|(name, _)| (name.into(), Err(line(&refusal)))).collect();
        return Planned { outcome: PushOutcome { results, messages: Vec::new() }, changed: false };
    }
    let results = results.into_iter().map(|(name, result)| (name.into(), result.map_err(|r| line(&r)))).collect();
    Planned { outcome: PushOutcome { results, messages }, changed }
}

/// Whether this very update has happened: a push whose answer was lost may be sent again.
fn is_done(snapshot: &Snapshot, agent: &AgentActor, update: &RefUpdate) -> bool {
    let mine = snapshot.owners.get(&update.name) == Some(&agent.name);
    mine && update.new.is_some() && snapshot.ref_id(&update.name) == update.new
}

/// Records kept, rounds opened, and what the pusher is told.
fn consequences(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    moved: &[RefUpdate],
    records: &BTreeMap<RefName, (Box<Taken>, Option<Signature>)>,
    messages: &mut Vec<String>,
) -> Result<(), Refusal> {
    let landed: Vec<(&RefName, &Taken, Option<&Signature>)> = records
        .iter()
        .filter(|(name, _)| moved.iter().any(|u| u.name == **name))
        .map(|(name, (taken, signed))| (name, taken.as_ref(), signed.as_ref()))
        .collect();
    let mut lines = Vec::new();
    for (name, taken, signed) in &landed {
        let commit = moved.iter().find(|u| u.name == **name).and_then(|u| u.new);
        let commit = commit.ok_or_else(|| bad_record(name, "it was deleted in the same push".to_owned()))?;
        lines.push(keep_record(draft, agent, name, taken, *signed, commit)?);
    }
    draft.push(PushLine {
        a: agent.name.clone(),
        k: agent.credential.clone(),
        refs: moved.iter().map(|u| u.name.clone()).collect(),
        records: lines,
    });
    let fresh: Vec<&Taken> = landed.iter().map(|(_, taken, _)| *taken).collect();
    for update in moved.iter().filter(|u| u.name.branch_name().is_some()) {
        match update.new {
            Some(head) => branch_moved(draft, root, objects, agent, &update.name, head, &fresh, messages)?,
            None => messages.push(format!("{} is deleted", update.name.short())),
        }
    }
    if !fresh.is_empty() {
        proof_arrived(draft, root, objects, agent, moved, &fresh, messages)?;
        messages.extend(fresh.iter().filter_map(|taken| of_challenge(draft.snapshot(), agent, taken)));
    }
    Ok(())
}

/// What to say next to whoever sends the record of a challenge.
fn of_challenge(snapshot: &Snapshot, agent: &AgentActor, taken: &Taken) -> Option<String> {
    let started = snapshot.fold.nonces.get(taken.record.nonce.as_bytes().as_slice())?;
    started.challenges?;
    let (project, n, id) = (&snapshot.project, started.issue, &taken.record.id);
    Some(format!("next: {}challenge {project}/{n} --record {id}", door(agent)))
}

/// What stands before a command: whoever came with a token may have no ssh, and sends it to `POST /action` as it stands.
fn door(agent: &AgentActor) -> &'static str {
    if agent.credential.starts_with("token:") { "" } else { "ssh forge " }
}

fn keep_record(
    draft: &mut Draft,
    agent: &AgentActor,
    name: &RefName,
    taken: &Taken,
    signed: Option<&Signature>,
    commit: Oid,
) -> Result<RecordLine, Refusal> {
    let blob = draft.object(git::object::Object::new(Kind::Blob, taken.canonical.clone()))?;
    let last = taken.record.last();
    // A hand-made record need not name its issue; the nonce, which was checked, does.
    let started = draft.snapshot().fold.nonces.get(taken.record.nonce.as_bytes().as_slice());
    let issue = started.map(|s| s.issue).or(taken.record.issue);
    let shown_issue = issue.map_or(String::new(), |n| format!(" for #{n}"));
    let command = crate::state::snippet(&last.command(), 80);
    let summary = format!("{} ran `{command}`{shown_issue}: {}", agent.name, last.ending());
    let signed = match signed {
        Some(signature) => Some(signature.line(draft.object(signature.object())?)),
        None => None,
    };
    let signature = signed.as_ref().map(|signed| signed.blob);
    draft.keep_record(NewRecord { digest: taken.digest, blob, signature, commit, summary });
    Ok(RecordLine { r: name.clone(), c: commit, h: taken.digest, blob, tree: last.tree, issue, signed })
}

#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
fn branch_moved(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    branch: &RefName,
    head: Oid,
    fresh: &[&Taken],
    messages: &mut Vec<String>,
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let project = &snapshot.project;
    let view = View::new(&snapshot, root, objects, draft.now());
    let short = branch.short();
    let door = door(agent);
    if Some(branch) == snapshot.head.as_ref() {
        messages.push(format!("{short} is born at {}; from here on it moves through merge", head.short()));
        messages.push(format!("next: {door}issue new {project} --title 'What is to be done'"));
        return Ok(());
    }
    let Some((n, pull)) = gate::open_pull_of(&snapshot, branch) else {
        let issue = started_issue(&snapshot, agent, branch);
        let proof = work(&view, branch, agent, issue, head, fresh)?.proof(&view)?;
        messages.push(format!("{short} is at {}, proof {}", head.short(), shown(&proof)));
        messages.extend(missing_record(&proof));
        messages.push(match proof.level {
            Level::P0 => "next: forge run --again && git push".to_owned(),
            Level::P1 | Level::P2 | Level::P3 | Level::PX => format!("next: {door}submit {short}"),
        });
        return Ok(());
    };
    let work = work(&view, branch, agent, pull.issue, head, fresh)?;
    let proof = work.proof(&view)?;
    let base = merge_base(objects, snapshot.ref_id(&pull.target), head)?;
    let round = PullRound { round: pull.round + 1, head, base, proof: proof.clone() };
    let number = round.round;
    draft.event(&author(agent), &EntityId::Pull(n), round, None, &[])?;
    draft.set_ref(&refs::pull_head(n), snapshot.ref_id(&refs::pull_head(n)), Some(head), None, None)?;
    messages.push(format!("{project}#{n} round {number}, proof {}: {{http}}/{project}/pulls/{n}", shown(&proof)));
    messages.extend(missing_record(&proof));
    messages.push(format!("next: {door}pr {project}/{n}"));
    Ok(())
}

/// A record that proves the head of an open pull request, pushed after that head.
fn proof_arrived(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    moved: &[RefUpdate],
    fresh: &[&Taken],
    messages: &mut Vec<String>,
) -> Result<(), Refusal> {
    let snapshot = draft.snapshot().clone();
    let view = View::new(&snapshot, root, objects, draft.now());
    let waiting: Vec<u64> = snapshot.fold.open_pulls.values().copied().collect();
    for n in waiting {
        let Some(pull) = snapshot.fold.pull(n) else { continue };
        let just_pushed = moved.iter().any(|u| u.name == pull.branch);
        // A run that is signed may say more than the one before; what others found is no matter of new records.
        let may_rise = pull.proof.level == Level::P0 || pull.proof.level == Level::P1;
        if pull.status != PullStatus::Open || pull.author != agent.name || !may_rise || just_pushed {
            continue;
        }
        let proof = work(&view, &pull.branch, agent, pull.issue, pull.head, fresh)?.proof(&view)?;
        if proof.level <= pull.proof.level {
            continue;
        }
        let more = if pull.proof.level == Level::P0 { "proven now" } else { "now proven by more than before" };
        messages.push(format!("{}#{n} is {more}, proof {}", snapshot.project, shown(&proof)));
        let round = PullRound { round: pull.round, head: pull.head, base: pull.base, proof };
        draft.event(&author(agent), &EntityId::Pull(n), round, None, &[])?;
    }
    Ok(())
}

fn work(
    view: &View,
    branch: &RefName,
    agent: &AgentActor,
    issue: Option<u64>,
    head: Oid,
    fresh: &[&Taken],
) -> Result<Work, Refusal> {
    let work = Work::new(view, branch, &agent.name, issue, head);
    let work = work.map_err(|e| Refusal::new(Code::TryLater, branch.as_str(), e.to_string(), "git push"))?;
    Ok(work.with_records(fresh.iter().map(|taken| taken.record.clone())))
}

/// The issue for which `start` offered this branch.
fn started_issue(snapshot: &Snapshot, agent: &AgentActor, branch: &RefName) -> Option<u64> {
    snapshot.fold.work_of(&agent.name).find(|(_, work)| work.worker.branch == *branch).map(|(n, _)| n)
}

/// The best common ancestor of a head with its target; the head itself where there is none.
pub(crate) fn merge_base(objects: &dyn Objects, target: Option<Oid>, head: Oid) -> Result<Oid, Refusal> {
    let failed = |e: git::store::ReadError| Refusal::new(Code::TryLater, "merge base", e.to_string(), "git fetch");
    match target {
        None => Ok(head),
        Some(target) => Ok(history::merge_base(objects, target, head).map_err(failed)?.unwrap_or(head)),
    }
}

fn author(agent: &AgentActor) -> Author {
    Author { agent: agent.name.clone(), credential: agent.credential.clone(), intent: None }
}

/// `P1 (cargo test: 12 passed)`.
pub(crate) fn shown(proof: &Proof) -> String {
    if proof.command.is_empty() {
        return proof.level.to_string();
    }
    let tests = proof.tests.as_ref().map_or(String::new(), |t| format!(": {} passed, {} failed", t.passed, t.failed));
    // In Markdown it stands between backticks, so it holds none.
    format!("{} (`{}`{tests})", proof.level, crate::state::snippet(&proof.command, 60).replace('`', "'"))
}

fn missing_record(proof: &Proof) -> Option<String> {
    (proof.level == Level::P0).then(|| {
        "no passing record of this very tree yet: commit, then `forge run -- <your tests>`, then `git push`".to_owned()
    })
}
