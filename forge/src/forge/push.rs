//! A push: judged before the committer sees it, and once more at the commit point.
//!
//! Invariant: a push is judged by `hooks` on the very state it is written onto, and everything it causes (branch, round,
//! records) rides in one batch.

mod advance;
mod effects;
mod mending;
mod told;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use hooks::push::{self as rules, PushedRef};
use hooks::record::{self, Incoming, RecordVerdict, Taken};
use hooks::secrets::Searched;
use notes_schema::batch::PackLine;
use notes_schema::{NameError, Oid, RefName, refs};

use super::Forge;
use super::signature::{self, Signature};
use crate::answer::{Code, Refusal};
use crate::authority::{self, AgentActor};
use crate::gate::{self, View};
use crate::ledger::{Draft, Repository, Snapshot, fault, record_files};
use git::object::Kind;
use git::pack::intake::{Kept, Overlay, Quarantine};
use git::store::{Objects, Over};
use git::wire::{self, Push, PushOutcome};

pub(crate) use advance::{Moved, advance};
use effects::consequences;
pub(crate) use effects::{merge_base, shown};

/// One command of a push under a name that this forge stores.
#[derive(Clone)]
pub(super) struct RefUpdate {
    name: RefName,
    old: Option<Oid>,
    new: Option<Oid>,
}

impl RefUpdate {
    pub(super) fn of(update: &wire::RefUpdate) -> Result<RefUpdate, NameError> {
        Ok(RefUpdate { name: update.name.as_str().parse()?, old: update.old, new: update.new })
    }
}

/// A refusal as git shows it: why, beside the ref, and details and the next command as `remote:` lines that can be copied
/// whole.
pub(super) fn line(refusal: &Refusal) -> String {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let details: String = refusal.details().iter().map(|line| format!("\n{}", plain(line))).collect();
    let next = if refusal.next.is_empty() { String::new() } else { format!("\nnext: {}", plain(&refusal.next)) };
    format!("{}: {}{details}{next}", plain(&refusal.rule), plain(&refusal.why))
}

pub(super) fn judge_ref(
    view: &View,
    agent: &AgentActor,
    update: &RefUpdate,
    earlier: &[rules::RefUpdate],
) -> Result<(), Refusal> {
    authority::permit_ref(agent, update.name.as_str())?;
    let update = rules::RefUpdate { name: update.name.clone(), new: update.new };
    rules::judge(view, &PushedRef { agent: &agent.name, update: &update, earlier })
        .map_err(|refusal| view.refused(refusal))
}

/// Whether one more ref of an agent has room in a project: each costs every fetch and every start.
pub(super) fn has_room(snapshot: &Snapshot, agent: &AgentActor, update: &RefUpdate, most: u64) -> Result<(), Refusal> {
    let is_new = update.new.is_some() && snapshot.ref_id(&update.name).is_none();
    if !is_new || snapshot.held_by(&agent.name) < most {
        return Ok(());
    }
    let why = format!("{} holds {most} refs of {} already: delete what is done with", agent.name, snapshot.project);
    let next = format!("ssh forge project show {}", snapshot.project);
    Err(Refusal::new(Code::Refused, update.name.as_str(), why, next).by_rule("refs-each"))
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
    rules::judge_content(view, &pushed).map_err(|refusal| view.refused(refusal))
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

pub(super) fn receive(
    forge: &Arc<Forge>,
    repository: &Arc<Repository>,
    agent: &AgentActor,
    push: Push,
    signed: Option<Signature>,
) -> Result<PushOutcome, Refusal> {
    let sorted = gate::clock::timed(|| sort_out(forge, repository, agent, &push, signed.as_ref()));
    if sorted.updates.iter().all(|(_, result)| result.is_err()) || (sorted.atomic && sorted.any_refused()) {
        let (snapshot, root) = (repository.snapshot(), forge.root());
        let view = View::new(&snapshot, &root, repository.store().as_ref(), forge.now());
        let lead = told::unsubmitted(&view, &snapshot, repository.store().as_ref(), agent);
        return Ok(told(forge, agent, sorted.refused(lead.as_deref())));
    }
    // Others may have filled it meanwhile.
    if !push.quarantine.is_empty() {
        forge.has_room_for_pack(repository, agent, push.quarantine.bytes())?;
    }
    let (objects, pack) = land(repository, push.quarantine)?;
    let is_landed = pack.is_some();
    let shared = Arc::new(Mutex::new(Judged::default()));
    let (answer, forge_for_plan, store, by) =
        (shared.clone(), forge.clone(), repository.store().clone(), agent.clone());
    let outcome = forge.commit(repository, agent, move |draft| {
        let brought: HashMap<Oid, _> = objects.iter().cloned().collect();
        let made = draft.made();
        let so_far = Over { made: &made, below: store.as_ref() };
        let view_objects = Over { made: &brought, below: &so_far };
        let most = forge_for_plan.config().limits.refs_each;
        let planned = plan(draft, &forge_for_plan.root(), &view_objects, &by, sorted, most);
        let changed = planned.changed;
        *answer.lock().expect("invariant: no panic under this lock") = planned.judged;
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
    if outcome.is_err() && is_landed {
        repository.leaves_behind();
    }
    let answered = std::mem::take(&mut *shared.lock().expect("invariant: no panic under this lock"));
    match outcome {
        Err(refusal) if answered.results.is_empty() || refusal.what != "push" => Err(refusal),
        Ok(_) | Err(_) => Ok(told(forge, agent, answered)),
    }
}

/// What was found of a push.
#[derive(Default)]
struct Judged {
    results: Vec<(RefName, Result<(), Refusal>)>,
    /// What is said beside the refs, with `{http}` for the forge's address.
    messages: Vec<String>,
}

/// The same as git shows it; what the gate refused is remembered for those who watch.
fn told(forge: &Forge, agent: &AgentActor, judged: Judged) -> PushOutcome {
    for refusal in judged.results.iter().filter_map(|(_, result)| result.as_ref().err()) {
        forge.note_refusal(&agent.name, refusal);
    }
    let shown =
        |(name, result): (RefName, Result<(), Refusal>)| (name.into(), result.map_err(|refusal| line(&refusal)));
    let address = |message: String| message.replace("{http}", &forge.config().public_http);
    PushOutcome {
        results: judged.results.into_iter().map(shown).collect(),
        messages: judged.messages.into_iter().map(address).collect(),
    }
}

impl Sorted {
    fn any_refused(&self) -> bool {
        self.updates.iter().any(|(_, result)| result.is_err())
    }

    fn refused(self, lead: Option<&str>) -> Judged {
        let atomic = Refusal::new(Code::Refused, "push", "another ref of this atomic push was refused", "");
        let every = self.updates.into_iter().map(|(update, result)| (update.name, result.and(Err(atomic.clone()))));
        let mut results = every.collect::<Vec<_>>();
        mending::once(&mut results, lead);
        Judged { results, messages: Vec::new() }
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
            repository.add_pack_bytes(landed.bytes);
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
    let view = View::new(&snapshot, &root, &overlay, forge.now());
    let view = view.receiving(&overlay).replaying(gate::OF_ONE_PUSH);
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
                .and_then(|()| check_kind(&view, &overlay, update))
                .and_then(|()| expected(&snapshot, update))
                .and_then(|()| judge_content(&view, agent, update, &good)),
        };
        let judged = rules::RefUpdate { name: update.name.clone(), new: update.new };
        good.extend(result.is_ok().then(|| judged.clone()));
        earlier.push(judged);
        if let (Ok(()), Some(_), Some(commit)) = (&result, refs::incoming_record(&update.name), update.new) {
            match record_files(&overlay, commit) {
                Ok((form, bytes, armor)) => blobs.push((update.name.clone(), form, bytes, armor)),
                Err(why) => result = Err(view.refused(record::misshapen(&update.name, why))),
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
            *result = Err(view.refused(refusal));
        }
    }
    refuse_beside(&view, agent, &mut sorted);
    sorted.searched = view.search();
    sorted
}

/// A record comes with the branch that it proves: where that one is refused for what it holds, its objects must not stay.
fn refuse_beside(view: &View, agent: &AgentActor, sorted: &mut Sorted) {
    let rules: Vec<String> =
        sorted.updates.iter().filter_map(|(_, result)| Some(result.as_ref().err()?.rule.clone())).collect();
    for (update, result) in sorted.updates.iter_mut().filter(|(_, result)| result.is_ok()) {
        let update = rules::RefUpdate { name: update.name.clone(), new: update.new };
        let pushed = PushedRef { agent: &agent.name, update: &update, earlier: &[] };
        if let Some(refusal) = rules.iter().find_map(|rule| rules::beside(rule, &pushed)) {
            *result = Err(view.refused(refusal));
        }
    }
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
fn check_kind(view: &View, objects: &dyn Objects, update: &RefUpdate) -> Result<(), Refusal> {
    let Some(new) = update.new else { return Ok(()) };
    let refuse = |why: String| match refs::incoming_record(&update.name) {
        Some(_) => Err(view.refused(record::misshapen(&update.name, why))),
        None => Err(Refusal::new(Code::Refused, update.name.as_str(), why, "git push")),
    };
    match objects.get(new) {
        Err(error) => refuse(error.to_string()),
        Ok(object) if object.kind != Kind::Commit && !update.name.as_str().starts_with("refs/tags/") => {
            refuse(format!("it must point at a commit, and {} is a {}", new.short(), object.kind.as_str()))
        }
        Ok(_) => Ok(()),
    }
}

struct Planned {
    judged: Judged,
    changed: bool,
}

/// Builds a push's part of a batch: judged again on the state it is written onto.
fn plan(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentActor,
    sorted: Sorted,
    most: u64,
) -> Planned {
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
            let judged = gate::clock::timed(|| judge_ref(&view, agent, update, &earlier));
            policy = view.known();
            judged?;
            has_room(&snapshot, agent, update, most)?;
            if snapshot.default_tip() != sorted.judged_at {
                // Another policy may hold by now.
                gate::clock::timed(|| judge_content(&view, agent, update, &earlier))?;
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
        return Planned { judged: refused.refused(None), changed: false };
    }
    let mut messages: Vec<String> = sorted.searched.as_ref().and_then(|searched| searched.gap()).into_iter().collect();
    let changed = !moved.is_empty();
    if changed && let Err(refusal) = consequences(draft, root, objects, agent, &moved, &sorted.records, &mut messages) {
        let results = results.into_iter().map(|(name, _)| (name, Err(refusal.clone()))).collect();
        return Planned { judged: Judged { results, messages: Vec::new() }, changed: false };
    }
    let mut lead = None;
    if results.iter().any(|(_, result)| result.is_err()) {
        // What goes on from what was taken would send again what was refused: that is mended first.
        let (nexts, others) = messages.into_iter().partition(|message| message.starts_with("next: "));
        messages = others;
        let nexts: Vec<String> = nexts;
        lead = nexts.first().and_then(|next| next.strip_prefix("next: ")).map(str::to_owned);
    }
    mending::once(&mut results, lead.as_deref());
    Planned { judged: Judged { results, messages }, changed }
}

/// Whether this very update has happened: a push whose answer was lost may be sent again.
pub(super) fn is_done(snapshot: &Snapshot, agent: &AgentActor, update: &RefUpdate) -> bool {
    let mine = snapshot.owners.get(&update.name) == Some(&agent.name);
    mine && update.new.is_some() && snapshot.ref_id(&update.name) == update.new
}
