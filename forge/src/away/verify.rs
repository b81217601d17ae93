//! `forge trace verify <commit>`: checks in a plain clone, without a server, what stands behind a commit. It replays the
//! ledger that came with `refs/forge/*`, judges every record by the rules of `hooks` on the state that it arrived at,
//! and compares the proof that follows with the one that the ledger states.
//!
//! Invariant: says what it did not check, and why.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use hooks::Repo as _;
use hooks::policy::reaches;
use hooks::record::{self, Form, Incoming, RecordVerdict, Replayed as Patches};
use hooks::reruns;
use notes_schema::batch::RecordLine;
use notes_schema::event::{Level, Proof};
use notes_schema::refs::show_time;
use notes_schema::trace::Record;
use notes_schema::{AgentName, Oid, RefName, Sha256, refs};
use serde::Serialize;

use super::levels::{self, Signers};
use super::{Alone, FETCH, Stock};
use crate::commands::trace::{level_of, pull_of, records_of};
use crate::gate::{View, Work, best_on, read_record, reruns_of};
use crate::ledger::{KnownRecord, ReadBatch, ReplayError, Snapshot, verify};
use crate::state::PullState;
use git::history;
use git::object::{Kind, Mode};
use git::packed_refs::RefValue;
use git::store::{Objects, ReadError};

/// Why nothing could be checked at all.
#[derive(Debug, thiserror::Error)]
#[error("{why}\nnext: {next}")]
pub struct Unable {
    why: String,
    next: String,
    /// Whether something is there and damaged, rather than not there.
    pub damaged: bool,
}

pub(super) fn unable(why: impl Into<String>, next: impl Into<String>) -> Unable {
    Unable { why: why.into(), next: next.into(), damaged: false }
}

fn damaged(why: impl Into<String>, next: impl Into<String>) -> Unable {
    Unable { damaged: true, ..unable(why, next) }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing against it.
    Ok,
    /// It does not hold.
    Failed,
    /// There was nothing to check, or no way to.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// `E04`, or `landed`.
    pub rule: String,
    /// How it ended.
    pub state: State,
    /// In words.
    pub why: String,
}

impl Check {
    pub(super) fn new(rule: &str, state: State, why: impl Into<String>) -> Check {
        Check { rule: rule.to_owned(), state, why: why.into() }
    }
}

/// One record and its checks.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Digest of its canonical bytes, as the ledger states it.
    pub record: Sha256,
    /// Who pushed it.
    pub agent: AgentName,
    /// Its command, for people.
    pub command: String,
    /// How its last attempt ended.
    pub ending: String,
    /// The tree of that attempt, as the ledger states it.
    pub tree: Oid,
    /// Whether the proof of the commit rests on it.
    pub proves: bool,
    /// In order.
    pub checks: Vec<Check>,
}

/// All that was found out about a commit.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The commit.
    pub commit: Oid,
    /// Its tree.
    pub tree: Oid,
    /// The pull request that it is the landing, the head or a part of.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The proof that follows from what was checked.
    pub level: Level,
    /// The proof that the ledger states.
    pub stated: Option<Level>,
    /// Whether all of it holds.
    pub good: bool,
    /// Whether the ledger's signatures were checked.
    pub signatures: bool,
    /// What holds of the commit itself.
    pub checks: Vec<Check>,
    /// The records behind it, failures included.
    pub records: Vec<Checked>,
}

/// What the record rules said when it arrived.
struct Judged {
    record: Option<Record>,
    refused: Option<Check>,
}

/// What was seen while the ledger was replayed.
#[derive(Default)]
struct Seen {
    judged: HashMap<Sha256, Judged>,
    /// By record: the batch of `forge.git` that its own names, which says whose keys were whose.
    authority: HashMap<Sha256, Oid>,
    /// By the number of a pull request: when its proof was last stated.
    stated: HashMap<u64, Stated>,
    /// The pull requests of the newest batch, and what was there before it.
    touched: Vec<u64>,
    was: DefaultBranch,
    /// The batch of `forge.git` that the newest batch names.
    cites: Option<Oid>,
    /// Time of the newest batch.
    now_ms: u64,
}

/// A default branch, and where it pointed: what tells which policy judges.
type DefaultBranch = (Option<RefName>, Option<Oid>);

/// A proof as an event stated it, and the default branch before and after its batch: a policy may have come in between.
struct Stated {
    /// Ledger commit of its batch: what came later is no part of it.
    at: Option<Oid>,
    /// The batch of `forge.git` that it names: who answered for whom then.
    root: Option<Oid>,
    round: u64,
    proof: Proof,
    policies: [DefaultBranch; 2],
}

fn default_branch(snapshot: &Snapshot) -> DefaultBranch {
    (snapshot.head.clone(), snapshot.default_tip())
}

impl Seen {
    /// Notes which proofs the newest batch stated; `after` is what it left.
    fn note(&mut self, after: &Snapshot) {
        for n in std::mem::take(&mut self.touched) {
            let Some(pull) = after.fold.pull(n) else { continue };
            let same = |s: &Stated| s.round == pull.round && s.proof == pull.proof;
            if !self.stated.get(&n).is_some_and(same) {
                let policies = [self.was.clone(), default_branch(after)];
                let (at, round, proof) = (after.tip, pull.round, pull.proof.clone());
                self.stated.insert(n, Stated { at, root: self.cites, round, proof, policies });
            }
        }
    }

    /// Looks at the next batch.
    fn batch(&mut self, before: &Snapshot, batch: &ReadBatch) {
        self.note(before);
        self.was = default_branch(before);
        self.cites = batch.batch.authority;
        self.now_ms = batch.batch.t;
        let pulls = batch.batch.events.iter().filter_map(|line| line.e.strip_prefix("pulls/")?.parse().ok());
        self.touched = pulls.collect();
        let records = batch.batch.pushes.iter().flat_map(|push| &push.records);
        self.authority.extend(records.filter_map(|line| Some((line.h, batch.batch.authority?))));
    }

    /// The policies that may have judged pull request `n`, as snapshots that have them on their default branch.
    fn policies_of(&self, n: u64, now: &Snapshot) -> Vec<Snapshot> {
        let Some(stated) = self.stated.get(&n) else { return vec![now.clone()] };
        let at = |(head, tip): &DefaultBranch| {
            let mut then = now.clone();
            then.head.clone_from(head);
            if let Some(head) = head {
                match tip {
                    Some(id) => drop(then.refs.insert(head.clone(), RefValue { id: *id, peeled: None })),
                    None => drop(then.refs.remove(head)),
                }
            }
            then
        };
        let [before, after] = &stated.policies;
        let mut all = vec![at(before)];
        if before != after {
            all.push(at(after));
        }
        all
    }
}

/// Checks `revision` in the clone at `here`. `signers` is a clone of `forge.git`, or a file of
/// public keys as it publishes them.
pub fn verify(here: &Path, revision: &str, signers: Option<&Path>) -> Result<Report, Unable> {
    let stock = Stock::open(here).map_err(|e| unable(e.to_string(), "git status"))?;
    let commit = stock
        .resolve(&format!("{revision}^{{commit}}"))
        .ok_or_else(|| unable(format!("{revision} is no commit of this clone"), "git fetch"))?;
    let ledger = stock
        .resolve(refs::LEDGER)
        .ok_or_else(|| unable(format!("this clone has no {}: git leaves it out unless asked", refs::LEDGER), FETCH))?;
    let signers = signers.map(Signers::read).transpose()?.unwrap_or_default();
    let mut seen = Seen::default();
    let alone = Alone::knowing(signers.owners(None));
    let snapshot = verify::replay_copy(&stock, ledger, &signers.ledger, &mut |before, batch| {
        seen.batch(before, batch);
        seen.judged.extend(judge(&stock, &alone, before, batch));
    });
    let snapshot = snapshot
        .map_err(|e: ReplayError| damaged(format!("the ledger does not hold: {e}"), format!("{FETCH} --refetch")))?;
    seen.note(&snapshot);
    let copy = Replayed { snapshot: &snapshot, alone: &alone, objects: &stock, seen: &seen, signers: &signers };
    let mut report =
        examine(&copy, commit).map_err(|e| damaged(format!("commit {commit}: {e}"), "git fetch --refetch origin"))?;
    report.signatures = !signers.ledger.is_empty();
    Ok(report)
}

/// Judges the records of one batch on the state before it.
fn judge(objects: &dyn Objects, alone: &Alone, before: &Snapshot, batch: &ReadBatch) -> Vec<(Sha256, Judged)> {
    let mut by_agent: BTreeMap<&AgentName, Vec<&RecordLine>> = BTreeMap::new();
    for push in &batch.batch.pushes {
        by_agent.entry(&push.a).or_default().extend(&push.records);
    }
    let view = alone.view(before, objects, batch.batch.t);
    let mut all = Vec::new();
    for (agent, lines) in by_agent {
        let mut sound = Vec::new();
        for line in lines {
            match bytes_of(objects, line) {
                Ok(bytes) => sound.push((line, bytes)),
                Err(check) => all.push((line.h, Judged { record: None, refused: Some(check) })),
            }
        }
        let incoming: Vec<Incoming<'_>> =
            sound.iter().map(|(line, bytes)| Incoming { name: &line.r, form: Form::MessagePack, bytes }).collect();
        for (verdict, (line, bytes)) in record::judge(&view, agent, &incoming).into_iter().zip(&sound) {
            let refused = match verdict {
                RecordVerdict::New(_) | RecordVerdict::AlreadyKnown(_) => None,
                RecordVerdict::Refused(refusal) => Some(Check::new(&refusal.rule, State::Failed, refusal.why)),
            };
            all.push((line.h, Judged { record: Record::decode_msgpack(bytes).ok(), refused }));
        }
    }
    all
}

/// A record's canonical bytes, which must be those that the ledger speaks of.
fn bytes_of(objects: &dyn Objects, line: &RecordLine) -> Result<bytes::Bytes, Check> {
    let fail = |why: String| Err(Check::new("E02", State::Failed, why));
    let bytes = match objects.get_kind(line.blob, Kind::Blob) {
        Ok(object) => object.data,
        Err(error) => return fail(format!("record {}: {error}", line.h)),
    };
    if Sha256::of(&bytes) != line.h {
        return fail(format!("its bytes in blob {} are not those whose digest the ledger states", line.blob));
    }
    match Record::decode_msgpack(&bytes) {
        Ok(record) if record.last().tree != line.tree => {
            fail(format!("the ledger states tree {}, and it names {}", line.tree.short(), record.last().tree.short()))
        }
        Ok(_) | Err(_) => Ok(bytes),
    }
}

/// A replayed copy, and what the rules see of it.
struct Replayed<'a> {
    snapshot: &'a Snapshot,
    alone: &'a Alone,
    objects: &'a dyn Objects,
    seen: &'a Seen,
    signers: &'a Signers,
}

fn examine(copy: &Replayed<'_>, commit: Oid) -> Result<Report, ReadError> {
    let tree = copy.objects.commit(commit)?.tree;
    let found = pull_of(copy.snapshot, copy.objects, commit);
    let mut report = Report {
        commit,
        tree,
        reference: found.as_ref().map(|(n, _)| format!("{}#{n}", copy.snapshot.project)),
        level: Level::P0,
        stated: found.as_ref().map(|(_, pull)| pull.proof.level),
        good: false,
        signatures: false,
        checks: Vec::new(),
        records: Vec::new(),
    };
    match &found {
        Some((n, pull)) => of_pull(&mut report, copy, *n, pull)?,
        None => of_tree(&mut report, copy),
    }
    report.checks.push(content(copy.objects, tree));
    let failed = |checks: &[Check]| checks.iter().any(|check| check.state == State::Failed);
    let rests_on_sand = report.records.iter().any(|r| r.proves && failed(&r.checks));
    if rests_on_sand {
        report.level = Level::P0;
    }
    report.good = reaches(report.level, Level::P1)
        && !failed(&report.checks)
        && !report.records.iter().any(|r| failed(&r.checks));
    Ok(report)
}

fn of_pull(report: &mut Report, copy: &Replayed<'_>, n: u64, pull: &PullState) -> Result<(), ReadError> {
    let head = copy.objects.commit(pull.head)?.tree;
    if report.tree != head {
        of_other_tree(report, copy, n, pull, head);
        return Ok(());
    }
    let proof = pull.proof.record.and_then(|record| copy.snapshot.records.get(&record));
    if proof.is_some_and(|known| copy.snapshot.is_dropped(known)) {
        of_dropped(report, copy, pull);
        return Ok(());
    }
    let (then, alone) = judges(copy, n, pull);
    let view = alone.view(&then, copy.objects, copy.seen.now_ms);
    let work = Work::as_it_was(&view, n, pull)?;
    let proof = work.proof(&view);
    of_head(report, copy, pull, (&work, proof), &view);
    Ok(())
}

/// The state by which a pull request's proof is judged: as it is now, by the policy of the time when the proof was stated;
/// or as all of it was then, where that gives what was stated, and what came later gives something else; or the one of
/// these that gives more than was stated.
fn judges(copy: &Replayed<'_>, n: u64, pull: &PullState) -> (Snapshot, Alone) {
    let fits = |(then, alone): &(Snapshot, Alone), fit: fn(&Proof, &Proof) -> bool| {
        let view = alone.view(then, copy.objects, copy.seen.now_ms);
        let proof = Work::as_it_was(&view, n, pull).ok().and_then(|work| work.proof(&view).ok());
        proof.is_some_and(|proof| fit(&pull.proof, &proof))
    };
    let under = |states: Vec<Snapshot>, root: Option<Oid>| {
        states.into_iter().map(move |state| (state, Alone::knowing(copy.signers.owners(root))))
    };
    let mut states: Vec<_> = under(copy.seen.policies_of(n, copy.snapshot), None).collect();
    if let Some(found) = states.iter().position(|now| fits(now, levels::as_stated)) {
        return states.swap_remove(found);
    }
    let stated = copy.seen.stated.get(&n);
    let at = stated.and_then(|stated| stated.at);
    // The same ledger was replayed to its end before, so a part of it does not fail.
    let then = at.and_then(|at| verify::replay_copy(copy.objects, at, &[], &mut |_, _| {}).ok());
    let then = then.map_or_else(Vec::new, |then| copy.seen.policies_of(n, &then));
    states.splice(0..0, under(then, stated.and_then(|stated| stated.root)));
    let found = [levels::as_stated, levels::stated_too_low]
        .into_iter()
        .find_map(|fit| states.iter().position(|state| fits(state, fit)));
    match found {
        Some(found) => states.swap_remove(found),
        None => states.pop().unwrap_or_else(|| (copy.snapshot.clone(), Alone::new())),
    }
}

/// A commit whose proof went with its month: what was stated stands, and nothing of it can be checked.
fn of_dropped(report: &mut Report, copy: &Replayed<'_>, pull: &PullState) {
    report.level = pull.proof.level;
    for known in records_of(copy.snapshot, copy.objects, pull) {
        let proves = pull.proof.record == Some(known.digest);
        report.records.push(checked(copy, known, copy.seen.judged.get(&known.digest), proves));
    }
    let why = format!("{} is what was stated; its record was dropped with its month", pull.proof.level);
    report.checks.push(Check::new("proof", State::Skipped, why));
}

/// A commit on the way to the head, or one that landed with more in it: the proof of the head is not one of its tree.
fn of_other_tree(report: &mut Report, copy: &Replayed<'_>, n: u64, pull: &PullState, head: Oid) {
    let of = (report.commit, report.tree);
    report.level = level_of(copy.snapshot, &copy.alone.root, copy.objects, pull, of);
    report.stated = None;
    let own = |known: &KnownRecord| known.tree == report.tree;
    let mut records = records_of(copy.snapshot, copy.objects, pull);
    let listed: HashSet<Sha256> = records.iter().map(|known| known.digest).collect();
    records.extend(copy.snapshot.records_of(&pull.author).filter(|r| own(r) && !listed.contains(&r.digest)));
    for known in records {
        let found = copy.seen.judged.get(&known.digest);
        let passed = found.and_then(|j| j.record.as_ref()).is_some_and(|record| record.last().succeeded());
        report.records.push(checked(copy, known, found, own(known) && passed));
    }
    let (of, proven) = (format!("the head of #{n}"), head.short());
    report.checks.push(if report.level == Level::P0 {
        let why =
            format!("no passing run on this tree was recorded; {of} has tree {proven}, proof {}", pull.proof.level);
        Check::new("E08", State::Failed, why)
    } else {
        Check::new("proof", State::Ok, "a passing run on exactly this tree was recorded")
    });
    if pull.landed == Some(report.commit) {
        let why = format!("the landed tree is not that of {of}, {proven}: the target had moved on");
        report.checks.push(Check::new("landed", State::Skipped, why));
    }
}

/// A commit with the tree of a pull request's head, judged in the light of `view`.
fn of_head(
    report: &mut Report,
    copy: &Replayed<'_>,
    pull: &PullState,
    (work, proof): (&Work, Result<Proof, crate::answer::Refusal>),
    view: &View,
) {
    let proof = proof.unwrap_or_else(|refusal| {
        report.checks.push(Check::new(&refusal.rule, State::Failed, refusal.why));
        Proof::none()
    });
    report.level = proof.level;
    for known in records_of(copy.snapshot, copy.objects, pull) {
        let proves = proof.record == Some(known.digest);
        let judged = copy.seen.judged.get(&known.digest);
        let mut checked = checked(copy, known, judged, proves);
        if proves && let Some(record) = judged.and_then(|judged| judged.record.as_ref()) {
            checked.checks.push(base(copy.objects, record, pull.head));
            let same = record.last().tree == work.tree();
            let (state, word) = if same { (State::Ok, "is") } else { (State::Failed, "is not") };
            let (ran, tip) = (record.last().tree.short(), work.tree().short());
            let why = format!("tree {ran}, which it ran on, {word} that of the head, {tip}");
            checked.checks.push(Check::new("E08", state, why));
        }
        report.records.push(checked);
    }
    if let Ok(base) = view.policy()
        && base.blob.is_some()
    {
        let why = format!(
            "judged by {} as it was then; who the maintainer is stands in forge.git, so [[scope]] is not checked",
            base.cited()
        );
        report.checks.push(Check::new("policy", State::Ok, why));
    }
    report.checks.push(match work.check_submit(view) {
        Ok(_) => Check::new("proof", State::Ok, format!("a passing run on tree {} of the head", work.tree().short())),
        Err(refusal) => Check::new(&refusal.rule, State::Failed, refusal.why),
    });
    report.checks.extend(levels::reruns(copy.snapshot, copy.objects, pull));
    if !copy.signers.know_owners() && may_be_owners(copy, pull, &proof) {
        report.level = pull.proof.level;
        report.checks.push(levels::of_owners(&pull.proof, &proof));
        return;
    }
    report.checks.push(levels::stated(&pull.proof, &proof));
}

/// Whether the level that was stated differs from `proof`, which takes everybody for their own owner, for that alone.
fn may_be_owners(copy: &Replayed<'_>, pull: &PullState, proof: &Proof) -> bool {
    let known = proof.record.and_then(|record| copy.snapshot.records.get(&record));
    let may_be = |known: &KnownRecord| {
        let run = reruns::run_of(read_record(copy.objects, known)?.last());
        let all = reruns_of(copy.snapshot, &copy.alone.root, known, run);
        Some(levels::by_owners(&pull.proof, proof, &run, &all))
    };
    known.and_then(|known| may_be(known)).unwrap_or(false)
}

/// A commit of no pull request: what was recorded of this very tree, by whomever.
fn of_tree(report: &mut Report, copy: &Replayed<'_>) {
    for known in copy.snapshot.records.values().filter(|known| known.tree == report.tree) {
        let found = copy.seen.judged.get(&known.digest);
        let passed = found.and_then(|j| j.record.as_ref()).is_some_and(|record| record.last().succeeded());
        report.records.push(checked(copy, known, found, passed));
    }
    report.level = best_on(copy.snapshot, &copy.alone.root, copy.objects, None, report.tree);
    report.checks.push(if report.level == Level::P0 {
        Check::new("E00", State::Failed, "no passing run on this tree was recorded")
    } else {
        Check::new("proof", State::Ok, "a passing run on exactly this tree was recorded")
    });
}

/// The rules that a record met when it arrived, one line each.
fn checked(copy: &Replayed<'_>, known: &KnownRecord, judged: Option<&Judged>, proves: bool) -> Checked {
    let record = judged.and_then(|judged| judged.record.as_ref());
    let refused = judged.and_then(|judged| judged.refused.clone());
    let is_gone = copy.snapshot.is_dropped(known) && !copy.objects.contains(known.blob);
    let gone = Check::new("E02", State::Skipped, "it was dropped with its month");
    let refused = if is_gone { Some(gone) } else { refused };
    let mut checks =
        vec![Check::new("E02", State::Ok, "within limits, canonical, and of the digest that the ledger states")];
    let mut stopped = None;
    match refused {
        Some(check) if check.rule == "E01" || check.rule == "E02" => checks = vec![check],
        refused => {
            for rule in record::RULES {
                if let Some(check) = refused.as_ref().filter(|check| check.rule == rule.word) {
                    checks.push(check.clone());
                    stopped = Some(rule.word);
                    break;
                }
                checks.push(match record.filter(|_| rule.word == "E07") {
                    Some(record) => patches(copy, record),
                    None => Check::new(rule.word, State::Ok, rule.demands),
                });
            }
            if let Some(check) = refused.filter(|_| stopped.is_none()) {
                checks.push(check);
            }
        }
    }
    if let Some(check) = checks.iter_mut().find(|check| check.rule == "E04" && check.state == State::Ok)
        && let Some(started) = record.and_then(|r| copy.snapshot.fold.nonces.get(r.nonce.as_bytes().as_slice()))
    {
        check.why = format!(
            "its nonce was given to {} for issue {} at {}",
            started.agent,
            started.issue,
            show_time(started.at_ms)
        );
    }
    let authority = copy.seen.authority.get(&known.digest).copied();
    if !is_gone {
        checks.extend(levels::signature(copy.objects, known, copy.signers, authority));
    }
    let unread = if is_gone { "dropped" } else { "unreadable" };
    Checked {
        record: known.digest,
        agent: known.agent.clone(),
        command: record.map_or(String::new(), |record| record.last().command()),
        ending: record.map_or(unread.to_owned(), |record| record.last().ending()),
        tree: known.tree,
        proves,
        checks,
    }
}

/// E06: the work began at an ancestor of the head.
fn base(objects: &dyn Objects, record: &Record, head: Oid) -> Check {
    let Some(base) = record.base_commit else { return Check::new("E06", State::Skipped, "it names no base") };
    let tree = objects.commit(base).map(|commit| commit.tree);
    match (history::is_ancestor(objects, base, head), tree) {
        (Err(error), _) | (_, Err(error)) => {
            Check::new("E06", State::Failed, format!("base {}: {error}", base.short()))
        }
        (Ok(false), Ok(_)) => {
            Check::new("E06", State::Failed, format!("its base {} is no ancestor of the head", base.short()))
        }
        (Ok(true), Ok(tree)) if record.base_tree.is_some_and(|stated| stated != tree) => {
            Check::new("E06", State::Failed, format!("its base {} has another tree than it states", base.short()))
        }
        (Ok(true), Ok(_)) => {
            Check::new("E06", State::Ok, format!("its base {} is an ancestor of the head", base.short()))
        }
    }
}

/// Whether everything in a tree is here and hashes to its id. A partial or shallow clone lacks some of it by design.
fn content(objects: &dyn Objects, tree: Oid) -> Check {
    let (mut todo, mut seen, mut missing) = (vec![(tree, Kind::Tree)], HashSet::new(), 0u64);
    while let Some((id, kind)) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let read = match kind {
            Kind::Tree => objects.tree(id),
            Kind::Blob | Kind::Commit | Kind::Tag => objects.get_kind(id, kind).map(|_| Vec::new()),
        };
        match read {
            Ok(entries) => todo.extend(entries.iter().filter_map(|entry| match entry.mode {
                Mode::Tree => Some((entry.id, Kind::Tree)),
                Mode::File | Mode::Executable | Mode::Link => Some((entry.id, Kind::Blob)),
                Mode::Submodule => None,
            })),
            Err(ReadError::Missing(_)) => missing += 1,
            Err(error) => return Check::new("content", State::Failed, error.to_string()),
        }
    }
    match missing {
        0 => Check::new("content", State::Ok, format!("all {} objects of its tree hash to their ids", seen.len())),
        n => Check::new("content", State::Skipped, format!("{n} objects of its tree are not in this clone")),
    }
}

/// E07 in words: what was replayed, and what is not claimed. Objects that came after the record count here: what a forge
/// could not replay when the record arrived can perhaps be replayed now.
fn patches(copy: &Replayed<'_>, record: &Record) -> Check {
    let view = copy.alone.view(copy.snapshot, copy.objects, copy.seen.now_ms);
    let known = |digest: &Sha256| Ok(view.record(digest)?.map(Cow::Owned));
    let (state, why) = match record::replay(&view, record, &known) {
        Ok(Patches::Holds(0, Some(why))) => (State::Skipped, format!("nothing is claimed: {why}")),
        Ok(Patches::Holds(n, Some(why))) => (
            State::Skipped,
            format!("{n} of its {} patches make the trees that it names; {why}", record.attempts.len()),
        ),
        Ok(Patches::Holds(1, None)) => (State::Ok, "its patch makes the tree that it names".to_owned()),
        Ok(Patches::Holds(n, None)) => (State::Ok, format!("its {n} patches make the trees that it names")),
        Ok(Patches::Refuted(why)) => (State::Failed, why),
        Err(undecided) => (State::Failed, undecided.to_string()),
    };
    Check::new("E07", state, why)
}

impl Report {
    /// For people.
    pub fn markdown(&self) -> String {
        let of = self.reference.as_ref().map_or(String::new(), |r| format!(" · {r}"));
        let mut out = format!("# {}{of} · tree {}\n\n", self.commit.short(), self.tree.short());
        let line = |check: &Check| {
            let mark = match check.state {
                State::Ok => "ok",
                State::Failed => "FAILED",
                State::Skipped => "-",
            };
            format!("  {:<8} {mark:<6} {}\n", check.rule, check.why)
        };
        for record in &self.records {
            let proves = if record.proves { ", the proof" } else { "" };
            let digest: String = record.record.to_string().chars().take(12).collect();
            out.push_str(&format!(
                "record {digest} by {}: `{}`: {}{proves}\n",
                record.agent, record.command, record.ending
            ));
            out.extend(record.checks.iter().map(line));
        }
        out.push_str("commit\n");
        out.extend(self.checks.iter().map(line));
        let verdict = if self.good { "good" } else { "NOT good" };
        out.push_str(&format!("\n{verdict}: proof {}\n", self.level));
        out.push_str(
            "Not shown by this: that the run happened, on whatever machine; that nothing was left out of this copy",
        );
        out.push_str(match self.signatures {
            true => ".\n",
            false => "; who wrote the ledger (--signers <file> checks its signatures).\n",
        });
        out.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
    }
}
