//! `forge hook pre-receive`: the rules of `hooks` in an ordinary bare repository on any git server. It is started by git
//! inside the quarantine of a push, reads `<old> <new> <ref>` lines, and answers with its exit status.
//!
//! Who pushes, who owns a branch and which nonce was given out is known to a forge alone; the rules that ask for it are
//! skipped, and named. The policy of the default branch judges here too, in all that can be seen without a forge.
//!
//! Invariant: reads only. What cannot be decided is refused.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use hooks::gate;
use hooks::push::{self, PushedRef};
use hooks::record::{self, Form, Incoming, RecordVerdict};
use hooks::{Refusal, Undecided, Verdict};
use notes_schema::trace::Record;
use notes_schema::{AgentName, Oid, ProjectName, RefName, Sha256, refs};

use super::{Alone, Stock, StockError};
use crate::gate::{Arrived, View, Work};
use crate::ledger::{KnownRecord, Snapshot, record_files, record_signer, system_clock, verify};
use git::object::{Kind, hash};
use git::packed_refs::RefValue;
use git::store::Objects;

/// Most lines of one push.
/// Limit: refs of one push that the hook judges | {}
const MOST_REFS: usize = 10_000;
/// Most accepted records that are looked through for one that speaks for a tip.
/// Limit: accepted records that the hook looks through for one that speaks for a tip | {}
const MOST_RECORDS: usize = 4096;

/// Rules about refs and files that only a forge can ask, and what it would have to know.
const ASK_A_FORGE: &[(&str, &str)] = &[
    ("server-owned", "which refs are the forge's own is up to this server"),
    ("namespace", "which refs are kept is up to this server"),
    ("default-branch", "there is no `merge` here"),
    ("branch-owner", "nobody wrote down who created a branch"),
    ("tag-owner", "nobody wrote down who created a tag"),
    ("open-pull", "there are no pull requests here"),
    ("ref-permission", "who the maintainer is stands in a forge, and who may push a ref is up to this server"),
    ("write-scope", "who the maintainer is stands in a forge"),
];

/// What is said of a push.
#[derive(Debug, Default)]
pub struct Judged {
    /// With any of them the push is refused.
    pub refused: Vec<Refusal>,
    /// Rules that were not asked, with the reason.
    pub skipped: Vec<(String, String)>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// The objects of the push, which git holds in a quarantine of its own.
struct Pushed<'a> {
    stock: &'a Stock,
    tips: Vec<Oid>,
}

impl Arrived for Pushed<'_> {
    fn files(&self) -> Result<Vec<Oid>, Undecided> {
        self.stock.new_files(&self.tips).map_err(|e| Undecided(e.to_string()))
    }
}

/// Judges the push whose lines `input` holds, in the repository at `here`. `agent` is who pushes, where the server knows.
pub fn judge(here: &Path, input: impl BufRead, agent: Option<&str>) -> Result<Judged, String> {
    let stock = Stock::open(here).map_err(|e| e.to_string())?;
    let mut updates = read(input)?;
    let pusher = match agent.filter(|name| !name.is_empty()) {
        Some(name) => Some(name.parse::<AgentName>().map_err(|e| format!("FORGE_AGENT {name}: {e}"))?),
        None => None,
    };
    let alone = Alone::new();
    let (snapshot, is_mirror) = state(&stock)?;
    if let (None, Some(head)) = (snapshot.default_tip(), &snapshot.head) {
        // What the default branch brings judges the others.
        updates.sort_by_key(|update| update.name != *head);
    }
    let pushed = Pushed { stock: &stock, tips: updates.iter().filter_map(|update| update.new).collect() };
    let view = alone.view(&snapshot, &stock, system_clock()()).receiving(&pushed);
    let mut judged = Judged::default();
    let mut skip: Vec<(&str, &str)> = ASK_A_FORGE.to_vec();
    if pusher.is_none() {
        skip.push(("E03", "who pushes is not known here; FORGE_AGENT would name it"));
    }
    if !is_mirror {
        skip.push(("E04", "nonces stand in a forge's ledger, and refs/forge/ledger is not here"));
    }
    let words: Vec<&str> = skip.iter().map(|(word, _)| *word).collect();
    judge_refs(&mut judged, &view, &updates, pusher.as_ref(), &words);
    let arrived = judge_records(&mut judged, &view, &stock, &updates, pusher.as_ref(), &words);
    judge_default_branch(&mut judged, &snapshot, &view, &stock, &updates, arrived)?;
    if !is_mirror {
        skip.push((
            "E11 of the nonce",
            "when it was given out stands in a forge's ledger; the other times are compared",
        ));
    }
    judged.notes.extend(view.search().and_then(|searched| searched.gap()));
    let at_merge = gate::RULES.iter().filter(|rule| !rule.at_submit);
    skip.extend(at_merge.map(|rule| (rule.word, "it is asked at `merge`, and there is none here")));
    judged.skipped = skip.into_iter().map(|(word, why)| (word.to_owned(), why.to_owned())).collect();
    Ok(judged)
}

fn read(input: impl BufRead) -> Result<Vec<push::RefUpdate>, String> {
    let mut updates = Vec::new();
    for line in input.take(MOST_REFS as u64 * 400).lines() {
        let line = line.map_err(|e| format!("the lines of the push cannot be read: {e}"))?;
        let mut words = line.split(' ');
        let (Some(_), Some(new), Some(name), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err("git gives lines of `<old> <new> <ref>`; this is called as hooks/pre-receive".to_owned());
        };
        if updates.len() == MOST_REFS {
            return Err(format!("more than {MOST_REFS} refs in one push"));
        }
        let name: RefName = name.parse().map_err(|e| format!("{name}: {e}"))?;
        let deleted = new.bytes().all(|b| b == b'0');
        let new = if deleted { None } else { Some(new.parse::<Oid>().map_err(|e| format!("{name}: {e}"))?) };
        updates.push(push::RefUpdate { name, new });
    }
    Ok(updates)
}

/// The repository as the rules see it: its refs; and where it mirrors a forge's project, what the ledger says.
fn state(stock: &Stock) -> Result<(Snapshot, bool), String> {
    let said = |e: StockError| e.to_string();
    let head = stock.line(&["symbolic-ref", "HEAD"]).ok().and_then(|name| name.parse().ok());
    if let Some(tip) = stock.resolve(refs::LEDGER) {
        let mut snapshot = verify::replay_copy(stock, tip, &[], &mut |_, _| {}).map_err(|e| e.to_string())?;
        snapshot.head = head.or(snapshot.head);
        return Ok((snapshot, true));
    }
    let named = stock.line(&["config", "forge.project"]).unwrap_or_default();
    let directory = stock.line(&["rev-parse", "--absolute-git-dir"]).map_err(said)?;
    let directory = directory.rsplit('/').find(|part| *part != ".git").unwrap_or("").trim_end_matches(".git");
    let project: ProjectName = named
        .parse()
        .or_else(|_| directory.to_ascii_lowercase().parse())
        .map_err(|e| format!("{directory} is no name of a project ({e}); next: git config forge.project <name>"))?;
    let mut snapshot = Snapshot::empty(project);
    snapshot.head = head;
    for line in stock.text(&["for-each-ref", "--format=%(objectname) %(refname)"]).map_err(said)?.lines() {
        if let Some((id, name)) = line.split_once(' ')
            && let (Ok(id), Ok(name)) = (id.parse(), name.parse())
        {
            snapshot.refs.insert(name, RefValue { id, peeled: None });
        }
    }
    let held: Vec<KnownRecord> = held(&snapshot, stock).map(|(known, _)| known).collect();
    snapshot.records.extend(held.into_iter().map(|known| (known.digest, Arc::new(known))));
    Ok((snapshot, false))
}

/// Whom rules about a ref are asked for where nobody is known.
fn nobody() -> AgentName {
    "nobody".parse().expect("invariant: a good name")
}

fn judge_refs(
    judged: &mut Judged,
    view: &View,
    updates: &[push::RefUpdate],
    pusher: Option<&AgentName>,
    skip: &[&str],
) {
    let nobody = nobody();
    for (at, update) in updates.iter().enumerate() {
        let pushed = PushedRef { agent: pusher.unwrap_or(&nobody), update, earlier: &updates[..at] };
        let rules = push::RULES.iter().chain(push::content_rules(update));
        for rule in rules.filter(|rule| !skip.contains(&rule.word)) {
            match (rule.judge)(view, &pushed) {
                Ok(Verdict::Ok) => {}
                Ok(Verdict::Refused(refusal)) => judged.refused.push(refusal),
                Err(undecided) => {
                    let what = format!("push {}", update.name);
                    judged.refused.push(Refusal::new(rule.word, what, undecided.to_string(), "git push"));
                }
            }
        }
    }
}

/// Judges the records of the push; answers those that hold.
fn judge_records(
    judged: &mut Judged,
    view: &View,
    objects: &dyn Objects,
    updates: &[push::RefUpdate],
    pusher: Option<&AgentName>,
    skip: &[&str],
) -> Vec<(Sha256, Record)> {
    let mut blobs: BTreeMap<AgentName, Vec<(&RefName, Form, bytes::Bytes)>> = BTreeMap::new();
    for update in updates {
        let (Some((owner, _)), Some(new)) = (refs::incoming_record(&update.name), update.new) else { continue };
        match record_files(objects, new) {
            Ok((form, bytes, armor)) => match armor.map_or(Ok(String::new()), |armor| record_signer(&bytes, &armor)) {
                Ok(_) => blobs.entry(owner).or_default().push((&update.name, form, bytes)),
                Err(why) => judged.refused.push(record::not_its_makers(&update.name, why)),
            },
            Err(why) => judged.refused.push(record::misshapen(&update.name, why)),
        }
    }
    let mut arrived = Vec::new();
    for (owner, blobs) in &blobs {
        let incoming: Vec<Incoming<'_>> =
            blobs.iter().map(|(name, form, bytes)| Incoming { name, form: *form, bytes }).collect();
        let verdicts = record::judge_except(view, pusher.unwrap_or(owner), &incoming, skip);
        for verdict in verdicts {
            match verdict {
                RecordVerdict::New(taken) | RecordVerdict::AlreadyKnown(taken) => {
                    arrived.push((taken.digest, taken.record))
                }
                RecordVerdict::Refused(refusal) => judged.refused.push(refusal),
            }
        }
    }
    arrived
}

/// The records that the repository holds, by their refs.
fn held<'a>(snapshot: &'a Snapshot, objects: &'a dyn Objects) -> impl Iterator<Item = (KnownRecord, Record)> + 'a {
    let names = snapshot.refs.iter().filter_map(|(name, value)| Some((refs::incoming_record(name)?.0, name, value.id)));
    names.take(MOST_RECORDS).filter_map(|(agent, name, commit)| {
        let (form, bytes, _) = record_files(objects, commit).ok()?;
        let blob = hash(Kind::Blob, &bytes).ok()?;
        let record = match form {
            Form::MessagePack => Record::decode_msgpack(&bytes).ok()?,
            Form::Json => Record::decode_json(&bytes).ok()?,
        };
        let known = KnownRecord {
            digest: record.digest(),
            agent,
            name: name.clone(),
            commit,
            blob,
            tree: record.last().tree,
            issue: record.issue,
            signed: None,
            batch: 0,
        };
        Some((known, record))
    })
}

/// What `submit` would ask, of the default branch: its new tip must have been run (E00, E06, E08, E09, E10), and what it
/// changes be within the policy that the branch had.
fn judge_default_branch(
    judged: &mut Judged,
    snapshot: &Snapshot,
    view: &View,
    stock: &Stock,
    updates: &[push::RefUpdate],
    arrived: Vec<(Sha256, Record)>,
) -> Result<(), String> {
    let head = snapshot.head.clone().unwrap_or_else(RefName::head);
    let Some(tip) = updates.iter().find(|u| u.name == head).and_then(|u| u.new) else { return Ok(()) };
    let tree = stock.commit(tip).map_err(|e| e.to_string())?.tree;
    let held = held(snapshot, stock).map(|(known, record)| (known.digest, record));
    let records: Vec<(Sha256, Record)> = held.chain(arrived).collect();
    // Whose record speaks for it: nobody is known to have made the commits, so whoever ran this tree, or ran last.
    let on_tree = records.iter().rev().find(|(_, record)| record.last().tree == tree);
    let author = on_tree.or(records.last()).map_or_else(nobody, |(_, record)| record.agent.clone());
    let work = Work::new(view, &head, &author, None, tip).map_err(|e| e.to_string())?.with_records(records);
    // A first push changes nothing: there is no policy yet by which it could be looked at.
    let work = work.submitted(view, snapshot.ref_id(&head).unwrap_or(tip));
    if let Err(refusal) = work.check_submit(view) {
        let refusal = Refusal::new(&refusal.rule, format!("push {head}"), refusal.why, refusal.next);
        // What a commit brings was refused already, with a way back to before it.
        if !judged.refused.iter().any(|other| (&other.rule, &other.what) == (&refusal.rule, &refusal.what)) {
            judged.refused.push(refusal);
        }
    }
    Ok(())
}
