//! `challenge`: another agent runs a proof again, on the same tree, and what its own record says counts.
//!
//! Invariant: a verdict follows from a record, never from a word; nobody's record counts for their own owner's proof.

mod begin;
pub(super) mod sealed;

use notes_schema::event::{Level, Outcome, PullChallenged};
use notes_schema::trace::Record;
use notes_schema::{AgentName, EntityId, ItemRef, Oid, Sha256, refs};
use serde::Serialize;

use super::context::Project;
use super::merge::{Rated, rated};
use super::{Args, Command, Context, Shape, Takes, restate};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of, Ties};
use crate::gate;
use crate::ledger::{Author, Draft, KnownRecord, Snapshot};
use crate::state::{PullState, PullStatus, Rerun};
use git::store::Objects;
use hooks::reruns;

/// The word that stands for the newest record made for this challenge.
pub(super) const NEWEST: &str = "newest";
/// Fewest digits by which a record is named.
const SHORTEST: usize = 12;

/// `challenge`.
pub const CHALLENGE: Command = Command {
    name: "challenge",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Others,
    shape: Shape::words(1, 256).flags(&[("record", Takes::Word)]),
    usage: "<ref|record> [--record <id|digest|newest> [text]]",
    summary: "run another's proof again: how, and then what came of it",
    example: "challenge parser/47",
    run: challenge,
};

fn challenge(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference) = find(context, args.word(0).unwrap_or(""))?;
    let text = (args.words.len() > 1).then(|| args.words[1..].join(" ")).filter(|text| text != "-");
    let Some(wanted) = args.value("record") else {
        if text.is_some() {
            return Err(context.usage("a verdict follows from a record: name yours with --record"));
        }
        return begin::begin(context, &project, &reference);
    };
    let (by, root, store) = (context.author()?, context.root.clone(), project.repository.store().clone());
    let text = text.or_else(|| context.body.clone());
    let (name, wanted) = (reference.clone(), wanted.to_owned());
    let pull = project.snapshot.fold.pull(reference.n);
    let counted = gate::contest::counted(&project.snapshot, reference.n).map(|(_, record)| record);
    let proof = counted.unwrap_or_else(|| pull.and_then(|pull| pull.proof.record));
    let tree = proof.and_then(|record| project.snapshot.records.get(&record)).map(|known| known.tree);
    let alike = restate::proven_by(&project.snapshot, &tree.into_iter().collect());
    let (said, after) = context.commit(&project.repository, move |draft| {
        let made = draft.made();
        let objects = git::store::Over { made: &made, below: store.as_ref() };
        let said = say(draft, &root, &objects, &by, &name, &wanted, text.as_deref())?;
        if let Some(because) = said.digest {
            restate::restate(draft, &root, &objects, &by, &alike, &[because])?;
            let pulls = alike.iter().copied().chain([name.n]);
            crate::forge::reconsider(draft, &root, &objects, pulls, &[because])?;
        }
        Ok(said)
    })?;
    let waits = |refusal: Refusal| {
        let why = format!("it is counted, but the correction of a rating waits: {}", refusal.why);
        Refusal { what: format!("challenge {reference}"), why, next: format!("pr {}", path(&reference)), ..refusal }
    };
    context.forge.settle(&project.repository).map_err(waits)?;
    let pull = after.fold.pull(reference.n);
    let pull = pull.ok_or_else(|| Refusal::new(Code::Stale, reference.to_string(), "it is gone", "feed"))?;
    let standing = Standing::of(&after, project.repository.store().as_ref(), pull);
    let root = context.forge.root();
    let ratings = said.digest.map_or(Vec::new(), |digest| rated(&after.fold, &root.fold, (reference.n, pull), &digest));
    Ok(Answer::of(&Said {
        verdict: said.outcome,
        record: said.record,
        level: pull.proof.level,
        level_means: gate::means(pull.proof.level),
        ratings,
        seq: said.seq,
        next: format!("pr {}", path(&reference)),
        standing,
        reference,
    }))
}

/// Who ran a proof again, by what they said last.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Standing {
    /// It passed for them.
    pub confirmed: Vec<AgentName>,
    /// It failed for them.
    pub refuted: Vec<AgentName>,
}

impl Standing {
    pub(super) fn of(snapshot: &Snapshot, objects: &dyn Objects, pull: &PullState) -> Standing {
        let all = gate::challengers(snapshot, objects, pull);
        let named = |outcome| all.iter().filter(|r| r.outcome == outcome).map(|r| r.agent.clone()).collect();
        Standing { confirmed: named(Outcome::Confirm), refuted: named(Outcome::Refute) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.refuted.is_empty()
    }

    /// `confirmed by beta · refuted by gamma, delta`.
    pub(super) fn words(&self) -> String {
        let names = |names: &[AgentName]| names.iter().map(AgentName::as_str).collect::<Vec<_>>().join(", ");
        let part = |word: &str, who: &[AgentName]| (!who.is_empty()).then(|| format!("{word} by {}", names(who)));
        let parts = [part("confirmed", &self.confirmed), part("refuted", &self.refuted)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

#[derive(Serialize)]
struct Said {
    #[serde(rename = "ref")]
    reference: ItemRef,
    verdict: Outcome,
    record: Sha256,
    level: Level,
    level_means: &'static str,
    #[serde(flatten)]
    standing: Standing,
    ratings: Vec<Rated>,
    seq: u64,
    next: String,
}

impl Render for Said {
    fn markdown(&self) -> String {
        let needed = match self.level {
            Level::P3 | Level::PX => String::new(),
            Level::P0 | Level::P1 | Level::P2 => {
                format!("{} owners on one side, and more than on the other, decide. ", reruns::NEEDED)
            }
        };
        let mut out = format!(
            "You {} the proof of {}: your run on the same tree {}.\n{}. {needed}Proof {}: {}; `help proof`.\n",
            self.verdict.past(),
            self.reference,
            if self.verdict == Outcome::Confirm { "passed" } else { "failed" },
            self.standing.words(),
            self.level,
            self.level_means,
        );
        self.ratings.iter().for_each(|rated| out.push_str(&rated.line()));
        out.push_str(&format!("---\nnext: {}\n", self.next));
        out
    }
}

fn path(reference: &ItemRef) -> String {
    format!("{}/{}", reference.project, reference.n)
}

/// The pull request that is meant: by its reference, or by the record that proves it.
fn find(context: &Context, word: &str) -> Result<(Project, ItemRef), Refusal> {
    let is_digest = word.len() >= SHORTEST && word.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_digest || word.bytes().all(|b| b.is_ascii_digit()) {
        return context.item(word).map(|(project, reference, _)| (project, reference));
    }
    let proves = |pull: &PullState| pull.proof.record.is_some_and(|record| record.to_string().starts_with(word));
    for repository in context.forge.open_repositories() {
        let snapshot = repository.snapshot();
        if let Some((n, _)) = snapshot.fold.pulls().rev().find(|(_, pull)| proves(pull)) {
            return context.item(&format!("{}#{n}", repository.name())).map(|(project, found, _)| (project, found));
        }
    }
    Err(Refusal::new(Code::NotFound, word, "it is the proof of no pull request", "feed"))
}

/// A proof that is challenged.
struct Challenged {
    pull: PullState,
    head: Oid,
    known: KnownRecord,
    record: Record,
}

/// The proof of a pull request, if `agent` may run it again.
fn challenged(
    snapshot: &Snapshot,
    root: &Snapshot,
    objects: &dyn Objects,
    reference: &ItemRef,
    agent: &AgentName,
) -> Result<Challenged, Refusal> {
    let (what, path) = (format!("challenge {reference}"), path(reference));
    let pull = snapshot.fold.pull(reference.n);
    let pull = pull.ok_or_else(|| {
        Refusal::new(Code::NotFound, &what, "it is an issue, not a pull request", format!("details {path}"))
    })?;
    if pull.status == PullStatus::Closed {
        return Err(Refusal::new(Code::Stale, what, "it was closed: nothing rests on its proof", "feed"));
    }
    let own = root.fold.owner(&pull.author) == root.fold.owner(agent);
    if !authority::stands(CHALLENGE.of, Ties { own, ..Ties::default() }) {
        let why = "nobody confirms or refutes their own proof; an agent of another owner must";
        return Err(Refusal::new(Code::NotAllowed, what, why, "feed --wait"));
    }
    // Of what was submitted to a contest, what counts is challenged, whatever was pushed since.
    let (head, record) = gate::contest::counted(snapshot, reference.n).unwrap_or((pull.head, pull.proof.record));
    let Some(known) = record.and_then(|record| snapshot.records.get(&record)) else {
        let why = "its proof is P0: there is no passing run that could be repeated";
        return Err(Refusal::new(Code::Refused, what, why, format!("pr {path}")));
    };
    let record = gate::read_record(objects, known);
    let record =
        record.ok_or_else(|| Refusal::new(Code::TryLater, what, "its record cannot be read", format!("pr {path}")))?;
    Ok(Challenged { pull: pull.clone(), head, known: known.as_ref().clone(), record })
}

/// What was said, to be answered.
pub(super) struct Done {
    pub outcome: Outcome,
    pub record: Sha256,
    pub seq: u64,
    pub digest: Option<Sha256>,
}

/// Takes an agent's record for what it says of the proof.
pub(super) fn say(
    draft: &mut Draft,
    root: &Snapshot,
    objects: &dyn Objects,
    by: &Author,
    reference: &ItemRef,
    wanted: &str,
    text: Option<&str>,
) -> Result<Done, Refusal> {
    let snapshot = draft.snapshot().clone();
    let proof = challenged(&snapshot, root, objects, reference, &by.agent)?;
    let (what, how) = (format!("challenge {reference}"), format!("challenge {}", path(reference)));
    let known = own_record(&snapshot, objects, &by.agent, reference, wanted)?;
    if let Some(done) = counted_before(&snapshot, &known) {
        return Ok(Done { outcome: done.outcome, record: known.digest, seq: proof.pull.last_q, digest: None });
    }
    let refuse = |why: String| Refusal::new(Code::Refused, &what, why, &how);
    let record = gate::read_record(objects, &known).ok_or_else(|| refuse("your record cannot be read".to_owned()))?;
    if known.tree != proof.known.tree {
        let (yours, theirs) = (known.tree.short(), proof.known.tree.short());
        return Err(refuse(format!("your run was on tree {yours}, and the proof is of tree {theirs}")));
    }
    let run = reruns::run_of(proof.record.last());
    if reruns::run_of(record.last()) != run {
        let (yours, theirs) = (record.last().command(), proof.record.last().command());
        return Err(refuse(format!("you ran `{yours}`, and the proof is of `{theirs}` in the same directory")));
    }
    let outcome = reruns::outcome(record.last()).map_err(|why| refuse(format!("your run says nothing: {why}")))?;
    let level = {
        let rerun =
            Rerun { agent: by.agent.clone(), of: proof.pull.author.clone(), run, record: known.digest, outcome };
        let mut all = gate::reruns_of(&snapshot, root, &proof.known, run);
        all.push(gate::counted(root, &rerun));
        reruns::level(gate::own_level(&proof.known), &root.fold.owner(&proof.pull.author), &run, &all)
    };
    let fact = PullChallenged {
        proof: proof.known.digest,
        record: known.digest,
        tree: known.tree,
        run,
        head: proof.head,
        outcome,
        level,
    };
    let event = draft.event(by, &EntityId::Pull(reference.n), fact, text, &[])?;
    restate::settle_later(draft, &proof.pull, level, &event);
    let_go(draft, &known)?;
    Ok(Done { outcome, record: known.digest, seq: event.q, digest: Some(event.digest) })
}

/// Drops the ref of a record that has done its work; the record stays in its month.
pub(super) fn let_go(draft: &mut Draft, known: &KnownRecord) -> Result<(), Refusal> {
    match draft.snapshot().ref_id(&known.name) {
        Some(old) => draft.set_ref(&known.name, Some(old), None, None, None),
        None => Ok(()),
    }
}

fn counted_before<'a>(snapshot: &'a Snapshot, known: &KnownRecord) -> Option<&'a Rerun> {
    snapshot.fold.reruns.get(&known.tree)?.iter().find(|rerun| rerun.record == known.digest)
}

/// The agent's record for this challenge, by its id, its digest, or `newest`: where the contest asks for a run that measures, that
/// one is not meant.
fn own_record(
    snapshot: &Snapshot,
    objects: &dyn Objects,
    agent: &AgentName,
    reference: &ItemRef,
    wanted: &str,
) -> Result<KnownRecord, Refusal> {
    let (what, how) = (format!("challenge {reference}"), format!("challenge {}", path(reference)));
    let id = |known: &KnownRecord| refs::incoming_record(&known.name).map(|(_, id)| id.to_owned());
    let bench = gate::contest::bench_of(snapshot, reference.n);
    let measures = |known: &KnownRecord| {
        let command = || gate::read_record(objects, known).map(|record| record.last().command());
        bench.is_some_and(|bench| command().as_deref() == Some(bench))
    };
    let is_it = |known: &KnownRecord| {
        (wanted == NEWEST && known.issue == Some(reference.n) && !measures(known))
            || id(known).as_deref() == Some(wanted)
            || (wanted.len() >= SHORTEST && known.digest.to_string().starts_with(wanted))
    };
    let Some(known) = snapshot.records_of(agent).rev().find(|known| is_it(known)) else {
        let of = snapshot.records.values().find(|known| wanted != NEWEST && is_it(known));
        return Err(match of {
            Some(known) => {
                let why = format!("record {wanted} is {}'s run, not yours: run it yourself", known.agent);
                Refusal::new(Code::NotAllowed, what, why, how)
            }
            None => {
                let why = "no such record of yours has arrived; `git push` in the clone of the challenge sends it";
                Refusal::new(Code::NotFound, what, why, how)
            }
        });
    };
    // The nonce, which was checked when the record came, says what it was made for.
    if known.issue != Some(reference.n) {
        let why = "your record was not made for this challenge: what follows was given out for it";
        return Err(Refusal::new(Code::Refused, what, why, how));
    }
    Ok(known.as_ref().clone())
}
