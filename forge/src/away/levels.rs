//! What raises or refutes a proof, checked in a clone: signatures on records, and what others recorded of the same run.
//!
//! Invariant: says whose word is taken where `forge.git` is not there to ask.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use hooks::reruns;
use notes_schema::event::{Level, Outcome, Proof};
use notes_schema::{Oid, Sha256, refs};

use super::verify::{Check, State, Unable, unable};
use super::{Owners, Stock, objects};
use crate::ledger::{KnownRecord, Snapshot, check_signature, verify};
use crate::state::{PullState, Rerun};
use git::store::Objects;

/// Whose keys are believed: those of a file as `forge.git` publishes it, or all that a clone of `forge.git` tells.
#[derive(Default)]
pub(super) struct Signers {
    /// Keys that sign ledgers, in OpenSSH form.
    pub ledger: Vec<String>,
    /// `forge.git`, replayed, and the number of each of its batches.
    root: Option<(Snapshot, HashMap<Oid, u64>)>,
}

impl Signers {
    pub(super) fn read(path: &Path) -> Result<Signers, Unable> {
        if path.is_dir() { Signers::of_clone(path) } else { Signers::of_file(path) }
    }

    fn of_file(path: &Path) -> Result<Signers, Unable> {
        let text = objects::small_file(path).map_err(|e| unable(format!("{}: {e}", path.display()), super::FETCH))?;
        let key = |line: &str| line.find("ssh-").map(|at| line[at..].to_owned());
        let ledger: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).filter_map(key).collect();
        if ledger.is_empty() {
            let next = "git clone <forge>/forge.git && git -C forge show main:allowed_signers";
            return Err(unable(format!("{} holds no public key", path.display()), next));
        }
        Ok(Signers { ledger, root: None })
    }

    fn of_clone(path: &Path) -> Result<Signers, Unable> {
        let next = "git clone --mirror <forge>/forge.git";
        let failed = |why: String| unable(format!("{}: {why}", path.display()), next);
        let stock = Stock::open(path).map_err(|e| failed(e.to_string()))?;
        let tip = stock.resolve(refs::LEDGER).ok_or_else(|| failed(format!("it has no {}", refs::LEDGER)))?;
        let mut batches = HashMap::new();
        let root = verify::replay_copy(&stock, tip, &[], &mut |_, read| {
            batches.insert(read.commit, read.batch.n);
        });
        let root = root.map_err(|e| failed(e.to_string()))?;
        let ledger = root.epochs.values().cloned().collect();
        // It vouches for itself first: each of its batches is signed by one of the keys that it names.
        verify::replay_copy(&stock, tip, &root.epochs.values().cloned().collect::<Vec<_>>(), &mut |_, _| {})
            .map_err(|e| failed(e.to_string()))?;
        Ok(Signers { ledger, root: Some((root, batches)) })
    }
}

impl Signers {
    /// Who answers for whom, as of a batch of `forge.git`, or now; nobody for anybody else, where no clone of it was given.
    pub(super) fn owners(&self, as_of: Option<Oid>) -> Owners {
        let Some((root, batches)) = &self.root else { return Owners::default() };
        match as_of.and_then(|commit| batches.get(&commit)) {
            Some(batch) => root.fold.owners_until(*batch),
            None => root.fold.owners.clone(),
        }
    }

    /// Whether it is known who answers for whom.
    pub(super) fn know_owners(&self) -> bool {
        self.root.is_some()
    }
}

/// A record's signature; nothing where the ledger states none. `authority` is the batch of `forge.git` that its own names.
pub(super) fn signature(
    objects: &dyn Objects,
    known: &KnownRecord,
    signers: &Signers,
    authority: Option<Oid>,
) -> Option<Check> {
    let signed = known.signed.as_ref()?;
    let what = if signed.push { "the push that brought it is signed" } else { "it is signed" };
    if let Err(why) = check_signature(objects, signed, known.commit, &known.name, &known.digest) {
        return Some(Check::new("P2", State::Failed, why));
    }
    let Some((root, batches)) = &signers.root else {
        let why = format!(
            "{what} by {}; that it is a key of {} stands in forge.git (--signers <clone of forge.git> asks it)",
            signed.key, known.agent
        );
        return Some(Check::new("P2", State::Ok, why));
    };
    let as_of = authority.and_then(|commit| batches.get(&commit).copied());
    Some(match root.fold.let_in(&signed.key, &known.agent, as_of) {
        true => Check::new("P2", State::Ok, format!("{what} by {}, then a key of {}", signed.key, known.agent)),
        false => Check::new("P2", State::Failed, format!("{} signed it, then no key of {}", signed.key, known.agent)),
    })
}

/// What the record of a re-run says, against what its event says of it.
pub(super) fn rerun(snapshot: &Snapshot, objects: &dyn Objects, rerun: &Rerun, tree: Oid) -> Check {
    let (rule, passed) = match rerun.outcome {
        Outcome::Confirm => ("P3", "confirms"),
        Outcome::Refute => ("PX", "refutes"),
    };
    let digest: String = rerun.record.to_string().chars().take(12).collect();
    let fail = |why: &str| Check::new(rule, State::Failed, format!("record {digest} of {}: {why}", rerun.agent));
    let Some(known) = snapshot.records.get(&rerun.record) else { return fail("it is not in this ledger") };
    let bytes = objects.get(known.blob).map(|object| object.data);
    if bytes.map(|bytes| Sha256::of(&bytes)).ok() != Some(rerun.record) {
        return fail("its bytes are not those that the ledger states");
    }
    let Some(record) = crate::gate::read_record(objects, known) else { return fail("it cannot be read") };
    let last = record.last();
    if known.agent != rerun.agent || last.tree != tree || reruns::run_of(last) != rerun.run {
        return fail("it is of another agent, tree or command");
    }
    if reruns::outcome(last).ok() != Some(rerun.outcome) {
        return fail(&format!("{} is not what was said of it", last.ending()));
    }
    let why = format!("record {digest} of {} {passed} it: {} on tree {}", rerun.agent, last.ending(), tree.short());
    Check::new(rule, State::Ok, why)
}

/// The re-runs of a pull request's proof, one check each.
pub(super) fn reruns(snapshot: &Snapshot, objects: &dyn Objects, pull: &PullState) -> Vec<Check> {
    let proof = pull.proof.record.and_then(|record| snapshot.records.get(&record));
    let Some(tree) = proof.map(|known| known.tree) else { return Vec::new() };
    let all = crate::gate::challengers(snapshot, objects, pull);
    all.into_iter().map(|one| rerun(snapshot, objects, one, tree)).collect()
}

/// Whether a proof was stated as it follows from what was checked.
pub(super) fn as_stated(stated: &Proof, follows: &Proof) -> bool {
    (stated.level, stated.record) == (follows.level, follows.record)
}

/// Whether less was stated of the same run than follows, or nothing at all. What others refuted is on no such scale.
pub(super) fn stated_too_low(stated: &Proof, follows: &Proof) -> bool {
    let same = stated.record.is_none() || stated.record == follows.record;
    same && stated.level < follows.level && follows.level != Level::PX
}

/// Whether what was stated may differ from what follows only because some of those who ran it again are of one owner, which
/// `forge.git` would tell. `all` is what they said, each as if nobody else answered for them.
pub(super) fn by_owners(stated: &Proof, follows: &Proof, run: &Sha256, all: &[reruns::Rerun]) -> bool {
    let who = |said: &dyn Fn(&reruns::Rerun) -> bool| {
        all.iter().filter(|one| said(one)).map(|one| &one.owner).collect::<HashSet<_>>().len() >= reruns::NEEDED
    };
    stated.record == follows.record
        && stated.level != follows.level
        && match stated.level {
            Level::P3 => who(&|one| one.passed && one.run == *run),
            Level::PX => who(&|one| !one.passed),
            Level::P0 | Level::P1 | Level::P2 => matches!(follows.level, Level::P3 | Level::PX),
        }
}

/// The level that the ledger states, where it is not known who answers for whom and that may make the difference.
pub(super) fn of_owners(stated: &Proof, follows: &Proof) -> Check {
    let why = format!(
        "the ledger states {}; if everybody answered for themselves alone, re-runs would give {}. Who answers for whom \
         stands in forge.git (--signers <clone of forge.git> asks it)",
        stated.level, follows.level
    );
    Check::new("ledger", State::Skipped, why)
}

/// The level that the ledger states, against the one that follows. Who states too little claims nothing that does not hold.
pub(super) fn stated(stated: &Proof, follows: &Proof) -> Check {
    let says = format!("the ledger states {}", stated.level);
    let (state, why) = if as_stated(stated, follows) {
        (State::Ok, format!("{says} as well"))
    } else if stated_too_low(stated, follows) {
        (State::Ok, format!("{says}, which is less than its records give: {}", follows.level))
    } else if stated.level == follows.level {
        (State::Failed, format!("{says} by another record than the one that gives it"))
    } else {
        (State::Failed, format!("{says}, and its records give {}", follows.level))
    };
    Check::new("ledger", state, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `beta+` passed this run, `beta-` failed it, `beta-x` failed another.
    fn said(words: &str) -> Vec<reruns::Rerun> {
        let one = |word: &str| {
            let at = word.find(['+', '-']).unwrap();
            let (owner, of) = (word[..at].parse().unwrap(), "alpha".parse().unwrap());
            reruns::Rerun {
                owner,
                of,
                run: Sha256::of(&word.as_bytes()[at + 1..]),
                passed: word[at..].starts_with('+'),
            }
        };
        words.split_whitespace().map(one).collect()
    }

    #[test]
    fn owners_that_are_not_known_may_make_the_difference_only_where_enough_agents_said_so() {
        let proof = |level| Proof { level, record: Some(Sha256::of(b"record")), ..Proof::none() };
        let (own, p3, px) = (proof(Level::P1), proof(Level::P3), proof(Level::PX));
        let may_be =
            |stated: &Proof, follows: &Proof, words: &str| by_owners(stated, follows, &Sha256::of(b""), &said(words));
        // Two of one owner said the same.
        assert!(may_be(&own, &p3, "beta+ gamma+") && may_be(&own, &px, "beta- gamma-"));
        // Two of one owner said the contrary of what two others did.
        assert!(may_be(&p3, &own, "beta+ gamma+ delta- echo-") && may_be(&px, &own, "beta+ gamma+ delta- echo-"));
        assert!(may_be(&px, &p3, "beta+ gamma+ delta-x echo-x"));
        // However many are one, one is not two, and another run is another run.
        assert!(!may_be(&p3, &own, "beta+ delta-") && !may_be(&p3, &own, "beta+ gamma+x beta+"));
        assert!(!may_be(&px, &own, "beta- gamma+") && !may_be(&px, &own, ""));
        // What re-runs have no part in is as it ever was.
        assert!(!may_be(&proof(Level::P2), &own, "beta+ gamma+") && !may_be(&own, &own, "beta+ gamma+"));
        let other = Proof { record: None, ..p3.clone() };
        assert!(!may_be(&other, &own, "beta+ gamma+"));
        assert_eq!(of_owners(&own, &p3).state, State::Skipped);
    }
}
